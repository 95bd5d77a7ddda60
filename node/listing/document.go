package listing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// The limits of a document. They are checked before anything is built from
// the bytes.
const (
	MaxJSON  = 1 << 20  // bytes of a document as JSON, private part included
	MaxBody  = 64 << 10 // bytes of a record body
	MaxShare = 60_000   // bytes of a public body that may be published, so that its record stays under MaxBody
	MaxDepth = 32       // nested objects and lists, the document itself included
)

// ErrMalformed is the reason for every refusal of bytes as a document.
var ErrMalformed = errors.New("not a listing document")

// Document is a listing as it was given: a tree of text, bool, nil, int64,
// uint64 (only above the range of int64), float64 (only for what is no whole
// number), []any and map[string]any. Every field is kept, known or not.
//
// A tree that is written in Go may also use the other integer types, []string
// and lists of maps; the methods read them alike.
type Document map[string]any

// ParseJSON reads one JSON object. It refuses with [ErrMalformed] what is over
// [MaxJSON] or [MaxDepth], repeats a key, is not UTF-8, or holds a number that
// would change its value. Numbers of equal value become equal: 3, 3.0 and 30e-1
// are all int64(3).
func ParseJSON(b []byte) (Document, error) {
	if err := checkSize(len(b)); err != nil {
		return nil, err
	}
	return ParseJSONText(string(b))
}

func checkSize(n int) error {
	if n > MaxJSON {
		return fmt.Errorf("%w: it is longer than %d bytes", ErrMalformed, MaxJSON)
	}
	return nil
}

// ParseJSONText is [ParseJSON] of a text, which the document then holds on to.
func ParseJSONText(b string) (Document, error) {
	if err := checkSize(len(b)); err != nil {
		return nil, err
	}
	if !utf8.ValidString(b) {
		return nil, fmt.Errorf("%w: the text is not UTF-8", ErrMalformed)
	}
	r := jsonReader{b: b}
	v, err := r.value(MaxDepth)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if r.space(); r.at < len(b) {
		return nil, fmt.Errorf("%w: something follows the end of the object", ErrMalformed)
	}
	tree, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: want an object, have %s", ErrMalformed, typeName(v))
	}
	return tree, nil
}

// parseNumber keeps whole numbers whole and refuses what no type can hold.
func parseNumber(s string) (any, error) {
	if !strings.ContainsAny(s, ".eE") {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i, nil
		}
		if u, err := strconv.ParseUint(s, 10, 64); err == nil {
			return u, nil
		}
		return nil, fmt.Errorf("the number %.40s is too large to be kept", s)
	}
	f, err := strconv.ParseFloat(s, 64)
	mantissa, _, _ := strings.Cut(strings.ToLower(s), "e")
	if err != nil || (f == 0 && strings.ContainsAny(mantissa, "123456789")) {
		return nil, fmt.Errorf("the number %.40s cannot be kept", s)
	}
	return canonicalFloat(f), nil
}

// canonicalFloat gives a whole number as an integer where a float64 holds it
// exactly, so that one value has one encoding.
func canonicalFloat(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) <= 1<<53 {
		return int64(f)
	}
	return f
}

// JSON returns the document as JSON, its keys sorted. It is nil for a tree that
// holds what JSON cannot say, which neither [ParseJSON] nor [DecodeDocument]
// ever gives.
func (d Document) JSON() []byte {
	w := writers.Get().(*jsonWriter)
	defer writers.Put(w)
	w.b, w.names = w.b[:0], w.names[:0]
	if w.object(d, MaxDepth) != nil {
		return nil
	}
	b := bytes.Clone(w.b)
	if cap(w.b) > maxPooled {
		w.b = nil
	}
	clear(w.names[:cap(w.names)])
	return b
}

// AppendJSON is [Document.JSON] behind what b holds; b as it was where there is an
// error.
func (d Document) AppendJSON(b []byte) ([]byte, error) {
	w := jsonWriter{b: b}
	if err := w.object(d, MaxDepth); err != nil {
		return b, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	return w.b, nil
}

var (
	encoding = mustEncode(cbor.CoreDetEncOptions())
	decoding = mustDecode(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   MaxDepth + 1,
		MaxArrayElements:  MaxBody,
		MaxMapPairs:       MaxBody,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		IntDec:            cbor.IntDecConvertNone,
		UTF8:              cbor.UTF8RejectInvalid,
		NaN:               cbor.NaNDecodeForbidden,
		Inf:               cbor.InfDecodeForbidden,
		BignumTag:         cbor.BignumTagForbidden,
		DefaultMapType:    reflect.TypeFor[map[string]any](),
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	})
)

func mustEncode(o cbor.EncOptions) cbor.EncMode {
	m, err := o.EncMode()
	if err != nil {
		panic(err) // constant options
	}
	return m
}

func mustDecode(o cbor.DecOptions) cbor.DecMode {
	m, err := o.DecMode()
	if err != nil {
		panic(err) // constant options
	}
	return m
}

// Encode returns the document as core-deterministic CBOR (RFC 8949 §4.2.1):
// equal documents have equal bytes. It refuses what is over [MaxBody] or
// [MaxDepth]. It encodes what it is given: call [Document.Public] first for what is to be
// signed.
func (d Document) Encode() ([]byte, error) {
	w := bodyWriters.Get().(*bodyWriter)
	defer bodyWriters.Put(w)
	w.b, w.names = w.b[:0], w.names[:0]
	var b []byte
	if w.value(map[string]any(d), MaxDepth) {
		b = bytes.Clone(w.b)
	} else {
		v, err := canonical(map[string]any(d), MaxDepth)
		if err == nil {
			b, err = encoding.Marshal(v)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
		}
	}
	clear(w.names[:cap(w.names)])
	if cap(w.b) > maxPooled {
		w.b = nil
	}
	if len(b) > MaxBody {
		return nil, fmt.Errorf("%w: its body has %d bytes, the limit is %d", ErrMalformed, len(b), MaxBody)
	}
	return b, nil
}

