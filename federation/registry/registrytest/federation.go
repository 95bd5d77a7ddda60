package registrytest

import (
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Federation is a registry that grows, with the members that it was made of.
type Federation struct {
	*registry.State
	Members map[string]*Member // by country
	Log     [][]byte           // all entries, the genesis first

	t testing.TB
}

// NewFederation is a federation of active members; the first country founds it
// and invites the others.
func NewFederation(t testing.TB, countries ...string) *Federation {
	t.Helper()
	f := &Federation{Members: make(map[string]*Member), t: t}
	var founder *Member
	for _, country := range countries {
		m := New(t, country)
		f.Members[country] = m
		if founder == nil {
			founder = m
			var e registry.Entry
			e, f.State = m.Found(t)
			f.Log = append(f.Log, e.Encode())
			continue
		}
		f.Do(founder.Invite(t, f.State, country))
		id, c := founder.Admit(t, f.State, m)
		f.Do(c)
		for _, p := range f.Proposals() { // from the fourth on, the others approve
			if p.ID == id {
				f.approve(founder, m, p)
			}
		}
	}
	return f
}

func (f *Federation) approve(founder, newcomer *Member, p registry.Proposal) {
	var others []*Member
	for _, m := range f.Members {
		if m != founder && m != newcomer {
			others = append(others, m)
		}
	}
	_, c := others[0].Sign(f.t, f.State, registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash}, others[1:]...)
	f.Do(c)
}

// Do applies a command a second after the last entry.
func (f *Federation) Do(command []byte) {
	f.t.Helper()
	f.At(f.Time()+1, command)
}

// At applies a command at a time in Unix seconds.
func (f *Federation) At(time int64, command []byte) {
	f.t.Helper()
	e := registry.Entry{Time: time, Command: command}
	next, err := f.Apply(e)
	if err != nil {
		f.t.Fatal(err)
	}
	f.State, f.Log = next, append(f.Log, e.Encode())
}

// Try applies a command a second after the last entry and reports what comes of
// it; the federation stays as it was.
func (f *Federation) Try(command []byte) error {
	_, err := f.Apply(registry.Entry{Time: f.Time() + 1, Command: command})
	return err
}

// Sign makes a command signed by members with their admin keys.
func (f *Federation) Sign(kind registry.Kind, payload any, countries ...string) []byte {
	f.t.Helper()
	keys := make([]*identity.Key, 0, len(countries))
	for _, c := range countries {
		keys = append(keys, f.Members[c].Keys.Admin)
	}
	return f.SignWith(kind, payload, keys...)
}

// SignWith makes a command signed with any keys.
func (f *Federation) SignWith(kind registry.Kind, payload any, keys ...*identity.Key) []byte {
	f.t.Helper()
	_, c, err := registry.NewCommand(f.State, kind, payload, keys...)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}
