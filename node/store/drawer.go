package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
)

// Limits of drawers, in bytes.
const (
	MaxDrawerName  = 32
	MaxDrawerKey   = 128
	MaxDrawerValue = 256 << 10
)

// Drawer keeps small values for another package, apart from all others.
type Drawer struct {
	s      *Store
	prefix []byte
}

// Drawer is the drawer of that name: 1 to [MaxDrawerName] bytes without a zero
// byte. Any other name is a fault of the program.
func (s *Store) Drawer(name string) *Drawer {
	if name == "" || len(name) > MaxDrawerName || strings.Contains(name, "\x00") {
		panic(fmt.Sprintf("store: a drawer cannot be called %q", name))
	}
	return &Drawer{s: s, prefix: append(append(key(prefixDrawer), name...), 0)}
}

// Reports is the drawer of readers' reports. It is apart from the named ones so
// that whoever copies the node's data can leave it out.
func (s *Store) Reports() *Drawer { return &Drawer{s: s, prefix: key(prefixReport)} }

func (d *Drawer) key(k []byte) []byte { return append(append([]byte{}, d.prefix...), k...) }

// Put keeps a value; it is on disk when Put returns. It fails with
// [feed.ErrTooLarge] for a key or value over the limits.
func (d *Drawer) Put(k, value []byte) error {
	if len(k) > MaxDrawerKey || len(value) > MaxDrawerValue {
		return fmt.Errorf("keep %d bytes under a key of %d: %w", len(value), len(k), feed.ErrTooLarge)
	}
	return d.s.updateOwn(func(txn *badger.Txn) error { return txn.Set(d.key(k), value) })
}

// Get is a copy of a value; false when there is none.
func (d *Drawer) Get(k []byte) (value []byte, ok bool, err error) {
	err = d.s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(d.key(k))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		ok = true
		value, err = item.ValueCopy(nil)
		return err
	})
	return value, ok, err
}

// Delete removes a value. It is not an error when there is none.
func (d *Drawer) Delete(k []byte) error {
	return d.s.updateOwn(func(txn *badger.Txn) error { return txn.Delete(d.key(k)) })
}

// Erase removes values as Delete does, and has the files compacted within days, so
// that they do not hold them any more either.
func (d *Drawer) Erase(keys ...[]byte) error {
	for batch := range slices.Chunk(keys, markItems) {
		if err := d.s.updateOwn(func(txn *badger.Txn) error {
			for _, k := range batch {
				if err := txn.Delete(d.key(k)); err != nil {
					return err
				}
			}
			return d.s.markErased(txn)
		}); err != nil {
			return err
		}
	}
	return nil
}

// Replace puts a value in the place of another one, which it erases.
func (d *Drawer) Replace(k, value []byte) error {
	if len(k) > MaxDrawerKey || len(value) > MaxDrawerValue {
		return fmt.Errorf("keep %d bytes under a key of %d: %w", len(value), len(k), feed.ErrTooLarge)
	}
	return d.s.updateOwn(func(txn *badger.Txn) error {
		if err := txn.Set(d.key(k), value); err != nil {
			return err
		}
		return d.s.markErased(txn)
	})
}

// Each calls f with every key and value, in order of key, until f returns an
// error, and returns that. The slices hold only during the call.
func (d *Drawer) Each(f func(k, value []byte) error) error {
	return d.s.view(func(txn *badger.Txn) error {
		return scan(txn, d.prefix, true, func(item *badger.Item) error {
			return item.Value(func(v []byte) error { return f(item.Key()[len(d.prefix):], v) })
		})
	})
}
