package docket_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// drawer is a disk that can be full.
type drawer struct {
	mu   sync.Mutex
	kept map[string][]byte
	full bool
}

var errFull = errors.New("no space left on device")

func newDrawer() *drawer { return &drawer{kept: make(map[string][]byte)} }

func (d *drawer) Put(key, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errFull
	}
	d.kept[string(key)] = bytes.Clone(value)
	return nil
}

func (d *drawer) Delete(key []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.kept, string(key))
	return nil
}

func (d *drawer) Each(f func(key, value []byte) error) error {
	d.mu.Lock()
	kept := maps.Clone(d.kept)
	d.mu.Unlock()
	for k, v := range kept {
		if err := f([]byte(k), v); err != nil {
			return err
		}
	}
	return nil
}

// scene is five countries, of which the others rule about Germany, and one node
// with a docket.
type scene struct {
	*Federation
	t       *testing.T
	de      *Member
	drawer  *drawer
	docket  *docket.Docket
	now     time.Time
	changed int
}

func newScene(t *testing.T) *scene {
	s := &scene{Federation: NewFederation(t, "PL", "DE", "LT", "FI", "NL"), t: t, drawer: newDrawer()}
	s.de = s.Members["DE"]
	s.now = time.Unix(s.Time(), 0)
	s.docket = s.open()
	return s
}

