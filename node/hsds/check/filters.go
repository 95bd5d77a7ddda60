package check

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/2ps-project/waymark/node/hsds/schema"
)

// found is what a filtered list gave.
type found struct {
	q     url.Values
	place string
	items []map[string]any
	ids   map[string]bool
	total int
	whole bool // read to its end
	ok    bool // could be read at all
}

// filtered reads a list with conditions. An answer that is none breaks rule.
func (c *run) filtered(ctx context.Context, l *list, rule string, q url.Values) found {
	f := found{q: q, ids: map[string]bool{}, ok: true}
	for n := 1; ; n++ {
		page := url.Values{"page": {strconv.Itoa(n)}, "per_page": {strconv.Itoa(c.opt.PerPage)}}
		for name, v := range q {
			page[name] = v
		}
		a := c.get(ctx, "/"+l.name, page)
		if n == 1 {
			f.place = a.place
		}
		e := c.answered(a, rule)
		if e == nil {
			f.ok = false
			return f
		}
		c.arithmetic(a, e, n)
		if n == 1 {
			f.total = e.total
		}
		for _, v := range e.contents {
			if m, ok := v.(map[string]any); ok {
				f.items = append(f.items, m)
				id, _ := m["id"].(string)
				f.ids[id] = true
			}
		}
		if len(e.contents) == 0 || e.pages >= 0 && n >= e.pages {
			f.whole = true
			return f
		}
		if len(f.items) >= c.opt.Items || n >= maxPages || ctx.Err() != nil {
			return f
		}
	}
}

// answered reads a page that was asked for in a way of its own: where it is
// refused, that way is what does not work.
func (c *run) answered(a *answer, rule string) *envelope {
	if !a.ok() {
		c.broken(rule, a.place, "", "%s", a.wrong())
		return nil
	}
	return c.page(a)
}

// filters tries every filter of a list, alone and together.
func (c *run) filters(ctx context.Context, l *list) {
	if len(l.items) == 0 {
		return
	}
	conditions := []url.Values{}
	add := func(name, value string) {
		if value != "" {
			conditions = append(conditions, url.Values{name: {value}})
		}
	}
	add("search", c.search(ctx, l))
	for _, name := range l.filters {
		switch name {
		case "organization_id":
			add(name, c.byValue(ctx, l, name, organizationOf))
		case "taxonomy_id":
			if l.object == "taxonomy_term" {
				add(name, c.byValue(ctx, l, name, taxonomyOf))
			} else {
				add(name, c.byTerm(ctx, l, name))
			}
		case "taxonomy_term_id":
			add(name, c.byTerm(ctx, l, name))
		case "parent_id":
			add(name, c.byValue(ctx, l, name, func(m map[string]any) string { id, _ := m["parent_id"].(string); return id }))
			c.topOnly(ctx, l)
		case "modified_after":
			add(name, c.modifiedAfter(ctx, l))
			c.invalid(ctx, "/"+l.name, url.Values{name: {"yesterday"}})
		}
		if name != "modified_after" {
			f := c.filtered(ctx, l, "filter.none", url.Values{name: {nobody}})
			if f.ok {
				c.holds(len(f.items) == 0 && f.total <= 0, "filter.none", f.place, "contents", "has %d items of %d for an id that nothing has", len(f.items), f.total)
			}
		}
	}
	c.together(ctx, l, conditions)
	switch l.object {
	case "service":
		c.minimal(ctx, l)
		c.full(ctx, l)
	case "service_at_location":
		c.full(ctx, l)
		for _, q := range []url.Values{{"postcode": {"00000"}}, {"postcode": {"00000"}, "proximity": {"1000"}}} {
			a := c.get(ctx, "/"+l.name, q)
			c.holds(a.err == nil && a.status < 500, "filter.invalid", a.place, "", "%s", notThere(a))
		}
	case "organization":
		c.full(ctx, l)
		c.fullService(ctx, l)
	}
}

