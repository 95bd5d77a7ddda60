package consensus_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
	"github.com/2ps-project/waymark/federation/transport"
)

// drawer keeps heads over restarts.
type drawer map[string][]byte

func (d drawer) Put(key, value []byte) error { d[string(key)] = bytes.Clone(value); return nil }
func (d drawer) Delete(key []byte) error     { delete(d, string(key)); return nil }
func (d drawer) Each(do func(key, value []byte) error) error {
	for k, v := range d {
		if err := do([]byte(k), v); err != nil {
			return err
		}
	}
	return nil
}

// confirmed reports whether a node has a head for the last entry of n.
func (n *node) confirmed(at *node) bool {
	h, ok := at.Keeper.Head()
	return ok && h.Seq == n.State().Seq() && h.Hash == n.State().Hash()
}

// proved checks what a node's heads prove to somebody who knows the genesis
// alone, and returns it.
func (f *federation) proved(n *node) registry.HeadChain {
	f.t.Helper()
	genesis, err := registry.Replay([][]byte{f.genesis})
	if err != nil {
		f.t.Fatal(err)
	}
	var c registry.HeadChain
	for i, b := range n.Heads() {
		if c, _, err = c.Add(b, genesis, time.Now()); err != nil {
			f.t.Fatalf("head %d of %s: %v", i, n.Country, err)
		}
	}
	return c
}

func TestTheFounderSignsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl := f.nodes["PL"]
		took := f.within(2*time.Second, "a head", func() bool { return pl.confirmed(pl) })
		t.Logf("the first head after %v", took)
		pl.propose(pl.Invite(t, pl.State(), "DE"))
		f.within(time.Second, "a head for the next entry", func() bool { return pl.confirmed(pl) })
		before := pl.Status().Confirmed
		time.Sleep(59 * time.Minute)
		if !pl.Status().Confirmed.Equal(before) {
			t.Error("nothing changed, and a head was made within the hour")
		}
		f.within(2*time.Minute, "the hourly head", func() bool { return pl.Status().Confirmed.After(before) })
		if c := f.proved(pl); c.Rotation() != 1 || c.Newest().Seq != 2 {
			t.Errorf("rotation %d, entry %d", c.Rotation(), c.Newest().Seq)
		}
	})
}

// TestNewsTravelAsFastAsTheyAreSigned: who is told of an entry gets it with one
// question, although the voters have yet to sign for it.
func TestNewsTravelAsFastAsTheyAreSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl := f.nodes["PL"]
		told := func(n *node) time.Duration {
			begin := time.Now()
			n.Poke()
			for !n.confirmed(n) || n.State().Hash() != pl.State().Hash() {
				if time.Since(begin) > 5*time.Second {
					t.Fatalf("%s is at %d, the leader at %d", n.Country, n.State().Seq(), pl.State().Seq())
				}
				time.Sleep(time.Millisecond)
			}
			return time.Since(begin)
		}
		de := f.join("DE")
		f.within(10*time.Second, "all alike", f.same)
		pl.propose(pl.Invite(t, pl.State(), "LT"))
		alone := told(de)
		lt := f.join2("LT")
		f.within(time.Minute, "three voters", func() bool { return f.voters(pl, 3) && f.voters(de, 3) && f.voters(lt, 3) })
		f.within(time.Minute, "three sign", func() bool { h, ok := pl.Keeper.Head(); return ok && len(h.Voters) == 3 && pl.confirmed(pl) })
		fi := f.admit("FI", pl, de, lt)
		f.within(10*time.Second, "all alike", f.same)
		time.Sleep(3 * time.Second) // nothing is under way
		if l := pl.Status().Leader; l != pl.Node() {
			t.Fatalf("the leader is %s", l)
		}
		// An entry that meets a message of raft's own under way waits for that one's
		// answer: seldom, so not twice in three.
		var times []time.Duration
		for _, country := range []string{"SE", "NO", "NL"} {
			pl.propose(pl.Invite(t, pl.State(), country))
			times = append(times, told(fi))
			time.Sleep(3 * time.Second)
		}
		slices.Sort(times)
		three := times[1]
		// A round trip is 40 ms. Asking takes two of them; with three voters one
		// more is needed to sign.
		t.Logf("told: with one voter %v, with three %v", alone, three)
		if alone > 100*time.Millisecond || three > alone+50*time.Millisecond {
			t.Errorf("after %v with one voter, %v with three", alone, three)
		}
	})
}

