package feedtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
)

// chained checks that the store lists just these heads.
func (p *play) chained(a *Author, want [][]byte) {
	p.t.Helper()
	v := p.view(a.Origin())
	defer v.Close()
	got, err := v.Heads(0, 100)
	p.must(err)
	if !slices.EqualFunc(got, want, bytes.Equal) {
		p.t.Errorf("the chain has %d heads, want %d without a gap", len(got), len(want))
	}
}

// all are an author's live records as changes of a first copy.
func (p *play) all(a *Author) (out feed.Items) {
	p.t.Helper()
	for _, c := range a.Live() {
		item, err := feed.Check(c, a.Raw(c.Key))
		p.must(err)
		out = append(out, item)
	}
	return out.Sort()
}

func testGap(t *testing.T, p *play) {
	a := p.f.Author("ada")
	p.publish(a.Fill(0, 5, "one"))
	p.publish(a.Put(RecordKey(1), "two"))
	before := a.Clone()
	_, missed := a.Put(RecordKey(2), "three").Head(nil)
	env, items := a.Put(RecordKey(3), "four").Head(nil)
	p.f.SetAnchor("ada", a.View().Head().Place())
	p.same(before)
	p.must(p.apply(p.verify(a.Origin(), append(missed, items...).Sort(), env)))
	p.same(a)
	p.chained(a, a.Heads[3:])
	p.publish(a.Put(RecordKey(4), "five"))
	p.same(a)
	p.chained(a, a.Heads[3:])
}

func testNextEpoch(t *testing.T, p *play) {
	a := p.f.Author("ada")
	p.publish(a.Fill(0, 5, "one").Delete(RecordKey(1)))
	p.publish(a.Put(RecordKey(2), "two"))
	p.f.Bump("ada", nil)
	p.publish(a.Put(RecordKey(3), "three"))
	p.publish(a.Put(RecordKey(4), "four"))
	p.same(a)
	p.chained(a, a.Heads)
}

// stolen publishes three good heads of an author, and three of a thief.
func (p *play) stolen() (good, thief *Author) {
	p.t.Helper()
	a := p.f.Author("ada")
	p.publish(a.Fill(0, 30, "one").Delete(RecordKey(29)))
	p.publish(a.Put(RecordKey(1), "two").Delete(RecordKey(2)))
	p.publish(a.Put(RecordKey(3), "three"))
	good = a.Clone()
	p.publish(a.Put(RecordKey(1), "false").Put(RecordKey(2), "back").Put(RecordKey(50), "new"))
	p.publish(a.Delete(RecordKey(3)).Put(RecordKey(1), "false again").Put(RecordKey(51), "new"))
	p.publish(a.Delete(RecordKey(51)).Delete(RecordKey(4)))
	return good, a
}

func testRollback(t *testing.T, p *play) {
	good, thief := p.stolen()
	o, head := good.Origin(), good.View().Head()
	place := head.Place()
	p.f.Bump("ada", &place)
	undo, err := p.store.Undo(o, head)
	p.must(err)
	view := p.view(o)
	v, err := p.f.Rules().VerifyRollback(view, head.Envelope, undo)
	view.Close()
	p.must(err)
	p.same(thief)
	p.must(p.apply(v))
	p.same(good)
	p.chained(good, good.Heads)
	if err := p.apply(v); !errors.Is(err, feed.ErrMoved) {
		t.Errorf("the same step back twice: %v, want ErrMoved", err)
	}
	if got, err := p.since(o, head.Seq, false); err != nil || len(got) != 0 {
		t.Errorf("Since at the head = %v, %v; what was taken back must not follow it", got, err)
	}
	p.publish(good.Put(RecordKey(1), "on"))
	p.same(good)
	p.chained(good, good.Heads)
}

