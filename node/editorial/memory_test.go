package editorial_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/fedtest/heap"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/editorial"
	"github.com/2ps-project/waymark/node/store"
)

// importMemory is what an import may take of the heap at once, in bytes, whatever
// the size of its source, beside [rowMemory] for each row: the rows that are
// looked at and the drafts that are written, and Badger's memory tables.
const importMemory = 128 << 20

// TestImportMemory takes in more than that.
func TestImportMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes in 250 MB")
	}
	const count, size = 500, 500_000
	desk := draftsOnly(t)
	doc := some(1)[0]
	var source iter.Seq2[control.Row, error] = func(yield func(control.Row, error) bool) {
		for i := range count {
			doc["id"] = uuid.UUID(feedtest.RecordKey(i)).String()
			doc["notes_of_ours"] = strings.Repeat(fmt.Sprintf("word%d ", i), size/8)
			if !yield(control.Row{Where: fmt.Sprint(i), Document: json.RawMessage(doc.JSON())}, nil) {
				return
			}
		}
	}
	peak := heap.Peak(func() {
		report, err := desk.Import(t.Context(), source, control.ImportOptions{})
		if err != nil || report.Added != count {
			t.Fatal(err, report)
		}
	})
	t.Logf("%d MiB of heap at the most", peak>>20)
	if peak > importMemory {
		t.Errorf("the heap grew by %d MiB, at most %d", peak>>20, importMemory>>20)
	}
}

// rowMemory is what a row more may take of the heap until it is written, in bytes:
// some 40 that stay, the same twice while a table of them grows, and as much garbage
// again as an import may make.
const rowMemory = 256

// TestRowMemory looks at few rows and at many. Writing them is left out: what the
// database takes for that varies by more than what rows are allowed.
func TestRowMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("looks at 400,000 rows")
	}
	desk := draftsOnly(t)
	file := strings.Repeat("long ", 40) + "name.ndjson"
	for _, c := range []struct {
		name, document string
	}{
		{"good rows", `{"id":%q,"name":"Example","status":"active","organization":{"name":"Example"}}`},
		{"refused rows", `{"id":%q,"name":"Example","status":"unheard of"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			look := func(n int) uint64 {
				return heap.Peak(func() {
					report, err := desk.Import(t.Context(), func(yield func(control.Row, error) bool) {
						for i := range n {
							doc := fmt.Sprintf(c.document, uuid.UUID(feedtest.RecordKey(i)))
							if !yield(control.Row{Where: fmt.Sprintf("%s line %d", file, i), Document: json.RawMessage(doc)}, nil) {
								return
							}
						}
					}, control.ImportOptions{DryRun: true})
					if err != nil || report.Added+(len(report.Refused)+report.MoreRefused)/2 != n {
						t.Fatal(err, report.Added, len(report.Refused), report.MoreRefused)
					}
				})
			}
			const few, many = 40_000, 160_000
			one, other := look(few), look(many)
			t.Logf("%d KiB for %d rows, %d KiB for %d", one>>10, few, other>>10, many)
			if other > one+(many-few)*rowMemory {
				t.Errorf("a row takes %d bytes, at most %d", (other-one)/(many-few), rowMemory)
			}
		})
	}
}

// draftsOnly is a desk that cannot publish.
func draftsOnly(t *testing.T) *editorial.Desk {
	t.Helper()
	s, err := store.Open(store.Options{Dir: t.TempDir(), Floor: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	desk, err := editorial.New(editorial.Options{Country: "LT", Store: s, Publisher: func() (editorial.Publisher, error) { return nil, feed.ErrNotMember }})
	if err != nil {
		t.Fatal(err)
	}
	return desk
}
