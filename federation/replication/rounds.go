package replication

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// startPulls starts pulling what is wanted, as far as the limits allow.
func (r *Replicator) startPulls(ctx context.Context) {
	moment := now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for o, w := range r.wanted {
		if w.round != nil || moment.Before(w.after) {
			continue
		}
		if r.pulling >= maxPulls {
			return
		}
		out := &round{tried: make(map[identity.NodeID]bool), denied: make(map[identity.NodeID]bool), asked: make(map[identity.NodeID]int)}
		w.round = out
		r.pulling++
		if w.pull == nil {
			w.pull = &pull{r: r, origin: o}
		}
		p, fails, n := w.pull, w.fails, w.n
		r.work.Go(func() { r.satisfy(ctx, p, out, fails, n) })
	}
}

// maxAsks is how often one source is asked in a round. It is asked again when it
// shows a newer head after it was asked: its answer may be from before that.
const maxAsks = 3

// round is asking one source after another, and what came of it.
type round struct {
	got, moved bool // the feed is newer; something was fetched
	again      bool // it was newer before we were
	passed     bool // who has something newer does not have what was begun
	full       bool // our own store did not take what was fetched
	failed     int
	stuck      error

	// By the replicator's lock, since hints come in meanwhile:
	tried  map[identity.NodeID]bool // asked since they showed something last
	denied map[identity.NodeID]bool // of these, who has nothing newer than what is held
	asked  map[identity.NodeID]int
	woken  bool // there is more to be had than there was when it began
}

// shows is told of a hint: whatever the peer answered before is out of date. The
// caller holds the replicator's lock.
func (out *round) shows(peer identity.NodeID) {
	if out == nil {
		return
	}
	delete(out.tried, peer)
	delete(out.denied, peer)
	out.woken = true
}

// satisfy pulls a feed from whoever showed the newer head, then from others, each
// of which goes on where the one before stopped. Sources that turn up meanwhile
// are asked too.
func (r *Replicator) satisfy(ctx context.Context, p *pull, out *round, fails int, n uint64) {
	o, before := p.origin, p.fetched.Load()
	p.patience = callTimeout << min(fails, 3) // a slow line of our own must not stop everything
	for !out.got {
		peer, ok := r.untried(o, out, false)
		if !ok {
			break
		}
		release, ok := r.slot(ctx, peer)
		if !ok {
			break
		}
		r.mu.Lock()
		out.tried[peer] = true
		out.asked[peer]++
		r.mu.Unlock()
		err := p.from(ctx, peer, n, func() bool { next, more := r.untried(o, out, true); return more && next != peer })
		release()
		if ctx.Err() != nil || errors.Is(err, errHere) {
			break
		}
		if storage(err) {
			out.full = true
			r.o.Logger.Warn("what was fetched of a feed could not be stored; it is kept and tried again", "origin", o.String(), "err", err)
			break // it is no peer's fault, and another one cannot mend it
		}
		r.note(peer, o, err, out)
	}
	out.moved = p.fetched.Load() != before
	r.settle(p, out)
}

// has reports whether what is wanted of a feed is held.
func (r *Replicator) has(o identity.OriginID, held *feed.SignedHead) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.wanted[o]
	return w != nil && w.met(held)
}

// untried is the next peer to ask for a feed; with up set, one that was in reach
// last.
func (r *Replicator) untried(o identity.OriginID, out *round, up bool) (identity.NodeID, bool) {
	r.mu.Lock()
	var sources []identity.NodeID
	if w := r.wanted[o]; w != nil {
		sources = slices.Clone(w.sources)
	}
	r.mu.Unlock()
	order := r.order(o, sources)
	r.mu.Lock()
	defer r.mu.Unlock()
	best, found := identity.NodeID{}, false
	for _, id := range order { // who was not asked at all before who is asked again
		if !out.tried[id] && out.asked[id] < maxAsks && !(up && r.down(id)) && (!found || out.asked[id] < out.asked[best]) {
			best, found = id, true
		}
	}
	return best, found
}