// search looks for items by a word of their names. It returns a word that was
// found, for use together with other filters.
func (c *run) search(ctx context.Context, l *list) (word string) {
	for _, m := range c.spread(l.items, 3) {
		name, _ := m["name"].(string)
		w := longestWord(name)
		id, _ := m["id"].(string)
		if w == "" || id == "" {
			continue
		}
		f := c.filtered(ctx, l, "filter.search", url.Values{"search": {w}})
		if !f.ok || !f.ids[id] && !f.whole {
			continue
		}
		if c.holds(f.ids[id], "filter.search", f.place, "contents", "does not hold %s, whose name is %q", id, short(name, 80)) {
			word = w
		}
	}
	f := c.filtered(ctx, l, "filter.search", url.Values{"search": {"qxzvwkjqzxv"}})
	if f.ok {
		c.holds(len(f.items) == 0, "filter.search.none", f.place, "contents", "has %d items for a word that nobody uses", f.total)
	}
	return word
}

// longestWord is the longest word of letters in a name, if it has at least five.
func longestWord(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) })
	longest := ""
	for _, w := range words {
		if len([]rune(w)) > len([]rune(longest)) {
			longest = w
		}
	}
	if len([]rune(longest)) < 5 {
		return ""
	}
	return longest
}

// byValue tries a filter on a value that the items of the list say themselves.
// It returns a value that some items have.
func (c *run) byValue(ctx context.Context, l *list, filter string, of func(map[string]any) string) string {
	rule := "filter." + filter
	values := map[string][]string{} // value → ids of items
	said := true
	for _, m := range l.items {
		id, _ := m["id"].(string)
		v := of(m)
		if d := l.detail[id]; v == "" && d != nil {
			v = of(d)
		}
		if v == "" {
			said = false
			continue
		}
		values[v] = append(values[v], id)
	}
	keys := sortedKeys(values)
	if len(keys) == 0 {
		return ""
	}
	for _, v := range pickFew(keys) {
		f := c.filtered(ctx, l, rule, url.Values{filter: {v}})
		if !f.ok {
			continue
		}
		for _, m := range f.items {
			got := of(m)
			c.holds(got == v || got == "", rule, f.place, "contents", "holds %s, which belongs to %s", shown(m["id"]), orNothing(got))
		}
		if !f.whole {
			continue
		}
		for _, id := range values[v] {
			c.holds(f.ids[id], rule, f.place, "contents", "does not hold %s, which belongs to it", id)
		}
		if l.whole && said {
			c.holds(len(f.ids) == len(values[v]), rule, f.place, "contents", "holds %d items; in the whole list %d belong to it", len(f.ids), len(values[v]))
		}
	}
	return keys[0]
}

// byTerm tries a filter on terms, which stand deep inside items: what it gives
// is fetched and looked through. It returns a value that some items have.
func (c *run) byTerm(ctx context.Context, l *list, filter string) string {
	rule := "filter." + filter
	of := map[string]map[string]bool{} // value → ids of items that were fetched
	for id, m := range l.detail {
		used := map[string]string{}
		terms(m, used)
		for term, taxonomy := range used {
			v := term
			if filter == "taxonomy_id" {
				v = taxonomy
			}
			if v == "" {
				continue
			}
			if of[v] == nil {
				of[v] = map[string]bool{}
			}
			of[v][id] = true
		}
	}
	keys := sortedKeys(of)
	if len(keys) == 0 {
		c.skip(rule, "no item that was fetched has a taxonomy term")
		return ""
	}
	for _, v := range pickFew(keys) {
		f := c.filtered(ctx, l, rule, url.Values{filter: {v}})
		if !f.ok {
			continue
		}
		if f.whole {
			for id := range of[v] {
				c.holds(f.ids[id], rule, f.place, "contents", "does not hold %s, which has it", id)
			}
		}
		for _, m := range c.spread(f.items, 5) {
			id, _ := m["id"].(string)
			d := c.detail(ctx, l, id, m)
			if d == nil {
				continue
			}
			used := map[string]string{}
			terms(d, used)
			has := false
			for term, taxonomy := range used {
				has = has || filter == "taxonomy_id" && taxonomy == v || filter == "taxonomy_term_id" && term == v
			}
			c.holds(has, rule, f.place, "contents", "holds %s, which does not have it", id)
		}
	}
	return keys[0]
}

