package main

import (
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/fedtest/heap"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

// fictional are n listings, made anew each time.
func fictional(n int) iter.Seq2[listing.Document, error] {
	return func(yield func(listing.Document, error) bool) {
		for i := range n {
			if !yield(fiction.Listing(7, "PL", i, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)), nil) {
				return
			}
		}
	}
}

// BenchmarkFormats writes listings in every format of an export and reads them as an
// import does, up to where the node takes over. It tells listings a second, and what
// that takes at the most: of the heap, and of the memory of the process (resident).
//
// WAYMARK_LISTINGS sets the number of listings; 10,000 otherwise.
func BenchmarkFormats(b *testing.B) {
	n := 10_000
	if s := os.Getenv("WAYMARK_LISTINGS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	m := &Main{Stderr: io.Discard}
	for _, f := range []struct{ form, name string }{
		{"json", "a.json"}, {"ndjson", "a.ndjson"}, {"tables", "a.zip"}, {"tables", "folder"}, {"csv", "a.csv"}, {"xlsx", "a.xlsx"},
		{"jsonld", "a.jsonld"}, {"open-data", "o.zip"},
	} {
		path := filepath.Join(b.TempDir(), f.name)
		b.Run("export/"+f.name, func(b *testing.B) {
			measure(b, n, func() error {
				return once(func(w io.Writer) error { // as the node sends it
					for d := range fictional(n) {
						if _, err := fmt.Fprintf(w, "%s\n", d.JSON()); err != nil {
							return err
						}
					}
					return nil
				}, func(docs iter.Seq2[listing.Document, error]) error {
					return m.writeExport(export{form: f.form, file: path, separator: ";", licence: "CC-BY-4.0"}, docs)
				})
			})
		})
		if f.form == "jsonld" || f.form == "open-data" {
			continue
		}
		b.Run("import/"+f.name, func(b *testing.B) {
			measure(b, n, func() error {
				rows := hsds.Rows(path)
				if isSheet(path, "") {
					taken, err := m.takeSheet(path, "", false, fictional(n))
					if err != nil {
						return err
					}
					defer taken.Close()
					rows = sheetRows(taken)
				}
				got := 0
				var said notes
				for r, err := range controlRows(rows, &said) {
					if err != nil {
						return err
					}
					if len(r.Faults) > 0 {
						return fmt.Errorf("%s: %v", r.Where, r.Faults)
					}
					got++
				}
				if got != n {
					return fmt.Errorf("%d rows", got)
				}
				return nil
			})
		})
	}
}

// measure runs f once and tells what it takes for n listings.
func measure(b *testing.B, n int, f func() error) {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // forget the peak, where there is one
	start := time.Now()
	peak := heap.Peak(func() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	})
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "listings/s")
	b.ReportMetric(float64(peak)/(1<<20), "MiB-heap")
	b.ReportMetric(0, "ns/op")
	status, _ := os.ReadFile("/proc/self/status")
	if m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status); m != nil {
		kb, _ := strconv.Atoi(string(m[1]))
		b.ReportMetric(float64(kb)/1024, "MiB-resident")
	}
}
