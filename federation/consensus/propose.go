package consensus

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

const (
	// proposeTime is how long a proposal waits for a leader, when enough voters
	// answer to find one: two elections.
	proposeTime = 25 * time.Second
	// attemptTime bounds one attempt. What had no answer is sent again: the same
	// bytes count once.
	attemptTime = 4 * time.Second
	// detourTime is how long the leader itself has for its answer.
	detourTime = 1500 * time.Millisecond
)

var errNotLeader = errors.New("not the leader")

// Propose brings a signed command into the registry and returns the number of
// its entry. The same bytes may be proposed again: the answer is then the same.
//
// When the command is refused, the error wraps what package registry says about
// it. When too few voters answer, which takes three seconds to find out, or no
// leader is found in 25, it wraps ErrNoQuorum, and when an answer got lost
// ErrOutcomeUnknown.
func (k *Keeper) Propose(ctx context.Context, command []byte) (uint64, error) {
	c, _, err := registry.ParseCommand(command)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, proposeTime)
	defer cancel()
	ctx, give := context.WithCancelCause(ctx)
	defer give(nil)
	go k.doubt(ctx, give)
	p := proposal{k: k, id: c.ID, command: command, answer: make(chan result, 1)}
	go p.run(ctx)
	select {
	case r := <-p.answer:
		return r.seq, r.err
	case <-ctx.Done(): // an attempt here ends only with the leader's lease
	}
	unknown := p.handed.Load() // before the registry is looked at
	if seq, ok := k.seen(c.ID); ok {
		return seq, nil
	}
	err = noQuorum(ctx)
	if unknown {
		return 0, fmt.Errorf("%w: no answer came in time (%v). Give the command again: it is counted once", ErrOutcomeUnknown, err)
	}
	return 0, err
}

func (k *Keeper) seen(id registry.ID) (uint64, bool) {
	if s := k.State(); s != nil {
		return s.Seen(id)
	}
	return 0, false
}

// proposal is a command on its way to a leader.
type proposal struct {
	k       *Keeper
	id      registry.ID
	command []byte
	handed  atomic.Bool // a leader may have it, whose answer did not come
	answer  chan result
}

