package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// UndoLife is how long what a step replaced or deleted is kept.
const UndoLife = 30 * 24 * time.Hour

// undone is the value under u: what a change replaced, and when. Of what was
// erased meanwhile only that there was something is left: a live change without
// a hash.
type undone struct {
	Old feed.Change `cbor:"1,keyasint"`
	Day feed.Day    `cbor:"2,keyasint"`
}

// erased reports whether the record that the entry kept is gone for ever.
func (u undone) erased() bool { return u.Old.Live() && u.Old.Hash == identity.Hash{} }

// keyUndo begins the keys of all undo entries of one record.
func keyUndo(o identity.OriginID, k feed.Key) []byte { return key(prefixUndo, o, k.Bucket(), k) }

// keepUndo keeps what c replaces. Its record stays where it is, so this costs
// one small entry.
func (s *Store) keepUndo(txn *badger.Txn, step step, old, c feed.Change) error {
	return set(txn, key(prefixUndo, step.o, c.Key.Bucket(), c.Key, step.head.Epoch, c.Seq), undone{Old: old, Day: feed.DayOf(s.o.Now())})
}

// dropUndo drops an undo entry, and its record unless something else names it.
func dropUndo(txn *badger.Txn, o identity.OriginID, k []byte, u undoAt) error {
	if err := txn.Delete(k); err != nil || !u.Old.Live() || u.erased() {
		return err
	}
	return freeRecord(txn, o, u.Old)
}

// eraseUndo drops every copy of a record that was kept for undoing, at once.
func eraseUndo(txn *badger.Txn, o identity.OriginID, k feed.Key) error {
	keys, entries, err := undoOf(txn, o, k)
	if err != nil {
		return err
	}
	for i, u := range entries {
		if !u.Old.Live() || u.erased() {
			continue
		}
		if err := txn.Delete(recordKey(o, u.Old)); err != nil {
			return err
		}
		u.Old.Hash, u.Old.Size = identity.Hash{}, 0
		if err := set(txn, keys[i], u.undone); err != nil {
			return err
		}
	}
	return nil
}

// undoOf are the undo entries of one record, oldest first.
func undoOf(txn *badger.Txn, o identity.OriginID, k feed.Key) (keys [][]byte, entries []undoAt, err error) {
	err = scan(txn, keyUndo(o, k), true, func(item *badger.Item) error {
		k := item.KeyCopy(nil)
		return item.Value(func(b []byte) error {
			u, err := parseUndo(k, b)
			keys, entries = append(keys, k), append(entries, u)
			return err
		})
	})
	return keys, entries, err
}

// undoAt is an undo entry with the place of the change that replaced it.
type undoAt struct {
	epoch, seq uint64
	undone
}

func parseUndo(k, v []byte) (u undoAt, err error) {
	if len(k) != 1+16+2+16+16 {
		return u, fmt.Errorf("%w: a key of %d bytes for undoing", ErrDamaged, len(k))
	}
	place := k[len(k)-16:]
	u.epoch, u.seq = binary.BigEndian.Uint64(place), binary.BigEndian.Uint64(place[8:])
	return u, decode(v, &u.undone)
}

// freeRecord drops the record of a change unless the visible entry, or an undo
// entry, still names it.
func freeRecord(txn *badger.Txn, o identity.OriginID, c feed.Change) error {
	var live feed.Change
	ok, err := get(txn, entryKey(o, c.Key), &live)
	if err != nil || ok && live.Live() && live.Hash == c.Hash {
		return err
	}
	_, entries, err := undoOf(txn, o, c.Key)
	if err != nil {
		return err
	}
	for _, u := range entries {
		if u.Old.Live() && u.Old.Hash == c.Hash {
			return nil
		}
	}
	return txn.Delete(recordKey(o, c))
}

// Undo stages the changes that lead from the head that is held back to an
// earlier one of its epoch, or fails with [feed.ErrPruned] when something that
// they need was never held here, is older than [UndoLife], or was erased. What
// another staging area of the feed holds is dropped.
func (s *Store) Undo(o identity.OriginID, to *feed.SignedHead) (feed.Delta, error) {
	l := s.locks(o)
	l.write.Lock()
	defer l.write.Unlock()
	g, err := s.newRun(o, l)
	if err != nil {
		return nil, err
	}
	if err := s.undo(g, to); err != nil {
		l.run = 0
		return nil, errors.Join(fmt.Errorf("go back to head %d of %s: %w", to.N, o, err), s.dropStaging(o))
	}
	return g, nil
}

func (s *Store) undo(g *staging, to *feed.SignedHead) error {
	return s.view(func(txn *badger.Txn) error { return s.undoIn(txn, g, to) })
}

func (s *Store) undoIn(txn *badger.Txn, g *staging, to *feed.SignedHead) error {
	st, held, err := stateOf(txn, g.o)
	switch {
	case err != nil:
		return err
	case held == nil, to.Origin != g.o, to.Epoch != held.Epoch, to.N > held.N, to.Seq < st.Undo:
		return feed.ErrPruned
	}
	w := &undoWriter{g: g, txn: txn, to: to}
	if err := mergeUndo(txn, g.o, w.key); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.sum.close()
	if w.sum.count != to.Count || w.sum.bytes != to.Bytes || w.sum.leaves().Root() != to.Root {
		return feed.ErrPruned // a head that was only passed through: its records were never held
	}
	return nil
}