// modifiedAfter tries times before, between and after those of the items. It
// returns a time that some items pass.
func (c *run) modifiedAfter(ctx context.Context, l *list) string {
	const rule = "filter.modified_after"
	when := map[string]time.Time{}
	var times []time.Time
	for id, m := range l.byID {
		s, _ := m["last_modified"].(string)
		if s == "" {
			s, _ = l.detail[id]["last_modified"].(string)
		}
		if t, err := time.Parse(time.RFC3339, strings.ToUpper(s)); err == nil {
			when[id] = t
			times = append(times, t)
		}
	}
	if len(times) == 0 {
		c.skip(rule, "no item says when it was modified")
		return ""
	}
	slices.SortFunc(times, time.Time.Compare)
	middle := times[len(times)/2]
	for _, after := range []time.Time{time.Unix(0, 0).UTC(), middle, times[len(times)-1].AddDate(50, 0, 0)} {
		f := c.filtered(ctx, l, rule, url.Values{"modified_after": {after.Format(time.RFC3339Nano)}})
		if !f.ok {
			continue
		}
		for id := range f.ids {
			t, said := when[id]
			c.holds(!said || !t.Before(after), rule, f.place, "contents", "holds %s, which was modified at %s", id, t.Format(time.RFC3339))
		}
		if f.whole {
			for id, t := range when {
				c.holds(t.Before(after) || f.ids[id], rule, f.place, "contents", "does not hold %s, which was modified at %s", id, t.Format(time.RFC3339))
			}
		}
	}
	c.zones(ctx, l, middle)
	return middle.Format(time.RFC3339Nano)
}

// zones asks for the same moment as other places write it.
func (c *run) zones(ctx context.Context, l *list, t time.Time) {
	const rule = "filter.modified_after"
	utc := c.filtered(ctx, l, rule, url.Values{"modified_after": {t.UTC().Format(time.RFC3339Nano)}})
	for _, hours := range []int{-11, 11} {
		there := t.In(time.FixedZone("", hours*3600)).Format(time.RFC3339Nano)
		f := c.filtered(ctx, l, rule, url.Values{"modified_after": {there}})
		if utc.ok && f.ok && utc.whole && f.whole {
			c.holds(maps.Equal(f.ids, utc.ids), rule, f.place, "contents", "holds %d items; for the same moment written in UTC it holds %d", len(f.ids), len(utc.ids))
		}
	}
}

// topOnly asks for the terms at the top.
func (c *run) topOnly(ctx context.Context, l *list) {
	const rule = "filter.top_only"
	f := c.filtered(ctx, l, rule, url.Values{"top_only": {"true"}})
	if !f.ok {
		return
	}
	tops := 0
	for _, m := range l.items {
		if p, _ := m["parent_id"].(string); p == "" {
			tops++
		}
	}
	for _, m := range f.items {
		p, _ := m["parent_id"].(string)
		c.holds(p == "", rule, f.place, "contents", "holds %s, which has a parent", shown(m["id"]))
	}
	if l.whole && f.whole {
		c.holds(len(f.ids) == tops, rule, f.place, "contents", "holds %d terms; %d have no parent", len(f.ids), tops)
	}
	if f = c.filtered(ctx, l, rule, url.Values{"top_only": {"false"}}); f.ok {
		c.holds(f.total == l.total, rule, f.place, "total_items", "is %d, without top_only it is %d", f.total, l.total)
	}
}

// together asks with two filters at once, which must give what both give.
func (c *run) together(ctx context.Context, l *list, conditions []url.Values) {
	const rule = "filter.and"
	if len(conditions) < 2 {
		return
	}
	alone := make([]found, len(conditions))
	for i, q := range conditions {
		alone[i] = c.filtered(ctx, l, rule, q)
	}
	for i, one := range alone {
		for _, other := range alone[i+1:] {
			if one.ok && other.ok && one.whole && other.whole {
				c.both(ctx, l, one, other)
			}
		}
	}
	for i := range alone {
		if n := len(alone[i].ids); alone[i].ok && alone[i].whole && n > 0 && n < len(l.byID) {
			l.narrowed = &alone[i]
			break
		}
	}
}

// both asks with the two filters of what was found with each alone.
func (c *run) both(ctx context.Context, l *list, one, other found) {
	const rule = "filter.and"
	q := maps.Clone(one.q)
	maps.Copy(q, other.q)
	both := c.filtered(ctx, l, rule, q)
	if !both.ok {
		return
	}
	for id := range both.ids {
		c.holds(one.ids[id] && other.ids[id], rule, both.place, "contents", "holds %s, which only one of the filters gives", id)
	}
	if !both.whole {
		return
	}
	for id := range one.ids {
		c.holds(!other.ids[id] || both.ids[id], rule, both.place, "contents", "does not hold %s, which each of the filters gives", id)
	}
}

