package replication

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// fork are two heads of one number.
type fork struct {
	a, b *feed.SignedHead
	kept bool // by the docket
}

// maxShown is how many checked heads of one feed are remembered, to be compared
// with what others show.
const maxShown = 8

// contradiction is a checked head of the same epoch and number with another
// hash: one that is held, or that a peer showed lately. Nil when there is none.
func (r *Replicator) contradiction(head *feed.SignedHead) *feed.SignedHead {
	differs := func(h *feed.SignedHead) bool {
		return h.Epoch == head.Epoch && h.N == head.N && h.Hash != head.Hash
	}
	r.mu.Lock()
	for _, h := range r.shown[head.Origin] {
		if differs(h) {
			r.mu.Unlock()
			return h
		}
	}
	r.mu.Unlock()
	view, err := r.o.Store.View(head.Origin)
	if err != nil {
		return nil
	}
	defer view.Close()
	held := view.Head()
	if held == nil || held.Epoch != head.Epoch || held.N < head.N {
		return nil
	}
	envelopes, err := view.Heads(head.N, 1)
	if err != nil || len(envelopes) == 0 {
		return nil
	}
	if same, err := feed.ParseHead(envelopes[0]); err == nil && differs(same) {
		return same
	}
	return nil
}

// accuse freezes a feed for a head that the registry's voters contradict, where the
// head that it contradicts is at hand. It counts for nothing, so nobody would be led
// astray without that; but somebody has signed it with the owner's key, and the
// owner must hear of it. It reports false where there is no evidence.
func (r *Replicator) accuse(peer identity.NodeID, head *feed.SignedHead) bool {
	other := r.contradiction(head)
	if other == nil {
		return false
	}
	f, err := r.o.Rules().CheckEvidence(feed.NewEvidence(other, head))
	if err != nil {
		return false
	}
	right, wrong := f.A, f.B
	if right.Hash == head.Hash {
		right, wrong = wrong, right
	}
	r.freeze(peer, right, wrong)
	return true
}

// compareHead looks for a contradiction of a checked head, freezes the feed when
// there is one, and remembers the head otherwise.
func (r *Replicator) compareHead(peer identity.NodeID, head *feed.SignedHead) (forked bool) {
	if other := r.contradiction(head); other != nil {
		r.freeze(peer, other, head)
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.shown[head.Origin]
	for _, h := range list {
		if h.Hash == head.Hash {
			return false
		}
	}
	if len(list) >= maxShown {
		list = append(list[:0:0], list[1:]...)
	}
	r.shown[head.Origin] = append(list, head)
	return false
}

// freeze stops following a feed of which two heads of one number were signed:
// the last good state stays, until the registry gives the feed a new epoch. The
// two heads are evidence, which every node keeps; the owner hears of it besides
// through NewerOwn.
func (r *Replicator) freeze(peer identity.NodeID, a, b *feed.SignedHead) {
	r.mu.Lock()
	was, known := r.frozen[b.Origin]
	first := !known || was.b.Epoch < b.Epoch
	if !first && was.b.N <= b.N {
		r.mu.Unlock()
		return // known, and told
	}
	r.frozen[b.Origin] = fork{a: a, b: b}
	if first {
		for _, p := range r.peers {
			p.compared = false // each is told, the owner too, who may know nothing of it
		}
		r.Poke()
	}
	r.mu.Unlock()
	r.refuse(peer, "equivocation", fmt.Errorf("%w: %d", feed.ErrEquivocation, b.N))
	r.testify(a, b)
	if b.Origin == r.o.Own && r.o.NewerOwn != nil {
		r.o.NewerOwn(b)
	}
}

// testify puts two contradicting heads into the docket.
func (r *Replicator) testify(a, b *feed.SignedHead) {
	if r.o.Docket == nil {
		return
	}
	added := false
	item, err := identity.Marshal(docketItem{Kind: itemEvidence, Body: feed.NewEvidence(a, b).Encode()})
	if err == nil {
		added, err = r.o.Docket.Add(item)
	}
	if added {
		r.Poke()
		r.later(func(ctx context.Context) { r.SpreadDocket(ctx, item) })
	}
	if err == nil {
		r.mu.Lock()
		if f, ok := r.frozen[b.Origin]; ok && f.b == b {
			f.kept = true
			r.frozen[b.Origin] = f
		}
		r.mu.Unlock()
	}
	if err != nil {
		r.o.Logger.Error("two contradicting heads of a feed could not be kept as evidence", "origin", b.Origin.String(), "n", b.N, "err", err)
	}
}

// forkedAt is from which head on a feed is not followed; false when it is.
func (r *Replicator) forkedAt(o identity.OriginID) (epoch, n uint64, forked bool) {
	keys := r.o.Rules().Keys
	epoch, active := keys.Epoch(o)
	if !active {
		return 0, 0, false
	}
	n, forked = keys.Forked(o)
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, seen := r.frozen[o]; seen && at.b.Epoch >= epoch && (!forked || at.b.N < n) {
		n, forked = at.b.N, true
	}
	return epoch, n, forked
}

// Frozen reports whether two contradicting heads of the feed's present epoch are
// known, from the registry or the docket or by what was seen here, so that it is
// followed no further than to the head before them.
func (r *Replicator) Frozen(o identity.OriginID) bool {
	_, _, forked := r.forkedAt(o)
	return forked
}

// follows reports whether a head may be fetched at all. Who holds nothing of
// the epoch takes a frozen feed as it is, and shows it as frozen; who is behind what
// is on record takes that.
func (r *Replicator) follows(o identity.OriginID, epoch, n uint64) bool {
	at, from, forked := r.forkedAt(o)
	if !forked || epoch > at || epoch == at && n < from {
		return true
	}
	anchors := r.o.Rules().Keys.Anchors(o, at)
	if len(anchors) > 0 && anchors[len(anchors)-1] >= n && epoch == at {
		return true // what is on record no forgery can hold up
	}
	held := r.heldHead(o)
	return held == nil || held.Epoch < at
}

// disputed asks a peer for its head of number n, of which it told a hash that
// is not the one held here. A hash proves nothing; two signed heads do.
func (r *Replicator) disputed(ctx context.Context, peer identity.NodeID, o identity.OriginID, n uint64) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var c chain
	if err := r.call(ctx, peer, http.MethodGet, fmt.Sprintf("/r1/o/%s/heads?from=%d", o, n), nil, &c); err != nil || len(c.Heads) == 0 {
		return
	}
	head, err := r.o.Rules().CheckHead(c.Heads[0])
	switch {
	case err == nil && head.Origin == o:
		r.compareHead(peer, head)
	case errors.Is(err, feed.ErrAnchor):
		r.judge(peer, c.Heads[0], err)
	}
}

const callTimeout = 20 * time.Second
