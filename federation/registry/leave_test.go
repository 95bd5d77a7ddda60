package registry_test

import (
	"errors"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// gone checks what is so of a member that has left, in whatever way.
func gone(t *testing.T, f *Federation, m *Member, want registry.Status) {
	t.Helper()
	got, ok := f.MemberByOrigin(m.Origin)
	if !ok || got.Status != want || got.Seated() {
		t.Fatalf("%s is %q, want %q", m.Country, got.Status, want)
	}
	if _, ok := f.Epoch(m.Origin); ok {
		t.Error("its feed is still taken in")
	}
	if _, _, ok := f.State.Node(m.Node()); ok {
		t.Error("its node is still talked to")
	}
	if _, ok := f.HeadKey(m.Origin, 1, 1, m.Keys.Publish.ID()); !ok {
		t.Error("what it published before can no longer be checked")
	}
	if err := f.Try(f.Sign(registry.KindCaretaker, registry.SetCaretakers{Origin: m.Origin}, m.Country)); !errors.Is(err, registry.ErrUnauthorised) {
		t.Errorf("its admin key still speaks: %v", err)
	}
	for _, i := range f.Invitations() {
		if i.Sponsor == m.Origin && i.Status == registry.InvitationOpen {
			t.Error("its invitations are still open")
		}
	}
	if len(f.Rekeys()) != 0 {
		t.Error("a change of its keys still waits")
	}
}

// recordable is what the registry would say of a ruling that is made now.
func recordable(t *testing.T, f *Federation, r registry.Ruling) error {
	t.Helper()
	r, err := registry.NewRuling(f.State, r, time.Unix(f.Time(), 0))
	if err != nil {
		return err
	}
	return f.Recordable(&r)
}

func TestACountryWithdraws(t *testing.T) {
	f, de, sheet := recoverable(t, "PL", "DE", "LT")
	f.Do(de.Invite(t, f.State, "SE"))
	thief := de.Fresh(identity.RoleAdmin, 9)
	f.Do(rekey(t, f, de.Adding(thief), []*identity.Key{thief}, sheet))
	leave := registry.Withdraw{Origin: de.Origin}
	for name, by := range map[string][]string{"another": {"PL"}, "two": {"DE", "PL"}} {
		if err := f.Try(f.Sign(registry.KindWithdraw, leave, by...)); !errors.Is(err, registry.ErrUnauthorised) {
			t.Errorf("withdrawn by %s: %v", name, err)
		}
	}
	f.Do(f.Sign(registry.KindWithdraw, leave, "DE"))
	gone(t, f, de, registry.StatusWithdrawn)
	if err := f.Try(rekey(t, f, de.Adding(thief), []*identity.Key{thief}, sheet)); !errors.Is(err, registry.ErrUnauthorised) {
		t.Errorf("its recovery sheet still speaks: %v", err)
	}
	lift := registry.Ruling{Kind: registry.RulingSuspend, Off: true, Origin: de.Origin, Reason: registry.ReasonMistake}
	if err := recordable(t, f, lift); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("the others bring it back: %v", err)
	}

	// Its country is free, and its keys are not: they could tell two origins apart
	// no longer.
	id, secret := registry.NewID(), []byte("a second invitation")
	f.Do(f.Sign(registry.KindInvite, registry.Invite{ID: id, Country: "DE", SecretHash: registry.HashSecret(secret), Expires: f.Time() + 3600}, "PL"))
	st, err := registry.SignStatement(f.Federation(), registry.Statement{Version: 1, Candidate: de.Candidate, Invitation: id, Secret: secret}, de.Keys)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Try(f.Sign(registry.KindAdmit, registry.Admit{Statement: st}, "PL")); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("it comes back with its old keys: %v", err)
	}
	f.Do(f.Sign(registry.KindWithdraw, registry.Withdraw{Origin: f.Members["LT"].Origin}, "LT"))
	if err := f.Try(f.Sign(registry.KindWithdraw, registry.Withdraw{Origin: f.Members["PL"].Origin}, "PL")); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("the last member leaves: %v", err)
	}
}

