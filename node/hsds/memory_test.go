package hsds_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/2ps-project/waymark/federation/fedtest/heap"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
)

// serviceMemory is what a service more may take of the heap while a package is read
// or made, in bytes: its nine rows together. What does not fit waits in files.
const serviceMemory = 512

// simple are n services, every two of which have an organization in common.
func simple(n int) iter.Seq2[listing.Document, error] {
	return func(yield func(listing.Document, error) bool) {
		for i := range n {
			id := func(kind string) string { return fmt.Sprintf("%s-00000000-0000-0000-%012d", kind, i) }
			if !yield(listing.Document{
				"id": id("s"), "name": "A service with a name", "status": "active",
				"organization": map[string]any{"id": fmt.Sprintf("o-%d", i/2), "name": "An organization", "description": "Of two services"},
				"phones":       []any{map[string]any{"id": id("p"), "number": "116 123"}, map[string]any{"number": "116 111"}},
				"schedules":    []any{map[string]any{"id": id("h"), "freq": "WEEKLY", "byday": "MO"}},
				"service_at_locations": []any{map[string]any{"id": id("a"), "location": map[string]any{
					"id": id("l"), "location_type": "physical", "addresses": []any{map[string]any{"id": id("d"), "address_1": "A street 1"}},
				}}},
				"attributes": []any{map[string]any{"id": id("t"), "taxonomy_term": map[string]any{"id": "one", "name": "One"}}},
			}, nil) {
				return
			}
		}
	}
}

// TestPackageMemory makes and reads a small and a large package.
func TestPackageMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("makes packages of 60,000 services")
	}
	const few, many = 15_000, 45_000
	export := func(n int, dir string) uint64 {
		return heap.Peak(func() {
			p, err := hsds.NewPackage(simple(n))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			for _, table := range p.Tables() {
				f, err := os.Create(filepath.Join(dir, table))
				if err != nil {
					t.Fatal(err)
				}
				out := bufio.NewWriter(f)
				if err := errors.Join(p.WriteTable(out, table), out.Flush(), f.Close()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	read := func(n int, dir string) uint64 {
		return heap.Peak(func() {
			got := 0
			for r, err := range hsds.Rows(dir) {
				if err != nil || len(r.Faults) > 0 {
					t.Fatal(err, r.Faults)
				}
				_, _ = io.Discard.Write(r.Document.JSON())
				got++
			}
			if got != n {
				t.Fatalf("%d services", got)
			}
		})
	}
	small, large := t.TempDir(), t.TempDir()
	for _, x := range []struct {
		what string
		f    func(int, string) uint64
	}{{"made", export}, {"read", read}} {
		one, other := x.f(few, small), x.f(many, large)
		t.Logf("%s: %d KiB for %d services, %d KiB for %d", x.what, one>>10, few, other>>10, many)
		if other > one+(many-few)*serviceMemory {
			t.Errorf("%s: a service takes %d bytes, at most %d", x.what, (other-one)/(many-few), serviceMemory)
		}
	}
}
