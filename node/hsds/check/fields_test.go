package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
		var schema struct {
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
		if err := json.Unmarshal(raw, &schema); err != nil {
			t.Fatal(err)
		}
		if len(objects[name]) != len(schema.Properties) {
			t.Errorf("%s has %d fields, in the specification %d", name, len(objects[name]), len(schema.Properties))
		}
		for field, p := range schema.Properties {
			f, ok := objects[name][field]
			if !ok {
				t.Errorf("%s.%s is missing", name, field)
				continue
			}
			if f.required != slices.Contains(schema.Required, field) {
				t.Errorf("%s.%s required: %t", name, field, f.required)
			}
			if len(p.Enum) > 0 && f.rule != strings.Join(p.Enum, "|") || p.Format != "" && f.rule != p.Format {
				t.Errorf("%s.%s holds %q", name, field, f.rule)
			}
			inner := strings.TrimSuffix(filepath.Base(p.Ref+p.Items.Ref), ".json")
			if inner != "." && f.object != inner {
				t.Errorf("%s.%s is of %q, in the specification of %q", name, field, f.object, inner)
			}
			if (p.Type == "array") != (f.kind == "list") {
				t.Errorf("%s.%s is %s", name, field, f.kind)
			}
		}
	}
	for name := range objects {
		if !names[name] {
			t.Errorf("the specification has no %s", name)
		}
	}
}

func TestExamplesOfTheStandardAreValid(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "standards", "hsds", "examples-3.2.3")
	for file, object := range map[string]string{"service_full.json": "service", "organization_full.json": "organization", "service_at_location_full.json": "service_at_location", "location.json": "location", "taxonomy.json": "taxonomy", "taxonomy_term.json": "taxonomy_term"} {
		raw, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip("the examples of HSDS are not beside the project (../shared/standards); they were tried in continuous integration")
		}
		v, err := decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range validate(object, v, "", 0, func(string) {}) {
			t.Errorf("%s: %s %s", file, fault.path, fault.message)
		}
	}
}
