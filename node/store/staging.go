package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Limits of one transaction while staging and folding: Badger takes at most
// about 1.2 MiB with memory tables of 8 MiB.
const (
	batchItems = 500
	batchBytes = 640 << 10
	foldItems  = 1000
)

// staging is a run of changes that is invisible until its head is applied.
// Records go straight to where they will stay; only the small entries move.
type staging struct {
	s   *Store
	o   identity.OriginID
	run uint64
}

// Stage opens a staging area for one feed and drops what an earlier, unfinished
// one left.
func (s *Store) Stage(o identity.OriginID) (feed.Staging, error) {
	l := s.locks(o)
	l.write.Lock()
	defer l.write.Unlock()
	return s.newRun(o, l)
}

// newRun begins a staging run and drops the one before. The caller holds l.write.
func (s *Store) newRun(o identity.OriginID, l *feedLocks) (*staging, error) {
	if err := s.finish(o, l); err != nil {
		return nil, err
	}
	l.run = 0
	if err := s.dropStaging(o); err != nil {
		return nil, err
	}
	var run [8]byte
	rand.Read(run[:])
	l.run = binary.BigEndian.Uint64(run[:]) | 1
	return &staging{s: s, o: o, run: l.run}, nil
}

// Put adds items in transactions of bounded size. It fails with [feed.ErrMoved]
// once the run was discarded, applied, or replaced by a later one.
func (g *staging) Put(items ...feed.Item) error {
	records := g.s.packRecords(g.o, items) // most of the work, and nobody need wait for it
	l := g.s.locks(g.o)
	l.write.Lock()
	defer l.write.Unlock()
	if len(items) > 0 && l.run != g.run {
		return fmt.Errorf("stage: %w", feed.ErrMoved)
	}
	return g.putLocked(items, records)
}

func (g *staging) putLocked(items []feed.Item, records packedRecords) error {
	for len(items) > 0 {
		n, size := 0, 0
		for n < len(items) && n < batchItems && size < batchBytes {
			size += records.size(n)
			n++
		}
		if err := g.s.update(func(txn *badger.Txn) error { return g.put(txn, items[:n], records) }); err != nil {
			return fmt.Errorf("stage: %w", err)
		}
		items, records = items[n:], records[n:]
	}
	return nil
}

func (g *staging) put(txn *badger.Txn, items []feed.Item, records packedRecords) error {
	for i, item := range items {
		c := item.Change()
		var old feed.Change
		had, err := get(txn, stagingKey(g.o, g.run, c.Key), &old)
		if err != nil {
			return err
		}
		if had && old.Seq > c.Seq {
			continue
		}
		if had && old.Live() && old.Hash != c.Hash {
			if err := freeRecord(txn, g.o, old); err != nil {
				return err
			}
		}
		if err := records.put(txn, i); err != nil {
			return err
		}
		if err := set(txn, stagingKey(g.o, g.run, c.Key), c); err != nil {
			return err
		}
	}
	return nil
}

// Changes yields what was staged, ordered by bucket and key.
func (g *staging) Changes(yield func(feed.Change, error) bool) {
	err := g.s.view(func(txn *badger.Txn) error {
		return scan(txn, key(prefixStaging, g.o, g.run), true, func(item *badger.Item) error {
			return item.Value(func(b []byte) error {
				var c feed.Change
				if err := identity.Unmarshal(b, &c); err != nil {
					return err
				}
				if !yield(c, nil) {
					return errStop
				}
				return nil
			})
		})
	})
	if err != nil {
		yield(feed.Change{}, err)
	}
}

// Discard drops everything that was staged. After the step was applied there is
// nothing left to drop.
func (g *staging) Discard() error {
	l := g.s.locks(g.o)
	l.write.Lock()
	defer l.write.Unlock()
	if l.run != g.run {
		return nil // applied, or dropped already
	}
	l.run = 0
	return g.s.dropStaging(g.o)
}

// applyStaged flips to the new head in one small transaction and then folds the
// staged entries in. From the flip on the step is visible and survives a crash.
func (s *Store) applyStaged(l *feedLocks, v *feed.Verified, g *staging) error {
	if g.s != s || g.o != v.Origin() || l.run != g.run {
		return fmt.Errorf("what was staged is gone: %w", feed.ErrMoved)
	}
	l.fold.Lock()
	defer l.fold.Unlock()
	err := s.update(func(txn *badger.Txn) error {
		st, err := s.checkBase(txn, v)
		if err != nil {
			return err
		}
		st.Fold = g.run
		return s.putHead(txn, v, st)
	})
	if err != nil {
		return err
	}
	l.run = 0
	l.remember(v)
	if err := s.fold(v.Origin()); err != nil {
		// The step stands, and whoever reads next goes on with it.
		s.warn("a large change is not folded in yet", err)
	}
	return nil
}

