package nodetest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/node"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/nodetest"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

// BenchmarkFirstCopy is an empty node that joins and copies a country's
// listings, from its start until all are verified and found, on the same cores
// as the sender. WAYMARK_LISTINGS sets their number; 100,000 otherwise.
func BenchmarkFirstCopy(b *testing.B) {
	count := 100_000
	if n, err := strconv.Atoi(os.Getenv("WAYMARK_LISTINGS")); err == nil {
		count = n
	}
	ctx := context.Background()
	port := freeBase(b, 2)
	f, err := nodetest.Start(ctx, nodetest.DemoOptions{Countries: []string{"PL"}, Dir: b.TempDir(), BasePort: port})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Stop()
	pl := f.Nodes()[0]
	start := time.Now()
	report, err := pl.Admin().Import(ctx, rows("PL", 0, count), control.ImportOptions{Publish: true})
	if err != nil || len(report.Refused) > 0 {
		b.Fatal(err, report.Refused)
	}
	b.Logf("%d listings imported and published in %s", count, time.Since(start))
	st, err := pl.Admin().Status(ctx)
	if err != nil {
		b.Fatal(err)
	}
	shown := st.Listings
	var took []time.Duration
	peak := uint64(0)
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		dir := filepath.Join(b.TempDir(), fmt.Sprint(i))
		c := config.Default()
		c.Country, c.Operator = "DE", fiction.Operator("DE")
		if err := c.UseBasePort(port + 10); err != nil {
			b.Fatal(err)
		}
		if i > 0 {
			b.Skip("a country joins once; run it with -benchtime 1x")
		}
		if err := node.Init(dir, c); err != nil {
			b.Fatal(err)
		}
		inv, err := pl.Admin().Invite(ctx, "DE", 0)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := node.Join(ctx, dir, c, inv.Code); err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		start := time.Now()
		ctx, cancel := context.WithCancel(ctx)
		de, err := node.New(node.Options{Dir: dir, Config: c})
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- de.Run(ctx) }()
		<-de.Ready()
		for tick := time.NewTicker(500 * time.Millisecond); ; <-tick.C {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
			if st, err := de.Admin().Status(ctx); err == nil && st.Listings == shown {
				break
			}
		}
		took = append(took, time.Since(start))
		var received, sent uint64
		for _, t := range de.Traffic() {
			received, sent = received+t.Received, sent+t.Sent
		}
		b.ReportMetric(float64(received+sent)/(1<<20), "MiB-traffic")
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(percentile(took, 0.5)/1000, "s-copied")
	b.ReportMetric(float64(peak)/(1<<20), "MiB-heap-of-both")
}

// BenchmarkWelcome is a newcomer in a federation of fourteen countries with 1,000
// listings each: from the last approval until it has copied and verified all of them
// and finds them. All fifteen nodes share these cores. WAYMARK_LISTINGS sets the
// number of listings of each country. A country joins once: run it with -benchtime 1x.
func BenchmarkWelcome(b *testing.B) {
	each := 1000
	if n, err := strconv.Atoi(os.Getenv("WAYMARK_LISTINGS")); err == nil {
		each = n
	}
	ctx := context.Background()
	countries := fiction.Countries()
	port := freeBase(b, len(countries)+1)
	f, err := nodetest.Start(ctx, nodetest.DemoOptions{Countries: countries, Dir: b.TempDir(), BasePort: port})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Stop()
	for i, n := range f.Nodes() {
		if report, err := n.Admin().Import(ctx, rows(countries[i], 0, each), control.ImportOptions{Publish: true}); err != nil || len(report.Refused) > 0 {
			b.Fatal(err, report.Refused)
		}
	}
	shown := 0
	whole := func() bool {
		for i, n := range f.Nodes() {
			st, err := n.Admin().Status(ctx)
			if err != nil {
				b.Fatal(err)
			}
			for _, m := range st.Members {
				if m.Head == nil || m.Head.Count < uint64(each) {
					return false
				}
			}
			if i > 0 && st.Listings != shown {
				return false
			}
			shown = st.Listings
		}
		return true
	}
	for tick := time.NewTicker(time.Second); !whole(); <-tick.C {
	}
	c := config.Default()
	c.Country, c.Operator = "IE", "Example"
	if err := c.UseBasePort(port + 10*len(countries)); err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(b.TempDir(), "IE")
	if err := node.Init(dir, c); err != nil {
		b.Fatal(err)
	}
	inv, err := f.Nodes()[0].Admin().Invite(ctx, "IE", 0)
	if err != nil {
		b.Fatal(err)
	}
	newcomer, err := node.New(node.Options{Dir: dir, Config: c})
	if err != nil {
		b.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- newcomer.Run(running) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	<-newcomer.Ready()
	if _, err := newcomer.Admin().Join(ctx, inv.Code, false); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		if i > 0 {
			b.Skip("a country joins once; run it with -benchtime 1x")
		}
		admitted := false
		for _, n := range f.Nodes() {
			p, err := n.Admin().Approve(ctx, "IE", "")
			if err != nil {
				b.Fatal(err)
			}
			if admitted = p.Admitted; admitted {
				break
			}
		}
		if !admitted {
			b.Fatal("IE is not admitted")
		}
		start := time.Now()
		first := time.Duration(0)
		for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
			st, err := newcomer.Admin().Status(ctx)
			if err != nil {
				continue
			}
			if first == 0 && len(st.Members) > 0 {
				first = time.Since(start)
			}
			if st.Listings >= shown {
				break
			}
		}
		b.ReportMetric(time.Since(start).Seconds(), "s-to-live")
		b.ReportMetric(first.Seconds(), "s-to-the-registry")
		b.ReportMetric(float64(shown), "listings")
	}
}
