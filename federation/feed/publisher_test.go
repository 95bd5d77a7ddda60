package feed_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
)

func TestMemoryStore(t *testing.T) {
	feedtest.Run(t, func(*testing.T) (feed.Store, feed.Appender) { m := feedtest.NewMemory(); return m, m })
}

// desk is a publisher and what it stands on, which outlives it.
type desk struct {
	t     *testing.T
	f     *feedtest.Federation
	store *feedtest.Memory
	dir   string

	mu    sync.Mutex
	heard []*feed.Verified
}

func newDesk(t *testing.T) *desk {
	return &desk{t: t, f: feedtest.NewFederation("ada"), store: feedtest.NewMemory(), dir: t.TempDir()}
}

func (d *desk) guard() string { return filepath.Join(d.dir, "guard") }

func (d *desk) start(bend ...func(*feed.PublisherOptions)) *feed.Publisher {
	d.t.Helper()
	m := d.f.Member("ada")
	o := feed.PublisherOptions{
		Federation: d.f.ID, Origin: m.Origin, Store: d.store, Appender: d.store,
		Keys: func() feed.Keys { return d.f }, Registry: func() uint64 { return 4 },
		PublishKey: m.Publish, AdminKey: m.Admin, GuardPath: d.guard(),
		Announce: func(v *feed.Verified) { d.mu.Lock(); defer d.mu.Unlock(); d.heard = append(d.heard, v) },
		Now:      func() time.Time { return feedtest.Now },
	}
	for _, f := range bend {
		f(&o)
	}
	p, err := feed.NewPublisher(o)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(p.Wait)
	return p
}

func (d *desk) held() *feed.SignedHead {
	v, err := d.store.View(d.f.Member("ada").Origin)
	if err != nil {
		d.t.Fatal(err)
	}
	defer v.Close()
	return v.Head()
}

// put are edits that give records from up to, not including, to a body.
func put(from, to int, body string) iter.Seq[feed.Edit] {
	return func(yield func(feed.Edit) bool) {
		for i := from; i < to; i++ {
			if !yield(feed.Edit{Key: feedtest.RecordKey(i), Op: feed.Put, Type: "listing", Body: fmt.Appendf(nil, "%s %d", body, i)}) {
				return
			}
		}
	}
}

func one(e feed.Edit) iter.Seq[feed.Edit] { return slices.Values([]feed.Edit{e}) }

func (d *desk) publish(p *feed.Publisher, edits iter.Seq[feed.Edit]) *feed.SignedHead {
	d.t.Helper()
	h, err := p.Publish(context.Background(), edits)
	if err != nil {
		d.t.Fatal(err)
	}
	p.Wait()
	return h
}

func TestPublish(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	first := d.publish(p, put(0, 3, "one"))
	if first.N != 1 || first.Seq != 3 || first.Count != 3 || first.Prev != (identity.Hash{}) || first.RegistrySeq != 4 || first.Issued != feed.MinuteOf(feedtest.Now) {
		t.Errorf("the first head is %+v", first.Head)
	}
	if g, there, err := feed.LoadGuard(d.guard()); err != nil || !there || g.N != 1 || g.Hash != first.Hash {
		t.Errorf("the guard after it: %+v, %t, %v", g, there, err)
	}
	if h := d.publish(p, put(0, 3, "one")); h != nil {
		t.Errorf("nothing changed, and there is head %d", h.N)
	}
	if h := d.publish(p, one(feed.Edit{Key: feedtest.RecordKey(8), Op: feed.Delete})); h != nil {
		t.Errorf("deleting what is not there made head %d", h.N)
	}
	second := d.publish(p, func(yield func(feed.Edit) bool) {
		_ = yield(feed.Edit{Key: feedtest.RecordKey(0), Type: "listing", Op: feed.Put, Body: []byte("one 0")}) && // as it was
			yield(feed.Edit{Key: feedtest.RecordKey(1), Type: "listing", Op: feed.Put, Body: []byte("changed")}) &&
			yield(feed.Edit{Key: feedtest.RecordKey(2), Op: feed.Erase})
	})
	if second.N != 2 || second.Seq != 5 || second.Count != 2 || second.Prev != first.Hash {
		t.Errorf("the second head is %+v", second.Head)
	}
	v, _ := d.store.View(second.Origin)
	defer v.Close()
	_, raw, err := v.Record(feedtest.RecordKey(1))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := feed.ParseRecord(raw); err != nil || r.Revision != 2 || string(r.Body) != "changed" || r.Modified != feed.DayOf(feedtest.Now) {
		t.Errorf("the changed record is %+v, %v", r, err)
	}
	if err := v.Since(0, false, func(c feed.Change, _ []byte) bool {
		if c.Key == feedtest.RecordKey(2) && c.Op != feed.Erase {
			t.Error("an erasure became something else")
		}
		return true
	}); err != nil {
		t.Error(err)
	}
	p.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	// Announce runs after the turn ends; the last one may still be under way.
	if len(d.heard) == 0 || d.heard[0].Head().Hash != first.Hash {
		t.Error("the first head was not announced")
	}
}

