package public_test

import (
	"encoding/csv"
	"fmt"
	"html"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/web/page"
	"github.com/2ps-project/waymark/node/web/public"
	"github.com/2ps-project/waymark/node/web/webtest"
)

// The page of every country, with a partner or without, has the doors, so that
// it can stand on a card.
func TestCountryPageHasTheDoors(t *testing.T) {
	h := site(t, webtest.New(t, 2, "PL"), nil)
	for _, path := range []string{"/en/in/pl", "/en/in/ie"} {
		body := get(h, path).Body.String()
		code := strings.ToUpper(path[len(path)-2:])
		wantOn(t, path, body, map[string]bool{
			`<input type="hidden" name="country" value="` + code + `">`: true, `name="door" value="self"`: true, `name="door" value="professional"`: true,
			`<select id="channel" name="channel">`: true, `<a href="` + path + `/poster">`: true, `<select id="country"`: false,
		})
	}
}

// Companions stand together wherever one of them stands, each once.
func TestCompanionsStandTogether(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	c.AddCases(t)
	h := site(t, c, nil)
	group := regexp.MustCompile(`(?s)<div class="together".*?</div>\s*(?:<article|<form|<details|<p|<h2)`)
	name := regexp.MustCompile(`<h3><a href="/pl/s/([^"]+)"`)
	results := ask(h, "POST", "/pl/search", url.Values{"country": {"IE"}, "channel": {"live_chat"}}).Body.String()
	together := group.FindString(results)
	var ids []string
	for _, m := range name.FindAllStringSubmatch(together, -1) {
		ids = append(ids, m[1])
	}
	if strings.Join(ids, " ") != webtest.ChatID+" case-youth" || strings.Count(results, `<h3><a href="/pl/s/case-youth"`) != 1 {
		t.Errorf("together stand %v in:\n%.3000s", ids, results[strings.Index(results, "<main"):])
	}
	if body := get(h, "/pl/s/case-youth").Body.String(); !strings.Contains(body, `<h3><a href="/pl/s/`+webtest.ChatID+`"`) {
		t.Error("the page of one does not show the other")
	}
	c.Hidden = map[string]listing.Hiding{"case-youth": {Local: true}}
	if body := ask(h, "POST", "/pl/search", url.Values{"country": {"IE"}, "channel": {"live_chat"}}).Body.String(); strings.Contains(body, "case-youth") || strings.Contains(body, `class="together"`) {
		t.Error("a companion that is hidden is shown")
	}
}

// Where nothing matches all of a choice, what comes closest is offered, and it
// is said what was left out. Where somebody is and why they came is kept.
func TestWhatComesClosest(t *testing.T) {
	c := webtest.New(t, 20, "PL")
	c.AddCases(t)
	h := site(t, c, nil)
	for _, x := range []struct {
		name string
		form url.Values
		want string // "" = nothing is offered
	}{
		{"words", url.Values{"q": {"unicorn"}, "country": {"PL"}, "door": {"self"}}, "Left out of your choice: “unicorn”<"},
		{"a filter", url.Values{"country": {"IE"}, "door": {"self"}, "channel": {"post"}}, "Left out of your choice: Letter<"},
		{"a language", url.Values{"country": {"PL"}, "door": {"other"}, "language": {"mt"}}, "Left out of your choice: Maltese<"},
		{"all of it", url.Values{"q": {"unicorn"}, "country": {"PL"}, "door": {"self"}, "language": {"mt"}, "channel": {"post"}}, "Left out of your choice: “unicorn”, Letter and Maltese<"},
		{"nothing matches at all", url.Values{"country": {"PL"}, "door": {"self"}, "q": {"unicorn"}, "age": {"21+"}}, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.want == "" {
				h = site(t, webtest.New(t, 0), nil)
			}
			body := ask(h, "POST", "/en/search", x.form).Body.String()
			wantOn(t, x.name, body, map[string]bool{"<h1>No service in this directory matches all of this.</h1>": true, "These come closest": x.want != "", "<article": x.want != ""})
			if !strings.Contains(body, x.want) {
				t.Errorf("%q is not on the page", x.want)
			}
			if strings.Contains(body, "Training for Professionals") {
				t.Error("why they came was left out")
			}
		})
	}
}

