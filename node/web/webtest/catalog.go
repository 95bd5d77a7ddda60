// Package webtest has a small catalog in memory for tests of the pages and the
// APIs. It looks at every listing for every question, so it is right and slow.
package webtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
	"github.com/2ps-project/waymark/node/search"
)

// Now is the time of all tests.
var Now = time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)

// Catalog is a catalog in memory. Fields may be set before it is used.
type Catalog struct {
	Members  []listing.CountryView
	Listings []listing.Published
	Snapshot string                    // a question with another one is answered with ErrSnapshotGone
	Err      error                     // answers everything with this
	Hidden   map[string]listing.Hiding // by id: held and not shown
	Sheets   map[string]*listing.Sheet // by country
}

// New returns a catalog with n invented listings of each country.
func New(tb testing.TB, n int, countries ...string) *Catalog {
	tb.Helper()
	c := &Catalog{Snapshot: "s1"}
	for _, country := range countries {
		for _, d := range fiction.Generate(1, country, n, Now) {
			c.Add(tb, country, d.Public())
		}
		c.Members = append(c.Members, listing.CountryView{
			Code: country, Operator: fiction.Operator(country), OperatorType: fiction.OperatorType(country),
			Listings: n, AsOf: Now.Add(-3 * time.Hour), State: "synced",
		})
	}
	return c
}

// Add puts a document into the catalog.
func (c *Catalog) Add(tb testing.TB, country string, d listing.Document) *listing.Listing {
	tb.Helper()
	body, err := d.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	l, err := listing.View(body)
	if err != nil {
		tb.Fatal(err)
	}
	c.Listings = append(c.Listings, listing.Published{
		Country: country, Body: body, Listing: l, AsOf: Now.Add(-3 * time.Hour), Modified: Now.AddDate(0, 0, -len(c.Listings)%90).Truncate(24 * time.Hour), Freshness: l.Freshness(Now, listing.DefaultCadence),
	})
	return l
}

// AddSheet gives a country a sheet: the members of a JSON object.
func (c *Catalog) AddSheet(tb testing.TB, country, members string) {
	tb.Helper()
	s, faults := parse(tb, "sheet of "+country, members).Sheet()
	if err := faults.Err(); err != nil {
		tb.Fatal(err)
	}
	if c.Sheets == nil {
		c.Sheets = map[string]*listing.Sheet{}
	}
	c.Sheets[country] = s
}

// Sheet returns a country's sheet.
func (c *Catalog) Sheet(country string) (listing.PublishedSheet, bool) {
	s, ok := c.Sheets[country]
	return listing.PublishedSheet{Country: country, Sheet: s, AsOf: Now.Add(-3 * time.Hour)}, ok
}

// Countries returns the members, with what is hidden of them.
func (c *Catalog) Countries() []listing.CountryView {
	members := slices.Clone(c.Members)
	for i := range members {
		for _, p := range c.Listings {
			if h, hidden := c.Hidden[p.Listing.ID]; hidden && p.Country == members[i].Code {
				members[i].Hidden = append(members[i].Hidden, listing.HiddenCount{Count: 1, Hiding: h})
			}
		}
	}
	return members
}

// CountHidden counts what is hidden of some countries, or of all.
func (c *Catalog) CountHidden(countries []string) (n int) {
	for _, p := range c.Listings {
		if _, hidden := c.Hidden[p.Listing.ID]; hidden && (len(countries) == 0 || slices.Contains(countries, p.Country)) {
			n++
		}
	}
	return n
}

// Get finds a listing by id.
func (c *Catalog) Get(_ context.Context, id string) (listing.Published, error) {
	if c.Err != nil {
		return listing.Published{}, c.Err
	}
	for _, p := range c.Listings {
		if p.Listing.ID != id {
			continue
		}
		if h, hidden := c.Hidden[id]; hidden {
			return listing.Published{}, fmt.Errorf("get %q: %w", id, &listing.HiddenError{ID: id, Country: p.Country, Hiding: h})
		}
		return p, nil
	}
	return listing.Published{}, fmt.Errorf("get %q: %w", id, listing.ErrNotFound)
}