// join2 is join for a country that is invited already.
func (f *federation) join2(country string) *node {
	f.t.Helper()
	n, pl := f.node(country), f.nodes["PL"]
	_, c := pl.Admit(f.t, pl.State(), n.Member)
	pl.propose(c)
	n.start()
	return n
}

// admit brings a country in that others must approve.
func (f *federation) admit(country string, by ...*node) *node {
	f.t.Helper()
	n := f.join(country)
	pl := f.nodes["PL"]
	p := pl.State().Proposals()[0]
	for _, m := range by[1:] {
		if _, ok := pl.State().MemberByCountry(country); ok {
			break
		}
		_, c := m.Sign(f.t, m.State(), registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
		m.propose(c)
	}
	f.within(10*time.Second, country+" is admitted", func() bool { _, ok := pl.State().MemberByCountry(country); return ok })
	n.start()
	return n
}

func TestTheSignersAreTheVoters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		signers := func(n *node, want int) func() bool {
			return func() bool {
				h, ok := n.Keeper.Head()
				return ok && len(h.Voters) == want && n.confirmed(n)
			}
		}
		f.within(time.Minute, "three sign", signers(pl, 3))
		f.admit("FI", pl, de, lt)
		fr := f.admit("FR", pl, de, lt)
		f.within(time.Minute, "five vote", func() bool { return f.voters(pl, 5) && f.voters(fr, 5) })
		for _, n := range f.nodes {
			f.within(10*time.Minute, "five sign, as "+n.Country+" sees it", signers(n, 5))
		}
		c := f.proved(fr)
		var sizes []int
		for _, h := range c.Rotations() {
			sizes = append(sizes, len(h.Voters))
		}
		if !slices.Equal(sizes, []int{1, 3, 5}) {
			t.Errorf("the voters changed by way of %v", sizes)
		}
		// A newcomer goes the whole way, with nothing but the federation's id.
		se := f.node("SE")
		se.empty = true
		pl.propose(pl.Invite(t, pl.State(), "SE"))
		_, command := pl.Admit(t, pl.State(), se.Member)
		pl.propose(command)
		p := pl.State().Proposals()[0]
		for _, m := range []*node{de, lt} {
			_, command := m.Sign(t, m.State(), registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
			m.propose(command)
		}
		se.start()
		f.within(time.Minute, "the newcomer has everything", func() bool { return se.State() != nil && f.same() && signers(se, 5)() })
		if c := f.proved(se); c.Rotation() != 3 {
			t.Errorf("the newcomer knows %d sets of voters", c.Rotation())
		}
	})
}

func TestAMinorityCannotSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		f.within(time.Minute, "three sign", func() bool { h, ok := pl.Keeper.Head(); return ok && len(h.Voters) == 3 && pl.confirmed(pl) })
		f.within(time.Minute, "all alike", f.same)
		de.halt()
		lt.halt()
		h, _ := pl.Keeper.Head()
		time.Sleep(3 * time.Hour)
		if now, _ := pl.Keeper.Head(); now != h {
			t.Errorf("one of three made a head for entry %d", now.Seq)
		}
		if s := pl.Status(); s.Expired || !s.Confirmed.Equal(h.Confirmed()) || s.Problem != nil {
			t.Errorf("after three hours: %+v", s)
		}
		// A head that one of three has signed is no head.
		forged := h.Head
		forged.Issued, forged.Expires = time.Now().Unix(), time.Now().Unix()+60
		envelope := forged.Envelope([]identity.Signature{pl.Keys.Node.Sign(identity.TypeRegistryHead, forged.Federation, forged.Encode())})
		if err := pl.Take(context.Background(), 1, nil, [][]byte{envelope}); !errors.Is(err, registry.ErrUnauthorised) {
			t.Errorf("a head signed by one of three: %v", err)
		}
		de.start()
		f.within(3*time.Minute, "two of three sign", func() bool { now, _ := pl.Keeper.Head(); return now != h })
	})
}

