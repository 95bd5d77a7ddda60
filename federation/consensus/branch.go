package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// errReborn: another generation counts; raft starts anew.
var errReborn = errors.New("the voters were founded anew")

// errAhead: raft ran here in a generation of which the heads are not known.
var errAhead = errors.New("the heads of the registry that go with the raft log are missing")

// Truncater is a chain that can drop entries, as a recovery may ask of it. A
// chain that cannot stops following then.
type Truncater interface {
	// Truncate drops all entries after number last. It is durable when it
	// returns.
	Truncate(last uint64) error
}

// Truncate implements [Truncater].
func (c *MemoryChain) Truncate(last uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last < uint64(len(c.entries)) {
		c.entries = slices.Clone(c.entries[:last])
	}
	return nil
}

// Superseded are the commands that a recovery has left behind and that the
// registry does not have now, in the order that they had: whoever signed them
// may propose them again. Not all of them may be good any more.
func (k *Keeper) Superseded() [][]byte {
	k.heads.mu.Lock()
	keys := slices.Sorted(maps.Keys(k.heads.left))
	var entries [][]byte
	for _, key := range keys {
		entries = append(entries, k.heads.left[key])
	}
	k.heads.mu.Unlock()
	s := k.State()
	var out [][]byte
	for _, b := range entries {
		e, err := registry.ParseEntry(b)
		if err != nil {
			continue
		}
		c, _, err := registry.ParseCommand(e.Command)
		if err != nil {
			continue
		}
		if _, ok := s.Seen(c.ID); !ok {
			out = append(out, e.Command)
		}
	}
	return out
}

func (st *headStore) openLeft(key, value []byte) error {
	if len(key) == 9 && key[0] == keyLeft {
		st.left[string(key)] = slices.Clone(value)
	}
	return nil
}

// leave keeps an entry that is about to be dropped.
func (st *headStore) leave(generation, seq uint64, entry []byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	key := headKey(keyLeft, generation<<48|seq&(1<<48-1))
	st.left[string(key)] = entry
	st.put(key, entry)
}

// begin forgets what a recovery leaves behind, and keeps what it goes on from.
// The caller holds mu.
func (st *headStore) begin(h *registry.SignedHead) {
	drop := func(key []byte) {
		if st.drawer == nil {
			return
		}
		if err := st.drawer.Delete(key); err != nil {
			st.log.Warn("an old head of the registry could not be removed", "error", err)
		}
	}
	for n := h.Rotation + 1; n <= st.heads.Rotation(); n++ {
		drop(headKey(keyRotation, n))
		drop(headKey(keyBase, n))
	}
	base := h.Before()
	st.put(headKey(keyBase, h.Rotation), base.Envelope)
	for day := range st.days {
		if day > dayOf(base) || st.heads.Newest().Generation == h.Generation && day >= dayOf(base) {
			delete(st.days, day)
			drop(headKey(keyDay, uint64(day)))
		}
	}
}

// past is the registry as it was after an entry.
func (l *ledger) past(seq uint64) (*registry.State, error) {
	if s := l.state.Load(); s != nil && s.Seq() == seq {
		return s, nil
	}
	var all [][]byte
	for uint64(len(all)) < seq {
		entries, err := l.chain.Entries(uint64(len(all))+1, int(min(512, seq-uint64(len(all)))))
		if err != nil {
			return nil, fmt.Errorf("%w: read the registry: %w", ErrStorage, err)
		}
		if len(entries) == 0 {
			return nil, fmt.Errorf("%w: entry %d is not here", registry.ErrHeadGap, len(all)+1)
		}
		all = append(all, entries...)
	}
	return registry.Replay(all)
}

// rewind drops what comes after an entry, for a branch to go on from there, and
// hands out what it drops first. From then on raft adds entries under that
// branch alone.
func (l *ledger) rewind(branch registry.Branch, seq uint64, leave func(seq uint64, entry []byte)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	have := uint64(len(l.hashes))
	if seq >= have {
		l.branch = branch
		return nil
	}
	chain, ok := l.chain.(Truncater)
	if !ok {
		return fmt.Errorf("%w: the members have recovered the registry from entry %d on, and the entries after it cannot be dropped here", ErrSplit, seq)
	}
	s, err := l.past(seq)
	if err != nil {
		return err
	}
	for n := seq + 1; n <= have; n++ {
		b, err := l.chain.Entries(n, 1)
		if err != nil || len(b) != 1 {
			return fmt.Errorf("%w: read entry %d: %v", ErrStorage, n, err)
		}
		leave(n, b[0])
	}
	if err := chain.Truncate(seq); err != nil {
		return fmt.Errorf("%w: drop the entries after %d: %w", ErrStorage, seq, err)
	}
	l.branch = branch
	l.hashes = l.hashes[:seq:seq]
	l.state.Store(s)
	close(l.changed)
	l.changed = make(chan struct{})
	if l.onChange != nil {
		l.onChange(s)
	}
	return nil
}

