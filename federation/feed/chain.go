package feed

import (
	"fmt"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// LargeChange is the number of changes within [LargeSpan] from which a head
// carries a second signature, by an admin key: whoever steals the publish key
// alone cannot change a whole country at once.
const LargeChange = 20

// LargeSpan is the time over which changes are added up for LargeChange, and
// after which a head without changes is allowed.
const LargeSpan = 24 * time.Hour

// lookback is how many earlier heads decide about a large change: as each but
// the fewest has a change of its own, more of them cannot matter.
const lookback = LargeChange + 12

// CheckChain checks that the heads lead from held to the last of them.
//
// Within an epoch, each head follows the one before: n + 1, its hash, no number
// or date that falls, and a change, unless another key signs or [LargeSpan] went
// by. In place of the next one, the first head may be any later one that the
// registry's voters have on record ([Keys.Anchor]), for who was away for long.
// From a number on that was signed twice nothing follows but a head that is on
// record: [ErrForked]. A gap is [ErrChain], which is never evidence of anything.
//
// With nothing held, or a held head of an older epoch, the feed starts anew at
// the last head; heads before it are then taken as its history, which its hashes
// vouch for, so that this node can pass the chain on.
func (r Rules) CheckChain(held *SignedHead, envelopes [][]byte) ([]*SignedHead, error) {
	if len(envelopes) == 0 {
		return nil, fmt.Errorf("%w: no head given", ErrChain)
	}
	last, err := r.CheckHead(envelopes[len(envelopes)-1])
	if err != nil {
		return nil, err
	}
	if held != nil && held.Origin != last.Origin {
		return nil, fmt.Errorf("%w: a head of another origin", ErrChain)
	}
	if held == nil || held.Epoch < last.Epoch {
		return history(last, envelopes[:len(envelopes)-1])
	}
	if held.Epoch > last.Epoch || last.N < held.N {
		return nil, ErrOlder
	}
	if last.N == held.N {
		if last.Hash != held.Hash {
			return nil, ErrEquivocation
		}
		return nil, ErrOlder
	}
	_, onRecord := r.Keys.Anchor(last.Origin, last.Epoch, last.N) // CheckHead compared the hash
	if n, forked := r.Keys.Forked(held.Origin); forked && last.N >= n && !onRecord {
		if epoch, _ := r.Keys.Epoch(held.Origin); epoch == last.Epoch {
			return nil, fmt.Errorf("%w: head %d", ErrForked, n)
		}
	}
	if hash, ok := r.Keys.Anchor(held.Origin, held.Epoch, held.N); ok && hash != held.Hash {
		return nil, fmt.Errorf("the head %d that is held: %w", held.N, ErrAnchor)
	}
	return r.follow(held, last, envelopes)
}

// follow checks heads of one epoch one by one.
func (r Rules) follow(held, last *SignedHead, envelopes [][]byte) ([]*SignedHead, error) {
	heads := make([]*SignedHead, 0, len(envelopes))
	prev := held
	for i, env := range envelopes {
		h := last
		if i < len(envelopes)-1 {
			var err error
			if h, err = r.checkHead(env); err != nil {
				return nil, err
			}
		}
		anchored := false
		if i == 0 && h.N > held.N+1 {
			_, anchored = r.Keys.Anchor(h.Origin, h.Epoch, h.N) // its hash was compared
		}
		if err := follows(prev, h, anchored); err != nil {
			return nil, err
		}
		heads = append(heads, h)
		prev = h
	}
	return heads, nil
}

// follows checks one link of a chain; across a gap only what must not fall.
func follows(prev, h *SignedHead, gap bool) error {
	if h.Origin != prev.Origin || h.Epoch != prev.Epoch || h.N != prev.N+1 && !gap {
		return fmt.Errorf("%w: head %d cannot follow head %d", ErrChain, h.N, prev.N)
	}
	if h.Seq < prev.Seq || h.Floor < prev.Floor || h.Issued < prev.Issued {
		return fmt.Errorf("%w: head %d has a number or a date below those of head %d", ErrChain, h.N, prev.N)
	}
	if gap {
		return nil
	}
	if h.Prev != prev.Hash {
		return fmt.Errorf("%w: head %d names another head %d than the one held", ErrChain, h.N, prev.N)
	}
	if h.Seq > prev.Seq {
		return nil
	}
	if h.Root != prev.Root || h.Count != prev.Count || h.Bytes != prev.Bytes {
		return fmt.Errorf("%w: head %d has another root than head %d and no change", ErrRoot, h.N, prev.N)
	}
	fresh := slices.ContainsFunc(h.signers, func(id identity.KeyID) bool { return !slices.Contains(prev.signers, id) })
	if !fresh && h.Issued.Time().Sub(prev.Issued.Time()) < LargeSpan {
		return fmt.Errorf("head %d: %w", h.N, ErrEmpty)
	}
	return nil
}

// history are the heads that led to last, checked backwards by their hashes:
// whoever signed the last one vouches for all before it.
func history(last *SignedHead, earlier [][]byte) ([]*SignedHead, error) {
	heads := []*SignedHead{last}
	for _, env := range slices.Backward(earlier) {
		h, err := ParseHead(env)
		if err != nil {
			return nil, err
		}
		if next := heads[len(heads)-1]; h.Hash != next.Prev || h.N+1 != next.N || h.Origin != last.Origin {
			return nil, fmt.Errorf("%w: head %d does not lead to head %d", ErrChain, h.N, next.N)
		}
		heads = append(heads, h)
	}
	slices.Reverse(heads)
	return heads, nil
}

// checkPace checks heads that follow what view holds, in one epoch, against how
// much a feed may change alone and how often.
func (r Rules) checkPace(view View, heads []*SignedHead) error {
	held := view.Head()
	if err := r.checkBurst(view, held, heads); err != nil {
		return err
	}
	known := []*SignedHead(nil)
	if heads[0].N == held.N+1 {
		var err error
		if known, err = r.recent(view, held); err != nil {
			return err
		}
	}
	return checkLarge(append(known, heads...), len(known))
}

// recent are the heads up to the one held that decide about the next one.
func (r Rules) recent(view View, held *SignedHead) ([]*SignedHead, error) {
	newest := *held // a view's head may be shared
	if newest.approved = r.approvedBefore(held); newest.approved {
		return []*SignedHead{&newest}, nil
	}
	envelopes, err := view.Heads(held.N-min(held.N-1, lookback), lookback+1)
	if err != nil {
		return nil, err
	}
	var out []*SignedHead
	for _, env := range envelopes {
		h, err := ParseHead(env)
		if err != nil {
			return nil, err
		}
		if h.Epoch == held.Epoch && h.N < held.N {
			h.approved = r.approvedBefore(h)
			out = append(out, h)
		}
	}
	return append(out, &newest), nil
}

// checkLarge adds up for each head from index first on what changed since the
// newest head before it that is a day older or approved, or since the oldest one
// known. An approved head vouches for all before it.
func checkLarge(chain []*SignedHead, first int) error {
	for i := len(chain) - 1; i >= first && !chain[i].approved; i-- {
		h := chain[i]
		for j := i - 1; j >= 0; j-- {
			base := chain[j]
			if h.Seq-base.Seq > LargeChange {
				return fmt.Errorf("%w: %d changes up to head %d", ErrUnapproved, h.Seq-base.Seq, h.N)
			}
			if base.approved || h.Issued.Time().Sub(base.Issued.Time()) >= LargeSpan {
				break
			}
		}
	}
	return nil
}

// checkBurst counts heads of one minute. Dates do not fall along a chain, so that
// it is enough to look at the head so many places before.
func (r Rules) checkBurst(view View, held *SignedHead, heads []*SignedHead) error {
	limit := r.Limits.perMinute()
	same := func(a, b *SignedHead) error {
		if a.Issued == b.Issued {
			return fmt.Errorf("%w: head %d is number %d or more, at most %d", ErrTooMany, b.N, limit+1, limit)
		}
		return nil
	}
	run := 0 // how many of them are of the minute of the held one
	for i, h := range heads {
		if uint64(i) >= limit {
			if err := same(heads[uint64(i)-limit], h); err != nil {
				return err
			}
		}
		if h.Issued == held.Issued {
			run = i + 1
		}
	}
	if run == 0 || heads[0].N != held.N+1 || heads[run-1].N <= limit {
		return nil
	}
	n := heads[run-1].N - limit
	if n > held.N {
		return nil // compared above
	}
	envelopes, err := view.Heads(n, 1)
	if err != nil || len(envelopes) == 0 {
		return err
	}
	before, err := ParseHead(envelopes[0])
	if err != nil || before.N != n || before.Epoch != held.Epoch {
		return err
	}
	return same(before, heads[run-1])
}
