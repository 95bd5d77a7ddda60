package check

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// envelope is a page of a list as it was sent.
type envelope struct {
	total, pages, number, size int // -1 where a member is missing
	first, last, empty         bool
	hasFirst, hasLast          bool
	contents                   []any
}

// page reads the envelope of an answer. It returns nil after noting what is
// wrong when the contents cannot be read.
func (c *run) page(a *answer) *envelope {
	const rule = "page.envelope"
	if !a.ok() {
		c.broken(rule, a.place, "", "%s", a.wrong())
		return nil
	}
	c.typed(a)
	m := a.object()
	if m == nil {
		c.broken(rule, a.place, "", "a page must be an object, is %s", typeName(a.value))
		return nil
	}
	e := &envelope{}
	for name, to := range map[string]*int{"total_items": &e.total, "total_pages": &e.pages, "page_number": &e.number, "size": &e.size} {
		*to = -1
		v, there := m[name]
		if !c.holds(there, "page.members", a.place, name, "is missing") {
			continue
		}
		n, ok := whole(v)
		if c.holds(ok && n >= 0, rule, a.place, name, "must be a whole number that is not negative, is %s", number(v)) {
			*to = n
		}
	}
	e.first, e.hasFirst = c.flag(m, a, "first_page", "page.members")
	e.last, e.hasLast = c.flag(m, a, "last_page", "page.members")
	e.empty, _ = c.flag(m, a, "empty", rule)
	contents, ok := m["contents"].([]any)
	if !c.holds(ok, rule, a.place, "contents", "must be a list, is %s", typeName(m["contents"])) {
		return nil
	}
	e.contents = contents
	return e
}

// flag reads a member that is true or false. missing is the rule that it breaks
// by being absent.
func (c *run) flag(m map[string]any, a *answer, name, missing string) (value, there bool) {
	v, there := m[name]
	if !c.holds(there, missing, a.place, name, "is missing") {
		return false, false
	}
	value, ok := v.(bool)
	return value, c.holds(ok, "page.envelope", a.place, name, "must be true or false, is %s", typeName(v))
}

// arithmetic looks whether the numbers of a page agree, for the page that was asked.
func (c *run) arithmetic(a *answer, e *envelope, asked int) {
	const rule = "page.arithmetic"
	at := func(ok bool, path, format string, args ...any) { c.holds(ok, rule, a.place, path, format, args...) }
	n := len(e.contents)
	if e.size >= 0 {
		at(e.size == n, "size", "is %d, and contents has %d items", e.size, n)
	}
	at(e.empty == (n == 0), "empty", "is %t, and contents has %d items", e.empty, n)
	if e.number >= 0 {
		at(e.number == asked, "page_number", "is %d for page %d", e.number, asked)
	}
	if e.hasFirst {
		at(e.first == (asked == 1), "first_page", "is %t for page %d", e.first, asked)
	}
	if e.pages < 0 || e.total < 0 {
		return
	}
	if e.hasLast {
		at(e.last == (asked == max(e.pages, 1)), "last_page", "is %t for page %d of %d", e.last, asked, e.pages)
	}
	if e.total == 0 {
		at(e.pages <= 1, "total_pages", "is %d, and there are no items", e.pages)
	}
	at(n <= e.total, "total_items", "is %d, and this page alone has %d", e.total, n)
	if asked == 1 && n > 0 {
		want := (e.total + n - 1) / n
		at(e.pages == want, "total_pages", "is %d; %d items with %d on the first page make %d pages", e.pages, e.total, n, want)
	}
	if asked < e.pages {
		at(n > 0, "contents", "is empty on page %d of %d", asked, e.pages)
	}
}

// read reads a list to its end or to the bound, and looks at each page and item.
func (c *run) read(ctx context.Context, k kind) {
	l := &list{kind: k, byID: map[string]map[string]any{}, detail: map[string]map[string]any{}}
	exists := "list.others"
	if k.required {
		exists = "list.services"
	}
	q := url.Values{"page": {"1"}, "per_page": {strconv.Itoa(c.opt.PerPage)}}
	a := c.get(ctx, "/"+k.name, q)
	if !c.holds(a.err == nil && a.status == http.StatusOK, exists, a.place, "", "%s", notThere(a)) {
		return
	}
	changed := 0 // page on which the total is another
	for n := 1; ; n++ {
		e := c.page(a)
		if e == nil {
			break
		}
		c.arithmetic(a, e, n)
		if n == 1 {
			l.total, l.pageSize = e.total, len(e.contents)
		}
		if e.total != l.total {
			changed = n
		}
		c.take(a, l, e.contents)
		if last := len(e.contents) == 0 || e.pages >= 0 && n >= e.pages; last {
			l.whole = true
			break
		}
		if len(l.items) >= c.opt.Items || n >= maxPages || ctx.Err() != nil {
			break
		}
		q.Set("page", strconv.Itoa(n+1))
		a = c.get(ctx, "/"+k.name, q)
	}
	c.lists[k.name] = l
	if l.whole && l.total >= 0 {
		place := "GET /" + k.name
		switch {
		case changed > 0:
			c.skip("page.complete", "the list changed while it was read")
			q.Set("page", "1")
			a := c.get(ctx, "/"+k.name, q)
			if e := c.page(a); e != nil {
				c.holds(e.total != l.total, "page.arithmetic", place, "total_items", "is %d on page 1, before and after; on page %d it is another", l.total, changed)
			}
		default:
			c.holds(len(l.items) == l.total, "page.complete", place, "", "its pages hold %d items together, total_items is %d", len(l.items), l.total)
		}
	}
	c.report.Lists = append(c.report.Lists, ListSummary{Name: k.name, Total: max(l.total, 0), Read: len(l.items), Whole: l.whole})
}

