package api

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

// terminology is every taxonomy and term that some service carries or the
// federation has agreed on, sorted by id.
type terminology struct {
	minute     time.Time
	keys       []string // of the terms that services carried then
	taxonomies []listing.Document
	terms      []listing.Document
}

// terminology is made again when services carry other terms than before, and each
// minute: what other directories say of theirs stands in the services only.
func (a *API) terminology(ctx context.Context, now time.Time) (*terminology, error) {
	q := search.Query{Professional: true, Now: now}
	keys, _, err := a.opt.Catalog.Keys(ctx, q, hsds.KeyTerm)
	if err != nil {
		return nil, err
	}
	minute := now.Truncate(time.Minute)
	if t := a.known.Load(); t != nil && t.minute.Equal(minute) && slices.Equal(t.keys, keys) {
		return t, nil
	}
	t := &terminology{minute: minute, keys: keys}
	v := a.opt.Vocabulary()
	have := map[string]bool{}
	add := func(to *[]listing.Document, d map[string]any) {
		if id, _ := d["id"].(string); id != "" && !have[id] {
			have[id] = true
			*to = append(*to, d)
		}
	}
	for _, d := range v.Taxonomies() {
		add(&t.taxonomies, d)
	}
	for _, d := range v.Terms() {
		add(&t.terms, d)
	}
	for _, id := range keys {
		if have[id] {
			continue
		}
		p, err := a.owner(ctx, hsdsAsk{q: q}, hsds.KeyTerm+id)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		term, taxonomy := hsds.CarriedTerm(p.Document(), id)
		if term != nil {
			add(&t.terms, term)
		}
		if taxonomy != nil {
			add(&t.taxonomies, taxonomy)
		}
	}
	for _, d := range t.terms {
		if above, _ := d["parent_id"].(string); above != "" && !have[above] {
			delete(d, "parent_id") // it leads nowhere: the term is the topmost that anybody can find
		}
	}
	byID := func(a, b listing.Document) int {
		x, _ := a["id"].(string)
		y, _ := b["id"].(string)
		return cmp.Compare(x, y)
	}
	slices.SortFunc(t.taxonomies, byID)
	slices.SortFunc(t.terms, byID)
	a.known.Store(t)
	return t, nil
}

func (a *API) taxonomies(ctx context.Context, ask hsdsAsk) ([]listing.Document, error) {
	t, err := a.terminology(ctx, ask.q.Now)
	if err != nil {
		return nil, err
	}
	return t.taxonomies, nil
}

func (a *API) terms(ctx context.Context, ask hsdsAsk) ([]listing.Document, error) {
	t, err := a.terminology(ctx, ask.q.Now)
	if err != nil {
		return nil, err
	}
	return t.terms, nil
}

// object reports whether a taxonomy or term answers the question.
func (ask hsdsAsk) object(d listing.Document) bool {
	is := func(field, want string) bool {
		got, _ := d[field].(string)
		return got == want
	}
	taxonomy := func() string {
		if id, _ := d["taxonomy_id"].(string); id != "" {
			return id
		}
		detail, _ := d["taxonomy_detail"].(map[string]any)
		id, _ := detail["id"].(string)
		return id
	}
	switch {
	case ask.taxonomyID != "" && taxonomy() != ask.taxonomyID:
		return false
	case ask.parentID != "" && !is("parent_id", ask.parentID):
		return false
	case ask.topOnly && !is("parent_id", ""):
		return false
	}
	text := ""
	for _, field := range [...]string{"code", "name", "description", "taxonomy"} {
		s, _ := d[field].(string)
		text += " " + strings.ToLower(s)
	}
	for _, word := range strings.Fields(strings.ToLower(ask.q.Text)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}
