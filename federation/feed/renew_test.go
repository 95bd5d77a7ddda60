package feed_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
)

// clock is a moment that a test moves.
type clock struct{ time.Time }

func (c *clock) option(o *feed.PublisherOptions) { o.Now = func() time.Time { return c.Time } }

// signers are the keys whose signatures a head carries.
func signers(t *testing.T, h *feed.SignedHead) (out []identity.KeyID) {
	t.Helper()
	e, err := identity.ParseEnvelope(h.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range e.Signatures {
		out = append(out, s.Key)
	}
	return out
}

func (d *desk) renew(p *feed.Publisher) *feed.SignedHead {
	d.t.Helper()
	h, err := p.Renew(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	p.Wait()
	return h
}

func TestRenew(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	if h := d.renew(p); h != nil {
		t.Fatalf("a head of nothing: %+v", h.Head)
	}
	one := d.publish(p, put(0, 3, "one"))
	if h := d.renew(p); h != nil {
		t.Fatalf("head %d is not needed", h.N)
	}
	old := d.f.Member("ada").Publish
	fresh := d.f.Rotate("ada", one.N)
	if _, err := p.Publish(context.Background(), put(0, 1, "old key")); !errors.Is(err, identity.ErrUnknownKey) {
		t.Errorf("publishing with a key that may sign no more: %v", err)
	}
	admin := d.f.Member("ada").Admin
	p.SetKeys(fresh, admin)
	two := d.renew(p)
	if two == nil || two.N != 2 || two.Seq != one.Seq || two.Root != one.Root || !slices.Equal(signers(t, two), []identity.KeyID{fresh.ID()}) {
		t.Fatalf("after a rotation the head is %+v", two)
	}
	if _, err := d.f.Rules().CheckChain(one, [][]byte{two.Envelope}); err != nil {
		t.Errorf("a replica refuses it: %v", err)
	}
	if b, err := p.Beat(); err != nil || b == nil {
		t.Fatal(err)
	} else if _, err := d.f.Rules().CheckBeat(b.Envelope); err != nil {
		t.Errorf("the beat by the new key: %v", err)
	}
	if h := d.renew(p); h != nil {
		t.Errorf("renewed twice: %+v", h.Head)
	}
	p.SetKeys(old, admin)
	if _, err := p.Renew(context.Background()); !errors.Is(err, identity.ErrUnknownKey) {
		t.Errorf("renewing with the old key: %v", err)
	}
	p.SetKeys(fresh, admin)

	d.f.Bump("ada", nil)
	if b, err := p.Beat(); b != nil || err != nil {
		t.Errorf("a beat for an epoch without a head: %v, %v", b, err)
	}
	three := d.renew(p)
	if three == nil || three.Epoch != 2 || three.N != 3 || three.Prev != two.Hash || three.Seq != two.Seq {
		t.Fatalf("in the new epoch the head is %+v", three)
	}

	four := d.publish(p, put(0, 50, "approved"))
	if len(signers(t, four)) != 2 {
		t.Fatal("a large change has one signature")
	}
	p.SetKeys(fresh, d.f.RotateAdmin("ada"))
	if five := d.renew(p); five == nil || five.Seq != four.Seq || len(signers(t, five)) != 2 {
		t.Errorf("after the admin key was replaced the head is %+v", five)
	}
	if h := d.renew(p); h != nil {
		t.Errorf("renewed twice: %+v", h.Head)
	}
}

func TestNeedsApproval(t *testing.T) {
	d := newDesk(t)
	now := &clock{feedtest.Now}
	noAdmin := func(o *feed.PublisherOptions) { o.AdminKey = nil }
	p := d.start(noAdmin, now.option)
	d.publish(p, put(0, 500, "first fill"))
	for i := range feed.LargeChange {
		d.publish(p, put(i, i+1, "changed"))
	}
	before := d.held()
	_, err := p.Publish(context.Background(), put(100, 101, "one too many"))
	if !errors.Is(err, feed.ErrNeedsApproval) || !errors.Is(err, feed.ErrUnapproved) {
		t.Fatalf("the %dth change of a day: %v", feed.LargeChange+1, err)
	}
	for n := range 2 { // in memory, staged
		if _, err := p.Publish(context.Background(), put(0, 300*n+1, "too many")); !errors.Is(err, feed.ErrNeedsApproval) {
			t.Errorf("too many: %v", err)
		}
	}
	if d.held().Hash != before.Hash || d.store.Staged(before.Origin) != 0 {
		t.Error("what was not approved left something behind")
	}
	p.SetKeys(d.f.Member("ada").Publish, d.f.Member("ada").Admin)
	if h := d.publish(p, put(100, 101, "approved")); len(signers(t, h)) != 2 {
		t.Error("the head over the limit is not approved")
	}
	p.SetKeys(d.f.Member("ada").Publish, nil)
	if h := d.publish(p, put(0, feed.LargeChange, "counted anew")); len(signers(t, h)) != 1 {
		t.Error("an approval at hand though there is none")
	}
	now.Time = now.Add(25 * time.Hour)
	d.publish(p, put(0, feed.LargeChange, "a day later"))
	d.f.Bump("ada", nil)
	if h := d.publish(p, put(0, 500, "a new epoch")); h.Epoch != 2 {
		t.Errorf("the first head of an epoch is %+v", h.Head)
	}
}

// TestGoesBack: a thief signed two heads, the registry names the last good one,
// and the owner goes on from there.
func TestGoesBack(t *testing.T) {
	steal := func(t *testing.T) (*desk, *feed.Publisher, *feed.SignedHead) {
		d := newDesk(t)
		p := d.start()
		d.publish(p, put(0, 5, "one"))
		good := d.publish(p, put(0, 5, "two"))
		d.publish(p, put(0, 5, "stolen"))
		d.publish(p, one(feed.Edit{Key: feedtest.RecordKey(3), Op: feed.Delete}))
		place := good.Place()
		d.f.Bump("ada", &place)
		p.SetKeys(d.f.Member("ada").Publish, d.f.Member("ada").Admin)
		return d, p, good
	}
	on := func(t *testing.T, d *desk, p *feed.Publisher, good *feed.SignedHead) {
		t.Helper()
		h := d.publish(p, put(0, 1, "three"))
		if h.Epoch != 2 || h.N != good.N+1 || h.Prev != good.Hash || h.Count != 5 || h.Seq != good.Seq+1 {
			t.Errorf("the head after going back is %+v", h.Head)
		}
		if g, _, err := feed.LoadGuard(d.guard()); err != nil || g.Hash != h.Hash {
			t.Errorf("the guard is %+v, %v", g, err)
		}
	}
	t.Run("with the next publish", func(t *testing.T) {
		d, p, good := steal(t)
		on(t, d, p, good)
	})
	t.Run("on renewal", func(t *testing.T) {
		d, p, good := steal(t)
		h := d.renew(p)
		if h == nil || h.Epoch != 2 || h.Root != good.Root || h.Prev != good.Hash {
			t.Errorf("the head after going back is %+v", h)
		}
	})
	t.Run("killed after going back", func(t *testing.T) {
		d, _, good := steal(t)
		backUp(t, d, good)
		p := d.start()
		if err := p.Quarantined(); err != nil {
			t.Fatal(err)
		}
		on(t, d, p, good)
	})
	t.Run("what undoing needs is gone", func(t *testing.T) {
		d, p, good := steal(t)
		d.store.Forget(good.Origin)
		before := d.held()
		if _, err := p.Publish(context.Background(), put(0, 1, "three")); !errors.Is(err, feed.ErrPruned) {
			t.Errorf("Publish: %v, want ErrPruned", err)
		}
		if d.held().Hash != before.Hash {
			t.Error("something was signed on top of the thief's")
		}
		waits(t, d, p)
	})
	t.Run("the last good head is not here", func(t *testing.T) {
		d, p, good := steal(t)
		place := good.Place()
		place.N, place.Hash[0] = 9, 7
		d.f.Bump("ada", nil)
		d.f.Member("ada").Epoch = 1
		d.f.Bump("ada", &place)
		if _, err := p.Publish(context.Background(), put(0, 1, "three")); !errors.Is(err, feed.ErrQuarantined) {
			t.Errorf("Publish: %v, want ErrQuarantined", err)
		}
		waits(t, d, p)
	})
	t.Run("nothing is here", func(t *testing.T) {
		d, _, _ := steal(t)
		d.store = feedtest.NewMemory()
		if err := os.Remove(d.guard()); err != nil {
			t.Fatal(err)
		}
		p := d.start()
		if _, err := p.Renew(context.Background()); !errors.Is(err, feed.ErrQuarantined) {
			t.Errorf("Renew: %v, want ErrQuarantined", err)
		}
		waits(t, d, p)
	})
}

// waits checks that a publisher without a way back to the last good head says that
// it signs nothing, and goes on in a new epoch.
func waits(t *testing.T, d *desk, p *feed.Publisher) {
	t.Helper()
	if err := p.Quarantined(); !errors.Is(err, feed.ErrQuarantined) || !errors.Is(err, feed.ErrNoWayBack) {
		t.Errorf("nothing can be published, and it says %v", err)
	}
	if err := p.Adopt(); !errors.Is(err, feed.ErrNoWayBack) {
		t.Errorf("Adopt ends what only the head or a new epoch does: %v", err)
	}
	d.f.Bump("ada", nil)
	p.SetKeys(d.f.Member("ada").Publish, d.f.Member("ada").Admin)
	if err := p.Quarantined(); err != nil {
		t.Errorf("in a new epoch it goes on saying %v", err)
	}
	d.publish(p, put(0, 1, "on"))
}

// backUp takes the desk's store back as a process does that is killed before its
// guard is written.
func backUp(t *testing.T, d *desk, good *feed.SignedHead) {
	t.Helper()
	delta, err := d.store.Undo(good.Origin, good)
	if err != nil {
		t.Fatal(err)
	}
	view, _ := d.store.View(good.Origin)
	v, err := d.f.Rules().VerifyRollback(view, good.Envelope, delta)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.store.Append(t.Context(), v); err != nil {
		t.Fatal(err)
	}
}

func TestForkedPublisher(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	d.publish(p, put(0, 3, "one"))
	if p.Forked() {
		t.Error("forked out of nothing")
	}
	d.f.Fork("ada", 1)
	if _, err := p.Publish(context.Background(), put(0, 3, "two")); !errors.Is(err, feed.ErrForked) || !p.Forked() {
		t.Errorf("publishing on a forked feed: %v", err)
	}
	d.f.Bump("ada", nil)
	if h := d.publish(p, put(0, 3, "three")); h.Epoch != 2 || h.N != 2 || p.Forked() {
		t.Errorf("in the next epoch the head is %+v", h.Head)
	}
}

func TestSeenBeat(t *testing.T) {
	for _, c := range []struct {
		name string
		bend func(*feed.Beat)
		want bool
	}{
		{"a copy's", func(*feed.Beat) {}, true},
		{"a copy's that is behind", func(b *feed.Beat) { b.N = 1 }, true},
		{"an older start's", func(b *feed.Beat) { b.Issued -= 3 }, false},
		{"one from before this start that was kept here", func(b *feed.Beat) { b.Counter = 1 }, false},
		{"another origin's", func(b *feed.Beat) { b.Origin[0] ^= 1 }, false},
		{"of another epoch", func(b *feed.Beat) { b.Epoch++ }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			now := &clock{feedtest.Now}
			p := d.start(now.option)
			d.publish(p, put(0, 3, "one"))
			kept, err := p.Beat()
			if err != nil {
				t.Fatal(err)
			}
			p = d.start(now.option)
			now.Time = now.Add(2 * time.Minute)
			own, err := p.Beat()
			if err != nil {
				t.Fatal(err)
			}
			p.SeenBeat(kept)
			p.SeenBeat(own)
			if err := p.Quarantined(); err != nil {
				t.Fatalf("by its own beats: %v", err)
			}
			b := own.Beat
			b.Instance[0] ^= 1
			b.Counter++
			c.bend(&b)
			p.SeenBeat(feedtest.SignBeat(b, d.f.Member("ada").Publish))
			err = p.Quarantined()
			if (err != nil) != c.want {
				t.Fatalf("Quarantined = %v", err)
			}
			if !c.want {
				return
			}
			if !errors.Is(err, feed.ErrQuarantined) || !errors.Is(err, feed.ErrClone) || !strings.Contains(err.Error(), fmt.Sprintf("%x", b.Instance)) {
				t.Errorf("the reason names no copy: %v", err)
			}
			if err := p.Adopt(); !errors.Is(err, feed.ErrClone) {
				t.Errorf("going on beside a copy: %v", err)
			}
			if p = d.start(now.option); p.Quarantined() != nil {
				t.Error("the copy was stopped and this node started anew, and it does not sign")
			}
			d.f.Bump("ada", nil)
			if err := p.Adopt(); err != nil {
				t.Errorf("in a new epoch: %v", err)
			}
		})
	}
}

// TestFullMinute: the publisher waits for the next minute, and no longer than
// whoever asked.
func TestFullMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		start := time.Now()
		p := d.start(func(o *feed.PublisherOptions) {
			o.Now = func() time.Time { return feedtest.Now.Add(time.Since(start)) }
			o.Limits = func() feed.Limits { return feed.Limits{PerMinute: 3} }
		})
		for i := range 3 {
			d.publish(p, put(0, 1, fmt.Sprint("quick ", i)))
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("three heads took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Publish(ctx, put(0, 1, "impatient")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a publish that may not wait: %v", err)
		}
		if h := d.publish(p, put(0, 1, "patient")); h.N != 4 || h.Issued != feed.MinuteOf(feedtest.Now)+1 {
			t.Errorf("after the minute the head is %+v", h.Head)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("the fourth head came after %s", took)
		}
	})
}