// outranks reports whether a head is of a generation that counts more than the
// one that is known here.
func (k *Keeper) outranks(head []byte) bool {
	if len(head) == 0 {
		return false
	}
	h, err := registry.ParseHead(head)
	return err == nil && h.Branch().Outranks(k.heads.chain().Branch())
}

// adopt goes over to the generation that a head begins. The caller holds taking.
func (k *Keeper) adopt(first []byte) error {
	s, old := k.State(), k.heads.chain()
	next, h, err := old.AddPast(first, s, k.ledger.past, k.Now())
	if err != nil {
		return k.badHead(err)
	}
	generation, left := old.Branch().Generation, 0
	if err := k.ledger.rewind(next.Branch(), h.Seq, func(seq uint64, entry []byte) {
		k.heads.leave(generation, seq, entry)
		left++
	}); err != nil {
		return err
	}
	kept, err := k.heads.keep(first, k.State(), true)
	if err != nil {
		return k.badHead(err)
	}
	k.mu.Lock()
	if errors.Is(k.problem, ErrSplit) {
		k.problem = nil
	}
	k.view = view{}
	k.mu.Unlock()
	k.Logger.Warn("the members have recovered the registry: other voters go on with it",
		"generation", h.Generation, "entry", h.Seq, "voters", len(h.Voters), "superseded", left)
	if k.heads.onHead != nil {
		k.heads.onHead(kept)
	}
	return nil
}

// adoptAlone is adopt for a caller that does not hold taking.
func (k *Keeper) adoptAlone(ctx context.Context, first []byte) error {
	select {
	case k.taking <- struct{}{}:
		defer func() { <-k.taking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return k.adopt(first)
}

// takeBranches goes over to each generation that a source knows and that
// outranks the one here: entries up to the last head before it first, then the
// head that begins it. The caller holds taking.
func (k *Keeper) takeBranches(ctx context.Context, from source) error {
	var last []byte
	for rotation := uint64(1); ; {
		list, err := from.rotations(ctx, rotation)
		if err != nil {
			return err
		}
		if len(list) == 0 || bytes.Equal(list[len(list)-1], last) {
			return nil
		}
		last = list[len(list)-1]
		for _, b := range list {
			h, err := registry.ParseHead(b)
			if err != nil {
				return fmt.Errorf("%w: %w", errHead, err)
			}
			rotation = max(rotation, h.Rotation)
			known := k.heads.chain().Branch()
			switch {
			case h.Recovery != nil && h.Branch().Outranks(known):
				err = k.adopt(b)
			case h.Branch() == known && !k.holds(b):
				var first [][]byte
				next := seqOf(k.State()) + 1
				if first, err = from.entries(ctx, next); err == nil {
					err = k.takeMore(ctx, from, next, first, b)
				}
			}
			if err != nil {
				return err
			}
		}
	}
}

// hearRecovery goes over to the generation that a head begins, if all that it
// goes on from is here; else others are asked.
func (k *Keeper) hearRecovery(ctx context.Context, head []byte) {
	h, err := registry.ParseHead(head)
	if err != nil {
		return
	}
	err = registry.ErrHeadGap
	if s := k.State(); s != nil && h.Recovery != nil && s.Seq() >= h.Seq {
		err = k.adoptAlone(ctx, head)
	}
	if err != nil {
		k.Logger.Debug("a recovery was not taken", "error", err)
		k.Poke()
	}
}

// founding reports whether the newest voters are those of a recovery, and raft
// may not have taken in all of them yet.
func founding(c registry.HeadChain) bool {
	r := c.Rotations()
	return len(r) > 0 && r[len(r)-1].Recovery != nil
}

// founded reports whether raft has a majority of those who sign for the
// registry. Before that, what is ordered could get lost with its leader.
func (v *voter) founded() bool {
	c := v.k.heads.chain()
	if !founding(c) {
		return true
	}
	ids, _ := v.voters()
	n := 0
	for _, id := range c.Newest().VoterIDs() {
		if slices.Contains(ids, id) {
			n++
		}
	}
	return n >= registry.Majority(len(c.Voters()))
}

// under is what the heads of a generation name, from the second one on.
func under(c registry.HeadChain) *identity.Hash {
	b := c.Branch()
	if b.Generation == 1 {
		return nil
	}
	return &b.Recovery
}
