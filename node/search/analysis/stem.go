package analysis

import (
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/finnish"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/norwegian"
	"github.com/blevesearch/snowballstem/swedish"
)

// stemmers holds one for each of [Languages], in their order. They take and
// return folded words: a word asked without its accents has the same stem as
// the word written with them.
var stemmers = [Count]func(string) string{
	stemCzech,
	snowball(german.Stem),
	stemGreek,
	snowball(english.Stem),
	stemFinnish,
	snowball(french.Stem),
	snowball(italian.Stem),
	stemLithuanian,
	stemMaltese,
	snowball(dutch.Stem),
	snowball(norwegian.Stem),
	stemPolish,
	stemSwedish,
}

// Stem returns the stem of a folded word: what its inflections share. It is
// the word itself where the language is [Unknown], for numbers, and for words
// of fewer than three bytes.
func (l Language) Stem(word string) string {
	if l < 0 || len(word) < 3 || word[0] <= '9' {
		return word
	}
	s := stemmers[l](word)
	if len(s) < 2 || !utf8.ValidString(s) {
		return word
	}
	return s
}

var environments = sync.Pool{New: func() any { return snowballstem.NewEnv("") }}

// snowball adapts a stemmer of the Snowball project. They were made for
// accented words; on folded ones they find the same endings but for a few
// French and Dutch ones, and never treat the two spellings differently.
func snowball(f func(*snowballstem.Env) bool) func(string) string {
	return func(word string) string {
		env := environments.Get().(*snowballstem.Env)
		env.SetCurrent(word)
		f(env)
		out := strings.ToLower(env.Current())
		environments.Put(env)
		return out
	}
}

var (
	snowballFinnish = snowball(finnish.Stem)
	snowballSwedish = snowball(swedish.Stem)
)

// stemFinnish also levels what an ending does to the letters before it.
func stemFinnish(w string) string {
	if w == "lapsi" { // taken for a possessive
		return "laps"
	}
	s := snowballFinnish(w)
	for _, c := range [...][2]string{
		{"uks", "us"}, {"yks", "ys"}, // ajatus, ajatukset
		{"mp", "m"},    // vanhempi, vanhemmat
		{"ttom", "to"}, // nimeton, nimettoman
		{"im", ""},     // puhelin, puhelimen
		{"ia", ""},     // terapia, terapiaa
	} {
		if len(s) > len(c[0])+3 && strings.HasSuffix(s, c[0]) {
			return s[:len(s)-len(c[0])] + c[1]
		}
	}
	return s
}

// stemSwedish also takes off the article -et, which Snowball leaves on.
func stemSwedish(w string) string {
	if s := snowballSwedish(w); len(s) < 6 || !strings.HasSuffix(s, "et") {
		return s
	} else {
		return s[:len(s)-2]
	}
}

// endings are suffixes grouped by their length in bytes, so that the longest
// that fits is found in as many steps as it is long.
type endings struct {
	by  map[string]struct{}
	max int
}

func newEndings(list string) endings {
	e := endings{by: map[string]struct{}{}}
	for _, s := range strings.Fields(list) {
		e.by[s] = struct{}{}
		e.max = max(e.max, len(s))
	}
	return e
}

// strip cuts the longest ending of w that leaves at least least bytes.
func (e endings) strip(w string, least int) string {
	for n := min(e.max, len(w)-least); n > 0; n-- {
		if _, ok := e.by[w[len(w)-n:]]; ok {
			return w[:len(w)-n]
		}
	}
	return w
}

// dropFleetingE removes the e between the two last consonants (linek → link,
// poraden → poradn), which comes and goes with the ending.
func dropFleetingE(w string) string {
	n := len(w)
	if n < 5 || isVowel(w[n-1]) || w[n-1] == 'm' || w[n-2] != 'e' { // not problem, systém
		return w
	}
	if w[n-3] == 'i' && n > 5 && !isVowel(w[n-4]) {
		return w[:n-3] + w[n-1:]
	}
	if isVowel(w[n-3]) {
		return w
	}
	return w[:n-2] + w[n-1:]
}

func isVowel(c byte) bool {
	switch c {
	case 'a', 'e', 'i', 'o', 'u', 'y':
		return true
	}
	return false
}
