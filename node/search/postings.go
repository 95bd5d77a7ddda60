package search

import (
	"math/bits"
	"slices"
	"unsafe"
)

// Postings are the documents of a term, in chunks of 65,536 numbers as Roaring
// bitmaps have them: two numbers, the chunk and how many documents less one,
// then the low halves of the documents, or, above chunkList, 4,096 numbers
// that are the bits of the chunk. So they stand in the file as they are asked:
// there is nothing to decode.
const (
	chunkBits  = 16
	chunkList  = 4096
	chunkWords = 1 << chunkBits / 64
)

// appendPostings appends sorted documents.
func appendPostings(post []uint16, docs []uint32) []uint16 {
	for len(docs) > 0 {
		chunk := docs[0] >> chunkBits
		n := 1
		for n < len(docs) && docs[n]>>chunkBits == chunk {
			n++
		}
		post = append(post, uint16(chunk), uint16(n-1))
		if n <= chunkList {
			for _, d := range docs[:n] {
				post = append(post, uint16(d))
			}
		} else {
			from := len(post)
			post = slices.Grow(post, 4*chunkWords)[:from+4*chunkWords]
			clear(post[from:])
			for _, d := range docs[:n] {
				post[from+int(d&(1<<chunkBits-1))>>4] |= 1 << (d & 15)
			}
		}
		docs = docs[n:]
	}
	return post
}

// chunk is the documents of a term that share their upper half.
type chunk struct {
	first uint32   // number of the first document that could be in it
	n     int      // documents
	list  []uint16 // low halves, or
	bits  []uint16 // 16 documents each
}

// next cuts the first chunk off.
func next(post []uint16) (c chunk, rest []uint16) {
	c.first, c.n = uint32(post[0])<<chunkBits, int(post[1])+1
	if c.n <= chunkList {
		c.list = post[2 : 2+c.n]
		return c, post[2+c.n:]
	}
	c.bits = post[2 : 2+4*chunkWords]
	return c, post[2+4*chunkWords:]
}

// word returns 64 documents of a dense chunk: those from first + 64 i. Files are
// of the byte order of the machine, so four numbers are one.
func (c *chunk) word(i int) uint64 {
	w := c.bits[4*i : 4*i+4 : 4*i+4]
	return uint64(w[0]) | uint64(w[1])<<16 | uint64(w[2])<<32 | uint64(w[3])<<48
}

// words returns the words of a dense chunk where they are aligned, nil else.
func (c *chunk) words() []uint64 {
	p := unsafe.Pointer(unsafe.SliceData(c.bits))
	if uintptr(p)%8 != 0 || !littleEndian {
		return nil
	}
	return unsafe.Slice((*uint64)(p), chunkWords)
}

// orInto adds the chunk to b.
func (c *chunk) orInto(b docBits) {
	if c.bits == nil {
		for _, low := range c.list {
			b[(c.first+uint32(low))>>6] |= 1 << (low & 63)
		}
		return
	}
	b = b[c.first>>6:]
	b = b[:min(len(b), chunkWords)]
	if ws := c.words(); ws != nil {
		docBits(b).or(ws)
		return
	}
	for i := range b {
		b[i] |= c.word(i)
	}
}

// span is a range of terms; those that begin alike are neighbours.
type span struct{ from, to uint32 }

// post returns the postings of a range of terms, one after the other: chunks
// come again in the next term.
func (s *segment) posts(p span) []uint16 { return s.post[s.contOff[p.from]:s.contOff[p.to]] }

// docs appends the documents of a term.
func (s *segment) docs(term int, into []uint32) []uint32 {
	for post := s.posts(span{uint32(term), uint32(term + 1)}); len(post) > 0; {
		var c chunk
		c, post = next(post)
		for _, low := range c.list {
			into = append(into, c.first+uint32(low))
		}
		if c.bits != nil {
			for i := range chunkWords {
				for w := c.word(i); w != 0; w &= w - 1 {
					into = append(into, c.first+uint32(i<<6+bits.TrailingZeros64(w)))
				}
			}
		}
	}
	return into
}

// orInto adds the documents of a range of terms to b.
func (s *segment) orInto(p span, b docBits) {
	for post := s.posts(p); len(post) > 0; {
		var c chunk
		c, post = next(post)
		c.orInto(b)
	}
}

// lives tells whether a posting of a span belongs to a living document.
func (v *view) lives(p span) bool {
	if p.from == p.to {
		return false
	}
	return v.dead == 0 || v.seg.meets(p, v.live)
}

// meets tells whether a posting of a span is in b.
func (s *segment) meets(p span, b docBits) bool {
	for post := s.posts(p); len(post) > 0; {
		var c chunk
		c, post = next(post)
		for _, low := range c.list {
			if b.has(c.first + uint32(low)) {
				return true
			}
		}
		if c.bits != nil {
			for i, w := range b[c.first>>6:][:min(chunkWords, len(b)-int(c.first>>6))] {
				if w&c.word(i) != 0 {
					return true
				}
			}
		}
	}
	return false
}
