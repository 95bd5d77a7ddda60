package replication_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/replication"
)

// stolen is a feed of three good heads and two by a thief.
type stolen struct {
	good, bad *feedtest.Author
	place     feed.Place
}

// theft lets nodes take the good heads and then the thief's.
func theft(p *play, nodes ...*node) stolen {
	a := p.f.Author("ada").Fill(0, 10, "one")
	publish := func() {
		env, items := a.Head(nil)
		for _, n := range nodes {
			n.take(a, items, env)
		}
	}
	publish()
	a.Put(feedtest.RecordKey(1), "two").Delete(feedtest.RecordKey(2))
	publish()
	a.Put(feedtest.RecordKey(3), "three")
	publish()
	good := a.Clone()
	for _, body := range []string{"stolen", "stolen again"} {
		a.Put(feedtest.RecordKey(4), body).Put(feedtest.RecordKey(50), body).Delete(feedtest.RecordKey(5))
		publish()
	}
	return stolen{good, a, place(good)}
}

func place(a *feedtest.Author) feed.Place { return a.View().Head().Place() }

// TestGoingBack: the registry names the last good head before a key was stolen.
// Who has what it takes goes back to just that, offline; who has not, asks one
// who is there; the owner then goes on from it with a new key.
func TestGoingBack(t *testing.T) {
	scene(t, func(p *play) {
		ada, ben, cyd := p.node("ada"), p.node("ben"), p.node("cyd")
		s := theft(p, ada, ben, cyd)
		p.net.Cut("ada", "ben")
		p.net.Cut("ben", "cyd")
		p.net.Cut("ada", "cyd")
		cyd.store.Forget(s.good.Origin())
		p.f.Bump("ada", &s.place)
		p.within(2*time.Minute, "ben goes back by itself", func() bool { return ben.n(s.good) == s.place.N })
		feedtest.Same(t, ben.store, s.good)
		p.within(2*time.Minute, "cyd says why it does not", func() bool {
			k, known := cyd.rep.Known(s.good.Origin())
			return known && errors.Is(k.Stuck, feed.ErrPruned)
		})
		feedtest.Same(t, cyd.store, s.bad)

		p.net.HealAll()
		p.within(5*time.Minute, "cyd goes back with the help of ben", func() bool { return cyd.n(s.good) == s.place.N })
		feedtest.Same(t, cyd.store, s.good)
		if _, known := cyd.rep.Known(s.good.Origin()); known {
			t.Error("cyd is back and says that it is not")
		}
		if ada.n(s.good) != s.place.N+2 {
			t.Error("the own feed is the publisher's business")
		}
	})
}

// busy is a store that tells when the way back of a feed is staged.
type busy struct {
	feed.Store
	undo func(identity.OriginID)
}

func (b busy) Undo(o identity.OriginID, to *feed.SignedHead) (feed.Delta, error) {
	b.undo(o)
	return b.Store.Undo(o, to)
}

// TestThePublisherGoesBackAlone: while the publisher of the own feed goes back, the
// replicator stages nothing of that feed: it would drop what the publisher has staged.
func TestThePublisherGoesBackAlone(t *testing.T) {
	scene(t, func(p *play) {
		turn := make(chan struct{}, 1)
		looked := make(chan struct{}, 1)
		store := feedtest.NewMemory()
		own := p.f.Member("ada").Origin
		ada := p.start("ada", store, nil, func(o *replication.Options) {
			o.Hold = func(ctx context.Context) (*feed.SignedHead, func(), error) {
				turn <- struct{}{}
				view, err := store.View(own)
				if err != nil {
					return nil, nil, err
				}
				defer view.Close()
				return view.Head(), func() { <-turn }, nil
			}
			o.Store = busy{store, func(o identity.OriginID) {
				if o == own && len(turn) == 0 {
					t.Error("the way back is staged beside the publisher")
				}
				select {
				case looked <- struct{}{}:
				default:
				}
			}}
		})
		s := theft(p, ada)
		turn <- struct{}{} // the publisher is at work
		p.f.Bump("ada", &s.place)
		ada.rep.Poke()
		time.Sleep(2 * time.Minute)
		if len(looked) != 0 {
			t.Error("the replicator did not wait for the publisher")
		}
		<-turn
		p.within(2*time.Minute, "then it looks whether there is a way back", func() bool { return len(looked) == 1 })
	})
}