func TestAHeadExpires(t *testing.T) {
	now := registrytest.Start.Add(time.Minute)
	w := newLine(t)
	k := w.keeper(t, nil, func() time.Time { return now })
	if err := k.Take(t.Context(), 1, w.entries[:3], [][]byte{w.head(t, 3, now, nil)}); err != nil {
		t.Fatal(err)
	}
	if s := k.Status(); s.Expired || s.Seq != 3 || s.Confirmed != now {
		t.Errorf("at first: %+v", s)
	}
	now = now.Add(registry.HeadLife + time.Minute)
	if s := k.Status(); !s.Expired || s.Problem != nil {
		t.Errorf("after its time: %+v", s)
	}
	if k.State().Seq() != 3 {
		t.Error("what it confirmed is gone")
	}
	// A later one, itself expired, is still better than this.
	late := w.head(t, 4, now, nil)
	now = now.AddDate(0, 1, 0)
	if err := k.Take(t.Context(), 1, w.entries, [][]byte{late}); err != nil || k.State().Seq() != 4 {
		t.Errorf("an expired head that is newer: %v, entry %d", err, k.State().Seq())
	}
}

// line is a registry with some entries, made by its founder alone.
type line struct {
	pl      *registrytest.Member
	entries [][]byte
	states  []*registry.State // after each entry
}

func newLine(t *testing.T) *line {
	w := &line{pl: registrytest.New(t, "PL")}
	e, s := w.pl.Found(t)
	w.entries, w.states = [][]byte{e.Encode()}, []*registry.State{s}
	for _, country := range []string{"DE", "LT", "FI", "SE"} {
		w.add(t, w.pl.Invite(t, w.last(), country))
	}
	return w
}

func (w *line) last() *registry.State { return w.states[len(w.states)-1] }

func (w *line) add(t *testing.T, command []byte) {
	t.Helper()
	e := registry.Entry{Time: w.last().Time() + 1, Command: command}
	s, err := w.last().Apply(e)
	if err != nil {
		t.Fatal(err)
	}
	w.entries, w.states = append(w.entries, e.Encode()), append(w.states, s)
}

// head is Poland's head for an entry.
func (w *line) head(t *testing.T, seq int, at time.Time, feeds []registry.Anchor) []byte {
	t.Helper()
	s := w.states[seq-1]
	h := registry.Head{
		Version: 1, Federation: s.Federation(), Generation: 1, Rotation: 1, Seq: s.Seq(), Hash: s.Hash(),
		Voters: []identity.PublicKey{w.pl.Keys.Node.Public()}, Feeds: feeds, Issued: at.Unix(), Expires: at.Add(registry.HeadLife).Unix(),
	}
	return h.Envelope([]identity.Signature{w.pl.Keys.Node.Sign(identity.TypeRegistryHead, h.Federation, h.Encode())})
}

// keeper knows nothing but the federation's id.
func (w *line) keeper(t *testing.T, d consensus.Drawer, now func() time.Time) *consensus.Keeper {
	t.Helper()
	return w.keeperOn(t, new(consensus.MemoryChain), d, now)
}

