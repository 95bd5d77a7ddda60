package gossip_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/fedtest"
	"github.com/2ps-project/waymark/federation/gossip"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/transport"
)

// registry is what all nodes of a test know of each other.
type registry struct {
	mu    sync.Mutex
	peers []transport.Peer
}

func (r *registry) Peer(id identity.NodeID) (transport.Peer, bool) {
	for _, p := range r.all() {
		if p.ID == id {
			return p, true
		}
	}
	return transport.Peer{}, false
}

func (r *registry) all() []transport.Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.peers)
}

func (r *registry) add(p transport.Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers = append(r.peers, p)
}

func (r *registry) remove(id identity.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers = slices.DeleteFunc(r.peers, func(p transport.Peer) bool { return p.ID == id })
}

// actor is one node that gossips.
type actor struct {
	*gossip.Gossip
	port   *transport.Transport
	host   string
	id     identity.NodeID
	stop   func()
	ctx    context.Context
	done   chan error // what Run returned
	origin identity.OriginID

	mu    sync.Mutex
	heard map[identity.NodeID]gossip.Summary
	hints []gossip.Hint
}

func (a *actor) count(h gossip.Hint) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.hints {
		if reflect.DeepEqual(o, h) {
			n++
		}
	}
	return n
}

func (a *actor) hasHeard(id identity.NodeID) (gossip.Summary, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.heard[id]
	return s, ok
}

// play is a federation that gossips in virtual time.
type play struct {
	t   *testing.T
	net *fedtest.Network
	reg *registry
	fed identity.FederationID
}

func scene(t *testing.T, f func(t *testing.T, p *play)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &play{t, fedtest.NewNetwork(20 * time.Millisecond), &registry{}, identity.FederationID{7}}
		t.Cleanup(func() {
			p.net.Close()
			time.Sleep(time.Minute) // memberlist's probes end by themselves
		})
		f(t, p)
	})
}

// node starts a node that the shared registry knows.
func (p *play) node(host string) *actor {
	p.t.Helper()
	key, err := identity.Generate(identity.RoleNode)
	if err != nil {
		p.t.Fatal(err)
	}
	p.reg.add(transport.Peer{ID: key.Public().NodeID(), Key: key.Public(), Endpoints: []string{host + ":7946"}})
	return p.start(host, key, p.reg, gossip.Options{Federation: p.fed})
}

func (p *play) start(host string, key *identity.Key, reg *registry, o gossip.Options) *actor {
	p.t.Helper()
	l, err := p.net.Listen(host + ":7946")
	if err != nil {
		p.t.Fatal(err)
	}
	port, err := transport.New(transport.Options{Key: key, Listener: l, Dial: p.net.Dialer(host), Directory: reg})
	if err != nil {
		p.t.Fatal(err)
	}
	a := &actor{port: port, host: host, id: port.Self(), heard: map[identity.NodeID]gossip.Summary{}, origin: identity.OriginID{byte(len(reg.all()))}}
	o.Transport, o.Self, o.Peers = port, port.Self(), reg.all
	o.State = func() gossip.Summary {
		return gossip.Summary{RegistrySeq: 3, Feeds: []gossip.FeedMark{{Origin: a.origin, Epoch: 1, N: 42, Hash: [8]byte{1}}}}
	}
	o.Heard = func(from identity.NodeID, s gossip.Summary) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.heard[from] = s
	}
	o.Hinted = func(_ identity.NodeID, h gossip.Hint) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.hints = append(a.hints, h)
	}
	if a.Gossip, err = gossip.New(o); err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	portDone := make(chan error, 1)
	a.ctx, a.done = ctx, make(chan error, 1)
	portCtx, portCancel := context.WithCancel(context.Background())
	go func() { portDone <- port.Run(portCtx) }()
	go func() { a.done <- a.Run(ctx) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-a.done; err != nil {
			p.t.Errorf("%s: gossip: %v", host, err)
		}
		portCancel()
		if err := <-portDone; err != nil {
			p.t.Errorf("%s: port: %v", host, err)
		}
	})
	p.t.Cleanup(a.stop)
	return a
}

func (p *play) nodes(n int) (all []*actor) {
	p.t.Helper()
	for i := range n {
		all = append(all, p.node(fmt.Sprint("n", i)))
	}
	return all
}

