package report_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/report"
)

// world is some countries with a box each, and the lines between them.
type world struct {
	federation identity.FederationID
	places     map[identity.NodeID]*place
	mu         sync.Mutex // over all that follows, and what the places keep
	cut        bool
	lost       bool // answers do not arrive
	carried    [][]byte
}

// place is one country: drawer, link and box.
type place struct {
	w      *world
	node   identity.NodeID
	origin identity.OriginID
	key    *identity.SealKey
	hidden bool
	mirror bool // another machine publishes for its country
	kept   map[string][]byte
	box    *report.Box
}

func newWorld() *world {
	return &world{federation: identity.FederationID{9}, places: map[identity.NodeID]*place{}}
}

func (w *world) add(t *testing.T, n byte) *place {
	t.Helper()
	key, err := identity.GenerateSeal()
	if err != nil {
		t.Fatal(err)
	}
	p := &place{w: w, node: identity.NodeID{n}, origin: identity.OriginID{n}, key: key, kept: map[string][]byte{}}
	w.places[p.node] = p
	p.open(t)
	return p
}

// open opens the box, as a restart does.
func (p *place) open(t *testing.T) {
	t.Helper()
	var err error
	p.box, err = report.New(report.Options{
		Drawer: p, Link: p,
		Self: func() (report.Self, bool) {
			var peers, siblings []identity.NodeID
			for id, other := range p.w.places {
				if id != p.node && other.origin == p.origin {
					siblings = append(siblings, id)
				}
				if id != p.node && !other.hidden {
					peers = append(peers, id)
				}
			}
			return report.Self{Federation: p.w.federation, Origin: p.origin, Publisher: !p.mirror, Hidden: p.hidden, Key: p.key, Peers: peers, Siblings: siblings}, true
		},
		Recipient: func(o identity.OriginID) (report.Recipient, bool) {
			for _, other := range p.w.places {
				if other.origin == o && !other.mirror {
					return report.Recipient{Seal: other.key.Public(), Node: other.node, Hidden: other.hidden}, true
				}
			}
			return report.Recipient{}, false
		},
		Origin: func(id identity.NodeID) (identity.OriginID, bool) {
			other, ok := p.w.places[id]
			if !ok {
				return identity.OriginID{}, false
			}
			return other.origin, true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *place) Put(k, v []byte) error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.kept[string(k)] = bytes.Clone(v)
	return nil
}

func (p *place) Replace(k, v []byte) error { return p.Put(k, v) }

func (p *place) Erase(keys ...[]byte) error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for _, k := range keys {
		delete(p.kept, string(k))
	}
	return nil
}

func (p *place) Each(f func(k, v []byte) error) error {
	p.w.mu.Lock()
	kept := maps.Clone(p.kept)
	p.w.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(kept)) {
		if err := f([]byte(k), kept[k]); err != nil {
			return err
		}
	}
	return nil
}

func (p *place) call(to identity.NodeID, body []byte, f func(*place) ([]byte, error)) ([]byte, error) {
	other := p.w.places[to]
	if cut, _ := p.w.line(body); cut || other == nil {
		return nil, errors.New("no route")
	}
	answer, err := f(other)
	if _, lost := p.w.line(answer); lost {
		return nil, errors.New("the answer was lost")
	}
	return answer, err
}

// line notes what goes over it, and tells how it is.
func (w *world) line(b []byte) (cut, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.cut {
		w.carried = append(w.carried, bytes.Clone(b))
	}
	return w.cut, w.lost
}

// set makes the line another one.
func (w *world) set(cut, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut, w.lost = cut, lost
}

func (p *place) Deliver(_ context.Context, to identity.NodeID, b []byte) ([]byte, error) {
	if other := p.w.places[to]; other != nil && other.hidden {
		return nil, errors.New("nobody can call it")
	}
	return p.call(to, b, func(other *place) ([]byte, error) { return other.box.Take(p.origin, b) })
}

func (p *place) Fetch(_ context.Context, from identity.NodeID, done []byte) ([]byte, error) {
	return p.call(from, done, func(other *place) ([]byte, error) { return other.box.Give(p.origin, done) })
}

// list is what the editors see, as choice and text.
func (p *place) list(t *testing.T) (out []string, ids []report.ID) {
	t.Helper()
	all, locked, err := p.box.List()
	if err != nil || len(locked) != 0 {
		t.Fatal(err, locked)
	}
	for _, r := range all {
		out, ids = append(out, r.Choice+": "+r.Text), append(ids, r.ID)
	}
	return out, ids
}

func submit(t *testing.T, from, to *place, choice, text string) {
	t.Helper()
	if err := from.box.Submit(to.origin, report.Report{Listing: "0b6f8b8e-2f10-4a54-9d1b-0c6a6a1f0001", Choice: choice, Text: text}); err != nil {
		t.Fatal(err)
	}
}

