package fiction_test

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

// marks are what all names of a language share that says they are invented.
var marks = map[string]string{
	"pl": "fikcyjn", "de": "erfunden", "it": "fittizi", "el": "φανταστικ", "en": "fictional", "cs": "smyšlen",
	"nl": "verzonnen", "fr": "ficti", "lt": "išgalvot", "no": "oppdikt", "sv": "påhitta", "fi": "kuvitteelli", "mt": "fittizj",
}

// small are frequent words of a language that its neighbours do not have all of.
var small = map[string][]string{
	"pl": {"lub", "się", "dla", "jest", "możesz"}, "de": {"und", "die", "nicht", "wir", "sie"},
	"it": {"che", "di", "per", "non", "una"}, "el": {"και", "για", "που", "σας", "την"},
	"en": {"the", "you", "and", "with", "what"}, "cs": {"pro", "nebo", "můžete", "které", "vás"},
	"nl": {"een", "het", "voor", "niet", "zich"}, "fr": {"vous", "les", "des", "une", "pour"},
	"lt": {"ir", "kad", "kas", "arba", "galite"}, "no": {"ikke", "som", "deg", "til", "og"},
	"sv": {"och", "inte", "som", "för", "att"}, "fi": {"ja", "voit", "jotka", "ovat", "tai"},
	"mt": {"jew", "ma", "tista'", "għal", "dwar"},
}

// TestTextsAreInTheirLanguage finds, over the texts of each country's
// languages, the small words of that language, and its mark in every name.
func TestTextsAreInTheirLanguage(t *testing.T) {
	found := map[string]map[string]bool{} // by country and language
	each(t, sample, func(t *testing.T, country string, i int, doc listing.Document) {
		l := typed(t, doc)
		tag := l.Languages[0].Code
		key := country + " " + tag
		if found[key] == nil {
			found[key] = map[string]bool{}
		}
		for _, w := range strings.FieldsFunc(strings.ToLower(l.Description), notInWord) {
			found[key][w] = true
		}
		for _, name := range []string{l.Name, l.Organization.Name} {
			if !strings.Contains(name, marks[tag]) {
				t.Errorf("%s %d: %q does not say that it is invented", country, i, name)
			}
		}
		for other, texts := range l.Translations {
			if other == tag || !strings.Contains(texts["name"].Text, marks[other]) {
				t.Errorf("%s %d: the translation from %s to %s is %q", country, i, tag, other, texts["name"].Text)
			}
			if breach, ok := texts["channels.c1.breach.text"]; ok && breach.By != "human" {
				t.Errorf("%s %d: what would make them tell someone is translated by a %s", country, i, breach.By)
			}
		}
	})
	for _, country := range fiction.Countries() {
		for _, tag := range fiction.Languages(country) {
			for _, w := range small[tag] {
				if !found[country+" "+tag][w] {
					t.Errorf("%s: no text in %s has the word %q", country, tag, w)
				}
			}
			if len(fiction.Words(tag)) < 10 || fiction.CrisisNote(tag) == "" || fiction.LawNote(tag) == "" {
				t.Errorf("%s: words or notes in %s are missing", country, tag)
			}
		}
	}
}

func notInWord(r rune) bool { return !unicode.IsLetter(r) && r != '\'' }

// TestWordFiles: every language has the same keys in the same order with as many
// variants, and patterns keep their place holder.
func TestWordFiles(t *testing.T) {
	want := keys(t, "en")
	for tag := range marks {
		got := keys(t, tag)
		if len(got) != len(want) {
			t.Fatalf("%s has %d texts, want %d", tag, len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: text %d is %q, want %q", tag, i, got[i], want[i])
			}
		}
	}
}

// keys returns the keys of a language's texts, with "%" behind those that hold
// a place holder.
func keys(t *testing.T, tag string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join("words", tag+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var keys []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, text, ok := strings.Cut(lines.Text(), " ")
		if key == "#" {
			continue
		}
		if !ok || strings.TrimSpace(text) != text || text == "" {
			t.Errorf("%s: %q is no key and text", tag, lines.Text())
		}
		for _, holder := range []string{"%s", "%d"} {
			if n := strings.Count(text, holder); n > 0 {
				key += strings.Repeat(holder, n)
			}
		}
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return keys
}

// banned are labels that no text may give to a person.
var banned = []string{
	"pedophil", "paedophil", "pädophil", "pedofil", "pédophil", "pedofiil", "παιδόφιλ", "παιδεραστ", "pedofilij",
	"offender", "predator", "perpetrator", "täter", "daders", "gärningsman", "pornograph", "pornograf", "πορνογραφ", "pornogrāf",
}

func TestNobodyIsLabelled(t *testing.T) {
	for tag := range marks {
		text, err := os.ReadFile(filepath.Join("words", tag+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		lower := strings.ToLower(string(text))
		for _, word := range banned {
			if strings.Contains(lower, word) {
				t.Errorf("%s: a text says %q", tag, word)
			}
		}
	}
}