// TestNewBeginningAfterTheft: who could not go back follows into the new epoch.
func TestNewBeginningAfterTheft(t *testing.T) {
	scene(t, func(p *play) {
		ben, cyd := p.node("ben"), p.node("cyd")
		s := theft(p, ben, cyd)
		cyd.store.Forget(s.good.Origin())
		p.net.Cut("ben", "cyd")
		p.f.Bump("ada", &s.place)
		p.within(2*time.Minute, "ben goes back", func() bool { return ben.n(s.good) == s.place.N })
		ben.publish(s.good.Put(feedtest.RecordKey(6), "after the theft"))
		p.net.HealAll()
		p.synced(5*time.Minute, s.good, ben, cyd)
	})
}

// TestRepair: records are lost and damaged. What is whole stays; the rest comes
// from a peer; meanwhile the copy is not served, and nothing wrong is.
func TestRepair(t *testing.T) {
	scene(t, func(p *play) {
		ada, ben, cyd := p.node("ada"), p.node("ben"), p.node("cyd")
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 400, "one"))
		p.synced(10*time.Second, a, ben, cyd)
		o := a.Origin()
		for i := range 5 {
			if !ben.store.Corrupt(o, feedtest.RecordKey(i)) || !ben.store.Lose(o, feedtest.RecordKey(10+i)) {
				t.Fatal("nothing there to damage")
			}
		}
		p.net.Partition([]string{"ben"}, []string{"ada", "cyd"})
		if err := ben.rep.Repair(context.Background(), o); err == nil || ben.rep.Rotten(o) == nil {
			t.Fatal("repaired out of nothing")
		}
		p.net.HealAll()
		before := ada.rep.Stats().Served["records"].Sent + cyd.rep.Stats().Served["records"].Sent
		p.within(2*time.Minute, "ben is whole again", func() bool { return ben.rep.Rotten(o) == nil })
		feedtest.Same(t, ben.store, a)
		sent := ada.rep.Stats().Served["records"].Sent + cyd.rep.Stats().Served["records"].Sent - before
		if sent > 3000 {
			t.Errorf("10 records came in %d bytes", sent)
		}
	})
}

// TestRepairWhileItMovesOn: the peers have a newer head than the damaged copy.
func TestRepairWhileItMovesOn(t *testing.T) {
	scene(t, func(p *play) {
		ada, ben := p.node("ada"), p.node("ben")
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 50, "one"))
		p.synced(10*time.Second, a, ben)
		p.net.Cut("ada", "ben")
		ben.store.Corrupt(a.Origin(), feedtest.RecordKey(3))
		for i := range 3 {
			ada.publish(a.Put(feedtest.RecordKey(i), "two").Delete(feedtest.RecordKey(40 + i)))
		}
		p.net.HealAll()
		p.within(time.Minute, "ben reaches ada", func() bool { return ben.rep.Repair(context.Background(), a.Origin()) == nil })
		p.synced(time.Minute, a, ben)
	})
}

// TestRottenFeedIsNotServed: a damaged copy sends nobody astray.
func TestRottenFeedIsNotServed(t *testing.T) {
	scene(t, func(p *play) {
		ben := p.node("ben")
		a := p.f.Author("ada")
		ben.publish(a.Fill(0, 50, "one"))
		ben.store.Corrupt(a.Origin(), feedtest.RecordKey(3))
		if err := ben.rep.Repair(context.Background(), a.Origin()); err == nil {
			t.Fatal("repaired out of nothing")
		}
		cyd := p.node("cyd")
		time.Sleep(time.Minute)
		if cyd.n(a) != 0 || len(cyd.rep.Refused()) != 0 {
			t.Errorf("cyd took %d heads and refused %v", cyd.n(a), cyd.rep.Refused())
		}
		dan := p.node("dan")
		other := p.f.Author("ada").Fill(0, 50, "one")
		whole, list := other.Head(nil)
		dan.take(other, list, whole)
		p.within(15*time.Minute, "ben is whole again", func() bool { return ben.rep.Rotten(a.Origin()) == nil })
		p.synced(15*time.Minute, a, ben, cyd)
	})
}

