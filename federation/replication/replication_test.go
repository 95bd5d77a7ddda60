package replication_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/replication"
)

func TestSmallChangeTravelsInside(t *testing.T) {
	scene(t, func(p *play) {
		ada, ben := p.node("ada"), p.node("ben")
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 3, "one"))
		p.synced(5*time.Second, a, ben)
		time.Sleep(time.Minute)
		ada.forget()
		took := time.Now()
		ada.announce(a.Put(feedtest.RecordKey(1), "changed").Delete(feedtest.RecordKey(2)))
		p.synced(time.Second, a, ben)
		if d := time.Since(took); d > 200*time.Millisecond {
			t.Errorf("a change took %s over 10 ms of network", d)
		}
		if n := ada.count("feed"); n != 0 {
			t.Errorf("a small change was fetched %d times beside its announcement", n)
		}
	})
}

func TestLargeFirstCopy(t *testing.T) {
	scene(t, func(p *play) {
		ada := p.node("ada")
		a := p.f.Author("ada").Fill(0, 3000, string(make([]byte, 900)))
		ada.publish(a)
		ben := p.node("ben")
		p.synced(30*time.Second, a, ben)
		if n := ada.count("feed"); n < 3 {
			t.Errorf("2.7 MB came in %d pages", n)
		}
		if ben.store.Staged(a.Origin()) != 0 || ada.count("tree") != 0 {
			t.Error("a plain first copy needed a second way")
		}
	})
}

// TestChangesDuringAFirstCopy changes the feed between two pages, deletions
// included, which a first copy otherwise leaves out.
func TestChangesDuringAFirstCopy(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 3000, string(make([]byte, 900)))
		ada := p.node("ada")
		ada.publish(a)
		ada.served = func(what string) {
			if what == "feed" && ada.count("feed") == 1 {
				ada.publish(a.Delete(feedtest.RecordKey(0)).Put(feedtest.RecordKey(1), "changed meanwhile"))
			}
		}
		ben := p.node("ben")
		p.within(30*time.Second, "ben has the second head", func() bool { return ben.n(a) == 2 })
		feedtest.Same(t, ben.store, a)
		if ada.count("tree") != 0 {
			t.Error("the copy had to be made again by buckets")
		}
		ada.rep.Announce(context.Background(), ada.publish(a.Put(feedtest.RecordKey(2), "last")))
		p.synced(30*time.Second, a, ben)
	})
}

func TestCatchUpByFeed(t *testing.T) {
	scene(t, func(p *play) {
		ada, ben := p.node("ada"), p.node("ben")
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 100, "one"))
		p.synced(5*time.Second, a, ben)
		p.net.Cut("ada", "ben")
		for i := range 30 {
			ada.publish(a.Put(feedtest.RecordKey(i), "changed").Delete(feedtest.RecordKey(40 + i)))
		}
		ada.forget()
		time.Sleep(time.Minute)
		p.net.HealAll()
		p.synced(10*time.Minute, a, ben)
		if ada.count("feed") != 1 || ada.count("tree") != 0 {
			t.Errorf("30 heads were fetched in %d pages and %d trees", ada.count("feed"), ada.count("tree"))
		}
	})
}

// TestCatchUpByBuckets: the one peer in reach took its copy later than ben did,
// so it cannot list what was deleted in between.
func TestCatchUpByBuckets(t *testing.T) {
	scene(t, func(p *play) {
		ada, ben := p.node("ada"), p.node("ben")
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 300, "one"))
		p.synced(5*time.Second, a, ben)
		p.net.Cut("ada", "ben")
		ada.publish(a.Delete(feedtest.RecordKey(7)).Put(feedtest.RecordKey(8), "changed"))
		ada.publish(a.Put(feedtest.RecordKey(400), "new"))
		p.net.Cut("ben", "cyd")
		cyd := p.node("cyd") // takes a first copy, history included
		p.synced(20*time.Second, a, cyd)
		p.net.Heal("ben", "cyd")
		p.synced(20*time.Second, a, ben)
		if cyd.count("tree") == 0 || cyd.count("records") == 0 {
			t.Errorf("ben asked for %d trees and %d lists of records", cyd.count("tree"), cyd.count("records"))
		}
		if len(ben.rep.Refused()) != 0 {
			t.Errorf("an honest peer was refused: %v", ben.rep.Refused())
		}
	})
}

func TestThirdPeerServesADeadOwner(t *testing.T) {
	scene(t, func(p *play) {
		ada, ben := p.node("ada"), p.node("ben")
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 50, "one"))
		p.synced(5*time.Second, a, ben)
		ada.stop()
		cyd := p.node("cyd")
		p.synced(20*time.Second, a, cyd)
		p.within(20*time.Second, "cyd knows that ada is away, and ben is not", func() bool {
			return slices.Equal(cyd.rep.Unreachable(), []identity.NodeID{ada.id})
		})
	})
}