// note keeps account of what one source did.
func (r *Replicator) note(peer identity.NodeID, o identity.OriginID, err error, out *round) {
	switch {
	case err == nil:
		out.got = true
		r.served(peer)
		r.took(o)
	case errors.Is(err, feed.ErrMoved):
		out.again = true
	case errors.Is(err, errNothing), errors.Is(err, feed.ErrOlder):
		r.mu.Lock()
		defer r.mu.Unlock()
		if out.tried[peer] { // otherwise it showed something while it was asked
			out.denied[peer] = true
		}
	case errors.Is(err, errPassed):
		out.passed = true
	case errors.Is(err, errShort):
		out.failed++
		out.stuck = err
	case wrong(err):
		out.failed++
		r.refuse(peer, kindOf(err, "feed"), err)
		if lies(err) {
			r.fault(peer)
		}
	default:
		if errors.Is(err, errSlow) || errors.Is(err, context.DeadlineExceeded) {
			r.fault(peer)
		}
		r.o.Logger.Info("a feed could not be fetched from a peer; trying the next", "origin", o.String(), "peer", peer.String(), "err", err)
	}
}

// keepFails is how many rounds in vain what was fetched is kept for.
const keepFails = 6

// passedFails is how many rounds in vain it is kept for while there is something
// else to be had that is newer than what is held.
const passedFails = 2

// nobody reports whether nobody in reach has what is wanted, as far as they say. A
// head or a beat that was shown proves that the head exists: then whoever is in
// reach must have said no since. A mere number counts for less: nobody says yes.
// Whoever is out of reach is compared with as soon as that changes. The caller
// holds the lock.
func (r *Replicator) nobody(proven bool, out *round, known []identity.NodeID) bool {
	if len(out.denied) == 0 || out.failed > 0 || out.again || out.passed {
		return false
	}
	if proven {
		return !slices.ContainsFunc(known, func(id identity.NodeID) bool { return !out.denied[id] && !r.down(id) })
	}
	return !out.woken
}

// settle ends a round. What was fetched is dropped when it can lead nowhere. A
// want ends when the head is held, and when it is known that nobody in reach has
// it: a hint that came while the round ran is still to be followed.
func (r *Replicator) settle(p *pull, out *round) {
	o := p.origin
	r.mu.Lock()
	w := r.wanted[o]
	epoch, n := w.epoch, w.n
	r.mu.Unlock()
	follows, known := r.follows(o, epoch, n), r.o.Peers()
	held := r.heldHead(o)
	r.mu.Lock()
	r.pulling--
	w.round = nil
	if out.stuck != nil && !out.got {
		r.stuck[o] = out.stuck
	}
	over, leave := false, false
	switch {
	case !follows && w.epoch == epoch && w.n == n:
		over = true // forked
	case w.met(held):
		over = true
		if out.got && o == r.o.Own && r.o.Adopted != nil {
			r.work.Go(r.o.Adopted)
		}
	case out.got:
		w.fails = 0
	case p.records.Load() == 0 && r.nobody(w.proven(held), out, known):
		over = true
	case out.full:
		w.after = now().Add(retryEvery << min(w.fails, 3))
		w.fails++
	case out.moved || out.again:
		w.fails, w.after = 0, now().Add(time.Second)
	case out.passed && (p.records.Load() == 0 || w.fails >= passedFails):
		leave, w.after = true, now().Add(time.Second)
	case out.woken:
		w.after = now().Add(time.Second)
	default:
		w.after = now().Add(retryEvery << min(w.fails, 6))
		w.fails++
	}
	if over {
		delete(r.wanted, o)
	}
	leave = leave || over || w.fails > keepFails && !out.full
	r.mu.Unlock()
	if leave {
		p.drop()
	}
	r.Poke()
}

// dropPulls gives up what was fetched of feeds and not applied.
func (r *Replicator) dropPulls() {
	r.mu.Lock()
	var all []*pull
	for _, w := range r.wanted {
		if w.pull != nil {
			all = append(all, w.pull)
			w.pull = nil
		}
	}
	r.mu.Unlock()
	for _, p := range all {
		p.drop()
	}
}
