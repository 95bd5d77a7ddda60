package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
)

// Sheet is what a country says about itself, for the pages; false where nothing
// is held or shown. A fault of the store takes no page away.
func (n *Node) Sheet(country string) (listing.PublishedSheet, bool) {
	s := n.state()
	if s == nil {
		return listing.PublishedSheet{}, false
	}
	m, ok := s.MemberByCountry(country)
	if !ok {
		return listing.PublishedSheet{}, false
	}
	p, err := n.catalog.Sheet(m.Origin)
	if err != nil {
		if !errors.Is(err, listing.ErrNoSheet) {
			n.o.Logger.Error("a country sheet cannot be read; pages show what holds everywhere", "country", country, "err", err)
		}
		return listing.PublishedSheet{}, false
	}
	return p, true
}

// CountrySheet implements [control.Care].
func (a *admin) CountrySheet(_ context.Context, country string) (control.CountrySheet, error) {
	n := (*Node)(a)
	own := n.o.Config.Country
	if country = strings.ToUpper(strings.TrimSpace(country)); country == "" {
		country = own
	}
	p, ok := n.Sheet(country)
	if !ok {
		e := &control.Error{
			Class: control.Failed, Code: "no_sheet",
			Message: fmt.Sprintf("%s has published no country sheet, or none that is shown here.", country),
			Next:    "Its pages show the emergency number that holds everywhere, and no other.",
		}
		if country == own {
			e.Next += fmt.Sprintf(" Begin with: waymark country sheet show --proposal %s; then publish with: waymark country sheet set FILE", own)
		}
		return control.CountrySheet{}, e
	}
	return n.countrySheet(p), nil
}

// PutCountrySheet implements [control.Care].
func (a *admin) PutCountrySheet(ctx context.Context, document json.RawMessage) (control.CountrySheet, error) {
	n := (*Node)(a)
	doc, err := listing.ParseJSON(document)
	if err != nil {
		return control.CountrySheet{}, &control.Error{
			Class: control.Usage, Code: "malformed", Message: "This is no country sheet: " + err.Error() + ".",
			Next: "Give one JSON object, as waymark country sheet show -o json prints it.",
		}
	}
	s, err := a.desk.PutSheet(ctx, doc)
	if err != nil {
		return control.CountrySheet{}, err
	}
	if p, ok := n.Sheet(n.o.Config.Country); ok {
		return n.countrySheet(p), nil
	}
	// Published and not shown: the other countries have hidden it.
	return n.countrySheet(listing.PublishedSheet{Country: n.o.Config.Country, Sheet: s}), nil
}

// countrySheet tells an administrator how a sheet stands.
func (n *Node) countrySheet(p listing.PublishedSheet) control.CountrySheet {
	out := control.CountrySheet{Country: p.Country, State: p.Standing.State, Facts: []control.SheetFact{}, Sheet: p.Sheet.Document().JSON()}
	if !p.AsOf.IsZero() {
		asOf := p.AsOf
		out.AsOf = &asOf
	}
	now, cadence := n.now(), n.cadence()
	add := func(path string, i int, what, asOf, freshness string) {
		if i >= 0 {
			path = fmt.Sprintf("%s[%d]", path, i)
		}
		out.Facts = append(out.Facts, control.SheetFact{Path: path, What: what, AsOf: asOf, Freshness: freshness})
	}
	s := p.Sheet
	for i := range s.Crisis {
		c := &s.Crisis[i]
		add("crisis_contacts", i, c.Kind+" "+c.Value, c.AsOf, string(c.Freshness(now, cadence)))
	}
	for i := range s.Law {
		state := string(listing.Fresh)
		if s.Law[i].Expired(now) {
			state = "expired"
		}
		add("law_notes", i, "law note in "+s.Law[i].Language, s.Law[i].AsOf, state)
	}
	for i, t := range s.Operator {
		add("operator_statement", i, "operator statement in "+t.Language, t.AsOf, "")
	}
	if s.Exit != nil {
		add("exit_target", -1, s.Exit.URL, s.Exit.AsOf, "")
	}
	if s.Notice != nil {
		add("notice_contact", -1, s.Notice.Value, s.Notice.AsOf, "")
	}
	if s.Page != nil {
		add("public_page", -1, s.Page.URL, s.Page.AsOf, "")
	}
	return out
}
