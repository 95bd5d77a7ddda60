package registry_test

import (
	"errors"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

func TestEvidenceFreezesAFeedUntilTheNextEpoch(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT")
	de := f.Members["DE"]
	if _, ok := f.Forked(de.Origin); ok {
		t.Fatal("forked before anything happened")
	}
	f.Do(f.Sign(registry.KindEvidence, de.Fork(t, f.State, 1, 9), "LT"))
	if n, ok := f.Forked(de.Origin); !ok || n != 9 {
		t.Fatalf("forked at %d %v", n, ok)
	}
	for name, n := range map[string]uint64{"the same number": 9, "a later one": 10} {
		if err := f.Try(f.Sign(registry.KindEvidence, de.Fork(t, f.State, 1, n), "PL")); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.Do(f.Sign(registry.KindEvidence, de.Fork(t, f.State, 1, 4), "PL"))
	if n, _ := f.Forked(de.Origin); n != 4 || len(f.Evidence()) != 1 || f.Evidence()[0].Seq != f.Seq() {
		t.Fatalf("forked at %d: %+v", n, f.Evidence())
	}
	f.Do(rekey(t, f, registry.KeyChange{Origin: de.Origin, Epoch: 2}, nil, de.Keys.Admin))
	if _, ok := f.Forked(de.Origin); ok {
		t.Fatal("the new epoch is frozen too")
	}
	// Evidence of the epoch before still counts, and of the new one.
	f.Do(f.Sign(registry.KindEvidence, de.Fork(t, f.State, 1, 2), "PL"))
	if _, ok := f.Forked(de.Origin); ok {
		t.Fatal("evidence of the old epoch freezes the new one")
	}
	f.Do(f.Sign(registry.KindEvidence, de.Fork(t, f.State, 2, 10), "PL"))
	if n, ok := f.Forked(de.Origin); !ok || n != 10 || len(f.Evidence()) != 2 {
		t.Fatalf("forked at %d %v", n, ok)
	}
}

func TestEvidenceAboutASuspendedMember(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT")
	de := f.Members["DE"]
	f.Do(f.Sign(registry.KindRuling, registry.RecordRuling{
		Ruling: Ruling(t, f.State, registry.Ruling{Kind: registry.RulingSuspend, Origin: de.Origin}, f.Members["PL"], f.Members["LT"]),
	}, "PL"))
	f.Do(f.Sign(registry.KindEvidence, de.Fork(t, f.State, 1, 3), "PL"))
	if n, ok := f.Forked(de.Origin); !ok || n != 3 {
		t.Fatalf("forked at %d %v", n, ok)
	}
}

func TestWhatIsNoEvidence(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT")
	pl, de := f.Members["PL"], f.Members["DE"]
	a, b := de.Head(t, f.State, 1, 5, 1), de.Head(t, f.State, 1, 5, 2)
	_, other := New(t, "PL").Found(t)
	for name, e := range map[string]feed.Evidence{
		"one head twice":         feed.NewEvidence(a, a),
		"two numbers":            feed.NewEvidence(a, de.Head(t, f.State, 1, 6, 2)),
		"two epochs":             feed.NewEvidence(a, de.Head(t, f.State, 2, 5, 2)),
		"two feeds":              feed.NewEvidence(a, pl.Head(t, f.State, 1, 5, 2)),
		"a thief's second head":  feed.NewEvidence(a, de.Head(t, f.State, 1, 5, 2, de.Fresh(identity.RolePublish, 9))),
		"signed by an admin key": feed.NewEvidence(a, de.Head(t, f.State, 1, 5, 2, de.Keys.Admin)),
		"of another federation":  feed.NewEvidence(de.Head(t, other, 1, 5, 1), de.Head(t, other, 1, 5, 2)),
		"nothing":                {},
	} {
		if err := f.Try(f.Sign(registry.KindEvidence, e, "PL")); !errors.Is(err, feed.ErrEvidence) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.Try(f.Sign(registry.KindEvidence, feed.NewEvidence(a, b), "PL", "LT")); !errors.Is(err, registry.ErrUnauthorised) {
		t.Errorf("brought by two members: %v", err)
	}
	if err := f.Try(f.Sign(registry.KindEvidence, feed.NewEvidence(a, b), "DE")); err != nil {
		t.Errorf("brought by the member itself: %v", err)
	}
}
