package analysis

import (
	"slices"
	"strings"
)

// Language is one of those whose inflections are understood, as its place in
// [Languages]; [Unknown] for every other.
type Language int8

// Unknown is a language whose words are found as written only.
const Unknown Language = -1

// Count is the number of the languages.
const Count = 13

var codes = [Count]string{"cs", "de", "el", "en", "fi", "fr", "it", "lt", "mt", "nl", "no", "pl", "sv"}

// Languages returns the codes of the languages whose inflections are
// understood, in alphabetical order. A text in another language is found by
// its words as written.
func Languages() []string { return slices.Clone(codes[:]) }

// Find returns the language of a BCP 47 tag, or [Unknown].
func Find(tag string) Language {
	i, ok := slices.BinarySearch(codes[:], Base(tag))
	if !ok {
		return Unknown
	}
	return Language(i)
}

// String returns the code of the language, "" for [Unknown].
func (l Language) String() string {
	if l < 0 {
		return ""
	}
	return codes[l]
}

// Base returns the first subtag of a BCP 47 tag in lower case, with the two
// written forms of Norwegian as one.
func Base(tag string) string {
	tag = strings.ToLower(strings.TrimSpace(tag))
	if i := strings.IndexAny(tag, "-_"); i >= 0 {
		tag = tag[:i]
	}
	if tag == "nb" || tag == "nn" {
		return "no"
	}
	return tag
}
