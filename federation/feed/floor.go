package feed

import (
	"errors"
	"sort"
	"time"
)

// How long and how many deletions are listed. Correctness never depends on them:
// what is not live is not in the root.
const (
	ListedFor = 180 * 24 * time.Hour
	ListedMax = 20_000
)

// floor is the number up to which deletions are no longer listed under the next
// head: those older than [ListedFor], and the older ones when more than
// [ListedMax] are listed. It never falls.
func (p *Publisher) floor(view StoreView, held *SignedHead) (uint64, error) {
	if held == nil {
		return 0, nil
	}
	floor, err := agedFloor(view, held, MinuteOf(p.o.Now().Add(-ListedFor)))
	if err != nil {
		return 0, err
	}
	// Every listed deletion has a number of its own after the floor, and so has
	// every record that was put after it.
	possible := held.Seq - floor - (max(held.Count, floor) - floor)
	if possible <= ListedMax || p.listed+held.Seq-p.listedAt <= ListedMax {
		return floor, nil
	}
	var seqs []uint64
	err = view.Since(floor, false, func(c Change, _ []byte) bool {
		if !c.Live() {
			seqs = append(seqs, c.Seq)
		}
		return true
	})
	if errors.Is(err, ErrPruned) { // this store lists less than the head promises
		return floor, nil
	}
	if err != nil {
		return 0, err
	}
	if len(seqs) > ListedMax {
		floor = seqs[len(seqs)-ListedMax/2-1]
		seqs = seqs[len(seqs)-ListedMax/2:]
	}
	p.listed, p.listedAt = uint64(len(seqs)), held.Seq
	return floor, nil
}

// agedFloor is the number of the newest head that is as old as before, or the
// floor that is there.
func agedFloor(view View, held *SignedHead, before Minute) (uint64, error) {
	var failed error
	at := func(n uint64) *SignedHead {
		envelopes, err := view.Heads(n, 1)
		if err != nil || len(envelopes) == 0 {
			failed = errors.Join(failed, err)
			return held
		}
		h, err := ParseHead(envelopes[0])
		if err != nil {
			failed = errors.Join(failed, err)
			return held
		}
		return h
	}
	first := at(1)
	if first.Issued > before {
		return held.Floor, failed
	}
	// Dates do not fall along the chain.
	young := sort.Search(int(held.N-first.N)+1, func(i int) bool { return at(first.N+uint64(i)).Issued > before })
	old := first
	if young > 0 {
		old = at(first.N + uint64(young) - 1)
	}
	return max(held.Floor, old.Seq), failed
}