// Search looks at every listing.
func (c *Catalog) Search(_ context.Context, q search.Query) (search.Answer, error) {
	if c.Err != nil {
		return search.Answer{}, c.Err
	}
	if q.Snapshot != "" && q.Snapshot != c.Snapshot {
		return search.Answer{}, search.ErrSnapshotGone
	}
	counts := map[search.Facet]map[string]int{}
	var hits []search.Hit
	for _, p := range c.Listings {
		values := facts(p, q.Now)
		if _, hidden := c.Hidden[p.Listing.ID]; hidden || !matches(p, q, values) {
			continue
		}
		for f, list := range values {
			for _, v := range list {
				if counts[f] == nil {
					counts[f] = map[string]int{}
				}
				counts[f][v]++
			}
		}
		hits = append(hits, search.Hit{Ref: search.Ref{Country: p.Country, ID: p.Listing.ID}, Distance: -1, Open: values[search.OpenNow][0], Why: why(q, values)})
	}
	slices.SortFunc(hits, func(a, b search.Hit) int {
		if q.From != "" && q.Order == search.ByRank && (a.Country == q.From) != (b.Country == q.From) {
			if a.Country == q.From {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Country, b.Country), cmp.Compare(a.ID, b.ID))
	})
	total := len(hits)
	if q.Together {
		hits = c.together(hits)
	}
	a := search.Answer{Total: total, Places: len(hits), Page: max(q.Page, 1), PerPage: cmp.Or(q.PerPage, search.DefaultPage), Facets: map[search.Facet][]search.Count{}, Snapshot: c.Snapshot}
	from := min((a.Page-1)*a.PerPage, len(hits))
	a.Hits = hits[from:min(from+a.PerPage, len(hits))]
	for f, byValue := range counts {
		for v, n := range byValue {
			a.Facets[f] = append(a.Facets[f], search.Count{Value: v, Count: n})
		}
		slices.SortFunc(a.Facets[f], func(a, b search.Count) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
		})
	}
	return a, nil
}

// together gives companions, and theirs, the place of the first of them.
func (c *Catalog) together(hits []search.Hit) (list []search.Hit) {
	taken := map[search.Ref]bool{}
	names := func(by search.Ref, id string) bool {
		at := slices.IndexFunc(c.Listings, func(p listing.Published) bool { return p.Country == by.Country && p.Listing.ID == by.ID })
		return slices.Contains(c.Listings[at].Listing.Companions, id)
	}
	for i, h := range hits {
		if taken[h.Ref] {
			continue
		}
		for k := -1; k < len(h.Together); k++ {
			by := h.Ref
			if k >= 0 {
				by = h.Together[k]
			}
			for _, other := range hits[i+1:] {
				if !taken[other.Ref] && len(h.Together) < search.MaxTogether && names(by, other.ID) {
					taken[other.Ref] = true
					h.Together = append(h.Together, other.Ref)
				}
			}
		}
		list = append(list, h)
	}
	return list
}

// why is what would put a listing before another.
func why(q search.Query, values map[search.Facet][]string) (list []search.Why) {
	for _, x := range []struct {
		yes bool
		why search.Why
	}{
		{len(q.UsableFrom) > 0, search.WhyUsable},
		{slices.Contains(values[search.Language], q.Language), search.WhyLanguage},
		{slices.Contains(values[search.Anonymity], "full"), search.WhyAnonymous},
		{values[search.OpenNow][0] == "true", search.WhyOpen},
		{values[search.Freshness][0] == string(listing.Fresh), search.WhyFresh},
		{q.Text != "", search.WhyWords},
	} {
		if x.yes {
			list = append(list, x.why)
		}
	}
	return list
}

