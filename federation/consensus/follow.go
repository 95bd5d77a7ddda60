package consensus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// askTime bounds one question to one node.
const askTime = 10 * time.Second

// follow takes entries from others until ctx ends: at the start, at each hint,
// and now and then. A voter gets its entries through raft and only compares.
func (k *Keeper) follow(ctx context.Context) {
	failed := 0
	for {
		err := k.pull(ctx)
		if err != nil && ctx.Err() == nil {
			k.Logger.Debug("the registry was not compared with others", "error", err)
		}
		wait := time.Duration(float64(k.PollEvery) * (0.9 + 0.2*rand.Float64()))
		if err != nil && failed < 6 { // soon again at first, less and less so
			failed++
			wait = min(wait, time.Second<<failed)
		} else if err == nil {
			failed = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-k.poke:
		case <-time.After(wait):
		}
	}
}

// pull asks up to three nodes and takes what they have.
func (k *Keeper) pull(ctx context.Context) error {
	if err := k.stopped(); err != nil {
		return nil // a person has to look first
	}
	peers := k.peers()
	if len(peers) == 0 {
		return nil
	}
	ordering := false // raft brings the entries
	if v := k.current(); v != nil && !k.gap.Load() {
		_, ordering = v.voters()
	}
	answered, errs := 0, []error(nil)
	for _, id := range peers {
		if answered == 3 || ctx.Err() != nil {
			break
		}
		err := k.compare(ctx, id)
		if err == nil && !ordering {
			err = k.pullFrom(ctx, id, peers)
		}
		switch {
		case err == nil:
			answered++
		case errors.Is(err, ErrSplit), errors.Is(err, ErrStorage), errors.Is(err, registry.ErrUnknownKind):
			k.stop(err)
			return err
		default:
			errs = append(errs, fmt.Errorf("node %s: %w", id, err))
		}
	}
	if answered == 0 {
		return errors.Join(errs...)
	}
	return nil
}

// compare asks a node for the hash of our last entry and notes what it says
// about the voters.
func (k *Keeper) compare(ctx context.Context, id identity.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	at := uint64(0)
	s := k.State()
	if s != nil {
		at = s.Seq()
	}
	a, err := k.ask(ctx, id, at)
	if err != nil {
		return err
	}
	k.note(a)
	if s == nil || a.At == 0 {
		return nil
	}
	if h, ok := k.ledger.hashAt(a.At); ok && h != a.Hash {
		return fmt.Errorf("%w: entry %d differs from that of node %s", ErrSplit, a.At, id)
	}
	return nil
}

// note keeps what a node says about the voters, unless it knows of none.
func (k *Keeper) note(a answer) {
	if len(a.Voters) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !a.Voting && a.Leader.IsZero() && k.view.quorum && k.Now().Sub(k.view.asOf) < time.Minute {
		return // a bystander that has not heard yet
	}
	k.view = view{a.Leader, a.Voters, a.Quorum, k.Now()}
}

// forget drops a leader that did not answer as one.
func (k *Keeper) forget(leader identity.NodeID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.view.leader == leader {
		k.view.leader, k.view.quorum = identity.NodeID{}, false
	}
}

