package search

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// Keys are filed among the derived terms: no word that a reader writes finds
// them, and a range of them is a range of neighbours. They weigh nothing.
const keyPrefix = analysis.Derived + "\x01"

// KeyFilter is met by a document that has one of Any, or a key that does not
// sort before From and sorts before To. An empty one is met by nothing.
type KeyFilter struct {
	Any      []string
	From, To string // To "" = no range
}

// normal checks the bounds of a filter by keys.
func (f KeyFilter) normal() error {
	if len(f.Any) > maxCodes {
		return fmt.Errorf("%w: %d keys, at most %d can be asked at once", ErrBadQuery, len(f.Any), maxCodes)
	}
	for _, k := range append([]string{f.From, f.To}, f.Any...) {
		if len(k) > maxIDLen {
			return fmt.Errorf("%w: a key is %d bytes long, at most %d are", ErrBadQuery, len(k), maxIDLen)
		}
	}
	return nil
}

// keys files a document under keys, behind a prefix.
func (b *builder) keys(prefix string, keys []string) {
	for _, k := range limit(keys, maxCodes) {
		if k != "" && len(k) <= maxIDLen && utf8.ValidString(k) {
			b.tokens = append(b.tokens, token(b.term([]byte(prefix+k)), stemPos, 0))
		}
	}
}

// keyed returns the documents of a segment that meet a filter.
func (e *evaluation) keyed(s *segment, f KeyFilter) docBits {
	out := e.memory.bits(s.n)
	for _, k := range f.Any {
		if t := s.terms.find(keyPrefix + k); t >= 0 {
			s.orInto(s.postings(t), out)
		}
	}
	if f.To != "" {
		from, to := s.terms.at(keyPrefix+f.From), s.terms.at(keyPrefix+f.To)
		if from < to {
			s.orInto(span{uint32(from), uint32(to)}, out)
		}
	}
	return out
}

// keysAsked narrows a part to what meets every filter by keys.
func (e *evaluation) keysAsked(s *segment, all docBits) {
	for _, f := range e.q.Keys {
		all.and(e.keyed(s, f))
	}
}

// Whole returns all listings that answer a question, by country and id, whatever
// its page and order are, and the token of the snapshot they were taken from.
// Errors are those of [Index.Search].
func (x *Index) Whole(ctx context.Context, q Query) (refs []Ref, snapshot string, err error) {
	err = x.whole(ctx, q, func(e *evaluation) {
		type place struct {
			part int
			doc  uint32
		}
		at := make([]place, 0, e.total)
		for i := range e.parts {
			e.parts[i].hits.each(func(d uint32) bool { at = append(at, place{i, d}); return true })
		}
		slices.SortFunc(at, func(a, b place) int {
			return e.compare(candidate{part: int32(a.part), doc: a.doc}, candidate{part: int32(b.part), doc: b.doc})
		})
		refs = make([]Ref, len(at))
		for i, p := range at {
			refs[i] = e.parts[p.part].view.seg.ref(p.doc)
		}
	}, &snapshot)
	return refs, snapshot, err
}

// Keys returns the keys that begin with a prefix, without it, of the listings that answer a
// question: each once, sorted. The token is that of their snapshot.
func (x *Index) Keys(ctx context.Context, q Query, prefix string) (keys []string, snapshot string, err error) {
	err = x.whole(ctx, q, func(e *evaluation) {
		for i := range e.parts {
			p := &e.parts[i]
			for key, docs := range p.view.seg.keysOf(keyPrefix + prefix) {
				if p.view.seg.meets(docs, p.hits) {
					keys = append(keys, key)
				}
			}
		}
		slices.Sort(keys)
		keys = slices.Compact(keys)
	}, &snapshot)
	return keys, snapshot, err
}

// KeyOwner returns the first listing by country and id that has a key, among
// those that answer a question; false when there is none.
func (x *Index) KeyOwner(ctx context.Context, q Query, key string) (Ref, bool, error) {
	q.Keys = append(slices.Clone(q.Keys), KeyFilter{Any: []string{key}})
	q.Order, q.Page, q.PerPage = ByID, 1, 1
	a, err := x.Search(ctx, q)
	if err != nil || len(a.Hits) == 0 {
		return Ref{}, false, err
	}
	return a.Hits[0].Ref, true, nil
}

// whole finds all hits of a question without ranking them.
func (x *Index) whole(ctx context.Context, q Query, use func(*evaluation), snapshot *string) error {
	q, err := q.normal()
	if err != nil {
		return err
	}
	if q.Now.IsZero() {
		q.Now = x.opt.Now()
	}
	q.Now = q.Now.UTC().Truncate(time.Minute)
	snap := x.current.Load()
	if q.Snapshot != "" {
		if snap, q.Now, err = x.at(q.Snapshot); err != nil {
			return err
		}
	}
	e := x.idle.get()
	defer x.idle.put(e)
	e.begin(ctx, q, snap)
	if err := e.find(); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	use(e)
	snap.issued.Store(true)
	*snapshot = newToken(x.key, snap.number, q.Now.Unix()/60)
	return nil
}

// keysOf walks the terms that begin with a prefix, without it, and their documents.
func (s *segment) keysOf(prefix string) iter.Seq2[string, span] {
	return func(yield func(string, span) bool) {
		from, to := s.terms.beginning(prefix)
		for t := from; t < to; t++ {
			if !yield(string(s.terms.term(t)[len(prefix):]), s.postings(t)) {
				return
			}
		}
	}
}
