package registry

import (
	"fmt"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Fork is what the registry keeps of evidence: which number of a feed was
// signed twice. The entry has the two heads themselves.
type Fork struct {
	Origin identity.OriginID `cbor:"1,keyasint"`
	Epoch  uint64            `cbor:"2,keyasint"`
	N      uint64            `cbor:"3,keyasint"`
	A      identity.Hash     `cbor:"4,keyasint"` // the two heads, the lower hash first
	B      identity.Hash     `cbor:"5,keyasint"`
	Seq    uint64            `cbor:"6,keyasint"` // the entry that holds the evidence
}

// Evidence are the forks on record, in the order of their entries: for each
// feed and epoch the lowest number.
func (s *State) Evidence() []Fork { return slices.Clone(s.forks) }

// Unanchored is a state as [feed.Keys] where no heads are on record: evidence
// and single heads are judged without them.
type Unanchored struct{ *State }

// Anchor knows none.
func (Unanchored) Anchor(identity.OriginID, uint64, uint64) (identity.Hash, bool) {
	return identity.Hash{}, false
}

// Anchors knows none.
func (Unanchored) Anchors(identity.OriginID, uint64) []uint64 { return nil }

var _ feed.Keys = Unanchored{}

// CheckEvidence verifies evidence against the keys of this state. Errors wrap
// [feed.ErrEvidence].
func (s *State) CheckEvidence(e feed.Evidence) (*feed.Fork, error) {
	rules := feed.Rules{Federation: s.federation, Keys: Unanchored{s}, Now: time.Unix(s.time, 0)}
	f, err := rules.CheckEvidence(e)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return f, nil
}

func (c *change) evidence() error {
	var p feed.Evidence
	if err := c.payload(&p); err != nil {
		return err
	}
	if _, err := c.alone(); err != nil {
		return err
	}
	f, err := c.CheckEvidence(p)
	if err != nil {
		return err
	}
	known := slices.IndexFunc(c.forks, func(k Fork) bool { return k.Origin == f.Origin && k.Epoch == f.Epoch })
	if known >= 0 && c.forks[known].N <= f.N {
		return fmt.Errorf("%w: head %d of that feed and epoch is on record as signed twice", ErrConflict, c.forks[known].N)
	}
	c.forks = slices.Clone(c.forks)
	if known >= 0 {
		c.forks = slices.Delete(c.forks, known, known+1)
	}
	c.forks = append(c.forks, Fork{Origin: f.Origin, Epoch: f.Epoch, N: f.N, A: f.A.Hash, B: f.B.Hash, Seq: c.seq})
	return nil
}
