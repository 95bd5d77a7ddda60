package api_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/web/api"
	"github.com/2ps-project/waymark/node/web/webtest"
)

func handler(t testing.TB, c api.Catalog, demo bool) http.Handler {
	t.Helper()
	a, err := api.New(api.Options{Catalog: c, Demo: demo, Now: func() time.Time { return webtest.Now }})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ask(h http.Handler, method, path, contentType, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %.200s", err, w.Body)
	}
	return v
}

func TestSearchAnswers(t *testing.T) {
	h := handler(t, webtest.New(t, 40, "PL", "DE"), false)
	for _, x := range []struct{ name, method, path, contentType, body string }{
		{"GET", "GET", "/api/search?country=pl&channel=phone&channel=live_chat&per_page=5", "", ""},
		{"form", "POST", "/api/search", "application/x-www-form-urlencoded", "country=PL&channel=phone&channel=live_chat&per_page=5"},
		{"JSON", "POST", "/api/search", "application/json; charset=utf-8", `{"country":"PL","channel":["phone","live_chat"],"per_page":5,"q":null}`},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := ask(h, x.method, x.path, x.contentType, x.body)
			if w.Code != 200 || w.Header().Get("Content-Type") != "application/json; charset=utf-8" || w.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %v", w.Code, w.Header())
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Set-Cookie") != "" {
				t.Error("not open to all, or with a cookie")
			}
			raw := decode[map[string]json.RawMessage](t, w)
			for _, name := range []string{"total", "page", "per_page", "results", "facets"} {
				if raw[name] == nil {
					t.Errorf("%s is missing", name)
				}
			}
			a := decode[api.Answer](t, w)
			if a.Total <= 5 || len(a.Results) != 5 || a.Page != 1 || a.PerPage != 5 {
				t.Fatalf("total %d, %d results, page %d of %d", a.Total, len(a.Results), a.Page, a.PerPage)
			}
			for _, r := range a.Results {
				if r.Country != "PL" || r.ID == "" || r.Name == "" || r.Freshness == "" || r.AsOf != "2026-11-23T07:00:00Z" {
					t.Errorf("result %+v", r)
				}
				if !slices.ContainsFunc(r.Channels, func(c api.Channel) bool { return c.Type == "phone" || c.Type == "live_chat" }) {
					t.Errorf("%s has neither phone nor chat", r.ID)
				}
			}
			if len(a.Facets["audience"]) == 0 || a.Facets["country"][0] != (api.Count{Value: "PL", Count: a.Total}) {
				t.Errorf("facets %v", a.Facets)
			}
			link := w.Header().Get("Link")
			if x.method == "POST" && link != "" {
				t.Errorf("a posted question stands in an address: %s", link)
			}
			if x.method == "GET" && !(strings.Contains(link, "snapshot=s1") && strings.Contains(link, "page=2") && strings.Contains(link, "channel=live_chat") && strings.HasSuffix(link, `rel="next"`)) {
				t.Errorf("Link %q", link)
			}
		})
	}
}

