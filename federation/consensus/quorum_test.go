package consensus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/registry"
)

// at is how a node sees the quorum, when it may ask.
func (n *node) quorum() bool { return n.Keeper.Fresh(context.Background(), 0).Quorum }

// TestALostQuorumIsSaidAtOnce: whoever is on the wrong side, by whatever cause,
// says within seconds that the registry cannot be changed, and never that
// nothing was changed when that is not sure.
func TestALostQuorumIsSaidAtOnce(t *testing.T) {
	cut := func(f *federation, one ...*node) {
		var a, b []string
		for _, n := range f.nodes {
			side := &b
			for _, o := range one {
				if n == o {
					side = &a
				}
			}
			*side = append(*side, host(n))
		}
		f.net.Partition(a, b)
	}
	type scene struct{ pl, de, lt, fi *node } // PL leads, FI follows without a vote
	for name, c := range map[string]struct {
		lose func(f *federation, s scene)
		at   func(s scene) *node
		// Within how long a status is honest, and a proposal is given up that was made at
		// once, or a minute later.
		status, first, later time.Duration
		unknown              bool // what was made at once may have been taken
	}{
		"the leader is cut off":          {func(f *federation, s scene) { cut(f, s.pl) }, func(s scene) *node { return s.pl }, 3 * time.Second, 3 * time.Second, 3 * time.Second, true},
		"the leader's others stop":       {func(_ *federation, s scene) { s.de.halt(); s.lt.halt() }, func(s scene) *node { return s.pl }, 3 * time.Second, 3 * time.Second, 3 * time.Second, true},
		"a voter is cut off":             {func(f *federation, s scene) { cut(f, s.de) }, func(s scene) *node { return s.de }, 3100 * time.Millisecond, 3 * time.Second, 3 * time.Second, true},
		"a follower is cut off":          {func(f *federation, s scene) { cut(f, s.fi) }, func(s scene) *node { return s.fi }, 3100 * time.Millisecond, 3 * time.Second, 3 * time.Second, true},
		"the voters part, at a follower": {func(f *federation, s scene) { cut(f, s.pl, s.fi) }, func(s scene) *node { return s.fi }, 6 * time.Second, 6 * time.Second, 3 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, pl, de, lt := three(t)
				defer f.end()
				fi := f.admit("FI", pl, de, lt)
				f.allSign(time.Minute, 3)
				s := scene{pl, de, lt, fi}
				n := c.at(s)
				if !n.quorum() || pl.Status().Leader != pl.Node() {
					t.Fatal("PL does not lead to begin with")
				}
				before := n.State().Seq()
				c.lose(f, s)
				begin := time.Now()
				var first time.Duration
				var err error
				command := n.Invite(t, n.State(), "NO")
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, err = n.Propose(context.Background(), command)
					first = time.Since(begin)
				}()
				for n.quorum() {
					if time.Since(begin) > c.status {
						t.Fatalf("%v later it still says that the registry can be changed", time.Since(begin))
					}
					time.Sleep(50 * time.Millisecond)
				}
				status := time.Since(begin)
				<-done
				if none, unknown := errors.Is(err, consensus.ErrNoQuorum), errors.Is(err, consensus.ErrOutcomeUnknown); none == unknown || unknown && !c.unknown {
					t.Fatalf("proposed at once: %v", err)
				}
				time.Sleep(time.Minute)
				again := time.Now()
				_, failed := n.Propose(context.Background(), n.Invite(t, n.State(), "SE"))
				later := time.Since(again)
				if !errors.Is(failed, consensus.ErrNoQuorum) || !strings.Contains(failed.Error(), "Searching, publishing and copying go on") {
					t.Fatalf("proposed later: %v", failed)
				}
				if first > c.first || later > c.later || n.State().Seq() != before {
					t.Errorf("given up after %v, and a minute later after %v, at entry %d", first, later, n.State().Seq())
				}
				t.Logf("status honest after %v; proposal at once: %v (%v); a minute later: %v (%v)", status, first, err, later, failed)
				// When they are back, what was unknown is done once.
				f.net.HealAll()
				for _, o := range []*node{de, lt} {
					if o.stop == nil {
						o.start()
					}
				}
				f.within(time.Minute, "a leader", n.quorum)
				seq := n.propose(command)
				if again := n.propose(command); again != seq {
					t.Errorf("entry %d, then %d", seq, again)
				}
			})
		})
	}
}

// TestAnElectionIsWaitedFor: while enough voters answer, a proposal waits until
// they have a leader.
func TestAnElectionIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		f.allSign(time.Minute, 3)
		f.net.Partition([]string{host(pl)}, []string{host(de), host(lt)})
		begin := time.Now()
		seq := de.propose(de.Invite(t, de.State(), "FI"))
		t.Logf("entry %d after %v", seq, time.Since(begin))
		if pl.quorum() || !lt.quorum() {
			t.Error("the wrong side claims a majority")
		}
	})
}

