package search

import (
	"slices"
	"strings"
)

// Languages returns the codes of the languages whose inflections are
// understood. A text in another language is found by its words as written.
func Languages() []string {
	return []string{"cs", "de", "el", "en", "fi", "fr", "it", "lt", "mt", "nl", "no", "pl", "sv"}
}

var languageCodes = Languages()

// languageIndex returns the place of a base language in [Languages], or -1.
func languageIndex(base string) int {
	i, ok := slices.BinarySearch(languageCodes, base)
	if !ok {
		return -1
	}
	return i
}

// baseLanguage returns the first subtag of a BCP 47 tag in lower case, with
// the two written forms of Norwegian as one.
func baseLanguage(tag string) string {
	tag = strings.ToLower(strings.TrimSpace(tag))
	if i := strings.IndexAny(tag, "-_"); i >= 0 {
		tag = tag[:i]
	}
	if tag == "nb" || tag == "nn" {
		return "no"
	}
	return tag
}