// finish folds in what an error left, if anything. The caller holds l.write.
func (s *Store) finish(o identity.OriginID, l *feedLocks) error {
	var st feedState
	if err := s.view(func(txn *badger.Txn) error {
		_, err := get(txn, key(prefixState, o), &st)
		return err
	}); err != nil || st.Fold == 0 {
		return err
	}
	l.fold.Lock()
	defer l.fold.Unlock()
	return s.fold(o)
}

// fold moves the entries of the run that the feed's state names to where they
// stay. It may be cut off anywhere and started again.
func (s *Store) fold(o identity.OriginID) error {
	f := folding{s: s, o: o, limit: foldItems}
	for more := true; more; {
		if s.beforeFold != nil {
			if err := s.beforeFold(); err != nil {
				return fmt.Errorf("fold in a step of %s: %w", o, err)
			}
		}
		err := s.commit(f.some)
		if errors.Is(err, badger.ErrTxnTooBig) && f.limit > 1 {
			f.limit /= 2 // many small things hang on these changes
			continue
		}
		f.start, more = f.next, f.more
		if err == nil && !more && f.kind != feed.Step {
			err = s.settle(o, f.kind)
		}
		if err != nil {
			return fmt.Errorf("fold in a step of %s: %w", o, err)
		}
	}
	return nil
}

// folding is how far a fold is.
type folding struct {
	s           *Store
	o           identity.OriginID
	limit       int
	start, next []byte // where to look on: what was folded in is gone, and Badger walks over all that is gone
	more        bool
	kind        feed.Kind
}

// some folds in the next changes. A plain step ends here; others are settled.
func (f *folding) some(txn *badger.Txn) error {
	st, head, err := stateOf(txn, f.o)
	f.more, f.kind, f.next = false, feed.Step, nil
	if err != nil || st.Fold == 0 {
		return err
	}
	step := stepOf(st, head)
	prefix := key(prefixStaging, f.o, st.Fold)
	if f.start == nil {
		f.start = prefix
	}
	var batch []feed.Change
	if err := scanFrom(txn, prefix, f.start, true, func(item *badger.Item) error {
		if len(batch) == f.limit {
			return errStop
		}
		var c feed.Change
		err := item.Value(func(b []byte) error { return decode(b, &c) })
		batch = append(batch, c)
		return err
	}); err != nil {
		return err
	}
	for _, c := range batch {
		f.next = stagingKey(f.o, st.Fold, c.Key)
		if err := f.s.putChange(txn, step, c); err != nil {
			return err
		}
		if err := txn.Delete(f.next); err != nil {
			return err
		}
	}
	f.more, f.kind = len(batch) == f.limit, step.kind
	if f.more || f.kind != feed.Step {
		return nil
	}
	st.Fold = 0
	return set(txn, key(prefixState, f.o), st)
}

// dropStaging removes staged entries and their records. The caller made sure
// that no state names the run: see finish.
func (s *Store) dropStaging(o identity.OriginID) error {
	for {
		n := 0
		err := s.commit(func(txn *badger.Txn) error {
			var keys [][]byte
			var changes []feed.Change
			if err := scan(txn, key(prefixStaging, o), true, func(item *badger.Item) error {
				if len(keys) == foldItems {
					return errStop
				}
				var c feed.Change
				keys = append(keys, item.KeyCopy(nil))
				err := item.Value(func(b []byte) error { return identity.Unmarshal(b, &c) })
				changes = append(changes, c)
				return err
			}); err != nil {
				return err
			}
			for i, c := range changes {
				if c.Live() {
					if err := freeRecord(txn, o, c); err != nil {
						return err
					}
				}
				if err := txn.Delete(keys[i]); err != nil {
					return err
				}
			}
			n = len(keys)
			return nil
		})
		if err != nil {
			return fmt.Errorf("drop unfinished changes of %s: %w", o, err)
		}
		if n < foldItems {
			return nil
		}
	}
}
