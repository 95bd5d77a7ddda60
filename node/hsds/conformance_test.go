package hsds_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
)

// standards returns the folder with the official examples and schemas of HSDS.
// It is no part of this project: without it these tests are skipped, except in
// continuous integration.
func standards(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above this package")
		}
	}
	found := filepath.Join(dir, "..", "shared", "standards", "hsds")
	if _, err := os.Stat(found); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("continuous integration must have the examples of HSDS: %v", err)
		}
		t.Skip("the official examples of HSDS are not on this machine (../shared/standards)")
	}
	return found
}

func example(t testing.TB, name string) string {
	return filepath.Join(standards(t), "examples-3.2.3", name)
}

// values reads a JSON file the way its value counts: as any reader would.
func values(t testing.TB, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func file(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// single reads the only service of a file.
func single(t testing.TB, path string) listing.Document {
	t.Helper()
	rows, err := hsds.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 || len(rows[0].Faults) > 0 {
		t.Fatalf("want one good row, have %+v", rows)
	}
	return rows[0].Document
}

func schema(t testing.TB, path ...string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(filepath.Join(append([]string{standards(t), "schema", "schema"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t testing.TB, s *jsonschema.Schema, b []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(v); err != nil {
		t.Error(err)
	}
}

// strip removes the fields of these names, at every level, from values.
func strip(v any, names ...string) any {
	switch t := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range t {
			if !slices.Contains(names, k) {
				out[k] = strip(x, names...)
			}
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, x := range t {
			out[i] = strip(x, names...)
		}
		return out
	}
	return v
}

// stripContactNames removes the names of contacts, which leave only with consent.
func stripContactNames(v any, inContacts bool) any {
	switch t := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range t {
			if inContacts && k == "name" {
				continue
			}
			out[k] = stripContactNames(x, k == "contacts")
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, x := range t {
			out[i] = stripContactNames(x, inContacts)
		}
		return out
	}
	return v
}

func TestOfficialServiceKeepsEverything(t *testing.T) {
	raw := file(t, example(t, "service_full.json"))
	d := single(t, example(t, "service_full.json"))
	if want := values(t, raw); !reflect.DeepEqual(values(t, d.JSON()), want) {
		t.Error("the document is not what was read")
	}
	body, err := d.Public().Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := listing.DecodeDocument(body)
	if err != nil {
		t.Fatal(err)
	}
	got := served(back)
	want := stripContactNames(strip(values(t, raw), "metadata", "assurer_email", "attention"), false)
	if !reflect.DeepEqual(values(t, got), want) {
		t.Errorf("what is served is not every public field: %s", got)
	}
	validate(t, schema(t, "service.json"), got)
}

func TestOfficialListItem(t *testing.T) {
	d := single(t, example(t, "service_full.json")).Public()
	page, err := json.Marshal(hsds.NewPage([]json.RawMessage{item(d)}, 10, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	want := strip(values(t, file(t, example(t, "service_list.json"))), "assurer_email")
	if !reflect.DeepEqual(values(t, page), want) {
		t.Errorf("got %s", page)
	}
	validate(t, schema(t, "compiled", "service_list.json"), item(d))
}

func TestOfficialPageIsRead(t *testing.T) {
	d := single(t, example(t, "service_list.json"))
	var page struct{ Contents []json.RawMessage }
	if err := json.Unmarshal(file(t, example(t, "service_list.json")), &page); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(values(t, d.JSON()), values(t, page.Contents[0])) {
		t.Error("the service of the page is not what was read")
	}
}

// The table form says the same as the nested form, with these differences:
//   - the only attribute and the only entry of metadata point at ids that the
//     package does not hold, so they belong to nothing and are noted
//   - keys that lead nowhere stay, and what they would place is not placed: the
//     contact is only that of the service, the location no one's
//   - the organization has a tax_id in its table only
func TestOfficialTablesAreJoined(t *testing.T) {
	rows, err := hsds.Read(example(t, "csv"))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 || len(rows[0].Faults) > 0 {
		t.Fatalf("want one good row, have %+v", rows)
	}
	if rows[0].Where != "services.csv row 2" {
		t.Errorf("where: %s", rows[0].Where)
	}
	var notes []string
	for _, n := range rows[0].Notes {
		notes = append(notes, n.Path+" "+n.Code)
	}
	if want := []string{
		"attributes.csv row 2 dangling", "metadata.csv row 2 dangling", // belong to no service
		"contacts.csv row 2, organization_id dangling", "contacts.csv row 2, service_at_location_id dangling",
		"locations.csv row 2, organization_id dangling", "taxonomy_terms.csv row 2, taxonomy_id dangling",
	}; !slices.Equal(notes, want) {
		t.Errorf("notes %v, want %v", notes, want)
	}
	got := strip(values(t, rows[0].Document.JSON()), "tax_id", "organization_id", "service_at_location_id", "location_id")
	want := strip(values(t, file(t, example(t, "service_full.json"))), "attributes", "metadata")
	delete(want.(map[string]any)["organization"].(map[string]any), "locations")
	delete(want.(map[string]any)["organization"].(map[string]any), "contacts")
	delete(want.(map[string]any)["service_at_locations"].([]any)[0].(map[string]any), "contacts")
	differ(t, "$", got, want)
	for _, kept := range []string{"985e4a42-bd9f-4edc-911d-0243a4640aca", "93eaf18d-1cd2-4ec7-bffb-3c9172ee5070"} {
		if !strings.Contains(string(rows[0].Document.JSON()), kept) {
			t.Errorf("the key %s leads nowhere and was lost", kept)
		}
	}
	validate(t, schema(t, "service.json"), served(rows[0].Document.Public()))
}

// differ names every place where two values are not the same.
func differ(t *testing.T, path string, got, want any) {
	t.Helper()
	a, isMap := got.(map[string]any)
	b, bothMaps := want.(map[string]any)
	if !isMap || !bothMaps {
		x, isList := got.([]any)
		y, bothLists := want.([]any)
		if isList && bothLists && len(x) == len(y) {
			for i := range x {
				differ(t, path+"[]", x[i], y[i])
			}
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
		return
	}
	for k := range a {
		if _, ok := b[k]; !ok {
			t.Errorf("%s.%s: unexpected %v", path, k, a[k])
		}
	}
	for k := range b {
		differ(t, path+"."+k, a[k], b[k])
	}
}

// The other examples are no services: they are refused row by row, and the
// reason names what a service would need.
func TestOfficialExamplesThatAreNoServices(t *testing.T) {
	for _, name := range []string{"organization_list.json", "location.json", "taxonomy.json",
		"taxonomy_list.json", "taxonomy_term.json", "taxonomy_term_list.json", "service_at_location_full.json",
		"service_at_location_list.json", "base.json", "tabular.json"} {
		t.Run(name, func(t *testing.T) {
			rows, err := hsds.Read(example(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) == 0 {
				t.Fatal("no row")
			}
			for _, r := range rows {
				if !slices.ContainsFunc(r.Faults, func(f listing.Fault) bool { return f.Path == "status" && f.Code == listing.CodeMissing }) {
					t.Errorf("%s: got %v", r.Where, r.Faults)
				}
			}
		})
	}
}

// The organization of the examples has its service nested.
func TestOfficialOrganizationWithServices(t *testing.T) {
	d := single(t, example(t, "organization_full.json"))
	org := values(t, file(t, example(t, "organization_full.json"))).(map[string]any)
	want := org["services"].([]any)[0].(map[string]any)
	delete(org, "services")
	want["organization"] = org
	differ(t, "$", values(t, d.JSON()), want)
	validate(t, schema(t, "service.json"), served(d.Public()))
}

// The numbers of the schema are those that the tables read as numbers.
func TestNumbersOfTheSchema(t *testing.T) {
	for _, table := range []string{"service", "phone", "location", "schedule", "organization", "cost_option", "service_capacity",
		"contact", "address", "language", "service_area", "url", "program", "metadata", "attribute", "unit"} {
		var s struct {
			Properties map[string]struct{ Type any } `json:"properties"`
		}
		if err := json.Unmarshal(file(t, filepath.Join(standards(t), "schema", "schema", table+".json")), &s); err != nil {
			t.Fatal(err)
		}
		for column, p := range s.Properties {
			if hsds.NumberColumn(column) != (p.Type == "number") {
				t.Errorf("%s.%s: the schema says %v", table, column, p.Type)
			}
		}
	}
}

func BenchmarkService(b *testing.B) {
	d := single(b, example(b, "service_full.json")).Public()
	b.ReportAllocs()
	for b.Loop() {
		served(d)
	}
}