// TestExpulsionNeedsMore: two thirds of all others, those who are suspended
// counted in, and never one alone.
func TestExpulsionNeedsMore(t *testing.T) {
	all := []string{"PL", "DE", "LT", "FI", "NL", "SE", "IT"}
	for _, c := range []struct{ members, suspended, want int }{
		{2, 0, 2}, {3, 0, 2}, {4, 0, 2}, {5, 0, 3}, {7, 0, 4}, {7, 2, 4},
	} {
		f := NewFederation(t, all[:c.members]...)
		de := f.Members["DE"]
		for _, name := range all[c.members-c.suspended : c.members] {
			b := Ruling(t, f.State, registry.Ruling{Kind: registry.RulingSuspend, Origin: f.Members[name].Origin}, f.Members["PL"], f.Members["LT"], f.Members["FI"])
			f.Do(f.Sign(registry.KindRuling, registry.RecordRuling{Ruling: b}, "PL"))
		}
		if got := f.NeededFor(registry.RulingExpel, de.Origin); got != c.want {
			t.Errorf("%d members, %d of them suspended: %d must sign, want %d", c.members, c.suspended, got, c.want)
		}
	}
	f := NewFederation(t, all...)
	de := f.Members["DE"]
	f.Do(de.Invite(t, f.State, "CZ"))
	expel := registry.Ruling{Kind: registry.RulingExpel, Origin: de.Origin, Reason: registry.ReasonMisuse}
	signers := []*Member{f.Members["PL"], f.Members["LT"], f.Members["FI"]}
	record := func() []byte {
		return f.Sign(registry.KindRuling, registry.RecordRuling{Ruling: Ruling(t, f.State, expel, signers...)}, "PL")
	}
	if err := f.Try(record()); !errors.Is(err, registry.ErrUnauthorised) {
		t.Fatalf("three of six others, who could suspend it: %v", err)
	}
	signers = append(signers, f.Members["NL"])
	f.Do(record())
	gone(t, f, de, registry.StatusExpelled)
	expel.Off, expel.Version, expel.Counter = true, 1, 2
	if _, err := registry.SignRuling(f.Federation(), expel, f.Members["PL"].Keys.Admin); !errors.Is(err, registry.ErrMalformed) {
		t.Errorf("an expulsion is lifted: %v", err)
	}
}

// TestOthersGiveAMemberNewKeys: the approvals are collected like those of any
// ruling, and the change waits as long as any that its admin key has not signed.
func TestOthersGiveAMemberNewKeys(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT", "FI")
	de := f.Members["DE"]
	admin, publish, node := de.Fresh(identity.RoleAdmin, 1), de.Fresh(identity.RolePublish, 1), de.Fresh(identity.RoleNode, 1)
	ch := de.Adding(admin, publish)
	ch.Epoch, ch.Revoke = 2, []identity.KeyID{de.Keys.Admin.ID(), de.Keys.Publish.ID()}
	ch.Machine = &registry.Machine{Key: node.Public(), Endpoints: de.Nodes[0].Endpoints, Publisher: true}
	statement, err := registry.SignKeyChange(f.Federation(), ch, admin, publish, node)
	if err != nil {
		t.Fatal(err)
	}
	record := func(r registry.Ruling, by ...string) []byte {
		var members []*Member
		for _, c := range by {
			members = append(members, f.Members[c])
		}
		return f.Sign(registry.KindRuling, registry.RecordRuling{Ruling: Ruling(t, f.State, r, members...)}, "PL")
	}
	give := registry.Ruling{Kind: registry.RulingRekey, Origin: de.Origin, Reason: registry.ReasonRequest, Change: statement}
	if err := f.Try(record(give, "PL")); !errors.Is(err, registry.ErrUnauthorised) {
		t.Fatalf("one of three others: %v", err)
	}
	f.Do(record(give, "PL", "LT"))
	if w := f.Rekeys(); len(w) != 1 || len(w[0].By) != 2 || w[0].Due != f.Time()+registry.RekeyWait {
		t.Fatalf("waiting: %+v", w)
	}
	if _, _, ok := f.State.Node(node.Public().NodeID()); ok {
		t.Fatal("the new node is talked to before the time is over")
	}
	// They can take it back, and the member can stop it.
	f.Do(record(registry.Ruling{Kind: registry.RulingRekey, Off: true, Origin: de.Origin, Reason: registry.ReasonMistake}, "PL", "FI"))
	if len(f.Rekeys()) != 0 {
		t.Fatal("it was taken back, and waits")
	}
	f.Do(record(give, "PL", "LT"))
	f.Do(f.Sign(registry.KindObject, registry.Object{Proposal: f.Rekeys()[0].ID, Hash: f.Rekeys()[0].Hash}, "DE"))
	if len(f.Rekeys()) != 0 {
		t.Fatal("its admin key has objected, and it waits")
	}
	f.Do(record(give, "PL", "LT"))
	f.At(f.Time()+registry.RekeyWait, f.Members["PL"].Invite(t, f.State, "SE"))
	m, _ := f.MemberByOrigin(de.Origin)
	p, _ := m.Publisher()
	if p.Key != node.Public() || len(m.Nodes) != 1 || m.Epoch != 2 || !canSign(f, de, 2, 1, publish) {
		t.Fatalf("epoch %d, published by %s, %d nodes", m.Epoch, p.ID, len(m.Nodes))
	}
	// What contradicts the registry, or is somebody else's, is no ruling.
	if err := recordable(t, f, give); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("the same keys again: %v", err)
	}
	give.Origin = f.Members["LT"].Origin // whose counter is another
	if err := recordable(t, f, give); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("the keys of one for another: %v", err)
	}
}

