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

// The types of the records that the catalog knows: listings, what members say
// about the listings of others ([listing.Overlay]), and what a country says about
// itself ([listing.Sheet]). Records of other types are kept and counted, not
// shown.
const (
	TypeListing = "listing"
	TypeOverlay = "overlay"
	TypeSheet   = "country_sheet"
)

// silent are the states of a [listing.Standing] in which a member's overlays do
// not count.
var silent = []string{"suspended", "withdrawn", "expelled"}

// Options say what the catalog stands on.
type Options struct {
	Store   *store.Store
	Index   *search.Index
	Country func(identity.OriginID) string // of an active member; "" hides the feed
	Cadence func() listing.Cadence         // policy of the federation

	// Hidden tells whether a listing is not to be shown here, and why. It is
	// asked for every listing that is read, so it must be quick; nil hides none.
	Hidden func(identity.OriginID, feed.Key) (listing.Hiding, bool)
	// Caretaker tells whether author may give alerts and statuses for the
	// listings of target; nil lets nobody.
	Caretaker func(target, author identity.OriginID) bool
	// Standing is how far a feed can be relied on; nil knows nothing against any.
	Standing func(identity.OriginID) listing.Standing

	Logger *slog.Logger
	Now    func() time.Time // time.Now when nil
}

// Catalog answers from this node's own disk and memory.
type Catalog struct {
	o Options

	turns  sync.Map                      // identity.OriginID → *sync.Mutex: steps of one feed reach the index in their order
	mu     sync.Mutex                    // one writer of the index at a time
	heads  map[identity.OriginID]indexed // guarded by mu: which state of each feed is in the index
	asOf   sync.Map                      // identity.OriginID → stamp
	sheets sync.Map                      // identity.OriginID → knownSheet
	shown  shown
	lost   atomic.Bool
	side   atomic.Pointer[side]
	hush   atomic.Pointer[hush]
}

var _ feed.Appender = (*Catalog)(nil)

// New makes a catalog; Resume brings its index up to date.
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
	if o.Hidden == nil {
		o.Hidden = func(identity.OriginID, feed.Key) (listing.Hiding, bool) { return listing.Hiding{}, false }
	}
	if o.Caretaker == nil {
		o.Caretaker = func(identity.OriginID, identity.OriginID) bool { return false }
	}
	if o.Standing == nil {
		o.Standing = func(identity.OriginID) listing.Standing { return listing.Standing{} }
	}
	c := &Catalog{o: o, heads: map[identity.OriginID]indexed{}}
	c.side.Store(newSide())
	return c, nil
}

// Append makes a verified step durable, then findable. An error means that
// nothing of it was taken.
func (c *Catalog) Append(ctx context.Context, v *feed.Verified) error {
	turn, _ := c.turns.LoadOrStore(v.Origin(), new(sync.Mutex))
	turn.(*sync.Mutex).Lock()
	defer turn.(*sync.Mutex).Unlock()
	var changes []staged // read now: the store empties the staging area
	_, inMemory := v.Delta().(feed.Items)
	if !inMemory && v.Base() != (identity.Hash{}) {
		for change, err := range v.Delta().Changes {
			if err != nil {
				return err
			}
			changes = append(changes, staged{change.Key, change.Op})
		}
	}
	if err := c.o.Store.Apply(ctx, v); err != nil {
		return err
	}
	c.asOf.Delete(v.Origin())
	c.hush.Store(nil)
	if err := c.follow(v, changes); err != nil {
		// The records are safe; only the index is behind. It is a cache and is
		// filled again at the next chance.
		c.lost.Store(true)
		c.o.Logger.Error("the search index missed a change and will be rebuilt", "err", err)
	}
	if !inMemory {
		go debug.FreeOSMemory() // a bulk load is the exception; its memory is not needed again
	}
	return nil
}

// Lost reports whether the index missed something and should be rebuilt.
func (c *Catalog) Lost() bool { return c.lost.Load() || c.o.Index.Damaged() }

// Search answers one question.
func (c *Catalog) Search(ctx context.Context, q search.Query) (search.Answer, error) {
	var err error
	if q.Silent, err = c.silentCountries(); err != nil {
		return search.Answer{}, fmt.Errorf("search: %w", err)
	}
	return c.o.Index.Search(ctx, q)
}

// hush is which countries were silent at a time.
type hush struct {
	at        time.Time
	countries []string
}

// silentCountries are those that have not confirmed their lists for longer than
// [listing.Silence]. What it says holds for [stampLife], or until a list comes.
func (c *Catalog) silentCountries() ([]string, error) {
	now := c.o.Now()
	if h := c.hush.Load(); h != nil && now.Sub(h.at).Abs() < stampLife {
		return h.countries, nil
	}
	origins, err := c.o.Store.Origins()
	if err != nil {
		return nil, err
	}
	h := &hush{at: now}
	for _, o := range origins {
		if country := c.o.Country(o); country != "" && now.Sub(c.AsOf(o)) > listing.Silence {
			h.countries = append(h.countries, country)
		}
	}
	c.hush.Store(h)
	return h.countries, nil
}

// Whole is all listings that answer a question; see [search.Index.Whole].
func (c *Catalog) Whole(ctx context.Context, q search.Query) ([]search.Ref, string, error) {
	return c.o.Index.Whole(ctx, q)
}

// Keys are the keys of the listings that answer a question; see [search.Index.Keys].
func (c *Catalog) Keys(ctx context.Context, q search.Query, prefix string) ([]string, string, error) {
	return c.o.Index.Keys(ctx, q, prefix)
}

// KeyOwner is the first listing that has a key; see [search.Index.KeyOwner].
func (c *Catalog) KeyOwner(ctx context.Context, q search.Query, key string) (search.Ref, bool, error) {
	return c.o.Index.KeyOwner(ctx, q, key)
}

// Get is the listing with this id, or [listing.ErrNotFound]; one that is held
// and not shown is a [*listing.HiddenError].
func (c *Catalog) Get(_ context.Context, id string) (listing.Published, error) {
	parsed, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return listing.Published{}, listing.ErrNotFound
	}
	p, err := c.get(parsed)
	if err != nil && !errors.Is(err, listing.ErrNotFound) {
		err = fmt.Errorf("read listing %s: %w", id, err)
	}
	return p, err
}

func (c *Catalog) get(id uuid.UUID) (none listing.Published, err error) {
	signed, err := c.record(feed.Key(id))
	if err != nil {
		return none, err
	}
	origin, at := signed.origin, spot{signed.origin, signed.change.Key}
	country, l := c.o.Country(origin), signed.view
	if country == "" || l.VisibilityValue() == listing.VisibleNobody {
		return none, listing.ErrNotFound
	}
	if h, hidden := c.o.Hidden(at.origin, at.key); hidden {
		return none, &listing.HiddenError{ID: id.String(), Country: country, Hiding: h}
	}
	if l.ID != id.String() {
		// Known here under another id than its own: see the store's claims.
		known := *l
		known.ID, l = id.String(), &known
	}
	p := listing.Published{
		Country: country, Body: signed.body, Listing: l, AsOf: c.AsOf(origin), Modified: signed.modified,
		Freshness: l.Freshness(c.o.Now(), c.o.Cadence()), Standing: c.o.Standing(origin),
	}
	revision := func() string { return listing.Published{Body: signed.body}.Document().Revision() }
	if err := c.remarks(at, revision, &p); err != nil {
		return none, err
	}
	return p, nil
}

// notFound turns what the store says into what readers are told.
func notFound(err error) error {
	if errors.Is(err, feed.ErrNoRecord) {
		return listing.ErrNotFound
	}
	return err
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
