package feed

import (
	"bytes"
	"fmt"

	"github.com/2ps-project/waymark/federation/identity"
)

// tally is what a feed adds up to after a delta.
type tally struct {
	view View
	all  bool // every bucket is counted again, as what is held may be damaged

	next         int // the bucket to look at next, when all are
	sum          Leaves
	leaves       map[int]identity.Hash // of the buckets that change, or all
	count, bytes uint64
	seq          uint64 // the highest in the delta
	oldest       uint64 // the lowest number of a record that is put newly
	changed      uint64 // keys that have another record than before, or none
	erased       int
}

// tallyOf applies a delta to what a view holds. With all set nothing is taken
// from the head and the leaves of the view.
func tallyOf(view View, delta Delta, all bool) (*tally, error) {
	t := &tally{view: view, all: all, leaves: make(map[int]identity.Hash), oldest: maxSeq}
	if !all {
		if h := view.Head(); h != nil {
			t.count, t.bytes = h.Count, h.Bytes
		}
		held, err := view.Leaves()
		if err != nil {
			return nil, err
		}
		t.sum = *held
		if h := view.Head(); h != nil && t.sum.Root() != h.Root {
			return nil, fmt.Errorf("%w: head %d", ErrDamaged, h.N)
		}
	}
	bucket, pending := -1, []Change(nil)
	for c, err := range delta.Changes {
		if err != nil {
			return nil, err
		}
		if err := c.check(); err != nil {
			return nil, err
		}
		q := c.Key.Bucket()
		if q < bucket || q == bucket && len(pending) > 0 && bytes.Compare(pending[len(pending)-1].Key[:], c.Key[:]) >= 0 {
			return nil, fmt.Errorf("%w: changes out of order at %s", identity.ErrMalformed, c.Key)
		}
		if q != bucket {
			if err := t.bucket(bucket, pending); err != nil {
				return nil, err
			}
			bucket, pending = q, pending[:0]
		}
		pending = append(pending, c)
		t.seq = max(t.seq, c.Seq)
		if c.Op == Erase {
			t.erased++
		}
	}
	if err := t.bucket(bucket, pending); err != nil {
		return nil, err
	}
	if all {
		if err := t.untouched(Buckets); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// bucket applies the changes of bucket q.
func (t *tally) bucket(q int, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	if t.all {
		if err := t.untouched(q); err != nil {
			return err
		}
		t.next = q + 1
	}
	base, err := t.base(q)
	if err != nil {
		return err
	}
	if !t.all && BucketHash(q, base) != t.sum[q] {
		return fmt.Errorf("%w: bucket %d", ErrDamaged, q) // what is lost here must not become a deletion
	}
	merged := t.merge(base, changes)
	if len(merged) > MaxBucket {
		return fmt.Errorf("bucket %d: %w: %d records, at most %d", q, ErrTooLarge, len(merged), MaxBucket)
	}
	t.sum[q] = BucketHash(q, merged)
	t.leaves[q] = t.sum[q]
	return nil
}

// untouched counts the buckets before q that no change is in.
func (t *tally) untouched(q int) error {
	for ; t.next < q; t.next++ {
		base, err := t.base(t.next)
		if err != nil {
			return err
		}
		t.sum[t.next] = BucketHash(t.next, base)
		t.leaves[t.next] = t.sum[t.next]
	}
	return nil
}

func (t *tally) base(q int) ([]Change, error) {
	base, err := t.view.Bucket(q)
	if err != nil || !t.all {
		return base, err
	}
	for _, c := range base {
		t.count++
		t.bytes += uint64(c.Size)
	}
	return base, nil
}

// fits compares the sum with what a head says.
func (t *tally) fits(head *SignedHead) error {
	switch {
	case t.seq > head.Seq:
		return fmt.Errorf("%w: a change numbered %d under a head that ends at %d", ErrRoot, t.seq, head.Seq)
	case t.count != head.Count:
		return fmt.Errorf("%w: %d records, the head says %d", ErrRoot, t.count, head.Count)
	case t.bytes != head.Bytes:
		return fmt.Errorf("%w: %d bytes, the head says %d", ErrRoot, t.bytes, head.Bytes)
	case t.sum.Root() != head.Root:
		return fmt.Errorf("%w: the root differs", ErrRoot)
	}
	return nil
}

// fresh checks that what changes has numbers of its own, after those of the held
// head: else the number of changes that a head admits would mean nothing, and
// who asks for the changes since a number would miss some.
func (t *tally) fresh(held, head *SignedHead) error {
	switch {
	case t.changed > head.Seq-held.Seq:
		return fmt.Errorf("%w: %d records changed, the head admits %d", ErrRoot, t.changed, head.Seq-held.Seq)
	case t.oldest <= held.Seq:
		return fmt.Errorf("%w: a new record with the number %d, which was used before", ErrRoot, t.oldest)
	}
	return nil
}

// merge applies the changes of one bucket to its live entries and keeps count.
func (t *tally) merge(base, changes []Change) []Change {
	out := make([]Change, 0, len(base)+len(changes))
	for len(base) > 0 || len(changes) > 0 {
		order := 1 // which side comes first: -1 base, 0 the same key, 1 changes
		switch {
		case len(changes) == 0:
			order = -1
		case len(base) > 0:
			order = bytes.Compare(base[0].Key[:], changes[0].Key[:])
		}
		if order < 0 {
			out, base = append(out, base[0]), base[1:]
			continue
		}
		c := changes[0]
		if order == 0 {
			t.count--
			t.bytes -= uint64(base[0].Size)
		}
		switch {
		case order == 0 && c == base[0]: // as it was
		case c.Live():
			t.changed++
			t.oldest = min(t.oldest, c.Seq)
		case order == 0:
			t.changed++
		}
		if order == 0 {
			base = base[1:]
		}
		if c.Live() {
			t.count++
			t.bytes += uint64(c.Size)
			out = append(out, c)
		}
		changes = changes[1:]
	}
	return out
}
