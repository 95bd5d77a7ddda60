package peerbench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/search/searchtest"
)

// peer answers questions of the classes of [searchtest.Classes].
type peer interface {
	ask(class string, q search.Query) (total int, err error)
	find(country, id string) (bool, error)
}

type own struct{ x *search.Index }

func (o own) ask(_ string, q search.Query) (int, error) {
	a, err := o.x.Search(context.Background(), q)
	return a.Total, err
}

func (o own) find(country, id string) (bool, error) {
	_, ok := o.x.Find(search.Ref{Country: country, ID: id})
	return ok, nil
}

// clock is the time by the wall, or with WAYMARK_BENCH_CPU=1 that which the process
// has used of the processors: on a busy machine only that says something about
// the slowest in a hundred.
func clock(b *testing.B) time.Duration {
	if os.Getenv("WAYMARK_BENCH_CPU") != "1" {
		return time.Since(begun)
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

var begun = time.Now()

// reading is what reading the clock itself takes: the least of many.
func reading(b *testing.B) time.Duration {
	least := time.Second
	for range 1000 {
		start := clock(b)
		least = min(least, clock(b)-start)
	}
	return least
}

// BenchmarkPeers prints, less what reading the clock takes, p50 and p99 of each, and how many times slower than this
// search the others are. Of the ladder the others are spared "open now"; of the
// facets SQLite counts all over the answer, none without its own filter.
func BenchmarkPeers(b *testing.B) {
	n := 10000
	if v, err := strconv.Atoi(os.Getenv("WAYMARK_BENCH_DOCS")); err == nil && v > 0 {
		n = v
	}
	bleveToo := os.Getenv("WAYMARK_BENCH_BLEVE") != "0" // it takes longest
	c := searchtest.Corpus{Words: searchtest.Vocabulary(30000), Size: 200, Langs: true}
	x, err := search.New(search.Options{Dir: b.TempDir(), Now: func() time.Time { return searchtest.Noon }})
	if err != nil {
		b.Fatal(err)
	}
	lite, blv := newSQLite(b), newBleve(b)
	var took [3]time.Duration
	for from := 0; from < n; from += 2000 {
		var batch search.Batch
		for i := from; i < min(from+2000, n); i++ {
			d := c.Doc(1, i)
			d.ProfessionalsOnly = false
			batch.Put = append(batch.Put, d)
		}
		for i, add := range []func() error{func() error { return x.Apply(batch) }, func() error { return lite.add(batch.Put) }, func() error { return blv.add(batch.Put) }} {
			start := clock(b)
			if i == 2 && !bleveToo {
				continue
			}
			if err := add(); err != nil {
				b.Fatal(err)
			}
			took[i] += clock(b) - start
		}
	}
	start := clock(b)
	x.Settle(b.Context())
	if err := x.Save(nil); err != nil {
		b.Fatal(err)
	}
	took[0] += clock(b) - start
	start = clock(b)
	if err := lite.settle(); err != nil {
		b.Fatal(err)
	}
	took[1] += clock(b) - start
	names := []string{"waymark", "SQLite FTS5 " + lite.version(), "bleve v2.6.3"}
	all := searchtest.Classes(c)
	peers := []peer{own{x}, lite, blv}
	if !bleveToo {
		peers = peers[:2]
	}
	for i, name := range names[:len(peers)] {
		b.Logf("%-22s built %d documents, %.0f a second", name, n, float64(n)/took[i].Seconds())
	}
	for _, class := range []string{"words+facets", "facets", "radius", "fuzzy", "prefix", "countries", "by id"} {
		b.Run(class, func(b *testing.B) {
			var times [3][]time.Duration
			var totals [3]int
			own := reading(b)
			for i := 0; b.Loop(); i++ {
				for j, p := range peers {
					var total int
					var err error
					var start time.Duration
					if class == "by id" {
						at := (i * 7919) % n
						country, id := searchtest.Countries[at%len(searchtest.Countries)], fmt.Sprintf("id-%06d", at)
						start = clock(b)
						found, ferr := p.find(country, id)
						if err = ferr; found {
							total = 1
						}
					} else {
						q := all[class](i)
						q.OpenNow, q.Now = false, searchtest.Noon
						start = clock(b)
						total, err = p.ask(class, q)
					}
					times[j] = append(times[j], max(clock(b)-start-own, 1))
					if err != nil {
						b.Fatalf("%s: %v", names[j], err)
					}
					totals[j] += total
				}
			}
			unit := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
			for j, short := range []string{"own", "sqlite", "bleve"}[:len(peers)] {
				slices.Sort(times[j])
				p50, p99 := times[j][len(times[j])/2], times[j][len(times[j])*99/100]
				b.ReportMetric(unit(p50), short+"-p50-ms")
				b.ReportMetric(unit(p99), short+"-p99-ms")
				if j > 0 {
					b.ReportMetric(unit(p50)/unit(times[0][len(times[0])/2]), short+"-p50-times")
					b.ReportMetric(unit(p99)/unit(times[0][len(times[0])*99/100]), short+"-p99-times")
				}
			}
			if !testing.Short() {
				b.Logf("%s: answers of %d, %d and %d listings", class, totals[0], totals[1], totals[2])
			}
		})
	}
}
