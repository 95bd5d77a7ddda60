package consensus_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/fedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
	"github.com/2ps-project/waymark/federation/transport"
)

// federation is some countries on a network in memory, in virtual time.
type federation struct {
	t       *testing.T
	net     *fedtest.Network
	genesis []byte
	nodes   map[string]*node
	follows map[string]bool          // countries that do not offer to vote
	options func(*consensus.Options) // of all nodes; may be nil
}

// node is one country's part in it. It can be stopped and started.
type node struct {
	*registrytest.Member
	*consensus.Keeper
	f         *federation
	chain     *consensus.MemoryChain
	dir       string
	bootstrap bool
	empty     bool                     // starts without the genesis, knowing the federation's id and Poland's node
	options   func(*consensus.Options) // may be nil
	heads     drawer
	stop      func()
	state     atomic.Pointer[consensus.Keeper]
	full      atomic.Bool // its disk
}

// disk is a chain that cannot be added to while the disk is full.
type disk struct {
	*consensus.MemoryChain
	full *atomic.Bool
}

var errFull = errors.New("no space left")

func (d disk) Append(seq uint64, entry []byte) error {
	if d.full.Load() {
		return errFull
	}
	return d.MemoryChain.Append(seq, entry)
}

// newFederation is Poland alone, with a leader.
func newFederation(t *testing.T) *federation {
	f := &federation{t: t, net: fedtest.NewNetwork(20 * time.Millisecond), nodes: map[string]*node{}}
	pl := f.node("PL")
	e, _ := pl.Found(t)
	f.genesis = e.Encode()
	pl.bootstrap = true
	pl.start()
	return f
}

func (f *federation) node(country string) *node {
	n := &node{Member: registrytest.New(f.t, country), f: f, chain: new(consensus.MemoryChain), dir: f.dir()}
	n.Nodes[0].Voter = !f.follows[country]
	f.nodes[country] = n
	return n
}

// dir is a directory for a node: in memory where that is possible, since raft
// waits for the disk at each entry and virtual time waits for raft.
func (f *federation) dir() string {
	f.t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "waymark-test-")
	if err != nil {
		return f.t.TempDir()
	}
	f.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// end stops everything; a bubble must be empty at its end.
func (f *federation) end() {
	for _, n := range f.nodes {
		n.halt()
	}
	f.net.Close()
	time.Sleep(time.Minute) // timers of raft and net/http run out
}

// Peer is the directory: the registry, and all others of the test as contacts
// while there is none.
func (n *node) Peer(id identity.NodeID) (transport.Peer, bool) {
	k := n.state.Load()
	if k == nil || k.State() == nil {
		for _, o := range n.f.nodes {
			if o.Node() == id {
				return transport.Peer{ID: id, Key: o.Keys.Node.Public(), Endpoints: []string{o.Nodes[0].Endpoints[0].String()}}, true
			}
		}
		return transport.Peer{}, false
	}
	m, _, ok := k.State().Node(id)
	return transport.Peer{ID: id, Key: m.Key, Endpoints: m.Endpoints, Voter: m.VoterOptIn}, ok
}

