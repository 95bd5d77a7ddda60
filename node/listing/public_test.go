package listing_test

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/2ps-project/waymark/node/listing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestPublicLeavesPrivateBehind(t *testing.T) {
	d := parse(t, sample)
	before := string(d.JSON())
	public := d.Public()
	text := string(public.JSON())
	if i := strings.Index(text, "private-"); i >= 0 {
		t.Errorf("a private value leaves: …%.60s", text[max(0, i-30):])
	}
	for _, want := range []string{"Agreed Person", "Director", "office@example.org", "place-street", "Tekstas", "Linija",
		"54.687157", "place-door", `"verification"`, `"from_age:16"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is public and was left out", want)
		}
	}
	if string(d.JSON()) != before {
		t.Error("the document itself was changed")
	}
}

func TestPublicProtectsThePlace(t *testing.T) {
	for _, precision := range []any{"region", "hidden", "something new", 7, true, []any{}} {
		d := parse(t, sample)
		d["address_precision"] = precision
		d["channels"] = append(d["channels"].([]any), map[string]any{"type": "carrier_pigeon", "value": "place-unknown"},
			map[string]any{"type": "other", "value": "place-other"}, map[string]any{"value": "place-untyped"})
		d["service_areas"] = []any{map[string]any{"name": "Vilnius", "extent": "place-polygon", "extent_type": "geojson"}}
		d["organization"].(map[string]any)["locations"] = []any{map[string]any{"name": "place-office"}}
		d["translations"] = map[string]any{"lt": map[string]any{
			"service_at_locations.s1.description":   map[string]any{"text": "place-translated"},
			"service_at_locations.s1.location.name": map[string]any{"text": "place-named"},
			"channels.c2.value":                     map[string]any{"text": "place-valued"},
			"name":                                  map[string]any{"text": "Linija"}}}
		text := string(d.Public().JSON())
		if i := strings.Index(text, "place-"); i >= 0 {
			t.Errorf("precision %v: the place leaves: …%.60s", precision, text[max(0, i-30):])
		}
		for _, secret := range []string{"54.68", "25.27", "01100"} {
			if strings.Contains(text, secret) {
				t.Errorf("precision %v: %s leaves", precision, secret)
			}
		}
		for _, want := range []string{"LT-VL", `"latitude":54.7`, `"longitude":25.3`, "+370 5 000 0000", "Linija", `"Vilnius"`} {
			if !strings.Contains(text, want) {
				t.Errorf("precision %v: %s was left out", precision, want)
			}
		}
	}
	for _, precision := range []any{nil, "", "full"} {
		d := parse(t, sample)
		d["address_precision"] = precision
		if !strings.Contains(string(d.Public().JSON()), "place-street") {
			t.Errorf("precision %v: the address was left out", precision)
		}
	}
}

// What stands where something else belongs could be anything, so it stays.
func TestPublicLeavesWrongShapesBehind(t *testing.T) {
	d := parse(t, `{"name": {"assurer_email": "private-1"}, "phones": {"x": "private-2"}, "organization": "private-3",
		"contacts": ["private-4", {"name": "private-5", "consent_date": "soon"}], "status": ["private-6"], "translations": {"lt": "private-7",
		"not a tag": {"name": {"text": "private-8"}}}, "channels": [[{"value": "private-9"}]], "id": 7}`)
	if got := string(d.Public().JSON()); got != `{"channels":[],"contacts":[{"consent_date":"soon"}],"id":7,"translations":{}}` {
		t.Errorf("got %s", got)
	}
}

// The copy shares no list and no object with the original.
func TestPublicSharesNothing(t *testing.T) {
	d := parse(t, sample)
	public := d.Public()
	before := string(public.JSON())
	scribble(map[string]any(d))
	if string(public.JSON()) != before {
		t.Error("a change of the document changed its public part")
	}
}

func scribble(v any) {
	switch t := v.(type) {
	case map[string]any:
		for k, x := range t {
			scribble(x)
			t[k] = "scribbled"
		}
	case []any:
		for i, x := range t {
			scribble(x)
			t[i] = "scribbled"
		}
	}
}

func TestPublicIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := listing.Document(tree(t, 5))
		once := d.Public()
		if twice := once.Public(); !reflect.DeepEqual(once, twice) {
			t.Fatalf("%s became %s", once.JSON(), twice.JSON())
		}
		noPrivateKey(t, map[string]any(once))
	})
}

func noPrivateKey(t *rapid.T, v any) {
	switch x := v.(type) {
	case map[string]any:
		for k, y := range x {
			if slices.Contains([]string{"metadata", "assurer_email", "internal_notes", "funding_until", "attention", "unknown"}, k) {
				t.Fatalf("the field %s leaves", k)
			}
			noPrivateKey(t, y)
		}
	case []any:
		for _, y := range x {
			noPrivateKey(t, y)
		}
	}
}

// Which field leaves the node is decided once and on purpose: a new field of a
// type shows up here.
func TestPublicFieldsAreThese(t *testing.T) {
	var b strings.Builder
	var walk func(reflect.Type)
	seen := map[reflect.Type]bool{}
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		b.WriteString(typ.Name() + ":")
		fields := reflect.VisibleFields(typ)
		for _, f := range fields {
			name := f.Tag.Get("json")
			if name == "" || f.Tag.Get("share") == "never" {
				continue
			}
			b.WriteString(" " + name)
			if s := f.Tag.Get("share"); s != "" {
				b.WriteString("(" + s + ")")
			}
		}
		b.WriteString("\n")
		for _, f := range fields {
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[listing.Listing]())
	const golden = "testdata/public_fields.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the public fields changed; if that is meant, run with -update:\n%s", b.String())
	}
}

// Every number of a document survives its way out exactly.
func TestPublicKeepsNumbers(t *testing.T) {
	d := parse(t, `{"minimum_age":12.5,"maximum_age":9007199254740993}`)
	var got map[string]json.Number
	if err := json.Unmarshal(d.Public().JSON(), &got); err != nil {
		t.Fatal(err)
	}
	if got["minimum_age"] != "12.5" || got["maximum_age"] != "9007199254740993" {
		t.Errorf("got %v", got)
	}
}
