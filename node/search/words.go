package search

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// wanted is one thing that a question asks to find: a word, or several that
// must stand side by side.
type wanted struct {
	words  []string // folded
	quoted bool     // as written: no inflection, no mistake, no beginning
	last   bool     // may be the beginning of a word
}

// parseText reads what a reader wrote. Any bytes are an answerable text; what
// is over the bounds is not looked at. Double quotes of all typographies make
// phrases; there are no other operators.
func parseText(text string, lang analysis.Language) []wanted {
	text = strings.TrimSpace(text)
	for i, n := 0, 0; i < len(text); n++ {
		if n == MaxQueryRunes {
			text = text[:i]
			break
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		i += size
	}
	var out []wanted
	count := 0
	quoted := false
	for text != "" && count < MaxWords {
		part, rest := text, ""
		closes := false
		if i := strings.IndexAny(text, `"„“”«»`); i >= 0 {
			_, n := utf8.DecodeRuneInString(text[i:])
			part, rest, closes = text[:i], text[i+n:], true
		}
		ws := analysis.Fold(part)
		ws = ws[:min(len(ws), MaxWords-count)]
		count += len(ws)
		switch {
		case quoted && closes && len(ws) > 0:
			out = append(out, wanted{words: ws, quoted: true})
		default:
			for _, w := range ws {
				out = append(out, wanted{words: []string{w}})
			}
		}
		if closes {
			quoted = !quoted
		}
		text = rest
	}
	if n := len(out); n > 0 && !out[n-1].quoted {
		out[n-1].last = true
	}
	return slim(out, lang)
}

// slim leaves out what is asked twice and, if anything else is asked, the
// words that carry nothing.
func slim(list []wanted, lang analysis.Language) []wanted {
	var out, idle []wanted
	for _, w := range list {
		same := func(o wanted) bool { return o.quoted == w.quoted && slices.Equal(o.words, w.words) }
		switch {
		case !w.quoted && lang.Stop(w.words[0]):
			if !slices.ContainsFunc(idle, same) {
				idle = append(idle, w)
			}
		case slices.ContainsFunc(out, same):
		default:
			out = append(out, w)
		}
	}
	if len(out) == 0 {
		return idle
	}
	return out
}

// form is one way in which a listing can have what is wanted.
type form struct {
	kind   formKind
	key    string   // term, or the beginning of terms
	phrase []string // of a phrase
	code   code     // of a label
	weight float32
}

type formKind uint8

const (
	formTerm formKind = iota
	formBeginning
	formPhrase
	formCode
)

// What a match in each form counts, against 1 for the word as written.
const (
	weightStem      = 0.8 // of the language of the page
	weightOtherStem = 0.6
	weightSpelling  = 0.8 // ae for ä
	weightBeginning = 0.5
	weightTypo      = 0.4
	weightLabel     = 0.3
)

// maxTypoForms bounds the similar words that are looked for.
const maxTypoForms = 64

// forms returns the ways in which the listings of s can have w, the best
// first, and whether only a typing mistake explains it. It does not depend on
// how the listings are spread over segments.
func (s *snapshot) forms(w wanted, lang analysis.Language) (list []form, typo bool) {
	if w.quoted && len(w.words) > 1 {
		return []form{{kind: formPhrase, phrase: w.words, weight: 1}}, false
	}
	word := w.words[0]
	list = []form{{key: word, weight: 1}}
	if w.quoted {
		return list, false
	}
	found := s.has(word)
	if lang >= 0 {
		st := lang.Stem(word)
		found = s.addStem(&list, lang, word, st, weightStem) || found
	}
	for other := range analysis.Language(analysis.Count) {
		if other != lang && s.langs&(1<<other) != 0 {
			s.addStem(&list, other, word, other.Stem(word), weightOtherStem)
		}
	}
	for _, p := range [...][2]string{{"ae", "a"}, {"oe", "o"}, {"ue", "u"}, {"aa", "a"}} {
		if other := strings.ReplaceAll(word, p[0], p[1]); other != word && s.has(other) {
			list = append(list, form{key: other, weight: weightSpelling})
			found = true
		}
	}
	if w.last && utf8.RuneCountInString(word) >= 2 {
		list = append(list, form{kind: formBeginning, key: word, weight: weightBeginning})
		found = found || s.hasBeginning(word)
	}
	found = s.addLabels(&list) || found
	if !found {
		before := len(list)
		s.addSimilar(&list, word, 0, "")
		if lang >= 0 {
			s.addSimilar(&list, lang.Stem(word), len(lang.KeyPrefix()), lang.KeyPrefix())
		}
		typo = len(list) > before
	}
	slices.SortStableFunc(list, func(a, b form) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.kind, b.kind), strings.Compare(a.key, b.key))
	})
	return list, typo
}

