package bundle_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/2ps-project/waymark/federation/bundle"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
)

// many is a federation in which one country has n records of about two
// kilobytes, published as one head.
func many(t testing.TB, n int) *world {
	w := found(t, "DE", "LT")
	words := make([]string, 4000)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range words {
		b := make([]byte, 3+rnd.IntN(9))
		for j := range b {
			b[j] = byte('a' + rnd.IntN(26))
		}
		words[i] = string(b) + " "
	}
	m := w.members["DE"]
	items := make(feed.Items, 0, n)
	var lists [feed.Buckets][]feed.Change
	var size uint64
	for i := range n {
		var body bytes.Buffer
		for body.Len() < 1800 {
			body.WriteString(words[int(float64(len(words))*rnd.Float64()*rnd.Float64())])
		}
		raw := feedtest.Record(feedtest.RecordKey(i), 1, body.String())
		c := feed.Change{Seq: uint64(i + 1), Key: feedtest.RecordKey(i), Op: feed.Put, Hash: feed.HashRecord(raw), Size: uint32(len(raw))}
		item, err := feed.Check(c, raw)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
		size += uint64(len(raw))
	}
	items = items.Sort()
	for _, i := range items {
		q := i.Change().Key.Bucket()
		lists[q] = append(lists[q], i.Change())
	}
	leaves := feed.EmptyLeaves()
	for q, list := range lists {
		leaves[q] = feed.BucketHash(q, list)
	}
	h := feed.Head{
		Version: 1, Federation: w.state.Federation(), Origin: m.Origin, Epoch: 1, N: 1, Seq: uint64(n),
		Count: uint64(n), Bytes: size, Root: leaves.Root(), RegistrySeq: w.state.Seq(), Issued: feed.MinuteOf(w.at),
	}
	view, err := w.store.View(m.Origin)
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.rules().Verify(view, [][]byte{feedtest.SignHead(h, m.Keys.Publish)}, items)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Append(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	w.confirm()
	return w
}

// sink is a store in which what is staged is kept in lists, and an applied step
// is forgotten: it shows what the bundle itself costs.
type sink struct{ feed.Store }

type sinkStaging struct{ changes []feed.Change }

func (s sink) Stage(identity.OriginID) (feed.Staging, error) { return &sinkStaging{}, nil }
func (s sink) Append(context.Context, *feed.Verified) error  { return nil }
func (s *sinkStaging) Discard() error                        { return nil }
func (s *sinkStaging) Changes(yield func(feed.Change, error) bool) {
	slices.SortFunc(s.changes, func(a, b feed.Change) int {
		if q := a.Key.Bucket() - b.Key.Bucket(); q != 0 {
			return q
		}
		return bytes.Compare(a.Key[:], b.Key[:])
	})
	for _, c := range s.changes {
		if !yield(c, nil) {
			return
		}
	}
}

func (s *sinkStaging) Put(items ...feed.Item) error {
	for _, i := range items {
		s.changes = append(s.changes, i.Change())
	}
	return nil
}

func benchmark(b *testing.B, run func(b *testing.B, w *world, file []byte)) {
	w := many(b, 100_000)
	file := w.export(nil)
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	run(b, w, file)
	b.ReportMetric(float64(len(file))/1e6, "MB-file")
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/op")
}

func BenchmarkExport100k(b *testing.B) {
	benchmark(b, func(b *testing.B, w *world, _ []byte) {
		for b.Loop() {
			if _, err := bundle.Export(b.Context(), io.Discard, bundle.ExportOptions{State: w.state, Chain: &w.chain, Heads: w.heads, Feeds: w.store, Key: w.founder.Keys.Node, Now: w.at}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCheck100k(b *testing.B) {
	benchmark(b, func(b *testing.B, w *world, file []byte) {
		for b.Loop() {
			if _, err := bundle.Check(b.Context(), bytes.NewReader(file), int64(len(file)), bundle.ImportOptions{Now: w.at}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkImport100k leaves out what a store costs.
func BenchmarkImport100k(b *testing.B) {
	benchmark(b, func(b *testing.B, w *world, file []byte) {
		for b.Loop() {
			o := newReplica(b, w.at).options()
			o.Federation, o.Store, o.Appender = w.state.Federation(), sink{o.Store}, sink{}
			if _, err := bundle.Import(b.Context(), bytes.NewReader(file), int64(len(file)), o); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestBoundedMemory: the memory for reading a bundle does not grow with it.
func TestBoundedMemory(t *testing.T) {
	const most = 8 << 20
	w := many(t, 8_000)
	file := w.export(nil)
	var peak, base uint64
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	base = heap()
	look := func(bundle.Progress) { peak = max(peak, heap()) }
	if _, err := bundle.Check(t.Context(), bytes.NewReader(file), int64(len(file)), bundle.ImportOptions{Now: w.at, Progress: look}); err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(w) // or its store would be missing from the second figure
	t.Logf("%d KiB more than before", (peak-min(base, peak))>>10)
	if peak == 0 || peak-min(base, peak) > most {
		t.Errorf("%d MiB more than before, at most %d are allowed; the records have 16", (peak-base)>>20, most>>20)
	}
}
