package check

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strconv"
)

// formats asks for a list in its other form and by its other method.
func (c *run) formats(ctx context.Context, l *list) {
	c.ndjson(ctx, l)
	c.posted(ctx, l)
	if l.narrowed != nil {
		c.ndjsonNarrowed(ctx, l, *l.narrowed)
	}
}

// ndjsonNarrowed asks for the lines that a filter leaves.
func (c *run) ndjsonNarrowed(ctx context.Context, l *list, f found) {
	const rule = "format.ndjson"
	q := maps.Clone(f.q)
	q.Set("format", "ndjson")
	a := c.get(ctx, "/"+l.name, q)
	if a.err != nil || a.status != 200 {
		c.broken(rule, a.place, "", "%s", notThere(a))
		return
	}
	n := 0
	for line := range bytes.Lines(a.body) {
		v, _ := decode(line)
		m, ok := v.(map[string]any)
		if !ok {
			continue // said already of all lines
		}
		n++
		id, _ := m["id"].(string)
		c.holds(f.ids[id], rule, a.place, fmt.Sprintf("line %d", n), "%s is on no page of the same question", short(id, 60))
	}
	c.holds(n >= len(f.ids), rule, a.place, "", "holds %d items, the pages of the same question hold %d", n, len(f.ids))
}

// ndjson reads a list as lines, which must hold what all pages hold.
func (c *run) ndjson(ctx context.Context, l *list) {
	const rule = "format.ndjson"
	q := url.Values{"format": {"ndjson"}}
	if !l.whole && l.total > 4*c.opt.Items {
		c.skip(rule, fmt.Sprintf("/%s is larger than what is read of it", l.name))
		return
	}
	a := c.get(ctx, "/"+l.name, q)
	if a.err != nil || a.status != 200 {
		c.broken(rule, a.place, "", "%s", notThere(a))
		return
	}
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	c.holds(slices.Contains([]string{"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}, kind),
		"format.ndjson.type", a.place, "", "says that it is %q, not application/x-ndjson", a.header.Get("Content-Type"))
	seen := map[string]bool{}
	n := 0
	for line := range bytes.Lines(a.body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		n++
		v, err := decode(line)
		m, ok := v.(map[string]any)
		if !c.holds(err == nil && ok, rule, a.place, fmt.Sprintf("line %d", n), "must be one object") {
			if n == 1 {
				return // a page, or no JSON at all: what follows says nothing new
			}
			continue
		}
		id, _ := m["id"].(string)
		c.holds(id != "", rule, a.place, fmt.Sprintf("line %d", n), "has no id")
		c.holds(!seen[id], rule, a.place, fmt.Sprintf("line %d", n), "%s stands on an earlier line too", short(id, 60))
		seen[id] = true
	}
	for id := range l.byID {
		c.holds(seen[id], rule, a.place, "", "does not hold %s, which stands on a page", short(id, 60))
	}
	if l.whole {
		c.holds(len(seen) == len(l.byID), rule, a.place, "", "holds %d items, all pages together hold %d", len(seen), len(l.byID))
	}
}

// posted asks for pages by POST, with the question in the address as the
// specification has it, and in a form.
func (c *run) posted(ctx context.Context, l *list) {
	per := min(5, c.opt.PerPage)
	first := url.Values{"page": {"1"}, "per_page": {strconv.Itoa(per)}}
	if !c.samePosted(ctx, l, "http.post", first, nil, ids(toAny(l.items[:min(per, len(l.items))]))) {
		return
	}
	if len(l.items) > 2 {
		second := url.Values{"page": {"2"}, "per_page": {"2"}}
		want := ids(toAny(l.items[2:min(4, len(l.items))]))
		c.samePosted(ctx, l, "http.post", second, nil, want)
		c.samePosted(ctx, l, "http.post.body", nil, second, want)
	}
	if f := l.narrowed; f != nil {
		q := maps.Clone(f.q)
		q.Set("page", "1")
		q.Set("per_page", strconv.Itoa(per))
		want := ids(toAny(f.items[:min(per, len(f.items))]))
		c.samePosted(ctx, l, "http.post", q, nil, want)
		c.samePosted(ctx, l, "http.post.body", nil, q, want)
	}
}

// samePosted asks for a page by POST. It reports whether a page came.
func (c *run) samePosted(ctx context.Context, l *list, rule string, address, form url.Values, want []string) bool {
	a := c.post(ctx, "/"+l.name, address, form)
	if !a.ok() {
		c.broken(rule, a.place, "", "%s", a.wrong())
		return false
	}
	contents, _ := a.object()["contents"].([]any)
	c.holds(slices.Equal(ids(contents), want), rule, a.place, "contents", "is not what GET gives")
	return true
}
