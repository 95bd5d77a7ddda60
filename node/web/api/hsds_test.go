package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/hsds/check"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/web/webtest"
)

// TestHSDSConforms asks our own API what any HSDS API is asked.
func TestHSDSConforms(t *testing.T) {
	c := webtest.New(t, 12, "PL", "DE", "LT")
	c.Add(t, "DE", document(t, `{
		"id":"11111111-2222-4333-8444-555555555555","name":"Imported service","status":"active","description":"From elsewhere.",
		"last_modified":"2023-03-15T10:30:45.123Z","organization":{"id":"21111111-2222-4333-8444-555555555555","name":"Imported body","description":"A body."},
		"service_at_locations":[{"id":"31111111-2222-4333-8444-555555555555","location":{"id":"41111111-2222-4333-8444-555555555555","location_type":"physical",
			"latitude":52.5,"longitude":13.4,"addresses":[{"id":"51111111-2222-4333-8444-555555555555","address_1":"Street 1","city":"Berlin","state_province":"BE","postal_code":"10115","country":"DE","address_type":"physical"}]}}],
		"attributes":[{"id":"61111111-2222-4333-8444-555555555555","taxonomy_term":{"id":"71111111-2222-4333-8444-555555555555","name":"Child term","description":"Of another directory.",
			"parent_id":"72111111-2222-4333-8444-555555555555","taxonomy_detail":{"id":"81111111-2222-4333-8444-555555555555","name":"Their taxonomy","description":"Of theirs."}}},
			{"id":"62111111-2222-4333-8444-555555555555","taxonomy_term":{"id":"72111111-2222-4333-8444-555555555555","name":"Parent term","description":"Of another directory.",
			"taxonomy_detail":{"id":"81111111-2222-4333-8444-555555555555","name":"Their taxonomy","description":"Of theirs."}}}]}`))
	server := httptest.NewServer(handler(t, c, false))
	defer server.Close()
	report, err := check.Run(context.Background(), check.Options{URL: server.URL + "/hsds", PerPage: 7})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		// Compression is made in front of this handler, and a test has no HTTPS.
		if r.Broken > 0 && r.Code != "http.gzip" {
			t.Errorf("%s (%s): %+v", r.Code, r.Title, r.Findings)
		}
		if r.Outcome == check.Skipped && r.Code != "http.https" {
			t.Errorf("%s was not tried: %s", r.Code, r.Why)
		}
	}
}

