package feed

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/2ps-project/waymark/federation/identity"
)

// Op says what a change does to its key.
type Op uint8

// The operations of a feed. Erase is a deletion that also drops every copy kept
// for undoing.
const (
	Put    Op = 1
	Delete Op = 2
	Erase  Op = 3
)

// Change is one step of a feed: at Seq, Key got the record with this hash, or
// lost what it had.
type Change struct {
	_    struct{} `cbor:",toarray"`
	Seq  uint64
	Key  Key
	Op   Op
	Hash identity.Hash // zero unless Op is Put
	Size uint32        // bytes of the encoded record; zero unless Op is Put
}

// Live reports whether the key has a record after the change.
func (c Change) Live() bool { return c.Op == Put }

func (c Change) check() error {
	switch c.Op {
	case Put:
		if c.Size == 0 || c.Size > MaxRecord {
			return fmt.Errorf("change %d: %w: a record of %d bytes", c.Seq, ErrTooLarge, c.Size)
		}
	case Delete, Erase:
		if c.Size != 0 || c.Hash != (identity.Hash{}) {
			return fmt.Errorf("change %d: %w: a deletion with a record", c.Seq, identity.ErrMalformed)
		}
	default:
		return fmt.Errorf("change %d: %w: unknown operation %d", c.Seq, identity.ErrMalformed, c.Op)
	}
	if c.Seq == 0 || c.Seq > maxSeq {
		return fmt.Errorf("change: %w: sequence number %d", identity.ErrMalformed, c.Seq)
	}
	return nil
}

// Item is a change together with the record that it puts, if any. Only this
// package makes items, and only after the record proved to be the one that the
// change names.
type Item struct {
	change Change
	raw    []byte
}

// Check makes an item of a change and the bytes that came with it.
func Check(c Change, raw []byte) (Item, error) {
	if err := c.check(); err != nil {
		return Item{}, err
	}
	if !c.Live() {
		if len(raw) != 0 {
			return Item{}, fmt.Errorf("change %d: %w: a deletion with a record", c.Seq, identity.ErrMalformed)
		}
		return Item{change: c}, nil
	}
	if len(raw) != int(c.Size) || HashRecord(raw) != c.Hash {
		return Item{}, fmt.Errorf("record %s: %w", c.Key, ErrMismatch)
	}
	r, err := ParseRecord(raw)
	if err != nil {
		return Item{}, err
	}
	if r.Key != c.Key {
		return Item{}, fmt.Errorf("record %s: %w: it stands under the key %s", r.Key, ErrMismatch, c.Key)
	}
	return Item{change: c, raw: raw}, nil
}

// Change is what the item does.
func (i Item) Change() Change { return i.change }

// Raw is the encoded record; nil for deletions. It must not be modified.
func (i Item) Raw() []byte { return i.raw }

// Items are changes held in memory. They are a [Delta] once sorted by Sort.
type Items []Item

// Sort orders items by bucket and key, keeping of each key only the latest
// change, and returns the result.
func (s Items) Sort() Items {
	slices.SortStableFunc(s, func(a, b Item) int {
		return cmp.Or(
			cmp.Compare(a.change.Key.Bucket(), b.change.Key.Bucket()),
			bytes.Compare(a.change.Key[:], b.change.Key[:]),
			cmp.Compare(b.change.Seq, a.change.Seq),
		)
	})
	return slices.CompactFunc(s, func(a, b Item) bool { return a.change.Key == b.change.Key })
}

// Changes yields the changes in the order of Sort.
func (s Items) Changes(yield func(Change, error) bool) {
	for _, i := range s {
		if !yield(i.change, nil) {
			return
		}
	}
}
