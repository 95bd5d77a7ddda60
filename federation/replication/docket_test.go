package replication_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/replication"
)

// docket keeps evidence of forked feeds and nothing else, the plainest way.
type docket struct {
	f *feedtest.Federation

	mu     sync.Mutex
	items  map[string]bool
	forked map[identity.OriginID]uint64
}

func newDocket(f *feedtest.Federation) *docket {
	return &docket{f: f, items: make(map[string]bool), forked: make(map[identity.OriginID]uint64)}
}

func (d *docket) sorted() []string { return slices.Sorted(maps.Keys(d.items)) }

func (d *docket) Digest() (sum [16]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := sha256.New()
	for _, item := range d.sorted() {
		h.Write([]byte(item))
	}
	return [16]byte(h.Sum(nil)[:16])
}

// Items gives one item at a time, whatever is asked for.
func (d *docket) Items(after []byte, _ int) ([][]byte, []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, item := range d.sorted() {
		if len(after) == 0 || item[:min(len(item), 64)] > string(after) {
			return [][]byte{[]byte(item)}, []byte(item[:min(len(item), 64)])
		}
	}
	return nil, nil
}

func (d *docket) Add(item []byte) (bool, error) {
	var w struct {
		Kind uint8  `cbor:"1,keyasint"`
		Body []byte `cbor:"2,keyasint"`
	}
	if err := identity.Unmarshal(item, &w); err != nil {
		return false, err
	}
	e, err := feed.ParseEvidence(w.Body)
	if err != nil {
		return false, err
	}
	fork, err := d.f.Rules().CheckEvidence(e)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.items[string(item)] {
		return false, nil
	}
	d.items[string(item)] = true
	if n := d.forked[fork.Origin]; n == 0 || fork.N < n {
		d.forked[fork.Origin] = fork.N
	}
	return true, nil
}

func (d *docket) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.items)
}

// Forked is what [feed.Keys] says with the docket's evidence beside the registry.
func (d *docket) Forked(o identity.OriginID) (uint64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, ok := d.forked[o]
	return n, ok
}

type docketKeys struct {
	feed.Keys
	d *docket
}

func (k docketKeys) Forked(o identity.OriginID) (uint64, bool) { return k.d.Forked(o) }

// keeping gives a node a docket.
func keeping(d *docket) func(*replication.Options) {
	return func(o *replication.Options) {
		o.Docket = d
		o.Rules = func() feed.Rules {
			rules := d.f.Rules()
			rules.Keys = docketKeys{rules.Keys, d}
			return rules
		}
	}
}

// forgery are two heads of one number, both rightly signed, and what leads to them.
func forgery(f *feedtest.Federation) (base, one, other *feedtest.Author, v [3][]byte, items [3]feed.Items) {
	base = f.Author("ada").Fill(0, 5, "one")
	v[0], items[0] = base.Head(nil)
	one, other = base.Clone(), base.Clone()
	v[1], items[1] = one.Put(feedtest.RecordKey(1), "two").Head(nil)
	v[2], items[2] = other.Put(feedtest.RecordKey(1), "another two").Head(nil)
	return base, one, other, v, items
}

// TestEvidenceReachesEveryone: two nodes hold different heads of one number. As
// soon as a third hears of both, every node has the evidence, shows the feed as
// frozen where it stood, and a newcomer learns of it with its first comparison.
func TestEvidenceReachesEveryone(t *testing.T) {
	scene(t, func(p *play) {
		base, one, other, v, items := forgery(p.f)
		var nodes []*node
		var dockets []*docket
		for _, host := range []string{"n1", "n2", "n3", "n4"} {
			d := newDocket(p.f)
			dockets = append(dockets, d)
			nodes = append(nodes, p.node(host, keeping(d)))
		}
		hosts := []string{"n1", "n2", "n3", "n4"}
		for i := range hosts {
			for j := range i {
				p.net.Cut(hosts[i], hosts[j])
			}
		}
		for i, n := range nodes {
			n.take(base, items[0], v[0])
			switch i {
			case 0:
				n.take(one, items[1], v[1])
			case 1:
				n.take(other, items[2], v[2])
			}
		}
		p.net.Heal("n1", "n3")
		p.within(time.Minute, "the third follows the first", func() bool { return nodes[2].n(one) == 2 })
		p.net.HealAll()
		took := p.within(30*time.Second, "everybody has the evidence", func() bool {
			return !slices.ContainsFunc(dockets, func(d *docket) bool { return d.len() != 1 })
		})
		t.Logf("after %s", took)
		for i, n := range nodes {
			if !n.rep.Frozen(base.Origin()) {
				t.Errorf("node %d does not show the feed as frozen", i)
			}
		}
		time.Sleep(10 * time.Minute)
		feedtest.Same(t, nodes[0].store, one)
		feedtest.Same(t, nodes[1].store, other)
		if got := nodes[3].n(base); got != 1 && got != 2 {
			t.Errorf("the last node is at head %d", got)
		}

		d := newDocket(p.f)
		late := p.node("n5", keeping(d))
		p.within(30*time.Second, "a newcomer has it too", func() bool {
			return d.len() == 1 && late.rep.Frozen(base.Origin()) && late.n(base) > 0
		})

		p.f.Bump("ada", nil)
		for _, x := range append(dockets, d) {
			x.mu.Lock()
			clear(x.forked) // the docket's view of another epoch
			x.mu.Unlock()
		}
		nodes[0].announce(one.Put(feedtest.RecordKey(2), "a new beginning"))
		p.synced(15*time.Minute, one, append(nodes, late)...)
		if late.rep.Frozen(base.Origin()) {
			t.Error("still frozen in the new epoch")
		}
	})
}