func document(t *testing.T, s string) listing.Document {
	t.Helper()
	d, err := listing.ParseJSON([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return d.Public()
}

// TestHSDSFilters asks for services in every way.
func TestHSDSFilters(t *testing.T) {
	c := webtest.New(t, 10, "PL", "DE")
	h := handler(t, c, false)
	total := func(q string) int {
		return decode[hsds.Page](t, ask(h, "GET", "/hsds/services?"+q, "", "")).TotalItems
	}
	all := total("")
	if all == 0 {
		t.Fatal("no services")
	}
	if n := total("country=PL") + total("country=DE"); n != all {
		t.Errorf("by country %d, in all %d", n, all)
	}
	if n := total("modified_after=2000-01-01"); n != all {
		t.Errorf("modified after 2000: %d of %d", n, all)
	}
	if n := total("modified_after=2999-01-01T00:00:00Z"); n != 0 {
		t.Errorf("modified after 2999: %d", n)
	}
	term := hsds.TermID("channel", "phone")
	byTerm := total("taxonomy_term_id=" + term)
	if byTerm == 0 || byTerm > all {
		t.Errorf("with a phone: %d of %d", byTerm, all)
	}
	if both := total("country=PL&taxonomy_term_id=" + term); both >= byTerm || both == 0 {
		t.Errorf("with a phone in PL: %d, in all %d", both, byTerm)
	}
	if posted := decode[hsds.Page](t, ask(h, "POST", "/hsds/services?country=PL", "application/json", `{"taxonomy_term_id":"`+term+`"}`)); posted.TotalItems != total("country=PL&taxonomy_term_id="+term) {
		t.Errorf("posted: %d", posted.TotalItems)
	}
}

// TestHSDSLines: all rows, each one object, also where the list is long.
func TestHSDSLines(t *testing.T) {
	c := webtest.New(t, 300, "PL")
	h := handler(t, c, true)
	r := ask(h, "GET", "/hsds/services?format=ndjson&minimal=true", "", "")
	if r.Header().Get("Content-Type") != "application/x-ndjson; charset=utf-8" || r.Header().Get("X-Waymark-Notice") == "" {
		t.Errorf("header %v", r.Header())
	}
	var ids []string
	for line := range strings.Lines(r.Body.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, fmt.Sprint(m["id"]))
	}
	want := decode[hsds.Page](t, ask(h, "GET", "/hsds/services?minimal=true", "", "")).TotalItems
	if len(ids) != want || !slices.IsSorted(ids) {
		t.Errorf("%d lines, %d services, sorted %t", len(ids), want, slices.IsSorted(ids))
	}
}

// FuzzHSDSQuestion: whatever stands in the parameters is an answer or a plain refusal.
func FuzzHSDSQuestion(f *testing.F) {
	c := webtest.New(f, 2, "PL")
	h := handler(f, c, false)
	f.Add("services", "search=%ff&page=-1&modified_after=x&latitude=1e400")
	f.Add("taxonomy_terms", "top_only=1&parent_id=\x00&search=%00")
	f.Fuzz(func(t *testing.T, list, query string) {
		u := url.URL{Path: "/hsds/" + list, RawQuery: query}
		if _, err := url.ParseRequestURI(u.RequestURI()); err != nil || strings.ContainsAny(u.RequestURI(), " \r\n") {
			return
		}
		if r := ask(h, "GET", u.RequestURI(), "", ""); r.Code >= 500 {
			t.Errorf("%s: %d %s", u.RequestURI(), r.Code, r.Body)
		}
	})
}

// TestOpenAPIDescribesTheLists: every parameter is described, every reference
// leads somewhere, and what the profile adds is there.
func TestOpenAPIDescribesTheLists(t *testing.T) {
	h := handler(t, webtest.New(t, 1, "PL"), false)
	raw := ask(h, "GET", "/hsds/openapi.json", "", "").Body.Bytes()
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	lists := 0
	for path, v := range doc["paths"].(map[string]any) {
		get := v.(map[string]any)["get"].(map[string]any)
		params, _ := get["parameters"].([]any)
		for _, p := range params {
			if m := p.(map[string]any); m["schema"] == nil {
				t.Errorf("%s: the parameter %s is not described", path, m["name"])
			}
		}
		if v.(map[string]any)["post"] != nil && strings.HasPrefix(path, "/hsds/") {
			lists++
		}
	}
	if lists != 5 {
		t.Errorf("%d lists", lists)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && !leads(doc, ref) {
				t.Errorf("%s leads nowhere", ref)
			}
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(doc)
	if !leads(doc, "#/components/schemas/service/properties/channels") {
		t.Error("the profile's fields are missing")
	}
}

func leads(doc any, ref string) bool {
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, _ := doc.(map[string]any)
		if doc = m[part]; doc == nil {
			return false
		}
	}
	return true
}

func TestProfileIsServed(t *testing.T) {
	h := handler(t, webtest.New(t, 1, "PL"), false)
	for path, kind := range map[string]string{
		"/hsds/profile": "text/plain; charset=utf-8", "/hsds/profile/service.json": "application/json; charset=utf-8",
		"/hsds/profile/phone.json": "application/json; charset=utf-8", "/hsds/profile/patch/service.json": "application/merge-patch+json",
	} {
		if r := ask(h, "GET", path, "", ""); r.Code != 200 || r.Header().Get("Content-Type") != kind || r.Header().Get("ETag") == "" {
			t.Errorf("%s: %d %v", path, r.Code, r.Header())
		}
	}
	for _, path := range []string{"/hsds/profile/none.json", "/hsds/profile/patch/unit.json"} {
		if r := ask(h, "GET", path, "", ""); r.Code != 404 {
			t.Errorf("%s: %d", path, r.Code)
		}
	}
}
