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
	joined []string // the word written as one with a neighbour: "help line" may mean "helpline"
	means  []string // keys of the concepts that several words name together
	codes  []code   // for which it stands together with other words of the question
	quoted bool     // as written: no inflection, no mistake, no beginning
	last   bool     // may be the beginning of a word
}

// wanted reads what a reader wrote, with the codes that several of its words
// stand for together.
func (s *snapshot) wanted(text string, lang analysis.Language) []wanted {
	words, list := parseText(text, lang)
	if len(words) < 2 || len(s.labels.phrases) == 0 {
		return list
	}
	together := s.labels.together(words)
	for i := range list {
		for _, w := range list[i].words {
			if !list[i].quoted {
				list[i].codes = append(list[i].codes, together[w]...)
			}
		}
	}
	return list
}

// quotes are the double quotes of all typographies that mark phrases.
const quotes = `"„“”«»‟`

// parseText reads what a reader wrote: all words outside quotes, and what of
// them is to be found. Any bytes are an answerable text; what
// is over the bounds is not looked at. Double quotes of all typographies make
// phrases; there are no other operators.
func parseText(text string, lang analysis.Language) (free []string, list []wanted) {
	text = firstRunes(strings.TrimSpace(text[:min(len(text), MaxQueryRunes*utf8.UTFMax*2)]), MaxQueryRunes)
	var out []wanted
	count := 0
	quoted := false
	for text != "" && count < MaxWords {
		part, rest := text, ""
		closes := false
		if i := strings.IndexAny(text, quotes); i >= 0 {
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
			free = append(free, ws...)
			for i := 0; i < len(ws); i++ {
				if n, concepts := lang.Phrase(ws[i:]); n > 0 {
					out = append(out, wanted{words: ws[i : i+n : i+n], means: concepts})
					i += n - 1
					continue
				}
				w := ws[i]
				one := wanted{words: ws[i : i+1 : i+1]}
				if i > 0 {
					one.joined = append(one.joined, ws[i-1]+w)
				}
				if i+1 < len(ws) {
					one.joined = append(one.joined, w+ws[i+1])
				}
				out = append(out, one)
			}
		}
		if closes {
			quoted = !quoted
		}
		text = rest
	}
	if n := len(out); n > 0 && !out[n-1].quoted && out[n-1].means == nil {
		out[n-1].last = true
	}
	return free, slim(out, lang)
}

