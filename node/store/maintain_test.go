package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/store"
)

func maintain(t *testing.T, s *store.Store, now time.Time, keepFrom uint64) {
	t.Helper()
	if err := s.Maintain(context.Background(), now, store.MaintainOptions{KeepFrom: func(identity.OriginID) uint64 { return keepFrom }}); err != nil {
		t.Fatal(err)
	}
}

// TestMaintainUndo: only what is older than 30 days goes, and of the feed itself
// nothing.
func TestMaintainUndo(t *testing.T) {
	c := newClock()
	s := open(t, c.options())
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	k := feedtest.RecordKey
	apply(t, f, s, a.Fill(0, 5, "one"))
	apply(t, f, s, a.Put(k(0), "two").Delete(k(1)))
	old := a.Clone()
	c.now = c.now.Add(20 * 24 * time.Hour)
	apply(t, f, s, a.Put(k(0), "three").Put(k(1), "back").Put(k(2), "two"))
	for _, x := range []struct {
		day     int
		undo, r int
	}{{30, 5, 9}, {31, 3, 7}, {50, 3, 7}, {51, 0, 5}} {
		maintain(t, s, feedtest.Now.Add(time.Duration(x.day)*24*time.Hour), 0)
		undo, err := s.Keys('u')
		records, err2 := s.Keys('r')
		if undo != x.undo || records != x.r || err != nil || err2 != nil {
			t.Errorf("after %d days: %d undo entries, %d records; want %d, %d (%v, %v)", x.day, undo, records, x.undo, x.r, err, err2)
		}
		feedtest.Same(t, s, a)
		if err := s.Scrub(context.Background(), a.Origin()); err != nil {
			t.Error(err)
		}
		if x.day == 31 {
			if _, err := s.Undo(a.Origin(), old.View().Head()); err != nil {
				t.Errorf("back by 20 days on day 31: %v", err)
			}
			st, err := s.Stage(a.Origin()) // ends what Undo staged
			if err != nil {
				t.Fatal(err)
			}
			if err := st.Discard(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestMaintainLeavesStagingAlone: what a step back is made of does not go while
// it is being made.
func TestMaintainLeavesStagingAlone(t *testing.T) {
	c := newClock()
	s := open(t, c.options())
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	apply(t, f, s, a.Fill(0, 5, "one"))
	good := a.Clone()
	apply(t, f, s, a.Put(feedtest.RecordKey(0), "two"))
	delta, err := s.Undo(a.Origin(), good.View().Head())
	if err != nil {
		t.Fatal(err)
	}
	maintain(t, s, c.now.Add(100*24*time.Hour), 0)
	place := good.View().Head().Place()
	f.Bump("ada", &place)
	view, err := s.View(a.Origin())
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	v, err := f.Rules().VerifyRollback(view, good.View().Head().Envelope, delta)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	feedtest.Same(t, s, good)
}

// TestMaintainDeletions: deletions that the head no longer lists go, and peers
// that are that far behind are told so.
func TestMaintainDeletions(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	k := feedtest.RecordKey
	apply(t, f, s, a.Fill(0, 6, "one"))
	apply(t, f, s, a.Delete(k(0)).Delete(k(1)))
	floor := a.View().Head().Seq
	env, items := a.Delete(k(2)).Head(func(h *feed.Head) { h.Floor = floor })
	if err := s.Apply(context.Background(), verified(t, f, s, a, items, env)); err != nil {
		t.Fatal(err)
	}
	if got, want := list(t, s, a, 6), "7:2 8:2 9:2"; got != want {
		t.Errorf("before: %s, want %s", got, want)
	}
	maintain(t, s, feedtest.Now, 0)
	if got := list(t, s, a, 6); got != feed.ErrPruned.Error() {
		t.Errorf("from before the floor: %s", got)
	}
	if got, want := list(t, s, a, floor), "9:2"; got != want {
		t.Errorf("from the floor on: %s, want %s", got, want)
	}
	if n, err := s.Keys('e'); n != 4 || err != nil {
		t.Errorf("%d entries, %v; want 3 live and one deletion", n, err)
	}
	feedtest.Same(t, s, a)
	if err := s.Scrub(context.Background(), a.Origin()); err != nil {
		t.Error(err)
	}
}

// TestMaintainHeads: heads go after 180 days, but none from the newest on record
// on, and never the one that is shown.
func TestMaintainHeads(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	begin := feedtest.Now.Add(-300 * 24 * time.Hour)
	for n := range 10 { // one every 30 days
		apply(t, f, s, a.At(begin.Add(time.Duration(n)*30*24*time.Hour)).Put(feedtest.RecordKey(n), "one"))
	}
	first := func() uint64 {
		view, err := s.View(a.Origin())
		if err != nil {
			t.Fatal(err)
		}
		defer view.Close()
		heads, err := view.Heads(0, 100)
		if err != nil || len(heads) == 0 {
			t.Fatalf("%d heads, %v", len(heads), err)
		}
		h, err := feed.ParseHead(heads[0])
		if err != nil {
			t.Fatal(err)
		}
		if int(h.N)+len(heads)-1 != 10 {
			t.Errorf("%d heads from number %d on: the chain has a gap or no end", len(heads), h.N)
		}
		return h.N
	}
	for _, x := range []struct {
		days       int
		keep, want uint64
	}{{0, 3, 3}, {0, 9, 5}, {0, 0, 5}, {30, 0, 6}, {3000, 8, 8}, {3000, 0, 10}} {
		maintain(t, s, feedtest.Now.Add(time.Duration(x.days)*24*time.Hour), x.keep)
		if got := first(); got != x.want {
			t.Errorf("on day %d, on record from %d on, the chain begins at %d, want %d", x.days, x.keep, got, x.want)
		}
	}
}

func TestMaintainIsStopped(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	apply(t, f, s, a.Fill(0, 5, "one"))
	apply(t, f, s, a.Put(feedtest.RecordKey(0), "two"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Maintain(ctx, time.Now().Add(store.UndoLife*2), store.MaintainOptions{}); err == nil {
		t.Error("Maintain went on after its context ended")
	}
	if n, err := s.Keys('u'); n != 1 || err != nil {
		t.Errorf("%d undo entries, %v", n, err)
	}
}

// TestUpgrade opens a database of the first format: nothing was kept for undoing
// there, and everything else goes on.
func TestUpgrade(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(store.Options{Dir: dir, Floor: -1})
	if err != nil {
		t.Fatal(err)
	}
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	apply(t, f, s, a.Fill(0, 5, "one"))
	early := a.Clone()
	apply(t, f, s, a.Put(feedtest.RecordKey(0), "two"))
	undo := store.Key('u', a.Origin(), feedtest.RecordKey(0).Bucket(), feedtest.RecordKey(0), uint64(1), uint64(6))
	state, err := identity.Marshal(struct {
		Head []byte `cbor:"1,keyasint"`
	}{a.View().Head().Envelope})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(func(txn *badger.Txn) error {
		if err := txn.Delete(undo); err != nil {
			return err
		}
		if err := txn.Set(store.Key('h', a.Origin()), state); err != nil {
			return err
		}
		return txn.Set(store.Key('m'), []byte("1"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil)) // packs its tables, as older versions did
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("z"), make([]byte, 9000)) }), db.Close()); err != nil {
		t.Fatal(err)
	}
	if db, err = badger.Open(badger.DefaultOptions(dir).WithLogger(nil)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Flatten(1), db.Close()); err != nil {
		t.Fatal(err)
	}
	again := open(t, store.Options{Dir: dir, Floor: -1})
	feedtest.Same(t, again, a)
	if _, err := again.Undo(a.Origin(), early.View().Head()); err == nil {
		t.Error("went back to what was not kept")
	}
	late := a.Clone()
	apply(t, f, again, a.Put(feedtest.RecordKey(0), "three"))
	if err := back(t, f, again, late); err != nil {
		t.Errorf("back to the head at the upgrade: %v", err)
	}
	feedtest.Same(t, again, late)
}

// TestOrphans: parts of a feed whose head is gone are dropped at the start, so
// that they do not get into its next copy.
func TestOrphans(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(store.Options{Dir: dir, Floor: -1})
	if err != nil {
		t.Fatal(err)
	}
	f := feedtest.NewFederation("ada", "ben")
	a, b := f.Author("ada"), f.Author("ben")
	apply(t, f, s, a.Fill(0, 1200, "one"))
	apply(t, f, s, b.Fill(5000, 5010, "two"))
	if err := s.Commit(func(txn *badger.Txn) error { return txn.Delete(store.Key('h', a.Origin())) }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, store.Options{Dir: dir, Floor: -1})
	for _, prefix := range []byte("efrbHu") {
		want := map[byte]int{'e': 10, 'f': 10, 'r': 10, 'H': 1}[prefix]
		if n, err := again.Keys(prefix); prefix != 'b' && (n != want || err != nil) {
			t.Errorf("%d keys %c, %v; want %d", n, prefix, err, want)
		}
	}
	feedtest.Same(t, again, b)
	c := f.Author("ada")
	apply(t, f, again, c.Fill(0, 5, "anew"))
	feedtest.Same(t, again, c)
}
