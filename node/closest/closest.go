// Package closest finds what comes nearest to a question that nothing answers,
// each part named for what it is. Pages, API and command line offer the same.
package closest

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/search/analysis"
)

// Kind says in what an [Offer] differs from what was asked.
type Kind string

// The kinds, in the order in which they are offered.
const (
	// FewerWords: all that was asked but for some of the words, which are left out.
	FewerWords Kind = "fewer_words"
	// CrossBorder: based in other countries, and usable from where somebody asked.
	CrossBorder Kind = "cross_border"
	// Farther: outside the radius, the nearest first.
	Farther Kind = "farther"
	// FewerFilters: without the parts that are named, the least important first.
	FewerFilters Kind = "fewer_filters"
	// Online: reached online or by phone, in the language that was asked for, or
	// else that of the page.
	Online Kind = "online"
)

// Offer is one group of what is offered. No listing stands in two.
type Offer struct {
	Kind     Kind
	LeftOut  []Part   // what of the question was left out
	Places   []string // for CrossBorder and Online: ISO 3166 codes from where it can be used; nil = not asked
	Language string   // for Online: BCP 47
	Hits     []search.Hit
}

// Part is one part of a question: a parameter, as the API names it, with the
// values that were asked for.
type Part struct {
	Name   string
	Values []string
}

// Ask answers a question from one state of the listings.
type Ask func(context.Context, search.Query) (search.Answer, error)

// Most is how many listings one group has at most.
const Most = 5

// maxTries bounds how many shorter questions are tried.
const maxTries = 16

// Find returns what to offer where nothing answers q. Why somebody came is
// never left out: the audience and whether they are professionals; nor is the
// place from which it must be possible to use a service. An audience that was
// narrowed by a filter is widened to all of reasons; nil = it stays as it is.
// Its errors are those of ask.
func Find(ctx context.Context, ask Ask, q search.Query, reasons []string) ([]Offer, error) {
	q.Page, q.PerPage, q.Snapshot = 1, Most, ""
	f := finder{ctx: ctx, ask: ask, seen: map[search.Ref]bool{}}
	f.fewerWords(q)
	words := len(f.offers) > 0
	f.crossBorder(q)
	f.farther(q)
	if !words {
		f.fewerFilters(q, reasons)
	}
	f.online(q, reasons)
	return f.offers, f.err
}

type finder struct {
	ctx    context.Context
	ask    Ask
	seen   map[search.Ref]bool
	offers []Offer
	err    error
}

// try offers what answers q and was not offered before.
func (f *finder) try(q search.Query, o Offer) bool {
	if f.err != nil {
		return false
	}
	a, err := f.ask(f.ctx, q)
	if err != nil {
		f.err = err
		return false
	}
	if o.Kind == FewerWords && a.Matched < a.Words {
		return false // it has fewer words still than would be said
	}
	for _, h := range a.Hits {
		if len(o.Hits) == Most {
			break
		}
		if o.Kind == CrossBorder && slices.Contains(o.Places, h.Country) {
			continue // based there: it stands in another group
		}
		if !f.seen[h.Ref] {
			f.seen[h.Ref] = true
			o.Hits = append(o.Hits, h)
		}
	}
	if len(o.Hits) == 0 {
		return false
	}
	f.offers = append(f.offers, o)
	return true
}

// fewerWords leaves out one word, then all but one: the first that finds something.
func (f *finder) fewerWords(q search.Query) {
	words := strings.Fields(strings.ReplaceAll(q.Text, `"`, " "))
	if len(words) < 2 {
		return
	}
	tries := 0
	try := func(keep func(i int) bool) bool {
		if tries++; tries > maxTries {
			return false
		}
		var kept, left []string
		for i, w := range words {
			if keep(i) {
				kept = append(kept, w)
			} else {
				left = append(left, w)
			}
		}
		less := q
		less.Text = strings.Join(kept, " ")
		return f.try(less, Offer{Kind: FewerWords, LeftOut: []Part{{"q", left}}})
	}
	if len(words) > 2 {
		for i := len(words) - 1; i >= 0; i-- {
			if try(func(j int) bool { return j != i }) {
				return
			}
		}
	}
	for i := range words {
		if try(func(j int) bool { return j == i }) {
			return
		}
	}
}

// publishers are the countries to which a question is bound.
func publishers(q search.Query) []string {
	return slices.Concat(q.Countries, q.Facets[string(search.Country)])
}

// abroad asks for what can be used from the countries instead of what is based there.
func abroad(q search.Query) search.Query {
	if from := publishers(q); len(q.UsableFrom) == 0 {
		q.UsableFrom = from
	}
	q.Countries = nil
	return without(q, search.Country)
}

