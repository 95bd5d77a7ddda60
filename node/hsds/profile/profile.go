// Package profile is the profile hsds-2ps of the Human Services Data
// Specification: what it adds as merge patches, and the schemas that result.
package profile

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/2ps-project/waymark/node/hsds/schema"
)

// Name and Version of the profile. A minor version adds fields, nothing else.
const (
	Name    = "hsds-2ps"
	Version = "1.0"
)

// Text tells what the profile adds and why, in Markdown.
//
//go:embed README.md
var Text string

//go:embed patch/*.json
var files embed.FS

var patches = read()

func read() map[string][]byte {
	all := map[string][]byte{}
	entries, err := files.ReadDir("patch")
	if err != nil {
		panic(err) // part of this program
	}
	for _, e := range entries {
		b, err := files.ReadFile(path.Join("patch", e.Name()))
		if err != nil {
			panic(err)
		}
		all[strings.TrimSuffix(e.Name(), ".json")] = b
	}
	return all
}

// Patched returns the objects that gain fields, sorted.
func Patched() []string { return slices.Sorted(maps.Keys(patches)) }

// Patch returns the merge patch (RFC 7386) of an object, or nil.
func Patch(object string) []byte { return slices.Clone(patches[object]) }

// Plain returns the JSON Schema (2020-12) of an object of HSDS 3.2.3, made from
// its table of fields; nil when there is no such object. Other objects are
// named by references to files beside it: "phone.json".
func Plain(object string) map[string]any {
	fields := schema.Fields(object)
	if fields == nil {
		return nil
	}
	properties := map[string]any{}
	var required []any
	for _, f := range fields {
		properties[f.Name] = property(f)
		if f.Required {
			required = append(required, f.Name)
		}
	}
	s := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   object, "type": "object", "properties": properties,
	}
	if required != nil {
		s["required"] = required
	}
	return s
}

func property(f schema.Field) map[string]any {
	switch f.Kind {
	case schema.Object:
		return map[string]any{"$ref": f.Object + ".json"}
	case schema.List:
		if f.Object == "string" {
			return map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
		}
		return map[string]any{"type": "array", "items": map[string]any{"$ref": f.Object + ".json"}}
	}
	p := map[string]any{"type": string(f.Kind)}
	switch f.Format {
	case "uuid", "uri", "email", "date-time":
		p["format"] = f.Format
	}
	if f.Values != nil {
		values := make([]any, len(f.Values))
		for i, v := range f.Values {
			values[i] = v
		}
		p["enum"] = values
	}
	return p
}

// Schema returns the schema of an object with the profile's patch applied; nil
// when there is no such object.
func Schema(object string) map[string]any {
	s := Plain(object)
	if s == nil || patches[object] == nil {
		return s
	}
	var patch any
	if err := json.Unmarshal(patches[object], &patch); err != nil {
		panic(fmt.Sprintf("profile: patch/%s.json: %v", object, err)) // part of this program, seen by every test
	}
	merged, _ := Merge(s, patch).(map[string]any)
	return merged
}

// Merge applies a merge patch to a JSON value as RFC 7386 says: members of an
// object are merged, null takes one away, anything else replaces. The target
// may be changed.
func Merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for name, v := range p {
		if v == nil {
			delete(t, name)
		} else {
			t[name] = Merge(t[name], v)
		}
	}
	return t
}
