package replication_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/fedtest"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/replication"
	"github.com/2ps-project/waymark/federation/transport"
)

// play is a federation of replicas on a network in memory, in virtual time.
type play struct {
	t   *testing.T
	net *fedtest.Network
	f   *feedtest.Federation

	mu    sync.Mutex
	peers map[identity.NodeID]transport.Peer
	order []identity.NodeID
}

// Peer implements [transport.Directory].
func (p *play) Peer(id identity.NodeID) (transport.Peer, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	peer, ok := p.peers[id]
	return peer, ok
}

func (p *play) others(self identity.NodeID) (out []identity.NodeID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range p.order {
		if id != self {
			out = append(out, id)
		}
	}
	return out
}

func scene(t *testing.T, f func(p *play), names ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &play{
			t: t, net: fedtest.NewNetwork(10 * time.Millisecond), f: feedtest.NewFederation(append(names, "ada", "ben", "cyd")...),
			peers: make(map[identity.NodeID]transport.Peer),
		}
		t.Cleanup(func() { p.net.Close() })
		f(p)
	})
}

// node is one replica, or with another handler an impostor.
type node struct {
	p     *play
	host  string
	id    identity.NodeID
	store *feedtest.Memory
	rep   *replication.Replicator
	tr    *transport.Transport
	stop  func()

	mu       sync.Mutex
	asked    map[string]int    // requests that were served, by what the path ends in
	served   func(what string) // told after each answer; may be nil
	newerOwn []uint64
	adopted  int
}

// node starts a replica that publishes the feed of the member named like it.
func (p *play) node(host string, bend ...func(*replication.Options)) *node {
	p.t.Helper()
	return p.start(host, feedtest.NewMemory(), nil, bend...)
}

// impostor starts a node whose answers come from h, and which asks nobody.
func (p *play) impostor(host string, h http.Handler) *node {
	p.t.Helper()
	return p.start(host, feedtest.NewMemory(), func(http.Handler) http.Handler { return mute{h} })
}

// mute is the handler of a node that asks nobody.
type mute struct{ http.Handler }

// twisted starts a replica whose answers pass through wrap.
func (p *play) twisted(host string, wrap func(http.Handler) http.Handler, bend ...func(*replication.Options)) *node {
	p.t.Helper()
	return p.start(host, feedtest.NewMemory(), wrap, bend...)
}

func (p *play) start(host string, store *feedtest.Memory, wrap func(http.Handler) http.Handler, bend ...func(*replication.Options)) *node {
	p.t.Helper()
	key := feedtest.Key(identity.RoleNode, host)
	n := &node{p: p, host: host, id: key.Public().NodeID(), store: store, asked: make(map[string]int)}
	l, err := p.net.Listen(host + ":7946")
	if err != nil {
		p.t.Fatal(err)
	}
	tr, err := transport.New(transport.Options{Key: key, Listener: l, Dial: p.net.Dialer(host), Directory: p, Lost: func(id identity.NodeID) {
		if n.rep != nil {
			n.rep.Doubt(id)
		}
	}})
	if err != nil {
		p.t.Fatal(err)
	}
	n.tr = tr
	o := replication.Options{
		Store: store, Appender: store, Rules: p.f.Rules, RegistrySeq: func() uint64 { return 1 },
		Peers: func() []identity.NodeID { return p.others(n.id) }, Client: tr.Client(), Reset: tr.Reset,
		NewerOwn: func(h *feed.SignedHead) { n.mu.Lock(); defer n.mu.Unlock(); n.newerOwn = append(n.newerOwn, h.N) },
		Adopted:  func() { n.mu.Lock(); defer n.mu.Unlock(); n.adopted++ },
	}
	if host == "ada" || host == "ben" || host == "cyd" {
		o.Own = p.f.Member(host).Origin
	}
	for _, f := range bend {
		f(&o)
	}
	if n.rep, err = replication.New(o); err != nil {
		p.t.Fatal(err)
	}
	h := n.rep.Handler()
	if wrap != nil {
		h = wrap(h)
	}
	tr.ServeHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		what, served := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:], n.served
		n.asked[what]++
		n.mu.Unlock()
		h.ServeHTTP(w, r)
		if served != nil {
			served(what)
		}
	}))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = tr.Run(ctx) })
	if _, mute := h.(mute); !mute {
		wg.Go(func() { _ = n.rep.Run(ctx) })
	}
	n.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	p.t.Cleanup(n.stop)
	p.mu.Lock()
	p.peers[n.id] = transport.Peer{ID: n.id, Key: key.Public(), Endpoints: []string{host + ":7946"}}
	p.order = append(p.order, n.id)
	p.mu.Unlock()
	return n
}

// afterwards has f called after each answer.
func (n *node) afterwards(f func(what string)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.served = f
}

func (n *node) client() *http.Client { return n.tr.Client() }

func (n *node) count(what string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[what]
}

func (n *node) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.asked)
}

// publish applies at the node what the author has put, as its publisher would.
func (n *node) publish(a *feedtest.Author) *feed.Verified {
	n.p.t.Helper()
	env, items := a.Head(nil)
	return n.take(a, items, env)
}

func (n *node) take(a *feedtest.Author, items feed.Items, envs ...[]byte) *feed.Verified {
	n.p.t.Helper()
	view, err := n.store.View(a.Origin())
	if err != nil {
		n.p.t.Fatal(err)
	}
	defer view.Close()
	v, err := n.p.f.Rules().Verify(view, envs, items)
	if err != nil {
		n.p.t.Fatal(err)
	}
	if err := n.store.Append(context.Background(), v); err != nil {
		n.p.t.Fatal(err)
	}
	return v
}

// announce publishes and tells the peers.
func (n *node) announce(a *feedtest.Author) {
	n.p.t.Helper()
	n.rep.Announce(context.Background(), n.publish(a))
}

// n is the number of the head that the node holds; 0 when it holds none.
func (n *node) n(a *feedtest.Author) uint64 {
	view, err := n.store.View(a.Origin())
	if err != nil {
		n.p.t.Fatal(err)
	}
	defer view.Close()
	if view.Head() == nil {
		return 0
	}
	return view.Head().N
}

// within waits, in virtual time, until it holds, and says how long that took.
func (p *play) within(limit time.Duration, what string, it func() bool) time.Duration {
	p.t.Helper()
	start := time.Now()
	for !it() {
		if time.Since(start) > limit {
			p.t.Fatalf("after %s not yet: %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(start)
}

// synced waits until the nodes hold just what the author wrote.
func (p *play) synced(limit time.Duration, a *feedtest.Author, nodes ...*node) time.Duration {
	p.t.Helper()
	want := a.View().Head().N
	took := p.within(limit, "everybody has the newest head", func() bool {
		for _, n := range nodes {
			if n.n(a) != want {
				return false
			}
		}
		return true
	})
	for _, n := range nodes {
		feedtest.Same(p.t, n.store, a)
	}
	return took
}
