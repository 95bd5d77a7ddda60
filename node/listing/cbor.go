package listing

import (
	"cmp"
	"encoding/binary"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// A record's body is nearly always what [Document.Encode] wrote. bodyReader reads
// that: definite lengths, texts, numbers, true, false and null, no key twice.
// Whatever else it meets it leaves to the library, which reads or refuses it: so it
// decides nothing. What is read holds on to all of the body: texts are parts of it.
type bodyReader struct {
	b        string
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
	cborMap      = 5

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

// text is the next n bytes; false where they are not there, or not UTF-8.
func (r *bodyReader) text(n uint64) (string, bool) {
	if n > uint64(len(r.b)-r.at) {
		return "", false
	}
	r.at += int(n)
	s := r.b[r.at-int(n) : r.at]
	return s, utf8.ValidString(s)
}

// float leaves the widths of numbers to the library.
func (r *bodyReader) float() (any, bool) {
	end := r.at + 1 + 2<<(r.b[r.at]-cborFloat)
	if end > len(r.b) {
		return nil, false
	}
	var f float64
	if decoding.Unmarshal([]byte(r.b[r.at:end]), &f) != nil {
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

// name is that of the next field of an object, after the one before. In their order
// none stands twice.
func (r *bodyReader) name(before string, first bool) (string, bool) {
	major, n, ok := r.head()
	if !ok || major != cborText {
		return "", false
	}
	name, ok := r.text(n)
	return name, ok && (first || byEncoding(before, name) < 0)
}

// byEncoding orders names as their encodings stand: the shorter first, since a length
// comes before its text.
func byEncoding(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) }

// skip passes over the next value as value would read it.
func (r *bodyReader) skip(depth int) bool {
	if r.at < len(r.b) && r.b[r.at] >= cborFalse {
		_, ok := r.value(depth)
		return ok
	}
	major, n, ok := r.head()
	switch {
	case !ok:
	case major == cborUnsigned, major == cborNegative:
		return n < 1<<63
	case major == cborText:
		_, ok = r.text(n)
		return ok
	case major == cborList && depth > 0 && r.promise(n, 1):
		for ; ok && n > 0; n-- {
			ok = r.skip(depth - 1)
		}
		return ok
	case major == cborMap && depth > 0 && r.promise(n, 2):
		var name string
		for i := range n {
			if name, ok = r.name(name, i == 0); !ok || !r.skip(depth-1) {
				return false
			}
		}
		return true
	}
	return false
}

// into sets v, which is zero, from the next value, as [fill] does from a tree; false
// also where the value has not the shape.
func (r *bodyReader) into(v reflect.Value, s *shape, depth int) bool {
	if r.at == len(r.b) {
		return false
	}
	first := r.b[r.at]
	if first == cborNull {
		r.at++
		return true
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch s.kind {
	case kindBool:
		r.at++
		v.SetBool(first == cborTrue)
		return first == cborTrue || first == cborFalse
	case kindNumber:
		x, ok := r.value(0)
		f, isNumber := number(x)
		v.SetFloat(f)
		return ok && isNumber
	case kindWhole:
		x, ok := r.value(0)
		i, isWhole := x.(int64)
		v.SetInt(i)
		return ok && isWhole
	}
	major, n, ok := r.head()
	switch {
	case !ok:
	case s.kind == kindText && major == cborText:
		text, ok := r.text(n)
		v.SetString(text)
		return ok
	case s.kind == kindList && major == cborList && depth > 0 && r.promise(n, 1):
		v.Set(reflect.MakeSlice(v.Type(), int(n), int(n)))
		for i := range int(n) {
			if !r.into(v.Index(i), s.elem, depth-1) {
				return false
			}
		}
		return true
	case (s.kind == kindObject || s.kind == kindMap) && major == cborMap && depth > 0 && r.promise(n, 2):
		return r.fields(v, s, n, depth-1)
	}
	return false
}

func (r *bodyReader) fields(v reflect.Value, s *shape, n uint64, depth int) (ok bool) {
	if s.kind == kindMap {
		v.Set(reflect.MakeMapWithSize(v.Type(), int(n)))
	}
	var name string
	for i := range n {
		if name, ok = r.name(name, i == 0); !ok {
			return false
		}
		f, known := s.fields[name]
		switch {
		case known:
			ok = r.into(v.FieldByIndex(f.index), f.shape, depth)
		case s.kind == kindMap:
			elem := reflect.New(v.Type().Elem()).Elem()
			ok = r.into(elem, s.elem, depth)
			v.SetMapIndex(reflect.ValueOf(name), elem)
		default:
			ok = r.skip(depth)
		}
		if !ok {
			return false
		}
	}
	return true
}

// outline is the next object without its lists, and of the objects in it those alone
// that have one of the names, likewise.
func (r *bodyReader) outline(depth int, names []string) (map[string]any, bool) {
	major, n, ok := r.head()
	if !ok || major != cborMap || depth == 0 || !r.promise(n, 2) {
		return nil, false
	}
	tree := make(map[string]any)
	var name string
	for i := range n {
		if name, ok = r.name(name, i == 0); !ok || r.at == len(r.b) {
			return nil, false
		}
		switch major := r.b[r.at] >> 5; {
		case major == cborMap && slices.Contains(names, name):
			tree[name], ok = r.outline(depth-1, names)
		case major == cborMap, major == cborList:
			ok = r.skip(depth - 1)
		default:
			tree[name], ok = r.value(0)
		}
		if !ok {
			return nil, false
		}
	}
	return tree, true
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

// object writes the fields in the order of their encoded names.
func (w *bodyWriter) object(tree map[string]any, depth int) bool {
	w.head(cborMap, uint64(len(tree)))
	from := len(w.names)
	for name := range tree {
		w.names = append(w.names, name)
	}
	end := len(w.names)
	slices.SortFunc(w.names[from:end], byEncoding)
	ok := true
	for i := from; ok && i < end; i++ {
		name := w.names[i]
		ok = w.text(name) && w.value(tree[name], depth-1)
	}
	w.names = w.names[:from]
	return ok
}