func TestPublishRefuses(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	d.publish(p, put(0, 3, "one"))
	before := d.held().Hash
	big := one(feed.Edit{Key: feedtest.RecordKey(9), Op: feed.Put, Type: "listing", Body: make([]byte, feed.MaxRecord)})
	twice := slices.Values([]feed.Edit{{Key: feedtest.RecordKey(1), Op: feed.Delete}, {Key: feedtest.RecordKey(1), Op: feed.Delete}})
	if _, err := p.Publish(context.Background(), big); !errors.Is(err, feed.ErrTooLarge) {
		t.Errorf("a record over the limit: %v", err)
	}
	if _, err := p.Publish(context.Background(), twice); err == nil {
		t.Error("a record twice in one head")
	}
	d.f.Member("ada").Suspended = true
	if _, err := p.Publish(context.Background(), put(0, 9, "x")); !errors.Is(err, feed.ErrNotMember) {
		t.Errorf("suspended: %v", err)
	}
	d.f.Member("ada").Suspended = false
	full := errors.New("the disk is full")
	for _, n := range []int{5, 450} { // in memory, staged
		d.store.Fail(full)
		if _, err := p.Publish(context.Background(), put(0, n, "two")); !errors.Is(err, full) {
			t.Errorf("%d records on a full disk: %v", n, err)
		}
		d.store.Fail(nil)
		if d.held().Hash != before || d.store.Staged(d.held().Origin) != 0 {
			t.Errorf("%d records on a full disk left something behind", n)
		}
	}
	p.Wait()
	if g, _, _ := feed.LoadGuard(d.guard()); g.N != 1 {
		t.Errorf("the guard is at %d after failures", g.N)
	}
	if h := d.publish(p, put(0, 3, "three")); h.N != 2 {
		t.Errorf("after failures head %d follows head 1", h.N)
	}
}

func TestLargeChanges(t *testing.T) {
	signers := func(h *feed.SignedHead) int {
		e, err := identity.ParseEnvelope(h.Envelope)
		if err != nil {
			t.Fatal(err)
		}
		return len(e.Signatures)
	}
	d := newDesk(t)
	p := d.start()
	for _, c := range []struct{ to, want int }{{feed.LargeChange, 1}, {feed.LargeChange + 1, 2}, {1, 1}, {450, 2}, {1000, 2}} {
		h := d.publish(p, put(0, c.to, fmt.Sprint("to ", c.to)))
		if got := signers(h); got != c.want {
			t.Errorf("a head of %d changes carries %d signatures, want %d", c.to, got, c.want)
		}
	}
	if h := d.held(); h.Count != 1000 || d.store.Staged(h.Origin) != 0 {
		t.Errorf("after a bulk there are %d records, %d staged", h.Count, d.store.Staged(h.Origin))
	}
	without := d.start(func(o *feed.PublisherOptions) { o.AdminKey = nil })
	if _, err := without.Publish(context.Background(), put(0, feed.LargeChange+1, "stolen")); !errors.Is(err, feed.ErrUnapproved) {
		t.Errorf("a large change without the admin key: %v", err)
	}
	if h := d.publish(without, put(0, feed.LargeChange, "small")); signers(h) != 1 {
		t.Error("a small change needs one signature")
	}
}

