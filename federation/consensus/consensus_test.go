package consensus_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
	"github.com/2ps-project/waymark/federation/transport"
)

func TestTheFounderLeadsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl := f.nodes["PL"]
		took := f.within(2*time.Second, "a leader", func() bool { return pl.Status().Leader == pl.Node() })
		t.Logf("leader after %v", took)
		if seq := pl.propose(pl.Invite(t, pl.State(), "DE")); seq != 2 {
			t.Fatalf("the first command is entry %d", seq)
		}
		pl.halt() // and again, with what is on disk
		pl.start()
		f.within(2*time.Second, "a leader after a restart", func() bool { return pl.Status().Leader == pl.Node() })
		if seq := pl.propose(pl.Invite(t, pl.State(), "LT")); seq != 3 {
			t.Fatalf("after a restart the next command is entry %d", seq)
		}
	})
}

func TestTheSecondFollowsWithoutAVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl := f.nodes["PL"]
		de := f.join("DE")
		f.within(10*time.Second, "the second has all entries", f.same)
		time.Sleep(2 * time.Minute)
		if !f.voters(pl, 1) {
			t.Fatalf("with two members there are %d voters", len(pl.Status().Voters))
		}
		// It proposes through the leader, and sees what it did.
		seq := de.propose(de.Invite(t, de.State(), "LT"))
		if de.State().Seq() != seq || pl.State().Seq() != seq {
			t.Fatalf("entry %d; the proposer is at %d, the leader at %d", seq, de.State().Seq(), pl.State().Seq())
		}
		if s := de.Status(); s.Leader != pl.Node() || !s.Quorum || s.Voting {
			t.Fatalf("the follower's view: %+v", s)
		}
	})
}

func TestANewcomerBeginsWithNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl, de := f.nodes["PL"], f.node("DE")
		de.empty = true
		pl.propose(pl.Invite(t, pl.State(), "DE"))
		de.start() // before it is admitted: nobody answers it
		time.Sleep(30 * time.Second)
		if de.State() != nil {
			t.Fatal("the registry was given to somebody who is no member")
		}
		_, c := pl.Admit(t, pl.State(), de.Member)
		pl.propose(c)
		de.Poke()
		f.within(30*time.Second, "the whole registry", func() bool { return de.State() != nil && f.same() })
	})
}

func TestThreeVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		for _, n := range []*node{lt, de, pl} {
			id := registry.NewID()
			_, c := n.Sign(t, n.State(), registry.KindInvite, registry.Invite{ID: id, Country: "FI", SecretHash: [32]byte{1}, Expires: n.State().Time() + 3600})
			seq := n.propose(c)
			if again := n.propose(c); again != seq {
				t.Fatalf("the same command again is entry %d, was %d", again, seq)
			}
		}
		f.within(10*time.Second, "all alike", f.same)
	})
}

func TestTheLeaderStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		pl.halt()
		took := f.within(30*time.Second, "another leader", func() bool {
			return de.Status().Quorum && de.Status().Leader != pl.Node() && lt.Status().Leader == de.Status().Leader
		})
		t.Logf("handed over: another leader after %v", took)
		de.propose(de.Invite(t, de.State(), "FI"))
		pl.start()
		f.within(30*time.Second, "the old leader has caught up", f.same)
		pl.propose(pl.Invite(t, pl.State(), "SE"))
	})
}

func TestTheLeaderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		host := func(n *node) string { return n.Nodes[0].Endpoints[0].Host }
		f.net.Partition([]string{host(pl)}, []string{host(de), host(lt)})
		_, err := pl.Propose(context.Background(), pl.Invite(t, pl.State(), "FI"))
		if !errors.Is(err, consensus.ErrNoQuorum) && !errors.Is(err, consensus.ErrOutcomeUnknown) {
			t.Fatalf("a leader that is cut off: %v", err)
		}
		took := f.within(time.Minute, "another leader", func() bool {
			return de.Status().Quorum && de.Status().Leader != pl.Node()
		})
		t.Logf("cut: another leader %v after the cut-off one gave up", took)
		if s := pl.Status(); s.Quorum {
			t.Fatalf("who is cut off still claims a quorum: %+v", s)
		}
		lt.propose(lt.Invite(t, lt.State(), "SE"))
		f.net.HealAll()
		f.within(time.Minute, "all alike after the cut", f.same)
	})
}

