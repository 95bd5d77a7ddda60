package search_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/2ps-project/waymark/node/search"
)

// keyed makes an index in several segments, some of whose listings are gone.
func keyed(t *testing.T) *search.Index {
	t.Helper()
	x, err := search.New(search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	apply := func(b search.Batch) {
		if err := x.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	for part := range 3 {
		var docs []search.Doc
		for i := part; i < 60; i += 3 {
			docs = append(docs, search.Doc{
				ID: fmt.Sprintf("id%02d", i), Country: []string{"PL", "DE"}[i%2],
				Texts:             []search.Text{{Language: "en", Text: fmt.Sprintf("word%d organization", i%4)}},
				Keys:              []string{fmt.Sprintf("o/%d", i%7), fmt.Sprintf("m/2026-%02d", 1+i%12), fmt.Sprintf("s/%d", i)},
				ProfessionalsOnly: i%10 == 9,
			})
		}
		apply(search.Batch{Put: docs})
	}
	apply(search.Batch{Delete: []search.Ref{{Country: "PL", ID: "id00"}, {Country: "DE", ID: "id07"}}})
	return x
}

func TestKeys(t *testing.T) {
	x := keyed(t)
	gone := map[int]bool{0: true, 7: true}
	tests := map[string]struct {
		q    search.Query
		want func(i int) bool
	}{
		"one key":            {search.Query{Keys: []search.KeyFilter{{Any: []string{"o/3"}}}}, func(i int) bool { return i%7 == 3 }},
		"either key":         {search.Query{Keys: []search.KeyFilter{{Any: []string{"o/3", "o/5"}}}}, func(i int) bool { return i%7 == 3 || i%7 == 5 }},
		"two filters":        {search.Query{Keys: []search.KeyFilter{{Any: []string{"o/3"}}, {Any: []string{"m/2026-02"}}}}, func(i int) bool { return i%7 == 3 && i%12 == 1 }},
		"a range":            {search.Query{Keys: []search.KeyFilter{{From: "m/2026-10", To: "m/~"}}}, func(i int) bool { return i%12 >= 9 }},
		"a range to its end": {search.Query{Keys: []search.KeyFilter{{From: "m/", To: "m/2026-02"}}}, func(i int) bool { return i%12 == 0 }},
		"nothing has it":     {search.Query{Keys: []search.KeyFilter{{Any: []string{"o/9"}}}}, func(int) bool { return false }},
		"an empty filter":    {search.Query{Keys: []search.KeyFilter{{}}}, func(int) bool { return false }},
		"with words":         {search.Query{Text: "word2", Keys: []search.KeyFilter{{Any: []string{"o/3"}}}}, func(i int) bool { return i%4 == 2 && i%7 == 3 }},
		"with a country":     {search.Query{Countries: []string{"DE"}, Keys: []search.KeyFilter{{Any: []string{"o/3"}}}}, func(i int) bool { return i%2 == 1 && i%7 == 3 }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var want []search.Ref
			keys := map[string]bool{}
			for i := range 60 {
				if !gone[i] && i%10 != 9 && test.want(i) {
					want = append(want, search.Ref{Country: []string{"PL", "DE"}[i%2], ID: fmt.Sprintf("id%02d", i)})
					keys[fmt.Sprint(i%7)] = true
				}
			}
			slices.SortFunc(want, func(a, b search.Ref) int {
				return slices.Compare([]string{a.Country, a.ID}, []string{b.Country, b.ID})
			})
			refs, token, err := x.Whole(context.Background(), test.q)
			if err != nil || !slices.Equal(refs, want) {
				t.Errorf("refs %v, want %v (%v)", refs, want, err)
			}
			test.q.PerPage = 100
			a, err := x.Search(context.Background(), test.q)
			if err != nil || a.Total != len(want) {
				t.Errorf("total %d, want %d (%v)", a.Total, len(want), err)
			}
			test.q.Snapshot = token
			got, _, err := x.Keys(context.Background(), test.q, "o/")
			if err != nil || !slices.Equal(got, slices.Sorted(maps.Keys(keys))) {
				t.Errorf("keys %v, want %v (%v)", got, keys, err)
			}
		})
	}
	if ref, ok, err := x.KeyOwner(context.Background(), search.Query{}, "s/8"); err != nil || !ok || ref != (search.Ref{Country: "PL", ID: "id08"}) {
		t.Errorf("owner %v %t %v", ref, ok, err)
	}
	if _, ok, err := x.KeyOwner(context.Background(), search.Query{}, "s/7"); err != nil || ok {
		t.Errorf("the owner of what is gone: %t %v", ok, err)
	}
}

// TestKeysAreNoWords: whatever a reader writes, it does not find keys.
func TestKeysAreNoWords(t *testing.T) {
	x := keyed(t)
	for _, text := range []string{"o/3", "o", "s/8", "\x01\x01s/8", "2026-02", `"m 2026"`, "m"} {
		a, err := x.Search(context.Background(), search.Query{Text: text})
		if err != nil {
			t.Fatal(err)
		}
		if a.Total != 0 && text != "o" { // the beginning of organization
			t.Errorf("%q finds %d listings", text, a.Total)
		}
	}
}