func (n *node) start() {
	n.f.t.Helper()
	if last, _ := n.chain.Last(); last == 0 && !n.empty {
		if err := n.chain.Append(1, n.f.genesis); err != nil {
			n.f.t.Fatal(err)
		}
	}
	addr := n.Nodes[0].Endpoints[0]
	l, err := n.f.net.Listen(addr.String())
	if err != nil {
		n.f.t.Fatal(err)
	}
	n.state.Store(nil)
	tr, err := transport.New(transport.Options{Key: n.Keys.Node, Listener: l, Dial: n.f.net.Dialer(addr.Host), Directory: n})
	if err != nil {
		n.f.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", n.Country)
	}
	o := consensus.Options{Dir: n.dir, Self: n.Keys.Node, Network: tr, Chain: disk{n.chain, &n.full}, Bootstrap: n.bootstrap, Logger: log}
	if n.empty {
		for _, contact := range n.f.nodes {
			if contact != n && contact.State() != nil {
				o.Federation = contact.State().Federation()
				o.Contacts = append(o.Contacts, contact.Node())
			}
		}
	}
	if n.heads != nil {
		o.Heads = n.heads
	}
	if n.f.options != nil {
		n.f.options(&o)
	}
	if n.options != nil {
		n.options(&o)
	}
	n.Keeper, err = consensus.New(o)
	if err != nil {
		n.f.t.Fatal(err)
	}
	n.state.Store(n.Keeper)
	tr.ServeHTTP(n.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	inner, cut := context.WithCancel(context.Background())
	var keeper, port sync.WaitGroup
	port.Go(func() { _ = tr.Run(inner) })
	keeper.Go(func() {
		err := n.Keeper.Run(ctx)
		for errors.Is(err, errFull) && ctx.Err() == nil { // as a supervisor would
			time.Sleep(15 * time.Second)
			err = n.Keeper.Run(ctx)
		}
		if err != nil && !errors.Is(err, errFull) {
			n.f.t.Errorf("%s: %v", n.Country, err)
		}
	})
	n.stop = func() { // in the order of a node: the port last
		cancel()
		keeper.Wait()
		cut()
		port.Wait()
	}
}

func (n *node) halt() {
	if n.stop != nil {
		n.stop()
		n.stop = nil
	}
}

// within waits, in virtual time, until a condition holds.
func (f *federation) within(limit time.Duration, what string, holds func() bool) time.Duration {
	f.t.Helper()
	begin := time.Now()
	for !holds() {
		if time.Since(begin) > limit {
			for _, n := range f.nodes {
				if s := n.State(); n.stop != nil && s != nil {
					f.t.Logf("%s: entry %d, %s; %+v", n.Country, s.Seq(), s.Hash(), n.Status())
				}
			}
			f.t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(begin)
}

// propose proposes at one node and returns the entry.
func (n *node) propose(command []byte) uint64 {
	n.f.t.Helper()
	seq, err := n.Propose(context.Background(), command)
	if err != nil {
		n.f.t.Fatalf("%s proposes: %v", n.Country, err)
	}
	return seq
}

// join brings a country in, sponsored by the founder, and starts it.
func (f *federation) join(country string) *node {
	f.t.Helper()
	n, pl := f.node(country), f.nodes["PL"]
	pl.propose(pl.Invite(f.t, pl.State(), country))
	_, c := pl.Admit(f.t, pl.State(), n.Member)
	pl.propose(c)
	if _, ok := pl.State().MemberByCountry(country); ok {
		n.start()
	}
	return n
}

func (f *federation) voters(n *node, want int) bool {
	s := n.Status()
	return len(s.Voters) == want && s.Quorum
}

// same reports whether all running nodes have one registry.
func (f *federation) same() bool {
	var first *registry.State
	for _, n := range f.nodes {
		s := n.State()
		if n.stop == nil {
			continue
		}
		if first == nil {
			first = s
		}
		if s.Hash() != first.Hash() || !bytes.Equal(s.Encode(), first.Encode()) {
			return false
		}
	}
	return true
}

func three(t *testing.T) (*federation, *node, *node, *node) {
	f := newFederation(t)
	de, lt := f.join("DE"), f.join("LT")
	pl := f.nodes["PL"]
	f.within(time.Minute, "three voters", func() bool { return f.voters(pl, 3) && f.voters(de, 3) && f.voters(lt, 3) })
	return f, pl, de, lt
}

// wipe takes everything from a node but its keys and what it knows of whom to
// ask. It is started with nothing.
func (n *node) wipe() {
	n.f.t.Helper()
	n.halt()
	if err := os.RemoveAll(filepath.Join(n.dir, "raft")); err != nil {
		n.f.t.Fatal(err)
	}
	n.chain, n.empty, n.bootstrap = new(consensus.MemoryChain), true, false
	if n.heads != nil {
		n.heads = drawer{}
	}
}
