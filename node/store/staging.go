package store

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Limits of one transaction while staging and folding: Badger takes at most
// about 1.2 MiB with memory tables of 8 MiB.
const (
	batchItems = 100
	batchBytes = 512 << 10
	foldItems  = 500
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
	l := g.s.locks(g.o)
	l.write.Lock()
	defer l.write.Unlock()
	if len(items) > 0 && l.run != g.run {
		return fmt.Errorf("stage: %w", feed.ErrMoved)
	}
	for len(items) > 0 {
		n, size := 0, 0
		for n < len(items) && n < batchItems && size < batchBytes {
			size += len(items[n].Raw())
			n++
		}
		if err := g.s.update(func(txn *badger.Txn) error { return g.put(txn, items[:n]) }); err != nil {
			return fmt.Errorf("stage: %w", err)
		}
		items = items[n:]
	}
	return nil
}

func (g *staging) put(txn *badger.Txn, items []feed.Item) error {
	for _, item := range items {
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
			if err := dropRecord(txn, g.o, old); err != nil {
				return err
			}
		}
		if c.Live() {
			if err := txn.Set(recordKey(g.o, c), item.Raw()); err != nil {
				return err
			}
		}
		if err := set(txn, stagingKey(g.o, g.run, c.Key), c); err != nil {
			return err
		}
	}
	return nil
}

// Changes yields what was staged, ordered by bucket and key.
func (g *staging) Changes(yield func(feed.Change, error) bool) {
	err := g.s.db.View(func(txn *badger.Txn) error {
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

// dropRecord drops a staged record, unless the same one is visible.
func dropRecord(txn *badger.Txn, o identity.OriginID, staged feed.Change) error {
	var live feed.Change
	ok, err := get(txn, entryKey(o, staged.Key), &live)
	if err != nil || ok && live.Live() && live.Hash == staged.Hash {
		return err
	}
	return txn.Delete(recordKey(o, staged))
}

// applyStaged flips to the new head in one small transaction and then folds the
// staged entries in. From the flip on the step is visible and survives a crash.
func (s *Store) applyStaged(l *feedLocks, v *feed.Verified, g *staging) error {
	if g.s != s || g.o != v.Origin() || l.run != g.run {
		return fmt.Errorf("apply head %d: what was staged is gone: %w", v.Head().N, feed.ErrMoved)
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
		return fmt.Errorf("apply head %d: %w", v.Head().N, err)
	}
	l.run = 0
	l.remember(v)
	if err := s.fold(v.Origin()); err != nil && s.o.Logger != nil {
		// The step stands, and whoever reads next goes on with it.
		s.o.Logger.Error("a large change is not folded in yet", "err", err)
	}
	return nil
}

// finish folds in what an error left, if anything. The caller holds l.write.
func (s *Store) finish(o identity.OriginID, l *feedLocks) error {
	var st feedState
	if err := s.db.View(func(txn *badger.Txn) error {
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
	for {
		if s.beforeFold != nil {
			if err := s.beforeFold(); err != nil {
				return fmt.Errorf("fold in a step of %s: %w", o, err)
			}
		}
		more := false
		err := s.commit(func(txn *badger.Txn) error {
			st, _, err := stateOf(txn, o)
			if err != nil || st.Fold == 0 {
				return err
			}
			var batch []feed.Change
			if err := scan(txn, key(prefixStaging, o, st.Fold), true, func(item *badger.Item) error {
				if len(batch) == foldItems {
					return errStop
				}
				var c feed.Change
				err := item.Value(func(b []byte) error { return identity.Unmarshal(b, &c) })
				batch = append(batch, c)
				return err
			}); err != nil {
				return err
			}
			for _, c := range batch {
				if err := s.putChange(txn, o, c); err != nil {
					return err
				}
				if err := txn.Delete(stagingKey(o, st.Fold, c.Key)); err != nil {
					return err
				}
			}
			more = len(batch) == foldItems
			if !more {
				st.Fold = 0
				return set(txn, key(prefixState, o), st)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("fold in a step of %s: %w", o, err)
		}
		if !more {
			return nil
		}
	}
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
					if err := dropRecord(txn, o, c); err != nil {
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

// recover finishes the steps that were visible when the process was killed, and
// drops the ones that were not.
func (s *Store) recover() error {
	origins := make(map[identity.OriginID]bool)
	err := s.db.View(func(txn *badger.Txn) error {
		return scan(txn, key(prefixStaging), false, func(item *badger.Item) error {
			origins[identity.OriginID(item.Key()[1:17])] = true
			return nil
		})
	})
	if err != nil {
		return err
	}
	held, err := s.Origins()
	if err != nil {
		return err
	}
	for _, o := range held {
		if err := s.fold(o); err != nil {
			return err
		}
	}
	for o := range origins {
		if err := s.dropStaging(o); err != nil {
			return err
		}
	}
	return nil
}
