package docket_test

import (
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// TestASignerThatWasAwayCountsAgain: a node that saw a signer suspended and
// back ends up with the same docket as one that heard of both at once.
func TestASignerThatWasAwayCountsAgain(t *testing.T) {
	s := newScene(t)
	before := s.State
	slow, err := docket.New(docket.Options{Drawer: newDrawer(), State: func() *registry.State { return before }, Now: func() time.Time { return s.now }})
	if err != nil {
		t.Fatal(err)
	}
	b := s.ruling(s.de.Takedown(1), "PL", "FI")
	s.add(b)
	if _, err := slow.AddRuling(b); err != nil {
		t.Fatal(err)
	}
	for _, off := range []bool{false, true} {
		r := registry.Ruling{Kind: registry.RulingSuspend, Origin: s.Members["FI"].Origin, Off: off}
		s.Do(s.Sign(registry.KindRuling, registry.RecordRuling{Ruling: s.ruling(r, "PL", "LT", "NL")}, "PL"))
		s.docket.Refresh()
	}
	before = s.State
	slow.Refresh()
	for range 2 {
		exchange(t, slow, s.docket)
		exchange(t, s.docket, slow)
	}
	if s.docket.Digest() != slow.Digest() {
		t.Fatalf("two dockets differ for ever: signed by %d here and by %d there", len(s.docket.Pending()[0].Signers), len(slow.Pending()[0].Signers))
	}
}

// TestARulingThatEverybodySigns: more keys sign than an envelope may name.
func TestARulingThatEverybodySigns(t *testing.T) {
	s := newScene(t)
	keys := []*identity.Key{}
	for _, country := range []string{"PL", "LT", "FI", "NL"} {
		m := s.Members[country]
		keys = append(keys, m.Keys.Admin)
		var more []*identity.Key
		for n := range byte(registry.MaxAdminKeys - 1) {
			more = append(more, m.Fresh(identity.RoleAdmin, n+1))
		}
		s.Do(s.Sign(registry.KindKeys, SetKeys(t, s.State, m.Adding(more...), more...), country))
		keys = append(keys, more...)
	}
	s.now = time.Unix(s.Time(), 0)
	bare := s.ruling(s.de.Takedown(1), "PL")
	_, e, err := registry.ParseRuling(bare)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		one := identity.Envelope{Body: e.Body, Signatures: []identity.Signature{key.Sign(identity.TypeRuling, s.Federation.Federation(), e.Body)}}
		if _, err := s.docket.AddRuling(one.Encode()); err != nil {
			t.Fatal(err)
		}
	}
	items, _ := s.docket.Items(nil, 1<<20)
	if len(items) != 1 {
		t.Fatalf("%d items", len(items))
	}
	item, err := docketRuling(items[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, signers, _, err := s.CheckRuling(item); err != nil || len(signers) != 4 {
		t.Fatalf("%d signers: %v", len(signers), err)
	}
	if _, e, _ := registry.ParseRuling(item); len(e.Signatures) != 4 {
		t.Fatalf("%d signatures by 4 members are kept", len(e.Signatures))
	}
	// The same again is nothing new.
	one := identity.Envelope{Body: e.Body, Signatures: []identity.Signature{keys[1].Sign(identity.TypeRuling, s.Federation.Federation(), e.Body)}}
	if added, err := s.docket.AddRuling(one.Encode()); added || err != nil {
		t.Fatalf("a member's second key: added %v, %v", added, err)
	}
}

// docketRuling is the ruling in an item.
func docketRuling(item []byte) ([]byte, error) {
	var w struct {
		Kind  uint8  `cbor:"1,keyasint"`
		Bytes []byte `cbor:"2,keyasint"`
	}
	err := identity.Unmarshal(item, &w)
	return w.Bytes, err
}
