package store

import (
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/2ps-project/waymark/federation/identity"
)

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

// CounterSaved waits until the write counter's file says what is known.
func (s *Store) CounterSaved() {
	s.counter.mu.Lock()
	defer s.counter.mu.Unlock()
	for s.counter.saving {
		s.counter.idle.Wait()
	}
}

// Key is a key of the layout, by its letter and parts.
func Key(prefix byte, parts ...any) []byte { return key(prefix, parts...) }

// Forget drops what is computed and kept in memory, as a restart does.
func (s *Store) Forget(o identity.OriginID) { s.locks(o).leaves = nil }

// ParseCounter reads a counter's file and writes it again.
func ParseCounter(b []byte) (string, error) {
	c, err := parseCounter(string(b))
	return c.String(), err
}

// ReadLog reads a log of Badger's.
func ReadLog(b []byte) { readLog(b) }

// CheckTable checks a table of Badger's.
func CheckTable(path string) error {
	_, err := checkTable(path, options.None)
	_, err2 := checkTable(path, options.Snappy)
	return errors.Join(err, err2)
}

// ReadersWait sets how long compacting waits for readers, until what it returns is
// called.
func ReadersWait(d time.Duration) (back func()) {
	was := readersWait
	readersWait = d
	return func() { readersWait = was }
}
