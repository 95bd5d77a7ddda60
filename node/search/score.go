package search

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// BM25 with its usual constants.
const (
	bm25K1 = 1.2
	bm25B  = 0.75
)

// matches is one form of what is wanted, as a segment has it: a range of terms,
// or a list of documents, or a set.
type matches struct {
	terms  span
	docs   []uint32 // of a phrase
	tf     []uint8
	set    *docSet // of a label
	weight float32
}

// findWords finds who has the words: in each part, text.
func (e *evaluation) findWords() error {
	list := e.snap.wanted(e.q.Text, e.lang)
	if len(list) == 0 {
		return nil
	}
	found := make([][]docBits, len(e.parts)) // of each part, of each group
	for _, w := range list {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		forms, meant := e.snap.forms(w, e.lang)
		e.groups = append(e.groups, forms)
		if meant != "" {
			e.typos = append(e.typos, Correction{Asked: w.words[0], Meant: meant})
		}
		rarity := 0
		for i := range e.parts {
			p := &e.parts[i]
			b := e.memory.bits(p.view.seg.n)
			have := make([]matches, 0, len(forms))
			for _, f := range forms {
				if m, ok := p.view.resolve(f); ok {
					have = append(have, m)
					m.orInto(p.view.seg, b)
				}
			}
			rarity += b.shared(p.view.live)
			b.and(p.base)
			p.have, found[i] = append(p.have, have), append(found[i], b)
		}
		e.rarity = append(e.rarity, rarity)
	}
	total, own := 0, 0
	for i := range e.parts {
		p := &e.parts[i]
		p.text = e.memory.raw(p.view.seg.n)
		copy(p.text, found[i][0])
		for _, b := range found[i][1:] {
			p.text.and(b)
		}
		total += p.text.count()
		own += e.readable(p, p.text)
	}
	e.level, e.most = len(list), len(list)
	known := 0 // words that any listing has: nothing can be asked of the others
	for _, n := range e.rarity {
		known += min(n, 1)
	}
	if own == 0 || own < enough && len(list) > 1 {
		e.fewer(found, known)
	}
	return e.ctx.Err()
}

// readersOwn tells whether any listing works in the language of the page. Where
// none of them has as many of the words as those in other languages, those with
// the most still belong in the answer: who asks for help in a crisis is shown the
// crisis line that they can talk to.
func (e *evaluation) readersOwn() bool {
	for i := range e.parts {
		if p := &e.parts[i]; p.lang != nil && p.lang.shared(p.base) > 0 {
			return true
		}
	}
	return false
}

// readable counts those of a set that work in the language of the page.
func (e *evaluation) readable(p *part, set docBits) int {
	if p.lang == nil {
		return set.count()
	}
	return set.shared(p.lang)
}

// enough is how many listings in the language of the page make an answer: where
// fewer have all of three or more words, those that have most are shown as well.
const enough = 10

// quorum is how many of n words a listing must have to be shown where few have
// all: two thirds of them.
func quorum(n int) int { return (2*n + 2) / 3 }

// fewer takes documents that do not have all groups, of which known are such as any
// listing has: those that have a quorum, as long as all with more are not enough;
// if nobody in the language of the page has one, those with the most; and of two
// words, those in that language that have one.
func (e *evaluation) fewer(found [][]docBits, known int) {
	sums := make([]counters, len(e.parts))
	for i := range e.parts {
		p := &e.parts[i]
		sums[i] = e.countGroups(p.view.seg.n, found[i])
		clear(p.text)
	}
	total, own := 0, 0
	e.level = 0
	for level := len(e.groups); level > 0 && own < enough; level-- {
		below := level < quorum(known)
		if below && own > 0 && (known != 2 || e.q.Language == "") || below && own == 0 && total > 0 && !e.readersOwn() {
			break
		}
		steps, some := make([]docBits, len(e.parts)), 0
		for i := range e.parts {
			p := &e.parts[i]
			steps[i] = sums[i].exactly(level, e.memory.raw(p.view.seg.n), p.base)
			if below && own > 0 {
				steps[i].and(p.lang)
			}
			some += steps[i].count()
		}
		if some == 0 {
			continue
		}
		if e.level = level; total == 0 {
			e.most = level
		}
		total += some
		for i := range e.parts {
			p := &e.parts[i]
			own += e.readable(p, steps[i])
			p.steps = append(p.steps, steps[i])
			p.text.or(steps[i])
		}
	}
}

// counters tells how many groups each document has, as a binary number whose
// digits lie in sets: so a group is added to 64 documents at once.
type counters [digits]docBits

const digits = 6 // MaxWords is below 1 << digits

func (e *evaluation) countGroups(n int, found []docBits) (c counters) {
	for d := range c {
		c[d] = e.memory.bits(n)
	}
	for _, b := range found {
		for at, carry := range b {
			for d := 0; carry != 0; d++ {
				c[d][at], carry = c[d][at]^carry, c[d][at]&carry
			}
		}
	}
	return c
}

// exactly fills out with those of base that have so many groups.
func (c *counters) exactly(level int, out, base docBits) docBits {
	copy(out, base)
	for d, digit := range c {
		if level>>d&1 == 1 {
			out.and(digit)
		} else {
			for i := range out {
				out[i] &^= digit[i]
			}
		}
	}
	return out
}

