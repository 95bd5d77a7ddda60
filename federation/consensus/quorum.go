package consensus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

const (
	// contactTime is how old the last message of a leader may be. One comes every
	// half to whole second, so three were lost.
	contactTime = 3 * time.Second
	// lookTime bounds one look at the voters: a round trip around the world, with
	// a new connection, over a bad line.
	lookTime = 2 * time.Second
	// patience is how long a proposal waits for voters that do not answer.
	patience = 2500 * time.Millisecond
)

// Fresh is [Keeper.Status] as of now: unless what is known is at most age old, or
// raft tells it here, the leader is asked, and the voters if it does not answer.
// It takes two seconds at most.
func (k *Keeper) Fresh(ctx context.Context, age time.Duration) Status {
	s := k.Status()
	if _, in := k.inRaft(); in || k.Now().Sub(s.AsOf) <= age {
		return s
	}
	k.refresh(ctx)
	return k.Status()
}

// inRaft are the voters as raft knows them here; in tells whether this node has
// a part among them.
func (k *Keeper) inRaft() (ids []identity.NodeID, in bool) {
	v := k.current()
	if v == nil {
		return nil, false
	}
	ids, in = v.voters()
	return ids, in && !k.takenOut(v)
}

// electorate are the voters as far as they are known here; empty: not at all.
func (k *Keeper) electorate() []identity.NodeID {
	if ids, in := k.inRaft(); in {
		return ids
	}
	if h, ok := k.Head(); ok {
		return h.VoterIDs()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.view.voters)
}

// outlook is what the voters say when they are all asked at once.
type outlook struct {
	voters    int             // 0: they are not known
	answering int             // of them, this node included
	backed    answer          // of one that says that a majority backs the leader
	from      identity.NodeID // which one; zero: none
}

// hopeless: they cannot agree, whoever leads.
func (o outlook) hopeless() bool {
	return o.from.IsZero() && o.answering < max(registry.Majority(o.voters), 1)
}

// look asks the other voters how they are. It returns when one of them knows a
// leader that a majority backs, when all have answered, or after two seconds.
func (k *Keeper) look(ctx context.Context) outlook {
	ids := k.electorate()
	o := outlook{voters: len(ids), answering: order(k.Status().Voting)}
	if len(ids) == 0 {
		ids = k.peers()
		ids = ids[:min(len(ids), 5)]
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	type told struct {
		by identity.NodeID
		answer
		err error
	}
	answers := make(chan told, len(ids))
	asked := 0
	for _, id := range ids {
		if id != k.id {
			asked++
			go func() {
				a, err := k.ask(ctx, id, 0)
				answers <- told{id, a, err}
			}()
		}
	}
	for range asked {
		a := <-answers
		if a.err != nil || o.voters > 0 && !a.Voting {
			continue
		}
		o.answering++
		if a.Quorum && !a.Leader.IsZero() {
			o.from, o.backed = a.by, a.answer
			return o
		}
	}
	return o
}

// refresh asks who leads the voters, for a [Keeper.Status] that is of now: the
// leader that is known, else all voters. It takes two seconds at most.
func (k *Keeper) refresh(ctx context.Context) {
	if _, in := k.inRaft(); in {
		return // raft knows
	}
	k.mu.Lock()
	leader := k.view.leader
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if !leader.IsZero() {
		asking, stop := context.WithTimeout(ctx, lookTime/2)
		a, err := k.ask(asking, leader, 0)
		stop()
		if err == nil && a.Leader == leader && a.Quorum && len(a.Voters) > 0 {
			k.see(a)
			return
		}
	}
	o := k.look(ctx)
	if !o.from.IsZero() {
		k.see(o.backed)
		return
	}
	k.mu.Lock() // nobody knows of one
	k.view.leader, k.view.quorum, k.view.asOf = identity.NodeID{}, false, k.Now()
	k.mu.Unlock()
}

// see keeps what a node has said of the voters.
func (k *Keeper) see(a answer) {
	k.mu.Lock()
	k.view = view{a.Leader, a.Voters, a.Quorum, k.Now()}
	k.mu.Unlock()
}

// tooFew is why a proposal is given up.
type tooFew outlook

func (t tooFew) Error() string {
	if t.voters == 0 {
		return "no other node answers"
	}
	return fmt.Sprintf("%d of the %d nodes that vote can be reached from here, and %d are needed", t.answering, t.voters, registry.Majority(t.voters))
}

// doubt watches over a proposal and gives it up when the voters cannot agree.
// While enough of them answer they will find a leader, and it waits.
func (k *Keeper) doubt(ctx context.Context, give context.CancelCauseFunc) {
	begin := time.Now()
	for wait := 500 * time.Millisecond; ; wait = time.Second {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		o := k.look(ctx)
		k.mu.Lock()
		k.relay = o.from
		k.mu.Unlock()
		if ctx.Err() == nil && o.hopeless() && time.Since(begin) >= patience {
			give(tooFew(o))
			return
		}
	}
}

// Sync waits until this node has all that the registry's voters had agreed on
// when it was called: what is read then is not older than any change that was
// acknowledged before, to anybody. It wraps ErrNoQuorum when no leader that a
// majority backs can be asked, or ctx ends.
func (k *Keeper) Sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proposeTime)
	defer cancel()
	ctx, give := context.WithCancelCause(ctx)
	defer give(nil)
	go k.doubt(ctx, give)
	for {
		seq, err := k.agreed(ctx)
		if err == nil {
			if k.await(ctx, seq); seqOf(k.State()) >= seq {
				return nil
			}
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return noQuorum(ctx)
		}
	}
}

// agreed is the last entry that the voters have agreed on, as the leader says.
func (k *Keeper) agreed(ctx context.Context) (uint64, error) {
	if k.isLeading() {
		return k.agreedHere()
	}
	leader := k.Status().Leader
	if leader.IsZero() {
		k.refresh(ctx)
		leader = k.Status().Leader
	}
	if leader.IsZero() || leader == k.id {
		return 0, errNotLeader
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	var a verdict
	if err := k.call(ctx, http.MethodGet, leader, "/agreed", nil, maxAnswer, &a); err != nil || a.Code != "" {
		k.forget(leader)
		return 0, errors.Join(errNotLeader, err)
	}
	return a.Seq, nil
}

// agreedHere is the last entry here, if this node leads and a majority says so
// after it was read.
func (k *Keeper) agreedHere() (uint64, error) {
	v, seq := k.current(), seqOf(k.State())
	if v == nil || !k.isLeading() || v.ask(v.raft.VerifyLeader) != nil || !k.isLeading() {
		return 0, errNotLeader
	}
	return seq, nil
}

func (k *Keeper) serveAgreed(w http.ResponseWriter, _ *http.Request) {
	var a verdict
	var err error
	if a.Seq, err = k.agreedHere(); err != nil {
		a.Code, a.Text = "not_leader", err.Error()
	}
	reply(w, a)
}

// noQuorum is what is told when a wait for the voters has ended.
func noQuorum(ctx context.Context) error {
	var few tooFew
	if errors.As(context.Cause(ctx), &few) {
		return fmt.Errorf("%w: %w. Searching, publishing and copying go on", ErrNoQuorum, few)
	}
	return fmt.Errorf("%w: they have found no leader. Searching, publishing and copying go on", ErrNoQuorum)
}