func (w *line) keeperOn(t *testing.T, chain consensus.Chain, d consensus.Drawer, now func() time.Time) *consensus.Keeper {
	t.Helper()
	k, err := consensus.New(consensus.Options{Self: identity.KeyFromSeed(identity.RoleNode, [32]byte{9}), Federation: w.last().Federation(), Chain: chain, Heads: d, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAnchorsAreKept(t *testing.T) {
	w := newLine(t)
	now := registrytest.Start.Add(time.Hour)
	d := drawer{}
	chain := new(consensus.MemoryChain)
	k := w.keeperOn(t, chain, d, func() time.Time { return now })
	origin := w.pl.Origin
	place := func(n int) []registry.Anchor {
		return []registry.Anchor{{Origin: origin, Place: feed.Place{Epoch: 1, N: uint64(n), Hash: identity.Hash{byte(n), byte(n >> 8)}}}}
	}
	begin := now
	for day := range 400 { // two heads a day, 12 hours apart
		for half := range 2 {
			now = begin.AddDate(0, 0, day).Add(time.Duration(half) * 12 * time.Hour)
			heads := [][]byte{w.head(t, 2, now, place(1+2*day+half))}
			if err := k.Take(t.Context(), 1, w.entries, heads); err != nil {
				t.Fatal(err)
			}
		}
	}
	var want []uint64
	want = append(want, 1) // by which the first voter came in
	for day := 400 - 1 - 365; day < 400; day++ {
		want = append(want, uint64(2+2*day)) // the last of each day
	}
	check := func(name string, k *consensus.Keeper) {
		t.Helper()
		if got := k.Anchors(origin, 1); !slices.Equal(got, want) {
			t.Fatalf("%s: %d anchors %v…, want %d %v…", name, len(got), got[:min(3, len(got))], len(want), want[:3])
		}
		if hash, ok := k.Anchor(origin, 1, 800); !ok || hash != (identity.Hash{800 & 255, 800 >> 8}) {
			t.Errorf("%s: the newest head's anchor: %v %v", name, hash, ok)
		}
		for _, n := range []uint64{2, 799, 801} {
			if _, ok := k.Anchor(origin, 1, n); ok {
				t.Errorf("%s: head %d is an anchor", name, n)
			}
		}
		if got := k.Anchors(origin, 2); len(got) != 0 {
			t.Errorf("%s: anchors of another epoch: %v", name, got)
		}
	}
	check("as they came", k)
	check("after a restart", w.keeperOn(t, chain, d, func() time.Time { return now }))
	if len(d) != 367 {
		t.Errorf("%d heads are kept, want one a day for a year and the first", len(d))
	}
	// What is on record binds the voters.
	other := place(800)
	other[0].Place.Hash[31]++
	now = now.Add(time.Hour)
	if err := k.Take(t.Context(), 1, nil, [][]byte{w.head(t, 2, now, other)}); !errors.Is(err, registry.ErrHeadAnchor) {
		t.Errorf("a head that contradicts an anchor: %v", err)
	}
	// A drawer that was damaged is left out, and said.
	for key := range d {
		d[key] = d[key][:len(d[key])/2]
	}
	hurt := w.keeperOn(t, chain, d, func() time.Time { return now })
	if _, ok := hurt.Head(); ok || len(hurt.Anchors(origin, 1)) != 0 {
		t.Error("something was read from a damaged drawer")
	}
}

func TestTake(t *testing.T) {
	w := newLine(t)
	now := registrytest.Start.Add(time.Hour)
	clock := func() time.Time { return now }
	good := w.head(t, 4, now, nil)
	other := &line{w.pl, slices.Clone(w.entries[:3]), slices.Clone(w.states[:3])}
	other.add(t, other.pl.Invite(t, other.last(), "NO"))
	for name, c := range map[string]struct {
		have    [][]byte // entries that are here, unconfirmed
		from    uint64
		entries [][]byte
		heads   [][]byte
		seq     uint64
		want    error
	}{
		"all that is signed for, and no more": {nil, 1, w.entries, [][]byte{good}, 4, nil},
		"after what is here":                  {w.entries[:2], 3, w.entries[2:], [][]byte{good}, 4, nil},
		"heads in any order":                  {nil, 1, w.entries, [][]byte{w.head(t, 5, now, nil), good}, 5, nil},
		"a head for what is here":             {w.entries[:4], 5, nil, [][]byte{good}, 4, nil},
		"without a head":                      {w.entries[:1], 1, w.entries, nil, 1, consensus.ErrUnconfirmed},
		"a piece is missing":                  {w.entries[:1], 3, w.entries[2:], [][]byte{good}, 1, errAny},
		"an entry left out":                   {w.entries[:1], 2, [][]byte{w.entries[2], w.entries[3]}, [][]byte{good}, 1, errAny},
		"two entries changed round":           {w.entries[:1], 2, [][]byte{w.entries[2], w.entries[1], w.entries[3]}, [][]byte{good}, 1, errAny},
		"noise for an entry":                  {w.entries[:1], 2, [][]byte{w.entries[1], []byte("noise"), w.entries[3]}, [][]byte{good}, 1, errAny},
		"noise for a head":                    {w.entries[:1], 1, w.entries, [][]byte{[]byte("noise")}, 1, registry.ErrMalformed},
		"another federation's":                {nil, 1, newLine(t).entries, [][]byte{good}, 0, registry.ErrForeign},
		"here are others than are signed for": {append(slices.Clone(w.entries[:3]), other.entries[3]), 1, w.entries, [][]byte{good}, 4, consensus.ErrSplit},
		"and more was signed since":           {append(slices.Clone(w.entries[:3]), other.entries[3]), 1, w.entries, [][]byte{w.head(t, 5, now, nil)}, 4, consensus.ErrSplit},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "another federation's" {
				f := w.pl.Candidate
				e, s, err := registry.Found("Another", false, f, w.pl.Keys, registrytest.Start)
				if err != nil {
					t.Fatal(err)
				}
				_ = s
				c.entries = [][]byte{e.Encode()}
			}
			chain := new(consensus.MemoryChain)
			for i, b := range c.have {
				if err := chain.Append(uint64(i+1), b); err != nil {
					t.Fatal(err)
				}
			}
			k := w.keeperOn(t, chain, nil, clock)
			err := k.Take(t.Context(), c.from, c.entries, c.heads)
			if c.want == errAny && err == nil || c.want != errAny && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if got, _ := chain.Last(); got != c.seq {
				t.Errorf("%d entries are here, want %d", got, c.seq)
			}
			if stopped := errors.Is(k.Status().Problem, consensus.ErrSplit); stopped != (c.want == consensus.ErrSplit) {
				t.Errorf("problem: %v", k.Status().Problem)
			}
		})
	}
}

var errAny = errors.New("any error")

// TestEntriesComeFromTwoSides: while a node asks another for entries, raft brings
// some of them. What the other gives then begins too early, and nothing is wrong.
func TestEntriesComeFromTwoSides(t *testing.T) {
	w := newLine(t)
	now := registrytest.Start.Add(time.Hour)
	for at := uint64(1); at <= 6; at++ {
		chain := new(consensus.MemoryChain)
		for i, b := range w.entries[:3] {
			if err := chain.Append(uint64(i+1), b); err != nil {
				t.Fatal(err)
			}
		}
		k := w.keeperOn(t, chain, nil, func() time.Time { return now })
		if err := k.TakeLate(t.Context(), at, w.entries, w.head(t, 5, now, nil)); err != nil {
			t.Errorf("asked from entry %d on: %v", at, err)
		}
		if got, _ := chain.Last(); got != 5 {
			t.Errorf("asked from entry %d on: %d entries are here, want 5", at, got)
		}
	}
}

// TestALyingPeer leaves a follower with one node to ask, which lies. The voters
// are three, the liar is one of them.
func TestALyingPeer(t *testing.T) {
	type shown struct {
		entries [][]byte // from the first that the follower lacks
		head    []byte
	}
	for name, c := range map[string]struct {
		lie  func(old, middle, now *registry.SignedHead, next [][]byte, pl *node) shown
		took uint64
	}{
		"the truth": {func(_, _, now *registry.SignedHead, next [][]byte, _ *node) shown {
			return shown{next, now.Envelope}
		}, 2},
		"nothing new": {func(old, _, _ *registry.SignedHead, _ [][]byte, _ *node) shown {
			return shown{nil, old.Envelope}
		}, 0},
		"a part, which is signed for": {func(_, middle, _ *registry.SignedHead, next [][]byte, _ *node) shown {
			return shown{next[:1], middle.Envelope}
		}, 1},
		"more than is signed for": {func(_, middle, _ *registry.SignedHead, next [][]byte, _ *node) shown {
			return shown{next, middle.Envelope}
		}, 1},
		"new entries and the old head": {func(old, _, _ *registry.SignedHead, next [][]byte, _ *node) shown {
			return shown{next, old.Envelope}
		}, 0},
		"new entries and no head": {func(_, _, _ *registry.SignedHead, next [][]byte, _ *node) shown {
			return shown{next, nil}
		}, 0},
		"the new head and too few entries": {func(_, _, now *registry.SignedHead, next [][]byte, _ *node) shown {
			return shown{next[:1], now.Envelope}
		}, 0},
		"another order": {func(_, _, now *registry.SignedHead, next [][]byte, _ *node) shown {
			return shown{[][]byte{next[1], next[0]}, now.Envelope}
		}, 0},
		"an entry left out": {func(_, middle, _ *registry.SignedHead, next [][]byte, _ *node) shown {
			return shown{next[1:], middle.Envelope}
		}, 0},
		"another order, and a head signed by the liar alone": {func(old, _, now *registry.SignedHead, next [][]byte, pl *node) shown {
			h := now.Head
			h.Hash = registry.HashAfter(registry.HashAfter(old.Hash, next[1]), next[0])
			return shown{[][]byte{next[1], next[0]}, h.Envelope([]identity.Signature{pl.Keys.Node.Sign(identity.TypeRegistryHead, h.Federation, h.Encode())})}
		}, 0},
		"the truth, and a head with its signatures cut off": {func(_, _, now *registry.SignedHead, next [][]byte, _ *node) shown {
			return shown{next, now.Head.Envelope(nil)}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, pl, de, lt := three(t)
				defer f.end()
				fi := f.admit("FI", pl, de, lt)
				f.within(time.Minute, "all alike, and three sign", func() bool {
					h, ok := fi.Keeper.Head()
					return ok && f.same() && len(h.Voters) == 3 && fi.confirmed(fi)
				})
				f.net.Partition([]string{fi.Nodes[0].Endpoints[0].Host}, []string{pl.Nodes[0].Endpoints[0].Host, de.Nodes[0].Endpoints[0].Host, lt.Nodes[0].Endpoints[0].Host})
				old, _ := fi.Keeper.Head()
				before := fi.State()
				pl.propose(pl.Invite(t, pl.State(), "SE"))
				f.within(10*time.Second, "a head", func() bool { return pl.confirmed(pl) })
				middle, _ := pl.Keeper.Head()
				pl.propose(pl.Invite(t, pl.State(), "NO"))
				f.within(10*time.Second, "a head", func() bool { return pl.confirmed(pl) })
				now, _ := pl.Keeper.Head()
				next, _ := pl.chain.Entries(before.Seq()+1, 2)
				for _, n := range []*node{pl, de, lt} {
					n.halt()
				}
				f.net.HealAll()
				lie := c.lie(old, middle, now, next, pl)
				stop := f.serveLies(pl, before.Seq()+1, lie.entries, lie.head, pl.Heads())
				defer stop()
				for range 4 {
					fi.Poke()
					time.Sleep(15 * time.Second)
				}
				if got := fi.State().Seq() - before.Seq(); got != c.took {
					t.Errorf("it took %d entries, want %d", got, c.took)
				}
				if s := fi.Status(); s.Problem != nil {
					t.Errorf("a liar stopped it: %v", s.Problem)
				} else if s.Seq != before.Seq()+c.took {
					t.Errorf("signed for up to %d, entries up to %d", s.Seq, before.Seq()+c.took)
				} else if len(lie.entries) > int(c.took) && s.Heard <= s.Seq && len(lie.entries) > 0 {
					t.Errorf("it does not say that more is claimed: %+v", s)
				}
			})
		})
	}
}

