package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

var (
	_ feed.Store     = (*Store)(nil)
	_ feed.StoreView = (*view)(nil)
	_ feed.Staging   = (*staging)(nil)
)

// feedState is the value under h: which head is visible. While Fold is not zero
// the entries of that staging run count as well, and win over those under e.
type feedState struct {
	Head  []byte `cbor:"1,keyasint"`
	Fold  uint64 `cbor:"2,keyasint,omitempty"`
	Floor uint64 `cbor:"3,keyasint,omitempty"` // deletions up to here are not listed here
	Undo  uint64 `cbor:"4,keyasint,omitempty"` // steps that end before here cannot be gone back to
	Kind  uint8  `cbor:"5,keyasint,omitempty"` // while Fold is not zero: what kind of step that is
	From  uint64 `cbor:"6,keyasint,omitempty"` // the chain of heads has no gap from this number on
}

// Origins lists the feeds that are held.
func (s *Store) Origins() ([]identity.OriginID, error) {
	var out []identity.OriginID
	err := s.view(func(txn *badger.Txn) error {
		return scan(txn, key(prefixState), false, func(item *badger.Item) error {
			out = append(out, identity.OriginID(item.Key()[1:]))
			return nil
		})
	})
	return out, err
}

// scan calls f for each key with the prefix, in order.
func scan(txn *badger.Txn, prefix []byte, values bool, f func(*badger.Item) error) error {
	return scanFrom(txn, prefix, prefix, values, f)
}

var errStop = errors.New("stop")

func scanFrom(txn *badger.Txn, prefix, start []byte, values bool, f func(*badger.Item) error) error {
	opt := badger.DefaultIteratorOptions
	opt.PrefetchValues = values
	opt.PrefetchSize = 64
	opt.Prefix = prefix
	it := txn.NewIterator(opt)
	defer it.Close()
	err := guarded(func() error { it.Seek(start); return nil })
	for err == nil && it.Valid() {
		if err := f(it.Item()); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
		err = guarded(func() error { it.Next(); return nil })
	}
	return err
}

// guarded runs a read of Badger, which panics over a table that has changed
// under it, or faults when the table has become shorter: that is damage, and no
// reason to end.
func guarded(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: a file of the database cannot be read: %v", ErrDamaged, r)
		}
	}()
	return read()
}