// addStem adds the forms that share a stem and tells whether there are any.
func (s *snapshot) addStem(list *[]form, lang analysis.Language, word, st string, weight float32) bool {
	found := false
	try := func(key string) {
		if key != word && s.has(key) && !slices.ContainsFunc(*list, func(f form) bool { return f.key == key }) {
			*list = append(*list, form{key: key, weight: weight})
			found = true
		}
	}
	try(lang.Key(st))
	try(st) // a word that is its own stem is kept once
	return found
}

// addLabels adds the codes whose labels have one of the forms.
func (s *snapshot) addLabels(list *[]form) bool {
	var codes []code
	for _, f := range *list {
		if f.kind == formTerm {
			for _, c := range s.labels.of(f.key) {
				if !slices.Contains(codes, c) && s.hasCode(c) {
					codes = append(codes, c)
				}
			}
		}
	}
	// The stem of a label may be asked though no text has it.
	word := (*list)[0].key
	for lang := range analysis.Language(analysis.Count) {
		if s.labels.langs&(1<<lang) == 0 {
			continue
		}
		st := lang.Stem(word)
		for _, key := range [...]string{lang.Key(st), st} {
			for _, c := range s.labels.of(key) {
				if !slices.Contains(codes, c) && s.hasCode(c) {
					codes = append(codes, c)
				}
			}
		}
	}
	for _, c := range codes {
		*list = append(*list, form{kind: formCode, key: string(storedNames[c.facet]) + "\x00" + c.name, code: c, weight: weightLabel})
	}
	return len(codes) > 0
}

// addSimilar adds the terms behind prefix that are a typing mistake away.
func (s *snapshot) addSimilar(list *[]form, word string, skip int, prefix string) {
	letters := []rune(word)
	k := editsAllowed(len(letters))
	if k == 0 {
		return
	}
	edits := map[string]int{}
	for i := range s.views {
		v := &s.views[i]
		d := &v.seg.terms
		from, to := d.beginning(prefix)
		if prefix == "" {
			from = d.after(analysis.Derived, 0, d.len())
		}
		d.similar(from, to, skip, letters, k, func(t, e int) {
			if v.lives(v.seg.postings(t)) {
				edits[string(d.term(t))] = e
			}
		})
	}
	names := make([]string, 0, len(edits))
	for n := range edits {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(edits[a], edits[b]), strings.Compare(a, b)) })
	for _, n := range limit(names, maxTypoForms) {
		*list = append(*list, form{key: n, weight: weightTypo / float32(edits[n]+1)})
	}
}

// has tells whether a living listing has a term.
func (s *snapshot) has(term string) bool {
	for i := range s.views {
		if t := s.views[i].seg.terms.find(term); t >= 0 && s.views[i].lives(s.views[i].seg.postings(t)) {
			return true
		}
	}
	return false
}

func (s *snapshot) hasBeginning(word string) bool {
	for i := range s.views {
		if s.views[i].lives(s.views[i].beginning(word)) {
			return true
		}
	}
	return false
}

func (s *snapshot) hasCode(c code) bool {
	for i := range s.views {
		if set := s.views[i].seg.facets[c.facet].of(c.name); set != nil && set.meets(s.views[i].live) {
			return true
		}
	}
	return false
}

// beginning returns all words that begin with p: they are neighbours.
func (v *view) beginning(p string) span {
	from, to := v.seg.terms.beginning(p)
	return span{uint32(from), uint32(to)}
}
