package consensus_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// allSign waits until the given number of voters sign, and every running node
// has the head.
func (f *federation) allSign(limit time.Duration, want int) {
	f.t.Helper()
	f.within(limit, "the voters sign, and everybody knows", func() bool {
		all := f.same()
		for _, n := range f.nodes {
			if n.stop == nil {
				continue
			}
			h, ok := n.Keeper.Head()
			all = all && ok && len(h.Voters) == want && n.confirmed(n)
		}
		for _, n := range f.nodes {
			if !all && n.stop != nil {
				n.Poke()
			}
		}
		return all
	})
}

// askToSign has a member ask a voter for its signature, as a leader does.
func askToSign(t *testing.T, n *node, body []byte) (code string, feeds []identity.OriginID) {
	t.Helper()
	var a struct {
		Signature identity.Signature  `cbor:"1,keyasint"`
		Code      string              `cbor:"2,keyasint"`
		Head      []byte              `cbor:"4,keyasint"`
		Feeds     []identity.OriginID `cbor:"5,keyasint"`
	}
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/r1/registry/sign", bytes.NewReader(body)))
	if w.Code != http.StatusOK {
		return http.StatusText(w.Code), nil
	}
	b, err := io.ReadAll(w.Body)
	if err == nil {
		err = identity.Unmarshal(b, &a)
	}
	if err != nil {
		t.Fatal(err)
	}
	if (a.Code == "") != (len(a.Signature.Value) == 64) {
		t.Fatalf("code %q with a signature of %d bytes", a.Code, len(a.Signature.Value))
	}
	if a.Code == "held" && len(a.Head) == 0 {
		t.Error("a newer head is held, and not given")
	}
	return a.Code, a.Feeds
}

func TestWhatAVoterSigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl := f.nodes["PL"]
		forked := map[identity.OriginID]bool{}
		pl.halt()
		pl.options = func(o *consensus.Options) {
			o.Feeds = func() []registry.Anchor {
				return []registry.Anchor{{Origin: pl.Origin, Place: feed.Place{Epoch: 1, N: 5, Hash: identity.Hash{5}}}}
			}
		}
		pl.start()
		de := f.node("DE")
		de.options = func(o *consensus.Options) {
			o.Contradicts = func(a registry.Anchor) bool { return forked[a.Origin] }
		}
		pl.propose(pl.Invite(t, pl.State(), "DE"))
		_, c := pl.Admit(t, pl.State(), de.Member)
		pl.propose(c)
		de.start()
		lt := f.join("LT")
		f.within(time.Minute, "three voters", func() bool { return f.voters(pl, 3) && f.voters(de, 3) && f.voters(lt, 3) })
		f.allSign(time.Minute, 3)
		held, _ := de.Keeper.Head()
		good := held.Head
		good.Issued++
		good.Expires++
		fi := f.node("FI")
		with := func(change func(h *registry.Head)) []byte {
			h := good
			h.Feeds, h.Voters = slices.Clone(h.Feeds), slices.Clone(h.Voters)
			change(&h)
			return h.Encode()
		}
		old := len(good.Voters)
		for name, c := range map[string]struct {
			body []byte
			want string
		}{
			"the truth":                       {good.Encode(), ""},
			"the truth again, to be complete": {good.Encode(), ""},
			"noise":                           {[]byte("noise"), "refused"},
			"too much":                        {make([]byte, registry.MaxHead+1), http.StatusText(http.StatusRequestEntityTooLarge)},
			"another federation":              {with(func(h *registry.Head) { h.Federation[0]++ }), "refused"},
			"another generation":              {with(func(h *registry.Head) { h.Generation++ }), "refused"},
			"the head that is held":           {held.Encode(), "held"},
			"an earlier entry":                {with(func(h *registry.Head) { h.Seq--; h.Hash = identity.Hash{1} }), "differs"},
			"another hash":                    {with(func(h *registry.Head) { h.Hash[0]++ }), "differs"},
			"an entry that nobody has":        {with(func(h *registry.Head) { h.Seq++ }), "behind"},
			"earlier voters":                  {with(func(h *registry.Head) { h.Rotation = 1 }), "held"},
			"fewer voters":                    {with(func(h *registry.Head) { h.Voters = h.Voters[:old-1] }), "voters"},
			"a new set that raft knows not":   {with(func(h *registry.Head) { h.Rotation++; h.Voters = h.Voters[:old-1] }), "voters"},
			"a voter who is no member": {with(func(h *registry.Head) {
				h.Rotation++
				h.Voters = registry.SortVoters(append(h.Voters, fi.Keys.Node.Public()))
			}), "voters"},
			"a set too far ahead":      {with(func(h *registry.Head) { h.Rotation += 2 }), "behind"},
			"long ago":                 {with(func(h *registry.Head) { h.Issued -= 3600; h.Expires -= 3600 }), "clock"},
			"in an hour":               {with(func(h *registry.Head) { h.Issued += 3600; h.Expires += 3600 }), "clock"},
			"a feed left out":          {with(func(h *registry.Head) { h.Feeds = nil }), "back"},
			"a feed taken back":        {with(func(h *registry.Head) { h.Feeds[0].Place.N = 4 }), "back"},
			"a feed with another hash": {with(func(h *registry.Head) { h.Feeds[0].Place.Hash[0]++ }), "feeds"},
		} {
			if code, _ := askToSign(t, de, c.body); code != c.want {
				t.Errorf("%s: %q, want %q", name, code, c.want)
			}
		}
		// What this voter knows otherwise it does not sign, and names.
		forked[lt.Origin] = true
		body := with(func(h *registry.Head) {
			h.Feeds = registry.SortAnchors(append(h.Feeds, registry.Anchor{Origin: lt.Origin, Place: feed.Place{Epoch: 1, N: 1, Hash: identity.Hash{1}}}))
		})
		if code, feeds := askToSign(t, de, body); code != "feeds" || !slices.Equal(feeds, []identity.OriginID{lt.Origin}) {
			t.Errorf("a feed that is known otherwise: %q, %v", code, feeds)
		}
	})
}

