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
	tendEvery    = time.Minute // look whether a feed must go back or be repaired
	probeTimeout = 4 * time.Second
	pushTimeout  = 5 * time.Second
	maxPush      = 32               // peers that are told directly; gossip tells the rest
	maxPulls     = 4                // feeds that are pulled at once
	perSource    = 2                // of them from one peer
	maxSources   = 32               // peers remembered to have shown a head
	retryEvery   = 10 * time.Second // after a round in vain; then twice as long each time, up to 64 times
	confirmers   = 2                // peers that must show our own head before a quarantine ends
	downFor      = 6 * time.Second  // after which a peer counts as out of reach: longer than a restart takes
)

// Docket is the evidence and the rulings that a node keeps. It checks what it
// is given by itself.
type Docket interface {
	// Digest names everything that is kept: equal digests, equal dockets.
	Digest() [16]byte
	// Items are items in a fixed order from after on, about maxBytes of them,
	// and where to go on; next is nil after the last.
	Items(after []byte, maxBytes int) (items [][]byte, next []byte)
	// Add checks an item and keeps it; added is false when it was there.
	Add(item []byte) (added bool, err error)
}

// Options say what to replicate, with whom, and who checks it.
type Options struct {
	Own         identity.OriginID // the feed that this node's country publishes
	Store       feed.Store
	Appender    feed.Appender
	Rules       func() feed.Rules                             // as the registry is known now
	RegistrySeq func() uint64                                 // the registry's sequence number as known here
	Peers       func() []identity.NodeID                      // the other active nodes
	Client      *http.Client                                  // of package transport
	Reset       func(identity.NodeID)                         // drops pooled connections to a peer before it is probed; may be nil
	Owner       func(identity.NodeID, identity.OriginID) bool // whether a peer belongs to the origin: such peers are asked last; may be nil
	Docket      Docket                                        // may be nil
	Shared      func(func())                                  // runs a read of the own feed when its head may be seen; may be nil
	// Hold keeps the publisher of the own feed from it, which holds the head that
	// is returned, until release is called; may be nil.
	Hold        func(context.Context) (held *feed.SignedHead, release func(), err error)
	Beat        func() (*feed.SignedBeat, error)            // signs a beat of the own feed; may be nil
	OwnBeat     func(*feed.SignedBeat)                      // a peer shows a beat of the own feed, which only a copy of this node or its past signs; may be nil
	NewerOwn    func(*feed.SignedHead)                      // a peer shows an own head that is newer than what is here, or contradicts it; may be nil
	Adopted     func()                                      // the own feed was fetched back from a peer, or peers show the same own head as is here; may be nil
	NewRegistry func(seq uint64)                            // a peer knows more of the registry; may be nil
	Gossip      func(origin identity.OriginID, head []byte) // spreads a hint further; may be nil
	Logger      *slog.Logger
	Now         func() time.Time // this machine's clock; time.Now when nil
}

// Replicator keeps feeds in step with peers.
type Replicator struct {
	o       Options
	codec   *codec
	serving *gate
	traffic *traffic
	wake    chan struct{}
	tasks   chan func(context.Context) // for Run to start
	work    sync.WaitGroup             // what Run started and what that started

	mu      sync.Mutex
	peers   map[identity.NodeID]*peerState
	wanted  map[identity.OriginID]*want
	locks   map[identity.OriginID]feedLock
	refused map[string]uint64
	pulling int
	agreed  map[identity.NodeID]identity.Hash        // the own head that a peer showed last
	frozen  map[identity.OriginID]fork               // seen here, at their lowest number
	shown   map[identity.OriginID][]*feed.SignedHead // the last checked heads that peers showed
	beats   map[identity.OriginID]*feed.SignedBeat   // of heads that are not held yet
	parked  []parked
	rotten  map[identity.OriginID]*rot
	stuck   map[identity.OriginID]error // why a feed stays behind although its head is known
	tended  tended

	met  chan struct{} // closed when every peer was asked once
	meet func()        // closes met
}

