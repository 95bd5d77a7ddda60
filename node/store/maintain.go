package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// HeadLife is how long heads are kept, anchored or not.
const HeadLife = 180 * 24 * time.Hour

// compactAfter is how many days after an erasure the files are compacted at the
// latest, so that several share the work.
const compactAfter = 3

// MaintainOptions say what other parts of the node know.
type MaintainOptions struct {
	// KeepFrom is the number of the feed's newest head that the registry has on
	// record, 0 for none: from there on all heads are kept. May be nil.
	KeepFrom func(identity.OriginID) uint64
	// EraseDays is within how many days what was erased must be out of the files;
	// 0 is 7. It is kept by a Maintain each day.
	EraseDays int
}

// compactAfter is from how many days after an erasure on the files are compacted: the
// next call may be almost a day later.
func (o MaintainOptions) compactAfter() int64 {
	if o.EraseDays == 0 {
		return compactAfter
	}
	return int64(max(min(o.EraseDays-1, compactAfter), 0))
}

// Maintain drops what has had its time: what was kept for undoing for longer
// than [UndoLife], deletions that the feed's head no longer lists, and heads older
// than [HeadLife] before the newest one on record. After an erasure it compacts
// the files, so that what was erased is in none of them. It works in small
// pieces and goes on until ctx ends; call it daily.
func (s *Store) Maintain(ctx context.Context, now time.Time, o MaintainOptions) error {
	origins, err := s.Origins()
	if err != nil {
		return err
	}
	var errs []error
	for _, origin := range origins {
		keep := uint64(0)
		if o.KeepFrom != nil {
			keep = o.KeepFrom(origin)
		}
		if err := s.maintain(ctx, now, origin, keep); err != nil {
			errs = append(errs, fmt.Errorf("keep house in feed %s: %w", origin, err))
		}
	}
	if ctx.Err() == nil {
		errs = append(errs, s.compactErased(ctx, now, o.compactAfter()))
	}
	return errors.Join(errs...)
}

func (s *Store) maintain(ctx context.Context, now time.Time, o identity.OriginID, keep uint64) error {
	oldest := feed.DayOf(now.Add(-UndoLife))
	err := s.prune(ctx, key(prefixUndo, o), o, func(txn *badger.Txn, st *feedState, head *feed.SignedHead, k, v []byte) error {
		u, err := parseUndo(k, v)
		if err != nil || u.Day >= oldest {
			return err
		}
		if u.epoch == head.Epoch {
			st.Undo = max(st.Undo, u.seq)
		}
		return dropUndo(txn, o, k, u)
	})
	if err != nil {
		return err
	}
	_, head, err := s.state(o)
	if err != nil || head == nil {
		return err
	}
	if head.Floor > 0 {
		err = s.prune(ctx, key(prefixFeed, o), o, func(txn *badger.Txn, st *feedState, head *feed.SignedHead, k, v []byte) error {
			seq := binary.BigEndian.Uint64(k[17:])
			switch {
			case seq > head.Floor:
				return errStop
			case len(v) == 1 && v[0] == byte(feed.Put):
				return nil
			}
			st.Floor = max(st.Floor, head.Floor)
			return errors.Join(txn.Delete(k), txn.Delete(entryKey(o, feed.Key(k[25:]))))
		})
		if err != nil {
			return err
		}
	}
	oldHead := feed.MinuteOf(now.Add(-HeadLife))
	return s.prune(ctx, key(prefixHeads, o), o, func(txn *badger.Txn, st *feedState, head *feed.SignedHead, k, v []byte) error {
		n := binary.BigEndian.Uint64(k[17:])
		h, err := feed.ParseHead(v)
		if n >= head.N || n >= st.From && (keep != 0 && n >= keep || err == nil && h.Issued >= oldHead) {
			return errStop
		}
		return txn.Delete(k)
	})
}