// TestAFeedThatIsKnownOtherwise: the leader and the others hold two heads with
// one number. The registry goes on without putting either on record.
func TestAFeedThatIsKnownOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl, de, lt := f.nodes["PL"], f.node("DE"), f.node("LT")
		fork := uint64(3)
		held := map[string]byte{"PL": 1, "DE": 2, "LT": 2}
		for _, n := range []*node{pl, de, lt} {
			n.options = func(o *consensus.Options) {
				o.Feeds = func() []registry.Anchor {
					var out []registry.Anchor
					for _, owner := range []*node{pl, de} {
						place := feed.Place{Epoch: 1, N: 2, Hash: identity.Hash{1}}
						if owner == de && fork > 2 {
							place = feed.Place{Epoch: 1, N: fork, Hash: identity.Hash{held[n.Country]}}
						}
						out = append(out, registry.Anchor{Origin: owner.Origin, Place: place})
					}
					return out
				}
				o.Contradicts = func(a registry.Anchor) bool {
					return fork == 3 && a.Origin == de.Origin && a.Place.N == 3 && a.Place.Hash != identity.Hash{held[n.Country]}
				}
			}
		}
		pl.halt()
		fork = 2 // all is well at first
		pl.start()
		for _, n := range []*node{de, lt} {
			pl.propose(pl.Invite(t, pl.State(), n.Country))
			_, c := pl.Admit(t, pl.State(), n.Member)
			pl.propose(c)
			n.start()
		}
		f.within(time.Minute, "three voters", func() bool { return f.voters(pl, 3) && f.voters(de, 3) && f.voters(lt, 3) })
		f.allSign(time.Minute, 3)
		if _, ok := lt.Anchor(de.Origin, 1, 2); !ok {
			t.Fatal("Germany's feed is not on record")
		}
		fork = 3 // Germany signs number 3 twice
		pl.propose(pl.Invite(t, pl.State(), "FI"))
		f.allSign(10*time.Second, 3)
		h, _ := lt.Keeper.Head()
		if p, _ := h.Feed(de.Origin); p.N != 2 {
			t.Errorf("one of two heads with the number %d is on record", p.N)
		}
		if p, _ := h.Feed(pl.Origin); p.N != 2 {
			t.Errorf("Poland's feed is at %d", p.N)
		}
	})
}

