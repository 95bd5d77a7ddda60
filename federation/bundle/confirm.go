package bundle

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"github.com/2ps-project/waymark/federation/registry"
)

func (c *checker) head(envelope []byte) error {
	h, err := registry.ParseHead(envelope)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	if h.Seq > c.m.Registry.Seq {
		return fmt.Errorf("%w: a head of the registry beyond its last entry", ErrPart)
	}
	c.heads = append(c.heads, h)
	return nil
}

// entry replays the registry, and compares it with the one that is held and with
// what the voters have signed.
func (c *checker) entry(seq uint64, entry []byte) error {
	next, err := step(c.state, entry)
	if errors.Is(err, registry.ErrUnknownKind) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	c.state = next
	if seq == 1 && (next.Federation() != c.m.Federation || next.Demo() != c.m.Demo || next.Name() != c.m.Name) {
		return fmt.Errorf("%w: the registry is of federation %s", ErrPart, next.Federation())
	}
	if err := c.confirm(seq); err != nil {
		return err
	}
	if seq > seqOf(c.State) {
		return nil
	}
	if seq >= c.heldAt+uint64(len(c.held)) {
		if c.held, err = c.Chain.Entries(seq, 256); err != nil {
			return fmt.Errorf("read the registry here: %w", err)
		}
		if len(c.held) == 0 {
			return errors.New("read the registry here: it is missing")
		}
		c.heldAt = seq
	}
	if !bytes.Equal(c.held[seq-c.heldAt], entry) {
		return ErrParted
	}
	return nil
}

func seqOf(s *registry.State) uint64 {
	if s == nil {
		return 0
	}
	return s.Seq()
}

func (c *checker) item([]byte) error {
	c.report.Items++
	return nil
}

func (c *checker) registered() error {
	if c.state.Seq() != c.m.Registry.Seq || c.state.Hash() != c.m.Registry.Hash {
		return fmt.Errorf("%w: the registry ends at another entry", ErrPart)
	}
	node, member, ok := c.state.Node(c.m.Exporter.NodeID())
	if !ok || node.Key != c.m.Exporter {
		return fmt.Errorf("%w: %s", ErrExporter, c.m.Exporter.NodeID())
	}
	c.report.ExporterCountry = member.Country
	for _, f := range c.m.Feeds {
		if m, ok := c.state.MemberByOrigin(f.Origin); !ok || m.Country != f.Country {
			return fmt.Errorf("%w: the feed of %s is of an origin that is not its", ErrPart, f.Country)
		}
	}
	if err := c.confirmed(); err != nil {
		return err
	}
	c.own = Rules(c.state, c.alones, c.Now)
	if err := c.settle(); err != nil {
		return err
	}
	if c.ImportOptions.Rules != nil {
		c.rules = c.ImportOptions.Rules(c.now, c.chain)
	} else {
		c.rules = Rules(c.now, c.chain, c.Now)
	}
	return nil
}

// confirm verifies the heads that are about entry number seq, each by those before
// it, from the first voter on.
func (c *checker) confirm(seq uint64) error {
	for ; c.heard < len(c.heads) && c.heads[c.heard].Seq == seq; c.heard++ {
		h := c.heads[c.heard]
		if h.Hash != c.state.Hash() {
			return fmt.Errorf("%w: a head of the registry is for other entries", ErrPart)
		}
		next, _, err := c.alones.Add(h.Envelope, c.state, c.Now)
		switch {
		case err == nil:
			c.alones = next
			if h.Recovery != nil {
				c.pasts[seq] = c.state
			}
		case errors.Is(err, registry.ErrHeadFuture):
			c.report.RegistryReason = reason(err)
			c.heads = c.heads[:c.heard] // those after it follow from it
		case errors.Is(err, registry.ErrUnknownKind):
			return err
		default:
			return fmt.Errorf("%w: %w", ErrContent, err)
		}
	}
	return nil
}

// confirmed compares the registry's heads with those that are held.
func (c *checker) confirmed() error {
	if n := len(c.heads); c.heard < n || n > 0 && c.report.RegistryReason == "" && c.heads[n-1].Seq != c.m.Registry.Seq {
		return fmt.Errorf("%w: the heads of the registry do not lead to its last entry", ErrPart)
	}
	if n := c.alones.Newest(); n != nil {
		at := n.Confirmed()
		c.report.Confirmed = &at
	}
	c.chain = c.Heads
	if c.chain.Newest() == nil {
		c.chain = c.alones
		return nil
	}
	for _, h := range c.heads {
		next, _, err := c.chain.AddPast(h.Envelope, c.longer(), c.past, c.Now)
		switch {
		case err == nil:
			c.chain = next
		case errors.Is(err, registry.ErrHeadFork):
			return fmt.Errorf("%w: %w", ErrParted, err)
		case !errors.Is(err, registry.ErrHeadOld) && c.report.RegistryReason == "":
			c.report.RegistryReason = reason(err)
		}
	}
	return nil
}

// longer is the registry that knows more, the bundle's or the one held: where
// both have an entry it is the same. Who may recover the registry depends on all
// that is confirmed here.
func (c *checker) longer() *registry.State {
	if seqOf(c.State) > c.state.Seq() {
		return c.State
	}
	return c.state
}

// past is the registry as it was after an entry, for the first head of a
// generation, which goes on from there.
func (c *checker) past(seq uint64) (*registry.State, error) {
	if seq == c.state.Seq() {
		return c.state, nil
	}
	if seq > seqOf(c.State) {
		if s, ok := c.pasts[seq]; ok {
			return s, nil
		}
		return nil, fmt.Errorf("%w: the registry as it was after entry %d", registry.ErrHeadGap, seq)
	}
	var s *registry.State
	for seqOf(s) < seq {
		entries, err := c.Chain.Entries(seqOf(s)+1, int(min(256, seq-seqOf(s))))
		if err != nil {
			return nil, fmt.Errorf("read the registry here: %w", err)
		}
		if len(entries) == 0 {
			return nil, errors.New("read the registry here: it is missing")
		}
		for _, b := range entries {
			if s, err = step(s, b); err != nil {
				return nil, fmt.Errorf("read the registry here: %w", err)
			}
		}
	}
	return s, nil
}

// settle decides which registry counts: the longer one, as far as the voters
// stand by it. Entries that nobody vouches for are not taken.
func (c *checker) settle() error {
	c.now = c.state
	if c.Store == nil {
		return nil
	}
	newest := c.chain.Newest()
	confirmed := newest != nil && newest.Seq >= c.state.Seq()
	switch {
	case c.State == nil && !confirmed:
		return fmt.Errorf("%w: %s", ErrUnconfirmed, cmp.Or(c.report.RegistryReason, "there is no head of the registry in it"))
	case c.State == nil:
		c.report.NewEntries = c.state.Seq()
	case c.State.Seq() >= c.state.Seq():
		c.now = c.State
	case !confirmed:
		c.now = c.State
		c.report.RegistryReason = cmp.Or(c.report.RegistryReason, ErrUnconfirmed.Error())
	default:
		c.report.NewEntries = c.state.Seq() - c.State.Seq()
	}
	return nil
}
