// Package registrytest has members for tests of what agrees on a registry:
// each with all its keys, and the commands that it can sign.
package registrytest

import (
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Start is when the registries of tests begin.
var Start = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// Member is a country with one node and all its private keys. Its keys are
// always the same for the same country, except the seal key.
type Member struct {
	registry.Candidate
	Keys registry.Keys
	Open *identity.SealKey // opens what is sealed to Candidate.Seal
}

// New is the member of a country, reachable at a made-up address and ready to
// vote.
func New(t testing.TB, country string) *Member {
	t.Helper()
	seal, err := identity.GenerateSeal()
	if err != nil {
		t.Fatal(err)
	}
	key := func(role identity.Role) *identity.Key {
		return identity.KeyFromSeed(role, [32]byte(identity.Sum(0, []byte(country), []byte(role))))
	}
	m := &Member{Open: seal, Keys: registry.Keys{Admin: key(identity.RoleAdmin), Publish: key(identity.RolePublish), Node: key(identity.RoleNode)}}
	origin := identity.Sum(1, []byte(country))
	m.Candidate = registry.Candidate{
		Country: country, Operator: "Partner " + country, OperatorType: registry.OperatorHealth,
		Origin: identity.OriginID(origin[:16]), Admin: m.Keys.Admin.Public(), Publish: m.Keys.Publish.Public(), Seal: seal.Public(),
		Nodes: []registry.Machine{{
			Key:       m.Keys.Node.Public(),
			Endpoints: []registry.Endpoint{{Kind: "tcp", Host: "node." + country + ".example", Port: 7946}},
			Publisher: true, Voter: true,
		}},
	}
	return m
}

// Node is the id of the member's node.
func (m *Member) Node() identity.NodeID { return m.Keys.Node.Public().NodeID() }

// Found founds a federation.
func (m *Member) Found(t testing.TB) (registry.Entry, *registry.State) {
	t.Helper()
	e, s, err := registry.Found("Test federation", false, m.Candidate, m.Keys, Start)
	if err != nil {
		t.Fatal(err)
	}
	return e, s
}

// Sign makes a command that the member signs, with others if given.
func (m *Member) Sign(t testing.TB, s *registry.State, kind registry.Kind, payload any, others ...*Member) (registry.ID, []byte) {
	t.Helper()
	keys := []*identity.Key{m.Keys.Admin}
	for _, o := range others {
		keys = append(keys, o.Keys.Admin)
	}
	id, c, err := registry.NewCommand(s, kind, payload, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return id, c
}

// Invite makes the command by which the member invites a country, with a secret
// that follows from the country's name.
func (m *Member) Invite(t testing.TB, s *registry.State, country string) []byte {
	t.Helper()
	id, secret := Invitation(country)
	_, c := m.Sign(t, s, registry.KindInvite, registry.Invite{
		ID: id, Country: country, SecretHash: registry.HashSecret(secret), Expires: s.Time() + 14*86400,
	})
	return c
}

// Invitation is the id and the secret of the invitation that Invite makes.
func Invitation(country string) (registry.ID, []byte) {
	return registry.ID{0: country[0], 1: country[1]}, []byte("secret for " + country)
}

// Admit makes the command by which the member proposes a newcomer that it has
// invited, and its id.
func (m *Member) Admit(t testing.TB, s *registry.State, newcomer *Member) (registry.ID, []byte) {
	t.Helper()
	id, secret := Invitation(newcomer.Country)
	st, err := registry.SignStatement(s.Federation(), registry.Statement{
		Version: registry.Version, Candidate: newcomer.Candidate, Invitation: id, Secret: secret,
	}, newcomer.Keys)
	if err != nil {
		t.Fatal(err)
	}
	return m.Sign(t, s, registry.KindAdmit, registry.Admit{Statement: st})
}

// Apply applies a command a second after the last entry.
func Apply(t testing.TB, s *registry.State, command []byte) *registry.State {
	t.Helper()
	next, err := s.Apply(registry.Entry{Time: s.Time() + 1, Command: command})
	if err != nil {
		t.Fatal(err)
	}
	return next
}
