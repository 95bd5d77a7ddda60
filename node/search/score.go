package search

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// BM25 with its usual constants.
const (
	bm25K1 = 1.2
	bm25B  = 0.75
)

// matches is one form of what is wanted, resolved in one segment.
type matches struct {
	docs   []uint32
	tf     []uint8
	set    *roaring.Bitmap // for a label, in place of docs
	weight float32
}

// findWords finds who has the words and how well: in each part, text and score.
//
// A group is one thing wanted. Its rarity is taken over all its forms and all
// living listings, so a score does not depend on how they are spread over segments; the
// groups are scored the rarest first, and a listing's best form of each counts.
func (e *evaluation) findWords() error {
	list := parseText(e.q.Text, e.lang)
	if len(list) == 0 {
		return nil
	}
	resolved := make([][][]matches, len(list)) // of each group, of each part
	rarity := make([]int, len(list))
	for g, w := range list {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		forms, typo := e.snap.forms(w, e.lang)
		e.groups = append(e.groups, forms)
		e.typos = e.typos || typo
		resolved[g] = make([][]matches, len(e.parts))
		for i := range e.parts {
			for _, f := range forms {
				m, living := e.parts[i].view.resolve(f)
				if living > 0 {
					resolved[g][i] = append(resolved[g][i], m)
					rarity[g] += living
				}
			}
		}
		rarity[g] = min(rarity[g], e.snap.count)
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rarity[a], rarity[b]) })

	for i := range e.parts {
		p := &e.parts[i]
		p.shown = docBits(e.scratch.words64(p.view.seg.n))
		p.shown.fill(p.base)
		p.score, p.mask = e.scratch.scores(p.view.seg.n), e.scratch.masks(p.view.seg.n)
	}
	e.level = len(list)
	if e.scoreAll(order, rarity, resolved, true) == 0 && len(list) > 1 {
		for i := range e.parts {
			clear(e.parts[i].score)
			clear(e.parts[i].mask)
		}
		e.level = e.scoreAll(order, rarity, resolved, false)
	}
	for i := range e.parts {
		e.parts[i].gather(e.level, &e.scratch)
	}
	return e.ctx.Err()
}

// scoreAll scores the groups in order. With all, only listings that have every
// group so far are looked at. It returns the most groups that a listing has,
// and with all 0 unless that is every one.
func (e *evaluation) scoreAll(order, rarity []int, resolved [][][]matches, all bool) int {
	most := 0
	for i := range e.parts {
		p := &e.parts[i]
		for at, g := range order {
			n, df := float64(e.snap.count), float64(rarity[g])
			idf := float32(math.Log(1 + (n-df+0.5)/(df+0.5)))
			before := uint32(0)
			if all {
				before = 1<<at - 1
			}
			for _, m := range resolved[g][i] {
				p.apply(m, 1<<at, before, idf*m.weight, e.snap.mean)
			}
		}
		for _, m := range p.mask {
			most = max(most, bits.OnesCount32(m))
		}
	}
	if all && most < len(order) {
		return 0
	}
	return most
}

// apply adds the score of one form to those that may be shown, have the groups
// of before, and have not met a better form of the same group.
func (p *part) apply(m matches, bit, before uint32, weight, mean float32) {
	if m.set != nil {
		for it := m.set.Iterator(); it.HasNext(); {
			if d := it.Next(); p.shown.has(d) && p.mask[d]&bit == 0 && p.mask[d]&before == before {
				p.mask[d] |= bit
				p.score[d] += weight
			}
		}
		return
	}
	length := p.view.seg.length
	for i, d := range m.docs {
		if mask := p.mask[d]; mask&bit != 0 || mask&before != before || !p.shown.has(d) {
			continue
		}
		p.mask[d] |= bit
		tf := float32(m.tf[i])
		p.score[d] += weight * tf * (bm25K1 + 1) / (tf + bm25K1*(1-bm25B+bm25B*float32(length[d])/mean))
	}
}

// gather makes text of the documents with so many groups.
func (p *part) gather(level int, s *pool) {
	dense := docBits(s.words64(p.view.seg.n))
	if level > 0 {
		for d, m := range p.mask {
			if bits.OnesCount32(m) == level {
				dense.set(uint32(d))
			}
		}
	}
	p.text = roaring.FromDense(dense, true)
}

// resolve returns what a segment has of a form, and in how many living
// documents.
func (v *view) resolve(f form) (matches, int) {
	s := v.seg
	switch f.kind {
	case formPhrase:
		docs, tf := v.phrase(f.phrase)
		return matches{docs: docs, tf: tf, weight: f.weight}, len(docs)
	case formCode:
		set := s.facets[f.code.facet].of(f.code.name)
		if set == nil {
			return matches{}, 0
		}
		return matches{set: set, weight: f.weight}, int(set.AndCardinality(v.live))
	}
	var p span
	if f.kind == formBeginning {
		p = v.beginning(f.key)
	} else if t := s.terms.find(f.key); t >= 0 {
		p = s.postings(t)
	}
	return matches{docs: s.postDoc[p.from:p.to], tf: s.postTF[p.from:p.to], weight: f.weight}, v.living(p)
}

// pool lends zeroed arrays for the time of one evaluation.
type pool struct {
	floats arena[float32]
	uints  arena[uint32]
	longs  arena[uint64]
}

func (p *pool) scores(n int) []float32 { return p.floats.take(n) }
func (p *pool) masks(n int) []uint32   { return p.uints.take(n) }
func (p *pool) words64(n int) []uint64 { return p.longs.take((n + 63) / 64) }
func (p *pool) reset()                 { p.floats.reset(); p.uints.reset(); p.longs.reset() }

type arena[T any] struct {
	mem  []T
	used int
	need int // of the whole evaluation, so that the next one allocates once
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

// reset zeroes what was lent and makes room for as much as was needed.
func (a *arena[T]) reset() {
	if a.need > len(a.mem) {
		a.mem = make([]T, a.need)
	} else {
		clear(a.mem[:a.used])
	}
	a.used, a.need = 0, 0
}
