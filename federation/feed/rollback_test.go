package feed_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
)

// theft is a replica that took what a thief signed after head 3, and two
// authors: one at the last good head, one at the thief's.
func theft(t *testing.T) (r *replica, good, thief *feedtest.Author) {
	t.Helper()
	f := feedtest.NewFederation("ada")
	r = newReplica(t, f)
	a := f.Author("ada")
	for i := range 3 {
		env, items := a.Fill(10*i, 10*i+15, fmt.Sprint("true ", i)).Delete(feedtest.RecordKey(10 * i)).Head(nil)
		r.must(items, env)
	}
	good = a.Clone()
	for i := range 3 {
		env, items := a.Put(feedtest.RecordKey(5), fmt.Sprint("false ", i)).Put(feedtest.RecordKey(i), "back").
			Put(feedtest.RecordKey(100+i), "new").Delete(feedtest.RecordKey(20 + i)).Head(nil)
		r.must(items, env)
	}
	env, items := a.Delete(feedtest.RecordKey(100)).Head(nil)
	r.must(items, env)
	return r, good, a
}

func TestRollback(t *testing.T) {
	r, good, thief := theft(t)
	place := good.View().Head().Place()
	o := good.Origin()
	env := good.Heads[2]
	undo := func() feed.Delta {
		t.Helper()
		d, err := r.store.Undo(o, good.View().Head())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if _, err := r.rules.VerifyRollback(r.view(), env, undo()); !errors.Is(err, feed.ErrOlder) {
		t.Errorf("going back though nobody said so: %v", err)
	}
	if _, err := r.rules.Verify(r.view(), [][]byte{env}, undo()); !errors.Is(err, feed.ErrOlder) {
		t.Errorf("an earlier head as a step: %v", err)
	}
	r.f.Bump("ada", &place)
	if _, err := r.rules.VerifyRollback(r.view(), good.Heads[1], undo()); !errors.Is(err, feed.ErrRevoked) {
		t.Errorf("going back further than is said: %v", err)
	}
	if _, err := r.rules.VerifyRollback(r.view(), env, feed.Items(nil)); !errors.Is(err, feed.ErrRoot) {
		t.Errorf("going back in name only: %v", err)
	}
	v, err := r.rules.VerifyRollback(r.view(), env, undo())
	if err != nil {
		t.Fatal(err)
	}
	if v.Kind() != feed.Rollback || v.Base() != thief.View().Head().Hash || v.Head().Hash != place.Hash || len(v.Heads()) != 1 {
		t.Errorf("the step back is %v from %s to %s", v.Kind(), v.Base(), v.Head().Hash)
	}
	if err := r.store.Append(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	feedtest.Same(t, r.store, good)
	if heads, err := r.view().Heads(1, 10); err != nil || !slices.EqualFunc(heads, good.Heads, slices.Equal) {
		t.Errorf("after going back the chain has %d heads, %v; want %d", len(heads), err, len(good.Heads))
	}
	if _, err := r.rules.VerifyRollback(r.view(), env, feed.Items(nil)); !errors.Is(err, feed.ErrOlder) {
		t.Errorf("going back twice: %v", err)
	}
	// The thief's heads have no way in again, the owner's have.
	if err := r.take(nil, thief.Heads[3:]...); !errors.Is(err, feed.ErrRevoked) {
		t.Errorf("the thief's heads again: %v", err)
	}
	next, items := good.Put(feedtest.RecordKey(7), "the owner goes on").Head(nil)
	r.must(items, next)
	feedtest.Same(t, r.store, good)
	if h := r.view().Head(); h.Epoch != 2 || h.N != 4 || h.Prev != place.Hash {
		t.Errorf("the owner's next head is %+v", h.Head)
	}
	if heads, err := r.view().Heads(1, 10); err != nil || len(heads) != 4 {
		t.Errorf("the chain across the epochs has %d heads, %v", len(heads), err)
	}
}

// TestBehindAtTheRollback: who has not seen the thief's heads takes the owner's
// up to the last good one, then the new epoch.
func TestBehindAtTheRollback(t *testing.T) {
	r, good, thief := theft(t)
	place := good.View().Head().Place()
	late := newReplica(t, r.f)
	a := r.f.Author("ada")
	for i := range 2 {
		env, items := a.Fill(10*i, 10*i+15, fmt.Sprint("true ", i)).Delete(feedtest.RecordKey(10 * i)).Head(nil)
		late.must(items, env)
	}
	r.f.Bump("ada", &place)
	stolen := feedtest.Key(identity.RolePublish, "ada")
	_, items := a.Fill(20, 35, "true 2").Delete(feedtest.RecordKey(20)).Head(nil, stolen)
	if err := late.take(items, append(slices.Clone(good.Heads[2:]), thief.Heads[3])...); !errors.Is(err, feed.ErrRevoked) {
		t.Errorf("past the last good head: %v", err)
	}
	late.must(items, good.Heads[2])
	feedtest.Same(t, late.store, good)
	next, items := good.Put(feedtest.RecordKey(7), "the owner goes on").Head(nil)
	late.must(items, next)
	feedtest.Same(t, late.store, good)
	if err := late.take(nil, good.Heads[2]); !errors.Is(err, feed.ErrOlder) {
		t.Errorf("the epoch before, once the new one has a head: %v", err)
	}
}

// TestUndoDoesNotReach: what was erased cannot come back, and what was dropped
// after its time neither. The new epoch is then taken as it comes.
func TestUndoDoesNotReach(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(*replica, *feedtest.Author)
	}{
		{"after its time", func(r *replica, a *feedtest.Author) { r.store.Forget(a.Origin()) }},
		{"a record was erased", func(r *replica, a *feedtest.Author) {
			env, items := a.Erase(feedtest.RecordKey(12)).Head(nil)
			r.must(items, env)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, good, thief := theft(t)
			c.harm(r, thief)
			place := good.View().Head().Place()
			if _, err := r.store.Undo(good.Origin(), good.View().Head()); !errors.Is(err, feed.ErrPruned) {
				t.Fatalf("Undo: %v, want ErrPruned", err)
			}
			r.f.Bump("ada", &place)
			next, _ := good.Put(feedtest.RecordKey(7), "the owner goes on").Head(nil)
			r.must(difference(t, r.view(), good), next)
			feedtest.Same(t, r.store, good)
		})
	}
}

// difference are the changes that make what a view holds what an author has.
func difference(t *testing.T, view feed.StoreView, a *feedtest.Author) (out feed.Items) {
	t.Helper()
	held := make(map[feed.Key]feed.Change)
	for q := range feed.Buckets {
		list, err := view.Bucket(q)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			held[c.Key] = c
		}
	}
	add := func(c feed.Change, raw []byte) {
		item, err := feed.Check(c, raw)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, item)
	}
	for _, c := range a.Live() {
		if held[c.Key] != c {
			add(c, a.Raw(c.Key))
		}
		delete(held, c.Key)
	}
	for key := range held {
		add(feed.Change{Seq: a.View().Head().Seq, Key: key, Op: feed.Delete}, nil)
	}
	return out.Sort()
}

