package public

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/web/page"
)

// resultsView is a list of services.
type resultsView struct {
	Here      string
	Total     int
	Choice    []string
	LocalNone bool // some match, none of them is based in the reader's country
	Gone      bool // the list changed under the reader
	SomeWords bool // no service has all of the reader's words
	Cards     []card
	Aging     []aged // what must be said of the countries of these
	Facets    []facet
	Countries []option
	Languages []option
	Form      form
	Fields    []field
	Snapshot  string
	Page      int
	Pages     int

	Professional bool
	LeftOut      []string // of the choice, where nothing matches all of it
	MostSaved    int      // services in a saved table
}

// facet is one question of the filter.
type facet struct {
	Name   string
	Values []facetValue
}

type facetValue struct {
	Value, Label string
	Count        int
	Chosen       bool
}

// search answers POST /{lang}/search. It is a read: nothing is kept of it.
func (s *Site) search(w http.ResponseWriter, r *http.Request, l *locale.Language) {
	switch r.Method {
	case http.MethodGet, http.MethodHead: // a bookmark, or Back: the words are gone, as they should be
		redirect(w, "/"+l.Tag()+"/")
		return
	case http.MethodPost:
	default:
		s.allowed(w, r, l, []string{http.MethodGet, http.MethodPost})
		return
	}
	f, err := readForm(r)
	switch {
	case errors.Is(err, errTooLarge):
		s.fail(w, l, http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		s.fail(w, l, http.StatusBadRequest)
		return
	}
	if f.Table {
		s.table(w, r, l, f)
		return
	}
	v, err := s.results(r.Context(), l, f)
	if err != nil {
		s.fault(w, l, err)
		return
	}
	s.render(w, http.StatusOK, "results", page.Page{Language: l, Title: l.Say("results.title"), Country: f.Country, Paper: true, Body: v})
}

// results answers a question.
func (s *Site) results(ctx context.Context, l *locale.Language, f form) (resultsView, error) {
	q := f.query(l.Tag())
	q.Now = s.opt.Now()
	answer, err := s.opt.Catalog.Search(ctx, q)
	gone := errors.Is(err, search.ErrSnapshotGone)
	if gone {
		q.Snapshot, q.Page, f.Page = "", 1, 1
		answer, err = s.opt.Catalog.Search(ctx, q)
	}
	if err != nil {
		return resultsView{}, err
	}
	v := resultsView{
		Here: "/" + l.Tag(), Total: answer.Total, Choice: choice(l, f), Gone: gone, Professional: q.Professional,
		Facets: facets(l, f, answer.Facets), Countries: s.countryOptions(l, f.Country), Languages: s.languageOptions(l, f.Speaks),
		Form: f, Fields: f.fields(), Snapshot: answer.Snapshot, MostSaved: mostSaved,
		SomeWords: answer.Total > 0 && answer.Matched < answer.Words,
		Page:      max(answer.Page, 1), Pages: max((answer.Total+perPage-1)/perPage, 1),
	}
	hits := answer.Hits
	if answer.Total == 0 {
		if hits, v.LeftOut, err = s.closest(ctx, l, f, q.Now); err != nil {
			return resultsView{}, err
		}
	}
	v.Cards = s.cards(ctx, l, hits, asker{f.Country, q.Professional})
	v.Aging = s.aging(l, v.Cards)
	v.LocalNone = f.Country != "" && answer.Total > 0 && !counted(answer.Facets[search.Country], f.Country)
	return v, nil
}

// onNothing is how many services are offered where nothing matches.
const onNothing = 5

// closest leaves out parts of a choice that nothing matches, the least important
// first, until something does: the words, then the filters, then the language.
// Where somebody is and why they came is never left out.
func (s *Site) closest(ctx context.Context, l *locale.Language, f form, now time.Time) (hits []search.Hit, leftOut []string, err error) {
	drop := func(part bool, say string, without func()) error {
		if !part || len(hits) > 0 {
			return nil
		}
		without()
		leftOut = append(leftOut, say)
		q := f.query(l.Tag())
		q.Now, q.Page, q.PerPage, q.Snapshot = now, 1, onNothing, ""
		answer, err := s.opt.Catalog.Search(ctx, q)
		hits = answer.Hits
		return err
	}
	var chosen []string
	for _, facet := range chosenFacets {
		for _, v := range f.Facets[string(facet)] {
			chosen = append(chosen, label(l, facet, v))
		}
	}
	err = errors.Join(
		drop(f.Words != "", "“"+page.Clip(80, f.Words)+"”", func() { f.Words = "" }),
		drop(len(chosen) > 0, l.Join(chosen), func() { f.Facets = map[string][]string{} }),
		drop(f.Speaks != "", l.LanguageName(f.Speaks), func() { f.Speaks = "" }),
	)
	return hits, leftOut, err
}

// choice says in words what was asked.
func choice(l *locale.Language, f form) []string {
	var list []string
	if f.Door != "" {
		list = append(list, l.Say("door."+f.Door))
	}
	if f.Country != "" {
		list = append(list, l.CountryName(f.Country))
	}
	if f.Speaks != "" {
		list = append(list, l.LanguageName(f.Speaks))
	}
	for _, facet := range chosenFacets {
		for _, v := range f.Facets[string(facet)] {
			list = append(list, label(l, facet, v))
		}
	}
	if f.Words != "" {
		list = append(list, "“"+page.Clip(80, f.Words)+"”")
	}
	return list
}

// label is the public wording of a value of a facet.
func label(l *locale.Language, f search.Facet, value string) string {
	if f == search.Anonymity {
		return l.Term("anonymity_short", value)
	}
	return l.Term(string(f), value)
}

// facets makes the filter: values that some result has, or that are chosen.
func facets(l *locale.Language, f form, counts map[search.Facet][]search.Count) []facet {
	var list []facet
	for _, name := range chosenFacets {
		var values []facetValue
		seen := map[string]bool{}
		add := func(value string, count int) {
			if seen[value] || (name == search.OpenNow && value != "true") {
				return
			}
			if belongs := doors[f.Door]; name == search.Audience && belongs != nil && !belongs(value) {
				return
			}
			chosen := slices.Contains(f.Facets[string(name)], value)
			if count == 0 && !chosen {
				return
			}
			seen[value] = true
			values = append(values, facetValue{value, label(l, name, value), count, chosen})
		}
		for _, c := range inOrder(name, counts[name]) {
			add(c.Value, c.Count)
		}
		for _, v := range f.Facets[string(name)] {
			add(v, 0)
		}
		if len(values) > 0 {
			list = append(list, facet{string(name), values})
		}
	}
	return list
}

// inOrder puts the values of a facet into the order of the vocabulary, so that
// they stand at the same place on every page.
func inOrder(name search.Facet, counts []search.Count) []search.Count {
	order := listing.Terms(string(name))
	if name == search.Age {
		order = []string{"12-17", "18-20", "21+"}
	}
	place := func(v string) int {
		if i := slices.Index(order, v); i >= 0 {
			return i
		}
		return len(order)
	}
	sorted := slices.Clone(counts)
	slices.SortStableFunc(sorted, func(a, b search.Count) int { return place(a.Value) - place(b.Value) })
	return sorted
}

func counted(counts []search.Count, value string) bool {
	return slices.ContainsFunc(counts, func(c search.Count) bool { return strings.EqualFold(c.Value, value) && c.Count > 0 })
}

// cards looks up what an answer names. What has vanished since is left out, and
// so is what already stands there as the companion of another.
func (s *Site) cards(ctx context.Context, l *locale.Language, hits []search.Hit, who asker) []card {
	list := make([]card, 0, len(hits))
	there := map[string]bool{}
	for _, h := range hits {
		p, err := s.opt.Catalog.Get(ctx, h.ID)
		if err != nil || p.Listing == nil || there[servicePath(l, p.Listing.ID)] {
			continue
		}
		c := s.card(ctx, l, p, who)
		for _, other := range c.Together {
			there[other.Path] = true
		}
		list = append(list, c)
	}
	return list
}

// Previous is the number of the page before.
func (v resultsView) Previous() int { return v.Page - 1 }

// Next is the number of the page after.
func (v resultsView) Next() int { return v.Page + 1 }