const secret = "they ask for money at the door"

func TestDeliveredOnceOverACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		w := newWorld()
		a, b := w.add(t, 1), w.add(t, 2)
		done := make(chan error, 1)
		go func() { done <- a.box.Run(ctx) }()
		w.set(true, false)
		submit(t, a, b, report.Unsafe, secret)
		submit(t, a, b, report.Hours, "")
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if have, _ := b.list(t); !slices.Equal(have, want) {
				t.Errorf("the editors see %q, want %q", have, want)
			}
		}
		time.Sleep(5 * 24 * time.Hour) // dark
		expect()
		w.set(false, true) // it arrives, and the sender does not learn of it
		time.Sleep(time.Hour)
		have, ids := b.list(t)
		if len(have) != 2 {
			t.Fatalf("the editors see %q", have)
		}
		if n, err := b.box.Drop(ids...); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		w.set(false, false) // it is sent again
		time.Sleep(time.Hour)
		expect()
		if len(a.kept) != 0 {
			t.Errorf("the sender still keeps %d", len(a.kept))
		}
		b.open(t) // a restart remembers what was dropped
		expect()
		for _, raw := range w.carried {
			if bytes.Contains(raw, []byte("money")) || bytes.Contains(raw, []byte("unsafe")) || bytes.Contains(raw, []byte("0b6f8b8e")) {
				t.Error("what travels can be read")
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestNothingLeavesOnItsDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, b := w.add(t, 1), w.add(t, 2)
		submit(t, a, b, report.Closed, "")
		time.Sleep(23 * time.Hour)
		a.box.HandOver(t.Context())
		if len(w.carried) > 0 {
			t.Error("it left on the day on which it was made")
		}
		time.Sleep(time.Hour)
		a.box.HandOver(t.Context())
		if have, _ := b.list(t); !slices.Equal(have, []string{"closed: "}) {
			t.Errorf("the next day the editors see %q", have)
		}
	})
}

func TestOwnReportsAreThereAtOnce(t *testing.T) {
	a := newWorld().add(t, 1)
	submit(t, a, a, report.WrongNumber, secret)
	have, ids := a.list(t)
	if !slices.Equal(have, []string{"wrong_number: " + secret}) {
		t.Errorf("the editors see %q", have)
	}
	for _, v := range a.kept {
		if bytes.Contains(v, []byte("money")) || bytes.Contains(v, []byte("wrong_number")) {
			t.Error("what is stored can be read")
		}
	}
	if n, err := a.box.Drop(ids[0], ids[0], report.ID{1}); n != 1 || err != nil {
		t.Error(n, err)
	}
	if have, _ := a.list(t); len(have) > 0 {
		t.Errorf("after it was dropped the editors see %q", have)
	}
	if err := a.box.Sweep(); err != nil || len(a.kept) != 0 {
		t.Errorf("%d left, %v", len(a.kept), err)
	}
}

func TestGoneAfterThirtyDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, b := w.add(t, 1), w.add(t, 2)
		w.set(true, false)
		submit(t, a, b, report.Closed, secret)
		submit(t, b, b, report.Closed, secret)
		for day := range 33 {
			for _, p := range []*place{a, b} {
				if err := p.box.Sweep(); err != nil {
					t.Fatal(err)
				}
				if gone := len(p.kept) == 0; gone != (day >= report.Life) {
					t.Errorf("after %d days it is gone: %v", day, gone)
				}
			}
			time.Sleep(24 * time.Hour)
		}
		// One that was delivered leaves its name for two days more, and then nothing.
		w.set(false, false)
		submit(t, a, b, report.Closed, secret)
		time.Sleep(24 * time.Hour)
		a.box.HandOver(t.Context())
		time.Sleep((report.Life - 1) * 24 * time.Hour)
		if have, _ := b.list(t); len(have) != 0 {
			t.Errorf("after 30 days the editors see %q", have)
		}
		if err := b.box.Sweep(); err != nil || len(b.kept) != 1 {
			t.Errorf("%d kept, %v", len(b.kept), err)
		}
		for _, v := range b.kept {
			if len(v) > 64 {
				t.Errorf("%d bytes are left of it", len(v))
			}
		}
		time.Sleep(2 * 24 * time.Hour)
		if err := b.box.Sweep(); err != nil || len(b.kept) != 0 {
			t.Errorf("%d kept, %v", len(b.kept), err)
		}
	})
}

func TestANodeThatNobodyCanCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, laptop := w.add(t, 1), w.add(t, 2)
		laptop.hidden = true
		for range 150 {
			submit(t, a, laptop, report.Hours, "")
		}
		submit(t, laptop, a, report.Language, "")
		time.Sleep(24 * time.Hour)
		a.box.HandOver(t.Context())
		laptop.box.HandOver(t.Context())
		laptop.box.Collect(t.Context())
		if have, _ := laptop.list(t); len(have) != 150 || len(a.kept) != 1 {
			t.Errorf("it fetched %d of 150, and %d are left", len(have), len(a.kept)-1)
		}
		if have, _ := a.list(t); !slices.Equal(have, []string{"language: "}) {
			t.Errorf("what it hands over arrives as %q", have)
		}
	})
}

// Two nodes that nobody can call bring each other reports by way of a third, which
// cannot read them, once.
func TestTwoNodesThatNobodyCanCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, third, c := w.add(t, 1), w.add(t, 2), w.add(t, 3)
		a.hidden, c.hidden = true, true
		for range 150 {
			submit(t, a, c, report.Hours, "")
		}
		submit(t, c, a, report.Unsafe, secret)
		time.Sleep(24 * time.Hour)
		round := func() {
			for _, p := range []*place{a, c, third} {
				p.box.HandOver(t.Context())
			}
			for _, p := range []*place{a, c} {
				p.box.Collect(t.Context())
			}
		}
		w.set(false, true)
		a.box.HandOver(t.Context()) // it arrives, and the sender does not learn of it
		if len(a.kept) != 150 || len(third.kept) != 64 {
			t.Errorf("%d are kept by the sender, %d by the third", len(a.kept), len(third.kept))
		}
		third.open(t) // a restart
		w.set(false, false)
		round()
		if have, _ := c.list(t); len(have) != 150 {
			t.Errorf("%d of 150 have come", len(have))
		}
		if have, _ := a.list(t); !slices.Equal(have, []string{"unsafe: " + secret}) {
			t.Errorf("the other way %q has come", have)
		}
		if have, _ := third.list(t); len(have) != 0 || len(third.kept) != 0 || len(a.kept) != 1 || len(c.kept) != 150 {
			t.Errorf("left: %d and %d by the senders, %d by the third, which can read %q", len(a.kept)-1, len(c.kept)-150, len(third.kept), have)
		}
		for _, raw := range w.carried {
			if bytes.Contains(raw, []byte("money")) || bytes.Contains(raw, []byte("0b6f8b8e")) {
				t.Error("what travels can be read")
			}
		}
		if round(); len(w.carried) > 0 {
			w.carried = nil
		}
		round()
		// What nobody fetches is gone after 30 days, at the third too.
		submit(t, a, c, report.Closed, "")
		time.Sleep(24 * time.Hour)
		a.box.HandOver(t.Context())
		if len(third.kept) != 1 {
			t.Errorf("the third keeps %d", len(third.kept))
		}
		time.Sleep(report.Life * 24 * time.Hour)
		if err := third.box.Sweep(); err != nil || len(third.kept) != 0 {
			t.Errorf("after 30 days the third keeps %d, %v", len(third.kept), err)
		}
		// It carries for nobody who can be called, and not without end.
		c.hidden = false
		submit(t, a, c, report.Closed, "")
		time.Sleep(24 * time.Hour)
		raw, err := a.box.Give(c.origin, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := third.box.Take(a.origin, raw); !errors.Is(err, report.ErrNobody) {
			t.Errorf("for a node that can be called: %v", err)
		}
	})
}

// What was sealed to a machine that has been replaced is sealed again by it, if it
// still runs; and is kept until its key is back, if it does not.
func TestAMachineIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, old := w.add(t, 1), w.add(t, 2)
		submit(t, old, old, report.Hours, "at the old one")
		submit(t, a, old, report.Unsafe, secret)
		fresh := w.add(t, 3)
		fresh.origin, old.mirror = old.origin, true
		time.Sleep(24 * time.Hour)
		a.box.HandOver(t.Context())
		if list, locked, err := fresh.box.List(); len(list) != 0 || len(locked) != 1 || err != nil || len(a.kept) != 0 {
			t.Errorf("%d can be read, %d cannot, %v; the sender keeps %d", len(list), len(locked), err, len(a.kept))
		}
		key := fresh.key
		fresh.key = old.key // the old file was put back
		if have, _ := fresh.list(t); !slices.Equal(have, []string{"unsafe: " + secret}) {
			t.Errorf("with the old key it reads %q", have)
		}
		fresh.key = key
		fresh.open(t) // a restart
		for range 2 {
			fresh.box.HandOver(t.Context())
			old.box.HandOver(t.Context())
		}
		have, _ := fresh.list(t)
		if slices.Sort(have); !slices.Equal(have, []string{"hours: at the old one", "unsafe: " + secret}) {
			t.Errorf("the new machine reads %q", have)
		}
		if len(old.kept) != 0 {
			t.Errorf("the old one keeps %d", len(old.kept))
		}
		for _, raw := range w.carried {
			if bytes.Contains(raw, []byte("money")) {
				t.Error("what travels can be read")
			}
		}
	})
}