func TestRepair(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(*replica, *feedtest.Author) // after the first copy
	}{
		{"nothing is wrong", func(*replica, *feedtest.Author) {}},
		{"a flipped bit", func(r *replica, a *feedtest.Author) { r.store.Corrupt(a.Origin(), feedtest.RecordKey(4)) }},
		{"lost records", func(r *replica, a *feedtest.Author) {
			for i := range 20 {
				r.store.Lose(a.Origin(), feedtest.RecordKey(i))
			}
		}},
		{"everything is lost", func(r *replica, a *feedtest.Author) {
			for i := range 60 {
				r.store.Lose(a.Origin(), feedtest.RecordKey(i))
			}
		}},
		{"the origin is suspended", func(r *replica, a *feedtest.Author) {
			r.store.Corrupt(a.Origin(), feedtest.RecordKey(4))
			r.f.Suspend("ada", true)
		}},
		{"the feed is frozen", func(r *replica, a *feedtest.Author) {
			r.store.Corrupt(a.Origin(), feedtest.RecordKey(4))
			r.f.Fork("ada", 1)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := feedtest.NewFederation("ada")
			r := newReplica(t, f)
			a := f.Author("ada").Fill(0, 50, "x")
			env, items := a.Head(nil)
			r.must(items, env)
			c.harm(r, a)
			actual, err := r.store.Actual(a.Origin())
			if err != nil {
				t.Fatal(err)
			}
			v, err := r.rules.VerifyRepair(actual, [][]byte{env}, difference(t, actual, a))
			if err != nil {
				t.Fatal(err)
			}
			if v.Kind() != feed.Repair || v.Base() != v.Head().Hash || len(v.Leaves()) != feed.Buckets {
				t.Errorf("the repair is %v from %s to %s with %d leaves", v.Kind(), v.Base(), v.Head().Hash, len(v.Leaves()))
			}
			if err := r.store.Append(t.Context(), v); err != nil {
				t.Fatal(err)
			}
			feedtest.Same(t, r.store, a)
		})
	}
}

