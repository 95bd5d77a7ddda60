package search_test

import (
	"slices"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/search/searchtest"
)

var noon = searchtest.Noon

const today = searchtest.Today

var (
	countries = searchtest.Countries
	audiences = searchtest.Audiences
	channels  = searchtest.Channels
	anonymity = searchtest.Anonymities
	costs     = searchtest.Costs
	formats   = searchtest.Formats
)

func vocabulary(n int) []string { return searchtest.Vocabulary(n) }

type corpus struct {
	words []string
	size  int // words of a text
	langs bool
}

func (c corpus) kit() searchtest.Corpus {
	return searchtest.Corpus{Words: c.words, Size: c.size, Langs: c.langs}
}

func (c corpus) doc(seed uint64, i int) search.Doc { return spoken(c.kit().Doc(seed, i), i) }

func (c corpus) docs(seed uint64, n int) []search.Doc {
	list := c.kit().Docs(seed, n)
	for i := range list {
		list[i] = spoken(list[i], i)
	}
	return list
}

// spoken makes some documents serve those who speak a language, wherever they are.
func spoken(d search.Doc, i int) search.Doc {
	if i%7 == 0 && len(d.Languages) > 0 {
		d.Communities = d.Languages[:1]
	}
	return d
}

func newIndex(t testing.TB, docs ...search.Doc) *search.Index {
	t.Helper()
	x, err := search.New(search.Options{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Apply(search.Batch{Put: docs}); err != nil {
		t.Fatal(err)
	}
	return x
}

func ask(t testing.TB, x *search.Index, q search.Query) search.Answer {
	t.Helper()
	if q.Now.IsZero() {
		q.Now = noon
	}
	a, err := x.Search(t.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return a
}

func ids(a search.Answer) []string {
	out := []string{}
	for _, h := range a.Hits {
		out = append(out, h.ID)
	}
	return out
}

func found(t testing.TB, x *search.Index, q search.Query) []string {
	t.Helper()
	out := ids(ask(t, x, q))
	slices.Sort(out)
	return out
}
