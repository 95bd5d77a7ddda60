package catalog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/search"
)

// rebuildBatch is how many documents are indexed at once when all are.
const rebuildBatch = 2000

// follow brings a step into the index: all of it at once, but for a first copy,
// which is better found in part than not at all.
func (c *Catalog) follow(v *feed.Verified, changes []staged) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	country := c.o.Country(v.Origin())
	if country == "" {
		return nil
	}
	var batch search.Batch
	var touched []spot
	take := func(change feed.Change, raw []byte) error {
		at := spot{v.Origin(), change.Key}
		record := parse(raw)
		touched = append(touched, c.note(c.side.Load(), at, record)...)
		return c.takeChange(&batch, c.side.Load(), country, at, change.Op, record)
	}
	apply := func() error {
		if err := c.o.Index.Apply(batch); err != nil {
			return err
		}
		c.heads[v.Origin()] = indexed{country, v.Head()}
		return c.index(context.Background(), touched) // short: overlays only
	}
	if items, ok := v.Delta().(feed.Items); ok {
		for _, i := range items {
			if err := take(i.Change(), i.Raw()); err != nil {
				return err
			}
		}
		return apply()
	}
	view, err := c.o.Store.View(v.Origin())
	if err != nil {
		return err
	}
	defer view.Close()
	if v.Base() == (identity.Hash{}) {
		if touched, err = c.fill(view, country, c.side.Load(), nil); err != nil {
			return err
		}
		c.heads[v.Origin()] = indexed{country, view.Head()}
		return c.index(context.Background(), touched)
	}
	if batch, touched, err = c.batch(view, country, changes); err != nil {
		return err
	}
	return apply()
}

// buildBatch is how many listings of a large step one processor makes into a part of
// the index at once, some 40 MiB of memory: enough that the part goes into a file.
// Tests lower it.
var buildBatch = 4096

// indexers is how many batches are made ready for the index at the same time. It
// bounds the memory that they take.
func indexers() int { return min(runtime.GOMAXPROCS(0), 4) }

// staged is what a change of a large step is about: of so many no more is remembered.
type staged struct {
	key feed.Key
	op  feed.Op
}

