package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/2ps-project/waymark/federation/durable"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
)

// keys are the node's private keys as they are now.
func (n *Node) keys() keyring { return *n.ring.Load() }

// A new key first stands beside the old one, so that neither is lost wherever
// the process is killed; it takes the old one's place when the registry has it.
func (n *Node) keyPath(role identity.Role, next bool) string {
	name := string(role) + ".key"
	if next {
		name = string(role) + ".next.key"
	}
	return filepath.Join(n.o.Dir, dirKeys, name)
}

// nextKey is the key that is to replace the present one of a role: the one that
// an attempt before has left, or a new one. One that went out of use before it was
// in use here does not come back.
func (n *Node) nextKey(m registry.Member, role identity.Role) (*identity.Key, error) {
	path := n.keyPath(role, true)
	key, err := identity.LoadKey(path, role)
	gone := err == nil && slices.ContainsFunc(m.Keys, func(k registry.Key) bool { return k.To != registry.Mark{} && k.Public == key.Public() })
	switch {
	case gone:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return key, err
	}
	if key, err = identity.Generate(role); err != nil {
		return nil, err
	}
	return key, key.Save(path)
}

// settleKeys puts new keys into use that the registry knows by now.
func (n *Node) settleKeys(m registry.Member) error {
	n.rekeying.Lock()
	defer n.rekeying.Unlock()
	ring := n.keys()
	changed := false
	var failed error // of one key; the other one still comes into use
	for _, role := range []identity.Role{identity.RoleAdmin, identity.RolePublish} {
		next, err := identity.LoadKey(n.keyPath(role, true), role)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if _, known := m.Key(role, next.ID()); !known {
			continue
		}
		if err := os.Rename(n.keyPath(role, true), n.keyPath(role, false)); err != nil {
			failed = errors.Join(failed, fmt.Errorf("put the new %s key into use: %w", role, err))
			continue
		}
		changed = true
		if role == identity.RoleAdmin {
			ring.admin = next
		} else {
			ring.publish = next
		}
	}
	if !changed {
		return failed
	}
	n.ring.Store(&ring)
	if p := n.publisher.Load(); p != nil {
		p.SetKeys(ring.publish, ring.admin)
	}
	return errors.Join(failed, durable.Dir(filepath.Join(n.o.Dir, dirKeys)))
}

// renew signs a fresh head where the newest one is by a key, or of an epoch,
// that no longer holds.
func (n *Node) renew() {
	p := n.publisher.Load()
	if p == nil || p.Quarantined() != nil {
		return
	}
	if _, err := p.Renew(context.Background()); err != nil && !errors.Is(err, feed.ErrQuarantined) {
		n.o.Logger.Warn("the feed could not be signed afresh", "err", err)
	}
}

// member is this node's member, or why it can change nothing for it.
func (n *Node) member() (*registry.State, registry.Member, error) {
	if m, in := n.self(); in {
		return n.state(), m, nil
	}
	return nil, registry.Member{}, &control.Error{Class: control.Refused, Code: "not_member", Message: "This node's country is not a member of a federation.",
		Next: "Found a federation with waymark found, or join one with waymark join."}
}

// changeKeys states a change of this country's keys, signed by signer, and puts
// the new keys into use when the registry has it.
func (n *Node) changeKeys(ctx context.Context, s *registry.State, ch registry.KeyChange, signer *identity.Key, added ...*identity.Key) error {
	statement, err := registry.SignKeyChange(s.Federation(), ch, added...)
	if err != nil {
		return err
	}
	_, command, err := registry.NewCommand(s, registry.KindKeys, registry.SetKeys{Statement: statement}, signer)
	if err != nil {
		return err
	}
	if _, err := n.keeper.Load().Propose(ctx, command); err != nil {
		return explainProposal(err)
	}
	m, ok := n.self()
	if !ok {
		return nil
	}
	return n.settleKeys(m)
}

