package api_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/web/api"
	"github.com/2ps-project/waymark/node/web/webtest"
)

func TestCountries(t *testing.T) {
	c := webtest.New(t, 2, "PL", "LT")
	c.AddCases(t)
	lt := &c.Members[1]
	lt.State, lt.Since, lt.RolledBack, lt.AsOf = "frozen", webtest.Now.AddDate(0, 0, -9), true, webtest.Now.AddDate(0, 0, -20)
	w := ask(handler(t, c, true), "GET", "/api/countries", "", "")
	if w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("ETag") == "" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	got := decode[api.Countries](t, w)
	if len(got.Countries) != 2 || got.Countries[0].Country != "LT" || got.Countries[1].Country != "PL" || got.Notice == "" {
		t.Fatalf("%+v", got)
	}
	one := got.Countries[0]
	if one.State != "frozen" || !one.RolledBack || one.Since != "2026-11-14" || one.AsOf != "2026-11-03T10:00:00Z" || one.Listings != 2 || one.Hidden != 1 {
		t.Errorf("%+v", one)
	}
	want := api.Hiding{Count: 1, Reason: "danger", By: []string{"DE", "FI", "LT"}, Since: "2026-11-20", Until: "2026-12-04", Contact: "notices@example.org"}
	if why := got.Countries[1].HiddenWhy; len(why) != 1 || !slices.Equal(why[0].By, want.By) || why[0].Reason != want.Reason || why[0].Since != want.Since || why[0].Until != want.Until || why[0].Count != 1 || why[0].Local {
		t.Errorf("%+v, want %+v", why, want)
	}
}

// What is hidden is counted and explained, and nothing of it is given.
func TestHiddenIsExplained(t *testing.T) {
	c := webtest.New(t, 2, "PL", "LT")
	c.AddCases(t)
	h := handler(t, c, false)
	for _, path := range []string{"/api/listings/case-hidden", "/hsds/services/case-hidden"} {
		w := ask(h, "GET", path, "", "")
		p := decode[api.Problem](t, w)
		if w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" || p.Country != "PL" || p.Hidden == nil || p.Hidden.Reason != "danger" || p.Hidden.Text == "" || p.Hidden.Local {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "Nazwa") {
			t.Errorf("%s tells what the entry says", path)
		}
	}
	if p := decode[api.Problem](t, ask(h, "GET", "/api/listings/none", "", "")); p.Hidden != nil || p.Country != "" {
		t.Errorf("what is not here is hidden: %+v", p)
	}
	for _, x := range []struct {
		query  string
		hidden int
	}{{"", 2}, {"?country=pl", 1}, {"?country=LT&country=PL", 2}, {"?country=DE", 0}} {
		w := ask(h, "GET", "/api/search"+x.query, "", "")
		if a := decode[api.Answer](t, w); a.Hidden != x.hidden {
			t.Errorf("%q: %d hidden, want %d", x.query, a.Hidden, x.hidden)
		}
		if strings.Contains(w.Body.String(), "case-hidden") {
			t.Errorf("%q: a hidden entry is among the results", x.query)
		}
	}
	if w := ask(h, "GET", "/hsds/services?per_page=100", "", ""); strings.Contains(w.Body.String(), "case-hidden") {
		t.Error("a hidden entry is among the services")
	}
}

func TestResultsSayWhoElseSaysWhat(t *testing.T) {
	c := webtest.New(t, 0, "PL", "LT")
	c.AddCases(t)
	h := handler(t, c, false)
	cared := decode[api.Listing](t, ask(h, "GET", "/api/listings/case-cared", "", ""))
	if cared.Status != "temporarily closed" || cared.State != "unconfirmed" || len(cared.Remarks) != 2 || cared.Remarks[0].Kind != "status" || cared.Remarks[1].Text == "" || cared.Remarks[1].Expires != "2026-12-20" {
		t.Errorf("%+v", cared.Result)
	}
	if own := decode[struct {
		Listing struct{ Status string }
	}](t, ask(h, "GET", "/api/listings/case-cared", "", "")); own.Listing.Status != "active" {
		t.Error("the document is not as its country signed it")
	}
	noted := decode[api.Listing](t, ask(h, "GET", "/api/listings/case-noted", "", ""))
	if r := noted.Remarks; noted.Status != "active" || len(r) != 3 || r[0].Country != "DE" || !r[0].Outdated || r[1].Works != "partly" || r[1].Cost != "paid" {
		t.Errorf("%+v", noted.Remarks)
	}
	back := decode[api.Listing](t, ask(h, "GET", "/api/listings/case-back", "", ""))
	if !back.RolledBack || back.State != "synced" {
		t.Errorf("%+v", back.Result)
	}
	found := decode[api.Answer](t, ask(h, "POST", "/api/search", "application/x-www-form-urlencoded", url.Values{"q": {"pod opieką"}}.Encode()))
	if len(found.Results) != 1 || found.Results[0].OpenNow != "not_stated" || found.Results[0].State != "unconfirmed" {
		t.Errorf("%+v", found.Results)
	}
}

// The description of the API names every field that the answers have.
func TestOpenAPINamesEveryField(t *testing.T) {
	c := webtest.New(t, 3, "PL", "LT")
	c.AddCases(t)
	c.Members[0].RolledBack, c.Members[0].Since = true, webtest.Now
	h := handler(t, c, true)
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(ask(h, "GET", "/hsds/openapi.json", "", "").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	check := func(schema string, object map[string]json.RawMessage) {
		t.Helper()
		if len(object) == 0 {
			t.Errorf("%s: nothing to compare", schema)
		}
		for name := range object {
			if _, known := doc.Components.Schemas[schema].Properties[name]; !known {
				t.Errorf("%s: the field %q is not described", schema, name)
			}
		}
	}
	objects := func(path, name string) []map[string]json.RawMessage {
		t.Helper()
		list, ok := decode[map[string]json.RawMessage](t, ask(h, "GET", path, "", ""))[name]
		var out []map[string]json.RawMessage
		if err := json.Unmarshal(list, &out); !ok || err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return out
	}
	for _, r := range objects("/api/search?per_page=100", "results") {
		check("Result", r)
	}
	for _, r := range objects("/api/listings/case-noted", "remarks") {
		check("Remark", r)
	}
	for _, r := range objects("/api/listings/case-cared", "remarks") {
		check("Remark", r)
	}
	for _, r := range objects("/api/countries", "countries") {
		check("Country", r)
		var why []map[string]json.RawMessage
		if err := json.Unmarshal(r["hidden_why"], &why); err != nil {
			t.Fatal(err)
		}
		check("Hiding", why[0])
	}
	check("Problem", decode[map[string]json.RawMessage](t, ask(h, "GET", "/api/listings/case-hidden", "", "")))
}
