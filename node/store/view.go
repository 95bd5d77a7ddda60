package store

import (
	"encoding/binary"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// view reads one feed at one moment.
type view struct {
	s     *Store
	o     identity.OriginID
	r     *reading
	txn   *badger.Txn // of r
	state feedState
	head  *feed.SignedHead
}

// View reads one feed. It waits while a large step is folded in, so that what
// it sees stands in one place.
func (s *Store) View(o identity.OriginID) (feed.StoreView, error) {
	l := s.locks(o)
	for {
		l.fold.RLock()
		r := s.readings.take(s.db)
		l.fold.RUnlock()
		st, head, err := stateOf(r.txn, o)
		if err == nil && st.Fold == 0 {
			return &view{s: s, o: o, r: r, txn: r.txn, state: st, head: head}, nil
		}
		s.readings.put(r)
		if err == nil { // folding in was cut off by an error; it must go on first
			l.write.Lock()
			err = s.finish(o, l)
			l.write.Unlock()
		}
		if err != nil {
			return nil, err
		}
	}
}

func (v *view) Close() {
	if v.r != nil {
		v.s.readings.put(v.r)
		v.r = nil
	}
}

func (v *view) Head() *feed.SignedHead { return v.head }

func (v *view) Leaves() (*feed.Leaves, error) {
	if v.head == nil {
		return feed.EmptyLeaves(), nil
	}
	l := v.s.locks(v.o)
	l.mu.Lock()
	if l.leaves != nil && l.head == v.head.Hash {
		defer l.mu.Unlock()
		return l.leaves, nil
	}
	l.mu.Unlock()
	leaves := feed.EmptyLeaves()
	err := scan(v.txn, key(prefixBucket, v.o), true, func(item *badger.Item) error {
		q := binary.BigEndian.Uint16(item.Key()[17:])
		return item.Value(func(b []byte) error {
			copy(leaves[q%feed.Buckets][:], b)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.head, l.leaves = v.head.Hash, leaves
	l.mu.Unlock()
	return leaves, nil
}

func (v *view) Bucket(q int) ([]feed.Change, error) {
	if v.head == nil {
		return nil, nil
	}
	var out []feed.Change
	err := scan(v.txn, key(prefixEntry, v.o, q), true, func(item *badger.Item) error {
		return item.Value(func(b []byte) error {
			var c feed.Change
			if err := decode(b, &c); err != nil {
				return err
			}
			if c.Live() {
				out = append(out, c)
			}
			return nil
		})
	})
	return out, err
}

func (v *view) Record(k feed.Key) (feed.Change, []byte, error) {
	c, record, err := v.s.recordOf(v.txn, v.o, k, v.state.Fold)
	v.s.noteRotten(v.o, err)
	return c, record, err
}

func (v *view) Since(seq uint64, live bool, yield func(feed.Change, []byte) bool) error {
	if v.head == nil {
		return nil
	}
	if !live && seq < v.state.Floor {
		return feed.ErrPruned
	}
	if seq >= v.head.Seq {
		return nil
	}
	return scanFrom(v.txn, key(prefixFeed, v.o), key(prefixFeed, v.o, seq+1), false, func(item *badger.Item) error {
		if binary.BigEndian.Uint64(item.Key()[17:]) > v.head.Seq {
			return errStop // a deletion of an earlier epoch
		}
		k := feed.Key(item.Key()[25:])
		var c feed.Change
		if ok, err := get(v.txn, entryKey(v.o, k), &c); err != nil || !ok {
			return err
		}
		if live && !c.Live() {
			return nil
		}
		var record []byte
		if c.Live() {
			var err error
			if _, record, err = v.Record(k); err != nil {
				return err
			}
		}
		if !yield(c, record) {
			return errStop
		}
		return nil
	})
}

func (v *view) Heads(n uint64, limit int) ([][]byte, error) {
	if v.head == nil {
		return nil, nil
	}
	var out [][]byte
	err := scanFrom(v.txn, key(prefixHeads, v.o), key(prefixHeads, v.o, max(n, v.state.From)), true, func(item *badger.Item) error {
		if len(out) == limit || binary.BigEndian.Uint64(item.Key()[17:]) > v.head.N {
			return errStop
		}
		b, err := item.ValueCopy(nil)
		out = append(out, b)
		return err
	})
	return out, err
}