// Professionals see evidence, level and referral on each card, and can take the
// list with them; nobody else is shown the words of that trade.
func TestProfessionalView(t *testing.T) {
	c := webtest.New(t, 20, "PL")
	c.AddCases(t)
	h := site(t, c, nil)
	pro := ask(h, "POST", "/en/search", url.Values{"door": {"professional"}}).Body.String()
	wantOn(t, "professional", pro, map[string]bool{"<dt>Evidence</dt><dd>Promising": true, "<dt>Level of prevention</dt><dd>Secondary": true, "<dt>Who can refer</dt>": true, "“Not rated” says nothing against a service": true, `name="as" value="table"`: true})
	wantOn(t, "self", ask(h, "POST", "/en/search", url.Values{"door": {"self"}}).Body.String(), map[string]bool{"Evidence": false, "Level of prevention": false})
	wantOn(t, "service", get(h, "/en/s/case-professional").Body.String(), map[string]bool{"<details open><summary>For professionals": true, `href="/hsds/services/case-professional"`: true, `href="/api/listings/case-professional"`: true})

	w := ask(h, "POST", "/en/search", url.Values{"door": {"professional"}, "as": {"table"}})
	private(t, w)
	if have := w.Header().Get("Content-Disposition"); have != `attachment; filename="list.csv"` {
		t.Errorf("the file has the name %q", have)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(w.Body.String(), "\ufeff"))).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	found := false
	for _, r := range rows[1:] {
		found = found || r[0] == "Fortbildung Beispiel" && r[2] == "Germany" && r[9] == "Promising" && r[10] == "Secondary" && strings.HasSuffix(r[12], "/en/s/case-professional")
	}
	if !found {
		t.Errorf("the table lacks a service: %q", rows)
	}
}

// A card says in the order of its importance what somebody must know.
func TestOrderOfTheCard(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	c.AddCases(t)
	body := ask(site(t, c, nil), "POST", "/en/search", url.Values{"channel": {"live_chat"}}).Body.String()
	at := strings.Index(body, "Czat Przykład")
	for _, next := range []string{
		"Who it is for: People who are worried about themselves", "Chat</strong>", "Open now", `href="` + webtest.ChatURL, "<dt>Languages</dt><dd>Polish", "<dt>Cost</dt>", "Free",
		"<dt>Will they know who I am?</dt>", "Anonymous", "<dt>What would make them tell someone?</dt>", "If they can tell which child is at risk",
		"Who runs it: <bdi>Fundacja Przykład", "Last checked: 10 November 2026, by an editor in: Poland (by phone)", "Is something wrong here?",
	} {
		i := strings.Index(body[at:], next)
		if i < 0 {
			t.Fatalf("%q is missing or comes too early", next)
		}
		at += i
	}
}

// Where the country of a page names another page to leave to, the way out leads
// there; not where this node is cut off, and not in a demonstration, whose
// targets are invented. /leave itself always answers here.
func TestWhereTheWayOutLeads(t *testing.T) {
	c := webtest.New(t, 1, "PL", "DE")
	c.AddSheet(t, "PL", webtest.Sheet)
	link := regexp.MustCompile(`<a class="leave" href="([^"]*)"`)
	for _, x := range []struct {
		name   string
		change func(*public.Options)
		want   string
	}{
		{"as the sheet says", nil, "https://weather.example.org/"},
		{"cut off", func(o *public.Options) { o.CutOff = func() bool { return true } }, "/leave"},
		{"demonstration", func(o *public.Options) { o.Demo = true }, "/leave"},
		{"a country that names none", func(o *public.Options) {
			o.Operator = func() page.Operator { return page.Operator{Name: "x", Country: "DE"} }
		}, "/leave"},
	} {
		h := site(t, c, x.change)
		if m := link.FindStringSubmatch(get(h, "/en/in/de").Body.String()); m == nil || m[1] != x.want {
			t.Errorf("%s: the way out leads to %v, want %s", x.name, m, x.want)
		}
		if w := get(h, "/leave"); w.Code != 200 || !strings.Contains(w.Body.String(), "November 2026") {
			t.Errorf("%s: /leave does not answer", x.name)
		}
	}
}