func (s *scene) open() *docket.Docket {
	d, err := docket.New(docket.Options{
		Drawer: s.drawer, State: func() *registry.State { return s.State }, Now: func() time.Time { return s.now },
		Changed: func() { s.changed++ },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// ruling is one with the counter after the one that holds.
func (s *scene) ruling(r registry.Ruling, countries ...string) []byte {
	var by []*Member
	for _, c := range countries {
		by = append(by, s.Members[c])
	}
	if r.Counter == 0 {
		r.Counter = s.docket.Counter(r.Target()) + 1
	}
	return Ruling(s.t, s.State, r, by...)
}

func (s *scene) add(ruling []byte) {
	s.t.Helper()
	if added, err := s.docket.AddRuling(ruling); err != nil || !added {
		s.t.Fatalf("added %v: %v", added, err)
	}
}

func (s *scene) hidden(record byte) bool {
	_, _, ok := s.docket.View().Hidden(s.de.Origin, feed.Key{record})
	return ok
}

func TestATakedownHoldsWhenEnoughHaveSigned(t *testing.T) {
	s := newScene(t)
	b := s.ruling(s.de.Takedown(1), "PL")
	s.add(b)
	p := s.docket.Pending()
	if s.hidden(1) || len(p) != 1 || p[0].Needed != 3 || len(p[0].Signers) != 1 || len(s.docket.Unrecorded()) != 0 {
		t.Fatalf("after the first signature: hidden %v, pending %+v", s.hidden(1), p)
	}
	if added, err := s.docket.AddRuling(b); added || err != nil {
		t.Fatalf("the same again: %v %v", added, err)
	}
	for _, country := range []string{"LT", "FI"} { // each signs what it was sent, apart from the other
		b, err := registry.CountersignRuling(s.Federation.Federation(), b, s.Members[country].Keys.Admin)
		if err != nil {
			t.Fatal(err)
		}
		s.add(b)
	}
	r, signers, ok := s.docket.View().Hidden(s.de.Origin, feed.Key{1})
	if !ok || len(signers) != 3 || r.Reason != registry.ReasonOther || len(s.docket.Pending()) != 0 || s.changed != 3 {
		t.Fatalf("hidden %v by %d, %d pending, told of %d changes", ok, len(signers), len(s.docket.Pending()), s.changed)
	}
	if s.hidden(2) || len(s.docket.View().HiddenAll()) != 1 {
		t.Fatal("another record is hidden")
	}
	lift := s.de.Takedown(1)
	lift.Off = true
	s.add(s.ruling(lift, "PL", "LT", "NL"))
	if s.hidden(1) {
		t.Fatal("still hidden after it was lifted")
	}
	if added, err := s.docket.AddRuling(b); added || err != nil {
		t.Fatalf("the earlier ruling came back: %v %v", added, err)
	}
}

func TestATakedownEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		told := make(chan struct{}, 10)
		d, err := docket.New(docket.Options{
			Drawer: newDrawer(), State: func() *registry.State { return s.State },
			// The bubble's clock is moved to the registry's time.
			Now:     func() time.Time { return s.now.Add(time.Since(bubble)) },
			Changed: func() { told <- struct{}{} },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		if _, err := d.AddRuling(s.ruling(s.de.Takedown(1), "PL", "LT", "FI")); err != nil {
			t.Fatal(err)
		}
		<-told
		end := time.Now().Add(14 * 24 * time.Hour)
		<-told
		if late := time.Since(end); late < -2*time.Minute || late > 2*time.Minute {
			t.Errorf("told %v after the end", late)
		}
		if _, _, ok := d.View().Hidden(s.de.Origin, feed.Key{1}); ok {
			t.Error("hidden after its end")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// bubble is when the clock of a bubble begins.
var bubble = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestWhatTheRegistryRecordsLeavesTheDocket(t *testing.T) {
	s := newScene(t)
	s.add(s.ruling(s.de.Takedown(1), "PL", "LT", "FI"))
	if added, err := s.docket.AddEvidence(s.de.Fork(t, s.State, 1, 5)); !added || err != nil {
		t.Fatal(added, err)
	}
	before := s.docket.Digest()
	todo := s.docket.Unrecorded()
	if len(todo) != 2 {
		t.Fatalf("%d commands to propose, want 2", len(todo))
	}
	for _, c := range todo {
		s.Do(s.Sign(c.Kind, c.Payload, "NL"))
	}
	s.docket.Refresh()
	if len(s.docket.Unrecorded()) != 0 || len(s.drawer.kept) != 0 || s.docket.Digest() == before {
		t.Fatalf("%d to propose, %d on disk", len(s.docket.Unrecorded()), len(s.drawer.kept))
	}
	if n, ok := s.docket.View().Forked(s.de.Origin, 1); !s.hidden(1) || !ok || n != 5 {
		t.Fatal("what is recorded does not hold any more")
	}
	if h := s.docket.View().HiddenAll(); h[0].Recorded == 0 {
		t.Error("the view does not say that it is recorded")
	}
	if r := s.de.Takedown(1); s.docket.Counter(r.Target()) != 1 {
		t.Error("the counter was lost")
	}
}

// TestARulingLongAfterTheLastEntry: a quiet registry takes it nevertheless.
func TestARulingLongAfterTheLastEntry(t *testing.T) {
	s := newScene(t)
	s.now = s.now.AddDate(0, 2, 0)
	r := s.de.Takedown(1)
	r.Reason = registry.ReasonDanger
	r, err := registry.NewRuling(s.State, r, s.now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := registry.SignRuling(s.Federation.Federation(), r, s.Members["PL"].Keys.Admin, s.Members["LT"].Keys.Admin, s.Members["FI"].Keys.Admin)
	if err != nil {
		t.Fatal(err)
	}
	s.add(b)
	todo := s.docket.Unrecorded()
	if len(todo) != 1 {
		t.Fatalf("%d commands to propose, want 1", len(todo))
	}
	s.At(s.now.Unix(), s.Sign(todo[0].Kind, todo[0].Payload, "PL"))
	if len(s.Rulings()) != 1 || len(s.docket.Unrecorded()) != 0 {
		t.Fatal("it was not recorded")
	}
}

func TestSuspensionAndCaretakers(t *testing.T) {
	s := newScene(t)
	keys := func() feed.Keys { return s.docket.View().Keys(registry.Unanchored{State: s.State}) }
	if _, ok := keys().Epoch(s.de.Origin); !ok {
		t.Fatal("no epoch before anything happened")
	}
	suspend := registry.Ruling{Kind: registry.RulingSuspend, Origin: s.de.Origin, Reason: registry.ReasonCompromised}
	s.add(s.ruling(suspend, "PL", "LT", "FI"))
	if _, ok := keys().Epoch(s.de.Origin); ok || !s.docket.View().Suspended(s.de.Origin) {
		t.Error("its feed is still taken in")
	}
	lt := s.Members["LT"].Origin
	s.add(s.ruling(registry.Ruling{Kind: registry.RulingCaretaker, Origin: s.de.Origin, By: []identity.OriginID{lt}}, "PL", "LT", "FI"))
	if got := s.docket.View().Caretakers(s.de.Origin); !slices.Equal(got, []identity.OriginID{lt}) {
		t.Errorf("caretakers %v", got)
	}
	suspend.Off = true
	s.add(s.ruling(suspend, "PL", "LT", "FI"))
	if _, ok := keys().Epoch(s.de.Origin); !ok || s.docket.View().Suspended(s.de.Origin) {
		t.Error("its feed is not taken in again")
	}
	// Who is suspended does not sign rulings.
	fi := s.Members["FI"]
	s.add(s.ruling(s.de.Takedown(9), "PL", "FI", "NL"))
	if !s.hidden(9) {
		t.Fatal("three have signed")
	}
	r := s.ruling(registry.Ruling{Kind: registry.RulingSuspend, Origin: fi.Origin}, "PL", "LT", "NL")
	s.Do(s.Sign(registry.KindRuling, registry.RecordRuling{Ruling: r}, "PL"))
	// Of the three that are left beside Germany two are enough.
	if _, signers, ok := s.docket.View().Hidden(s.de.Origin, feed.Key{9}); !ok || len(signers) != 2 {
		t.Errorf("hidden %v by %d: the word of a suspended member counts", ok, len(signers))
	}
}

func TestAStolenKeyIsHeldBackAtOnce(t *testing.T) {
	s := newScene(t)
	keys := func() feed.Keys { return s.docket.View().Keys(registry.Unanchored{State: s.State}) }
	good := feed.Place{Epoch: 1, N: 5, Hash: identity.Hash{5}}
	publish, admin := s.de.Keys.Publish.ID(), s.de.Keys.Admin.ID()
	s.add(s.ruling(registry.Ruling{Kind: registry.RulingRevoke, Origin: s.de.Origin, Key: publish, Good: &good}, "PL", "LT", "FI"))
	s.add(s.ruling(registry.Ruling{Kind: registry.RulingRevoke, Origin: s.de.Origin, Key: admin}, "PL", "LT", "FI"))
	for n, want := range map[uint64]bool{4: true, 5: true, 6: false} {
		if _, ok := keys().HeadKey(s.de.Origin, 1, n, publish); ok != want {
			t.Errorf("head %d: %v, want %v", n, ok, want)
		}
	}
	if _, ok := keys().AdminKey(s.de.Origin, admin); ok {
		t.Error("the admin key still approves")
	}
	if p, ok := keys().Good(s.de.Origin); !ok || p != good {
		t.Errorf("last good head %+v %v", p, ok)
	}
	if p, ok := s.docket.View().Revoked(s.de.Origin, publish); !ok || p != good {
		t.Errorf("revoked %v, good %+v", ok, p)
	}
	if _, ok := s.docket.View().Revoked(s.de.Origin, s.de.Keys.Node.ID()); ok {
		t.Error("another key is revoked")
	}
	for _, c := range s.docket.Unrecorded() {
		s.Do(s.Sign(c.Kind, c.Payload, "PL"))
	}
	if e, _ := keys().Epoch(s.de.Origin); e != 3 { // one for each key
		t.Errorf("epoch %d once the registry has it", e)
	}
	if p, ok := s.docket.View().Revoked(s.de.Origin, publish); !ok || p != good {
		t.Errorf("recorded: revoked %v, good %+v", ok, p)
	}
}

func TestWhichNodesAreTalkedTo(t *testing.T) {
	talkedTo := func(s *scene) bool {
		n, m, ok := s.docket.View().Node(s.de.Node())
		if ok && (m.Country != "DE" || n.ID != s.de.Node()) {
			t.Fatalf("node %s of %s", n.ID, m.Country)
		}
		return ok
	}
	s := newScene(t)
	if !talkedTo(s) {
		t.Fatal("not before anything happened")
	}
	suspend := registry.Ruling{Kind: registry.RulingSuspend, Origin: s.de.Origin}
	s.add(s.ruling(suspend, "PL", "LT", "FI"))
	if talkedTo(s) {
		t.Error("a suspended member's node")
	}
	suspend.Off = true
	s.add(s.ruling(suspend, "PL", "LT", "FI"))
	if !talkedTo(s) {
		t.Error("not after the suspension was lifted")
	}
	s.add(s.ruling(registry.Ruling{Kind: registry.RulingRevoke, Origin: s.de.Origin, Key: s.de.Keys.Node.ID()}, "PL", "LT", "FI"))
	if talkedTo(s) {
		t.Error("a node with a revoked key")
	}
	if _, _, ok := s.docket.View().Node(New(t, "XX").Node()); ok {
		t.Error("a stranger")
	}
}

func TestTheLowestForkCounts(t *testing.T) {
	s := newScene(t)
	keys := func() feed.Keys { return s.docket.View().Keys(registry.Unanchored{State: s.State}) }
	for _, c := range []struct {
		n     uint64
		added bool
		want  uint64
	}{{9, true, 9}, {10, false, 9}, {4, true, 4}, {9, false, 4}} {
		if added, err := s.docket.AddEvidence(s.de.Fork(t, s.State, 1, c.n)); added != c.added || err != nil {
			t.Errorf("fork at %d: added %v, %v", c.n, added, err)
		}
		if n, ok := keys().Forked(s.de.Origin); !ok || n != c.want {
			t.Errorf("after a fork at %d: frozen at %d, want %d", c.n, n, c.want)
		}
	}
	if len(s.drawer.kept) != 1 {
		t.Errorf("%d items on disk, want 1", len(s.drawer.kept))
	}
	s.Do(s.Sign(registry.KindKeys, SetKeys(t, s.State, registry.KeyChange{Origin: s.de.Origin, Epoch: 2}), "DE"))
	if _, ok := keys().Forked(s.de.Origin); ok {
		t.Error("the next epoch is frozen too")
	}
}

func TestADocketComesBackFromDisk(t *testing.T) {
	s := newScene(t)
	s.add(s.ruling(s.de.Takedown(1), "PL", "LT", "FI"))
	s.add(s.ruling(s.de.Takedown(2), "PL"))
	if _, err := s.docket.AddEvidence(s.de.Fork(t, s.State, 1, 5)); err != nil {
		t.Fatal(err)
	}
	again := s.open()
	if again.Digest() != s.docket.Digest() || len(again.Pending()) != 1 || len(again.View().HiddenAll()) != 1 {
		t.Fatal("it came back as another one")
	}
	for key, value := range s.drawer.kept { // a disk that rots
		value[len(value)-1] ^= 1
		s.drawer.kept[key] = value
	}
	rotten := s.open()
	if n := len(rotten.View().HiddenAll()); n != 0 || rotten.Digest() == s.docket.Digest() {
		t.Fatalf("%d rulings with broken signatures hold", n)
	}
	exchange(t, s.docket, rotten)
	if rotten.Digest() != s.docket.Digest() {
		t.Fatal("it did not get back what the disk had lost")
	}
	s.drawer.kept["key"] = []byte("noise")
	if d := s.open(); d.Digest() != s.docket.Digest() || s.drawer.kept["key"] != nil {
		t.Error("noise was kept")
	}
}

func TestAFullDisk(t *testing.T) {
	s := newScene(t)
	s.drawer.full = true
	added, err := s.docket.AddRuling(s.ruling(s.de.Takedown(1), "PL", "LT", "FI"))
	if !added || !errors.Is(err, errFull) {
		t.Fatalf("added %v: %v", added, err)
	}
	if !s.hidden(1) {
		t.Error("a takedown waits for the disk")
	}
}

func TestBeforeThereIsARegistry(t *testing.T) {
	s := newScene(t)
	var state *registry.State
	d, err := docket.New(docket.Options{Drawer: newDrawer(), State: func() *registry.State { return state }, Now: func() time.Time { return s.now }})
	if err != nil {
		t.Fatal(err)
	}
	b := s.ruling(s.de.Takedown(1), "PL", "LT", "FI")
	if _, err := d.AddRuling(b); !errors.Is(err, docket.ErrNotReady) {
		t.Fatalf("%v", err)
	}
	if len(d.View().HiddenAll()) != 0 || d.View().Suspended(s.de.Origin) || len(d.View().Caretakers(s.de.Origin)) != 0 {
		t.Error("an empty view says something")
	}
	state = s.State
	if added, err := d.AddRuling(b); !added || err != nil {
		t.Fatal(added, err)
	}
}

// TestRefusals is the table of what a docket does not take in.
func TestRefusals(t *testing.T) {
	s := newScene(t)
	federation := s.Federation.Federation()
	ruling := func(b []byte) []byte {
		raw, err := docket.RulingItem(b)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	later := func(d time.Duration) []byte {
		r := s.de.Takedown(1)
		r.Reason = registry.ReasonOther
		r, err := registry.NewRuling(s.State, r, s.now.Add(d))
		if err != nil {
			t.Fatal(err)
		}
		b, err := registry.SignRuling(federation, r, s.Members["PL"].Keys.Admin)
		if err != nil {
			t.Fatal(err)
		}
		return ruling(b)
	}
	forged := func() []byte {
		_, e, err := registry.ParseRuling(s.ruling(s.de.Takedown(1), "PL"))
		if err != nil {
			t.Fatal(err)
		}
		e.Signatures[0].Key = s.Members["LT"].Keys.Admin.ID()
		return ruling(e.Encode())
	}
	unknown, err := identity.Marshal(map[int]any{1: 9, 2: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	evidence := func(a, b *feed.SignedHead) []byte {
		raw, err := docket.EvidenceItem(feed.NewEvidence(a, b))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	thief := s.de.Fresh(identity.RolePublish, 9)
	for name, c := range map[string]struct {
		item []byte
		want error
	}{
		"noise":                        {[]byte("noise"), docket.ErrMalformed},
		"nothing":                      {nil, docket.ErrMalformed},
		"too much":                     {make([]byte, docket.MaxItem+1), docket.ErrMalformed},
		"a kind of tomorrow":           {unknown, docket.ErrUnknownKind},
		"a ruling nobody signed":       {ruling(s.ruling(s.de.Takedown(1))), registry.ErrUnauthorised},
		"a ruling by its target alone": {ruling(s.ruling(s.de.Takedown(1), "DE")), registry.ErrUnauthorised},
		"a forged signature":           {forged(), registry.ErrUnauthorised},
		"a ruling of tomorrow":         {later(24 * time.Hour), registry.ErrConflict},
		"a thief's second head":        {evidence(s.de.Head(t, s.State, 1, 5, 1), s.de.Head(t, s.State, 1, 5, 2, thief)), feed.ErrEvidence},
	} {
		if added, err := s.docket.Add(c.item); added || !errors.Is(err, c.want) {
			t.Errorf("%s: added %v, %v; want %v", name, added, err, c.want)
		}
	}
	for name, item := range map[string][]byte{
		"a takedown that ended long ago": later(-60 * 24 * time.Hour),
	} {
		if added, err := s.docket.Add(item); added || err != nil {
			t.Errorf("%s: added %v, %v", name, added, err)
		}
	}
	if len(s.drawer.kept) != 0 || s.changed != 0 {
		t.Errorf("%d items were kept, %d changes told", len(s.drawer.kept), s.changed)
	}
	a, b := s.de.Head(t, s.State, 1, 5, 1), s.de.Head(t, s.State, 1, 6, 1)
	if _, err := docket.EvidenceItem(feed.NewEvidence(a, b)); !errors.Is(err, docket.ErrMalformed) {
		t.Errorf("two numbers: %v", err)
	}
}

func TestOneMemberCannotFillTheDocket(t *testing.T) {
	s := newScene(t)
	holds := s.ruling(s.de.Takedown(255), "PL", "LT", "FI")
	s.add(holds)
	for i := range docket.MaxOpen + 20 {
		s.now = s.now.Add(time.Minute)
		r := s.de.Takedown(byte(i + 1))
		r.Reason, r.Counter = registry.ReasonOther, 1
		r, err := registry.NewRuling(s.State, r, s.now)
		if err != nil {
			t.Fatal(err)
		}
		b, err := registry.SignRuling(s.Federation.Federation(), r, s.Members["PL"].Keys.Admin)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.docket.AddRuling(b); err != nil {
			t.Fatal(err)
		}
	}
	p := s.docket.Pending()
	if len(p) != docket.MaxOpen || len(s.drawer.kept) != docket.MaxOpen+1 {
		t.Fatalf("%d open rulings, %d items on disk", len(p), len(s.drawer.kept))
	}
	if first := p[0].Ruling.Record; first != (feed.Key{21}) {
		t.Errorf("the oldest that is kept is %d, want 21", first[0])
	}
	if !s.hidden(255) {
		t.Error("a ruling that holds was pushed out")
	}
}

func TestLookingUpCostsNothing(t *testing.T) {
	s := newScene(t)
	s.add(s.ruling(s.de.Takedown(1), "PL", "LT", "FI"))
	v := s.docket.View()
	if n := testing.AllocsPerRun(100, func() {
		if _, _, ok := v.Hidden(s.de.Origin, feed.Key{1}); !ok {
			t.Fatal("not hidden")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// exchange hands everything that from holds to to, in small pages.
func exchange(t interface{ Fatal(...any) }, from, to *docket.Docket) {
	var after []byte
	for {
		items, next := from.Items(after, 1500)
		if len(items) == 0 && next != nil {
			t.Fatal("an empty page with another one after it")
		}
		for _, i := range items {
			_, _ = to.Add(i) // what the other does not take in yet, it does later
		}
		if next == nil {
			return
		}
		after = next
	}
}

// TestManyAtOnce: readers, peers and the registry all at the same time.
func TestManyAtOnce(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT", "FI", "NL")
	items := pool(t, f)
	var state atomic.Pointer[registry.State]
	state.Store(f.State)
	now := time.Unix(f.Time(), 0).Add(time.Hour)
	d, err := docket.New(docket.Options{Drawer: newDrawer(), State: state.Load, Now: func() time.Time { return now }, Changed: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	var g sync.WaitGroup
	for start := range 4 {
		g.Go(func() {
			for i := range items {
				_, _ = d.Add(items[(i*7+start*11)%len(items)])
			}
		})
	}
	g.Go(func() {
		for range 50 {
			d.View().HiddenAll()
			d.View().Hidden(f.Members["DE"].Origin, feed.Key{1})
			d.Digest()
			d.Items(nil, 1000)
			d.Pending()
			d.Unrecorded()
		}
	})
	g.Go(func() {
		for range 20 {
			next := *state.Load()
			state.Store(&next)
			d.Refresh()
		}
	})
	g.Wait()
	alone, err := docket.New(docket.Options{Drawer: newDrawer(), State: state.Load, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		_, _ = alone.Add(i)
	}
	if alone.Digest() != d.Digest() {
		t.Fatal("one after the other they make another docket")
	}
}
