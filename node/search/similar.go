package search

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// maxTypoForms bounds the similar words that are looked for.
const maxTypoForms = 64

// addLike adds what a word that nothing else explains may be: a form of one that
// means something here, one with a single typing mistake, or, where it is neither,
// with more of them.
func (s *snapshot) addLike(list *[]form, word string, lang analysis.Language) (meant string) {
	words := s.similar(word, 0, "")
	if s.addConcepts(list, lang.Kin(word), weightConcept*weightParts) && (len(words) == 0 || words[0].edits > 1) {
		return ""
	}
	return s.addSimilar(list, word, words, lang)
}

// addSimilar adds the terms that are a typing mistake away from word, the
// nearest only, and returns the most frequent of the words among them. What
// the likeliest ones mean is found too, at less weight.
func (s *snapshot) addSimilar(list *[]form, word string, words []near, lang analysis.Language) (meant string) {
	if likely := slices.DeleteFunc(slices.Clone(words), func(n near) bool { return lang.Idle(n.term) }); len(likely) > 0 {
		words = likely // nobody mistypes what every question says
	}
	for _, n := range limit(words, maxTypoForms) {
		*list = append(*list, form{key: n.term, weight: weightTypo / float32(n.edits+1)})
	}
	for _, n := range limit(words, maxMeant) {
		if lang >= 0 {
			s.addStem(list, lang, n.term, lang.Stem(n.term), weightTypo*weightStem/float32(n.edits+1))
		}
		s.addConcepts(list, conceptsOf(lang, n.term), weightTypo*weightConcept)
	}
	if len(words) == 0 || words[0].edits > 1 { // it may be a word that no listing has, but that means what some say
		for _, w := range limit(lang.Nearest(word, editsAllowed(utf8.RuneCountInString(word)), distance), maxMeant) {
			if s.addConcepts(list, lang.Listed(w), weightTypo*weightConcept) {
				meant = w
			}
			s.addCodes(list, s.labels.of(w, lang.Listed(w))...)
		}
	}
	if lang >= 0 {
		for _, n := range limit(s.similar(lang.Stem(word), len(lang.KeyPrefix()), lang.KeyPrefix()), maxTypoForms) {
			s.addTerm(list, n.term, weightTypo*weightStem/float32(n.edits+1))
		}
	}
	if len(words) > 0 && (meant == "" || words[0].edits == 1) {
		return words[0].term
	}
	return meant
}

// maxMeant bounds the similar words whose stems and concepts are looked for.
const maxMeant = 3

// near is a term some edits away from a word.
type near struct {
	term  string
	edits int
	docs  int // living listings that have it
}

// similar returns the terms behind prefix that are the fewest edits away from
// word, of those allowed: the most frequent first.
func (s *snapshot) similar(word string, skip int, prefix string) []near {
	letters := []rune(word)
	k := editsAllowed(len(letters))
	if k == 0 {
		return nil
	}
	found := map[string]near{}
	for i := range s.views {
		v := &s.views[i]
		d := &v.seg.terms
		from, to := d.beginning(prefix)
		if prefix == "" {
			from = d.after(analysis.Derived, 0, d.len())
		}
		d.similar(from, to, skip, letters, k, func(t, edits int) {
			if n := v.living(t); n > 0 {
				term := string(d.term(t))
				found[term] = near{term, edits, found[term].docs + n}
			}
		})
	}
	list := make([]near, 0, len(found))
	for _, n := range found {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.edits, b.edits), cmp.Compare(b.docs, a.docs), strings.Compare(a.term, b.term))
	})
	for i := range list {
		if list[i].edits > list[0].edits {
			return list[:i]
		}
	}
	return list
}
