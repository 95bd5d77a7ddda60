package search

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

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
	var a Answer
	if err := guarded(func() (err error) { a, err = x.ask(ctx, q, snap); return err }); errors.Is(err, errSegment) {
		// Answer from what is whole; the rest comes back by itself.
		x.distrust(err)
		if snap == x.current.Load() {
			return Answer{}, fmt.Errorf("search: %w", err)
		}
		snap = x.current.Load()
		err = guarded(func() (err error) { a, err = x.ask(ctx, q, snap); return err })
		if err != nil {
			return Answer{}, fmt.Errorf("search: %w", err)
		}
	} else if err != nil {
		return Answer{}, fmt.Errorf("search: %w", err)
	}
	snap.issued.Store(true)
	a.Snapshot = newToken(x.key, snap.number, q.Now.Unix()/60)
	return a, nil
}

func (x *Index) ask(ctx context.Context, q Query, snap *snapshot) (Answer, error) {
	e := x.idle.get()
	defer x.idle.put(e)
	e.begin(ctx, q, snap)
	if err := e.run(); err != nil {
		return Answer{}, err
	}
	return e.answer(), nil
}

// evaluation is the work on one question. It is used again for others, for
// the sake of its memory; nothing of a question stays in it.
type evaluation struct {
	ctx   context.Context
	q     Query
	snap  *snapshot
	lang  analysis.Language // of the page
	parts []part

	groups [][]form // what is wanted, in its forms
	rarity []int    // listings that have each
	level  int      // how many groups each hit has at least
	most   int      // and the best of them
	typos  []Correction
	total  int
	places int // total without those that stand with another
	with   map[found][]candidate
	counts [numFacets][]Count // by value
	leaves []leaf
	// reached are the places within the radius.
	reached []reached
	cands   []candidate
	best    []candidate
	memory  pool
}

// part is the work on one segment.
type part struct {
	view *view
	base docBits // who may be shown at all
	have [][]matches
	text docBits // who has the words; nil = no words asked
	// steps are those of text by how many words they have: all, all but one …;
	// nil = every one has all.
	steps []docBits
	hits  docBits
	ages  docBits // hits but for the filter by age; nil = there is none

	usable, lang docBits // nil = not asked
	day          *dayView
	open         *minuteView
	reached      [2]int  // of evaluation.reached
	need         docBits // whose score matters
	score        []float32
}

// numFacets is the length of Facets.
const numFacets = 10

var facetNames = [numFacets]Facet(Facets())

// idle are evaluations that wait for a question, with the memory of their last
// one. A [sync.Pool] would lose it at each collection of garbage, and every
// question after one would pay for it.
type idle struct {
	mu   sync.Mutex
	list []*evaluation
}

func (p *idle) get() *evaluation {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.list)
	if n == 0 {
		return new(evaluation)
	}
	e := p.list[n-1]
	p.list = p.list[:n-1]
	return e
}

func (p *idle) put(e *evaluation) {
	e.release()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) < runtime.GOMAXPROCS(0) { // more are seldom at work at once
		p.list = append(p.list, e)
	}
}

func (e *evaluation) begin(ctx context.Context, q Query, snap *snapshot) {
	e.ctx, e.q, e.snap, e.lang = ctx, q, snap, analysis.Find(q.Language)
	for i := range snap.views {
		v := &snap.views[i]
		p := part{view: v, base: v.public, day: v.seg.fresh(dayOf(q.Now)), open: v.seg.opening(q.Now)}
		if len(q.Silent) > 0 {
			p.open = e.promised(v.seg, p.open)
		}
		if q.Professional {
			p.base = v.live
		}
		if q.Language != "" {
			p.lang = e.inLanguage(v.seg)
		}
		e.parts = append(e.parts, p)
	}
}

