package replication

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// A source that was slow or lied is tried after all others for a while, and for
// twice as long after each further time.
const (
	lastFor   = 5 * time.Minute
	maxFaults = 6 // times that still double it
)

// order lists whom to ask for a feed: who showed the head first, the latest of
// them at the front; then the others at random; nodes of the owner after them,
// since everybody would ask those at once; who was slow or lied at the very end.
// A peer that was the only one to show the head comes first even when it is the
// owner: nobody else may have it yet.
func (r *Replicator) order(o identity.OriginID, sources []identity.NodeID) []identity.NodeID {
	known := slices.Clone(r.o.Peers())
	rand.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	shown := slices.DeleteFunc(slices.Clone(sources), func(id identity.NodeID) bool { return !slices.Contains(known, id) })
	if len(shown) > 2 {
		rest := shown[1:]
		rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	}
	out := shown
	for _, id := range known {
		if !slices.Contains(shown, id) {
			out = append(out, id)
		}
	}
	moment := now()
	r.mu.Lock()
	defer r.mu.Unlock()
	rank := func(id identity.NodeID) int {
		n := 0
		if !slices.Contains(shown, id) {
			n += 2
		}
		if r.o.Owner != nil && len(shown) != 1 && r.o.Owner(id, o) {
			n++
		}
		if p := r.peers[id]; p != nil {
			if p.active >= perSource || p.down {
				n += 4
			}
			if moment.Before(p.last) {
				n += 8
			}
		}
		return n
	}
	slices.SortStableFunc(out, func(a, b identity.NodeID) int { return rank(a) - rank(b) })
	return out
}

// fault makes a peer be tried last for a while.
func (r *Replicator) fault(peer identity.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.peers[peer]; p != nil {
		p.last = now().Add(lastFor << min(p.faults, maxFaults))
		p.faults++
	}
}

// served clears a peer that brought what it promised.
func (r *Replicator) served(peer identity.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.peers[peer]; p != nil {
		p.faults, p.last = 0, time.Time{}
	}
}

// slot waits for one of the few pulls that one peer is asked for at once.
func (r *Replicator) slot(ctx context.Context, peer identity.NodeID) (release func(), ok bool) {
	r.mu.Lock()
	p := r.peers[peer]
	if p == nil {
		p = newPeer()
		r.peers[peer] = p
	}
	r.mu.Unlock()
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, false
	}
	r.mu.Lock()
	p.active++
	r.mu.Unlock()
	return func() {
		r.mu.Lock()
		p.active--
		r.mu.Unlock()
		<-p.slots
	}, true
}

// Errors of sources.
var (
	// errHere is returned when what is wanted has come in another way.
	errHere = errors.New("what is wanted is held")
	// errNothing is returned when the peer has nothing newer.
	errNothing = errors.New("the peer has nothing newer")
	// errPassed is returned when the peer has something newer, but not what was
	// begun to be fetched from another.
	errPassed = errors.New("the peer is not as far as the one before")
	// errSlow is returned when a source is so slow that another goes on.
	errSlow = errors.New("the peer sends too slowly")
	// errTurn is returned when a source has sent for long while others wait.
	errTurn = errors.New("another peer goes on")
	// errBusy is returned when the peer serves as many as it can, or this node
	// has had its share.
	errBusy = errors.New("the peer is busy")
	// errShifted is returned when the peer's feed moved on while it was read.
	errShifted = errors.New("the peer's feed moved on while it was read")
	// errShort is returned when a peer's chain of heads does not reach back to
	// ours, and no anchor bridges the gap.
	errShort = errors.New("the heads between what is held here and what the peer has are missing, and the registry bridges no gap")
	// errRotten is returned when what is held here is damaged.
	errRotten = errors.New("what is held here does not add up to its own head")
)

// lies reports whether an error says that a peer sent what cannot be right,
// rather than that it could not be asked or does not know better.
func lies(err error) bool {
	for _, kind := range []error{
		feed.ErrRoot, feed.ErrMismatch, feed.ErrTooLarge, feed.ErrFederation, feed.ErrSigner, identity.ErrMalformed,
		identity.ErrBadSignature, identity.ErrUnknownKey, identity.ErrUnsigned, identity.ErrAlgorithm,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// wrong reports whether an error says that what a peer sent is against the
// rules, whoever is to blame: many rules are for the owner to break.
func wrong(err error) bool {
	for _, kind := range []error{
		feed.ErrChain, feed.ErrOrigin, feed.ErrUnapproved, feed.ErrEquivocation, feed.ErrEpoch, feed.ErrForked,
		feed.ErrRevoked, feed.ErrEmpty, feed.ErrTooMany, feed.ErrQuota,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return lies(err)
}

// kindOf names a refusal for the counters.
func kindOf(err error, otherwise string) string {
	for _, k := range []struct {
		err  error
		name string
	}{
		{feed.ErrAnchor, "anchor"}, {feed.ErrEquivocation, "equivocation"}, {feed.ErrUnapproved, "unapproved"},
		{feed.ErrForked, "forked"}, {feed.ErrRevoked, "revoked"}, {feed.ErrTooMany, "burst"}, {feed.ErrQuota, "quota"},
		{feed.ErrEpoch, "epoch"}, {feed.ErrOrigin, "origin"},
	} {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return otherwise
}
