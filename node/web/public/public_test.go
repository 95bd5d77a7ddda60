package public_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
	"github.com/2ps-project/waymark/node/web/public"
	"github.com/2ps-project/waymark/node/web/webtest"
)

func texts(t *testing.T) *locale.Set {
	t.Helper()
	set, err := locale.New()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func operator() page.Operator {
	return page.Operator{
		Name: "Example Foundation", Country: "PL", Services: []string{"Example Hosting", "Example Names"}, Contact: "listings@example.org",
		Others: []page.Elsewhere{{Country: "DE", Name: "Example Clinic", URL: "https://de.example.org/"}},
	}
}

func site(t *testing.T, c public.Catalog, change func(*public.Options)) http.Handler {
	t.Helper()
	opt := public.Options{Catalog: c, Locale: texts(t), Operator: operator, Now: func() time.Time { return webtest.Now }}
	if change != nil {
		change(&opt)
	}
	s, err := public.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	return ask(h, http.MethodGet, path, nil, header...)
}

func ask(h http.Handler, method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const maxPage = 30 << 10 // bytes on the wire

// wire is how many bytes a page has as browsers get it, compressed.
func wire(t *testing.T, body string) int {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write([]byte(body)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return out.Len()
}

// theScript is the one script that a page may name: a file of this site.
var theScript = regexp.MustCompile(`<script src="/page\.[0-9a-f]{12}\.js" defer></script>`)

// private checks what every answer of these pages must keep.
func private(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	h := w.Header()
	for name, want := range map[string]string{
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		"Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
	} {
		if have := h.Get(name); have != want {
			t.Errorf("%s is %q, want %q", name, have, want)
		}
	}
	if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "script-src 'self'; ") {
		t.Errorf("Content-Security-Policy is %q", csp)
	}
	if h.Get("Permissions-Policy") == "" {
		t.Error("no Permissions-Policy")
	}
	for _, name := range []string{"Set-Cookie", "Server", "ETag", "Last-Modified"} {
		if h.Get(name) != "" {
			t.Errorf("%s is sent: %q", name, h.Get(name))
		}
	}
	body := w.Body.String()
	if n := wire(t, body); n > maxPage {
		t.Errorf("the page has %d bytes on the wire, at most %d are allowed", n, maxPage)
	}
	body = theScript.ReplaceAllString(body, "")
	for _, banned := range []string{"<script", "javascript:", " onload=", " onerror=", " style=", "<style", "<iframe", "<img", "#ZgotmplZ", "<no value>", "%!"} {
		if strings.Contains(strings.ToLower(body), strings.ToLower(banned)) {
			t.Errorf("the page holds %q", banned)
		}
	}
	for _, loaded := range regexp.MustCompile(`(?:src|<link[^>]* href|action)="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if !strings.HasPrefix(loaded[1], "/") || strings.HasPrefix(loaded[1], "//") {
			t.Errorf("the page loads or posts to %q", loaded[1])
		}
	}
}

func TestRoutes(t *testing.T) {
	c := webtest.New(t, 12, "PL", "DE", "LT")
	h := site(t, c, nil)
	id := c.Listings[0].Listing.ID
	for _, x := range []struct {
		name, method, path string
		form               url.Values
		header             []string
		status             int
		location           string
		has                string
	}{
		{"front", "GET", "/", nil, []string{"Accept-Language", "pl-PL,en;q=0.5"}, 303, "/pl/", ""},
		{"front without a language", "GET", "/", nil, nil, 303, "/en/", ""},
		{"front with a tracker", "GET", "/?utm_source=x", nil, nil, 303, "/", ""},
		{"language without slash", "GET", "/de", nil, nil, 303, "/de/", ""},
		{"start", "GET", "/en/", nil, nil, 200, "", "I am worried about my own thoughts or behaviour"},
		{"start with a click id", "GET", "/en/?msclkid=1&q=secret", nil, nil, 303, "/en/", ""},
		{"start, head", "HEAD", "/lt/", nil, nil, 200, "", ""},
		{"start in capitals", "GET", "/PL/", nil, nil, 303, "/pl/", ""},
		{"results", "POST", "/en/search", url.Values{"country": {"PL"}, "door": {"self"}}, nil, 200, "", "services found"},
		{"results without a form", "POST", "/en/search", nil, nil, 400, "", "We could not read that"},
		{"results, a broken form", "POST", "/en/search", url.Values{"page": {"x"}, "country": {"../"}, "door": {"9"}, "snapshot": {""}}, nil, 200, "", "services found"},
		{"results by GET", "GET", "/de/search", nil, nil, 303, "/de/", ""},
		{"results by GET with words", "GET", "/de/search?q=geheim", nil, nil, 303, "/de/search", ""},
		{"results, the list has gone", "POST", "/en/search", url.Values{"page": {"2"}, "snapshot": {"old"}}, nil, 200, "", "This list has changed"},
		{"results, a huge form", "POST", "/en/search", url.Values{"q": {strings.Repeat("x", 20000)}}, nil, 413, "", "too much text"},
		{"results, another method", "PUT", "/en/search", nil, nil, 405, "", "cannot be used in that way"},
		{"country", "GET", "/pl/in/de", nil, nil, 200, "", "Niemcy"},
		{"country in capitals", "GET", "/pl/in/DE", nil, nil, 303, "/pl/in/de", ""},
		{"country by its other code", "GET", "/pl/in/uk", nil, nil, 303, "/pl/in/gb", ""},
		{"country without a partner", "GET", "/en/in/ie", nil, nil, 200, "", "Nobody in this country publishes"},
		{"no such country", "GET", "/en/in/xx", nil, nil, 404, "", "This page is not here"},
		{"no country at all", "GET", "/en/in/%2e%2e%2fx", nil, nil, 404, "", ""},
		{"service", "GET", "/en/s/" + id, nil, nil, 200, "", "Will they know who I am?"},
		{"service by POST", "POST", "/en/s/" + id, url.Values{}, nil, 405, "", ""},
		{"no such service", "GET", "/lt/s/00000000-0000-0000-0000-000000000000", nil, nil, 404, "", "Tokio puslapio čia nėra"},
		{"a very long id", "GET", "/en/s/" + strings.Repeat("a", 3000), nil, nil, 404, "", ""},
		{"safety", "GET", "/en/safety", nil, nil, 200, "", "What leaving cannot do"},
		{"poster", "GET", "/de/in/ie/poster", nil, nil, 200, "", "/de/in/ie"},
		{"leave", "GET", "/leave", nil, nil, 200, "", "November 2026"},
		{"leave with a query", "GET", "/leave?x=1", nil, nil, 303, "/leave", ""},
		{"no such language", "GET", "/xx/", nil, []string{"Accept-Language", "de"}, 404, "", "Diese Seite gibt es hier nicht"},
		{"nothing", "GET", "/a/b/c/d", nil, nil, 404, "", ""},
		{"not off the site", "GET", "//example.org/?x", nil, nil, 303, "/example.org/", ""},
		{"delete", "DELETE", "/en/", nil, nil, 405, "", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := ask(h, x.method, x.path, x.form, x.header...)
			if w.Code != x.status {
				t.Fatalf("status %d, want %d", w.Code, x.status)
			}
			if have := w.Header().Get("Location"); have != x.location {
				t.Errorf("Location %q, want %q", have, x.location)
			}
			if !strings.Contains(w.Body.String(), x.has) {
				t.Errorf("%q is not on the page", x.has)
			}
			if x.status == 405 && w.Header().Get("Allow") == "" {
				t.Error("no Allow")
			}
			private(t, w)
		})
	}
}

func TestWhatMayBeIndexed(t *testing.T) {
	c := webtest.New(t, 2, "PL")
	h := site(t, c, nil)
	for path, indexed := range map[string]bool{
		"/en/": true, "/en/in/pl": true, "/en/s/" + c.Listings[0].Listing.ID: true, "/leave": false, "/en/s/none": false,
	} {
		if have := get(h, path).Header().Get("X-Robots-Tag") == ""; have != indexed {
			t.Errorf("%s: may be indexed is %v, want %v", path, have, indexed)
		}
	}
	if w := ask(h, "POST", "/en/search", url.Values{}); w.Header().Get("X-Robots-Tag") != "noindex, nofollow" {
		t.Error("results may be indexed")
	}
}

// No title, address or form names what somebody is looking for.
func TestTitlesAreNeutral(t *testing.T) {
	c := webtest.New(t, 4, "PL")
	h := site(t, c, nil)
	title := regexp.MustCompile(`<title>([^<]*)</title>`)
	for path, want := range map[string]string{
		"/en/": "Support directory", "/en/in/pl": "Poland – Support directory",
		"/en/s/" + c.Listings[0].Listing.ID: "Service – Support directory", "/leave": "November 2026",
	} {
		m := title.FindStringSubmatch(get(h, path).Body.String())
		if m == nil || m[1] != want {
			t.Errorf("%s: title %v, want %q", path, m, want)
		}
	}
}

// dotted matches what may be the name of a text where its words should stand.
var dotted = regexp.MustCompile(`>([a-z_]+(?:\.[a-z_0-9]+)+)<`)

func TestEveryPageInEveryLanguage(t *testing.T) {
	c := webtest.New(t, 40, "PL", "DE", "LT")
	for _, country := range []string{"PL", "DE", "LT", "NZ"} {
		c.AddSheet(t, country, webtest.Sheet)
	}
	for _, demo := range []bool{false, true} {
		h := site(t, c, func(o *public.Options) {
			o.Demo = demo
		})
		for _, l := range texts(t).Languages() {
			pages := map[string]*httptest.ResponseRecorder{
				"start": get(h, "/"+l.Tag()+"/"), "country": get(h, "/"+l.Tag()+"/in/lt"), "empty country": get(h, "/"+l.Tag()+"/in/nz"),
				"fault": get(h, "/"+l.Tag()+"/nothing/here"), "safety": get(h, "/"+l.Tag()+"/safety"), "poster": get(h, "/"+l.Tag()+"/in/pl/poster"),
				"accessibility": get(h, "/"+l.Tag()+"/accessibility"), "embed": get(h, "/"+l.Tag()+"/embed"),
				"results":      ask(h, "POST", "/"+l.Tag()+"/search", url.Values{"country": {"DE"}, "door": {"other"}}),
				"professional": ask(h, "POST", "/"+l.Tag()+"/search", url.Values{"door": {"professional"}, "anonymity": {"full", "name_required"}}),
				"no results":   ask(h, "POST", "/"+l.Tag()+"/search", url.Values{"q": {"zzzzqqq"}}),
			}
			for i, p := range c.Listings {
				if demo && i%40 != 0 {
					continue // one of each country tells
				}
				pages[fmt.Sprintf("service %d", i)] = get(h, "/"+l.Tag()+"/s/"+p.Listing.ID)
			}
			for name, w := range pages {
				t.Run(fmt.Sprintf("%s %s demo=%v", l.Tag(), name, demo), func(t *testing.T) {
					private(t, w)
					body := w.Body.String()
					if !strings.Contains(body, `<html lang="`+l.Tag()+`">`) || w.Header().Get("Content-Language") != l.Tag() {
						t.Error("the language is not marked")
					}
					for _, word := range dotted.FindAllStringSubmatch(body, -1) {
						if l.Has(word[1]) {
							t.Errorf("a text is missing: %s", word[1])
						}
					}
					for _, want := range []string{l.Say("leave"), l.Say("skip"), l.Say("crisis.title"), l.Say("foot.none"), "Example Foundation", "Example Hosting", `href="tel:112"`} {
						if !strings.Contains(body, want) {
							t.Errorf("%q is not on the page", want)
						}
					}
					if has := strings.Contains(body, l.Say("demo")); has != demo {
						t.Errorf("the demonstration notice is there: %v, want %v", has, demo)
					}
					if first := strings.Index(body, "<a "); !strings.HasPrefix(body[first:], `<a class="leave" href="`+map[bool]string{true: "/leave", false: "https://weather.example.org/"}[demo]+`"`) {
						t.Error("the way out is not the first link")
					}
					if n := strings.Count(body, "<h1"); n != 1 {
						t.Errorf("%d main headings", n)
					}
					if strings.Index(body, "112") > strings.Index(body, "990 000 000001") {
						t.Error("the emergency number does not come first")
					}
				})
			}
		}
	}
}

