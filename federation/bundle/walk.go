package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/registry"
)

// visitor is told what stands in a bundle, in order.
type visitor interface {
	manifest(*Manifest) error
	// head is told of each head of the registry, oldest first.
	head(envelope []byte) error
	// entry is told of each entry, from number 1 on. The bytes are kept by
	// nobody else.
	entry(seq uint64, entry []byte) error
	item(item []byte) error
	// registered is told that the registry and the docket are through.
	registered() error
	// feed is told of each feed. What it leaves unread is read and checked
	// after it returns.
	feed(i int, s *section) error
}

// errStop ends a walk early, without a fault.
var errStop = errors.New("far enough")

// walk reads a bundle from its beginning to its end.
func walk(ctx context.Context, file io.Reader, moved func(int64), v visitor) error {
	r, err := newReader(file, moved)
	if err != nil {
		return err
	}
	defer r.close()
	m, err := r.manifest()
	if err != nil {
		return err
	}
	if err := v.manifest(m); err != nil {
		return err
	}
	if err := walkRegistry(ctx, r, m, v); err != nil {
		return err
	}
	if err := v.registered(); err != nil {
		return err
	}
	for i := range m.Feeds {
		s, err := openSection(ctx, r, &m.Feeds[i])
		if err == nil {
			err = v.feed(i, s)
		}
		if err == nil {
			err = s.drain()
		}
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the feed of %s: %w", m.Feeds[i].Country, err)
		}
	}
	return r.end(m)
}

// walkRegistry reads the registry's heads and entries, and the docket.
func walkRegistry(ctx context.Context, r *reader, m *Manifest, v visitor) error {
	if err := list(ctx, r, partRegistry, maxRotation+1, maxRotation*registry.MaxHead, v.head); err != nil {
		return err
	}
	size := 0
	for seq := uint64(1); seq <= m.Registry.Seq; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var e entries
		if err := r.part(partEntries, &e); err != nil {
			return err
		}
		if e.From != seq || len(e.Entries) == 0 || uint64(len(e.Entries)) > m.Registry.Seq-seq+1 {
			return fmt.Errorf("%w: %d entries of the registry from %d on, expected from %d to %d", ErrPart, len(e.Entries), e.From, seq, m.Registry.Seq)
		}
		for _, b := range e.Entries {
			if size += len(b); size > maxRegistry {
				return fmt.Errorf("%w: a registry of more than %d bytes", ErrTooLarge, maxRegistry)
			}
			if err := v.entry(seq, b); err != nil {
				return fmt.Errorf("entry %d of the registry: %w", seq, err)
			}
			seq++
		}
	}
	return list(ctx, r, partItems, maxItems, maxDocket, v.item)
}

// list reads parts of one kind for as long as they come.
func list(ctx context.Context, r *reader, k kind, most, mostBytes int, take func([]byte) error) error {
	n, size := 0, 0
	for {
		next, err := r.peek()
		if err != nil || next != k {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		var values [][]byte
		if err := r.part(k, &values); err != nil {
			return err
		}
		for _, b := range values {
			n++
			if size += len(b); n > most || size > mostBytes {
				return fmt.Errorf("%w: more than %d in %d bytes in parts %d", ErrTooLarge, most, mostBytes, k)
			}
			if err := take(b); err != nil {
				return err
			}
		}
	}
}

// section is one feed as it is read. Its heads are there at once; its changes
// can be read a single time.
type section struct {
	Feed
	ctx   context.Context
	r     *reader
	heads [][]byte
	head  *feed.SignedHead // the last of heads: the feed's

	part    []record // not yet read of the part at hand
	last    feed.Key
	changes uint64
	bytes   uint64
}

func openSection(ctx context.Context, r *reader, f *Feed) (*section, error) {
	var n named
	if err := r.part(partFeed, &n); err != nil {
		return nil, err
	}
	if n.Origin != f.Origin {
		return nil, fmt.Errorf("%w: the feed of another origin, %s", ErrPart, n.Origin)
	}
	s := &section{Feed: *f, ctx: ctx, r: r}
	if err := list(ctx, r, partHeads, maxChain/64, maxChain, s.link); err != nil {
		return nil, err
	}
	h := s.head
	if h == nil {
		return nil, fmt.Errorf("%w: no head", ErrPart)
	}
	if h.Origin != f.Origin || h.Place() != f.Place || h.Seq != f.Seq || f.Whole() && (h.Count != f.Changes || h.Bytes != f.Bytes) {
		return nil, fmt.Errorf("%w: head %d is another than the one named", ErrPart, h.N)
	}
	return s, nil
}

// link takes the next head of the chain, oldest first.
func (s *section) link(envelope []byte) error {
	h, err := feed.ParseHead(envelope)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	if s.head != nil && h.Prev != s.head.Hash {
		return fmt.Errorf("%w: head %d does not follow from the one before it", ErrPart, h.N)
	}
	s.heads, s.head = append(s.heads, envelope), h
	return nil
}

// items yields the changes that are left, each checked against its record. An
// error ends it.
func (s *section) items(yield func(feed.Item, error) bool) {
	for {
		item, ok, err := s.next()
		if err != nil {
			yield(feed.Item{}, err)
			return
		}
		if !ok || !yield(item, nil) {
			return
		}
	}
}

// next is the next change; false after the last.
func (s *section) next() (feed.Item, bool, error) {
	for len(s.part) == 0 {
		if s.changes == s.Changes {
			if s.bytes != s.Bytes {
				return feed.Item{}, false, fmt.Errorf("%w: %d bytes of records, %d are named", ErrPart, s.bytes, s.Bytes)
			}
			return feed.Item{}, false, nil
		}
		if err := s.ctx.Err(); err != nil {
			return feed.Item{}, false, err
		}
		if err := s.r.part(partChanges, &s.part); err != nil {
			return feed.Item{}, false, err
		}
	}
	r := s.part[0]
	s.part = s.part[1:]
	item, err := feed.Check(r.Change, r.Record)
	if err != nil {
		return feed.Item{}, false, fmt.Errorf("%w: %w", ErrContent, err)
	}
	s.bytes += uint64(r.Change.Size)
	switch {
	case s.changes > 0 && order(s.last, r.Change.Key) >= 0:
		err = fmt.Errorf("%w: record %s is out of order", ErrPart, r.Change.Key)
	case s.changes == s.Changes || s.bytes > s.Bytes:
		err = fmt.Errorf("%w: more than the %d changes of %d bytes that are named", ErrPart, s.Changes, s.Bytes)
	case r.Change.Seq > s.Seq || s.Whole() && !r.Change.Live():
		err = fmt.Errorf("%w: change %d does not belong to head %d", ErrPart, r.Change.Seq, s.Place.N)
	}
	s.changes++
	s.last = r.Change.Key
	return item, err == nil, err
}

// drain reads and checks what is left.
func (s *section) drain() error {
	for _, err := range s.items {
		if err != nil {
			return err
		}
	}
	return nil
}
