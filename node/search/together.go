package search

import "slices"

// together returns the living documents that have all of several things, each
// of them under one of two terms: keys holds pairs. It tells no frequency.
func (v *view) together(keys []string) (docs []uint32, tf []uint8) {
	for i := 0; i < len(keys); i += 2 {
		var either []uint32
		for _, key := range keys[i : i+2] {
			if t := v.seg.terms.find(key); t >= 0 {
				either = append(either, v.seg.docs(t, nil)...)
			}
		}
		slices.Sort(either)
		either = slices.Compact(either)
		if i == 0 {
			docs = slices.DeleteFunc(either, v.isDead)
		} else {
			docs = common(docs, either)
		}
	}
	tf = make([]uint8, len(docs))
	for i := range tf {
		tf[i] = 1
	}
	return docs, tf
}

// hasTogether tells whether a living listing has all of several things.
func (s *snapshot) hasTogether(keys []string) bool {
	for i := range s.views {
		if docs, _ := s.views[i].together(keys); len(docs) > 0 {
			return true
		}
	}
	return false
}

// living counts the living documents that have a term.
func (v *view) living(term int) int {
	n := int(v.seg.postOff[term+1] - v.seg.postOff[term])
	if v.dead == 0 {
		return n
	}
	for _, d := range v.seg.docs(term, nil) {
		if v.isDead(d) {
			n--
		}
	}
	return n
}
