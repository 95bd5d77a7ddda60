package bundle

import (
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// keys is a registry with the feeds' places that its heads have put on record.
type keys struct {
	*registry.State
	heads []*registry.SignedHead
}

var _ feed.Keys = keys{}

// Rules are what a registry gives by itself: its keys, the feeds' places that its
// heads have put on record, and default limits. A node adds what else it knows.
func Rules(s *registry.State, c registry.HeadChain, now time.Time) feed.Rules {
	heads := slices.Clone(c.Rotations())
	if n := c.Newest(); n != nil {
		heads = append(heads, n)
	}
	return feed.Rules{Federation: s.Federation(), Keys: keys{s, heads}, Now: now}
}

// Anchor implements [feed.Keys].
func (k keys) Anchor(o identity.OriginID, epoch, n uint64) (identity.Hash, bool) {
	for _, h := range k.heads {
		if p, ok := h.Feed(o); ok && p.Epoch == epoch && p.N == n {
			return p.Hash, true
		}
	}
	return identity.Hash{}, false
}

// Anchors implements [feed.Keys].
func (k keys) Anchors(o identity.OriginID, epoch uint64) (out []uint64) {
	for _, h := range k.heads {
		if p, ok := h.Feed(o); ok && p.Epoch == epoch {
			out = append(out, p.N)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