// TestKilledBeforeTheGuard restarts with the database one head ahead.
func TestKilledBeforeTheGuard(t *testing.T) {
	for _, n := range []int{0, 1, 4} {
		d := newDesk(t)
		p := d.start()
		for i := range n {
			d.publish(p, put(0, 2, fmt.Sprint("head ", i)))
		}
		old, err := os.ReadFile(d.guard())
		if err != nil {
			t.Fatal(err)
		}
		last := d.publish(p, put(0, 2, "last"))
		if err := os.WriteFile(d.guard(), old, 0o600); err != nil {
			t.Fatal(err)
		}
		p = d.start()
		if err := p.Quarantined(); err != nil {
			t.Fatalf("killed after head %d: %v", n+1, err)
		}
		if g, _, err := feed.LoadGuard(d.guard()); err != nil || g.Hash != last.Hash {
			t.Errorf("killed after head %d: the guard was not repaired: %+v, %v", n+1, g, err)
		}
		if h := d.publish(p, put(0, 2, "next")); h.Prev != last.Hash {
			t.Errorf("killed after head %d: the next head does not follow it", n+1)
		}
	}
}

func TestQuarantine(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(*desk, *feedtest.Memory, feed.Guard) // given the database as it was two heads ago
		want bool
	}{
		{"stopped and started", func(*desk, *feedtest.Memory, feed.Guard) {}, false},
		{"the guard is gone", func(d *desk, _ *feedtest.Memory, _ feed.Guard) { _ = os.Remove(d.guard()) }, true},
		{"the guard cannot be read", func(d *desk, _ *feedtest.Memory, _ feed.Guard) { _ = os.WriteFile(d.guard(), []byte("?"), 0o600) }, true},
		{"the database was restored", func(d *desk, old *feedtest.Memory, _ feed.Guard) { d.store = old }, true},
		{"the database is empty", func(d *desk, _ *feedtest.Memory, _ feed.Guard) { d.store = feedtest.NewMemory() }, true},
		{"the database is two ahead of the guard", func(d *desk, _ *feedtest.Memory, g feed.Guard) { g.N -= 2; g.Hash[0] ^= 1; _ = g.Save(d.guard()) }, true},
		{"one ahead, but from elsewhere", func(d *desk, _ *feedtest.Memory, g feed.Guard) { g.N--; g.Hash[0] ^= 1; _ = g.Save(d.guard()) }, true},
		{"another head of the same number", func(d *desk, _ *feedtest.Memory, g feed.Guard) { g.Hash[0] ^= 1; _ = g.Save(d.guard()) }, true},
		{"a guard of an epoch to come", func(d *desk, _ *feedtest.Memory, g feed.Guard) { g.Epoch++; _ = g.Save(d.guard()) }, true},
		{"another origin's guard", func(d *desk, _ *feedtest.Memory, g feed.Guard) { g.Origin[0] ^= 1; _ = g.Save(d.guard()) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			p := d.start()
			d.publish(p, put(0, 2, "one"))
			d.publish(p, put(0, 2, "two"))
			old := feedtest.NewMemory()
			*old = *copyOf(t, d, old)
			d.publish(p, put(0, 2, "three"))
			d.publish(p, put(0, 2, "four"))
			g, _, err := feed.LoadGuard(d.guard())
			if err != nil {
				t.Fatal(err)
			}
			c.harm(d, old, g)
			p = d.start()
			if got := p.Quarantined(); (got != nil) != c.want || got != nil && !errors.Is(got, feed.ErrQuarantined) {
				t.Fatalf("Quarantined = %v", got)
			}
			_, err = p.Publish(context.Background(), put(0, 2, "five"))
			if (err != nil) != c.want || err != nil && !errors.Is(err, feed.ErrQuarantined) {
				t.Errorf("Publish: %v", err)
			}
			p.Wait()
			if b, err := p.Beat(); err != nil || (b == nil) != c.want {
				t.Errorf("Beat = %v, %v", b, err)
			}
		})
	}
}