// firstRunes returns the first n letters of s.
func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// slim leaves out what is asked twice and, if anything else is asked, the
// words that carry nothing.
func slim(list []wanted, lang analysis.Language) []wanted {
	var out, idle []wanted
	for _, w := range list {
		same := func(o wanted) bool { return o.quoted == w.quoted && slices.Equal(o.words, w.words) }
		switch {
		case !w.quoted && w.means == nil && lang.Idle(w.words[0]):
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
	phrase []string // of a phrase; of formAll the parts
	code   code     // of a label
	weight float32
}

type formKind uint8

const (
	formTerm formKind = iota
	formBeginning
	formPhrase
	formAll // all of several terms, anywhere
	formCode
)

// What a match in each form counts, against 1 for the word as written.
const (
	weightJoined    = 0.9 // as one word with its neighbour
	weightStem      = 0.8 // of the language of the page
	weightOtherStem = 0.6
	weightSpelling  = 0.8 // ae for ä
	weightParts     = 0.6 // of a compound, apart
	weightBeginning = 0.5
	weightTypo      = 0.4
	weightConcept   = 0.3
	weightLabel     = 0.3
)

// forms returns the ways in which the listings of s can have w, the best
// first, and the word that stands in them where only a typing mistake explains
// w. It does not depend on how the listings are spread over segments.
func (s *snapshot) forms(w wanted, lang analysis.Language) (list []form, meant string) {
	if w.quoted && len(w.words) > 1 {
		return []form{{kind: formPhrase, phrase: w.words, weight: 1}}, ""
	}
	if w.means != nil {
		return s.together(w, lang), ""
	}
	word := w.words[0]
	list = []form{{key: word, weight: 1}}
	if w.quoted {
		return list, ""
	}
	found := s.has(word)
	if w.last && !found && !listed(word) && utf8.RuneCountInString(word) >= minBeginning && s.hasBeginning(word) {
		return s.begun(list, word, lang), ""
	}
	for _, j := range w.joined {
		found = s.addJoined(&list, lang, j) || found
	}
	if lang >= 0 {
		found = s.addStem(&list, lang, word, lang.Stem(word), weightStem) || found
	}
	for other := range analysis.Language(analysis.Count) {
		if other != lang && s.langs&(1<<other) != 0 {
			s.addStem(&list, other, word, other.Stem(word), weightOtherStem)
		}
	}
	for _, p := range [...][2]string{{"ae", "a"}, {"oe", "o"}, {"ue", "u"}, {"aa", "a"}} {
		other := strings.ReplaceAll(word, p[0], p[1])
		if other == word {
			continue
		}
		found = s.addTerm(&list, other, weightSpelling) || found
		if lang >= 0 {
			found = s.addStem(&list, lang, other, lang.Stem(other), weightSpelling*weightStem) || found
		}
		found = s.addConcepts(&list, lang.Listed(other), weightConcept) || found
	}
	found = s.addConcepts(&list, conceptsOf(lang, word), weightConcept) && len(lang.Concepts(word)) > 0 || found
	if !found {
		found = s.addParts(&list, lang, word) || s.addConcepts(&list, lang.HeadConcepts(word), weightConcept*weightParts)
	}
	if w.last && utf8.RuneCountInString(word) >= minBeginning {
		list = append(list, form{kind: formBeginning, key: word, weight: weightBeginning})
		found = found || s.hasBeginning(word)
	}
	codes := s.labels.of(word, conceptsOf(lang, word))
	if found { // whom a listing is for and what it is stands in its words: a label counts where none does
		codes = slices.DeleteFunc(codes, func(c code) bool { f := storedNames[c.facet]; return f == Audience || f == ServiceType })
	}
	found = s.addCodes(&list, codes...) || found
	found = s.addCodes(&list, w.codes...) || found
	if !found {
		meant = s.addLike(&list, word, lang)
	}
	slices.SortStableFunc(list, func(a, b form) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.kind, b.kind), strings.Compare(a.key, b.key))
	})
	return list, meant
}

// minBeginning is how many letters a word has that may be the beginning of one.
const minBeginning = 2

// begun returns the forms of a word that is not finished: what begins like it,
// and what the most frequent of these means. Its own stem would be a guess.
func (s *snapshot) begun(list []form, word string, lang analysis.Language) []form {
	list = append(list, form{kind: formBeginning, key: word, weight: weightBeginning})
	if utf8.RuneCountInString(word) >= minCompleted {
		if whole := s.completed(word); whole != "" {
			if lang >= 0 {
				s.addStem(&list, lang, whole, lang.Stem(whole), weightBeginning*weightStem)
			}
			s.addConcepts(&list, conceptsOf(lang, whole), weightBeginning*weightConcept)
			s.addCodes(&list, s.labels.of(whole, conceptsOf(lang, whole))...)
		}
	}
	return list
}

// listed tells whether some language lists the word as it stands: then it is
// whole.
func listed(word string) bool {
	for lang := range analysis.Language(analysis.Count) {
		if len(lang.Listed(word)) > 0 {
			return true
		}
	}
	return false
}

const (
	minCompleted = 4   // letters of a beginning that says enough to be completed
	maxCompleted = 256 // words of a segment among which the completion is chosen
)

// completed returns the word that most living listings have of those that
// begin like word; "" where very many do.
func (s *snapshot) completed(word string) string {
	docs := map[string]int{}
	for i := range s.views {
		v := &s.views[i]
		from, to := v.seg.terms.beginning(word)
		if to-from > maxCompleted {
			return ""
		}
		for t := from; t < to; t++ {
			if n := v.living(t); n > 0 {
				docs[string(v.seg.terms.term(t))] += n
			}
		}
	}
	best := ""
	for term, n := range docs {
		if best == "" || n > docs[best] || n == docs[best] && term < best {
			best = term
		}
	}
	return best
}

