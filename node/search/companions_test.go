package search_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/2ps-project/waymark/node/search"
)

// told is a hit with those that stand with it.
func told(h search.Hit) string { return fmt.Sprint(h.Ref, h.Together) }

// standing is what an answer is with companions together, made of the flat one.
func standing(flat []search.Ref, names map[search.Ref][]string) (list []string, listings int) {
	taken := map[search.Ref]bool{}
	for i, r := range flat {
		if taken[r] {
			continue
		}
		var with []search.Ref
		for k := -1; k < len(with); k++ { // it and whoever stands with it
			by := r
			if k >= 0 {
				by = with[k]
			}
			for _, other := range flat[i+1:] { // the best first
				named := slices.Contains(names[by], other.ID) && (other.Country == by.Country || !slices.Contains(flat, search.Ref{Country: by.Country, ID: other.ID}))
				if named && !taken[other] && len(with) < search.MaxTogether {
					taken[other] = true
					with = append(with, other)
				}
			}
		}
		list = append(list, fmt.Sprint(r, with))
		listings += 1 + len(with)
	}
	return list, listings
}

// Companions that both answer a question have one place, that of the first, whatever
// the question and its order are, on however many segments they lie and how the list
// is divided into pages; and everybody stands once.
func TestCompanionsHaveOnePlace(t *testing.T) {
	c := corpus{words: vocabulary(200), size: 20}
	r := rand.New(rand.NewPCG(7, 7))
	docs := c.docs(1, 600)
	names := map[search.Ref][]string{}
	for i := 0; i < len(docs); i += 1 + r.IntN(4) {
		d := &docs[i]
		for range 1 + r.IntN(7)*r.IntN(2) { // some name more than can stand together
			other := &docs[r.IntN(len(docs))]
			d.Companions = append(d.Companions, other.ID)
			if r.IntN(3) > 0 {
				other.Companions = append(other.Companions, d.ID)
			}
		}
		d.Companions = append(d.Companions, d.ID, "nobody")
	}
	for i := range docs {
		names[search.Ref{Country: docs[i].Country, ID: docs[i].ID}] = docs[i].Companions
	}
	x := newIndex(t)
	for part := range slices.Chunk(docs, 70) { // segments of their own
		if err := x.Apply(search.Batch{Put: part}); err != nil {
			t.Fatal(err)
		}
	}
	stood := 0
	for name, q := range map[string]search.Query{
		"everything":      {From: "DE", Language: "de", Professional: true},
		"for everybody":   {From: "PL", Language: "pl"},
		"words":           {Text: c.words[0], Language: "en"},
		"several words":   {Text: c.words[0] + " " + c.words[1] + " " + c.words[2], Language: "de", From: "PL"},
		"by id":           {Order: search.ByID, Professional: true},
		"by distance":     {Order: search.ByDistance, Near: &search.Point{Latitude: 52, Longitude: 13}},
		"one country":     {Countries: []string{"PL"}, Language: "pl"},
		"what nobody has": {Text: "qqqqqqqq"},
	} {
		t.Run(name, func(t *testing.T) {
			var flat []search.Ref
			q.PerPage = search.MaxPerPage
			whole := ask(t, x, q)
			for q.Page, q.Snapshot = 1, whole.Snapshot; len(flat) < whole.Total; q.Page++ {
				for _, h := range ask(t, x, q).Hits {
					if len(h.Together) > 0 {
						t.Fatalf("nobody asked, and %s", told(h))
					}
					flat = append(flat, h.Ref)
				}
			}
			if whole.Places != whole.Total {
				t.Errorf("%d places of %d listings", whole.Places, whole.Total)
			}
			want, listings := standing(flat, names)
			if listings != whole.Total {
				t.Fatalf("%d of %d stand somewhere", listings, whole.Total)
			}
			stood += whole.Total - len(want)
			q.Together = true
			for _, q.PerPage = range []int{7, 20, 100} {
				var have []string
				for q.Page = 1; ; q.Page++ {
					a := ask(t, x, q)
					if a.Total != whole.Total || a.Places != len(want) {
						t.Fatalf("page %d: %d listings at %d places, want %d at %d", q.Page, a.Total, a.Places, whole.Total, len(want))
					}
					for _, h := range a.Hits {
						have = append(have, told(h))
					}
					if left := len(want) - len(have); left > 0 && len(a.Hits) != q.PerPage || left <= 0 {
						break
					}
				}
				if !slices.Equal(have, want) {
					t.Errorf("in pages of %d:\n%v\nwant\n%v", q.PerPage, have, want)
				}
			}
		})
	}
	if stood < 100 {
		t.Errorf("only %d stand with another: the corpus says too little", stood)
	}
}

// Companions are found by no word, and their ids count as none.
func TestCompanionsAreNoWords(t *testing.T) {
	text := []search.Text{{Language: "en", Text: "somewhere"}}
	x := newIndex(t, search.Doc{ID: "a", Country: "PL", Texts: text, Companions: []string{"bravo"}}, search.Doc{ID: "bravo", Country: "PL", Texts: text})
	for _, words := range []string{"bravo", "bra", "\x01\x02bravo", "brabo"} {
		if a := ask(t, x, search.Query{Text: words, Language: "en"}); a.Total != 0 {
			t.Errorf("%q finds %d", words, a.Total)
		}
	}
	if a := ask(t, x, search.Query{Text: "somewhere", Together: true}); a.Places != 1 || a.Total != 2 || told(a.Hits[0]) != "{PL a} [{PL bravo}]" {
		t.Errorf("%+v", a)
	}
}
