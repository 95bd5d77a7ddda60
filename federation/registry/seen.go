package registry

import "maps"

// seenPage is how many ids one map of the memory of command ids holds. Adding
// an id copies at most one such map, never the whole memory.
const seenPage = 256

// seen remembers the command ids of the last entries. It is a value: add
// returns another one and leaves this as it was.
type seen struct {
	full   []page // oldest first, each complete and never changed again
	recent page
}

type page struct {
	ids   map[ID]uint64
	order []ID
	last  uint64 // the entry of the newest id
}

func (s seen) find(id ID) (uint64, bool) {
	if n, ok := s.recent.ids[id]; ok {
		return n, true
	}
	for _, p := range s.full {
		if n, ok := p.ids[id]; ok {
			return n, true
		}
	}
	return 0, false
}

func (s seen) add(id ID, seq uint64) seen {
	out := seen{full: s.full}
	for len(out.full) > 0 && out.full[0].last+window < seq {
		out.full = out.full[1:]
	}
	recent := s.recent
	if len(recent.ids) == seenPage {
		out.full = append(out.full[:len(out.full):len(out.full)], recent)
		recent = page{}
	}
	ids := maps.Clone(recent.ids)
	if ids == nil {
		ids = make(map[ID]uint64)
	}
	ids[id] = seq
	out.recent = page{ids, append(recent.order[:len(recent.order):len(recent.order)], id), seq}
	return out
}

func (s seen) list() []ID {
	var out []ID
	for _, p := range s.full {
		out = append(out, p.order...)
	}
	return append(out, s.recent.order...)
}