// TestTwoHeadsThatNobodyHolds: a node that holds neither head sees both.
func TestTwoHeadsThatNobodyHolds(t *testing.T) {
	scene(t, func(p *play) {
		_, _, _, v, _ := forgery(p.f)
		d := newDocket(p.f)
		n := p.node("n1", keeping(d))
		mallory := p.impostor("liar", liar{})
		n.rep.HeardHead(context.Background(), mallory.id, v[1])
		if d.len() != 0 {
			t.Fatal("evidence of one head")
		}
		n.rep.HeardHead(context.Background(), mallory.id, v[2])
		if d.len() != 1 || n.rep.Refused()["equivocation"] != 1 {
			t.Errorf("%d items, refused %v", d.len(), n.rep.Refused())
		}
	})
}

// TestBeatOfAnotherHead: a beat names a head that is not the one held. The peer
// is asked for that head, which makes it evidence.
func TestBeatOfAnotherHead(t *testing.T) {
	scene(t, func(p *play) {
		base, one, other, v, items := forgery(p.f)
		d := newDocket(p.f)
		n := p.node("n1", keeping(d))
		n.take(base, items[0], v[0])
		n.take(one, items[1], v[1])
		p.impostor("liar", liar{
			"all":   say(wire(m{1: []any{m{2: other.Beat(1).Envelope}}, 2: 1})),
			"heads": say(wire(m{1: [][]byte{v[2]}})),
		})
		p.within(10*time.Minute, "the other head is known", func() bool { return d.len() == 1 })
		if b, err := n.store.Beat(base.Origin()); err != nil || b != nil {
			t.Errorf("the beat was kept: %v %v", b, err)
		}
	})
}

// TestEvidenceOfWhoCannotBeCalled: the peer that lacks an item cannot come for it,
// and was deaf when it was told first. It is handed the item when it listens again.
func TestEvidenceOfWhoCannotBeCalled(t *testing.T) {
	scene(t, func(p *play) {
		_, _, _, v, _ := forgery(p.f)
		d, other := newDocket(p.f), newDocket(p.f)
		n := p.node("n1", keeping(d))
		var deaf atomic.Bool
		deaf.Store(true)
		p.twisted("n2", func(h http.Handler) http.Handler {
			return mute{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && deaf.Load() {
					w.WriteHeader(http.StatusNoContent) // as if it had heard
					return
				}
				h.ServeHTTP(w, r)
			})}
		}, keeping(other))
		mallory := p.impostor("liar", liar{})
		p.net.Cut("liar", "n2")
		n.rep.HeardHead(context.Background(), mallory.id, v[1])
		n.rep.HeardHead(context.Background(), mallory.id, v[2])
		time.Sleep(30 * time.Minute)
		if d.len() != 1 || other.len() != 0 {
			t.Fatalf("%d and %d items", d.len(), other.len())
		}
		deaf.Store(false)
		p.within(25*time.Minute, "it has the evidence", func() bool { return other.len() == 1 })
	})
}

// TestDocketsThatCannotAgree: a peer's docket holds what is no evidence. It is
// looked at seldom, not at every comparison.
func TestDocketsThatCannotAgree(t *testing.T) {
	scene(t, func(p *play) {
		d := newDocket(p.f)
		n := p.node("n1", keeping(d))
		var asked, read atomic.Int64 // pages, and dockets from the start
		junk, err := identity.Marshal(m{1: 1, 2: []byte("nothing")})
		if err != nil {
			t.Fatal(err)
		}
		p.impostor("liar", liar{
			"all": say(wire(m{1: []any{}, 2: 1, 3: bytes.Repeat([]byte{7}, 16)})),
			"docket": func(r *http.Request) []byte {
				if asked.Add(1); r.URL.Query().Get("after") == "" {
					read.Add(1)
				}
				return wire(m{1: [][]byte{junk, make([]byte, 1<<17)}, 2: []byte("more")})
			},
		})
		p.within(time.Minute, "the docket was looked at", func() bool { return n.rep.Refused()["docket"] > 0 })
		if first := asked.Load(); first > 70 {
			t.Errorf("an endless docket was read for %d pages", first)
		}
		time.Sleep(6 * time.Hour)
		// Again after 2, 4 and 8 minutes, then each 10: 39 times, and some twice,
		// where two comparisons meet. This peer is compared with every few seconds.
		if times := read.Load(); times < 30 || times > 65 {
			t.Errorf("the docket was read %d times", times)
		}
		if d.len() != 0 {
			t.Error("junk was kept")
		}
	})
}
