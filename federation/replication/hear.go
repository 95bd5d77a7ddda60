package replication

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
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
				r.want(m.Origin, m.Epoch, m.N, peer)
			}
		}
	}
}

// HeardHead takes a head that gossip carried.
func (r *Replicator) HeardHead(ctx context.Context, peer identity.NodeID, envelope []byte) {
	r.hear(ctx, peer, announcement{Head: envelope})
}

func (r *Replicator) heldHead(o identity.OriginID) *feed.SignedHead {
	view, err := r.o.Store.View(o)
	if err != nil {
		return nil
	}
	defer view.Close()
	return view.Head()
}

// hear takes an announcement: it applies a small change at once where it fits,
// and otherwise wants what is newer.
func (r *Replicator) hear(ctx context.Context, peer identity.NodeID, a announcement) {
	if len(a.Head) > 0 {
		r.hearHead(ctx, peer, a)
	}
	if len(a.Beat) > 0 {
		r.hearBeat(peer, a.Beat)
	}
	if a.RegistrySeq > r.o.RegistrySeq() && r.o.NewRegistry != nil {
		r.o.NewRegistry(a.RegistrySeq)
	}
}

func (r *Replicator) hearHead(ctx context.Context, peer identity.NodeID, a announcement) {
	head, err := r.o.Rules().CheckHead(a.Head)
	if err != nil {
		if h, perr := feed.ParseHead(a.Head); perr == nil && h.RegistrySeq > r.o.RegistrySeq() && r.o.NewRegistry != nil {
			r.o.NewRegistry(h.RegistrySeq) // signed under a registry that we do not know yet; it comes again
			return
		}
		r.refuse(peer, "head", err)
		return
	}
	if head.RegistrySeq > r.o.RegistrySeq() && r.o.NewRegistry != nil {
		r.o.NewRegistry(head.RegistrySeq)
	}
	held := r.heldHead(head.Origin)
	if held != nil && !newer(head, held) {
		if r.contradicts(head) {
			r.freeze(peer, head)
		}
		return
	}
	if r.Frozen(head.Origin) {
		return
	}
	if head.Origin == r.o.Own && r.o.NewerOwn != nil {
		r.o.NewerOwn(head)
	}
	if head.Origin != r.o.Own && len(a.Items) > 0 && r.inline(ctx, peer, held, head, a.Items) {
		return
	}
	r.want(head.Origin, head.Epoch, head.N, peer)
}

// contradicts reports whether another head of the same epoch and number is held.
func (r *Replicator) contradicts(head *feed.SignedHead) bool {
	view, err := r.o.Store.View(head.Origin)
	if err != nil {
		return false
	}
	defer view.Close()
	held := view.Head()
	if held == nil || held.Epoch != head.Epoch || held.N < head.N {
		return false
	}
	envelopes, err := view.Heads(head.N, 1)
	if err != nil || len(envelopes) == 0 {
		return false
	}
	same, err := feed.ParseHead(envelopes[0])
	return err == nil && same.Epoch == head.Epoch && same.N == head.N && same.Hash != head.Hash
}

// freeze stops following a feed of which two heads of one number were signed:
// the last good state stays, until the registry gives the feed a new epoch. The
// owner hears of it through NewerOwn.
func (r *Replicator) freeze(peer identity.NodeID, head *feed.SignedHead) {
	r.refuse(peer, "equivocation", feed.ErrEquivocation)
	r.mu.Lock()
	was := r.frozen[head.Origin]
	if was == nil || was.Epoch < head.Epoch {
		r.frozen[head.Origin] = head
		for _, p := range r.peers {
			p.compared = false // each is told, the owner too, who may know nothing of it
		}
		r.Poke()
	}
	r.mu.Unlock()
	if head.Origin == r.o.Own && r.o.NewerOwn != nil {
		r.o.NewerOwn(head)
	}
}

// Frozen reports whether two contradicting heads of the feed's epoch were seen,
// so that it is not followed any further.
func (r *Replicator) Frozen(o identity.OriginID) bool {
	r.mu.Lock()
	at, frozen := r.frozen[o]
	r.mu.Unlock()
	if !frozen {
		return false
	}
	epoch, active := r.o.Rules().Keys.Epoch(o)
	return active && epoch <= at.Epoch
}

