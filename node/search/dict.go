package search

import (
	"math/bits"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// dict is a sorted, immutable list of terms: found by hash, walked in order
// for beginnings and for typing mistakes. Words as written stand as they are;
// the derived terms of a language stand before all of them.
type dict struct {
	blob []byte
	off  []uint32 // term i is blob[off[i]:off[i+1]]
	hash slots
	sign []uint64 // which letters each term has; see similar
	size []uint8  // letters of each term
}

func newDict(sorted []string) dict {
	size := 0
	for _, t := range sorted {
		size += len(t)
	}
	d := dict{blob: make([]byte, 0, size), off: make([]uint32, 1, len(sorted)+1)}
	d.sign, d.size = make([]uint64, len(sorted)), make([]uint8, len(sorted))
	for i, t := range sorted {
		d.blob = append(d.blob, t...)
		d.off = append(d.off, uint32(len(d.blob)))
		d.sign[i], d.size[i] = signTerm(t)
	}
	d.hash = newSlots(len(sorted), d.term)
	return d
}

// hashTerm is FNV-1a.
func hashTerm[T string | []byte](t T) uint32 {
	h := uint32(2166136261)
	for i := 0; i < len(t); i++ {
		h = (h ^ uint32(t[i])) * 16777619
	}
	return h ^ h>>15
}

func (d *dict) len() int          { return len(d.off) - 1 }
func (d *dict) term(i int) []byte { return d.blob[d.off[i]:d.off[i+1]] }

// find returns the number of a term, or -1.
func (d *dict) find(t string) int {
	return d.hash.find(hashTerm(t), func(i int) bool { return string(d.term(i)) == t })
}

// beginning returns the range of the terms that begin with p.
func (d *dict) beginning(p string) (from, to int) {
	from = d.at(p)
	return from, d.after(p, from, d.len())
}

// at returns the first term that does not sort before p.
func (d *dict) at(p string) int {
	return sort.Search(d.len(), func(i int) bool { return string(d.term(i)) >= p })
}

// after returns the first term in [from, to) that is behind all terms that
// begin with p. Terms at from and later must not sort before p.
func (d *dict) after(p string, from, to int) int {
	has := func(i int) bool {
		t := d.term(i)
		return len(t) >= len(p) && string(t[:len(p)]) == p
	}
	step := 1 // gallop: the end is mostly near
	lo := from
	for lo+step < to && has(lo+step) {
		lo += step
		step *= 2
	}
	hi := min(lo+step, to)
	return lo + sort.Search(hi-lo, func(i int) bool { return !has(lo + i) })
}

// maxEditRunes bounds the words for which typing mistakes are forgiven.
const maxEditRunes = 40

// editsAllowed returns how many edits a word of so many letters may be away.
func editsAllowed(letters int) int {
	switch {
	case letters > maxEditRunes || letters < 4:
		return 0
	case letters < 8:
		return 1
	}
	return 2
}

// similar calls visit for every term in [from, to) whose rest after skip bytes
// is at most k edits (insert, leave out, replace, swap neighbours) from word,
// which has at most maxEditRunes letters. An edit changes the length by one at
// most and which letters there are by two, so nearly all terms are stepped over
// by their signature.
func (d *dict) similar(from, to, skip int, word []rune, k int, visit func(i, edits int)) {
	own := signature(word)
	var letters [maxEditRunes + 4]rune
	for i := from; i < to; i++ {
		if bits.OnesCount64(d.sign[i]^own) > 2*k {
			continue
		}
		if more := int(d.size[i]) - len(word); more > k || -more > k {
			continue
		}
		n := 0
		for at := d.term(i)[skip:]; len(at) > 0 && n < len(letters); n++ {
			r, size := utf8.DecodeRune(at)
			letters[n], at = r, at[size:]
		}
		if e := distanceWithin(word, letters[:n], k); e <= k {
			visit(i, e)
		}
	}
}

// signature has a bit for each letter that a word has; letters may share one.
func signature(word []rune) (s uint64) {
	for _, r := range word {
		s |= letterBit(r)
	}
	return s
}

func letterBit(r rune) uint64 {
	if r >= 'a' && r <= 'z' {
		return 1 << (r - 'a')
	}
	return 1 << (26 + uint32(r)*2654435761>>16%38)
}

// signTerm returns the signature of a term and how many letters it has, without
// what stands before a derived one.
func signTerm(t string) (s uint64, n uint8) {
	if strings.HasPrefix(t, analysis.Derived) {
		t = t[min(len(t), derivedPrefix):]
	}
	count := 0
	for _, r := range t {
		s |= letterBit(r)
		count++
	}
	return s, uint8(min(count, 255))
}

// derivedPrefix is how many bytes stand before a derived term.
const derivedPrefix = len(analysis.Derived) + 2

// distanceWithin returns how many edits make b of a, or k + 1 where it is more
// than k: the optimal string alignment, a band of the matrix around its diagonal.
func distanceWithin(a, b []rune, k int) int {
	var space [3][maxEditRunes + 6]uint8
	before, prev, row := &space[0], &space[1], &space[2]
	for j := range min(len(b), k) + 1 {
		prev[j] = uint8(j)
	}
	far := uint8(k + 1)
	if k < len(b) {
		prev[k+1] = far
	}
	for i := 1; i <= len(a); i++ {
		lo, hi := max(1, i-k), min(len(b), i+k)
		row[lo-1] = far
		if lo == 1 {
			row[0] = uint8(min(i, k+1))
		}
		best := row[lo-1]
		for j := lo; j <= hi; j++ {
			cost := prev[j-1]
			if a[i-1] != b[j-1] {
				cost++
			}
			cost = min(cost, row[j-1]+1)
			if j < i+k { // else the cell above lies outside the band
				cost = min(cost, prev[j]+1)
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cost = min(cost, before[j-2]+1)
			}
			row[j] = min(cost, far)
			best = min(best, row[j])
		}
		if best == far {
			return k + 1
		}
		before, prev, row = prev, row, before
	}
	return int(prev[len(b)])
}
