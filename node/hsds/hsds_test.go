package hsds_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
)

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// folder writes the tables of a package.
func folder(t testing.TB, tables map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range tables {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// zipped writes them into a zip file, under a folder.
func zipped(t testing.TB, tables map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range tables {
		w, err := z.Create("export/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return write(t, "export.zip", b.String())
}

// summary is what a row comes to in one line.
func summary(rows []hsds.Row) []string {
	out := []string{}
	for _, r := range rows {
		s := r.Where
		if id, ok := r.Document["id"].(string); ok {
			s += " " + id
		}
		for _, f := range r.Faults {
			s += " !" + f.Path + ":" + f.Code
		}
		out = append(out, s)
	}
	return out
}

func service(id string) string {
	return `{"id":"` + id + `","name":"n","status":"active","organization_id":"o"}`
}

func TestReadJSON(t *testing.T) {
	a, b := service("a"), service("b")
	pretty := strings.ReplaceAll(a, ",", ",\n ")
	for _, tc := range []struct {
		name, file, in string
		want           []string
	}{
		{"one", "x.json", a, []string{"$ a"}},
		{"one over several lines", "x.json", pretty, []string{"$ a"}},
		{"with a mark in front", "x.json", "\ufeff" + a, []string{"$ a"}},
		{"a list", "x.json", "[" + a + ",\n" + b + "]", []string{"$[0] a", "$[1] b"}},
		{"a page", "x.json", `{"total_items":2,"contents":[` + a + `,` + b + `],"empty":false}`, []string{"$.contents[0] a", "$.contents[1] b"}},
		{"a list of pages", "x.json", `[{"contents":[` + a + `]},` + b + `]`, []string{"$[0].contents[0] a", "$[1] b"}},
		{"an organization", "x.json", `{"services":[` + a + `,` + b + `],"id":"o","name":"O"}`, []string{"$.services[0] a", "$.services[1] b"}},
		{"lines", "x.ndjson", a + "\n\n" + b + "\n", []string{"line 1 a", "line 3 b"}},
		{"lines without the name", "x.json", a + "\n" + b, []string{"line 1 a", "line 2 b"}},
		{"lines with a mark in front", "x.txt", "\ufeff" + a + "\r\n" + b, []string{"line 1 a", "line 2 b"}},
		{"a bad line does not end it", "x.jsonl", a + "\n{\"id\":\n" + b, []string{"line 1 a", "line 2 !:malformed", "line 3 b"}},
		{"what is no object", "x.json", `[` + a + `,5]`, []string{"$[0] a", "$[1] !:malformed"}},
		{"every fault of a row", "x.json", `[{"id":"a","phones":[{"extension":"x"}],"minimum_age":"y"}]`,
			[]string{"$[0] a !minimum_age:wrong_type !phones[0].extension:wrong_type !name:missing !status:missing !organization:missing"}},
		{"the same id twice", "x.json", "[" + a + "," + a + "]", []string{"$[0] a", "$[1] a !id:twice"}},
		{"the same field twice", "x.json", `[{"id":"a","id":"b"},` + b + `]`, []string{"$[0] !:malformed", "$[1] b"}},
		{"services that are no list", "x.json", `{"id":"a","name":"n","status":"active","organization_id":"o","services":null}`, []string{"$ a"}},
		{"an empty list", "x.json", "[]", []string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rows, err := hsds.Read(write(t, tc.file, tc.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := summary(rows); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestOrganizationIsGivenToItsServices(t *testing.T) {
	rows, err := hsds.Read(write(t, "x.json", `{"id":"o","services":[{"id":"a","name":"n","status":"active"},
		{"id":"b","name":"n","status":"active","organization":{"name":"Own"}}],"name":"O"}`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`{"id":"o","name":"O"}`, `{"name":"Own"}`} {
		got, _ := json.Marshal(rows[i].Document["organization"])
		if string(got) != want || len(rows[i].Faults) > 0 {
			t.Errorf("got %s %v, want %s", got, rows[i].Faults, want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for _, tc := range []struct{ name, file, in, says string }{
		{"nothing", "x.json", "", "empty"},
		{"half", "x.json", `[{"id":"a"}`, "ends too early"},
		{"half an object", "x.json", `{"id":"a"`, "ends too early"},
		{"no JSON", "x.json", "hello", "no JSON"},
		{"a number", "x.json", "5", "want a JSON object"},
		{"something behind", "x.json", "[] []", "follows the end"},
		{"contents that are no list", "x.json", `{"contents":5}`, "must be a list"},
		{"a workbook", "x.xlsx", "PK\x03\x04", "workbook"},
		{"a damaged zip", "x.zip", "PK\x03\x04", "damaged"},
		{"an empty table", "x.csv", "", "needs a header"},
		{"a table that is not UTF-8", "x.csv", "id,name\n1,caf\xe9\n", "not in UTF-8"},
		{"a column twice", "x.csv", "id,id\n", "twice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rows, err := hsds.Read(write(t, tc.file, tc.in))
			if !errors.Is(err, hsds.ErrFormat) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, %v, want ErrFormat that says %q", rows, err, tc.says)
			}
		})
	}
	if _, err := hsds.Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := hsds.Read(t.TempDir()); !errors.Is(err, hsds.ErrFormat) {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestRowsEndsWhenAsked(t *testing.T) {
	n := 0
	for _, err := range hsds.Rows(write(t, "x.json", "["+service("a")+","+service("b")+", broken")) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d rows", n)
	}
}

// small is a package with one fault of every sort.
var small = map[string]string{
	"services.csv": "\ufeffid,organization_id,name,status,minimum_age,note\n" +
		"a,o1,First,active,16,kept\n" +
		"b,o2,Second,active,old,\n" +
		",o1,Third,open,,\n",
	"organizations.csv":       "id,name\no1,One\n",
	"phones.csv":              "id,service_id,number,extension\np1,a,112,\np2,a,113,x\np3,zz,114,\n",
	"languages.csv":           "id,phone_id,code\nl1,p1,lt\n",
	"service_at_location.csv": "id,service_id,location_id\ns1,a,loc\n",
	"locations.csv":           "id,location_type,latitude\nloc,physical,54.5\n",
	"addresses.csv":           "id,location_id,city\nad,loc,\"Vilnius, old town\"\n",
	"attributes.csv":          "id,link_id,taxonomy_term_id,link_entity\nat,loc,tt,location\n",
	"taxonomy_terms.csv":      "id,name,taxonomy_id\ntt,Term,tx\n",
	"taxonomies.csv":          "id,name\ntx,Taxonomy\n",
	"service_capacity.csv":    "id,service_id,unit_id,available\nc,a,u,12\n",
	"units.csv":               "id,name\nu,Beds\n",
	"metadata.csv":            "id,resource_id,field_name\nm,a,name\n",
	"readme.txt":              "no table",
}

func TestReadTables(t *testing.T) {
	for _, path := range []string{folder(t, small), zipped(t, small)} {
		rows, err := hsds.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"services.csv row 2 a !phones.csv row 3, extension:wrong_type",
			"services.csv row 3 b !minimum_age:wrong_type",
			"services.csv row 4 !id:missing !status:bad_code",
		}
		if got := summary(rows); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		doc := `{"attributes":null,"capacities":[{"available":12,"id":"c","unit":{"id":"u","name":"Beds"}}],"id":"a",` +
			`"metadata":[{"field_name":"name","id":"m"}],"minimum_age":16,"name":"First","note":"kept","organization":{"id":"o1","name":"One"},` +
			`"phones":[{"id":"p1","languages":[{"code":"lt","id":"l1"}],"number":"112"},{"id":"p2","number":"113"}],` +
			`"service_at_locations":[{"id":"s1","location":{"addresses":[{"city":"Vilnius, old town","id":"ad"}],` +
			`"attributes":[{"id":"at","link_entity":"location","taxonomy_term":{"id":"tt","name":"Term","taxonomy_detail":{"id":"tx","name":"Taxonomy"}}}],` +
			`"id":"loc","latitude":54.5,"location_type":"physical"}}],"status":"active"}`
		if got, want := string(rows[0].Document.JSON()), strings.Replace(doc, `"attributes":null,`, "", 1); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if rows[1].Document["organization_id"] != "o2" {
			t.Error("the id of an organization that is not in the package was lost")
		}
		if n := rows[2].Notes; len(n) == 0 || n[0].Path != "phones.csv row 4" || n[0].Code != listing.CodeDangling {
			t.Errorf("notes %v", n)
		}
	}
}

func TestReadTablesBySemicolon(t *testing.T) {
	rows, err := hsds.Read(write(t, "x.csv", "id;organization_id;name;status;minimum_age\r\na;o;\"Two; three\";active; 16 \r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := summary(rows); !slices.Equal(got, []string{"services.csv row 2 a"}) {
		t.Fatalf("got %q", got)
	}
	if d := rows[0].Document; d["name"] != "Two; three" || d["minimum_age"] != int64(16) {
		t.Errorf("got %s", d.JSON())
	}
}

func TestBrokenRowsAreNamed(t *testing.T) {
	rows, err := hsds.Read(folder(t, map[string]string{
		"services.csv": "id,organization_id,name,status\na,o,n,active,more\nb,o,\"n\"x,active\nc,o,n,active\n",
		"phones.csv":   "id,number,service_id\np,\"1\"2,c\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"services.csv row 2 !:malformed", "services.csv row 3 !:malformed", "services.csv row 4 c", "phones.csv row 2 !:malformed"}
	if got := summary(rows); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// A few kilobytes of keys must not become gigabytes of services.
func TestJoinIsBounded(t *testing.T) {
	services, places, phones := "id,organization_id,name,status\na,o,n,active\n", "id,service_id,location_id\n", "id,location_id,number\n"
	for i := range 300 {
		places += fmt.Sprintf("s%d,a,loc\n", i)
		phones += fmt.Sprintf("p%d,loc,112\n", i)
	}
	rows, err := hsds.Read(folder(t, map[string]string{"services.csv": services, "service_at_location.csv": places,
		"locations.csv": "id,location_type\nloc,physical\n", "phones.csv": phones}))
	if err != nil {
		t.Fatal(err)
	}
	if got := summary(rows); !slices.Equal(got, []string{"services.csv row 2 !:too_large"}) {
		t.Errorf("got %q", got)
	}
}

// An organization with many locations does not bring all of them into each
// of its services.
func TestManyLocationsOfAnOrganization(t *testing.T) {
	locations := "id,organization_id,location_type\n"
	for i := range 40 {
		locations += fmt.Sprintf("l%d,o,physical\n", i)
	}
	rows, err := hsds.Read(folder(t, map[string]string{
		"services.csv": "id,organization_id,name,status\na,o,n,active\n", "organizations.csv": "id,name\no,O\n",
		"locations.csv": locations, "service_at_location.csv": "id,service_id,location_id\ns,a,l7\n"}))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(rows[0].Document["organization"])
	if string(got) != `{"id":"o","locations":[{"id":"l7","location_type":"physical"}],"name":"O"}` || slices.ContainsFunc(rows[0].Notes, func(n listing.Fault) bool { return n.Code == listing.CodeDangling }) {
		t.Errorf("got %s, notes %v", got, rows[0].Notes)
	}
}

func TestBombs(t *testing.T) {
	defer hsds.MaxTotalOf(8 << 20)()
	// Rows that differ pack less well than bombs do.
	var rows strings.Builder
	rows.WriteString("id,name\n")
	for i := 0; rows.Len() < 9<<20; i++ {
		fmt.Fprintf(&rows, "%d,%x\n", i, i*i*7919)
	}
	for name, c := range map[string]struct{ file, say string }{
		"what packs too well": {zipped(t, map[string]string{"services.csv": "id\n" + strings.Repeat("a\n", 2<<20)}), "services.csv in the zip file unpacks to more than 200 times its size"},
		"a row":               {folder(t, map[string]string{"services.csv": "id\na\n\"" + strings.Repeat("a\n", hsds.MaxRow)}), "services.csv row 3 is too large"},
		"a header":            {folder(t, map[string]string{"services.csv": strings.Repeat("id,", hsds.MaxRow)}), "services.csv row 1 is too large"},
		"all tables":          {zipped(t, map[string]string{"phones.csv": "id,number\n", "services.csv": rows.String()}), "the tables are too large, they may have 8 MiB together"},
		"cut off":             {write(t, "cut.zip", cut(t, zipped(t, map[string]string{"services.csv": rows.String()}))), "the zip file is damaged"},
	} {
		if _, err := hsds.Read(c.file); !errors.Is(err, hsds.ErrFormat) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: have %v, want %q", name, err, c.say)
		}
	}
}

// cut is a file without its last third.
func cut(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:len(b)*2/3])
}

// A link in a folder must not lead out of it.
func TestFolderIsNotLeft(t *testing.T) {
	dir := folder(t, map[string]string{"services.csv": "id\n"})
	if err := os.Symlink(write(t, "secret.csv", "id,number\n"), filepath.Join(dir, "phones.csv")); err != nil {
		t.Skip("no symbolic links here")
	}
	if rows, err := hsds.Read(dir); err == nil {
		t.Errorf("followed: %v", rows)
	}
}

func TestTableTwice(t *testing.T) {
	_, err := hsds.Read(folder(t, map[string]string{"services.csv": "id\n", "url.csv": "id\n", "urls.csv": "id\n"}))
	if !errors.Is(err, hsds.ErrFormat) {
		t.Errorf("got %v", err)
	}
}

func TestPages(t *testing.T) {
	one := []json.RawMessage{json.RawMessage(`{}`)}
	for _, tc := range []struct {
		name                   string
		contents               []json.RawMessage
		total, number, perPage int
		want                   string
	}{
		{"nothing", nil, 0, 1, 20, `{"total_items":0,"total_pages":1,"page_number":1,"size":0,"first_page":true,"last_page":true,"empty":true,"contents":[]}`},
		{"the last of three", one, 3, 3, 1, `{"total_items":3,"total_pages":3,"page_number":3,"size":1,"first_page":false,"last_page":true,"empty":false,"contents":[{}]}`},
		{"a page half full", one, 21, 2, 20, `{"total_items":21,"total_pages":2,"page_number":2,"size":1,"first_page":false,"last_page":true,"empty":false,"contents":[{}]}`},
		{"beyond the end", nil, 3, 9, 1, `{"total_items":3,"total_pages":3,"page_number":9,"size":0,"first_page":false,"last_page":false,"empty":true,"contents":[]}`},
	} {
		got, err := json.Marshal(hsds.NewPage(tc.contents, tc.total, tc.number, tc.perPage))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != tc.want {
			t.Errorf("%s: got %s", tc.name, got)
		}
	}
}

// What HSDS requires is there though nobody said it; null is not.
func TestServiceHasNoNull(t *testing.T) {
	const a, o, p = "a0000000-0000-4000-8000-000000000000", "b0000000-0000-4000-8000-000000000000", "c0000000-0000-4000-8000-000000000000"
	d, err := listing.ParseJSON([]byte(`{"id":"` + a + `","email":null,"phones":[null,{"id":"` + p + `","number":"1","type":null}],"organization":{"id":"` + o + `","uri":null}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(served(d)); got != `{"id":"`+a+`","name":"","organization":{"description":"","id":"`+o+`","name":""},"phones":[{"id":"`+p+`","number":"1"}],"status":"active"}` {
		t.Errorf("got %s", got)
	}
	if got := string(item(d)); got != `{"id":"`+a+`","name":"","organization":{"description":"","id":"`+o+`","name":""},"status":"active"}` {
		t.Errorf("list item: got %s", got)
	}
}

func TestInfo(t *testing.T) {
	got, err := json.Marshal(hsds.Info("https://example.org/profile", "https://example.org/openapi.json"))
	if err != nil || string(got) != `{"version":"3.2.3","profile":"https://example.org/profile","openapi_url":"https://example.org/openapi.json"}` {
		t.Errorf("got %s, %v", got, err)
	}
}

// No bytes make reading fail in any other way than by an error or a fault.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"contents":[`+service("a")+`]}`), uint8(0))
	f.Add([]byte(service("a")+"\n"+service("b")), uint8(1))
	f.Add([]byte("id,organization_id,name,status,minimum_age\na,o,\"n\",active,x\n"), uint8(2))
	f.Add([]byte(`{"services":[{"id":"a"}],"name":"x"}`), uint8(0))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte, kind uint8) {
		path := filepath.Join(dir, fmt.Sprintf("%d%s", os.Getpid(), []string{".json", ".ndjson", ".csv", ".zip"}[kind%4]))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		rows, err := hsds.Read(path)
		if err != nil {
			if !errors.Is(err, hsds.ErrFormat) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		for _, r := range rows {
			if r.Where == "" || (r.Document == nil && len(r.Faults) == 0) {
				t.Fatalf("a row that says nothing: %+v", r)
			}
			if r.Document != nil {
				served(r.Document.Public())
				item(r.Document.Public())
			}
		}
	})
}

// served is a public document as the API answers with it, alone.
func served(d listing.Document) []byte {
	l, _ := d.Listing()
	return hsds.Plain(d, l, hsds.NewVocabulary(nil), nil).JSON()
}

// item is a public document as it stands in a list.
func item(d listing.Document) []byte {
	return hsds.ListItem("service", d, "organization", "program").JSON()
}

// TestWhatAFileIsInstead: a file that is no listing at all is called by its name, in
// words that the person who has it knows.
func TestWhatAFileIsInstead(t *testing.T) {
	for name, x := range map[string]struct{ content, want string }{
		"a.ndjson.gz": {"\x1f\x8b\x08\x00rest", "unpack it"}, "a.zst": {"\x28\xb5\x2f\xfdrest", "unpack it"}, "a.7z": {"7z\xbc\xaf", "unpack it"},
		"a.pdf": {"%PDF-1.7", "a PDF"}, "a.doc": {"\xd0\xcf\x11\xe0rest", "old office program"}, "a.json": {"<!doctype html>", "a page"},
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(x.content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, err := range hsds.Rows(path) {
			if !errors.Is(err, hsds.ErrFormat) || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestWhatOthersWriteIsServedInForm: a directory whose ids, addresses and times are
// none is taken in as it is, and what is served of it is valid all the same.
func TestWhatOthersWriteIsServedInForm(t *testing.T) {
	d, err := listing.ParseJSON([]byte(`{"id":"a0000000-0000-4000-8000-000000000000","name":"N","status":"active","url":"www.example.org/p","email":"none","last_modified":"yesterday",
		"organization":{"id":"7","name":"O","website":"see above","email":"office@example.org","uri":"urn:x:y","description":"D"},
		"phones":[{"id":"p1","service_id":"s","number":"1"}],"service_at_locations":[{"id":"at","location":{"id":"l","location_type":"physical","url":"http://example.org/%zz"}}],
		"attributes":[{"id":"","taxonomy_term":{"id":"t","name":"T","description":"","taxonomy_detail":{"id":"x","name":"X","description":"","uri":"example.org"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	l, faults := d.Listing()
	if faults.Err() != nil {
		t.Fatal(faults)
	}
	got := string(served(d))
	organization, at := hsds.OrganizationID(l), hsds.Places(l)[0]
	for _, want := range []string{`"url":"https://www.example.org/p"`, `"email":"office@example.org"`, `"uri":"urn:x:y"`, `"uri":"https://example.org"`, `"id":"` + organization + `"`, `"id":"` + at + `"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing: %s", want, got)
		}
	}
	for _, not := range []string{`"none"`, "yesterday", "see above", "%zz", `"7"`, `"p1"`, `"at"`, `"s"`, `"t"`, `"x"`, `""}`} {
		if strings.Contains(got, not) {
			t.Errorf("%s is served: %s", not, got)
		}
	}
	var terms, taxonomies []string
	for _, k := range hsds.Keys(l, time.Now()) {
		if id, ok := strings.CutPrefix(k, hsds.KeyTerm); ok {
			terms = append(terms, id)
		}
		if id, ok := strings.CutPrefix(k, hsds.KeyTaxonomy); ok {
			taxonomies = append(taxonomies, id)
		}
		if strings.HasPrefix(k, hsds.KeyOrganization) && k != hsds.KeyOrganization+organization || strings.HasPrefix(k, hsds.KeyLocation) && k != hsds.KeyLocation+at {
			t.Errorf("filed under %s", k)
		}
	}
	carried := false
	for _, id := range terms {
		if term, taxonomy := hsds.CarriedTerm(d, id); term != nil {
			carried = true
			if term["id"] != id || !slices.Contains(taxonomies, fmt.Sprint(taxonomy["id"])) {
				t.Errorf("the term %v of %v is filed as %s of %v", term["id"], taxonomy["id"], id, taxonomies)
			}
		}
	}
	if !carried {
		t.Error("its own term cannot be asked for")
	}
}
