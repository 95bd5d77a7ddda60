package docket_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// node is one of several that hear different things in different orders.
type node struct {
	state  *registry.State
	docket *docket.Docket
}

// pool is what there is to hear: rulings with all kinds of signatures and
// counters, some of them of one counter, and forks at all kinds of numbers.
func pool(t *testing.T, f *Federation) [][]byte {
	var out [][]byte
	names := slices.Sorted(maps.Keys(f.Members))
	add := func(item []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, item)
	}
	rule := func(r registry.Ruling, issued time.Time, by ...string) {
		r.Reason = registry.ReasonOther
		r, err := registry.NewRuling(f.State, r, issued)
		if err != nil {
			t.Fatal(err)
		}
		var keys []*identity.Key
		for _, n := range by {
			keys = append(keys, f.Members[n].Keys.Admin)
		}
		b, err := registry.SignRuling(f.Federation(), r, keys...)
		if err != nil {
			t.Fatal(err)
		}
		add(docket.RulingItem(b))
	}
	now := time.Unix(f.Time(), 0)
	for _, about := range []string{"DE", "LT"} {
		m := f.Members[about]
		for counter := range uint64(3) {
			for variant := range 2 { // two rulings of one counter
				r := m.Takedown(1)
				r.Counter, r.Off = counter+1, counter == 1
				for i := range names {
					rule(r, now.Add(time.Duration(variant)*time.Minute), names[i], names[(i+1+variant)%len(names)])
				}
			}
		}
		rule(registry.Ruling{Kind: registry.RulingRevoke, Origin: m.Origin, Key: m.Keys.Publish.ID()}, now, "FI", "NL", "PL")
		rule(registry.Ruling{Kind: registry.RulingSuspend, Origin: m.Origin}, now, "FI", "NL", "PL")
		for n := uint64(1); n < 6; n++ {
			add(docket.EvidenceItem(m.Fork(t, f.State, 1, n)))
		}
	}
	return out
}

// TestDocketsConverge: nodes that hear arbitrary items in arbitrary orders, at
// different states of the registry, end up with the same docket once they have
// the same registry and have talked to each other.
func TestDocketsConverge(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT", "FI", "NL")
	items := pool(t, f)
	states := []*registry.State{f.State}
	now := time.Unix(f.Time(), 0).Add(time.Hour)
	// The registry goes on: a ruling is recorded, a key replaced, a member suspended and back.
	fi := f.Members["FI"]
	for _, step := range []func(){
		func() {
			f.Do(f.Sign(registry.KindRuling, registry.RecordRuling{
				Ruling: Ruling(t, f.State, f.Members["DE"].Takedown(1), f.Members["PL"], f.Members["FI"], f.Members["NL"]),
			}, "PL"))
		},
		func() {
			fresh := fi.Fresh(identity.RoleAdmin, 1)
			ch := fi.Adding(fresh)
			ch.Retire = []registry.Retirement{{ID: fi.Keys.Admin.ID()}}
			f.Do(f.Sign(registry.KindKeys, SetKeys(t, f.State, ch, fresh), "FI"))
		},
		func() { f.Do(f.Sign(registry.KindEvidence, f.Members["LT"].Fork(t, f.State, 1, 3), "PL")) },
		func() {
			f.Do(f.Sign(registry.KindRuling, registry.RecordRuling{
				Ruling: Ruling(t, f.State, registry.Ruling{Kind: registry.RulingSuspend, Origin: f.Members["NL"].Origin}, f.Members["PL"], f.Members["DE"], f.Members["LT"]),
			}, "PL"))
		},
		func() {
			f.Do(f.Sign(registry.KindRuling, registry.RecordRuling{
				Ruling: Ruling(t, f.State, registry.Ruling{Kind: registry.RulingSuspend, Origin: f.Members["NL"].Origin, Off: true}, f.Members["PL"], f.Members["DE"], f.Members["LT"]),
			}, "PL"))
		},
	} {
		step()
		states = append(states, f.State)
	}
	rapid.Check(t, func(t *rapid.T) {
		nodes := make([]*node, 3)
		for i := range nodes {
			n := &node{state: states[0]}
			d, err := docket.New(docket.Options{Drawer: newDrawer(), State: func() *registry.State { return n.state }, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			n.docket = d
			nodes[i] = n
		}
		final := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := nodes[rapid.IntRange(0, 2).Draw(t, "node")]
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				exchange(t, nodes[rapid.IntRange(0, 2).Draw(t, "from")].docket, n.docket)
			case 1:
				at := slices.Index(states, n.state)
				n.state = states[rapid.IntRange(at, len(states)-1).Draw(t, "registry")]
				n.docket.Refresh()
			default:
				_, _ = n.docket.Add(items[rapid.IntRange(0, len(items)-1).Draw(t, "item")])
			}
		}
		for _, n := range nodes {
			final = max(final, slices.Index(states, n.state))
		}
		for _, n := range nodes { // the same registry everywhere,
			n.state = states[final]
		}
		for range 2 { // and everybody talks to everybody
			for _, a := range nodes {
				for _, b := range nodes {
					exchange(t, a.docket, b.docket)
				}
			}
		}
		for _, n := range nodes[1:] {
			if n.docket.Digest() != nodes[0].docket.Digest() {
				t.Fatal("two dockets differ")
			}
			same(t, f, nodes[0].docket, n.docket)
		}
	})
}