// copyOf applies what the desk's store holds to an empty one, as a backup does.
func copyOf(t *testing.T, d *desk, into *feedtest.Memory) *feedtest.Memory {
	t.Helper()
	o := d.f.Member("ada").Origin
	from, _ := d.store.View(o)
	defer from.Close()
	to, _ := into.View(o)
	defer to.Close()
	var items feed.Items
	if err := from.Since(0, true, func(c feed.Change, raw []byte) bool {
		item, err := feed.Check(c, raw)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	v, err := d.f.Rules().Verify(to, [][]byte{from.Head().Envelope}, items.Sort())
	if err != nil {
		t.Fatal(err)
	}
	if err := into.Append(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	return into
}

func TestAdopt(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	d.publish(p, put(0, 2, "one"))
	two := d.publish(p, put(0, 2, "two"))
	backup := copyOf(t, d, feedtest.NewMemory())
	whole := d.store
	three := d.publish(p, put(0, 2, "three"))

	d.store = backup
	p = d.start()
	if err := p.Adopt(); !errors.Is(err, feed.ErrQuarantined) || p.Quarantined() == nil {
		t.Fatalf("adopting head %d while head %d was published: %v", two.N, three.N, err)
	}
	d.store = whole // fetched back
	p = d.start(func(o *feed.PublisherOptions) { o.Store, o.Appender = whole, whole })
	p.Quarantine("for a test")
	if err := p.Adopt(); err != nil || p.Quarantined() != nil {
		t.Fatalf("adopting the newest head: %v, %v", err, p.Quarantined())
	}
	if h := d.publish(p, put(0, 2, "four")); h.Prev != three.Hash {
		t.Error("the next head does not follow the one that was adopted")
	}

	// A new epoch lets go of what cannot be fetched back.
	d.store = copyOf(t, &desk{t: t, f: d.f, store: backup}, feedtest.NewMemory())
	p = d.start()
	if p.Quarantined() == nil {
		t.Fatal("a restored node may sign")
	}
	d.f.Member("ada").Epoch++
	if err := p.Adopt(); err != nil || p.Quarantined() != nil {
		t.Fatalf("after a new epoch: %v", err)
	}
	if h := d.publish(p, put(0, 2, "anew")); h.Epoch != 2 {
		t.Errorf("the first head of the new epoch is %+v", h.Head)
	}
}

func TestSeen(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	d.publish(p, put(0, 2, "one"))
	backup := copyOf(t, d, feedtest.NewMemory())
	guard, _ := os.ReadFile(d.guard())
	one := d.held()
	two := d.publish(p, put(0, 2, "two"))

	d.store = backup // a copy from before head two, guard included
	if err := os.WriteFile(d.guard(), guard, 0o600); err != nil {
		t.Fatal(err)
	}
	p = d.start()
	p.Seen(one)
	if err := p.Quarantined(); err != nil {
		t.Fatalf("a clone cannot know yet: %v", err)
	}
	p.Seen(two)
	if p.Quarantined() == nil {
		t.Fatal("a peer showed a newer head, and the clone still signs")
	}
	if err := p.Adopt(); !errors.Is(err, feed.ErrQuarantined) {
		t.Errorf("adopting what is older than what was seen: %v", err)
	}
	if p = d.start(); p.Quarantined() == nil {
		t.Error("a restart forgets what was seen")
	}
}

// TestRegistryEndsNoQuarantine: an old backup is put back on another machine, where
// there is no guard, and the registry changes. That confirms nothing: only peers do,
// or a new epoch.
func TestRegistryEndsNoQuarantine(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	d.publish(p, put(0, 2, "one"))
	d.publish(p, put(0, 2, "two"))
	for name, bend := range map[string]func() error{
		"missing":    func() error { return os.Remove(d.guard()) },
		"unreadable": func() error { return os.WriteFile(d.guard(), []byte("nothing"), 0o600) },
	} {
		if err := bend(); err != nil {
			t.Fatal(err)
		}
		p = d.start()
		if err := p.AdoptEpoch(); !errors.Is(err, feed.ErrQuarantined) || p.Quarantined() == nil {
			t.Errorf("with the guard %s it signs again: %v", name, err)
		}
		d.f.Bump("ada", nil)
		p.SetKeys(d.f.Member("ada").Publish, d.f.Member("ada").Admin)
		if err := p.AdoptEpoch(); err != nil || p.Quarantined() != nil {
			t.Errorf("a new epoch does not end it: %v", err)
		}
		d.publish(p, put(0, 2, name))
	}
}

// TestSignedTwice: a copy went on from before head two, and a peer shows the
// head two that was signed first. Nothing is signed any more, now or after a
// restart, until the registry gives the feed a new epoch.
func TestSignedTwice(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	d.publish(p, put(0, 2, "one"))
	backup := copyOf(t, d, feedtest.NewMemory())
	guard, _ := os.ReadFile(d.guard())
	two := d.publish(p, put(0, 2, "two"))

	d.store = backup
	if err := os.WriteFile(d.guard(), guard, 0o600); err != nil {
		t.Fatal(err)
	}
	p = d.start()
	d.publish(p, put(0, 2, "another two"))
	d.publish(p, put(0, 2, "three"))
	p.Seen(two)
	if !p.Forked() || !errors.Is(p.Quarantined(), feed.ErrQuarantined) {
		t.Fatalf("the number was signed twice, and the copy still signs: %v", p.Quarantined())
	}
	if err := p.Adopt(); !errors.Is(err, feed.ErrQuarantined) {
		t.Errorf("adopting one of two branches: %v", err)
	}
	if p = d.start(); p.Quarantined() == nil {
		t.Error("a restart forgets that a number was signed twice")
	}
}

// TestNobodySeesAnUnguardedHead looks at the feed, while heads are published,
// the way peers do: no head may be ahead of the guard's file.
func TestNobodySeesAnUnguardedHead(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	o := d.f.Member("ada").Origin
	done := make(chan struct{})
	var looks sync.WaitGroup
	looks.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			p.Shared(func() {
				v, _ := d.store.View(o)
				defer v.Close()
				h := v.Head()
				if g, _, err := feed.LoadGuard(d.guard()); err != nil || h != nil && g.N < h.N {
					t.Errorf("head %d is seen under guard %d (%v)", h.N, g.N, err)
				}
			})
		}
	})
	for i := range 40 {
		if _, err := p.Publish(context.Background(), put(0, 1, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	p.Wait()
	close(done)
	looks.Wait()
}

func TestGuardCannotBeWritten(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	if err := os.RemoveAll(d.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish(context.Background(), put(0, 1, "x")); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if _, err := p.Publish(context.Background(), put(0, 1, "y")); !errors.Is(err, feed.ErrQuarantined) {
		t.Errorf("publishing goes on without a guard: %v", err)
	}
	if len(d.heard) != 0 {
		t.Error("an unguarded head was announced")
	}
}

func TestBeatsRise(t *testing.T) {
	d := newDesk(t)
	p := d.start()
	if b, err := p.Beat(); b != nil || err != nil {
		t.Errorf("a beat without a head: %v, %v", b, err)
	}
	h := d.publish(p, put(0, 1, "x"))
	var last uint64
	for range 3 {
		b, err := p.Beat()
		if err != nil || b == nil || b.Counter <= last || b.N != 1 || [16]byte(h.Hash[:16]) != b.Head {
			t.Fatalf("Beat = %+v, %v after number %d", b, err, last)
		}
		if _, err := d.f.Rules().CheckBeat(b.Envelope); err != nil {
			t.Error(err)
		}
		last = b.Counter
	}
}
