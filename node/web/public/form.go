package public

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/search"
)

const (
	maxForm     = 16 << 10 // bytes of a posted form
	perPage     = 10       // results on a page
	maxChosen   = 40       // values of one facet
	maxWordsLen = 400      // runes of the reader's own words
)

var (
	errTooLarge = errors.New("form too large")
	errNoForm   = errors.New("not a form")
)

// doors are the three ways in, with the audiences behind each.
var doors = map[string]func(code string) bool{
	"self": func(c string) bool { return strings.HasPrefix(c, "self.") },
	"other": func(c string) bool {
		return c == "partner_family" || c == "friend_colleague" || c == "parent_of_young_person"
	},
	"professional": func(c string) bool {
		return strings.HasPrefix(c, "professional.") || c == "researcher_policy"
	},
}

// doorNames is the order in which the doors stand on the page.
var doorNames = []string{"self", "other", "professional"}

// chosenFacets are those that a reader can narrow by, in the order of the page.
var chosenFacets = []search.Facet{search.Anonymity, search.Channel, search.OpenNow, search.Audience, search.Cost, search.Format, search.Age}

// form is what a reader asked. It lives as long as the answer takes.
type form struct {
	Words    string
	Country  string // where the reader is, ISO 3166-1 alpha-2; "" = any
	Speaks   string // language to use with the service; "" = any
	Door     string // "" = none
	Facets   map[string][]string
	Page     int
	Snapshot string
	Table    bool // the answer is to be saved as a table
}

// posted reads the fields of a posted form of at most so many bytes. It fails with
// errNoForm or errTooLarge.
func posted(r *http.Request, most int64) (url.Values, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return nil, errNoForm
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	if err != nil {
		return nil, errNoForm
	}
	if int64(len(raw)) > most {
		return nil, errTooLarge
	}
	v, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, errNoForm
	}
	return v, nil
}

// unread answers what could not be read.
func (s *Site) unread(w http.ResponseWriter, l *locale.Language, err error) {
	if errors.Is(err, errTooLarge) {
		s.fail(w, l, http.StatusRequestEntityTooLarge)
		return
	}
	s.fail(w, l, http.StatusBadRequest)
}

// readForm reads a posted form. The query of the address is not looked at.
func readForm(r *http.Request) (form, error) {
	v, err := posted(r, maxForm)
	if err != nil {
		return form{}, err
	}
	f := form{Words: strings.ToValidUTF8(strings.TrimSpace(v.Get("q")), ""), Page: 1, Facets: map[string][]string{}}
	if runes := []rune(f.Words); len(runes) > maxWordsLen {
		f.Words = string(runes[:maxWordsLen])
	}
	if c := strings.ToUpper(v.Get("country")); twoLetters(c) {
		f.Country = c
	}
	if l := strings.ToLower(v.Get("language")); len(l) <= 16 && l != "" {
		f.Speaks = l
	}
	if d := v.Get("door"); doors[d] != nil {
		f.Door = d
	}
	if n, err := strconv.Atoi(v.Get("page")); err == nil && n > 0 && n < 100_000 {
		f.Page = n
	}
	if s := v.Get("snapshot"); len(s) <= 200 {
		f.Snapshot = s
	}
	f.Table = v.Get("as") == "table"
	for _, facet := range chosenFacets {
		values := v[string(facet)]
		if len(values) > maxChosen {
			values = values[:maxChosen]
		}
		for _, value := range values {
			if value = strings.TrimSpace(value); value != "" && len(value) <= 100 && !slices.Contains(f.Facets[string(facet)], value) {
				f.Facets[string(facet)] = append(f.Facets[string(facet)], value)
			}
		}
	}
	return f, nil
}

func twoLetters(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

// query turns what the reader chose into a question for the index.
func (f form) query(pageLanguage string) search.Query {
	q := search.Query{
		Text: f.Words, Language: pageLanguage, From: f.Country, Facets: map[string][]string{},
		Professional: f.Door == "professional", Page: f.Page, PerPage: perPage, Snapshot: f.Snapshot, Together: true,
	}
	if f.Speaks != "" {
		q.Language, q.Languages = f.Speaks, []string{f.Speaks}
	}
	if f.Country != "" {
		q.UsableFrom = []string{f.Country}
	}
	for name, values := range f.Facets {
		q.Facets[name] = values
	}
	// The door stands for all audiences behind it until the reader names one.
	if belongs := doors[f.Door]; belongs != nil {
		chosen := slices.DeleteFunc(slices.Clone(f.Facets[string(search.Audience)]), func(c string) bool { return !belongs(c) })
		if len(chosen) == 0 {
			chosen = slices.DeleteFunc(listing.Terms(listing.VocabularyAudience), func(c string) bool { return !belongs(c) })
		}
		q.Facets[string(search.Audience)] = chosen
	}
	return q
}

// field is one hidden field of a form.
type field struct{ Name, Value string }

// fields returns everything that was asked, to be sent again by another button.
func (f form) fields() []field {
	var list []field
	add := func(name, value string) {
		if value != "" {
			list = append(list, field{name, value})
		}
	}
	add("q", f.Words)
	add("country", f.Country)
	add("language", f.Speaks)
	add("door", f.Door)
	for _, facet := range chosenFacets {
		for _, v := range f.Facets[string(facet)] {
			add(string(facet), v)
		}
	}
	return list
}
