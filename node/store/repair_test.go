package store_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/store"
)

// put right finds by buckets what is missing or too much, as a replica does, and
// applies it.
func putRight(t *testing.T, f *feedtest.Federation, s *store.Store, a *feedtest.Author, staged bool) {
	t.Helper()
	actual, err := s.Actual(a.Origin())
	if err != nil {
		t.Fatal(err)
	}
	defer actual.Close()
	leaves, err := actual.Leaves()
	if err != nil {
		t.Fatal(err)
	}
	var items feed.Items
	add := func(c feed.Change, raw []byte) {
		item, err := feed.Check(c, raw)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	for q, want := range a.Buckets() {
		have, err := actual.Bucket(q)
		if err != nil {
			t.Fatal(err)
		}
		if feed.BucketHash(q, have) != leaves[q] {
			t.Errorf("bucket %d is not what its hash says", q)
		}
		for _, c := range want {
			if !slices.Contains(have, c) {
				add(c, a.Raw(c.Key))
			}
		}
		for _, c := range have {
			if a.Raw(c.Key) == nil {
				add(feed.Change{Seq: a.View().Head().Seq, Key: c.Key, Op: feed.Delete}, nil)
			}
		}
	}
	var delta feed.Delta = items.Sort()
	if staged {
		st, err := s.Stage(a.Origin())
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Put(items...); err != nil {
			t.Fatal(err)
		}
		delta = st
	}
	v, err := f.Rules().VerifyRepair(actual, [][]byte{a.Heads[len(a.Heads)-1]}, delta)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(context.Background(), v); err != nil {
		t.Fatal(err)
	}
}

// TestRepair damages everything that belongs to a feed, one thing at a time: a
// scrub tells what it is, and a repair puts it right.
func TestRepair(t *testing.T) {
	k := feedtest.RecordKey
	type harm func(txn *badger.Txn, o identity.OriginID, live map[feed.Key]feed.Change) error
	record := func(o identity.OriginID, c feed.Change) []byte { return store.Key('r', o, c.Key, c.Hash) }
	entry := func(o identity.OriginID, key feed.Key) []byte { return store.Key('e', o, key.Bucket(), key) }
	edit := func(txn *badger.Txn, key []byte, change func([]byte) []byte) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		v, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		return txn.Set(key, change(v))
	}
	flip := func(v []byte) []byte { v[len(v)/2] ^= 4; return v }
	for name, c := range map[string]struct {
		harm harm
		says string
	}{
		"a record is gone": {func(txn *badger.Txn, o identity.OriginID, live map[feed.Key]feed.Change) error {
			return txn.Delete(record(o, live[k(3)]))
		}, "the record " + k(3).String() + " is missing"},
		"a bit of a record": {func(txn *badger.Txn, o identity.OriginID, live map[feed.Key]feed.Change) error {
			return edit(txn, record(o, live[k(3)]), flip)
		}, "the record " + k(3).String() + " is damaged"},
		"an entry is gone": {func(txn *badger.Txn, o identity.OriginID, _ map[feed.Key]feed.Change) error {
			return txn.Delete(entry(o, k(4)))
		}, "does not have the hash"},
		"an entry that cannot be read": {func(txn *badger.Txn, o identity.OriginID, _ map[feed.Key]feed.Change) error {
			return txn.Set(entry(o, k(4)), []byte("?"))
		}, "cannot be read"},
		"an entry of another key": {func(txn *badger.Txn, o identity.OriginID, live map[feed.Key]feed.Change) error {
			b, err := identity.Marshal(live[k(5)])
			return errors.Join(err, txn.Set(entry(o, k(4)), b))
		}, "cannot be read"},
		"a deletion is lost": {func(txn *badger.Txn, o identity.OriginID, _ map[feed.Key]feed.Change) error {
			raw := feedtest.Record(k(2), 3, "one 2")
			old := feed.Change{Seq: 3, Key: k(2), Op: feed.Put, Hash: feed.HashRecord(raw), Size: uint32(len(raw))}
			b, err := identity.Marshal(old)
			return errors.Join(err, txn.Set(entry(o, k(2)), b), txn.Set(record(o, old), raw))
		}, "does not have the hash"},
		"a bucket's hash": {func(txn *badger.Txn, o identity.OriginID, _ map[feed.Key]feed.Change) error {
			return edit(txn, store.Key('b', o, k(6).Bucket()), flip)
		}, "does not have the hash"},
		"an older head": {func(txn *badger.Txn, o identity.OriginID, _ map[feed.Key]feed.Change) error {
			item, err := txn.Get(store.Key('H', o, uint64(1)))
			if err != nil {
				return err
			}
			env, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			return edit(txn, store.Key('h', o), func(v []byte) []byte {
				at := bytes.Index(v, env[:8]) // the envelopes are of one length
				copy(v[at:], env)
				return v
			})
		}, "records, the head says"},
		"the list of changes": {func(txn *badger.Txn, o identity.OriginID, live map[feed.Key]feed.Change) error {
			return txn.Delete(store.Key('f', o, live[k(7)].Seq, k(7)))
		}, "the list of changes has"},
		"the list of changes names too many": {func(txn *badger.Txn, o identity.OriginID, _ map[feed.Key]feed.Change) error {
			return txn.Set(store.Key('f', o, uint64(2), k(99)), []byte{1})
		}, "the list of changes names"},
		"the chain of heads": {func(txn *badger.Txn, o identity.OriginID, _ map[feed.Key]feed.Change) error {
			return edit(txn, store.Key('H', o, uint64(2)), flip)
		}, "the chain of heads"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{InMemory: true})
			f := feedtest.NewFederation("ada")
			a := f.Author("ada")
			ctx := context.Background()
			apply(t, f, s, a.Fill(0, 10, "one"))
			apply(t, f, s, a.Delete(k(2)).Put(k(3), "two"))
			if err := s.Scrub(ctx, a.Origin()); err != nil {
				t.Fatal(err)
			}
			live := make(map[feed.Key]feed.Change)
			for _, c := range a.Live() {
				live[c.Key] = c
			}
			if err := s.Commit(func(txn *badger.Txn) error { return c.harm(txn, a.Origin(), live) }); err != nil {
				t.Fatal(err)
			}
			s.Forget(a.Origin())
			err := s.Scrub(ctx, a.Origin())
			if !errors.Is(err, store.ErrRotten) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "another node") {
				t.Fatalf("Scrub: %v, want %q", err, c.says)
			}
			if got := s.Rotten(a.Origin()); got != err {
				t.Errorf("Rotten: %v", got)
			}
			putRight(t, f, s, a, len(name)%2 == 0)
			feedtest.Same(t, s, a)
			if err := s.Scrub(ctx, a.Origin()); err != nil {
				t.Errorf("after the repair: %v", err)
			}
			if err := s.Rotten(a.Origin()); err != nil {
				t.Errorf("after the repair it is still %v", err)
			}
			if n, err := s.Keys('r'); n != 9 || err != nil {
				t.Errorf("%d records for 9, %v", n, err)
			}
			apply(t, f, s, a.Put(k(3), "three").Delete(k(1)))
			feedtest.Same(t, s, a)
			if err := s.Scrub(ctx, a.Origin()); err != nil {
				t.Errorf("after the step after the repair: %v", err)
			}
		})
	}
}

