package feed_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
)

// replica is a store, and the rules by which it takes an author's heads.
type replica struct {
	t     *testing.T
	f     *feedtest.Federation
	store *feedtest.Memory
	rules feed.Rules
}

func newReplica(t *testing.T, f *feedtest.Federation) *replica {
	r := &replica{t: t, f: f, store: feedtest.NewMemory(), rules: f.Rules()}
	r.rules.Now = feedtest.Now.Add(90 * 24 * time.Hour)
	return r
}

func (r *replica) view() feed.StoreView {
	r.t.Helper()
	v, err := r.store.View(r.f.Member("ada").Origin)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *replica) take(items feed.Items, heads ...[]byte) error {
	r.t.Helper()
	v, err := r.rules.Verify(r.view(), heads, items)
	if err != nil {
		return err
	}
	return r.store.Append(r.t.Context(), v)
}

func (r *replica) must(items feed.Items, heads ...[]byte) {
	r.t.Helper()
	if err := r.take(items, heads...); err != nil {
		r.t.Fatal(err)
	}
}

// TestLargeChangesAddUp: many small heads are one large change.
func TestLargeChangesAddUp(t *testing.T) {
	type part struct {
		changes int
		after   time.Duration // since the head before
		admin   bool
	}
	small := func(n, changes int, after time.Duration) (out []part) {
		for range n {
			out = append(out, part{changes, after, false})
		}
		return out
	}
	for _, c := range []struct {
		name string
		plan []part
		err  error // of the last one
	}{
		{"twenty heads of one change in an hour", small(20, 1, 3*time.Minute), nil},
		{"twenty-one heads of one change in an hour", small(21, 1, 3*time.Minute), feed.ErrUnapproved},
		{"twenty-one, the last one approved", append(small(20, 1, 3*time.Minute), part{1, time.Minute, true}), nil},
		{"approved, then twenty more", append(append(small(20, 1, time.Minute), part{30, time.Minute, true}), small(20, 1, time.Minute)...), nil},
		{"approved, then twenty-one more", append(append(small(20, 1, time.Minute), part{30, time.Minute, true}), small(21, 1, time.Minute)...), feed.ErrUnapproved},
		{"twenty a day for four days", append(small(1, 20, 24*time.Hour), small(3, 20, 24*time.Hour)...), nil},
		{"twenty a day, but for a minute", append(small(1, 20, 24*time.Hour), small(1, 20, 24*time.Hour-time.Minute)...), feed.ErrUnapproved},
		{"one an hour for three days", small(72, 1, 73*time.Minute), nil},
		{"ten at six in the evening, and eleven more next noon", []part{{10, 6 * time.Hour, false}, {11, 18 * time.Hour, false}}, feed.ErrUnapproved},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := feedtest.NewFederation("ada")
			m := f.Member("ada")
			a := f.Author("ada").Fill(0, 100, "first fill") // one signature is enough for it
			first, items := a.Head(nil, m.Publish)
			one, all := newReplica(t, f), newReplica(t, f)
			one.must(items, first)
			all.must(items, first)
			now := feedtest.Now
			var heads [][]byte
			var changed feed.Items
			for i, part := range c.plan {
				now = now.Add(part.after)
				a.At(now).Fill(0, part.changes, fmt.Sprint("change ", i))
				keys := []*identity.Key{m.Publish}
				if part.admin {
					keys = append(keys, m.Admin)
				}
				env, items := a.Head(nil, keys...)
				heads, changed = append(heads, env), append(changed, items...)
				err := one.take(items, env)
				if i < len(c.plan)-1 && err != nil {
					t.Fatalf("head %d: %v", i+2, err)
				}
				if i == len(c.plan)-1 && !errors.Is(err, c.err) {
					t.Errorf("the last head, after the others one by one: %v, want %v", err, c.err)
				}
			}
			if err := all.take(changed.Sort(), heads...); !errors.Is(err, c.err) {
				t.Errorf("all heads at once: %v, want %v", err, c.err)
			}
		})
	}
}