// TestClockThatStandsStill must not stop an editor for ever.
func TestClockThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		start := time.Now()
		p := d.start(func(o *feed.PublisherOptions) { o.Limits = func() feed.Limits { return feed.Limits{PerMinute: 3} } })
		for i := range 9 {
			d.publish(p, put(0, 1, fmt.Sprint("change ", i)))
		}
		if took := time.Since(start); took != 2*time.Minute {
			t.Errorf("nine heads, three a minute, took %s", took)
		}
	})
}

func TestClockThatGoesBack(t *testing.T) {
	d := newDesk(t)
	now := &clock{feedtest.Now}
	p := d.start(now.option)
	first := d.publish(p, put(0, 1, "one"))
	now.Time = now.Add(-3 * 24 * time.Hour)
	if h := d.publish(p, put(0, 1, "two")); h.Issued != first.Issued {
		t.Errorf("after the clock went back a head is dated %s, want %s", h.Issued.Time(), first.Issued.Time())
	}
}

func TestErase(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	d.publish(p, put(0, 3, "secret"))
	first := d.held()
	gone := d.publish(p, one(feed.Edit{Key: feedtest.RecordKey(1), Op: feed.Delete}))
	if h := d.publish(p, one(feed.Edit{Key: feedtest.RecordKey(1), Op: feed.Delete})); h != nil {
		t.Errorf("deleted twice: head %d", h.N)
	}
	erased := d.publish(p, one(feed.Edit{Key: feedtest.RecordKey(1), Op: feed.Erase}))
	if erased == nil || erased.Seq != gone.Seq+1 || erased.Root != gone.Root {
		t.Fatalf("the head that erases what is deleted is %+v", erased)
	}
	if _, err := d.store.Undo(first.Origin, first); !errors.Is(err, feed.ErrPruned) {
		t.Errorf("the erased record can be had back: %v", err)
	}
	if h := d.publish(p, one(feed.Edit{Key: feedtest.RecordKey(1), Op: feed.Erase})); h != nil {
		t.Errorf("erased twice: head %d", h.N)
	}
	if h := d.publish(p, put(1, 2, "again")); h.Count != 3 {
		t.Errorf("a key that was erased may be used again: %+v", h.Head)
	}
}