// Every page names the same directory elsewhere, as the others' sheets say, and
// an authority's page two that no authority runs, above everything else.
func TestOtherCountriesAreNamed(t *testing.T) {
	c := webtest.New(t, 1, "PL", "DE", "LT", "MT", "SE")
	at := func(country, address string) {
		c.AddSheet(t, country, `"public_page":{"url":"`+address+`","as_of":"2026-11-01"}`)
	}
	at("PL", "https://pl.example.org")
	at("DE", "https://de.example.org/hilfe/")
	at("LT", "javascript:alert(1)")
	at("MT", "https://mt.example.org/")
	at("SE", "http://exampleexampleexample.onion")
	for i, m := range c.Members {
		c.Members[i].OperatorType = map[bool]string{true: "police_justice", false: "charity"}[m.Code == "MT"]
	}
	run := func(country string, authority bool) string {
		return get(site(t, c, func(o *public.Options) {
			o.Operator = func() page.Operator { return page.Operator{Name: "Here", Country: country, Authority: authority} }
		}), "/en/").Body.String()
	}
	pl := run("PL", false)
	wantOn(t, "PL", pl, map[string]bool{
		`href="https://pl.example.org/"`: false, `href="https://de.example.org/hilfe/" rel="noreferrer noopener nofollow"`: true,
		`href="https://mt.example.org/"`: true, `href="http://exampleexampleexample.onion/"`: true, "javascript:": false,
	})
	// The list begins after one's own country, with the authority last.
	if se, de, mt := strings.Index(pl, ".onion/"), strings.Index(pl, "de.example.org"), strings.Index(pl, "mt.example.org"); se > de || de > mt {
		t.Errorf("the others stand at %d, %d, %d", se, de, mt)
	}
	mt := run("MT", true)
	above, _, _ := strings.Cut(mt, "<main")
	wantOn(t, "MT, above", above, map[string]bool{"run by a police, justice or government authority: Here": true, "https://pl.example.org/": true, ".onion/": true, "https://mt.example.org/": false})
	safety := get(site(t, c, nil), "/en/safety").Body.String()
	wantOn(t, "safety", safety, map[string]bool{"It does not delete this page from the history": true, "Example Foundation uses Example Hosting and Example Names": true, "https://de.example.org/": true})
}

// Cut off, and three months on: everything still answers in every language, says how
// old it is, and promises nothing that it cannot know.
func TestThreeMonthsOn(t *testing.T) {
	c := webtest.New(t, 20, "PL", "DE", "LT")
	c.AddCases(t)
	c.AddSheet(t, "PL", webtest.Sheet)
	later := webtest.Now.AddDate(0, 3, 0)
	h := site(t, c, func(o *public.Options) {
		o.Now = func() time.Time { return later }
		o.CutOff = func() bool { return true }
	})
	open := 0 // badges before, so that none afterwards says something
	for _, l := range texts(t).Languages() {
		t.Run(l.Tag(), func(t *testing.T) {
			home, good := "/"+l.Tag(), `badge good">`+html.EscapeString(l.Say("listing.open_now"))
			open += strings.Count(ask(site(t, c, nil), "POST", home+"/search", url.Values{}).Body.String(), good)
			answers := map[string]*httptest.ResponseRecorder{
				"start": get(h, home+"/"), "results": ask(h, "POST", home+"/search", url.Values{"country": {"PL"}}), "country": get(h, home+"/in/pl"), "leave": get(h, "/leave", "Accept-Language", l.Tag()),
				"chat": get(h, home+"/s/"+webtest.ChatID), "old": ask(h, "POST", home+"/search", url.Values{"country": {"LT"}, "page": {"2"}}), "safety": get(h, home+"/safety"), "poster": get(h, home+"/in/lt/poster"),
			}
			for _, p := range c.Listings {
				if _, hidden := c.Hidden[p.Listing.ID]; !hidden {
					answers[p.Listing.ID] = get(h, home+"/s/"+url.PathEscape(p.Listing.ID))
				}
			}
			for name, w := range answers { // whoever has closed since may not have been heard
				if w.Code != 200 || w.Header().Get("Content-Language") != l.Tag() {
					t.Errorf("%s: status %d in %q", name, w.Code, w.Header().Get("Content-Language"))
				}
				private(t, w)
				wantOn(t, name, w.Body.String(), map[string]bool{good: false})
			}
			day := l.Date(webtest.Now)
			confirmed := html.EscapeString(l.Say("feed.confirmed", "country", l.CountryInText("PL"), "ago", l.Count("days_ago", 92), "date", day))
			wantOn(t, "country", answers["country"].Body.String(), map[string]bool{html.EscapeString(l.Say("country.old", "date", day)): true, confirmed: true})
			wantOn(t, "results", answers["results"].Body.String(), map[string]bool{confirmed: true})
			wantOn(t, "chat", answers["chat"].Body.String(), map[string]bool{l.DateText("2026-11-10"): true, html.EscapeString(l.Term("freshness", "due")): true, confirmed: true})
			wantOn(t, "strip", strip(answers["start"].Body.String()), map[string]bool{html.EscapeString(l.Say("crisis.generic")): true, "tel:112": false, `href="tel:&#43;990000000001"`: false})
		})
	}
	if open == 0 {
		t.Error("nothing was open three months before")
	}
}

