package consensus_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

func host(n *node) string { return n.Nodes[0].Endpoints[0].Host }

// five is a federation of five members, three of whom vote; FI has offered to.
func five(t *testing.T) (f *federation, pl, de, lt, fi, fr *node) {
	t.Helper()
	f, pl, de, lt = three(t)
	f.follows = map[string]bool{"FR": true}
	fi = f.admit("FI", pl, de, lt)
	fr = f.admit("FR", pl, de, lt)
	for _, n := range f.nodes {
		n.halt()
		n.heads = drawer{}
	}
	for _, n := range f.nodes {
		n.start()
	}
	f.allSign(5*time.Minute, 3)
	return f, pl, de, lt, fi, fr
}

// plan plans a recovery that can be done.
func (n *node) plan() consensus.Plan {
	n.f.t.Helper()
	var p consensus.Plan
	n.f.within(time.Minute, n.Country+" can plan a recovery", func() bool {
		var err error
		if p, err = n.PlanRecovery(context.Background()); err != nil {
			n.f.t.Fatalf("%s plans: %v", n.Country, err)
		}
		return p.Refused == nil
	})
	return p
}

func signRecovery(t *testing.T, r registry.Recovery, by ...*node) []byte {
	t.Helper()
	b, err := registry.SignRecovery(r, by[0].Keys.Admin)
	for _, n := range by[1:] {
		if err == nil {
			b, err = registry.CountersignRecovery(b, n.Keys.Admin)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (n *node) recover(recovery []byte) {
	n.f.t.Helper()
	if err := n.Recover(context.Background(), recovery); err != nil {
		n.f.t.Fatalf("%s recovers: %v", n.Country, err)
	}
}

func (f *federation) generation(want uint64, nodes ...*node) func() bool {
	return func() bool {
		return !slices.ContainsFunc(nodes, func(n *node) bool { return n.Status().Generation != want })
	}
}

// TestTwoOfThreeVotersAreLost: the lost ones have agreed on one entry more that
// nobody else has seen, and come back with it.
func TestTwoOfThreeVotersAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt, fi, fr := five(t)
		defer f.end()
		f.net.Partition([]string{host(pl), host(fi), host(fr)}, []string{host(de), host(lt)})
		before := pl.State().Seq()
		f.within(2*time.Minute, "the two have a leader", func() bool { return de.Status().Quorum && lt.Status().Quorum })
		lost := de.Invite(t, de.State(), "NO")
		de.propose(lost)
		f.within(2*time.Minute, "the two have confirmed it", func() bool { return lt.confirmed(lt) && lt.State().Seq() == before+1 && de.confirmed(de) })
		de.halt()
		lt.halt()
		f.net.HealAll()
		f.within(time.Minute, "the third knows", func() bool { return !pl.Status().Quorum })

		p := fr.plan()
		if p.Members != 5 || p.Needed != 3 || p.Answering != 1 || p.Recovery.Seq != before || len(p.Recovery.Voters) != 1 {
			t.Fatalf("the plan: %+v", p)
		}
		r := signRecovery(t, p.Recovery, pl, fi)
		if err := fr.Recover(context.Background(), r); !errors.Is(err, registry.ErrUnauthorised) {
			t.Fatalf("signed by two of five: %v", err)
		}
		if fr.Status().Generation != 1 || pl.Status().Generation != 1 {
			t.Fatal("a minority has begun a generation")
		}
		r = signRecovery(t, p.Recovery, pl, fi, fr)
		fr.recover(r)
		took := f.within(time.Minute, "everybody goes on", f.generation(2, pl, fi, fr))
		t.Logf("known everywhere after %v", took)
		fr.recover(r) // again, which changes nothing
		f.within(time.Minute, "a leader", func() bool { return pl.Status().Quorum })
		se := f.admit("SE", pl, fi, fr)
		f.within(5*time.Minute, "the newcomer has everything", func() bool { return se.State() != nil && se.confirmed(se) && f.same() })

		de.start()
		f.within(3*time.Minute, "who was lost follows", func() bool { return f.generation(2, de)() && f.same() && de.confirmed(de) })
		if left := de.Superseded(); len(left) != 1 || !bytes.Equal(left[0], lost) {
			t.Fatalf("%d commands are superseded", len(left))
		}
		lt.start()
		f.within(5*time.Minute, "both follow", func() bool { return f.generation(2, lt)() && f.same() })
		seq := de.propose(de.Superseded()[0])
		if len(de.Superseded()) != 0 || seq == 0 {
			t.Fatal("what was proposed again is still superseded")
		}
		// The registry grows again, and everything is there after a restart.
		f.within(10*time.Minute, "at least three vote", func() bool { h, _ := pl.Keeper.Head(); return len(h.Voters) >= 3 && h.Seq == pl.State().Seq() })
		for _, n := range f.nodes {
			n.halt()
		}
		for _, n := range f.nodes {
			n.start()
		}
		if !f.generation(2, pl, de, lt, fi, fr)() { // SE has nowhere to keep heads
			t.Fatal("a restart forgets the recovery")
		}
		f.within(2*time.Minute, "a leader after a restart", func() bool { return pl.Status().Quorum })
		pl.propose(pl.Invite(t, pl.State(), "DK"))
		f.within(10*time.Minute, "all alike", f.same)
		// A newcomer follows from the genesis alone.
		it := f.node("IT")
		it.empty = true
		pl.propose(pl.Invite(t, pl.State(), "IT"))
		_, command := pl.Admit(t, pl.State(), it.Member)
		pl.propose(command)
		proposal := pl.State().Proposals()[0]
		for _, m := range []*node{de, lt} {
			_, command := m.Sign(t, m.State(), registry.KindApprove, registry.Approve{Proposal: proposal.ID, Hash: proposal.Hash})
			m.propose(command)
		}
		it.start()
		f.within(2*time.Minute, "a newcomer with nothing has everything", func() bool {
			return it.State() != nil && f.generation(2, it)() && it.State().Hash() == pl.State().Hash()
		})
		var list [][]byte
		last, _ := pl.chain.Last()
		list, _ = pl.chain.Entries(1, int(last))
		k, err := consensus.New(consensus.Options{Dir: t.TempDir(), Self: it.Keys.Node, Chain: new(consensus.MemoryChain), Federation: pl.State().Federation()})
		if err == nil {
			err = k.Take(context.Background(), 1, list, pl.Heads())
		}
		if err != nil || k.State().Hash() != pl.State().Hash() || k.Status().Generation != 2 {
			t.Fatalf("by a file: %v", err)
		}
	})
}

