package hsds

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/hsds/spill"
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
	table  *table
	at     int64 // where it waits
	row    int
	id     string
	cells  map[string]any // blank cells are left out; none if the row cannot be read
	faults listing.Faults // their paths are columns
}

// where is the row's place in its file.
func (rec *record) where() string { return rec.table.where(rec.row) }

func (t *table) where(row int) string { return fmt.Sprintf("%s row %d", t.file, row) }

// table is one of a package. Its records wait in the package's file, one after the
// other.
type table struct {
	name       string // the official one
	file       string // as it is called here
	header     []string
	columns    map[string]int // where each column stands in header
	begin, end int64
}

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
	p, err := newPack()
	if err != nil {
		return err
	}
	defer p.close()
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

// maxRatio is how much larger than packed a table may be: tables pack well, bombs far
// better.
const maxRatio = 200

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
	p, err := newPack()
	if err != nil {
		return err
	}
	defer p.close()
	for _, e := range z.File {
		name := path.Base(strings.ReplaceAll(e.Name, `\`, "/"))
		if tableNames[strings.ToLower(name)] == "" || strings.Contains(e.Name, "__MACOSX") || e.FileInfo().IsDir() {
			continue
		}
		if e.UncompressedSize64 > 1<<20 && e.UncompressedSize64/maxRatio > e.CompressedSize64 {
			return fmt.Errorf("%w: %s in the zip file unpacks to more than %d times its size; this is no table", ErrFormat, name, maxRatio)
		}
		t, err := e.Open()
		if err != nil {
			return fmt.Errorf("%w: %s in the zip file: %v", ErrFormat, name, err)
		}
		err = p.add(name, t)
		t.Close()
		if err != nil {
			return err
		}
	}
	return p.emit(emit)
}

// readSingle reads a table of services that stands alone.
func readSingle(in io.Reader, emit func(Row) bool) error {
	p, err := newPack()
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.add("services.csv", in); err != nil {
		return err
	}
	return p.emit(emit)
}

// pack gathers the tables of a package: their records wait in a file, and an index
// finds them by their ids and keys.
type pack struct {
	tables map[string]*table // by official name
	left   int64             // bytes that may still come
	file   *spill.File
	index  spill.Index
	seed   maphash.Seed
}

// leastRecord is the size of a record in the file at least: records are told from each
// other by where they begin divided by it.
const leastRecord = 32

// maxTotal is [MaxTotal] but in tests.
var maxTotal int64 = MaxTotal

func newPack() (*pack, error) {
	file, err := spill.New()
	if err != nil {
		return nil, err
	}
	return &pack{tables: map[string]*table{}, left: maxTotal, file: file, seed: maphash.MakeSeed()}, nil
}

func (p *pack) close() {
	p.file.Close()
	p.index.Close()
}

// add reads one table, a row in memory at a time.
func (p *pack) add(name string, in io.Reader) error {
	official := tableNames[strings.ToLower(name)]
	if p.tables[official] != nil {
		return fmt.Errorf("%w: the table %s is there twice", ErrFormat, official)
	}
	t := &table{name: official, file: name, begin: p.file.Size()}
	p.tables[official] = t
	err := p.read(t, in)
	t.end = p.file.Size()
	return err
}

func (p *pack) emit(emit func(Row) bool) error {
	if p.tables["services.csv"] == nil {
		return fmt.Errorf("%w: there is no services.csv in it", ErrFormat)
	}
	if err := p.index.Sort(); err != nil {
		return err
	}
	return newJoin(p).rows(emit)
}

// bounded hands on what may be read for one row, and of all tables.
type bounded struct {
	in        io.Reader
	row, left int64
}

var errRow, errLeft = errors.New("a row is too large"), errors.New("the tables are too large")

func (b *bounded) Read(to []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLeft
	}
	if b.row <= 0 {
		return 0, errRow
	}
	n, err := b.in.Read(to[:min(int64(len(to)), b.row, b.left)])
	b.row -= int64(n)
	b.left -= int64(n)
	return n, err
}

// read reads the records of a table. What is wrong with one record is a fault of it;
// the error is for what is wrong with all.
func (p *pack) read(t *table, from io.Reader) error {
	source := &bounded{in: from, row: MaxRow, left: p.left}
	defer func() { p.left = source.left }()
	in := bufio.NewReaderSize(source, 64<<10)
	skipBOM(in)
	r := csv.NewReader(in)
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	if head, err := in.Peek(in.Size()); err != nil && err != io.EOF {
		return t.failed(1, err)
	} else if head, _, _ = bytes.Cut(head, []byte("\n")); !bytes.Contains(head, []byte(",")) && bytes.Contains(head, []byte(";")) {
		r.Comma = ';'
	}
	if err := t.readHeader(r); err != nil {
		return err
	}
	var piece []byte
	for row := 2; ; row++ {
		source.row = MaxRow
		cells, err := r.Read()
		if err == io.EOF {
			return nil
		}
		broken := ""
		var bad *csv.ParseError
		switch {
		case errors.As(err, &bad):
			broken = "This row cannot be read: " + bad.Err.Error() + ". Check its quotation marks."
			cells = nil
		case err != nil:
			return t.failed(row, err)
		case len(cells) > len(t.header):
			broken = fmt.Sprintf("This row has %d cells, the header %d. Put quotation marks around texts with commas.", len(cells), len(t.header))
			cells = nil // nobody can tell which cell is which
		}
		for _, c := range cells {
			if !utf8.ValidString(c) {
				return t.notUTF8()
			}
		}
		piece = appendPiece(piece[:0], row, broken, cells)
		at, err := p.file.Add(piece)
		if err != nil {
			return err
		}
		if err := p.enter(line{t, at, row, piece, cells}); err != nil {
			return err
		}
	}
}

// failed is the error for a table that cannot be read beyond a row.
func (t *table) failed(row int, err error) error {
	switch {
	case errors.Is(err, errRow):
		return fmt.Errorf("%w: %s row %d is too large: a row may have %d MiB; check its quotation marks", ErrFormat, t.file, row, MaxRow>>20)
	case errors.Is(err, errLeft):
		return fmt.Errorf("%w: %s row %d: the tables are too large, they may have %d MiB together", ErrFormat, t.file, row, maxTotal>>20)
	case errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, new(flate.CorruptInputError)):
		return fmt.Errorf("%w: %s row %d: the zip file is damaged: %v", ErrFormat, t.file, row, err)
	}
	return fmt.Errorf("%s row %d: %w", t.file, row, err)
}

func (t *table) notUTF8() error {
	return fmt.Errorf("%w: %s is not in UTF-8; save it again as “CSV UTF-8”", ErrFormat, t.file)
}

// A piece is a record as it waits: its row, why it cannot be read, its cells.
func appendPiece(b []byte, row int, broken string, cells []string) []byte {
	b = binary.AppendUvarint(b, uint64(row))
	b = appendText(b, broken)
	for _, c := range cells {
		b = appendText(b, c)
	}
	for len(b) < leastRecord {
		b = append(b, 0) // blank cells
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// line is a record whose cells are as they stand in the table.
type line struct {
	table *table
	at    int64
	row   int
	piece []byte // the file's, for the moment
	cells []string
}

// line makes a line of a piece.
func (t *table) line(at int64, piece []byte) line {
	row, n := binary.Uvarint(piece)
	return line{t, at, int(row), piece, texts(piece[n:])[1:]}
}

// cell is a cell; empty when it is blank or missing.
func (l *line) cell(column string) string {
	i, there := l.table.columns[column]
	if !there || i >= len(l.cells) || strings.TrimSpace(l.cells[i]) == "" {
		return ""
	}
	return l.cells[i]
}

// key is what [record.key] is of a column that holds texts. The object in
// [ProfileColumn] is read only where the column is blank and its name stands in it.
func (l *line) key(column string) string {
	if c := l.cell(column); c != "" || !l.mayUnpack(column) {
		return c
	}
	return l.record().key(column)
}

// has tells whether a record without faults has a value in a column.
func (l *line) has(column string) bool {
	if l.cell(column) != "" {
		return true
	}
	if !l.mayUnpack(column) {
		return false
	}
	_, there := l.record().cells[column]
	return there
}

// mayUnpack is false when nothing in [ProfileColumn] has that name, even escaped.
func (l *line) mayUnpack(column string) bool {
	text := l.cell(ProfileColumn)
	return strings.Contains(text, column) || strings.Contains(text, `\u`)
}

func (l *line) record() *record { return l.table.record(l.at, l.piece) }

// texts takes the texts of a piece apart, all of them in the same string.
func texts(piece []byte) []string {
	all := string(piece)
	count := 0
	for i := 0; i < len(all); count++ {
		size, n := binary.Uvarint(piece[i:])
		i += n + int(size)
	}
	out := make([]string, 0, count)
	for i := 0; i < len(all); {
		size, n := binary.Uvarint(piece[i:])
		i += n
		out = append(out, all[i:i+int(size)])
		i += int(size)
	}
	return out
}

// record makes a record of its piece.
func (t *table) record(at int64, piece []byte) *record {
	row, n := binary.Uvarint(piece)
	parts := texts(piece[n:])
	rec := &record{table: t, at: at, row: int(row)}
	if broken := parts[0]; broken != "" {
		rec.fault("", listing.CodeMalformed, broken)
	}
	rec.fill(t.header, parts[1:])
	return rec
}

func (t *table) readHeader(r *csv.Reader) error {
	header, err := r.Read()
	var bad *csv.ParseError
	switch {
	case err == io.EOF:
		return fmt.Errorf("%w: %s is empty; it needs a header", ErrFormat, t.file)
	case errors.As(err, &bad):
		return fmt.Errorf("%w: the header of %s: %v", ErrFormat, t.file, err)
	case err != nil:
		return t.failed(1, err)
	}
	t.columns = map[string]int{}
	for i, h := range header {
		h = strings.TrimSpace(h)
		if !utf8.ValidString(h) {
			return t.notUTF8()
		}
		if _, twice := t.columns[h]; twice && h != "" {
			return fmt.Errorf("%w: %s has the column %q twice", ErrFormat, t.file, h)
		}
		t.columns[h] = i
		t.header = append(t.header, h)
	}
	return nil
}

// fill sets the cells that are not blank.
func (rec *record) fill(header, cells []string) {
	count, profile := 0, ""
	blank := func(i int) bool { return i >= len(header) || header[i] == "" || strings.TrimSpace(cells[i]) == "" }
	for i := range cells {
		switch {
		case blank(i):
		case header[i] == ProfileColumn:
			profile = cells[i]
		default:
			count++
		}
	}
	var unpacked listing.Document
	var err error
	if profile != "" {
		unpacked, err = listing.ParseJSONText(profile)
	}
	rec.cells = make(map[string]any, count+len(unpacked))
	for i, cell := range cells {
		if blank(i) || header[i] == ProfileColumn {
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
	rec.unpack(unpacked, err)
	rec.id = rec.key("id")
}

// key is what a cell says as a text; empty when it says none.
func (rec *record) key(column string) string {
	key, _ := rec.cells[column].(string)
	return key
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