// DecodeDocument reads the body of a record. It refuses with [ErrMalformed]
// what is over [MaxBody] or [MaxDepth], repeats a key, or holds anything that
// JSON cannot say.
func DecodeDocument(body []byte) (Document, error) {
	if len(body) > MaxBody {
		return nil, fmt.Errorf("%w: the body has %d bytes, the limit is %d", ErrMalformed, len(body), MaxBody)
	}
	r := bodyReader{b: string(body)}
	if v, ok := r.value(MaxDepth); ok && r.at == len(body) {
		if tree, ok := v.(map[string]any); ok {
			return tree, nil
		}
	}
	return decodeAny(body)
}

// decodeAny is DecodeDocument for what [bodyReader] leaves.
func decodeAny(body []byte) (Document, error) {
	var tree map[string]any
	if err := decoding.Unmarshal(body, &tree); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if tree == nil {
		return nil, fmt.Errorf("%w: want an object, have nothing", ErrMalformed)
	}
	if err := settle(tree, MaxDepth); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	return tree, nil
}

// settle makes a decoded tree canonical where it stands: nobody else has it.
func settle(v any, depth int) error {
	var err error
	one := func(x any) any {
		switch x.(type) {
		case map[string]any, []any:
			if err == nil {
				err = settle(x, depth-1)
			}
			return x
		}
		c, e := canonical(x, 0)
		if err == nil {
			err = e
		}
		return c
	}
	if depth == 0 {
		return errDeep
	}
	switch t := v.(type) {
	case map[string]any:
		for k, x := range t {
			switch x.(type) {
			case string, nil, bool, int64:
				continue // as it should be: the decoder has looked at the text
			}
			t[k] = one(x)
		}
	case []any:
		for i, x := range t {
			t[i] = one(x)
		}
	}
	return err
}

// Canonical is the document in no other types than [ParseJSON] gives: itself where it
// has no others, so what is returned is only to be read. The error is [ErrMalformed]
// for what JSON cannot say.
func (d Document) Canonical() (Document, error) {
	v, err := canonicalDocument(d)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	return v.(map[string]any), nil
}

// canonicalDocument is what [canonical] makes of a document; itself where it is
// canonical, so it is only to be read.
func canonicalDocument(d Document) (any, error) {
	if isCanonical(map[string]any(d), MaxDepth) {
		return map[string]any(d), nil
	}
	return canonical(map[string]any(d), MaxDepth)
}

// isCanonical reports whether [canonical] would make an equal copy.
func isCanonical(v any, depth int) bool {
	switch t := v.(type) {
	case nil, bool, int64:
		return true
	case string:
		return utf8.ValidString(t)
	case uint64:
		return t > math.MaxInt64
	case float64:
		_, whole := canonicalFloat(t).(int64)
		return !whole && !math.IsNaN(t) && !math.IsInf(t, 0)
	case map[string]any:
		if depth == 0 {
			return false
		}
		for k, x := range t {
			if !utf8.ValidString(k) || !isCanonical(x, depth-1) {
				return false
			}
		}
		return true
	case []any:
		if depth == 0 {
			return false
		}
		for _, x := range t {
			if !isCanonical(x, depth-1) {
				return false
			}
		}
		return true
	}
	return false
}

// canonical returns a copy of a tree that shares nothing with it and holds only
// the types that [Document] names; depth is how many levels it may open.
func canonical(v any, depth int) (any, error) {
	switch t := v.(type) {
	case nil, bool, int64:
		return t, nil
	case string:
		if !utf8.ValidString(t) {
			return nil, errText
		}
		return v, nil // t would be packed anew
	case int:
		return int64(t), nil
	case int32:
		return int64(t), nil
	case uint64:
		if t <= math.MaxInt64 {
			return int64(t), nil
		}
		return t, nil
	case float64:
		if math.IsNaN(t) || math.IsInf(t, 0) {
			return nil, errors.New("a number is not finite")
		}
		return canonicalFloat(t), nil
	case Document:
		return canonicalMap(t, depth)
	case map[string]any:
		return canonicalMap(t, depth)
	case []any:
		return canonicalList(t, depth)
	case []string:
		return canonicalList(t, depth)
	case []map[string]any:
		return canonicalList(t, depth)
	case []Document:
		return canonicalList(t, depth)
	}
	return nil, fmt.Errorf("a value is %s, which JSON cannot say", typeName(v))
}

func canonicalMap(m map[string]any, depth int) (any, error) {
	if depth == 0 {
		return nil, errDeep
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		c, err := canonical(v, depth-1)
		if err != nil {
			return nil, err
		}
		if !utf8.ValidString(k) {
			return nil, errors.New("a field name is not UTF-8")
		}
		out[k] = c
	}
	return out, nil
}

func canonicalList[T any](list []T, depth int) (any, error) {
	if depth == 0 {
		return nil, errDeep
	}
	out := make([]any, len(list))
	for i, v := range list {
		c, err := canonical(v, depth-1)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}

// typeName names the type of a value as a person would.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case string:
		return "text"
	case bool:
		return "yes or no"
	case int, int32, int64, uint64, float64, json.Number:
		return "a number"
	case map[string]any, Document:
		return "an object"
	case []any, []string, []map[string]any, []Document:
		return "a list"
	}
	return fmt.Sprintf("a %T", v)
}
