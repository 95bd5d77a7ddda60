package analysis_test

import (
	"os"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// BenchmarkTerms analyses the texts of the demonstration in each language, as
// an index does that knows each word after it has met it ("known") and as one
// that has never met any ("new"). A listing has about 1.7 kB of text.
func BenchmarkTerms(b *testing.B) {
	for _, lang := range analysis.Languages() {
		raw, err := os.ReadFile("../../nodetest/fiction/words/" + lang + ".txt")
		if err != nil {
			b.Fatal(err)
		}
		text := strings.Repeat(string(raw), 4)
		l := analysis.Find(lang)
		b.Run(lang+"/new", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				analysis.Words(text, func(w []byte) { l.Terms(string(w), func(string) {}) })
			}
		})
		b.Run(lang+"/known", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			known := map[string]bool{}
			for b.Loop() {
				analysis.Words(text, func(w []byte) {
					if !known[string(w)] {
						known[string(w)] = true
						l.Terms(string(w), func(string) {})
					}
				})
			}
		})
	}
}
