package search

import (
	"fmt"
	"slices"
)

// The sets of a segment, by facet and value, stand in four columns. setDir has
// for each facet, then coverage, then flags: how many values; and for each of
// them the length of its name, how many documents, the form and where it
// begins. Names follow one another in setNames; lists stand in setLists, bits
// in setWords.
const (
	setList = iota
	setBits
)

const (
	flagPros = "professionals"
	flagAnon = "anonymous"
)

// values maps the values of a facet to the documents that carry them.
type values struct {
	names []string // sorted
	sets  []docSet
}

// of returns the documents with a value, or nil.
func (v *values) of(name string) *docSet {
	i, ok := slices.BinarySearch(v.names, name)
	if !ok {
		return nil
	}
	return &v.sets[i]
}

// valueLists gathers the documents of each value while a segment is made.
type valueLists map[string][]uint32

// writeSets adds a facet to the columns. The lists must be sorted.
func (s *segment) writeSets(l valueLists) {
	names := make([]string, 0, len(l))
	for name := range l {
		names = append(names, name)
	}
	slices.Sort(names)
	s.setDir = append(s.setDir, uint32(len(names)))
	for _, name := range names {
		docs := l[name]
		s.setNames = append(s.setNames, name...)
		if len(docs) <= s.n/sparse {
			s.setDir = append(s.setDir, uint32(len(name)), uint32(len(docs)), setList, uint32(len(s.setLists)))
			s.setLists = append(s.setLists, docs...)
			continue
		}
		b := newBits(s.n)
		for _, d := range docs {
			b.set(d)
		}
		s.setDir = append(s.setDir, uint32(len(name)), uint32(len(docs)), setBits, uint32(len(s.setWords)))
		s.setWords = append(s.setWords, b...)
	}
}

// readSets makes the sets of the columns.
func (s *segment) readSets() error {
	dir, names := s.setDir, s.setNames
	bad := fmt.Errorf("%w: a set that is not there", errSegment)
	take := func(n int) (out []uint32, ok bool) {
		if len(dir) < n {
			return nil, false
		}
		out, dir = dir[:n], dir[n:]
		return out, true
	}
	for i := range storedFacets + 2 {
		v := &s.flags
		switch {
		case i < storedFacets:
			v = &s.facets[i]
		case i == storedFacets:
			v = &s.coverage
		}
		head, ok := take(1)
		if !ok || int(head[0]) > len(dir)/4 {
			return bad
		}
		n := int(head[0])
		v.names, v.sets = make([]string, n), make([]docSet, n)
		for j := range n {
			d, _ := take(4)
			size, count, at := int(d[0]), int(d[1]), int(d[3])
			if size > len(names) || count > s.n {
				return bad
			}
			v.names[j], names = string(names[:size]), names[size:]
			set := docSet{n: count}
			switch {
			case d[2] == setList && at+count <= len(s.setLists):
				set.list = s.setLists[at : at+count : at+count]
			case d[2] == setBits && at+wordsFor(s.n) <= len(s.setWords):
				set.bits = docBits(s.setWords[at : at+wordsFor(s.n) : at+wordsFor(s.n)])
			default:
				return bad
			}
			v.sets[j] = set
		}
		if !slices.IsSorted(v.names) {
			return bad
		}
	}
	return nil
}
