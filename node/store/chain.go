package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Chain keeps the registry's entries, in order, as they were signed.
type Chain struct{ s *Store }

// Chain is the registry's chain of entries.
func (s *Store) Chain() *Chain { return &Chain{s} }

// Append keeps entry number seq. The first is number 1; a gap, or another entry
// under a number that is taken, is an error.
func (c *Chain) Append(seq uint64, entry []byte) error {
	if seq == 0 {
		return errors.New("registry entry 0: the first is number 1")
	}
	return c.s.update(func(txn *badger.Txn) error {
		old, err := raw(txn, key(prefixChain, seq))
		if err != nil {
			return err
		}
		if old != nil {
			if string(old) != string(entry) {
				return fmt.Errorf("registry entry %d: %w: another entry has this number", seq, ErrDamaged)
			}
			return nil
		}
		if seq > 1 {
			before, err := raw(txn, key(prefixChain, seq-1))
			if err != nil {
				return err
			}
			if before == nil {
				return fmt.Errorf("registry entry %d: the entry before is missing", seq)
			}
		}
		return txn.Set(key(prefixChain, seq), entry)
	})
}

// Truncate drops all entries after number last, as a recovery of the registry by
// its members may ask for.
func (c *Chain) Truncate(last uint64) error {
	for {
		end, err := c.Last()
		if err != nil || end <= last {
			return err
		}
		// From the end, so that no gap is left whenever this is cut short.
		if err := c.s.update(func(txn *badger.Txn) error {
			for n := end; n > last && end-n < 256; n-- {
				if err := txn.Delete(key(prefixChain, n)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("drop registry entry %d: %w", end, err)
		}
	}
}

// Entries are at most limit entries from number from on, in order.
func (c *Chain) Entries(from uint64, limit int) ([][]byte, error) {
	var out [][]byte
	err := c.s.view(func(txn *badger.Txn) error {
		return scanFrom(txn, key(prefixChain), key(prefixChain, from), true, func(item *badger.Item) error {
			if len(out) == limit {
				return errStop
			}
			b, err := item.ValueCopy(nil)
			out = append(out, b)
			return err
		})
	})
	return out, err
}

// Last is the number of the last entry; 0 when there is none.
func (c *Chain) Last() (last uint64, err error) {
	err = c.s.view(func(txn *badger.Txn) error {
		opt := badger.DefaultIteratorOptions
		opt.Reverse = true
		opt.PrefetchValues = false
		it := txn.NewIterator(opt)
		defer it.Close()
		it.Seek(key(prefixChain, ^uint64(0)))
		if it.ValidForPrefix(key(prefixChain)) {
			last = binary.BigEndian.Uint64(it.Item().Key()[1:])
		}
		return nil
	})
	return last, err
}
