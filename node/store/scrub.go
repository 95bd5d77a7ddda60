package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// rest is how long a scrub rests, in times of what the work before took: it
// uses at most a fifth of one core, and the disk as little.
const rest = 4

// Scrub reads every byte of a feed and checks that it adds up to the signed
// head: each record's hash, each bucket, root, count, bytes, and the lists beside
// them. It fails with [ErrRotten], and tells what is wrong, or with the error of
// ctx. It is slow on purpose.
func (s *Store) Scrub(ctx context.Context, o identity.OriginID) error {
	return s.scrub(ctx, o, rest)
}

func (s *Store) scrub(ctx context.Context, o identity.OriginID, rest int) (err error) {
	// A table that changes under an open database makes Badger panic, or the
	// system send a signal.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %s: a file cannot be read: %v", ErrRotten, o, r)
			s.setRotten(o, err)
		}
	}()
	fv, err := s.View(o)
	if errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %s: %w", ErrRotten, o, err)
		s.setRotten(o, err)
		return err
	}
	if err != nil {
		return err
	}
	defer fv.Close()
	v := fv.(*view)
	if v.head == nil {
		return nil
	}
	what, err := v.scrub(ctx, rest)
	if err != nil {
		return fmt.Errorf("check the stored feed %s: %w", o, err)
	}
	if what != "" {
		err = fmt.Errorf("%w: %s at head %d: %s", ErrRotten, o, v.head.N, what)
	}
	s.setRotten(o, err)
	return err
}

// scrub tells what is wrong; "" when nothing is.
func (v *view) scrub(ctx context.Context, rest int) (what string, err error) {
	entries, sum := 0, bucketHashes{}
	what, err = v.scrubEach(ctx, key(prefixEntry, v.o), rest, func(item *badger.Item) (string, error) {
		entries++
		return v.scrubEntry(item, &sum)
	})
	if what != "" || err != nil {
		return what, err
	}
	sum.close()
	if what := v.scrubSum(&sum); what != "" {
		return what, nil
	}
	listed := 0
	what, err = v.scrubEach(ctx, key(prefixFeed, v.o), rest, func(item *badger.Item) (string, error) {
		listed++
		return v.scrubListed(item.Key())
	})
	if what != "" || err != nil {
		return what, err
	}
	if listed != entries {
		return fmt.Sprintf("the list of changes has %d of %d entries", listed, entries), nil
	}
	env, err := raw(v.txn, key(prefixHeads, v.o, v.head.N))
	if err != nil {
		return "", err
	}
	if !bytes.Equal(env, v.head.Envelope) {
		return "the chain of heads does not end with the one that is shown", nil
	}
	return "", nil
}

// scrubEach calls f with every key until it finds something, and rests between.
func (v *view) scrubEach(ctx context.Context, prefix []byte, rest int, f func(*badger.Item) (string, error)) (what string, err error) {
	n, start := 0, time.Now()
	err = scan(v.txn, prefix, true, func(item *badger.Item) error {
		var err error
		if what, err = f(item); err != nil {
			return err
		}
		if what != "" {
			return errStop
		}
		if n++; n%batchItems == 0 {
			err = pause(ctx, time.Duration(rest)*time.Since(start))
			start = time.Now()
		}
		return err
	})
	if err == nil {
		err = ctx.Err()
	}
	return what, err
}

// scrubEntry checks an entry and its record.
func (v *view) scrubEntry(item *badger.Item, sum *bucketHashes) (what string, err error) {
	var c feed.Change
	if err := item.Value(func(b []byte) error { return identity.Unmarshal(b, &c) }); err != nil || !bytes.Equal(item.Key(), entryKey(v.o, c.Key)) {
		return "an entry cannot be read", nil
	}
	if !c.Live() {
		return "", nil
	}
	record, err := v.s.pack.read(v.txn, recordKey(v.o, c))
	switch {
	case errors.Is(err, errPacked):
		return fmt.Sprintf("the record %s is damaged", c.Key), nil
	case err != nil:
		return "", err
	case record == nil:
		return fmt.Sprintf("the record %s is missing", c.Key), nil
	}
	if _, err := feed.Check(c, record); err != nil {
		return fmt.Sprintf("the record %s is damaged", c.Key), nil
	}
	sum.add(c)
	return "", nil
}

// scrubListed checks that the list in order of sequence names an entry.
func (v *view) scrubListed(k []byte) (what string, err error) {
	if len(k) != 1+16+8+16 {
		return "a change of unknown place", nil
	}
	var c feed.Change
	seq, name := binary.BigEndian.Uint64(k[17:]), feed.Key(k[25:])
	ok, err := get(v.txn, entryKey(v.o, name), &c)
	if err != nil || !ok || c.Seq != seq {
		return fmt.Sprintf("the list of changes names %s at %d", name, seq), nil
	}
	return "", nil
}

func (v *view) scrubSum(sum *bucketHashes) string {
	for q, hash := range sum.leaves() {
		stored, err := raw(v.txn, key(prefixBucket, v.o, q))
		if err != nil {
			return fmt.Sprintf("the hash of bucket %d: %v", q, err)
		}
		if stored == nil && hash == feed.EmptyLeaves()[q] {
			continue
		}
		if !bytes.Equal(stored, hash[:]) {
			return fmt.Sprintf("bucket %d does not have the hash that was kept", q)
		}
	}
	switch {
	case sum.count != v.head.Count:
		return fmt.Sprintf("%d records, the head says %d", sum.count, v.head.Count)
	case sum.bytes != v.head.Bytes:
		return fmt.Sprintf("%d bytes, the head says %d", sum.bytes, v.head.Bytes)
	case sum.leaves().Root() != v.head.Root:
		return "the root differs"
	}
	return ""
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// scrubAll checks every feed at once, since something odd was seen.
func (s *Store) scrubAll(odd string) {
	if s.o.Logger != nil {
		s.o.Logger.Warn("the files of the database are not as they were left; every feed is checked", "seen", odd)
	}
	origins, err := s.Origins()
	for _, o := range origins {
		err = errors.Join(err, s.scrub(context.Background(), o, 0))
	}
	if err != nil {
		s.warn("a disk has damaged what is stored", err)
	}
}

// Rotten is nil, or what the last check of a feed found (wraps [ErrRotten]). It
// ends when a repair was applied or another check finds nothing.
func (s *Store) Rotten(o identity.OriginID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rotten[o]
}

// Mended reports whether a feed was repaired since the store was opened. The
// damaged file is still there then, and may refuse to be opened the next time.
func (s *Store) Mended() bool { return s.mended.Load() }

func (s *Store) setRotten(o identity.OriginID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.rotten, o)
		return
	}
	s.rotten[o] = err
}

// noteRotten marks a feed whose record did not match its hash when it was read.
func (s *Store) noteRotten(o identity.OriginID, err error) {
	if errors.Is(err, ErrRotten) {
		s.setRotten(o, err)
	}
}
