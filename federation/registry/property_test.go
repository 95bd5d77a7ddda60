package registry_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// walk draws commands, most of them reasonable, some not, by whoever.
type walk struct {
	*rapid.T
	f     *Federation
	names []string
	fresh byte
}

func (w *walk) member(label string) *Member {
	return w.f.Members[rapid.SampledFrom(w.names).Draw(w.T, label)]
}

func (w *walk) some(label string) []*Member {
	var out []*Member
	for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom(w.names), 1, len(w.names), rapid.ID[string]).Draw(w.T, label) {
		out = append(out, w.f.Members[n])
	}
	return out
}

func (w *walk) command(kind registry.Kind, payload any, by ...*Member) []byte {
	keys := make([]*identity.Key, 0, len(by))
	for _, m := range by {
		keys = append(keys, m.Keys.Admin)
	}
	_, c, err := registry.NewCommand(w.f.State, kind, payload, keys...)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// keys is a change of somebody's keys by somebody.
func (w *walk) keys() []byte {
	m := w.member("whose keys")
	s, _ := w.f.MemberByOrigin(m.Origin)
	w.fresh++
	k := m.Fresh(rapid.SampledFrom([]identity.Role{identity.RoleAdmin, identity.RolePublish, identity.RoleRecovery}).Draw(w.T, "role"), w.fresh)
	ch := m.Adding(k)
	for _, old := range s.Keys {
		switch rapid.IntRange(0, 5).Draw(w.T, "what becomes of a key") {
		case 0:
			r := registry.Retirement{ID: old.Public.ID()}
			if old.Role == identity.RolePublish {
				r.Last = registry.Mark{Epoch: s.Epoch, N: rapid.Uint64Range(0, 9).Draw(w.T, "last")}
			}
			ch.Retire = append(ch.Retire, r)
		case 1:
			ch.Revoke = append(ch.Revoke, old.Public.ID())
			ch.Epoch = s.Epoch + 1
			ch.Good = &feed.Place{Epoch: s.Epoch, N: 1, Hash: identity.Hash{1}}
		}
	}
	added := []*identity.Key{k}
	if ch.Epoch != 0 && rapid.Bool().Draw(w.T, "another machine") {
		node := m.Fresh(identity.RoleNode, rapid.Byte().Draw(w.T, "machine"))
		ch.Machine, ch.Stays = &registry.Machine{Key: node.Public(), Publisher: true}, rapid.Bool().Draw(w.T, "the old one stays")
		added = append(added, node)
	}
	st, err := registry.SignKeyChange(w.f.Federation(), ch, added...)
	if err != nil {
		w.Fatal(err)
	}
	return w.command(registry.KindKeys, registry.SetKeys{Statement: st}, w.some("signers")...)
}

func (w *walk) ruling() []byte {
	m := w.member("ruled about")
	r := registry.Ruling{Origin: m.Origin, Reason: registry.ReasonOther}
	switch rapid.IntRange(0, 5).Draw(w.T, "kind") {
	case 0:
		r.Kind, r.Record = registry.RulingTakedown, feed.Key{rapid.Byte().Filter(func(b byte) bool { return b != 0 }).Draw(w.T, "record")}
		r.Off = rapid.Bool().Draw(w.T, "lifted")
	case 1:
		r.Kind, r.Off = registry.RulingSuspend, rapid.Bool().Draw(w.T, "lifted")
	case 2:
		r.Kind, r.Key = registry.RulingRevoke, rapid.SampledFrom([]*identity.Key{m.Keys.Admin, m.Keys.Publish, m.Keys.Node}).Draw(w.T, "key").ID()
	case 3:
		r.Kind, r.By = registry.RulingCaretaker, []identity.OriginID{w.member("caretaker").Origin}
	}
	switch {
	case r.Kind != "":
	case rapid.IntRange(0, 9).Draw(w.T, "seldom") == 0:
		r.Kind = registry.RulingExpel
	default:
		w.fresh++
		k := m.Fresh(identity.RoleAdmin, w.fresh)
		st, err := registry.SignKeyChange(w.f.Federation(), m.Adding(k), k)
		if err != nil {
			w.Fatal(err)
		}
		r.Kind, r.Change = registry.RulingRekey, st
	}
	r, err := registry.NewRuling(w.f.State, r, time.Unix(w.f.Time(), 0))
	if err != nil {
		w.Skip(err)
	}
	var keys []*identity.Key
	for _, m := range w.some("members that rule") {
		keys = append(keys, m.Keys.Admin)
	}
	b, err := registry.SignRuling(w.f.Federation(), r, keys...)
	if err != nil {
		w.Skip(err)
	}
	return w.command(registry.KindRuling, registry.RecordRuling{Ruling: b}, w.member("who brings it"))
}

func (w *walk) other() []byte {
	m := w.member("who")
	switch rapid.IntRange(0, 30).Draw(w.T, "kind") % 10 {
	case 9:
		return w.command(registry.KindWithdraw, registry.Withdraw{Origin: m.Origin}, m)
	case 0:
		rekeys := w.f.Rekeys()
		if len(rekeys) == 0 {
			w.Skip("nothing waits")
		}
		return w.command(registry.KindObject, registry.Object{Proposal: rekeys[0].ID, Hash: rekeys[0].Hash}, m)
	case 1:
		return w.command(registry.KindCaretaker, registry.SetCaretakers{Origin: m.Origin, By: []identity.OriginID{w.member("caretaker").Origin}}, m)
	case 2:
		n, epoch := rapid.Uint64Range(1, 9).Draw(w.T, "n"), rapid.Uint64Range(1, 3).Draw(w.T, "epoch")
		return w.command(registry.KindEvidence, feed.NewEvidence(w.head(m, epoch, n, 1), w.head(m, epoch, n, 2)), w.member("who brings it"))
	default:
		id := registry.NewID()
		return w.command(registry.KindInvite, registry.Invite{ID: id, Country: "SE", SecretHash: [32]byte{1}, Expires: w.f.Time() + 3600}, m)
	}
}

// motion is a motion, an approval of one or a word against it.
func (w *walk) motion() []byte {
	if all := w.f.Motions(); len(all) > 0 && rapid.Bool().Draw(w.T, "of one that waits") {
		m := rapid.SampledFrom(all).Draw(w.T, "motion")
		if rapid.IntRange(0, 3).Draw(w.T, "against") == 0 {
			return w.command(registry.KindObject, registry.Object{Proposal: m.ID, Hash: m.Hash}, w.member("who objects"))
		}
		return w.command(registry.KindApprove, registry.Approve{Proposal: m.ID, Hash: m.Hash}, w.some("who approve")...)
	}
	by := w.some("who move")
	switch rapid.IntRange(0, 3).Draw(w.T, "motion") {
	case 0:
		return w.command(registry.KindPolicy, NewPolicy(w.f.State, func(p *registry.Policy) {
			p.Approvals = rapid.Int64Range(1, 5).Draw(w.T, "approvals")
			p.TakedownDays = rapid.Int64Range(0, 40).Draw(w.T, "takedown days")
		}), by...)
	case 1:
		v := Colours(w.f.State)
		v.Taxonomies[0].Terms[0].Labels["en"] = rapid.SampledFrom([]string{"Red", "Crimson", ""}).Draw(w.T, "label")
		return w.command(registry.KindVocabulary, v, by...)
	case 2:
		return w.command(registry.KindClock, registry.SetClock{Reached: w.f.Time(), Time: w.f.Time() - rapid.Int64Range(-5, 100000).Draw(w.T, "back")}, by...)
	default:
		return w.command(registry.KindActivate, registry.Activate{Rules: rapid.Uint64Range(1, 4).Draw(w.T, "rules")}, by...)
	}
}

func (w *walk) head(m *Member, epoch, n uint64, variant byte) *feed.SignedHead {
	body, err := identity.Marshal(feed.Head{Version: 1, Federation: w.f.Federation(), Origin: m.Origin, Epoch: epoch, N: n, Root: identity.Hash{variant}})
	if err != nil {
		w.Fatal(err)
	}
	h, err := feed.ParseHead(identity.Sign(identity.TypeHead, w.f.Federation(), body, m.Keys.Publish).Encode())
	if err != nil {
		w.Fatal(err)
	}
	return h
}

// step applies a command, after a while, and checks what must always be so.
func (w *walk) step(command []byte) {
	before, bytesBefore := w.f.State, w.f.Encode()
	e := registry.Entry{Time: before.Time() + rapid.Int64Range(0, registry.RekeyWait).Draw(w.T, "seconds"), Command: command}
	next, err := before.Apply(e)
	if !bytes.Equal(before.Encode(), bytesBefore) {
		w.Fatalf("the state before has changed; the entry gave %v", err)
	}
	if err != nil {
		return
	}
	if next.Seq() != before.Seq()+1 || next.Hash() == before.Hash() {
		w.Fatalf("entry %d after entry %d", next.Seq(), before.Seq())
	}
	w.f.State, w.f.Log = next, append(w.f.Log, e.Encode())
	holders := map[identity.PublicKey]identity.OriginID{}
	for _, m := range next.Members() {
		was, _ := before.MemberByOrigin(m.Origin)
		w.checkMember(was, m)
		for _, k := range m.Keys {
			if o, ok := holders[k.Public]; ok {
				w.Fatalf("key %s is of %s and of %s", k.Public.ID(), o, m.Origin)
			}
			holders[k.Public] = m.Origin
		}
	}
	rulings := next.Rulings()
	if !slices.IsSortedFunc(rulings, func(a, b registry.Recorded) int { return a.Ruling.Target().Compare(b.Ruling.Target()) }) {
		w.Fatal("rulings out of order")
	}
	for _, r := range before.Rulings() {
		if next.RulingCounter(r.Ruling.Target()) < r.Ruling.Counter {
			w.Fatal("a counter went back")
		}
	}
}

func (w *walk) checkMember(was, m registry.Member) {
	publish := 0
	for _, k := range m.Keys {
		if k.Role == identity.RolePublish && k.To == (registry.Mark{}) {
			publish++
		}
		if k.Revoked && k.To == (registry.Mark{}) {
			w.Fatalf("the revoked key %s is in use", k.Public.ID())
		}
	}
	publishers := 0
	for _, n := range m.Nodes {
		if n.Publisher {
			publishers++
		}
	}
	switch {
	case publishers > 1:
		w.Fatalf("%s has %d nodes that publish", m.Country, publishers)
	case was.Status != "" && !was.Seated() && m.Status != was.Status:
		w.Fatalf("%s was %s and is %s", m.Country, was.Status, m.Status)
	case publish > 1:
		w.Fatalf("%s has %d publish keys in use", m.Country, publish)
	case len(m.Keys) > registry.MaxKeys:
		w.Fatalf("%s has %d keys", m.Country, len(m.Keys))
	case m.Epoch < was.Epoch:
		w.Fatalf("epoch %d of %s went back to %d", was.Epoch, m.Country, m.Epoch)
	}
	for _, k := range was.Keys {
		if !k.Revoked {
			continue
		}
		for _, n := range m.Keys {
			if n.Public == k.Public && !n.Revoked {
				w.Fatalf("the revoked key %s came back", k.Public.ID())
			}
		}
	}
}

// TestAnyCommandsGiveTheSameBytes: whatever is asked by whomever, what must
// always be so is so, and the log alone gives the same bytes again.
func TestAnyCommandsGiveTheSameBytes(t *testing.T) {
	base := NewFederation(t, "PL", "DE", "LT", "FI")
	for name, m := range base.Members {
		sheet := m.Fresh(identity.RoleRecovery, 0)
		base.Do(base.Sign(registry.KindKeys, SetKeys(t, base.State, m.Adding(sheet), sheet), name))
	}
	start := *base
	rapid.Check(t, func(t *rapid.T) {
		f := start
		f.Log = slices.Clone(start.Log)
		w := &walk{T: t, f: &f, names: []string{"DE", "FI", "LT", "PL"}}
		t.Repeat(map[string]func(*rapid.T){
			"keys":   func(t *rapid.T) { w.T = t; w.step(w.keys()) },
			"ruling": func(t *rapid.T) { w.T = t; w.step(w.ruling()) },
			"motion": func(t *rapid.T) { w.T = t; w.step(w.motion()) },
			"other":  func(t *rapid.T) { w.T = t; w.step(w.other()) },
		})
		again, err := registry.Replay(f.Log)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Encode(), f.Encode()) || again.Hash() != f.Hash() {
			t.Fatal("the same log gave other bytes")
		}
	})
}
