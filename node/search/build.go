package search

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// check tells why a document cannot be indexed.
func (d *Doc) check() error {
	switch {
	case d.ID == "" || len(d.ID) > maxIDLen || strings.ContainsRune(d.ID, 0):
		return fmt.Errorf("%w: an id has 1 to %d bytes and no NUL", ErrBadDoc, maxIDLen)
	case d.Country == "" || len(d.Country) > 8 || strings.ContainsRune(d.Country, 0):
		return fmt.Errorf("%w: listing %q has no country code", ErrBadDoc, printable(d.ID, 64))
	}
	for f := range d.Facets {
		if !slices.Contains(storedNames[:givenFacets], f) {
			return fmt.Errorf("%w: listing %q: %w", ErrBadDoc, printable(d.ID, 64),
				&UnknownFacetError{Name: printable(string(f), 64), Nearest: nearestFacet(string(f))})
		}
	}
	return nil
}

// builder makes a segment of documents added in the order of their identity.
type builder struct {
	seg       *segment
	ids       map[string]uint32 // term → number in order of first sight
	names     []string
	derived   [analysis.Count][][]uint32 // by word: the numbers of its derived terms; nil = not looked up
	*gathered                            // nil where segments are merged
	facets    [storedFacets]valueLists
	cover     valueLists
	flags     valueLists
	rules     map[string]uint32
}

// gathered is what a builder needs until its segment is made, and the next one again.
type gathered struct {
	tokens []uint64 // of the document in hand; see token
	posts  []post   // of all documents so far
	pos    []byte
}

var gatherings = sync.Pool{New: func() any { return new(gathered) }}

// token packs a term, a position and a weight (below 16) into a number that
// sorts by term, then position.
func token(term, pos, weight uint32) uint64 {
	return uint64(term)<<32 | uint64(pos&stemPos)<<4 | uint64(weight)
}

// stemPos is the position of a stem, which has none. No text is that long.
const stemPos = 1<<28 - 1

// post is one posting while a segment is made.
type post struct {
	term, doc, pos uint32 // pos: where its positions begin in builder.pos; noPos for a stem
	tf             uint8
}

const noPos = math.MaxUint32

func newBuilder(n int) *builder {
	b := &builder{
		seg: &segment{
			n: n, idOff: make([]uint32, 1, n+1), revision: make([]uint64, 0, n), length: make([]uint16, 0, n),
			assured: make([]int32, 0, n), cadence: make([]int32, 0, n), lapse: make([]int32, 0, n), ages: make([][2]uint8, 0, n),
			ptOff: make([]uint32, 1, n+1), hourOff: make([]uint32, 1, n+1), ruleAt: make([]uint32, 1),
		},
		ids: map[string]uint32{}, cover: valueLists{}, flags: valueLists{}, rules: map[string]uint32{},
	}
	for i := range b.facets {
		b.facets[i] = valueLists{}
	}
	return b
}

// build makes a segment of documents that are sorted by identity and distinct.
func build(docs []*Doc) *segment {
	b := newBuilder(len(docs))
	b.gathered = gatherings.Get().(*gathered)
	for i, d := range docs {
		b.add(uint32(i), d)
	}
	return b.finish()
}

func (b *builder) add(n uint32, d *Doc) {
	s := b.seg
	country := strings.ToUpper(d.Country)
	s.ident = append(s.ident, identityOf(country, d.ID)...)
	s.idOff = append(s.idOff, uint32(len(s.ident)))
	s.revision = append(s.revision, d.Revision)
	s.assured = append(s.assured, d.Assured)
	cadence := int32(defaultCadence)
	if d.CadenceDays > 0 {
		cadence = int32(min(d.CadenceDays, 36500))
	}
	s.cadence = append(s.cadence, cadence)
	lapse := 4 * cadence
	if d.LapseDays > 0 {
		lapse = int32(min(d.LapseDays, 146000))
	}
	s.lapse = append(s.lapse, lapse)
	upper := 255
	if d.MaxAge > 0 {
		upper = min(d.MaxAge, 255)
	}
	s.ages = append(s.ages, [2]uint8{uint8(max(0, min(d.MinAge, 255))), uint8(upper)})

	for i, f := range storedNames[:givenFacets] {
		b.values(b.facets[i], n, d.Facets[f])
	}
	b.values(b.facets[givenFacets], n, []string{country})
	tags := make([]string, 0, 8)
	for _, t := range limit(d.Languages, maxCodes) {
		tags = append(tags, analysis.Base(t))
	}
	b.values(b.facets[givenFacets+1], n, tags)
	b.coverage(n, country, d)
	if d.ProfessionalsOnly {
		b.values(b.flags, n, []string{flagPros})
	}
	if d.AnonymousContact {
		b.values(b.flags, n, []string{flagAnon})
	}
	for _, p := range limit(d.Points, maxPoints) {
		if p.valid() {
			s.pts = append(s.pts, p)
		}
	}
	s.ptOff = append(s.ptOff, uint32(len(s.pts)))
	for _, h := range limit(d.Hours, maxHours) {
		if r, key, ok := newRule(h); ok {
			s.hours = append(s.hours, channelHours{b.rule(&r, key), cmp.Or(h.Assured, d.Assured)})
		}
	}
	s.hourOff = append(s.hourOff, uint32(len(s.hours)))
	b.texts(n, d)
}