// TestHeadsComeToARegistryWithout: entries were made by an earlier version, or
// all heads are lost.
func TestHeadsComeToARegistryWithout(t *testing.T) {
	for name, kept := range map[string]bool{"lost with the process": false, "kept in a drawer": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, pl, de, lt := three(t)
				defer f.end()
				f.allSign(time.Minute, 3)
				all := []*node{pl, de, lt}
				if kept {
					for _, n := range all {
						n.heads = drawer{}
						n.halt()
						n.start()
						f.within(time.Minute, "it is back", func() bool { return f.voters(n, 3) })
					}
					f.allSign(3*time.Hour, 3)
				}
				for _, n := range all {
					n.halt()
				}
				before := pl.State().Seq()
				for _, n := range []*node{lt, de, pl} { // the founder comes last and need not lead
					n.start()
					if _, ok := n.Keeper.Head(); ok != kept {
						t.Fatalf("%s has a head at once: %v", n.Country, ok)
					}
					if n.State().Seq() != before {
						t.Fatalf("%s has %d entries of %d", n.Country, n.State().Seq(), before)
					}
					time.Sleep(20 * time.Second)
				}
				f.allSign(2*time.Minute, 3)
				if c := f.proved(lt); c.Rotation() != 2 {
					t.Errorf("%d sets of voters", c.Rotation())
				}
				lt.propose(lt.Invite(t, lt.State(), "FI"))
				f.allSign(time.Minute, 3)
			})
		})
	}
}

func TestWhoMayNoLongerVoteDoesNotSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		f.allSign(time.Minute, 3)
		for _, gone := range []*node{lt, pl} { // a follower of raft, then its leader
			gone.Nodes[0].Voter = false
			st, err := registry.SignNodes(pl.State().Federation(), registry.Nodes{Origin: gone.Origin, Nodes: gone.Nodes})
			if err != nil {
				t.Fatal(err)
			}
			_, c := gone.Sign(t, gone.State(), registry.KindNode, registry.SetNodes{Statement: st})
			gone.propose(c)
			f.within(3*time.Minute, gone.Country+" is no voter", func() bool {
				h, ok := de.Keeper.Head()
				return ok && de.confirmed(de) && !slices.Contains(h.VoterIDs(), gone.Node()) && !slices.Contains(de.Status().Voters, gone.Node())
			})
			f.within(time.Minute, gone.Country+" knows that it votes no more", func() bool { return !gone.Status().Voting })
		}
		de.propose(de.Invite(t, de.State(), "FI"))
		f.allSign(6*time.Minute, 1)
	})
}

// TestTheOnlyVoterTakesItsOfferBack: nobody else can take over yet, and without
// it nothing could be changed any more. So it goes on, over restarts too.
func TestTheOnlyVoterTakesItsOfferBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		pl := f.nodes["PL"]
		f.join("DE")
		f.allSign(time.Minute, 1)
		pl.Nodes[0].Voter = false
		st, err := registry.SignNodes(pl.State().Federation(), registry.Nodes{Origin: pl.Origin, Nodes: pl.Nodes})
		if err != nil {
			t.Fatal(err)
		}
		_, c := pl.Sign(t, pl.State(), registry.KindNode, registry.SetNodes{Statement: st})
		pl.propose(c)
		f.allSign(time.Minute, 1)
		pl.halt()
		pl.start()
		pl.propose(pl.Invite(t, pl.State(), "LT"))
		f.allSign(time.Minute, 1)
	})
}

// TestAVoterStaysAway: another country takes its place, and when it comes back it
// follows.
func TestAVoterStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		fi := f.admit("FI", pl, de, lt)
		f.allSign(10*time.Minute, 3)
		lt.halt()
		time.Sleep(9 * time.Minute)
		if !slices.Contains(pl.Status().Voters, lt.Node()) {
			t.Fatal("a voter was replaced within minutes")
		}
		took := 9*time.Minute + f.within(5*time.Minute, "Finland votes instead", func() bool {
			h, _ := pl.Keeper.Head()
			return f.voters(pl, 3) && f.voters(fi, 3) && slices.Contains(h.VoterIDs(), fi.Node()) && !slices.Contains(h.VoterIDs(), lt.Node())
		})
		t.Logf("replaced after %v", took)
		pl.propose(pl.Invite(t, pl.State(), "SE"))
		lt.start()
		f.within(7*time.Minute, "it follows again, and knows who votes", func() bool {
			s := lt.Status()
			return f.same() && lt.confirmed(lt) && s.Quorum && !slices.Contains(s.Voters, lt.Node())
		})
		lt.propose(lt.Invite(t, lt.State(), "NO"))
		f.allSign(10*time.Minute, 3)
	})
}

