package search

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"
)

// segment is an immutable index of some documents. Documents are numbered by
// (country, id), so that the number is the last tie-break of every order.
// All of it is columns: flat arrays that stand in a file as they do in memory.
type segment struct {
	n     int
	langs uint16 // bit i: some text is in analysis.Languages()[i]

	ident    []byte   // country, NUL, id of each document
	idOff    []uint32 // n + 1
	idHash   slots    // finds a document by its identity
	revision []uint64
	length   []uint16 // weighted words of the document
	assured  []int32
	cadence  []int32
	lapse    []int32
	ages     [][2]uint8 // both inclusive; 255 = no upper bound

	terms   dict
	postOff []uint32 // postings of term i are numbers [postOff[i], postOff[i+1])
	postTF  []uint8  // weighted occurrences of each posting
	contOff []uint32 // chunks of term i are post[contOff[i]:contOff[i+1]]
	post    []uint16
	posOff  []uint32 // of the positions of term i in pos
	pos     []byte   // for each posting of a word as written: uvarint count, then uvarint steps

	setDir   []uint32 // see sets.go
	setNames []byte
	setWords []uint64
	setLists []uint32

	cells  []place  // places of the documents in the order of their cells
	ptOff  []uint32 // n + 1
	pts    []Point  // points of document i are [ptOff[i], ptOff[i+1])
	ruleAt []uint32 // where each distinct rule of opening hours begins in ruleOf, and the end
	ruleOf []byte

	hourOff []uint32
	hours   []channelHours // of document i: [hourOff[i], hourOff[i+1])

	// From the columns, in memory.
	facets   [storedFacets]values
	coverage values // ISO codes; everywhere; "DE-*" = some part of DE; "~pl" = who speaks Polish
	flags    values // who carries flagPros, flagAnon
	pros     docBits
	anon     docBits
	all      docBits
	bands    [len(ageBands)]docSet
	rules    []rule
	turns    []turning
	bytes    int // rough size in memory, or in the file
	file     *file
	serial   uint64 // the same before and after it was put into a file

	today  atomic.Pointer[dayView]
	minute atomic.Pointer[minuteView]

	namings atomic.Pointer[[]naming] // made when first asked for
}

// column is an array of a segment as bytes, in the byte order of the machine.
type column interface {
	bytes() []byte
	take(b []byte) error
}

type col[T any] struct{ p *[]T }

func (c col[T]) bytes() []byte { return asBytes(*c.p) }

// take makes the array of bytes without copying them.
func (c col[T]) take(b []byte) error {
	size := int(unsafe.Sizeof(*new(T)))
	if len(b)%size != 0 {
		return fmt.Errorf("%w: a column of %d bytes of %d each", errSegment, len(b), size)
	}
	if len(b) == 0 {
		*c.p = nil
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)%unsafe.Alignof(*new(T)) != 0 {
		return fmt.Errorf("%w: a column at an odd place", errSegment)
	}
	*c.p = unsafe.Slice((*T)(p), len(b)/size)
	return nil
}

