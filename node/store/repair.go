package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// actual shows of a feed only what is whole: entries that can be read, stand in
// their place, and whose record is the one that they name.
type actual struct {
	*view
	leaves *feed.Leaves // nil until asked for
}

// Actual reads one feed as it really is on disk. Nothing that was computed
// earlier is trusted.
func (s *Store) Actual(o identity.OriginID) (feed.StoreView, error) {
	fv, err := s.View(o)
	if err != nil {
		return nil, err
	}
	return &actual{view: fv.(*view)}, nil
}

func (a *actual) Leaves() (*feed.Leaves, error) {
	if a.leaves != nil {
		return a.leaves, nil
	}
	var sum bucketHashes
	if a.head != nil {
		if err := scan(a.txn, key(prefixEntry, a.o), true, func(item *badger.Item) error {
			if c, _, ok := a.whole(item); ok {
				sum.add(c)
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	sum.close()
	a.leaves = sum.leaves()
	return a.leaves, nil
}

func (a *actual) Bucket(q int) ([]feed.Change, error) {
	var out []feed.Change
	if a.head == nil {
		return nil, nil
	}
	err := scan(a.txn, key(prefixEntry, a.o, q), true, func(item *badger.Item) error {
		if c, _, ok := a.whole(item); ok {
			out = append(out, c)
		}
		return nil
	})
	return out, err
}

// whole reads an entry and its record and tells whether both are right.
func (a *actual) whole(item *badger.Item) (c feed.Change, record []byte, ok bool) {
	if err := item.Value(func(b []byte) error { return identity.Unmarshal(b, &c) }); err != nil || !c.Live() {
		return c, nil, false
	}
	if !bytes.Equal(item.Key(), entryKey(a.o, c.Key)) {
		return c, nil, false
	}
	record, err := a.s.pack.read(a.txn, recordKey(a.o, c))
	if err != nil || record == nil {
		return c, nil, false
	}
	_, err = feed.Check(c, record)
	return c, record, err == nil
}

func (a *actual) Record(k feed.Key) (feed.Change, []byte, error) {
	item, err := a.txn.Get(entryKey(a.o, k))
	if err != nil || a.head == nil {
		return feed.Change{}, nil, feed.ErrNoRecord
	}
	c, record, ok := a.whole(item)
	switch {
	case ok:
		return c, record, nil
	case c.Live() || c.Key != k:
		c = feed.Change{}
	}
	return c, nil, feed.ErrNoRecord
}

// Since lists what is whole; of deletions it knows nothing that it could trust.
func (a *actual) Since(seq uint64, live bool, yield func(feed.Change, []byte) bool) error {
	if !live {
		return feed.ErrPruned
	}
	var all []feed.Change
	for q := range feed.Buckets {
		list, err := a.Bucket(q)
		if err != nil {
			return err
		}
		all = append(all, slices.DeleteFunc(list, func(c feed.Change) bool { return c.Seq <= seq })...)
	}
	slices.SortFunc(all, func(x, y feed.Change) int { return cmp.Compare(x.Seq, y.Seq) })
	for _, c := range all {
		if c, record, err := a.Record(c.Key); err == nil && !yield(c, record) {
			return nil
		}
	}
	return nil
}

// settle does what a rollback, a repair or a comparison needs beyond its changes, and
// ends the fold. It may be cut off anywhere and started again. The caller holds l.fold.
func (s *Store) settle(o identity.OriginID, kind feed.Kind) error {
	st, head, err := s.state(o)
	if err != nil {
		return err
	}
	switch kind {
	case feed.Rollback:
		err = s.forgetLater(o, head)
	case feed.Compared:
		err = s.forgetAll(o)
	default:
		err = s.rebuild(o, head)
	}
	if err != nil {
		return err
	}
	if err := s.dropHeads(o, func(n uint64, _ []byte) bool { return n > head.N }); err != nil {
		return err
	}
	st.Fold, st.Kind = 0, 0
	err = s.commit(func(txn *badger.Txn) error { return set(txn, key(prefixState, o), st) })
	if err == nil && kind == feed.Repair {
		s.setRotten(o, nil)
	}
	return err
}

func (s *Store) state(o identity.OriginID) (st feedState, head *feed.SignedHead, err error) {
	err = s.view(func(txn *badger.Txn) error {
		st, head, err = stateOf(txn, o)
		return err
	})
	return st, head, err
}

// forgetLater drops what was kept for undoing the steps after head.
func (s *Store) forgetLater(o identity.OriginID, head *feed.SignedHead) error {
	return s.walk(key(prefixUndo, o), func(txn *badger.Txn, k, v []byte) error {
		u, err := parseUndo(k, v)
		if err != nil || u.epoch != head.Epoch || u.seq <= head.Seq {
			return err
		}
		return dropUndo(txn, o, k, u)
	})
}

// forgetAll drops everything that was kept for undoing: some of it may have been
// erased since.
func (s *Store) forgetAll(o identity.OriginID) error {
	return s.walk(key(prefixUndo, o), func(txn *badger.Txn, k, v []byte) error {
		u, err := parseUndo(k, v)
		if err == nil && u.Old.Live() && !u.erased() {
			err = s.markErased(txn)
		}
		if err != nil {
			return err
		}
		return dropUndo(txn, o, k, u)
	})
}

func (s *Store) dropHeads(o identity.OriginID, which func(n uint64, envelope []byte) bool) error {
	return s.walk(key(prefixHeads, o), func(txn *badger.Txn, k, v []byte) error {
		if !which(binary.BigEndian.Uint64(k[17:]), v) {
			return nil
		}
		return txn.Delete(k)
	})
}

// walk calls f for every key with the prefix, in transactions of bounded size.
// Nobody else may write those keys meanwhile.
func (s *Store) walk(prefix []byte, f func(txn *badger.Txn, k, v []byte) error) error {
	start := prefix
	for {
		keys, values, err := s.some(prefix, start)
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := s.commit(func(txn *badger.Txn) error {
			for i, k := range keys {
				if err := f(txn, k, values[i]); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		start = append(keys[len(keys)-1], 0)
	}
}

// some are the next keys from start on, as many as go into one transaction.
func (s *Store) some(prefix, start []byte) (keys, values [][]byte, err error) {
	size := 0
	err = s.view(func(txn *badger.Txn) error {
		return scanFrom(txn, prefix, start, true, func(item *badger.Item) error {
			if len(keys) == foldItems || size > batchBytes {
				return errStop
			}
			v, err := item.ValueCopy(nil)
			keys, values = append(keys, item.KeyCopy(nil)), append(values, v)
			size += len(v)
			return err
		})
	})
	return keys, values, err
}

// rebuild computes again everything that stands beside the entries and records
// of a feed, and drops what does not belong there.
func (s *Store) rebuild(o identity.OriginID, head *feed.SignedHead) error {
	if err := s.walk(key(prefixUndo, o), func(txn *badger.Txn, k, _ []byte) error { return txn.Delete(k) }); err != nil {
		return err
	}
	if err := s.walk(key(prefixFeed, o), func(txn *badger.Txn, k, _ []byte) error {
		var c feed.Change
		if len(k) == 1+16+8+16 {
			if ok, err := get(txn, entryKey(o, feed.Key(k[25:])), &c); err == nil && ok && c.Seq == binary.BigEndian.Uint64(k[17:]) {
				return nil
			}
		}
		return txn.Delete(k)
	}); err != nil {
		return err
	}
	if err := s.walk(key(prefixEntry, o), func(txn *badger.Txn, k, v []byte) error {
		return s.rebuildEntry(txn, o, k, v)
	}); err != nil {
		return err
	}
	if err := s.walk(key(prefixRecord, o), func(txn *badger.Txn, k, _ []byte) error {
		var c feed.Change
		if len(k) == 1+16+16+16 {
			if ok, err := get(txn, entryKey(o, feed.Key(k[17:33])), &c); err == nil && ok && c.Live() && bytes.Equal(k, recordKey(o, c)) {
				return nil
			}
		}
		return txn.Delete(k)
	}); err != nil {
		return err
	}
	if err := s.rebuildHeads(o, head); err != nil {
		return err
	}
	return s.rebuildLeaves(o)
}

func (s *Store) rebuildEntry(txn *badger.Txn, o identity.OriginID, k, v []byte) error {
	var c feed.Change
	if err := decode(v, &c); err != nil || !bytes.Equal(k, entryKey(o, c.Key)) {
		return txn.Delete(k)
	}
	at := key(prefixFeed, o, c.Seq, c.Key)
	if old, err := raw(txn, at); err != nil {
		return err
	} else if !bytes.Equal(old, []byte{byte(c.Op)}) {
		if err := txn.Set(at, []byte{byte(c.Op)}); err != nil {
			return err
		}
	}
	if !c.Live() {
		return nil
	}
	return s.claim(txn, o, c.Key)
}

func (s *Store) rebuildLeaves(o identity.OriginID) error {
	var sum bucketHashes
	if err := s.view(func(txn *badger.Txn) error {
		return scan(txn, key(prefixEntry, o), true, func(item *badger.Item) error {
			var c feed.Change
			err := item.Value(func(b []byte) error { return decode(b, &c) })
			if err == nil && c.Live() {
				sum.add(c)
			}
			return err
		})
	}); err != nil {
		return err
	}
	sum.close()
	l := s.locks(o)
	l.mu.Lock()
	l.leaves = nil
	l.mu.Unlock()
	return s.commit(func(txn *badger.Txn) error {
		for q, hash := range sum.leaves() {
			if err := txn.Set(key(prefixBucket, o, q), hash[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// rebuildHeads keeps of the chain what leads to head without a gap.
func (s *Store) rebuildHeads(o identity.OriginID, head *feed.SignedHead) error {
	next := head
	for next.N > 1 {
		var env []byte
		if err := s.view(func(txn *badger.Txn) (err error) {
			env, err = raw(txn, key(prefixHeads, o, next.N-1))
			return err
		}); err != nil {
			return err
		}
		h, err := feed.ParseHead(env)
		if err != nil || h.Hash != next.Prev {
			break
		}
		next = h
	}
	return s.dropHeads(o, func(n uint64, _ []byte) bool { return n < next.N })
}

// bucketHashes hashes live entries that come in order of bucket and key.
type bucketHashes struct {
	done         *feed.Leaves
	bucket       int
	live         []feed.Change
	count, bytes uint64
}

func (b *bucketHashes) add(c feed.Change) {
	if q := c.Key.Bucket(); len(b.live) > 0 && q != b.bucket {
		b.close()
	}
	b.bucket = c.Key.Bucket()
	b.live = append(b.live, c)
	b.count++
	b.bytes += uint64(c.Size)
}

func (b *bucketHashes) leaves() *feed.Leaves {
	if b.done == nil {
		b.done = feed.EmptyLeaves()
	}
	return b.done
}

func (b *bucketHashes) close() {
	if len(b.live) > 0 {
		b.leaves()[b.bucket] = feed.BucketHash(b.bucket, b.live)
	}
	b.live = b.live[:0]
}
