package replication_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/replication"
)

// failing lets a node answer 503 to all requests for data but those for heads,
// while on is set.
func failing(on *atomic.Bool, before func(*http.Request)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if k := what(r); on.Load() && k != "heads" && k != "announce" {
				before(r)
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func atOnce(*http.Request) {}

// TestHintWhileTheSourceAnswers: a peer that says that it has nothing newer
// publishes before its answer arrives. What it announces cannot be taken at once,
// since the feed is being pulled, and what it answers is out of date.
func TestHintWhileTheSourceAnswers(t *testing.T) {
	scene(t, func(p *play) {
		ada, ben := p.node("ada"), p.node("ben")
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 5, "one"))
		p.synced(10*time.Second, a, ben)
		time.Sleep(10 * time.Second)
		answered := false
		ada.afterwards(func(what string) {
			if what == "feed" && !answered {
				answered = true
				ada.announce(a.Put(feedtest.RecordKey(1), "two"))
			}
		})
		ben.rep.Heard(ada.id, []replication.Mark{{Origin: a.Origin(), Epoch: 1, N: 2}})
		p.within(10*time.Second, "ada was asked", func() bool { return ada.count("feed") > 0 })
		p.synced(10*time.Second, a, ben)
	})
}

// TestHintWhileAnotherSourceHangs: the feed is being pulled from a peer that does
// not answer when another one announces a change.
func TestHintWhileAnotherSourceHangs(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5, "one")
		env, items := a.Head(nil)
		var on atomic.Bool
		on.Store(true)
		silent := p.twisted("cyd", failing(&on, func(r *http.Request) { <-r.Context().Done() }))
		ada, ben := p.node("ada"), p.node("ben")
		before := a.Clone()
		for _, n := range []*node{ada, ben, silent} {
			n.take(before, items, env)
		}
		time.Sleep(10 * time.Second)
		ada.afterwards(func(what string) {
			if what == "feed" {
				pause(&http.Request{}, time.Second) // so that the silent peer's turn comes
			}
		})
		ben.rep.Heard(silent.id, []replication.Mark{{Origin: a.Origin(), Epoch: 1, N: 2}})
		p.within(time.Minute, "the silent peer is asked", func() bool { return silent.count("feed") > 0 })
		ada.announce(a.Put(feedtest.RecordKey(1), "two"))
		p.synced(8*time.Second, a, ben)
	})
}

// TestWantedAndHadAlready: what is wanted comes in another way before anybody was
// asked. Then nobody is: whoever does not answer would keep the feed's lock.
func TestWantedAndHadAlready(t *testing.T) {
	scene(t, func(p *play) {
		var mu sync.Mutex
		var between func()
		ada := p.node("ada")
		ben := p.node("ben", func(o *replication.Options) {
			peers := o.Peers
			o.Peers = func() (out []identity.NodeID) {
				mu.Lock()
				defer mu.Unlock()
				if between != nil {
					between()
				}
				between = nil
				return peers()
			}
		})
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 5, "one"))
		p.synced(10*time.Second, a, ben)
		time.Sleep(10 * time.Second)
		env, items := a.Put(feedtest.RecordKey(1), "two").Head(nil)
		ada.take(a, items, env)
		ada.forget()
		synctest.Wait()
		mu.Lock()
		between = func() { ben.take(a, items, env) } // when the round looks for its first source
		mu.Unlock()
		ben.rep.Heard(ada.id, []replication.Mark{{Origin: a.Origin(), Epoch: 1, N: 2}})
		if !ben.rep.Behind(a.Origin()) {
			t.Fatal("the hint was not taken")
		}
		p.within(10*time.Second, "nothing is wanted any more", func() bool { return !ben.rep.Behind(a.Origin()) })
		if n := ada.count("feed"); n > 0 {
			t.Errorf("asked %d times for what was held", n)
		}
	})
}

// TestSignedHeadOfABusyPeer: a head that is known to exist is not given up because
// those who answer do not have it, as long as someone in reach has not answered.
func TestSignedHeadOfABusyPeer(t *testing.T) {
	scene(t, func(p *play) {
		var busy atomic.Bool
		ada, ben, cyd := p.twisted("ada", failing(&busy, atOnce)), p.node("ben"), p.node("cyd")
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 5, "one"))
		p.synced(10*time.Second, a, ben, cyd)
		time.Sleep(10 * time.Second)
		busy.Store(true)
		env, items := a.Put(feedtest.RecordKey(1), "two").Head(nil)
		ada.take(a, items, env)
		cyd.forget()
		ben.rep.HeardHead(context.Background(), ada.id, env)
		p.within(5*time.Second, "cyd was asked and does not have it", func() bool { return cyd.count("feed") > 0 })
		time.Sleep(time.Second)
		if !ben.rep.Behind(a.Origin()) {
			t.Fatal("the head was given up")
		}
		busy.Store(false)
		p.synced(20*time.Second, a, ben)
	})
}

