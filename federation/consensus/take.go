package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// maxTake bounds the entries that are held in memory until the head that
// confirms them is reached.
const maxTake = 64 << 20

var (
	// errContrary: entries that are not those of the head.
	errContrary = errors.New("the entries are not those that the voters have signed for")
	// errHead: a head that is not good. What is wrong with it says nothing about
	// the registry here.
	errHead = errors.New("head of the registry")
)

// source is where entries and heads come from: a peer, or a file.
type source interface {
	// entries are some of the entries from a number on, at least one if there
	// are any.
	entries(ctx context.Context, from uint64) ([][]byte, error)
	// rotations are some of the heads by which the voters changed, from a
	// rotation on, at least one if there are any.
	rotations(ctx context.Context, from uint64) ([][]byte, error)
}

// Take verifies entries of the registry that came by another way than from a
// peer, numbered from 1 with from the first, and heads, as [Keeper.Heads] gives
// them. It keeps the entries that the newest of the heads confirms, and nothing
// else: none when no head is good.
//
// Errors: ErrUnconfirmed without any head; ErrSplit when a majority of the voters has signed for other entries
// than those that are here; what registry says of a head; ErrStorage.
func (k *Keeper) Take(ctx context.Context, from uint64, entries, heads [][]byte) error {
	var newest []byte
	var best *registry.SignedHead
	for _, b := range heads {
		h, err := registry.ParseHead(b)
		if err != nil {
			return err
		}
		if best == nil || h.Branch().Outranks(best.Branch()) || h.Branch() == best.Branch() && h.Seq > best.Seq || h.Branch() == best.Branch() && h.Seq == best.Seq && h.Issued >= best.Issued {
			best, newest = h, b
		}
	}
	f := given{from, entries, heads}
	next := seqOf(k.State()) + 1
	first, _ := f.entries(ctx, next)
	err := k.take(ctx, f, next, first, newest)
	if stops(err) {
		k.stop(err)
	}
	return err
}

// stops reports whether following ends with an error, until a person has looked.
func stops(err error) bool {
	return errors.Is(err, ErrSplit) || errors.Is(err, ErrStorage) || errors.Is(err, registry.ErrUnknownKind) && !errors.Is(err, errHead)
}

// given is a source that is at hand.
type given struct {
	from  uint64
	list  [][]byte
	heads [][]byte
}

func (g given) entries(_ context.Context, from uint64) ([][]byte, error) {
	if from < g.from || from-g.from >= uint64(len(g.list)) {
		return nil, nil
	}
	return g.list[from-g.from:], nil
}

func (g given) rotations(_ context.Context, from uint64) ([][]byte, error) {
	var out [][]byte
	for _, b := range g.heads {
		if h, err := registry.ParseHead(b); err == nil && h.Rotation >= from {
			out = append(out, b)
		}
	}
	return out, nil
}