// TestThreeOfFiveVotersAreLost needs the signatures of several new voters.
func TestThreeOfFiveVotersAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		for _, c := range []string{"FI", "FR", "SE"} {
			f.admit(c, pl, de, lt)
		}
		f.allSign(5*time.Minute, 5)
		head, _ := pl.Keeper.Head()
		var lost, left []*node
		for _, n := range f.nodes {
			if slices.Contains(head.VoterIDs(), n.Node()) && n != pl && len(lost) < 2 {
				lost = append(lost, n)
			} else {
				left = append(left, n)
			}
		}
		gone := left[slices.IndexFunc(left, func(n *node) bool { return n != pl && slices.Contains(head.VoterIDs(), n.Node()) })]
		lost = append(lost, gone)
		for _, n := range lost {
			n.halt()
		}
		f.within(time.Minute, "no quorum", func() bool { return !pl.Status().Quorum })
		p := pl.plan()
		if p.Members != 6 || p.Needed != 4 || len(p.Recovery.Voters) != 3 || p.Recovery.Voters[0] != pl.Keys.Node.Public() {
			t.Fatalf("the plan: %+v", p)
		}
		// The admin keys of the lost machines' countries are not lost.
		by := append(slices.DeleteFunc(slices.Clone(left), func(n *node) bool { return n == gone }), lost[0])
		pl.recover(signRecovery(t, p.Recovery, by...))
		alive := slices.DeleteFunc(left, func(n *node) bool { return n == gone })
		f.within(time.Minute, "everybody goes on", f.generation(2, alive...))
		f.within(2*time.Minute, "three vote", func() bool { return f.voters(pl, 3) })
		pl.propose(pl.Invite(t, pl.State(), "NO"))
		f.within(5*time.Minute, "confirmed by three", func() bool { h, _ := pl.Keeper.Head(); return len(h.Voters) == 3 && pl.confirmed(pl) && f.same() })
		for _, n := range lost {
			n.start()
		}
		f.within(10*time.Minute, "who was lost is back", func() bool { return f.generation(2, lost...)() && f.same() })
		f.within(10*time.Minute, "five vote", func() bool { h, _ := pl.Keeper.Head(); return len(h.Voters) == 5 && pl.confirmed(pl) })
	})
}

func TestNoRecoveryWhileTheVotersAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		f.allSign(time.Minute, 3)
		lt.halt()
		f.within(time.Minute, "a leader", func() bool { return pl.Status().Quorum && de.Status().Quorum })
		time.Sleep(10 * time.Second)
		if p, err := pl.PlanRecovery(context.Background()); err != nil || !errors.Is(p.Refused, consensus.ErrQuorum) || p.Answering != 2 {
			t.Fatalf("two of three answer: %v, %+v", err, p)
		}
		lt.start()
		f.allSign(5*time.Minute, 3)
		at := pl.State()
		r, err := registry.NewRecovery(pl.HeadChain(), at, []identity.PublicKey{de.Keys.Node.Public()}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []*node{de, pl} { // at who begins, and by way of another
			if err := n.Recover(context.Background(), signRecovery(t, r, pl, de, lt)); !errors.Is(err, consensus.ErrQuorum) {
				t.Fatalf("%s recovers while all answer: %v", n.Country, err)
			}
		}
		// Of another federation, or with signatures for another one.
		other := r
		other.Federation[0]++
		if err := de.Recover(context.Background(), signRecovery(t, other, pl, de, lt)); !errors.Is(err, registry.ErrForeign) {
			t.Fatalf("a recovery of another federation: %v", err)
		}
		_, e, _ := registry.ParseRecovery(signRecovery(t, other, pl, de))
		_, mine, _ := registry.ParseRecovery(signRecovery(t, r, pl))
		moved := identity.Envelope{Body: mine.Body, Signatures: e.Signatures}
		if err := de.Recover(context.Background(), moved.Encode()); !errors.Is(err, registry.ErrUnauthorised) {
			t.Fatalf("signatures for another federation: %v", err)
		}
		// Once the voters have stood by more, it does not fit any more.
		pl.propose(pl.Invite(t, pl.State(), "FI"))
		f.allSign(time.Minute, 3)
		if err := de.Recover(context.Background(), signRecovery(t, r, pl, de, lt)); !errors.Is(err, consensus.ErrPlan) {
			t.Fatalf("an old recovery: %v", err)
		}
		if !f.generation(1, pl, de, lt)() {
			t.Fatal("a generation has begun")
		}
	})
}

func TestTwoMembersMustBothSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl, de := f.nodes["PL"], f.join("DE")
		f.allSign(time.Minute, 1)
		pl.halt() // for good; its admin key lies in a safe
		p := de.plan()
		if p.Needed != 2 || len(p.Recovery.Voters) != 1 || p.Recovery.Voters[0] != de.Keys.Node.Public() {
			t.Fatalf("the plan: %+v", p)
		}
		if err := de.Recover(context.Background(), signRecovery(t, p.Recovery, de)); !errors.Is(err, registry.ErrUnauthorised) {
			t.Fatalf("signed by one of two: %v", err)
		}
		de.recover(signRecovery(t, p.Recovery, de, pl))
		f.within(time.Minute, "a leader", func() bool { return de.Status().Quorum && de.Status().Voting })
		de.propose(de.Invite(t, de.State(), "LT"))
		f.within(time.Minute, "confirmed", func() bool { return de.confirmed(de) })
		pl.start() // it thinks that it is the only voter
		f.within(time.Minute, "the old voter follows", func() bool { return f.generation(2, pl)() && f.same() && !pl.Status().Voting })
	})
}

