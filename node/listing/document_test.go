package listing_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/2ps-project/waymark/node/listing"
)

func TestParseJSON(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"keys are sorted, order of lists kept", `{"b":[2,1],"a":null}`, `{"a":null,"b":[2,1]}`},
		{"numbers of equal value are equal", `{"a":[3,3.0,30e-1,-0.0,0.5e1]}`, `{"a":[3,3,3,0,5]}`},
		{"whole numbers keep every digit", `{"a":9007199254740993,"b":18446744073709551615,"c":-9223372036854775808}`,
			`{"a":9007199254740993,"b":18446744073709551615,"c":-9223372036854775808}`},
		{"fractions", `{"a":54.687157,"b":1e300}`, `{"a":54.687157,"b":1e+300}`},
		{"markup is not escaped", `{"a":"<b> & \u00e9"}`, `{"a":"<b> & é"}`},
		{"empty containers", `{"a":{},"b":[]}`, `{"a":{},"b":[]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := parse(t, tc.in)
			if got := string(d.JSON()); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			body, err := d.Encode()
			if err != nil {
				t.Fatal(err)
			}
			back, err := listing.DecodeDocument(body)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(back.JSON()); got != tc.want {
				t.Errorf("after CBOR: got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestParseJSONRefuses(t *testing.T) {
	deep := strings.Repeat(`{"a":`, listing.MaxDepth) + `{}` + strings.Repeat(`}`, listing.MaxDepth)
	for _, tc := range []struct{ name, in, says string }{
		{"the same key twice", `{"a":1,"b":{"c":1,"c":1}}`, `"c" stands twice`},
		{"the same key written differently", `{"a":1,"\u0061":2}`, "stands twice"},
		{"a list", `[1]`, "want an object"},
		{"two documents", `{} {}`, "follows the end"},
		{"half a document", `{"a":`, "unexpected EOF"},
		{"nothing", ``, "unexpected EOF"},
		{"text that is not UTF-8", "{\"a\":\"\xff\"}", "not UTF-8"},
		{"a whole number that is too large", `{"a":18446744073709551616}`, "too large"},
		{"a number beyond all numbers", `{"a":1e400}`, "cannot be kept"},
		{"a number that would become 0", `{"a":1e-400}`, "cannot be kept"},
		{"nesting without end", deep, "nested deeper"},
		{"more than the limit", `{"a":"` + strings.Repeat("x", listing.MaxJSON) + `"}`, "longer than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := listing.ParseJSON([]byte(tc.in))
			if !errors.Is(err, listing.ErrMalformed) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want ErrMalformed that says %q", err, tc.says)
			}
		})
	}
}

func TestDeepestDocumentSurvives(t *testing.T) {
	n := listing.MaxDepth - 1
	in := strings.Repeat(`{"a":`, n) + `{}` + strings.Repeat(`}`, n)
	d := parse(t, in)
	body, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := listing.DecodeDocument(body)
	if err != nil {
		t.Fatal(err)
	}
	if string(back.JSON()) != in {
		t.Errorf("got %s", back.JSON())
	}
}

func TestDecodeDocumentRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []byte
	}{
		{"nothing", nil},
		{"null", []byte{0xf6}},
		{"a list", []byte{0x80}},
		{"the same key twice", []byte{0xa2, 0x61, 'a', 1, 0x61, 'a', 2}},
		{"a nested key twice", []byte{0xa1, 0x61, 'a', 0xa2, 0x61, 'a', 1, 0x61, 'a', 2}},
		{"a number as key", []byte{0xa1, 1, 1}},
		{"a number as nested key", []byte{0xa1, 0x61, 'a', 0xa1, 1, 1}},
		{"bytes, which JSON cannot say", []byte{0xa1, 0x61, 'a', 0x41, 0}},
		{"a length without end", []byte{0xbf, 0xff}},
		{"a tag", []byte{0xa1, 0x61, 'a', 0xc1, 1}},
		{"not a number", []byte{0xa1, 0x61, 'a', 0xf9, 0x7e, 0}},
		{"undefined simple value", []byte{0xa1, 0x61, 'a', 0xf8, 0xff}},
		{"something behind it", []byte{0xa0, 0xa0}},
		{"a promise of a huge list", []byte{0xa1, 0x61, 'a', 0x9b, 0, 0, 0, 1, 0, 0, 0, 0}},
		{"more than the limit", bytes.Repeat([]byte{0xa0}, listing.MaxBody+1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := listing.DecodeDocument(tc.in)
			if !errors.Is(err, listing.ErrMalformed) {
				t.Errorf("got %v, %v, want ErrMalformed", d, err)
			}
		})
	}
}

func TestEncodeRefusesWhatNoRecordHolds(t *testing.T) {
	for name, d := range map[string]listing.Document{
		"too large":     {"a": strings.Repeat("x", listing.MaxBody)},
		"a type of Go":  {"a": struct{}{}},
		"text, no UTF8": {"a": "\xff"},
	} {
		if _, err := d.Encode(); !errors.Is(err, listing.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A tree written in Go means the same as one that was read.
func TestGoTypesAreEqual(t *testing.T) {
	a := listing.Document{"n": 3, "list": []string{"x"}, "maps": []map[string]any{{"k": 1.0}}, "doc": listing.Document{}}
	b := parse(t, `{"n":3,"list":["x"],"maps":[{"k":1}],"doc":{}}`)
	x, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	y, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x, y) || string(a.JSON()) != string(b.JSON()) {
		t.Errorf("%s is not %s", a.JSON(), b.JSON())
	}
}

// tree draws a document of known and unknown fields with values of any shape.
func tree(t *rapid.T, depth int) map[string]any {
	names := []string{"id", "name", "metadata", "assurer_email", "internal_notes", "funding_until", "organization", "contacts",
		"phones", "channels", "location", "locations", "service_at_locations", "addresses", "attention", "value", "type",
		"latitude", "region", "translations", "lt", "description", "address_precision", "consent_date", "minimum_age", "unknown", "audience"}
	m := map[string]any{}
	for range rapid.IntRange(0, 6).Draw(t, "fields") {
		m[rapid.SampledFrom(names).Draw(t, "name")] = drawValue(t, depth)
	}
	return m
}

func drawValue(t *rapid.T, depth int) any {
	kind := rapid.IntRange(0, 8).Draw(t, "kind")
	if depth == 0 {
		kind %= 6
	}
	switch kind {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.Int64().Draw(t, "int")
	case 3:
		return rapid.Float64Range(-1e6, 1e6).Draw(t, "float")
	case 4:
		return rapid.SampledFrom([]string{"in_person", "phone", "region", "full", "2026-01-01", ""}).Draw(t, "word")
	case 5:
		return rapid.StringN(0, 8, 32).Draw(t, "text")
	case 6:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, drawValue(t, depth-1))
		}
		return list
	}
	return tree(t, depth-1)
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := listing.Document(tree(t, 5))
		body, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := listing.DecodeDocument(body)
		if err != nil {
			t.Fatal(err)
		}
		again, err := listing.ParseJSON(d.JSON())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, again) {
			t.Fatalf("by CBOR %v, by JSON %v", back, again)
		}
		if twice, _ := back.Encode(); !bytes.Equal(twice, body) {
			t.Fatal("the bytes changed")
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(`{"a":[1,2.5,null,true,{"b":-0}],"c":1e5}`))
	f.Add([]byte(`{"":-1,"bb":-25,"b":24,"ab":255,"ba":256,"c":65536,"d":4294967296,"e":18446744073709551615,"f":-9223372036854775808,"g":0.1,"h":1e300,"i":1.5e-9,"j":[],"k":{},"\u0000":"\u0000","é":"` + strings.Repeat("é", 200) + `"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := listing.ParseJSON(b)
		if err != nil {
			if !errors.Is(err, listing.ErrMalformed) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		again, err := listing.ParseJSON(d.JSON())
		if err != nil || !reflect.DeepEqual(d, again) {
			t.Fatalf("%v became %v (%v)", d, again, err)
		}
		if slow, err := listing.EncodeAny(d); len(slow) <= listing.MaxBody {
			if body, ourErr := d.Encode(); ourErr != nil || err != nil || !bytes.Equal(body, slow) {
				t.Fatalf("%x (%v); the library writes %x (%v)", body, ourErr, slow, err)
			}
		}
		public := d.Public()
		if !reflect.DeepEqual(public, public.Public()) {
			t.Fatalf("public part of %s is not stable", d.JSON())
		}
	})
}

func FuzzDecodeDocument(f *testing.F) {
	body, err := parse(f, sample).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	for _, s := range []string{
		"\xa1\x62id\x01", "\xa1\x62id\x38\x18", "\xa1\x62id\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "\xa1\x62id\x3b\xff\xff\xff\xff\xff\xff\xff\xff", "\xa1\x62id\xf9\x3e\x00",
		"\xa1\x62id\xfa\x3f\xc0\x00\x00", "\xa1\x62id\xfb\x40\x08\x00\x00\x00\x00\x00\x00", "\xa1\x62id\xf9\x7c\x00", "\xa1\x62id\x18\x01", "\xa1\x62id\x83\xf4\xf5\xf6", "\xa1\x62id\x9a\x00\x00\xff\xff\x80",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := listing.DecodeDocument(b)
		if slow, slowErr := listing.DecodeAny(b); (err == nil) != (slowErr == nil) && len(b) <= listing.MaxBody || !reflect.DeepEqual(d, slow) && err == nil {
			t.Fatalf("%v (%v); the library reads %v (%v)", d, err, slow, slowErr)
		}
		l, viewErr := listing.View(b)
		if err != nil {
			if !errors.Is(err, listing.ErrMalformed) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		if viewErr != nil || l == nil {
			t.Fatalf("a document without a view: %v", viewErr)
		}
		if back, err := listing.ParseJSON(d.JSON()); err != nil || !reflect.DeepEqual(back, d) {
			t.Fatalf("%v became %v (%v)", d, back, err)
		}
	})
}

// A document that is written in Go becomes what reading its JSON gives; one that was
// read stays itself.
func TestCanonical(t *testing.T) {
	made := listing.Document{"a": 1, "b": []string{"x"}, "c": []map[string]any{{"d": 2.0}}, "e": nil}
	want, err := listing.ParseJSON(made.JSON())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []listing.Document{made, want} {
		if got, err := d.Canonical(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("have %#v, %v", got, err)
		}
	}
	for _, d := range []listing.Document{{"a": "\xff"}, {"a": math.NaN()}, {"a": struct{}{}}} {
		if _, err := d.Canonical(); !errors.Is(err, listing.ErrMalformed) {
			t.Errorf("%v: %v", d, err)
		}
	}
}
