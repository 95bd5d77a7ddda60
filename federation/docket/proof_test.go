package docket_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

func TestAThirdPartyChecksEvidence(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT")
	de := f.Members["DE"]
	fork := de.Fork(t, f.State, 1, 5)
	known := len(f.Log) - 2 // Germany came in before Lithuania was invited and admitted
	f.Do(f.Sign(registry.KindEvidence, fork, "LT"))
	file, err := docket.ExportEvidence(fork, f.Log)
	if err != nil {
		t.Fatal(err)
	}
	found, err := docket.VerifyEvidence(file, f.Federation())
	if err != nil {
		t.Fatal(err)
	}
	if found.Country != "DE" || found.Origin != de.Origin || found.A.N != 5 || found.B.N != 5 || found.A.Hash == found.B.Hash ||
		found.Name != "Test federation" || found.Demo || found.Entries != uint64(known) {
		t.Fatalf("%+v, want %d entries", found, known)
	}
	if _, err := docket.VerifyEvidence(file, identity.FederationID{1}); !errors.Is(err, docket.ErrOtherFederation) {
		t.Errorf("asked about another federation: %v", err)
	}
	for at := 0; at < len(file); at += 7 {
		bad := bytes.Clone(file)
		bad[at] ^= 0x10
		if _, err := docket.VerifyEvidence(bad, f.Federation()); err == nil {
			t.Errorf("byte %d changed and the file still proves something", at)
		}
	}
	for _, n := range []int{0, 1, len(file) / 2, len(file) - 1} {
		if _, err := docket.VerifyEvidence(file[:n], f.Federation()); !errors.Is(err, docket.ErrProof) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

func TestWhatProvesNothing(t *testing.T) {
	f := NewFederation(t, "PL", "DE")
	de := f.Members["DE"]
	fork := de.Fork(t, f.State, 1, 5)
	file, err := docket.ExportEvidence(fork, f.Log)
	if err != nil {
		t.Fatal(err)
	}
	other := NewFederation(t, "PL", "DE")
	stolen := feed.NewEvidence(de.Head(t, f.State, 1, 5, 1), de.Head(t, f.State, 1, 5, 2, de.Fresh(identity.RolePublish, 1)))
	for name, c := range map[string]struct {
		evidence feed.Evidence
		log      [][]byte
	}{
		"the registry of another federation": {fork, other.Log},
		"no registry":                        {fork, nil},
		"a registry before the member":       {fork, f.Log[:1]},
		"a head by a key nobody knows":       {stolen, f.Log},
	} {
		if _, err := docket.ExportEvidence(c.evidence, c.log); !errors.Is(err, docket.ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := docket.ExportEvidence(fork, [][]byte{f.Log[1]}); err == nil {
		t.Error("a registry without its beginning was taken")
	}
	// A file that says it is of one federation and holds the registry of another.
	forge := func(edit func(map[int]any)) []byte {
		var p map[int]any
		if err := identity.Unmarshal(file, &p); err != nil {
			t.Fatal(err)
		}
		edit(p)
		b, err := identity.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	id := other.Federation()
	foreign := forge(func(p map[int]any) { p[2] = id[:] })
	if _, err := docket.VerifyEvidence(foreign, id); !errors.Is(err, docket.ErrOtherFederation) {
		t.Errorf("another federation's name on it: %v", err)
	}
	for name, edit := range map[string]func(map[int]any){
		"a version of tomorrow":  func(p map[int]any) { p[1] = 2 },
		"no entries":             func(p map[int]any) { p[4] = [][]byte{} },
		"entries in other order": func(p map[int]any) { p[4] = [][]byte{f.Log[1], f.Log[0]} },
		"an entry left out":      func(p map[int]any) { p[4] = [][]byte{f.Log[0], f.Log[2]} },
		"no evidence":            func(p map[int]any) { p[3] = []byte{} },
		"one head":               func(p map[int]any) { h := de.Head(t, f.State, 1, 5, 1); p[3] = feed.NewEvidence(h, h).Encode() },
		"a thief's head":         func(p map[int]any) { p[3] = stolen.Encode() },
	} {
		if _, err := docket.VerifyEvidence(forge(edit), f.Federation()); !errors.Is(err, docket.ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerifyEvidence(f *testing.F) {
	fed := NewFederation(f, "PL", "DE")
	file, err := docket.ExportEvidence(fed.Members["DE"].Fork(f, fed.State, 1, 5), fed.Log)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := docket.VerifyEvidence(b, fed.Federation())
		if err == nil && (found.A.Hash == found.B.Hash || found.A.N != found.B.N || found.A.Origin != found.Origin) {
			t.Fatalf("%+v proves nothing", found)
		}
	})
}
