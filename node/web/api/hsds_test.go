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
	"time"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/hsds/check"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/web/api"
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

// problem is an error answer with all that it names.
type problem struct {
	Type, Title, Detail, Parameter string
	Status                         int
	Errors                         []struct{ Parameter, Nearest, Detail string }
}

// TestEveryFaultOfAQuestionIsNamed: who mends a question mends it once.
func TestEveryFaultOfAQuestionIsNamed(t *testing.T) {
	h := handler(t, webtest.New(t, 2, "PL"), false)
	for query, want := range map[string][]string{
		"page=0": {"page"},
		"foo=1&page=0&per_page=x&modified_after=yesterday&search=%ff":       {"foo", "modified_after", "page", "per_page", "search"},
		"latitude=91&longitude=200&radius=0":                                {"latitude", "longitude", "radius"},
		"latitude=1&minimum_age=x&maximum_age=y":                            {"latitude", "minimum_age", "maximum_age"},
		"country=POLAND&open_now=perhaps":                                   {"country", "open_now"},
		"organization_id=" + strings.Repeat("x", 101):                       {"organization_id"},
		"page=1&page=2&search=a&search=b&taxonomy_id=a&taxonomy_id=b":       {"page", "search", "taxonomy_id"},
		"minimum_age=50&maximum_age=10&radius=5&format=xml&country=P%C5%81": {"country", "format", "radius", "minimum_age"},
	} {
		for _, method := range []string{"GET", "POST"} {
			w := ask(h, method, "/hsds/services?"+query, "", "")
			p := decode[problem](t, w)
			if w.Code != 400 || w.Header().Get("Content-Type") != "application/problem+json" || p.Status != 400 || p.Parameter != want[0] || p.Detail == "" {
				t.Errorf("%s %s: %d %+v", method, query, w.Code, p)
			}
			var got []string
			for _, e := range p.Errors {
				got = append(got, e.Parameter)
				if e.Detail == "" {
					t.Errorf("%s: nothing is said of %s", query, e.Parameter)
				}
			}
			if len(want) > 1 && !slices.Equal(got, want) || len(want) == 1 && got != nil {
				t.Errorf("%s %s names %v, want %v", method, query, got, want)
			}
		}
	}
	if w := ask(h, "POST", "/hsds/services", "application/json", `{"search":["a","b"]}`); w.Code != 400 {
		t.Errorf("two values posted: %d", w.Code)
	}
}

// asked is a catalog that keeps what it was asked.
type asked struct {
	api.Catalog
	q *search.Query
}

func (c asked) Search(ctx context.Context, q search.Query) (search.Answer, error) {
	*c.q = q
	return c.Catalog.Search(ctx, q)
}

// TestAgesAreARange: whom a service takes from and up to is asked as a range,
// however wide it is.
func TestAgesAreARange(t *testing.T) {
	var q search.Query
	h := handler(t, asked{webtest.New(t, 1, "PL"), &q}, false)
	for query, want := range map[string]string{
		"minimum_age=0&maximum_age=150": "0-150", "minimum_age=18": "18-150", "maximum_age=17": "0-17", "minimum_age=18&maximum_age=84": "18-84",
	} {
		if w := ask(h, "GET", "/hsds/services?"+query, "", ""); w.Code != 200 || !slices.Equal(q.Facets["age"], []string{want}) {
			t.Errorf("%s: %d asks for %v, want %s", query, w.Code, q.Facets["age"], want)
		}
	}
}