// promised takes the documents of silent countries out of who is open and who is
// closed.
func (e *evaluation) promised(s *segment, v *minuteView) *minuteView {
	doubt := e.memory.bits(s.n)
	for _, code := range e.q.Silent {
		if set := s.facets[slices.Index(storedNames[:], Country)].of(code); set != nil {
			set.orInto(doubt)
		}
	}
	out := &minuteView{from: v.from, until: v.until}
	for i := range v.states {
		b := e.memory.raw(s.n)
		for j, w := range v.states[i].bits {
			b[j] = w &^ doubt[j]
		}
		out.states[i].bits = b
	}
	out.states[hoursUnknown].bits.or(doubt)
	return out
}

// inLanguage returns who works in the language of the page.
func (e *evaluation) inLanguage(s *segment) docBits {
	set := s.facets[slices.Index(storedNames[:], Language)].of(e.q.Language)
	if set != nil && set.bits != nil {
		return set.bits
	}
	b := e.memory.bits(s.n)
	if set != nil {
		set.orInto(b)
	}
	return b
}

// release hands the memory on. What points into a segment is dropped: it may be
// unmapped once nothing else does.
func (e *evaluation) release() {
	clear(e.parts)
	clear(e.best)
	clear(e.cands)
	clear(e.groups)
	clear(e.leaves)
	next := evaluation{parts: e.parts[:0], best: e.best[:0], cands: e.cands[:0], groups: e.groups[:0], leaves: e.leaves[:0], reached: e.reached[:0], rarity: e.rarity[:0], memory: e.memory}
	for i := range e.counts {
		clear(e.counts[i])
		next.counts[i] = e.counts[i][:0]
	}
	*e = next
	e.memory.reset()
}

func (e *evaluation) run() error {
	if err := e.find(); err != nil {
		return err
	}
	return e.rank()
}

// find makes the sets of hits.
func (e *evaluation) find() error {
	if err := e.findWords(); err != nil {
		return err
	}
	for i := range e.parts {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		e.filter(&e.parts[i])
	}
	e.places = e.total
	return nil
}

// filter narrows a part to its hits and counts its facets.
func (e *evaluation) filter(p *part) {
	s := p.view.seg
	all := e.memory.raw(s.n)
	if p.text != nil {
		copy(all, p.text) // within base already
	} else {
		copy(all, p.base)
	}
	if len(e.q.UsableFrom) > 0 {
		all.and(e.usableFrom(s, e.q.UsableFrom))
	}
	e.keysAsked(s, all)
	if e.q.RadiusKM > 0 {
		near := e.memory.bits(s.n)
		from := len(e.reached)
		e.reached = s.around(*e.q.Near, e.q.RadiusKM, near, e.reached)
		p.reached = [2]int{from, len(e.reached)}
		all.and(near)
	}
	// Counted over the answer; a facet with a filter of its own over the answer
	// that there would be without it.
	var but, own [numFacets]docBits
	hits := all
	for f, name := range facetNames {
		if list, ok := e.q.Facets[string(name)]; ok {
			own[f] = e.having(p, f, list)
		}
	}
	for f := range own {
		if own[f] == nil {
			continue
		}
		but[f] = e.memory.raw(s.n)
		copy(but[f], all)
		for g := range own {
			if g != f && own[g] != nil {
				but[f].and(own[g])
			}
		}
		hits = but[f]
	}
	for f := range own {
		if own[f] != nil { // hits is but[last]
			hits = e.memory.raw(s.n)
			copy(hits, but[f])
			hits.and(own[f])
			break
		}
	}
	p.ages, p.hits = but[facetAge], hits
	n := hits.count()
	e.total += n
	inAll := e.tally(hits, n)
	for f := range facetNames {
		if but[f] != nil {
			e.count(p, f, e.tally(but[f], but[f].count()))
		} else if n > 0 {
			e.count(p, f, inAll)
		}
	}
}

var facetAge = slices.Index(facetNames[:], Age)

// tally prepares n documents to be counted.
func (e *evaluation) tally(b docBits, n int) tally {
	t := tally{bits: b}
	if n < len(b)/4 {
		t.at = e.memory.uints.take(n)[:0]
		for i, w := range b {
			if w != 0 {
				t.at = append(t.at, uint32(i))
			}
		}
	}
	return t
}

