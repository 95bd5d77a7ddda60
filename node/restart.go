package node

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
)

// RestartFeed implements [control.Care].
func (a *admin) RestartFeed(ctx context.Context, takeBack bool) (control.KeyChange, error) {
	n := (*Node)(a)
	s, m, err := n.member()
	if err != nil {
		return control.KeyChange{}, err
	}
	p := n.publisher.Load()
	switch {
	case !n.publishes(m):
		return control.KeyChange{}, n.errMirror(m)
	case p == nil:
		return control.KeyChange{}, errStarting
	}
	if err := n.newerElsewhere(m); err != nil && !takeBack {
		return control.KeyChange{}, err
	}
	if err := n.changeKeys(ctx, s, registry.KeyChange{Origin: m.Origin, Epoch: m.Epoch + 1}, n.keys().admin); err != nil {
		return control.KeyChange{}, err
	}
	n.adopt(p, m.Origin)
	n.renew()
	if err := p.Quarantined(); err != nil {
		return control.KeyChange{}, &control.Error{Class: control.Degraded, Code: "quarantined", Message: "The new beginning is agreed, but nothing can be published yet: " + err.Error() + ".", Next: "See: waymark status"}
	}
	return control.KeyChange{Country: m.Country, Epoch: m.Epoch + 1, Old: "epoch " + strconv.FormatUint(m.Epoch, 10)}, nil
}

// newerElsewhere says that other nodes hold more of the own feed than this one: a
// new beginning from here would take it back, and bring back what was deleted and
// erased in between.
func (n *Node) newerElsewhere(m registry.Member) error {
	r := n.replicator.Load()
	if r == nil {
		return nil
	}
	shown, held := r.Highest(m.Origin), n.head(m.Origin)
	epoch := m.Epoch
	if m.Good != (feed.Place{}) && (held == nil || held.Epoch < epoch) {
		epoch = m.Good.Epoch // the last good head is what the feed goes on from
	}
	if shown == nil || shown.Epoch != epoch || held != nil && held.Epoch == shown.Epoch && held.N >= shown.N {
		return nil
	}
	at := uint64(0)
	if held != nil {
		at = held.N
	}
	return &control.Error{
		Class: control.Refused, Code: "newer_elsewhere",
		Message: fmt.Sprintf("The other countries hold a newer state of %s, number %d with %d records; this node is at number %d. To begin anew from here would take everything since back, and show again what was erased since.", m.Country, shown.N, shown.Count, at),
		Next:    "Begin anew on the machine that holds the newest state. If that is lost for good: waymark feed restart --take-back, and then erase again what must be gone.",
	}
}

// mendFeed lets the own feed start over where more was signed with a publish key
// than the registry was told when the key was retired: the answer got lost on the
// way, or the node was killed before it came. Nobody else can follow such heads.
func (n *Node) mendFeed(ctx context.Context) {
	m, in := n.self()
	p := n.publisher.Load()
	if !in || p == nil || p.Quarantined() != nil {
		return
	}
	view, err := n.store.View(m.Origin)
	if err != nil {
		return // the store says so itself
	}
	over, err := overtaken(view, m)
	view.Close()
	if err == nil && over {
		n.o.Logger.Warn("the feed starts over: something was signed with a key after it was replaced")
		err = n.changeKeys(ctx, n.state(), registry.KeyChange{Origin: m.Origin, Epoch: m.Epoch + 1}, n.keys().admin)
	}
	switch {
	case err != nil && ctx.Err() == nil:
		n.o.Logger.Warn("what was signed with a replaced key could not be mended yet; it is tried again", "err", err)
	case err == nil && over:
		n.renew()
	}
}

// overtaken reports whether the head after the last one of a retired publish key
// is by that key too.
func overtaken(view feed.StoreView, m registry.Member) (bool, error) {
	held := view.Head()
	if held == nil || held.Epoch != m.Epoch {
		return false, nil
	}
	for _, k := range m.Keys {
		if k.Role != identity.RolePublish || k.To.Epoch != m.Epoch || k.To.N >= held.N {
			continue
		}
		envelopes, err := view.Heads(k.To.N+1, 1)
		if err != nil {
			return false, err
		}
		for _, b := range envelopes { // none: it was dropped long ago
			h, err := feed.ParseHead(b)
			if err != nil {
				return false, err
			}
			e, err := identity.ParseEnvelope(b)
			if err != nil {
				return false, err
			}
			if h.N == k.To.N+1 && h.Epoch == m.Epoch && slices.ContainsFunc(e.Signatures, func(s identity.Signature) bool { return s.Key == k.Public.ID() }) {
				return true, nil
			}
		}
	}
	return false, nil
}
