package public_test

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"html"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/public"
	"github.com/2ps-project/waymark/node/web/webtest"
)

const address = "https://help.example.org"

// machines is a site with everything that programs read.
func machines(t *testing.T, c *webtest.Catalog) func(o *public.Options) {
	return func(o *public.Options) {
		o.BaseURL, o.SecurityContact = address, "mailto:security@example.org"
		o.Changes = func(_ context.Context, country string, before uint64, n int) (out []listing.Update, err error) {
			for i := len(c.Listings); i > 0 && len(out) < n; i-- {
				p, seq := c.Listings[i-1], uint64(i)
				if p.Country != country || before > 0 && seq >= before {
					continue
				}
				u := listing.Update{Seq: seq, ID: p.Listing.ID, Day: p.Modified, Shown: &p}
				if _, hidden := c.Hidden[u.ID]; hidden {
					u.Shown = nil
				}
				out = append(out, u)
			}
			return out, nil
		}
	}
}

// tellsAudience reports the first word in a text that says for whom a service is.
func tellsAudience(l *locale.Language, text string) string {
	for _, code := range listing.Terms(listing.VocabularyAudience) {
		for _, word := range []string{code, l.Term("audience", code)} {
			if len(word) > 6 && strings.Contains(text, word) {
				return word
			}
		}
	}
	return ""
}

func TestServiceAsJSONLD(t *testing.T) {
	c := webtest.New(t, 30, "PL", "DE")
	h := site(t, c, machines(t, c))
	ways := map[string]int{}
	for _, l := range texts(t).Languages() {
		for _, p := range c.Listings {
			path := "/" + l.Tag() + "/s/" + p.Listing.ID
			w := get(h, path+".jsonld")
			private(t, w)
			var d map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Header().Get("Content-Type") != "application/ld+json" {
				t.Fatal(err, w.Header())
			}
			if d["@context"] != "https://schema.org" || d["@type"] != "Service" || d["url"] != address+path || d["name"] == "" || d["sdPublisher"] == nil {
				t.Fatalf("%s", w.Body)
			}
			for _, key := range []string{"audience", "description"} { // a service's own words may name anybody
				if _, ok := d[key]; ok && key == "audience" {
					t.Error("it says for whom the service is")
				}
				delete(d, key)
			}
			if rest, err := json.Marshal(d); err != nil || tellsAudience(l, string(rest)) != "" {
				t.Errorf("it says for whom the service is: %q in %s", tellsAudience(l, string(rest)), rest)
			}
			all, _ := d["availableChannel"].([]any)
			for _, way := range all {
				for key := range way.(map[string]any) {
					ways[key]++
				}
			}
			if l.Tag() == "en" && !strings.Contains(html.UnescapeString(get(h, path).Body.String()), `<link rel="alternate" type="application/ld+json" href="`+path+`.jsonld">`) {
				t.Error("the page does not name its data")
			}
		}
	}
	for _, key := range []string{"servicePhone", "serviceUrl", "availableLanguage"} {
		if ways[key] == 0 {
			t.Errorf("no channel has a %s", key)
		}
	}
	if w := get(h, "/en/s/none.jsonld"); w.Code != 404 {
		t.Errorf("the data of nothing: %d", w.Code)
	}
	// What has not been confirmed for too long is no address for programs either.
	old := site(t, c, func(o *public.Options) {
		machines(t, c)(o)
		o.Now = func() time.Time { return webtest.Now.AddDate(5, 0, 0) }
	})
	if body := get(old, "/en/s/"+c.Listings[0].Listing.ID+".jsonld").Body.String(); strings.Contains(body, "telephone") || strings.Contains(body, "serviceUrl") {
		t.Errorf("five years on it names a way of contact: %s", body)
	}
}

