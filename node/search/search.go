package search

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// Search answers one question from one snapshot. Errors: [ErrUnknownFacet],
// [ErrBadQuery], [ErrSnapshotGone], and that of ctx when it ends first. The
// same question over the same listings has the same answer on every node,
// however its index came about.
func (x *Index) Search(ctx context.Context, q Query) (Answer, error) {
	q, err := q.normal()
	if err != nil {
		return Answer{}, err
	}
	if q.Now.IsZero() {
		q.Now = x.opt.Now()
	}
	q.Now = q.Now.UTC().Truncate(time.Minute)
	snap := x.current.Load()
	if q.Snapshot != "" {
		if snap, q.Now, err = x.at(q.Snapshot); err != nil {
			return Answer{}, err
		}
	}
	e := evaluations.Get().(*evaluation)
	defer e.release()
	e.begin(ctx, q, snap)
	if err := e.run(); err != nil {
		return Answer{}, fmt.Errorf("search: %w", err)
	}
	a := e.answer()
	snap.issued.Store(true)
	a.Snapshot = newToken(x.key, snap.number, q.Now.Unix()/60)
	return a, nil
}

// evaluation is the work on one question. It is used again for others, for
// the sake of its memory; nothing of a question stays in it.
type evaluation struct {
	ctx   context.Context
	q     Query
	snap  *snapshot
	lang  analysis.Language // of the page
	parts []part

	groups  [][]form // what is wanted, in its forms
	level   int      // how many groups each hit has
	typos   bool
	total   int
	counts  map[Facet]map[string]int
	best    []candidate
	scratch pool
}

// part is the work on one segment.
type part struct {
	view  *view
	base  *roaring.Bitmap // who may be shown at all
	shown docBits         // the same
	score []float32
	mask  []uint32        // which groups were found
	text  *roaring.Bitmap // who has the words; nil = no words asked
	hits  *roaring.Bitmap
	ages  *roaring.Bitmap // hits but for the filter by age; nil = there is none

	usable, lang docBits
	day          *dayView
	open         *minuteView
}

var evaluations = sync.Pool{New: func() any { return &evaluation{} }}

func (e *evaluation) begin(ctx context.Context, q Query, snap *snapshot) {
	e.ctx, e.q, e.snap, e.lang = ctx, q, snap, analysis.Find(q.Language)
	for i := range snap.views {
		v := &snap.views[i]
		p := part{view: v, base: v.live, day: v.seg.fresh(dayOf(q.Now)), open: v.seg.opening(q.Now)}
		if !q.Professional && !v.seg.pros.IsEmpty() {
			p.base = roaring.AndNot(v.live, v.seg.pros)
		}
		e.parts = append(e.parts, p)
	}
}

func (e *evaluation) release() {
	clear(e.parts)
	clear(e.best)
	clear(e.groups)
	*e = evaluation{parts: e.parts[:0], best: e.best[:0], groups: e.groups[:0], scratch: e.scratch}
	e.scratch.reset()
	evaluations.Put(e)
}

func (e *evaluation) run() error {
	if err := e.findWords(); err != nil {
		return err
	}
	e.counts = map[Facet]map[string]int{}
	for i := range e.parts {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		e.filter(&e.parts[i])
	}
	return e.rank()
}

// filter narrows a part to its hits and counts its facets.
func (e *evaluation) filter(p *part) {
	s := p.view.seg
	hits := p.base
	if p.text != nil {
		hits = p.text // within base already
	}
	if len(e.q.UsableFrom) > 0 {
		hits = roaring.And(hits, s.usableFrom(e.q.UsableFrom))
	}
	if e.q.RadiusKM > 0 {
		hits = roaring.And(hits, s.around(*e.q.Near, e.q.RadiusKM))
	}
	// all narrows by every facet; but[f] by every facet other than f.
	var names []Facet
	var sets []*roaring.Bitmap
	for _, f := range Facets() {
		if list, ok := e.q.Facets[string(f)]; ok {
			names, sets = append(names, f), append(sets, p.having(f, list))
		}
	}
	but := make(map[Facet]*roaring.Bitmap, len(names))
	for i, f := range names {
		set := hits
		for j := range names {
			if j != i {
				set = roaring.And(set, sets[j])
			}
		}
		but[f] = set
	}
	p.ages = but[Age]
	for _, set := range sets {
		hits = roaring.And(hits, set)
	}
	p.hits = hits
	e.total += int(hits.GetCardinality())
	dense := func(r *roaring.Bitmap) docBits {
		b := docBits(e.scratch.words64(s.n))
		b.fill(r)
		return b
	}
	inAll := dense(hits)
	for _, f := range Facets() {
		if own, ok := but[f]; ok {
			e.count(p, f, dense(own))
		} else {
			e.count(p, f, inAll)
		}
	}
}