// TestSourceComesBackDuringARound: the pauses have grown long, and the only peer
// that has the feed comes back just when another one is being asked.
func TestSourceComesBackDuringARound(t *testing.T) {
	scene(t, func(p *play) {
		var busy atomic.Bool
		silent := func(r *http.Request) { <-r.Context().Done() } // so that it is asked after ada
		ada, ben, cyd := p.node("ada"), p.node("ben"), p.twisted("cyd", failing(&busy, silent))
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 5, "one"))
		p.synced(10*time.Second, a, ben, cyd)
		time.Sleep(10 * time.Second)
		p.net.Partition([]string{"ada"}, []string{"ben", "cyd"})
		busy.Store(true)
		env, items := a.Put(feedtest.RecordKey(1), "two").Head(nil)
		ada.take(a, items, env)
		ben.rep.HeardHead(context.Background(), ada.id, env)
		time.Sleep(2 * time.Hour)
		cyd.forget()
		p.within(30*time.Minute, "cyd is asked", func() bool { return cyd.count("feed") > 0 })
		p.net.HealAll()
		p.synced(time.Minute, a, ben)
	})
}

// TestPeerThatComesBackAnnouncing: the pauses have grown long when the only peer
// that has the feed is in reach again, which shows in what it announces.
func TestPeerThatComesBackAnnouncing(t *testing.T) {
	scene(t, func(p *play) {
		var heads, data atomic.Bool
		ada := p.twisted("ada", func(next http.Handler) http.Handler {
			next = failing(&data, atOnce)(next)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if heads.Load() && r.URL.Path == "/r1/heads" {
					w.WriteHeader(http.StatusServiceUnavailable) // so that ben's own question comes too late
					return
				}
				next.ServeHTTP(w, r)
			})
		})
		ben := p.node("ben")
		a := p.f.Author("ada")
		ada.announce(a.Fill(0, 5, "one"))
		p.synced(10*time.Second, a, ben)
		time.Sleep(10 * time.Second)
		heads.Store(true)
		data.Store(true)
		v := ada.publish(a.Fill(0, 50, string(make([]byte, 900)))) // too large to travel inside
		ada.rep.Announce(context.Background(), v)
		ben.rep.Doubt(ada.id)
		time.Sleep(22 * time.Minute) // the seventh pause is ten minutes long and has just begun
		if !ben.rep.Behind(a.Origin()) {
			t.Fatal("the head was given up")
		}
		data.Store(false)
		ada.rep.Announce(context.Background(), v)
		p.synced(10*time.Second, a, ben)
	})
}

// TestAnotherSourceIsNotAsFar: whoever showed the newest head sends heads and
// nothing else. What another peer has is taken meanwhile.
func TestAnotherSourceIsNotAsFar(t *testing.T) {
	scene(t, func(p *play) {
		var broken atomic.Bool
		broken.Store(true)
		p.net.Cut("ben", "cyd")
		p.net.Cut("ada", "cyd")
		ada, ben, cyd := p.twisted("ada", failing(&broken, atOnce)), p.node("ben"), p.node("cyd")
		a := p.f.Author("ada").Fill(0, 5, "first")
		for i := range 10 {
			env, items := a.Put(feedtest.RecordKey(i), "later").Head(nil)
			for n, last := range map[*node]int{ada: 10, ben: 5, cyd: 8} {
				if i < last {
					n.take(a, items, env)
				}
			}
		}
		p.within(time.Minute, "the heads came and nothing else", func() bool { return ada.count("feed") > 0 })
		p.net.Heal("ben", "cyd")
		p.within(30*time.Second, "ben has what cyd has", func() bool { return ben.n(a) == 8 })
		broken.Store(false)
		p.synced(15*time.Minute, a, ben)
	})
}

// TestRunWaitsForAdopted: what was started on behalf of Run ends with it.
func TestRunWaitsForAdopted(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5, "one")
		env, items := a.Head(nil)
		p.node("ben").take(a, items, env)
		called, hold := make(chan struct{}, 8), make(chan struct{})
		ada := p.node("ada", func(o *replication.Options) {
			o.Adopted = func() {
				called <- struct{}{}
				<-hold
			}
		})
		<-called
		var stopped atomic.Bool
		go func() {
			ada.stop()
			stopped.Store(true)
		}()
		synctest.Wait()
		if stopped.Load() {
			t.Error("Run returned while it was still telling that the feed is back")
		}
		close(hold)
		synctest.Wait()
		if !stopped.Load() {
			t.Error("Run does not return")
		}
	})
}