func notThere(a *answer) string {
	if a.err == nil && a.status != http.StatusOK {
		return fmt.Sprintf("answered with %d %s", a.status, http.StatusText(a.status))
	}
	return a.wrong()
}

// take adds the items of a page to a list, and looks at each.
func (c *run) take(a *answer, l *list, contents []any) {
	for i, v := range contents {
		at := fmt.Sprintf("contents[%d]", i)
		c.valid("item.schema", l.object, v, a.place, at)
		m, ok := v.(map[string]any)
		if !ok {
			continue
		}
		l.items = append(l.items, m)
		id, _ := m["id"].(string)
		if id == "" {
			continue
		}
		_, twice := l.byID[id]
		c.holds(!twice, "page.unique", a.place, at+".id", "%s stands on an earlier place too", short(id, 60))
		l.byID[id] = m
	}
}

// valid compares a value with an object of HSDS and notes every fault.
func (c *run) valid(rule, object string, v any, place, path string) {
	faults := validate(object, v, path, 0, func(name string) {
		if len(c.report.extra) < 500 {
			c.report.extra[name] = true
		}
	})
	c.looked("item.values")
	if !slices.ContainsFunc(faults, func(f fault) bool { return !f.soft }) {
		c.looked(rule)
	}
	for _, f := range faults {
		code := rule
		if f.soft {
			code = "item.values"
		}
		c.broken(code, place, f.path, "%s", f.message)
	}
}

// pages asks for pages in other ways than to read the whole list.
func (c *run) pages(ctx context.Context, l *list) {
	if len(l.items) == 0 {
		c.skip("page.per_page", "no list has items")
		return
	}
	path := "/" + l.name
	one := url.Values{"page": {"1"}, "per_page": {"1"}}
	a := c.get(ctx, path, one)
	if e := c.page(a); e != nil {
		c.holds(len(e.contents) == 1, "page.per_page", a.place, "contents", "has %d items, asked was 1", len(e.contents))
		c.arithmetic(a, e, 1)
	}
	if len(l.items) > 2 {
		two := url.Values{"page": {"2"}, "per_page": {"2"}}
		a := c.get(ctx, path, two)
		if e := c.page(a); e != nil {
			c.arithmetic(a, e, 2)
			want := ids(toAny(l.items[2:min(4, len(l.items))]))
			c.holds(slices.Equal(ids(e.contents), want), "page.per_page", a.place, "contents", "is not the third and fourth item of the list in its own order")
		}
	}
	first := url.Values{"page": {"1"}, "per_page": {strconv.Itoa(c.opt.PerPage)}}
	a = c.get(ctx, path, first)
	if e := c.page(a); e != nil {
		c.holds(slices.Equal(ids(e.contents), ids(toAny(l.items[:min(l.pageSize, len(l.items))]))), "page.stable", a.place, "contents", "holds other items, or in another order, than a moment ago")
	}
	if last := (len(l.items) - 1) / max(l.pageSize, 1); l.whole && last > 0 {
		a := c.get(ctx, path, url.Values{"page": {strconv.Itoa(last + 1)}, "per_page": {strconv.Itoa(c.opt.PerPage)}})
		if e := c.page(a); e != nil {
			c.holds(slices.Equal(ids(e.contents), ids(toAny(l.items[last*l.pageSize:]))), "page.stable", a.place, "contents", "holds other items, or in another order, than a moment ago")
		}
	}
	if l.whole && l.pageSize > 0 {
		beyond := strconv.Itoa(len(l.items)/l.pageSize + 1000)
		a := c.get(ctx, path, url.Values{"page": {beyond}, "per_page": {strconv.Itoa(c.opt.PerPage)}})
		contents, _ := a.object()["contents"].([]any)
		c.holds(a.err == nil && a.status < 500 && len(contents) == 0, "page.beyond", a.place, "contents", "has %d items, and there are none so far on", len(contents))
	}
	for name, value := range map[string]string{"page": "no-number", "per_page": "-1"} {
		c.invalid(ctx, path, url.Values{name: {value}})
	}
}

// invalid asks something that makes no sense: anything but a failure of the
// server will do.
func (c *run) invalid(ctx context.Context, path string, q url.Values) {
	a := c.get(ctx, path, q)
	c.holds(a.err == nil && a.status < 500, "filter.invalid", a.place, "", "%s", notThere(a))
	c.problem(a)
}

// problem looks whether an error is said in JSON.
func (c *run) problem(a *answer) {
	if a.err == nil && a.status >= 400 {
		c.holds(a.syntax == nil, "http.problem", a.place, "", "the error is sent as %q; a program cannot read it", a.header.Get("Content-Type"))
	}
}

func whole(v any) (int, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return int(i), err == nil
}

// number is a value that should be a number, in a sentence.
func number(v any) string {
	if n, ok := v.(json.Number); ok {
		return short(n.String(), 40)
	}
	return typeName(v)
}

// ids returns the ids of items in their order; "" where one has none.
func ids(items []any) []string {
	out := make([]string, len(items))
	for i, v := range items {
		m, _ := v.(map[string]any)
		out[i], _ = m["id"].(string)
	}
	return out
}

func toAny(items []map[string]any) []any {
	out := make([]any, len(items))
	for i, m := range items {
		out[i] = m
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