// atom is a feed as RFC 4287 has it.
type atom struct {
	XMLName xml.Name `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string   `xml:"id"`
	Title   string   `xml:"title"`
	Updated string   `xml:"updated"`
	Author  string   `xml:"author>name"`
	Links   []struct {
		Rel  string `xml:"rel,attr"`
		Href string `xml:"href,attr"`
	} `xml:"link"`
	Entries []struct {
		ID      string `xml:"id"`
		Title   string `xml:"title"`
		Updated string `xml:"updated"`
		Link    struct {
			Rel  string `xml:"rel,attr"`
			Href string `xml:"href,attr"`
		} `xml:"link"`
	} `xml:"entry"`
	Deleted []struct {
		Ref  string `xml:"ref,attr"`
		When string `xml:"when,attr"`
	} `xml:"http://purl.org/atompub/tombstones/1.0 deleted-entry"`
}

func TestFeedOfChanges(t *testing.T) {
	c := webtest.New(t, 60, "PL", "DE")
	h := site(t, c, machines(t, c))
	day := func(what, text string) {
		t.Helper()
		if at, err := time.Parse(time.RFC3339, text); err != nil || !at.Equal(at.Truncate(24*time.Hour)) {
			t.Errorf("%s is dated %q", what, text)
		}
	}
	for _, l := range texts(t).Languages() {
		w := get(h, "/"+l.Tag()+"/in/de/feed.atom")
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer" || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%v", w.Header())
		}
		raw := w.Body.String()
		var f atom
		if err := xml.Unmarshal(w.Body.Bytes(), &f); err != nil || w.Header().Get("Content-Type") != "application/atom+xml; charset=utf-8" {
			t.Fatal(err, w.Header())
		}
		if !strings.Contains(raw, `xml:lang="`+l.Tag()+`"`) || f.ID == "" || f.Title == "" || f.Author == "" || len(f.Links) != 4 || f.Links[0].Rel != "self" || f.Links[0].Href != address+"/"+l.Tag()+"/in/de/feed.atom" {
			t.Errorf("%s: %+v", l.Tag(), f)
		}
		day("the feed", f.Updated)
		if len(f.Entries) != 50 {
			t.Errorf("%d entries", len(f.Entries))
		}
		seen := map[string]bool{}
		for _, e := range f.Entries {
			day("an entry", e.Updated)
			if !strings.HasPrefix(e.ID, "urn:uuid:") || seen[e.ID] || e.Title == "" || e.Link.Rel != "alternate" || !strings.HasPrefix(e.Link.Href, address+"/"+l.Tag()+"/s/") || e.Updated > f.Updated {
				t.Errorf("%+v", e)
			}
			seen[e.ID] = true
		}
		if word := tellsAudience(l, raw); word != "" {
			t.Errorf("it says for whom services are: %q", word)
		}
	}
	for path, status := range map[string]int{"/en/in/ie/feed.atom": 404, "/en/in/DE/feed.atom": 303, "/en/in/xx/feed.atom": 404} {
		if w := get(h, path); w.Code != status {
			t.Errorf("%s: %d, want %d", path, w.Code, status)
		}
	}
	if !strings.Contains(html.UnescapeString(get(h, "/en/in/de").Body.String()), `type="application/atom+xml" href="/en/in/de/feed.atom"`) {
		t.Error("the country's page does not name its feed")
	}
	if strings.Contains(get(site(t, c, nil), "/en/in/de").Body.String(), "feed.atom") {
		t.Error("a feed is named where there is none")
	}
}

// Whoever follows the pages of a feed meets each service once, and is told of what is
// gone by the name under which it stood there.
func TestFeedIsPagedAndTellsWhatIsGone(t *testing.T) {
	c := webtest.New(t, 130, "DE")
	h := site(t, c, machines(t, c))
	gone := c.Listings[70].Listing.ID
	names := map[string]string{} // what became of each
	walk := func() (pages int) {
		clear(names)
		for path := "/en/in/de/feed.atom"; path != ""; pages++ {
			var f atom
			w := get(h, path)
			if err := xml.Unmarshal(w.Body.Bytes(), &f); err != nil || w.Code != 200 || len(f.Entries)+len(f.Deleted) > 50 {
				t.Fatal(path, w.Code, err, len(f.Entries), len(f.Deleted))
			}
			if n := wire(t, w.Body.String()); n > maxPage {
				t.Errorf("%s: %d bytes on the wire", path, n)
			}
			tell := func(name, what string) {
				if names[name] != "" {
					t.Errorf("%s is told twice", name)
				}
				names[name] = what
			}
			for _, e := range f.Entries {
				tell(e.ID, "there")
			}
			for _, d := range f.Deleted {
				if tell(d.Ref, "gone"); !strings.HasSuffix(d.When, "T00:00:00Z") {
					t.Errorf("gone on %s", d.When)
				}
			}
			path = ""
			for _, link := range f.Links {
				if link.Rel == "next" {
					path = strings.TrimPrefix(link.Href, address)
				}
			}
		}
		return pages
	}
	if pages := walk(); pages != 3 || len(names) != 130 || names["urn:uuid:"+gone] != "there" {
		t.Errorf("%d pages, %d names", pages, len(names))
	}
	c.Hidden = map[string]listing.Hiding{gone: {Since: webtest.Now}}
	if walk(); len(names) != 130 || names["urn:uuid:"+gone] != "gone" {
		t.Errorf("%d names; %s is %q", len(names), gone, names["urn:uuid:"+gone])
	}
	for _, path := range []string{"0", "0.atom", "x.atom", "007.atom", "-1.atom", "99999999999999999999.atom", ".atom", "7"} {
		if w := get(h, "/en/in/de/feed/"+path); w.Code != 404 {
			t.Errorf("%s answers %d", path, w.Code)
		}
	}
	if w := get(h, "/en/in/UK/feed/7.atom"); w.Code != 303 || w.Header().Get("Location") != "/en/in/gb/feed/7.atom" {
		t.Errorf("%d %s", w.Code, w.Header().Get("Location"))
	}
}

func TestFeedOfHostileNames(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	c.Members = append(c.Members, listing.CountryView{Code: "DE", Operator: "<A> & \x00 B"})
	for name, evil := range evils {
		c.Add(t, "DE", hostile(name, evil))
	}
	h := site(t, c, machines(t, c))
	dec := xml.NewDecoder(get(h, "/en/in/de/feed.atom").Body)
	for {
		if _, err := dec.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range c.Listings {
		if w := get(h, "/en/s/"+url.PathEscape(p.Listing.ID)+".jsonld"); !json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%d: %.300s", w.Code, w.Body)
		}
	}
}

func TestSitemapAndRobots(t *testing.T) {
	c := webtest.New(t, 3, "PL", "DE")
	h := site(t, c, machines(t, c))
	var m struct {
		XMLName xml.Name `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 urlset"`
		Pages   []string `xml:"url>loc"`
	}
	w := get(h, "/sitemap.xml")
	private(t, w)
	if err := xml.Unmarshal(w.Body.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	if want := len(texts(t).Languages()) * 5; len(m.Pages) != want {
		t.Errorf("%d pages, want %d", len(m.Pages), want)
	}
	for _, p := range m.Pages {
		path, ok := strings.CutPrefix(p, address)
		if !ok || strings.Contains(path, "/s/") || strings.Contains(path, "search") {
			t.Errorf("%s is in it", p)
		}
		if w := get(h, path); w.Code != 200 || w.Header().Get("X-Robots-Tag") != "" {
			t.Errorf("%s answers %d, robots %q", path, w.Code, w.Header().Get("X-Robots-Tag"))
		}
	}
	if r := get(h, "/robots.txt").Body.String(); !strings.Contains(r, "Disallow: /api/\n") || !strings.Contains(r, "Sitemap: "+address+"/sitemap.xml\n") {
		t.Errorf("robots.txt: %s", r)
	}
}