// TestTwoRecoveries: a majority has signed both, and each has begun on its side
// of a cut. The one with the lower hash counts.
func TestTwoRecoveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt, fi, fr := five(t)
		defer f.end()
		de.halt()
		lt.halt()
		f.within(time.Minute, "no quorum", func() bool { return !pl.Status().Quorum })
		f.net.Partition([]string{host(pl)}, []string{host(fi), host(fr)})
		for _, n := range []*node{pl, fi} {
			p := n.plan()
			n.recover(signRecovery(t, p.Recovery, pl, fi, fr))
			f.within(time.Minute, "a leader", func() bool { return n.Status().Quorum })
			n.propose(n.Invite(t, n.State(), map[string]string{"PL": "NO", "FI": "SE"}[n.Country]))
			f.within(time.Minute, "confirmed", func() bool { return n.confirmed(n) })
		}
		a, _ := pl.Keeper.Head()
		b, _ := fi.Keeper.Head()
		wins, yields := pl, fi
		if b.Branch().Outranks(a.Branch()) {
			wins, yields = fi, pl
		}
		if a.Branch() == b.Branch() || a.Branch().Outranks(b.Branch()) == b.Branch().Outranks(a.Branch()) {
			t.Fatal("both recoveries count, or none")
		}
		won, _ := wins.Keeper.Head()
		f.net.HealAll()
		f.within(6*time.Minute, "all alike", func() bool {
			for _, n := range []*node{pl, fi, fr} {
				if h, _ := n.Keeper.Head(); h.Branch() != won.Branch() {
					return false
				}
			}
			return f.same()
		})
		if n := len(yields.Superseded()); n != 1 || len(wins.Superseded()) != 0 {
			t.Fatalf("%d commands are superseded at who yields", n)
		}
		wins.propose(yields.Superseded()[0])
		f.within(6*time.Minute, "all alike again", f.same)
	})
}

// TestTheFirstVoterLosesItsLog: it does not found a quorum a second time by
// itself, and a third generation goes on from the second.
func TestTheFirstVoterLosesItsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl, de := f.nodes["PL"], f.join("DE")
		f.allSign(time.Minute, 1)
		pl.halt()
		de.halt()
		de.heads = drawer{}
		de.start()
		time.Sleep(time.Second)
		if err := de.Take(context.Background(), 1, nil, pl.Heads()); err != nil {
			t.Fatal(err)
		}
		de.recover(signRecovery(t, de.plan().Recovery, de, pl))
		f.within(time.Minute, "a leader", func() bool { return de.Status().Quorum })
		de.propose(de.Invite(t, de.State(), "LT"))
		f.within(time.Minute, "confirmed", func() bool { return de.confirmed(de) })
		de.halt()
		if err := os.RemoveAll(filepath.Join(de.dir, "raft")); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(de.dir, "raft.recovery")); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("the order to begin is still there: %v", err)
		}
		de.start()
		time.Sleep(5 * time.Minute)
		if s := de.Status(); s.Quorum || s.Voting || s.Generation != 2 {
			t.Fatalf("it founded a quorum by itself: %+v", s)
		}
		de.recover(signRecovery(t, de.plan().Recovery, de, pl))
		f.within(time.Minute, "a leader", func() bool { return de.Status().Quorum && de.Status().Generation == 3 })
		de.propose(de.Invite(t, de.State(), "FI"))
		f.within(time.Minute, "confirmed", func() bool { return de.confirmed(de) })
		pl.start() // still in the first generation
		f.within(time.Minute, "who was away follows through both", func() bool { return f.generation(3, pl)() && f.same() && pl.confirmed(de) })
		if c := f.rotations(pl); c != 3 {
			t.Fatalf("%d sets of voters", c)
		}
	})
}

func (f *federation) rotations(n *node) uint64 { return n.HeadChain().Rotation() }
