package nodetest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/node"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/nodetest"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

var day = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func rows(country string, from, n int) iter.Seq2[control.Row, error] {
	return func(yield func(control.Row, error) bool) {
		for i := from; i < from+n; i++ {
			doc := fiction.Listing(7, country, i, day)
			if !yield(control.Row{Where: fmt.Sprint(i), Document: json.RawMessage(doc.JSON())}, nil) {
				return
			}
		}
	}
}

func percentile(d []time.Duration, p float64) float64 {
	slices.Sort(d)
	return float64(d[int(float64(len(d)-1)*p)].Microseconds()) / 1000
}

// BenchmarkPublish is from the moment at which an editor publishes one listing:
// until it is acknowledged, and until two other nodes can show it. A feed has 80
// heads a minute and then waits: run it with -benchtime 60x.
func BenchmarkPublish(b *testing.B) {
	f, err := nodetest.Start(b.Context(), nodetest.DemoOptions{Listings: 100, Dir: b.TempDir(), BasePort: freeBase(b, 3)})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Stop()
	ctx := context.Background()
	var acknowledged, everywhere []time.Duration
	next := 100_000
	for b.Loop() {
		// Listings that are stubs or hidden are not found; every other one is.
		doc := fiction.Listing(7, "PL", next, day)
		next++
		id, _ := doc["id"].(string)
		raw := doc.JSON()
		start := time.Now()
		one := func(yield func(control.Row, error) bool) { yield(control.Row{Where: "1", Document: raw}, nil) }
		if _, err := f.Nodes()[0].Admin().Import(ctx, one, control.ImportOptions{Publish: true}); err != nil {
			b.Fatal(err)
		}
		acknowledged = append(acknowledged, time.Since(start))
		for _, n := range f.Nodes()[1:] {
			for {
				if _, err := n.Get(ctx, id); err == nil {
					break
				}
				runtime.Gosched()
			}
		}
		everywhere = append(everywhere, time.Since(start))
	}
	b.ReportMetric(percentile(acknowledged, 0.5), "ms-acknowledged-p50")
	b.ReportMetric(percentile(everywhere, 0.5), "ms-everywhere-p50")
	b.ReportMetric(percentile(everywhere, 0.99), "ms-everywhere-p99")
}

// BenchmarkImport takes 5,000 listings in and publishes them as one head. The
// listings are made before the clock starts. It tells also what one takes of the
// processors, with all that follows before the node has stopped.
func BenchmarkImport(b *testing.B) {
	const count = 5000
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		f, err := nodetest.Start(b.Context(), nodetest.DemoOptions{Countries: []string{"PL"}, Dir: b.TempDir(), BasePort: freeBase(b, 1)})
		if err != nil {
			b.Fatal(err)
		}
		made := make([]control.Row, 0, count)
		for row := range rows("PL", 0, count) {
			made = append(made, row)
		}
		before := processor()
		b.StartTimer()
		report, err := f.Nodes()[0].Admin().Import(b.Context(), func(yield func(control.Row, error) bool) {
			for _, row := range made {
				if !yield(row, nil) {
					return
				}
			}
		}, control.ImportOptions{Publish: true})
		b.StopTimer()
		if err != nil || report.Published != count {
			b.Fatal(err, report)
		}
		if err := f.Stop(); err != nil {
			b.Fatal(err)
		}
		used += processor() - before
		b.StartTimer()
	}
	b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "listings/s")
	b.ReportMetric(float64(used.Microseconds())/float64(count*b.N), "us-cpu/listing")
}

// BenchmarkStart is from nothing to the first answer, with 10,000 listings on
// disk.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	c := config.Default()
	c.Country, c.Operator = "PL", fiction.Operator("PL")
	if err := c.UseBasePort(freeBase(b, 1)); err != nil {
		b.Fatal(err)
	}
	if err := node.Init(dir, c); err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	if err := node.Found(ctx, dir, c, "Benchmark", true); err != nil {
		b.Fatal(err)
	}
	run := func(f func(*node.Node)) {
		ctx, cancel := context.WithCancel(ctx)
		n, err := node.New(node.Options{Dir: dir, Config: c})
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		<-n.Ready()
		f(n)
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	run(func(n *node.Node) {
		start := time.Now()
		for {
			report, err := n.Admin().Import(ctx, rows("PL", 0, 10_000), control.ImportOptions{Publish: true})
			if err == nil && len(report.Refused) == 0 {
				break
			}
			if time.Since(start) > 10*time.Second { // the founder takes a moment to lead
				b.Fatal(err, report.Refused)
			}
		}
		b.Logf("10,000 listings imported and published in %s", time.Since(start))
	})
	b.ResetTimer()
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		run(func(*node.Node) { took = append(took, time.Since(start)) })
	}
	b.ReportMetric(percentile(took, 0.5), "ms-ready-p50")
}