// TestLaterHeadsDoNotHideALargeChange: who stole the publish key waits a day, or
// says so, and goes on with a small change.
func TestLaterHeadsDoNotHideALargeChange(t *testing.T) {
	f := feedtest.NewFederation("ada")
	m := f.Member("ada")
	a := f.Author("ada").Fill(0, 100, "x")
	first, items := a.Head(nil)
	r := newReplica(t, f)
	r.must(items, first)
	large, changed := a.Fill(0, 50, "stolen").Head(nil, m.Publish)
	a.At(feedtest.Now.Add(25*time.Hour)).Put(feedtest.RecordKey(60), "small")
	later, more := a.Head(nil, m.Publish)
	changed = append(changed, more...)
	if err := r.take(changed.Sort(), large, later); !errors.Is(err, feed.ErrUnapproved) {
		t.Errorf("a large change under a small one: %v", err)
	}
	owner, more := a.Put(feedtest.RecordKey(61), "the owner saw it").Head(nil, m.Publish, m.Admin)
	changed = append(changed, more...)
	if err := r.take(changed.Sort(), large, later, owner); err != nil {
		t.Errorf("once an admin key vouches for all of it: %v", err)
	}
}

func TestBurst(t *testing.T) {
	for _, c := range []struct {
		name  string
		heads []int // how many in each minute
		limit int
		err   error
	}{
		{"as many as a minute may have", []int{80}, 0, nil},
		{"one more", []int{81}, 0, feed.ErrTooMany},
		{"one more in the second minute", []int{80, 81}, 0, feed.ErrTooMany},
		{"full minutes in a row", []int{80, 80, 80}, 0, nil},
		{"the policy allows fewer", []int{2, 3}, 2, feed.ErrTooMany},
		{"the policy allows more", []int{100}, 100, nil},
	} {
		for _, steps := range []int{1, 7, 1000} {
			t.Run(fmt.Sprintf("%s, %d at a time", c.name, steps), func(t *testing.T) {
				f := feedtest.NewFederation("ada")
				m := f.Member("ada")
				a := f.Author("ada").At(feedtest.Now.Add(-time.Hour)).Fill(0, 1, "x")
				first, items := a.Head(nil)
				r := newReplica(t, f)
				r.rules.Limits.PerMinute = c.limit
				r.must(items, first)
				var heads [][]byte
				var changed feed.Items
				var err error
				last := 0
				for minute, n := range c.heads {
					last += n
					for i := range n {
						issued := feed.MinuteOf(feedtest.Now) + feed.Minute(minute)
						env, items := a.Put(feedtest.RecordKey(i%5), fmt.Sprint(minute, i)).
							Head(func(h *feed.Head) { h.Issued = issued }, m.Publish, m.Admin)
						heads, changed = append(heads, env), append(changed, items...)
						if len(heads) < steps {
							continue
						}
						if err = r.take(changed.Sort(), heads...); err != nil {
							if c.err == nil || a.View().Head().N != uint64(last)+1 {
								t.Fatalf("head %d: %v", a.View().Head().N, err)
							}
							break
						}
						heads, changed = nil, nil
					}
				}
				if err == nil && len(heads) > 0 {
					err = r.take(changed.Sort(), heads...)
				}
				if !errors.Is(err, c.err) {
					t.Errorf("the last head: %v, want %v", err, c.err)
				}
			})
		}
	}
}

