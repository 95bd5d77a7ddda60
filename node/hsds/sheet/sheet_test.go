package sheet_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"

	"github.com/2ps-project/waymark/node/hsds/sheet"
	"github.com/2ps-project/waymark/node/listing"
)

func parse(t testing.TB, b []byte) *sheet.Table {
	t.Helper()
	table, err := sheet.Parse(b, sheet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	table.Name = "test"
	t.Cleanup(func() { table.Close() })
	return table
}

// lines are those of a table, all of them.
func lines(table *sheet.Table) (out []sheet.Line, err error) {
	for l, err := range table.Lines() {
		if err != nil {
			return nil, err
		}
		l.Cells = slices.Clone(l.Cells)
		out = append(out, l)
	}
	return out, nil
}

func suggest(t testing.TB, table *sheet.Table, source string) string {
	t.Helper()
	draft, err := sheet.Suggest(table, source)
	if err != nil {
		t.Fatal(err)
	}
	return string(draft)
}

// taken is what a table brings, all of it.
type taken struct {
	Rows       []sheet.Row
	Duplicates []sheet.Duplicate
}

func takeAll(t testing.TB, table *sheet.Table, m *sheet.Mapping, existing iter.Seq2[listing.Document, error], replace bool) (*taken, error) {
	t.Helper()
	k, err := sheet.Take(table, m, existing, replace)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	out := &taken{}
	for r, err := range k.Rows() {
		if err != nil {
			return nil, err
		}
		out.Rows = append(out.Rows, r)
	}
	out.Duplicates = k.Duplicates
	return out, nil
}

func each(docs ...listing.Document) iter.Seq2[listing.Document, error] {
	return func(yield func(listing.Document, error) bool) {
		for _, d := range docs {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func mapping(t testing.TB, text string) *sheet.Mapping {
	t.Helper()
	m, err := sheet.ParseMapping([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func take(t testing.TB, b []byte, m *sheet.Mapping, existing ...listing.Document) *taken {
	t.Helper()
	taken, err := takeAll(t, parse(t, b), m, each(existing...), false)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func encode(t testing.TB, e encoding.Encoding, text string) []byte {
	t.Helper()
	b, err := e.NewEncoder().Bytes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncodingsAreToldAndRead(t *testing.T) {
	polish, lithuanian, greek := "Poradnia Życie;Łódź, ul. Świętej Jadwigi", "Pagalbos linija;Šiauliai, Žemaitės gatvė, ąčęėįšųū", "Γραμμή;Λευκωσία, Οδός Ερμού"
	german, czech := "Beratungsstelle Süd;Köln, Straße für Übung", "Linka důvěry;Plzeň, Křižíkova ulice, úřad"
	for _, c := range []struct {
		as   string
		e    encoding.Encoding
		text string
	}{
		{"UTF-8", unicode.UTF8, polish}, {"UTF-8", unicode.UTF8BOM, polish},
		{"UTF-16LE", unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), polish},
		{"UTF-16BE", unicode.UTF16(unicode.BigEndian, unicode.UseBOM), greek},
		{"UTF-16LE", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), polish},
		{"Windows-1250", charmap.Windows1250, polish}, {"Windows-1250", charmap.Windows1250, czech},
		{"Windows-1252", charmap.Windows1252, german}, {"Windows-1252", charmap.Windows1252, "Ligne d'écoute;Liège, rue de la Forêt, où ça"},
		{"Windows-1257", charmap.Windows1257, lithuanian}, {"Windows-1253", charmap.Windows1253, greek},
	} {
		text := "Name;Ort\n" + c.text + "\n"
		table := parse(t, encode(t, c.e, text))
		if want := c.as + ", separated by semicolons"; table.ReadAs != want {
			t.Errorf("%s: read as %s, want %s", c.text, table.ReadAs, want)
		}
		all, err := lines(table)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(all[0].Cells, ";"); got != c.text {
			t.Errorf("%s: have %q, want %q", c.as, got, c.text)
		}
	}
}

func TestSeparatorsAndRowsAreThoseOfASpreadsheet(t *testing.T) {
	for _, sep := range []string{",", ";", "\t"} {
		text := strings.ReplaceAll("a|b\n1|\"x\ny,;\"\n\n\n2|=\"048\"\n", "|", sep)
		if sep == "\t" {
			text = strings.ReplaceAll(text, `="048"`, `"=""048"""`)
		}
		table := parse(t, []byte(text))
		if all, err := lines(table); err != nil || len(all) != 2 || all[0].Number != 2 || all[1].Number != 5 || all[0].Cells[1] != "x\ny,;" {
			t.Errorf("separator %q: have %+v, %v", sep, all, err)
		}
	}
	if table := parse(t, []byte("sep=;\na;b,c\n1;2\n")); table.Header[1] != "b,c" {
		t.Errorf("have %q", table.Header)
	}
}

const polishMapping = `
source = "rejestr"
id = ["Lp."]
[fixed]
"organization.name" = "Fundacja Przykładowa"
"channels.1.type" = "phone"
"channels.2.type" = "email"
"coverage.countries" = "PL"
[defaults]
status = "active"
[[column]]
name = "NAZWA"
field = "name"
[[column]]
name = "telefon"
field = "channels.1.value"
calling = "48"
[[column]]
name = "E-mail"
field = "channels.2.value"
[[column]]
name = "Języki"
field = "channels.1.languages"
separator = ","
[[column]]
name = "Koszt"
field = "channels.1.cost.value"
[column.values]
bezplatnie = "free"
"odpłatnie" = "paid"
`

const polishSheet = "Lp.;Nazwa;Telefon;E-mail;Języki;Koszt\n" +
	"1;Zielona Linia;48221234567;;polski, angielski;BEZPŁATNIE\n" +
	"2;Poradnia Żółta;+48 12 345 67 89;zolta@example.org;pl;odpłatnie\n"

func TestPolishSheetKeepsIdentitiesAndWhatItDoesNotSay(t *testing.T) {
	m := mapping(t, polishMapping)
	first := take(t, encode(t, charmap.Windows1250, polishSheet), m)
	var docs []listing.Document
	for _, r := range first.Rows {
		if len(r.Faults) > 0 {
			t.Fatalf("%s: %v", r.Where, r.Faults)
		}
		docs = append(docs, r.Document)
	}
	l, _ := docs[0].Listing()
	if l.Channels[0].Value != "+48221234567" || len(l.Channels) != 1 || !reflect.DeepEqual(l.Channels[0].Languages, []string{"pl", "en"}) || l.Channels[0].CostValue() != "free" {
		t.Errorf("have %s", docs[0].JSON())
	}
	// An editor adds what the sheet does not say; the sheet is corrected and comes again.
	docs[1]["channels"].([]any)[0].(map[string]any)["label"] = "by the editor"
	docs[1]["description"] = "by the editor"
	second := take(t, []byte(strings.Replace(polishSheet, "67 89", "67 80", 1)), m, docs...)
	if got := second.Rows[0].Document; got["id"] != docs[0]["id"] || !reflect.DeepEqual(merged(docs[0], got), docs[0]) {
		t.Errorf("row 2 says the same and changes %s", got.JSON())
	}
	l, _ = second.Rows[1].Document.Listing()
	if second.Rows[1].Document["id"] != docs[1]["id"] || l.Channels[0].Value != "+48 12 345 67 80" || l.Channels[0].Label != "by the editor" || l.Description != "" {
		t.Errorf("have %s", second.Rows[1].Document.JSON())
	}
	if len(second.Duplicates) != 0 {
		t.Errorf("a row that means a listing is no duplicate of it: %+v", second.Duplicates)
	}
}

// merged is a document with a patch whose top fields stand for themselves.
func merged(base, patch listing.Document) listing.Document {
	out := listing.Document{}
	for k, v := range base {
		out[k] = v
	}
	for k, v := range patch {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

func TestFaultsNameRowAndColumn(t *testing.T) {
	m := mapping(t, polishMapping)
	taken := take(t, []byte("Lp.;Nazwa;Telefon;E-mail;Języki;Koszt\n"+
		"1;;;;;\n"+ // no name
		"2;Linia;4,82E+10;;;moze\n"+
		"3;Li\x00nia;1;;;\n"+
		";Linia;1;;;\n"+
		"2;Inna;2;;;\n"+
		"6;\"Linia;1;;;\n"), m)
	want := []struct{ where, path, text string }{
		{"test row 3", "column C “Telefon”", "has lost its digits"},
		{"test row 3", "column F “Koszt”", "no code of channels.1.cost.value"},
		{"test row 4", "column B “Nazwa”", "U+0000"},
		{"test row 5", "column A “Lp.”", "no id"},
		{"test row 6", "id", "test row 3"},
		{"test row 7", "", "quotation marks"},
	}
	for _, w := range want {
		found := false
		for _, r := range taken.Rows {
			for _, f := range r.Faults {
				found = found || r.Where == w.where && f.Path == w.path && strings.Contains(f.Message, w.text)
			}
		}
		if !found {
			t.Errorf("no fault %+v in %+v", w, taken.Rows)
		}
	}
}

func TestLikelyDuplicatesAreShown(t *testing.T) {
	there := listing.Document{"id": "old", "name": "ZIELONA linia", "status": "active",
		"channels": []any{map[string]any{"type": "phone", "value": "(22) 123 45 67"}}}
	other := listing.Document{"id": "far", "name": "Czerwona", "status": "active"}
	taken := take(t, []byte(polishSheet), mapping(t, polishMapping), there, other)
	if len(taken.Duplicates) != 1 || taken.Duplicates[0].Of != "old" || taken.Duplicates[0].Because != "same name, same telephone" {
		t.Errorf("have %+v", taken.Duplicates)
	}
	if taken.Rows[0].Document["id"] == "old" {
		t.Error("a likely duplicate was merged")
	}
}

func TestMappingIsSuggestedAndWorks(t *testing.T) {
	table := parse(t, []byte("L.p.;Nazwa usługi;Numer telefonu;E-Mail;Miejscowość;Ulica;Rodzaj podmiotu;Organizacja;Kolor\n"+
		"1;Linia;221234567;a@example.org;Łódź;Krótka 1;fundacja;Fundacja;zielony\n"))
	draft := suggest(t, table, "rejestr \"x\"")
	m, err := sheet.ParseMapping([]byte(draft))
	if err != nil {
		t.Fatalf("%v\n%s", err, draft)
	}
	for _, want := range []string{`id = ["L.p."]`, `field = "channels.1.value"`, `field = "channels.2.value"`, `"channels.2.type" = "email"`,
		`field = "service_at_locations.1.location.addresses.1.city"`, `"fundacja" = ""`, `# name = "Kolor"`} {
		if !strings.Contains(draft, want) {
			t.Errorf("the draft lacks %s:\n%s", want, draft)
		}
	}
	taken, err := takeAll(t, table, m, each(), false)
	if err != nil || len(taken.Rows) != 1 || len(taken.Rows[0].Faults) > 0 {
		t.Errorf("have %+v, %v", taken, err)
	}
}

func TestEveryGuessIsAField(t *testing.T) {
	for _, name := range sheet.Guesses() {
		if strings.HasPrefix(name, "#") || strings.HasPrefix(name, "channels#") {
			continue
		}
		if _, err := sheet.ParseField(strings.Replace(name, "channels.0.", "channels.1.", 1)); err != nil {
			t.Error(err)
		}
	}
}

// A partner's sheet goes in, is corrected, goes out, comes back; then somebody
// corrects what went out.
func TestFiveHundredRowsInPolish(t *testing.T) {
	var b strings.Builder
	b.WriteString("Lp.;Nazwa;Telefon;E-mail;Języki;Koszt\r\n")
	for i := range 500 {
		phone := fmt.Sprintf("+48 00 000 %02d %02d", i/100, i%100)
		if i%3 == 0 {
			phone = fmt.Sprintf("4800000%04d", i) // a number that lost its +
		}
		fmt.Fprintf(&b, "%d;\"Poradnia \"\"Źródło\"\" nr %d\";%s;p%d@example.org;polski, angielski;bezpłatnie\r\n", i+1, i+1, phone, i)
	}
	m := mapping(t, polishMapping)
	var docs []listing.Document
	for _, r := range take(t, encode(t, charmap.Windows1250, b.String()), m).Rows {
		if len(r.Faults) > 0 {
			t.Fatalf("%s: %v", r.Where, r.Faults)
		}
		docs = append(docs, r.Document)
	}
	if len(docs) != 500 {
		t.Fatalf("have %d listings", len(docs))
	}
	changed := func(rows []sheet.Row) (n int) {
		for i, r := range rows {
			if len(r.Faults) > 0 {
				t.Fatalf("%s: %v", r.Where, r.Faults)
			}
			if now := merged(docs[i], r.Document); !bytes.Equal(now.JSON(), docs[i].JSON()) {
				n++
				docs[i] = now
			}
		}
		return n
	}
	corrected := strings.Replace(b.String(), "p77@", "pomoc@", 1)
	if n := changed(take(t, []byte(corrected), m, docs...).Rows); n != 1 {
		t.Errorf("one correction changes %d listings", n)
	}
	for _, form := range []string{";", "xlsx"} {
		table := parse(t, write(t, form, docs...))
		how, _ := sheet.Own(table)
		taken, err := takeAll(t, table, how, each(docs...), false)
		if err != nil {
			t.Fatal(err)
		}
		if n := changed(taken.Rows); n != 0 {
			t.Errorf("%s: what went out and comes back changes %d listings", form, n)
		}
	}
	out := strings.Replace(string(write(t, ";", docs...)), "pomoc@", "wsparcie@", 1)
	table := parse(t, []byte(out))
	how, _ := sheet.Own(table)
	taken, err := takeAll(t, table, how, each(docs...), false)
	if err != nil {
		t.Fatal(err)
	}
	if n := changed(taken.Rows); n != 1 {
		t.Errorf("one correction of what went out changes %d listings", n)
	}
}

func TestMappingNamesEverythingThatIsWrong(t *testing.T) {
	_, err := sheet.ParseMapping([]byte("blank = \"x\"\n[[column]]\nname=\"a\"\nfield=\"channels.value\"\n[[column]]\nname=\"b\"\nfield=\"nothing\"\n[[column]]\nname=\"c\"\nfield=\"status\"\n[column.values]\nz=\"odd\"\n"))
	for _, want := range []string{"blank", "channels.1", `no field "nothing"`, `"odd" is no code`, "id: name the columns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if _, err := sheet.ParseMapping([]byte("soruce = \"x\"\n")); err == nil || !strings.Contains(err.Error(), "soruce") {
		t.Errorf("have %v", err)
	}
}

func write(t testing.TB, form string, docs ...listing.Document) []byte {
	t.Helper()
	fields, err := sheet.Columns(each(docs...))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if form == "xlsx" {
		_, err = sheet.WriteWorkbook(&b, fields, each(docs...))
	} else {
		_, err = sheet.WriteCSV(&b, fields, each(docs...), rune(form[0]))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func own(t testing.TB, b []byte, existing ...listing.Document) []listing.Document {
	t.Helper()
	table := parse(t, b)
	m, ok := sheet.Own(table)
	if !ok {
		t.Fatalf("the header is not known again: %v", table.Header)
	}
	taken, err := takeAll(t, table, m, each(existing...), false)
	if err != nil {
		t.Fatal(err)
	}
	var out []listing.Document
	for _, r := range taken.Rows {
		if len(r.Faults) > 0 {
			t.Fatalf("%s: %v", r.Where, r.Faults)
		}
		out = append(out, r.Document)
	}
	return out
}

var plainText = rapid.Custom(func(t *rapid.T) string {
	return rapid.StringMatching(`[A-Za-zżółćęąśŻĄéüß=+@'";,_x0-9-]([ A-Za-zżółćęąś=+;,"'\n&<>_x0-9-]{0,20}[a-zżół0-9;",])?`).Draw(t, "text")
})

// anyListing is a listing that says only what a table carries.
var anyListing = rapid.Custom(func(t *rapid.T) listing.Document {
	d := listing.Document{"id": rapid.StringMatching(`[a-f0-9]{8}`).Draw(t, "id"), "name": plainText.Draw(t, "name"), "status": "active",
		"organization": map[string]any{"name": plainText.Draw(t, "organization")}}
	if rapid.Bool().Draw(t, "described") {
		d["description"] = plainText.Draw(t, "description")
		d["minimum_age"] = rapid.Int64Range(0, 99).Draw(t, "age")
		d["audience"] = []any{"self.unsure", "partner_family"}
		d["coverage"] = map[string]any{"countries": []any{"PL"}, "global": rapid.Bool().Draw(t, "global")}
	}
	var channels []any
	for range rapid.IntRange(0, 4).Draw(t, "channels") {
		channels = append(channels, map[string]any{"type": rapid.SampledFrom([]string{"phone", "email", "live_chat"}).Draw(t, "type"),
			"value":     rapid.SampledFrom([]string{"+48 22 000 00 00", "0048220000000", "116 111", "048", "https://example.org/?a=1&b=2"}).Draw(t, "value"),
			"languages": []any{"pl", rapid.SampledFrom([]string{"en", "a;b", `q"x`, " sp"}).Draw(t, "language")},
			"cost":      map[string]any{"value": "free"}})
	}
	if channels != nil {
		d["channels"] = channels
	}
	if rapid.Bool().Draw(t, "placed") {
		d["service_at_locations"] = []any{map[string]any{"location": map[string]any{"location_type": "physical",
			"latitude": rapid.Float64Range(-90, 90).Draw(t, "lat"), "addresses": []any{map[string]any{"city": plainText.Draw(t, "city")}}}}}
	}
	return d
})

func TestTablesComeBackWithoutLoss(t *testing.T) {
	for _, form := range []string{",", ";", "\t", "xlsx"} {
		t.Run(strings.NewReplacer("\t", "tab", ",", "comma", ";", "semicolon").Replace(form), func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				docs := rapid.SliceOfNDistinct(anyListing, 1, 4, func(d listing.Document) string { return d["id"].(string) }).Draw(r, "listings")
				b := write(t, form, docs...)
				for i, got := range own(t, b) {
					if want := docs[i].JSON(); !bytes.Equal(got.JSON(), want) {
						r.Fatalf("into nothing:\nhave %s\nwant %s", got.JSON(), want)
					}
				}
				for i, d := range docs {
					d["internal_notes"] = "of the editor"
					if list, _ := d["channels"].([]any); list != nil {
						list[0].(map[string]any)["retention"] = map[string]any{"text": "of the editor"}
					}
					if got := merged(d, own(t, b, docs...)[i]); !bytes.Equal(got.JSON(), d.JSON()) {
						r.Fatalf("into what is there:\nhave %s\nwant %s", got.JSON(), d.JSON())
					}
				}
			})
		})
	}
}

func TestHostileFilesAreRefusedWithThePlace(t *testing.T) {
	zipped := func(files map[string][]byte) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for name, content := range files {
			w, _ := z.Create(name)
			_, _ = w.Write(content)
		}
		_ = z.Close()
		return b.Bytes()
	}
	sheetOf := func(rows string) []byte {
		const ns, office = "http://schemas.openxmlformats.org/", `xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"`
		rels := func(kind, target string) []byte {
			return []byte(`<Relationships xmlns="` + ns + `package/2006/relationships"><Relationship Id="rId1" Type="` + ns + `officeDocument/2006/relationships/` + kind + `" Target="` + target + `"/></Relationships>`)
		}
		return zipped(map[string][]byte{
			"[Content_Types].xml":        []byte(`<Types xmlns="` + ns + `package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>`),
			"_rels/.rels":                rels("officeDocument", "xl/workbook.xml"),
			"xl/workbook.xml":            []byte(`<workbook xmlns="` + ns + `spreadsheetml/2006/main" ` + office + `><sheets><sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>`),
			"xl/_rels/workbook.xml.rels": rels("worksheet", "worksheets/sheet1.xml"),
			"xl/worksheets/sheet1.xml":   []byte(`<worksheet xmlns="` + ns + `spreadsheetml/2006/main"><sheetData>` + rows + `</sheetData></worksheet>`),
		})
	}
	good := write(t, "xlsx", listing.Document{"id": "1", "name": "x"})
	wide := strings.Repeat(",x", 500)
	many := map[string][]byte{}
	for i := range 600 {
		many[fmt.Sprintf("xl/%d.xml", i)] = nil
	}
	for name, c := range map[string]struct {
		file []byte
		say  string
	}{
		"columns":           {[]byte("a\n1" + wide), "row 2 has 501 columns"},
		"a million columns": {[]byte("a" + strings.Repeat(",", 1<<20) + "b\n"), "row 1 has 1048577 columns"},
		"a long cell":       {[]byte("a,b\n1," + strings.Repeat("x", sheet.MaxCell+1)), "row 2, column B"},
		"twice":             {[]byte("a,b,a\n"), "columns A and C"},
		"no header":         {[]byte(" \n"), "no header in row 1"},
		"nothing":           {nil, "no header"},
		"NUL":               {[]byte("a\x00,b\n1,2"), "row 1, column A"},
		"cut UTF-16":        {[]byte("\xff\xfea\x00b"), "cut off"},
		"UTF-32":            {[]byte("\xff\xfe\x00\x00a\x00\x00\x00"), "UTF-32"},
		"no encoding":       {[]byte("a\n\x81\x8d\x8f\x90\x9d"), "cannot be told"},
		"old workbook":      {[]byte("\xd0\xcf\x11\xe0\xa1\xb1"), ".xls"},
		"no workbook":       {zipped(map[string][]byte{"../../etc/passwd": []byte("x")}), "no XLSX"},
		"a bomb":            {zipped(map[string][]byte{"xl/worksheets/sheet1.xml": make([]byte, 40<<20)}), "unpacks to more than"},
		"a larger bomb":     {claims("xl/a.xml", sheet.MaxUnpacked+1), "larger than 1024 MiB"},
		"a large picture":   {claims("xl/media/a.png", 9<<20), "what is no table may have 8 MiB"},
		"a long row":        {[]byte("a,b\n1,2\n\"" + strings.Repeat("x\n", sheet.MaxRow)), "row 3 has more than 2 MiB; check its quotation marks"},
		"parts":             {zipped(many), "600 parts"},
		"the last cell":     {sheetOf(`<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>`), "row 1048576 has 16384 columns"},
		"an unended sheet":  {sheetOf(`<row r="1"><c r="A1"><v>1</v></c></row><row r="2">` + strings.Repeat("<c>", 1000)), "xl/worksheets/sheet1.xml in the workbook is damaged or cut off"},
		"cut workbook":      {good[:len(good)/2], "damaged"},
		"empty workbook":    {zipped(map[string][]byte{"xl/workbook.xml": nil}), ""},
	} {
		table, err := sheet.Parse(c.file, sheet.Options{})
		if err == nil {
			_, err = lines(table)
			table.Close()
		}
		if !errors.Is(err, sheet.ErrFormat) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: have %v, %v; want %q", name, table, err, c.say)
		}
	}
}

// claims is a workbook with a part that says to be of a size once unpacked.
func claims(name string, size uint64) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, UncompressedSize64: size, CompressedSize64: size / 100})
	if err == nil {
		_, err = w.Write(make([]byte, size/100))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestFormulasStayTexts(t *testing.T) {
	doc := listing.Document{"id": "1", "name": `=HYPERLINK("http://example.org","x")`, "status": "active", "organization": map[string]any{"name": "+SUM(1)"}}
	book := write(t, "xlsx", doc)
	z, err := zip.NewReader(bytes.NewReader(book), int64(len(book)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		r, _ := f.Open()
		var b bytes.Buffer
		_, _ = b.ReadFrom(r)
		if strings.HasPrefix(f.Name, "xl/worksheets") && strings.Contains(b.String(), "<f>") {
			t.Errorf("%s holds a formula", f.Name)
		}
	}
}

func TestTemplateSaysNothingUntilItIsFilledIn(t *testing.T) {
	var b bytes.Buffer
	if err := sheet.WriteTemplate(&b); err != nil {
		t.Fatal(err)
	}
	if got := own(t, b.Bytes()); len(got) != 0 {
		t.Errorf("have %d rows", len(got))
	}
}

func TestLibreOfficeGivesBackWhatItOpened(t *testing.T) {
	if testing.Short() {
		t.Skip("LibreOffice takes seconds to start")
	}
	office, err := exec.LookPath("soffice")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("continuous integration must have LibreOffice Calc")
		}
		t.Skip("there is no soffice (LibreOffice Calc) on this machine")
	}
	docs := []listing.Document{
		{"id": "1", "name": "Zażółć gęślą jaźń", "status": "active", "organization": map[string]any{"name": "=1+1"}, "assured_date": "2026-03-04", "minimum_age": int64(16),
			"channels": []any{map[string]any{"type": "phone", "value": "+48221234567", "languages": []any{"pl", "en"}}, map[string]any{"type": "phone", "value": "0048 22 123"}}},
		{"id": "2", "name": "Λευκωσία\nline", "status": "inactive", "organization": map[string]any{"name": "Ž"},
			"channels": []any{map[string]any{"type": "phone", "value": "48221234567"}}},
	}
	dir := t.TempDir()
	in := filepath.Join(dir, "in.xlsx")
	if err := os.WriteFile(in, write(t, "xlsx", docs...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ext := range []string{"xlsx:Calc MS Excel 2007 XML", "csv:Text - txt - csv (StarCalc):59,34,76,1"} {
		name, _, _ := strings.Cut(ext, ":")
		out := filepath.Join(dir, name)
		cmd := exec.CommandContext(t.Context(), office, "-env:UserInstallation=file://"+filepath.Join(dir, "profile"), "--headless", "--convert-to", ext, "--outdir", out, in)
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		b, err := os.ReadFile(filepath.Join(out, "in."+name))
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range own(t, b) {
			if !bytes.Equal(got.JSON(), docs[i].JSON()) {
				t.Errorf("%s:\nhave %s\nwant %s", name, got.JSON(), docs[i].JSON())
			}
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte(polishSheet), []byte(polishMapping))
	f.Add(encode(f, charmap.Windows1250, polishSheet), []byte(polishMapping))
	f.Add([]byte("id,name,organization.name\n1,\"x\n"), []byte("source=\"x\"\nid=[\"id\"]\n[[column]]\nname=\"name\"\nfield=\"phones.2.number\"\n"))
	f.Fuzz(func(t *testing.T, file, mapping []byte) {
		table, err := sheet.Parse(file, sheet.Options{})
		if err != nil {
			if !errors.Is(err, sheet.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		defer table.Close()
		if _, err := sheet.Suggest(table, "x"); err != nil && !errors.Is(err, sheet.ErrFormat) {
			t.Fatal(err)
		}
		m, err := sheet.ParseMapping(mapping)
		if err != nil {
			return
		}
		taken, err := takeAll(t, table, m, each(), false)
		if err != nil {
			return
		}
		for _, r := range taken.Rows {
			if r.Document == nil && len(r.Faults) == 0 {
				t.Fatalf("%s: neither a listing nor a fault", r.Where)
			}
		}
	})
}

// TestCellsOfAPartnerBecomeValues: dates, addresses and languages as people write
// them are read, and what cannot be read is named instead of being published.
func TestCellsOfAPartnerBecomeValues(t *testing.T) {
	m := mapping(t, `source = "x"
id = ["Nr"]
[fixed]
"organization.name" = "O"
"status" = "active"
[[column]]
name = "Nazwa"
field = "name"
[[column]]
name = "Sprawdzono"
field = "assured_date"
[[column]]
name = "WWW"
field = "url"
[[column]]
name = "Kraj"
field = "coverage.countries"
[[column]]
name = "Tel"
field = "channels.1.value"
[[column]]
name = "Języki"
field = "channels.1.languages"
separator = ","
`)
	one := func(column, cell string) (listing.Document, listing.Faults) {
		cells := map[string]string{"Nr": "1", "Nazwa": "Linia", "Tel": "22", column: cell}
		header := []string{"Nr", "Nazwa", "Sprawdzono", "WWW", "Kraj", "Tel", "Języki"}
		line := make([]string, len(header))
		for i, h := range header {
			line[i] = cells[h]
		}
		r := take(t, []byte(strings.Join(header, "\t")+"\n"+strings.Join(line, "\t")+"\n"), m).Rows[0]
		return r.Document, r.Faults
	}
	field := func(d listing.Document, column string) any {
		switch column {
		case "Sprawdzono":
			return d["assured_date"]
		case "WWW":
			return d["url"]
		}
		channels, _ := d["channels"].([]any)
		first, _ := channels[0].(map[string]any)
		return fmt.Sprint(first["languages"])
	}
	for _, x := range []struct{ column, cell, want string }{
		{"Sprawdzono", "2026-11-15", "2026-11-15"}, {"Sprawdzono", "15.11.2026", "2026-11-15"}, {"Sprawdzono", "15.11.2026 r.", "2026-11-15"},
		{"Sprawdzono", "15. 11. 2026", "2026-11-15"}, {"Sprawdzono", "2026-11-15 00:00:00", "2026-11-15"},
		{"WWW", "www.example.org/p1", "https://www.example.org/p1"}, {"WWW", "example.org", "https://example.org"}, {"WWW", "http://example.org", "http://example.org"},
		{"Języki", "polski, ukraiński", "[pl uk]"}, {"Języki", "pl, en", "[pl en]"},
		{"Języki", "polski; ukraiński / en", "[pl uk en]"},
	} {
		if d, faults := one(x.column, x.cell); len(faults) > 0 || field(d, x.column) != x.want {
			t.Errorf("%s %q: %v, want %s; %v", x.column, x.cell, field(d, x.column), x.want, faults)
		}
	}
	for _, x := range []struct{ column, cell, says string }{
		{"Sprawdzono", "jesień 2026", "Want a date"}, {"Sprawdzono", "31.02.2026", "Want a date"}, {"Sprawdzono", "03/04/2026", "Nobody can tell"},
		{"WWW", "brak", "Want the address of a page"}, {"WWW", "info@example.org", "Want the address of a page"}, {"WWW", "www.example.org lub inne", "Want the address of a page"},
		{"Języki", "polski i migowy", "no language"}, {"Kraj", "Polska i Niemcy", "no country"},
	} {
		if _, faults := one(x.column, x.cell); len(faults) != 1 || !strings.Contains(faults[0].Message, x.says) || !strings.Contains(faults[0].Path, x.column) {
			t.Errorf("%s %q: %v, want %s", x.column, x.cell, faults, x.says)
		}
	}
}

// TestADraftSaysWhatItCannotRead: hours in words have a place, and ages in words a
// table of values.
func TestADraftSaysWhatItCannotRead(t *testing.T) {
	table := parse(t, []byte("Lp.;Nazwa;Organizacja;Telefon;Godziny otwarcia;Wiek od;Wiek do;Anonimowo;Kolor\n"+
		"1;Linia;Fundacja;221234567;pn-pt 9:00-17:00;18 lat;bez limitu;tak;zielony\n2;Inna;Fundacja;221234568;całodobowo;16;;nie;\n"))
	draft := suggest(t, table, "rejestr")
	for _, want := range []string{`field = "schedules.1.description"`, "channels.1.hours.weekly.1.day", `"18 lat" = "18"`, `"bez limitu" = ""`,
		`field = "channels.1.anonymity.value"`, `"tak" = ""`, "waymark listing template", `# name = "Kolor"`} {
		if !strings.Contains(draft, want) {
			t.Errorf("the draft lacks %s:\n%s", want, draft)
		}
	}
	taken, err := takeAll(t, table, mapping(t, draft), each(), false)
	if err != nil || len(taken.Rows) != 2 || len(taken.Rows[0].Faults)+len(taken.Rows[1].Faults) > 0 {
		t.Fatalf("have %+v, %v", taken, err)
	}
	if d := taken.Rows[0].Document; fmt.Sprint(d["minimum_age"]) != "18" || d["maximum_age"] != nil {
		t.Errorf("ages %v to %v", d["minimum_age"], d["maximum_age"])
	}
}

// TestWhatADraftNamesGoesOutAgain: what comes in by a mapping that was suggested
// leaves in a spreadsheet, and another node has all of it from there.
func TestWhatADraftNamesGoesOutAgain(t *testing.T) {
	table := parse(t, []byte("Lp.;Nazwa;Organizacja;Opis;WWW;Telefon;E-mail;Godziny otwarcia;Języki;Wiek od;Ulica;Kod pocztowy;Miejscowość;Województwo;Data aktualizacji;Uwagi\n"+
		"7;Linia;Fundacja;Ktoś słucha.;example.org;221234567;a@example.org;pn-pt 9:00-17:00;pl;18;Krótka 1;00-001;Łódź;Łódzkie;2026-10-01;Dzwonić do Anny\n"))
	taken, err := takeAll(t, table, mapping(t, suggest(t, table, "rejestr")), each(), false)
	if err != nil || len(taken.Rows) != 1 || len(taken.Rows[0].Faults) > 0 {
		t.Fatalf("%+v %v", taken, err)
	}
	d := taken.Rows[0].Document
	fields, err := sheet.Columns(each(d))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := sheet.WriteCSV(&b, fields, each(d), ';'); err != nil {
		t.Fatal(err)
	}
	out := parse(t, b.Bytes())
	own, ok := sheet.Own(out)
	if !ok {
		t.Fatal("not our own table")
	}
	back, err := takeAll(t, out, own, each(), false)
	if err != nil || len(back.Rows) != 1 || len(back.Rows[0].Faults) > 0 {
		t.Fatalf("%+v %v", back, err)
	}
	if got, want := string(back.Rows[0].Document.JSON()), string(d.JSON()); got != want {
		t.Errorf("came back as\n%s\nwant\n%s", got, want)
	}
}

// TestWorkbooksHaveDropDownLists: each column of codes offers all of them, in a
// template and in what is exported, down to where people write.
func TestWorkbooksHaveDropDownLists(t *testing.T) {
	d := listing.Document{"id": "a", "name": "Linia", "status": "active"}
	fields, err := sheet.Columns(each(d))
	if err != nil {
		t.Fatal(err)
	}
	var template, export bytes.Buffer
	if err := sheet.WriteTemplate(&template); err != nil {
		t.Fatal(err)
	}
	if _, err := sheet.WriteWorkbook(&export, fields, each(d)); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*bytes.Buffer{"template": &template, "export": &export} {
		f, err := excelize.OpenReader(b)
		if err != nil {
			t.Fatal(err)
		}
		header, err := f.GetRows("listings")
		if err != nil {
			t.Fatal(err)
		}
		validations, err := f.GetDataValidations("listings")
		if err != nil {
			t.Fatal(err)
		}
		offered := map[string][]string{}
		for _, v := range validations {
			from, to, _ := strings.Cut(v.Sqref, ":")
			column, first, err1 := excelize.SplitCellName(from)
			_, last, err2 := excelize.SplitCellName(to)
			at, err3 := excelize.ColumnNameToNumber(column)
			if err := errors.Join(err1, err2, err3); err != nil || first != 2 || last < 500 {
				t.Fatalf("%s: a list for %s: %v", name, v.Sqref, err)
			}
			lists, place, _ := strings.Cut(v.Formula1, "!")
			from, to, _ = strings.Cut(strings.ReplaceAll(place, "$", ""), ":")
			column, first, _ = excelize.SplitCellName(from)
			_, last, _ = excelize.SplitCellName(to)
			for row := first; row <= last; row++ {
				code, err := f.GetCellValue(lists, column+strconv.Itoa(row))
				if err != nil {
					t.Fatal(err)
				}
				offered[header[0][at-1]] = append(offered[header[0][at-1]], code)
			}
		}
		for field, want := range map[string][]string{
			"status": listing.Terms(listing.VocabularyStatus), "audience": listing.Terms(listing.VocabularyAudience),
			"channels.1.type": listing.Terms(listing.VocabularyChannel), "channels.1.anonymity.value": listing.Terms(listing.VocabularyAnonymity),
			"coverage.global": {"yes", "no"},
		} {
			if !slices.Equal(offered[field], want) {
				t.Errorf("%s offers for %s %q, want %q", name, field, offered[field], want)
			}
		}
		if offered["name"] != nil {
			t.Errorf("%s offers names", name)
		}
	}
}