// take takes from a source what its newest head confirms. The first are its
// entries from number at on, which was our next one when it was asked.
func (k *Keeper) take(ctx context.Context, from source, at uint64, first [][]byte, head []byte) error {
	select {
	case k.taking <- struct{}{}:
		defer func() { <-k.taking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if k.outranks(head) {
		if err := k.takeBranches(ctx, from); err != nil {
			return err
		}
		if k.outranks(head) {
			return fmt.Errorf("%w: the recovery that leads to it is not given", errHead)
		}
		first = nil
	}
	return k.takeMore(ctx, from, at, first, head)
}

// takeMore is take within the generation that is known here.
func (k *Keeper) takeMore(ctx context.Context, from source, at uint64, first [][]byte, head []byte) error {
	s := k.State()
	if at != seqOf(s)+1 {
		first = nil // raft has brought others meanwhile
	}
	base := s
	if base == nil {
		if len(first) == 0 {
			return nil
		}
		var err error
		if base, err = k.ledger.judge(nil, first[0]); err != nil {
			return fmt.Errorf("registry entry 1: %w", err)
		}
	}
	heads, fresh, err := k.learn(ctx, from, base, head)
	if err != nil {
		return err
	}
	target := heads.Newest()
	switch {
	case target == nil && len(first) > 0:
		return ErrUnconfirmed
	case target == nil:
		return nil
	case target.Seq <= seqOf(s):
		return k.keepHeads(fresh)
	}
	entries, err := collect(ctx, from, seqOf(s)+1, first, target.Seq)
	if err != nil {
		return err
	}
	before := identity.Hash{}
	if s != nil {
		before = s.Hash()
	}
	if !leadsTo(before, seqOf(s)+1, entries, heads) {
		return k.wrong(ctx, from, target)
	}
	if err := k.ledger.extend(s, entries); err != nil {
		if errors.Is(err, registry.ErrUnknownKind) {
			err = errors.Join(err, k.keepHeads(fresh)) // how far the others are
		}
		return err
	}
	return k.keepHeads(fresh)
}

// learn verifies the head that a source gives, with all by which the voters
// changed up to it. It returns what is known with them, and those that are new.
// A head that is not newer than ours is none.
func (k *Keeper) learn(ctx context.Context, from source, base *registry.State, head []byte) (registry.HeadChain, [][]byte, error) {
	heads := k.heads.chain()
	if len(head) == 0 {
		return heads, nil, nil
	}
	h, err := registry.ParseHead(head)
	if err != nil {
		return heads, nil, fmt.Errorf("%w: %w", errHead, err)
	}
	var fresh [][]byte
	add := func(b []byte) error {
		next, _, err := heads.AddPast(b, base, k.ledger.past, k.Now())
		if errors.Is(err, registry.ErrHeadOld) {
			return nil
		}
		if err == nil {
			heads, fresh = next, append(fresh, b)
			return nil
		}
		return k.badHead(err)
	}
	for heads.Rotation() < h.Rotation {
		before := heads.Rotation()
		list, err := from.rotations(ctx, before+1)
		if err != nil {
			return heads, nil, err
		}
		for _, b := range list {
			if heads.Rotation() < h.Rotation {
				if err := add(b); err != nil {
					return heads, nil, err
				}
			}
		}
		if heads.Rotation() == before {
			return heads, nil, fmt.Errorf("%w: rotation %d is not given", registry.ErrHeadGap, before+1)
		}
	}
	err = add(head)
	return heads, fresh, err
}

// badHead says what it means that a head is not taken. Two registries that a
// majority of the voters has signed end following; everything else is the fault
// of who gave the head, or passes.
func (k *Keeper) badHead(err error) error {
	switch {
	case errors.Is(err, registry.ErrHeadFork):
		return fmt.Errorf("%w: %w", ErrSplit, err)
	case errors.Is(err, registry.ErrHeadAnchor):
		k.Logger.Warn("the voters put two heads of one feed on record; the second is not taken", "error", err)
	}
	return fmt.Errorf("%w: %w", errHead, err)
}

// collect gathers the entries from a number up to last; first are those that
// are here already. Who gives fewer at once than there is room for keeps us
// waiting, and is left.
func collect(ctx context.Context, from source, seq uint64, first [][]byte, last uint64) ([][]byte, error) {
	entries, page := slices.Clone(first), first
	size := sizeOf(first)
	for seq+uint64(len(entries)) <= last {
		next := seq + uint64(len(entries))
		if len(page) > 0 && len(page) < pageEntries && sizeOf(page) < pageBytes {
			return nil, fmt.Errorf("%w: entry %d of %d is not given", errContrary, next, last)
		}
		var err error
		if page, err = from.entries(ctx, next); err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return nil, fmt.Errorf("%w: entry %d of %d is not given", errContrary, next, last)
		}
		if size += sizeOf(page); size > maxTake {
			return nil, fmt.Errorf("%w: more than %d MiB of entries for one head", registry.ErrMalformed, maxTake>>20)
		}
		entries = append(entries, page...)
	}
	return entries[:last-seq+1], nil
}

func sizeOf(entries [][]byte) int {
	n := 0
	for _, b := range entries {
		n += len(b)
	}
	return n
}

// leadsTo reports whether the entries, the first of which has the number seq,
// lead to the hashes that the heads name.
func leadsTo(hash identity.Hash, seq uint64, entries [][]byte, heads registry.HeadChain) bool {
	signed := map[uint64]identity.Hash{heads.Newest().Seq: heads.Newest().Hash}
	for _, h := range heads.Rotations() {
		signed[h.Seq] = h.Hash
	}
	for i, b := range entries {
		hash = registry.HashAfter(hash, b)
		if want, ok := signed[seq+uint64(i)]; ok && want != hash {
			return false
		}
	}
	return true
}

// wrong tells who is wrong when a source's entries do not lead from ours to a
// good head: the source, unless our last entries were never confirmed, and it
// has others in their place that lead there.
func (k *Keeper) wrong(ctx context.Context, from source, target *registry.SignedHead) error {
	sure := uint64(1) // the genesis is what the federation's id says
	if h := k.heads.chain().Newest(); h != nil {
		sure = h.Seq
	}
	if sure >= seqOf(k.State()) {
		return errContrary
	}
	hash, ok := k.ledger.hashAt(sure)
	if !ok {
		return errContrary
	}
	entries, err := collect(ctx, from, sure+1, nil, target.Seq)
	if err != nil {
		return err
	}
	parted := false
	for i, b := range entries {
		hash = registry.HashAfter(hash, b)
		ours, here := k.ledger.hashAt(sure + 1 + uint64(i))
		parted = parted || here && ours != hash
	}
	if parted && hash == target.Hash {
		return fmt.Errorf("%w: the voters have signed for other entries after %d", ErrSplit, sure)
	}
	return errContrary
}

// keepHeads keeps heads whose entries are here, in their order. ErrSplit: they
// are good and the entries here are others.
func (k *Keeper) keepHeads(list [][]byte) error {
	s := k.State()
	for _, b := range list {
		h, err := registry.ParseHead(b)
		if err != nil {
			return err
		}
		if !k.ledger.agrees(h) {
			// Only a head that is good says anything.
			if _, _, err := k.heads.chain().AddPast(b, s, k.ledger.past, k.Now()); err != nil {
				return k.badHead(err)
			}
			return fmt.Errorf("%w at entry %d: a majority of the voters has signed for another one", ErrSplit, h.Seq)
		}
		if err := k.heads.take(b, s); err != nil && !errors.Is(err, registry.ErrHeadOld) {
			return k.badHead(err)
		}
	}
	return nil
}

// offered takes a head that a peer gives, if its entries are here; a node that
// raft serves gets them from there.
func (k *Keeper) offered(ctx context.Context, from source, head []byte) error {
	h, err := registry.ParseHead(head)
	if err != nil {
		return fmt.Errorf("%w: %w", errHead, err)
	}
	s := k.State()
	if s != nil && k.outranks(head) {
		return k.take(ctx, from, 0, nil, head)
	}
	if s == nil || h.Seq > s.Seq() {
		return ErrUnconfirmed
	}
	_, fresh, err := k.learn(ctx, from, s, head)
	if err != nil {
		return err
	}
	return k.keepHeads(fresh)
}
