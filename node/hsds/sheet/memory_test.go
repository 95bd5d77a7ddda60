package sheet_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/fedtest/heap"
	"github.com/2ps-project/waymark/node/hsds/sheet"
	"github.com/2ps-project/waymark/node/listing"
)

// readMemory is what reading a table may take of the heap at once, in bytes, whatever
// is in it: one row of it.
const readMemory = 128 << 20

// TestMemoryIsBounded reads more than that of what has the most to say of itself: rows
// of nothing but separators, and one row of them as long as a row may be.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	path := filepath.Join(t.TempDir(), "wide.csv")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	out.WriteString("a\n")
	row := strings.Repeat(",", sheet.MaxColumns-1) + "x\n"
	const rows = 250_000
	for range rows {
		out.WriteString(row)
	}
	out.WriteString(strings.Repeat(",", sheet.MaxRow-1000) + "x\n")
	if err := errors.Join(out.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	peak := heap.Peak(func() {
		table, err := sheet.Open(path, sheet.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		got := 0
		for l, err := range table.Lines() {
			if err != nil {
				if !errors.Is(err, sheet.ErrFormat) || !strings.Contains(err.Error(), fmt.Sprintf("row %d has ", rows+2)) {
					t.Errorf("have %v", err)
				}
				break
			}
			if len(l.Cells) != sheet.MaxColumns {
				t.Fatalf("row %d has %d cells", l.Number, len(l.Cells))
			}
			got++
		}
		if got != rows {
			t.Errorf("%d rows", got)
		}
	})
	t.Logf("%d MiB of heap at the most", peak>>20)
	if peak > readMemory {
		t.Errorf("the heap grew by %d MiB, at most %d", peak>>20, readMemory>>20)
	}
}

// rowMemory is what a row more may take of the heap while a table is written or taken
// in, in bytes: some 30 that stay, and until there are enough of them to be worth a file
// the ids of rows and what likely duplicates have in common.
const rowMemory = 384

// TestRowMemory writes and takes in a small and a large table of either kind. Half of
// its rows mean a listing that is there.
func TestRowMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100,000 rows")
	}
	words := 20
	some := func(from, n int) iter.Seq2[listing.Document, error] {
		return func(yield func(listing.Document, error) bool) {
			for i := from; i < from+n; i++ {
				var text strings.Builder
				for j := range words {
					fmt.Fprintf(&text, "word%d ", i*j%97)
				}
				d := listing.Document{"id": fmt.Sprintf("00000000-0000-4000-8000-%012d", i), "name": fmt.Sprintf("A service that is called %d", i), "status": "active",
					"organization": map[string]any{"name": "An organization"}, "description": strings.TrimSpace(text.String()),
					"channels": []any{map[string]any{"type": "phone", "value": fmt.Sprintf("+48 22 %07d", i)}},
				}
				if !yield(d, nil) {
					return
				}
			}
		}
	}
	for form, count := range map[string][2]int{"csv": {15_000, 60_000}, "xlsx": {5_000, 12_000}} {
		t.Run(form, func(t *testing.T) {
			if words = 20; form == "xlsx" {
				words = 600 // a workbook is held up to 16 MiB
			}
			dir := t.TempDir()
			path := func(n int) string { return filepath.Join(dir, fmt.Sprintf("%d.%s", n, form)) }
			write := func(n int) uint64 {
				return heap.Peak(func() {
					f, err := os.Create(path(n))
					if err != nil {
						t.Fatal(err)
					}
					fields, err := sheet.Columns(some(0, n))
					if err == nil && form == "csv" {
						_, err = sheet.WriteCSV(f, fields, some(0, n), ';')
					} else if err == nil {
						_, err = sheet.WriteWorkbook(f, fields, some(0, n))
					}
					if err := errors.Join(err, f.Close()); err != nil {
						t.Fatal(err)
					}
				})
			}
			take := func(n int) uint64 {
				return heap.Peak(func() {
					table, err := sheet.Open(path(n), sheet.Options{})
					if err != nil {
						t.Fatal(err)
					}
					defer table.Close()
					m, _ := sheet.Own(table)
					taken, err := sheet.Take(table, m, some(n/2, n), false)
					if err != nil {
						t.Fatal(err)
					}
					defer taken.Close()
					got := 0
					for r, err := range taken.Rows() {
						if err != nil || len(r.Faults) > 0 {
							t.Fatal(err, r.Faults)
						}
						_, _ = io.Discard.Write(r.Document.JSON())
						got++
					}
					if got != n {
						t.Errorf("%d rows", got)
					}
				})
			}
			for _, x := range []struct {
				what string
				f    func(int) uint64
			}{{"written", write}, {"taken in", take}} {
				one, other := x.f(count[0]), x.f(count[1])
				t.Logf("%s: %d KiB for %d rows, %d KiB for %d", x.what, one>>10, count[0], other>>10, count[1])
				allowed := one + uint64(count[1]-count[0])*rowMemory
				if form == "xlsx" && x.what == "taken in" {
					info, err := os.Stat(path(count[1]))
					if err != nil {
						t.Fatal(err)
					}
					allowed += 3 * uint64(info.Size()) // the library reads the packed file into memory, and that grows as it reads
				}
				if other > allowed {
					t.Errorf("%s: %d KiB, at most %d", x.what, other>>10, allowed>>10)
				}
			}
		})
	}
}
