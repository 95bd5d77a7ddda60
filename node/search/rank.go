package search

import (
	"bytes"
	"cmp"
	"math"
	"slices"
)

// candidate is a hit with its place in the order: the larger key first, equal
// keys by country and id.
type candidate struct {
	key  uint64
	part int32
	doc  uint32
}

func (e *evaluation) compare(a, b candidate) int {
	switch {
	case a.key != b.key:
		return cmp.Compare(b.key, a.key)
	case a.part == b.part:
		return cmp.Compare(a.doc, b.doc)
	}
	return bytes.Compare(e.parts[a.part].view.seg.identity(a.doc), e.parts[b.part].view.seg.identity(b.doc))
}

// insertUpTo is the depth to which the best are kept by insertion; a page
// further down sorts them all.
const insertUpTo = 256

// rank puts the page that was asked for into best.
func (e *evaluation) rank() error {
	e.together()
	from := e.places
	if e.q.Page-1 <= e.places/e.q.PerPage {
		from = min((e.q.Page-1)*e.q.PerPage, e.places)
	}
	to := min(from+e.q.PerPage, e.places)
	if from == to {
		return nil
	}
	for i := range e.parts {
		e.prepare(&e.parts[i])
	}
	if err := e.ctx.Err(); err != nil {
		return err
	}
	hits := make([]docBits, len(e.parts))
	for i := range e.parts {
		hits[i] = e.parts[i].hits
	}
	switch e.q.Order {
	case ByID:
		e.pick(leaf{sets: hits, skip: from, take: to - from, alike: true})
	case ByDistance:
		e.nearest(from, to)
	default:
		l := ladder{e: e, skip: from, left: to - from}
		l.descend(hits, e.places, 0)
		if len(e.groups) > 0 {
			e.need()
			e.scoreNeeded()
		}
		for _, leaf := range e.leaves {
			leaf.alike = leaf.alike && len(e.groups) == 0
			e.pick(leaf)
		}
	}
	return nil
}

// prepare makes the set that only the ladder asks.
func (e *evaluation) prepare(p *part) {
	if e.q.From != "" {
		p.usable = e.usableFrom(p.view.seg, []string{e.q.From})
	}
}

// ladder walks down the steps of the order: usable from here, in my language,
// how many of the words, anonymous contact, open now, then freshness. At each it goes first to the
// hits that are on the upper side, and steps over those that stand before the
// page or behind it as a whole, so that few hits are ever looked at one by one.
type ladder struct {
	e    *evaluation
	skip int // hits before the page that are still to be stepped over
	left int // places of the page that are still free
	free [rungs + freshnessSteps][][]docBits
}

const (
	rungUsable = iota
	rungLanguage
	rungWords
	rungAnonymous
	rungOpen
	rungFresh
	rungs
)

// leaf is a group of hits that stand on one step of the ladder, or are few.
type leaf struct {
	sets       []docBits // of each part; nil = cands
	cands      [2]int    // of evaluation.cands
	skip, take int
	alike      bool // but for the text
}

// few hits are sorted rather than divided further.
const few = 128

// descend goes through n hits, which are alike in the rungs before rung.
func (l *ladder) descend(sets []docBits, n, rung int) {
	switch {
	case n == 0 || l.left == 0:
		return
	case l.skip >= n:
		l.skip -= n
		return
	case n <= few || rung == rungs:
		l.leaf(sets, n, rung)
		return
	case rung == rungUsable && l.e.q.From == "" || rung == rungLanguage && l.e.q.Language == "" || rung == rungWords && l.e.steps() < 2:
		l.descend(sets, n, rung+1)
		return
	}
	own := l.take(sets, rung)
	defer func() { l.free[rung] = append(l.free[rung], own) }()
	if steps := l.steps(rung); steps > 0 {
		for step := range steps {
			some := 0
			for i := range sets {
				some += sets[i].split(l.e.parts[i].step(rung, step), own[i], nil)
			}
			l.descend(own, some, rung+1)
		}
		return
	}
	upper := 0
	for i := range sets {
		upper += sets[i].split(l.e.parts[i].rung(rung), own[i], nil)
	}
	l.descend(own, upper, rung+1)
	if l.left == 0 || upper == n {
		return
	}
	for i := range sets {
		sets[i].split(l.e.parts[i].rung(rung), nil, own[i])
	}
	l.descend(own, n-upper, rung+1)
}