// resolve returns what a segment has of a form.
func (v *view) resolve(f form) (m matches, ok bool) {
	s := v.seg
	m.weight = f.weight
	switch f.kind {
	case formPhrase:
		m.docs, m.tf = v.phrase(f.phrase)
		return m, len(m.docs) > 0
	case formAll:
		m.docs, m.tf = v.together(f.phrase)
		return m, len(m.docs) > 0
	case formCode:
		m.set = s.facets[f.code.facet].of(f.code.name)
		return m, m.set != nil
	case formBeginning:
		m.terms = v.beginning(f.key)
	default:
		if t := s.terms.find(f.key); t >= 0 {
			m.terms = s.postings(t)
		}
	}
	return m, m.terms.from < m.terms.to
}

func (m *matches) orInto(s *segment, b docBits) {
	switch {
	case m.set != nil:
		m.set.orInto(b)
	case m.docs != nil:
		for _, d := range m.docs {
			b.set(d)
		}
	default:
		s.orInto(m.terms, b)
	}
}

// scoring computes how well some documents of a part have the words.
type scoring struct {
	p      *part
	seen   docBits // has a better form of the group in hand
	chunks []bool  // that have a document in need
	mean   float32
}

// scoreNeeded scores the documents in need of each part. The groups are scored
// the rarest first, and a document's best form of each counts. Rarity and mean
// are those of all living listings, so that a score does not depend on how
// they are spread over segments.
func (e *evaluation) scoreNeeded() {
	order := make([]int, len(e.groups))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(e.rarity[a], e.rarity[b]) })
	for i := range e.parts {
		p := &e.parts[i]
		s := scoring{p: p, seen: e.memory.raw(p.view.seg.n), chunks: make([]bool, p.view.seg.n>>chunkBits+1), mean: e.snap.mean}
		p.score = e.memory.floats.take(p.view.seg.n)
		for d := range p.need.each {
			p.score[d] = 0
			s.chunks[d>>chunkBits] = true
		}
		for _, g := range order {
			n, df := float64(e.snap.count), float64(e.rarity[g])
			idf := float32(math.Log(1 + (n-df+0.5)/(df+0.5)))
			clear(s.seen)
			for j := range p.have[g] {
				s.form(&p.have[g][j], idf*p.have[g][j].weight)
			}
		}
	}
}

// form adds the score of one form to those in need that have no better one.
func (s *scoring) form(m *matches, weight float32) {
	switch {
	case m.set != nil:
		for d := range s.p.need.each {
			if !s.seen.has(d) && m.set.has(d) {
				s.seen.set(d)
				s.p.score[d] += weight
			}
		}
	case m.docs != nil:
		for i, d := range m.docs {
			if s.p.need.has(d) {
				s.one(d, m.tf[i], weight)
			}
		}
	default:
		for t := m.terms.from; t < m.terms.to; t++ {
			s.term(t, weight)
		}
	}
}

func (s *scoring) term(t uint32, weight float32) {
	seg := s.p.view.seg
	tf := seg.postTF[seg.postOff[t]:seg.postOff[t+1]]
	for post := seg.posts(span{t, t + 1}); len(post) > 0; {
		var c chunk
		c, post = next(post)
		own := tf[:c.n]
		tf = tf[c.n:]
		if !s.chunks[c.first>>chunkBits] {
			continue
		}
		for i, low := range c.list {
			if d := c.first + uint32(low); s.p.need.has(d) {
				s.one(d, own[i], weight)
			}
		}
		if c.bits == nil {
			continue
		}
		before := 0
		for i, need := range s.p.need[c.first>>6:][:min(chunkWords, len(s.p.need)-int(c.first>>6))] {
			w := c.word(i)
			for hit := w & need; hit != 0; hit &= hit - 1 {
				bit := bits.TrailingZeros64(hit)
				s.one(c.first+uint32(i<<6+bit), own[before+bits.OnesCount64(w&(1<<bit-1))], weight)
			}
			before += bits.OnesCount64(w)
		}
	}
}

func (s *scoring) one(d uint32, occurrences uint8, weight float32) {
	if s.seen.has(d) {
		return
	}
	s.seen.set(d)
	tf := float32(occurrences)
	s.p.score[d] += weight * tf * (bm25K1 + 1) / (tf + bm25K1*(1-bm25B+bm25B*float32(s.p.view.seg.length[d])/s.mean))
}

// pool lends arrays for the time of one evaluation.
type pool struct {
	floats arena[float32]
	uints  arena[uint32]
	longs  arena[uint64]
}

// raw returns a set of n documents with anything in it, bits an empty one.
func (p *pool) raw(n int) docBits { return p.longs.take(wordsFor(n)) }
func (p *pool) bits(n int) docBits {
	b := p.raw(n)
	clear(b)
	return b
}
func (p *pool) reset() { p.floats.reset(); p.uints.reset(); p.longs.reset() }

// arena lends pieces of one array; they hold what they held before.
type arena[T any] struct {
	mem  []T
	used int
	need int // of the whole evaluation, so that the next one allocates once
	rest int // evaluations in a row that needed far less
}

func (a *arena[T]) take(n int) []T {
	a.need += n
	if a.used+n > len(a.mem) {
		return make([]T, n)
	}
	out := a.mem[a.used : a.used+n : a.used+n]
	a.used += n
	return out
}

// reset makes room for as much as was needed, and gives back what has been far above
// it for long.
func (a *arena[T]) reset() {
	if a.need >= len(a.mem)/8 {
		a.rest = 0
	} else {
		a.rest++
	}
	if a.need > len(a.mem) || a.rest == maxRest {
		a.mem, a.rest = make([]T, a.need), 0
	}
	a.used, a.need = 0, 0
}

const maxRest = 1000
