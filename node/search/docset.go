package search

import (
	"math/bits"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// docSet is a set of documents that is often counted. The bitmap serves for
// narrowing. Where the set is not sparse the same stands there as plain words:
// counting what it shares with an answer is then a few hundred instructions,
// which it is not for a Roaring container of up to 4096 entries.
type docSet struct {
	*roaring.Bitmap
	dense docBits // nil = sparse
}

func newDocSet(docs []uint32, n int) docSet {
	s := docSet{Bitmap: bitmapOf(docs)}
	if len(docs) > n/64 {
		s.dense = newBits(n)
		s.dense.fill(s.Bitmap)
	}
	return s
}

// shared returns how many documents of s are in b.
func (s *docSet) shared(b docBits) int {
	n := 0
	if s.dense != nil {
		for i, w := range s.dense {
			n += bits.OnesCount64(w & b[i])
		}
		return n
	}
	for it := s.Iterator(); it.HasNext(); {
		if b.has(it.Next()) {
			n++
		}
	}
	return n
}

func (s *docSet) size() int { return 64 + int(s.GetSizeInBytes()) + 8*len(s.dense) }

func bitmapOf(docs []uint32) *roaring.Bitmap {
	slices.Sort(docs)
	b := roaring.New()
	b.AddMany(docs)
	b.RunOptimize()
	return b
}

// docBits is a set of document numbers for quick tests, one bit for each.
type docBits []uint64

func newBits(n int) docBits { return make(docBits, (n+63)/64) }

func (b docBits) has(i uint32) bool { return b[i>>6]&(1<<(i&63)) != 0 }
func (b docBits) set(i uint32)      { b[i>>6] |= 1 << (i & 63) }

// fill puts a bitmap into b, which must be empty.
func (b docBits) fill(r *roaring.Bitmap) {
	if r != nil {
		r.WriteDenseTo(b)
	}
}
