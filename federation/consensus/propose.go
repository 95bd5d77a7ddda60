package consensus

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// proposeTime is how long a proposal waits for a leader when its context sets
// no earlier end: two elections.
const proposeTime = 25 * time.Second

var errNotLeader = errors.New("not the leader")

// Propose brings a signed command into the registry and returns the number of
// its entry. The same bytes may be proposed again: the answer is then the same.
//
// When the command is refused, the error wraps what package registry says about
// it. When no leader is found in time it wraps ErrNoQuorum, and when an answer
// got lost ErrOutcomeUnknown.
func (k *Keeper) Propose(ctx context.Context, command []byte) (uint64, error) {
	c, _, err := registry.ParseCommand(command)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, proposeTime)
	defer cancel()
	unknown := false
	for {
		if s := k.State(); s != nil {
			if seq, ok := s.Seen(c.ID); ok {
				return seq, nil
			}
		}
		changed := k.Changed()
		seq, err := k.try(ctx, command)
		switch {
		case err == nil:
			k.await(ctx, seq)
			return seq, nil
		case final(err):
			return 0, err
		case errors.Is(err, ErrOutcomeUnknown):
			unknown = true
		}
		k.Poke()
		select {
		case <-changed:
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			if unknown {
				return 0, fmt.Errorf("%w: no answer came in time. Give the command again: it is counted once", ErrOutcomeUnknown)
			}
			return 0, fmt.Errorf("%w: fewer than half of them can be reached. Searching, publishing and copying go on; try this again later", ErrNoQuorum)
		}
	}
}

// try makes one attempt, here or at the leader.
func (k *Keeper) try(ctx context.Context, command []byte) (uint64, error) {
	if k.isLeading() {
		return k.proposeHere(command)
	}
	leader := k.Status().Leader
	if leader.IsZero() || leader == k.id {
		k.Refresh(ctx)
		leader = k.Status().Leader
	}
	if leader.IsZero() || leader == k.id {
		return 0, errNotLeader
	}
	return k.forward(ctx, leader, command)
}

// proposeHere orders a command as the leader. One at a time, so that each is
// judged against the state that it will meet.
func (k *Keeper) proposeHere(command []byte) (uint64, error) {
	c, _, err := registry.ParseCommand(command)
	if err != nil {
		return 0, err
	}
	k.proposing.Lock()
	defer k.proposing.Unlock()
	v, s := k.current(), k.State()
	if v == nil || s == nil || !k.isLeading() || !v.founded() {
		return 0, errNotLeader
	}
	if seq, ok := s.Seen(c.ID); ok {
		return seq, nil
	}
	e := registry.Entry{Time: max(k.Now().Unix(), s.Time()), Command: command}
	if _, err := s.Apply(e); err != nil {
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
	f := v.raft.ApplyLog(raft.Log{Data: data, Extensions: sum[:]}, rpcTimeout)
	switch err := f.Error(); {
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
