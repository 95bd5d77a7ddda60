package hsds

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/listing"
)

// tableNames maps the file names of the 24 tables, and the plurals that some
// programs write, to the names of the official package.
var tableNames = map[string]string{
	"accessibility.csv": "accessibility.csv", "addresses.csv": "addresses.csv", "attributes.csv": "attributes.csv",
	"contacts.csv": "contacts.csv", "cost_options.csv": "cost_options.csv", "funding.csv": "funding.csv",
	"languages.csv": "languages.csv", "locations.csv": "locations.csv",
	"meta_table_descriptions.csv": "meta_table_descriptions.csv", "metadata.csv": "metadata.csv",
	"organization_identifiers.csv": "organization_identifiers.csv", "organizations.csv": "organizations.csv",
	"phones.csv": "phones.csv", "programs.csv": "programs.csv", "required_documents.csv": "required_documents.csv",
	"schedules.csv": "schedules.csv", "service_areas.csv": "service_areas.csv",
	"service_at_location.csv": "service_at_location.csv", "service_at_locations.csv": "service_at_location.csv",
	"service_capacity.csv": "service_capacity.csv", "service_capacities.csv": "service_capacity.csv",
	"services.csv": "services.csv", "taxonomies.csv": "taxonomies.csv", "taxonomy_terms.csv": "taxonomy_terms.csv",
	"units.csv": "units.csv", "url.csv": "url.csv", "urls.csv": "url.csv",
}

// tableOrder are the official names in order.
var tableOrder = slices.Compact(slices.Sorted(maps.Values(tableNames)))

// numberColumns are the columns that HSDS types as numbers, in whatever table.
var numberColumns = map[string]bool{
	"extension": true, "latitude": true, "longitude": true, "minimum_age": true, "maximum_age": true,
	"year_incorporated": true, "amount": true, "available": true, "maximum": true,
	"timezone": true, "count": true, "interval": true,
}

// record is one row of a table.
type record struct {
	where  string
	id     string
	cells  map[string]any // blank cells are left out; none if the row cannot be read
	faults listing.Faults // their paths are columns
	used   bool           // stands in a service
}

// tables are the records of a package by official table name.
type tables map[string][]*record

// readFolder reads a package from a folder. Links that lead out of it are not
// followed.
func readFolder(dir string, emit func(Row) bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxFiles + 1)
	if err != nil && err != io.EOF {
		return err
	}
	if len(names) > maxFiles {
		return fmt.Errorf("%w: the folder holds more than %d files", ErrFormat, maxFiles)
	}
	p := newPackage()
	for _, name := range names {
		if tableNames[strings.ToLower(name)] == "" {
			continue
		}
		t, err := root.Open(name)
		if err != nil {
			return err
		}
		err = p.add(name, t)
		t.Close()
		if err != nil {
			return err
		}
	}
	return p.emit(emit)
}

// maxFiles bounds how many names are looked at.
const maxFiles = 1000

