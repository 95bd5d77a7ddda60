package public_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/web/page"
	"github.com/2ps-project/waymark/node/web/public"
	"github.com/2ps-project/waymark/node/web/webtest"
)

// wantOn checks what stands on a page and what does not.
func wantOn(t *testing.T, where, body string, words map[string]bool) {
	t.Helper()
	for w, there := range words {
		if strings.Contains(body, w) != there {
			t.Errorf("%s: %q is there: %t, want %t", where, w, !there, there)
		}
	}
}

// strip is the part of a page that has the crisis contacts.
func strip(body string) string {
	_, after, _ := strings.Cut(body, `<aside class="crisis"`)
	part, _, _ := strings.Cut(after, "</aside>")
	return part
}

// The strip shows the numbers of the country that the page is about, those of
// this node's country where it is about none, and never one that nobody has
// confirmed.
func TestCrisisStripIsOfTheSheet(t *testing.T) {
	c := webtest.New(t, 2, "PL", "DE", "LT")
	c.AddSheet(t, "PL", webtest.Sheet)
	c.AddSheet(t, "LT", webtest.OldSheet)
	h := site(t, c, nil)
	generic := "Call 112."
	own := map[string]bool{
		generic: false, `href="tel:112"`: true, "Numbers for: Poland": true, `href="tel:&#43;990000000001"`: true, "12:00–20:00": true, "Polish, Ukrainian": true,
		`<a class="number" href="https://chat.example.org/" rel="noreferrer noopener nofollow">`: true, "checked 1 November 2026": true,
		"(not checked since 5 October 2026)": true, "have not been confirmed": false,
	}
	for _, path := range []string{"/en/", "/en/in/pl", "/en/s/" + c.Listings[2].Listing.ID, "/en/nothing/here"} {
		wantOn(t, path, strip(get(h, path).Body.String()), own)
	}
	wantOn(t, "results from Lithuania", strip(ask(h, "POST", "/en/search", url.Values{"country": {"LT"}}).Body.String()), map[string]bool{"Numbers for: Lithuania": true, "000001": false})
	wantOn(t, "old", strip(get(h, "/en/in/lt").Body.String()), map[string]bool{
		generic: true, "Numbers for: Lithuania": true, "tel:112": false, "Not confirmed since 20 October 2026": true, "1 August 2026": false, "may be wrong": true,
		"000 000002": true, "tel:&#43;990000000002": false, "000 000003": false, "Niekada": false,
	})
	for _, path := range []string{"/en/in/de", "/en/in/nz"} {
		wantOn(t, path, strip(get(h, path).Body.String()), map[string]bool{generic: true, "have not been confirmed yet": true, "000 00000": false, "tel:": false})
	}
	for _, path := range []string{"/pl/", "/de/in/lt", "/lt/in/lt"} {
		w := get(h, path)
		private(t, w)
	}
}

// The page of a country has its law note, its operator's words and whom to
// write to, in the language nearest to the reader's.
func TestCountryPageShowsItsSheet(t *testing.T) {
	c := webtest.New(t, 2, "PL", "DE", "LT")
	c.AddSheet(t, "PL", webtest.Sheet)
	c.AddSheet(t, "LT", webtest.OldSheet)
	h := site(t, c, nil)
	wantOn(t, "en pl", get(h, "/en/in/pl").Body.String(), map[string]bool{
		"<blockquote dir=\"auto\">Those who help must report only": true, "as of 1 June 2026": true, `href="https://law.example.org/"`: true,
		"Checked by: legal adviser · next review: 1 May 2027": true, "no legal advice": true, "Osoby": false, "No note on the law": false, "out of date": false,
		`<h2 id="operator">`: true, "It is a charity.": true, "notices@example.org": true,
	})
	wantOn(t, "pl pl", get(h, "/pl/in/pl").Body.String(), map[string]bool{"<blockquote dir=\"auto\">Osoby": true, `<blockquote lang="en" dir="auto">Example Foundation runs`: true, "Those who": false})
	wantOn(t, "de pl", get(h, "/de/in/pl").Body.String(), map[string]bool{`<blockquote lang="pl" dir="auto">Osoby`: true})
	wantOn(t, "en lt", get(h, "/en/in/lt").Body.String(), map[string]bool{"This note is out of date": true, "ask the service what it would have to pass on": true, "<details><summary>Show the old note": true, `<h2 id="operator">`: false, "Checked by": false})
	wantOn(t, "en de", get(h, "/en/in/de").Body.String(), map[string]bool{"No note on the law of this country has been published": true})
	wantOn(t, "en nz", get(h, "/en/in/nz").Body.String(), map[string]bool{"No note on the law": false, "Nobody in this country": true})
}