// want is a feed of which someone showed a newer head.
type want struct {
	epoch, n uint64
	sources  []identity.NodeID // who showed it, newest first
	pull     *pull             // what was fetched so far; owned by the round while one runs
	round    *round            // the one that runs; nil while none does
	after    time.Time         // not before
	fails    int               // rounds in a row that brought nothing
	since    time.Time         // it was wanted first

	signedEpoch, signedN uint64 // of the newest head that a signature proves
}

// met reports whether what is held is as new as what is wanted.
func (w *want) met(held *feed.SignedHead) bool {
	return held != nil && (held.Epoch > w.epoch || held.Epoch == w.epoch && held.N >= w.n)
}

// proven reports whether a head that is newer than what is held was signed, as
// far as is known here.
func (w *want) proven(held *feed.SignedHead) bool {
	if held == nil {
		return w.signedN > 0
	}
	return w.signedEpoch > held.Epoch || w.signedEpoch == held.Epoch && w.signedN > held.N
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
		o: o, codec: newCodec(), serving: newGate(), traffic: newTraffic(), wake: make(chan struct{}, 1), tasks: make(chan func(context.Context), 64),
		peers:   make(map[identity.NodeID]*peerState),
		wanted:  make(map[identity.OriginID]*want),
		locks:   make(map[identity.OriginID]feedLock),
		refused: make(map[string]uint64),
		agreed:  make(map[identity.NodeID]identity.Hash),
		frozen:  make(map[identity.OriginID]fork),
		shown:   make(map[identity.OriginID][]*feed.SignedHead),
		beats:   make(map[identity.OriginID]*feed.SignedBeat),
		rotten:  make(map[identity.OriginID]*rot),
		stuck:   make(map[identity.OriginID]error),
		met:     make(chan struct{}),
	}
	r.meet = sync.OnceFunc(func() { close(r.met) })
	return r, nil
}

// Run replicates until ctx ends. It returns when all that it started has ended.
func (r *Replicator) Run(ctx context.Context) error {
	defer r.dropPulls()
	defer r.work.Wait()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	beat := time.NewTimer(jitter(time.Minute))
	defer beat.Stop()
	compare := time.NewTimer(jitter(compareEvery))
	defer compare.Stop()
	r.Poke()
	for {
		r.unpark(ctx)
		r.tend(ctx)
		r.startPulls(ctx)
		r.startProbes(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-tick.C:
		case f := <-r.tasks:
			r.work.Go(func() { f(ctx) })
		case <-beat.C:
			beat.Reset(beatEvery)
			r.work.Go(func() { r.beat(ctx) })
		case <-compare.C:
			compare.Reset(jitter(compareEvery))
			if peer, ok := r.randomPeer(); ok {
				r.work.Go(func() { r.compare(ctx, peer) })
			}
		}
	}
}

// jitter is d give or take half of it, so that nodes do not march in step.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// now is the moment for timeouts and pauses. It is not the clock of Options: a
// clock that is set back must not make a node wait for what is long over.
func now() time.Time { return time.Now() }

// later has Run start something that must outlive the request that led to it.
// With too much of it waiting it is left out: all of it is hints.
func (r *Replicator) later(f func(context.Context)) {
	select {
	case r.tasks <- f:
	default:
	}
}

// Poke looks at the registry, the docket and the peers at once: new ones are
// compared with.
func (r *Replicator) Poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// refuse counts what was turned away, by kind. The log names the peer, which is
// a node of the federation and never a reader.
func (r *Replicator) refuse(peer identity.NodeID, what string, err error) {
	r.mu.Lock()
	r.refused[what]++
	r.mu.Unlock()
	r.o.Logger.Warn("refused what a peer sent", "peer", peer.String(), "what", what, "err", err)
}

// heldHead is the newest head that is held of a feed; nil when there is none.
func (r *Replicator) heldHead(o identity.OriginID) *feed.SignedHead {
	view, err := r.o.Store.View(o)
	if err != nil {
		return nil
	}
	defer view.Close()
	return view.Head()
}

func newer(a, b *feed.SignedHead) bool {
	return a.Epoch > b.Epoch || a.Epoch == b.Epoch && a.N > b.N
}
