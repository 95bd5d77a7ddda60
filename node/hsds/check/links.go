package check

import "context"

// links follows what items say of each other.
func (c *run) links(ctx context.Context) {
	services, organizations := c.lists["services"], c.lists["organizations"]
	if services != nil && organizations != nil {
		for _, m := range c.spread(services.items, c.opt.Details) {
			org := organizationOf(m)
			if org == "" {
				continue
			}
			c.exists(ctx, organizations, org, "link.organization", "GET /services", m["id"])
			inside, _ := m["organization"].(map[string]any)
			if alone := organizations.byID[org]; alone != nil && inside["name"] != nil {
				c.holds(inside["name"] == alone["name"], "link.agrees", "GET /services", "organization.name", "of %s is %s; in /organizations it is %s", shown(m["id"]), shown(inside["name"]), shown(alone["name"]))
			}
		}
	}
	if at := c.lists["service_at_locations"]; at != nil && services != nil {
		for _, m := range c.spread(at.items, c.opt.Details) {
			id, _ := m["service_id"].(string)
			if s, ok := m["service"].(map[string]any); ok {
				id, _ = s["id"].(string)
			}
			if id != "" {
				c.exists(ctx, services, id, "link.service", "GET /service_at_locations", m["id"])
			}
		}
	}
	terms := c.lists["taxonomy_terms"]
	if terms == nil {
		return
	}
	if taxonomies := c.lists["taxonomies"]; taxonomies != nil {
		for _, m := range terms.items {
			if id := taxonomyOf(m); id != "" {
				c.exists(ctx, taxonomies, id, "link.taxonomy", "GET /taxonomy_terms", m["id"])
			}
		}
	}
	for _, m := range terms.items {
		if id, _ := m["parent_id"].(string); id != "" {
			c.exists(ctx, terms, id, "link.parent", "GET /taxonomy_terms", m["id"])
		}
	}
	c.usedTerms(ctx, terms)
}

// usedTerms looks for the terms that services carry.
func (c *run) usedTerms(ctx context.Context, all *list) {
	services := c.lists["services"]
	if services == nil {
		return
	}
	used := map[string]string{}
	for _, m := range services.detail {
		terms(m, used)
	}
	for _, id := range sortedKeys(used) {
		c.exists(ctx, all, id, "link.term", "GET /services/…", id)
	}
}

// exists looks for an item in the list that was read, and asks for it where the
// list was not read whole.
func (c *run) exists(ctx context.Context, l *list, id, rule, place string, from any) {
	if l.byID[id] != nil || l.detail[id] != nil {
		c.looked(rule)
		return
	}
	if !l.whole {
		a := c.get(ctx, "/"+l.name+"/"+id, nil)
		if a.ok() {
			l.detail[id] = a.object()
			c.looked(rule)
			return
		}
	}
	c.broken(rule, place, "", "%s names %s, which is not in /%s", shown(from), short(id, 60), l.name)
}