// TestAnotherMachinePublishes is the table of machines that take the place of the
// one that publishes.
func TestAnotherMachinePublishes(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT")
	de := f.Members["DE"]
	mirror := de.Fresh(identity.RoleNode, 1)
	nodes := registry.Nodes{Origin: de.Origin, Nodes: append([]registry.Machine{{Key: mirror.Public()}}, de.Nodes...)}
	st, err := registry.SignNodes(f.Federation(), nodes, mirror)
	if err != nil {
		t.Fatal(err)
	}
	f.Do(f.Sign(registry.KindNode, registry.SetNodes{Statement: st}, "DE"))
	start := *f
	old, fresh := de.Keys.Node, de.Fresh(identity.RoleNode, 2)
	// A further mirror needs no new epoch and no other key to publish with.
	for _, c := range []struct {
		machine *identity.Key
		want    error
	}{{fresh, nil}, {mirror, registry.ErrConflict}, {old, registry.ErrConflict}, {f.Members["LT"].Keys.Node, registry.ErrConflict}} {
		f := start
		ch := registry.KeyChange{Origin: de.Origin, Machine: &registry.Machine{Key: c.machine.Public()}}
		command := rekey(t, &f, ch, []*identity.Key{c.machine}, de.Keys.Admin)
		if err := f.Try(command); !errors.Is(err, c.want) {
			t.Errorf("another mirror: %v, want %v", err, c.want)
		}
		if c.want != nil {
			continue
		}
		f.Do(command)
		m, _ := f.MemberByOrigin(de.Origin)
		if p, _ := m.Publisher(); p.Key != old.Public() || m.Epoch != 1 || len(m.Nodes) != 3 {
			t.Errorf("another mirror: published by %s in epoch %d, %d nodes", p.ID, m.Epoch, len(m.Nodes))
		}
	}
	for name, c := range map[string]struct {
		machine *identity.Key
		stays   bool
		epoch   uint64
		proof   *identity.Key
		want    error
		left    []*identity.Key // the other nodes
	}{
		"a mirror takes over":             {mirror, true, 2, mirror, nil, []*identity.Key{old}},
		"and the old machine is broken":   {mirror, false, 2, mirror, nil, nil},
		"a new machine":                   {fresh, false, 2, fresh, nil, []*identity.Key{mirror}},
		"a new one beside the old":        {fresh, true, 2, fresh, nil, []*identity.Key{mirror, old}},
		"the one that does already":       {old, false, 2, old, registry.ErrConflict, nil},
		"without a new epoch":             {fresh, false, 0, fresh, registry.ErrMalformed, nil},
		"with a later epoch":              {fresh, false, 3, fresh, registry.ErrConflict, nil},
		"a machine that does not sign":    {fresh, false, 2, mirror, registry.ErrUnauthorised, nil},
		"another country's machine":       {f.Members["LT"].Keys.Node, false, 2, f.Members["LT"].Keys.Node, registry.ErrConflict, nil},
		"a machine with the publish key ": {de.Keys.Publish, false, 2, de.Keys.Publish, registry.ErrConflict, nil},
	} {
		f := start
		publish := de.Fresh(identity.RolePublish, 1)
		ch := de.Adding(publish)
		ch.Epoch, ch.Stays = c.epoch, c.stays
		ch.Retire = []registry.Retirement{{ID: de.Keys.Publish.ID(), Last: registry.Mark{Epoch: 1, N: 4}}}
		ch.Machine = &registry.Machine{Key: c.machine.Public(), Publisher: true}
		command := rekey(t, &f, ch, []*identity.Key{publish, c.proof}, de.Keys.Admin)
		if err := f.Try(command); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want != nil {
			continue
		}
		f.Do(command)
		m, _ := f.MemberByOrigin(de.Origin)
		p, _ := m.Publisher()
		if p.Key != c.machine.Public() || m.Epoch != 2 || len(m.Nodes) != 1+len(c.left) || !canSign(&f, de, 2, 1, publish) || canSign(&f, de, 2, 1, de.Keys.Publish) {
			t.Errorf("%s: published by %s in epoch %d, %d nodes", name, p.ID, m.Epoch, len(m.Nodes))
		}
		for _, k := range c.left {
			if n, _, ok := f.State.Node(k.Public().NodeID()); !ok || n.Publisher {
				t.Errorf("%s: another node is gone, or publishes too", name)
			}
		}
	}
}
