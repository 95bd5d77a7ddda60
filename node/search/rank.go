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
	from := e.total
	if e.q.Page-1 <= e.total/e.q.PerPage {
		from = min((e.q.Page-1)*e.q.PerPage, e.total)
	}
	to := min(from+e.q.PerPage, e.total)
	if from == to {
		return nil
	}
	var buf [512]uint32
	for i := range e.parts {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		p := &e.parts[i]
		e.prepare(p)
		it := p.hits.ManyIterator()
		for n := it.NextMany(buf[:]); n > 0; n = it.NextMany(buf[:]) {
			for _, d := range buf[:n] {
				c := candidate{e.key(p, d), int32(i), d}
				switch {
				case to > insertUpTo:
					e.best = append(e.best, c)
				case len(e.best) < to || e.compare(c, e.best[to-1]) < 0:
					at, _ := slices.BinarySearchFunc(e.best, c, e.compare)
					if len(e.best) == to {
						e.best = e.best[:to-1]
					}
					e.best = slices.Insert(e.best, at, c)
				}
			}
		}
	}
	if to > insertUpTo {
		slices.SortFunc(e.best, e.compare)
	}
	e.best = append(e.best[:0], e.best[from:to]...)
	return nil
}

// prepare makes the sets that the ladder asks of every hit.
func (e *evaluation) prepare(p *part) {
	s := p.view.seg
	if e.q.From != "" {
		p.usable = e.scratch.words64(s.n)
		p.usable.fill(s.usableFrom([]string{e.q.From}))
	}
	if e.q.Language != "" {
		p.lang = e.scratch.words64(s.n)
		p.lang.fill(s.facets[slices.Index(storedNames[:], Language)].of(e.q.Language))
	}
}

// key is the ladder as a number: usable from here and in my language, then
// anonymous contact, then open now, then freshness, and inside of these the
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
	if p.usable != nil && p.usable.has(d) {
		k |= 2
	}
	if p.lang != nil && p.lang.has(d) {
		k |= 1
	}
	k <<= 1
	if p.view.seg.anonDense.has(d) {
		k |= 1
	}
	k <<= 1
	if p.open.dense.has(d) {
		k |= 1
	}
	k = k<<3 | uint64(lapsed-p.day.steps[d])
	k <<= 16
	if p.score != nil {
		k |= uint64(min(p.score[d]*scoreSteps, math.MaxUint16))
	}
	return k
}

// scoreSteps is into how many buckets one unit of BM25 is divided.
const scoreSteps = 64

// hit tells of a candidate what the reader may want to know.
func (e *evaluation) hit(c candidate) Hit {
	p := &e.parts[c.part]
	s := p.view.seg
	h := Hit{Ref: s.ref(c.doc), Revision: s.revision[c.doc], Distance: -1, Freshness: freshnessNames[p.day.steps[c.doc]], Open: openNotStated}
	switch {
	case p.open.dense.has(c.doc):
		h.Open = openTrue
	case p.open.closed.Contains(c.doc):
		h.Open = openFalse
	}
	if e.q.Near != nil {
		h.Distance = s.nearest(*e.q.Near, c.doc)
	}
	why := func(yes bool, w Why) {
		if yes {
			h.Why = append(h.Why, w)
		}
	}
	why(p.usable != nil && p.usable.has(c.doc), WhyUsable)
	why(p.lang != nil && p.lang.has(c.doc), WhyLanguage)
	why(s.anonDense.has(c.doc), WhyAnonymous)
	why(h.Open == openTrue, WhyOpen)
	why(p.day.steps[c.doc] == fresh, WhyFresh)
	why(len(e.groups) > 0 && e.level == len(e.groups) && !e.typos, WhyWords)
	why(len(e.groups) > 0 && e.level < len(e.groups), WhySomeWords)
	why(e.typos, WhyTypo)
	why(e.q.RadiusKM > 0, WhyNear)
	return h
}
