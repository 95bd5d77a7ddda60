package registry_test

import (
	"errors"
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// TestWhoMayDoWhat is the table of commands about Germany by who signs them and
// by how Germany stands. An empty cell is an accepted command.
func TestWhoMayDoWhat(t *testing.T) {
	const (
		no  = "unauthorised"
		bad = "conflict"
	)
	sentinels := map[string]error{no: registry.ErrUnauthorised, bad: registry.ErrConflict, "": nil}
	// The signers, in the order of the columns: Germany's admin key, Germany's
	// recovery key, Poland alone, Poland with Lithuania, and a stranger.
	signers := []string{"own", "sheet", "another", "two others", "stranger"}
	commands := map[string]struct {
		payload   func(t *testing.T, f *Federation, de *Member) (registry.Kind, any)
		active    [5]string
		suspended [5]string
	}{
		"a change of its keys": {
			func(t *testing.T, f *Federation, de *Member) (registry.Kind, any) {
				k := de.Fresh(identity.RoleAdmin, 1)
				return registry.KindKeys, SetKeys(t, f.State, de.Adding(k), k)
			},
			[5]string{"", "", no, "", no}, [5]string{no, "", no, "", no},
		},
		"its nodes": {
			func(t *testing.T, f *Federation, de *Member) (registry.Kind, any) {
				st, err := registry.SignNodes(f.Federation(), registry.Nodes{Origin: de.Origin, Nodes: de.Nodes})
				if err != nil {
					t.Fatal(err)
				}
				return registry.KindNode, registry.SetNodes{Statement: st}
			},
			[5]string{"", no, no, no, no}, [5]string{no, no, no, no, no},
		},
		"its caretakers": {
			func(_ *testing.T, f *Federation, de *Member) (registry.Kind, any) {
				return registry.KindCaretaker, registry.SetCaretakers{Origin: de.Origin, By: []identity.OriginID{f.Members["PL"].Origin}}
			},
			[5]string{"", no, no, no, no}, [5]string{no, no, no, no, no},
		},
		"evidence against it": {
			func(t *testing.T, f *Federation, de *Member) (registry.Kind, any) {
				return registry.KindEvidence, de.Fork(t, f.State, 1, 3)
			},
			[5]string{"", no, "", no, no}, [5]string{no, no, "", no, no},
		},
		"a ruling with its signatures": {
			func(t *testing.T, f *Federation, de *Member) (registry.Kind, any) {
				return registry.KindRuling, registry.RecordRuling{Ruling: Ruling(t, f.State, de.Takedown(1), f.Members["PL"], f.Members["LT"])}
			},
			[5]string{"", no, "", no, no}, [5]string{no, no, "", no, no},
		},
		"a ruling that lacks signatures": {
			func(t *testing.T, f *Federation, de *Member) (registry.Kind, any) {
				return registry.KindRuling, registry.RecordRuling{Ruling: Ruling(t, f.State, de.Takedown(1), f.Members["PL"])}
			},
			[5]string{no, no, no, no, no}, [5]string{no, no, no, no, no},
		},
		"an objection to a change of its keys": {
			func(t *testing.T, f *Federation, de *Member) (registry.Kind, any) {
				k := de.Fresh(identity.RoleAdmin, 2)
				f.Do(f.Sign(registry.KindKeys, SetKeys(t, f.State, de.Adding(k), k), "PL", "LT"))
				w := f.Rekeys()[0]
				return registry.KindObject, registry.Object{Proposal: w.ID, Hash: w.Hash}
			},
			[5]string{"", no, no, no, no}, [5]string{no, no, no, no, no},
		},
		"a change of its keys while one waits": {
			func(t *testing.T, f *Federation, de *Member) (registry.Kind, any) {
				k := de.Fresh(identity.RoleAdmin, 2)
				f.Do(f.Sign(registry.KindKeys, SetKeys(t, f.State, de.Adding(k), k), "PL", "LT"))
				k = de.Fresh(identity.RoleAdmin, 3)
				return registry.KindKeys, SetKeys(t, f.State, de.Adding(k), k)
			},
			[5]string{"", bad, no, bad, no}, [5]string{no, bad, no, bad, no},
		},
	}
	for name, c := range commands {
		for _, suspended := range []bool{false, true} {
			for i, by := range signers {
				f, de, sheet := recoverable(t, "PL", "DE", "LT")
				stands, want := "active", c.active[i]
				if suspended {
					stands, want = "suspended", c.suspended[i]
					b := Ruling(t, f.State, registry.Ruling{Kind: registry.RulingSuspend, Origin: de.Origin}, f.Members["PL"], f.Members["LT"])
					f.Do(f.Sign(registry.KindRuling, registry.RecordRuling{Ruling: b}, "PL"))
				}
				kind, payload := c.payload(t, f, de)
				pl, lt := f.Members["PL"].Keys.Admin, f.Members["LT"].Keys.Admin
				keys := [][]*identity.Key{{de.Keys.Admin}, {sheet}, {pl}, {pl, lt}, {New(t, "XX").Keys.Admin}}[i]
				if err := f.Try(f.SignWith(kind, payload, keys...)); !errors.Is(err, sentinels[want]) {
					t.Errorf("%s of a member that is %s, signed by %s: %v, want %q", name, stands, by, err, want)
				}
			}
		}
	}
}
