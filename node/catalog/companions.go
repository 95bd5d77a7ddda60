package catalog

import (
	"slices"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/node/listing"
)

// Companions are shown together or not at all: a listing is not found while one of
// its companions is held here and hidden, by whomever. It is counted among what is
// hidden, and found again with its companion. Its own address still shows it, since
// posters lead there; and a companion that its country closed or deleted, or that has
// not come here yet, keeps nobody from being found: there is nothing to hide.

// maxCompanions is how many companions of one listing are looked at.
const maxCompanions = 16

// companions are the ids of those with whom a listing is shown.
func companions(l *listing.Listing) (ids []feed.Key) {
	if l == nil {
		return nil
	}
	for _, text := range l.Companions[:min(len(l.Companions), maxCompanions)] {
		if id, err := uuid.Parse(text); err == nil && text != l.ID {
			ids = append(ids, feed.Key(id))
		}
	}
	return ids
}

// hiding tells whether a listing is not to be found, and why: for itself, or for one
// of its companions.
func (c *Catalog) hiding(s *side, at spot) (listing.Hiding, bool) {
	if h, hidden := c.o.Hidden(at.origin, at.key); hidden {
		return h, true
	}
	for _, id := range s.companionsOf(at) {
		origin, change, err := c.o.Store.Find(id)
		if err != nil {
			continue // not here, or not to be read: then it is not found either
		}
		if h, hidden := c.o.Hidden(origin, change.Key); hidden {
			return h, true
		}
	}
	return listing.Hiding{}, false
}

func (s *side) companionsOf(at spot) []feed.Key {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.companions[at]
}

// setCompanions remembers with whom a listing is shown.
func (s *side) setCompanions(at spot, ids []feed.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(s.companions[at], ids) {
		return
	}
	for _, id := range s.companions[at] {
		if delete(s.named[id], at); len(s.named[id]) == 0 {
			delete(s.named, id)
		}
	}
	delete(s.companions, at)
	if len(ids) == 0 {
		return
	}
	s.companions[at] = ids
	for _, id := range ids {
		if s.named[id] == nil {
			s.named[id] = map[spot]bool{}
		}
		s.named[id][at] = true
	}
}

// naming are the listings that have the one with an id for a companion.
func (s *side) naming(id feed.Key) (out []spot) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for at := range s.named[id] {
		out = append(out, at)
	}
	return out
}

// paired are all listings that have companions.
func (s *side) paired() (out []spot) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for at := range s.companions {
		out = append(out, at)
	}
	return out
}

// drain returns the listings that must be looked at again, and forgets them.
func (s *side) drain() (out []spot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, s.turned = s.turned, nil
	return out
}
