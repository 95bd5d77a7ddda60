package search

import (
	"sort"
	"unicode/utf8"
)

// dict is a sorted, immutable list of terms: found by hash, walked in order
// for beginnings and for typing mistakes. Words as written stand as they are;
// the derived terms of a language stand before all of them.
type dict struct {
	blob []byte
	off  []uint32 // term i is blob[off[i]:off[i+1]]
	hash []uint32 // open addressing; term number + 1, 0 = free
}

func newDict(sorted []string) dict {
	size := 0
	for _, t := range sorted {
		size += len(t)
	}
	d := dict{blob: make([]byte, 0, size), off: make([]uint32, 1, len(sorted)+1)}
	for _, t := range sorted {
		d.blob = append(d.blob, t...)
		d.off = append(d.off, uint32(len(d.blob)))
	}
	slots := 4
	for slots < len(sorted)*3/2 {
		slots *= 2
	}
	d.hash = make([]uint32, slots)
	for i, t := range sorted {
		h := hashTerm(t) & uint32(slots-1)
		for d.hash[h] != 0 {
			h = (h + 1) & uint32(slots-1)
		}
		d.hash[h] = uint32(i + 1)
	}
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
	mask := uint32(len(d.hash) - 1)
	for h := hashTerm(t) & mask; d.hash[h] != 0; h = (h + 1) & mask {
		if i := int(d.hash[h] - 1); string(d.term(i)) == t {
			return i
		}
	}
	return -1
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
// which has at most maxEditRunes letters. It walks the sorted terms like a tree: a row of the
// edit matrix is kept for each letter of the common beginning, and where no
// cell of a row is within k, all terms with that beginning are stepped over.
func (d *dict) similar(from, to, skip int, word []rune, k int, visit func(i, edits int)) {
	const far = 100
	m := len(word)
	var rows [maxEditRunes + 4][maxEditRunes + 4]uint8
	for j := 0; j <= m; j++ {
		rows[0][j] = uint8(j)
	}
	var letters [maxEditRunes + 4]rune // of the beginning whose rows are valid
	var ends [maxEditRunes + 4]int     // byte after each of them
	valid := 0
next:
	for i := from; i < to; {
		t := d.term(i)[skip:]
		depth, at, same := 0, 0, true
		for at < len(t) {
			r, n := utf8.DecodeRune(t[at:])
			if depth == m+k { // too long, and so are all that share this beginning
				valid = min(valid, depth)
				i = d.after(string(d.term(i)[:skip+at+n]), i, to)
				continue next
			}
			at += n
			if same && depth < valid && letters[depth] == r {
				depth++
				continue
			}
			same = false
			letters[depth], ends[depth] = r, at
			depth++
			valid = depth
			row, prev := &rows[depth], &rows[depth-1]
			lo, hi := max(1, depth-k), min(m, depth+k)
			row[lo-1] = far
			if lo == 1 {
				row[0] = uint8(depth)
			}
			best := row[lo-1]
			for j := lo; j <= hi; j++ {
				cost := prev[j-1]
				if word[j-1] != r {
					cost++
				}
				cost = min(cost, row[j-1]+1)
				if j < depth+k { // else the cell above lies outside the band
					cost = min(cost, prev[j]+1)
				}
				if depth > 1 && j > 1 && word[j-2] == r && word[j-1] == letters[depth-2] {
					cost = min(cost, rows[depth-2][j-2]+1)
				}
				row[j] = cost
				best = min(best, cost)
			}
			if int(best) > k {
				valid = depth - 1
				i = d.after(string(d.term(i)[:skip+at]), i, to)
				continue next
			}
		}
		valid = depth
		if depth >= m-k && int(rows[depth][m]) <= k {
			visit(i, int(rows[depth][m]))
		}
		i++
	}
}
