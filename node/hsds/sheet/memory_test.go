package sheet_test

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/fedtest/heap"
	"github.com/2ps-project/waymark/node/hsds/sheet"
)

// readMemory is what reading a spreadsheet may take of the heap at once, in bytes,
// whatever is in it: the file, its text, and a slice of cells for each row.
const readMemory = 256 << 20

// TestMemoryIsBounded reads the file of the greatest size that has the most to say of
// itself: rows of nothing but separators.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 64 MB")
	}
	path := filepath.Join(t.TempDir(), "wide.csv")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	row := strings.Repeat(",", sheet.MaxColumns-1) + "x\n"
	for n := 0; n+len(row) <= sheet.MaxFile; n += len(row) {
		if n == 0 {
			out.WriteString("a\n")
			n = 2
		}
		out.WriteString(row)
	}
	if err := errors.Join(out.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	peak := heap.Peak(func() {
		table, err := sheet.Read(path, sheet.Options{})
		if !errors.Is(err, sheet.ErrFormat) || !strings.Contains(err.Error(), "row 12502: it has more than 5000000 cells") {
			t.Errorf("have %v, %v", table, err)
		}
	})
	t.Logf("%d MiB of heap at the most", peak>>20)
	if peak > readMemory {
		t.Errorf("the heap grew by %d MiB, at most %d", peak>>20, readMemory>>20)
	}
}
