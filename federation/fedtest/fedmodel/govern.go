package fedmodel

import (
	"slices"

	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// decide is what administrators decide.
func (w *world) decide(op Op, m *machine) error {
	if m == nil {
		return errSkip
	}
	switch op {
	case OpRotate:
		return w.rotate(m)
	case OpRevoke:
		return w.revoke(m)
	case OpBump:
		return w.bump(m)
	case OpSuspend, OpResume:
		return w.suspend(m, op == OpResume)
	case OpAnchor:
		return w.anchor(m)
	}
	return errSkip
}

// rotate replaces a publish key as planned: what it signed stays good.
func (w *world) rotate(m *machine) error {
	member, ok := w.law.state.MemberByOrigin(m.origin())
	h := m.head(m.origin())
	if !ok || !w.inContact(m) || h == nil || h.Epoch != member.Epoch || m.publish.ID() != newest(w, m).ID() || m.proc.pub.Quarantined() != nil || w.copied() != nil {
		return errSkip
	}
	next, number := w.nextKey(m)
	m.proc.pub.Wait()
	h = m.head(m.origin())
	last := registry.Mark{Epoch: h.Epoch, N: h.N}
	if err := w.rekey(m, registry.KeyChange{Retire: []registry.Retirement{{ID: m.publish.ID(), Last: last}}}, next); err != nil {
		return err
	}
	w.suspect(m.origin(), "its publish key was replaced")
	m.publish, m.rotated, w.keysOf[m.origin()] = next, number, number
	m.proc.pub.SetKeys(next, m.adminKey())
	m.proc.renew()
	return nil
}

// nextKey is a publish key that the machine's member never had, and its number.
func (w *world) nextKey(m *machine) (*identity.Key, int) {
	n := w.keysOf[m.origin()] + 1
	return newPublishKey(m.member, n), n
}

// revoke takes a stolen publish key away: the feed goes back to the last head
// that the owner knows to be good, and on in a new epoch with a new key.
func (w *world) revoke(m *machine) error {
	member, ok := w.law.state.MemberByOrigin(m.origin())
	if !ok || !w.inContact(m) || !member.Active() {
		return errSkip
	}
	var good *feed.Place
	if h := w.lastGood(m); h != nil && h.epoch == member.Epoch {
		good = &feed.Place{Epoch: h.epoch, N: h.n, Hash: h.hash}
	}
	next, number := w.nextKey(m)
	ch := registry.KeyChange{Revoke: []identity.KeyID{newest(w, m).ID()}, Epoch: member.Epoch + 1, Good: good}
	if err := w.rekey(m, ch, next); err != nil {
		return err
	}
	w.suspect(m.origin(), "its publish key was revoked")
	w.taintAgain(m.origin())
	m.publish, m.rotated, w.keysOf[m.origin()] = next, number, number
	m.proc.pub.SetKeys(next, m.adminKey())
	poke(m.proc.tidy)
	return nil
}

// lastGood is the newest head on the machine's own chain that no thief signed.
func (w *world) lastGood(m *machine) *refHead {
	h := m.head(m.origin())
	if h == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.ref.heads[h.Hash]
	for at != nil && at.lawless {
		at = w.ref.heads[at.prev]
	}
	return at
}

// bump starts the feed over in a new epoch, with the same key.
func (w *world) bump(m *machine) error {
	member, ok := w.law.state.MemberByOrigin(m.origin())
	if !ok || !w.inContact(m) || !member.Active() {
		return errSkip
	}
	if err := w.rekey(m, registry.KeyChange{Epoch: member.Epoch + 1}); err != nil {
		return err
	}
	w.suspect(m.origin(), "its feed was given a new epoch")
	w.taintAgain(m.origin())
	poke(m.proc.tidy)
	return nil
}

// suspend has the other members decide, without the registry, that a member's
// keys do not speak, or speak again. One of their nodes is given the ruling.
func (w *world) suspend(m *machine, off bool) error {
	var by []*machine
	for _, o := range w.machines[:w.plan.Nodes] {
		if o != m {
			by = append(by, o)
		}
	}
	i := slices.IndexFunc(by, func(o *machine) bool { return o.proc != nil })
	if i < 0 {
		return errSkip
	}
	if on := w.suspended[m.origin()]; on != off {
		return errSkip
	}
	r := registry.Ruling{Kind: registry.RulingSuspend, Off: off, Origin: m.origin(), Reason: registry.ReasonMisuse, Counter: w.counters[m.origin()] + 1}
	if off {
		r.Reason = registry.ReasonMistake
	}
	r, err := registry.NewRuling(w.law.state, r, w.now())
	if err != nil {
		return err
	}
	var signers []*identity.Key
	for _, o := range by {
		signers = append(signers, o.member.Keys.Admin)
	}
	env, err := registry.SignRuling(w.law.state.Federation(), r, signers...)
	if err != nil {
		return err
	}
	p := by[i].proc
	if _, err := p.dock.AddRuling(env); err != nil {
		return err
	}
	item, err := docket.RulingItem(env)
	if err != nil {
		return err
	}
	p.wg.Go(func() { p.rep.SpreadDocket(p.ctx, item) })
	w.suspended[m.origin()], w.counters[m.origin()] = !off, r.Counter
	return nil
}

// anchor puts on record what a machine holds of its own feed, as a majority of
// the voters does when none of them knows of a contradiction.
func (w *world) anchor(m *machine) error {
	h := m.head(m.origin())
	if h == nil || !w.inContact(m) || m.copyOf != nil {
		return errSkip
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	ref := w.ref.heads[h.Hash]
	member, ok := w.law.state.MemberByOrigin(m.origin())
	if !ok || ref == nil || !ref.seen || h.Epoch != member.Epoch || w.ahead(h) {
		return errSkip // voters put on record what they have taken
	}
	for _, a := range w.law.anchors {
		if a.Origin == m.origin() && a.Place.Epoch == h.Epoch && a.Place.N >= h.N {
			return errSkip // a voter's feed vector never goes back
		}
	}
	w.law.anchors = append(slices.Clip(w.law.anchors), anchor{m.origin(), h.Place()})
	p, entries, anchors := m.proc, w.law.entries, w.law.anchors
	p.wg.Go(func() { p.learn(entries, anchors) })
	return nil
}