func asBytes[T any](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// columns lists the arrays in the order in which they stand in a file.
func (s *segment) columns() []column {
	return []column{
		col[byte]{&s.ident}, col[uint32]{&s.idOff}, col[uint32]{(*[]uint32)(&s.idHash)}, col[uint64]{&s.revision}, col[uint16]{&s.length},
		col[int32]{&s.assured}, col[int32]{&s.cadence}, col[int32]{&s.lapse}, col[[2]uint8]{&s.ages},
		col[byte]{&s.terms.blob}, col[uint32]{&s.terms.off}, col[uint32]{(*[]uint32)(&s.terms.hash)}, col[uint64]{&s.terms.sign}, col[uint8]{&s.terms.size},
		col[uint32]{&s.postOff}, col[uint8]{&s.postTF}, col[uint32]{&s.contOff}, col[uint16]{&s.post},
		col[uint32]{&s.posOff}, col[byte]{&s.pos},
		col[uint32]{&s.setDir}, col[byte]{&s.setNames}, col[uint64]{&s.setWords}, col[uint32]{&s.setLists},
		col[place]{&s.cells}, col[uint32]{&s.ptOff}, col[Point]{&s.pts}, col[uint32]{&s.ruleAt}, col[byte]{&s.ruleOf},
		col[uint32]{&s.hourOff}, col[channelHours]{&s.hours},
	}
}

var serials atomic.Uint64

// seal derives what stands beside the columns. It is the one place that looks
// whether they fit together, however they came about.
func (s *segment) seal() error {
	if err := s.fits(); err != nil {
		return err
	}
	s.serial = serials.Add(1)
	s.all = fullBits(s.n)
	if err := s.readSets(); err != nil {
		return err
	}
	s.pros, s.anon = s.flag(flagPros), s.flag(flagAnon)
	if err := s.readRules(); err != nil {
		return err
	}
	for i, b := range ageBands {
		s.bands[i] = docSet{bits: s.aged(b.min, b.max)}
	}
	s.bytes = 4096
	for _, c := range s.columns() {
		s.bytes += len(c.bytes())
	}
	return nil
}

func (s *segment) flag(name string) docBits {
	b := newBits(s.n)
	if set := s.flags.of(name); set != nil {
		set.orInto(b)
	}
	return b
}

// fits checks that the lengths of the columns and the offsets in them agree.
// What it does not look at, single numbers of documents, terms and rules, ends
// in a panic that [guarded] catches, never in foreign memory.
func (s *segment) fits() error {
	for _, l := range [...]int{len(s.revision), len(s.length), len(s.assured), len(s.cadence), len(s.lapse), len(s.ages)} {
		if l != s.n {
			return fmt.Errorf("%w: a column of %d documents of %d", errSegment, l, s.n)
		}
	}
	terms := len(s.terms.off) - 1
	if !s.terms.hash.fits(terms) || !s.idHash.fits(s.n) {
		return fmt.Errorf("%w: tables of %d slots for %d terms, of %d for %d documents", errSegment, len(s.terms.hash), terms, len(s.idHash), s.n)
	}
	if len(s.terms.sign) != terms || len(s.terms.size) != terms {
		return fmt.Errorf("%w: signatures of other terms", errSegment)
	}
	for _, o := range [...]struct {
		off      []uint32
		n, bytes int
	}{
		{s.idOff, s.n, len(s.ident)}, {s.ptOff, s.n, len(s.pts)}, {s.hourOff, s.n, len(s.hours)},
		{s.terms.off, terms, len(s.terms.blob)}, {s.postOff, terms, len(s.postTF)}, {s.contOff, terms, len(s.post)}, {s.posOff, terms, len(s.pos)},
		{s.ruleAt, len(s.ruleAt) - 1, len(s.ruleOf)},
	} {
		if len(o.off) != o.n+1 || o.off[0] != 0 || int(o.off[o.n]) != o.bytes || !slices.IsSorted(o.off) {
			return fmt.Errorf("%w: offsets that lead nowhere", errSegment)
		}
	}
	return nil
}

// storedFacets are kept as sets in the order of storedNames.
const storedFacets = 8

var storedNames = [storedFacets]Facet{Audience, Channel, Anonymity, Cost, Format, ServiceType, Country, Language}

// givenFacets of them come from [Doc.Facets].
const givenFacets = 6

// identity returns country, NUL and id of a document: what is unique.
func (s *segment) identity(doc uint32) []byte { return s.ident[s.idOff[doc]:s.idOff[doc+1]] }

func (s *segment) ref(doc uint32) Ref {
	country, id, _ := strings.Cut(string(s.identity(doc)), "\x00")
	return Ref{Country: country, ID: id}
}

// lookup returns the number of a document.
func (s *segment) lookup(identity []byte) (uint32, bool) {
	i := s.idHash.find(hashTerm(identity), func(i int) bool { return string(s.identity(uint32(i))) == string(identity) })
	return uint32(i), i >= 0
}

func identityOf(country, id string) string { return string(appendIdentity(nil, country, id)) }

func appendIdentity(b []byte, country, id string) []byte {
	return append(append(append(b, strings.ToUpper(country)...), 0), id...)
}

// postings returns the range of the one term i.
func (s *segment) postings(i int) span { return span{uint32(i), uint32(i + 1)} }
