package listing

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// shape is what the typed view expects at one place of a document. The shapes
// are made once from the struct types, so a field has one definition: its name,
// its type and, in the tag "share", whether it may leave the node.
type shape struct {
	kind   kind
	elem   *shape           // of a list or of a map
	fields map[string]field // of an object, by JSON name
	sorted []string         // the names of fields
}

type kind int

const (
	kindText kind = iota
	kindNumber
	kindWhole
	kindBool
	kindList
	kindObject
	kindMap
)

func (k kind) String() string {
	return [...]string{"text", "a number", "a whole number", "yes or no", "a list", "an object", "an object"}[k]
}

type field struct {
	shape *shape
	index []int // for reflect.Value.FieldByIndex
	share share
}

// share is the tag that says which fields leave the node. No tag means that
// the field is public.
type share string

const (
	shareNever   share = "never"   // private, always
	shareConsent share = "consent" // public only beside a date of consent
	sharePlace   share = "place"   // tells where a protected place is
	shareChannel share = "channel" // tells it where the channel is a place
	shareCoarse  share = "coarse"  // rounded where the place is protected
)

var listingShape = shapeOf(reflect.TypeFor[Listing](), map[reflect.Type]*shape{})

// shapeOf describes t; seen breaks the circle of types that hold themselves.
func shapeOf(t reflect.Type, seen map[reflect.Type]*shape) *shape {
	if t.Kind() == reflect.Pointer {
		return shapeOf(t.Elem(), seen)
	}
	if s, ok := seen[t]; ok {
		return s
	}
	s := &shape{}
	seen[t] = s
	switch t.Kind() {
	case reflect.String:
		s.kind = kindText
	case reflect.Float64:
		s.kind = kindNumber
	case reflect.Int:
		s.kind = kindWhole
	case reflect.Bool:
		s.kind = kindBool
	case reflect.Slice:
		s.kind, s.elem = kindList, shapeOf(t.Elem(), seen)
	case reflect.Map:
		s.kind, s.elem = kindMap, shapeOf(t.Elem(), seen)
	case reflect.Struct:
		s.kind, s.fields = kindObject, map[string]field{}
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				continue
			}
			s.fields[name] = field{shapeOf(f.Type, seen), f.Index, share(f.Tag.Get("share"))}
		}
		s.sorted = slices.Sorted(maps.Keys(s.fields))
	default:
		panic("listing: no shape for " + t.String()) // a type of this package, seen by every test
	}
	return s
}
