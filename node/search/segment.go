package search

import (
	"slices"
	"sort"
	"strings"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
)

// segment is an immutable index of some documents. Documents are numbered by
// (country, id), so that the number is the last tie-break of every order.
// Everything but the bitmaps and value lists is a flat array.
type segment struct {
	n     int
	ident []byte   // country, NUL, id of each document
	idOff []uint32 // n + 1
	bytes int      // rough size in memory

	revision []uint64
	length   []uint16 // weighted words of the document
	assured  []int32
	cadence  []int32
	lapse    []int32
	ages     [][2]uint8 // both inclusive; 255 = no upper bound

	terms   dict
	postOff []uint32 // postings of term i are [postOff[i], postOff[i+1])
	postDoc []uint32
	postTF  []uint8  // weighted occurrences
	posOff  []uint32 // of the positions of term i in pos
	pos     []byte   // for each posting of a word as written: uvarint count, then uvarint steps
	langs   uint16   // bit i: some text is in analysis.Languages()[i]

	facets    [storedFacets]values
	coverage  values // ISO codes; everywhere; "DE-*" = some part of DE
	all       *roaring.Bitmap
	pros      *roaring.Bitmap // for professionals only
	anon      *roaring.Bitmap // anonymous contact
	anonDense docBits         // the same

	bands [len(ageBands)]docSet

	points []place // in the order of their cells
	ptOff  []uint32
	pts    []Point // points of document i are [ptOff[i], ptOff[i+1])

	rules   []rule // distinct opening hours
	hourOff []uint32
	hours   []channelHours // of document i: [hourOff[i], hourOff[i+1])

	today  atomic.Pointer[dayView]
	minute atomic.Pointer[minuteView]
}

// storedFacets are kept as bitmaps in the order of storedNames.
const storedFacets = 7

var storedNames = [storedFacets]Facet{Audience, Channel, Anonymity, Cost, Format, Country, Language}

// values maps the values of a facet to the documents that carry them.
type values struct {
	names []string // sorted
	sets  []docSet
}

// of returns the documents with a value, or nil.
func (v *values) of(name string) *roaring.Bitmap {
	i, ok := slices.BinarySearch(v.names, name)
	if !ok {
		return nil
	}
	return v.sets[i].Bitmap
}

// identity returns country, NUL and id of a document: what is unique.
func (s *segment) identity(doc uint32) []byte { return s.ident[s.idOff[doc]:s.idOff[doc+1]] }

func (s *segment) ref(doc uint32) Ref {
	country, id, _ := strings.Cut(string(s.identity(doc)), "\x00")
	return Ref{Country: country, ID: id}
}

// lookup returns the number of a document.
func (s *segment) lookup(identity string) (uint32, bool) {
	i := sort.Search(s.n, func(i int) bool { return string(s.identity(uint32(i))) >= identity })
	return uint32(i), i < s.n && string(s.identity(uint32(i))) == identity
}

func identityOf(country, id string) string { return strings.ToUpper(country) + "\x00" + id }

// postings returns the range of postings of term i.
func (s *segment) postings(i int) span { return span{s.postOff[i], s.postOff[i+1]} }

// span is a range of postings. Those of a range of terms are one range.
type span struct{ from, to uint32 }

// size adds up what the arrays take.
func (s *segment) size() int {
	n := len(s.ident) + 4*len(s.idOff) + 24*s.n + len(s.terms.blob) + 4*(len(s.terms.off)+len(s.terms.hash)) +
		4*(len(s.postOff)+len(s.postDoc)+len(s.posOff)) + len(s.postTF) + len(s.pos) +
		24*len(s.points) + 16*len(s.pts) + 12*len(s.hours) + 4*(len(s.ptOff)+len(s.hourOff))
	for i := range s.facets {
		n += s.facets[i].size()
	}
	for i := range s.rules {
		n += 96 + 8*(len(s.rules[i].weekly)+len(s.rules[i].exceptions))
	}
	return n + s.coverage.size()
}

func (v *values) size() (n int) {
	for i := range v.sets {
		n += len(v.names[i]) + v.sets[i].size()
	}
	return n
}

// valueLists gathers the documents of each value while a segment is made.
type valueLists map[string][]uint32

// values sorts the lists into sets of n documents.
func (l valueLists) values(n int) values {
	v := values{names: make([]string, 0, len(l)), sets: make([]docSet, 0, len(l))}
	for name := range l {
		v.names = append(v.names, name)
	}
	slices.Sort(v.names)
	for _, name := range v.names {
		v.sets = append(v.sets, newDocSet(l[name], n))
	}
	return v
}
