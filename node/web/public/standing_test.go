package public_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/web/webtest"
)

// plain is what is between the tags of a page, in one line.
func plain(body string) string {
	return strings.Join(strings.Fields(tags.ReplaceAllString(body, " ")), " ")
}

// A service that is hidden says why, by whom and since when, and nothing of what
// its entry says.
func TestHiddenSaysWhyAndNoMore(t *testing.T) {
	c := webtest.New(t, 3, "PL", "DE", "LT")
	c.AddCases(t)
	h := site(t, c, nil)
	for _, x := range []struct {
		name, path string
		has        []string
	}{
		{"by members", "/en/s/case-hidden", []string{"This entry is not shown here", "Partners of this directory have decided together", "It may lead someone into harm",
			"Der Eintrag führt zu einer anderen Stelle.", "Decided by Germany, Finland, Lithuania", "Since 20 November 2026", "Until 4 December 2026, if it is not decided again", "Questions about this notices@example.org", "Poland"}},
		{"here only", "/en/s/case-hidden-here", []string{"Example Foundation runs this page and has decided not to show this entry. That holds for this page only.",
			"A law or a court forbids it", "Decided by Example Foundation", "Since 23 September 2026", "Questions about this listings@example.org", "Until No end has been set", "Lithuania"}},
		{"in another language", "/lt/s/case-hidden", []string{"Šis įrašas čia nerodomas", "Kas nusprendė Vokietija, Suomija, Lietuva"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := get(h, x.path)
			private(t, w)
			if w.Code != 404 || w.Header().Get("X-Robots-Tag") != "noindex, nofollow" {
				t.Errorf("status %d, %q", w.Code, w.Header().Get("X-Robots-Tag"))
			}
			text := plain(w.Body.String())
			for _, want := range x.has {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not on the page: %s", want, text)
				}
			}
			for _, never := range []string{"Nazwa której", "Pavadinimas", "012345", "Fundacja Przykład", "Nie pytamy", "www.example.org"} {
				if strings.Contains(w.Body.String(), never) {
					t.Errorf("%q stands on the page", never)
				}
			}
		})
	}
	results := ask(h, "POST", "/en/search", url.Values{"country": {"PL"}}).Body.String()
	if strings.Contains(results, "case-hidden") {
		t.Error("a hidden entry is among the results")
	}
	country := plain(get(h, "/en/in/pl").Body.String())
	if want := "1 entry of this country is not shown here It may lead someone into harm (1) · since 20 November 2026 · decided by: Germany, Finland, Lithuania"; !strings.Contains(country, want) {
		t.Errorf("the country's page does not say %q: %s", want, country)
	}
	if body := get(h, "/en/in/de").Body.String(); strings.Contains(body, "not shown here") {
		t.Error("a country without hidden entries has some")
	}
}

func TestLastConfirmed(t *testing.T) {
	for _, x := range []struct {
		name, country, language string
		age                     time.Duration
		want                    string
		old                     bool // said under a list of results
	}{
		{"just now", "LT", "en", time.Minute, "Last confirmed by Lithuania today (23 November 2026)", false},
		{"an hour before midnight is a day ago", "LT", "en", 11 * time.Hour, "Last confirmed by Lithuania yesterday (22 November 2026)", false},
		{"three days", "LT", "en", 3*24*time.Hour - time.Minute, "Last confirmed by Lithuania 3 days ago (20 November 2026)", false},
		{"over three days", "LT", "en", 3*24*time.Hour + time.Minute, "Last confirmed by Lithuania 3 days ago (20 November 2026)", true},
		{"a name with an article", "GB", "en", 100 * time.Hour, "Last confirmed by the United Kingdom 4 days ago (19 November 2026)", true},
		{"Polish, few", "LT", "pl", 22 * 24 * time.Hour, "Litwa: ostatnie potwierdzenie listy 22 dni temu (1 listopada 2026)", true},
		{"German", "LT", "de", 48 * time.Hour, "Litauen: Liste zuletzt bestätigt vor 2 Tagen (21. November 2026)", false},
		{"Lithuanian, one", "LT", "lt", 21 * 24 * time.Hour, "Lietuva: sąrašas paskutinį kartą patvirtintas prieš 21 dieną (2026 m. lapkričio 2 d.)", true},
		{"never", "LT", "en", 0, "This country has not confirmed its list yet.", false},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := webtest.New(t, 2, x.country)
			asOf := webtest.Now.Add(-x.age)
			if x.age == 0 {
				asOf = time.Time{}
			}
			c.Members[0].AsOf = asOf
			for i := range c.Listings {
				c.Listings[i].AsOf = asOf
			}
			h := site(t, c, nil)
			lower := strings.ToLower(x.country)
			for _, path := range []string{"/in/" + lower, "/s/" + c.Listings[0].Listing.ID} {
				if body := plain(get(h, "/"+x.language+path).Body.String()); !strings.Contains(body, x.want) {
					t.Errorf("%s does not say %q", path, x.want)
				}
			}
			results := plain(ask(h, "POST", "/"+x.language+"/search", url.Values{}).Body.String())
			if said := strings.Count(results, x.want); said != map[bool]int{true: 1}[x.old] {
				t.Errorf("said %d times under the results, want %t", said, x.old)
			}
			if regexp.MustCompile(`\d\d:\d\d UTC`).MatchString(results) {
				t.Error("an hour is told")
			}
		})
	}
}

