package replication

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// startProbes compares with peers that are new, or were out of reach when last
// asked, and forgets those that left the registry.
func (r *Replicator) startProbes(ctx context.Context) {
	moment := now()
	known := r.o.Peers()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.peers {
		if !slices.Contains(known, id) {
			delete(r.peers, id)
			delete(r.agreed, id)
			r.serving.forget(id)
		}
	}
	met := true
	for _, id := range known {
		p := r.peers[id]
		if p == nil {
			p = newPeer()
			r.peers[id] = p
		}
		met = met && p.asked
		if p.busy || p.compared && !p.down || moment.Before(p.next) {
			continue
		}
		p.busy, p.next = true, moment.Add(probeEvery)
		down := p.down
		r.work.Go(func() {
			if down && r.o.Reset != nil {
				r.o.Reset(id) // a connection from before the cut may hang for long
			}
			r.compare(ctx, id)
			r.mu.Lock()
			first := !p.asked
			p.busy, p.asked = false, true
			r.mu.Unlock()
			if first {
				r.Poke()
			}
		})
	}
	if met {
		r.meet()
	}
}

// peerState is what is known of a peer. A hint, never proof.
type peerState struct {
	down     bool
	since    time.Time // when it went down
	compared bool      // since it was last new or down
	asked    bool      // at least once, with or without an answer
	doubted  time.Time // when a connection with it was lost; zero since it last answered
	busy     bool      // being probed
	next     time.Time

	slots  chan struct{} // pulls from it
	active int
	faults int       // times that it was slow or lied, in a row
	last   time.Time // tried after all others until then

	clock   time.Duration // how far this machine's clock is ahead of its
	clockAt time.Time     // when that was measured; zero when never
	dockets exchanged
}

func newPeer() *peerState { return &peerState{slots: make(chan struct{}, perSource)} }

// Doubt is told that a connection with a peer was lost: it is asked again soon,
// so that its absence is known long before there is something to tell it.
func (r *Replicator) Doubt(peer identity.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.peers[peer]; p != nil && !p.down && p.compared {
		p.compared, p.doubted = false, now()
		r.Poke()
	}
}

func (r *Replicator) randomPeer() (identity.NodeID, bool) {
	known := r.o.Peers()
	if len(known) == 0 {
		return identity.NodeID{}, false
	}
	return known[rand.IntN(len(known))], true
}

// down reports whether a peer was out of reach last. The caller holds the lock.
func (r *Replicator) down(peer identity.NodeID) bool {
	p := r.peers[peer]
	return p != nil && p.down
}

// reached is told that a peer was heard of by other means than a comparison.
func (r *Replicator) reached(peer identity.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.peers[peer]; p != nil && p.down {
		r.back(p, peer)
		p.compared, p.next = false, time.Time{} // compare with it now
		r.Poke()
	}
}

// back notes that a peer is in reach again: what could not be had may be had from
// it. The caller holds the lock.
func (r *Replicator) back(p *peerState, peer identity.NodeID) {
	p.down = false
	for _, w := range r.wanted {
		w.after = time.Time{}
		w.round.shows(peer)
	}
}

func (r *Replicator) missed(peer identity.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.peers[peer]; p != nil && !p.down {
		p.down, p.since = true, now()
		if !p.doubted.IsZero() {
			p.since = p.doubted
		}
		p.next = now().Add(probeEvery)
	}
}

// compare asks a peer for its heads, wants what is newer there, and tells it of
// what is newer here.
func (r *Replicator) compare(ctx context.Context, peer identity.NodeID) {
	ask, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var theirs heads
	before := r.o.Now()
	if err := r.call(ask, peer, http.MethodGet, "/r1/heads", nil, &theirs); err != nil {
		if ctx.Err() == nil {
			r.missed(peer)
		}
		return
	}
	after := r.o.Now()
	r.mu.Lock()
	if p := r.peers[peer]; p != nil {
		if took := after.Sub(before); theirs.Clock > 0 && took >= 0 && took < probeTimeout {
			p.clock, p.clockAt = before.Add(took/2).Sub(time.Unix(theirs.Clock, 0)).Truncate(time.Second), now()
		}
		if p.down {
			r.back(p, peer)
		}
		p.compared, p.doubted = true, time.Time{}
	}
	r.mu.Unlock()
	if theirs.RegistrySeq > r.o.RegistrySeq() && r.o.NewRegistry != nil {
		r.o.NewRegistry(theirs.RegistrySeq)
	}
	r.exchange(ctx, peer, theirs.Docket) // first, since it says what is forked
	shown := make(map[identity.OriginID]*feed.SignedHead)
	for _, st := range theirs.Feeds[:min(len(theirs.Feeds), maxFeeds)] {
		r.hear(ctx, peer, announcement{Head: st.Head, Beat: st.Beat})
		if h, err := feed.ParseHead(st.Head); err == nil {
			shown[h.Origin] = h
		}
	}
	r.confirm(peer, shown[r.o.Own])
	ours, err := r.states()
	if err != nil {
		return
	}
	for _, st := range ours {
		h, err := feed.ParseHead(st.Head)
		if err != nil {
			continue
		}
		if t := shown[h.Origin]; t == nil || newer(h, t) {
			r.push(ctx, peer, announcement{Head: st.Head, Beat: st.Beat})
		}
	}
	r.mu.Lock()
	proofs := slices.Collect(maps.Values(r.frozen))
	r.mu.Unlock()
	for _, f := range proofs {
		r.push(ctx, peer, announcement{Head: f.b.Envelope})
	}
}

