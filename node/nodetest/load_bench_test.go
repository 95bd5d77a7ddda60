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
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/nodetest"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
	"github.com/2ps-project/waymark/node/search"
)

// BenchmarkLoad asks a whole node over HTTP, with 4 clients on the same cores, what
// readers of the search API ask, after a start of that node. It tells queries per
// second, what one takes of the processors (the clients' part included), p50 and p99;
// how long the start took until the first answer; what the node takes in memory (of
// its own, and of files that are mapped) and its directory on disk.
//
// WAYMARK_LISTINGS sets the number of listings; 10,000 otherwise. WAYMARK_DIR names a
// directory in which the node is kept for the next run: importing takes longest.
func BenchmarkLoad(b *testing.B) {
	ctx := context.Background()
	o := loadNode(b)
	base := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(o.BasePort)) + "/api/search?"
	first := make(chan time.Duration, 1)
	start := time.Now()
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
	f, err := nodetest.Start(ctx, o)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Stop()
	firstAnswer := <-first
	settle()

	questions := make([]string, 0, 6)
	for _, q := range []url.Values{
		{"q": {"anonimowy czat"}, "country": {"PL"}, "cost": {"free"}},
		{"anonymity": {"full"}, "channel": {"phone", "live_chat"}},
		{"lat": {"52.2"}, "lon": {"21.0"}, "radius_km": {"100"}},
		{"q": {"telefn"}, "language": {"pl"}},
		{"q": {"pom"}, "language": {"pl"}},
		{"country": {"PL"}, "open_now": {"true"}},
	} {
		questions = append(questions, base+q.Encode())
	}
	const clients, each = 4, 150
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	var times [clients][]time.Duration
	used := processor()
	for b.Loop() { // 600 questions
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() {
				for i := range each {
					start := time.Now()
					res, err := client.Get(questions[(i+c)%len(questions)])
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					if res.StatusCode != http.StatusOK {
						b.Errorf("%s: %s", questions[(i+c)%len(questions)], res.Status)
						return
					}
					times[c] = append(times[c], time.Since(start))
				}
			})
		}
		wg.Wait()
	}
	used = processor() - used
	all := slices.Concat(times[:]...)
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "queries/s")
	b.ReportMetric(float64(used.Microseconds())/float64(len(all)), "us-cpu/query")
	b.ReportMetric(percentile(all, 0.5), "ms-p50")
	b.ReportMetric(percentile(all, 0.99), "ms-p99")
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

// BenchmarkWrite publishes one listing more in the node of [BenchmarkLoad]: until that
// is acknowledged, and until search finds it by its name. A feed has 80 heads a minute
// and then waits: run it with -benchtime 60x.
func BenchmarkWrite(b *testing.B) {
	ctx := context.Background()
	f, err := nodetest.Start(ctx, loadNode(b))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Stop()
	settle()
	n := f.Nodes()[0]
	var acknowledged, found []time.Duration
	for b.Loop() {
		b.StopTimer()
		id := uuid.NewString()
		doc := fiction.Listing(7, "PL", 1, day)
		doc["id"], doc["status"], doc["name"] = id, "active", "Probe "+strings.ReplaceAll(id, "-", "")
		delete(doc, "companions")
		raw := doc.JSON()
		b.StartTimer()
		start := time.Now()
		one := func(yield func(control.Row, error) bool) { yield(control.Row{Where: "1", Document: raw}, nil) }
		report, err := n.Admin().Import(ctx, one, control.ImportOptions{Publish: true})
		if err != nil || report.Published != 1 {
			b.Fatal(err, report)
		}
		acknowledged = append(acknowledged, time.Since(start))
		for {
			a, err := n.Search(ctx, search.Query{Text: strings.ReplaceAll(id, "-", ""), Language: "pl", Professional: true})
			if err != nil {
				b.Fatal(err)
			}
			if a.Total == 1 && a.Hits[0].ID == id {
				break
			}
		}
		found = append(found, time.Since(start))
	}
	b.ReportMetric(percentile(acknowledged, 0.5), "ms-acknowledged-p50")
	b.ReportMetric(percentile(found, 0.5), "ms-found-p50")
	b.ReportMetric(percentile(found, 0.99), "ms-found-p99")
}

// loadNode makes a node with many listings that is stopped, or finds the one of an
// earlier run.
func loadNode(b *testing.B) nodetest.DemoOptions {
	count := 10_000
	if n, err := strconv.Atoi(os.Getenv("WAYMARK_LISTINGS")); err == nil {
		count = n
	}
	o := nodetest.DemoOptions{Countries: []string{"PL"}, Listings: 1, Dir: os.Getenv("WAYMARK_DIR")}
	if o.Dir == "" {
		o.Dir = b.TempDir()
	}
	made := filepath.Join(o.Dir, "port") // the configuration of the node names it
	if text, err := os.ReadFile(made); err == nil {
		if o.BasePort, err = strconv.Atoi(string(text)); err != nil {
			b.Fatal(err)
		}
		return o
	}
	o.BasePort = freeBase(b, 1)
	f, err := nodetest.Start(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	start, used := time.Now(), processor()
	report, err := f.Nodes()[0].Admin().Import(context.Background(), rows("PL", 10, count), control.ImportOptions{Publish: true})
	if err != nil || len(report.Refused) > 0 {
		b.Fatal(err, report.Refused)
	}
	b.Logf("%d listings imported and published in %s, %s of the processors", count, time.Since(start).Round(time.Millisecond), (processor() - used).Round(time.Millisecond))
	if err := f.Stop(); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(made, []byte(strconv.Itoa(o.BasePort)), 0o600); err != nil {
		b.Fatal(err)
	}
	return o
}

// processor is what this process has used of the processors; zero where the system
// does not tell.
func processor() time.Duration {
	stat, err := os.ReadFile("/proc/self/stat") // proc(5): utime and stime, in hundredths of a second
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// settle waits until what a node does after its start is over: until the process
// rests, for two minutes at most.
func settle() {
	for range 120 {
		before := processor()
		time.Sleep(time.Second)
		if processor()-before <= 50*time.Millisecond {
			return
		}
	}
}

// size is how long the files of a directory are: some 48 MiB more than what they
// take on disk, since the logs of the database are sparse.
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