func TestFloor(t *testing.T) {
	t.Run("by age", func(t *testing.T) {
		d := newDesk(t)
		now := &clock{feedtest.Now}
		p := d.start(now.option)
		var seqs []uint64
		for i := range 10 {
			h := d.publish(p, put(0, 3, fmt.Sprint("change ", i)))
			seqs = append(seqs, h.Seq)
			now.Time = now.Add(30 * 24 * time.Hour)
			want := uint64(0)
			if i >= 6 {
				want = seqs[i-6]
			}
			if h.Floor != want {
				t.Errorf("head %d lists deletions after %d, want %d", h.N, h.Floor, want)
			}
		}
	})
	t.Run("by number", func(t *testing.T) {
		d := newDesk(t)
		p := d.start()
		const n = feed.ListedMax + 50
		d.publish(p, put(0, n, "x"))
		h := d.publish(p, func(yield func(feed.Edit) bool) {
			for i := range n {
				if !yield(feed.Edit{Key: feedtest.RecordKey(i), Op: feed.Delete}) {
					return
				}
			}
		})
		if h.Floor != 0 {
			t.Errorf("the head that deletes lists deletions after %d", h.Floor)
		}
		h = d.publish(p, put(0, 1, "y"))
		if h.Floor != h.Seq-1-feed.ListedMax/2 {
			t.Errorf("the next head lists deletions after %d of %d", h.Floor, h.Seq)
		}
		if next := d.publish(p, put(0, 1, "z")); next.Floor != h.Floor {
			t.Errorf("the floor moved from %d to %d", h.Floor, next.Floor)
		}
	})
}

