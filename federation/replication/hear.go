package replication

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Mark is how far a feed has got, as gossip tells it: a hint.
type Mark struct {
	Origin   identity.OriginID
	Epoch, N uint64
}

// Heard takes hints from gossip. What they promise is fetched and checked like
// everything else.
func (r *Replicator) Heard(peer identity.NodeID, marks []Mark) {
	for _, m := range marks {
		held := r.heldHead(m.Origin)
		if held == nil || m.Epoch > held.Epoch || m.Epoch == held.Epoch && m.N > held.N {
			if _, active := r.o.Rules().Keys.Epoch(m.Origin); active {
				r.want(m.Origin, m.Epoch, m.N, peer, false)
			}
		}
	}
}

// HeardHead takes a head that gossip carried.
func (r *Replicator) HeardHead(ctx context.Context, peer identity.NodeID, envelope []byte) {
	r.hear(ctx, peer, announcement{Head: envelope})
}

// hear takes an announcement: it applies a small change at once where it fits,
// and otherwise wants what is newer.
func (r *Replicator) hear(ctx context.Context, peer identity.NodeID, a announcement) {
	if a.RegistrySeq > r.o.RegistrySeq() && r.o.NewRegistry != nil {
		r.o.NewRegistry(a.RegistrySeq)
	}
	if len(a.Docket) > 0 {
		r.hearItems(peer, a.Docket)
	}
	if len(a.Digest) > 0 {
		r.later(func(ctx context.Context) { r.exchange(ctx, peer, a.Digest) })
	}
	if len(a.Head) > 0 {
		r.hearHead(ctx, peer, a)
	}
	if len(a.Beat) > 0 {
		r.hearBeat(peer, a.Beat)
	}
}

func (r *Replicator) hearHead(ctx context.Context, peer identity.NodeID, a announcement) {
	head, err := r.o.Rules().CheckHead(a.Head)
	if err != nil {
		r.judge(peer, a.Head, err)
		return
	}
	if head.RegistrySeq > r.o.RegistrySeq() && r.o.NewRegistry != nil {
		r.o.NewRegistry(head.RegistrySeq)
	}
	held := r.heldHead(head.Origin)
	r.compareHead(peer, head)
	if held != nil && !newer(head, held) || !r.follows(head.Origin, head.Epoch, head.N) {
		return
	}
	if head.Origin == r.o.Own && r.o.NewerOwn != nil {
		r.o.NewerOwn(head)
	}
	if head.Origin != r.o.Own && r.inline(ctx, peer, held, head, a.Items) {
		return
	}
	r.want(head.Origin, head.Epoch, head.N, peer, true)
}

// judge deals with a head that the rules turn down: what may be right later
// waits, the rest is refused.
func (r *Replicator) judge(peer identity.NodeID, envelope []byte, err error) {
	h, malformed := feed.ParseHead(envelope)
	if malformed != nil {
		r.refuse(peer, "head", err)
		r.fault(peer)
		return
	}
	if held := r.heldHead(h.Origin); held != nil && (held.Hash == h.Hash || held.Epoch > h.Epoch) {
		return // an old acquaintance that today's rules no longer let in
	}
	switch {
	case errors.Is(err, feed.ErrFuture):
		r.park(parked{head: h, peer: peer})
	case h.RegistrySeq > r.o.RegistrySeq() && r.o.NewRegistry != nil:
		// Signed under a registry that we do not know yet. That comes first.
		r.park(parked{head: h, peer: peer, registry: h.RegistrySeq})
		r.o.NewRegistry(h.RegistrySeq)
	case errors.Is(err, feed.ErrAnchor) && r.accuse(peer, h):
	default:
		r.refuse(peer, kindOf(err, "head"), err)
		if lies(err) {
			r.fault(peer)
		}
	}
}