// TestTheLeaderGoes: the next one signs on, with the same voters, and takes no
// head back.
func TestTheLeaderGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, pl, de, lt := three(t)
		defer f.end()
		f.allSign(time.Minute, 3)
		pl.halt()
		f.within(30*time.Second, "another leader", func() bool { return de.Status().Quorum && de.Status().Leader != pl.Node() })
		de.propose(de.Invite(t, de.State(), "FI"))
		f.allSign(time.Minute, 3)
		pl.start() // with nothing of what it knew of heads
		f.within(time.Minute, "Poland knows the heads again", func() bool { return pl.confirmed(pl) })
		f.allSign(time.Minute, 3)
		if c := f.proved(pl); c.Rotation() != 2 {
			t.Errorf("%d sets of voters", c.Rotation())
		}
		_ = lt
	})
}

// TestAFounderThatLostItsHeads does not begin again where others are further.
func TestAFounderThatLostItsHeads(t *testing.T) {
	for _, name := range []string{"the heads", "its whole database", "its database and its log"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFederation(t)
				defer f.end()
				pl, de := f.nodes["PL"], f.join("DE")
				f.allSign(time.Minute, 1)
				pl.propose(pl.Invite(t, pl.State(), "LT"))
				de.Poke()
				f.allSign(time.Minute, 1)
				pl.halt()
				before, _ := de.Keeper.Head()
				switch name {
				case "its whole database", "its database and its log":
					pl.chain = new(consensus.MemoryChain)
					pl.empty = true // and knows Germany's node from the file beside it
					pl.options = func(o *consensus.Options) {
						o.Federation, o.Contacts = de.State().Federation(), []identity.NodeID{de.Node()}
					}
				}
				if name == "its database and its log" {
					if err := os.RemoveAll(filepath.Join(pl.dir, "raft")); err != nil {
						t.Fatal(err)
					}
				}
				pl.start()
				pl.Poke()
				f.within(time.Minute, "Poland has the registry", func() bool { return pl.State() != nil && f.same() })
				if name == "its database and its log" {
					time.Sleep(time.Minute)
					if h, ok := pl.Keeper.Head(); !ok || h.Seq != before.Seq || pl.Status().Voting {
						t.Errorf("the only voter lost its log: %+v", pl.Status())
					}
					return
				}
				pl.propose(pl.Invite(t, pl.State(), "FI"))
				f.allSign(time.Minute, 1)
				if h, _ := de.Keeper.Head(); h.Seq != before.Seq+1 {
					t.Errorf("Germany is at %d", h.Seq)
				}
			})
		})
	}
}

// TestAKindThatIsSignedFor: what the voters have signed for and this program
// does not know stops it, before that entry.
func TestAKindThatIsSignedFor(t *testing.T) {
	w := newLine(t)
	now := w.states[4].Time() + 60
	k := w.keeper(t, nil, func() time.Time { return time.Unix(now, 0) })
	s := w.last()
	_, c := w.pl.Sign(t, s, "tomorrow", registry.Cancel{})
	e := registry.Entry{Time: s.Time() + 1, Command: c}
	h := registry.Head{
		Version: 1, Federation: s.Federation(), Generation: 1, Rotation: 1, Seq: s.Seq() + 1, Hash: registry.HashAfter(s.Hash(), e.Encode()),
		Voters: []identity.PublicKey{w.pl.Keys.Node.Public()}, Issued: now, Expires: now + 60,
	}
	envelope := h.Envelope([]identity.Signature{w.pl.Keys.Node.Sign(identity.TypeRegistryHead, h.Federation, h.Encode())})
	err := k.Take(t.Context(), 1, append(w.entries, e.Encode()), [][]byte{envelope})
	if !errors.Is(err, registry.ErrUnknownKind) || k.State().Seq() != s.Seq() {
		t.Fatalf("%v, entry %d", err, k.State().Seq())
	}
	if st := k.Status(); st.Seq != s.Seq()+1 || !errors.Is(st.Problem, registry.ErrUnknownKind) {
		t.Errorf("it says %+v", st)
	}
}
