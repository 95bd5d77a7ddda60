// Package replication fetches what is missing of every feed and serves what is
// here: any peer serves any feed, and nothing that a peer says is believed.
//
// A publish is pushed at once to the peers that can be reached. That is a hint;
// the guarantee is the pull: heads are compared with peers at start, every few
// minutes, and as soon as a peer that was out of reach answers again.
package replication

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// How often peers are asked, and how long they are waited for.
const (
	compareEvery = 5 * time.Minute // give or take half of it
	probeEvery   = 3 * time.Second // a peer that is out of reach
	beatEvery    = time.Hour
	probeTimeout = 4 * time.Second
	pushTimeout  = 5 * time.Second
	maxPush      = 32               // peers that are told directly; gossip tells the rest
	maxPulls     = 4                // feeds that are pulled at once
	retryEvery   = 10 * time.Second // after a round in vain; then twice as long each time, up to 64 times
	confirmers   = 2                // peers that must show our own head before a quarantine ends
	downFor      = 6 * time.Second  // after which a peer counts as out of reach: longer than a restart takes
)

// Options say what to replicate, with whom, and who checks it.
type Options struct {
	Own         identity.OriginID // the feed that this node's country publishes
	Store       feed.Store
	Appender    feed.Appender
	Rules       func() feed.Rules                           // as the registry is known now
	RegistrySeq func() uint64                               // the registry's sequence number as known here
	Peers       func() []identity.NodeID                    // the other active nodes
	Client      *http.Client                                // of package transport
	Reset       func(identity.NodeID)                       // drops pooled connections to a peer before it is probed; may be nil
	Shared      func(func())                                // runs a read of the own feed when its head may be seen; may be nil
	Beat        func() (*feed.SignedBeat, error)            // signs a beat of the own feed; may be nil
	NewerOwn    func(*feed.SignedHead)                      // a peer shows an own head that is newer than what is here, or contradicts it; may be nil
	Adopted     func()                                      // the own feed was fetched back from a peer, or peers show the same own head as is here; may be nil
	NewRegistry func(seq uint64)                            // a peer knows more of the registry; may be nil
	Gossip      func(origin identity.OriginID, head []byte) // spreads a hint further; may be nil
	Logger      *slog.Logger
	Now         func() time.Time // time.Now when nil
}

// Replicator keeps feeds in step with peers.
type Replicator struct {
	o       Options
	codec   *codec
	serving *gate
	wake    chan struct{}

	mu      sync.Mutex
	peers   map[identity.NodeID]*peerState
	wanted  map[identity.OriginID]*want
	locks   map[identity.OriginID]*sync.Mutex
	refused map[string]uint64
	pulling int
	agreed  map[identity.NodeID]identity.Hash      // the own head that a peer showed last
	frozen  map[identity.OriginID]*feed.SignedHead // a head that contradicts one that is held

	met  chan struct{} // closed when every peer was asked once
	meet func()        // closes met
}

// peerState is what is known of a peer's reach. A hint, never proof.
type peerState struct {
	down     bool
	since    time.Time // when it went down
	compared bool      // since it was last new or down
	asked    bool      // at least once, with or without an answer
	doubted  time.Time // when a connection with it was lost; zero since it last answered
	busy     bool      // being probed
	next     time.Time
}

// want is a feed of which someone showed a newer head.
type want struct {
	epoch, n uint64
	sources  []identity.NodeID // who showed it, newest first
	running  bool
	after    time.Time // not before
	fails    int       // rounds in a row that brought nothing
}

// New makes a replicator. Run starts it.
func New(o Options) (*Replicator, error) {
	if o.Store == nil || o.Appender == nil || o.Rules == nil || o.Peers == nil || o.Client == nil || o.RegistrySeq == nil {
		return nil, errors.New("replication: an option is missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Replicator{
		o: o, codec: newCodec(), serving: newGate(), wake: make(chan struct{}, 1),
		peers:   make(map[identity.NodeID]*peerState),
		wanted:  make(map[identity.OriginID]*want),
		locks:   make(map[identity.OriginID]*sync.Mutex),
		refused: make(map[string]uint64),
		agreed:  make(map[identity.NodeID]identity.Hash),
		frozen:  make(map[identity.OriginID]*feed.SignedHead),
		met:     make(chan struct{}),
	}
	r.meet = sync.OnceFunc(func() { close(r.met) })
	return r, nil
}

// Run replicates until ctx ends. It returns when all that it started has ended.
func (r *Replicator) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	beat := time.NewTimer(jitter(time.Minute))
	defer beat.Stop()
	compare := time.NewTimer(jitter(compareEvery))
	defer compare.Stop()
	r.Poke()
	for {
		r.startPulls(ctx, &wg)
		r.startProbes(ctx, &wg)
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-tick.C:
		case <-beat.C:
			beat.Reset(beatEvery)
			wg.Go(func() { r.beat(ctx) })
		case <-compare.C:
			compare.Reset(jitter(compareEvery))
			if peer, ok := r.randomPeer(); ok {
				wg.Go(func() { r.compare(ctx, peer) })
			}
		}
	}
}

// jitter is d give or take half of it, so that nodes do not march in step.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// Poke looks at the registry's peers at once: new ones are compared with.
func (r *Replicator) Poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Replicator) lock(o identity.OriginID) *sync.Mutex {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.locks[o] == nil {
		r.locks[o] = new(sync.Mutex)
	}
	return r.locks[o]
}

// refuse counts what was turned away, by kind. The log names the peer, which is
// a node of the federation and never a reader.
func (r *Replicator) refuse(peer identity.NodeID, what string, err error) {
	r.mu.Lock()
	r.refused[what]++
	r.mu.Unlock()
	r.o.Logger.Warn("refused what a peer sent", "peer", peer.String(), "what", what, "err", err)
}

// Refused is how many things of each kind were turned away since the start.
func (r *Replicator) Refused() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]uint64, len(r.refused))
	for k, v := range r.refused {
		out[k] = v
	}
	return out
}

// Met is closed when every peer that was known at the start has been asked for
// its heads once: what they show of the own feed is known by then.
func (r *Replicator) Met() <-chan struct{} { return r.met }

// Doubt is told that a connection with a peer was lost: it is asked again soon,
// so that its absence is known long before there is something to tell it.
func (r *Replicator) Doubt(peer identity.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.peers[peer]; p != nil && !p.down && p.compared {
		p.compared, p.doubted = false, r.o.Now()
		r.Poke()
	}
}

// Behind reports whether someone showed a newer head of the feed than is held.
func (r *Replicator) Behind(o identity.OriginID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wanted[o] != nil
}

// Unreachable lists the peers that have not answered for a while: longer than a
// restart takes.
func (r *Replicator) Unreachable() []identity.NodeID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []identity.NodeID
	for id, p := range r.peers {
		if p.down && r.o.Now().Sub(p.since) >= downFor {
			out = append(out, id)
		}
	}
	return out
}

// gate bounds the requests that are served at once.
type gate struct {
	mu    sync.Mutex
	peers map[identity.NodeID]int
	all   int
}

func newGate() *gate { return &gate{peers: make(map[identity.NodeID]int)} }

func (g *gate) enter(peer identity.NodeID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= inAll || g.peers[peer] >= perPeer {
		return false
	}
	g.all++
	g.peers[peer]++
	return true
}

func (g *gate) leave(peer identity.NodeID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.peers[peer]--; g.peers[peer] == 0 {
		delete(g.peers, peer)
	}
}
