package replication

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/2ps-project/waymark/federation/identity"
)

// Limits of what is served. A first copy of a hundred thousand records fits the
// burst; what goes on beyond it is slowed down, then turned away for a moment.
const (
	perPeer      = 4        // requests for data of one peer that are answered at once
	inAll        = 16       // and of all peers
	servedRate   = 8 << 20  // bytes a second for one peer, as they travel
	servedBurst  = 96 << 20 // bytes
	servedWait   = 3 * time.Second
	requestCost  = 4 << 10 // bytes that a request counts for at least
	announceRate = 20      // announcements a second of one peer
	announces    = 400     // at once
)

// gate bounds what is served to each peer.
type gate struct {
	mu    sync.Mutex
	peers map[identity.NodeID]*served
	all   int
}

type served struct {
	running  int
	bytes    *rate.Limiter
	announce *rate.Limiter
}

func newGate() *gate { return &gate{peers: make(map[identity.NodeID]*served)} }

func (g *gate) peer(id identity.NodeID) *served {
	s := g.peers[id]
	if s == nil {
		s = &served{bytes: rate.NewLimiter(servedRate, servedBurst), announce: rate.NewLimiter(announceRate, announces)}
		g.peers[id] = s
	}
	return s
}

// enter admits a request for data. A peer that has had more than its share waits
// here for a moment, or is turned away. Who was admitted leaves.
func (g *gate) enter(ctx context.Context, id identity.NodeID) bool {
	g.mu.Lock()
	s := g.peer(id)
	if g.all >= inAll || s.running >= perPeer {
		g.mu.Unlock()
		return false
	}
	debt := -s.bytes.TokensAt(now())
	wait := time.Duration(debt / servedRate * float64(time.Second))
	if wait > servedWait {
		g.mu.Unlock()
		return false
	}
	g.all++
	s.running++
	s.bytes.ReserveN(now(), requestCost)
	g.mu.Unlock()
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		g.leave(id)
		return false
	}
}

// sent charges a peer for what it was sent.
func (g *gate) sent(id identity.NodeID, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.peer(id).bytes.ReserveN(now(), max(n-requestCost, 0))
}

func (g *gate) leave(id identity.NodeID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	g.peer(id).running--
}

// announced admits an announcement.
func (g *gate) announced(id identity.NodeID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peer(id).announce.AllowN(now(), 1)
}

// forget drops what is known of peers that left.
func (g *gate) forget(id identity.NodeID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.peers[id]; s != nil && s.running == 0 {
		delete(g.peers, id)
	}
}
