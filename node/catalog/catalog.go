// Package catalog is what this node knows now: verified records in, answers out.
// It keeps the store and the search index in step.
//
// [Catalog.Append] is the one way in for every record, whether written here,
// fetched from a peer or read from a stick. Readers never wait for it.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/store"
)

// TypeListing is the type of the records that hold listings. Records of other
// types are kept and counted, not shown.
const TypeListing = "listing"

// rebuildBatch is how many documents are indexed at once when all are.
const rebuildBatch = 2000

// Options say what the catalog stands on.
type Options struct {
	Store   *store.Store
	Index   *search.Index
	Country func(identity.OriginID) string // of an active member; "" hides the feed
	Cadence func() listing.Cadence         // policy of the federation
	Logger  *slog.Logger
	Now     func() time.Time // time.Now when nil
}

// Catalog answers from this node's own disk and memory.
type Catalog struct {
	o Options

	turns sync.Map   // identity.OriginID → *sync.Mutex: steps of one feed reach the index in their order
	mu    sync.Mutex // one writer of the index at a time
	asOf  sync.Map   // identity.OriginID → stamp
	lost  atomic.Bool
}

var _ feed.Appender = (*Catalog)(nil)

// New makes a catalog; Rebuild fills its index.
func New(o Options) (*Catalog, error) {
	if o.Store == nil || o.Index == nil || o.Country == nil {
		return nil, errors.New("catalog: an option is missing")
	}
	if o.Cadence == nil {
		o.Cadence = func() listing.Cadence { return listing.DefaultCadence }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Catalog{o: o}, nil
}

// Append makes a verified step durable, then findable. An error means that
// nothing of it was taken.
func (c *Catalog) Append(ctx context.Context, v *feed.Verified) error {
	turn, _ := c.turns.LoadOrStore(v.Origin(), new(sync.Mutex))
	turn.(*sync.Mutex).Lock()
	defer turn.(*sync.Mutex).Unlock()
	var staged []feed.Change // read now: the store empties the staging area
	_, inMemory := v.Delta().(feed.Items)
	if !inMemory && v.Base() != (identity.Hash{}) {
		for change, err := range v.Delta().Changes {
			if err != nil {
				return err
			}
			staged = append(staged, change)
		}
	}
	if err := c.o.Store.Apply(ctx, v); err != nil {
		return err
	}
	c.asOf.Delete(v.Origin())
	if err := c.follow(v, staged); err != nil {
		// The records are safe; only the index is behind. It is a cache and is
		// filled again at the next chance.
		c.lost.Store(true)
		c.o.Logger.Error("the search index missed a change and will be rebuilt", "err", err)
	}
	if !inMemory {
		debug.FreeOSMemory() // a bulk load is the exception; its memory is not needed again
	}
	return nil
}

// Lost reports whether the index missed something and should be rebuilt.
func (c *Catalog) Lost() bool { return c.lost.Load() }

// follow brings a step into the index: all of it at once, but for a first copy,
// which is better found in part than not at all.
func (c *Catalog) follow(v *feed.Verified, staged []feed.Change) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	country := c.o.Country(v.Origin())
	if country == "" {
		return nil
	}
	var batch search.Batch
	take := func(change feed.Change, raw []byte) error {
		id, err := c.o.Store.ShownID(v.Origin(), change.Key)
		if err != nil {
			return err
		}
		ref := search.Ref{Country: country, ID: uuid.UUID(id).String()}
		if doc, ok := c.doc(country, ref.ID, raw); ok {
			batch.Put = append(batch.Put, doc)
		} else {
			batch.Delete = append(batch.Delete, ref)
		}
		return nil
	}
	if items, ok := v.Delta().(feed.Items); ok {
		for _, i := range items {
			if err := take(i.Change(), i.Raw()); err != nil {
				return err
			}
		}
		return c.o.Index.Apply(batch)
	}
	view, err := c.o.Store.View(v.Origin())
	if err != nil {
		return err
	}
	defer view.Close()
	if v.Base() == (identity.Hash{}) {
		return c.fill(view, country)
	}
	for _, change := range staged {
		_, raw, err := view.Record(change.Key)
		if err != nil && !errors.Is(err, feed.ErrNoRecord) {
			return err
		}
		if err := take(change, raw); err != nil {
			return err
		}
	}
	return c.o.Index.Apply(batch)
}