// The foot leads to the operator's statement, and nobody's words become markup.
func TestFootNamesTheStatement(t *testing.T) {
	c := webtest.New(t, 1, "PL")
	link := `<a href="/en/in/pl#operator">What Example Foundation says about itself and this page</a>`
	wantOn(t, "without a sheet", get(site(t, c, nil), "/en/").Body.String(), map[string]bool{"#operator": false, "listings@example.org": true})
	c.AddSheet(t, "PL", webtest.Sheet)
	quiet := site(t, c, func(o *public.Options) {
		o.Operator = func() page.Operator { return page.Operator{Name: "Example Foundation", Country: "PL"} }
	})
	wantOn(t, "with one", get(quiet, "/en/").Body.String(), map[string]bool{link: true, "Contact: notices@example.org": true})
	wantOn(t, "the way out", get(quiet, "/leave").Body.String(), map[string]bool{
		`<a href="https://weather.example.org/" rel="noreferrer noopener nofollow" lang="pl">Pogoda</a>`: true, "<script": false, "Example Foundation": false,
	})
	c.AddSheet(t, "PL", `"crisis_contacts":[{"kind":"victims","value":"<script>","label":"<script>","label_language":"\"><script>","type":"live_chat","as_of":"2026-11-20","method":"called"},
{"kind":"emotional_support","type":"web_self_guided","value":"javascript:alert(1)","label":"x","as_of":"2026-11-20","method":"called"},{"kind":"<script>","value":"999 000","as_of":"2026-11-20"}],
"law_notes":[{"language":"\"><script>","text":"<script>","as_of":"<script>","review_due":"<script>","reviewed_by":"<script>","source_url":"javascript:1"}],
"operator_statement":[{"language":"x","text":"<script>"}],"exit_target":{"url":"https://weather.example.org/?from=here","label":"x"},"notice_contact":{"value":"<script>"}`)
	for _, path := range []string{"/en/", "/en/in/pl", "/leave"} {
		wantOn(t, path, theScript.ReplaceAllString(get(quiet, path).Body.String(), ""), map[string]bool{"<script": false, "javascript:1": false, `href="javascript`: false, "from=here": false, "999 000": false, `<h1`: true})
	}
}

// Who asks about what is not shown is told whom to write to.
func TestHiddenPageNamesTheNoticeContact(t *testing.T) {
	c := webtest.New(t, 3, "PL", "DE", "LT")
	c.AddSheet(t, "PL", webtest.Sheet)
	c.AddSheet(t, "DE", `"notice_contact":{"value":"hinweise@example.org"}`)
	id := c.Listings[0].Listing.ID
	for _, tc := range []struct {
		name string
		h    listing.Hiding
		want string
	}{
		{"by members", listing.Hiding{By: []string{"LT", "DE"}}, "hinweise@example.org"},
		{"by members without a sheet", listing.Hiding{By: []string{"LT"}}, "notices@example.org"},
		{"here", listing.Hiding{Local: true, By: []string{"DE"}}, "notices@example.org"},
		{"with an address of its own", listing.Hiding{Local: true, Contact: "own@example.org"}, "own@example.org"},
	} {
		c.Hidden = map[string]listing.Hiding{id: tc.h}
		w := get(site(t, c, nil), "/en/s/"+id)
		if body := w.Body.String(); w.Code != 404 || !strings.Contains(body, "<dd><bdi>"+tc.want+"</bdi></dd>") {
			t.Errorf("%s: status %d, no %s", tc.name, w.Code, tc.want)
		}
	}
	delete(c.Sheets, "PL")
	c.Hidden[id] = listing.Hiding{Local: true}
	if body := get(site(t, c, nil), "/en/s/"+id).Body.String(); !strings.Contains(body, "<dd><bdi>listings@example.org</bdi></dd>") {
		t.Error("without a sheet the operator's address is not named")
	}
}
