package hsds_test

import (
	"bufio"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

// BenchmarkTables makes and reads a package of 10,000 fictional services.
func BenchmarkTables(b *testing.B) {
	const n = 10_000
	var all []listing.Document
	for i := range n {
		all = append(all, fiction.Listing(7, "PL", i, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)))
	}
	var docs iter.Seq2[listing.Document, error] = func(yield func(listing.Document, error) bool) {
		for _, d := range all {
			if !yield(d, nil) {
				return
			}
		}
	}
	dir := b.TempDir()
	write := func(b *testing.B) {
		p, err := hsds.NewPackage(docs)
		if err != nil {
			b.Fatal(err)
		}
		defer p.Close()
		for _, table := range p.Tables() {
			f, err := os.Create(filepath.Join(dir, table))
			if err != nil {
				b.Fatal(err)
			}
			out := bufio.NewWriter(f)
			if err := errors.Join(p.WriteTable(out, table), out.Flush(), f.Close()); err != nil {
				b.Fatal(err)
			}
		}
	}
	write(b)
	b.Run("made", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			write(b)
		}
	})
	all = nil
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			got := 0
			for r, err := range hsds.Rows(dir) {
				if err != nil || len(r.Faults) > 0 {
					b.Fatal(err, r.Faults)
				}
				got++
			}
			if got != n {
				b.Fatalf("%d services", got)
			}
		}
	})
}