// TestRepairOfAll: nothing is left but the head.
func TestRepairOfAll(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, Floor: -1})
	f := feedtest.NewFederation("ada", "ben")
	a, b := f.Author("ada"), f.Author("ben")
	apply(t, f, s, a.Fill(0, 1300, "one"))
	apply(t, f, s, b.Fill(0, 10, "two"))
	if err := s.Commit(func(txn *badger.Txn) error {
		var err error
		for _, c := range a.Live() {
			err = errors.Join(err, txn.Delete(store.Key('e', a.Origin(), c.Key.Bucket(), c.Key)), txn.Delete(store.Key('r', a.Origin(), c.Key, c.Hash)))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var images []string
	s.OnFold(func(int) { images = append(images, copyDir(t, dir)) })
	putRight(t, f, s, a, true)
	feedtest.Same(t, s, a)
	feedtest.Same(t, s, b)
	for _, image := range images {
		again := open(t, store.Options{Dir: image, Floor: -1})
		feedtest.Same(t, again, a)
		if err := again.Scrub(context.Background(), a.Origin()); err != nil {
			t.Error(err)
		}
	}
}

// TestScrubIsStopped by its context, and tells nothing of the feed then.
func TestScrubIsStopped(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	apply(t, f, s, a.Fill(0, 10, "one"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Scrub(ctx, a.Origin()); !errors.Is(err, context.Canceled) {
		t.Errorf("Scrub: %v", err)
	}
	if err := s.Rotten(a.Origin()); err != nil {
		t.Error(err)
	}
	if err := s.Scrub(context.Background(), f.Member("ada").Origin); err != nil {
		t.Error(err)
	}
	if err := s.Scrub(context.Background(), identity.OriginID{9}); err != nil {
		t.Errorf("a feed that is not held: %v", err)
	}
}

func sorted(list []feed.Change) []feed.Change {
	slices.SortFunc(list, func(a, b feed.Change) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return list
}