// readZip reads a package from a zip file without unpacking it to disk. Its
// tables may stand in a folder.
func readZip(f io.ReaderAt, size int64, emit func(Row) bool) error {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return fmt.Errorf("%w: the zip file is damaged: %v", ErrFormat, err)
	}
	if len(z.File) > maxFiles {
		return fmt.Errorf("%w: the zip file holds more than %d files", ErrFormat, maxFiles)
	}
	p := newPackage()
	for _, e := range z.File {
		name := path.Base(strings.ReplaceAll(e.Name, `\`, "/"))
		if tableNames[strings.ToLower(name)] == "" || strings.Contains(e.Name, "__MACOSX") || e.FileInfo().IsDir() {
			continue
		}
		t, err := e.Open()
		if err != nil {
			return fmt.Errorf("%w: %s in the zip file: %v", ErrFormat, name, err)
		}
		err = p.add(name, t)
		t.Close()
		if err != nil && !errors.Is(err, ErrFormat) {
			err = fmt.Errorf("%w: the zip file is damaged: %v", ErrFormat, err)
		}
		if err != nil {
			return err
		}
	}
	return p.emit(emit)
}

// readSingle reads a table of services that stands alone.
func readSingle(in io.Reader, emit func(Row) bool) error {
	p := newPackage()
	if err := p.add("services.csv", in); err != nil {
		return err
	}
	return p.emit(emit)
}

// pack gathers the tables of a package.
type pack struct {
	tables tables
	bytes  int64
}

func newPackage() *pack { return &pack{tables: tables{}} }

// add reads one table within the limits of bytes.
func (p *pack) add(name string, in io.Reader) error {
	official := tableNames[strings.ToLower(name)]
	if p.tables[official] != nil {
		return fmt.Errorf("%w: the table %s is there twice", ErrFormat, official)
	}
	limit := min(int64(MaxTable), MaxTotal-p.bytes)
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return fmt.Errorf("%w: %s is too large; a table may have %d MiB and a package %d", ErrFormat, name, MaxTable>>20, MaxTotal>>20)
	}
	p.bytes += int64(len(b))
	records, err := readTable(name, b)
	if err != nil {
		return err
	}
	p.tables[official] = records
	return nil
}

func (p *pack) emit(emit func(Row) bool) error {
	if p.tables["services.csv"] == nil {
		return fmt.Errorf("%w: there is no services.csv in it", ErrFormat)
	}
	return newJoin(p.tables).rows(emit)
}

// readTable reads the records of a table. What is wrong with one record is a
// fault of it; the error is for what is wrong with all.
func readTable(name string, b []byte) ([]*record, error) {
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: %s is not in UTF-8; save it again as “CSV UTF-8”", ErrFormat, name)
	}
	in := bufio.NewReader(bytes.NewReader(b))
	skipBOM(in)
	r := csv.NewReader(in)
	r.FieldsPerRecord = -1
	if head, _, _ := bytes.Cut(b, []byte("\n")); !bytes.Contains(head, []byte(",")) && bytes.Contains(head, []byte(";")) {
		r.Comma = ';'
	}
	header, err := readHeader(name, r)
	if err != nil {
		return nil, err
	}
	records := []*record{}
	for row := 2; ; row++ {
		cells, err := r.Read()
		if err == io.EOF {
			return records, nil
		}
		rec := &record{where: fmt.Sprintf("%s row %d", name, row), cells: map[string]any{}}
		var bad *csv.ParseError
		switch {
		case errors.As(err, &bad):
			rec.fault("", listing.CodeMalformed, "This row cannot be read: "+bad.Err.Error()+". Check its quotation marks.")
			cells = nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case len(cells) > len(header):
			rec.fault("", listing.CodeMalformed, fmt.Sprintf("This row has %d cells, the header %d. Put quotation marks around texts with commas.", len(cells), len(header)))
			cells = nil // nobody can tell which cell is which
		}
		rec.fill(header, cells)
		records = append(records, rec)
	}
}

func readHeader(name string, r *csv.Reader) ([]string, error) {
	header, err := r.Read()
	if err == io.EOF {
		return nil, fmt.Errorf("%w: %s is empty; it needs a header", ErrFormat, name)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the header of %s: %v", ErrFormat, name, err)
	}
	seen := map[string]bool{}
	for i, h := range header {
		header[i] = strings.TrimSpace(h)
		if header[i] != "" && seen[header[i]] {
			return nil, fmt.Errorf("%w: %s has the column %q twice", ErrFormat, name, header[i])
		}
		seen[header[i]] = true
	}
	return header, nil
}

// fill sets the cells that are not blank.
func (rec *record) fill(header, cells []string) {
	for i, cell := range cells {
		if i >= len(header) || header[i] == "" || strings.TrimSpace(cell) == "" {
			continue
		}
		column := header[i]
		if !numberColumns[column] {
			rec.cells[column] = cell
			continue
		}
		n, ok := parseNumber(strings.TrimSpace(cell))
		if !ok {
			rec.fault(column, listing.CodeWrongType, fmt.Sprintf("Want a number, have %.40q. Correct it or leave it out.", cell))
			continue
		}
		rec.cells[column] = n
	}
	rec.unpackProfile()
	rec.id, _ = rec.cells["id"].(string)
}

func (rec *record) fault(column, code, message string) {
	rec.faults = append(rec.faults, listing.Fault{Path: column, Code: code, Message: message})
}

// parseNumber reads a decimal number; whole ones are kept whole.
func parseNumber(s string) (any, bool) {
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return nil, false
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, false
	}
	if f == math.Trunc(f) && math.Abs(f) <= 1<<53 {
		return int64(f), true
	}
	return f, true
}