func testNoUndo(t *testing.T, p *play) {
	a := p.f.Author("ada")
	if _, err := p.store.Undo(a.Origin(), &feed.SignedHead{}); !errors.Is(err, feed.ErrPruned) {
		t.Errorf("undoing a feed that is not held: %v, want ErrPruned", err)
	}
	env, items := a.Fill(0, 3, "one").Head(nil)
	_, more := a.Put(RecordKey(1), "two").Head(nil)
	p.must(p.apply(p.verify(a.Origin(), append(items, more...).Sort(), a.Heads...)))
	one, err := feed.ParseHead(env)
	p.must(err)
	if _, err := p.store.Undo(a.Origin(), one); !errors.Is(err, feed.ErrPruned) {
		t.Errorf("back to a head at which no step ended: %v, want ErrPruned", err)
	}
	stranger := p.f.Author("ada").Fill(0, 2, "other")
	stranger.Head(nil)
	if _, err := p.store.Undo(a.Origin(), stranger.View().Head()); !errors.Is(err, feed.ErrPruned) {
		t.Errorf("back to a head that was never held: %v, want ErrPruned", err)
	}
}

func testErase(t *testing.T, p *play) {
	a := p.f.Author("ada")
	p.publish(a.Fill(0, 6, "secret"))
	first := a.View().Head()
	p.publish(a.Put(RecordKey(1), "changed").Delete(RecordKey(2)))
	second := a.Clone()
	back := func(to *feed.SignedHead, want error) {
		t.Helper()
		if _, err := p.store.Undo(a.Origin(), to); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("Undo to head %d: %v, want %v", to.N, err, want)
		}
	}
	back(first, nil)
	p.publish(a.Erase(RecordKey(2))) // it is dead already; only the copy goes
	back(first, feed.ErrPruned)
	back(second.View().Head(), nil)
	p.publish(a.Erase(RecordKey(1)))
	back(second.View().Head(), feed.ErrPruned)
	p.same(a)
	p.publish(a.Put(RecordKey(3), "on"))
	p.same(a)
	if got, err := p.since(a.Origin(), 8, false); err != nil || !slices.Equal(got, []string{"9:3:false", "10:3:false", "11:1:true"}) {
		t.Errorf("Since(8) = %v, %v; erasures travel as such", got, err)
	}
}

func testActual(t *testing.T, p *play) {
	a := p.f.Author("ada")
	empty, err := p.store.Actual(a.Origin())
	p.must(err)
	if leaves, err := empty.Leaves(); err != nil || empty.Head() != nil || *leaves != *feed.EmptyLeaves() {
		t.Errorf("a feed that is not held is %v, %v", empty.Head(), err)
	}
	empty.Close()
	p.publish(a.Fill(0, 40, "one").Delete(RecordKey(1)))
	p.publish(a.Put(RecordKey(2), "two"))
	v, err := p.store.Actual(a.Origin())
	p.must(err)
	defer v.Close()
	leaves, err := v.Leaves()
	p.must(err)
	if *leaves != *a.Leaves() || v.Head() == nil || v.Head().Hash != a.View().Head().Hash {
		t.Error("a feed that is whole is not what it seems")
	}
	for q, want := range a.Buckets() {
		if list, err := v.Bucket(q); err != nil || !slices.Equal(list, want) {
			t.Fatalf("bucket %d is %v, %v, want %v", q, list, err, want)
		}
	}
}

// testRepair writes everything anew, in memory and staged.
func testRepair(t *testing.T, p *play) {
	for i, staged := range []bool{false, true} {
		a := p.f.Author([]string{"ada", "ben"}[i])
		p.publish(a.Fill(0, 60, "one"))
		p.publish(a.Put(RecordKey(1), "two").Delete(RecordKey(2)))
		var delta feed.Delta = p.all(a)
		if staged {
			st, err := p.store.Stage(a.Origin())
			p.must(err)
			p.must(st.Put(p.all(a)...))
			delta = st
		}
		actual, err := p.store.Actual(a.Origin())
		p.must(err)
		v, err := p.f.Rules().VerifyRepair(actual, a.Heads[1:], delta)
		actual.Close()
		p.must(err)
		p.must(p.apply(v))
		p.same(a)
		p.chained(a, a.Heads)
		p.publish(a.Put(RecordKey(3), fmt.Sprint("after ", i)))
		p.same(a)
	}
}