// rule files hours that are not known yet.
func (b *builder) rule(r *rule, key string) uint32 {
	number, seen := b.rules[key]
	if !seen {
		number = uint32(len(b.rules))
		b.rules[key] = number
		b.seg.ruleOf = r.append(b.seg.ruleOf)
		b.seg.ruleAt = append(b.seg.ruleAt, uint32(len(b.seg.ruleOf)))
	}
	return number
}

func limit[T any](s []T, n int) []T { return s[:min(len(s), n)] }

// values files a document under each of its distinct values.
func (b *builder) values(l valueLists, doc uint32, list []string) {
	for _, v := range limit(list, maxCodes) {
		if v == "" || len(v) > maxIDLen {
			continue
		}
		if docs := l[v]; len(docs) == 0 || docs[len(docs)-1] != doc {
			l[strings.Clone(v)] = append(docs, doc)
		}
	}
}

// coverage files a document under the countries and regions from which it can
// be used. Someone anywhere in a country is told of what serves a part of it.
func (b *builder) coverage(doc uint32, country string, d *Doc) {
	if d.Global {
		b.values(b.cover, doc, []string{everywhere})
	}
	list := d.Coverage
	if len(list) == 0 && !d.Global { // communities come beside it
		list = []string{country}
	}
	var codes []string
	for _, c := range limit(list, maxCodes) {
		c = strings.ToUpper(strings.TrimSpace(c))
		codes = append(codes, c)
		if whole, _, part := strings.Cut(c, "-"); part {
			codes = append(codes, whole+"-*") // some part of it
		}
	}
	for _, tag := range limit(d.Communities, maxCodes) {
		codes = append(codes, community+analysis.Base(tag))
	}
	slices.Sort(codes)
	b.values(b.cover, doc, slices.Compact(codes))
}

// In the sets of coverage: usable from everywhere, and by those who speak a language.
const (
	everywhere = "*"
	community  = "~"
)

// fieldGap lies between the positions of two texts: no phrase spans it.
const fieldGap = 100

// texts files a document under its words, their stems, its keys and its companions.
func (b *builder) texts(doc uint32, d *Doc) {
	b.tokens = b.tokens[:0]
	left, at, length := MaxText, uint32(0), 0
	for _, t := range limit(d.Texts, maxTexts) {
		text := t.Text[:min(len(t.Text), left)]
		left -= len(text)
		lang := analysis.Find(t.Language)
		if lang >= 0 {
			b.seg.langs |= 1 << lang
		}
		weight := uint32(t.Weight.factor())
		analysis.Words(text, func(w []byte) {
			id := b.term(w)
			b.tokens = append(b.tokens, token(id, at, weight))
			at++
			length += int(weight)
			if lang >= 0 {
				for _, d := range b.derive(lang, id) {
					b.tokens = append(b.tokens, token(d, stemPos, weight))
				}
			}
		})
		at += fieldGap
	}
	b.seg.length = append(b.seg.length, uint16(min(length, math.MaxUint16)))
	b.keys(keyPrefix, d.Keys)
	b.keys(companionPrefix, d.Companions)
	slices.Sort(b.tokens)
	for i := 0; i < len(b.tokens); {
		j, tf := i, uint64(0)
		for j < len(b.tokens) && b.tokens[j]>>32 == b.tokens[i]>>32 {
			tf += b.tokens[j] & 15
			j++
		}
		p := post{term: uint32(b.tokens[i] >> 32), doc: doc, pos: noPos, tf: uint8(min(tf, math.MaxUint8))}
		if position(b.tokens[i]) != stemPos {
			p.pos = uint32(len(b.pos))
			b.pos = binary.AppendUvarint(b.pos, uint64(j-i))
			last := uint32(0)
			for _, t := range b.tokens[i:j] {
				b.pos = binary.AppendUvarint(b.pos, uint64(position(t)-last))
				last = position(t)
			}
		}
		b.posts = append(b.posts, p)
		i = j
	}
}