// TestHealing is the promise that a cut node is whole again ten seconds after
// the network is, with changes on both sides.
func TestHealing(t *testing.T) {
	for _, cut := range []time.Duration{time.Minute, time.Hour, 12 * time.Hour} {
		t.Run(cut.String(), func(t *testing.T) {
			scene(t, func(p *play) {
				ada, ben, cyd := p.node("ada"), p.node("ben"), p.node("cyd")
				a, b := p.f.Author("ada"), p.f.Author("ben")
				ada.announce(a.Fill(0, 50, "one"))
				ben.announce(b.Fill(100, 150, "one"))
				p.synced(10*time.Second, a, ada, ben, cyd)
				p.synced(10*time.Second, b, ada, ben, cyd)
				p.net.Partition([]string{"ada"}, []string{"ben", "cyd"})
				go ada.rep.Announce(context.Background(), ada.publish(a.Put(feedtest.RecordKey(1), "cut off")))
				ben.announce(b.Put(feedtest.RecordKey(101), "meanwhile").Delete(feedtest.RecordKey(102)))
				p.synced(10*time.Second, b, ben, cyd)
				time.Sleep(cut)
				if ben.n(a) != 1 || ada.n(b) != 1 {
					t.Fatal("the cut leaks")
				}
				p.net.HealAll()
				start := time.Now()
				p.synced(10*time.Second, a, ben, cyd)
				p.synced(10*time.Second-time.Since(start), b, ada)
				t.Logf("whole after %s", time.Since(start))
				p.within(30*time.Second, "everybody reaches everybody", func() bool {
					return len(ada.rep.Unreachable())+len(ben.rep.Unreachable())+len(cyd.rep.Unreachable()) == 0
				})
			})
		})
	}
}

// TestHealingAfterManyTriesInVain: the pauses between tries have grown long when
// the only peer that has the feed comes back.
func TestHealingAfterManyTriesInVain(t *testing.T) {
	scene(t, func(p *play) {
		ada, ben := p.node("ada"), p.node("ben")
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 5, "one"))
		p.synced(10*time.Second, a, ben)
		p.net.Cut("ada", "ben")
		ada.publish(a.Put(feedtest.RecordKey(1), "two"))
		ben.rep.Heard(ada.id, []replication.Mark{{Origin: a.Origin(), Epoch: 1, N: 2}})
		time.Sleep(2 * time.Hour)
		if !ben.rep.Behind(a.Origin()) {
			t.Fatal("the hint was dropped although nobody could be asked")
		}
		p.net.HealAll()
		p.synced(10*time.Second, a, ben)
	})
}

// TestMeetThroughAThird: two that never reach each other.
func TestMeetThroughAThird(t *testing.T) {
	scene(t, func(p *play) {
		p.net.Cut("ada", "ben")
		ada, ben := p.node("ada"), p.node("ben")
		p.node("cyd")
		a := p.f.Author("ada")
		time.Sleep(time.Minute)
		go ada.rep.Announce(context.Background(), ada.publish(a.Fill(0, 10, "one")))
		p.synced(15*time.Minute, a, ben)
	})
}

func TestBeatsTravel(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada")
		counter := uint64(0)
		ada := p.node("ada", func(o *replication.Options) {
			o.Beat = func() (*feed.SignedBeat, error) { counter++; return a.Beat(counter), nil }
		})
		ben := p.node("ben")
		ada.announce(a.Fill(0, 3, "one"))
		time.Sleep(5 * time.Hour)
		b, err := ben.store.Beat(a.Origin())
		if err != nil || b == nil || b.Counter < 5 {
			t.Errorf("after five hours ben has beat %+v, %v", b, err)
		}
	})
}

// TestOwnFeedComesBack: a restored node meets its own newer head at a peer.
func TestOwnFeedComesBack(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5, "one")
		old, oldItems := a.Head(nil)
		before := a.Clone()
		env, items := a.Put(feedtest.RecordKey(1), "two").Head(nil)
		ben := p.node("ben")
		ben.take(before, oldItems, old)
		ben.take(a, items, env)
		ada := p.node("ada")
		ada.take(before, oldItems, old)
		p.synced(20*time.Second, a, ada)
		ada.mu.Lock()
		defer ada.mu.Unlock()
		if len(ada.newerOwn) == 0 || ada.newerOwn[0] != 2 || ada.adopted == 0 {
			t.Errorf("the publisher heard of heads %v, and %d times that all is back", ada.newerOwn, ada.adopted)
		}
	})
}

// TestOwnHeadIsPushed: a peer announces our own newer head, records inside. The
// publisher is stopped first, and told when all is back.
func TestOwnHeadIsPushed(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5, "one")
		old, oldItems := a.Head(nil)
		before := a.Clone()
		ada, ben := p.node("ada"), p.node("ben")
		ada.take(before, oldItems, old)
		p.synced(20*time.Second, before, ben)
		time.Sleep(time.Minute)
		ada.mu.Lock()
		ada.adopted = 0 // so far ben has only confirmed what is here
		ada.mu.Unlock()
		ben.announce(a.Put(feedtest.RecordKey(1), "two")) // by a clone of ada, through ben
		p.synced(20*time.Second, a, ada)
		p.within(20*time.Second, "the publisher heard of both", func() bool {
			ada.mu.Lock()
			defer ada.mu.Unlock()
			return len(ada.newerOwn) > 0 && ada.adopted > 0
		})
	})
}

