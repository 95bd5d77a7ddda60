package main

import (
	"context"
	"encoding/json"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
)

const theSheet = `{"crisis_contacts":[{"kind":"emergency","value":"112"}],"law_notes":[{"language":"pl","text":"Prawo.\u001b[31m","review_due":"2027-05-01"}],"operator_statement":[{"language":"pl","text":"To my."}],"later":1}`

func (f fakeNode) CountrySheet(_ context.Context, country string) (control.CountrySheet, error) {
	if country == "LT" {
		return control.CountrySheet{}, &control.Error{Class: control.Failed, Code: "no_sheet", Message: "LT has published no country sheet.", Next: "Ask it."}
	}
	if country == "" {
		country = "PL"
	}
	return control.CountrySheet{
		Country: country, State: control.StateSelf, Sheet: json.RawMessage(theSheet),
		Facts: []control.SheetFact{{Path: "crisis_contacts[0]", What: "emergency 112", AsOf: "2026-11-20", Freshness: "fresh"}},
	}, nil
}

func (f fakeNode) PutCountrySheet(ctx context.Context, document json.RawMessage) (control.CountrySheet, error) {
	doc, err := listing.ParseJSON(document)
	if err != nil {
		return control.CountrySheet{}, err
	}
	if doc["later"] != int64(1) || len(doc) != 4 {
		return control.CountrySheet{}, &control.Error{Class: control.Refused, Code: "not_fit", Message: "The country sheet is not fit to publish: notice_contact.", Next: "Nothing was published."}
	}
	return f.CountrySheet(ctx, "")
}