func position(t uint64) uint32 { return uint32(t>>4) & stemPos }

func (b *builder) term(w []byte) uint32 {
	if id, ok := b.ids[string(w)]; ok {
		return id
	}
	return b.intern(string(w))
}

func (b *builder) intern(s string) uint32 {
	id := uint32(len(b.names))
	b.ids[s] = id
	b.names = append(b.names, s)
	return id
}

// derive returns the numbers of the terms that are derived from a word.
func (b *builder) derive(lang analysis.Language, word uint32) []uint32 {
	known := b.derived[lang]
	if int(word) >= len(known) {
		known = append(known, make([][]uint32, int(word)+1+len(known)/2-len(known)+64)...)
		b.derived[lang] = known
	}
	if known[word] == nil {
		list := []uint32{}
		lang.Terms(b.names[word], func(key string) {
			id, ok := b.ids[key]
			if !ok {
				id = b.intern(key)
			}
			list = append(list, id)
		})
		known[word] = list
	}
	return known[word]
}

// finish sorts what was gathered into the segment. The builder is spent.
func (b *builder) finish() *segment {
	s := b.seg
	order := make([]uint32, len(b.names))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int { return strings.Compare(b.names[x], b.names[y]) })
	sorted := make([]string, len(order))
	rank := make([]uint32, len(order))
	for i, id := range order {
		sorted[i], rank[id] = b.names[id], uint32(i)
	}
	b.ids, b.names = nil, nil
	s.terms = newDict(sorted)

	// A counting sort by term keeps the documents in order.
	s.postOff = make([]uint32, len(sorted)+1)
	for _, p := range b.posts {
		s.postOff[rank[p.term]+1]++
	}
	for i := range sorted {
		s.postOff[i+1] += s.postOff[i]
	}
	next := slices.Clone(s.postOff)
	at := make([]uint32, len(b.posts))
	docs := make([]uint32, len(b.posts))
	s.postTF = make([]uint8, len(b.posts))
	for _, p := range b.posts {
		i := next[rank[p.term]]
		next[rank[p.term]]++
		docs[i], s.postTF[i], at[i] = p.doc, p.tf, p.pos
	}
	s.contOff = make([]uint32, 1, len(sorted)+1)
	s.post = make([]uint16, 0, len(docs)+2*len(sorted))
	for i := range sorted {
		s.post = appendPostings(s.post, docs[s.postOff[i]:s.postOff[i+1]])
		s.contOff = append(s.contOff, uint32(len(s.post)))
	}
	s.pos = make([]byte, 0, len(b.pos))
	s.posOff = make([]uint32, len(sorted)+1)
	for i := range sorted {
		for _, from := range at[s.postOff[i]:s.postOff[i+1]] {
			if from != noPos {
				s.pos = append(s.pos, b.pos[from:from+skipPositions(b.pos[from:])]...)
			}
		}
		s.posOff[i+1] = uint32(len(s.pos))
	}
	b.tokens, b.posts, b.pos = b.tokens[:0], b.posts[:0], b.pos[:0]
	gatherings.Put(b.gathered)
	b.gathered = nil
	b.close()
	return s
}

// close writes what the builder gathered beside the words.
func (b *builder) close() {
	s := b.seg
	for _, l := range b.facets {
		s.writeSets(l)
	}
	s.writeSets(b.cover)
	s.writeSets(b.flags)
	s.idHash = newSlots(s.n, func(i int) []byte { return s.identity(uint32(i)) })
	s.grid()
	if err := s.seal(); err != nil {
		panic(err) // what was just made does not fit together
	}
}

// skipPositions returns the length of the positions of one posting.
func skipPositions(b []byte) uint32 {
	count, n := binary.Uvarint(b)
	for ; count > 0; count-- {
		for b[n] >= 0x80 {
			n++
		}
		n++
	}
	return uint32(n)
}

// grid sorts the places of the documents into cells.
func (s *segment) grid() {
	s.cells = make([]place, 0, len(s.pts))
	for doc := range uint32(s.n) {
		for _, p := range s.pts[s.ptOff[doc]:s.ptOff[doc+1]] {
			x, y, z := p.vector()
			s.cells = append(s.cells, place{cellOf(p), doc, float32(x), float32(y), float32(z)})
		}
	}
	slices.SortStableFunc(s.cells, func(a, b place) int { return cmp.Compare(a.cell, b.cell) })
}
