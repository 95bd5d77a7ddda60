package nodetest_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/nodetest"
)

// BenchmarkLoad asks a whole node over HTTP, with 4 clients on the same cores, what
// readers of the search API ask; then the node starts again. It tells queries per second and their p50 and
// p99, how long the start took until the first answer, what the node takes in memory (of its own, and
// of files that are mapped) and its directory on disk. WAYMARK_LISTINGS sets
// the number of listings; 10,000 otherwise.
func BenchmarkLoad(b *testing.B) {
	count := 10_000
	if n, err := strconv.Atoi(os.Getenv("WAYMARK_LISTINGS")); err == nil {
		count = n
	}
	ctx := context.Background()
	o := nodetest.DemoOptions{Countries: []string{"PL"}, Listings: 1, Dir: b.TempDir(), BasePort: freeBase(b, 1)}
	f, err := nodetest.Start(ctx, o)
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	report, err := f.Nodes()[0].Admin().Import(ctx, rows("PL", 10, count), control.ImportOptions{Publish: true})
	if err != nil || len(report.Refused) > 0 {
		b.Fatal(err, report.Refused)
	}
	b.Logf("%d listings imported and published in %s", count, time.Since(start).Round(time.Millisecond))
	if err := f.Stop(); err != nil {
		b.Fatal(err)
	}

	base := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(o.BasePort)) + "/api/search?"
	first := make(chan time.Duration, 1)
	start = time.Now()
	go func() { // as a reader who does not stop trying
		for {
			res, err := http.Get(base + "q=czat")
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode == http.StatusOK {
					first <- time.Since(start)
					return
				}
			}
			time.Sleep(2 * time.Millisecond) // a refused connection costs nothing; there is nothing to wait on
		}
	}()
	if f, err = nodetest.Start(ctx, o); err != nil {
		b.Fatal(err)
	}
	defer f.Stop()
	firstAnswer := <-first

	questions := []url.Values{
		{"q": {"anonimowy czat"}, "country": {"PL"}, "cost": {"free"}},
		{"anonymity": {"full"}, "channel": {"phone", "live_chat"}},
		{"lat": {"52.2"}, "lon": {"21.0"}, "radius_km": {"100"}},
		{"q": {"telefn"}, "language": {"pl"}},
		{"q": {"pom"}, "language": {"pl"}},
		{"country": {"PL"}, "open_now": {"true"}},
	}
	const clients = 4
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	var mu sync.Mutex
	var times []time.Duration
	next := 0
	b.ResetTimer()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= b.N {
					return
				}
				start := time.Now()
				res, err := client.Get(base + questions[i%len(questions)].Encode())
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK {
					b.Errorf("%v: %s", questions[i%len(questions)], res.Status)
					return
				}
				mu.Lock()
				times = append(times, time.Since(start))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(len(times))/b.Elapsed().Seconds(), "queries/s")
	b.ReportMetric(percentile(times, 0.5), "ms-p50")
	b.ReportMetric(percentile(times, 0.99), "ms-p99")
	b.ReportMetric(firstAnswer.Seconds(), "s-to-first-answer")
	debug.FreeOSMemory()
	status, _ := os.ReadFile("/proc/self/status")
	for _, x := range [][2]string{{"RssAnon", "MiB-own"}, {"RssFile", "MiB-mapped"}} {
		if m := regexp.MustCompile(x[0] + `:\s+(\d+) kB`).FindSubmatch(status); m != nil {
			kb, _ := strconv.Atoi(string(m[1]))
			b.ReportMetric(float64(kb)/1024, x[1])
		}
	}
	for _, part := range []string{"index", "store"} {
		b.ReportMetric(float64(size(b, filepath.Join(o.Dir, "PL", part)))/(1<<20), "MiB-disk-"+part)
	}
}

// size is what a directory takes on disk.
func size(b *testing.B, dir string) (n int64) {
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(fmt.Errorf("measure %s: %w", dir, err))
	}
	return n
}