func TestPagingThroughEverything(t *testing.T) {
	h := handler(t, webtest.New(t, 40, "PL", "DE"), false)
	for _, start := range []string{"/api/search?per_page=7", "/hsds/services?per_page=7"} {
		seen := map[string]bool{}
		total := 0
		for path := start; path != ""; {
			w := ask(h, "GET", path, "", "")
			if w.Code != 200 {
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
			page := decode[struct {
				Total      int `json:"total"`
				TotalItems int `json:"total_items"`
				Results    []struct{ ID string }
				Contents   []struct{ ID string }
			}](t, w)
			total = page.Total + page.TotalItems
			for _, r := range append(page.Results, page.Contents...) {
				if seen[r.ID] {
					t.Errorf("%s twice", r.ID)
				}
				seen[r.ID] = true
			}
			path, _, _ = strings.Cut(strings.TrimPrefix(w.Header().Get("Link"), "<"), ">")
		}
		if total == 0 || len(seen) != total {
			t.Errorf("%s: %d of %d seen", start, len(seen), total)
		}
	}
}

func TestProblems(t *testing.T) {
	c := webtest.New(t, 3, "PL")
	h := handler(t, c, false)
	for _, x := range []struct {
		name, method, path, contentType, body string
		status                                int
		parameter, nearest                    string
	}{
		{"unknown facet", "GET", "/api/search?audiance=self.unsure", "", "", 400, "audiance", "audience"},
		{"unknown parameter in JSON", "POST", "/api/search", "application/json", `{"perpage":3}`, 400, "perpage", "per_page"},
		{"page 0", "GET", "/api/search?page=0", "", "", 400, "page", ""},
		{"too many on a page", "GET", "/api/search?per_page=101", "", "", 400, "per_page", ""},
		{"half a place", "GET", "/api/search?lat=1", "", "", 400, "lat", ""},
		{"no place", "GET", "/api/search?lat=91&lon=0", "", "", 400, "lat", ""},
		{"not a number", "GET", "/api/search?lat=NaN&lon=0", "", "", 400, "lat", ""},
		{"radius around nothing", "GET", "/api/search?radius_km=3", "", "", 400, "radius_km", ""},
		{"country", "GET", "/api/search?country=Poland%00", "", "", 400, "country", ""},
		{"not UTF-8", "GET", "/api/search?q=%ff", "", "", 400, "q", ""},
		{"bad escape", "GET", "/api/search?q=%zz", "", "", 400, "", ""},
		{"no JSON", "POST", "/api/search", "application/json", `[1`, 400, "", ""},
		{"nested JSON", "POST", "/api/search", "application/json", `{"q":{"a":1}}`, 400, "q", ""},
		{"another type", "POST", "/api/search", "text/xml", `<q/>`, 415, "", ""},
		{"too large", "POST", "/api/search", "application/json", `{"q":"` + strings.Repeat("x", 40000) + `"}`, 413, "", ""},
		{"too many values", "GET", "/api/search?" + strings.Repeat("cost=free&", 70), "", "", 400, "cost", ""},
		{"list gone", "GET", "/api/search?snapshot=old&page=2", "", "", 410, "", ""},
		{"method", "DELETE", "/api/search", "", "", 405, "", ""},
		{"no such listing", "GET", "/api/listings/none", "", "", 404, "", ""},
		{"no such service", "GET", "/hsds/services/none", "", "", 404, "", ""},
		{"services, unknown parameter", "GET", "/hsds/services?taxonomy_idd=1", "", "", 400, "taxonomy_idd", "taxonomy_id"},
		{"services, bad page", "GET", "/hsds/services?page=x", "", "", 400, "page", ""},
		{"services, bad flag", "GET", "/hsds/services?full=maybe", "", "", 400, "full", ""},
		{"services, list gone", "GET", "/hsds/services?snapshot=old", "", "", 410, "", ""},
		{"services, bad time", "GET", "/hsds/services?modified_after=yesterday", "", "", 400, "modified_after", ""},
		{"services, half a place", "GET", "/hsds/services?latitude=1", "", "", 400, "latitude", ""},
		{"services, no place for a radius", "GET", "/hsds/services?radius=1000", "", "", 400, "radius", ""},
		{"services, ages upside down", "GET", "/hsds/services?minimum_age=20&maximum_age=10", "", "", 400, "minimum_age", ""},
		{"services, a format of its own", "GET", "/hsds/services?format=xml", "", "", 400, "format", ""},
		{"places, proximity of nothing", "GET", "/hsds/service_at_locations?proximity=100", "", "", 400, "proximity", ""},
		{"terms have no organization", "GET", "/hsds/taxonomy_terms?organization_id=x", "", "", 400, "organization_id", "parent_id"},
		{"one service by POST", "POST", "/hsds/services/x", "", "", 405, "", ""},
		{"no such organization", "GET", "/hsds/organizations/none", "", "", 404, "", ""},
		{"no such term", "GET", "/hsds/taxonomy_terms/none", "", "", 404, "", ""},
		{"nothing here", "GET", "/api/nothing", "", "", 404, "", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := ask(h, x.method, x.path, x.contentType, x.body)
			if w.Code != x.status || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%d %s, want %d: %s", w.Code, w.Header().Get("Content-Type"), x.status, w.Body)
			}
			p := decode[api.Problem](t, w)
			if p.Status != x.status || p.Title == "" || p.Detail == "" || p.Parameter != x.parameter || p.Nearest != x.nearest {
				t.Errorf("%+v", p)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Error("a page elsewhere cannot read why")
			}
		})
	}
	c.Err = errors.New("disk broken at /secret")
	for _, path := range []string{"/api/search", "/api/listings/x", "/hsds/services", "/hsds/services/x"} {
		if w := ask(h, "GET", path, "", ""); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestLapsedValueIsNoContact(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	l := c.Add(t, "PL", listing.Document{
		"id": "a", "name": "Old line", "status": "active", "organization": map[string]any{"id": "o"}, "assured_date": "2020-01-01",
		"channels": []any{map[string]any{"id": "c", "type": "phone", "value": "+990 000 012345"}},
	})
	r := decode[api.Listing](t, ask(handler(t, c, false), "GET", "/api/listings/"+l.ID, "", ""))
	if r.Freshness != "lapsed" || r.Alert == "" || r.Channels[0].Value != "" || r.Channels[0].UnconfirmedValue == "" {
		t.Errorf("%+v", r.Result)
	}
}

func TestListing(t *testing.T) {
	c := webtest.New(t, 3, "PL")
	want := c.Listings[0]
	w := ask(handler(t, c, true), "GET", "/api/listings/"+want.Listing.ID, "", "")
	r := decode[api.Listing](t, w)
	if r.ID != want.Listing.ID || r.Country != "PL" || r.Notice == "" {
		t.Errorf("%+v", r.Result)
	}
	back, err := listing.ParseJSON(r.Listing)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := back.Encode()
	b, _ := want.Document().Encode()
	if string(a) != string(b) {
		t.Error("the document comes back changed")
	}
}

func TestHSDS(t *testing.T) {
	c := webtest.New(t, 40, "PL", "DE")
	h := handler(t, c, false)
	for _, path := range []string{"/hsds", "/hsds/"} {
		info := decode[map[string]string](t, ask(h, "GET", path, "", ""))
		if info["version"] != "3.2.3" || !strings.HasPrefix(info["profile"], "http://example.com/hsds") || info["openapi_url"] != "http://example.com/hsds/openapi.json" {
			t.Errorf("%s: %v", path, info)
		}
	}
	if doc := decode[map[string]any](t, ask(h, "GET", "/hsds/openapi.json", "", "")); doc["openapi"] != "3.1.0" {
		t.Error("no description of the API")
	}
	type page struct {
		TotalItems int              `json:"total_items"`
		TotalPages int              `json:"total_pages"`
		PageNumber int              `json:"page_number"`
		Size       int              `json:"size"`
		FirstPage  bool             `json:"first_page"`
		LastPage   bool             `json:"last_page"`
		Empty      bool             `json:"empty"`
		Contents   []map[string]any `json:"contents"`
	}
	list := decode[page](t, ask(h, "GET", "/hsds/services?per_page=10", "", ""))
	if list.Size != 10 || !list.FirstPage || list.LastPage || list.Empty || list.PageNumber != 1 || list.TotalPages != (list.TotalItems+9)/10 {
		t.Errorf("%+v", list)
	}
	for _, s := range list.Contents {
		if s["channels"] != nil || s["name"] == "" {
			t.Error("the list has more than one-to-one fields")
		}
	}
	if full := decode[page](t, ask(h, "GET", "/hsds/services?full=true&per_page=1", "", "")); full.Contents[0]["channels"] == nil {
		t.Error("full=true is not full")
	}
	all := decode[page](t, ask(h, "GET", "/hsds/services?professional=true", "", ""))
	if all.TotalItems <= list.TotalItems {
		t.Errorf("%d with and %d without what is for professionals", all.TotalItems, list.TotalItems)
	}
	if last := decode[page](t, ask(h, "GET", "/hsds/services?page=9999", "", "")); !last.Empty || last.LastPage {
		t.Errorf("beyond the end: %+v", last)
	}
}

func TestConditionalAnswers(t *testing.T) {
	c := webtest.New(t, 3, "PL")
	h := handler(t, c, false)
	for _, path := range []string{"/hsds/services/" + c.Listings[0].Listing.ID, "/hsds/services", "/api/listings/" + c.Listings[0].Listing.ID, "/hsds"} {
		tag := ask(h, "GET", path, "", "").Header().Get("ETag")
		if tag == "" {
			t.Fatalf("%s has no ETag", path)
		}
		if w := ask(h, "GET", path, "", "", "If-None-Match", `"x", `+tag); w.Code != 304 || w.Body.Len() != 0 {
			t.Errorf("%s: %d with %d bytes", path, w.Code, w.Body.Len())
		}
		if w := ask(h, "HEAD", path, "", ""); w.Code != 200 || w.Header().Get("ETag") != tag {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
	w := ask(h, "OPTIONS", "/api/search", "", "", "Access-Control-Request-Method", "POST")
	if w.Code != 204 || !strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "POST") || !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Content-Type") {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
}

func TestParseQuery(t *testing.T) {
	q, err := api.ParseQuery(url.Values{
		"q": {"hulp"}, "country": {"nl", "be"}, "language": {"nl"}, "lat": {"52.1"}, "lon": {"4.3"}, "radius_km": {"25"}, "page": {"3"}, "per_page": {"50"},
		"anonymity": {"full", "pseudonymous_ok"}, "open_now": {"true"}, "usable_from": {"ie"}, "professional": {"true"}, "snapshot": {"x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if q.Text != "hulp" || !slices.Equal(q.Countries, []string{"NL", "BE"}) || q.Language != "nl" || q.Near == nil || q.Near.Longitude != 4.3 || q.RadiusKM != 25 ||
		q.Page != 3 || q.PerPage != 50 || len(q.Facets["anonymity"]) != 2 || q.Facets["open_now"][0] != "true" || q.From != "IE" || !q.Professional || q.Snapshot != "x" {
		t.Errorf("%+v", q)
	}
	if q, err := api.ParseQuery(nil); err != nil || q.Page != 1 || q.PerPage != 20 {
		t.Errorf("%+v %v", q, err)
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("q=a&country=PL&lat=1&lon=2&radius_km=3", []byte(`{"q":"a","page":2,"open_now":true,"cost":["free",1]}`))
	f.Add("page=-1&per_page=1e9&lat=inf", []byte(`{"q":[[]],"":null}`))
	f.Fuzz(func(t *testing.T, query string, body []byte) {
		ok := func(v url.Values) {
			q, err := api.ParseQuery(v)
			switch {
			case err != nil && !errors.Is(err, api.ErrBadQuery):
				t.Errorf("an error of another kind: %v", err)
			case err == nil && (q.PerPage < 0 || q.PerPage > api.MaxPer || q.Page < 0 || q.RadiusKM < 0):
				t.Errorf("out of bounds: %+v", q)
			}
		}
		if v, err := url.ParseQuery(query); err == nil {
			ok(v)
		}
		if v, err := api.ParseJSON(body); err == nil {
			ok(v)
		} else if !errors.Is(err, api.ErrBadQuery) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}

// Where nothing was found the answer carries what comes closest, and whom to call
// in the country that was asked for.
func TestNothingFound(t *testing.T) {
	c := webtest.New(t, 20, "PL")
	c.AddCases(t)
	c.AddSheet(t, "PL", `"crisis_contacts":[
		{"kind":"emergency","value":"112","as_of":"2026-11-20","method":"called"},
		{"kind":"emotional_support","value":"116 123","as_of":"2024-01-01","method":"called","languages":["pl"]}]`)
	h := handler(t, c, false)
	a := decode[api.Answer](t, ask(h, "GET", "/api/search?q=unicorn&usable_from=PL&language=pl&audience=self.unsure&channel=live_chat", "", ""))
	if a.Total != 0 || len(a.Results) != 0 || len(a.Instead) == 0 {
		t.Fatalf("%d found, %d groups", a.Total, len(a.Instead))
	}
	if g := a.Instead[0]; g.Kind != "fewer_filters" || g.Is == "" || len(g.LeftOut) != 1 || g.LeftOut[0].Parameter != "q" || g.LeftOut[0].Values[0] != "unicorn" || len(g.Results) == 0 {
		t.Errorf("offered %+v", g)
	}
	if len(a.Crisis) != 2 || a.Crisis[0].Value != "112" || a.Crisis[0].Country != "PL" || a.Crisis[1].Value != "" || a.Crisis[1].UnconfirmedValue != "116 123" {
		t.Errorf("whom to call: %+v", a.Crisis)
	}
	if a := decode[api.Answer](t, ask(h, "GET", "/api/search?usable_from=PL", "", "")); a.Total == 0 || a.Instead != nil || a.Crisis != nil {
		t.Errorf("where something was found, %d groups and %d contacts stand beside it", len(a.Instead), len(a.Crisis))
	}
}

// Companions stand in each other's result, also where a page ends between them.
func TestCompanionsStandInTheResult(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	c.AddCases(t)
	h := handler(t, c, false)
	other := map[string]string{webtest.ChatID: "case-youth", "case-youth": webtest.ChatID}
	met := 0
	for path := "/api/search?channel=live_chat&per_page=1"; path != ""; {
		w := ask(h, "GET", path, "", "")
		for _, r := range decode[api.Answer](t, w).Results {
			if other[r.ID] == "" {
				continue
			}
			if met++; len(r.Companions) != 1 || r.Companions[0].ID != other[r.ID] || r.Companions[0].Companions != nil {
				t.Errorf("with %s stand %+v", r.ID, r.Companions)
			}
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(w.Header().Get("Link"), "<"), ">")
	}
	if met != 2 {
		t.Errorf("%d of the two met", met)
	}
	c.Hidden = map[string]listing.Hiding{"case-youth": {Local: true}}
	if a := decode[api.Answer](t, ask(h, "GET", "/api/search?channel=live_chat", "", "")); slices.ContainsFunc(a.Results, func(r api.Result) bool { return len(r.Companions) > 0 }) {
		t.Error("a companion that is hidden is shown")
	}
}

// What is no question is refused or answered, whatever its bytes, and quickly.
func TestBadQuestions(t *testing.T) {
	h := handler(t, webtest.New(t, 5, "PL"), false)
	form := "application/x-www-form-urlencoded"
	for _, x := range []struct {
		name, body string
		want       int
	}{
		{"invalid UTF-8", "q=%ff%fe%80", 400},
		{"a word of 100 kB", "q=" + strings.Repeat("a", 100<<10), 413},
		{"1001 bytes", "q=" + strings.Repeat("a", 1001), 400},
		{"a thousand quotes", "q=" + strings.Repeat("%22", 1000), 200},
		{"operators and quotes", "q=" + url.QueryEscape(strings.Repeat(`"`, 300)+strings.Repeat("AND OR NOT ( ", 50)), 200},
		{"control characters", "q=%00%01%1b%5b31m%7f", 200},
		{"right-to-left marks", "q=" + url.QueryEscape("\u202e\u200f\u2066czat\u2069"), 200},
		{"an unknown facet", "colour=red", 400},
		{"an unknown order", "order=price", 400},
		{"an order by distance from nowhere", "order=distance", 400},
		{"half a truth", "explain=yes", 400},
		{"nonsense instead of a snapshot", "snapshot=%00", 410},
		{"a thousand values", strings.Repeat("channel=phone&", 1000), 400},
	} {
		w := ask(h, "POST", "/api/search", form, x.body)
		if w.Code != x.want || w.Body.Len() == 0 {
			t.Errorf("%s: %d, want %d: %.200s", x.name, w.Code, x.want, w.Body)
		}
		if x.want != 400 {
			continue
		}
		if p := decode[api.Problem](t, w); p.Detail == "" || p.Parameter == "" {
			t.Errorf("%s: %+v does not say what is wrong", x.name, p)
		}
	}
}

// Each channel says whether it is open, in its own zone and with its exceptions;
// nothing is promised where nobody looked in time, or its country is silent.
func TestChannelsSayWhetherTheyAreOpen(t *testing.T) {
	channel := func(id, hours string) string {
		return `{"id":"` + id + `","type":"phone","value":"+990 000 012345","languages":["pl"],"hours":` + hours + `}`
	}
	// 10:30 UTC on Monday 23 November 2026 is 11:30 in Warsaw and 12:30 in Athens.
	hours := []string{
		`{"zone":"Europe/Warsaw","weekly":[{"day":"MO","opens":"11:00","closes":"12:00"}]}`,
		`{"zone":"Europe/Athens","weekly":[{"day":"MO","opens":"11:00","closes":"12:00"}]}`,
		`{"zone":"Europe/Warsaw","weekly":[{"day":"MO","opens":"11:00","closes":"12:00"}],"exceptions":[{"date":"2026-11-23","closed":true}]}`,
		`{"not_stated":true}`,
	}
	for _, x := range []struct {
		name, checked string
		silent        bool
		want          string
	}{
		{"checked", "2026-11-10", false, "true false false not_stated"},
		{"stale", "2025-11-10", false, "not_stated not_stated not_stated not_stated"},
		{"silent", "2026-11-10", true, "not_stated not_stated not_stated not_stated"},
	} {
		var channels []string
		for i, h := range hours {
			channels = append(channels, channel("c"+strconv.Itoa(i), h))
		}
		var d listing.Document
		if err := json.Unmarshal([]byte(`{"id":"one","name":"One","status":"active","assured_date":"`+x.checked+`","verification":{"method":"called","date":"`+x.checked+`"},"organization":{"id":"o","name":"O"},"channels":[`+strings.Join(channels, ",")+`]}`), &d); err != nil {
			t.Fatal(err)
		}
		c := webtest.New(t, 0, "PL")
		c.Add(t, "PL", d)
		if x.silent {
			c.Listings[0].AsOf = webtest.Now.AddDate(0, 0, -4)
		}
		r := decode[api.Answer](t, ask(handler(t, c, false), "GET", "/api/search", "", "")).Results[0]
		var have []string
		for _, ch := range r.Channels {
			have = append(have, ch.OpenNow)
		}
		if strings.Join(have, " ") != x.want || x.silent && r.OpenNow != "not_stated" {
			t.Errorf("%s: channels %v, the whole %s; want %s", x.name, have, r.OpenNow, x.want)
		}
	}
}

// What is for professionals stands beside what everybody sees only in their view.
func TestCompanionsForProfessionals(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	add := func(id, visibility, companion string) {
		c.Add(t, "PL", listing.Document{"id": id, "name": id, "status": "active", "visibility": visibility, "companions": []any{companion}, "organization": map[string]any{"id": "o", "name": "O"}})
	}
	add("all", "public", "pro")
	add("pro", "professionals", "all")
	h := handler(t, c, false)
	for query, want := range map[string]string{"": "all()", "?professional=true": "all(pro) pro(all)"} {
		var have []string
		for _, r := range decode[api.Answer](t, ask(h, "GET", "/api/search"+query, "", "")).Results {
			var beside []string
			for _, c := range r.Companions {
				beside = append(beside, c.ID)
			}
			have = append(have, r.ID+"("+strings.Join(beside, " ")+")")
		}
		if strings.Join(have, " ") != want {
			t.Errorf("%q: %v, want %s", query, have, want)
		}
	}
}
