package store

import "github.com/dgraph-io/badger/v4"

// OnFold calls f before each batch that is folded in, counted from 0.
func (s *Store) OnFold(f func(batch int)) {
	n := 0
	s.beforeFold = func() error { f(n); n++; return nil }
}

// FailFold makes folding in fail with err from batch number n on; nil ends that.
func (s *Store) FailFold(n int, err error) {
	s.beforeFold = func() error {
		if n--; n < 0 {
			return err
		}
		return nil
	}
}

// Keys is how many keys of one kind there are, by its letter in keys.go.
func (s *Store) Keys(prefix byte) (n int, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		return scan(txn, []byte{prefix}, false, func(*badger.Item) error { n++; return nil })
	})
	return n, err
}

// Commit runs f in a transaction as writers do.
func (s *Store) Commit(f func(*badger.Txn) error) error { return s.commit(f) }
