package replication_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/replication"
)

// what a request asks for, by what its path ends in.
func what(r *http.Request) string { return r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:] }

// pause holds an answer up, for as long as it is waited for.
func pause(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

// dying lets the first node that served n answers of a kind fail from then on.
type dying struct {
	kind string
	n    int

	mu     sync.Mutex
	served map[string]int
	dead   string
}

func (d *dying) wrap(host string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.mu.Lock()
			if what(r) == d.kind {
				if d.dead == "" && d.served[host] == d.n {
					d.dead = host
				}
				d.served[host]++
			}
			dead := d.dead == host && what(r) != "heads"
			d.mu.Unlock()
			if dead {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// TestAnotherSourceGoesOn: whoever serves a first copy dies midway. The next one
// goes on where it stopped, and nothing is fetched twice.
func TestAnotherSourceGoesOn(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5000, string(make([]byte, 900)))
		env, items := a.Head(nil)
		d := &dying{kind: "feed", n: 3, served: make(map[string]int)}
		for _, host := range []string{"ben", "cyd"} {
			p.twisted(host, d.wrap(host)).take(a, items, env)
		}
		dan := p.node("dan")
		p.synced(30*time.Second, a, dan)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.dead == "" {
			t.Fatal("nobody died")
		}
		t.Logf("pages asked of each: %v", d.served)
		if all := d.served["ben"] + d.served["cyd"]; all > 7 { // 5 pages, the one that failed, and one to end with
			t.Errorf("%d pages were asked for", all)
		}
		if len(dan.rep.Refused()) != 0 {
			t.Errorf("an honest peer was refused: %v", dan.rep.Refused())
		}
	})
}

// TestAnotherSourceGoesOnByBuckets is the same where buckets are compared.
func TestAnotherSourceGoesOnByBuckets(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 10, "before")
		first, firstItems := a.Head(nil)
		dan := p.node("dan")
		dan.take(a.Clone(), firstItems, first)
		p.f.Bump("ada", nil)
		env, items := a.Fill(5, 5000, string(make([]byte, 900))).Head(nil)
		d := &dying{kind: "records", n: 3, served: make(map[string]int)}
		for _, host := range []string{"ben", "cyd"} {
			n := p.twisted(host, d.wrap(host))
			n.take(a, append(firstItems[:0:0], append(firstItems, items...)...).Sort(), env)
		}
		p.synced(30*time.Second, a, dan)
		d.mu.Lock()
		defer d.mu.Unlock()
		t.Logf("lists of records asked of each: %v", d.served)
		if d.dead == "" {
			t.Fatal("nobody died")
		}
		asked := dan.rep.Stats().Asked["records"]
		if limit := uint64(5000 * 1000 / 10); asked.Received > limit {
			t.Errorf("%d bytes of records were fetched", asked.Received)
		}
		if all := d.served["ben"] + d.served["cyd"]; all > 20 {
			t.Errorf("%d lists of records were asked for", all)
		}
	})
}

// TestTheSameSourceComesBack: the only source is cut off midway. What it sent is
// not fetched again.
func TestTheSameSourceComesBack(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5000, string(make([]byte, 900)))
		ada := p.node("ada")
		p.impostor("cyd", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if what(r) == "heads" {
				_, _ = w.Write(wire(m{1: []any{}, 2: 1}))
				return
			}
			w.WriteHeader(http.StatusNotFound) // has nothing, and says so
		}))
		ada.publish(a)
		ada.afterwards(func(what string) {
			if what == "feed" && ada.count("feed") == 3 {
				p.net.Partition([]string{"ada"}, []string{"ben", "cyd"})
			}
		})
		ben := p.node("ben")
		p.within(time.Minute, "some of it came", func() bool { return ada.count("feed") == 3 })
		time.Sleep(time.Minute)
		if ben.n(a) != 0 {
			t.Fatal("the cut leaks")
		}
		p.net.HealAll()
		p.synced(30*time.Second, a, ben)
		if n := ada.count("feed"); n > 6 { // 5 pages, of which one may have been lost on its way
			t.Errorf("%d pages were asked for", n)
		}
	})
}

