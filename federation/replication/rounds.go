package replication

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// startPulls starts pulling what is wanted, as far as the limits allow.
func (r *Replicator) startPulls(ctx context.Context, wg *sync.WaitGroup) {
	moment := now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for o, w := range r.wanted {
		if w.running || moment.Before(w.after) {
			continue
		}
		if r.pulling >= maxPulls {
			return
		}
		w.running = true
		r.pulling++
		if w.pull == nil {
			w.pull = &pull{r: r, origin: o}
		}
		p, fails, n := w.pull, w.fails, w.n
		wg.Go(func() { r.satisfy(ctx, p, fails, n) })
	}
}

// round is what came of asking one source after another.
type round struct {
	got, moved     bool // the feed is newer; something was fetched
	again          bool // it was newer before we were
	denied, failed int
	stuck          error
}

// satisfy pulls a feed from whoever showed the newer head, then from others, each
// of which goes on where the one before stopped. Sources that turn up meanwhile
// are asked too.
func (r *Replicator) satisfy(ctx context.Context, p *pull, fails int, n uint64) {
	o, before := p.origin, p.fetched.Load()
	p.patience = callTimeout << min(fails, 3) // a slow line of our own must not stop everything
	tried := make(map[identity.NodeID]bool)
	var out round
	for !out.got {
		peer, ok := r.untried(o, tried, false)
		if !ok {
			break
		}
		release, ok := r.slot(ctx, peer)
		if !ok {
			break
		}
		tried[peer] = true
		err := p.from(ctx, peer, n, func() bool { _, more := r.untried(o, tried, true); return more })
		release()
		if ctx.Err() != nil {
			break
		}
		r.note(peer, o, err, &out)
	}
	out.moved = p.fetched.Load() != before
	r.settle(p, out)
}

// untried is the next peer to ask for a feed; with up set, one that was in reach
// last.
func (r *Replicator) untried(o identity.OriginID, tried map[identity.NodeID]bool, up bool) (identity.NodeID, bool) {
	r.mu.Lock()
	var sources []identity.NodeID
	if w := r.wanted[o]; w != nil {
		sources = slices.Clone(w.sources)
	}
	r.mu.Unlock()
	for _, id := range r.order(o, sources) {
		if !tried[id] && !(up && r.isDown(id)) {
			return id, true
		}
	}
	return identity.NodeID{}, false
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
		out.denied++
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

// settle ends a round. What was fetched is dropped when it can lead nowhere.
func (r *Replicator) settle(p *pull, out round) {
	o := p.origin
	r.mu.Lock()
	w := r.wanted[o]
	epoch, n := w.epoch, w.n
	r.mu.Unlock()
	held, follows := r.heldHead(o), r.follows(o, epoch, n)
	r.mu.Lock()
	r.pulling--
	w.running = false
	if out.stuck != nil && !out.got {
		r.stuck[o] = out.stuck
	}
	over := false
	switch {
	case !follows:
		over = true // forked
	case held != nil && (held.Epoch > w.epoch || held.Epoch == w.epoch && held.N >= w.n):
		over = true
		if out.got && o == r.o.Own && r.o.Adopted != nil {
			go r.o.Adopted()
		}
	case out.got:
		w.fails = 0
	case out.denied > 0 && out.failed == 0 && !out.again && p.records.Load() == 0:
		// A hint that nobody in reach bears out. If it was true, whoever gave it
		// shows its head again when it is compared with.
		over = true
	case out.moved || out.again:
		w.fails, w.after = 0, now().Add(time.Second)
	default:
		w.after = now().Add(retryEvery << min(w.fails, 6))
		w.fails++
	}
	if over {
		delete(r.wanted, o)
	}
	over = over || w.fails > keepFails
	r.mu.Unlock()
	if over {
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
