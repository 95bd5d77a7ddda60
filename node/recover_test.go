package node

import (
	"errors"
	"testing"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// TestFitsPlan: a recovery that would leave behind what is confirmed here gets no
// signature; one that goes on from more than is known here may.
func TestFitsPlan(t *testing.T) {
	key, voter := identity.KeyFromSeed(identity.RoleAdmin, [32]byte{1}), identity.KeyFromSeed(identity.RoleNode, [32]byte{2})
	file, err := registry.SignRecovery(registry.Recovery{
		Version: 1, Federation: identity.FederationID{1}, Generation: 2, Rotation: 1, Seq: 7, Hash: identity.Hash{7},
		Voters: []identity.PublicKey{voter.Public()}, Issued: 1,
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		generation, seq uint64
		hash            identity.Hash
		want            error
	}{
		"the same":              {1, 7, identity.Hash{7}, nil},
		"behind here":           {1, 6, identity.Hash{6}, nil},
		"more is confirmed":     {1, 8, identity.Hash{8}, consensus.ErrPlan},
		"another entry":         {1, 7, identity.Hash{8}, consensus.ErrPlan},
		"it has begun":          {2, 7, identity.Hash{7}, consensus.ErrPlan},
		"a later one has begun": {3, 5, identity.Hash{5}, consensus.ErrPlan},
	} {
		newest := &registry.SignedHead{Head: registry.Head{Generation: tt.generation, Seq: tt.seq, Hash: tt.hash}}
		if err := fitsPlan(file, newest); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if err := fitsPlan(file, nil); err != nil {
		t.Errorf("nothing is confirmed here: %v", err)
	}
	if err := fitsPlan(file[:9], nil); !errors.Is(err, registry.ErrMalformed) {
		t.Errorf("half a file: %v", err)
	}
}
