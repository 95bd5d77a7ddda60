package public

import (
	"strings"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// said is an alert or a status that a caretaker gives in place of a country that
// cannot speak for itself.
type said struct {
	Label string // "This service is closed for now."; "" for an alert
	Text  text
	By    string // who says so, from when and until when
}

// note is what another country's partner tells its people about a service.
type note struct {
	code      string // of Country
	Country   string
	Works     string // "" = not stated
	Cost      string
	Languages []string
	Text      text
	Written   string // in which language, where that is not the page's
	Dates     string
	Outdated  bool
}

// preferred picks one remark of each country: in the language of the page, else
// in English, else the first. The list is in order of country and language.
func preferred(l *locale.Language, list []listing.Remark) []listing.Remark {
	rank := func(r listing.Remark) int {
		switch base, _, _ := strings.Cut(strings.ToLower(r.Language), "-"); base {
		case l.Tag():
			return 0
		case "", "en":
			return 1
		}
		return 2
	}
	var out []listing.Remark
	for _, r := range list {
		switch last := len(out) - 1; {
		case last < 0 || out[last].Country != r.Country:
			out = append(out, r)
		case rank(r) < rank(out[last]):
			out[last] = r
		}
	}
	return out
}

// words is the text of a remark, marked with its language.
func words(l *locale.Language, r listing.Remark) text {
	t := text{S: page.Clip(listing.MaxOverlayText, strings.TrimSpace(r.Text))}
	if t.S == "" {
		return t
	}
	if base, _, _ := strings.Cut(strings.ToLower(r.Language), "-"); base != l.Tag() {
		t.Marked = true
		if wellFormed.MatchString(r.Language) {
			t.Lang = r.Language
		}
	}
	return t
}

// caretakers says what caretakers say about a service now: that it is closed
// first, then what else there is to know.
func caretakers(l *locale.Language, p listing.Published) []said {
	var list []said
	add := func(r listing.Remark, label string) {
		list = append(list, said{label, words(l, r), l.Say("remark.by", "country", l.CountryName(r.Country),
			"since", l.DateText(page.Clip(20, r.AsOf)), "until", l.DateText(page.Clip(20, r.Expires)))})
	}
	for _, r := range preferred(l, p.Statuses) {
		switch r.StatusValue() {
		case listing.Defunct:
			add(r, l.Say("listing.closed_for_good"))
		case listing.TemporarilyClosed:
			add(r, l.Say("listing.closed_for_now"))
		default:
			add(r, l.Say("listing.inactive"))
		}
	}
	for _, r := range preferred(l, p.Alerts) {
		add(r, "")
	}
	return list
}

const maxNotes = 14

// notes are the local notes of other countries.
func notes(l *locale.Language, p listing.Published) []note {
	var list []note
	for _, r := range preferred(l, p.Notes) {
		if len(list) == maxNotes {
			break
		}
		n := note{code: r.Country, Country: l.CountryName(r.Country), Text: words(l, r), Outdated: r.Outdated,
			Dates: l.Say("notes.dates", "since", l.DateText(page.Clip(20, r.AsOf)), "until", l.DateText(page.Clip(20, r.Expires)))}
		if v := r.WorksValue(); v != listing.NotStated {
			n.Works = l.Term("works_here", v)
		}
		if v := r.CostValue(); v != listing.NotStated {
			n.Cost = l.Term("cost", v)
		}
		for i, tag := range r.Languages {
			if i == 12 {
				break
			}
			n.Languages = append(n.Languages, page.Clip(40, l.LanguageName(tag)))
		}
		if n.Text.Marked && n.Text.Lang != "" {
			n.Written = l.Say("notes.language", "language", page.Clip(40, l.LanguageName(n.Text.Lang)))
		}
		list = append(list, n)
	}
	return list
}
