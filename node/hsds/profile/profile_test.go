package profile_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/2ps-project/waymark/node/hsds/profile"
	"github.com/2ps-project/waymark/node/hsds/schema"
	"github.com/2ps-project/waymark/node/listing"
)

// TestPatchesDescribeTheProfile: the fields of a listing beyond HSDS are those of the patches,
// no more and no fewer, at every depth.
func TestPatchesDescribeTheProfile(t *testing.T) {
	s := profile.Schema("service")
	compare(t, s, "service", s, reflect.TypeFor[listing.Profile](), func(name string) bool {
		_, plain := schema.Find("service", name)
		return plain
	})
	for object, typ := range map[string]reflect.Type{"organization": reflect.TypeFor[listing.Organization](), "contact": reflect.TypeFor[listing.Contact]()} {
		s := profile.Schema(object)
		properties := s["properties"].(map[string]any)
		for _, f := range reflect.VisibleFields(typ) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if properties[name] == nil {
				t.Errorf("%s.%s is in no schema", object, name)
			}
		}
	}
}

func compare(t *testing.T, root map[string]any, path string, s map[string]any, typ reflect.Type, elsewhere func(string) bool) {
	t.Helper()
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if items, ok := s["items"].(map[string]any); ok {
		s = items
	}
	if ref, ok := s["$ref"].(string); ok {
		s, ok = root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		if !ok {
			t.Fatalf("%s: %s leads nowhere", path, ref)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	if typ.Kind() == reflect.Map {
		return // translations: by language, then by field
	}
	if typ.Kind() != reflect.Struct {
		if properties != nil {
			t.Errorf("%s is an object in the schema", path)
		}
		return
	}
	var names []string
	for _, f := range reflect.VisibleFields(typ) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || f.Tag.Get("share") == "never" {
			continue
		}
		names = append(names, name)
		p, ok := properties[name].(map[string]any)
		if !ok {
			t.Errorf("%s.%s is in no schema", path, name)
			continue
		}
		compare(t, root, path+"."+name, p, f.Type, func(string) bool { return false })
	}
	for name := range properties {
		if !slices.Contains(names, name) && !elsewhere(name) {
			t.Errorf("%s.%s is in the schema and not in a listing", path, name)
		}
	}
}

func TestSchemasCompile(t *testing.T) {
	c := jsonschema.NewCompiler()
	for _, object := range schema.Objects() {
		b, err := json.Marshal(profile.Schema(object))
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("mem:///"+object+".json", v); err != nil {
			t.Fatal(err)
		}
	}
	for _, object := range schema.Objects() {
		if _, err := c.Compile("mem:///" + object + ".json"); err != nil {
			t.Errorf("%s: %v", object, err)
		}
	}
	for _, object := range profile.Patched() {
		if schema.Fields(object) == nil {
			t.Errorf("there is no object %s to patch", object)
		}
	}
	if !strings.Contains(profile.Text, "version "+profile.Version) {
		t.Error("the text is of another version")
	}
}

// TestMerge has the examples of RFC 7386, appendix A.
func TestMerge(t *testing.T) {
	for _, x := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`}, {`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`}, {`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`}, {`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`}, {`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`}, {`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`}, {`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`}, {`{"a":"foo"}`, `null`, `null`}, {`{"a":"foo"}`, `"bar"`, `"bar"`}, {`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`}, {`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		var target, patch any
		if json.Unmarshal([]byte(x[0]), &target) != nil || json.Unmarshal([]byte(x[1]), &patch) != nil {
			t.Fatal(x)
		}
		got, err := json.Marshal(profile.Merge(target, patch))
		if err != nil || string(got) != x[2] {
			t.Errorf("%s with %s is %s, want %s", x[0], x[1], got, x[2])
		}
	}
}