// What is wrong with a country's list is said in plain words wherever its
// services are shown.
func TestStandingIsSaid(t *testing.T) {
	jargon := regexp.MustCompile(`(?i)\b(heads?|epochs?|beats?|raft|quorum|feeds?|replicas?|frozen|forked?|nodes?|keys?)\b`)
	for _, x := range []struct {
		name string
		s    listing.Standing
		want []string
	}{
		{"nothing", listing.Standing{State: "synced"}, nil},
		{"only silent", listing.Standing{State: "unconfirmed"}, nil},
		{"a state of a later version", listing.Standing{State: "asleep"}, nil},
		{"frozen", listing.Standing{State: "frozen", Since: webtest.Now.AddDate(0, 0, -5)}, []string{"Lithuania: two lists that contradict each other were published.", "Since: 18 November 2026"}},
		{"suspended", listing.Standing{State: "suspended"}, []string{"Lithuania: the other countries have suspended this partner."}},
		{"behind", listing.Standing{State: "behind"}, []string{"Lithuania: a newer list exists and is on its way here."}},
		{"the own list in doubt", listing.Standing{State: "quarantined"}, []string{"Lithuania: this partner is checking its list after a technical fault."}},
		{"rolled back and frozen", listing.Standing{State: "frozen", RolledBack: true}, []string{"contradict each other", "someone else may have been able to publish in this partner's name."}},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := webtest.New(t, 2, "LT")
			m := &c.Members[0]
			m.State, m.Since, m.RolledBack = x.s.State, x.s.Since, x.s.RolledBack
			for i := range c.Listings {
				c.Listings[i].Standing = x.s
			}
			h := site(t, c, nil)
			for _, body := range []string{
				get(h, "/en/in/lt").Body.String(), get(h, "/en/s/"+c.Listings[0].Listing.ID).Body.String(), ask(h, "POST", "/en/search", url.Values{}).Body.String(),
			} {
				text := strings.ReplaceAll(plain(body), "&#39;", "'")
				for _, want := range x.want {
					if strings.Count(text, want) != 1 {
						t.Errorf("%q is said %d times", want, strings.Count(text, want))
					}
				}
				if len(x.want) == 0 && strings.Contains(text, "Lithuania: ") && strings.Contains(body, `<div class="notice"><p>Lithuania`) {
					t.Error("something is said")
				}
				if word := jargon.FindString(text); word != "" {
					t.Errorf("the page says %q", word)
				}
			}
		})
	}
}

// While a caretaker says that a service is closed or that something is wrong, its
// numbers are no links and nothing is open now.
func TestCaretakerIsHeard(t *testing.T) {
	c := webtest.New(t, 0, "PL", "LT")
	c.AddCases(t)
	h := site(t, c, nil)
	body := get(h, "/en/s/case-cared").Body.String()
	text := plain(body)
	for _, want := range []string{"This service is closed for now. Said by the partner for: Lithuania (from 20 November 2026 to 20 December 2026)", "Notice: Numeris laikinai neveikia. Rašykite el. paštu. Said by the partner for: Lithuania"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if strings.Contains(body, `<a class="value" href="tel:`) || strings.Contains(text, "Open now") {
		t.Error("a closed service can be dialled or is open")
	}
	if !strings.Contains(body, `<bdi lang="lt" dir="auto">Numeris`) {
		t.Error("the language of the notice is not marked")
	}
	if body := get(h, "/en/s/case-noted").Body.String(); !strings.Contains(body, `<a class="value" href="tel:`) {
		t.Error("a note takes the number away")
	}
}

func TestNotesOfOtherCountries(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	c.AddCases(t)
	h := site(t, c, nil)
	for _, x := range []struct {
		name, language string
		has, not       []string
	}{
		{"English where there is no other", "en", []string{
			"What partners in other countries say", "Germany The entry has changed since this was written.", "Can it be used from there? No", "Written in: German Von hier aus",
			"Lithuania Can it be used from there? In part What it costs from there Has to be paid for Languages for people from there English, Lithuanian Calls from Lithuania",
			"from 20 November 2026 to 20 December 2026"}, []string{"Skambučiai"}},
		{"the reader's own", "lt", []string{"Lietuva Ar galima naudotis iš ten? Iš dalies", "Skambučiai iš Lietuvos"}, []string{"Calls from"}},
		{"the reader's own, another", "de", []string{"Deutschland Der Eintrag hat sich geändert", "Von hier aus nicht erreichbar.", "Calls from"}, []string{"Geschrieben in der Sprache: Deutsch "}},
	} {
		t.Run(x.name, func(t *testing.T) {
			text := plain(get(h, "/"+x.language+"/s/case-noted").Body.String())
			for _, want := range x.has {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not on the page: %s", want, text)
				}
			}
			for _, never := range x.not {
				if strings.Contains(text, never) {
					t.Errorf("%q is on the page", never)
				}
			}
		})
	}
	if body := get(h, "/en/s/case-ordinary").Body.String(); strings.Contains(body, "What partners in other countries say") {
		t.Error("a service without notes has some")
	}
}