// twoTowns is a service that is given in Berlin and in Hamburg.
func twoTowns(t *testing.T) *webtest.Catalog {
	c := webtest.New(t, 0)
	place := func(n, postcode, point string) string {
		return `{"id":"` + n + `1111111-2222-4333-8444-555555555555","location":{"id":"` + n + `2111111-2222-4333-8444-555555555555","location_type":"physical",` + point + `
			"addresses":[{"id":"` + n + `3111111-2222-4333-8444-555555555555","address_1":"Street 1","city":"C","state_province":"S","postal_code":"` + postcode + `","country":"DE","address_type":"physical"}]}}`
	}
	c.Add(t, "DE", document(t, `{"id":"11111111-2222-4333-8444-555555555555","name":"In two towns","status":"active","organization":{"id":"21111111-2222-4333-8444-555555555555","name":"Body","description":""},
		"service_at_locations":[`+place("3", "10115", `"latitude":52.53,"longitude":13.38,`)+`,`+place("4", "20095", `"latitude":53.55,"longitude":10.0,`)+`,`+place("5", "99999", "")+`]}`))
	c.Add(t, "DE", document(t, `{"id":"12111111-2222-4333-8444-555555555555","name":"Next door","status":"active","organization":{"id":"22111111-2222-4333-8444-555555555555","name":"Other body","description":""},
		"service_at_locations":[`+place("6", "20095", `"latitude":53.56,"longitude":10.01,`)+`]}`))
	return c
}

// TestPlacesAreThoseAskedFor: of a service that is given in two towns, the place in
// the town that was asked for.
func TestPlacesAreThoseAskedFor(t *testing.T) {
	h := handler(t, twoTowns(t), false)
	for query, want := range map[string][]string{
		"":                                {"3", "4", "5", "6"},
		"postcode=10115":                  {"3"},
		"postcode=200+95":                 {"4", "6"},
		"postcode=20095&proximity=3000":   {"4", "6"},
		"postcode=10115&proximity=500000": {"3", "4", "6"},
		"postcode=99999&proximity=1000":   nil, // nobody knows where that is
		"latitude=53.5&longitude=10&radius=30000":                             {"4", "6"},
		"latitude=52.5&longitude=13.4":                                        {"3"},
		"latitude=0&longitude=0&radius=1000":                                  nil,
		"postcode=20095&organization_id=21111111-2222-4333-8444-555555555555": {"4"},
		"postcode=20095&latitude=53.555&longitude=10.005&radius=100":          nil, // both, of which neither town has any
		"postcode=20095&latitude=53.56&longitude=10.01&radius=100":            {"6"},
	} {
		p := decode[hsds.Page](t, ask(h, "GET", "/hsds/service_at_locations?"+query, "", ""))
		var got []string
		for _, raw := range p.Contents {
			var m struct{ ID string }
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatal(err)
			}
			got = append(got, m.ID[:1])
		}
		if !slices.Equal(got, want) || p.TotalItems != len(want) {
			t.Errorf("%s: %v of %d, want %v", query, got, p.TotalItems, want)
		}
		lines := strings.Count(ask(h, "GET", "/hsds/service_at_locations?format=ndjson&"+query, "", "").Body.String(), "\n")
		if lines != len(want) {
			t.Errorf("%s: %d lines", query, lines)
		}
	}
}

// TestAnOrganizationHasItsServices as the description of HSDS has it: in short form
// alone and with full, whole with full_service, and none in the list.
func TestAnOrganizationHasItsServices(t *testing.T) {
	h := handler(t, twoTowns(t), false)
	const id = "21111111-2222-4333-8444-555555555555"
	services := func(path string) []map[string]any {
		w := ask(h, "GET", path, "", "")
		var o struct {
			Contents []struct{ Services []map[string]any }
			Services []map[string]any
		}
		if err := json.Unmarshal(w.Body.Bytes(), &o); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %v", path, w.Code, err)
		}
		if o.Contents != nil {
			return o.Contents[0].Services
		}
		return o.Services
	}
	for path, want := range map[string]string{
		"/hsds/organizations/" + id: "short", "/hsds/organizations?full=true": "short", "/hsds/organizations?full=false": "none",
		"/hsds/organizations/" + id + "?full_service=true": "whole", "/hsds/organizations?full_service=true": "whole",
	} {
		got := services(path)
		switch {
		case want == "none" && got != nil:
			t.Errorf("%s has services", path)
		case want == "none":
		case len(got) != 1 || got[0]["name"] != "In two towns" || got[0]["status"] != "active":
			t.Errorf("%s: %v", path, got)
		case (got[0]["service_at_locations"] != nil) != (want == "whole"):
			t.Errorf("%s is not %s: %v", path, want, got)
		}
	}
}

