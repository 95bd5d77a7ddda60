package replication

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// What a pull may hold in memory before it is staged in the store.
const (
	heldItems = 500
	heldBytes = 768 << 10 // one transaction of the store takes about 1.2 MiB in all
)

// slack is what a peer may send beyond what its head signs for, because records
// change while they are read.
const (
	slackItems = 10_000
	slackBytes = 8 << 20
)

// How long one source goes on while others wait, and how fast it must be after
// a first while.
const (
	turnFor   = 2 * time.Minute
	slowAfter = 15 * time.Second
	slowRate  = 8 << 10 // bytes a second, of records as they are stored
	stalls    = 4       // a call may go without a byte for this part of its time: longer than a busy peer makes others wait
)

// pull brings one feed up to what peers hold. What it has fetched outlives the
// peer that it came from: records are named by their hashes and the list of
// changes by its numbers, so that the next peer goes on where one stopped.
//
// All but the counters is owned by whoever holds the feed's lock.
type pull struct {
	r        *Replicator
	origin   identity.OriginID
	peer     identity.NodeID
	rules    feed.Rules    // of this source's turn: one moment for all that it shows
	patience time.Duration // for one call
	others   func() bool   // whether there are sources that were not asked yet
	turn     time.Time     // when this source's turn began
	turnFrom uint64        // what was fetched by then

	begun bool
	held  *feed.SignedHead // what it starts from
	chain []*feed.SignedHead

	reading     bool // of the list of changes
	since       uint64
	live        bool
	first, last *feed.SignedHead // shown with the first page and the last one so far
	givers      map[identity.NodeID]bool

	left    int  // records that were taken out again
	buckets bool // the list of changes did not lead there
	items   feed.Items
	size    int
	staging feed.Staging

	gotItems, gotBytes uint64 // since it began anew

	fetched                     atomic.Uint64 // bytes, ever
	came                        atomic.Int64  // when the last of them came in, Unix nanoseconds
	arrived                     atomic.Uint64 // the same as they travel, and as they come
	records, bytes, of, ofBytes atomic.Uint64
	fresh                       atomic.Bool
}

// from goes on with one peer. When that fails, what was fetched is kept if the
// peer only could not be asked any further or it could not be stored here, and
// dropped if it may be wrong.
func (p *pull) from(ctx context.Context, peer identity.NodeID, n uint64, others func() bool) error {
	lock := p.r.lock(p.origin)
	if err := lock.lock(ctx); err != nil {
		return err
	}
	defer lock.unlock()
	if err := p.start(peer, others); err != nil {
		return err
	}
	err := p.attempt(ctx, n)
	if err == nil || !kept(err) {
		p.reset()
		return err
	}
	if storage(err) {
		return err // it was tried just now
	}
	if serr := p.spill(false); serr != nil {
		if !storage(serr) {
			p.reset()
		}
		return errors.Join(err, serr)
	}
	return err
}

// start begins a source's turn, from scratch when the feed moved on meanwhile.
func (p *pull) start(peer identity.NodeID, others func() bool) error {
	held, err := p.look()
	if err != nil {
		return err
	}
	if p.r.has(p.origin, held) {
		return errHere
	}
	if !p.begun || (held == nil) != (p.held == nil) || held != nil && held.Hash != p.held.Hash {
		p.reset()
		p.begun, p.held = true, held
		p.fresh.Store(held == nil)
	}
	p.peer, p.rules, p.others = peer, p.r.o.Rules(), others
	p.turn, p.turnFrom = now(), p.fetched.Load()
	if p.crowded() {
		return p.spill(true) // there was no room for it; nothing more is fetched before there is
	}
	return nil
}

func (p *pull) look() (*feed.SignedHead, error) {
	view, err := p.r.o.Store.View(p.origin)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	return view.Head(), nil
}