// TestOrderDoesNotMatter: what a docket holds follows from what it was given.
func TestOrderDoesNotMatter(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT", "FI", "NL")
	items := pool(t, f)
	now := time.Unix(f.Time(), 0).Add(time.Hour)
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfN(rapid.IntRange(0, len(items)-1), 1, 40).Draw(t, "items")
		var dockets []*docket.Docket
		for _, order := range [][]int{some, rapid.Permutation(some).Draw(t, "other order")} {
			d, err := docket.New(docket.Options{Drawer: newDrawer(), State: func() *registry.State { return f.State }, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range order {
				if _, err := d.Add(items[i]); err != nil {
					t.Fatal(err)
				}
			}
			dockets = append(dockets, d)
		}
		if dockets[0].Digest() != dockets[1].Digest() {
			t.Fatal("two dockets differ")
		}
		same(t, f, dockets[0], dockets[1])
	})
}

// same checks that two dockets say the same.
func same(t *rapid.T, f *Federation, a, b *docket.Docket) {
	av, bv := a.View(), b.View()
	encode := func(v any) string {
		b, err := identity.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	hold := func(v *docket.View) (out []any) {
		for _, h := range v.Latest() {
			out = append(out, []any{h.Ruling, h.Signers, h.Recorded})
		}
		return out
	}
	pending := func(d *docket.Docket) (out []any) {
		for _, p := range d.Pending() {
			out = append(out, []any{p.ID, p.Signers, p.Needed})
		}
		return out
	}
	if encode(hold(av)) != encode(hold(bv)) || encode(pending(a)) != encode(pending(b)) {
		t.Fatal("dockets with one digest say different things")
	}
	for _, m := range f.Members {
		an, aok := av.Forked(m.Origin, 1)
		bn, bok := bv.Forked(m.Origin, 1)
		if an != bn || aok != bok {
			t.Fatalf("%s is forked at %d and at %d", m.Country, an, bn)
		}
		_, _, ah := av.Hidden(m.Origin, feed.Key{1})
		_, _, bh := bv.Hidden(m.Origin, feed.Key{1})
		if ah != bh {
			t.Fatalf("a record of %s is hidden here and not there", m.Country)
		}
	}
}

func FuzzItem(f *testing.F) {
	fed := NewFederation(f, "PL", "DE", "LT")
	de := fed.Members["DE"]
	r, err := docket.RulingItem(Ruling(f, fed.State, de.Takedown(1), fed.Members["PL"], fed.Members["LT"]))
	if err != nil {
		f.Fatal(err)
	}
	e, err := docket.EvidenceItem(de.Fork(f, fed.State, 1, 3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(r)
	f.Add(e)
	f.Add([]byte{0xa2, 1, 1, 2, 0x41, 0})
	now := time.Unix(fed.Time(), 0)
	f.Fuzz(func(t *testing.T, raw []byte) {
		open := func() *docket.Docket {
			d, err := docket.New(docket.Options{Drawer: newDrawer(), State: func() *registry.State { return fed.State }, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		d := open()
		added, err := d.Add(raw)
		if added && err != nil {
			t.Fatal(err)
		}
		items, next := d.Items(nil, 1<<20)
		if next != nil || len(items) != btoi(added) {
			t.Fatalf("added %v, %d items", added, len(items))
		}
		for _, i := range items { // what one takes in another one does too
			other := open()
			if ok, err := other.Add(i); !ok || err != nil || other.Digest() != d.Digest() {
				t.Fatalf("passed on: %v %v", ok, err)
			}
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
