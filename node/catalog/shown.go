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

// shown keeps the listings that were asked for last, in their typed form, by the
// id under which they are shown. What is kept is looked at only together with the
// version of the store: see [Catalog.record]. It knows nothing of who asked.
//
// There are two generations: when the young one is full it becomes the old one,
// and what is asked for again moves over. So the least used go, without a list.
type shown struct {
	mu         sync.Mutex
	young, old map[feed.Key]*signed
	size       int // of the young
}

// signed is a listing as it was signed, and where it stood when the store had a
// version. Nobody changes it.
type signed struct {
	version  uint64
	origin   identity.OriginID
	change   feed.Change
	view     *listing.Listing
	body     []byte
	modified time.Time
}

func (s *shown) get(id feed.Key) *signed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.young[id]; r != nil {
		return r
	}
	r := s.old[id]
	if r != nil {
		s.keep(id, r)
	}
	return r
}

// put keeps a listing unless the store has changed since: so nothing comes back
// that was dropped meanwhile.
func (s *shown) put(id feed.Key, r *signed, version func() uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version() == r.version {
		s.keep(id, r)
	}
}

func (s *shown) keep(id feed.Key, r *signed) {
	if s.young == nil || s.size >= shownRoom/2 {
		s.old, s.young, s.size = s.young, map[feed.Key]*signed{}, 0
	}
	if before := s.young[id]; before != nil {
		s.size -= len(before.body)
	}
	delete(s.old, id)
	s.young[id] = r
	s.size += len(r.body)
}

// drop forgets a listing, so that what was erased stays nowhere.
func (s *shown) drop(id feed.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.young[id]; r != nil {
		s.size -= len(r.body)
	}
	delete(s.young, id)
	delete(s.old, id)
}

// record returns the listing with an id as it was signed and where it stands, or
// [listing.ErrNotFound]. While the store has not changed, what is kept is the
// answer; when it has, only a record that is another one is read again.
func (c *Catalog) record(id feed.Key) (*signed, error) {
	version := c.o.Store.Version() // before anything is read
	kept := c.shown.get(id)
	if kept != nil && kept.version == version {
		return kept, nil
	}
	if kept != nil {
		origin, change, err := c.o.Store.Find(id)
		if err == nil && kept.origin == origin && kept.change.Key == change.Key && kept.change.Hash == change.Hash {
			next := *kept
			next.version, next.change = version, change
			c.shown.put(id, &next, c.o.Store.Version)
			return &next, nil
		}
	}
	origin, change, raw, err := c.o.Store.Record(id)
	if err != nil {
		c.shown.drop(id)
		return nil, notFound(err)
	}
	r, err := feed.ParseRecord(raw)
	if err != nil {
		return nil, err
	}
	if r.Type != TypeListing {
		return nil, listing.ErrNotFound
	}
	l, err := listing.View(r.Body)
	if err != nil {
		return nil, err
	}
	kept = &signed{version: version, origin: origin, change: change, view: l, body: r.Body, modified: r.Modified.Time()}
	c.shown.put(id, kept, c.o.Store.Version)
	return kept, nil
}