func stateOf(txn *badger.Txn, o identity.OriginID) (feedState, *feed.SignedHead, error) {
	var st feedState
	ok, err := get(txn, key(prefixState, o), &st)
	if err != nil || !ok {
		return st, nil, err
	}
	h, err := feed.ParseHead(st.Head)
	if err != nil {
		return st, nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return st, h, nil
}

// Apply makes a verified step durable and visible, at once and whole.
func (s *Store) Apply(_ context.Context, v *feed.Verified) error {
	l := s.locks(v.Origin())
	l.write.Lock()
	defer l.write.Unlock()
	defer s.version.Add(1) // whatever came of it, and before anybody is told
	if err := s.apply(l, v); err != nil {
		return fmt.Errorf("apply head %d: %w", v.Head().N, err)
	}
	if v.Kind() == feed.Repair {
		s.mended.Store(true)
	}
	return nil
}

func (s *Store) apply(l *feedLocks, v *feed.Verified) error {
	if err := s.finish(v.Origin(), l); err != nil {
		return err
	}
	if err := s.putEarlierHeads(v); err != nil {
		return err
	}
	items, small := v.Delta().(feed.Items)
	switch st, staged := v.Delta().(*staging); {
	case staged:
		return s.applyStaged(l, v, st)
	case !small:
		return fmt.Errorf("store: a step with a delta of type %T", v.Delta())
	case v.Kind() != feed.Step: // what else is to be done takes more than one transaction
		return s.applyAsStaged(l, v, items)
	}
	records := s.packRecords(v.Origin(), items)
	err := s.update(func(txn *badger.Txn) error {
		st, err := s.checkBase(txn, v)
		if err != nil {
			return err
		}
		step := stepOf(st, v.Head())
		for i, item := range items {
			if err := s.putChange(txn, step, item.Change()); err != nil {
				return err
			}
			if err := records.put(txn, i); err != nil {
				return err
			}
		}
		return s.putHead(txn, v, st)
	})
	if err != nil {
		return err
	}
	l.remember(v)
	if l.run == 0 {
		return nil
	}
	// What is staged started from the head before: it can never be applied.
	l.run = 0
	if err := s.dropStaging(v.Origin()); err != nil {
		s.warn("what was staged for an older step is dropped later", err)
	}
	return nil
}

func (s *Store) applyAsStaged(l *feedLocks, v *feed.Verified, items feed.Items) error {
	g, err := s.newRun(v.Origin(), l)
	if err == nil {
		err = g.putLocked(items, s.packRecords(v.Origin(), items))
	}
	if err == nil {
		err = s.applyStaged(l, v, g)
	}
	if err != nil && l.run != 0 {
		l.run = 0
		err = errors.Join(err, s.dropStaging(v.Origin()))
	}
	return err
}

func (s *Store) checkBase(txn *badger.Txn, v *feed.Verified) (feedState, error) {
	st, held, err := stateOf(txn, v.Origin())
	if err != nil {
		return st, err
	}
	var base identity.Hash
	if held != nil {
		base = held.Hash
	}
	if base != v.Base() || st.Fold != 0 {
		return st, feed.ErrMoved
	}
	first, h := v.Heads()[0], v.Head()
	follows := held != nil && (first.Prev == held.Hash || first.Hash == held.Hash) || held == nil && h.N == 1
	switch {
	case v.Kind() == feed.Rollback:
		return st, nil
	case !follows: // what was deleted on the way here is not known
		st.Floor, st.From = h.Seq, first.N
	case v.Kind() != feed.Step: // the list of deletions may have suffered, or was not seen
		st.Floor = h.Seq
	}
	if v.Kind() != feed.Step || held == nil || held.Epoch != h.Epoch {
		st.Undo = h.Seq
	}
	return st, nil
}

// step is what putChange has to know of the step that it belongs to.
type step struct {
	o    identity.OriginID
	head *feed.SignedHead
	kind feed.Kind
}

func stepOf(st feedState, head *feed.SignedHead) step {
	return step{o: head.Origin, head: head, kind: feed.Kind(st.Kind)}
}

// putChange makes c the latest change of its key. What it replaces is kept for
// undoing, unless it is erased, or the step itself undoes or repairs: then
// settle drops what is kept in vain.
func (s *Store) putChange(txn *badger.Txn, step step, c feed.Change) error {
	o := step.o
	var old feed.Change
	had, err := get(txn, entryKey(o, c.Key), &old)
	if err != nil && step.kind != feed.Repair {
		return err
	}
	if had && old == c && step.kind == feed.Step {
		return nil // folded in before a crash
	}
	if had {
		if err := txn.Delete(key(prefixFeed, o, old.Seq, old.Key)); err != nil {
			return err
		}
	}
	if err := set(txn, entryKey(o, c.Key), c); err != nil {
		return err
	}
	if err := txn.Set(key(prefixFeed, o, c.Seq, c.Key), []byte{byte(c.Op)}); err != nil {
		return err
	}
	if err := s.putAside(txn, step, had, old, c); err != nil {
		return err
	}
	if !c.Live() || had && old.Live() {
		return nil
	}
	return s.claim(txn, o, c.Key)
}

// putAside does what a step has to with the change that c replaced.
func (s *Store) putAside(txn *badger.Txn, step step, had bool, old, c feed.Change) error {
	switch {
	case c.Op == feed.Erase:
		if err := eraseUndo(txn, step.o, c.Key); err != nil {
			return err
		}
		if had && old.Live() {
			if err := txn.Delete(recordKey(step.o, old)); err != nil {
				return err
			}
			old.Hash, old.Size = identity.Hash{}, 0
			if err := s.keepUndo(txn, step, old, c); err != nil {
				return err
			}
		}
		return s.markErased(txn)
	case !had:
		return nil
	case step.kind == feed.Step:
		return s.keepUndo(txn, step, old, c)
	}
	if old.Live() && old.Hash != c.Hash {
		if step.kind == feed.Compared { // it may have been erased
			if err := s.markErased(txn); err != nil {
				return err
			}
		}
		return freeRecord(txn, step.o, old)
	}
	return nil
}

// claim gives a bare id to the first origin that uses it; a later one is known
// under its alias.
func (s *Store) claim(txn *badger.Txn, o identity.OriginID, k feed.Key) error {
	owner, err := raw(txn, key(prefixID, k))
	if err != nil {
		return err
	}
	id := k
	if len(owner) == 32 {
		if identity.OriginID(owner[:16]) == o {
			return nil
		}
		id = s.o.Alias(o, k)
		if owner, err = raw(txn, key(prefixID, id)); err != nil || owner != nil {
			return err // it keeps its alias, or cannot have one that is another's
		}
	}
	return txn.Set(key(prefixID, id), append(append([]byte{}, o[:]...), k[:]...))
}

func (s *Store) putHead(txn *badger.Txn, v *feed.Verified, st feedState) error {
	o := v.Origin()
	for q, hash := range v.Leaves() {
		if err := txn.Set(key(prefixBucket, o, q), hash[:]); err != nil {
			return err
		}
	}
	h := v.Head()
	if err := txn.Set(key(prefixHeads, o, h.N), h.Envelope); err != nil {
		return err
	}
	st.Head, st.Kind = v.Head().Envelope, 0
	if st.Fold != 0 {
		st.Kind = uint8(v.Kind())
	}
	return set(txn, key(prefixState, o), st)
}

// putEarlierHeads keeps the heads that a step passes through. They mean nothing
// before the step is applied, and there may be more of them than fit into one
// transaction.
func (s *Store) putEarlierHeads(v *feed.Verified) error {
	earlier := v.Heads()[:len(v.Heads())-1]
	for batch := range slices.Chunk(earlier, batchItems) {
		err := s.update(func(txn *badger.Txn) error {
			for _, h := range batch {
				if err := txn.Set(key(prefixHeads, v.Origin(), h.N), h.Envelope); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// remember keeps the leaves of the newest head in memory.
func (l *feedLocks) remember(v *feed.Verified) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaves == nil || l.head != v.Base() || v.Kind() != feed.Step {
		l.leaves = nil
		return
	}
	next := *l.leaves
	for q, hash := range v.Leaves() {
		next[q] = hash
	}
	l.head, l.leaves = v.Head().Hash, &next
}
