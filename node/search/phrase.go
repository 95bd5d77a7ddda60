package search

import (
	"encoding/binary"
	"slices"
	"sort"
)

// phrase returns the living documents in which the words stand side by side as
// written, and how often.
func (v *view) phrase(words []string) (docs []uint32, tf []uint8) {
	s := v.seg
	lists := make([]int, len(words))
	rarest := 0
	frequency := func(t int) uint32 { return s.postOff[t+1] - s.postOff[t] }
	for i, w := range words {
		t := s.terms.find(w)
		if t < 0 {
			return nil, nil
		}
		if lists[i] = t; frequency(t) < frequency(lists[rarest]) {
			rarest = i
		}
	}
	candidates := slices.DeleteFunc(s.docs(lists[rarest], nil), v.isDead)
	var buf []uint32
	for i, t := range lists {
		if i != rarest {
			buf = s.docs(t, buf[:0])
			candidates = common(candidates, buf)
		}
	}
	// starts[i]: where the phrase could begin in candidates[i].
	var starts [][]uint32
	for i, t := range lists {
		at := s.positions(t, candidates)
		if i == 0 {
			starts = at
			continue
		}
		for c := range candidates {
			starts[c] = slices.DeleteFunc(starts[c], func(p uint32) bool {
				_, ok := slices.BinarySearch(at[c], p+uint32(i))
				return !ok
			})
		}
	}
	for c, d := range candidates {
		if n := len(starts[c]); n > 0 {
			docs, tf = append(docs, d), append(tf, uint8(min(n, 255)))
		}
	}
	return docs, tf
}

// common keeps of docs what is in list; both are sorted.
func common(docs, list []uint32) []uint32 {
	out := docs[:0]
	for _, d := range docs {
		i := sort.Search(len(list), func(i int) bool { return list[i] >= d })
		if i < len(list) && list[i] == d {
			out = append(out, d)
		}
		list = list[i:]
	}
	return out
}

// positions returns the positions of a word in each of docs, which all have it.
func (s *segment) positions(term int, docs []uint32) [][]uint32 {
	out := make([][]uint32, 0, len(docs))
	all := make([]uint32, 0, 2*len(docs))
	pos := s.pos[s.posOff[term]:s.posOff[term+1]]
	for _, d := range s.docs(term, nil) {
		if len(out) == len(docs) {
			break
		}
		if d != docs[len(out)] {
			pos = pos[skipPositions(pos):]
			continue
		}
		from := len(all)
		all, pos = decodePositions(all, pos)
		out = append(out, all[from:len(all):len(all)])
	}
	return out
}

// decodePositions appends the positions of one posting to list and returns
// what follows them.
func decodePositions(list []uint32, b []byte) ([]uint32, []byte) {
	count, n := binary.Uvarint(b)
	b = b[n:]
	last := uint32(0)
	for range count {
		step, m := binary.Uvarint(b)
		if m <= 0 {
			break // damaged; a count may be anything
		}
		b = b[m:]
		last += uint32(step)
		list = append(list, last)
	}
	return list, b
}