// mergeUndo calls f for each key that has an entry or undo entries, in order of
// bucket and key.
func mergeUndo(txn *badger.Txn, o identity.OriginID, f func(now feed.Change, undo []undoAt) error) error {
	entries, undos := iterate(txn, key(prefixEntry, o)), iterate(txn, key(prefixUndo, o))
	defer entries.Close()
	defer undos.Close()
	entries.Rewind()
	undos.Rewind()
	const head, tail = 1 + 16, 2 + 16 // where bucket and key stand
	for entries.Valid() || undos.Valid() {
		var at []byte
		if entries.Valid() {
			at = entries.Item().KeyCopy(nil)[head:]
		}
		if undos.Valid() {
			if u := undos.Item().Key()[head : head+tail]; at == nil || bytes.Compare(u, at) < 0 {
				at = bytes.Clone(u)
			}
		}
		var now feed.Change
		if entries.Valid() && bytes.Equal(entries.Item().Key()[head:], at) {
			if err := entries.Item().Value(func(b []byte) error { return decode(b, &now) }); err != nil {
				return err
			}
			entries.Next()
		}
		now.Key = feed.Key(at[2:])
		var undo []undoAt
		for ; undos.Valid() && bytes.Equal(undos.Item().Key()[head:head+tail], at); undos.Next() {
			item := undos.Item()
			if err := item.Value(func(b []byte) error {
				u, err := parseUndo(item.Key(), b)
				undo = append(undo, u)
				return err
			}); err != nil {
				return err
			}
		}
		if err := f(now, undo); err != nil {
			return err
		}
	}
	return nil
}

func iterate(txn *badger.Txn, prefix []byte) *badger.Iterator {
	opt := badger.DefaultIteratorOptions
	opt.PrefetchSize = 64
	opt.Prefix = prefix
	return txn.NewIterator(opt)
}

// undoWriter stages, key by key, how a feed was under an earlier head, and adds
// up what that gives.
type undoWriter struct {
	g   *staging
	txn *badger.Txn
	to  *feed.SignedHead

	batch []feed.Change
	sum   bucketHashes
}

func (w *undoWriter) key(now feed.Change, undo []undoAt) error {
	then, err := w.then(now, undo)
	if err != nil {
		return err
	}
	if then.Live() {
		w.sum.add(then)
	}
	if then.Op == 0 && now.Op != 0 { // came later
		then = feed.Change{Seq: max(w.to.Seq, 1), Key: now.Key, Op: feed.Delete}
	}
	if then == now {
		return nil
	}
	if w.batch = append(w.batch, then); len(w.batch) == foldItems {
		return w.flush()
	}
	return nil
}

// then is how a key stood; Op is zero when it was not there yet.
func (w *undoWriter) then(now feed.Change, undo []undoAt) (feed.Change, error) {
	none := feed.Change{Key: now.Key}
	then := now
	for _, u := range undo {
		if u.epoch == w.to.Epoch && u.seq > w.to.Seq {
			then = u.Old
			if u.erased() && u.Old.Seq <= w.to.Seq {
				return none, feed.ErrPruned
			}
			break
		}
	}
	if then.Op == 0 || then.Seq > w.to.Seq {
		return none, nil
	}
	if then.Live() && then != now {
		if _, err := w.txn.Get(recordKey(w.g.o, then)); errors.Is(err, badger.ErrKeyNotFound) {
			return none, feed.ErrPruned
		} else if err != nil {
			return none, err
		}
	}
	return then, nil
}

func (w *undoWriter) flush() error {
	err := w.g.s.update(func(txn *badger.Txn) error {
		for _, c := range w.batch {
			if err := set(txn, stagingKey(w.g.o, w.g.run, c.Key), c); err != nil {
				return err
			}
		}
		return nil
	})
	w.batch = w.batch[:0]
	return err
}

// Before are the records that stood under an id before the one that stands there, or
// stood there last, oldest first: what is kept for undoing. [feed.ErrPruned] where one
// of them is kept no more, was erased, or never was here; [feed.ErrNoRecord] for an id
// that nothing ever had.
func (s *Store) Before(id feed.Key) (records [][]byte, err error) {
	err = s.read(func(r *reading) error {
		txn := r.txn
		owner, fold, err := owned(r, id)
		if err != nil {
			return err
		}
		var c feed.Change
		ok := false
		if fold != 0 {
			ok, err = get(txn, stagingKey(owner.origin, fold, owner.key), &c)
		}
		if err == nil && !ok {
			ok, err = get(txn, entryKey(owner.origin, owner.key), &c)
		}
		if err != nil {
			return err
		}
		_, entries, err := undoOf(txn, owner.origin, owner.key)
		if err != nil {
			return err
		}
		if n := len(entries); !ok || (n == 0 || entries[n-1].seq != c.Seq) && !s.isFirst(txn, owner, c) {
			return feed.ErrPruned
		}
		for _, u := range entries {
			if !u.Old.Live() {
				continue
			}
			b, err := s.pack.read(txn, recordKey(owner.origin, u.Old))
			if u.erased() || err == nil && b == nil {
				return feed.ErrPruned
			}
			if err != nil {
				return err
			}
			records = append(records, b)
		}
		return nil
	})
	return records, err
}

// isFirst reports whether a change is a record's first version.
func (s *Store) isFirst(txn *badger.Txn, owner claim, c feed.Change) bool {
	if !c.Live() {
		return false
	}
	b, err := s.pack.read(txn, recordKey(owner.origin, c))
	if err != nil || b == nil {
		return false
	}
	r, err := feed.ParseRecord(b)
	return err == nil && r.Revision == 1
}
