package hsds_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

func docsOf(docs ...listing.Document) iter.Seq2[listing.Document, error] {
	return func(yield func(listing.Document, error) bool) {
		for _, d := range docs {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// tabular writes services as tables.
func tabular(t testing.TB, docs ...listing.Document) map[string]string {
	t.Helper()
	p, err := hsds.NewPackage(docsOf(docs...))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*bytes.Buffer{}
	err = p.Files("CC-BY-4.0", func(name string) (io.Writer, error) {
		files[name] = &bytes.Buffer{}
		return files[name], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for name, b := range files {
		out[name] = b.String()
	}
	return out
}

// back reads what tabular wrote.
func back(t testing.TB, files map[string]string) []listing.Document {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := hsds.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []listing.Document
	for _, r := range rows {
		if len(r.Faults) > 0 {
			t.Fatalf("%s: %v", r.Where, r.Faults)
		}
		out = append(out, r.Document)
	}
	return out
}

// lost names what of a stands not in b. What only names the object that it stands
// in, such as the service_id of a phone of the service, says nothing and may go.
func lost(path string, a, b any) []string {
	switch x := a.(type) {
	case map[string]any:
		y, _ := b.(map[string]any)
		var out []string
		for k, v := range x {
			if _, there := y[k]; !there && (strings.HasSuffix(k, "_id") || v == nil || v == "") {
				continue
			}
			out = append(out, lost(path+"."+k, v, y[k])...)
		}
		return out
	case []any:
		y, _ := b.([]any)
		if len(x) != len(y) {
			return []string{fmt.Sprintf("%s: %d, then %d", path, len(x), len(y))}
		}
		var out []string
		for i := range x {
			out = append(out, lost(fmt.Sprintf("%s[%d]", path, i), x[i], y[i])...)
		}
		return out
	}
	if !reflect.DeepEqual(a, b) {
		return []string{fmt.Sprintf("%s: %v, then %v", path, a, b)}
	}
	return nil
}

func TestFictionGoesThroughTables(t *testing.T) {
	var docs []listing.Document
	for i := range 40 {
		docs = append(docs, fiction.Listing(3, []string{"PL", "DE", "LT", "FI"}[i%4], i, time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)))
	}
	once := back(t, tabular(t, docs...))
	for i := range docs {
		if gone := lost("", values(t, docs[i].JSON()), values(t, once[i].JSON())); gone != nil {
			t.Errorf("listing %d lost %v", i, gone)
		}
		if more := lost("", values(t, once[i].JSON()), values(t, docs[i].JSON())); more != nil {
			t.Errorf("listing %d was given %v", i, more)
		}
	}
	twice := back(t, tabular(t, once...))
	for i := range once {
		if !bytes.Equal(once[i].JSON(), twice[i].JSON()) {
			t.Errorf("the second time listing %d changes: %v %v", i, lost("", values(t, once[i].JSON()), values(t, twice[i].JSON())), lost("", values(t, twice[i].JSON()), values(t, once[i].JSON())))
		}
	}
}

func TestOfficialTablesComeBack(t *testing.T) {
	rows, err := hsds.Read(example(t, "csv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		files := tabular(t, r.Document)
		got := back(t, files)
		if a, b := values(t, r.Document.JSON()), values(t, got[0].JSON()); !reflect.DeepEqual(a, b) {
			t.Errorf("lost %v, added %v", lost("", a, b), lost("", b, a))
		}
		for name, text := range files {
			if name == "datapackage.json" {
				continue
			}
			official := string(file(t, filepath.Join(example(t, "csv"), name)))
			want, _, _ := strings.Cut(strings.TrimPrefix(official, "\ufeff"), "\n")
			have, _, _ := strings.Cut(text, "\n")
			a, b := strings.Split(strings.TrimSpace(want), ","), strings.Split(have, ",")
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, slices.DeleteFunc(b, func(s string) bool { return s == hsds.ProfileColumn })) {
				t.Errorf("%s has the columns %v, the official one %v", name, b, a)
			}
		}
	}
}

func TestDataPackageIsThatOfTheStandard(t *testing.T) {
	type pack struct {
		Resources []struct {
			Path   string
			Schema struct {
				Fields []struct {
					Name        string
					Type        string
					Constraints struct{ Required bool }
				}
				ForeignKeys []struct {
					Fields    any
					Reference struct{ Resource string }
				}
			}
		}
	}
	read := func(b []byte) map[string]bool {
		var p pack
		if err := json.Unmarshal(b, &p); err != nil {
			t.Fatal(err)
		}
		out := map[string]bool{}
		for _, r := range p.Resources {
			for _, f := range r.Schema.Fields {
				out[fmt.Sprintf("%s %s required=%v", r.Path, f.Name, f.Constraints.Required)] = true
			}
		}
		return out
	}
	want := read(file(t, filepath.Join(standards(t), "schema", "datapackage.json")))
	have := read([]byte(tabular(t)["datapackage.json"]))
	for x := range have {
		older := strings.HasPrefix(x, "service_capacity.csv") || strings.HasPrefix(x, "units.csv") // the standard's file has not all that its schemas have
		if !want[x] && !older {
			t.Errorf("the standard has not %s", x)
		}
	}
	for x := range want {
		if !have[x] {
			t.Errorf("not here: %s", x)
		}
	}
	if len(have) < 200 {
		t.Errorf("have %d columns", len(have))
	}
}

func TestGeneratedServicesGoThroughTables(t *testing.T) {
	text := rapid.StringMatching(`[A-Za-zżółć"',;\n=+0-9][A-Za-zżółć "',;\n=+0-9]{0,12}[A-Za-z0-9"]`)
	id := rapid.StringMatching(`[a-z]{12}`)
	object := func(r *rapid.T, fields ...string) map[string]any {
		m := map[string]any{"id": id.Draw(r, "id")}
		if rapid.IntRange(0, 3).Draw(r, "no id") == 0 {
			delete(m, "id")
		}
		for _, f := range fields {
			if rapid.Bool().Draw(r, f) {
				m[f] = text.Draw(r, f)
			}
		}
		return m
	}
	some := func(r *rapid.T, name string, make func() map[string]any) []any {
		var out []any
		for range rapid.IntRange(0, 2).Draw(r, name) {
			out = append(out, make())
		}
		return out
	}
	rapid.Check(t, func(r *rapid.T) {
		d := object(r, "description", "alert", "email", "unknown_field")
		d["id"], d["name"], d["status"] = id.Draw(r, "id"), text.Draw(r, "name"), "active"
		d["organization"] = object(r, "description", "operator_type")
		d["organization"].(map[string]any)["name"] = text.Draw(r, "organization")
		put := func(m map[string]any, name string, list []any) {
			if list != nil {
				m[name] = list
			}
		}
		phone := func() map[string]any {
			p := object(r, "number", "description")
			put(p, "languages", some(r, "languages", func() map[string]any { return object(r, "code", "note") }))
			return p
		}
		put(d, "phones", some(r, "phones", phone))
		put(d, "contacts", some(r, "contacts", func() map[string]any {
			c := object(r, "title", "email")
			put(c, "phones", some(r, "phones", phone))
			return c
		}))
		put(d, "service_at_locations", some(r, "places", func() map[string]any {
			s := object(r, "description")
			l := object(r, "name")
			l["latitude"] = rapid.Float64Range(-90, 90).Draw(r, "latitude")
			put(l, "addresses", some(r, "addresses", func() map[string]any { return object(r, "address_1", "city") }))
			s["location"] = l
			return s
		}))
		put(d, "channels", some(r, "channels", func() map[string]any { return map[string]any{"type": "phone", "value": text.Draw(r, "value")} }))
		want := listing.Document(d).JSON()
		if got := back(t, tabular(t, d))[0].JSON(); !bytes.Equal(got, want) {
			r.Fatalf("have %s\nwant %s", got, want)
		}
	})
}

func TestKeysAndConstraintsNameTableRowAndColumn(t *testing.T) {
	rows, err := hsds.Read(folder(t, map[string]string{
		"services.csv":      "id,organization_id,name,status\ns,o,S,active\n",
		"organizations.csv": "id,name,description\no,O,\n",
		"phones.csv":        "id,service_id,number\np,s,1\np,s,2\nq,nowhere,3\n,s,4\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, r := range rows {
		for _, f := range r.Faults {
			told = append(told, "fault "+f.Path+" "+f.Code)
		}
		for _, f := range r.Notes {
			told = append(told, "note "+f.Path+" "+f.Code)
		}
	}
	for _, want := range []string{"fault phones.csv row 3, id twice", "note phones.csv row 4, service_id dangling", "note phones.csv row 5, id missing", "note organizations.csv row 2, description missing"} {
		if !slices.Contains(told, want) {
			t.Errorf("not told: %s\nhave %s", want, strings.Join(told, "\n"))
		}
	}
}

// What a record says in the profile's column counts as if it had a column of its own,
// however its name is written.
func TestKeysAndConstraintsLookIntoTheProfilesColumn(t *testing.T) {
	rows, err := hsds.Read(folder(t, map[string]string{
		"services.csv":      "id,organization_id,name,status,hsds_2ps\n" + `s,,S,active,"{""organization_id"":""o""}"` + "\n",
		"organizations.csv": "id,name,description,hsds_2ps\n" + `o,O,,"{""description"":[""a list""]}"` + "\n" + `x,X,,"{""descriptions"":""none""}"` + "\n",
		"phones.csv": "id,service_id,number,hsds_2ps\n" +
			`,,1,"{""\u0069d"":""p"",""service_\u0069d"":""s""}"` + "\n" +
			`q,s,,"{""number"""` + "\n" +
			`r,s,,"{""x"":{""id"":""y"",""service_id"":""z""}}"` + "\n" +
			`,,4,"{""service_id"":""nowhere""}"` + "\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	d := rows[0].Document
	if o, _ := d["organization"].(map[string]any); o == nil || o["id"] != "o" {
		t.Errorf("the organization is %v", d["organization"])
	}
	if phones, _ := d["phones"].([]any); len(phones) != 3 || phones[0].(map[string]any)["id"] != "p" {
		t.Errorf("the phones are %v", d["phones"])
	}
	var told []string
	for _, f := range slices.Concat(rows[0].Faults, rows[0].Notes) {
		if strings.Contains(f.Path, ".csv") {
			told = append(told, f.Path+" "+f.Code)
		}
	}
	want := []string{
		"phones.csv row 3, hsds_2ps malformed", "phones.csv row 5 dangling", "organizations.csv row 3, description missing",
		"phones.csv row 4, number missing", "phones.csv row 5, id missing", "phones.csv row 5, service_id dangling",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told: %s\nwant: %s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}
