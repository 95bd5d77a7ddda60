package fedmodel

import (
	"fmt"
	"slices"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

// law is the registry as its voters hold it: the one order of commands. How the
// voters agree on it is the business of package consensus and its tests; here a
// command that reaches them is accepted or refused at once, and everybody learns
// of it over the network, sooner or later.
type law struct {
	entries []registry.Entry
	state   *registry.State
	anchors []anchor
}

// anchor is a head that the voters put on record.
type anchor struct {
	Origin identity.OriginID `cbor:"1,keyasint"`
	Place  feed.Place        `cbor:"2,keyasint"`
}

// found makes a federation of n countries.
func (w *world) found(n int) {
	var members []*registrytest.Member
	for i := range n {
		m := registrytest.New(w.t, string([]byte{'A' + byte(i), 'A' + byte(i)}))
		if i >= n-w.plan.Hidden {
			m.Candidate.Nodes[0].Endpoints, m.Candidate.Nodes[0].Voter = nil, false
		}
		members = append(members, m)
	}
	e, s := members[0].Found(w.t)
	w.law = law{entries: []registry.Entry{e}, state: s}
	for i, m := range members[1:] {
		w.must(members[0].Invite(w.t, w.law.state, m.Country))
		id, admit := members[0].Admit(w.t, w.law.state, m)
		w.must(admit)
		for _, voter := range members[1 : i+1] {
			for _, p := range w.law.state.Proposals() {
				if p.ID == id {
					_, approve := voter.Sign(w.t, w.law.state, registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
					w.must(approve)
				}
			}
		}
		if got, ok := w.law.state.MemberByOrigin(m.Origin); !ok || !got.Active() {
			w.t.Fatalf("%s was not admitted", m.Country)
		}
	}
	for i, m := range members {
		w.machines = append(w.machines, w.newMachine(i, m, "node."+m.Country+".example"))
	}
}

// must applies a command of the preparations.
func (w *world) must(command []byte) {
	w.t.Helper()
	if err := w.law.apply(w.now().Unix(), command); err != nil {
		w.t.Fatal(err)
	}
}

func (l *law) apply(now int64, command []byte) error {
	e := registry.Entry{Time: max(now, l.state.Time()), Command: command}
	next, err := l.state.Apply(e)
	if err != nil {
		return err
	}
	l.entries, l.state = append(slices.Clip(l.entries), e), next
	return nil
}

// propose has a machine's administrator send a command to the voters, who are
// reached when the machine runs and another one in reach does. The machine then
// knows the registry up to its command.
func (w *world) propose(m *machine, kind registry.Kind, payload any, keys ...*identity.Key) error {
	if !w.inContact(m) {
		return errSkip
	}
	_, command, err := registry.NewCommand(w.law.state, kind, payload, keys...)
	if err != nil {
		return err
	}
	w.mu.Lock()
	err = w.law.apply(w.now().Unix(), command)
	entries, anchors := w.law.entries, w.law.anchors
	w.mu.Unlock()
	if err != nil {
		return err
	}
	m.proc.learn(entries, anchors)
	return nil
}

// rekey changes the keys of a machine's member, as its admin key signs it.
func (w *world) rekey(m *machine, ch registry.KeyChange, added ...*identity.Key) error {
	ch.Origin = m.origin()
	for _, k := range added {
		ch.Add = append(ch.Add, registry.NewKey{Public: k.Public(), Role: k.Role()})
	}
	st, err := registry.SignKeyChange(w.law.state.Federation(), ch, added...)
	if err != nil {
		return err
	}
	return w.propose(m, registry.KindKeys, registry.SetKeys{Statement: st}, m.member.Keys.Admin)
}

// inContact reports whether a machine runs and reaches another one that does.
func (w *world) inContact(m *machine) bool {
	if m == nil || m.proc == nil {
		return false
	}
	for _, other := range w.machines {
		if other != m && other.proc != nil && other.node() != m.node() && w.net.Reaches(m.host, other.host) && w.net.Reaches(other.host, m.host) {
			return true
		}
	}
	return false
}

// keys are the registry as a process knows it, with the heads on record.
type keys struct {
	*registry.State
	anchors []anchor
}

var _ feed.Keys = keys{}

// Anchor implements [feed.Keys].
func (k keys) Anchor(o identity.OriginID, epoch, n uint64) (identity.Hash, bool) {
	for _, a := range k.anchors {
		if a.Origin == o && a.Place.Epoch == epoch && a.Place.N == n {
			return a.Place.Hash, true
		}
	}
	return identity.Hash{}, false
}

// Anchors implements [feed.Keys].
func (k keys) Anchors(o identity.OriginID, epoch uint64) (out []uint64) {
	for _, a := range k.anchors {
		if a.Origin == o && a.Place.Epoch == epoch {
			out = append(out, a.Place.N)
		}
	}
	slices.Sort(out)
	return out
}

// statute is the registry as one node tells it to another.
type statute struct {
	Entries [][]byte `cbor:"1,keyasint"` // those that were asked for
	Anchors []anchor `cbor:"2,keyasint"` // all of them
}

// newPublishKey is a member's publish key number i.
func newPublishKey(m *registrytest.Member, i int) *identity.Key {
	return identity.KeyFromSeed(identity.RolePublish, [32]byte(identity.Sum(2, []byte(m.Country), fmt.Append(nil, i))))
}
