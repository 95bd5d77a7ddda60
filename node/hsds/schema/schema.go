// Package schema has the objects of the Human Services Data Specification
// 3.2.3 and their fields, as data.
package schema

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
)

//go:embed fields.tsv
var table string

// Kind is what a field holds.
type Kind string

// The kinds of fields.
const (
	String Kind = "string"
	Number Kind = "number"
	Object Kind = "object" // one object, [Field.Object]
	List   Kind = "list"   // a list of [Field.Object], or of strings
)

// Field is a property of an object.
type Field struct {
	Name   string
	Kind   Kind
	Object string   // what an object or list holds; "string" for a list of strings
	Format string   // uuid, uri, email, date-time, date or time; "" = any text
	Values []string // the only ones allowed; nil = any
	// Required: an object without it is not valid.
	Required bool
}

// objects are by name, their fields in the order of the specification.
var objects = read(table)

func read(table string) map[string][]Field {
	all := map[string][]Field{}
	for line := range strings.Lines(table) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		col := strings.Split(line, "\t")
		if len(col) != 5 {
			panic("schema: fields.tsv: " + line) // part of this program, seen by every test
		}
		f := Field{Name: col[1], Kind: Kind(col[2]), Format: col[3], Required: col[4] == "*"}
		if strings.Contains(col[3], "|") {
			f.Format, f.Values = "", strings.Split(col[3], "|")
		}
		switch inner := strings.Trim(col[2], "[]"); {
		case inner != col[2]:
			f.Kind, f.Object = List, inner
		case f.Kind != String && f.Kind != Number:
			f.Kind, f.Object = Object, col[2]
		}
		all[col[0]] = append(all[col[0]], f)
	}
	return all
}

// Objects returns the names of all objects, sorted.
func Objects() []string { return slices.Sorted(maps.Keys(objects)) }

// Fields returns the fields of an object in the order of the specification;
// nil when there is no such object.
func Fields(object string) []Field { return slices.Clone(objects[object]) }

// Find returns a field of an object.
func Find(object, name string) (Field, bool) {
	i := slices.IndexFunc(objects[object], func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return objects[object][i], true
}
