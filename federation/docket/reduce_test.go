package docket

import (
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// TestWhatMattersMostIsKept: when there are too many items, evidence stays
// before suspensions, these before takedowns, and what lacks signatures goes
// first; of the same sort the oldest goes.
func TestWhatMattersMostIsKept(t *testing.T) {
	var all []*item
	add := func(i *item) {
		n := len(all)
		i.id = ID{1: byte(n >> 8), 2: byte(n)}
		all = append(all, i)
	}
	ruling := func(kind registry.RulingKind, issued, signed int) *item {
		return &item{ruling: registry.Ruling{Kind: kind, Issued: feed.Minute(issued)}, signers: make([]identity.OriginID, signed), needed: 2}
	}
	for n := range MaxItems {
		add(ruling(registry.RulingTakedown, n+1, 2))
	}
	for range 10 {
		add(&item{evidence: &feed.Evidence{}})
		add(ruling(registry.RulingSuspend, 1, 2))
		add(ruling(registry.RulingTakedown, MaxItems*2, 1))
	}
	drop := make(map[ID]bool)
	reduceAll(all, drop)
	if len(all)-len(drop) != MaxItems {
		t.Fatalf("%d items are kept, want %d", len(all)-len(drop), MaxItems)
	}
	for _, i := range all {
		switch {
		case i.evidence != nil, i.ruling.Kind == registry.RulingSuspend:
			if drop[i.id] {
				t.Fatal("evidence or a suspension was dropped")
			}
		case !i.holds() && !drop[i.id]:
			t.Fatal("a ruling that lacks signatures was kept")
		case i.holds() && drop[i.id] != (i.ruling.Issued <= 20):
			t.Fatalf("the takedown of minute %d: dropped %v", i.ruling.Issued, drop[i.id])
		}
	}
}

func TestEvidenceOfManyEpochs(t *testing.T) {
	var evidence []*item
	for epoch := range MaxPerFeed + 10 {
		for n := range 2 {
			i := &item{id: ID{byte(epoch), byte(n)}, evidence: &feed.Evidence{}}
			i.fork = registry.Fork{Epoch: uint64(epoch + 1), N: uint64(9 - n)}
			evidence = append(evidence, i)
		}
	}
	drop := make(map[ID]bool)
	reduceEvidence(evidence, drop)
	for _, i := range evidence {
		if want := i.fork.Epoch <= 10 || i.fork.N == 9; drop[i.id] != want {
			t.Errorf("epoch %d, head %d: dropped %v", i.fork.Epoch, i.fork.N, drop[i.id])
		}
	}
}
