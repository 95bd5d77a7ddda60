package schema_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/hsds/schema"
)

// TestFieldsAreThoseOfTheStandard compares the table of fields with the schemas
// of the specification, where they lie beside the project.
func TestFieldsAreThoseOfTheStandard(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "standards", "hsds", "schema", "schema")
	files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	if len(files) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatalf("the schemas of HSDS are not at %s", dir)
		}
		t.Skip("the schemas of HSDS are not beside the project (../shared/standards); the table of fields was compared with them in continuous integration")
	}
	names := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if name == "openapi" {
			continue
		}
		names[name] = true
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			Properties map[string]struct {
				Type   string
				Format string
				Enum   []string
				Ref    string `json:"$ref"`
				Items  struct {
					Ref  string `json:"$ref"`
					Type string
				}
			}
			Required []string
		}
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		if n := len(schema.Fields(name)); n != len(want.Properties) {
			t.Errorf("%s has %d fields, in the specification %d", name, n, len(want.Properties))
		}
		for field, p := range want.Properties {
			f, ok := schema.Find(name, field)
			if !ok {
				t.Errorf("%s.%s is missing", name, field)
				continue
			}
			if f.Required != slices.Contains(want.Required, field) {
				t.Errorf("%s.%s required: %t", name, field, f.Required)
			}
			if !slices.Equal(f.Values, p.Enum) || p.Format != "" && f.Format != p.Format {
				t.Errorf("%s.%s holds %q %q", name, field, f.Format, f.Values)
			}
			inner := strings.TrimSuffix(filepath.Base(p.Ref+p.Items.Ref), ".json")
			if inner != "." && f.Object != inner {
				t.Errorf("%s.%s is of %q, in the specification of %q", name, field, f.Object, inner)
			}
			if (p.Type == "array") != (f.Kind == schema.List) {
				t.Errorf("%s.%s is %s", name, field, f.Kind)
			}
		}
	}
	for _, name := range schema.Objects() {
		if !names[name] {
			t.Errorf("the specification has no %s", name)
		}
	}
}