// TestPeersConfirm: the guard is lost, the data is not; peers that show the same
// head say so. One that shows nothing does not.
func TestPeersConfirm(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5, "one")
		env, items := a.Head(nil)
		ada := p.node("ada")
		ada.take(a, items, env)
		time.Sleep(time.Minute)
		if ada.adopted != 0 {
			t.Fatal("confirmed by nobody")
		}
		ben, cyd := p.node("ben"), p.node("cyd")
		p.synced(20*time.Second, a, ben, cyd)
		p.within(time.Hour, "two peers confirm", func() bool {
			ada.mu.Lock()
			defer ada.mu.Unlock()
			return ada.adopted > 0
		})
	})
}

// TestHintThatNobodyBearsOut: gossip names heads that do not exist.
func TestHintThatNobodyBearsOut(t *testing.T) {
	scene(t, func(p *play) {
		ada, ben, cyd := p.node("ada"), p.node("ben"), p.node("cyd")
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 5, "one"))
		p.synced(10*time.Second, a, ben, cyd)
		for _, n := range []uint64{2, ^uint64(0)} {
			ben.rep.Heard(cyd.id, []replication.Mark{{Origin: a.Origin(), Epoch: 1, N: n}})
			if !ben.rep.Behind(a.Origin()) {
				t.Fatal("the hint was not taken")
			}
			p.within(5*time.Second, "the hint is dropped", func() bool { return !ben.rep.Behind(a.Origin()) })
		}
		cyd.stop()
		ben.rep.Heard(cyd.id, []replication.Mark{{Origin: a.Origin(), Epoch: 1, N: 99}})
		p.within(time.Minute, "the hint is dropped although a peer is down", func() bool { return !ben.rep.Behind(a.Origin()) })
		ben.rep.Heard(cyd.id, []replication.Mark{{Origin: feedtest.NewFederation("zoe").Member("zoe").Origin, Epoch: 1, N: 1}})
		if ben.rep.Behind(feedtest.NewFederation("zoe").Member("zoe").Origin) {
			t.Error("a feed that no member owns is wanted")
		}
		if len(ben.rep.Refused()) != 0 {
			t.Errorf("honest peers were refused: %v", ben.rep.Refused())
		}
	})
}

// TestRelay: a node that the publisher cannot reach hears at once through one
// that passes on what it takes.
func TestRelay(t *testing.T) {
	scene(t, func(p *play) {
		ada, ben, cyd := p.node("ada"), p.node("ben"), p.node("cyd")
		p.net.Cut("ada", "cyd")
		time.Sleep(time.Minute) // they have met
		a := p.f.Author("ada")
		v := ada.publish(a.Fill(0, 3, "one"))
		go ada.rep.Announce(context.Background(), v)
		p.within(time.Second, "ben has it", func() bool { return ben.n(a) == 1 })
		ben.rep.Relay(context.Background(), v, []identity.NodeID{cyd.id})
		if cyd.n(a) != 1 {
			t.Error("not there when Relay returned")
		}
		p.synced(time.Second, a, cyd)
		if n := ben.count("feed"); n != 0 {
			t.Errorf("a small change was fetched %d times", n)
		}
	})
}

// TestIdleFederation: what fourteen nodes say to each other when nothing happens,
// TLS and pings included. The goal for all parts together is 20 kB a second.
func TestIdleFederation(t *testing.T) {
	names := strings.Fields("m01 m02 m03 m04 m05 m06 m07 m08 m09 m10 m11 m12 m13 m14")
	scene(t, func(p *play) {
		var nodes []*node
		for _, name := range names {
			counter := uint64(0)
			a := p.f.Author(name)
			n := p.node(name, func(o *replication.Options) {
				o.Own = a.Origin()
				o.Beat = func() (*feed.SignedBeat, error) { counter++; return a.Beat(counter), nil }
			})
			n.announce(a.Fill(0, 5, name))
			nodes = append(nodes, n)
		}
		p.within(10*time.Minute, "everybody has everything", func() bool {
			for _, n := range nodes {
				if list, err := n.store.Origins(); err != nil || len(list) != len(names) || len(n.rep.Unreachable()) > 0 {
					return false
				}
			}
			return true
		})
		time.Sleep(2 * time.Minute)
		sent := func() (all int64) {
			for _, name := range names {
				all += p.net.Sent(name)
			}
			return all
		}
		before, span := sent(), 20*time.Minute
		time.Sleep(span)
		rate := float64(sent()-before) / span.Seconds()
		t.Logf("%.1f kB a second", rate/1000)
		if rate > 10_000 {
			t.Errorf("%.0f bytes a second, at most 10,000 of the 20,000", rate)
		}
	}, names...)
}
