package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/listing"
)

// Reconsider looks again whether and how records of a feed may be shown: call
// it for the listings that were hidden or are hidden no longer. Readers of one
// listing need no such call, search does. Without keys everything is looked at
// again, as after a change of who is a member or a caretaker.
func (c *Catalog) Reconsider(ctx context.Context, o identity.OriginID, keys ...feed.Key) error {
	if len(keys) == 0 {
		return c.Rebuild(ctx, nil)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	spots := make([]spot, 0, len(keys))
	for _, k := range keys {
		at := spot{o, k}
		if target, ok := c.side.Load().target(at); ok {
			at = target // it is an overlay: what it is about may look different
		}
		id, err := c.o.Store.ShownID(o, k)
		if err != nil {
			return fmt.Errorf("look again at what is shown: %w", err)
		}
		spots = append(append(spots, at), c.side.Load().naming(id)...)
	}
	return c.index(ctx, spots)
}

// Refresh brings into search what time alone has changed: an alert that ended, a
// listing that is hidden no longer. Call it now and then; a minute is often
// enough.
func (c *Catalog) Refresh(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.side.Load()
	spots := s.ended(c.o.Now())
	for _, at := range s.listed(func(identity.OriginID) bool { return true }) {
		if _, still := c.hiding(s, at); !still {
			spots = append(spots, at)
		}
	}
	return c.index(ctx, spots)
}

// CountHidden is how many listings of some countries are held here and not shown;
// of all countries where none is given.
func (c *Catalog) CountHidden(countries []string) (n int) {
	asked := func(o identity.OriginID) bool {
		country := c.o.Country(o)
		return country != "" && (len(countries) == 0 || slices.ContainsFunc(countries, func(s string) bool { return strings.EqualFold(s, country) }))
	}
	side := c.side.Load()
	for _, at := range side.listed(asked) {
		if _, still := c.hiding(side, at); still {
			n++
		}
	}
	return n
}

// Hidden are the listings of a feed that are held here and not shown, in groups
// of one reason each, the largest first.
func (c *Catalog) Hidden(o identity.OriginID) []listing.HiddenCount {
	groups := map[string]*listing.HiddenCount{}
	s := c.side.Load()
	for _, at := range s.listed(func(of identity.OriginID) bool { return of == o }) {
		h, still := c.hiding(s, at)
		if !still {
			continue
		}
		name := fmt.Sprint(h.Local, h.By, h.ReasonValue(), h.Contact)
		g := groups[name]
		if g == nil {
			g = &listing.HiddenCount{Hiding: h}
			g.Hiding.Until = time.Time{}
			groups[name] = g
		}
		g.Count++
		if h.Since.Before(g.Hiding.Since) {
			g.Hiding.Since = h.Since
		}
	}
	out := make([]listing.HiddenCount, 0, len(groups))
	for _, g := range groups {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b listing.HiddenCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Hiding.ReasonValue(), b.Hiding.ReasonValue()),
			cmp.Compare(strings.Join(a.Hiding.By, " "), strings.Join(b.Hiding.By, " ")))
	})
	return out
}