// Companions that were found stand on one page, each once, however far apart the list
// has them; the pages are as many as there are places, and none is empty.
func TestCompanionsAreNotParted(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	with := map[int][]any{3: {"l15"}, 15: {"l03"}, 8: {"l20"}, 9: {"l21"}, 21: {"l09", "l22"}, 22: {"l21"}}
	for i := range 23 {
		d := listing.Document{"id": fmt.Sprintf("l%02d", i), "name": fmt.Sprintf("Service %02d", i), "status": "active", "organization": map[string]any{"id": "o", "name": "O"}}
		if ids := with[i]; ids != nil {
			d["companions"] = ids
		}
		c.Add(t, "PL", d)
	}
	h := site(t, c, nil)
	link := regexp.MustCompile(`<h3><a href="/en/s/(l\d\d)"`)
	var have []string
	form := url.Values{}
	for page := 1; ; page++ {
		form.Set("page", strconv.Itoa(page))
		body := ask(h, "POST", "/en/search", form).Body.String()
		wantOn(t, form.Encode(), body, map[string]bool{"23 services found": true, fmt.Sprintf("Page %d of 2", page): true})
		var on []string
		for _, m := range link.FindAllStringSubmatch(body, -1) {
			on = append(on, m[1])
		}
		have = append(have, strings.Join(on, " "))
		if !strings.Contains(body, fmt.Sprintf(`name="page" value="%d"`, page+1)) {
			break
		}
	}
	// l22 is the companion of l09's companion.
	want := []string{"l00 l01 l02 l03 l15 l04 l05 l06 l07 l08 l20 l09 l21 l22", "l10 l11 l12 l13 l14 l16 l17 l18 l19"}
	if !slices.Equal(have, want) {
		t.Errorf("the pages have\n%q\nwant\n%q", have, want)
	}
}

// The square on a poster is the QR code of the address under it.
func TestPoster(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	c.AddCases(t)
	const base = "https://help.example.org"
	h := site(t, c, func(o *public.Options) { o.BaseURL = base + "/" })
	cell := regexp.MustCompile(`<td( class="k")?(?: colspan="(\d+)")?></td>`)
	for path, leads := range map[string]string{"/pl/in/ie/poster": base + "/pl/in/ie", "/en/s/" + webtest.ChatID + "/poster": base + "/en/s/" + webtest.ChatID} {
		w := get(h, path)
		private(t, w)
		_, after, _ := strings.Cut(w.Body.String(), "<tbody>")
		table, _, _ := strings.Cut(after, "</tbody>")
		want, err := qr.Encode(leads, qr.M)
		if err != nil {
			t.Fatal(err)
		}
		rows := strings.Split(strings.TrimSpace(table), "\n")
		if len(rows) != want.Size+8 {
			t.Fatalf("%s: %d rows, want %d", path, len(rows), want.Size+8)
		}
		for y, row := range rows {
			x := 0
			for _, m := range cell.FindAllStringSubmatch(row, -1) {
				width := 1
				if m[2] != "" {
					width = 0
					for _, d := range m[2] {
						width = width*10 + int(d-'0')
					}
				}
				for range width {
					if black := m[1] != ""; black != want.Black(x-4, y-4) {
						t.Fatalf("%s: the module at %d, %d is wrong", path, x, y)
					}
					x++
				}
			}
			if x != want.Size+8 {
				t.Fatalf("%s: row %d has %d modules", path, y, x)
			}
		}
		if !strings.Contains(w.Body.String(), "<bdi>"+strings.TrimPrefix(leads, "https://")+"</bdi>") || w.Header().Get("X-Robots-Tag") == "" {
			t.Errorf("%s: the address is not written under the square, or the page may be indexed", path)
		}
	}
	// What it promises is true of the directory. What holds for a service, and as of
	// when, is on its page.
	for path, promised := range map[string]bool{"/en/in/ie/poster": true, "/en/s/case-region/poster": false, "/en/s/" + webtest.ChatID + "/poster": false} {
		wantOn(t, path, get(h, path).Body.String(), map[string]bool{"You do not have to say who you are.": promised})
	}
	for path, status := range map[string]int{"/en/in/xx/poster": 404, "/en/s/none/poster": 404, "/en/s/case-hidden/poster": 404, "/en/in/IE/poster": 303} {
		if w := get(h, path); w.Code != status {
			t.Errorf("%s: status %d, want %d", path, w.Code, status)
		}
	}
	r := httptest.NewRequest("GET", "/en/in/pl/poster", nil)
	r.Host = `"><script>evil.example`
	w := httptest.NewRecorder()
	site(t, c, nil).ServeHTTP(w, r)
	if body := w.Body.String(); strings.Contains(body, "evil") || !strings.Contains(body, "http://localhost/en/in/pl") {
		t.Error("a host that is none stands on the poster")
	}
}