func TestCrisisWithoutConfirmedNumbers(t *testing.T) {
	h := site(t, webtest.New(t, 1, "PL"), nil)
	if body := get(h, "/en/").Body.String(); !strings.Contains(body, "Call 112.") || !strings.Contains(body, "have not been confirmed yet") {
		t.Error("without confirmed numbers the page does not name 112")
	}
}

func TestOperatorIsNamed(t *testing.T) {
	c := webtest.New(t, 1, "PL")
	unsaid := site(t, c, func(o *public.Options) {
		o.Operator = func() page.Operator {
			return page.Operator{Name: "Nobody & Sons", Country: "MT", Authority: true, Others: operator().Others}
		}
	})
	body := get(unsaid, "/en/").Body.String()
	for _, want := range []string{"Nobody &amp; Sons has not yet said", "run by a police, justice or government authority: Nobody &amp; Sons", "https://de.example.org/"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if strings.Index(body, "government authority") > strings.Index(body, "<main") {
		t.Error("the authority is named below the fold")
	}
}

func TestFaultsOfTheCatalog(t *testing.T) {
	c := webtest.New(t, 1, "PL")
	c.Err = errors.New("disk <b>broken</b> at /secret")
	h := site(t, c, nil)
	for _, w := range []*httptest.ResponseRecorder{get(h, "/en/s/x"), get(h, "/en/in/pl"), ask(h, "POST", "/en/search", url.Values{})} {
		if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("status %d, or the cause is shown", w.Code)
		}
		private(t, w)
	}
	if w := get(h, "/leave"); w.Code != 200 {
		t.Error("the way out does not answer")
	}
}