// TestAProposalGoesByWayOfAVoter: who does not reach the leader reaches it by way
// of another voter.
func TestAProposalGoesByWayOfAVoter(t *testing.T) {
	for name, cut := range map[string]func(f *federation, fi, pl *node){
		"cut":         func(f *federation, fi, pl *node) { f.net.Cut(host(fi), host(pl)) },
		"cut one way": func(f *federation, fi, pl *node) { f.net.CutOneWay(host(fi), host(pl)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, pl, de, lt := three(t)
				defer f.end()
				fi := f.admit("FI", pl, de, lt)
				f.allSign(time.Minute, 3)
				cut(f, fi, pl)
				command := fi.Invite(t, fi.State(), "NO")
				begin := time.Now()
				seq := fi.propose(command)
				took := time.Since(begin)
				t.Logf("entry %d after %v", seq, took)
				if took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				_, cancel := fi.Sign(t, fi.State(), registry.KindCancel, registry.Cancel{Invitation: fi.State().Invitations()[len(fi.State().Invitations())-1].ID})
				if again := fi.propose(cancel); again != seq+1 {
					t.Errorf("the next is entry %d, after %d", again, seq)
				}
				if _, err := fi.Propose(context.Background(), second(fi.Sign(t, fi.State(), registry.KindCancel, registry.Cancel{Invitation: registry.ID{9}}))); !errors.Is(err, registry.ErrNoInvitation) {
					t.Errorf("a refusal that came the same way: %v", err)
				}
			})
		})
	}
}

// TestSync: a read after Sync sees all that was acknowledged before, at whichever
// node, and Sync fails where that cannot be known.
func TestSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		fi := f.admit("FI", pl, de, lt)
		f.allSign(time.Minute, 3)
		for country, by := range map[string]*node{"NO": pl, "SE": lt, "FR": fi} {
			seq := by.propose(by.Invite(t, by.State(), country))
			for _, n := range []*node{pl, de, lt, fi} {
				if err := n.Sync(t.Context()); err != nil || n.State().Seq() < seq {
					t.Errorf("%s after entry %d by %s: %v, entry %d", n.Country, seq, by.Country, err, n.State().Seq())
				}
			}
		}
		f.net.Partition([]string{host(pl)}, []string{host(de), host(lt), host(fi)})
		begin := time.Now()
		if err := pl.Sync(t.Context()); !errors.Is(err, consensus.ErrNoQuorum) || time.Since(begin) > 3*time.Second {
			t.Errorf("cut off: %v after %v", err, time.Since(begin))
		}
	})
}

// TestAChangeWaitsForTheVoters: what is entrusted to a node while the voters
// cannot agree is made when they can, once, over a restart of the node; what is
// refused by then waits no longer.
func TestAChangeWaitsForTheVoters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		fi := f.admit("FI", pl, de, lt)
		box := drawer{}
		fi.options = func(o *consensus.Options) { o.Outbox = box }
		fi.halt()
		fi.start()
		f.allSign(10*time.Minute, 3)
		if seq, err := fi.Entrust(t.Context(), fi.Invite(t, fi.State(), "SE")); err != nil || seq == 0 {
			t.Fatalf("while the voters agree: entry %d, %v", seq, err)
		}
		de.halt()
		lt.halt()
		good := fi.Invite(t, fi.State(), "NO")
		late := second(fi.Sign(t, fi.State(), registry.KindCancel, registry.Cancel{Invitation: registry.ID{9}}))
		for _, command := range [][]byte{good, late, good} {
			begin := time.Now()
			if _, err := fi.Entrust(t.Context(), command); !errors.Is(err, consensus.ErrWaiting) || errors.Is(err, consensus.ErrNoQuorum) || time.Since(begin) > 3*time.Second {
				t.Fatalf("without a majority: %v after %v", err, time.Since(begin))
			}
		}
		if _, err := fi.Entrust(t.Context(), []byte("noise")); !errors.Is(err, registry.ErrMalformed) {
			t.Errorf("noise: %v", err)
		}
		if n := len(fi.Waiting()); n != 2 {
			t.Fatalf("%d changes wait", n)
		}
		before := fi.State().Seq()
		fi.halt()
		fi.start()
		if n := len(fi.Waiting()); n != 2 {
			t.Fatalf("after a restart %d changes wait", n)
		}
		time.Sleep(5 * time.Minute)
		if fi.State().Seq() != before || len(fi.Waiting()) != 2 {
			t.Fatal("a minority changed the registry")
		}
		de.start()
		took := f.within(time.Minute, "they are handed over", func() bool { return len(fi.Waiting()) == 0 })
		t.Logf("handed over %v after a majority came back", took)
		lt.start()
		f.within(time.Minute, "all alike", f.same)
		if got := fi.State().Seq(); got != before+1 || len(box) != 0 {
			t.Errorf("entry %d after %d; %d still kept", got, before, len(box))
		}
		c, _, err := registry.ParseCommand(good)
		if seq, ok := pl.State().Seen(c.ID); err != nil || !ok || seq != before+1 {
			t.Errorf("the change is entry %d, %v", seq, err)
		}
	})
}
