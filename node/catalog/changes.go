package catalog

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/listing"
)

// Changes are what changed in the lists of all countries after a place, at most
// limit of them, and the place after those; more reports whether there are
// further ones. From the beginning they are what there is, without deletions.
//
// A place that names no country begins at since: with what each country signed
// after the last head issued at or before it. A feed that started over after the
// place is given from its beginning. What can no longer be told, since deletions are
// listed for a bounded time only, is [listing.ErrTooLongAgo].
func (c *Catalog) Changes(ctx context.Context, after listing.Place, since time.Time, limit int) (list []listing.Change, at listing.Place, more bool, err error) {
	type source struct {
		country string
		origin  identity.OriginID
	}
	origins, err := c.o.Store.Origins()
	if err != nil {
		return nil, nil, false, err
	}
	var sources []source
	for _, o := range origins {
		if country := c.o.Country(o); country != "" {
			sources = append(sources, source{country, o})
		}
	}
	slices.SortFunc(sources, func(a, b source) int {
		return cmp.Or(cmp.Compare(a.country, b.country), slices.Compare(a.origin[:], b.origin[:]))
	})
	at = listing.Place{}
	seen := 0
	for _, s := range sources {
		if err := ctx.Err(); err != nil {
			return nil, nil, false, err
		}
		n, err := c.changesOf(s.origin, s.country, after, since, limit-seen, at, &list)
		if err != nil {
			return nil, nil, false, err
		}
		seen += min(n, limit-seen)
	}
	for country, m := range at {
		more = more || m.More
		m.More = false
		at[country] = m
	}
	return list, at, more, nil
}

// changesOf adds those of one feed, and says in at how far it came.
func (c *Catalog) changesOf(o identity.OriginID, country string, after listing.Place, since time.Time, limit int, at listing.Place, list *[]listing.Change) (n int, err error) {
	view, err := c.o.Store.View(o)
	if err != nil {
		return 0, err
	}
	defer view.Close()
	head := view.Head()
	if head == nil {
		return 0, nil
	}
	mark, known := after[country]
	switch {
	case known && (mark.Epoch != head.Epoch || mark.Seq > head.Seq):
		mark = listing.Mark{} // the feed started over
	case !known && len(after) == 0 && !since.IsZero():
		if mark.Seq, err = seqAt(view, since); err != nil {
			return 0, err
		}
	}
	mark.Epoch = head.Epoch
	if mark.Seq == 0 && mark.Live == 0 {
		mark.Live = head.Seq // from the beginning to here without deletions; then with them
	}
	first, end := mark.Seq, head.Seq
	if mark.Live != 0 {
		end = mark.Live
	}
	if limit <= 0 {
		mark.More = head.Seq > first
		at[country] = mark
		return 0, nil
	}
	failed, full, walking := error(nil), false, mark.Live != 0
	err = view.Since(first, mark.Live != 0, func(change feed.Change, raw []byte) bool {
		if full = n == limit; full || change.Seq > end {
			return false
		}
		n++
		mark.Seq = change.Seq
		if r := parse(raw); change.Live() && (r == nil || r.Type != TypeListing) {
			return true
		}
		id, err := c.o.Store.ShownID(o, change.Key)
		if err != nil {
			failed = err
			return false
		}
		*list = append(*list, listing.Change{ID: uuid.UUID(id).String(), Deleted: !change.Live(), First: walking})
		return true
	})
	if err = cmp.Or(err, failed); errors.Is(err, feed.ErrPruned) {
		return n, listing.ErrTooLongAgo
	} else if err != nil {
		return n, err
	}
	if !full {
		mark.Seq, mark.Live = end, 0
	}
	mark.More = head.Seq > mark.Seq
	at[country] = mark
	return n, nil
}

// seqAt is the latest change that a feed's last head issued at or before a time
// covers: 0 where all its heads are later.
func seqAt(view feed.View, t time.Time) (uint64, error) {
	head := view.Head()
	if !head.Issued.Time().After(t) {
		return head.Seq, nil
	}
	var seq uint64
	// Heads are one chain without a gap: halve it. What is missing is at its start.
	for low, high := uint64(1), head.N; low < high; {
		mid := low + (high-low)/2
		envelopes, err := view.Heads(mid, 1)
		if err != nil {
			return 0, err
		}
		if len(envelopes) == 0 {
			return 0, nil
		}
		h, err := feed.ParseHead(envelopes[0])
		if err != nil {
			return 0, err
		}
		if h.N >= high || h.Issued.Time().After(t) {
			high = mid
			continue
		}
		seq, low = h.Seq, h.N+1
	}
	if seq == 0 {
		first, err := view.Heads(1, 1)
		if err != nil || len(first) == 0 {
			return 0, err
		}
		if h, err := feed.ParseHead(first[0]); err != nil || h.N > 1 {
			return 0, cmp.Or(err, listing.ErrTooLongAgo) // there were heads before, no longer kept
		}
	}
	return seq, nil
}

// Before are the versions of a listing that were published before the one that
// stands, or stood last, under an id: those that the store still keeps for undoing.
// [listing.ErrTooLongAgo] where one of them is gone. Whoever is to be shown one is to
// be asked elsewhere: this tells only what there was.
func (c *Catalog) Before(_ context.Context, id string) ([]*listing.Listing, error) {
	key, err := uuid.Parse(id)
	if err != nil {
		return nil, listing.ErrNotFound
	}
	records, err := c.o.Store.Before(feed.Key(key))
	if errors.Is(err, feed.ErrPruned) {
		return nil, listing.ErrTooLongAgo
	}
	if err != nil {
		return nil, notFound(err)
	}
	var out []*listing.Listing
	for _, raw := range records {
		r := parse(raw)
		if r == nil || r.Type != TypeListing {
			continue
		}
		l, err := listing.View(r.Body)
		if err != nil {
			continue // it never was shown either
		}
		l.ID = id
		out = append(out, l)
	}
	return out, nil
}
