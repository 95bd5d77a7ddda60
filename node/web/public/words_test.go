package public_test

import (
	"context"
	"html/template"
	"net/url"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/web/webtest"
)

// forgiving finds everything for any words, and says what it took them for.
type forgiving struct {
	*webtest.Catalog
	typos []search.Correction
}

func (f forgiving) Search(ctx context.Context, q search.Query) (search.Answer, error) {
	q.Text = ""
	a, err := f.Catalog.Search(ctx, q)
	a.Corrected = f.typos
	return a, err
}

// The words that were asked for are marked in names and descriptions; what
// somebody wrote there stays text.
func TestWordsAreMarked(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	d := document(nil)
	d["name"] = `<script>czat</script> & dom`
	d["description"] = "Zaczyna się długo. " + strings.Repeat("słowo ", 60) + "rozmowa <img src=x> i czat"
	c.Add(t, "PL", d)
	body := ask(site(t, c, nil), "POST", "/pl/search", url.Values{"q": {"czat"}}).Body.String()
	wantOn(t, "results", body, map[string]bool{
		`&lt;script&gt;<mark>czat</mark>&lt;/script&gt; &amp; dom`: true, "<script>czat": false, "<img src=x": false,
		"Zaczyna się": false, "&lt;img src=x&gt; i <mark>czat</mark>": true,
	})
	if body := ask(site(t, c, nil), "POST", "/pl/search", url.Values{}).Body.String(); strings.Contains(body, "<mark>") {
		t.Error("something is marked where no words were asked for")
	}
}

// Where words were found only by forgiving a mistake, the page says what it
// took them for, spelled as the services spell it, as a button that asks for it.
func TestDidYouMean(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	d := document(nil)
	d["name"] = "Młodzież i rodzina"
	c.Add(t, "PL", d)
	h := site(t, forgiving{c, []search.Correction{{Asked: "mlodiez", Meant: "mlodziez"}}}, nil)
	body := ask(h, "POST", "/en/search", url.Values{"q": {"<Młodież> dom"}, "country": {"PL"}}).Body.String()
	wantOn(t, "results", body, map[string]bool{
		"Did you mean:": true, `<button class="second" name="q" value="&lt;młodzież&gt; dom"><bdi>&lt;młodzież&gt; dom</bdi></button>`: true,
		`<mark>Młodzież</mark> i rodzina`: true,
	})
	if form := body[strings.Index(body, `<form class="notice"`):]; strings.Count(form[:strings.Index(form, "</form>")], `name="q"`) != 1 || !strings.Contains(form[:strings.Index(form, "</form>")], `name="country" value="PL"`) {
		t.Error("the button asks for something else beside the words")
	}
	if strings.Contains(ask(site(t, c, nil), "POST", "/en/search", url.Values{"q": {"rodzina"}}).Body.String(), "Did you mean") {
		t.Error("something else is offered for words that were found")
	}
}

// What comes closest stands in groups, each named for what it is, each service once.
func TestClosestStandsInGroups(t *testing.T) {
	c := webtest.New(t, 20, "PL", "DE")
	c.AddCases(t)
	body := ask(site(t, c, nil), "POST", "/en/search", url.Values{"q": {"unicorn"}, "country": {"PL"}, "language": {"pl"}}).Body.String()
	first, second := strings.Index(body, "<h2>These come closest. Left out of your choice: “unicorn”</h2>"), strings.Index(body, "<h2>Online or by phone. Language: Polish</h2>")
	if first < 0 || second < first {
		t.Fatalf("groups at %d and %d in\n%.3000s", first, second, body[strings.Index(body, "<main"):])
	}
	body = ask(site(t, c, nil), "POST", "/en/search", url.Values{"q": {"unicorn Czat Przykład"}}).Body.String()
	wantOn(t, "some words", body, map[string]bool{"<h2>With fewer of your words. Left out:": true, `class="crisis`: true})
}

// Any bytes give a page or a plain refusal.
func TestBadWords(t *testing.T) {
	h := site(t, webtest.New(t, 5, "PL"), nil)
	for name, x := range map[string]struct {
		words string
		want  int
	}{
		"invalid UTF-8":        {"\xff\xfe\x80", 200},
		"control characters":   {"\x00\x01\x1b[31m\x7f", 200},
		"right-to-left marks":  {"\u202e\u200f\u2066czat\u2069", 200},
		"a thousand operators": {strings.Repeat(`" AND ( `, 1000), 200},
		"100 kB":               {strings.Repeat("a", 100<<10), 413},
	} {
		if w := ask(h, "POST", "/pl/search", url.Values{"q": {x.words}}); w.Code != x.want || w.Body.Len() == 0 {
			t.Errorf("%s: %d, want %d", name, w.Code, x.want)
		} else {
			private(t, w)
		}
	}
}

// Each service of an answer can say why it stands where it does, in the order in
// which the reasons count; on the page of a country, which is no answer, none does.
func TestWhyHere(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	c.AddCases(t)
	h := site(t, c, nil)
	for _, l := range texts(t).Languages() {
		for _, w := range []search.Why{search.WhyUsable, search.WhyLanguage, search.WhyAnonymous, search.WhyOpen, search.WhyFresh, search.WhyWords, search.WhySomeWords, search.WhyTypo} {
			if !l.Has("why." + string(w)) {
				t.Errorf("%s: there are no words for %s", l.Tag(), w)
			}
		}
		w := ask(h, "POST", "/"+l.Tag()+"/search", url.Values{"country": {"IE"}, "language": {"pl"}, "channel": {"live_chat"}, "door": {"self"}})
		private(t, w)
		reasons := l.Say("why.usable_from") + " · " + l.Say("why.your_language") + " · " + l.Say("why.anonymous") + " · " + l.Say("why.open_now") + " · " + l.Say("why.fresh")
		wantOn(t, l.Tag(), w.Body.String(), map[string]bool{"<summary>" + template.HTMLEscapeString(l.Say("results.why")) + "</summary>": true, template.HTMLEscapeString(reasons): true})
		wantOn(t, l.Tag()+" country", get(h, "/"+l.Tag()+"/in/pl").Body.String(), map[string]bool{template.HTMLEscapeString(l.Say("results.why")): false})
	}
}
