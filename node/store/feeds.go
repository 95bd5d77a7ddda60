package store

import (
	"context"
	"errors"
	"fmt"
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
}

// Origins lists the feeds that are held.
func (s *Store) Origins() ([]identity.OriginID, error) {
	var out []identity.OriginID
	err := s.db.View(func(txn *badger.Txn) error {
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
	for it.Seek(start); it.Valid(); it.Next() {
		if err := f(it.Item()); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
	}
	return nil
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
	if err := s.finish(v.Origin(), l); err != nil {
		return fmt.Errorf("apply head %d: %w", v.Head().N, err)
	}
	if err := s.putEarlierHeads(v); err != nil {
		return fmt.Errorf("apply head %d: %w", v.Head().N, err)
	}
	if st, ok := v.Delta().(*staging); ok {
		return s.applyStaged(l, v, st)
	}
	items, ok := v.Delta().(feed.Items)
	if !ok {
		return fmt.Errorf("store: a step with a delta of type %T", v.Delta())
	}
	err := s.update(func(txn *badger.Txn) error {
		st, err := s.checkBase(txn, v)
		if err != nil {
			return err
		}
		for _, item := range items {
			if err := s.putChange(txn, v.Origin(), item.Change()); err != nil {
				return err
			}
			if c := item.Change(); c.Live() {
				if err := txn.Set(recordKey(v.Origin(), c), item.Raw()); err != nil {
					return err
				}
			}
		}
		return s.putHead(txn, v, st)
	})
	if err != nil {
		return fmt.Errorf("apply head %d: %w", v.Head().N, err)
	}
	l.remember(v)
	return nil
}

func (s *Store) checkBase(txn *badger.Txn, v *feed.Verified) (feedState, error) {
	st, held, err := stateOf(txn, v.Origin())
	if err != nil {
		return st, err
	}
	var base identity.Hash
	switch {
	case held != nil && held.Epoch == v.Head().Epoch:
		base = held.Hash
	case held != nil:
		// A new epoch starts over: what was deleted on the way there is not known.
		base, st.Floor = held.Hash, v.Head().Seq
	default:
		// A first copy brings no deletions, so it cannot list earlier ones.
		st.Floor = v.Head().Seq
		if v.Head().N == 1 {
			st.Floor = 0
		}
	}
	if base != v.Base() || st.Fold != 0 {
		return st, feed.ErrMoved
	}
	return st, nil
}

// putChange makes c the latest change of its key and drops the record before.
func (s *Store) putChange(txn *badger.Txn, o identity.OriginID, c feed.Change) error {
	var old feed.Change
	had, err := get(txn, entryKey(o, c.Key), &old)
	if err != nil {
		return err
	}
	if had {
		if old == c {
			return nil // folded in before a crash
		}
		if err := txn.Delete(key(prefixFeed, o, old.Seq, old.Key)); err != nil {
			return err
		}
		if old.Live() && old.Hash != c.Hash {
			if err := txn.Delete(recordKey(o, old)); err != nil {
				return err
			}
		}
	}
	if err := set(txn, entryKey(o, c.Key), c); err != nil {
		return err
	}
	if err := txn.Set(key(prefixFeed, o, c.Seq, c.Key), []byte{byte(c.Op)}); err != nil {
		return err
	}
	if !c.Live() || had && old.Live() {
		return nil
	}
	return s.claim(txn, o, c.Key)
}

// claim gives a bare id to the first origin that uses it; a later one is known
// under its alias.
func (s *Store) claim(txn *badger.Txn, o identity.OriginID, k feed.Key) error {
	owner, err := raw(txn, key(prefixID, k))
	if err != nil {
		return err
	}
	id := k
	if owner != nil {
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
	st.Head = v.Head().Envelope
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
	if l.leaves == nil || l.head != v.Base() {
		l.leaves = nil
		return
	}
	next := *l.leaves
	for q, hash := range v.Leaves() {
		next[q] = hash
	}
	l.head, l.leaves = v.Head().Hash, &next
}

// Record finds a record by the id under which it is known here, or fails with
// [feed.ErrNoRecord]. It never waits for a writer.
func (s *Store) Record(id feed.Key) (o identity.OriginID, c feed.Change, record []byte, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		owner, err := raw(txn, key(prefixID, id))
		if err != nil {
			return err
		}
		if len(owner) != 32 {
			return feed.ErrNoRecord
		}
		o = identity.OriginID(owner[:16])
		var st feedState
		if ok, err := get(txn, key(prefixState, o), &st); err != nil || !ok {
			return errors.Join(err, feed.ErrNoRecord)
		}
		c, record, err = recordOf(txn, o, feed.Key(owner[16:]), st.Fold)
		return err
	})
	return o, c, record, err
}

// ShownID is the id under which an origin's record is known here.
func (s *Store) ShownID(o identity.OriginID, k feed.Key) (feed.Key, error) {
	id := k
	err := s.db.View(func(txn *badger.Txn) error {
		owner, err := raw(txn, key(prefixID, k))
		if err == nil && len(owner) == 32 && identity.OriginID(owner[:16]) != o {
			id = s.o.Alias(o, k)
		}
		return err
	})
	return id, err
}

// recordOf reads one record, from the staging run that is being folded in or
// from where it stands.
func recordOf(txn *badger.Txn, o identity.OriginID, k feed.Key, fold uint64) (feed.Change, []byte, error) {
	var c feed.Change
	var ok bool
	var err error
	if fold != 0 {
		ok, err = get(txn, stagingKey(o, fold, k), &c)
	}
	if err == nil && !ok {
		ok, err = get(txn, entryKey(o, k), &c)
	}
	if err != nil {
		return c, nil, err
	}
	if !ok || !c.Live() {
		return c, nil, feed.ErrNoRecord
	}
	b, err := raw(txn, recordKey(o, c))
	if err != nil {
		return c, nil, err
	}
	if b == nil {
		return c, nil, fmt.Errorf("%w: the record of %s is missing", ErrDamaged, k)
	}
	return c, b, nil
}

// Beat is the newest beat that was kept; nil when there is none.
func (s *Store) Beat(o identity.OriginID) (b *feed.SignedBeat, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		env, err := raw(txn, key(prefixBeat, o))
		if err != nil || env == nil {
			return err
		}
		b, err = feed.ParseBeat(env)
		return err
	})
	return b, err
}

// PutBeat keeps a checked beat, unless a newer one is there.
func (s *Store) PutBeat(b *feed.SignedBeat) error {
	return s.update(func(txn *badger.Txn) error {
		env, err := raw(txn, key(prefixBeat, b.Origin))
		if err != nil {
			return err
		}
		if env != nil {
			if old, err := feed.ParseBeat(env); err == nil && (old.Epoch > b.Epoch || old.Epoch == b.Epoch && old.Counter >= b.Counter) {
				return nil
			}
		}
		return txn.Set(key(prefixBeat, b.Origin), b.Envelope)
	})
}