// TestAnchors: who was away for longer than others keep the chain goes on from a
// head that the registry's voters have on record, and from no other.
func TestAnchors(t *testing.T) {
	f := feedtest.NewFederation("ada")
	m := f.Member("ada")
	a := f.Author("ada").Fill(0, 30, "x")
	first, items := a.Head(nil)
	r := newReplica(t, f)
	r.must(items, first)
	var changed feed.Items
	for i := range 10 {
		_, items := a.At(feedtest.Now.Add(time.Duration(i)*12*time.Hour)).Fill(0, 10, fmt.Sprint("change ", i)).Head(nil)
		changed = append(changed, items...)
	}
	all := changed.Sort()
	late := a.Heads[6:] // numbers 7 to 11
	place := func(env []byte) feed.Place {
		h, err := feed.ParseHead(env)
		if err != nil {
			t.Fatal(err)
		}
		return h.Place()
	}
	if err := r.take(all, late...); !errors.Is(err, feed.ErrChain) || errors.Is(err, feed.ErrEquivocation) {
		t.Errorf("a gap without an anchor: %v", err)
	}
	f.SetAnchor("ada", place(late[1]))
	if err := r.take(all, late...); !errors.Is(err, feed.ErrChain) {
		t.Errorf("an anchor in the middle: %v", err)
	}
	if err := r.take(all, append([][]byte{a.Heads[1]}, late[1:]...)...); !errors.Is(err, feed.ErrChain) {
		t.Errorf("a second gap, to an anchor: %v", err)
	}
	v, err := r.rules.Verify(r.view(), late[1:], all)
	if err != nil {
		t.Fatalf("from the anchor on: %v", err)
	}
	if err := r.store.Append(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	feedtest.Same(t, r.store, a)
	if heads, err := r.view().Heads(1, 100); err != nil || len(heads) != len(late)-1 {
		t.Errorf("after the gap the chain has %d heads, %v; want those from the anchor on", len(heads), err)
	}
	// What the publish key alone may do is counted from the anchor on.
	env, items := a.Fill(0, feed.LargeChange+1, "much").Head(nil, m.Publish)
	if err := r.take(items, env); !errors.Is(err, feed.ErrUnapproved) {
		t.Errorf("much at once after a gap: %v", err)
	}
	// A head held here that is not the one on record leads nowhere.
	held := r.view().Head().Place()
	held.Hash[0] ^= 1
	f.SetAnchor("ada", held)
	env, items = a.Fill(0, 1, "more").Head(nil)
	if err := r.take(items, env); !errors.Is(err, feed.ErrAnchor) {
		t.Errorf("on from a head that contradicts the record: %v", err)
	}
}

func TestForked(t *testing.T) {
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	var heads [][]byte
	var items []feed.Items
	for i := range 5 {
		env, changed := a.Put(feedtest.RecordKey(i), "x").Head(nil)
		heads, items = append(heads, env), append(items, changed)
	}
	behind, ahead, fresh := newReplica(t, f), newReplica(t, f), newReplica(t, f)
	behind.must(items[0], heads[0])
	for i := range 4 {
		ahead.must(items[i], heads[i])
	}
	f.Fork("ada", 3)
	behind.must(items[1], heads[1]) // before the fork all is well
	if err := behind.take(items[2], heads[2]); !errors.Is(err, feed.ErrForked) {
		t.Errorf("the number that was signed twice: %v", err)
	}
	if err := ahead.take(items[4], heads[4]); !errors.Is(err, feed.ErrForked) {
		t.Errorf("a number after it: %v", err)
	}
	third, err := feed.ParseHead(heads[2])
	if err != nil {
		t.Fatal(err)
	}
	anchor(f, &third.Head, 0)
	if err := behind.take(items[2], heads[2]); err != nil {
		t.Errorf("a head on record: %v", err)
	}
	if err := behind.take(items[3], heads[3]); !errors.Is(err, feed.ErrForked) {
		t.Errorf("a number after what is on record: %v", err)
	}
	var all feed.Items
	for _, i := range items {
		all = append(all, i...)
	}
	if err := fresh.take(all.Sort(), heads[4]); err != nil {
		t.Errorf("a first copy of a frozen feed: %v", err)
	}
	f.Bump("ada", nil)
	env, changed := a.Put(feedtest.RecordKey(9), "anew").Head(nil)
	if err := ahead.take(append(items[4], changed...).Sort(), heads[4], env); err != nil {
		t.Errorf("a new epoch: %v", err)
	}
	feedtest.Same(t, ahead.store, a)
}

// TestBurstOnTheHeldHead: the held head counts too, whatever is taken at once.
func TestBurstOnTheHeldHead(t *testing.T) {
	for n := 1; n <= 4; n++ {
		f := feedtest.NewFederation("ada")
		f.Limits.PerMinute = 3
		r := newReplica(t, f)
		r.rules.Limits = f.Limits
		a := f.Author("ada")
		now := func(h *feed.Head) { h.Issued = feed.MinuteOf(feedtest.Now) }
		first, items := a.Put(feedtest.RecordKey(0), "x").Head(now)
		r.must(items, first)
		var heads [][]byte
		var changed feed.Items
		for i := range n {
			env, items := a.Put(feedtest.RecordKey(i), fmt.Sprint(i)).Head(now)
			heads, changed = append(heads, env), append(changed, items...)
		}
		if err := r.take(changed.Sort(), heads...); errors.Is(err, feed.ErrTooMany) != (n > 2) {
			t.Errorf("%d heads at once on one of that minute, three allowed: %v", n, err)
		}
	}
}