// TestALeaderThatWasCutOffStops: raft's pipeline to a follower can hang for ever
// when the line goes while entries are under way, and a node could then not be
// stopped any more.
func TestALeaderThatWasCutOffStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		for range 12 {
			l := f.leader()
			for _, n := range []*node{pl, de, lt} {
				if n != l {
					f.net.Cut(host(l), host(n))
				}
			}
			_, _ = l.Propose(t.Context(), l.Invite(t, l.State(), "FI"))
			f.within(time.Minute, "another leader", func() bool { return f.leader() != l })
			f.net.HealAll()
			f.within(time.Minute, "all alike", f.same)
			stopped := make(chan struct{})
			go func() { l.halt(); close(stopped) }()
			select {
			case <-stopped:
			case <-time.After(5 * time.Minute):
				panic("a leader that was cut off does not stop") // nor could this test end
			}
			l.start()
			f.within(time.Minute, "three keep the registry", func() bool { return f.voters(l, 3) })
		}
	})
}

// TestAnOldLeaderIsNoTraitor: what a leader sent before it knew that another one
// had been elected arrives when the line is back. Raft refuses its old term, and
// nobody calls the country's node hostile.
func TestAnOldLeaderIsNoTraitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		warned := make(chan string, 100)
		f.options = func(o *consensus.Options) {
			o.Logger = slog.New(slog.NewTextHandler(warnings(warned), &slog.HandlerOptions{Level: slog.LevelWarn}))
		}
		pl, de, lt := f.nodes["PL"], f.join("DE"), f.join("LT")
		f.within(time.Minute, "three voters", func() bool { return f.voters(pl, 3) && f.voters(de, 3) && f.voters(lt, 3) })
		for range 3 {
			l := f.leader()
			for _, n := range f.nodes {
				if n != l {
					f.net.Cut(host(l), host(n))
				}
			}
			_, _ = l.Propose(t.Context(), l.Invite(t, l.State(), "FI"))
			f.within(time.Minute, "another leader", func() bool { return f.leader() != l })
			f.net.HealAll()
			f.within(time.Minute, "all alike", f.same)
		}
		for len(warned) > 0 {
			if line := <-warned; strings.Contains(line, "no voter may send") {
				t.Error(line)
			}
		}
	})
}

// warnings hands over what is written, as far as there is room.
type warnings chan string

func (c warnings) Write(b []byte) (int, error) {
	select {
	case c <- string(b):
	default:
	}
	return len(b), nil
}

func TestAMajorityIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		f.within(10*time.Second, "all alike", f.same)
		de.halt()
		lt.halt()
		before := pl.State().Seq()
		_, err := pl.Propose(context.Background(), pl.Invite(t, pl.State(), "FI"))
		if !errors.Is(err, consensus.ErrNoQuorum) && !errors.Is(err, consensus.ErrOutcomeUnknown) {
			t.Fatalf("without a majority: %v", err)
		}
		if pl.State().Seq() != before {
			t.Fatal("one of three voters changed the registry")
		}
		f.within(time.Minute, "it says so", func() bool { return !pl.Status().Quorum })
		de.start()
		f.within(time.Minute, "a leader of two", func() bool { return pl.Status().Quorum })
		// What was under way when the majority went may count or not, once.
		pl.propose(pl.Invite(t, pl.State(), "SE"))
		lt.start()
		f.within(time.Minute, "all alike", f.same)
	})
}

func TestAFourthFollowsAndFiveVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		admit := func(country string) *node {
			n := f.join(country) // proposed; the others must approve
			p := pl.State().Proposals()[0]
			for _, by := range []*node{de, lt} {
				if _, ok := pl.State().MemberByCountry(country); ok {
					break
				}
				_, c := by.Sign(t, by.State(), registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
				by.propose(c)
			}
			f.within(10*time.Second, "admitted", func() bool { _, ok := pl.State().MemberByCountry(country); return ok })
			n.start()
			return n
		}
		fi := admit("FI")
		f.within(10*time.Second, "the fourth follows", f.same)
		time.Sleep(time.Minute)
		if !f.voters(pl, 3) {
			t.Fatalf("with four members there are %d voters", len(pl.Status().Voters))
		}
		// A follower learns of what is new at once when it is told, else at
		// its next poll.
		de.propose(de.Invite(t, de.State(), "SE"))
		fi.Poke()
		f.within(2*time.Second, "the follower was told", f.same)
		de.propose(de.Invite(t, de.State(), "NO"))
		took := f.within(6*time.Minute, "the follower asked by itself", f.same)
		t.Logf("without a hint after %v", took)
		fr := admit("FR")
		f.within(time.Minute, "five voters", func() bool { return f.voters(pl, 5) && f.voters(fr, 5) })
		f.within(10*time.Second, "all alike", f.same)
	})
}

