package feedtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Open makes an empty store for one test, and what applies steps to it.
type Open func(*testing.T) (feed.Store, feed.Appender)

// Run checks an implementation of [feed.Store].
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		f    func(*testing.T, *play)
	}{
		{"a feed that is not held", testEmpty},
		{"first copy, change, deletion", testSteps},
		{"a first copy of a feed that has a past", testFirstCopy},
		{"a step that no longer starts where the feed is", testMoved},
		{"what is staged is invisible until it is applied, then whole", testStaged},
		{"what is staged cannot take the place of what is visible", testStagedLies},
		{"staging is discarded", testDiscard},
		{"a later staging area replaces an earlier one", testReplacedStaging},
		{"the newest beat stays", testBeats},
		{"the chain of heads", testHeads},
		{"a feed that starts over", testNewEpoch},
		{"two feeds side by side", testTwoFeeds},
		{"a step over a gap, to a head on record", testGap},
		{"an epoch that goes on", testNextEpoch},
		{"back to an earlier head", testRollback},
		{"what cannot be undone", testNoUndo},
		{"what was erased is nowhere", testErase},
		{"what is really there", testActual},
		{"a repair", testRepair},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, appender := open(t)
			f := NewFederation("ada", "ben")
			c.f(t, &play{t: t, store: store, appender: appender, f: f})
		})
	}
}

// play is one store and the federation whose feeds it holds.
type play struct {
	t        *testing.T
	store    feed.Store
	appender feed.Appender
	f        *Federation
}

func (p *play) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *play) view(o identity.OriginID) feed.StoreView {
	p.t.Helper()
	v, err := p.store.View(o)
	p.must(err)
	return v
}

// verify checks a step against what the store holds.
func (p *play) verify(o identity.OriginID, delta feed.Delta, heads ...[]byte) *feed.Verified {
	p.t.Helper()
	view := p.view(o)
	defer view.Close()
	v, err := p.f.Rules().Verify(view, heads, delta)
	p.must(err)
	return v
}

func (p *play) apply(v *feed.Verified) error { return p.appender.Append(context.Background(), v) }

// publish signs what the author has put, checks and applies it.
func (p *play) publish(a *Author) {
	p.t.Helper()
	env, items := a.Head(nil)
	p.must(p.apply(p.verify(a.Origin(), items, env)))
}

// stage signs what the author has put and checks it through a staging area.
func (p *play) stage(a *Author) (feed.Staging, *feed.Verified) {
	p.t.Helper()
	env, items := a.Head(nil)
	st, err := p.store.Stage(a.Origin())
	p.must(err)
	p.must(st.Put(items...))
	return st, p.verify(a.Origin(), st, env)
}

// same checks that the store holds just what the author has.
func (p *play) same(a *Author) {
	p.t.Helper()
	Same(p.t, p.store, a)
}

