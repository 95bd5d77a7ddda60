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
