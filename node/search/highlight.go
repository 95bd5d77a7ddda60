package search

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// Piece is a part of a text. Pieces are plain text, never markup: whoever
// writes them into a page escapes each and puts a mark around those that hit.
type Piece struct {
	Text string
	Hit  bool // it is one of the words that were asked for, in some form
}

// Highlighter marks what a question asked for in the texts that it found. It
// may be used from several goroutines.
type Highlighter struct {
	list []wanted
	lang analysis.Language
}

// NewHighlighter returns one for the text of a question on a page in a
// language. With the corrections of its answer it also marks the words that
// were taken to be meant.
func NewHighlighter(text, language string, corrected []Correction) *Highlighter {
	h := &Highlighter{lang: analysis.Find(language)}
	_, list := parseText(text, h.lang)
	for _, w := range list {
		h.list = append(h.list, w)
		for _, c := range corrected {
			if !w.quoted && w.words[0] == c.Asked {
				h.list = append(h.list, wanted{words: []string{c.Meant}})
			}
		}
	}
	return h
}

// textWord is a word of a text.
type textWord struct {
	folded   string
	from, to int
}

// Pieces splits a text in a language into pieces, which together are the text.
// Texts of any length and any bytes will do; what is over [MaxText] has no hits.
func (h *Highlighter) Pieces(text, language string) []Piece {
	words := textWords(text)
	return pieces(text, words, h.hits(words, analysis.Find(language)))
}

// Excerpt is like [Highlighter.Pieces] for the part of about so many letters in
// which most was found, with "…" where something is left out.
func (h *Highlighter) Excerpt(text, language string, letters int) []Piece {
	if utf8.RuneCountInString(text) <= letters {
		return h.Pieces(text, language)
	}
	words := textWords(text)
	hits := h.hits(words, analysis.Find(language))
	from, to := window(words, hits, letters)
	if from == to {
		return []Piece{{Text: firstRunes(text, letters) + "…"}}
	}
	start, end := words[from].from, words[to-1].to
	if from == 0 {
		start = 0
	}
	if to == len(words) {
		end = len(text)
	}
	cut := make([]textWord, 0, to-from)
	for _, w := range words[from:to] {
		cut = append(cut, textWord{w.folded, w.from - start, w.to - start})
	}
	out := pieces(text[start:end], cut, hits[from:to])
	if start > 0 {
		out = append([]Piece{{Text: "…"}}, out...)
	}
	if end < len(text) {
		out = append(out, Piece{Text: "…"})
	}
	return out
}

// window returns the range of words within so many bytes that has the most
// hits: of equals the first, and with some words before the first hit.
func window(words []textWord, hits []bool, size int) (from, to int) {
	best, count, at := -1, 0, 0
	for i := range words {
		if hits[i] {
			count++
		}
		for words[i].to-words[at].from > size && at < i {
			if hits[at] {
				count--
			}
			at++
		}
		if count > best {
			best, from, to = count, at, i+1
		}
	}
	for to < len(words) && words[to].to-words[from].from <= size {
		to++
	}
	return from, to
}

func textWords(text string) []textWord {
	var words []textWord
	analysis.Spans(text[:min(len(text), MaxText)], func(w []byte, from, to int) {
		words = append(words, textWord{string(w), from, to})
	})
	return words
}

// pieces cuts a text at the words that hit.
func pieces(text string, words []textWord, hits []bool) []Piece {
	var out []Piece
	at := 0
	for i, w := range words {
		if !hits[i] {
			continue
		}
		if w.from > at {
			out = append(out, Piece{Text: text[at:w.from]})
		}
		out = append(out, Piece{Text: text[w.from:w.to], Hit: true})
		at = w.to
	}
	if at < len(text) || len(out) == 0 {
		out = append(out, Piece{Text: text[at:]})
	}
	return out
}

// hits tells of each word whether it is one of those that were asked for.
func (h *Highlighter) hits(words []textWord, lang analysis.Language) []bool {
	hits := make([]bool, len(words))
	known := map[string]bool{}
	for i, w := range words {
		hit, ok := known[w.folded]
		if !ok {
			hit = h.hit(w.folded, lang)
			known[w.folded] = hit
		}
		hits[i] = hits[i] || hit
		for _, q := range h.list {
			if len(q.words) > 1 && i+len(q.words) <= len(words) && runs(words[i:], q.words) {
				for j := range q.words {
					hits[i+j] = true
				}
			}
		}
	}
	return hits
}

// runs tells whether a text goes on with the words of a phrase.
func runs(text []textWord, phrase []string) bool {
	for i, w := range phrase {
		if text[i].folded != w {
			return false
		}
	}
	return true
}

// hit tells whether a word of a text in a language is a form of something that
// was asked for.
func (h *Highlighter) hit(word string, lang analysis.Language) bool {
	for _, q := range h.list {
		if len(q.words) > 1 {
			if q.means != nil && shares(q.means, lang.Concepts(word)) {
				return true
			}
			continue
		}
		asked := q.words[0]
		if word == asked || slices.Contains(q.joined, word) {
			return true
		}
		if q.quoted {
			continue
		}
		for _, l := range [...]analysis.Language{h.lang, lang} {
			if l >= 0 && (l.Stem(word) == l.Stem(asked) || slices.Contains(l.Parts(word), l.Stem(asked))) {
				return true
			}
		}
		if q.last && utf8.RuneCountInString(asked) > minBeginning && strings.HasPrefix(word, asked) {
			return true
		}
		if shares(conceptsOf(h.lang, asked), lang.Concepts(word)) {
			return true
		}
	}
	return false
}

func shares(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}

// Meant puts into the text of a question, in place of the words that were
// found only by forgiving a mistake, those that were taken to be meant: what a
// page offers as "did you mean". It returns the text as it is where there are none.
func Meant(text string, corrected []Correction) string {
	if len(corrected) == 0 {
		return text
	}
	text = firstRunes(text, MaxQueryRunes)
	var out strings.Builder
	at := 0
	analysis.Spans(text, func(w []byte, from, to int) {
		for _, c := range corrected {
			if string(w) == c.Asked {
				out.WriteString(text[at:from])
				out.WriteString(c.Meant)
				at = to
				return
			}
		}
	})
	out.WriteString(text[at:])
	return out.String()
}