// What nobody can read any more can be dropped, and does not come again when the
// old machine turns up.
func TestWhatCannotBeReadCanBeDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, old := w.add(t, 1), w.add(t, 2)
		submit(t, a, old, report.Unsafe, secret)
		fresh := w.add(t, 3)
		fresh.origin, old.mirror = old.origin, true
		submitted := feed.DayOf(time.Now())
		time.Sleep(24 * time.Hour)
		a.box.HandOver(t.Context())
		_, locked, err := fresh.box.List()
		if err != nil || len(locked) != 1 || locked[0].Day != submitted {
			t.Fatal(locked, err)
		}
		if n, err := fresh.box.Drop(locked[0].ID); n != 1 || err != nil {
			t.Errorf("%d dropped, %v", n, err)
		}
		fresh.open(t) // a restart
		for range 2 {
			fresh.box.HandOver(t.Context())
			old.box.HandOver(t.Context())
		}
		if have, _ := fresh.list(t); len(have) != 0 || len(old.kept) != 0 {
			t.Errorf("it is back: %q; the old machine has %d", have, len(old.kept))
		}
	})
}

func TestWhatIsNotTaken(t *testing.T) {
	w := newWorld()
	a, b, c := w.add(t, 1), w.add(t, 2), w.add(t, 3)
	for name, r := range map[string]report.Report{
		"no listing": {Choice: report.Closed}, "a long id": {Listing: strings.Repeat("x", 201), Choice: report.Closed},
		"an unknown choice": {Listing: "x", Choice: "rude"}, "a long text": {Listing: "x", Choice: report.Closed, Text: strings.Repeat("ä", 501)},
		"bad UTF-8": {Listing: "x", Choice: report.Closed, Text: "\xff"},
	} {
		if err := a.box.Submit(b.origin, r); !errors.Is(err, report.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.box.Submit(identity.OriginID{77}, report.Report{Listing: "x", Choice: report.Closed}); !errors.Is(err, report.ErrNobody) {
		t.Errorf("a report to nobody: %v", err)
	}
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = a.box.Submit(b.origin, report.Report{Listing: "x", Choice: report.Closed})
	}
	if !errors.Is(err, report.ErrFull) || n != 201 {
		t.Errorf("after %d on one day: %v", n, err)
	}
	submit(t, a, c, report.Closed, "") // a flood about one country stops no other's
	// A batch for somebody else is refused; one that only fits in length is not kept.
	raw, err := a.box.Give(b.origin, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.box.Take(a.origin, raw); !errors.Is(err, report.ErrNobody) {
		t.Errorf("somebody else's batch: %v", err)
	}
	for _, bad := range [][]byte{nil, {0xa0}, []byte("x"), make([]byte, report.MaxBatch+1)} {
		if _, err := c.box.Take(a.origin, bad); !errors.Is(err, report.ErrMalformed) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}

func TestLengthTellsNothing(t *testing.T) {
	sizes := map[string]map[int]bool{"without a text": {}, "with one": {}}
	for i := range 60 {
		w := newWorld()
		a := w.add(t, 1)
		name, text := "without a text", ""
		if i%2 == 1 {
			name, text = "with one", strings.Repeat("𝄞", 1+i*8)
		}
		if err := a.box.Submit(a.origin, report.Report{Listing: strings.Repeat("i", 1+i*3), Choice: report.Choices()[i%6], Text: text}); err != nil {
			t.Fatal(err)
		}
		for _, v := range a.kept {
			sizes[name][len(v)] = true
		}
	}
	for name, all := range sizes {
		if len(all) != 1 {
			t.Errorf("reports %s have the lengths %v", name, slices.Sorted(maps.Keys(all)))
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{" a\r\nb\t\x00c \xff\n": "a\nb  c", "": "", "żółć": "żółć"} {
		if have := report.Clean(in); have != want {
			t.Errorf("%q becomes %q, want %q", in, have, want)
		}
	}
}

// FuzzTake has a box take and give what strangers send.
func FuzzTake(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{0xa4, 1, 1, 2, 0x50}, []byte{0xa1, 1, 0x80})
	f.Fuzz(func(t *testing.T, batch, done []byte) {
		w := newWorld()
		a := w.add(t, 1)
		submit(t, a, a, report.Closed, "")
		before := fmt.Sprint(a.kept)
		if _, err := a.box.Take(identity.OriginID{5}, batch); err != nil && !errors.Is(err, report.ErrMalformed) && !errors.Is(err, report.ErrNobody) {
			t.Error(err)
		}
		if _, err := a.box.Give(identity.OriginID{5}, done); err != nil && !errors.Is(err, report.ErrMalformed) {
			t.Error(err)
		}
		if fmt.Sprint(a.kept) != before {
			t.Error("a stranger changed what is kept")
		}
	})
}
