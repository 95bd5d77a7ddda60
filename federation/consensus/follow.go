package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// askTime bounds one question to one node.
const askTime = 10 * time.Second

// follow takes entries from others until ctx ends: at the start, at each hint,
// and now and then. A voter gets its entries through raft and only compares.
func (k *Keeper) follow(ctx context.Context) {
	failed, told := 0, false
	for {
		err := k.pull(ctx, told)
		told = false
		if err != nil && ctx.Err() == nil {
			k.Logger.Debug("the registry was not compared with others", "error", err)
		}
		wait := time.Duration(float64(k.PollEvery) * (0.9 + 0.2*rand.Float64()))
		if k.unheard() { // nobody tells it anything; it wants to know when that ends
			wait /= 20
		}
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
			told = true
		case <-time.After(wait):
		}
	}
}

// unheard reports whether the registry here says that this node's member is
// suspended: it may read and is told nothing.
func (k *Keeper) unheard() bool {
	s := k.State()
	if s == nil {
		return false
	}
	for _, m := range s.Members() {
		for _, n := range m.Nodes {
			if n.ID == k.id {
				return m.Status == registry.StatusSuspended
			}
		}
	}
	return false
}

// pull asks up to three nodes and takes what they have: any three now and then,
// the voters first when something was told, since they have it first.
func (k *Keeper) pull(ctx context.Context, told bool) error {
	if err := k.stopped(); err != nil {
		return nil // a person has to look first
	}
	peers := k.peers()
	if len(peers) == 0 {
		return nil
	}
	if h, ok := k.Head(); ok && told {
		first(peers, h.VoterIDs())
	}
	answered, errs, heard := 0, []error(nil), uint64(0)
	for _, id := range peers {
		if answered == 3 || ctx.Err() != nil {
			break
		}
		last, err := k.meet(ctx, id, k.ordered())
		heard = max(heard, last)
		switch {
		case err == nil:
			answered++
		case stops(err):
			k.stop(err)
			return err
		default:
			errs = append(errs, fmt.Errorf("node %s: %w", id, err))
		}
	}
	k.mu.Lock()
	k.heard = heard
	maps.DeleteFunc(k.contrary, func(id identity.NodeID, _ bool) bool { return !slices.Contains(peers, id) })
	k.mu.Unlock()
	if answered == 0 {
		return errors.Join(errs...)
	}
	return nil
}

// ordered reports whether raft brings the entries here: it has a leader, and no
// recovery has ended it. Without one a node may have been taken out while it was
// away; what a head confirms is safe to take.
func (k *Keeper) ordered() bool {
	v := k.current()
	if v == nil || k.gap.Load() || v.leader().IsZero() || v.branch != k.heads.chain().Branch() {
		return false
	}
	_, in := v.voters()
	return in
}

// meet compares the registry with a node's, notes what it says about the
// voters, and takes what it has and this one has not: heads alone where raft
// brings the entries. It returns the last entry that the node claims to have.
func (k *Keeper) meet(ctx context.Context, id identity.NodeID, ordering bool) (uint64, error) {
	at := seqOf(k.State())
	asking, cancel := context.WithTimeout(ctx, probeTime) // others wait meanwhile
	a, err := k.ask(asking, id, at)
	cancel()
	if err != nil {
		return 0, err
	}
	k.note(a)
	k.differs(id, a)
	news := len(a.Head) > 0 && !k.holds(a.Head)
	from := peerSource{k, id}
	switch {
	case ordering && news && !k.outranks(a.Head):
		err = k.offered(ctx, from, a.Head)
		if errors.Is(err, ErrUnconfirmed) {
			err = nil // raft brings the entries, and the leader the head
		}
	case !ordering && (news || a.Seq > at), k.outranks(a.Head): // a recovery stops raft here
		err = k.pullFrom(ctx, from)
	}
	return a.Seq, err
}

// differs notes whether a node shows another registry than this one up to the
// entry that was asked for. That alone proves nothing: who is right, the next
// head of the registry tells.
func (k *Keeper) differs(id identity.NodeID, a answer) {
	h, ok := k.ledger.hashAt(a.At)
	other := ok && h != a.Hash
	k.mu.Lock()
	was := k.contrary[id]
	if other {
		k.contrary[id] = true
	} else {
		delete(k.contrary, id)
	}
	k.mu.Unlock()
	if other && !was {
		k.Logger.Warn("a node shows another registry", "node", id, "entry", a.At)
	}
}

// holds reports whether a head is the one that is held.
func (k *Keeper) holds(head []byte) bool {
	h := k.heads.chain().Newest()
	return h != nil && bytes.Equal(h.Envelope, head)
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

func order(b bool) int {
	if b {
		return 1
	}
	return 0
}

// pullFrom takes the entries that a node has, this one has not, and a head of
// the registry confirms.
func (k *Keeper) pullFrom(ctx context.Context, from peerSource) error {
	for ctx.Err() == nil {
		have := seqOf(k.State())
		p, err := from.page(ctx, have+1)
		if err != nil {
			return err
		}
		if err := k.take(ctx, from, have+1, p.Entries, p.Head); err != nil {
			return err
		}
		switch now := seqOf(k.State()); {
		case now >= p.Last:
			return nil
		case now == have:
			return ErrUnconfirmed
		}
	}
	return ctx.Err()
}

// peerSource is another node.
type peerSource struct {
	k  *Keeper
	id identity.NodeID
}

func (s peerSource) page(ctx context.Context, from uint64) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var p page
	err := s.k.call(ctx, http.MethodGet, s.id, fmt.Sprintf("?from=%d&max=%d", from, pageEntries), nil, maxPage, &p)
	if err == nil && len(p.Entries) > pageEntries {
		err = fmt.Errorf("%w: %d entries at once", registry.ErrMalformed, len(p.Entries))
	}
	return p, err
}

func (s peerSource) entries(ctx context.Context, from uint64) ([][]byte, error) {
	p, err := s.page(ctx, from)
	return p.Entries, err
}

func (s peerSource) rotations(ctx context.Context, from uint64) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var p headPage
	err := s.k.call(ctx, http.MethodGet, s.id, fmt.Sprintf("/heads?from=%d", from), nil, maxHeadPage, &p)
	if err == nil && len(p.Heads) > pageHeads {
		err = fmt.Errorf("%w: %d heads at once", registry.ErrMalformed, len(p.Heads))
	}
	return p.Heads, err
}

func seqOf(s *registry.State) uint64 {
	if s == nil {
		return 0
	}
	return s.Seq()
}

// first brings those that are preferred to the front, in the order they have.
func first(ids, preferred []identity.NodeID) {
	slices.SortStableFunc(ids, func(a, b identity.NodeID) int {
		return order(slices.Contains(preferred, b)) - order(slices.Contains(preferred, a))
	})
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
		first(ids, k.Alive())
	}
	return ids
}