// inline applies a change that came with its announcement; false when it does
// not fit onto what is held.
func (r *Replicator) inline(ctx context.Context, peer identity.NodeID, held, head *feed.SignedHead, in []item) bool {
	if held == nil && head.N != 1 || held != nil && (held.Epoch != head.Epoch || head.N != held.N+1) {
		return false
	}
	lock := r.lock(head.Origin)
	if !lock.TryLock() {
		return false // a pull is under way and will bring it
	}
	defer lock.Unlock()
	items, err := checkItems(in)
	if err != nil {
		r.refuse(peer, "record", err)
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
	if err != nil {
		if !errors.Is(err, feed.ErrOlder) && !errors.Is(err, feed.ErrMoved) {
			r.refuse(peer, "change", err)
		}
		return false
	}
	return true
}

func (r *Replicator) hearBeat(peer identity.NodeID, envelope []byte) {
	b, err := r.o.Rules().CheckBeat(envelope)
	if err != nil {
		if _, perr := feed.ParseBeat(envelope); perr != nil || !errors.Is(err, feed.ErrOrigin) {
			r.refuse(peer, "beat", err)
		}
		return
	}
	held := r.heldHead(b.Origin)
	if held == nil || held.Epoch == b.Epoch && b.N > held.N {
		r.want(b.Origin, b.Epoch, b.N, peer)
		return
	}
	if r.Frozen(b.Origin) {
		return // what it confirms is not what is held
	}
	if held.Epoch == b.Epoch && held.N == b.N && [16]byte(held.Hash[:16]) != b.Head {
		r.refuse(peer, "equivocation", feed.ErrEquivocation)
		return
	}
	if err := r.o.Store.PutBeat(b); err != nil {
		r.o.Logger.Warn("a sign of life could not be kept", "err", err)
	}
}

// want remembers that a newer head exists, and who has it.
func (r *Replicator) want(o identity.OriginID, epoch, n uint64, peer identity.NodeID) {
	if r.Frozen(o) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.wanted[o]
	if w == nil {
		w = &want{}
		r.wanted[o] = w
	}
	if epoch > w.epoch || epoch == w.epoch && n > w.n {
		w.epoch, w.n, w.after = epoch, n, time.Time{}
	}
	if i := slices.Index(w.sources, peer); i >= 0 {
		w.sources = slices.Delete(w.sources, i, i+1)
	}
	w.sources = slices.Insert(w.sources, 0, peer)
	w.sources = w.sources[:min(len(w.sources), 8)]
	if !w.running {
		r.Poke()
	}
}

// startPulls starts pulling what is wanted, as far as the limits allow.
func (r *Replicator) startPulls(ctx context.Context, wg *sync.WaitGroup) {
	now := r.o.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for o, w := range r.wanted {
		if w.running || now.Before(w.after) {
			continue
		}
		if r.pulling >= maxPulls {
			return
		}
		w.running = true
		r.pulling++
		sources := slices.Clone(w.sources)
		wg.Go(func() { r.satisfy(ctx, o, sources) })
	}
}

// satisfy pulls a feed from whoever showed the newer head, then from others.
func (r *Replicator) satisfy(ctx context.Context, o identity.OriginID, sources []identity.NodeID) {
	others := r.o.Peers()
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	for _, id := range others {
		if !slices.Contains(sources, id) {
			sources = append(sources, id)
		}
	}
	got, denied, failed := false, 0, 0
	for _, peer := range sources {
		if !slices.Contains(others, peer) {
			continue // no longer in the registry
		}
		err := r.pull(ctx, o, peer)
		if ctx.Err() != nil {
			break
		}
		switch {
		case err == nil:
			got = true
		case errors.Is(err, errNothing), errors.Is(err, feed.ErrOlder), errors.Is(err, feed.ErrMoved):
			denied++
		case wrong(err):
			failed++
			r.refuse(peer, "feed", err)
		default:
			r.o.Logger.Info("a feed could not be fetched from a peer; trying the next", "origin", o.String(), "peer", peer.String(), "err", err)
		}
		if got {
			break
		}
	}
	held, frozen := r.heldHead(o), r.Frozen(o)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pulling--
	w := r.wanted[o]
	w.running = false
	switch {
	case frozen:
		delete(r.wanted, o)
	case held != nil && (held.Epoch > w.epoch || held.Epoch == w.epoch && held.N >= w.n):
		delete(r.wanted, o)
		if got && o == r.o.Own && r.o.Adopted != nil {
			go r.o.Adopted()
		}
	case got:
		w.fails = 0
	case denied > 0 && failed == 0:
		// A hint that nobody in reach bears out. If it was true, whoever gave it
		// shows its head again when it is compared with.
		delete(r.wanted, o)
	default:
		w.after = r.o.Now().Add(retryEvery << min(w.fails, 6))
		w.fails++
	}
	r.Poke()
}

// wrong reports whether an error says that a peer sent what cannot be right,
// rather than that it could not be asked.
func wrong(err error) bool {
	for _, kind := range []error{
		feed.ErrRoot, feed.ErrMismatch, feed.ErrChain, feed.ErrTooLarge, feed.ErrFederation, feed.ErrOrigin, feed.ErrSigner,
		feed.ErrUnapproved, feed.ErrEquivocation, identity.ErrMalformed, identity.ErrBadSignature, identity.ErrUnknownKey,
		identity.ErrUnsigned, identity.ErrAlgorithm,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