// TestSlowSource: a peer that takes a request and never answers costs one
// timeout; from then on it is asked after all others.
func TestSlowSource(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 100, "one")
		env, items := a.Head(nil)
		silent := p.twisted("ben", func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if what(r) == "feed" {
					<-r.Context().Done()
					return
				}
				next.ServeHTTP(w, r)
			})
		})
		silent.take(a, items, env)
		dan := p.node("dan")
		p.within(time.Minute, "dan asked the silent peer", func() bool { return silent.count("feed") == 1 })
		cyd := p.node("cyd")
		cyd.take(a, items, env)
		start := time.Now()
		p.synced(time.Minute, a, dan)
		if d := time.Since(start); d > 40*time.Second {
			t.Errorf("the silent peer cost %s", d)
		}
		for i := range 5 {
			silent.forget()
			env, items := a.Fill(0, 100, strings.Repeat("x", 900+i)).Head(nil)
			silent.take(a, items, env)
			cyd.take(a, items, env)
			dan.rep.HeardHead(context.Background(), silent.id, env) // it even tells of it
			p.synced(30*time.Second, a, dan)
			if n := silent.count("feed"); n != 0 {
				t.Errorf("the silent peer was asked %d times before the other", n)
			}
		}
	})
}

// TestTricklingSource: a peer that answers with a record at a time, each just
// before the timeout, holds a first copy up for moments only.
func TestTricklingSource(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 300, "one")
		env, items := a.Head(nil)
		next := uint64(0)
		p.impostor("ben", liar{"all": showing(env), "feed": func(r *http.Request) []byte {
			pause(r, 10*time.Second)
			next++
			return wire(m{1: list(items[next-1 : next]), 2: next, 3: true, 4: env})
		}})
		dan := p.node("dan")
		p.within(time.Minute, "the copy has begun", func() bool { return len(dan.rep.Progress()) > 0 && dan.rep.Progress()[0].Records > 0 })
		p.node("cyd").take(a, items, env)
		took := p.synced(2*time.Minute, a, dan)
		t.Logf("done %s after there was another", took)
	})
}

// TestPullsAreFew: at most four feeds at once, two of one peer.
func TestPullsAreFew(t *testing.T) {
	names := []string{"eve", "fay", "gil", "hal", "ivo"}
	scene(t, func(p *play) {
		var mu sync.Mutex
		now, most := map[string]int{}, map[string]int{}
		enter := func(host string) (leave func()) {
			mu.Lock()
			defer mu.Unlock()
			for _, k := range []string{host, "all"} {
				now[k]++
				most[k] = max(most[k], now[k])
			}
			return func() {
				mu.Lock()
				defer mu.Unlock()
				now[host]--
				now["all"]--
			}
		}
		var holders []*node
		for _, host := range []string{"x", "y", "z"} {
			holders = append(holders, p.twisted(host, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if what(r) == "feed" {
						defer enter(host)()
						pause(r, 2*time.Second)
					}
					next.ServeHTTP(w, r)
				})
			}))
		}
		var all []*feedtest.Author
		for _, name := range append(names, "ada", "ben", "cyd") {
			a := p.f.Author(name).Fill(0, 5, name)
			env, items := a.Head(nil)
			for _, h := range holders {
				h.take(a, items, env)
			}
			all = append(all, a)
		}
		dan := p.node("dan")
		for _, a := range all {
			p.synced(time.Minute, a, dan)
		}
		mu.Lock()
		defer mu.Unlock()
		if most["all"] != 4 || max(most["x"], most["y"], most["z"]) > 2 {
			t.Errorf("at once: %v", most)
		}
	}, names...)
}

// TestOwnerIsAskedLast: a newcomer does not go where everybody would.
func TestOwnerIsAskedLast(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5, "one")
		env, items := a.Head(nil)
		ada := p.twisted("ada", func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				pause(r, 200*time.Millisecond) // so that the others show what they have first
				next.ServeHTTP(w, r)
			})
		})
		ben, cyd := p.node("ben"), p.node("cyd")
		for _, n := range []*node{ada, ben, cyd} {
			n.take(a, items, env)
		}
		<-cyd.rep.Met()
		ada.forget()
		for _, host := range []string{"d1", "d2", "d3", "d4", "d5", "d6"} {
			dan := p.node(host, func(o *replication.Options) {
				o.Owner = func(id identity.NodeID, origin identity.OriginID) bool { return id == ada.id && origin == a.Origin() }
			})
			p.synced(30*time.Second, a, dan)
		}
		if n := ada.count("feed"); n > 0 {
			t.Errorf("%d of 6 asked the owner", n)
		}
	})
}