// prune calls f for every key with the prefix, in small transactions between
// which others may write, and keeps what f does to the state. It leaves a feed
// alone that something is being staged for: that may need what f would drop.
func (s *Store) prune(ctx context.Context, prefix []byte, o identity.OriginID, f func(txn *badger.Txn, st *feedState, head *feed.SignedHead, k, v []byte) error) error {
	l := s.locks(o)
	start := prefix
	for start != nil && ctx.Err() == nil {
		next, err := s.pruneSome(l, prefix, start, o, f)
		if err != nil {
			return err
		}
		start = next
	}
	return ctx.Err()
}

func (s *Store) pruneSome(l *feedLocks, prefix, start []byte, o identity.OriginID, f func(*badger.Txn, *feedState, *feed.SignedHead, []byte, []byte) error) (next []byte, err error) {
	l.write.Lock()
	defer l.write.Unlock()
	if l.run != 0 {
		return nil, nil
	}
	if err := s.finish(o, l); err != nil {
		return nil, err
	}
	keys, values, err := s.some(prefix, start)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	next = append(keys[len(keys)-1], 0)
	err = s.commit(func(txn *badger.Txn) error {
		st, head, err := stateOf(txn, o)
		if err != nil || head == nil {
			return err
		}
		before := st
		for i, k := range keys {
			err := f(txn, &st, head, k, values[i])
			if errors.Is(err, errStop) {
				next = nil
				break
			}
			if err != nil {
				return err
			}
		}
		if st.Undo == before.Undo && st.Floor == before.Floor {
			return nil
		}
		return set(txn, key(prefixState, o), st)
	})
	return next, err
}

// markErased notes that the files still hold something that was erased.
func (s *Store) markErased(txn *badger.Txn) error {
	s.erased.Add(1)
	old, err := raw(txn, key(prefixErased))
	if err != nil || old != nil {
		return err
	}
	return txn.Set(key(prefixErased), binary.BigEndian.AppendUint64(nil, uint64(feed.DayOf(s.o.Now()))))
}

// ErasedSince is the day of the oldest erasure that the files may still hold
// something of; false when there is none.
func (s *Store) ErasedSince() (since feed.Day, ok bool, err error) {
	var b []byte
	err = s.view(func(txn *badger.Txn) (err error) {
		b, err = raw(txn, key(prefixErased))
		return err
	})
	if err != nil || len(b) != 8 {
		return 0, false, err
	}
	return feed.Day(binary.BigEndian.Uint64(b)), true, nil
}

// compactErased compacts the files when something was erased so many days ago.
func (s *Store) compactErased(ctx context.Context, now time.Time, after int64) error {
	since, there, err := s.ErasedSince()
	if err != nil || !there || int64(feed.DayOf(now))-int64(since) < after {
		return err
	}
	if err := s.room(); err != nil {
		return err
	}
	erasures := s.erased.Load()
	if err := s.compact(ctx); err != nil {
		return fmt.Errorf("compact the files after an erasure: %w", err)
	}
	return s.commit(func(txn *badger.Txn) error {
		if s.erased.Load() != erasures {
			return nil // the next one is for those
		}
		return txn.Delete(key(prefixErased))
	})
}

// readersWait is how long compacting waits for those who read what was there before.
// Tests shorten it.
var readersWait = time.Minute

// compact writes what is live into new files. Badger writes its memory tables
// and newest level out only when it drops keys, so it is given some to drop; and it
// keeps what anybody still reads, and would never look at it again. Writers wait for
// that moment; readers do not.
func (s *Store) compact(ctx context.Context) error {
	if err := s.scratch(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readersWait)
	defer cancel()
	if err := s.readings.quiet(ctx); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	return s.db.Flatten(1)
}

// scratch writes a key to drop. No other writer is at work then, so that whatever
// was written before is older than what any later one reads.
func (s *Store) scratch() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(key(prefixScratch), nil) })
	s.readings.written()
	return err
}

func (s *Store) flush() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.db.DropPrefix(key(prefixScratch))
}