// TestThePlacesOfAListAreComplete: what HSDS requires of the organization of the
// service of a place is there.
func TestThePlacesOfAListAreComplete(t *testing.T) {
	c := webtest.New(t, 0)
	c.Add(t, "DE", document(t, `{"id":"11111111-2222-4333-8444-555555555555","name":"S","status":"active","organization":{"id":"21111111-2222-4333-8444-555555555555","name":"Body"},
		"service_at_locations":[{"id":"31111111-2222-4333-8444-555555555555"}]}`))
	var p struct {
		Contents []struct {
			Service struct{ Organization map[string]any }
		}
	}
	w := ask(handler(t, c, false), "GET", "/hsds/service_at_locations", "", "")
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || len(p.Contents) != 1 {
		t.Fatalf("%v %s", err, w.Body)
	}
	if o := p.Contents[0].Service.Organization; o["description"] == nil || o["name"] != "Body" {
		t.Errorf("%v", o)
	}
}

// late is a catalog that finds rows at the last moment that an answer has.
type late struct{ api.Catalog }

func (c late) Whole(ctx context.Context, q search.Query) ([]search.Ref, string, error) {
	refs, snapshot, err := c.Catalog.Whole(ctx, q)
	<-ctx.Done()
	return refs, snapshot, err
}

// TestPostedLinesTakeAsLongAsTheyTake: a list that was asked for by POST is sent to
// its end too, though its rows took all the time that an answer has.
func TestPostedLinesTakeAsLongAsTheyTake(t *testing.T) {
	c := webtest.New(t, 100, "PL")
	h := handler(t, late{c}, false)
	want := decode[hsds.Page](t, ask(handler(t, c, false), "GET", "/hsds/services", "", "")).TotalItems
	r := httptest.NewRequest("POST", "/hsds/services", strings.NewReader("format=ndjson"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	ctx, cancel := context.WithTimeout(r.Context(), time.Millisecond)
	defer cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(ctx))
	if n := strings.Count(w.Body.String(), "\n"); n != want || w.Code != 200 {
		t.Errorf("%d: %d lines of %d", w.Code, n, want)
	}
}

// since is a catalog in whose snapshots the first listing that has any key has been
// unpublished since.
type since struct{ *webtest.Catalog }

func (c since) KeyOwner(ctx context.Context, q search.Query, key string) (search.Ref, bool, error) {
	if q.Snapshot != "" {
		return search.Ref{Country: "PL", ID: "00000000-0000-4000-8000-00000000dead"}, true, nil
	}
	return c.Catalog.KeyOwner(ctx, q, key)
}

// TestAnOrganizationStaysOnThePagesWhileAServiceOfItGoes: who pages on in a snapshot
// misses no organization that is still there.
func TestAnOrganizationStaysOnThePagesWhileAServiceOfItGoes(t *testing.T) {
	c := webtest.New(t, 10, "PL")
	c.Snapshot = "token"
	for _, list := range []string{"organizations", "service_at_locations"} {
		want := decode[hsds.Page](t, ask(handler(t, c, false), "GET", "/hsds/"+list, "", ""))
		got := decode[hsds.Page](t, ask(handler(t, since{c}, false), "GET", "/hsds/"+list+"?snapshot=token", "", ""))
		if len(want.Contents) == 0 || len(got.Contents) != len(want.Contents) {
			t.Errorf("%s: %d, want %d", list, len(got.Contents), len(want.Contents))
		}
	}
}