// Same checks that a store holds just what an author wrote, under its newest head.
func Same(t *testing.T, store feed.Store, a *Author) {
	t.Helper()
	v, err := store.View(a.Origin())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	want := a.View().Head()
	if v.Head() == nil || v.Head().Hash != want.Hash || !bytes.Equal(v.Head().Envelope, want.Envelope) {
		t.Fatalf("the store shows head %+v, want %+v", v.Head(), want.Head)
	}
	leaves, err := v.Leaves()
	if err != nil {
		t.Fatal(err)
	}
	if *leaves != *a.Leaves() {
		t.Error("the leaves are not those computed from scratch")
	}
	if leaves.Root() != want.Root {
		t.Error("the root is not the head's")
	}
	for q, want := range a.Buckets() {
		list, err := v.Bucket(q)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(list, want) {
			t.Fatalf("bucket %d holds %v, want %v", q, list, want)
		}
	}
	var live []feed.Change
	err = v.Since(0, true, func(c feed.Change, raw []byte) bool {
		live = append(live, c)
		if !bytes.Equal(raw, a.Raw(c.Key)) {
			t.Errorf("Since gives %d bytes for %s, want %d", len(raw), c.Key, len(a.Raw(c.Key)))
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(live, a.Live()) {
		t.Errorf("Since lists %d live records, want %d in order of their numbers", len(live), len(a.Live()))
	}
	for _, c := range a.Live() {
		got, raw, err := v.Record(c.Key)
		if err != nil || got != c || !bytes.Equal(raw, a.Raw(c.Key)) {
			t.Fatalf("Record(%s) = %v, %d bytes, %v", c.Key, got, len(raw), err)
		}
	}
}

func (p *play) since(o identity.OriginID, seq uint64, live bool) (out []string, err error) {
	v := p.view(o)
	defer v.Close()
	err = v.Since(seq, live, func(c feed.Change, raw []byte) bool {
		out = append(out, fmt.Sprintf("%d:%d:%t", c.Seq, c.Op, len(raw) > 0))
		return true
	})
	return out, err
}

func testEmpty(t *testing.T, p *play) {
	o := p.f.Member("ada").Origin
	v := p.view(o)
	defer v.Close()
	if v.Head() != nil {
		t.Error("a head out of nothing")
	}
	leaves, err := v.Leaves()
	p.must(err)
	if *leaves != *feed.EmptyLeaves() {
		t.Error("leaves of an empty feed")
	}
	if _, _, err := v.Record(RecordKey(1)); !errors.Is(err, feed.ErrNoRecord) {
		t.Errorf("Record: %v", err)
	}
	if heads, err := v.Heads(0, 10); err != nil || len(heads) != 0 {
		t.Errorf("Heads: %d, %v", len(heads), err)
	}
	if got, err := p.since(o, 0, false); err != nil || len(got) != 0 {
		t.Errorf("Since: %v, %v", got, err)
	}
	if list, err := p.store.Origins(); err != nil || len(list) != 0 {
		t.Errorf("Origins: %v, %v", list, err)
	}
	if b, err := p.store.Beat(o); err != nil || b != nil {
		t.Errorf("Beat: %v, %v", b, err)
	}
}

func testSteps(t *testing.T, p *play) {
	a := p.f.Author("ada")
	p.publish(a.Fill(0, 5, "one"))
	p.same(a)
	p.publish(a.Put(RecordKey(1), "changed").Delete(RecordKey(2)).Erase(RecordKey(3)).Put(RecordKey(9), "new"))
	p.same(a)
	v := p.view(a.Origin())
	defer v.Close()
	for _, k := range []int{2, 3} {
		if _, _, err := v.Record(RecordKey(k)); !errors.Is(err, feed.ErrNoRecord) {
			t.Errorf("record %d after its deletion: %v", k, err)
		}
	}
	// Each key once, at its latest change: 0 and 4 of the first head, then 1, 2, 3, 9.
	got, err := p.since(a.Origin(), 0, false)
	p.must(err)
	if want := []string{"1:1:true", "5:1:true", "6:1:true", "7:2:false", "8:3:false", "9:1:true"}; !slices.Equal(got, want) {
		t.Errorf("Since(0) = %v, want %v", got, want)
	}
	got, err = p.since(a.Origin(), 6, false)
	p.must(err)
	if want := []string{"7:2:false", "8:3:false", "9:1:true"}; !slices.Equal(got, want) {
		t.Errorf("Since(6) = %v, want %v", got, want)
	}
	for _, seq := range []uint64{9, 10, ^uint64(0)} {
		if got, err := p.since(a.Origin(), seq, false); err != nil || len(got) != 0 {
			t.Errorf("Since(%d) = %v, %v; nothing is newer", seq, got, err)
		}
	}
	p.publish(a.Put(RecordKey(2), "back again"))
	p.same(a)
	stops := 0
	p.must(v.Since(0, false, func(feed.Change, []byte) bool { stops++; return false }))
	if stops != 1 {
		t.Errorf("Since went on %d times after it was told to stop", stops-1)
	}
	if v.Head().N != 2 {
		t.Error("an open view moved on with the feed")
	}
}

func testFirstCopy(t *testing.T, p *play) {
	a := p.f.Author("ada").Fill(0, 3, "one")
	a.Head(nil)
	env, _ := a.Put(RecordKey(0), "two").Delete(RecordKey(1)).Head(nil)
	var items feed.Items
	for _, c := range a.Live() {
		item, err := feed.Check(c, a.Raw(c.Key))
		p.must(err)
		items = append(items, item)
	}
	p.must(p.apply(p.verify(a.Origin(), items.Sort(), env)))
	p.same(a)
	if _, err := p.since(a.Origin(), 2, false); !errors.Is(err, feed.ErrPruned) {
		t.Errorf("Since before the first copy: %v; deletions before it are not known here", err)
	}
	if _, err := p.since(a.Origin(), 2, true); err != nil {
		t.Errorf("Since of live records only: %v", err)
	}
	p.publish(a.Delete(RecordKey(2)))
	if got, err := p.since(a.Origin(), 5, false); err != nil || !slices.Equal(got, []string{"6:2:false"}) {
		t.Errorf("Since after the first copy = %v, %v", got, err)
	}
}

func testMoved(t *testing.T, p *play) {
	a := p.f.Author("ada")
	b := a.Clone()
	envA, itemsA := a.Fill(0, 2, "one").Head(nil)
	envB, itemsB := b.Fill(5, 9, "other").Head(nil)
	va, vb := p.verify(a.Origin(), itemsA, envA), p.verify(b.Origin(), itemsB, envB)
	p.must(p.apply(va))
	if err := p.apply(vb); !errors.Is(err, feed.ErrMoved) {
		t.Fatalf("a second first copy: %v, want ErrMoved", err)
	}
	if err := p.apply(va); !errors.Is(err, feed.ErrMoved) {
		t.Fatalf("the same step twice: %v, want ErrMoved", err)
	}
	p.same(a)

	b = a.Clone()
	st, v := p.stage(b.Fill(20, 30, "staged"))
	p.publish(a.Put(RecordKey(0), "newer"))
	if err := p.apply(v); !errors.Is(err, feed.ErrMoved) {
		t.Fatalf("a staged step that came too late: %v, want ErrMoved", err)
	}
	p.must(st.Discard())
	p.same(a)
}

// large is more than an implementation is likely to take in one transaction.
const large = 2500

func testStaged(t *testing.T, p *play) {
	a := p.f.Author("ada")
	p.publish(a.Fill(0, 10, "old"))
	before := a.Clone()
	a.Fill(5, large, "new").Delete(RecordKey(0))
	st, v := p.stage(a)
	p.same(before)
	open := p.view(a.Origin())
	defer open.Close()
	p.must(p.apply(v))
	p.same(a)
	if _, _, err := open.Record(RecordKey(0)); err != nil {
		t.Errorf("a view opened before the step lost a record: %v", err)
	}
	if _, _, err := open.Record(RecordKey(large - 1)); !errors.Is(err, feed.ErrNoRecord) {
		t.Errorf("a view opened before the step shows its records: %v", err)
	}
	p.must(st.Discard()) // harmless now
	p.same(a)
	if err := p.apply(v); !errors.Is(err, feed.ErrMoved) {
		t.Errorf("the same staged step twice: %v, want ErrMoved", err)
	}
	p.same(a)
	p.publish(a.Put(RecordKey(7), "after"))
	p.same(a)
}

// testStagedLies stages, under the number of a visible record, another record:
// what a lying peer may send before its lie is found out.
func testStagedLies(t *testing.T, p *play) {
	a := p.f.Author("ada")
	p.publish(a.Fill(0, 3, "true"))
	liar := p.f.Author("ada").Fill(0, 3, "false")
	_, items := liar.Head(nil)
	st, err := p.store.Stage(a.Origin())
	p.must(err)
	p.must(st.Put(items...))
	p.same(a)
	p.must(st.Discard())
	p.same(a)
	st, err = p.store.Stage(a.Origin()) // the very records that are visible, staged and dropped
	p.must(err)
	for _, c := range a.Live() {
		item, err := feed.Check(c, a.Raw(c.Key))
		p.must(err)
		p.must(st.Put(item))
	}
	p.must(st.Discard())
	p.same(a)
}

func testDiscard(t *testing.T, p *play) {
	a := p.f.Author("ada")
	b := a.Clone()
	st, v := p.stage(b.Fill(0, 700, "dropped"))
	p.must(st.Discard())
	p.must(st.Discard())
	if err := p.apply(v); !errors.Is(err, feed.ErrMoved) {
		t.Errorf("a step whose changes were dropped: %v, want ErrMoved", err)
	}
	if head := p.view(a.Origin()).Head(); head != nil {
		t.Fatal("a dropped step is visible")
	}
	p.publish(a.Fill(0, 5, "kept"))
	p.same(a)
}

func testReplacedStaging(t *testing.T, p *play) {
	a := p.f.Author("ada")
	b := a.Clone()
	old, v := p.stage(b.Fill(0, 30, "first"))
	st, w := p.stage(a.Fill(0, 40, "second"))
	if err := p.apply(v); !errors.Is(err, feed.ErrMoved) {
		t.Errorf("a step whose staging area was replaced: %v, want ErrMoved", err)
	}
	p.must(old.Discard()) // must not touch its successor
	p.must(p.apply(w))
	p.must(st.Discard())
	p.same(a)
}

func testBeats(t *testing.T, p *play) {
	a := p.f.Author("ada")
	p.publish(a.Fill(0, 1, "one"))
	want := func(counter uint64) {
		t.Helper()
		b, err := p.store.Beat(a.Origin())
		p.must(err)
		if b == nil || b.Counter != counter {
			t.Fatalf("the beat is %+v, want number %d", b, counter)
		}
	}
	for _, n := range []uint64{5, 9, 7, 9} {
		p.must(p.store.PutBeat(a.Beat(n)))
	}
	want(9)
	a.NewEpoch().Put(RecordKey(0), "anew").Head(nil)
	p.must(p.store.PutBeat(a.Beat(2)))
	want(2)
}

func testHeads(t *testing.T, p *play) {
	a := p.f.Author("ada")
	p.publish(a.Fill(0, 2, "one"))
	var envs [][]byte // a step over several heads
	var all feed.Items
	for i := range 3 {
		env, items := a.Put(RecordKey(50+i), "more").Head(nil)
		envs, all = append(envs, env), append(all, items...)
	}
	p.must(p.apply(p.verify(a.Origin(), all.Sort(), envs...)))
	p.same(a)
	v := p.view(a.Origin())
	defer v.Close()
	for _, c := range []struct {
		from  uint64
		limit int
		want  [][]byte
	}{
		{0, 10, a.Heads}, {1, 10, a.Heads}, {3, 10, a.Heads[2:]}, {2, 2, a.Heads[1:3]}, {5, 10, nil},
	} {
		got, err := v.Heads(c.from, c.limit)
		p.must(err)
		if !slices.EqualFunc(got, c.want, bytes.Equal) {
			t.Errorf("Heads(%d, %d): %d heads, want %d", c.from, c.limit, len(got), len(c.want))
		}
	}
}

func testNewEpoch(t *testing.T, p *play) {
	a := p.f.Author("ada")
	p.publish(a.Fill(0, 20, "old").Delete(RecordKey(3)))
	b := p.f.Author("ada").NewEpoch() // the owner lost all and starts over
	env, items := b.Fill(0, 4, "new").Head(nil)
	for i := 4; i < 20; i++ { // what goes is told by comparing
		if i == 3 {
			continue
		}
		gone, err := feed.Check(feed.Change{Seq: 4, Key: RecordKey(i), Op: feed.Delete}, nil)
		p.must(err)
		items = append(items, gone)
	}
	p.must(p.apply(p.verify(b.Origin(), items.Sort(), env)))
	p.same(b)
	if _, err := p.since(b.Origin(), 2, false); !errors.Is(err, feed.ErrPruned) {
		t.Errorf("Since across a new start: %v, want ErrPruned", err)
	}
	if got, err := p.since(b.Origin(), 4, false); err != nil || len(got) != 0 {
		t.Errorf("Since at the head = %v, %v; deletions of the old epoch do not follow it", got, err)
	}
	p.publish(b.Put(RecordKey(30), "on"))
	p.same(b)
}

func testTwoFeeds(t *testing.T, p *play) {
	a, b := p.f.Author("ada"), p.f.Author("ben")
	p.publish(a.Fill(0, 9, "ada"))
	p.publish(b.Fill(0, 4, "ben"))
	p.publish(a.Delete(RecordKey(1)))
	p.same(a)
	p.same(b)
	list, err := p.store.Origins()
	p.must(err)
	if len(list) != 2 || !slices.Contains(list, a.Origin()) || !slices.Contains(list, b.Origin()) {
		t.Errorf("Origins = %v", list)
	}
}