func TestSecurityText(t *testing.T) {
	c := webtest.New(t, 1, "PL")
	w := get(site(t, c, machines(t, c)), "/.well-known/security.txt")
	fields := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(w.Body.String()), "\n") {
		name, value, ok := strings.Cut(line, ": ")
		if !ok || fields[name] != "" {
			t.Errorf("line %q", line)
		}
		fields[name] = value
	}
	expires, err := time.Parse(time.RFC3339, fields["Expires"])
	if err != nil || expires.Before(webtest.Now.AddDate(0, 1, 0)) || expires.After(webtest.Now.AddDate(1, 0, 0)) {
		t.Errorf("expires %v, %v", expires, err)
	}
	if fields["Contact"] != "mailto:security@example.org" || fields["Canonical"] != address+"/.well-known/security.txt" || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v, %v", fields, w.Header())
	}
	if w := get(site(t, c, nil), "/.well-known/security.txt"); w.Code != 404 {
		t.Errorf("without a contact it answers %d", w.Code)
	}
}

func TestAccessibilityStatement(t *testing.T) {
	c := webtest.New(t, 1, "PL")
	bare := get(site(t, c, nil), "/en/accessibility").Body.String()
	for _, want := range []string{"Example Foundation", "has not reviewed this statement yet", "listings@example.org", "EN 301 549"} {
		if !strings.Contains(bare, want) {
			t.Errorf("%q is not in the statement", want)
		}
	}
	if strings.Contains(bare, "You can turn to") {
		t.Error("it names a body that nobody has named")
	}
	full := site(t, c, func(o *public.Options) {
		o.Accessibility = public.Accessibility{
			Prepared: "2026-10-01", Reviewed: "2026-11-20", Contact: []public.Wording{{"el", "Γράψτε στο access@example.org"}, {"en", "Write to access@example.org"}}, Enforcement: []public.Wording{{"", "Example Ombud <x>"}},
			Gaps: []public.Wording{{"pl", "Mapa nie ma opisu."}, {"en", "The map has no text."}, {"nb", "Kartet har ingen tekst."}, {`"><script>`, "x"}},
		}
	})
	contacts := map[string]string{"el": "<bdi>Γράψτε στο access@example.org</bdi>", "en": "<bdi>Write to access@example.org</bdi>"}
	gaps := map[string]string{"pl": "<li><bdi>Mapa nie ma opisu.</bdi>", "en": "<li><bdi>The map has no text.</bdi>", "no": "<li><bdi>Kartet har ingen tekst.</bdi>"}
	for _, l := range texts(t).Languages() {
		body := get(full, "/"+l.Tag()+"/accessibility").Body.String()
		gap := cmp.Or(gaps[l.Tag()], `<li><bdi lang="en" dir="auto">The map has no text.</bdi>`)
		for _, want := range []string{l.DateText("2026-10-01"), l.DateText("2026-11-20"), cmp.Or(contacts[l.Tag()], `<bdi lang="en" dir="auto">Write to access@example.org</bdi>`), `<bdi lang="" dir="auto">Example Ombud &lt;x&gt;</bdi>`, gap} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: %q is not in the statement", l.Tag(), want)
			}
		}
		if !strings.Contains(get(full, "/"+l.Tag()+"/").Body.String(), `href="/`+l.Tag()+`/accessibility"`) {
			t.Errorf("%s: the foot of the page does not lead to it", l.Tag())
		}
	}
}

