package search

import (
	"slices"
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
		lang := languageIndex(baseLanguage(e.Language))
		if lang >= 0 {
			l.langs |= 1 << lang
		}
		for _, w := range foldWords(e.Text[:min(len(e.Text), maxLabelSize)]) {
			if len(w) < 3 || isStop(lang, w) {
				continue
			}
			add(by, w, c)
			if lang >= 0 {
				if s := stem(lang, w); s != w {
					add(by, stemPrefix(lang)+s, c)
				}
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
