package search

import (
	"bytes"
	"cmp"
	"container/heap"
	"runtime"
	"slices"
)

const gone = ^uint32(0)

// merge makes one segment of the living documents of several. It returns the
// new number of each old document, or gone. The outcome is the same as that of
// building from the documents.
func merge(views []view) (*segment, [][]uint32) {
	remap, origin := renumber(views)
	b := newBuilder(len(origin))
	for _, o := range origin {
		b.copy(views[o.view].seg, o.doc)
	}
	s := b.seg
	for v := range views {
		from := views[v].seg
		s.langs |= from.langs
		for i := range from.facets {
			collect(b.facets[i], &from.facets[i], remap[v])
		}
		collect(b.cover, &from.coverage, remap[v])
		collect(b.flags, &from.flags, remap[v])
	}
	mergeTerms(s, views, remap)
	b.close()
	runtime.KeepAlive(views) // what was read may be mapped
	return s, remap
}

type source struct {
	view int
	doc  uint32
}

// renumber merges the identities of the living.
func renumber(views []view) (remap [][]uint32, origin []source) {
	remap = make([][]uint32, len(views))
	for v := range views {
		remap[v] = make([]uint32, views[v].seg.n)
		for d := range remap[v] {
			remap[v][d] = gone
			if !views[v].isDead(uint32(d)) {
				origin = append(origin, source{v, uint32(d)})
			}
		}
	}
	slices.SortFunc(origin, func(a, b source) int {
		if a.view == b.view {
			return cmp.Compare(a.doc, b.doc)
		}
		return bytes.Compare(views[a.view].seg.identity(a.doc), views[b.view].seg.identity(b.doc))
	})
	for i, o := range origin {
		remap[o.view][o.doc] = uint32(i)
	}
	return remap, origin
}

// copy takes over the columns of one document.
func (b *builder) copy(from *segment, doc uint32) {
	s := b.seg
	s.ident = append(s.ident, from.identity(doc)...)
	s.idOff = append(s.idOff, uint32(len(s.ident)))
	s.revision = append(s.revision, from.revision[doc])
	s.length = append(s.length, from.length[doc])
	s.assured = append(s.assured, from.assured[doc])
	s.cadence = append(s.cadence, from.cadence[doc])
	s.lapse = append(s.lapse, from.lapse[doc])
	s.ages = append(s.ages, from.ages[doc])
	s.pts = append(s.pts, from.pts[from.ptOff[doc]:from.ptOff[doc+1]]...)
	s.ptOff = append(s.ptOff, uint32(len(s.pts)))
	for _, h := range from.hours[from.hourOff[doc]:from.hourOff[doc+1]] {
		r := from.rules[h.rule]
		_, key, _ := newRule(Hours{Zone: r.zone, AlwaysOpen: r.always, Weekly: r.weekly, Exceptions: r.exceptions})
		s.hours = append(s.hours, channelHours{b.rule(&r, key), h.assured})
	}
	s.hourOff = append(s.hourOff, uint32(len(s.hours)))
}

// collect gathers the living of each value; the lists are sorted in the end.
func collect(into valueLists, from *values, remap []uint32) {
	for i, name := range from.names {
		docs := into[name]
		before := len(docs)
		add := func(d uint32) bool {
			if d = remap[d]; d != gone {
				docs = append(docs, d)
			}
			return true
		}
		for _, d := range from.sets[i].list {
			add(d)
		}
		from.sets[i].bits.each(add)
		if len(docs) == 0 {
			continue
		}
		if before > 0 && len(docs) > before && docs[before] < docs[before-1] {
			slices.Sort(docs)
		}
		into[name] = docs
	}
}

// cursor walks the terms of one segment.
type cursor struct {
	seg  *segment
	view int
	term int
}

type cursors []cursor

func (c cursors) Len() int { return len(c) }
func (c cursors) Less(i, j int) bool {
	return cmp.Or(bytes.Compare(c[i].seg.terms.term(c[i].term), c[j].seg.terms.term(c[j].term)), cmp.Compare(c[i].view, c[j].view)) < 0
}
func (c cursors) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *cursors) Push(x any)   { *c = append(*c, x.(cursor)) }
func (c *cursors) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// entry is one posting on its way into the merged segment.
type entry struct {
	doc uint32
	tf  uint8
	pos []byte
}

func byDoc(a, b entry) int { return cmp.Compare(a.doc, b.doc) }

func mergeTerms(s *segment, views []view, remap [][]uint32) {
	var heads cursors
	for v := range views {
		if views[v].seg.terms.len() > 0 {
			heads = append(heads, cursor{views[v].seg, v, 0})
		}
	}
	heap.Init(&heads)
	var names []string
	var list []entry
	var docs []uint32
	s.postOff, s.posOff, s.contOff = []uint32{0}, []uint32{0}, []uint32{0}
	for len(heads) > 0 {
		name := string(heads[0].seg.terms.term(heads[0].term))
		list = list[:0]
		sources := 0
		for len(heads) > 0 && string(heads[0].seg.terms.term(heads[0].term)) == name {
			c := &heads[0]
			docs = c.seg.docs(c.term, docs[:0])
			list = c.entries(list, docs, remap[c.view])
			sources++
			if c.term++; c.term == c.seg.terms.len() {
				heap.Pop(&heads)
			} else {
				heap.Fix(&heads, 0)
			}
		}
		if len(list) == 0 {
			continue
		}
		if sources > 1 && !slices.IsSortedFunc(list, byDoc) {
			slices.SortFunc(list, byDoc)
		}
		names = append(names, name)
		docs = docs[:0]
		for _, e := range list {
			docs = append(docs, e.doc)
			s.postTF = append(s.postTF, e.tf)
			s.pos = append(s.pos, e.pos...)
		}
		s.post = appendPostings(s.post, docs)
		s.postOff = append(s.postOff, uint32(len(s.postTF)))
		s.contOff = append(s.contOff, uint32(len(s.post)))
		s.posOff = append(s.posOff, uint32(len(s.pos)))
	}
	s.post, s.postTF, s.pos = slices.Clip(s.post), slices.Clip(s.postTF), slices.Clip(s.pos)
	s.terms = newDict(names)
}

// entries appends the living postings of the term at the cursor, whose
// documents are docs.
func (c *cursor) entries(list []entry, docs, remap []uint32) []entry {
	tf := c.seg.postTF[c.seg.postOff[c.term]:c.seg.postOff[c.term+1]]
	pos := c.seg.pos[c.seg.posOff[c.term]:c.seg.posOff[c.term+1]]
	for i, doc := range docs {
		var own []byte
		if len(pos) > 0 {
			n := skipPositions(pos)
			own, pos = pos[:n], pos[n:]
		}
		if d := remap[doc]; d != gone {
			list = append(list, entry{d, tf[i], own})
		}
	}
	return list
}
