package search

import (
	"slices"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// labels finds codes by the words of their labels in all languages.
type labels struct {
	terms dict
	codes [][]code // of each term
	langs uint16
}

// code is a value of a stored facet.
type code struct {
	facet int
	name  string
}

// Bounds on the labels of the vocabularies.
const (
	maxLabels    = 20000
	maxLabelSize = 300 // bytes
)

func newLabels(list []Label) *labels {
	l := &labels{}
	by := map[string][]code{}
	for _, e := range limit(list, maxLabels) {
		facet := slices.Index(storedNames[:5], e.Facet)
		if facet < 0 || e.Code == "" || len(e.Code) > maxIDLen {
			continue
		}
		c := code{facet, e.Code}
		lang := analysis.Find(e.Language)
		if lang >= 0 {
			l.langs |= 1 << lang
		}
		for _, w := range analysis.Fold(e.Text[:min(len(e.Text), maxLabelSize)]) {
			if len(w) < 3 || lang.Stop(w) {
				continue
			}
			add(by, w, c)
			if lang >= 0 {
				lang.Terms(w, func(key string) { add(by, key, c) })
			}
		}
	}
	names := make([]string, 0, len(by))
	for n := range by {
		names = append(names, n)
	}
	slices.Sort(names)
	l.terms = newDict(names)
	for _, n := range names {
		l.codes = append(l.codes, by[n])
	}
	return l
}

func add(by map[string][]code, term string, c code) {
	if !slices.Contains(by[term], c) {
		by[term] = append(by[term], c)
	}
}

// of returns the codes that a term of a question stands for.
func (l *labels) of(term string) []code {
	if i := l.terms.find(term); i >= 0 {
		return l.codes[i]
	}
	return nil
}
