package store

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Find is where the record with an id stands: its origin and the change that put
// it there. It reads no record, and says nothing of whether it can be read.
// [feed.ErrNoRecord] when there is none.
func (s *Store) Find(id feed.Key) (o identity.OriginID, c feed.Change, err error) {
	err = s.read(func(r *reading) error {
		owner, fold, err := owned(r, id)
		if err != nil {
			return err
		}
		o = owner.origin
		c, err = changeOf(r.txn, o, owner.key, fold)
		return err
	})
	return o, c, err
}

// Version changes with every step of any feed. What [Store.Find] answered holds as
// long as the version is the one that was read before it was asked.
func (s *Store) Version() uint64 { return s.version.Load() }

// claim is the record that an id belongs to.
type claim struct {
	origin identity.OriginID
	key    feed.Key
}

// owned is the record that an id belongs to, and the run of its feed that readers
// follow.
func owned(r *reading, id feed.Key) (owner claim, fold uint64, err error) {
	b, err := raw(r.txn, key(prefixID, id))
	if err != nil {
		return owner, 0, err
	}
	if len(b) != 32 {
		return owner, 0, feed.ErrNoRecord
	}
	owner = claim{identity.OriginID(b[:16]), feed.Key(b[16:])}
	fold, ok, err := r.fold(owner.origin)
	if err != nil || !ok {
		return owner, 0, errors.Join(err, feed.ErrNoRecord)
	}
	return owner, fold, nil
}

// Record finds a record by the id under which it is known here, or fails with
// [feed.ErrNoRecord]. It never waits for a writer.
func (s *Store) Record(id feed.Key) (o identity.OriginID, c feed.Change, record []byte, err error) {
	err = s.read(func(r *reading) error {
		owner, fold, err := owned(r, id)
		if err != nil {
			return err
		}
		o = owner.origin
		c, record, err = s.recordOf(r.txn, o, owner.key, fold)
		return err
	})
	s.noteRotten(o, err)
	return o, c, record, err
}

// ShownID is the id under which an origin's record is known here.
func (s *Store) ShownID(o identity.OriginID, k feed.Key) (feed.Key, error) {
	id := k
	err := s.read(func(r *reading) error {
		owner, err := raw(r.txn, key(prefixID, k))
		if err == nil && len(owner) == 32 && identity.OriginID(owner[:16]) != o {
			id = s.o.Alias(o, k)
		}
		return err
	})
	return id, err
}

// changeOf is the change that put a living record where it is, or
// [feed.ErrNoRecord].
func changeOf(txn *badger.Txn, o identity.OriginID, k feed.Key, fold uint64) (c feed.Change, err error) {
	ok := false
	if fold != 0 {
		ok, err = get(txn, stagingKey(o, fold, k), &c)
	}
	if err == nil && !ok {
		ok, err = get(txn, entryKey(o, k), &c)
	}
	if err == nil && (!ok || !c.Live()) {
		err = feed.ErrNoRecord
	}
	return c, err
}

// recordOf reads one record, from the staging run that is being folded in or
// from where it stands.
func (s *Store) recordOf(txn *badger.Txn, o identity.OriginID, k feed.Key, fold uint64) (feed.Change, []byte, error) {
	c, err := changeOf(txn, o, k, fold)
	if err != nil {
		return c, nil, err
	}
	b, err := s.pack.read(txn, recordKey(o, c))
	if err != nil && !errors.Is(err, errPacked) {
		return c, nil, err
	}
	if err != nil || len(b) != int(c.Size) || feed.HashRecord(b) != c.Hash {
		return c, nil, fmt.Errorf("%w: %s: the record %s is missing or damaged", ErrRotten, o, k)
	}
	return c, b, nil
}

// Beat is the newest beat that was kept; nil when there is none.
func (s *Store) Beat(o identity.OriginID) (b *feed.SignedBeat, err error) {
	err = s.read(func(r *reading) error {
		env, err := raw(r.txn, key(prefixBeat, o))
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