// RotateKey implements [control.Care].
func (a *admin) RotateKey(ctx context.Context, name string) (control.KeyChange, error) {
	n := (*Node)(a)
	s, m, err := n.member()
	if err != nil {
		return control.KeyChange{}, err
	}
	role := identity.Role(name)
	old := map[identity.Role]*identity.Key{identity.RoleAdmin: n.keys().admin, identity.RolePublish: n.keys().publish}[role]
	if old == nil {
		return control.KeyChange{}, &control.Error{Class: control.Usage, Code: "bad_role", Message: fmt.Sprintf("%q is not a key that can be replaced here.", name), Next: "Name publish or admin."}
	}
	var last registry.Mark
	if role == identity.RolePublish {
		if _, err := n.signer(); err != nil { // not before the others have shown what they hold of this feed
			return control.KeyChange{}, err
		}
		p := n.publisher.Load()
		if err := p.Quarantined(); err != nil {
			return control.KeyChange{}, &control.Error{Class: control.Degraded, Code: "quarantined", Message: "Which head was the last by the present key is not certain: " + err.Error() + ".", Next: "See: waymark status"}
		}
		held, release, err := p.Hold(ctx) // nothing may be signed after the head that is named as the last
		if err != nil {
			return control.KeyChange{}, err
		}
		defer release()
		last.Epoch = m.Epoch
		if held != nil && held.Epoch == m.Epoch {
			last.N = held.N
		}
	}
	next, err := n.nextKey(m, role)
	if err != nil {
		return control.KeyChange{}, err
	}
	ch := replacement(m, role, old, next, last)
	if err := n.changeKeys(ctx, s, ch, n.keys().admin, next); err != nil {
		return control.KeyChange{}, err
	}
	return control.KeyChange{Country: m.Country, Role: name, Old: old.ID().String(), New: next.ID().String(), Epoch: m.Epoch}, nil
}

// replacement is the change of keys that puts next in the place of old. One that
// was taken away before is not retired any more.
func replacement(m registry.Member, role identity.Role, old, next *identity.Key, last registry.Mark) registry.KeyChange {
	ch := registry.KeyChange{Origin: m.Origin, Add: []registry.NewKey{{Public: next.Public(), Role: role}}}
	if _, used := m.Key(role, old.ID()); used {
		ch.Retire = []registry.Retirement{{ID: old.ID(), Last: last}}
	}
	return ch
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

var errStarting = &control.Error{Class: control.Failed, Code: "starting", Message: "The node is still starting.", Next: "Try again in a moment."}

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
	return control.KeyChange{}, &control.Error{Class: control.Failed, Code: "no_key", Message: fmt.Sprintf("No country has a key %s.", in.Key), Next: "See this country's with: waymark key show"}
}

