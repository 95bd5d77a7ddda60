package public_test

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/web/webtest"
)

// pages returns what is between the tags of every kind of page in a language.
func pages(t *testing.T, language string) map[string]string {
	t.Helper()
	c := webtest.New(t, 3, "PL", "DE", "LT")
	c.AddCases(t)
	h := site(t, c, nil)
	list := map[string]string{
		"start": get(h, "/"+language+"/").Body.String(), "country": get(h, "/"+language+"/in/pl").Body.String(), "no country": get(h, "/"+language+"/in/nz").Body.String(),
		"results": ask(h, "POST", "/"+language+"/search", url.Values{"country": {"PL"}}).Body.String(), "fault": get(h, "/"+language+"/no/such/page").Body.String(),
		"safety": get(h, "/"+language+"/safety").Body.String(), "poster": get(h, "/"+language+"/in/pl/poster").Body.String(),
		"nothing": ask(h, "POST", "/"+language+"/search", url.Values{"q": {"unicorn"}, "country": {"PL"}, "door": {"professional"}}).Body.String(),
	}
	for _, x := range webtest.Cases() {
		w := get(h, "/"+language+"/s/"+x.ID)
		if want := map[bool]int{true: 200, false: 404}[x.Hiding == nil]; w.Code != want {
			t.Errorf("%s: status %d, %d bytes", x.Name, w.Code, w.Body.Len())
		}
		list[x.Name] = w.Body.String()
	}
	return list
}

var (
	tags     = regexp.MustCompile(`<[^>]*>`)
	twoStops = regexp.MustCompile(`[^.]\.\.([^.]|$)|: ?;|: ?\.|\( ?[;)]`)
)

// Dates, companies and the Lithuanian "d." end in a full stop of their own.
func TestNoSentenceEndsTwice(t *testing.T) {
	for _, l := range texts(t).Languages() {
		for name, body := range pages(t, l.Tag()) {
			for _, line := range strings.Split(tags.ReplaceAllString(body, ""), "\n") {
				if at := twoStops.FindStringIndex(line); at != nil {
					t.Errorf("%s, %s: %q", l.Tag(), name, line[max(at[0]-30, 0):min(at[1]+10, len(line))])
				}
			}
		}
	}
}

// What a card says of anonymity and cost is somebody's statement, never ours.
func TestCardsSayWhoSaysSo(t *testing.T) {
	for _, x := range []struct{ name, anonymity, cost, want string }{
		{"one voice says both", `{"value":"full","basis":"service_said"}`, `{"value":"free","basis":"service_said"}`, `<dd><span class="small">The service says:</span> Free</dd></div> <div><dt>Will they know who I am?</dt><dd><span class="small">The service says:</span> <span class="badge good">Anonymous</span></dd>`},
		{"two voices", `{"value":"name_required","basis":"editor_read"}`, `{"value":"paid","basis":"service_said"}`, `<dd><span class="small">The service says:</span> Has to be paid for</dd></div> <div><dt>Will they know who I am?</dt><dd><span class="small">The service&#39;s pages say:</span> <span class="badge">Name needed</span></dd>`},
		{"silence about who asks", `{"value":"not_stated"}`, `{"value":"free","basis":"editor_tested"}`, `<dd><span class="small">An editor found:</span> Free</dd></div> <div><dt>Will they know who I am?</dt><dd><span class="badge">Anonymity: not stated</span></dd>`},
		{"silence", `null`, `null`, `<span class="badge">Anonymity: not stated</span>`},
		{"a value that is not known", `{"value":"trust us","basis":"service_said"}`, `null`, `<span class="badge">Anonymity: not stated</span>`},
	} {
		t.Run(x.name, func(t *testing.T) {
			d, err := listing.ParseJSON([]byte(`{"id":"c","name":"n","status":"active","assured_date":"2026-11-01","channels":[{"id":"1","type":"phone","value":"+990 000 012345","anonymity":` + x.anonymity + `,"cost":` + x.cost + `}]}`))
			if err != nil {
				t.Fatal(err)
			}
			c := webtest.New(t, 0, "PL")
			c.Add(t, "PL", d)
			body := ask(site(t, c, nil), "POST", "/en/search", url.Values{"country": {"PL"}}).Body.String()
			if !strings.Contains(strings.Join(strings.Fields(body), " "), x.want) {
				t.Errorf("%q is not on the page: %s", x.want, body[strings.Index(body, "<article"):strings.Index(body, "</article>")])
			}
		})
	}
}

func TestTextLanguageOfTheListingDecides(t *testing.T) {
	for _, x := range []struct{ name, country, tag, page, want string }{
		{"the country's when it names none", "PL", "", "en", `<bdi lang="pl" dir="auto">Name</bdi>`},
		{"its own before the country's", "PL", "uk", "en", `<bdi lang="uk" dir="auto">Name</bdi>`},
		{"its own where the country has several", "BE", "nl-BE", "en", `<bdi lang="nl-BE" dir="auto">Name</bdi>`},
		{"that of the page needs no mark", "PL", "de", "de", `<h1><bdi>Name</bdi></h1>`},
		{"a region is the same language", "CH", "de-CH", "de", `<h1><bdi>Name</bdi></h1>`},
		{"what is no tag is not known", "PL", `x" onload="`, "en", `<bdi lang="" dir="auto">Name</bdi>`},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := webtest.New(t, 0, x.country)
			c.Add(t, x.country, listing.Document{"id": "c", "name": "Name", "status": "active", "text_language": x.tag})
			if body := get(site(t, c, nil), "/"+x.page+"/s/c").Body.String(); !strings.Contains(body, x.want) {
				t.Errorf("%s is not on the page", x.want)
			}
		})
	}
}

// Plain HSDS has its own words for cost and interpreters: they are not lost.
func TestPlainImportKeepsItsWords(t *testing.T) {
	body := pages(t, "en")["plain import"]
	for _, want := range []string{"Please ask for the current price.", "Urdu and Polish on request.", "No way of contact is listed.", "The entry says:", "does not say who it is for"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
}

// partly is a catalog in which no listing has all words of a question.
type partly struct{ *webtest.Catalog }

func (c partly) Search(ctx context.Context, q search.Query) (search.Answer, error) {
	q.Text = ""
	a, err := c.Catalog.Search(ctx, q)
	a.Words, a.Matched = 3, 2
	return a, err
}

func TestResultsSayWhenNotAllWordsAreFound(t *testing.T) {
	const notice = "No service has all of your words."
	c := webtest.New(t, 3, "PL")
	words := url.Values{"q": {"chat unicorn night"}}
	if body := ask(site(t, partly{c}, nil), "POST", "/en/search", words).Body.String(); !strings.Contains(body, notice) {
		t.Error("it is not said")
	}
	if body := ask(site(t, c, nil), "POST", "/en/search", url.Values{}).Body.String(); strings.Contains(body, notice) {
		t.Error("it is said of a question without words")
	}
}