// A reader's choice comes back in hidden fields and in the filter, escaped.
func TestFormComesBack(t *testing.T) {
	h := site(t, webtest.New(t, 40, "PL"), nil)
	w := ask(h, "POST", "/en/search", url.Values{"q": {`"><b>e`}, "country": {"PL"}})
	if body := w.Body.String(); strings.Contains(body, "<b>e") || !strings.Contains(body, "&gt;&lt;b&gt;e") {
		t.Error("words come back unescaped or not at all")
	}
	w = ask(h, "POST", "/en/search", url.Values{"channel": {"phone", "live_chat"}, "country": {"PL"}})
	body := w.Body.String()
	for _, want := range []string{`name="channel" value="phone" checked`, `name="channel" value="live_chat" checked`, `<option value="PL" selected>`, `name="snapshot" value="s1"`, `name="page" value="2"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not on the page", want)
		}
	}
}

func TestHelpFromElsewhereIsSaidHonestly(t *testing.T) {
	c := webtest.New(t, 40, "PL", "DE")
	h := site(t, c, nil)
	body := ask(h, "POST", "/en/search", url.Values{"country": {"IE"}}).Body.String()
	for _, want := range []string{"No service based there matches", "Based in another country"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	c.Members[0].AsOf = webtest.Now.AddDate(0, -2, 0)
	if body := get(h, "/en/in/pl").Body.String(); !strings.Contains(body, "We have not heard from this country since 23 September 2026") {
		t.Error("a silent country is not named as such")
	}
	c.Members[0].AsOf = time.Time{}
	if body := get(h, "/en/in/pl").Body.String(); !strings.Contains(body, "has not confirmed its list yet") {
		t.Error("a country that never confirmed is not named as such")
	}
}

func document(over listing.Document) listing.Document {
	d := listing.Document{
		"id": "11111111-1111-4111-8111-111111111111", "name": "Chat Example", "status": "active", "assured_date": "2026-11-01",
		"organization": map[string]any{"id": "o", "name": "Example"}, "description": "Words.",
		"audience": []any{"self.not_offended"}, "topic_acceptance": map[string]any{"value": "stated_publicly"},
		"channels": []any{map[string]any{
			"id": "c1", "type": "phone", "value": "+990 000 012345", "languages": []any{"pl"},
			"hours":     map[string]any{"zone": "Europe/Warsaw", "always_open": true},
			"anonymity": map[string]any{"value": "full", "basis": "service_said"},
		}},
	}
	for k, v := range over {
		d[k] = v
	}
	return d
}

func detail(t *testing.T, d listing.Document, language string) string {
	t.Helper()
	c := webtest.New(t, 0, "PL")
	l := c.Add(t, "PL", d)
	w := get(site(t, c, nil), "/"+language+"/s/"+url.PathEscape(l.ID))
	if w.Code != 200 {
		t.Fatalf("status %d", w.Code)
	}
	private(t, w)
	return w.Body.String()
}

func TestDetail(t *testing.T) {
	const link = `href="tel:&#43;990000012345"`
	for _, x := range []struct {
		name     string
		over     listing.Document
		has, not []string
	}{
		{"fresh", nil, []string{link, "Open now", "The service says:", "No. Nothing is asked", "Not stated by the service", "Last checked", "1 November 2026, by an editor in: Poland"}, []string{"Not confirmed since"}},
		{"stale makes no promise to be open", listing.Document{"assured_date": "2026-07-01"}, []string{link, "have not been checked for a while"}, []string{"Open now", "Closed now"}},
		{"lapsed is no link", listing.Document{"assured_date": "2020-01-01"}, []string{"Not confirmed since 1 January 2020", "Show them anyway", "990 000 012345"}, []string{"tel:", "Open now"}},
		{"checked in the future is not checked", listing.Document{"assured_date": "2031-01-01"}, []string{"Nobody has said when"}, []string{"2031", "Open now"}},
		{"closed for now", listing.Document{"status": "temporarily closed"}, []string{"closed for now"}, []string{"tel:", "Open now"}},
		{"closed for good", listing.Document{"status": "defunct", "defunct_since": "2026-02-03"}, []string{"Closed since: 3 February 2026"}, []string{"tel:", "990 000 012345", "Ways to make contact", "have not been checked"}},
		{"unknown status", listing.Document{"status": "half open"}, []string{"not active at the moment"}, []string{"tel:"}},
		{"notice", listing.Document{"alert": "No chat today", "alert_until": "2026-11-23"}, []string{"No chat today"}, []string{"Open now"}},
		{"old notice", listing.Document{"alert": "No chat today", "alert_until": "2026-11-20"}, nil, []string{"No chat today", "Open now"}},
		{"topic not confirmed", listing.Document{"topic_acceptance": nil}, []string{"has not confirmed that it takes on this topic"}, nil},
		{"hidden address", listing.Document{"address_precision": "hidden"}, []string{"The address is not published"}, nil},
		{"region", listing.Document{"address_precision": "region", "region": map[string]any{"name": "Pomorskie"}}, []string{"Only the region is published: Pomorskie"}, nil},
		{"minors", listing.Document{"minimum_age": 12, "maximum_age": 17, "guardian_consent": "from_age:16"}, []string{"Age: 12 to 17", "Needed under the age of 16"}, nil},
		{"everything missing", listing.Document{"channels": nil, "audience": nil, "organization": map[string]any{"id": "o"}, "description": nil, "assured_date": nil},
			[]string{"does not say who it is for", "No way of contact is listed", "Age: not stated"}, []string{"<dd></dd>", "<p></p>"}},
		{"unknown codes are read with caution", listing.Document{"channels": []any{map[string]any{"id": "c", "type": "carrier_pigeon", "value": "coo", "status": "broken", "anonymity": map[string]any{"value": "totally"}}}},
			[]string{"Another way", "This way of contact is paused", "Not stated by the service"}, []string{"totally"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			body := detail(t, document(x.over), "en")
			for _, want := range x.has {
				if !strings.Contains(body, want) {
					t.Errorf("%q is not on the page", want)
				}
			}
			for _, not := range x.not {
				if strings.Contains(body, not) {
					t.Errorf("%q is on the page", not)
				}
			}
		})
	}
}

// Anonymity and its limits stand before anything that advertises.
func TestOrderOfTheDetailPage(t *testing.T) {
	body := detail(t, document(nil), "en")
	last := -1
	for _, heading := range []string{"Who it is for</h2>", "Ways to make contact</h2>", "Will they know who I am?</dt>", "What would make them tell someone?</dt>", "What happens when you contact them</h2>",
		"Where it is, and who may use it</h2>", "Who runs it</h2>", "What the service says about itself</h2>", "Last checked</h2>", "Is something wrong here?</h2>"} {
		at := strings.Index(body, heading)
		if at <= last {
			t.Errorf("%q is missing or out of order", heading)
		}
		last = at
	}
}

func TestLanguageOfTextsIsMarked(t *testing.T) {
	d := document(listing.Document{"translations": map[string]any{
		"de": map[string]any{"description": map[string]any{"text": "Worte.", "by": "machine"}, "channels.c1.breach.text": map[string]any{"text": "Maschine sagt", "by": "machine"}},
	}})
	d["channels"].([]any)[0].(map[string]any)["breach"] = map[string]any{"conditions": []any{"court_order"}, "text": "Tylko sąd.", "basis": "service_said"}
	body := detail(t, d, "de")
	for want, there := range map[string]bool{"Worte.": true, "Maschinell übersetzt": true, "Words.": false, "Maschine sagt": false, `<blockquote lang="pl" dir="auto">Tylko sąd.`: true, `<bdi lang="pl" dir="auto">Chat Example</bdi>`: true} {
		if strings.Contains(body, want) != there {
			t.Errorf("%q on the page: %v, want %v", want, !there, there)
		}
	}
	if body := detail(t, d, "pl"); strings.Contains(body, `lang="pl" dir`) {
		t.Error("a Polish text on a Polish page is marked as foreign")
	}
}

// Every translation says what it is, in every language: as the original is now, of
// one that has changed since, or by a machine. What somebody's safety hangs on is
// shown in the service's own words unless the translation is a person's and current.
func TestTranslationsSayWhatTheyAre(t *testing.T) {
	for _, l := range texts(t).Languages() {
		if l.Tag() == "pl" {
			continue // the language of the original
		}
		for name, x := range map[string]struct {
			by       string
			outdated bool
			notes    []string
			safe     bool
		}{
			"current": {"human", false, []string{"listing.translated"}, true}, "outdated": {"human", true, []string{"listing.translated", "listing.outdated"}, false},
			"machine": {"machine", false, []string{"listing.machine"}, false}, "machine, outdated": {"machine", true, []string{"listing.machine", "listing.outdated"}, false},
		} {
			said := func(words string) map[string]any {
				return map[string]any{"text": words, "by": x.by, "outdated": x.outdated}
			}
			d := document(listing.Document{"translations": map[string]any{l.Tag(): map[string]any{"name": said("Nameword"), "description": said("Descriptionword"), "channels.c1.breach.text": said("Breachword")}}})
			d["channels"].([]any)[0].(map[string]any)["breach"] = map[string]any{"conditions": []any{"court_order"}, "text": "Tylko sąd.", "basis": "service_said"}
			body := detail(t, d, l.Tag())
			want := map[string]bool{"Nameword": true, "Descriptionword": true, "Breachword": x.safe, `<blockquote lang="pl" dir="auto">Tylko sąd.`: !x.safe}
			for _, key := range []string{"listing.translated", "listing.machine", "listing.outdated"} {
				want[html.EscapeString(l.Say(key))] = slices.Contains(x.notes, key)
			}
			wantOn(t, l.Tag()+", "+name, body, want)
			if n := strings.Count(body, html.EscapeString(l.Say(x.notes[0]))); x.safe && n != 3 || !x.safe && n != 2 {
				t.Errorf("%s, %s: %d texts are marked", l.Tag(), name, n)
			}
		}
	}
}

func TestNobodySeesWhatIsForNobody(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	l := c.Add(t, "PL", document(listing.Document{"visibility": "nobody"}))
	if w := get(site(t, c, nil), "/en/s/"+l.ID); w.Code != 404 {
		t.Errorf("status %d", w.Code)
	}
}

func TestAssets(t *testing.T) {
	h := site(t, webtest.New(t, 0, "PL"), nil)
	for _, path := range []string{"/en/", "/leave"} {
		m := regexp.MustCompile(`<link rel="stylesheet" href="([^"]+\.[0-9a-f]{12}\.css)">`).FindStringSubmatch(get(h, path).Body.String())
		if m == nil {
			t.Fatalf("%s has no stylesheet", path)
		}
		w := get(h, m[1])
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", m[1], w.Code, w.Header())
		}
		if w.Body.Len() > 15<<10 {
			t.Errorf("the stylesheet has %d bytes", w.Body.Len())
		}
		if m := regexp.MustCompile(`<script src="([^"]+)" defer>`).FindStringSubmatch(get(h, path).Body.String()); path == "/leave" {
			if m != nil {
				t.Error("the calendar has a script")
			}
		} else if js := get(h, m[1]); js.Code != 200 || js.Body.Len() > 2<<10 || !strings.HasPrefix(js.Header().Get("Content-Type"), "text/javascript") {
			t.Errorf("the script: status %d, %d bytes", js.Code, js.Body.Len())
		}
		if strings.Contains(w.Body.String(), "url(") || strings.Contains(w.Body.String(), "@import") {
			t.Error("the stylesheet loads something")
		}
	}
}

