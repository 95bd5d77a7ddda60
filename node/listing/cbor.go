package listing

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// A record's body is nearly always what [Document.Encode] wrote. bodyReader reads
// that: definite lengths, texts, numbers, true, false and null, no key twice.
// Whatever else it meets it leaves to the library, which reads or refuses it: so it
// decides nothing, and only saves the making of every field's name for each document.
type bodyReader struct {
	b        []byte
	at       int
	promised uint64 // elements of all objects and lists so far; each takes a byte at least
}

// promise bounds what is allocated before it is read.
func (r *bodyReader) promise(n, bytes uint64) bool {
	if n > uint64(len(r.b)) {
		return false
	}
	r.promised += n * bytes
	return r.promised <= uint64(len(r.b))
}

// The major types of CBOR that documents have (RFC 8949 §3.1), and the simple values.
const (
	cborUnsigned = 0
	cborNegative = 1
	cborText     = 3
	cborList     = 4

	cborFalse = 0xf4
	cborTrue  = 0xf5
	cborNull  = 0xf6
	cborFloat = 0xf9 // of 2 bytes; the next two of 4 and 8
)

// head reads a type with its number; false where it is not in its shortest form or
// ends too early.
func (r *bodyReader) head() (major byte, n uint64, ok bool) {
	if r.at == len(r.b) {
		return 0, 0, false
	}
	first := r.b[r.at]
	r.at++
	major, n = first>>5, uint64(first&0x1f)
	if n < 24 {
		return major, n, true
	}
	size := 1 << (n - 24) // of the number that follows
	if n > 27 || len(r.b)-r.at < size {
		return 0, 0, false
	}
	var wide [8]byte
	copy(wide[8-size:], r.b[r.at:r.at+size])
	r.at += size
	return major, binary.BigEndian.Uint64(wide[:]), true
}

func (r *bodyReader) text(n uint64) (string, bool) {
	if n > uint64(len(r.b)-r.at) {
		return "", false
	}
	raw := r.b[r.at : r.at+int(n)]
	r.at += int(n)
	if s, ok := knownNames[string(raw)]; ok {
		return s, true
	}
	return string(raw), utf8.Valid(raw)
}

// float leaves the widths of numbers to the library.
func (r *bodyReader) float() (any, bool) {
	end := r.at + 1 + 2<<(r.b[r.at]-cborFloat)
	if end > len(r.b) {
		return nil, false
	}
	var f float64
	if decoding.Unmarshal(r.b[r.at:end], &f) != nil {
		return nil, false
	}
	r.at = end
	return canonicalFloat(f), true
}

// value reads the next value as a document has it; depth is how many levels it may
// open.
func (r *bodyReader) value(depth int) (any, bool) {
	if r.at < len(r.b) {
		switch r.b[r.at] {
		case cborFalse, cborTrue:
			r.at++
			return r.b[r.at-1] == cborTrue, true
		case cborNull:
			r.at++
			return nil, true
		case cborFloat, cborFloat + 1, cborFloat + 2:
			return r.float()
		}
	}
	major, n, ok := r.head()
	switch {
	case !ok:
		return nil, false
	case major == cborUnsigned && n < 1<<63:
		return int64(n), true
	case major == cborNegative && n < 1<<63:
		return -1 - int64(n), true
	case major == cborText:
		return r.text(n)
	case major == cborList && depth > 0 && r.promise(n, 1):
		list := make([]any, n)
		for i := range list {
			if list[i], ok = r.value(depth - 1); !ok {
				return nil, false
			}
		}
		return list, true
	case major == cborMap && depth > 0 && r.promise(n, 2):
		tree := make(map[string]any, n)
		for range n {
			major, size, ok := r.head()
			if !ok || major != cborText {
				return nil, false
			}
			name, ok := r.text(size)
			if !ok {
				return nil, false
			}
			if tree[name], ok = r.value(depth - 1); !ok {
				return nil, false
			}
		}
		return tree, uint64(len(tree)) == n // else a key stands twice
	}
	return nil, false
}

// bodyWriter writes core-deterministic CBOR (RFC 8949 §4.2.1) of a tree that is
// canonical. Whatever else it meets it leaves to [canonical] and the library.
type bodyWriter struct {
	b     []byte
	names []string // of the objects that are open
}

var bodyWriters = sync.Pool{New: func() any { return new(bodyWriter) }}

// head is a type with its number in the shortest form.
func (w *bodyWriter) head(major byte, n uint64) {
	switch major <<= 5; {
	case n < 24:
		w.b = append(w.b, major|byte(n))
	case n <= math.MaxUint8:
		w.b = append(w.b, major|24, byte(n))
	case n <= math.MaxUint16:
		w.b = binary.BigEndian.AppendUint16(append(w.b, major|25), uint16(n))
	case n <= math.MaxUint32:
		w.b = binary.BigEndian.AppendUint32(append(w.b, major|26), uint32(n))
	default:
		w.b = binary.BigEndian.AppendUint64(append(w.b, major|27), n)
	}
}

func (w *bodyWriter) text(s string) bool {
	w.head(cborText, uint64(len(s)))
	w.b = append(w.b, s...)
	return utf8.ValidString(s)
}

// value writes v; false where v is not canonical. depth is how many levels it may
// open.
func (w *bodyWriter) value(v any, depth int) bool {
	switch t := v.(type) {
	case nil:
		w.b = append(w.b, cborNull)
	case bool:
		if t {
			w.b = append(w.b, cborTrue)
		} else {
			w.b = append(w.b, cborFalse)
		}
	case int64:
		if t < 0 {
			w.head(cborNegative, uint64(-1-t))
		} else {
			w.head(cborUnsigned, uint64(t))
		}
	case string:
		return w.text(t)
	case float64:
		if !isCanonical(t, 0) {
			return false
		}
		b, err := encoding.Marshal(t)
		w.b = append(w.b, b...)
		return err == nil
	case []any:
		w.head(cborList, uint64(len(t)))
		for _, x := range t {
			if depth == 0 || !w.value(x, depth-1) {
				return false
			}
		}
		return depth > 0
	case map[string]any:
		return t != nil && depth > 0 && w.object(t, depth)
	default:
		return false
	}
	return true
}

// object writes the fields in the order of their encoded names: the shorter first,
// since a length comes before its text.
func (w *bodyWriter) object(tree map[string]any, depth int) bool {
	w.head(cborMap, uint64(len(tree)))
	from := len(w.names)
	for name := range tree {
		w.names = append(w.names, name)
	}
	end := len(w.names)
	slices.SortFunc(w.names[from:end], func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	ok := true
	for i := from; ok && i < end; i++ {
		name := w.names[i]
		ok = w.text(name) && w.value(tree[name], depth-1)
	}
	w.names = w.names[:from]
	return ok
}