// goodHead is the place of the last head that is believed; nil when nothing
// that was signed is doubted, or the key signs no heads.
func (n *Node) goodHead(m registry.Member, role identity.Role, number uint64) (*feed.Place, error) {
	if role != identity.RolePublish {
		return nil, nil
	}
	view, err := n.store.View(m.Origin)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	held := view.Head()
	switch {
	case held == nil || held.Epoch != m.Epoch:
		return nil, nil
	case number == 0:
		return nil, &control.Error{Class: control.Usage, Code: "which_head", Message: "Which head of the feed was the last that you believe? Everything after it will be taken back.",
			Next: fmt.Sprintf("Name it with --last-good; the newest is %d, and believing it takes nothing back.", held.N)}
	case number == held.N:
		return nil, nil
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

// RecoverySheet implements [control.Care].
func (a *admin) RecoverySheet(ctx context.Context) (control.Sheet, error) {
	n := (*Node)(a)
	s, m, err := n.member()
	if err != nil {
		return control.Sheet{}, err
	}
	key, err := identity.Generate(identity.RoleRecovery)
	if err != nil {
		return control.Sheet{}, err
	}
	secret, err := key.Paper()
	if err != nil {
		return control.Sheet{}, err
	}
	ch := registry.KeyChange{Origin: m.Origin, Add: []registry.NewKey{{Public: key.Public(), Role: identity.RoleRecovery}}}
	for _, k := range m.Keys {
		if k.Role == identity.RoleRecovery && k.To == (registry.Mark{}) {
			ch.Retire = append(ch.Retire, registry.Retirement{ID: k.Public.ID()})
		}
	}
	if err := n.changeKeys(ctx, s, ch, n.keys().admin, key); err != nil {
		return control.Sheet{}, err
	}
	return control.Sheet{Country: m.Country, Federation: s.Name(), Key: key.ID().String(), Secret: secret}, nil
}

// RecoverKeys implements [control.Care].
func (a *admin) RecoverKeys(ctx context.Context, secret string) (control.KeyChange, error) {
	n := (*Node)(a)
	s, m, err := n.member()
	if err != nil {
		return control.KeyChange{}, err
	}
	key, err := identity.RecoveryKey(secret)
	if err != nil {
		return control.KeyChange{}, &control.Error{Class: control.Usage, Code: "mistyped", Message: "The secret of the sheet is not right: " + err.Error() + ".", Next: "Compare it with the paper and try again."}
	}
	if _, ok := m.Key(identity.RoleRecovery, key.ID()); !ok {
		return control.KeyChange{}, &control.Error{Class: control.Refused, Code: "other_sheet", Message: fmt.Sprintf("This sheet is not the valid one of %s.", m.Country),
			Next: "A newer sheet makes an older one worthless. Without any sheet the other countries can replace the keys together."}
	}
	ch := registry.KeyChange{Origin: m.Origin, Epoch: m.Epoch + 1}
	var added []*identity.Key
	for _, role := range []identity.Role{identity.RoleAdmin, identity.RolePublish} {
		next, err := n.nextKey(m, role)
		if err != nil {
			return control.KeyChange{}, err
		}
		added = append(added, next)
		ch.Add = append(ch.Add, registry.NewKey{Public: next.Public(), Role: role})
	}
	for _, k := range m.Keys {
		if (k.Role == identity.RoleAdmin || k.Role == identity.RolePublish) && k.To == (registry.Mark{}) {
			ch.Revoke = append(ch.Revoke, k.Public.ID())
		}
	}
	if err := n.changeKeys(ctx, s, ch, key, added...); err != nil {
		return control.KeyChange{}, err
	}
	out := control.KeyChange{Country: m.Country, Role: "admin and publish", New: added[0].ID().String(), Epoch: ch.Epoch}
	for _, r := range n.state().Rekeys() {
		if r.Change.Origin == m.Origin {
			due := timeOf(r.Due)
			out.Due = &due
		}
	}
	return out, nil
}

// ObjectKeys implements [control.Care].
func (a *admin) ObjectKeys(ctx context.Context) (control.KeyChange, error) {
	n := (*Node)(a)
	s, m, err := n.member()
	if err != nil {
		return control.KeyChange{}, err
	}
	for _, r := range s.Rekeys() {
		if r.Change.Origin != m.Origin {
			continue
		}
		_, command, err := registry.NewCommand(s, registry.KindObject, registry.Object{Proposal: r.ID, Hash: r.Hash}, n.keys().admin)
		if err == nil {
			_, err = n.keeper.Load().Propose(ctx, command)
		}
		if err != nil {
			return control.KeyChange{}, explainProposal(err)
		}
		return control.KeyChange{Country: m.Country, Epoch: m.Epoch}, nil
	}
	return control.KeyChange{}, &control.Error{Class: control.Failed, Code: "no_rekey", Message: fmt.Sprintf("No change of the keys of %s is waiting.", m.Country)}
}

// finishRekey lets a change of this country's keys take effect that has waited
// long enough: the registry does it with the next entry, so one is made, with the
// new key and without another meaning.
func (n *Node) finishRekey(ctx context.Context) {
	s := n.state()
	m, in := n.self()
	if !in {
		return
	}
	for _, r := range s.Rekeys() {
		if r.Change.Origin != m.Origin || n.o.Now().Unix() < r.Due {
			continue
		}
		next, err := identity.LoadKey(n.keyPath(identity.RoleAdmin, true), identity.RoleAdmin)
		if err != nil {
			continue // it was asked for elsewhere
		}
		same := registry.Nodes{Origin: m.Origin}
		for _, node := range m.Nodes {
			same.Nodes = append(same.Nodes, node.Machine())
		}
		statement, err := registry.SignNodes(s.Federation(), same)
		if err == nil {
			var command []byte
			if _, command, err = registry.NewCommand(s, registry.KindNode, registry.SetNodes{Statement: statement}, next); err == nil {
				_, err = n.keeper.Load().Propose(ctx, command)
			}
		}
		if err != nil && ctx.Err() == nil {
			n.o.Logger.Warn("the new keys do not hold yet; it is tried again", "err", err)
		}
	}
}

// RestartFeed implements [control.Care].
func (a *admin) RestartFeed(ctx context.Context) (control.KeyChange, error) {
	n := (*Node)(a)
	s, m, err := n.member()
	if err != nil {
		return control.KeyChange{}, err
	}
	p := n.publisher.Load()
	if p == nil {
		return control.KeyChange{}, errStarting
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