// Whole looks at every listing.
func (c *Catalog) Whole(ctx context.Context, q search.Query) (refs []search.Ref, snapshot string, err error) {
	for q.Page, q.PerPage, q.Order = 1, 1000, search.ByID; ; q.Page++ {
		a, err := c.Search(ctx, q)
		if err != nil {
			return nil, "", err
		}
		for _, h := range a.Hits {
			refs = append(refs, h.Ref)
		}
		if len(refs) >= a.Total {
			return refs, a.Snapshot, nil
		}
	}
}

// Keys looks at every listing.
func (c *Catalog) Keys(ctx context.Context, q search.Query, prefix string) ([]string, string, error) {
	refs, snapshot, err := c.Whole(ctx, q)
	found := map[string]bool{}
	for _, p := range c.Listings {
		if !slices.Contains(refs, search.Ref{Country: p.Country, ID: p.Listing.ID}) {
			continue
		}
		for _, k := range hsds.Keys(p.Listing, p.Modified) {
			if rest, ok := strings.CutPrefix(k, prefix); ok {
				found[rest] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), snapshot, err
}

// KeyOwner looks at every listing.
func (c *Catalog) KeyOwner(ctx context.Context, q search.Query, key string) (search.Ref, bool, error) {
	q.Keys = append(slices.Clone(q.Keys), search.KeyFilter{Any: []string{key}})
	refs, _, err := c.Whole(ctx, q)
	if err != nil || len(refs) == 0 {
		return search.Ref{}, false, err
	}
	return refs[0], true, nil
}

// facts are the values of all facets of one listing.
func facts(p listing.Published, now time.Time) map[search.Facet][]string {
	l := p.Listing
	v := map[search.Facet][]string{
		search.Audience: l.Audience, search.Format: l.Formats, search.Country: {p.Country},
		search.Freshness: {string(l.Freshness(now, listing.DefaultCadence))}, search.OpenNow: {"not_stated"},
	}
	add := func(f search.Facet, value string) {
		if !slices.Contains(v[f], value) {
			v[f] = append(v[f], value)
		}
	}
	for _, ch := range l.ContactChannels() {
		add(search.Channel, ch.TypeValue())
		add(search.Anonymity, ch.AnonymityValue())
		add(search.Cost, ch.CostValue())
		for _, tag := range ch.Languages {
			add(search.Language, tag)
		}
		if open, known := l.OpenNow(&ch, now); known && open && now.Sub(p.AsOf) <= listing.Silence {
			v[search.OpenNow] = []string{"true"}
		}
	}
	return v
}

func matches(p listing.Published, q search.Query, values map[search.Facet][]string) bool {
	l := p.Listing
	if l.ProfessionalsOnly() && !q.Professional {
		return false
	}
	if q.Text != "" && !strings.Contains(strings.ToLower(l.Name+" "+l.Description+" "+l.OrganizationName()), strings.ToLower(q.Text)) {
		return false
	}
	keys := hsds.Keys(l, p.Modified)
	for _, f := range q.Keys {
		if !slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(f.Any, k) || f.To != "" && k >= f.From && k < f.To }) {
			return false
		}
	}
	wanted := map[search.Facet][]string{search.Country: q.Countries, search.Language: q.Languages}
	for f, list := range q.Facets {
		wanted[search.Facet(f)] = list
	}
	for f, list := range wanted {
		if len(list) > 0 && !slices.ContainsFunc(list, func(w string) bool { return slices.Contains(values[f], w) }) {
			return false
		}
	}
	if len(q.UsableFrom) == 0 {
		return true
	}
	return slices.ContainsFunc(q.UsableFrom, func(c string) bool {
		return l.Coverage == nil && c == p.Country || l.Coverage != nil && (l.Coverage.Global || l.Coverage.AnyEU || slices.Contains(l.Coverage.Countries, c))
	})
}
