package catalog

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/listing"
)

// Latest are the last changes of a country's list, deletions among them, the newest
// first: at most most, all with numbers below before (0 = from the newest). Each
// listing stands there once, with its last change. Deletions that are listed no
// longer are left out; a country without a list has none.
func (c *Catalog) Latest(ctx context.Context, country string, before uint64, most int) ([]listing.Update, error) {
	origin, ok, err := c.originOf(country)
	if err != nil || !ok {
		return nil, err
	}
	view, err := c.o.Store.View(origin)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	head := view.Head()
	if head == nil {
		return nil, nil
	}
	end := head.Seq
	if before > 0 {
		end = min(end, before-1)
	}
	// A number is free once what it changed has changed again, and records of other
	// kinds stand between listings: look back further until there are enough.
	for back := uint64(most) * 2; ; back *= 4 {
		since := end - min(end, back)
		changes, err := newest(view, since, end, most)
		if err != nil {
			return nil, err
		}
		if len(changes) >= most || since == 0 {
			return c.updates(ctx, view, origin, country, changes)
		}
	}
}

// originOf is the feed of a country that is held here.
func (c *Catalog) originOf(country string) (identity.OriginID, bool, error) {
	origins, err := c.o.Store.Origins()
	if err != nil {
		return identity.OriginID{}, false, err
	}
	for _, o := range origins {
		if c.o.Country(o) == country {
			return o, true, nil
		}
	}
	return identity.OriginID{}, false, nil
}

// newest returns the last changes of listings with numbers above since and up to
// end, the newest first. A large import may bring thousands at once: only most of
// them are kept.
func newest(view feed.StoreView, since, end uint64, most int) ([]feed.Change, error) {
	ring, total := make([]feed.Change, 0, most), 0
	take := func(change feed.Change, raw []byte) bool {
		if change.Seq > end {
			return false
		}
		if change.Live() {
			if r := parse(raw); r == nil || r.Type != TypeListing {
				return true
			}
		}
		if len(ring) < most {
			ring = append(ring, change)
		} else {
			ring[total%most] = change
		}
		total++
		return true
	}
	err := view.Since(since, false, take)
	if errors.Is(err, feed.ErrPruned) {
		ring, total = ring[:0], 0
		err = view.Since(since, true, take)
	}
	out := make([]feed.Change, 0, len(ring))
	for i := range ring {
		out = append(out, ring[(total-1-i)%len(ring)])
	}
	return out, err
}

// updates says of each change what is shown of it here now.
func (c *Catalog) updates(ctx context.Context, view feed.StoreView, origin identity.OriginID, country string, changes []feed.Change) ([]listing.Update, error) {
	out := make([]listing.Update, 0, len(changes))
	var last *feed.Head // that signed the change before, which is the newer one
	for _, change := range changes {
		id, err := c.o.Store.ShownID(origin, change.Key)
		if err != nil {
			return nil, err
		}
		u := listing.Update{Seq: change.Seq, ID: uuid.UUID(id).String()}
		p, err := c.Get(ctx, u.ID)
		var hidden *listing.HiddenError
		switch {
		case err == nil && p.Country == country:
			u.Shown, u.Day = &p, p.Modified
		case errors.As(err, &hidden):
			u.Day = hidden.Hiding.Since
		case err != nil && !errors.Is(err, listing.ErrNotFound) && !errors.Is(err, listing.ErrMalformed):
			return nil, err
		}
		if u.Day.IsZero() {
			if last, err = signedIn(view, change.Seq, last); err != nil {
				return nil, err
			}
			u.Day = last.Issued.Time()
		}
		u.Day = u.Day.UTC().Truncate(24 * time.Hour)
		out = append(out, u)
	}
	return out, nil
}

// signedIn is the first head that covers a change: at most the newest one, or
// upTo, which is a later one. Where the heads of that time are not kept, it is the
// first that is.
func signedIn(view feed.View, seq uint64, upTo *feed.Head) (*feed.Head, error) {
	found := upTo
	if found == nil {
		found = &view.Head().Head
	}
	// Mostly it is the one before: steps down that double, until one is too far; then
	// halves of what is between.
	low, high, step := uint64(1), found.N, uint64(1)
	for low < high {
		mid := low + (high-low)/2
		if step > 0 {
			mid = max(low, high-min(high, step))
			step *= 2
		}
		envelopes, err := view.Heads(mid, 1)
		if err != nil {
			return nil, err
		}
		if len(envelopes) == 0 {
			low, step = mid+1, 0
			continue
		}
		h, err := feed.ParseHead(envelopes[0])
		if err != nil {
			return nil, err
		}
		switch {
		case h.N >= high: // those between are not kept
			return found, nil
		case h.N > mid && h.Seq >= seq: // and those below are not
			return &h.Head, nil
		case h.Seq >= seq:
			found, high = &h.Head, h.N
		default:
			low, step = h.N+1, 0
		}
	}
	return found, nil
}
