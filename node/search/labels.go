package search

import (
	"slices"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// labels finds codes by the words of their labels in all languages.
type labels struct {
	terms   dict
	codes   [][]code // of each term
	phrases map[string][]phraseLabel
	langs   uint16
}

// phraseLabel is a label of several words. It counts where a question has all
// of them: "my son" stands for a code for which neither word stands alone.
type phraseLabel struct {
	lang  analysis.Language
	stems []string // but for the first, under which it is filed
	code  code
}

// code is a value of a stored facet.
type code struct {
	facet int
	name  string
}

// Bounds on the labels of the vocabularies.
const (
	maxLabels     = 20000
	maxLabelSize  = 300 // bytes
	maxLabelWords = 5   // that say something; a label of more is a sentence, and nobody asks for it
)

func newLabels(list []Label) *labels {
	l := &labels{phrases: map[string][]phraseLabel{}}
	by := map[string][]code{}
	for _, e := range limit(list, maxLabels) {
		facet := slices.Index(storedNames[:givenFacets], e.Facet)
		if facet < 0 || e.Code == "" || len(e.Code) > maxIDLen {
			continue
		}
		l.add(by, code{facet, e.Code}, analysis.Find(e.Language), e.Text[:min(len(e.Text), maxLabelSize)])
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

func (l *labels) add(by map[string][]code, c code, lang analysis.Language, text string) {
	if lang >= 0 {
		l.langs |= 1 << lang
	}
	all := analysis.Fold(text)
	words := slices.DeleteFunc(slices.Clone(all), lang.Idle)
	if len(words) < 2 {
		words = all // "without name": what carries nothing in a question carries this label
	}
	switch {
	case len(words) == 0 || len(words) > maxLabelWords:
	case len(words) == 1:
		keys := []string{words[0], labelKey(lang, words[0])}
		if f := storedNames[c.facet]; f != Audience && f != Anonymity { // these are said in too many ways
			keys = append(keys, lang.Listed(words[0])...)
		}
		for _, key := range keys {
			if !slices.Contains(by[key], c) {
				by[key] = append(by[key], c)
			}
		}
	default:
		for i := range words {
			words[i] = lang.Stem(words[i])
		}
		l.phrases[words[0]] = append(l.phrases[words[0]], phraseLabel{lang, words[1:], c})
	}
}

// labelKey is the term under which the stem of a word of a label is filed.
func labelKey(lang analysis.Language, word string) string {
	if lang < 0 {
		return word
	}
	return lang.Key(lang.Stem(word))
}

// of returns the codes for which a folded word stands alone, in any language,
// or a label that names one of the concepts.
func (l *labels) of(word string, concepts []string) []code {
	var out []code
	try := func(key string) {
		if i := l.terms.find(key); i >= 0 {
			for _, c := range l.codes[i] {
				if !slices.Contains(out, c) {
					out = append(out, c)
				}
			}
		}
	}
	for _, c := range concepts {
		try(c)
	}
	if word == "" {
		return out
	}
	try(word)
	for lang := range analysis.Language(analysis.Count) {
		if l.langs&(1<<lang) != 0 {
			try(labelKey(lang, word))
		}
	}
	return out
}

// together returns the codes for which several of the words of a question
// stand together, by the word.
func (l *labels) together(words []string) map[string][]code {
	var out map[string][]code
	for lang := range analysis.Language(analysis.Count) {
		if l.langs&(1<<lang) == 0 {
			continue
		}
		stems := make(map[string]string, len(words))
		for _, w := range words {
			stems[lang.Stem(w)] = w
		}
		for first, word := range stems {
			for _, p := range l.phrases[first] {
				if p.lang != lang || slices.ContainsFunc(p.stems, func(s string) bool { return stems[s] == "" }) {
					continue
				}
				if out == nil {
					out = map[string][]code{}
				}
				out[word] = append(out[word], p.code)
				for _, s := range p.stems {
					out[stems[s]] = append(out[stems[s]], p.code)
				}
			}
		}
	}
	return out
}