// serveLies has a node's address and key answer what it is told to.
func (f *federation) serveLies(n *node, from uint64, entries [][]byte, head []byte, rotations [][]byte) (stop func()) {
	f.t.Helper()
	type page struct {
		Entries [][]byte `cbor:"1,keyasint"`
		Last    uint64   `cbor:"2,keyasint"`
		Head    []byte   `cbor:"3,keyasint"`
	}
	type status struct {
		Seq  uint64        `cbor:"2,keyasint"`
		Hash identity.Hash `cbor:"3,keyasint"`
		At   uint64        `cbor:"4,keyasint"`
		Head []byte        `cbor:"11,keyasint"`
	}
	type headPage struct {
		Heads [][]byte `cbor:"1,keyasint"`
	}
	l, err := f.net.Listen(n.Nodes[0].Endpoints[0].String())
	if err != nil {
		f.t.Fatal(err)
	}
	tr, err := transport.New(transport.Options{Key: n.Keys.Node, Listener: l, Directory: n})
	if err != nil {
		f.t.Fatal(err)
	}
	last := from - 1 + uint64(len(entries))
	tr.ServeHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v any
		switch r.URL.Path {
		case "/r1/registry":
			p := page{Last: last, Head: head}
			if r.URL.Query().Get("from") == strconv.FormatUint(from, 10) {
				p.Entries = entries
			}
			v = p
		case "/r1/registry/heads":
			v = headPage{rotations}
		default:
			v = status{Seq: last, Head: head}
		}
		b, err := identity.Marshal(v)
		if err != nil {
			f.t.Error(err)
		}
		_, _ = w.Write(b)
	}))
	ctx, cancel := context.WithCancel(context.Background())
	var port sync.WaitGroup
	port.Go(func() { _ = tr.Run(ctx) })
	return func() { cancel(); port.Wait() }
}