// TestGapIsBridged: nobody keeps the heads that cyd missed. It stays where it is
// and says so, until the registry's voters have put a later head on record.
func TestGapIsBridged(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 30, "one")
		first, firstItems := a.Head(nil)
		cyd := p.node("cyd")
		cyd.take(a.Clone(), firstItems, first)
		for i := range 9 {
			a.Put(feedtest.RecordKey(i), "two").Head(nil)
		}
		a.Delete(feedtest.RecordKey(20))
		a.Head(nil)
		ben := p.node("ben")
		ben.take(a, whole(t, a), a.Heads[6:]...) // its chain begins with head 7
		p.within(2*time.Minute, "cyd says that there is a gap", func() bool {
			k, known := cyd.rep.Known(a.Origin())
			return known && k.Gap && k.N == 11
		})
		if cyd.n(a) != 1 || len(cyd.rep.Refused()) != 0 {
			t.Errorf("cyd is at head %d and refused %v", cyd.n(a), cyd.rep.Refused())
		}
		h, err := feed.ParseHead(a.Heads[8])
		if err != nil {
			t.Fatal(err)
		}
		p.f.SetAnchor("ada", h.Place())
		p.synced(30*time.Minute, a, cyd)
		if k, known := cyd.rep.Known(a.Origin()); known {
			t.Errorf("cyd has all and still says %+v", k)
		}
	})
}

// TestParkedHeads: a head dated in the future waits until its time has come; one
// signed under a registry that is not known here waits for that.
func TestParkedHeads(t *testing.T) {
	scene(t, func(p *play) {
		begin := time.Now()
		a := p.f.Author("ada").Fill(0, 5, "one")
		env, items := a.At(feedtest.Now.Add(time.Hour)).Head(nil)
		clock := func(o *replication.Options) {
			o.Rules = func() feed.Rules {
				rules := p.f.Rules()
				rules.Now = feedtest.Now.Add(time.Since(begin))
				return rules
			}
		}
		cyd := p.node("cyd", clock)
		p.impostor("liar", liar{"all": showing(env), "feed": say(wire(m{1: list(items), 2: 9, 3: false, 4: env}))})
		p.within(time.Minute, "the head is parked", func() bool { return len(cyd.rep.Parked()) == 1 })
		time.Sleep(45 * time.Minute)
		if cyd.n(a) != 0 || len(cyd.rep.Refused()) != 0 {
			t.Fatalf("taken before its time, or refused: %v", cyd.rep.Refused())
		}
		p.within(10*time.Minute, "its time has come", func() bool { return cyd.n(a) == 1 })
		if len(cyd.rep.Parked()) != 0 {
			t.Error("still parked")
		}
	})
}

// TestTooManyParked: whoever dates everything in the future fills sixteen places.
func TestTooManyParked(t *testing.T) {
	names := strings.Fields("o1 o2 o3 o4 o5 o6 o7 o8 o9 o10 o11 o12 o13 o14 o15 o16 o17 o18")
	scene(t, func(p *play) {
		n := p.node("n1")
		mallory := p.impostor("liar", liar{})
		for i, name := range names {
			for range 3 {
				env, _ := p.f.Author(name).At(feedtest.Now.Add(time.Duration(48-i)*time.Hour)).Put(feedtest.RecordKey(i), "x").Head(nil)
				n.rep.HeardHead(context.Background(), mallory.id, env)
			}
		}
		parked := n.rep.Parked()
		if len(parked) != 16 {
			t.Fatalf("%d heads are parked", len(parked))
		}
		for _, x := range parked {
			if x.Issued.Time().After(feedtest.Now.Add(46 * time.Hour)) {
				t.Errorf("one that is dated %s stays before one that comes sooner", x.Issued.Time())
			}
		}
	}, names...)
}

