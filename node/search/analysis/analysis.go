// Package analysis turns text into the terms by which it is found: folded
// words, and for each of thirteen languages their stems, the parts of their
// compounds, and the concepts that they name.
//
// It depends on nothing of the engine and keeps nothing. What it returns for a
// text is the same on every machine as long as [Version] is the same.
//
// DESIGN.md beside this file tells why it is our own and what was measured.
package analysis

// Version changes whenever some text may have other terms than before. An index
// kept on disk carries it, and is made anew where it differs.
const Version = 3

// Derived begins the key of every term that is derived from a word, such as a
// stem. No word contains it, and it sorts before all of them.
const Derived = "\x01"

// Key is the term under which a stem of the language is filed, apart from the
// words as written.
func (l Language) Key(stem string) string { return l.KeyPrefix() + stem }

// KeyPrefix is what the keys of the language's derived terms begin with.
func (l Language) KeyPrefix() string { return Derived + codes[l] }

// MaxTerms bounds the terms derived from one word.
const MaxTerms = 16

// Terms calls yield with the keys of the terms, beside the folded word itself,
// under which a text in the language that has the word is filed: its stem,
// those of the parts of a compound, and the concepts that any of them names.
// There are at most [MaxTerms], each once. A word that is its own stem has no
// key for it, which halves an index.
func (l Language) Terms(word string, yield func(key string)) {
	if l < 0 {
		return
	}
	var seen [MaxTerms]string
	n := 0
	once := func(key string) {
		for _, s := range seen[:n] {
			if s == key {
				return
			}
		}
		if n < MaxTerms {
			seen[n] = key
			n++
			yield(key)
		}
	}
	stem := l.Stem(word)
	if stem != word {
		once(l.Key(stem))
	}
	lex := l.lexicon()
	for _, c := range lex.concepts[stem] {
		once(c)
	}
	for _, part := range l.Parts(word) {
		once(l.Key(part))
		if len(lex.concepts[stem]) > 0 {
			continue // omahoito is no hoito
		}
		for _, c := range lex.concepts[part] {
			once(c)
		}
	}
}
