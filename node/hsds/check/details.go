package check

import (
	"context"
	"net/http"
	"net/url"
	"reflect"

	"github.com/2ps-project/waymark/node/hsds/schema"
)

// nobody is an id that no item has: a UUID of version 8 made for this check.
const nobody = "6e6f626f-6479-8000-8000-686173746869"

// details fetches items of a list one by one, spread over it, and compares what
// they say alone with what the list said.
func (c *run) details(ctx context.Context, l *list) {
	for _, m := range c.spread(l.items, c.opt.Details) {
		if ctx.Err() != nil {
			return
		}
		id, _ := m["id"].(string)
		if id == "" {
			continue // the schema has said so
		}
		c.detail(ctx, l, id, m)
	}
	for i := range c.report.Lists {
		if c.report.Lists[i].Name == l.name {
			c.report.Lists[i].Details = len(l.detail)
		}
	}
	for _, id := range []string{nobody, "no-id"} {
		a := c.get(ctx, "/"+l.name+"/"+id, nil)
		if id == nobody {
			c.holds(a.err == nil && (a.status == http.StatusNotFound || a.status == http.StatusGone), "detail.unknown", a.place, "", "must be answered with 404, %s", notThere(a))
		} else {
			c.holds(a.err == nil && a.status >= 400 && a.status < 500, "detail.unknown", a.place, "", "must be answered with 404 or 400, %s", notThere(a))
		}
		c.problem(a)
	}
}

// detail fetches one item. It returns nil where that fails, after noting why.
func (c *run) detail(ctx context.Context, l *list, id string, listed map[string]any) map[string]any {
	if m, ok := l.detail[id]; ok {
		return m
	}
	a := c.get(ctx, "/"+l.name+"/"+url.PathEscape(id), nil)
	m := a.object()
	if !c.holds(a.ok() && m != nil, "detail.answers", a.place, "", "%s", whyNoObject(a)) {
		return nil
	}
	c.typed(a)
	l.detail[id] = m
	c.valid("detail.schema", l.object, m, a.place, "")
	c.holds(m["id"] == id, "detail.answers", a.place, "id", "is %s", shown(m["id"]))
	for _, name := range sortedKeys(listed) {
		f, known := schema.Find(l.object, name)
		if !known || f.Kind == schema.List {
			continue // a list may be shortened or left out of the pages
		}
		alone, there := m[name]
		agrees := there && reflect.DeepEqual(alone, listed[name])
		if f.Kind == schema.Object { // nested less deeply in a page
			agrees = there && sameID(alone, listed[name])
		}
		c.holds(agrees, "detail.agrees", a.place, name, "is %s here and %s in the list", valueShown(alone), valueShown(listed[name]))
	}
	return m
}

func sameID(a, b any) bool {
	x, ok1 := a.(map[string]any)
	y, ok2 := b.(map[string]any)
	return ok1 && ok2 && x["id"] == y["id"]
}

// valueShown is a value in a sentence, a number too.
func valueShown(v any) string {
	switch v := v.(type) {
	case interface{ String() string }:
		return short(v.String(), 60)
	case map[string]any:
		return "the object " + shown(v["id"])
	}
	return shown(v)
}

// spread picks k items evenly over a list, the first and the last among them.
func (c *run) spread(items []map[string]any, k int) []map[string]any {
	n := len(items)
	if n <= k {
		return items
	}
	out := make([]map[string]any, 0, k)
	for i := range k {
		at := i * (n - 1) / max(k-1, 1)
		out = append(out, items[at])
	}
	return out
}

// terms collects the ids of the taxonomy terms that stand anywhere in an item,
// with the ids of their taxonomies where they are said.
func terms(v any, into map[string]string) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			terms(x, into)
		}
	case map[string]any:
		if id, _ := v["taxonomy_term_id"].(string); id != "" {
			if _, known := into[id]; !known {
				into[id] = ""
			}
		}
		if term, ok := v["taxonomy_term"].(map[string]any); ok {
			if id, _ := term["id"].(string); id != "" {
				into[id] = taxonomyOf(term)
			}
		}
		for name, x := range v {
			if name != "taxonomy_term" {
				terms(x, into)
			}
		}
	}
}

// taxonomyOf is the id of the taxonomy of a term, or "".
func taxonomyOf(term map[string]any) string {
	if id, _ := term["taxonomy_id"].(string); id != "" {
		return id
	}
	detail, _ := term["taxonomy_detail"].(map[string]any)
	id, _ := detail["id"].(string)
	return id
}

// organizationOf is the id of the organization of a service, or of that of a
// service at a location; "" where it is not said.
func organizationOf(m map[string]any) string {
	if id, _ := m["organization_id"].(string); id != "" {
		return id
	}
	if o, ok := m["organization"].(map[string]any); ok {
		id, _ := o["id"].(string)
		return id
	}
	if s, ok := m["service"].(map[string]any); ok {
		return organizationOf(s)
	}
	return ""
}