// TestWaitsForTheRegistry: a head by a key that the registry names only later.
func TestWaitsForTheRegistry(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5, "one")
		env, items := a.Head(nil)
		var seq, asked atomic.Uint64
		seq.Store(1)
		cyd := p.node("cyd", func(o *replication.Options) {
			o.RegistrySeq = seq.Load
			o.NewRegistry = asked.Store
		})
		cyd.take(a.Clone(), items, env)
		next := feedtest.Key("publish", "ada/2")
		late, lateItems := a.Put(feedtest.RecordKey(1), "two").Head(func(h *feed.Head) { h.RegistrySeq = 7 }, next)
		p.impostor("liar", liar{"all": showing(late), "feed": say(wire(m{1: list(lateItems), 2: 9, 3: false, 4: late}))})
		p.within(time.Minute, "cyd asks for the registry first", func() bool { return asked.Load() == 7 && len(cyd.rep.Parked()) == 1 })
		if len(cyd.rep.Refused()) != 0 {
			t.Errorf("refused: %v", cyd.rep.Refused())
		}
		p.f.Rotate("ada", 1)
		seq.Store(7)
		p.within(10*time.Second, "then the head counts", func() bool { return cyd.n(a) == 2 })
	})
}

// TestClock: the median of what peers tell, so that one liar cannot move it.
func TestClock(t *testing.T) {
	scene(t, func(p *play) {
		ada := p.node("ada", func(o *replication.Options) { o.Now = func() time.Time { return time.Now().Add(5 * time.Minute) } })
		p.node("ben")
		p.node("cyd")
		p.impostor("liar", liar{"all": func(*http.Request) []byte { return wire(m{1: []any{}, 2: 1, 4: 1}) }})
		if off, peers := p.node("dan").rep.Clock(); off != 0 || peers != 0 {
			t.Errorf("%s of %d peers out of nothing", off, peers)
		}
		p.within(time.Minute, "ada heard of four clocks", func() bool { _, peers := ada.rep.Clock(); return peers == 4 })
		if off, _ := ada.rep.Clock(); off < 5*time.Minute-2*time.Second || off > 5*time.Minute+2*time.Second {
			t.Errorf("five minutes ahead, and the offset is %s", off)
		}
	})
}

// TestBeatOfAClone: beats of the own feed that peers show are handed on.
func TestBeatOfAClone(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5, "one")
		env, items := a.Head(nil)
		heard := make(chan *feed.SignedBeat, 100)
		ada := p.node("ada", func(o *replication.Options) { o.OwnBeat = func(b *feed.SignedBeat) { heard <- b } })
		ben := p.node("ben")
		for _, n := range []*node{ada, ben} {
			n.take(a, items, env)
		}
		b := a.Beat(9).Beat
		b.Instance = [8]byte{1, 2, 3}
		if err := ben.store.PutBeat(feedtest.SignBeat(b, p.f.Member("ada").Publish)); err != nil {
			t.Fatal(err)
		}
		p.within(10*time.Minute, "ada hears of its clone", func() bool { return len(heard) > 0 })
		if got := <-heard; got.Instance != b.Instance || got.Counter != 9 {
			t.Errorf("%+v", got.Beat)
		}
	})
}

// TestProgress of a first copy is told while it goes on, and what it cost after.
func TestProgress(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5000, string(make([]byte, 900)))
		ada := p.node("ada")
		ada.publish(a)
		var mu sync.Mutex
		var seen []replication.Progress
		ben := p.node("ben")
		ada.afterwards(func(what string) {
			if what == "feed" {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, ben.rep.Progress()...)
			}
		})
		p.synced(30*time.Second, a, ben)
		mu.Lock()
		defer mu.Unlock()
		if len(seen) < 3 {
			t.Fatalf("%d reports", len(seen))
		}
		last := seen[len(seen)-1]
		if !last.First || last.Of != 5000 || last.Records < 3000 || last.OfBytes != a.View().Head().Bytes || !last.Connected {
			t.Errorf("%+v", last)
		}
		if now := ben.rep.Progress(); len(now) != 0 {
			t.Errorf("done, and still %+v", now)
		}
		got, sent := ben.rep.Stats().Asked["feed"], ada.rep.Stats().Served["feed"]
		if got.Received == 0 || got.Received != sent.Sent || got.Calls != sent.Calls {
			t.Errorf("ben received %+v, ada sent %+v", got, sent)
		}
	})
}