// having returns the documents with one of the values of a facet.
func (p *part) having(f Facet, list []string) *roaring.Bitmap {
	s := p.view.seg
	out := roaring.New()
	for _, v := range list {
		var set *roaring.Bitmap
		switch f {
		case Freshness:
			set = p.day.sets[slices.Index(freshnessNames[:], v)].Bitmap
		case OpenNow:
			set = p.open.of(v).Bitmap
		case Age:
			if i := slices.IndexFunc(ageBands[:], func(b ageBand) bool { return b.name == v }); i >= 0 {
				set = s.bands[i].Bitmap
			} else if n, err := strconv.Atoi(v); err == nil {
				set = s.aged(n, n).Bitmap
			}
		default:
			set = s.facets[slices.Index(storedNames[:], f)].of(v)
		}
		if set != nil {
			out.Or(set)
		}
	}
	return out
}

func (v *minuteView) of(value string) *docSet {
	switch value {
	case openTrue:
		return &v.open
	case openFalse:
		return &v.closed
	}
	return &v.notStated
}

// count adds how many of hits have each value of a facet.
func (e *evaluation) count(p *part, f Facet, hits docBits) {
	m := e.counts[f]
	if m == nil {
		m = map[string]int{}
		e.counts[f] = m
	}
	add := func(name string, set *docSet) {
		if n := set.shared(hits); n > 0 {
			m[name] += n
		}
	}
	switch f {
	case Freshness:
		for i, name := range freshnessNames {
			add(name, &p.day.sets[i])
		}
	case OpenNow:
		for _, name := range [...]string{openTrue, openFalse, openNotStated} {
			add(name, p.open.of(name))
		}
	case Age:
		for i, b := range ageBands {
			add(b.name, &p.view.seg.bands[i])
		}
	default:
		v := &p.view.seg.facets[slices.Index(storedNames[:], f)]
		for i, name := range v.names {
			add(name, &v.sets[i])
		}
	}
}

// usableFrom returns the documents that can be used from one of the places:
// a country, or a region with what serves all of its country.
func (s *segment) usableFrom(places []string) *roaring.Bitmap {
	out := roaring.New()
	add := func(code string) {
		if set := s.coverage.of(code); set != nil {
			out.Or(set)
		}
	}
	add(everywhere)
	for _, p := range places {
		add(p)
		if whole, _, part := strings.Cut(p, "-"); part {
			add(whole)
		} else {
			add(p + "-*")
		}
	}
	return out
}

// maxCounts bounds how many values of one facet an answer lists.
const maxCounts = 200

// answer puts together the page that was asked for.
func (e *evaluation) answer() Answer {
	a := Answer{Total: e.total, Page: e.q.Page, PerPage: e.q.PerPage, Words: len(e.groups), Matched: e.level, Typos: e.typos,
		Facets: make(map[Facet][]Count, len(e.counts))}
	for _, f := range Facets() {
		a.Facets[f] = e.list(f)
	}
	for _, c := range e.best {
		a.Hits = append(a.Hits, e.hit(c))
	}
	return a
}

// list sorts the counts of a facet: the largest first. Values that were asked
// for are there even at none.
func (e *evaluation) list(f Facet) []Count {
	m := e.counts[f]
	list := make([]Count, 0, len(m))
	for v, n := range m {
		list = append(list, Count{v, n})
	}
	for _, v := range e.q.Facets[string(f)] {
		if _, ok := m[v]; ok {
			continue
		}
		if !slices.ContainsFunc(list, func(c Count) bool { return c.Value == v }) {
			list = append(list, Count{v, e.countAge(f, v)})
		}
	}
	slices.SortFunc(list, func(a, b Count) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Value, b.Value)
	})
	return limit(list, maxCounts)
}

// countAge counts an age in years, which is no band and so was not counted.
func (e *evaluation) countAge(f Facet, v string) int {
	n, err := strconv.Atoi(v)
	if f != Age || err != nil {
		return 0
	}
	total := 0
	for i := range e.parts {
		p := &e.parts[i]
		total += int(p.ages.AndCardinality(p.view.seg.aged(n, n).Bitmap))
	}
	return total
}