// addTerm adds a term unless no living listing has it or it is there already.
func (s *snapshot) addTerm(list *[]form, key string, weight float32) bool {
	if !s.has(key) {
		return false
	}
	if !slices.ContainsFunc(*list, func(f form) bool { return f.kind == formTerm && f.key == key }) {
		*list = append(*list, form{key: key, weight: weight})
	}
	return true
}

// addJoined adds a word that the reader wrote as two.
func (s *snapshot) addJoined(list *[]form, lang analysis.Language, joined string) bool {
	found := s.addTerm(list, joined, weightJoined)
	if lang >= 0 {
		if stem := lang.Stem(joined); stem != joined {
			found = s.addTerm(list, lang.Key(stem), weightJoined*weightStem) || found
		}
		found = s.addConcepts(list, lang.Listed(joined), weightConcept) || found
	}
	return found
}

// conceptsOf returns the concepts that a word names in the language of the
// page or, where it names none there, in any other that lists it as it stands.
func conceptsOf(lang analysis.Language, word string) []string {
	concepts := lang.Concepts(word)
	for other := analysis.Language(0); other < analysis.Count && len(concepts) == 0; other++ {
		concepts = other.Listed(word)
	}
	return concepts
}

// addConcepts adds what texts of all languages that name a concept are filed under.
func (s *snapshot) addConcepts(list *[]form, concepts []string, weight float32) bool {
	found := false
	for _, c := range concepts {
		found = s.addTerm(list, c, weight) || found
	}
	return found
}

// together returns the forms of several words that name concepts only
// together.
func (s *snapshot) together(w wanted, lang analysis.Language) []form {
	list := []form{{kind: formPhrase, phrase: w.words, weight: 1}}
	s.addTerm(&list, strings.Join(w.words, ""), weightJoined)
	s.addConcepts(&list, w.means, weightConcept)
	s.addCodes(&list, s.labels.of("", w.means)...)
	s.addCodes(&list, w.codes...)
	return list
}

// addParts adds the listings that say the parts of a compound apart: who asks
// for a "Selbsthilfegruppe" is shown a group for self-help.
func (s *snapshot) addParts(list *[]form, lang analysis.Language, word string) bool {
	found := false
	for other := range analysis.Language(analysis.Count) {
		if other != lang && (lang >= 0 && lang.Compounds() || s.langs&(1<<other) == 0) {
			continue
		}
		parts := other.Parts(word)
		if len(parts) < 2 {
			continue
		}
		f := form{kind: formAll, key: other.Key(word), weight: weightParts}
		for _, p := range parts {
			if !s.has(p) && !s.has(other.Key(p)) {
				f.phrase = nil
				break
			}
			f.phrase = append(f.phrase, p, other.Key(p))
		}
		if f.phrase != nil && s.hasTogether(f.phrase) {
			*list = append(*list, f)
			found = true
		}
	}
	return found
}

// addStem adds the forms that share a stem and tells whether there are any.
func (s *snapshot) addStem(list *[]form, lang analysis.Language, word, st string, weight float32) bool {
	found := s.addTerm(list, lang.Key(st), weight)
	if st != word && lang.Stem(st) == st { // a word that is its own stem is kept once
		found = s.addTerm(list, st, weight) || found
	}
	return found
}

// addCodes adds the codes for which a word stands, alone or with others of the
// question.
func (s *snapshot) addCodes(list *[]form, codes ...code) bool {
	found := false
	for _, c := range codes {
		f := form{kind: formCode, key: string(storedNames[c.facet]) + "\x00" + c.name, code: c, weight: weightLabel}
		if slices.ContainsFunc(*list, func(o form) bool { return o.kind == formCode && o.code == c }) || !s.hasCode(c) {
			continue
		}
		*list = append(*list, f)
		found = true
	}
	return found
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
