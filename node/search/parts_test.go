package search_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/search"
)

func TestSimilarTermsAreThoseOfTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	letters := []rune("abcż")
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteRune(letters[r.IntN(len(letters))])
		}
		return b.String()
	}
	for range 60 {
		var list []string
		for range 400 {
			list = append(list, word(1+r.IntN(9)))
		}
		slices.Sort(list)
		list = slices.Compact(list)
		for k := 1; k <= 2; k++ {
			w := word(3 + r.IntN(6))
			want := map[string]int{}
			for _, s := range list {
				if d := search.Distance(w, s); d <= k {
					want[s] = d
				}
			}
			if got := search.Similar(list, w, k); !maps.Equal(got, want) {
				t.Fatalf("%d edits from %q: %v, want %v", k, w, got, want)
			}
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"czat", "cazt", 1}, {"linja", "linia", 1}, {"", "abc", 3}, {"abc", "abc", 0}, {"żółw", "zółw", 1}, {"kitten", "sitting", 3}} {
		if got := search.Distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d edits, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestMergingIsLikeBuilding(t *testing.T) {
	c := corpus{words: vocabulary(300), size: 40, langs: true}
	for _, parts := range []int{2, 5, 20} {
		if got := search.MergedLikeBuilt(c.docs(1, 200), parts); got != "" {
			t.Errorf("%d parts: the merged segment differs in its %s", parts, got)
		}
	}
}

// Stems of the light stemmers, one by one: what a change moves is seen here.
func TestLightStems(t *testing.T) {
	for lang, table := range map[string]string{
		"pl": "terapia=terap terapii=terap linek=link linka=link mozliwosci=mozliwosc dzieckiem=dziec drodze=drog ma=ma dom=dom",
		"cs": "linka=link lince=link linek=link poraden=poradn deti=det praze=prah pes=pes",
		"lt": "pagalbos=pagalb vaikuose=vaik zodzio=zod skambucio=skambut as=as",
		"mt": "servizzi=servizz hsibijiet=hsib tfal=tfal linjiet=lin linja=lin",
		"el": "βοηθειασ=βοηθ παιδιων=παιδ γονεασ=γον και=και chat=chat",
	} {
		for _, pair := range strings.Fields(table) {
			word, want, _ := strings.Cut(pair, "=")
			if got := search.Stem(lang, word); got != want {
				t.Errorf("%s: %s has the stem %s, want %s", lang, word, got, want)
			}
		}
	}
}

func FuzzStemmersKeepWordsWhole(f *testing.F) {
	for _, w := range []string{"terapia", "ecec", "ieieie", "σσσ", "aeiouy", "aaaaaaaaaaaaaaaa", "ζωησ"} {
		f.Add(w)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if !utf8.ValidString(word) || len(word) > 64 || len(word) == 0 {
			return
		}
		for _, lang := range search.Languages() {
			if s := search.Stem(lang, word); s == "" || !utf8.ValidString(s) {
				t.Errorf("%s: %q has the stem %q", lang, word, s)
			}
		}
	})
}
