package listing_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/2ps-project/waymark/node/listing"
)

// standard reads one value as encoding/json does; false where it refuses it.
func standard(b []byte) (v any, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return nil, false
	}
	_, err := dec.Token()
	return v, err == io.EOF
}

// same compares a document with what encoding/json read of it.
func same(t *testing.T, have, std any) {
	t.Helper()
	switch s := std.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok || len(h) != len(s) {
			t.Fatalf("%v, encoding/json reads %v", have, std)
		}
		for k, v := range s {
			same(t, h[k], v)
		}
	case []any:
		h, ok := have.([]any)
		if !ok || len(h) != len(s) {
			t.Fatalf("%v, encoding/json reads %v", have, std)
		}
		for i, v := range s {
			same(t, h[i], v)
		}
	case json.Number:
		f, err := s.Float64()
		if err != nil {
			t.Fatalf("%v was read from %s", have, s)
		}
		n := reflect.ValueOf(have)
		switch {
		case n.CanInt():
			ok := float64(n.Int()) == f
			if !ok {
				t.Fatalf("%v was read from %s", have, s)
			}
		case n.CanUint() && float64(n.Uint()) != f, n.CanFloat() && n.Float() != f:
			t.Fatalf("%v was read from %s", have, s)
		}
	default:
		if have != std {
			t.Fatalf("%#v, encoding/json reads %#v", have, std)
		}
	}
}

// large tells whether a tree holds a float that is larger than the whole numbers
// that a float holds exactly.
func large(v any) bool {
	switch t := v.(type) {
	case float64:
		return math.Abs(t) > 1<<53
	case map[string]any:
		for _, x := range t {
			if large(x) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(t, large)
	}
	return false
}

// FuzzJSON holds what is read and written here against encoding/json. It reads
// less: no key twice, no number that would change, no end to nesting.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(sample))
	for _, s := range []string{
		`{"a":[1,2.5,null,true,false,{"b":-0}],"c":1e5, "d" : "\u00e9\ud83d\ude00\ud83dx\udc00\"\\\/\b\f\n\r\t"}`,
		"{\"a\":\"\u2028\u2029\u2027\u202a \x7f \u0000\"}", `{"a":1e-7,"b":1.5e-300,"c":1e21,"d":-1.25}`, `{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":.1}`,
		`{"a":1e}`, `{"a":+1}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\ud800\u12"}`, `{"a":tru}`, `{,}`, `{"a":1,}`, `[1,]`, `{"a" 1}`, `{a:1}`, "{\"a\":\"\n\"}",
		`{"a":[[[[]]]]}`, `{}x`, ` {} `, `{"a":1E+2}`, `{"a":"`, `{"a":"\`, `{"a":"\u`, `{"a`, "\ufeff{}", `{"a":nullx}`, `{"":{"":""}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := listing.ParseJSON(b)
		std, ok := standard(b)
		if err != nil {
			_, object := std.(map[string]any)
			for _, bound := range []string{"stands twice", "nested deeper", "cannot be kept", "too large", "longer than", "not UTF-8"} {
				object = object && !strings.Contains(err.Error(), bound)
			}
			if ok && object {
				t.Fatalf("encoding/json reads %q; here: %v", b, err)
			}
			return
		}
		if !ok {
			t.Fatalf("encoding/json refuses %q, read here as %v", b, d)
		}
		same(t, map[string]any(d), std)
		if large(map[string]any(d)) {
			return // encoding/json writes such a number as a whole one
		}
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(d); err != nil {
			t.Fatal(err)
		}
		if have := append(d.JSON(), '\n'); !bytes.Equal(have, want.Bytes()) {
			t.Fatalf("wrote %s, encoding/json %s", have, want.Bytes())
		}
	})
}

// TestWriteJSON does the same with trees of every type of Go that a document may
// hold, and with what no document may.
func TestWriteJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := listing.Document(tree(t, 4))
		d["float"] = rapid.Float64Range(-1<<53, 1<<53).Draw(t, "float")
		d["text"] = rapid.String().Draw(t, "text")
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		body, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		canonical, err := listing.DecodeDocument(body)
		if err != nil {
			t.Fatal(err)
		}
		if err := enc.Encode(canonical); err != nil {
			t.Fatal(err)
		}
		if have := string(d.JSON()) + "\n"; have != want.String() {
			t.Fatalf("wrote %s, encoding/json %s", have, want.String())
		}
	})
	for name, v := range map[string]any{"not a number": math.NaN(), "infinite": math.Inf(1), "no UTF-8": "\xff", "a channel": make(chan int), "too deep": func() any {
		var v any = map[string]any{}
		for range listing.MaxDepth {
			v = []any{v}
		}
		return v
	}()} {
		before := []byte("kept")
		b, err := listing.Document{"a": v}.AppendJSON(before)
		if err == nil || string(b) != "kept" {
			t.Errorf("%s: wrote %s, %v", name, b, err)
		}
	}
	if b, err := (listing.Document{"ids": []string{"é"}, "n": 3, "maps": []map[string]any{{"k": 1.0}}}).AppendJSON([]byte("> ")); err != nil || string(b) != `> {"ids":["é"],"maps":[{"k":1}],"n":3}` || !utf8.Valid(b) {
		t.Errorf("wrote %s, %v", b, err)
	}
}

func BenchmarkParseJSON(b *testing.B) {
	raw := parse(b, sample).JSON()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := listing.ParseJSON(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	d := parse(b, sample)
	b.ReportAllocs()
	for b.Loop() {
		if d.JSON() == nil {
			b.Fatal("nothing")
		}
	}
}
