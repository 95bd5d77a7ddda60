package consensus_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

// clock is a node's clock that can be put wrong.
type clock struct{ off atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.off.Load())) }

// withClocks has the nodes of a federation go by clocks of their own, from the day
// on which the registry begins.
func (f *federation) withClocks(clocks map[string]*clock) {
	for country, c := range clocks {
		n := f.nodes[country]
		n.halt()
		if n.heads == nil {
			n.heads = drawer{}
		}
		n.options = func(o *consensus.Options) { o.Now = c.now }
		n.start()
	}
}

// threeAt are three voters whose clocks are right: the registry's beginning has
// passed.
func threeAt(t *testing.T) (*federation, *node, *node, *node, map[string]*clock) {
	time.Sleep(time.Until(start.Add(time.Hour)))
	f, pl, de, lt := three(t)
	clocks := map[string]*clock{"PL": {}, "DE": {}, "LT": {}}
	f.withClocks(clocks)
	f.within(time.Minute, "heads by three", func() bool {
		for _, n := range f.nodes {
			if h, ok := n.Keeper.Head(); !ok || len(h.Voters) != 3 || !n.Status().Quorum {
				return false
			}
		}
		return true
	})
	return f, pl, de, lt, clocks
}

func (f *federation) leader() *node {
	f.t.Helper()
	var found *node
	f.within(time.Minute, "a leader", func() bool {
		for _, n := range f.nodes {
			if n.stop != nil && n.Status().Leader == n.Node() && n.Status().Quorum {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// TestALeaderWithAWrongClockOrdersNothing: another one orders, and the registry's
// time stays right, whether the clock is a year ahead or behind.
func TestALeaderWithAWrongClockOrdersNothing(t *testing.T) {
	for name, off := range map[string]time.Duration{"ahead": 365 * 24 * time.Hour, "behind": -30 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, _, de, lt, clocks := threeAt(t)
				defer f.end()
				wrong := f.leader()
				clocks[wrong.Country].off.Store(int64(off))
				by := de
				if wrong == de {
					by = lt
				}
				seq := by.propose(by.Sign1(t, registry.KindCaretaker, registry.SetCaretakers{Origin: by.Origin}))
				if at := by.State().Time(); absolute(at-time.Now().Unix()) > 600 {
					t.Fatalf("the registry's time is %d s off", at-time.Now().Unix())
				}
				if f.leader() == wrong {
					t.Fatal("it still leads")
				}
				f.within(time.Minute, "a head for it, where clocks are right", func() bool {
					for _, n := range f.nodes {
						if h, ok := n.Keeper.Head(); n != wrong && (!ok || h.Seq < seq) {
							return false
						}
					}
					return true
				})
			})
		})
	}
}

// Sign1 is a command signed by the node's member.
func (n *node) Sign1(t *testing.T, kind registry.Kind, payload any) []byte {
	_, c := n.Sign(t, n.State(), kind, payload)
	return c
}

func absolute(n int64) int64 { return max(n, -n) }

// TestVotersHearNoEntryOfAnotherTime: a leader in other hands can neither end a
// contest with an entry of the future nor let it begin in the past.
func TestVotersHearNoEntryOfAnotherTime(t *testing.T) {
	if testing.Short() {
		t.Skip("left out with -short: it takes minutes with the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt, _ := threeAt(t)
		defer f.end()
		leader := f.leader()
		to := de
		if leader == de {
			to = lt
		}
		_, _ = pl, lt
		time.Sleep(150 * time.Minute) // nothing happens; the voters sign each hour
		s := to.State()
		c := leader.Sign1(t, registry.KindCaretaker, registry.SetCaretakers{Origin: leader.Origin})
		x, stop := f.turn(leader)
		defer stop()
		_, last, at := leader.log()
		prev := at(last)
		seq, hash := s.Seq()+1, s.Hash()
		send := func(when int64) error {
			q := raft.AppendEntriesRequest{
				Term: prev.Term + 1, PrevLogEntry: prev.Index, PrevLogTerm: prev.Term, LeaderCommitIndex: prev.Index,
				Entries: []*raft.Log{command(prev.Index+1, prev.Term+1, seq, hash, registry.Entry{Time: when, Command: c})},
			}
			_, err := x.leads(to, q)
			return err
		}
		now := time.Now().Unix()
		for name, when := range map[string]int64{"three days ahead": now + 72*3600, "an hour ahead": now + 3600, "the last entry": s.Time(), "two hours ago": now - 7200} {
			if err := send(when); err == nil {
				t.Errorf("an entry of %s is heard", name)
			}
		}
		if err := send(now); err != nil {
			t.Errorf("an entry of now is not heard: %v", err)
		}
	})
}

// TestALoneVotersClockIsCorrected: a founder whose clock was a year ahead goes on
// with the right time when the members have set the registry's back.
func TestALoneVotersClockIsCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(start.Add(time.Hour)))
		f := newFederation(t)
		defer f.end()
		pl, wrong := f.nodes["PL"], &clock{}
		f.withClocks(map[string]*clock{"PL": wrong})
		f.within(time.Minute, "the first head", func() bool { _, ok := pl.Keeper.Head(); return ok })
		wrong.off.Store(int64(365 * 24 * time.Hour))
		f.leader()
		pl.propose(pl.Sign1(t, registry.KindCaretaker, registry.SetCaretakers{Origin: pl.Origin}))
		f.within(time.Minute, "a head of the future", func() bool {
			h, ok := pl.Keeper.Head()
			return ok && h.Issued > time.Now().Add(300*24*time.Hour).Unix()
		})
		wrong.off.Store(0)
		pl.propose(pl.Sign1(t, registry.KindClock, registry.SetClock{Reached: pl.State().Time(), Time: time.Now().Unix()}))
		if at := pl.State().Time(); absolute(at-time.Now().Unix()) > 60 {
			t.Fatalf("the registry's time is %d s off", at-time.Now().Unix())
		}
		f.within(time.Minute, "a head of now", func() bool {
			h, ok := pl.Keeper.Head()
			return ok && h.Seq == pl.State().Seq() && absolute(h.Issued-time.Now().Unix()) < 120
		})
		de := f.join("DE")
		f.within(time.Minute, "a newcomer takes it", func() bool { return de.State() != nil && bytes.Equal(de.State().Encode(), pl.State().Encode()) })
	})
}

// TestNoHeadOverAnEntryOfAnotherTime: what came past raft's door is not signed for
// either.
func TestNoHeadOverAnEntryOfAnotherTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, de, lt, clocks := threeAt(t)
		defer f.end()
		// Two clocks are ahead alike: they order, and the third signs for nothing. Its
		// own clock is the wrong one for them, and so it is for it.
		for _, n := range []*node{de, lt} {
			clocks[n.Country].off.Store(int64(20 * time.Minute))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		c := de.Sign1(t, registry.KindCaretaker, registry.SetCaretakers{Origin: de.Origin})
		if _, err := de.Propose(ctx, c); err != nil {
			t.Fatal(err)
		}
		pl := f.nodes["PL"]
		time.Sleep(time.Minute)
		if at := pl.State().Time(); at > time.Now().Add(10*time.Minute).Unix() {
			t.Fatalf("an entry %d s ahead is in the registry of a voter whose clock is right", at-time.Now().Unix())
		}
		// When its time has come, or their clocks are right again, all is one.
		time.Sleep(15 * time.Minute)
		f.within(5*time.Minute, "one registry", func() bool {
			return pl.State().Hash() == de.State().Hash() && lt.State().Hash() == de.State().Hash()
		})
	})
}

var start = registrytest.Start
