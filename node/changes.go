package node

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/node/listing"
)

// changes returns the listings of a country that changed last, the newest first,
// at most n of those that are shown.
func (n *Node) changes(ctx context.Context, country string, most int) ([]listing.Published, error) {
	s := n.state()
	if s == nil {
		return nil, nil
	}
	m, ok := s.MemberByCountry(country)
	if !ok {
		return nil, nil
	}
	view, err := n.store.View(m.Origin)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	head := view.Head()
	if head == nil {
		return nil, nil
	}
	// Records of other kinds stand between listings: look back further until there
	// are enough, or the feed ends.
	for back := uint64(most) * 2; ; back *= 4 {
		var since uint64
		if back < head.Seq {
			since = head.Seq - back
		}
		keys, err := newest(view, since, most*2)
		if err != nil {
			return nil, err
		}
		out, err := n.shownOf(ctx, country, keys, most)
		if err != nil || len(out) >= most || since == 0 {
			return out, err
		}
	}
}

// newest returns the last keys that changed after since, the newest first. A large
// import may bring thousands at once: only most of them are kept.
func newest(view feed.StoreView, since uint64, most int) ([]feed.Key, error) {
	ring := make([]feed.Key, 0, most)
	total := 0
	err := view.Since(since, true, func(c feed.Change, _ []byte) bool {
		if len(ring) < most {
			ring = append(ring, c.Key)
		} else {
			ring[total%most] = c.Key
		}
		total++
		return true
	})
	out := make([]feed.Key, 0, len(ring))
	for i := range ring {
		out = append(out, ring[(total-1-i)%len(ring)])
	}
	return out, err
}

// shownOf returns those of some records of a country that are listings and are shown
// here. An id that another country had first leads to that one's listing.
func (n *Node) shownOf(ctx context.Context, country string, keys []feed.Key, most int) ([]listing.Published, error) {
	var out []listing.Published
	for _, k := range keys {
		p, err := n.Get(ctx, uuid.UUID(k).String())
		switch {
		case errors.Is(err, listing.ErrNotFound):
			continue
		case err != nil:
			return nil, err
		case p.Country != country:
			continue
		}
		if out = append(out, p); len(out) == most {
			break
		}
	}
	return out, nil
}
