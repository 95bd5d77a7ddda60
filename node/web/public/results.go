package public

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/2ps-project/waymark/node/closest"
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
	LocalNone bool   // some match, none of them is based in the reader's country
	Gone      bool   // the list changed under the reader
	SomeWords bool   // no service has all of the reader's words
	Meant     string // the reader's words with what was taken to be meant; "" = nothing was forgiven
	Cards     []card
	Closest   []group // where nothing matches
	Aging     []aged  // what must be said of the countries of these
	Facets    []facet
	Countries []option
	Languages []option
	Form      form
	Fields    []field
	Snapshot  string
	Page      int
	Pages     int

	Professional bool
	MostSaved    int // services in a saved table
}

// group is part of what comes closest, named for what it is.
type group struct {
	Head  string
	Cards []card
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
	if err != nil {
		s.unread(w, l, err)
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
		Page:      max(answer.Page, 1), Pages: max((answer.Places+perPage-1)/perPage, 1),
	}
	who := asker{From: f.Country, Professional: q.Professional, Explain: true}
	if f.Words != "" {
		who.Marks = search.NewHighlighter(f.Words, q.Language, answer.Corrected)
	}
	v.Cards = s.cards(ctx, l, answer.Hits, who)
	shown := v.Cards
	if answer.Total == 0 {
		if v.Closest, err = s.closest(ctx, l, f, q, who); err != nil {
			return resultsView{}, err
		}
		for _, g := range v.Closest {
			shown = append(shown, g.Cards...)
		}
	}
	if len(answer.Corrected) > 0 {
		v.Meant = search.Meant(f.Words, closest.Spelled(answer.Corrected, s.texts(ctx, answer.Hits)))
	}
	v.Aging = s.aging(l, shown)
	v.LocalNone = f.Country != "" && answer.Total > 0 && !counted(answer.Facets[search.Country], f.Country)
	return v, nil
}

// closest is what comes closest to a question that nothing answers.
func (s *Site) closest(ctx context.Context, l *locale.Language, f form, q search.Query, who asker) ([]group, error) {
	var reasons []string
	if belongs := doors[f.Door]; belongs != nil {
		reasons = slices.DeleteFunc(listing.Terms(listing.VocabularyAudience), func(c string) bool { return !belongs(c) })
	}
	offers, err := closest.Find(ctx, s.opt.Catalog.Search, q, reasons)
	var list []group
	for _, o := range offers {
		var left []string
		for _, p := range o.LeftOut {
			for _, v := range p.Values {
				switch {
				case p.Name == "q":
					v = "“" + page.Clip(80, v) + "”"
				case p.Name == string(search.Language):
					v = l.LanguageName(v)
				default:
					v = label(l, search.Facet(p.Name), v)
				}
				left = append(left, v)
			}
		}
		g := group{Cards: s.cards(ctx, l, o.Hits, who)}
		switch o.Kind {
		case closest.FewerWords:
			g.Head = l.Say("results.fewer_words", "what", l.Join(left))
		case closest.Online:
			g.Head = l.Say("results.online", "language", l.LanguageName(o.Language))
		default: // pages ask for what can be used, not for what is based somewhere, and for no radius
			g.Head = l.Say("results.instead", "what", l.Join(left))
		}
		if len(g.Cards) > 0 {
			list = append(list, g)
		}
	}
	return list, err
}

// texts are those of hits in which a word may stand.
func (s *Site) texts(ctx context.Context, hits []search.Hit) []string {
	var list []string
	for _, h := range hits {
		if p, err := s.opt.Catalog.Get(ctx, h.ID); err == nil && p.Listing != nil {
			list = append(list, p.Listing.Name, p.Listing.Description)
		}
	}
	return list
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
		c := s.card(ctx, l, p, h.Together, who)
		for _, other := range c.Together {
			there[other.Path] = true
		}
		if who.Explain {
			c.Why = reasons(l, h.Why)
		}
		list = append(list, c)
	}
	return list
}

// reasons says in words why a service stands where it does.
func reasons(l *locale.Language, why []search.Why) []string {
	var list []string
	for _, w := range why {
		if key := "why." + string(w); l.Has(key) {
			list = append(list, l.Say(key))
		}
	}
	return list
}

// Offers tells whether anything comes closest.
func (v resultsView) Offers() bool { return len(v.Cards)+len(v.Closest) > 0 }

// Others are the fields of the question but for its words.
func (v resultsView) Others() []field {
	return slices.DeleteFunc(slices.Clone(v.Fields), func(f field) bool { return f.Name == "q" })
}

// Previous is the number of the page before.
func (v resultsView) Previous() int { return v.Page - 1 }

// Next is the number of the page after.
func (v resultsView) Next() int { return v.Page + 1 }