func TestAVoterLosesItsLog(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string){
		"everything": func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "raft")); err != nil {
				t.Fatal(err)
			}
		},
		"an old copy of the log": func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, "old.db"), filepath.Join(dir, "raft", "raft.db")); err != nil {
				t.Fatal(err)
			}
		},
		"a log of noise": func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "raft", "raft.db"), bytes.Repeat([]byte("noise"), 20000), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, pl, de, lt := three(t)
				defer f.end()
				lt.halt()
				copyFile(t, filepath.Join(lt.dir, "raft", "raft.db"), filepath.Join(lt.dir, "old.db"))
				lt.start()
				f.within(30*time.Second, "back", func() bool { return f.voters(lt, 3) })
				de.propose(de.Invite(t, de.State(), "FI"))
				f.within(10*time.Second, "all alike", f.same)
				was, err := os.ReadFile(filepath.Join(lt.dir, "raft", "server-id"))
				if err != nil {
					t.Fatal(err)
				}
				lt.halt()
				harm(t, lt.dir)
				lt.start()
				f.within(3*time.Minute, "a voter again, under a new name", func() bool {
					now, _ := os.ReadFile(filepath.Join(lt.dir, "raft", "server-id"))
					return f.voters(lt, 3) && lt.Status().Voting && !bytes.Equal(was, now)
				})
				lt.propose(lt.Invite(t, lt.State(), "SE"))
				f.within(10*time.Second, "all alike", f.same)
				_ = pl
			})
		})
	}
}

// TestAWipedVoterElectsNobody: a voter that has lost its log has forgotten what
// it said yes to. Until the others have taken it in again its vote, which they
// still count, could let somebody lead who lacks what is committed.
func TestAWipedVoterElectsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		f.net.Partition([]string{host(lt)}, []string{host(pl), host(de)})
		f.within(time.Minute, "two keep the registry", func() bool { return pl.quorum() })
		first := pl.propose(pl.Invite(t, pl.State(), "FI"))
		f.within(10*time.Second, "the second has it", func() bool { return de.State().Seq() >= first })

		pl.halt()
		de.wipe()
		f.net.HealAll()
		de.start()
		time.Sleep(2 * time.Minute)
		if _, err := lt.Propose(t.Context(), lt.Invite(t, lt.State(), "SE")); !errors.Is(err, consensus.ErrNoQuorum) {
			t.Fatalf("without the only one that has entry %d: %v", first, err)
		}
		pl.start()
		f.within(3*time.Minute, "three keep the registry again", func() bool {
			return f.voters(lt, 3) && f.voters(pl, 3) && de.Status().Voting
		})
		if f.leader() == lt {
			t.Error("a voter leads that lacked what the two others had committed")
		}
		f.within(10*time.Second, "all have what was committed", func() bool { return f.same() && lt.State().Seq() >= first })
		de.propose(de.Invite(t, de.State(), "SE"))
		f.within(10*time.Second, "all alike", f.same)
	})
}

func copyFile(t *testing.T, from, to string) {
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRefusalsTravel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl, de := f.nodes["PL"], f.join("DE")
		f.within(10*time.Second, "all alike", f.same)
		stranger := registrytest.New(t, "XX")
		for name, c := range map[string]struct {
			command []byte
			want    error
		}{
			"by a stranger":       {stranger.Invite(t, de.State(), "FI"), registry.ErrUnauthorised},
			"for a member":        {de.Invite(t, de.State(), "PL"), registry.ErrCountryTaken},
			"noise":               {[]byte("noise"), registry.ErrMalformed},
			"by nobody invited":   {second(de.Admit(t, de.State(), stranger)), registry.ErrNoInvitation},
			"for another network": {second(pl.Sign(t, otherState(t), registry.KindInvite, registry.Invite{})), registry.ErrForeign},
		} {
			if _, err := de.Propose(context.Background(), c.command); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		if pl.State().Seq() != 3 {
			t.Errorf("refused commands made entries: %d", pl.State().Seq())
		}
	})
}

func second(_ registry.ID, b []byte) []byte { return b }

func otherState(t *testing.T) *registry.State {
	_, s := registrytest.New(t, "PL").Found(t)
	return s
}