func TestRepairRefuses(t *testing.T) {
	f := feedtest.NewFederation("ada")
	r := newReplica(t, f)
	a := f.Author("ada").Fill(0, 50, "x")
	env, items := a.Head(nil)
	r.must(items, env)
	r.store.Corrupt(a.Origin(), feedtest.RecordKey(4))
	r.store.Lose(a.Origin(), feedtest.RecordKey(5))
	actual, err := r.store.Actual(a.Origin())
	if err != nil {
		t.Fatal(err)
	}
	delta := difference(t, actual, a)
	if len(delta) != 2 {
		t.Fatalf("%d records are to be fetched, want 2", len(delta))
	}
	if _, err := r.rules.VerifyRepair(actual, [][]byte{env}, delta[:1]); !errors.Is(err, feed.ErrRoot) {
		t.Errorf("half a repair: %v", err)
	}
	forged := feedtest.SignHead(a.View().Head().Head, feedtest.Key(identity.RolePublish, "stranger"))
	if _, err := r.rules.VerifyRepair(actual, [][]byte{forged}, delta); err == nil {
		t.Error("a repair under a head that is not signed")
	}
	// On to a newer head at once.
	next, more := a.Put(feedtest.RecordKey(6), "newer").Head(nil)
	v, err := r.rules.VerifyRepair(actual, [][]byte{next}, append(delta, more...).Sort())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.store.Append(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	feedtest.Same(t, r.store, a)
}

// TestErased: a step says how many erasures it brings, and a copy of what was
// erased is not to be had by going back.
func TestErased(t *testing.T) {
	f := feedtest.NewFederation("ada")
	r := newReplica(t, f)
	a := f.Author("ada").Fill(0, 5, "x")
	env, items := a.Head(nil)
	r.must(items, env)
	gone, items := a.Delete(feedtest.RecordKey(1)).Head(nil)
	r.must(items, gone)
	first, err := feed.ParseHead(env)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Undo(a.Origin(), first); err != nil {
		t.Fatalf("a deletion can be undone: %v", err)
	}
	erased, items := a.Erase(feedtest.RecordKey(1)).Head(nil) // of what is dead already
	v, err := r.rules.Verify(r.view(), [][]byte{erased}, items)
	if err != nil {
		t.Fatal(err)
	}
	if v.Erased() != 1 || v.Head().Root != r.view().Head().Root {
		t.Errorf("%d erasures, root %s", v.Erased(), v.Head().Root)
	}
	if err := r.store.Append(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Undo(a.Origin(), first); !errors.Is(err, feed.ErrPruned) {
		t.Errorf("what was erased can be undone: %v", err)
	}
}
