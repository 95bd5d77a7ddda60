package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// recordWait is how long a node waits, at most, before it puts what the docket
// holds into the registry: the others would do the same, and one is enough.
const recordWait = 20 * time.Second

// runDocket keeps the docket in step with time, and puts what it holds on record
// in the registry when that can be changed.
func (n *Node) runDocket(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.docket.Run(ctx)
	}()
	defer func() { <-done }()
	timer := time.NewTimer(rand.N(recordWait))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.unrecorded:
			timer.Reset(rand.N(recordWait))
		case <-timer.C:
			n.record(ctx)
			timer.Reset(10 * time.Minute)
		}
	}
}

// record proposes what the registry does not have yet.
func (n *Node) record(ctx context.Context) {
	k := n.keeper.Load()
	if !k.Fresh(ctx, time.Minute).Quorum {
		return // it is tried again later
	}
	for _, c := range n.docket.Unrecorded() {
		_, command, err := registry.NewCommand(n.state(), c.Kind, c.Payload, n.keys().admin)
		if err == nil {
			_, err = k.Propose(ctx, command)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, registry.ErrConflict) && !errors.Is(err, registry.ErrSuperseded) {
			n.o.Logger.Info("the registry has not taken what the docket holds; it is tried again", "kind", string(c.Kind), "err", err)
		}
	}
}

// docketChanged is told that other rulings or evidence hold now.
func (n *Node) docketChanged() {
	go n.transport.Recheck()
	if r := n.replicator.Load(); r != nil {
		r.Poke()
	}
	n.reconsidered.run(n.reconsider)
	select {
	case n.unrecorded <- struct{}{}:
	default:
	}
}

// reconsider shows and hides what the docket now says. What is asked between its
// change and this is answered rightly too: each answer asks the docket.
func (n *Node) reconsider() {
	n.reconsidering.Lock()
	defer n.reconsidering.Unlock()
	n.standings.Clear()
	n.reconsiderVoices()
	now := make(map[identity.OriginID][]feed.Key)
	for _, h := range n.docket.View().HiddenAll() {
		now[h.Ruling.Origin] = append(now[h.Ruling.Origin], h.Ruling.Record)
	}
	for o := range now {
		slices.SortFunc(now[o], func(a, b feed.Key) int { return bytes.Compare(a[:], b[:]) })
	}
	for o := range n.takenDown {
		if _, ok := now[o]; !ok {
			now[o] = nil // everything of it is shown again
		}
	}
	for o, keys := range now {
		before := n.takenDown[o]
		var changed []feed.Key
		for _, k := range keys {
			if !slices.Contains(before, k) {
				changed = append(changed, k)
			}
		}
		for _, k := range before {
			if !slices.Contains(keys, k) {
				changed = append(changed, k)
			}
		}
		if len(changed) == 0 {
			continue
		}
		if err := n.catalog.Reconsider(context.Background(), o, changed...); err != nil {
			n.o.Logger.Error("the search index does not follow what was taken down", "err", err)
			now[o] = before // the next time it is tried again
		}
	}
	n.takenDown = now
}

// voice is what decides whether what a member says beside others' listings
// counts.
type voice struct {
	status     registry.Status
	suspended  bool
	caretakers string
}

// reconsiderVoices looks anew at the listings beside which somebody may speak, or
// may not any more.
func (n *Node) reconsiderVoices() {
	s := n.state()
	if s == nil {
		return
	}
	view := n.docket.View()
	now := make(map[identity.OriginID]voice)
	everything := false
	for _, m := range s.Members() {
		v := voice{m.Status, view.Suspended(m.Origin), fmt.Sprint(view.Caretakers(m.Origin))}
		now[m.Origin] = v
		before, known := n.voices[m.Origin]
		everything = everything || known && (before.status != v.status || before.suspended != v.suspended)
		if known && before.caretakers != v.caretakers {
			if err := n.catalog.Reconsider(context.Background(), m.Origin); err != nil {
				n.o.Logger.Error("the search index does not follow a change of caretakers", "err", err)
			}
		}
	}
	n.voices = now
	if everything {
		for o := range now {
			if err := n.catalog.Reconsider(context.Background(), o); err != nil {
				n.o.Logger.Error("the search index does not follow a change of members", "err", err)
			}
		}
	}
}

// places are the newest heads of all feeds that this node holds.
func (n *Node) places() []registry.Anchor {
	origins, err := n.store.Origins()
	if err != nil {
		n.o.Logger.Error("the feeds cannot be listed", "err", err)
		return nil
	}
	var out []registry.Anchor
	for _, o := range origins {
		if h := n.head(o); h != nil {
			out = append(out, registry.Anchor{Origin: o, Place: h.Place()})
		}
	}
	return out
}

// head is the newest head that is held of a feed, when it may be seen; nil when
// there is none.
func (n *Node) head(o identity.OriginID) (h *feed.SignedHead) {
	read := func() {
		if view, err := n.store.View(o); err == nil {
			h = view.Head()
			view.Close()
		}
	}
	if own, ok := n.origin(); ok && own == o {
		if p := n.publisher.Load(); p != nil {
			p.Shared(read) // not before its guard is written
			return h
		}
	}
	read()
	return h
}

// contradicts reports whether another head of this number is held here.
func (n *Node) contradicts(a registry.Anchor) bool {
	view, err := n.store.View(a.Origin)
	if err != nil {
		return false
	}
	defer view.Close()
	held := view.Head()
	if held == nil || held.Epoch != a.Place.Epoch || held.N < a.Place.N {
		return false
	}
	envelopes, err := view.Heads(a.Place.N, 1)
	if err != nil || len(envelopes) == 0 {
		return false
	}
	h, err := feed.ParseHead(envelopes[0])
	return err == nil && h.Epoch == a.Place.Epoch && h.N == a.Place.N && h.Hash != a.Place.Hash
}

// headTaken is told of each new head of the registry.
func (n *Node) headTaken(*registry.SignedHead) {
	if r := n.replicator.Load(); r != nil {
		r.Poke()
	}
}

// owns reports whether a node is one of an origin's.
func (n *Node) owns(id identity.NodeID, o identity.OriginID) bool {
	s := n.state()
	if s == nil {
		return false
	}
	_, m, ok := s.Node(id)
	return ok && m.Origin == o
}

// gates are the nodes through which one that cannot be called stays reachable:
// those that can be, of one country after the other.
func (n *Node) gates() []identity.NodeID {
	s := n.state()
	if s == nil {
		return nil
	}
	var first, more []identity.NodeID
	for _, m := range s.Members() {
		found := false
		for _, node := range m.Nodes {
			if !m.Active() || node.ID == n.id || len(node.Endpoints) == 0 {
				continue
			}
			if found {
				more = append(more, node.ID)
			} else {
				first = append(first, node.ID)
			}
			found = true
		}
	}
	rand.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	return append(first, more...)
}

// follow does what a change of this country's own entry asks for: new keys, a
// new epoch.
func (n *Node) follow(m registry.Member) {
	if err := n.settleKeys(m); err != nil {
		n.o.Logger.Error("the new keys could not be put into use", "err", err)
	}
	p := n.publisher.Load()
	if p == nil || !n.publishes(m) {
		return
	}
	if p.Quarantined() != nil {
		n.adopted(p.AdoptEpoch, m.Origin)
	}
	n.renew()
}