// minimal asks for ids and times only.
func (c *run) minimal(ctx context.Context, l *list) {
	const rule = "param.minimal"
	a := c.get(ctx, "/"+l.name, url.Values{"minimal": {"true"}})
	e := c.answered(a, rule)
	if e == nil {
		return
	}
	for _, v := range e.contents {
		m, _ := v.(map[string]any)
		id, _ := m["id"].(string)
		if !c.holds(id != "", rule, a.place, "contents", "holds an item without an id") {
			continue
		}
		c.holds(!l.whole || l.byID[id] != nil, rule, a.place, "contents", "holds %s, which is in no page of the list", short(id, 60))
		for _, name := range sortedKeys(m) {
			ok := name == "id" || name == "last_modified" || name == "modified_date"
			c.holds(ok, rule, a.place, "contents", "%s has %s too", id, short(name, 60))
		}
	}
	c.holds(e.total == l.total, rule, a.place, "total_items", "is %d, without minimal it is %d", e.total, l.total)
	c.untrue(ctx, l, rule, "minimal")
}

// untrue asks with a parameter that is false, which is to leave it out.
func (c *run) untrue(ctx context.Context, l *list, rule, name string) {
	a := c.get(ctx, "/"+l.name, url.Values{name: {"false"}})
	e := c.answered(a, rule)
	if e == nil {
		return
	}
	for _, v := range e.contents {
		m, _ := v.(map[string]any)
		id, _ := m["id"].(string)
		if listed := l.byID[id]; listed != nil {
			c.holds(slices.Equal(sortedKeys(m), sortedKeys(listed)), rule, a.place, "contents", "%s does not have the properties that it has without %s=false", id, name)
		}
	}
}

// full asks for a page of whole items, which must say what they say alone.
func (c *run) full(ctx context.Context, l *list) {
	const rule = "param.full"
	a := c.get(ctx, "/"+l.name, url.Values{"full": {"true"}, "per_page": {"5"}})
	e := c.answered(a, rule)
	if e == nil {
		return
	}
	for _, v := range e.contents {
		m, _ := v.(map[string]any)
		id, _ := m["id"].(string)
		c.valid(rule, l.object, v, a.place, "contents")
		listed := l.byID[id]
		if listed == nil {
			continue
		}
		for name, alone := range c.detail(ctx, l, id, listed) {
			v, there := m[name]
			if !c.holds(there, rule, a.place, "contents", "%s has no %s, which it has alone", id, short(name, 60)) {
				continue
			}
			if f, known := schema.Find(l.object, name); known && f.Kind != schema.List && f.Kind != schema.Object {
				c.holds(v == alone, rule, a.place, "contents", "%s of %s is %s here and %s alone", name, id, valueShown(v), valueShown(alone))
			}
		}
	}
	c.untrue(ctx, l, rule, "full")
}

// fullService asks for organizations with their services.
func (c *run) fullService(ctx context.Context, l *list) {
	const rule = "param.full_service"
	services := c.lists["services"]
	if services == nil {
		return
	}
	tried := map[string]bool{}
	for _, s := range services.items {
		org, id := organizationOf(s), s["id"]
		if org == "" || tried[org] || len(tried) >= 3 {
			continue
		}
		tried[org] = true
		a := c.get(ctx, "/"+l.name+"/"+url.PathEscape(org), url.Values{"full_service": {"true"}})
		m := a.object()
		if !a.ok() || m == nil {
			continue // detail.answers or link.organization has it
		}
		list, _ := m["services"].([]any)
		i := slices.IndexFunc(list, func(v any) bool { x, _ := v.(map[string]any); return x["id"] == id })
		if !c.holds(i >= 0, rule, a.place, "services", "does not hold %s, a service of this organization", shown(id)) {
			continue
		}
		c.valid(rule, "service", list[i], a.place, "services")
	}
}

// pickFew picks up to three of sorted values, spread.
func pickFew(keys []string) []string {
	if len(keys) <= 3 {
		return keys
	}
	return []string{keys[0], keys[len(keys)/2], keys[len(keys)-1]}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return short(s, 60)
}
