package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/fedtest/heap"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/node/store"
)

// firstCopyMemory is what a first copy of any size may take of the heap at once,
// in bytes: Badger's memory tables and the tables that it is building.
const firstCopyMemory = 320 << 20

// TestFirstCopyMemory copies more than that, and stays below it.
func TestFirstCopyMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 370 MB")
	}
	const records, size = 6200, 60_000
	f := feedtest.NewFederation("ada")
	m := f.Member("ada")
	body := strings.Repeat("some words of a long listing ", size/29)
	make1 := func(i int) feed.Item { // made when it is needed, as if it came from the network
		k := feedtest.RecordKey(i)
		raw := feedtest.Record(k, uint64(i+1), body)
		item, err := feed.Check(feed.Change{Seq: uint64(i + 1), Key: k, Op: feed.Put, Hash: feed.HashRecord(raw), Size: uint32(len(raw))}, raw)
		if err != nil {
			t.Fatal(err)
		}
		return item
	}
	var lists [feed.Buckets][]feed.Change
	head := feed.Head{Version: 1, Federation: f.ID, Origin: m.Origin, Epoch: 1, N: 1, Seq: records, Count: records, Issued: feed.MinuteOf(feedtest.Now)}
	for i := range records {
		c := make1(i).Change()
		lists[c.Key.Bucket()] = append(lists[c.Key.Bucket()], c)
		head.Bytes += uint64(c.Size)
	}
	if head.Bytes <= firstCopyMemory {
		t.Fatalf("%d bytes prove nothing", head.Bytes)
	}
	leaves := new(feed.Leaves)
	for q := range lists {
		leaves[q] = feed.BucketHash(q, sorted(lists[q]))
	}
	head.Root = leaves.Root()
	env := feedtest.SignHead(head, m.Publish, m.Admin)

	s := open(t, store.Options{Dir: t.TempDir(), Floor: -1})
	peak := heap.Peak(func() {
		st, err := s.Stage(m.Origin)
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			if err := st.Put(make1(i)); err != nil {
				t.Fatal(err)
			}
		}
		view, err := s.View(m.Origin)
		if err != nil {
			t.Fatal(err)
		}
		defer view.Close()
		v, err := f.Rules().Verify(view, [][]byte{env}, st)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(context.Background(), v); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%d MiB of records, %d MiB of heap at the most", head.Bytes>>20, peak>>20)
	if peak > firstCopyMemory {
		t.Errorf("the heap grew by %d MiB, at most %d", peak>>20, firstCopyMemory>>20)
	}
}
