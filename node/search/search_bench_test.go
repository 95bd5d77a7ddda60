package search_test

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
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

// BenchmarkLarge asks an index that lies in WAYMARK_DIR and is made there when it does
// not, 1,000,000 documents unless WAYMARK_BENCH_DOCS says otherwise: a run that is ended
// goes on where it was. It tells p50 and p99 of each class, and what is resident
// afterwards: of its own, and of files that are mapped.
func BenchmarkLarge(b *testing.B) {
	dir := os.Getenv("WAYMARK_DIR")
	if dir == "" {
		b.Skip("WAYMARK_DIR names no directory in which to keep the index")
	}
	n := 1_000_000
	if os.Getenv("WAYMARK_BENCH_DOCS") != "" {
		n = benchSize()
	}
	x, err := search.New(search.Options{Dir: dir, Now: func() time.Time { return noon }})
	if err != nil {
		b.Fatal(err)
	}
	c := benchCorpus().kit()
	const batch, saved = 5000, 50_000
	from, _ := strconv.Atoi(string(x.State()))
	start, begun := time.Now(), from
	for from < n {
		var docs []search.Doc
		for range batch {
			docs = append(docs, c.Doc(1, from))
			from++
		}
		if err := x.Apply(search.Batch{Put: docs}); err != nil {
			b.Fatal(err)
		}
		if from%saved == 0 || from >= n {
			if from >= n {
				x.Settle(b.Context())
			}
			if err := x.Save([]byte(strconv.Itoa(from))); err != nil {
				b.Fatal(err)
			}
		}
	}
	if from > begun {
		b.Logf("%d documents made and filed, %.0f a second", from-begun, float64(from-begun)/time.Since(start).Seconds())
	}
	all := searchtest.Classes(c)
	for _, class := range slices.Sorted(maps.Keys(all)) {
		b.Run(class, func(b *testing.B) {
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				q := all[class](i)
				q.Now = noon
				start := time.Now()
				if _, err := x.Search(b.Context(), q); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
	debug.FreeOSMemory()
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Rss") || strings.HasPrefix(line, "VmHWM") {
			b.Log(strings.TrimSpace(line))
		}
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