// Refresh asks up to five nodes who leads the voters, for a [Keeper.Status]
// that is of now. It returns when the first leader is named, or ctx ends.
func (k *Keeper) Refresh(ctx context.Context) {
	if v := k.current(); v != nil {
		if _, in := v.voters(); in {
			return // raft knows
		}
	}
	peers := k.peers()
	// Voters know best.
	k.mu.Lock()
	voters := slices.Clone(k.view.voters)
	k.mu.Unlock()
	slices.SortStableFunc(peers, func(a, b identity.NodeID) int {
		return order(slices.Contains(voters, b)) - order(slices.Contains(voters, a))
	})
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var asking sync.WaitGroup
	var mu sync.Mutex
	var best answer
	for _, id := range peers[:min(len(peers), 5)] {
		asking.Go(func() {
			a, err := k.ask(ctx, id, 0)
			if err != nil || len(a.Voters) == 0 {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			// A voter's word before a bystander's, a leader before none.
			if len(best.Voters) == 0 || rank(a) > rank(best) {
				best = a
			}
			if a.Voting && !a.Leader.IsZero() {
				cancel()
			}
		})
	}
	asking.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(best.Voters) > 0 {
		k.view = view{best.Leader, best.Voters, best.Quorum, k.Now()}
	} else { // nobody answered: who leads is not known
		k.view.leader, k.view.quorum = identity.NodeID{}, false
	}
}

func rank(a answer) int { return 2*order(a.Voting) + order(!a.Leader.IsZero()) }

func order(b bool) int {
	if b {
		return 1
	}
	return 0
}

// pullFrom takes all entries that a node has and this one has not.
func (k *Keeper) pullFrom(ctx context.Context, id identity.NodeID, peers []identity.NodeID) error {
	for ctx.Err() == nil {
		var have uint64
		s := k.State()
		if s != nil {
			have = s.Seq()
		}
		p, err := k.page(ctx, id, have+1)
		if err != nil {
			return err
		}
		if len(p.Entries) == 0 {
			return nil
		}
		if err := k.confirm(ctx, s, p.Entries, id, peers); err != nil {
			return err
		}
		for i, b := range p.Entries {
			if err := k.ledger.append(have+1+uint64(i), nil, b); err != nil {
				return fmt.Errorf("registry entry %d: %w", have+1+uint64(i), err)
			}
		}
	}
	return ctx.Err()
}

func (k *Keeper) page(ctx context.Context, id identity.NodeID, from uint64) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var p page
	err := k.call(ctx, http.MethodGet, id, fmt.Sprintf("?from=%d&max=%d", from, pageEntries), nil, maxPage, &p)
	if err == nil && len(p.Entries) > pageEntries {
		err = fmt.Errorf("%w: %d entries at once", registry.ErrMalformed, len(p.Entries))
	}
	return p, err
}

// confirm asks another node whether it has the same registry after these
// entries, before any of them is taken: every signature may be right and an
// entry be left out or moved all the same. Who is not that far cannot tell; if
// nobody can, the signatures must do.
func (k *Keeper) confirm(ctx context.Context, s *registry.State, entries [][]byte, from identity.NodeID, peers []identity.NodeID) error {
	for _, b := range entries {
		next, err := k.ledger.judge(s, b)
		if err != nil {
			if s != nil && errors.Is(err, registry.ErrUnknownKind) {
				break // what comes before it can still be taken
			}
			return fmt.Errorf("registry entry after %d: %w", seqOf(s), err)
		}
		s = next
	}
	if s == nil {
		return nil
	}
	for _, id := range peers {
		if id == from {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, probeTime)
		a, err := k.ask(ctx, id, s.Seq())
		cancel()
		if err != nil || a.At != s.Seq() {
			continue
		}
		if a.Hash != s.Hash() {
			return fmt.Errorf("%w: nodes %s and %s differ at entry %d", ErrSplit, from, id, a.At)
		}
		return nil
	}
	return nil
}

func seqOf(s *registry.State) uint64 {
	if s == nil {
		return 0
	}
	return s.Seq()
}

// peers are the nodes that can be asked, in random order, those that are known
// to be reachable first.
func (k *Keeper) peers() []identity.NodeID {
	var ids []identity.NodeID
	if s := k.State(); s != nil {
		for _, m := range s.Members() {
			for _, n := range m.Nodes {
				if m.Active() && n.ID != k.id {
					ids = append(ids, n.ID)
				}
			}
		}
	}
	if len(ids) == 0 {
		ids = slices.Clone(k.Contacts)
	}
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	if k.Alive != nil {
		alive := k.Alive()
		slices.SortStableFunc(ids, func(a, b identity.NodeID) int {
			return order(slices.Contains(alive, b)) - order(slices.Contains(alive, a))
		})
	}
	return ids
}