// TestHold: between the moment at which the last head of a key is stated and the
// moment at which the next key is there, nothing is signed.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		p := d.start()
		one := d.publish(p, put(0, 1, "one"))
		held, release, err := p.Hold(t.Context())
		if err != nil || held.Hash != one.Hash {
			t.Fatalf("Hold = %v, %v", held, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Publish(ctx, put(0, 1, "two")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("publishing meanwhile: %v", err)
		}
		if _, _, err := p.Hold(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("holding twice: %v", err)
		}
		release()
		if h := d.publish(p, put(0, 1, "two")); h.N != 2 {
			t.Errorf("after it head %d follows", h.N)
		}
	})
}

// TestBehindTheRecord: the database and the guard are lost, and no peer is in reach;
// but the registry knows of a head. Numbers up to it were signed before.
func TestBehindTheRecord(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	d.publish(p, put(0, 2, "one"))
	two := d.publish(p, put(0, 2, "two"))
	d.f.SetAnchor("ada", two.Place())
	if err := p.Quarantined(); err != nil {
		t.Errorf("with what is on record: %v", err)
	}
	d.publish(p, put(0, 2, "three"))
	d.store = feedtest.NewMemory()
	if err := os.Remove(d.guard()); err != nil {
		t.Fatal(err)
	}
	p = d.start()
	if _, err := p.Publish(context.Background(), put(0, 1, "again")); !errors.Is(err, feed.ErrQuarantined) || !errors.Is(err, feed.ErrLacking) {
		t.Errorf("Publish: %v", err)
	}
	if err := p.Quarantined(); !errors.Is(err, feed.ErrLacking) {
		t.Errorf("it does not say why nothing can be published: %v", err)
	}
	d.f.Bump("ada", nil)
	p.SetKeys(d.f.Member("ada").Publish, d.f.Member("ada").Admin)
	if err := p.Quarantined(); err != nil {
		t.Errorf("in a new epoch: %v", err)
	}
	d.publish(p, put(0, 1, "on"))
}