// A field that no form of this site has is ignored on purpose: whoever is looking for
// help is not turned away for what a browser, a helper of theirs or another site added,
// and it is neither used nor shown again. The page says in words what was asked. The
// query of an address to which a form is sent is not looked at either.
func TestFieldsThatNoFormHasAreIgnored(t *testing.T) {
	c := webtest.New(t, 25, "PL", "DE")
	c.AddSheet(t, "PL", webtest.Sheet)
	box := &inbox{}
	h := site(t, c, func(o *public.Options) { o.Reports = box })
	extra := url.Values{"utm_source": {"strange-thing"}, "email": {"strange-thing@example.org"}, "colour": {"strange-thing"}, "freshness": {"lapsed"}, "usable_from": {"XX"}, "per_page": {"1"}, "professional": {"true"}, "order": {"id"}, "__proto__": {"strange-thing"}}
	with := func(form url.Values) url.Values {
		all := maps.Clone(form)
		maps.Copy(all, extra)
		return all
	}
	question := url.Values{"country": {"PL"}, "door": {"self"}, "channel": {"phone", "live_chat"}}
	plain := ask(h, "POST", "/en/search", question)
	if plain.Code != 200 || !strings.Contains(plain.Body.String(), `class="card"`) {
		t.Fatalf("status %d", plain.Code)
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"fields": ask(h, "POST", "/en/search", with(question)), "query": ask(h, "POST", "/en/search?"+extra.Encode()+"&q=strange-thing&door=professional", question),
	} {
		private(t, w)
		if w.Code != 200 || w.Body.String() != plain.Body.String() {
			t.Errorf("search, %s: status %d, or another page", name, w.Code)
		}
	}
	table := ask(h, "POST", "/en/search", with(url.Values{"as": {"table"}, "country": {"PL"}}))
	if want := ask(h, "POST", "/en/search", url.Values{"as": {"table"}, "country": {"PL"}}); table.Code != 200 || table.Body.String() != want.Body.String() {
		t.Errorf("table: status %d, or another table", table.Code)
	}
	id := ofCountry(t, c, "PL")
	sent := ask(h, "POST", "/en/report/"+id+"?choice=unsafe", with(url.Values{"choice": {"hours"}}))
	private(t, sent)
	if want := ask(h, "POST", "/en/report/"+id, url.Values{"choice": {"hours"}}); sent.Code != 200 || sent.Body.String() != want.Body.String() {
		t.Errorf("report: status %d, or another page", sent.Code)
	}
	if want := []string{id + " hours ", id + " hours "}; !slices.Equal(box.got, want) {
		t.Errorf("the reports are %q, want %q", box.got, want)
	}
	bad := ask(h, "POST", "/en/report/"+id, extra)
	if bad.Code != 400 || strings.Contains(bad.Body.String(), "strange-thing") || len(box.got) != 2 {
		t.Errorf("a report with none of its fields: status %d, %d reports", bad.Code, len(box.got))
	}
}
