package registry_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// script writes a log that is the same in every run.
type script struct {
	*registry.State
	t    testing.TB
	log  [][]byte
	n    byte
	wait int64 // seconds from one entry to the next
}

// begin has the founder found a federation under a version of the rules.
func begin(t testing.TB, rules uint64, founder *Member) *script {
	e, s, err := registry.Genesis{Version: 1, Random: [32]byte{1, 2, 3}, Name: "Golden", Founded: Start.Unix(), Founder: founder.Candidate, Rules: rules}.Sign(founder.Keys)
	if err != nil {
		t.Fatal(err)
	}
	return &script{State: s, t: t, log: [][]byte{e.Encode()}, wait: 60}
}

// do has a command signed, by members or by single keys, and applies it.
func (s *script) do(kind registry.Kind, payload any, by ...any) registry.ID {
	s.t.Helper()
	raw, err := identity.Marshal(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	s.n++
	c := registry.Command{Version: 1, Federation: s.Federation(), Kind: kind, ID: registry.ID{s.n}, Base: s.Seq(), Payload: raw}
	var keys []*identity.Key
	for _, m := range by {
		switch m := m.(type) {
		case *Member:
			keys = append(keys, m.Keys.Admin)
		case *identity.Key:
			keys = append(keys, m)
		}
	}
	b, err := c.Sign(keys...)
	if err != nil {
		s.t.Fatal(err)
	}
	e := registry.Entry{Time: s.Time() + s.wait, Command: b}
	if s.State, err = s.Apply(e); err != nil {
		s.t.Fatal(err)
	}
	s.log = append(s.log, e.Encode())
	return c.ID
}

func (s *script) admit(sponsor, m *Member) registry.ID {
	s.t.Helper()
	id, secret := Invitation(m.Country)
	s.do(registry.KindInvite, registry.Invite{ID: id, Country: m.Country, SecretHash: registry.HashSecret(secret), Expires: s.Time() + 86400}, sponsor)
	st, err := registry.SignStatement(s.Federation(), registry.Statement{Version: 1, Candidate: m.Candidate, Invitation: id, Secret: secret}, m.Keys)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(registry.KindAdmit, registry.Admit{Statement: st}, sponsor)
}

// cast are members that are the same in every run.
func cast(t testing.TB) (pl, de, lt, fi *Member) {
	pl, de, lt, fi = New(t, "PL"), New(t, "DE"), New(t, "LT"), New(t, "FI")
	for i, m := range []*Member{pl, de, lt, fi} {
		m.Seal = identity.SealPublicKey{byte(i + 1)}
	}
	return pl, de, lt, fi
}

// golden is a log with every kind of command of the first version of the rules.
func golden(t testing.TB) ([][]byte, *registry.State) {
	pl, de, lt, fi := cast(t)
	s := begin(t, 0, pl)
	do, admit := s.do, s.admit
	admit(pl, de)
	admit(pl, lt)
	proposal := admit(de, fi)
	do(registry.KindInvite, registry.Invite{ID: registry.ID{99}, Country: "SE", SecretHash: [32]byte{1}, Expires: s.Time() + 86400}, lt)
	do(registry.KindCancel, registry.Cancel{Invitation: registry.ID{99}}, lt)
	do(registry.KindObject, registry.Object{Proposal: proposal, Hash: s.Proposals()[0].Hash, Reason: "who are they?"}, lt)
	do(registry.KindApprove, registry.Approve{Proposal: proposal, Hash: s.Proposals()[0].Hash}, pl)
	de.Nodes[0].Voter = false
	st, err := registry.SignNodes(s.Federation(), registry.Nodes{Origin: de.Origin, Nodes: de.Nodes})
	if err != nil {
		t.Fatal(err)
	}
	do(registry.KindNode, registry.SetNodes{Statement: st}, de)

	// Keys: a rotation with a recovery sheet, and what that sheet asks for: once
	// stopped, once done after three days, once waiting.
	sheet, publish := de.Fresh(identity.RoleRecovery, 0), de.Fresh(identity.RolePublish, 1)
	ch := de.Adding(sheet, publish)
	ch.Retire = []registry.Retirement{{ID: de.Keys.Publish.ID(), Last: registry.Mark{Epoch: 1, N: 3}}}
	do(registry.KindKeys, SetKeys(t, s.State, ch, sheet, publish), de)
	recover := func(number byte) {
		admin := de.Fresh(identity.RoleAdmin, number)
		do(registry.KindKeys, SetKeys(t, s.State, de.Adding(admin), admin), sheet)
	}
	recover(1)
	do(registry.KindObject, registry.Object{Proposal: s.Rekeys()[0].ID, Hash: s.Rekeys()[0].Hash}, de)
	recover(2)
	s.wait = registry.RekeyWait
	do(registry.KindCaretaker, registry.SetCaretakers{Origin: lt.Origin, By: []identity.OriginID{pl.Origin, fi.Origin}}, lt)
	s.wait = 60
	recover(3)

	do(registry.KindEvidence, lt.Fork(t, s.State, 1, 7), pl)
	rule := func(r registry.Ruling, by ...*Member) {
		do(registry.KindRuling, registry.RecordRuling{Ruling: Ruling(t, s.State, r, by...)}, pl)
	}
	rule(de.Takedown(1), pl, lt)
	lasting := de.Takedown(1)
	lasting.Lasting, lasting.Reason, lasting.Text = true, registry.ReasonUnlawful, "a court said so"
	rule(lasting, pl, lt, fi)
	rule(registry.Ruling{Kind: registry.RulingRevoke, Origin: lt.Origin, Key: lt.Keys.Publish.ID(), Good: &feed.Place{Epoch: 1, N: 6, Hash: identity.Hash{6}}}, pl, fi)
	rule(registry.Ruling{Kind: registry.RulingRevoke, Origin: lt.Origin, Key: lt.Keys.Node.ID()}, pl, fi)
	rule(registry.Ruling{Kind: registry.RulingCaretaker, Origin: lt.Origin, By: []identity.OriginID{de.Origin}}, pl, de)
	rule(registry.Ruling{Kind: registry.RulingSuspend, Origin: fi.Origin}, pl, de)

	// Machines and memberships: another node publishes, the others give keys, one
	// leaves and one is put out.
	m, _ := s.MemberByOrigin(lt.Origin)
	node, key := lt.Fresh(identity.RoleNode, 1), lt.Fresh(identity.RolePublish, 2)
	ch = lt.Adding(key)
	ch.Epoch, ch.Machine = m.Epoch+1, &registry.Machine{Key: node.Public(), Publisher: true}
	do(registry.KindKeys, SetKeys(t, s.State, ch, key, node), lt)
	given := lt.Fresh(identity.RoleAdmin, 9)
	rule(registry.Ruling{Kind: registry.RulingRekey, Origin: lt.Origin, Change: SetKeys(t, s.State, lt.Adding(given), given).Statement}, pl, de)
	rule(registry.Ruling{Kind: registry.RulingExpel, Origin: fi.Origin}, pl, de)
	do(registry.KindWithdraw, registry.Withdraw{Origin: de.Origin}, de)
	return s.log, s.State
}

// goldenRules is a log with every kind of command of the second version of the
// rules, in a federation that was founded under the first.
func goldenRules(t testing.TB) ([][]byte, *registry.State) {
	pl, de, lt, fi := cast(t)
	s := begin(t, 0, pl)
	s.admit(pl, de)
	s.admit(pl, lt)
	approve := func(by ...any) {
		m := s.Motions()[0]
		s.do(registry.KindApprove, registry.Approve{Proposal: m.ID, Hash: m.Hash}, by...)
	}
	s.do(registry.KindActivate, registry.Activate{Rules: 2}, de)
	approve(lt)
	s.do(registry.KindVocabulary, Colours(s.State), pl, lt)
	p := s.Policy()
	p.TakedownDays, p.Approvals, p.Languages = 21, 4, []string{"en", "pl"}
	s.do(registry.KindPolicy, registry.SetPolicy{Before: registry.HashPolicy(s.Policy()), Policy: p}, de)
	m := s.Motions()[0]
	s.do(registry.KindObject, registry.Object{Proposal: m.ID, Hash: m.Hash, Reason: "too long"}, lt)
	approve(pl)
	change := Colours(s.State)
	change.Taxonomies[0].Labels = nil
	change.Taxonomies[0].Terms = []registry.Term{{Code: "red", Labels: map[string]string{"en": "Red"}, Deprecated: true, Successor: "blue.dark"}}
	change.Taxonomies[0].Order = []string{"blue", "blue.dark", "red"}
	change.Wording[0].Banned = nil
	s.do(registry.KindVocabulary, change, pl)
	approve(lt, de)
	s.admit(de, fi)
	p = s.Policy()
	p.Cadence["crisis"] = 2
	s.do(registry.KindPolicy, registry.SetPolicy{Before: registry.HashPolicy(s.Policy()), Policy: p}, pl)
	s.wait = 365 * 86400 // a clock is wrong
	right := s.Time() + 120
	s.do(registry.KindCaretaker, registry.SetCaretakers{Origin: lt.Origin}, lt)
	s.wait = 60
	sheet := de.Fresh(identity.RoleRecovery, 0)
	s.do(registry.KindKeys, SetKeys(t, s.State, de.Adding(sheet), sheet), de)
	admin := de.Fresh(identity.RoleAdmin, 1)
	s.do(registry.KindKeys, SetKeys(t, s.State, de.Adding(admin), admin), sheet)
	s.do(registry.KindClock, registry.SetClock{Reached: s.Time(), Time: right}, pl, lt, de)
	return s.log, s.State
}

// TestGolden holds what every later version must do with the entries of this
// one: give the same bytes.
func TestGolden(t *testing.T) {
	for name, make := range map[string]func(testing.TB) ([][]byte, *registry.State){"golden.txt": golden, "golden_rules.txt": goldenRules} {
		t.Run(name, func(t *testing.T) { checkGolden(t, filepath.Join("testdata", name), make) })
	}
}

func checkGolden(t *testing.T, path string, make func(testing.TB) ([][]byte, *registry.State)) {
	log, s := make(t)
	if *update {
		var out strings.Builder
		for _, e := range log {
			out.WriteString("entry " + hex.EncodeToString(e) + "\n")
		}
		out.WriteString("hash " + s.Hash().String() + "\nstate " + hex.EncodeToString(s.Encode()) + "\n")
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var kept [][]byte
	want := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		kind, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind == "entry" {
			b, err := hex.DecodeString(value)
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, b)
		}
		want[kind] = value
	}
	if len(kept) < 15 {
		t.Fatalf("%d entries in %s", len(kept), path)
	}
	for name, entries := range map[string][][]byte{"kept": kept, "made now": log} {
		s, err := registry.Replay(entries)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := s.Hash().String(); got != want["hash"] {
			t.Errorf("%s: hash %s, want %s", name, got, want["hash"])
		}
		if got := hex.EncodeToString(s.Encode()); got != want["state"] {
			t.Errorf("%s: the state differs from the golden one", name)
		}
	}
}

func TestReplayFindsWhatWasTamperedWith(t *testing.T) {
	log, s := golden(t)
	again, err := registry.Replay(log)
	if err != nil || again.Hash() != s.Hash() || !bytes.Equal(again.Encode(), s.Encode()) {
		t.Fatalf("the same log gave something else: %v", err)
	}
	for i := range log {
		for _, at := range []int{len(log[i]) / 3, len(log[i]) - 1} {
			bad := append([][]byte(nil), log...)
			bad[i] = append([]byte(nil), log[i]...)
			bad[i][at] ^= 1
			if s2, err := registry.Replay(bad); err == nil && s2.Hash() == s.Hash() {
				t.Fatalf("entry %d with one bit changed leaves everything as it was", i+1)
			}
		}
	}
}