// batch makes ready for the index what a large step changes, to be shown all at
// once. It returns also the listings about which its overlays speak.
func (c *Catalog) batch(view feed.StoreView, country string, changes []staged) (out search.Batch, touched []spot, err error) {
	type part struct {
		search.Batch
		overlays []unread
	}
	s, origin := c.side.Load(), view.Head().Origin
	each := max(1, min(buildBatch, (len(changes)+indexers()-1)/indexers()))
	parts := make([]part, (len(changes)+each-1)/each)
	work, ctx := errgroup.WithContext(context.Background())
	work.SetLimit(indexers())
	for i := range parts {
		work.Go(func() error {
			p := &parts[i]
			var records []unread
			for _, change := range changes[i*each : min((i+1)*each, len(changes))] {
				if err := ctx.Err(); err != nil {
					return err
				}
				_, raw, err := view.Record(change.key)
				if err != nil && !errors.Is(err, feed.ErrNoRecord) {
					return err
				}
				r := unread{spot{origin, change.key}, raw, change.op}
				records = append(records, r)
				if _, was := s.target(r.at); was || bytes.Contains(raw, overlayMark) {
					p.overlays = append(p.overlays, r)
				}
			}
			made, err := c.read(records, country, s)
			if err != nil {
				return err
			}
			built, err := c.o.Index.Build(made.Put)
			p.Batch = search.Batch{Built: []search.Built{built}, Delete: made.Delete, Erase: made.Erase}
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return out, nil, err
	}
	for _, p := range parts { // overlays in their order: of too many about one listing the first ones count
		out.Built = append(out.Built, p.Built...)
		out.Delete = append(out.Delete, p.Delete...)
		out.Erase = append(out.Erase, p.Erase...)
		for _, r := range p.overlays {
			touched = append(touched, c.note(s, r.at, parse(r.raw))...)
		}
	}
	return out, touched, nil
}

// parse reads a record; nil when there is none, or none that can be read.
func parse(raw []byte) *feed.Record {
	if raw == nil {
		return nil
	}
	r, err := feed.ParseRecord(raw)
	if err != nil {
		return nil
	}
	return &r
}

// takeChange is take for a change that may be an erasure.
func (c *Catalog) takeChange(batch *search.Batch, s *side, country string, at spot, op feed.Op, record *feed.Record) error {
	var own search.Batch
	if err := c.take(&own, s, country, at, record); err != nil {
		return err
	}
	batch.Put = append(batch.Put, own.Put...)
	if op == feed.Erase {
		batch.Erase = append(batch.Erase, own.Delete...)
	} else {
		batch.Delete = append(batch.Delete, own.Delete...)
	}
	return nil
}

// take puts into a batch what the index is to know of one record from now on.
func (c *Catalog) take(batch *search.Batch, s *side, country string, at spot, record *feed.Record) error {
	if country == "" {
		s.setHidden(at.key, at, false)
		s.setCompanions(at, nil)
		return nil // Rebuild takes out what the index still has
	}
	id, err := c.o.Store.ShownID(at.origin, at.key)
	if err != nil {
		return err
	}
	if id != at.key {
		s.setAlias(uuid.UUID(id), at)
	}
	ref := search.Ref{Country: country, ID: uuid.UUID(id).String()}
	l := c.toBeFound(country, ref.ID, record)
	s.setCompanions(at, companions(l))
	ok := l != nil
	if ok {
		_, hidden := c.hiding(s, at)
		ok = !hidden
		s.setHidden(id, at, hidden)
	} else {
		s.setHidden(id, at, false)
	}
	if ok {
		batch.Put = append(batch.Put, c.document(country, ref.ID, record, l, c.inDoubt(s, at)))
	} else {
		batch.Delete = append(batch.Delete, ref)
		c.shown.drop(id)
	}
	return nil
}

// fill indexes a whole feed. It returns the listings about which its overlays
// speak, and adds to seen, unless that is nil, the ids that it indexed.
//
// One goroutine reads, the others make documents and index them.
func (c *Catalog) fill(view feed.StoreView, country string, s *side, seen map[uuid.UUID]bool) (touched []spot, err error) {
	work, ctx := errgroup.WithContext(context.Background())
	records := make(chan []unread)
	work.Go(func() (err error) {
		defer close(records)
		touched, err = c.unread(ctx, view, s, records)
		return err
	})
	var mu sync.Mutex // guards seen
	for range indexers() {
		work.Go(func() error {
			for batch := range records {
				made, err := c.read(batch, country, s)
				if err != nil {
					return err
				}
				if seen != nil {
					mu.Lock()
					for _, d := range made.Put {
						seen[uuid.MustParse(d.ID)] = true // written by take
					}
					mu.Unlock()
				}
				// What is not shown is not in the index, or Rebuild finds it.
				if err := c.o.Index.Apply(search.Batch{Put: made.Put}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = work.Wait()
	return touched, err
}

// unread sends the records of a feed in batches, but for its overlays: those are
// noted, and what they speak about is returned.
func (c *Catalog) unread(ctx context.Context, view feed.StoreView, s *side, to chan<- []unread) (touched []spot, err error) {
	var pending []unread
	err = view.Since(0, true, func(change feed.Change, raw []byte) bool {
		at := spot{view.Head().Origin, change.Key}
		if bytes.Contains(raw, overlayMark) {
			if record := parse(raw); record != nil && record.Type == TypeOverlay {
				touched = append(touched, c.note(s, at, record)...)
				return true
			}
		}
		pending = append(pending, unread{at, raw, change.Op})
		if len(pending) < rebuildBatch {
			return true
		}
		batch := pending
		pending = nil
		return send(ctx, to, batch)
	})
	if err == nil && len(pending) > 0 {
		send(ctx, to, pending)
	}
	return touched, err
}

// send is false when whoever waits has given up.
func send[T any](ctx context.Context, to chan<- T, v T) bool {
	select {
	case to <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

// overlayMark is in the bytes of every record of that type, and of few others: so
// that all others are parsed once, and not here.
var overlayMark = []byte(TypeOverlay)

// unread is a record on its way into the index.
type unread struct {
	at  spot
	raw []byte // nil when there is none any more
	op  feed.Op
}

// read makes documents of records.
func (c *Catalog) read(records []unread, country string, s *side) (out search.Batch, err error) {
	for _, r := range records {
		if err := c.takeChange(&out, s, country, r.at, r.op, parse(r.raw)); err != nil {
			return out, err
		}
	}
	return out, nil
}

// Progress tells how far a rebuild is: listings read, of so many.
type Progress func(done, total int)

// Rebuild makes the index what the store is: what is shown is in it, and
// nothing else. Searches go on meanwhile over what is there. Progress may be
// nil.
func (c *Catalog) Rebuild(ctx context.Context, progress Progress) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rebuildAll(ctx, progress)
}

// rebuildAll is Rebuild for who holds mu.
func (c *Catalog) rebuildAll(ctx context.Context, progress Progress) error {
	c.lost.Store(false)
	c.o.Index.Mended()
	if err := c.rebuild(ctx, progress); err != nil {
		c.lost.Store(true)
		return fmt.Errorf("rebuild the search index: %w", err)
	}
	return nil
}

func (c *Catalog) rebuild(ctx context.Context, progress Progress) error {
	origins, err := c.o.Store.Origins()
	if err != nil {
		return err
	}
	var seen map[uuid.UUID]bool // nil where nothing can be left over
	if c.o.Index.Len() > 0 {
		seen = make(map[uuid.UUID]bool, c.o.Index.Len())
	}
	fresh := newSide()
	heads := map[identity.OriginID]indexed{}
	var touched []spot
	total, done := 0, 0
	if progress != nil {
		if total, err = c.stored(origins); err != nil {
			return err
		}
		progress(0, total)
	}
	for _, o := range origins {
		if err := ctx.Err(); err != nil {
			return err
		}
		country := c.o.Country(o)
		if country == "" {
			continue
		}
		view, err := c.o.Store.View(o)
		if err != nil {
			return err
		}
		more, err := c.fill(view, country, fresh, seen)
		heads[o] = indexed{country, view.Head()}
		if h := view.Head(); h != nil && progress != nil {
			done += int(h.Count)
			progress(done, max(total, done))
		}
		view.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", country, err)
		}
		touched = append(touched, more...)
	}
	c.side.Store(fresh)
	c.heads = heads
	var left search.Batch
	if seen != nil {
		for ref := range c.o.Index.Refs {
			if id, err := uuid.Parse(ref.ID); err != nil || !seen[id] {
				left.Erase = append(left.Erase, ref) // erased, for all that is known
			}
		}
	}
	if err := c.o.Index.Apply(left); err != nil {
		return err
	}
	return c.index(ctx, touched)
}

// stored counts the records of feeds that may be shown.
func (c *Catalog) stored(origins []identity.OriginID) (n int, err error) {
	for _, o := range origins {
		if c.o.Country(o) == "" {
			continue
		}
		view, err := c.o.Store.View(o)
		if err != nil {
			return 0, err
		}
		if h := view.Head(); h != nil {
			n += int(h.Count)
		}
		view.Close()
	}
	return n, nil
}

// index brings single records into the index as they are now. The caller holds
// mu.
func (c *Catalog) index(ctx context.Context, spots []spot) error {
	spots = append(spots, c.side.Load().drain()...)
	for len(spots) > 0 { // once more for whoever has one of them for a companion
		if err := c.indexOnce(ctx, spots); err != nil {
			return err
		}
		spots = c.side.Load().drain()
	}
	return nil
}

func (c *Catalog) indexOnce(ctx context.Context, spots []spot) error {
	slices.SortFunc(spots, func(a, b spot) int {
		return cmp.Or(slices.Compare(a.origin[:], b.origin[:]), slices.Compare(a.key[:], b.key[:]))
	})
	var batch search.Batch
	for _, at := range slices.Compact(spots) {
		if err := ctx.Err(); err != nil {
			return err
		}
		view, err := c.o.Store.View(at.origin)
		if err != nil {
			return fmt.Errorf("look again at what is shown: %w", err)
		}
		_, raw, err := view.Record(at.key)
		view.Close()
		if err != nil && !errors.Is(err, feed.ErrNoRecord) {
			return fmt.Errorf("look again at what is shown: %w", err)
		}
		if err := c.take(&batch, c.side.Load(), c.o.Country(at.origin), at, parse(raw)); err != nil {
			return err
		}
	}
	return c.o.Index.Apply(batch)
}