var (
	textarea   = regexp.MustCompile(`(?s)<textarea [^>]*>(.*?)</textarea>`)
	formAction = regexp.MustCompile(`<form [^>]*action="([^"]*)"`)
	fieldName  = regexp.MustCompile(` name="([^"]*)"`)
)

// TestFormForOtherSites takes the snippet as it stands on the page and asks with it.
func TestFormForOtherSites(t *testing.T) {
	c := webtest.New(t, 12, "PL", "DE")
	h := site(t, c, machines(t, c))
	for _, l := range texts(t).Languages() {
		shown := textarea.FindStringSubmatch(get(h, "/"+l.Tag()+"/embed").Body.String())
		if shown == nil {
			t.Fatal("no form to be copied")
		}
		snippet := html.UnescapeString(shown[1])
		for _, tag := range []string{"<script", "<img", "<link", "<iframe", " style=", " src="} {
			if strings.Contains(snippet, tag) {
				t.Errorf("%s: the form holds %s", l.Tag(), tag)
			}
		}
		action := formAction.FindStringSubmatch(snippet)[1]
		var names []string
		for _, m := range fieldName.FindAllStringSubmatch(snippet, -1) {
			names = append(names, m[1])
		}
		path, ok := strings.CutPrefix(action, address)
		if !ok || !slices.Equal(names, []string{"country", "door", "door", "door", "q"}) {
			t.Errorf("%s: the form asks %s for %v", l.Tag(), action, names)
		}
		if w := ask(h, "POST", path, url.Values{"country": {"PL"}, "q": {""}, "door": {"other"}}, "Origin", "https://elsewhere.example.org"); w.Code != 200 || w.Header().Get("X-Robots-Tag") == "" {
			t.Errorf("%s: the answer is %d", l.Tag(), w.Code)
		}
	}
}