// attempt fetches by the list of changes, or by comparing buckets where that
// does not lead to the signed head.
func (p *pull) attempt(ctx context.Context, n uint64) error {
	if p.gotItems == 0 {
		p.chain = nil // another peer's heads bind nobody yet: this one may not be as far
	}
	if p.held != nil && n > p.held.N+1 {
		// More than one head is missing: they come first, since they say whether
		// the rest is allowed and how much there is to come.
		if err := p.connect(ctx); err != nil {
			return err
		}
	}
	if !p.buckets {
		head, err := p.readList(ctx)
		if err == nil {
			err = p.finish(ctx, head)
		}
		if !errors.Is(err, errPruned) && !errors.Is(err, feed.ErrRoot) {
			return err
		}
		if errors.Is(err, feed.ErrRoot) && len(p.givers) == 1 {
			p.r.refuse(p.peer, "omission", err)
			p.resetItems() // with more than one, the buckets tell what is right of it
		}
		p.buckets = true
	}
	head, err := p.byBuckets(ctx)
	if err != nil {
		return err
	}
	return p.finish(ctx, head)
}

// byBuckets compares buckets with the feed as it is held.
func (p *pull) byBuckets(ctx context.Context) (*feed.SignedHead, error) {
	view, err := p.r.o.Store.View(p.origin)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	if held, err := view.Leaves(); err != nil {
		return nil, err
	} else if p.held != nil && held.Root() != p.held.Root {
		p.r.Rots(p.origin, errRotten)
		return nil, errRotten
	}
	return p.differences(ctx, view, p.shows)
}

// askError is returned when a peer could not be asked: that says nothing about
// what it sent before.
type askError struct{ err error }

func (e askError) Error() string { return e.err.Error() }
func (e askError) Unwrap() error { return e.err }

// storeError is returned when this node's store does not take what was fetched:
// its disk is full, most likely. That says nothing about what was fetched.
type storeError struct{ err error }

func (e storeError) Error() string { return "store what was fetched: " + e.err.Error() }
func (e storeError) Unwrap() error { return e.err }

// stored marks an error of the store, unless it tells that the feed or what was
// staged is another one by now.
func stored(err error) error {
	if err == nil || errors.Is(err, feed.ErrMoved) {
		return err
	}
	return storeError{err}
}

// storage reports whether it was this node's store that failed.
func storage(err error) bool {
	_, is := errors.AsType[storeError](err)
	return is
}

// kept reports whether what was fetched is as good as before the error.
func kept(err error) bool {
	var asked askError
	if errors.As(err, &asked) || storage(err) {
		return true
	}
	for _, kind := range []error{errNothing, errPassed, errSlow, errTurn, errShifted, errShort} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func (p *pull) ask(ctx context.Context, method, path string, in, out any) error {
	if err := p.pace(); err != nil {
		return err
	}
	patience := p.patience
	if patience == 0 {
		patience = callTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx, end := p.watch(ctx, patience)
	err := p.r.callCounted(ctx, p.peer, method, "/r1/o/"+p.origin.String()+path, in, out, &p.arrived)
	if end(); err != nil && errors.Is(context.Cause(ctx), errSlow) {
		err = errSlow
	}
	if err != nil && !wrong(err) && !errors.Is(err, errPruned) && !errors.Is(err, errNothing) {
		return askError{err}
	}
	return err
}

// watch gives a call up that brings nothing for a quarter of its time when another
// source can be asked instead, be it one that turns up meanwhile: the lock of the
// feed is held, so that even a change that came with its announcement would wait.
// End ends the watch.
func (p *pull) watch(ctx context.Context, patience time.Duration) (watched context.Context, end func()) {
	if p.others == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(patience / stalls)
		defer tick.Stop()
		for before := p.arrived.Load(); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if now := p.arrived.Load(); now != before {
				before = now
			} else if p.others() {
				cancel(errSlow)
			}
		}
	}()
	return ctx, func() { cancel(nil); <-over }
}

// pace ends the turn of a source that is slow, or has had its time.
func (p *pull) pace() error {
	took := now().Sub(p.turn)
	got := p.fetched.Load() - p.turnFrom
	switch {
	case took < slowAfter || p.others == nil:
		return nil
	case float64(got) < took.Seconds()*slowRate && p.others():
		return errSlow
	case took > turnFor && p.others():
		return errTurn
	}
	return nil
}

