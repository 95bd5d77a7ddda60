package check_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/hsds/check"
)

// look runs a check of the directory with one fault.
func look(t *testing.T, bend func(*reply), prepare ...func(*directory)) *check.Report {
	t.Helper()
	d := newDirectory()
	d.bend = bend
	for _, f := range prepare {
		f(d)
	}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	d.url = server.URL
	report, err := check.Run(context.Background(), check.Options{URL: server.URL, Details: 6, PerPage: 20})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func broken(r *check.Report) (codes []string) {
	for _, x := range r.Results {
		if x.Broken > 0 {
			codes = append(codes, x.Code)
		}
	}
	return codes
}

func TestNothingIsFoundWhereNothingIsWrong(t *testing.T) {
	r := look(t, nil)
	for _, x := range r.Results {
		if x.Broken > 0 {
			t.Errorf("%s: %+v", x.Code, x.Findings)
		}
		if x.Outcome == check.Skipped && x.Code != "http.https" {
			t.Errorf("%s was not tried: %s", x.Code, x.Why)
		}
	}
	if !r.Conforms() || r.Passed+r.Skipped != len(r.Results) {
		t.Errorf("passed %d, failed %d, warned %d, skipped %d", r.Passed, r.Failed, r.Warned, r.Skipped)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil || !strings.Contains(b.String(), "keeps every rule") {
		t.Errorf("the report says: %v\n%s", err, b.String())
	}
}

// body changes a page or a single item before it is sent.
func body(list string, change func(m obj)) func(*reply) {
	return func(a *reply) {
		if m, ok := a.body.(obj); ok && a.list == list && a.status == 200 && !a.cut {
			change(m)
		}
	}
}

// pageOf changes the pages of a list.
func pageOf(list string, change func(m obj, contents []obj)) func(*reply) {
	return body(list, func(m obj) {
		if contents, ok := m["contents"].([]obj); ok {
			change(m, contents)
		}
	})
}

// item changes the items of the pages of a list, each in a copy.
func item(list string, change func(m obj)) func(*reply) {
	return pageOf(list, func(_ obj, contents []obj) {
		for i := range contents {
			contents[i] = clone(contents[i])
			change(contents[i])
		}
	})
}

// alone changes the single items of a list.
func alone(list string, change func(m obj)) func(*reply) {
	return func(a *reply) {
		if m, ok := a.body.(obj); ok && a.list == list && a.id != "" && a.status == 200 {
			change(m)
		}
	}
}

func clone(m obj) obj {
	out := obj{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// blind makes a server that does not look at a parameter.
func blind(parameter string) func(*reply) {
	return func(a *reply) {
		if a.cut && a.q.Get(parameter) != "" {
			a.items = nil
			for _, m := range a.all {
				a.items = append(a.items, brief(m))
			}
		}
	}
}

// either makes a server that takes two filters together for "either".
func either(one, other string) func(*reply) {
	return func(a *reply) {
		if !a.cut || a.q.Get(one) == "" || a.q.Get(other) == "" || a.list != "services" {
			return
		}
		a.items = slices.DeleteFunc(slices.Clone(a.all), func(m obj) bool {
			return !slices.ContainsFunc([]string{one, other}, func(name string) bool { return meets(m, name, a.q.Get(name)) })
		})
		for i := range a.items {
			a.items[i] = brief(a.items[i])
		}
	}
}

// untrue makes a server that takes any value of a parameter for true.
func untrue(parameter string, as func(m obj) obj) func(*reply) {
	return func(a *reply) {
		if a.cut && a.q.Get(parameter) == "false" {
			a.items = nil
			for _, m := range a.all {
				a.items = append(a.items, as(m))
			}
		}
	}
}

// lines changes the lines of ndjson.
func lines(change func(raw []byte) []byte) func(*reply) {
	return func(a *reply) {
		if a.raw != nil {
			a.raw = change(a.raw)
		}
	}
}

// TestEveryFaultIsFound has one row for each thing that an API can do wrong.
func TestEveryFaultIsFound(t *testing.T) {
	base := func(change func(m obj)) func(*reply) { return body("", change) }
	turned := new(int)
	tests := []struct {
		fault string
		want  string // the rule that must tell
		bend  func(*reply)
	}{
		{"the root is a page for people", "base.answers", func(a *reply) {
			if a.r.URL.Path == "/" {
				a.raw = []byte("<html>")
			}
		}},
		{"no version", "base.version", base(func(m obj) { delete(m, "version") })},
		{"another standard's version", "base.version", base(func(m obj) { set(m, "version", "2.0") })},
		{"the profile is no URI", "base.profile", base(func(m obj) { set(m, "profile", "hsds-uk") })},
		{"no description", "base.openapi", base(func(m obj) { delete(m, "openapi_url") })},
		{"the description is something else", "base.openapi.read", base(func(m obj) {
			if u, ok := m["openapi_url"].(string); ok {
				m["openapi_url"] = strings.Replace(u, "openapi.json", "odd", 1)
			}
		})},
		{"no services", "list.services", func(a *reply) {
			if a.list == "services" {
				a.status, a.cut, a.body = 500, false, obj{}
			}
		}},
		{"no taxonomies", "list.others", func(a *reply) {
			if a.list == "taxonomies" {
				a.status, a.cut, a.body = 404, false, obj{}
			}
		}},
		{"contents is missing", "page.envelope", pageOf("services", func(m obj, _ []obj) { delete(m, "contents") })},
		{"empty is missing", "page.envelope", pageOf("services", func(m obj, _ []obj) { delete(m, "empty") })},
		{"numbers as text", "page.envelope", pageOf("services", func(m obj, _ []obj) { m["total_items"] = "36" })},
		{"no total_pages", "page.members", pageOf("organizations", func(m obj, _ []obj) { delete(m, "total_pages") })},
		{"size is per_page, not the number of items", "page.arithmetic", pageOf("services", func(m obj, _ []obj) { m["size"] = 20 })},
		{"total_pages rounded down", "page.arithmetic", pageOf("services", func(m obj, _ []obj) { m["total_pages"] = 1 })},
		{"pages counted from nought", "page.arithmetic", pageOf("services", func(m obj, _ []obj) { m["page_number"] = m["page_number"].(int) - 1 })},
		{"last_page never comes", "page.arithmetic", pageOf("services", func(m obj, _ []obj) { m["last_page"] = false })},
		{"first_page always", "page.arithmetic", pageOf("services", func(m obj, _ []obj) { m["first_page"] = true })},
		{"empty is wrong", "page.arithmetic", pageOf("services", func(m obj, c []obj) { m["empty"] = len(c) > 0 })},
		{"per_page is not heard", "page.per_page", func(a *reply) {
			if a.cut {
				a.q.Set("per_page", "15")
			}
		}},
		{"a page is left out", "page.complete", pageOf("services", func(m obj, _ []obj) {
			if m["page_number"] == 2 {
				m["contents"], m["size"], m["empty"] = []obj{}, 0, true
			}
		})},
		{"an item stands on two pages", "page.unique", pageOf("services", func(m obj, c []obj) {
			if len(c) > 1 {
				c[len(c)-1] = c[0]
			}
		})},
		{"another order each time", "page.stable", turning()},
		{"the last page for ever", "page.beyond", func(a *reply) {
			if n := a.q.Get("page"); a.cut && len(n) > 3 && a.list == "services" {
				a.q.Set("page", "2")
			}
		}},
		{"a service without a status", "item.schema", item("services", func(m obj) { delete(m, "status") })},
		{"a status of its own", "item.schema", item("services", func(m obj) { m["status"] = "open" })},
		{"null for what is unknown", "item.schema", item("services", func(m obj) { m["alternate_name"] = nil })},
		{"ids that are no UUIDs", "item.schema", item("taxonomies", func(m obj) { m["id"] = "kinds" })},
		{"an age as text", "item.schema", item("services", func(m obj) { m["minimum_age"] = "18" })},
		{"an organization inside without a name", "item.schema", item("services", func(m obj) { m["organization"] = obj{"id": uuid(2, 1), "description": ""} })},
		{"an address without its scheme", "item.schema", item("services", func(m obj) { m["url"] = "www.example.org" })},
		{"times without a zone", "item.schema", item("services", func(m obj) { m["last_modified"] = "2026-01-31 10:00" })},
		{"dates in another order", "item.values", item("services", func(m obj) { m["assured_date"] = "31.01.2026" })},
		{"a listed item cannot be fetched", "detail.answers", func(a *reply) {
			if a.list == "services" && a.id == uuid(1, 0) {
				a.status, a.body = 404, obj{}
			}
		}},
		{"another item than asked", "detail.answers", alone("services", func(m obj) { m["id"] = uuid(1, 99) })},
		{"a phone without a number", "detail.schema", alone("services", func(m obj) { m["phones"] = []obj{{"id": uuid(8, 1)}} })},
		{"hours in words", "item.values", alone("services", func(m obj) { m["schedules"] = []obj{{"id": uuid(8, 1), "opens_at": "nine"}} })},
		{"another name alone", "detail.agrees", alone("services", func(m obj) { m["name"] = "Another" })},
		{"the organization is missing alone", "detail.agrees", alone("services", func(m obj) { delete(m, "organization") })},
		{"an unknown id gives an empty object", "detail.unknown", func(a *reply) {
			if a.id != "" && a.status == 404 {
				a.status, a.body = 200, obj{}
			}
		}},
		{"an unknown id breaks the server", "detail.unknown", func(a *reply) {
			if a.id != "" && a.status == 404 {
				a.status = 500
			}
		}},
		{"search finds nothing", "filter.search", func(a *reply) {
			if a.cut && a.q.Get("search") != "" {
				a.items = nil
			}
		}},
		{"search is not heard", "filter.search.none", blind("search")},
		{"organization_id is not heard", "filter.organization_id", blind("organization_id")},
		{"organization_id forgets one", "filter.organization_id", func(a *reply) {
			if a.cut && a.q.Get("organization_id") != "" && len(a.items) > 0 {
				a.items = a.items[1:]
			}
		}},
		{"taxonomy_term_id is not heard", "filter.taxonomy_term_id", blind("taxonomy_term_id")},
		{"taxonomy_id is not heard", "filter.taxonomy_id", blind("taxonomy_id")},
		{"modified_after is not heard", "filter.modified_after", blind("modified_after")},
		{"modified_after takes after for on or after", "filter.modified_after", func(a *reply) {
			if v := a.q.Get("modified_after"); a.cut && v != "" {
				a.items = slices.DeleteFunc(a.items, func(m obj) bool { return m["last_modified"] == v })
			}
		}},
		{"modified_after nonsense breaks the server", "filter.invalid", func(a *reply) {
			if a.q.Get("modified_after") == "yesterday" {
				a.cut, a.status, a.body = false, 500, obj{}
			}
		}},
		{"parent_id is not heard", "filter.parent_id", blind("parent_id")},
		{"top_only is not heard", "filter.top_only", blind("top_only")},
		{"the second filter is not heard", "filter.and", func(a *reply) {
			if a.cut && a.q.Get("search") != "" && a.q.Get("organization_id") != "" {
				a.items = nil
				for _, m := range a.all {
					if strings.Contains(m["name"].(string), a.q.Get("search")) || organization(m) == a.q.Get("organization_id") {
						a.items = append(a.items, brief(m))
					}
				}
			}
		}},
		{"an unknown organization gives everything", "filter.none", func(a *reply) {
			if a.cut && len(a.items) == 0 && a.q.Get("organization_id") != "" {
				a.items = a.all
			}
		}},
		{"page nonsense breaks the server", "filter.invalid", func(a *reply) {
			if a.q.Get("page") == "no-number" {
				a.cut, a.status, a.body = false, 500, obj{}
			}
		}},
		{"minimal is not heard", "param.minimal", blind("minimal")},
		{"full is not heard", "param.full", func(a *reply) {
			if a.cut && a.q.Get("full") == "true" {
				for i := range a.items {
					a.items[i] = brief(a.items[i])
				}
			}
		}},
		{"full_service is not heard", "param.full_service", alone("organizations", func(m obj) { delete(m, "services") })},
		{"ndjson is a page", "format.ndjson", func(a *reply) {
			if a.raw != nil {
				a.raw, a.cut = nil, true
			}
		}},
		{"ndjson is one list", "format.ndjson", lines(func(raw []byte) []byte {
			return append(append([]byte("["), bytes.ReplaceAll(bytes.TrimSpace(raw), []byte("\n"), []byte(","))...), ']')
		})},
		{"ndjson is the first page only", "format.ndjson", lines(func(raw []byte) []byte { return raw[:bytes.IndexByte(raw, '\n')+1] })},
		{"ndjson says an item twice", "format.ndjson", lines(func(raw []byte) []byte { return append(raw, raw...) })},
		{"ndjson under the name of JSON", "format.ndjson.type", func(a *reply) {
			if a.raw != nil {
				a.header.Set("Content-Type", "application/json")
			}
		}},
		{"services of an organization that is not there", "link.organization", func(a *reply) {
			if a.cut && a.list == "organizations" {
				a.items = a.items[:min(2, len(a.items))]
			}
		}},
		{"places of a service that is not there", "link.service", item("service_at_locations", func(m obj) { m["service"] = obj{"id": uuid(1, 9999), "name": "x", "status": "active"} })},
		{"terms of a taxonomy that is not there", "link.taxonomy", item("taxonomy_terms", func(m obj) { m["taxonomy_id"] = uuid(5, 99) })},
		{"terms below a term that is not there", "link.parent", item("taxonomy_terms", func(m obj) { m["parent_id"] = uuid(6, 99) })},
		{"services with a term that is not there", "link.term", alone("services", func(m obj) {
			m["attributes"] = []obj{{"id": uuid(7, 1), "taxonomy_term": obj{"id": uuid(6, 99), "name": "x", "description": ""}}}
		})},
		{"JSON under the name of text", "http.type", func(a *reply) { a.header.Set("Content-Type", "text/html") }},
		{"POST is not allowed", "http.post", func(a *reply) {
			if a.r.Method == http.MethodPost {
				a.cut, a.status, a.body = false, 405, obj{}
			}
		}},
		{"POST gives something else", "http.post", func(a *reply) {
			if a.r.Method == http.MethodPost && a.cut {
				a.items = a.items[1:]
			}
		}},
		{"no CORS", "http.cors", func(a *reply) { a.header.Del("Access-Control-Allow-Origin") }},
		{"HEAD is not allowed", "http.head", func(a *reply) {
			if a.r.Method == http.MethodHead {
				a.status = 405
			}
		}},
		{"no ETag", "http.cache", func(a *reply) { a.header.Set("No-Tag", "1") }},
		{"errors are pages for people", "http.problem", func(a *reply) {
			if a.status == 404 {
				a.raw = []byte("<html>Not found</html>")
			}
		}},
		{"total_pages is one too many", "page.arithmetic", pageOf("organizations", func(m obj, _ []obj) { m["total_pages"] = m["total_pages"].(int) + 1 })},
		{"the last page says an item of the first again", "page.unique", pageOf("services", func(m obj, c []obj) {
			if m["page_number"] == 2 {
				c[len(c)-1] = brief(newDirectory().services[0])
			}
		})},
		{"total_items is what is left", "page.arithmetic", pageOf("services", func(m obj, c []obj) {
			m["total_items"] = m["total_items"].(int) - (m["page_number"].(int)-1)*20
		})},
		{"ndjson drops the last item", "format.ndjson", lines(func(raw []byte) []byte { return raw[:bytes.LastIndexByte(raw[:len(raw)-1], '\n')+1] })},
		{"ndjson does not hear filters", "format.ndjson", func(a *reply) {
			if a.cut && a.q.Get("format") == "ndjson" || a.raw == nil || a.list != "services" {
				return
			}
			a.raw = nil
			for _, m := range a.all {
				line, _ := json.Marshal(brief(m))
				a.raw = append(append(a.raw, line...), '\n')
			}
		}},
		{"organization_id or modified_after will do", "filter.and", either("organization_id", "modified_after")},
		{"organization_id or taxonomy_id will do", "filter.and", either("organization_id", "taxonomy_id")},
		{"search or taxonomy_term_id will do", "filter.and", either("search", "taxonomy_term_id")},
		{"modified_after passes over the zone", "filter.modified_after", func(a *reply) {
			if v := a.q.Get("modified_after"); a.cut && len(v) > 19 {
				a.items = slices.DeleteFunc(slices.Clone(a.all), func(m obj) bool { return fmt.Sprint(m["last_modified"])[:19] < v[:19] })
			}
		}},
		{"POST does not hear filters", "http.post", func(a *reply) {
			if a.r.Method == http.MethodPost && a.cut {
				a.items = a.all
			}
		}},
		{"POST gives the first page always", "http.post", func(a *reply) {
			if a.r.Method == http.MethodPost && a.cut {
				a.q.Set("page", "1")
			}
		}},
		{"POST does not read its body", "http.post.body", func(a *reply) { a.deaf = true }},
		{"CORS for services only", "http.cors", func(a *reply) {
			if a.list == "organizations" {
				a.header.Del("Access-Control-Allow-Origin")
			}
		}},
		{"CORS without OPTIONS", "http.cors", func(a *reply) {
			if a.r.Method == http.MethodOptions {
				a.status = 405
			}
		}},
		{"HEAD says another length", "http.head", func(a *reply) {
			if a.r.Method == http.MethodHead {
				a.header.Set("Content-Length", "7")
			}
		}},
		{"the ETag is another each time", "http.cache", func(a *reply) {
			a.header.Set("No-Tag", "1")
			a.header.Set("ETag", fmt.Sprint(`"`, time.Now().UnixNano(), `"`))
		}},
		{"304 whatever the reader has", "http.cache", func(a *reply) {
			if a.r.Header.Get("If-None-Match") != "" {
				a.status = 304
			}
		}},
		{"minimal=false is taken for true", "param.minimal", untrue("minimal", func(m obj) obj { return obj{"id": m["id"]} })},
		{"full=false is taken for true", "param.full", untrue("full", func(m obj) obj { return m })},
		{"top_only=false is taken for true", "filter.top_only", func(a *reply) {
			if a.cut && a.q.Get("top_only") == "false" {
				a.items = slices.DeleteFunc(a.items, func(m obj) bool { return m["parent_id"] != nil })
			}
		}},
		{"minimal names what is not there", "param.minimal", func(a *reply) {
			if a.cut && a.q.Get("minimal") == "true" && len(a.items) > 0 {
				a.items[0] = obj{"id": uuid(1, 4711), "last_modified": "2026-01-01T00:00:00Z"}
			}
		}},
		{"full is another item than alone", "param.full", func(a *reply) {
			if a.cut && a.q.Get("full") == "true" && a.list == "services" {
				a.items[0] = clone(a.items[0])
				a.items[0]["name"] = "Another"
			}
		}},
		{"the organization of a service has another name than alone", "link.agrees", item("services", func(m obj) {
			if o, ok := m["organization"].(obj); ok {
				m["organization"] = obj{"id": o["id"], "name": "As it was called", "description": "A body."}
			}
		})},
		{"nothing found is an error", "filter.none", func(a *reply) {
			if a.cut && a.q.Get("organization_id") != "" && len(a.items) == 0 {
				a.cut, a.status, a.body = false, 404, obj{"title": "Nothing"}
			}
		}},
		{"a version with a letter", "base.version", base(func(m obj) { set(m, "version", "v3.0") })},
		{"a description that names no services", "base.openapi.read", body("", func(m obj) { set(m, "paths", obj{"/organizations": obj{}}) })},
		{"another order on the second page", "page.stable", func(a *reply) {
			if a.cut && a.q.Get("page") == "2" && a.list == "services" && a.q.Get("per_page") == "20" && len(a.items) > 24 {
				*turned++
				slices.Reverse(a.items[20:][:*turned%3+2])
			}
		}},
		{"nothing is compressed", "http.gzip", func(a *reply) { a.header.Set("No-Gzip", "1") }},
	}
	for _, test := range tests {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			r := look(t, test.bend)
			if !slices.Contains(broken(r), test.want) {
				t.Errorf("%s is not among what was found: %v", test.want, broken(r))
			}
			for _, x := range r.Results {
				if x.Code == test.want && (len(x.Findings) == 0 || x.Findings[0].Message == "" || x.Findings[0].Place == "") {
					t.Errorf("it is not said where and what: %+v", x.Findings)
				}
				if x.Code == test.want && r.Conforms() && x.Level == check.Must {
					t.Error("it is said to conform all the same")
				}
			}
		})
	}
	found := map[string]bool{}
	for _, test := range tests {
		found[test.want] = true
	}
	for _, x := range look(t, nil).Results {
		if !found[x.Code] && x.Code != "http.https" { // loopback is never asked for it
			t.Errorf("no fault of this table breaks %s", x.Code)
		}
	}
}

func set(m obj, name string, v any) {
	if _, ok := m[name]; ok {
		m[name] = v
	}
}

// turning is a server whose list begins elsewhere with each answer.
func turning() func(*reply) {
	n := 0
	return func(a *reply) {
		if a.cut && a.list == "organizations" && len(a.items) > 0 {
			n++
			a.items = append(slices.Clone(a.items[n%len(a.items):]), a.items[:n%len(a.items)]...)
		}
	}
}

func TestAnEmptyDirectoryConforms(t *testing.T) {
	r := look(t, nil, func(d *directory) {
		d.services, d.organizations, d.places, d.taxonomies, d.terms = nil, nil, nil, nil, nil
	})
	if !r.Conforms() {
		t.Errorf("found: %v", broken(r))
	}
}

func TestWhatCannotBeChecked(t *testing.T) {
	tests := map[string]error{
		"directory.example.org": check.ErrAddress,
		"ftp://example.org":     check.ErrAddress,
		"":                      check.ErrAddress,
		"http://127.0.0.1:1/x":  check.ErrUnreachable,
	}
	for address, want := range tests {
		if _, err := check.Run(context.Background(), check.Options{URL: address}); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", address, err, want)
		}
	}
}

func TestItStaysAtTheHostThatItWasAskedToLookAt(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another host was asked") }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer server.Close()
	if _, err := check.Run(context.Background(), check.Options{URL: server.URL}); !errors.Is(err, check.ErrUnreachable) {
		t.Errorf("%v", err)
	}
}

// FuzzAnyAnswer gives any bytes as every answer: there is a report or an error,
// and it can be written.
func FuzzAnyAnswer(f *testing.F) {
	f.Add([]byte(`{"empty":false,"contents":[{"id":"x"}],"total_items":9,"total_pages":1}`))
	f.Add([]byte(`{"contents":[[],null,{"id":{}}],"empty":1}`))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }))
		defer server.Close()
		r, err := check.Run(context.Background(), check.Options{URL: server.URL, Items: 20, Details: 2})
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := r.Write(&out); err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}
