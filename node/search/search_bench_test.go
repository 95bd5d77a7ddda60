package search_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/search/searchtest"
)

// benchSize is how many documents are benchmarked: 10,000, or what
// WAYMARK_BENCH_DOCS says.
func benchSize() int {
	if n, err := strconv.Atoi(os.Getenv("WAYMARK_BENCH_DOCS")); err == nil && n > 0 {
		return n
	}
	return 10000
}

// benchCorpus has texts of about 1.5 kB.
func benchCorpus() corpus { return corpus{words: vocabulary(30000), size: 200, langs: true} }

func BenchmarkSearch(b *testing.B) {
	c := benchCorpus()
	x := newIndex(b, c.docs(1, benchSize())...)
	names := []string{}
	all := searchtest.Classes(c.kit())
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			took := make([]time.Duration, 0, b.N)
			b.ReportAllocs()
			hits := 0
			for i := 0; b.Loop(); i++ {
				q := all[name](i)
				q.Now = noon
				start := time.Now()
				a, err := x.Search(b.Context(), q)
				took = append(took, time.Since(start))
				if err != nil {
					b.Fatal(err)
				}
				hits += a.Total
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(hits)/float64(len(took)), "hits")
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	docs := benchCorpus().docs(1, benchSize())
	size := 0
	for _, d := range docs {
		for _, t := range d.Texts {
			size += len(t.Text)
		}
	}
	var x *search.Index
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		x = newIndex(b, docs...)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(len(docs)*b.N)/b.Elapsed().Seconds(), "docs/s")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "heap-MiB")
	b.ReportMetric(float64(size/len(docs)), "text-B/doc")
	runtime.KeepAlive(x)
	runtime.KeepAlive(docs)
}

func BenchmarkApplyOne(b *testing.B) {
	c := benchCorpus()
	n := benchSize()
	for _, background := range []bool{false, true} {
		b.Run(fmt.Sprintf("background=%v", background), func(b *testing.B) {
			x := newIndex(b, c.docs(1, n)...)
			if background {
				go x.Run(b.Context())
			}
			changes := c.docs(2, 500)
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				if err := x.Apply(search.Batch{Put: []search.Doc{changes[i%len(changes)]}}); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkFind looks a listing up by country and id.
func BenchmarkFind(b *testing.B) {
	c, n := benchCorpus(), benchSize()
	x := newIndex(b, c.docs(1, n)...)
	refs := make([]search.Ref, 1000)
	for i := range refs {
		at := i * 7919 % n
		refs[i] = search.Ref{Country: countries[at%len(countries)], ID: fmt.Sprintf("id-%06d", at)}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := x.Find(refs[i%len(refs)]); !ok {
			b.Fatal(refs[i%len(refs)], "is not there")
		}
	}
}

// BenchmarkExpand finds the forms in which the words of a question can stand in
// listings: what is done before any listing is looked at.
func BenchmarkExpand(b *testing.B) {
	c := benchCorpus()
	x := newIndex(b, c.docs(1, benchSize())...)
	long := func(i int) string {
		for ; ; i++ {
			if w := c.words[50+i%2000]; len(w) >= 8 {
				return w
			}
		}
	}
	for _, kind := range []struct {
		name string
		text func(i int) string
	}{
		{"as written", func(i int) string { return `"` + long(i) + `"` }},
		{"inflected", func(i int) string { return long(i) + " " }},
		{"one mistake", func(i int) string { w := long(i); return w[:3] + "x" + w[4:] + " mama" }},
		{"two mistakes", func(i int) string { w := long(i); return w[:2] + "x" + w[3:5] + "q" + w[6:] + " mama" }},
		{"like no word", func(int) string { return "xxqqwwyy mama" }},
		{"beginning of two letters", func(i int) string { return long(i)[:2] }},
		{"beginning of four letters", func(i int) string { return long(i)[:4] }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			forms := 0
			for i := 0; b.Loop(); i++ {
				forms += x.Forms(kind.text(i), "pl")
			}
			b.ReportMetric(float64(forms)/float64(b.N), "forms")
		})
	}
}
