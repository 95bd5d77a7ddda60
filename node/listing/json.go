package listing

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// This file reads and writes the JSON of documents. Every listing passes through it
// several times, in an import, an export and each answer, and encoding/json took as
// long for it as everything else together: it knows no names beforehand, tells no key
// that stands twice, and must find out every type. The tests hold the two against each
// other.

// jsonReader reads one value. The text is valid UTF-8. What is read holds on to all of
// it: texts are parts of it, where nothing in them is escaped.
type jsonReader struct {
	b  string
	at int

	// What was read of the objects and lists that are still open, so that each
	// is made in its size.
	fields []jsonField
	items  []any
}

type jsonField struct {
	name  string
	value any
}

func (r *jsonReader) space() {
	for r.at < len(r.b) {
		switch r.b[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// unexpected is the error where something else should stand.
func (r *jsonReader) unexpected(want string) error {
	if r.at >= len(r.b) {
		return io.ErrUnexpectedEOF
	}
	c, _ := utf8.DecodeRuneInString(r.b[r.at:])
	return fmt.Errorf("there is %q where %s should be, at byte %d", c, want, r.at)
}

// peek is the next byte that is no space; 0 at the end.
func (r *jsonReader) peek() byte {
	r.space()
	if r.at == len(r.b) {
		return 0
	}
	return r.b[r.at]
}

// value reads the next value; depth is how many levels it may still open.
func (r *jsonReader) value(depth int) (any, error) {
	switch c := r.peek(); {
	case c == '"':
		return r.text()
	case c == '{' || c == '[':
		if depth == 0 {
			return nil, errDeep
		}
		r.at++
		if c == '[' {
			return r.list(depth - 1)
		}
		return r.object(depth - 1)
	case c == '-' || '0' <= c && c <= '9':
		return r.number()
	case c == 't':
		return true, r.word("true")
	case c == 'f':
		return false, r.word("false")
	case c == 'n':
		return nil, r.word("null")
	}
	return nil, r.unexpected("a value")
}

func (r *jsonReader) word(w string) error {
	for i := range len(w) {
		if r.at == len(r.b) || r.b[r.at] != w[i] {
			return r.unexpected(w)
		}
		r.at++
	}
	return nil
}

// more passes over what stands between two elements, or ends them.
func (r *jsonReader) more(end byte, want string) (bool, error) {
	switch r.peek() {
	case end:
		r.at++
		return false, nil
	case ',':
		r.at++
		return true, nil
	}
	return false, r.unexpected(want)
}

func (r *jsonReader) list(depth int) (any, error) {
	from := len(r.items)
	more := r.peek() != ']'
	if !more {
		r.at++
	}
	for more {
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		r.items = append(r.items, v)
		if more, err = r.more(']', `"," or "]"`); err != nil {
			return nil, err
		}
	}
	list := make([]any, len(r.items)-from)
	copy(list, r.items[from:])
	clear(r.items[from:])
	r.items = r.items[:from]
	return list, nil
}

func (r *jsonReader) object(depth int) (any, error) {
	from := len(r.fields)
	more := r.peek() != '}'
	if !more {
		r.at++
	}
	for more {
		if r.peek() != '"' {
			return nil, r.unexpected("the name of a field")
		}
		name, err := r.text()
		if err != nil {
			return nil, err
		}
		if r.peek() != ':' {
			return nil, r.unexpected(`":"`)
		}
		r.at++
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		r.fields = append(r.fields, jsonField{name, v})
		if more, err = r.more('}', `"," or "}"`); err != nil {
			return nil, err
		}
	}
	fields := r.fields[from:]
	tree := make(map[string]any, len(fields))
	for _, f := range fields {
		if _, twice := tree[f.name]; twice {
			return nil, fmt.Errorf("the field %q stands twice in one object", f.name)
		}
		tree[f.name] = f.value
	}
	clear(fields)
	r.fields = r.fields[:from]
	return tree, nil
}

// text reads a text; the next byte is its quotation mark.
func (r *jsonReader) text() (string, error) {
	r.at++
	from := r.at
	for ; r.at < len(r.b); r.at++ {
		switch c := r.b[r.at]; {
		case c == '"':
			r.at++
			return r.b[from : r.at-1], nil
		case c == '\\':
			return r.escaped(from)
		case c < ' ':
			return "", r.unexpected("text")
		}
	}
	return "", io.ErrUnexpectedEOF
}

// escaped reads a text on from its first escape. Half of a surrogate pair is read
// as U+FFFD.
func (r *jsonReader) escaped(from int) (string, error) {
	out := append(make([]byte, 0, 2*(r.at-from)+32), r.b[from:r.at]...)
	for r.at < len(r.b) {
		switch c := r.b[r.at]; {
		case c == '"':
			r.at++
			return string(out), nil
		case c < ' ':
			return "", r.unexpected("text")
		case c != '\\':
			out = append(out, c)
			r.at++
			continue
		}
		r.at++
		if r.at == len(r.b) {
			break
		}
		c := r.b[r.at]
		switch c {
		case '"', '\\', '/':
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			u, ok := r.unit()
			if !ok {
				return "", r.unexpected("an escape")
			}
			if utf16.IsSurrogate(u) {
				u = r.pair(u)
			}
			out = utf8.AppendRune(out, u)
			continue
		default:
			return "", r.unexpected("an escape")
		}
		out = append(out, c)
		r.at++
	}
	return "", io.ErrUnexpectedEOF
}

// unit reads "u" and four digits.
func (r *jsonReader) unit() (u rune, ok bool) {
	if r.at+5 > len(r.b) {
		r.at = len(r.b)
		return 0, false
	}
	n, err := strconv.ParseUint(r.b[r.at+1:r.at+5], 16, 16)
	if err != nil {
		return 0, false
	}
	r.at += 5
	return rune(n), true
}

// pair is the character that a first half makes with what follows, which is passed
// over if it belongs to it.
func (r *jsonReader) pair(first rune) rune {
	if r.at+1 < len(r.b) && r.b[r.at] == '\\' && r.b[r.at+1] == 'u' {
		back := r.at
		r.at++
		if second, ok := r.unit(); ok {
			if c := utf16.DecodeRune(first, second); c != utf8.RuneError {
				return c
			}
		}
		r.at = back
	}
	return utf8.RuneError
}

func (r *jsonReader) digits() bool {
	from := r.at
	for r.at < len(r.b) && '0' <= r.b[r.at] && r.b[r.at] <= '9' {
		r.at++
	}
	return r.at > from
}

func (r *jsonReader) number() (any, error) {
	from := r.at
	if r.b[r.at] == '-' {
		r.at++
	}
	if r.at < len(r.b) && r.b[r.at] == '0' {
		r.at++ // nothing but a fraction follows it
	} else if !r.digits() {
		return nil, r.unexpected("a digit")
	}
	if r.at < len(r.b) && r.b[r.at] == '.' {
		r.at++
		if !r.digits() {
			return nil, r.unexpected("a digit")
		}
	}
	if r.at < len(r.b) && r.b[r.at]|0x20 == 'e' {
		r.at++
		if r.at < len(r.b) && (r.b[r.at] == '+' || r.b[r.at] == '-') {
			r.at++
		}
		if !r.digits() {
			return nil, r.unexpected("a digit")
		}
	}
	return parseNumber(r.b[from:r.at])
}

// jsonWriter appends JSON to b, the keys of objects sorted.
type jsonWriter struct {
	b     []byte
	names []string // of the objects that are open
}

// writers are used again: their buffers have grown to what documents need.
var writers = sync.Pool{New: func() any { return new(jsonWriter) }}

// maxPooled is the largest buffer, in bytes, that is kept for the next document.
const maxPooled = 64 << 10

var errDeep = fmt.Errorf("it is nested deeper than %d levels", MaxDepth)

// value appends what [canonical] makes of v, without making it; depth is how many
// levels it may open.
func (w *jsonWriter) value(v any, depth int) (err error) {
	switch t := v.(type) {
	case nil:
		w.b = append(w.b, "null"...)
	case string:
		return w.text(t)
	case bool:
		w.b = strconv.AppendBool(w.b, t)
	case int64:
		w.b = strconv.AppendInt(w.b, t, 10)
	case uint64:
		w.b = strconv.AppendUint(w.b, t, 10)
	case float64:
		return w.float(t)
	case map[string]any:
		return w.object(t, depth)
	case Document:
		return w.object(t, depth)
	case []any:
		if depth == 0 {
			return errDeep
		}
		w.b = append(w.b, '[')
		for i, x := range t {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			if err := w.value(x, depth-1); err != nil {
				return err
			}
		}
		w.b = append(w.b, ']')
	default:
		if v, err = canonical(v, depth); err == nil {
			err = w.value(v, depth)
		}
	}
	return err
}

func (w *jsonWriter) object(m map[string]any, depth int) error {
	if depth == 0 {
		return errDeep
	}
	from := len(w.names)
	for name := range m {
		w.names = append(w.names, name)
	}
	to := len(w.names)
	slices.Sort(w.names[from:])
	w.b = append(w.b, '{')
	for i := from; i < to; i++ {
		if i > from {
			w.b = append(w.b, ',')
		}
		name := w.names[i]
		if err := w.text(name); err != nil {
			return err
		}
		w.b = append(w.b, ':')
		if err := w.value(m[name], depth-1); err != nil {
			return err
		}
	}
	w.names = w.names[:from]
	w.b = append(w.b, '}')
	return nil
}

var errText = errors.New("a text is not UTF-8")

// text is written as encoding/json does without regard to HTML: U+2028 and U+2029
// are escaped, since they end a line of JavaScript.
func (w *jsonWriter) text(s string) error {
	if !utf8.ValidString(s) {
		return errText
	}
	const hex = "0123456789abcdef"
	b := append(w.b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c != 0xe2 {
			continue
		}
		if c == 0xe2 { // the first byte of the two
			if s[i+1] != 0x80 || s[i+2]&^1 != 0xa8 {
				continue
			}
			b = append(b, s[from:i]...)
			b = append(b, `\u202`...)
			b = append(b, hex[s[i+2]&0xf])
			i += 2
			from = i + 1
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&0xf])
		}
	}
	b = append(b, s[from:]...)
	w.b = append(b, '"')
	return nil
}

// float is written as encoding/json does, as ECMAScript writes numbers; but one beyond
// the whole numbers that a float holds exactly has an exponent, by which it is read as
// a float again.
func (w *jsonWriter) float(f float64) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return errors.New("a number is not finite")
	}
	if i, ok := canonicalFloat(f).(int64); ok {
		w.b = strconv.AppendInt(w.b, i, 10)
		return nil
	}
	format := byte('f')
	if abs := math.Abs(f); abs < 1e-6 || abs > 1<<53 {
		format = 'e'
	}
	w.b = strconv.AppendFloat(w.b, f, format, -1, 64)
	if n := len(w.b); format == 'e' && n >= 4 && w.b[n-4] == 'e' && w.b[n-3] == '-' && w.b[n-2] == '0' {
		w.b[n-2] = w.b[n-1] // e-09 is e-9
		w.b = w.b[:n-1]
	}
	return nil
}
