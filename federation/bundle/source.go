package bundle

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/2ps-project/waymark/federation/feed"
)

// What is written as one part, and what a difference may come to before the
// whole feed is written instead: its changes are sorted in memory.
const (
	chunkBytes = 512 << 10
	chunkItems = 4096
	maxChanged = 1 << 16
)

// source is one feed on its way into a bundle.
type source struct {
	view    feed.StoreView
	head    *feed.SignedHead
	changes []feed.Change // of a difference, ordered by bucket and key
}

// since makes the feed a difference from an earlier head, if that can be: the
// head is one of this feed, its deletions since are still listed, and the
// changes are not so many that the whole is the better answer.
func (s *source) since(base Feed, f *Feed) error {
	if base.Place.Epoch != f.Place.Epoch || f.Place.Before(base.Place) {
		return nil
	}
	heads, err := s.view.Heads(base.Place.N, 1)
	if err != nil || len(heads) == 0 {
		return err
	}
	if h, err := feed.ParseHead(heads[0]); err != nil || h.Place() != base.Place || h.Seq != base.Seq {
		return nil
	}
	var changes []feed.Change
	size, most := uint64(0), min(maxChanged, 1000+f.Changes/2)
	if base.Place != f.Place {
		err = s.view.Since(base.Seq, false, func(c feed.Change, _ []byte) bool {
			changes = append(changes, c)
			size += uint64(c.Size)
			return uint64(len(changes)) <= most
		})
	}
	switch {
	case errors.Is(err, feed.ErrPruned) || uint64(len(changes)) > most:
		return nil
	case err != nil:
		return err
	}
	slices.SortFunc(changes, func(a, b feed.Change) int { return order(a.Key, b.Key) })
	s.changes = changes
	f.Base, f.Changes, f.Bytes = base.Place, uint64(len(changes)), size
	return nil
}

// order is the order of changes: by bucket, then by key.
func order(a, b feed.Key) int {
	return cmp.Or(cmp.Compare(a.Bucket(), b.Bucket()), bytes.Compare(a[:], b[:]))
}

// write writes the heads and the changes of a feed.
func (s *source) write(ctx context.Context, out *writer, f Feed) error {
	heads, err := s.chain(f)
	if err != nil {
		return err
	}
	parts := chunks[[]byte]{out: out, kind: partHeads, size: func(b []byte) int { return len(b) }}
	for _, h := range heads {
		if err := parts.add(h); err != nil {
			return err
		}
	}
	if err := parts.flush(); err != nil {
		return err
	}
	changes := chunks[record]{out: out, kind: partChanges, size: func(r record) int { return 128 + len(r.Record) }}
	put := func(list []feed.Change) error {
		for _, c := range list {
			r := record{Change: c}
			if c.Live() {
				have, raw, err := s.view.Record(c.Key)
				if err != nil {
					return err
				}
				if have != c {
					return fmt.Errorf("record %s: %w", c.Key, feed.ErrMismatch)
				}
				r.Record = raw
			}
			if err := changes.add(r); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	if !f.Whole() {
		if err := put(s.changes); err != nil {
			return err
		}
		return changes.flush()
	}
	for q := range feed.Buckets {
		list, err := s.view.Bucket(q)
		if err == nil {
			err = put(list)
		}
		if err != nil {
			return err
		}
	}
	return changes.flush()
}

// chain are the heads that lead to the feed's head, as far back as they are held
// and fit: those who hold an older state connect through them.
func (s *source) chain(f Feed) ([][]byte, error) {
	const most = maxChain / 256 // a head has about 300 bytes
	from := uint64(1)
	if s.head.N > most {
		from = s.head.N - most
	}
	if !f.Whole() {
		from = max(from, min(f.Base.N+1, s.head.N))
	}
	held, err := s.view.Heads(from, most+1)
	if err != nil {
		return nil, err
	}
	heads, next, size := [][]byte{s.head.Envelope}, s.head, len(s.head.Envelope)
	for _, env := range slices.Backward(held) {
		h, err := feed.ParseHead(env)
		if err != nil {
			return nil, err
		}
		if h.Hash == s.head.Hash {
			continue
		}
		if size += len(env); h.Hash != next.Prev || size > maxChain {
			break
		}
		heads, next = append(heads, env), h
	}
	slices.Reverse(heads)
	return heads, nil
}

// chunks gathers values into parts of a fair size.
type chunks[T any] struct {
	out  *writer
	kind kind
	size func(T) int

	list  []T
	bytes int
}

func (c *chunks[T]) add(v T) error {
	if n := c.size(v); len(c.list) > 0 && (c.bytes+n > chunkBytes || len(c.list) == chunkItems) {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.list = append(c.list, v)
	c.bytes += c.size(v)
	return nil
}

func (c *chunks[T]) flush() error {
	if len(c.list) == 0 {
		return nil
	}
	err := c.out.part(c.kind, c.list)
	clear(c.list)
	c.list, c.bytes = c.list[:0], 0
	return err
}
