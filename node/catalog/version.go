package catalog

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"hash"
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

// probe is an invented listing that has something in every field from which a
// document for search is made.
//
//go:embed probe.json
var probe []byte

// DocVersion is part of the stamp of a saved index: it differs between two programs
// that make other documents of the same records, or save another state. It is a hash
// of what this program makes of two listings, one with known values and one with
// an unknown one in every field, and of the tables and types that are used for it.
var DocVersion = sync.OnceValue(docVersion)

func docVersion() string {
	h := sha256.New()
	describe(h, reflect.TypeFor[search.Doc](), map[reflect.Type]bool{})
	describe(h, reflect.TypeFor[savedState](), map[reflect.Type]bool{})
	fmt.Fprintln(h, codeWords, mainLanguage, memberStates)
	at := time.Date(2026, 2, 18, 12, 0, 0, 0, time.UTC)
	c := &Catalog{o: Options{Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return at }, Cadence: func() listing.Cadence { return listing.DefaultCadence }}}
	doc := func(d listing.Document) {
		body, err := d.Public().Encode()
		if err != nil {
			panic(err) // a part of the program
		}
		for _, doubt := range []bool{false, true} {
			made, shown := c.doc("MT", "00000000-0000-4000-8000-000000000000", &feed.Record{Type: TypeListing, Revision: 7, Modified: feed.DayOf(at), Body: body}, doubt)
			fmt.Fprintf(h, "%t %+v\n", shown, made)
		}
	}
	known, err := listing.ParseJSON(probe)
	if err != nil {
		panic(err)
	}
	doc(known)
	strange := filled(reflect.TypeFor[listing.Listing](), new(int), 0).(map[string]any)
	for _, field := range []string{"visibility", "status", "kind", "address_precision"} { // with strange ones nothing is shown
		strange[field] = known[field]
	}
	doc(strange)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// describe writes what a type is made of.
func describe(h hash.Hash, t reflect.Type, seen map[reflect.Type]bool) {
	fmt.Fprint(h, t.String(), " ", t.Kind(), ";")
	if seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			fmt.Fprint(h, f.Name, " ", f.Tag, " ")
			describe(h, f.Type, seen)
		}
	case reflect.Slice, reflect.Array, reflect.Pointer:
		describe(h, t.Elem(), seen)
	case reflect.Map:
		describe(h, t.Key(), seen)
		describe(h, t.Elem(), seen)
	}
}

// filled makes a value of JSON for a type, with something in every field: texts and
// numbers that all differ.
func filled(t reflect.Type, n *int, depth int) any {
	*n++
	switch t.Kind() {
	case reflect.Pointer:
		return filled(t.Elem(), n, depth)
	case reflect.String:
		return fmt.Sprintf("probe%d", *n)
	case reflect.Bool:
		return true
	case reflect.Float64, reflect.Int, reflect.Int64:
		return int64(*n % 90)
	case reflect.Slice:
		if depth < maxProbe {
			return []any{filled(t.Elem(), n, depth+1)}
		}
	case reflect.Map:
		if depth < maxProbe {
			return map[string]any{"sv": filled(t.Elem(), n, depth+1)}
		}
	case reflect.Struct:
		out := map[string]any{}
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous {
				inner, _ := filled(f.Type, n, depth).(map[string]any)
				maps.Copy(out, inner)
			} else if f.IsExported() && name != "" && name != "-" && depth < maxProbe {
				out[name] = filled(f.Type, n, depth+1)
			}
		}
		return out
	}
	return nil
}

// maxProbe is how deep a listing is filled: types may hold themselves.
const maxProbe = 5
