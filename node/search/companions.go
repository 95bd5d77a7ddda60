package search

import (
	"slices"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// Companions are filed among the derived terms as keys are: under the id of each
// companion stand the documents that name it.
const companionPrefix = analysis.Derived + "\x02"

// MaxTogether is how many hits stand with another one at most.
const MaxTogether = 4

// First returns the ids of companions, each once: first those that stand with a hit.
func First(together []Ref, companions []string) []string {
	list := make([]string, 0, len(together)+len(companions))
	for _, r := range together {
		list = append(list, r.ID)
	}
	for _, id := range companions {
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

// naming is a document and the id of a companion that it names.
type naming struct {
	doc uint32
	id  string
}

// named returns who names whom in a segment.
func (s *segment) named() []naming {
	if list := s.namings.Load(); list != nil {
		return *list
	}
	list := []naming{}
	from, to := s.terms.beginning(companionPrefix)
	for t := from; t < to; t++ {
		id := string(s.terms.term(t)[len(companionPrefix):])
		for _, d := range s.docs(t, nil) {
			list = append(list, naming{d, id})
		}
	}
	s.namings.Store(&list)
	return list
}

// found is a hit, by its place.
type found struct{ part, doc uint32 }

// together takes those out of the hits that stand with another: a hit that one before
// it names as a companion, and the companions of that one. Facets and total have been
// counted by now, and count everybody.
func (e *evaluation) together() {
	if !e.q.Together {
		return
	}
	pairs := e.companions()
	if len(pairs) == 0 {
		return
	}
	members := e.inOrder(pairs)
	rank := make(map[found]int, len(members))
	for i, c := range members {
		rank[found{uint32(c.part), c.doc}] = i
	}
	names := make([][]int, len(members)) // by rank
	for _, p := range pairs {
		names[rank[p[0]]] = append(names[rank[p[0]]], rank[p[1]])
	}
	taken := make([]bool, len(members))
	e.with = map[found][]candidate{}
	for i, c := range members {
		if taken[i] {
			continue
		}
		var with []candidate
		for next := []int{i}; len(next) > 0; next = next[1:] {
			slices.Sort(names[next[0]])
			for _, n := range names[next[0]] {
				if n > i && !taken[n] && len(with) < MaxTogether {
					taken[n] = true
					with, next = append(with, members[n]), append(next, n)
				}
			}
		}
		for _, other := range with {
			e.parts[other.part].hits.unset(other.doc)
		}
		e.with[found{uint32(c.part), c.doc}] = with
		e.places -= len(with)
	}
}

// companions returns each hit that names a companion, and that one, where both are
// hits.
func (e *evaluation) companions() (pairs [][2]found) {
	for i := range e.parts {
		p := &e.parts[i]
		for _, n := range p.view.seg.named() {
			if !p.hits.has(n.doc) {
				continue
			}
			if other, ok := e.hitOf(p.view.seg.ref(n.doc).Country, n.id); ok && other != (found{uint32(i), n.doc}) {
				pairs = append(pairs, [2]found{{uint32(i), n.doc}, other})
			}
		}
	}
	return pairs
}

// hitOf finds a hit by its id: mostly of the country that names it.
func (e *evaluation) hitOf(country, id string) (found, bool) {
	if f, ok := e.hitIn(country, id); ok {
		return f, true
	}
	for i := range e.parts {
		for _, other := range e.parts[i].view.seg.facets[countryStored].names {
			if f, ok := e.hitIn(other, id); ok {
				return f, true
			}
		}
	}
	return found{}, false
}

var countryStored = slices.Index(storedNames[:], Country)

func (e *evaluation) hitIn(country, id string) (found, bool) {
	var space [maxIDLen + 8]byte
	identity := appendIdentity(space[:0], country, id)
	for i := range e.parts {
		if d, ok := e.parts[i].view.seg.lookup(identity); ok && e.parts[i].hits.has(d) {
			return found{uint32(i), d}, true
		}
	}
	return found{}, false
}

// inOrder returns the hits that stand in pairs, each once, in the order of the answer.
func (e *evaluation) inOrder(pairs [][2]found) []candidate {
	for i := range e.parts {
		e.prepare(&e.parts[i])
		e.parts[i].need = e.memory.bits(e.parts[i].view.seg.n)
	}
	var list []candidate
	for _, p := range pairs {
		for _, f := range p {
			if need := e.parts[f.part].need; !need.has(f.doc) {
				need.set(f.doc)
				list = append(list, candidate{part: int32(f.part), doc: f.doc})
			}
		}
	}
	if e.q.Order == ByRank && len(e.groups) > 0 {
		e.scoreNeeded()
	}
	for i := range list {
		list[i].key = e.key(&e.parts[list[i].part], list[i].doc)
	}
	slices.SortFunc(list, e.compare)
	return list
}