// TestAFalsePeer has a follower ask a member that lies about the registry.
func TestAFalsePeer(t *testing.T) {
	forge := map[string]struct {
		lie  func(t *testing.T, de *registrytest.Member, s *registry.State) registry.Entry
		stop error // nil: not taken, and that is all
	}{
		"an unsigned command": {func(t *testing.T, de *registrytest.Member, s *registry.State) registry.Entry {
			_, e, _ := registry.ParseCommand(de.Invite(t, s, "FI"))
			e.Signatures = nil
			return registry.Entry{Time: s.Time(), Command: e.Encode()}
		}, nil},
		"a stranger's command": {func(t *testing.T, de *registrytest.Member, s *registry.State) registry.Entry {
			return registry.Entry{Time: s.Time(), Command: registrytest.New(t, "XX").Invite(t, s, "FI")}
		}, nil},
		"a true command moved in time": {func(t *testing.T, de *registrytest.Member, s *registry.State) registry.Entry {
			return registry.Entry{Time: s.Time() - 100, Command: de.Invite(t, s, "FI")}
		}, nil},
		"a command of a newer version": {func(t *testing.T, de *registrytest.Member, s *registry.State) registry.Entry {
			_, c := de.Sign(t, s, "tomorrow", registry.Cancel{})
			return registry.Entry{Time: s.Time(), Command: c}
		}, nil}, // the voters have not signed for it
	}
	for name, c := range forge {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFederation(t)
				defer f.end()
				pl, de := f.nodes["PL"], f.join("DE")
				f.within(10*time.Second, "all alike", f.same)
				pl.halt()
				// Poland's node now serves a longer chain, of its own making.
				s := pl.State()
				lie := c.lie(t, de.Member, s)
				if err := pl.chain.Append(s.Seq()+1, lie.Encode()); err != nil {
					t.Fatal(err)
				}
				l, err := f.net.Listen(pl.Nodes[0].Endpoints[0].String())
				if err != nil {
					t.Fatal(err)
				}
				tr, err := transport.New(transport.Options{Key: pl.Keys.Node, Listener: l, Directory: pl})
				if err != nil {
					t.Fatal(err)
				}
				tr.ServeHTTP(pl.Handler())
				ctx, cancel := context.WithCancel(context.Background())
				var port sync.WaitGroup
				port.Go(func() { _ = tr.Run(ctx) })
				for range 5 {
					de.Poke()
					time.Sleep(10 * time.Second)
				}
				if de.State().Seq() != s.Seq() || de.State().Hash() != s.Hash() {
					t.Errorf("the follower took it: entry %d", de.State().Seq())
				}
				if err := de.Status().Problem; !errors.Is(err, c.stop) {
					t.Errorf("problem %v, want %v", err, c.stop)
				}
				cancel()
				port.Wait()
			})
		})
	}
}

func TestTwoRegistriesAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl, de := f.nodes["PL"], f.join("DE")
		f.within(10*time.Second, "all alike", f.same)
		de.halt()
		// Germany's copy gets an entry that is properly signed and that the
		// voters never ordered.
		s := de.State()
		e := registry.Entry{Time: s.Time(), Command: de.Invite(t, s, "FI")}
		if err := de.chain.Append(s.Seq()+1, e.Encode()); err != nil {
			t.Fatal(err)
		}
		pl.propose(pl.Invite(t, pl.State(), "LT"))
		de.start()
		f.within(time.Minute, "the split is reported", func() bool { return errors.Is(de.Status().Problem, consensus.ErrSplit) })
		before := de.State().Seq()
		pl.propose(pl.Invite(t, pl.State(), "SE"))
		de.Poke()
		time.Sleep(time.Minute)
		if de.State().Seq() != before {
			t.Fatal("it went on following")
		}
	})
}

func TestAStrangerIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl := f.nodes["PL"]
		f.within(2*time.Second, "a leader", func() bool { return pl.Status().Quorum })
		xx := f.node("XX")
		xx.start() // knows where Poland is; Poland does not know it
		if _, err := xx.Propose(context.Background(), xx.Invite(t, xx.State(), "FI")); !errors.Is(err, consensus.ErrNoQuorum) {
			t.Fatalf("a stranger proposes: %v", err)
		}
		if pl.State().Seq() != 1 {
			t.Fatalf("entry %d", pl.State().Seq())
		}
	})
}

func TestNewChecksTheChain(t *testing.T) {
	pl := registrytest.New(t, "PL")
	e, s := pl.Found(t)
	chain := new(consensus.MemoryChain)
	if err := errors.Join(chain.Append(1, e.Encode()), chain.Append(2, []byte("noise"))); err != nil {
		t.Fatal(err)
	}
	if _, err := consensus.New(consensus.Options{Self: pl.Keys.Node, Chain: chain}); !errors.Is(err, registry.ErrMalformed) {
		t.Fatalf("a damaged chain: %v", err)
	}
	chain = new(consensus.MemoryChain)
	if err := chain.Append(1, e.Encode()); err != nil {
		t.Fatal(err)
	}
	if _, err := consensus.New(consensus.Options{Self: pl.Keys.Node, Chain: chain, Federation: identity.FederationID{1}}); !errors.Is(err, registry.ErrForeign) {
		t.Fatalf("another federation's chain: %v", err)
	}
	k, err := consensus.New(consensus.Options{Self: pl.Keys.Node, Chain: chain, Federation: s.Federation()})
	if err != nil || k.State().Hash() != s.Hash() {
		t.Fatalf("a good chain: %v", err)
	}
	if got := k.Status(); !got.Leader.IsZero() || got.Quorum || slices.Contains(got.Voters, pl.Node()) {
		t.Fatalf("before it runs: %+v", got)
	}
}