// run makes attempts until one is answered or ctx ends.
func (p *proposal) run(ctx context.Context) {
	for ctx.Err() == nil {
		if seq, ok := p.k.seen(p.id); ok {
			p.answer <- result{seq: seq}
			return
		}
		changed := p.k.Changed()
		before := p.handed.Load()
		seq, err := p.try(ctx)
		if err == nil {
			p.k.await(ctx, seq)
		}
		if err == nil || final(err) {
			p.answer <- result{seq, err}
			return
		}
		p.handed.Store(before || errors.Is(err, ErrOutcomeUnknown))
		p.k.Poke()
		select {
		case <-changed:
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// try makes one attempt: here, or at the leader. When that takes long, a voter
// that may reach the leader is asked to pass the command on as well.
func (p *proposal) try(ctx context.Context) (uint64, error) {
	k := p.k
	if k.isLeading() {
		p.handed.Store(true)
		return k.proposeHere(ctx, p.command)
	}
	leader := k.Status().Leader
	if leader.IsZero() {
		k.refresh(ctx)
		leader = k.Status().Leader
	}
	if leader.IsZero() || leader == k.id {
		return 0, errNotLeader
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan result, 2)
	forward := func(to identity.NodeID, path string) {
		seq, err := k.forward(ctx, to, path, p.command, &p.handed)
		answers <- result{seq, err}
	}
	go forward(leader, "/propose")
	detour := time.After(detourTime)
	err := errNotLeader
	for waiting := 1; waiting > 0; {
		select {
		case r := <-answers:
			if r.err == nil || final(r.err) {
				return r.seq, r.err
			}
			waiting--
			if errors.Is(r.err, ErrOutcomeUnknown) {
				err = r.err
			}
		case <-detour:
			k.mu.Lock()
			relay := k.relay
			k.mu.Unlock()
			if !relay.IsZero() && relay != leader {
				waiting++
				go forward(relay, "/propose?relay=1")
			}
		}
	}
	return 0, err
}

// proposeHere orders a command as the leader. What it refuses, it refuses for
// the registry as it is: who has been deposed without knowing does not.
func (k *Keeper) proposeHere(ctx context.Context, command []byte) (uint64, error) {
	seq, err := k.order(ctx, command)
	if final(err) {
		if _, failed := k.agreedHere(); failed != nil {
			return 0, failed
		}
	}
	return seq, err
}

// order orders a command, one at a time, so that each is judged against the
// state that it will meet. When ctx ends, it waits no longer for its turn.
func (k *Keeper) order(ctx context.Context, command []byte) (uint64, error) {
	c, _, err := registry.ParseCommand(command)
	if err != nil {
		return 0, err
	}
	select {
	case k.proposing <- struct{}{}:
		defer func() { <-k.proposing }()
	case <-ctx.Done():
		return 0, errNotLeader // it was not ordered
	}
	v, s := k.current(), k.State()
	if v == nil || s == nil || !k.isLeading() || !v.founded() {
		return 0, errNotLeader
	}
	if seq, ok := s.Seen(c.ID); ok {
		return seq, nil
	}
	at, err := k.stamp(v, s)
	if err != nil {
		return 0, err
	}
	e := registry.Entry{Time: at, Command: command}
	next, err := s.Apply(e)
	if err == nil && next.Rules() > s.Rules() {
		err = k.allKnow(v, next.Rules())
	}
	if err != nil {
		if !final(err) { // a judgement all the same, and not to be tried again
			err = fmt.Errorf("%w: %w", registry.ErrConflict, err)
		}
		return 0, err
	}
	data, err := identity.Marshal(ordered{Seq: s.Seq() + 1, Before: s.Hash(), Entry: e.Encode()})
	if err != nil {
		return 0, fmt.Errorf("propose: %w", err)
	}
	sum := sha256.Sum256(data)
	var f raft.ApplyFuture
	err = v.ask(func() raft.Future {
		f = v.raft.ApplyLog(raft.Log{Data: data, Extensions: sum[:]}, rpcTimeout)
		return f
	})
	switch {
	case f == nil:
		return 0, errNotLeader
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
		return 0, errNotLeader
	case err != nil: // lost leadership, or stopped, with the entry under way
		return 0, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	r, ok := f.Response().(result)
	if !ok {
		return 0, fmt.Errorf("%w: the entry was not judged", ErrOutcomeUnknown)
	}
	if errors.Is(r.err, errSuperseded) {
		return 0, errNotLeader // another leader was quicker; it is judged again
	}
	return r.seq, r.err
}

// await waits until entry seq is here, so that the caller sees what it did.
func (k *Keeper) await(ctx context.Context, seq uint64) {
	for {
		changed := k.Changed()
		if s := k.State(); s != nil && s.Seq() >= seq || k.stopped() != nil {
			return
		}
		k.Poke()
		select {
		case <-changed:
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// refusals are what package registry may say about a command, with the code
// under which it travels back from the leader.
var refusals = map[string]error{
	"malformed":            registry.ErrMalformed,
	"foreign":              registry.ErrForeign,
	"unknown_kind":         registry.ErrUnknownKind,
	"seen":                 registry.ErrSeen,
	"stale":                registry.ErrStale,
	"unauthorised":         registry.ErrUnauthorised,
	"conflict":             registry.ErrConflict,
	"no_invitation":        registry.ErrNoInvitation,
	"invitation_expired":   registry.ErrInvitationExpired,
	"invitation_used":      registry.ErrInvitationUsed,
	"invitation_cancelled": registry.ErrInvitationCancelled,
	"wrong_country":        registry.ErrWrongCountry,
	"wrong_secret":         registry.ErrWrongSecret,
	"country_taken":        registry.ErrCountryTaken,
	"no_proposal":          registry.ErrNoProposal,
	"vote_over":            registry.ErrVoteOver,
	"chain":                registry.ErrChain,
	"superseded":           registry.ErrSuperseded,
}

// final reports whether an error is a judgement and not an accident.
func final(err error) bool { return code(err) != "" }

func code(err error) string {
	for c, e := range refusals {
		if errors.Is(err, e) {
			return c
		}
	}
	return ""
}

// refused is a judgement that came from the leader.
type refused struct {
	kind error
	text string
}

func (r refused) Error() string { return r.text }
func (r refused) Unwrap() error { return r.kind }
