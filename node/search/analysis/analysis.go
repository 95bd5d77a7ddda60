// Package analysis turns text into the terms by which it is found: folded
// words, and for each of thirteen languages their stems.
//
// It depends on nothing of the engine and keeps nothing. What it returns for a
// text is the same on every machine as long as [Version] is the same.
//
// DESIGN.md beside this file tells why it is our own and what was measured.
package analysis

// Version changes whenever some text may have other terms than before. An index
// kept on disk carries it, and is made anew where it differs.
const Version = 1

// Derived begins the key of every term that is derived from a word, such as a
// stem. No word contains it, and it sorts before all of them.
const Derived = "\x01"

// Key is the term under which a stem of the language is filed, apart from the
// words as written.
func (l Language) Key(stem string) string { return l.KeyPrefix() + stem }

// KeyPrefix is what the keys of the language's derived terms begin with.
func (l Language) KeyPrefix() string { return Derived + codes[l] }

// Terms calls yield with the keys of the terms, beside the folded word itself,
// under which a text in the language that has the word is filed. There are at
// most [MaxTerms]. A word that is its own stem has no key
// for it, which halves an index.
func (l Language) Terms(word string, yield func(key string)) {
	if l < 0 {
		return
	}
	if s := l.Stem(word); s != word {
		yield(l.Key(s))
	}
}

// MaxTerms bounds the terms derived from one word.
const MaxTerms = 8
