package sheet_test

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

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
	used := func() uint64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // what is needed, not what lies about
	runtime.GC()
	base, peak := used(), uint64(0)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, used())
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	table, err := sheet.Read(path, sheet.Options{})
	close(done)
	<-watched
	if !errors.Is(err, sheet.ErrFormat) || !strings.Contains(err.Error(), "row 12502: it has more than 5000000 cells") {
		t.Errorf("have %v, %v", table, err)
	}
	t.Logf("%d MiB of heap at the most", (peak-base)>>20)
	if peak > base+readMemory {
		t.Errorf("the heap grew by %d MiB, at most %d", (peak-base)>>20, readMemory>>20)
	}
}
