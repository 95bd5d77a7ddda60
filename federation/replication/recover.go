package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// rot is a feed whose copy here is damaged.
type rot struct {
	err   error
	after time.Time // not mended before
	fails int
}

// tended is what was known when the feeds were last looked after.
type tended struct {
	at     time.Time
	seq    uint64
	digest string
	busy   bool
}

// Rotten is nil, or why the copy of a feed that is held here does not add up to
// its head. Readers go on with what is there; it is not served to peers until it
// is mended.
func (r *Replicator) Rotten(o identity.OriginID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x := r.rotten[o]; x != nil {
		return x.err
	}
	return nil
}

// Rots marks the copy of a feed as damaged. While Run runs it is mended as soon as
// a peer can help.
func (r *Replicator) Rots(o identity.OriginID, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rotten[o] == nil {
		r.rotten[o] = &rot{err: err}
		r.o.Logger.Error("the copy of a feed is damaged; it is rebuilt from peers", "origin", o.String(), "err", err)
		r.Poke()
	}
}

// Repair rebuilds the damaged copy of a feed: what is still whole stays, the rest
// comes from peers that hold the same head or a later one. When none of them can
// help it fails, and the repair goes on in the background while Run runs.
func (r *Replicator) Repair(ctx context.Context, o identity.OriginID) error {
	r.Rots(o, errRotten)
	err := r.repair(ctx, o)
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.rotten[o]
	switch {
	case x == nil:
	case err == nil:
		delete(r.rotten, o)
		r.o.Logger.Info("the copy of a feed is whole again", "origin", o.String())
	default:
		x.after = now().Add(retryEvery << min(x.fails, 6))
		x.fails++
	}
	return err
}

func (r *Replicator) repair(ctx context.Context, o identity.OriginID) error {
	lock := r.lock(o)
	if err := lock.lock(ctx); err != nil {
		return err
	}
	defer lock.unlock()
	actual, err := r.o.Store.Actual(o)
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	defer actual.Close()
	held := actual.Head()
	if held == nil {
		return nil
	}
	if leaves, err := actual.Leaves(); err != nil {
		return fmt.Errorf("repair: %w", err)
	} else if leaves.Root() == held.Root {
		return r.mend(ctx, actual, [][]byte{held.Envelope}, feed.Items{}) // the records are whole; what was derived from them may not be
	}
	err = errors.New("repair: no peer in reach")
	for _, peer := range r.order(o, nil) {
		release, ok := r.slot(ctx, peer)
		if !ok {
			return ctx.Err()
		}
		p := &pull{r: r, origin: o, begun: true, held: held, peer: peer, rules: r.o.Rules(), turn: now()}
		err = p.repair(ctx, actual)
		p.reset()
		release()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if wrong(err) {
			r.refuse(peer, kindOf(err, "repair"), err)
			r.fault(peer)
		}
	}
	return err
}

func (r *Replicator) mend(ctx context.Context, actual feed.StoreView, envelopes [][]byte, delta feed.Delta) error {
	v, err := r.o.Rules().VerifyRepair(actual, envelopes, delta)
	if err != nil {
		return err
	}
	return r.o.Appender.Append(ctx, v)
}

// repair fetches from one peer what is missing in the actual state.
func (p *pull) repair(ctx context.Context, actual feed.StoreView) error {
	head, err := p.differences(ctx, actual, func(envelope []byte) (*feed.SignedHead, error) {
		head, err := p.rules.CheckHead(envelope)
		if err != nil {
			return nil, err
		}
		if head.Origin != p.origin {
			return nil, fmt.Errorf("%w: a head of another origin than asked for", identity.ErrMalformed)
		}
		if head.Hash != p.held.Hash && !newer(head, p.held) {
			return nil, errNothing
		}
		return head, nil
	})
	if err != nil {
		return err
	}
	envelopes := [][]byte{p.held.Envelope}
	if head.Hash != p.held.Hash {
		if envelopes, err = p.envelopes(ctx, head); err != nil {
			return err
		}
	}
	delta, err := p.delta()
	if err != nil {
		return err
	}
	return p.r.mend(ctx, actual, envelopes, delta)
}

