package analysis

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed texts/concepts/*.txt texts/parts/*.txt
var tables embed.FS

// lexicon is what is known of the words of one language beyond their endings.
type lexicon struct {
	concepts map[string][]string // stem → keys of the concepts that it names
	words    map[string][]string // the same by the words as listed
	phrases  map[string][]string // the same by the stems of several words, with spaces between
	parts    map[string]struct{} // words and stems that stand inside compounds; nil = none are looked for
	longest  int                 // of parts, in bytes
}

var lexicons = func() (out [Count]func() *lexicon) {
	for l := range Language(Count) {
		out[l] = sync.OnceValue(func() *lexicon { return readLexicon(l) })
	}
	return out
}()

// lexicon reads the tables of the language at their first use: some
// milliseconds for all of them.
func (l Language) lexicon() *lexicon { return lexicons[l]() }

// conceptKey is the term under which texts of all languages that name a
// concept are filed.
func conceptKey(name string) string { return Derived + "=" + name }

// readLexicon reads the tables of a language. They are part of the program, so
// one that cannot be read is a fault of the program.
func readLexicon(l Language) *lexicon {
	x := &lexicon{concepts: map[string][]string{}, words: map[string][]string{}, phrases: map[string][]string{}}
	read(fmt.Sprintf("texts/concepts/%s.txt", l), func(concept string, entry []string) {
		stems, key := l.stems(entry), conceptKey(concept)
		whole := strings.Join(entry, "")
		add(x.words, whole, key)
		add(x.concepts, l.Stem(whole), key)
		if len(entry) > 1 {
			add(x.phrases, stems, key)
		}
	})
	if len(links[l]) == 0 {
		return x
	}
	x.parts = map[string]struct{}{}
	read(fmt.Sprintf("texts/parts/%s.txt", l), func(_ string, entry []string) {
		for _, w := range entry {
			x.parts[w], x.parts[l.Stem(w)] = struct{}{}, struct{}{}
		}
	})
	for p := range x.parts {
		x.longest = max(x.longest, len(p))
	}
	return x
}

func add(to map[string][]string, name, key string) {
	if !slices.Contains(to[name], key) {
		to[name] = append(to[name], key)
	}
}

// stems joins the stems of words with spaces.
func (l Language) stems(words []string) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = l.Stem(w)
	}
	return strings.Join(list, " ")
}

// read calls yield with every entry of a table and the name before the colon of
// its line, "" where it has none. An entry is one word, or several with
// underscores between them, folded.
func read(file string, yield func(name string, entry []string)) {
	text, err := tables.ReadFile(file)
	if err != nil {
		panic(fmt.Sprintf("analysis: %v", err))
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, list, ok := strings.Cut(line, ":")
		if !ok {
			name, list = "", line
		}
		for entry := range strings.FieldsSeq(list) {
			if words := Fold(entry); len(words) > 0 {
				yield(name, words)
			}
		}
	}
}

// Concepts returns the keys of the concepts that a folded word names in the
// language: "hjälplinje" is a helpline as "Hilfetelefon" is. Texts of all
// languages are filed under them.
func (l Language) Concepts(word string) []string {
	if l < 0 {
		return nil
	}
	return l.lexicon().concepts[l.Stem(word)]
}

// HeadConcepts returns the concepts that the last part of a compound names,
// which says what sort of thing it is.
func (l Language) HeadConcepts(word string) []string {
	if parts := l.Parts(word); len(parts) > 0 {
		return l.lexicon().concepts[parts[len(parts)-1]]
	}
	return nil
}

// Listed returns the concepts of a folded word that is listed as it stands.
func (l Language) Listed(word string) []string {
	if l < 0 {
		return nil
	}
	return l.lexicon().words[word]
}

// maxPhrase bounds the words of an entry.
const maxPhrase = 4

// Phrase tells how many of the words at the beginning of a list name concepts
// only together, as "telefon zaufania" does, and which; 0 where none do. Two
// words also count as the one that they would be if written together.
func (l Language) Phrase(words []string) (n int, concepts []string) {
	if l < 0 {
		return 0, nil
	}
	x := l.lexicon()
	for n = min(len(words), maxPhrase); n > 1; n-- {
		if concepts = x.phrases[l.stems(words[:n])]; len(concepts) > 0 {
			return n, concepts
		}
		if concepts = x.words[strings.Join(words[:n], "")]; len(concepts) > 0 {
			return n, concepts
		}
	}
	return 0, nil
}

// Nearest returns the listed words of the language that are the fewest edits
// away from a folded word, in alphabetical order; none where even these are
// more than most.
func (l Language) Nearest(word string, most int, distance func(a, b []rune) int) []string {
	if l < 0 || most <= 0 {
		return nil
	}
	var out []string
	letters := []rune(word)
	for w := range l.lexicon().words {
		if len(w) > 2*len(word)+2*most || len(word) > 2*len(w)+2*most {
			continue
		}
		other := []rune(w)
		if len(other) > len(letters)+most || len(letters) > len(other)+most {
			continue
		}
		switch d := distance(letters, other); {
		case d < most || d == most && len(out) == 0:
			out, most = []string{w}, d
		case d == most:
			out = append(out, w)
		}
	}
	slices.Sort(out)
	return out
}

// Kin returns the concepts of the listed words of the language that begin most like
// a folded word: forms of one word, which a light stemmer leaves apart, differ in
// their ends. What they share is two thirds of the longer one and five letters at
// least.
func (l Language) Kin(word string) []string {
	if l < 0 {
		return nil
	}
	letters := []rune(word)
	most := minKin - 1
	var out []string
	for w, concepts := range l.lexicon().words {
		n := 0
		size := 0
		for _, r := range w {
			if size == n && n < len(letters) && letters[n] == r {
				n++
			}
			size++
		}
		if n < most || n < minKin || 3*n < 2*max(size, len(letters)) {
			continue
		}
		if n > most {
			most, out = n, nil
		}
		for _, c := range concepts {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	slices.Sort(out)
	return out
}

// minKin is how many letters make a beginning that says enough.
const minKin = 5