// fill indexes a whole feed.
func (c *Catalog) fill(view feed.StoreView, country string) error {
	var batch search.Batch
	var failed error
	flush := func() bool {
		failed = c.o.Index.Apply(batch)
		batch.Put = batch.Put[:0]
		return failed == nil
	}
	err := view.Since(0, true, func(change feed.Change, raw []byte) bool {
		id, err := c.o.Store.ShownID(view.Head().Origin, change.Key)
		if err != nil {
			failed = err
			return false
		}
		if doc, ok := c.doc(country, uuid.UUID(id).String(), raw); ok {
			batch.Put = append(batch.Put, doc)
		}
		return len(batch.Put) < rebuildBatch || flush()
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	flush()
	return failed
}

// Rebuild fills the index from the store.
func (c *Catalog) Rebuild(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	origins, err := c.o.Store.Origins()
	if err != nil {
		return fmt.Errorf("rebuild the search index: %w", err)
	}
	c.lost.Store(false)
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
			return fmt.Errorf("rebuild the search index: %w", err)
		}
		err = c.fill(view, country)
		view.Close()
		if err != nil {
			c.lost.Store(true)
			return fmt.Errorf("rebuild the search index: %s: %w", country, err)
		}
	}
	return nil
}

// Search answers one question.
func (c *Catalog) Search(ctx context.Context, q search.Query) (search.Answer, error) {
	return c.o.Index.Search(ctx, q)
}

// Get is the listing with this id, or [listing.ErrNotFound].
func (c *Catalog) Get(_ context.Context, id string) (listing.Published, error) {
	parsed, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return listing.Published{}, listing.ErrNotFound
	}
	origin, _, raw, err := c.o.Store.Record(feed.Key(parsed))
	if errors.Is(err, feed.ErrNoRecord) {
		return listing.Published{}, listing.ErrNotFound
	}
	if err != nil {
		return listing.Published{}, fmt.Errorf("read listing %s: %w", id, err)
	}
	country := c.o.Country(origin)
	record, err := feed.ParseRecord(raw)
	if err != nil {
		return listing.Published{}, fmt.Errorf("read listing %s: %w", id, err)
	}
	if country == "" || record.Type != TypeListing {
		return listing.Published{}, listing.ErrNotFound
	}
	l, err := listing.View(record.Body)
	if err != nil {
		return listing.Published{}, fmt.Errorf("read listing %s: %w", id, err)
	}
	if l.VisibilityValue() == listing.VisibleNobody {
		return listing.Published{}, listing.ErrNotFound
	}
	doc, err := listing.DecodeDocument(record.Body)
	if err != nil {
		return listing.Published{}, fmt.Errorf("read listing %s: %w", id, err)
	}
	if l.ID != parsed.String() {
		// Known here under another id than its own: see the store's claims.
		doc["id"], l.ID = parsed.String(), parsed.String()
	}
	return listing.Published{
		Country: country, Document: doc, Listing: l,
		AsOf:      c.AsOf(origin),
		Freshness: l.Freshness(c.o.Now(), c.o.Cadence()),
	}, nil
}

// stamp remembers an origin's last confirmation for a moment, so that a page of
// results does not read it twenty times.
type stamp struct {
	at   time.Time
	asOf time.Time
}

const stampLife = 2 * time.Second

// AsOf is when the origin last confirmed its feed, in UTC: the date of the
// newest verified head or beat. Zero means never.
func (c *Catalog) AsOf(o identity.OriginID) time.Time {
	now := c.o.Now()
	if s, ok := c.asOf.Load(o); ok && now.Sub(s.(stamp).at) < stampLife {
		return s.(stamp).asOf
	}
	var asOf time.Time
	if view, err := c.o.Store.View(o); err == nil {
		if h := view.Head(); h != nil {
			asOf = h.Issued.Time()
		}
		view.Close()
	}
	if b, err := c.o.Store.Beat(o); err == nil && b != nil && b.Issued.Time().After(asOf) {
		asOf = b.Issued.Time()
	}
	c.asOf.Store(o, stamp{now, asOf})
	return asOf
}

// Counts are how many listings of each country can be found here, those for
// professionals included.
func (c *Catalog) Counts(ctx context.Context) (map[string]int, int) {
	a, err := c.o.Index.Search(ctx, search.Query{Professional: true, PerPage: 1, Now: c.o.Now()})
	if err != nil {
		return nil, 0
	}
	out := make(map[string]int)
	for _, n := range a.Facets[search.Country] {
		out[n.Value] = n.Count
	}
	return out, a.Total
}
