package check

import (
	"os"
	"path/filepath"
	"testing"
)

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