// steps returns how many steps a rung has, the upper one first; 0 where it only
// parts two sides.
func (l *ladder) steps(rung int) int {
	switch rung {
	case rungWords:
		return l.e.steps()
	case rungFresh:
		return freshnessSteps
	}
	return 0
}

func (p *part) step(rung, i int) docBits {
	if rung == rungWords {
		return p.steps[i]
	}
	return p.day.sets[i].bits
}

// steps returns how many numbers of words the hits have.
func (e *evaluation) steps() int {
	if len(e.parts) == 0 {
		return 0
	}
	return len(e.parts[0].steps)
}

func (p *part) rung(i int) docBits {
	switch i {
	case rungUsable:
		return p.usable
	case rungLanguage:
		return p.lang
	case rungAnonymous:
		return p.view.seg.anon
	}
	return p.open.states[hoursOpen].bits
}

// take returns sets to write on.
func (l *ladder) take(like []docBits, rung int) []docBits {
	if n := len(l.free[rung]); n > 0 {
		out := l.free[rung][n-1]
		l.free[rung] = l.free[rung][:n-1]
		return out
	}
	out := make([]docBits, len(like))
	for i := range like {
		out[i] = l.e.memory.longs.take(len(like[i]))
	}
	return out
}

func (l *ladder) leaf(sets []docBits, n, rung int) {
	e := l.e
	f := leaf{skip: l.skip, take: min(n-l.skip, l.left), alike: rung == rungs}
	l.skip, l.left = 0, l.left-f.take
	if n <= few {
		f.cands[0] = len(e.cands)
		for i := range sets {
			for d := range sets[i].each {
				e.cands = append(e.cands, candidate{part: int32(i), doc: d})
			}
		}
		f.cands[1] = len(e.cands)
	} else { // more than a page has: so there are two of these at most
		f.sets = make([]docBits, len(sets))
		for i := range sets {
			f.sets[i] = e.memory.longs.take(len(sets[i]))
			copy(f.sets[i], sets[i])
		}
	}
	e.leaves = append(e.leaves, f)
}

// need notes whose score matters.
func (e *evaluation) need() {
	for i := range e.parts {
		e.parts[i].need = e.memory.bits(e.parts[i].view.seg.n)
	}
	for _, f := range e.leaves {
		for i, set := range f.sets {
			e.parts[i].need.or(set)
		}
	}
	for _, c := range e.cands {
		e.parts[c.part].need.set(c.doc)
	}
}

// pick appends the hits of a leaf that belong on the page.
func (e *evaluation) pick(f leaf) {
	from, depth := len(e.best), f.skip+f.take
	for _, c := range e.cands[f.cands[0]:f.cands[1]] {
		c.key = e.key(&e.parts[c.part], c.doc)
		e.keep(from, depth, c)
	}
	for i, set := range f.sets {
		p := &e.parts[i]
		n := 0
		for d := range set.each {
			if f.alike && n == depth {
				break // the rest have higher numbers
			}
			n++
			e.keep(from, depth, candidate{e.key(p, d), int32(i), d})
		}
	}
	e.cut(from, f.skip, depth)
}

// keep takes a candidate among the best from a place in the list on.
func (e *evaluation) keep(from, depth int, c candidate) {
	own := e.best[from:]
	if depth > insertUpTo {
		e.best = append(e.best, c)
		return
	}
	if len(own) == depth {
		if e.compare(c, own[depth-1]) >= 0 {
			return
		}
		e.best = e.best[:len(e.best)-1]
		own = own[:depth-1]
	}
	at, _ := slices.BinarySearchFunc(own, c, e.compare)
	e.best = slices.Insert(e.best, from+at, c)
}

// cut leaves of the best from a place on those of the page.
func (e *evaluation) cut(from, skip, depth int) {
	own := e.best[from:]
	if depth > insertUpTo {
		slices.SortFunc(own, e.compare)
	}
	n := copy(own, own[min(skip, len(own)):min(depth, len(own))])
	e.best = e.best[:from+n]
}

