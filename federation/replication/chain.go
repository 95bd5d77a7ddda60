package replication

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// maxSteps is how many heads one step may pass through. A node that has missed
// more connects through an anchor.
const maxSteps = 20_000

// connect fetches the heads after those that are held or fetched already, up to
// the peer's newest, and checks them before any record is asked for.
func (p *pull) connect(ctx context.Context) error {
	for len(p.chain) < maxSteps {
		from := p.held.N + 1
		if len(p.chain) > 0 {
			from = p.chain[len(p.chain)-1].N + 1
		}
		var c chain
		if err := p.ask(ctx, http.MethodGet, fmt.Sprintf("/heads?from=%d", from), nil, &c); err != nil {
			return err
		}
		if len(c.Heads) > maxChain {
			return fmt.Errorf("%w: %d heads in one answer", identity.ErrMalformed, len(c.Heads))
		}
		if err := p.link(from, c.Heads); err != nil {
			return err
		}
		if len(c.Heads) < maxChain {
			break
		}
	}
	if len(p.chain) == 0 {
		return errNothing
	}
	chain, err := p.bridge()
	if err != nil {
		return err
	}
	if _, err := p.rules.CheckChain(p.held, envelopesOf(chain)); err != nil {
		if errors.Is(err, feed.ErrChain) {
			p.findFork(ctx)
		}
		p.chain = nil
		return err
	}
	p.chain = chain
	return nil
}

// link appends heads to the chain. The first one asked for may be missing.
func (p *pull) link(from uint64, envelopes [][]byte) error {
	for i, env := range envelopes {
		h, err := feed.ParseHead(env)
		if err != nil {
			return err
		}
		if h.Origin != p.origin || h.N != from && (i > 0 || h.N < from) {
			return fmt.Errorf("%w: head %d where %d was asked for", identity.ErrMalformed, h.N, from)
		}
		if h.N != from {
			p.chain = nil // a gap: what comes before it connects nothing
		}
		p.chain = append(p.chain, h)
		from = h.N + 1
	}
	return nil
}

// bridge is the chain from the first head that may follow the held one: its
// successor, one that the registry has on record, or any of a new epoch.
func (p *pull) bridge() ([]*feed.SignedHead, error) {
	last := p.chain[len(p.chain)-1]
	if last.Epoch > p.held.Epoch || p.chain[0].N == p.held.N+1 {
		return p.chain, nil
	}
	anchors := p.rules.Keys.Anchors(p.origin, p.held.Epoch)
	for i, h := range p.chain {
		if _, found := slices.BinarySearch(anchors, h.N); found && h.Epoch == p.held.Epoch {
			return p.chain[i:], nil
		}
	}
	p.chain = nil
	return nil, errShort
}

// envelopes are the heads from the held one to head, or its history when the
// feed begins here with it.
func (p *pull) envelopes(ctx context.Context, head *feed.SignedHead) ([][]byte, error) {
	if p.held == nil {
		return append(p.history(ctx, head), head.Envelope), nil
	}
	tip := p.held
	if len(p.chain) > 0 {
		tip = p.chain[len(p.chain)-1]
	}
	if head.N > tip.N+1 {
		err := p.connect(ctx)
		if err != nil && !(errors.Is(err, errShort) && head.Epoch > p.held.Epoch) {
			return nil, err
		}
	}
	chain := slices.DeleteFunc(slices.Clone(p.chain), func(h *feed.SignedHead) bool { return h.N >= head.N })
	if head.Epoch > p.held.Epoch && (len(chain) == 0 || chain[len(chain)-1].Hash != head.Prev) {
		chain = nil // a new epoch may begin anywhere
	}
	return append(envelopesOf(chain), head.Envelope), nil
}

func envelopesOf(heads []*feed.SignedHead) [][]byte {
	out := make([][]byte, 0, len(heads)+1)
	for _, h := range heads {
		out = append(out, h.Envelope)
	}
	return out
}

// findFork asks for the peer's head of the number that is held here. A chain
// that does not fit proves nothing; two signed heads of one number do.
func (p *pull) findFork(ctx context.Context) {
	if p.held != nil {
		p.r.disputed(ctx, p.peer, p.origin, p.held.N)
	}
}

// history is the chain before the head of a first copy, as far back as one
// answer reaches. Who has been away for longer can then connect through us when
// the owner is gone. It is good to have and no more: without it nothing is lost.
func (p *pull) history(ctx context.Context, head *feed.SignedHead) [][]byte {
	from := uint64(1)
	if head.N > maxChain {
		from = head.N - maxChain + 1
	}
	var c chain
	if err := p.ask(ctx, http.MethodGet, fmt.Sprintf("/heads?from=%d", from), nil, &c); err != nil || len(c.Heads) > maxChain {
		return nil
	}
	var out [][]byte
	var last *feed.SignedHead
	for _, env := range c.Heads {
		h, err := feed.ParseHead(env)
		if err != nil || h.Origin != p.origin || last != nil && (h.N != last.N+1 || h.Prev != last.Hash) {
			return nil
		}
		if h.N >= head.N {
			break
		}
		out, last = append(out, env), h
	}
	if last == nil || last.Hash != head.Prev {
		return nil
	}
	return out
}
