package editorial_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/editorial"
	"github.com/2ps-project/waymark/node/store"
)

// importMemory is what an import may take of the heap at once, in bytes, whatever
// the size of its source, beside some hundred bytes for each row: the rows that are
// looked at and the drafts that are written, and Badger's memory tables.
const importMemory = 128 << 20

// used is how much of the heap is in use, in bytes.
func used() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// TestImportMemory takes in more than that.
func TestImportMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes in 250 MB")
	}
	const count, size = 500, 500_000
	dir := t.TempDir()
	s, err := store.Open(store.Options{Dir: dir, Floor: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	desk, err := editorial.New(editorial.Options{Country: "LT", Store: s, Publisher: func() (editorial.Publisher, error) { return nil, feed.ErrNotMember }})
	if err != nil {
		t.Fatal(err)
	}
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
	report, err := desk.Import(context.Background(), source, control.ImportOptions{})
	close(done)
	<-watched
	if err != nil || report.Added != count {
		t.Fatal(err, report)
	}
	t.Logf("%d MiB of heap at the most", (peak-base)>>20)
	if peak-base > importMemory {
		t.Errorf("the heap grew by %d MiB, at most %d", (peak-base)>>20, importMemory>>20)
	}
}