// nearest puts the hits in the order of their distance.
func (e *evaluation) nearest(from, to int) {
	near := *e.q.Near
	x, y, z := near.vector()
	far := math.Inf(1) // square of the chord beyond which nothing is kept any more
	for i := range e.parts {
		p := &e.parts[i]
		met := e.memory.bits(p.view.seg.n)
		look := func(doc uint32, square float64) {
			if square > far || !p.hits.has(doc) || met.has(doc) {
				return
			}
			met.set(doc)
			e.keep(0, to, candidate{e.key(p, doc), int32(i), doc})
			if len(e.best) == to && to <= insertUpTo {
				last := e.best[to-1]
				chord := 2*math.Sin(min(e.parts[last.part].view.seg.nearest(near, last.doc)/earthKM/2, math.Pi/2)) + 2e-6
				far = chord * chord
			}
		}
		if e.q.RadiusKM > 0 {
			for _, r := range e.reached[p.reached[0]:p.reached[1]] {
				look(r.doc, r.square)
			}
			continue
		}
		for j := range p.view.seg.cells {
			c := &p.view.seg.cells[j]
			dx, dy, dz := float64(c.x)-x, float64(c.y)-y, float64(c.z)-z
			look(c.doc, dx*dx+dy*dy+dz*dz)
		}
	}
	if e.q.RadiusKM > 0 {
		e.cut(0, from, to)
		return
	}
	for i := range e.parts { // then who has no place
		p := &e.parts[i]
		n := 0
		for d := range p.hits.each {
			if p.view.seg.ptOff[d] == p.view.seg.ptOff[d+1] {
				e.keep(0, to, candidate{0, int32(i), d})
				if n++; n == to {
					break
				}
			}
		}
	}
	e.cut(0, from, to)
}

// key is the ladder as a number: usable from here and in my language, then how
// many of the words, then anonymous contact, then open now, then freshness, and inside of these the
// text. The score is rounded, so that the last bits of a float never decide.
func (e *evaluation) key(p *part, d uint32) uint64 {
	switch e.q.Order {
	case ByID:
		return 0
	case ByDistance:
		km := p.view.seg.nearest(*e.q.Near, d)
		if km < 0 {
			return 0
		}
		return 1<<32 - uint64(km*1000) // metres
	}
	var k uint64
	for i := range rungFresh {
		if i == rungWords {
			k = k<<digits | uint64(p.stepOf(d))
			continue
		}
		k <<= 1
		if b := p.rung(i); b != nil && b.has(d) {
			k |= 1
		}
	}
	k = k<<3 | uint64(lapsed-p.day.steps[d])
	k <<= 16
	if p.score != nil {
		k |= uint64(min(p.score[d]*scoreSteps, math.MaxUint16))
	}
	return k
}

// stepOf returns the place of a hit among those that have more or fewer of the
// words: the larger the more.
func (p *part) stepOf(d uint32) int {
	for i, s := range p.steps {
		if s.has(d) {
			return len(p.steps) - i
		}
	}
	return 0
}

// scoreSteps is into how many buckets one unit of BM25 is divided.
const scoreSteps = 64

// hit tells of a candidate what the reader may want to know.
func (e *evaluation) hit(c candidate) Hit {
	p := &e.parts[c.part]
	s := p.view.seg
	h := Hit{Ref: s.ref(c.doc), Revision: s.revision[c.doc], Distance: -1, Freshness: freshnessNames[p.day.steps[c.doc]]}
	for i := range p.open.states {
		if p.open.states[i].has(c.doc) {
			h.Open = openNames[i]
		}
	}
	if e.q.Near != nil {
		h.Distance = s.nearest(*e.q.Near, c.doc)
	}
	for _, other := range e.with[found{uint32(c.part), c.doc}] {
		h.Together = append(h.Together, e.parts[other.part].view.seg.ref(other.doc))
	}
	why := func(yes bool, w Why) {
		if yes {
			h.Why = append(h.Why, w)
		}
	}
	why(p.usable != nil && p.usable.has(c.doc), WhyUsable)
	why(p.lang != nil && p.lang.has(c.doc), WhyLanguage)
	why(s.anon.has(c.doc), WhyAnonymous)
	why(h.Open == openTrue, WhyOpen)
	why(p.day.steps[c.doc] == fresh, WhyFresh)
	if len(e.groups) > 0 {
		all := e.most == len(e.groups) && (p.steps == nil || p.steps[0].has(c.doc))
		why(all && len(e.typos) == 0, WhyWords)
		why(!all, WhySomeWords)
	}
	why(len(e.typos) > 0, WhyTypo)
	why(e.q.RadiusKM > 0, WhyNear)
	return h
}
