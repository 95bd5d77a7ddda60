package public

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// text is something that somebody else wrote, in a language that may not be
// that of the page.
type text struct {
	S      string
	Marked bool   // Lang is to be written; "" there means a language that is not known
	Lang   string // BCP 47
	Note   string // where the text comes from, if that has to be said
}

// mainLanguage is the language of a country's entries where it has only one;
// for the others no guess is made.
var mainLanguage = map[string]string{
	"PL": "pl", "DE": "de", "IT": "it", "GR": "el", "CZ": "cs", "NL": "nl", "LT": "lt", "NO": "no", "SE": "sv", "GB": "en",
	"AT": "de", "FR": "fr", "IE": "en", "LV": "lv", "EE": "et", "DK": "da", "PT": "pt", "ES": "es",
}

// reader picks the texts of one listing for one language.
type reader struct {
	l       *locale.Language
	country string
	own     string // language of the untranslated texts; "" = not known
	tr      listing.Translations
}

func newReader(l *locale.Language, p listing.Published) reader {
	r := reader{l: l, country: p.Country, own: mainLanguage[strings.ToUpper(p.Country)]}
	if p.Listing == nil {
		return r
	}
	r.tr = p.Listing.Translations
	if tag := strings.TrimSpace(p.Listing.TextLanguage); tag != "" {
		r.own = ""
		if wellFormed.MatchString(tag) {
			r.own = tag
		}
	}
	return r
}

// wellFormed is what may stand in a lang attribute: the shape of a BCP 47 tag.
var wellFormed = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$`)

// foreign reports whether the listing's own texts are in another language than
// the page.
func (r reader) foreign() bool {
	base, _, _ := strings.Cut(strings.ToLower(r.own), "-")
	if base == "nb" || base == "nn" {
		base = "no"
	}
	return base != r.l.Tag()
}

// text returns the field at path in the reader's language if there is a
// translation, else as the service wrote it. A fact on which somebody's safety
// hangs is never taken from a machine, nor from a translation of other words.
func (r reader) text(path, own string, limit int, safety bool) text {
	if tag, tr, ok := r.translation(path); ok && (tr.By == "human" && !tr.Outdated || !safety) {
		t := text{S: page.Clip(limit, strings.TrimSpace(tr.Text))}
		if tag != r.l.Tag() {
			t.Marked, t.Lang = true, tag
		}
		if t.Note = r.l.Say("listing.translated"); tr.By != "human" {
			t.Note = r.l.Say("listing.machine")
		}
		if tr.Outdated {
			t.Note += " · " + r.l.Say("listing.outdated")
		}
		return t
	}
	t := text{S: page.Clip(limit, strings.TrimSpace(own))}
	if t.S != "" && r.foreign() {
		t.Marked, t.Lang = true, r.own
	}
	return t
}

// translation finds a text for the language of the page: under its own tag, or
// under one with a region or script.
func (r reader) translation(path string) (string, listing.Translation, bool) {
	if tr, ok := r.tr[r.l.Tag()][path]; ok && strings.TrimSpace(tr.Text) != "" {
		return r.l.Tag(), tr, true
	}
	best := ""
	for tag, fields := range r.tr {
		base, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if base == "nb" || base == "nn" {
			base = "no"
		}
		if base != r.l.Tag() || strings.TrimSpace(fields[path].Text) == "" {
			continue
		}
		if best == "" || tag < best { // a map has no order, a page must have one
			best = tag
		}
	}
	return best, r.tr[best][path], best != ""
}

// original says whose words follow, for a text that was not translated.
func (r reader) original(t text) string {
	switch {
	case !t.Marked:
		return t.Note
	case t.Lang == "":
		return r.l.Say("listing.original.unknown")
	}
	return r.l.Say("listing.original", "language", r.l.LanguageName(t.Lang))
}

// languages writes tags as names.
func (r reader) languages(tags []string, limit int) []string {
	var list []string
	for i, tag := range tags {
		if i == limit {
			return append(list, "…")
		}
		list = append(list, page.Clip(40, r.l.LanguageName(tag)))
	}
	return list
}

func (r reader) countries(codes []string, limit int) []string {
	var list []string
	for i, code := range codes {
		if i == limit {
			return append(list, "…")
		}
		list = append(list, page.Clip(40, r.l.CountryName(code)))
	}
	return list
}

// link is an address outside of this site that a page may link to.
type link struct{ URL, Host string }

// webLink returns the link of an address that is plain http or https, nil for
// anything else.
func webLink(s string) *link {
	s = strings.TrimSpace(s)
	u, err := url.Parse(s)
	if err != nil || len(s) > 1000 || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return nil
	}
	return &link{s, page.Clip(80, u.Host)}
}