// TestDamageIsNoticedInUse: nobody has looked through the disk yet. The next
// change to a damaged place, or the next peer who asks for a damaged record, brings
// it to light, and it is mended at once.
func TestDamageIsNoticedInUse(t *testing.T) {
	for _, c := range []struct {
		name string
		use  func(p *play, ada, ben *node, a *feedtest.Author)
	}{
		{"a small change arrives there", func(_ *play, ada, ben *node, a *feedtest.Author) {
			ben.store.Lose(a.Origin(), feedtest.RecordKey(3))
			ada.announce(a.Put(feedtest.RecordKey(3), "two"))
		}},
		{"a change is fetched that lies there", func(_ *play, ada, ben *node, a *feedtest.Author) {
			ben.store.Lose(a.Origin(), feedtest.RecordKey(3))
			ada.publish(a.Put(feedtest.RecordKey(3), "two"))
		}},
		{"a first copy is asked for", func(p *play, _, ben *node, a *feedtest.Author) {
			ben.store.Corrupt(a.Origin(), feedtest.RecordKey(3))
			p.net.Partition([]string{"ada"}, []string{"ben", "dan"})
			dan := p.node("dan")
			p.within(10*time.Minute, "ben notices", func() bool { return ben.rep.Rotten(a.Origin()) != nil })
			p.net.HealAll()
			p.synced(10*time.Minute, a, dan)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			scene(t, func(p *play) {
				ada, ben := p.node("ada"), p.node("ben")
				a := p.f.Author("ada")
				ada.announce(a.Fill(0, 400, "one"))
				p.synced(10*time.Second, a, ben)
				c.use(p, ada, ben, a)
				p.within(10*time.Minute, "ben is whole", func() bool {
					return ben.n(a) == a.View().Head().N && ben.rep.Rotten(a.Origin()) == nil
				})
				feedtest.Same(t, ben.store, a)
			})
		})
	}
}

// TestErasedWhileAway: a record was deleted, which can be undone for a while, and
// then erased. Who was away meanwhile and catches up by comparing buckets, which
// show neither, keeps no copy either; nor does who hears of it from there.
func TestErasedWhileAway(t *testing.T) {
	for _, newEpoch := range []bool{false, true} {
		t.Run(fmt.Sprintf("new epoch %t", newEpoch), func(t *testing.T) {
			scene(t, func(p *play) {
				ada, ben, dan := p.node("ada"), p.node("ben"), p.node("dan")
				a := p.f.Author("ada")
				ada.announce(a.Fill(0, 30, "one"))
				p.synced(10*time.Second, a, ben, dan)
				first := a.View().Head()
				ada.announce(a.Delete(feedtest.RecordKey(3)))
				p.synced(10*time.Second, a, ben, dan)
				for _, n := range []*node{ben, dan} {
					if _, err := n.store.Undo(a.Origin(), first); err != nil {
						t.Fatalf("the deletion cannot be undone: %v", err)
					}
				}
				p.net.Cut("ada", "ben")
				p.net.Cut("ada", "dan")
				p.net.Cut("ben", "dan")
				if newEpoch {
					p.f.Bump("ada", nil)
				}
				ada.announce(a.Erase(feedtest.RecordKey(3)))
				ada.announce(a.Put(feedtest.RecordKey(4), "two"))
				cyd := p.node("cyd") // its first copy lists no deletions
				p.synced(time.Minute, a, cyd)
				p.net.Cut("ben", "dan")
				p.net.Cut("cyd", "dan")
				p.synced(20*time.Minute, a, ben)
				p.net.Cut("cyd", "ben")
				p.net.Heal("ben", "dan")
				p.synced(20*time.Minute, a, dan)
				for _, n := range []*node{ben, dan} {
					if _, err := n.store.Undo(a.Origin(), first); !errors.Is(err, feed.ErrPruned) {
						t.Errorf("%s can bring back what was erased: %v", n.host, err)
					}
				}
			})
		})
	}
}