// confirm notes the own head that a peer showed. When enough peers show just the
// one that is here, and nobody a newer one, a quarantine has no reason left.
func (r *Replicator) confirm(peer identity.NodeID, shown *feed.SignedHead) {
	if r.o.Adopted == nil || shown == nil {
		return
	}
	held, all := r.heldHead(r.o.Own), len(r.o.Peers())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.agreed[peer] = shown.Hash
	if held == nil || held.Hash != shown.Hash || r.wanted[r.o.Own] != nil {
		return
	}
	n := 0
	for _, hash := range r.agreed {
		if hash == held.Hash {
			n++
		}
	}
	if n >= min(confirmers, all) {
		r.work.Go(r.o.Adopted)
	}
}

// push tells one peer.
func (r *Replicator) push(ctx context.Context, peer identity.NodeID, a announcement) {
	ask, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	if err := r.call(ask, peer, http.MethodPost, "/r1/announce", a, nil); err != nil && ctx.Err() == nil {
		r.missed(peer)
		return
	}
}

// tell pushes to the peers that were reachable last, at most maxPush of them,
// but one, and lets gossip do the rest.
func (r *Replicator) tell(ctx context.Context, but identity.NodeID, a announcement) {
	peers := slices.DeleteFunc(slices.Clone(r.o.Peers()), func(id identity.NodeID) bool { return id == but })
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	var wg sync.WaitGroup
	for _, peer := range peers[:min(len(peers), maxPush)] {
		wg.Go(func() { r.push(ctx, peer, a) })
	}
	wg.Wait()
}

// announcementOf is a step as peers are told of it, with its changes when they
// are small.
func announcementOf(v *feed.Verified) announcement {
	a := announcement{Head: v.Head().Envelope}
	if items, ok := v.Delta().(feed.Items); ok {
		size := 0
		for _, i := range items {
			size += len(i.Raw()) + 64
			a.Items = append(a.Items, item{Change: i.Change(), Record: i.Raw()})
		}
		if size > inlineBytes {
			a.Items = nil
		}
	}
	return a
}

// Announce spreads a head that was just published. It returns when every peer
// answered or was given up on.
func (r *Replicator) Announce(ctx context.Context, v *feed.Verified) {
	if r.o.Gossip != nil {
		r.o.Gossip(v.Origin(), v.Head().Envelope)
	}
	r.tell(ctx, identity.NodeID{}, announcementOf(v))
}

// Relay tells some peers of a step that was just taken from others: those that
// hear of little but through this node. It returns when each answered or was
// given up on.
func (r *Replicator) Relay(ctx context.Context, v *feed.Verified, peers []identity.NodeID) {
	a := announcementOf(v)
	var wg sync.WaitGroup
	for _, peer := range peers {
		wg.Go(func() { r.push(ctx, peer, a) })
	}
	wg.Wait()
}

// SpreadRegistry tells peers how far the registry has got here.
func (r *Replicator) SpreadRegistry(ctx context.Context, seq uint64) {
	r.tell(ctx, identity.NodeID{}, announcement{RegistrySeq: seq})
}

// beat signs that the own feed still stands, and spreads it.
func (r *Replicator) beat(ctx context.Context) {
	if r.o.Beat == nil {
		return
	}
	b, err := r.o.Beat()
	if err != nil {
		r.o.Logger.Warn("the hourly sign of life could not be signed", "err", err)
		return
	}
	if b != nil {
		r.tell(ctx, identity.NodeID{}, announcement{Beat: b.Envelope})
	}
}