// add takes items, moving them to the store when they are many.
func (p *pull) add(items feed.Items) error {
	bytes := 0
	for _, i := range items {
		bytes += len(i.Raw())
	}
	p.items = append(p.items, items...)
	p.size += bytes
	p.gotItems += uint64(len(items))
	p.gotBytes += uint64(bytes)
	p.fetched.Add(uint64(bytes + 64*len(items)))
	if len(items) > 0 {
		p.came.Store(now().UnixNano())
	}
	p.records.Store(p.gotItems)
	p.bytes.Store(p.gotBytes)
	if p.givers == nil {
		p.givers = make(map[identity.NodeID]bool)
	}
	if len(items) > 0 {
		p.givers[p.peer] = true
	}
	if !p.crowded() {
		return nil
	}
	return p.spill(true)
}

// crowded reports whether there is more in memory than should be.
func (p *pull) crowded() bool { return len(p.items) > heldItems || p.size > heldBytes }

// spill moves what is held in memory to the store. Without must it does so only
// when there is something. What the store does not take stays in memory: it is a
// page more than may be held, at most, since nothing more is fetched then.
func (p *pull) spill(must bool) error {
	if len(p.items) == 0 && !(must && p.staging == nil) {
		return nil
	}
	if p.staging == nil {
		staging, err := p.r.o.Store.Stage(p.origin)
		if err != nil {
			return stored(err)
		}
		p.staging = staging
	}
	if err := p.staging.Put(p.items...); err != nil {
		return stored(err)
	}
	p.items, p.size = nil, 0
	return nil
}

// reset drops everything that was fetched.
func (p *pull) reset() {
	p.resetItems()
	p.begun, p.held, p.chain, p.buckets = false, nil, nil, false
}

// resetItems drops the changes, but not the heads.
func (p *pull) resetItems() {
	if p.staging != nil {
		if err := p.staging.Discard(); err != nil {
			p.r.o.Logger.Warn("unfinished changes could not be dropped", "err", err)
		}
	}
	p.staging, p.items, p.size, p.gotItems, p.gotBytes = nil, nil, 0, 0, 0
	p.reading, p.first, p.last, p.givers, p.left = false, nil, nil, nil, 0
	p.records.Store(0)
	p.bytes.Store(0)
}

// drop ends the pull from outside.
func (p *pull) drop() {
	lock := p.r.lock(p.origin)
	_ = lock.lock(context.Background()) // whoever holds it ends with its calls
	defer lock.unlock()
	p.reset()
}

func (p *pull) progress() Progress {
	return Progress{First: p.fresh.Load(), Records: p.records.Load(), Of: p.of.Load(), Bytes: p.bytes.Load(), OfBytes: p.ofBytes.Load()}
}

// finish fetches the heads in between, checks everything together and hands it
// on. Nothing of what was fetched counts before this.
func (p *pull) finish(ctx context.Context, head *feed.SignedHead) error {
	envelopes, err := p.envelopes(ctx, head)
	if err != nil {
		return err
	}
	delta, err := p.delta()
	if err != nil {
		return err
	}
	view, err := p.r.o.Store.View(p.origin)
	if err != nil {
		return err
	}
	verify := p.rules.Verify
	if p.buckets {
		verify = p.rules.VerifyCompared
	}
	v, err := verify(view, envelopes, delta)
	view.Close()
	switch {
	case errors.Is(err, feed.ErrChain):
		p.findFork(ctx)
	case errors.Is(err, feed.ErrDamaged):
		p.r.Rots(p.origin, err)
	}
	if err != nil {
		return err
	}
	return stored(p.r.o.Appender.Append(ctx, v))
}

// delta is everything that was fetched.
func (p *pull) delta() (feed.Delta, error) {
	if p.staging == nil {
		return p.items.Sort(), nil
	}
	return p.staging, p.spill(false)
}
