package store

import (
	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/identity"
)

// recover finishes the steps that were visible when the process was killed, and
// drops the ones that were not, and what belongs to no feed that is held.
func (s *Store) recover() error {
	held, err := s.Origins()
	if err != nil {
		return err
	}
	known := make(map[identity.OriginID]bool)
	for _, o := range held {
		known[o] = true
		if err := s.fold(o); err != nil {
			return err
		}
	}
	staged, err := s.originsUnder(prefixStaging)
	if err != nil {
		return err
	}
	for _, o := range staged {
		if err := s.dropStaging(o); err != nil {
			return err
		}
	}
	for _, prefix := range []byte{prefixEntry, prefixFeed, prefixRecord, prefixUndo, prefixBucket, prefixHeads} {
		origins, err := s.originsUnder(prefix)
		if err != nil {
			return err
		}
		for _, o := range origins {
			if known[o] {
				continue
			}
			if err := s.walk(key(prefix, o), func(txn *badger.Txn, k, _ []byte) error { return txn.Delete(k) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// originsUnder are the origins that have keys with the prefix.
func (s *Store) originsUnder(prefix byte) (out []identity.OriginID, err error) {
	err = s.view(func(txn *badger.Txn) error {
		opt := badger.DefaultIteratorOptions
		opt.PrefetchValues = false
		opt.Prefix = key(prefix)
		it := txn.NewIterator(opt)
		defer it.Close()
		for it.Rewind(); it.Valid(); {
			k := it.Item().KeyCopy(nil)
			if len(k) < 17 {
				it.Next()
				continue
			}
			out = append(out, identity.OriginID(k[1:17]))
			it.Seek(after(k[:17]))
		}
		return nil
	})
	return out, err
}

// after is the first key that no longer begins with prefix.
func after(prefix []byte) []byte {
	next := append([]byte{}, prefix...)
	for i := len(next) - 1; i >= 0; i-- {
		if next[i]++; next[i] != 0 {
			return next[:i+1]
		}
	}
	return nil
}
