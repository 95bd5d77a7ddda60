package check

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strconv"
)

// formats asks for a list in its other form and by its other method.
func (c *run) formats(ctx context.Context, l *list) {
	c.ndjson(ctx, l)
	c.posted(ctx, l)
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

// posted asks for a page by POST.
func (c *run) posted(ctx context.Context, l *list) {
	q := url.Values{"page": {"1"}, "per_page": {strconv.Itoa(min(5, c.opt.PerPage))}}
	a := c.ask(ctx, "POST", "/"+l.name, q, nil)
	if !a.ok() {
		c.broken("http.post", a.place, "", "%s", a.wrong())
		return
	}
	contents, _ := a.object()["contents"].([]any)
	want := ids(toAny(l.items[:min(5, len(l.items))]))
	c.holds(slices.Equal(ids(contents), want), "http.post", a.place, "contents", "is not what GET gives")
}
