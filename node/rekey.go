package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

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

// keyBefore is the key that the present one of a role has replaced: after a
// recovery the registry may be back where that one was in use.
func (n *Node) keyBefore(role identity.Role) string {
	return filepath.Join(n.o.Dir, dirKeys, string(role)+".before.key")
}

// settleKeys puts new keys into use that the registry knows by now, and those
// before them where it is back at a time at which they were in use.
func (n *Node) settleKeys(m registry.Member) error {
	n.rekeying.Lock()
	defer n.rekeying.Unlock()
	ring := n.keys()
	changed := false
	var failed error // of one key; the other one still comes into use
	for _, role := range []identity.Role{identity.RoleAdmin, identity.RolePublish} {
		key, err := n.settleKey(m, role, map[identity.Role]*identity.Key{identity.RoleAdmin: ring.admin, identity.RolePublish: ring.publish}[role])
		switch {
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("put the %s key that the registry knows into use: %w", role, err))
		case key == nil:
		case role == identity.RoleAdmin:
			ring.admin, changed = key, true
		default:
			ring.publish, changed = key, true
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

// settleKey changes the key file of a role when the registry knows the next key,
// or only the one before. It returns the key that is in use then; nil when that is
// the same one.
func (n *Node) settleKey(m registry.Member, role identity.Role, now *identity.Key) (*identity.Key, error) {
	current, next, before := n.keyPath(role, false), n.keyPath(role, true), n.keyBefore(role)
	in := func(path string) (*identity.Key, error) {
		key, err := identity.LoadKey(path, role)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if _, known := m.Key(role, key.ID()); !known {
			return nil, nil
		}
		return key, nil
	}
	key, err := in(next)
	if err != nil {
		return nil, err
	}
	if key != nil {
		_ = os.Remove(before)
		if err := os.Link(current, before); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return key, os.Rename(next, current)
	}
	if _, known := m.Key(role, now.ID()); known {
		return nil, nil
	}
	if key, err = in(before); key == nil || err != nil {
		return nil, err
	}
	// The present key came with an entry that does not count any more. It is the
	// next one again, for whoever rotates anew.
	if _, err := os.Lstat(next); errors.Is(err, fs.ErrNotExist) {
		if err := os.Link(current, next); err != nil {
			return nil, err
		}
	}
	n.o.Logger.Warn("the registry does not know the present key any more; the one before it is in use again", "role", string(role))
	return key, os.Rename(before, current)
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
	if n.newer != nil {
		return nil, registry.Member{}, errOutdated(n.newer)
	}
	if m, in := n.self(); in {
		return n.state(), m, nil
	}
	if m, ok := n.silenced(); ok {
		return nil, registry.Member{}, n.errSilenced(m)
	}
	if err := n.outside(); err != nil {
		return nil, registry.Member{}, err
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
	_, used := m.Key(role, old.ID())
	if _, revoked := n.docket.View().Revoked(m.Origin, old.ID()); used && revoked {
		return control.KeyChange{}, &control.Error{Class: control.Degraded, Code: "not_recorded", Message: "The other countries have revoked this key, and the shared registry does not have it yet.",
			Next: "Try again in a minute. What was published before the registry has it would be taken back."}
	}
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

var errStarting = &control.Error{Class: control.Failed, Code: "starting", Message: "The node is still starting.", Next: "Try again in a moment."}

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
	return control.Sheet{Country: m.Country, Federation: s.Name(), FederationID: s.Federation().String(), Key: key.ID().String(), Secret: secret}, nil
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

// finishKeys looks every minute whether a change of keys is due, also while the
// node takes no part in its federation: lost keys are why.
func (n *Node) finishKeys(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			n.finishRekey(ctx)
		}
	}
}

// othersWait is how long the other members leave it to a member to let its change
// of keys take effect. They do it then, since a machine that comes in by that
// change cannot.
const othersWait = 5 * 60

// finishRekey lets a change of keys take effect that has waited long enough: the
// registry does it with the next entry, so one is made without another meaning,
// by its member with the new key, or by another one.
func (n *Node) finishRekey(ctx context.Context) {
	s := n.state()
	m, in := n.self()
	if !in {
		return
	}
	for _, r := range s.Rekeys() {
		signer := n.keys().admin
		wait := r.Due + othersWait
		if r.Change.Origin == m.Origin {
			next, err := identity.LoadKey(n.keyPath(identity.RoleAdmin, true), identity.RoleAdmin)
			if err == nil {
				signer, wait = next, r.Due
			} // else it was asked for elsewhere
		}
		if n.o.Now().Unix() < wait {
			continue
		}
		same := registry.Nodes{Origin: m.Origin}
		for _, node := range m.Nodes {
			same.Nodes = append(same.Nodes, node.Machine())
		}
		statement, err := registry.SignNodes(s.Federation(), same)
		if err == nil {
			var command []byte
			if _, command, err = registry.NewCommand(s, registry.KindNode, registry.SetNodes{Statement: statement}, signer); err == nil {
				_, err = n.keeper.Load().Propose(ctx, command)
			}
		}
		if err != nil && ctx.Err() == nil {
			n.o.Logger.Warn("a change of keys that is due has not taken effect yet; it is tried again", "country", n.country(r.Change.Origin), "err", err)
		}
	}
}