// having returns the documents with one of the values of a facet.
func (e *evaluation) having(p *part, f int, list []string) docBits {
	s := p.view.seg
	out := e.memory.bits(s.n)
	for _, v := range list {
		var set *docSet
		switch facetNames[f] {
		case Freshness:
			set = &p.day.sets[slices.Index(freshnessNames[:], v)]
		case OpenNow:
			set = &p.open.states[slices.Index(openNames[:], v)]
		case Age:
			if i := slices.IndexFunc(ageBands[:], func(b ageBand) bool { return b.name == v }); i >= 0 {
				set = &s.bands[i]
			} else if lo, hi, ok := years(v); ok {
				set = &docSet{bits: s.aged(lo, hi)}
			}
		default:
			set = s.facets[slices.Index(storedNames[:], facetNames[f])].of(v)
		}
		if set != nil {
			set.orInto(out)
		}
	}
	return out
}

// count adds how many of a tally have each value of a facet.
func (e *evaluation) count(p *part, f int, t tally) {
	switch facetNames[f] {
	case Freshness:
		for i, name := range freshnessNames {
			e.add(f, name, p.day.sets[i].shared(t))
		}
	case OpenNow:
		for i, name := range openNames {
			e.add(f, name, p.open.states[i].shared(t))
		}
	case Age:
		for i, b := range ageBands {
			e.add(f, b.name, p.view.seg.bands[i].shared(t))
		}
	default:
		v := &p.view.seg.facets[slices.Index(storedNames[:], facetNames[f])]
		for i, name := range v.names {
			e.add(f, name, v.sets[i].shared(t))
		}
	}
}

func (e *evaluation) add(f int, value string, n int) {
	if n == 0 {
		return
	}
	list := e.counts[f]
	if last := len(list) - 1; last < 0 || list[last].Value < value { // mostly: values come sorted
		e.counts[f] = append(list, Count{value, n})
		return
	}
	at, found := slices.BinarySearchFunc(list, value, func(c Count, v string) int { return strings.Compare(c.Value, v) })
	if found {
		list[at].Count += n
	} else {
		e.counts[f] = slices.Insert(list, at, Count{value, n})
	}
}

// usableFrom returns the documents that can be used from one of the places: a
// country, or a region with what serves all of its country; and what serves those
// who speak the language of the question, wherever they are.
func (e *evaluation) usableFrom(s *segment, places []string) docBits {
	out := e.memory.bits(s.n)
	add := func(code string) {
		if set := s.coverage.of(code); set != nil {
			set.orInto(out)
		}
	}
	add(everywhere)
	for _, tag := range append([]string{e.q.Language}, e.q.Facets[string(Language)]...) {
		add(community + tag) // of no language nothing is filed
	}
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
	a := Answer{Total: e.total, Places: e.places, Page: e.q.Page, PerPage: e.q.PerPage, Words: len(e.groups), Matched: e.level, Corrected: e.typos,
		Facets: make(map[Facet][]Count, numFacets)}
	for f, name := range facetNames {
		a.Facets[name] = e.list(f)
	}
	if len(e.best) > 0 {
		a.Hits = make([]Hit, 0, len(e.best))
	}
	for _, c := range e.best {
		a.Hits = append(a.Hits, e.hit(c))
	}
	return a
}

// list sorts the counts of a facet: the largest first. Values that were asked
// for are there even at none.
func (e *evaluation) list(f int) []Count {
	list := append(make([]Count, 0, len(e.counts[f])+2), e.counts[f]...)
	for _, v := range e.q.Facets[string(facetNames[f])] {
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

// countAge counts an age or a range of ages, which is no band and so was not counted.
func (e *evaluation) countAge(f int, v string) int {
	lo, hi, ok := years(v)
	if f != facetAge || !ok {
		return 0
	}
	total := 0
	for i := range e.parts {
		p := &e.parts[i]
		total += p.ages.shared(p.view.seg.aged(lo, hi))
	}
	return total
}