func without(q search.Query, facets ...search.Facet) search.Query {
	kept := map[string][]string{}
	for name, values := range q.Facets {
		if !slices.Contains(facets, search.Facet(name)) {
			kept[name] = values
		}
	}
	q.Facets = kept
	return q
}

func (f *finder) crossBorder(q search.Query) {
	from := publishers(q)
	if len(from) == 0 {
		return
	}
	left := []Part{{string(search.Country), from}}
	q = abroad(q)
	q.PerPage = search.MaxPerPage // those that are based there are left out
	places := q.UsableFrom
	if f.try(q, Offer{Kind: CrossBorder, LeftOut: left, Places: places}) || q.Text == "" {
		return
	}
	left = append(left, Part{"q", []string{q.Text}})
	q.Text = ""
	f.try(q, Offer{Kind: CrossBorder, LeftOut: left, Places: places})
}

func (f *finder) farther(q search.Query) {
	if q.RadiusKM <= 0 {
		return
	}
	left := []Part{{"radius_km", []string{strconv.FormatFloat(q.RadiusKM, 'f', -1, 64)}}}
	q.RadiusKM, q.Order = 0, search.ByDistance
	f.try(q, Offer{Kind: Farther, LeftOut: left})
}

// fewerFilters leaves out the words, then the filters, then the language, until
// something is found.
func (f *finder) fewerFilters(q search.Query, reasons []string) {
	var left []Part
	found := false
	drop := func(parts []Part, rest search.Query) {
		if found || len(parts) == 0 {
			return
		}
		q, left = rest, append(left, parts...)
		found = f.try(q, Offer{Kind: FewerFilters, LeftOut: left})
	}
	if q.Text != "" {
		less := q
		less.Text = ""
		drop([]Part{{"q", []string{q.Text}}}, less)
	}
	less, parts := plain(q, reasons)
	less.Countries, less.UsableFrom, less.Languages = q.Countries, q.UsableFrom, q.Languages
	drop(parts, less)
	if asked := slices.Concat(q.Languages, q.Facets[string(search.Language)]); len(asked) > 0 {
		less = without(q, search.Language)
		less.Languages = nil
		drop([]Part{{string(search.Language), asked}}, less)
	}
}

// plain is a question without its filters but those of place, language and
// why somebody came, and what was left out for it.
func plain(q search.Query, reasons []string) (search.Query, []Part) {
	var left []Part
	var gone []search.Facet
	for _, facet := range search.Facets() {
		values := q.Facets[string(facet)]
		switch facet {
		case search.Country, search.Language:
			continue
		case search.Audience:
			if reasons == nil || len(values) == len(reasons) {
				continue
			}
		case search.Age:
			if q.Age > 0 {
				values = append(slices.Clone(values), strconv.Itoa(q.Age))
			}
		case search.OpenNow:
			if q.OpenNow {
				values = []string{"true"}
			}
		}
		if len(values) > 0 {
			left = append(left, Part{string(facet), values})
			gone = append(gone, facet)
		}
	}
	q = without(q, gone...)
	if slices.Contains(gone, search.Audience) {
		q.Facets[string(search.Audience)] = reasons
	}
	q.Age, q.OpenNow = 0, false
	if q.RadiusKM > 0 {
		left = append(left, Part{"radius_km", []string{strconv.FormatFloat(q.RadiusKM, 'f', -1, 64)}})
		q.RadiusKM = 0
	}
	return q, left
}

// online offers what needs no journey, in the language, usable from where somebody is.
func (f *finder) online(q search.Query, reasons []string) {
	languages := slices.Concat(q.Languages, q.Facets[string(search.Language)])
	if len(languages) == 0 && q.Language != "" {
		languages = []string{q.Language}
	}
	if len(languages) == 0 {
		return
	}
	less, left := plain(abroad(q), reasons)
	if q.Text != "" {
		left = append([]Part{{"q", []string{q.Text}}}, left...)
	}
	less = without(less, search.Language)
	less.Text, less.Languages, less.Language = "", languages, languages[0]
	less.Facets[string(search.Channel)] = slices.Clone(remote)
	f.try(less, Offer{Kind: Online, LeftOut: left, Places: less.UsableFrom, Language: languages[0]})
}

// remote are the channels that need no journey and no letter.
var remote = slices.DeleteFunc(slices.Clone(listing.Shipped(listing.VocabularyChannel)), func(code string) bool {
	return code == "in_person" || code == "post" || code == listing.Other
})

// Spelled returns what was taken to be meant as one of the texts that were
// found writes it, accents and all: "młodzież" for "mlodziez". Words that none of
// them has stay as they are.
func Spelled(list []search.Correction, texts []string) []search.Correction {
	out := slices.Clone(list)
	for i := range out {
		for _, t := range texts {
			if word, ok := analysis.Spelled(t, out[i].Meant); ok {
				out[i].Meant = strings.ToLower(word)
				break
			}
		}
	}
	return out
}
