package consensus_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

// TestTwoRegistriesAreSigned: a lone voter that came back from an old backup
// signs another entry for a number that is taken. Who knows the first stops, and
// keeps it.
func TestTwoRegistriesAreSigned(t *testing.T) {
	w := newLine(t)
	now := registrytest.Start.Add(time.Hour)
	k := w.keeper(t, nil, func() time.Time { return now })
	if err := k.Take(t.Context(), 1, w.entries, [][]byte{w.head(t, 5, now, nil)}); err != nil {
		t.Fatal(err)
	}
	other := &line{w.pl, slices.Clone(w.entries[:4]), slices.Clone(w.states[:4])}
	other.add(t, other.pl.Invite(t, other.last(), "NO"))
	now = now.Add(time.Minute)
	for _, seq := range []int{5, 6} { // for the number itself, and for one after it
		if seq == 6 {
			other.add(t, other.pl.Invite(t, other.last(), "ES"))
		}
		err := k.Take(t.Context(), 1, other.entries, [][]byte{other.head(t, seq, now, nil)})
		if seq == 5 && !errors.Is(err, consensus.ErrSplit) || err == nil {
			t.Errorf("another registry with %d entries: %v", seq, err)
		}
	}
	if k.State().Hash() != w.last().Hash() || !errors.Is(k.Status().Problem, consensus.ErrSplit) {
		t.Errorf("entry %d, problem %v", k.State().Seq(), k.Status().Problem)
	}
}

// FuzzTake gives a keeper entries and heads that were changed on the way.
func FuzzTake(f *testing.F) {
	pl := registrytest.New(f, "PL")
	e, s := pl.Found(f)
	entry := registry.Entry{Time: s.Time() + 1, Command: pl.Invite(f, s, "DE")}.Encode()
	hash := registry.HashAfter(s.Hash(), entry)
	h := registry.Head{
		Version: 1, Federation: s.Federation(), Generation: 1, Rotation: 1, Seq: 2, Hash: hash,
		Voters: []identity.PublicKey{pl.Keys.Node.Public()}, Issued: s.Time() + 1, Expires: s.Time() + 60,
	}
	head := h.Envelope([]identity.Signature{pl.Keys.Node.Sign(identity.TypeRegistryHead, h.Federation, h.Encode())})
	f.Add(e.Encode(), entry, head)
	f.Add(e.Encode(), []byte("noise"), head)
	f.Fuzz(func(t *testing.T, genesis, second, head []byte) {
		k, err := consensus.New(consensus.Options{
			Self: pl.Keys.Node, Federation: s.Federation(), Chain: new(consensus.MemoryChain),
			Now: func() time.Time { return registrytest.Start.Add(time.Hour) },
		})
		if err != nil {
			t.Fatal(err)
		}
		err = k.Take(t.Context(), 1, [][]byte{genesis, second}, [][]byte{head})
		switch got := k.State(); {
		case got == nil:
		case got.Seq() != 2 || got.Hash() != hash:
			t.Fatalf("entry %d was taken, which nobody has signed for (%v)", got.Seq(), err)
		}
	})
}