// inline applies a change that came with its announcement; false when it does
// not fit onto what is held.
func (r *Replicator) inline(ctx context.Context, peer identity.NodeID, held, head *feed.SignedHead, in []item) bool {
	if held == nil && head.N != 1 || held != nil && head.N != held.N+1 {
		return false
	}
	if len(in) == 0 && (held == nil || head.Seq != held.Seq) {
		return false // too large to travel inside
	}
	lock := r.lock(head.Origin)
	if !lock.try() {
		return false // a pull is under way and will bring it
	}
	defer lock.unlock()
	items, err := checkItems(in)
	if err != nil {
		r.refuse(peer, "record", err)
		r.fault(peer)
		return false
	}
	view, err := r.o.Store.View(head.Origin)
	if err != nil {
		return false
	}
	v, err := r.o.Rules().Verify(view, [][]byte{head.Envelope}, items.Sort())
	view.Close()
	if err == nil {
		err = r.o.Appender.Append(ctx, v)
	}
	switch {
	case err == nil:
	case errors.Is(err, feed.ErrDamaged): // here, not there
		r.Rots(head.Origin, err)
		return false
	case errors.Is(err, feed.ErrOlder), errors.Is(err, feed.ErrMoved):
		return false
	default:
		r.refuse(peer, kindOf(err, "change"), err)
		return false
	}
	r.took(head.Origin)
	return true
}

// took is told that a feed moved on.
func (r *Replicator) took(o identity.OriginID) {
	r.mu.Lock()
	delete(r.stuck, o)
	b := r.beats[o]
	r.mu.Unlock()
	if b != nil {
		r.keepBeat(b)
	}
}

// keepBeat keeps a checked beat of what is held, and one of a later head until
// that is held.
func (r *Replicator) keepBeat(b *feed.SignedBeat) {
	held := r.heldHead(b.Origin)
	if held == nil || b.Epoch > held.Epoch || held.Epoch == b.Epoch && b.N > held.N {
		r.mu.Lock()
		defer r.mu.Unlock()
		if old := r.beats[b.Origin]; old == nil || old.Epoch < b.Epoch || old.Epoch == b.Epoch && old.Counter < b.Counter {
			r.beats[b.Origin] = b
		}
		return
	}
	r.mu.Lock()
	if r.beats[b.Origin] == b {
		delete(r.beats, b.Origin)
	}
	r.mu.Unlock()
	if held.Epoch != b.Epoch || held.N != b.N || [16]byte(held.Hash[:16]) != b.Head {
		return // what it confirms is not what is held
	}
	if err := r.o.Store.PutBeat(b); err != nil {
		r.o.Logger.Warn("a sign of life could not be kept", "err", err)
	}
}

func (r *Replicator) hearBeat(peer identity.NodeID, envelope []byte) {
	b, err := r.o.Rules().CheckBeat(envelope)
	if err != nil {
		if _, perr := feed.ParseBeat(envelope); perr != nil || !(errors.Is(err, feed.ErrOrigin) || errors.Is(err, feed.ErrEpoch) || errors.Is(err, feed.ErrFuture)) {
			r.refuse(peer, "beat", err)
			r.fault(peer)
		}
		return
	}
	if b.Origin == r.o.Own && r.o.OwnBeat != nil {
		r.o.OwnBeat(b)
	}
	held := r.heldHead(b.Origin)
	if held == nil || b.Epoch > held.Epoch || held.Epoch == b.Epoch && b.N > held.N {
		r.keepBeat(b)
		r.want(b.Origin, b.Epoch, b.N, peer, true)
		return
	}
	if held.Epoch != b.Epoch || r.Frozen(b.Origin) {
		return // what it confirms is not what is held
	}
	if held.N == b.N && [16]byte(held.Hash[:16]) != b.Head {
		r.refuse(peer, "equivocation", feed.ErrEquivocation)
		r.later(func(ctx context.Context) { r.disputed(ctx, peer, b.Origin, b.N) })
		return
	}
	r.keepBeat(b)
}

// want remembers that a newer head exists, and who has it; signed says that its
// owner's signature was seen.
func (r *Replicator) want(o identity.OriginID, epoch, n uint64, peer identity.NodeID, signed bool) {
	if !r.follows(o, epoch, n) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.wanted[o]
	if w == nil {
		w = &want{since: now()}
		r.wanted[o] = w
	}
	if epoch > w.epoch || epoch == w.epoch && n > w.n {
		w.epoch, w.n, w.after = epoch, n, time.Time{}
	}
	if signed && (epoch > w.signedEpoch || epoch == w.signedEpoch && n > w.signedN) {
		w.signedEpoch, w.signedN = epoch, n
	}
	w.round.shows(peer)
	if i := slices.Index(w.sources, peer); i >= 0 {
		w.sources = slices.Delete(w.sources, i, i+1)
	} else {
		w.after = time.Time{} // nobody has asked it yet
	}
	w.sources = slices.Insert(w.sources, 0, peer)
	w.sources = w.sources[:min(len(w.sources), maxSources)]
	if w.round == nil {
		r.Poke()
	}
}
