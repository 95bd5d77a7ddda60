package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/identity"
)

// readings keeps transactions that were read with, to be read with again while
// nothing was written. To begin and to end one Badger tells a goroutine of its own,
// which takes longer than to find a record, and one reader at a time.
//
// One is used by one reader at a time. None is kept over a write: what Badger keeps
// for the oldest reader, erased records among it, could not go. All reading goes
// through here, so that compacting can wait for those who began before it.
type readings struct {
	writes atomic.Uint64

	mu    sync.Mutex
	idle  []*reading
	open  map[uint64]int // readers at work, by the writes before they began
	ended chan struct{}  // closed when one has ended; nil while nobody waits for that
}

type reading struct {
	txn    *badger.Txn
	writes uint64                       // as they were before it began
	folds  map[identity.OriginID]uint64 // of the feeds that were asked for; see fold
}

// fold is the run of a feed that readers follow: 0 when none is being folded in.
// False where there is no such feed.
func (r *reading) fold(o identity.OriginID) (fold uint64, ok bool, err error) {
	if fold, ok = r.folds[o]; ok {
		return fold, true, nil
	}
	var st feedState
	if ok, err = get(r.txn, key(prefixState, o), &st); ok && err == nil {
		if r.folds == nil {
			r.folds = make(map[identity.OriginID]uint64)
		}
		r.folds[o] = st.Fold
	}
	return st.Fold, ok, err
}

// keptReadings is how many wait at most to be read with again.
const keptReadings = 16

// read calls f with what is stored now, or was when nothing had been written since.
// What f keeps of it is only good until f returns.
func (s *Store) read(f func(*reading) error) error {
	r := s.readings.take(s.db)
	defer s.readings.put(r)
	return f(r)
}

// view is read for whoever needs nothing but the transaction.
func (s *Store) view(f func(*badger.Txn) error) error {
	return s.read(func(r *reading) error { return f(r.txn) })
}

func (q *readings) take(db *badger.DB) *reading {
	now := q.writes.Load()
	q.mu.Lock()
	if q.open == nil {
		q.open = make(map[uint64]int)
	}
	q.open[now]++ // before it begins
	if n := len(q.idle) - 1; n >= 0 && q.idle[n].writes == now {
		r := q.idle[n]
		q.idle = q.idle[:n]
		q.mu.Unlock()
		return r
	}
	q.mu.Unlock()
	return &reading{txn: db.NewTransaction(false), writes: now}
}

func (q *readings) put(r *reading) {
	q.mu.Lock()
	keep := r.writes == q.writes.Load() && len(q.idle) < keptReadings
	if keep {
		q.idle = append(q.idle, r)
	}
	q.mu.Unlock()
	if !keep {
		r.txn.Discard()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open[r.writes]--; q.open[r.writes] == 0 {
		delete(q.open, r.writes)
	}
	if q.ended != nil {
		close(q.ended)
		q.ended = nil
	}
}

// written is called after each write, before anybody is told of it.
func (q *readings) written() {
	q.writes.Add(1)
	q.mu.Lock()
	old := q.idle
	q.idle = nil
	q.mu.Unlock()
	for _, r := range old {
		r.txn.Discard()
	}
}

// errReaders is returned where somebody reads on.
var errReaders = errors.New("somebody reads what was there before, and has not ended")

// quiet waits until nobody reads any more who began before the last write.
func (q *readings) quiet(ctx context.Context) error {
	last := q.writes.Load()
	for {
		q.mu.Lock()
		before := false
		for began := range q.open {
			before = before || began < last
		}
		if q.ended == nil {
			q.ended = make(chan struct{})
		}
		ended := q.ended
		q.mu.Unlock()
		if !before {
			return nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return errReaders
		}
	}
}
