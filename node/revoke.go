package node

import (
	"context"
	"fmt"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
)

// RevokeKey implements [control.Care].
func (a *admin) RevokeKey(ctx context.Context, in control.RevokeRequest) (control.KeyChange, error) {
	n := (*Node)(a)
	s, self, err := n.member()
	if err != nil {
		return control.KeyChange{}, err
	}
	for _, m := range s.Members() {
		for _, k := range m.Keys {
			if k.Public.ID().String() != in.Key {
				continue
			}
			good, err := n.goodHead(m, k.Role, in.LastGood)
			if err != nil {
				return control.KeyChange{}, err
			}
			if m.Origin != self.Origin {
				return n.revokeForeign(s, m, k, good, in)
			}
			return n.revokeOwn(ctx, s, m, k, good)
		}
	}
	for _, m := range s.Members() { // a machine in other hands
		for _, node := range m.Nodes {
			if node.Key.ID().String() != in.Key && node.ID.String() != in.Key {
				continue
			}
			if m.Origin != self.Origin {
				return n.revokeForeign(s, m, registry.Key{Public: node.Key, Role: identity.RoleNode}, nil, in)
			}
			return control.KeyChange{}, &control.Error{Class: control.Refused, Code: "own_node", Message: "This is the key of a node of this country.", Next: "Strike the node off with waymark node remove; one that publishes, with waymark node take-over --without-old on another machine."}
		}
	}
	return control.KeyChange{}, &control.Error{Class: control.Failed, Code: "no_key", Message: fmt.Sprintf("No country has a key %s.", in.Key), Next: "See this country's with: waymark key show"}
}

// goodHead is the place of the last head that is believed; nil when the feed has
// none in this epoch, or the key signs no heads.
func (n *Node) goodHead(m registry.Member, role identity.Role, number uint64) (*feed.Place, error) {
	if role != identity.RolePublish {
		return nil, nil
	}
	view, err := n.store.View(m.Origin)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	return goodPlace(view, m, number)
}

// goodPlace is the place of a head of the present epoch, the newest one too: what
// a thief signs until everybody has heard of the revocation must not stand.
func goodPlace(view feed.StoreView, m registry.Member, number uint64) (*feed.Place, error) {
	held := view.Head()
	switch {
	case held == nil || held.Epoch != m.Epoch:
		return nil, nil
	case number == 0:
		return nil, &control.Error{Class: control.Usage, Code: "which_head", Message: "Which head of the feed was the last that you believe? Everything after it will be taken back.",
			Next: fmt.Sprintf("Name it with --last-good; the newest is %d, and believing it takes back nothing that is held here.", held.N)}
	case number == held.N:
		place := held.Place()
		return &place, nil
	case number > held.N:
		return nil, &control.Error{Class: control.Usage, Code: "which_head", Message: fmt.Sprintf("This node holds no head %d; the newest is %d.", number, held.N)}
	}
	envelopes, err := view.Heads(number, 1)
	if err != nil {
		return nil, err
	}
	if len(envelopes) == 1 {
		h, err := feed.ParseHead(envelopes[0])
		if err == nil && h.Epoch == m.Epoch && h.N == number {
			place := h.Place()
			return &place, nil
		}
	}
	return nil, &control.Error{Class: control.Failed, Code: "which_head", Message: fmt.Sprintf("Head %d is no longer kept here.", number), Next: "Name a later one."}
}

func (n *Node) revokeOwn(ctx context.Context, s *registry.State, m registry.Member, k registry.Key, good *feed.Place) (control.KeyChange, error) {
	ch := registry.KeyChange{Origin: m.Origin, Revoke: []identity.KeyID{k.Public.ID()}, Good: good}
	out := control.KeyChange{Country: m.Country, Role: string(k.Role), Old: k.Public.ID().String(), Epoch: m.Epoch}
	var added []*identity.Key
	if k.Role != identity.RoleRecovery {
		ch.Epoch = m.Epoch + 1
		out.Epoch = ch.Epoch
		next, err := n.nextKey(m, k.Role)
		if err != nil {
			return out, err
		}
		added = append(added, next)
		ch.Add = []registry.NewKey{{Public: next.Public(), Role: k.Role}}
		out.New = next.ID().String()
	}
	return out, n.changeKeys(ctx, s, ch, n.keys().admin, added...)
}

func (n *Node) revokeForeign(s *registry.State, m registry.Member, k registry.Key, good *feed.Place, in control.RevokeRequest) (control.KeyChange, error) {
	reason := in.Reason
	if reason == "" {
		reason = registry.ReasonCompromised
	}
	d, err := n.decide(s, registry.Ruling{Kind: registry.RulingRevoke, Origin: m.Origin, Key: k.Public.ID(), Good: good, Reason: reason})
	if err != nil {
		return control.KeyChange{}, err
	}
	return control.KeyChange{Country: m.Country, Role: string(k.Role), Old: k.Public.ID().String(), Epoch: m.Epoch, Decision: &d}, nil
}