// tend looks after the feeds: whether the registry has one go back to an earlier
// head, and whether a damaged one can be mended.
func (r *Replicator) tend(ctx context.Context) {
	next := tended{at: now(), seq: r.o.RegistrySeq(), digest: string(r.digest()), busy: true}
	r.mu.Lock()
	last, due := r.tended, false
	for _, x := range r.rotten {
		due = due || !next.at.Before(x.after)
	}
	if last.busy || !due && last.seq == next.seq && last.digest == next.digest && next.at.Sub(last.at) < tendEvery {
		r.mu.Unlock()
		return
	}
	r.tended = next
	r.mu.Unlock()
	r.work.Go(func() {
		r.tendAll(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tended.busy = false
	})
}

func (r *Replicator) tendAll(ctx context.Context) {
	origins, err := r.o.Store.Origins()
	if err != nil {
		return
	}
	for _, o := range origins {
		r.measure(o)
		if err := r.rollback(ctx, o); err != nil && ctx.Err() == nil {
			r.mu.Lock()
			r.stuck[o] = err
			r.mu.Unlock()
			r.o.Logger.Warn("a feed cannot go back to its last good head; it is shown as it is until it begins anew", "origin", o.String(), "err", err)
		}
	}
	r.tendForks()
	r.mu.Lock()
	var due []identity.OriginID
	for o, x := range r.rotten {
		if !now().Before(x.after) {
			due = append(due, o)
		}
	}
	r.mu.Unlock()
	for _, o := range due {
		if err := r.Repair(ctx, o); err != nil && ctx.Err() == nil {
			r.o.Logger.Warn("a damaged feed is not mended yet", "origin", o.String(), "err", err)
		}
	}
}

// tendForks gives the docket what it could not keep before, since the registry
// was not far enough, and forgets forks of epochs gone by.
func (r *Replicator) tendForks() {
	keys := r.o.Rules().Keys
	r.mu.Lock()
	forks := slices.Collect(maps.Values(r.frozen))
	r.mu.Unlock()
	for _, f := range forks {
		if epoch, active := keys.Epoch(f.b.Origin); active && epoch > f.b.Epoch {
			r.mu.Lock()
			if now := r.frozen[f.b.Origin]; now.b == f.b {
				delete(r.frozen, f.b.Origin)
			}
			r.mu.Unlock()
		} else if !f.kept {
			r.testify(f.a, f.b)
		}
	}
}

// errOnRecord is returned for a feed of which the registry knows a later head.
var errOnRecord = errors.New("the registry has a later head on record than any peer in reach has shown")

// measure compares what is held with what the registry has on record, so that a
// node that is shown an old state only, its first one even, knows that it is old.
func (r *Replicator) measure(o identity.OriginID) {
	held := r.heldHead(o)
	if held == nil {
		return
	}
	anchors := r.o.Rules().Keys.Anchors(o, held.Epoch)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch behind := len(anchors) > 0 && anchors[len(anchors)-1] > held.N; {
	case behind && r.stuck[o] == nil:
		r.stuck[o] = errOnRecord
	case !behind && errors.Is(r.stuck[o], errOnRecord):
		delete(r.stuck, o)
	}
}

// rollback brings a feed back to the head that the registry calls its last good
// one, from what is kept for undoing or, where that does not reach, from a peer
// that is there already. Nothing happens when the feed need not go back.
func (r *Replicator) rollback(ctx context.Context, o identity.OriginID) error {
	rules := r.o.Rules()
	good, ok := rules.Keys.Good(o)
	if !ok {
		return nil
	}
	lock := r.lock(o)
	if err := lock.lock(ctx); err != nil {
		return err
	}
	defer lock.unlock()
	view, err := r.o.Store.View(o)
	if err != nil {
		return err
	}
	defer view.Close()
	held := view.Head()
	if held == nil || held.Epoch != good.Epoch || held.Place() == good || held.N < good.N {
		return nil
	}
	if o == r.o.Own {
		if err = r.ownUndo(ctx, view, good); err == nil {
			return nil // the publisher goes back before it signs
		}
	} else {
		envelope, delta, undone := r.undo(view, good)
		if err = undone; err == nil {
			return r.goBack(ctx, rules, view, envelope, delta)
		}
	}
	for _, peer := range r.order(o, nil) {
		release, ok := r.slot(ctx, peer)
		if !ok {
			return ctx.Err()
		}
		perr := r.rollbackFrom(ctx, peer, rules, view, good)
		release()
		if perr == nil || ctx.Err() != nil {
			return perr
		}
		if lies(perr) {
			r.refuse(peer, kindOf(perr, "rollback"), perr)
			r.fault(peer)
		}
	}
	return err
}

// ownUndo reports whether the publisher of the own feed has a way back from what is
// kept here. It looks while the publisher does nothing: two that stage the way back
// of one feed at a time would take it away from each other.
func (r *Replicator) ownUndo(ctx context.Context, view feed.StoreView, good feed.Place) error {
	if r.o.Hold != nil {
		held, release, err := r.o.Hold(ctx)
		if err != nil {
			return err
		}
		defer release()
		if held == nil || held.Place() != view.Head().Place() {
			return nil // it has gone back meanwhile
		}
	}
	_, _, err := r.undo(view, good)
	return err
}

// undo is the way back from what is kept here.
func (r *Replicator) undo(view feed.StoreView, good feed.Place) (envelope []byte, delta feed.Delta, err error) {
	envelopes, err := view.Heads(good.N, 1)
	if err != nil {
		return nil, nil, err
	}
	if len(envelopes) == 0 {
		return nil, nil, fmt.Errorf("head %d: %w", good.N, feed.ErrPruned)
	}
	to, err := feed.ParseHead(envelopes[0])
	if err != nil {
		return nil, nil, err
	}
	if to.Place() != good {
		return nil, nil, fmt.Errorf("head %d: %w", good.N, feed.ErrChain)
	}
	delta, err = r.o.Store.Undo(to.Origin, to)
	return to.Envelope, delta, err
}

func (r *Replicator) goBack(ctx context.Context, rules feed.Rules, view feed.StoreView, envelope []byte, delta feed.Delta) error {
	v, err := rules.VerifyRollback(view, envelope, delta)
	if errors.Is(err, feed.ErrDamaged) {
		r.Rots(view.Head().Origin, err)
	}
	if err != nil {
		return err
	}
	if err := r.o.Appender.Append(ctx, v); err != nil {
		return err
	}
	r.took(v.Origin())
	r.o.Logger.Warn("a feed went back to its last good head, as the registry says", "origin", v.Origin().String(), "n", v.Head().N)
	return nil
}

// rollbackFrom fetches the way back from a peer that holds just the good head.
func (r *Replicator) rollbackFrom(ctx context.Context, peer identity.NodeID, rules feed.Rules, view feed.StoreView, good feed.Place) error {
	p := &pull{r: r, origin: view.Head().Origin, begun: true, held: view.Head(), peer: peer, rules: rules, turn: now()}
	defer p.reset()
	head, err := p.differences(ctx, view, func(envelope []byte) (*feed.SignedHead, error) {
		head, err := feed.ParseHead(envelope)
		if err != nil {
			return nil, err
		}
		if head.Origin != p.origin || head.Place() != good {
			return nil, errNothing
		}
		return rules.CheckHead(envelope)
	})
	if err != nil {
		return err
	}
	delta, err := p.delta()
	if err != nil {
		return err
	}
	return r.goBack(ctx, rules, view, head.Envelope, delta)
}
