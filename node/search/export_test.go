package search

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// For tests of what no question can reach alone.

func init() { spillFrom = 64 } // so that small tests have files

// ErrSegment is what damage to a file is.
var ErrSegment = errSegment

// SegmentFile returns the documents as a segment file without a stamp.
func SegmentFile(path string, docs []Doc) error {
	sorted, _ := sortDocs(docs)
	return writeSegment(path, stamp(nil), build(sorted))
}

// MendSums makes the sums of the bytes of a segment file right, whatever the
// bytes are.
func MendSums(b []byte) {
	e := binary.NativeEndian
	n := int(e.Uint16(b[62:]))
	if len(b) < headerSize+columnSize*n+4 {
		return
	}
	for i := range n {
		t := b[headerSize+columnSize*i:]
		if at, l := e.Uint64(t), e.Uint64(t[8:]); at <= uint64(len(b)) && l <= uint64(len(b))-at {
			e.PutUint32(t[16:], crc32.Checksum(b[at:at+l], castagnoli))
		}
	}
	end := headerSize + columnSize*n
	e.PutUint32(b[end:], crc32.Checksum(b[:end], castagnoli))
}

// OfFile is an index over the bytes of a segment file alone.
func OfFile(b []byte) (*Index, error) {
	s, err := parseSegment(b, stamp(nil))
	if err != nil {
		return nil, err
	}
	x, err := New(Options{})
	if err != nil {
		return nil, err
	}
	s.file = &file{name: "x", data: b}
	err = guarded(func() error {
		x.publish(newSnapshot(2, []view{newView(s)}, x.current.Load().labels))
		return nil
	})
	return x, err
}

// ParseSet is what reads the list of segments.
func ParseSet(b []byte) error { _, err := parseSet(b); return err }

// Distance is the plain definition of an edit distance.
func Distance(a, b string) int { return distance([]rune(a), []rune(b)) }

// Similar returns the terms of a sorted list within k edits of word, by the
// walk over the dictionary, with their distances.
func Similar(sorted []string, word string, k int) map[string]int {
	out := map[string]int{}
	d := newDict(sorted)
	d.similar(0, d.len(), 0, []rune(word), k, func(i, edits int) { out[string(d.term(i))] = edits })
	return out
}

// Stem returns the stem of a folded word.
func Stem(lang, word string) string { return analysis.Find(lang).Stem(word) }

// MergedLikeBuilt builds the documents whole, and in parts of which some die
// before they are merged, and tells in what the two segments differ.
func MergedLikeBuilt(docs []Doc, parts int) string {
	sorted, _ := sortDocs(docs)
	whole := build(sorted)
	var views []view
	for p := range parts {
		var own []*Doc
		var dying []uint32
		for i, d := range sorted {
			switch i % parts {
			case p:
				own = append(own, d)
			case (p + 1) % parts: // lives in the next part, dies in this one
				dying = append(dying, uint32(len(own)))
				old := *d
				old.Texts = append([]Text{{Text: "forgotten words"}}, d.Texts...)
				own = append(own, &old)
			}
		}
		views = append(views, newView(build(own)).without(dying))
	}
	merged, _ := merge(views)
	return differ(whole, merged)
}

// differ names the first thing in which two segments differ, "" if in none.
func differ(a, b *segment) string {
	switch {
	case a.n != b.n || string(a.ident) != string(b.ident):
		return "documents"
	case string(a.terms.blob) != string(b.terms.blob) || !equal(a.terms.off, b.terms.off):
		return "terms"
	case !equal(a.postOff, b.postOff) || !equal(a.contOff, b.contOff) || !equal(a.post, b.post) || string(a.postTF) != string(b.postTF):
		return "postings"
	case !equal(a.posOff, b.posOff) || string(a.pos) != string(b.pos):
		return "positions"
	case !equal(a.length, b.length) || !equal(a.assured, b.assured) || !equal(a.ages, b.ages) || !equal(a.revision, b.revision):
		return "columns"
	case !equal(a.ptOff, b.ptOff) || !equal(a.cells, b.cells):
		return "places"
	case !equal(a.setDir, b.setDir) || string(a.setNames) != string(b.setNames) || !equal(a.setWords, b.setWords) || !equal(a.setLists, b.setLists):
		return "sets"
	}
	for i := range a.n {
		if !sameHours(a, b, i) {
			return "hours"
		}
	}
	return ""
}

func sameHours(a, b *segment, i int) bool {
	x, y := a.hours[a.hourOff[i]:a.hourOff[i+1]], b.hours[b.hourOff[i]:b.hourOff[i+1]]
	if len(x) != len(y) {
		return false
	}
	for k := range x {
		if x[k].assured != y[k].assured || !equal(a.rules[x[k].rule].weekly, b.rules[y[k].rule].weekly) || a.rules[x[k].rule].zone != b.rules[y[k].rule].zone {
			return false
		}
	}
	return true
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// BytesOf is the memory of words.
func BytesOf(words []uint64) []byte { return asBytes(words) }

// WordsOf returns how many things a question asks for.
func WordsOf(text, lang string) int {
	_, list := parseText(text, analysis.Find(lang))
	return len(list)
}

// Forms is in how many ways the words of a question can be had; see [form].
func (x *Index) Forms(text, language string) (n int) {
	snap, lang := x.current.Load(), analysis.Find(language)
	for _, w := range snap.wanted(text, lang) {
		forms, _ := snap.forms(w, lang)
		n += len(forms)
	}
	return n
}
