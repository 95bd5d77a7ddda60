package catalog

import (
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/listing"
)

// shownRoom is how many bytes of records are kept decoded. Decoded they take
// about four times as much.
const shownRoom = 6 << 20

// shown keeps the listings that were asked for last in their typed form, by the
// hash of their record: what it keeps is right for ever, so nothing has to be
// told when a feed changes. It knows nothing of who asked.
//
// There are two generations: when the young one is full it becomes the old one,
// and what is asked for again moves over. So the least used go, without a list.
type shown struct {
	mu         sync.Mutex
	young, old map[identity.Hash]*signed
	size       int // of the young
}

// signed is a listing as it was signed. Nobody changes it.
type signed struct {
	view     *listing.Listing
	body     []byte
	modified time.Time
}

func (s *shown) get(h identity.Hash) *signed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.young[h]; r != nil {
		return r
	}
	r := s.old[h]
	if r != nil {
		s.keep(h, r)
	}
	return r
}

func (s *shown) put(h identity.Hash, r *signed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(h, r)
}

func (s *shown) keep(h identity.Hash, r *signed) {
	if s.young == nil || s.size >= shownRoom/2 {
		s.old, s.young, s.size = s.young, map[identity.Hash]*signed{}, 0
	}
	s.young[h] = r
	s.size += len(r.body)
}

// record returns the listing with an id as it was signed, where it stands, or
// [listing.ErrNotFound].
func (c *Catalog) record(id feed.Key) (identity.OriginID, feed.Change, *signed, error) {
	origin, change, err := c.o.Store.Find(id)
	if err != nil {
		return origin, change, nil, notFound(err)
	}
	if r := c.shown.get(change.Hash); r != nil {
		return origin, change, r, nil
	}
	origin, change, raw, err := c.o.Store.Record(id)
	if err != nil {
		return origin, change, nil, notFound(err)
	}
	r, err := feed.ParseRecord(raw)
	if err != nil {
		return origin, change, nil, err
	}
	if r.Type != TypeListing {
		return origin, change, nil, listing.ErrNotFound
	}
	l, err := listing.View(r.Body)
	if err != nil {
		return origin, change, nil, err
	}
	kept := &signed{view: l, body: r.Body, modified: r.Modified.Time()}
	c.shown.put(change.Hash, kept)
	return origin, change, kept, nil
}