// together waits until every node sees all the others, at most so long.
func together(t *testing.T, nodes []*actor, most time.Duration) {
	t.Helper()
	start := time.Now()
	for {
		missing := ""
		for _, a := range nodes {
			if n := len(a.Alive()); n != len(nodes)-1 {
				missing += fmt.Sprintf(" %s sees %d", a.host, n)
			}
		}
		if missing == "" {
			t.Logf("together after %v", time.Since(start))
			return
		}
		if time.Since(start) > most {
			t.Fatalf("after %v:%s of %d", most, missing, len(nodes)-1)
		}
		time.Sleep(time.Second)
	}
}

func TestFiveMeet(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		nodes := p.nodes(5)
		together(t, nodes, 15*time.Second)
		time.Sleep(10 * time.Minute) // everybody has compared with everybody
		for _, a := range nodes {
			for _, b := range nodes {
				s, ok := a.hasHeard(b.id)
				if a != b && (!ok || s.RegistrySeq != 3 || len(s.Feeds) != 1 || s.Feeds[0].Origin != b.origin) {
					t.Errorf("%s heard %+v of %s", a.host, s, b.host)
				}
			}
		}
		// The node that leaves is gone at once; nobody has to find out.
		nodes[4].stop()
		time.Sleep(5 * time.Second)
		for _, a := range nodes[:4] {
			if slices.Contains(a.Alive(), nodes[4].id) {
				t.Errorf("%s still sees the node that left", a.host)
			}
		}
	})
}

func TestHintsReachAll(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		nodes := p.nodes(14)
		together(t, nodes, 30*time.Second)
		hint := gossip.Hint{Name: "beat", Body: []byte(strings.Repeat("b", 1024))}
		start := time.Now()
		if err := nodes[0].Announce(hint); err != nil {
			t.Fatal(err)
		}
		reached := 0
		for reached < 13 && time.Since(start) < 15*time.Second {
			time.Sleep(100 * time.Millisecond)
			reached = 0
			for _, a := range nodes[1:] {
				reached += a.count(hint)
			}
		}
		t.Logf("%d of 13 after %v", reached, time.Since(start))
		time.Sleep(time.Minute)
		for _, a := range nodes {
			want := 1
			if a == nodes[0] {
				want = 0
			}
			if n := a.count(hint); n != want {
				t.Errorf("%s was told %d times, want %d", a.host, n, want)
			}
		}
		// The newer of a name makes the older pointless.
		older, newer := gossip.Hint{Name: "head", Body: []byte("1")}, gossip.Hint{Name: "head", Body: []byte("2")}
		for _, h := range []gossip.Hint{older, newer} {
			if err := nodes[1].Announce(h); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(15 * time.Second)
		for _, a := range nodes[2:] {
			if a.count(newer) != 1 || a.count(older) != 0 {
				t.Errorf("%s: newer %d times, older %d times; want 1 and 0", a.host, a.count(newer), a.count(older))
			}
		}
	})
}

func TestHintLimits(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		a := p.node("n0")
		for _, h := range []gossip.Hint{{}, {Name: strings.Repeat("n", 65)}, {Name: "x", Body: make([]byte, 1025)}} {
			if err := a.Announce(h); err != gossip.ErrHintSize {
				t.Errorf("a hint with a name of %d and a body of %d bytes: %v", len(h.Name), len(h.Body), err)
			}
		}
	})
}

func TestPartitionHeals(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		nodes := p.nodes(5)
		together(t, nodes, 15*time.Second)
		p.net.Partition([]string{"n0", "n1"}, []string{"n2", "n3", "n4"})
		time.Sleep(time.Hour)
		for i, a := range nodes {
			want := 2
			if i < 2 {
				want = 1
			}
			if n := len(a.Alive()); n != want {
				t.Errorf("during the cut %s sees %d, want %d", a.host, n, want)
			}
		}
		p.net.HealAll()
		together(t, nodes, 2*time.Minute)
		hint := gossip.Hint{Name: "again", Body: []byte("x")}
		if err := nodes[0].Announce(hint); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		for _, a := range nodes[1:] {
			if a.count(hint) != 1 {
				t.Errorf("%s did not hear after the cut healed", a.host)
			}
		}
	})
}

func TestShortCutHeals(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		nodes := p.nodes(3)
		together(t, nodes, 15*time.Second)
		p.net.Partition([]string{"n0"}, []string{"n1", "n2"})
		time.Sleep(90 * time.Second) // believed dead, and not yet forgotten
		p.net.HealAll()
		together(t, nodes, 2*time.Minute)
	})
}
