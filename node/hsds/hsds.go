// Package hsds reads and writes services as the Human Services Data
// Specification 3.2.3 has them, JSON and tabular.
package hsds

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
)

// Version is the version of the specification that this package speaks.
const Version = "3.2.3"

// The limits of what is read. They hold before anything is built.
const (
	MaxTotal = 256 << 20 // bytes of a file, or of all tables of a package once unpacked
	MaxTable = 64 << 20  // bytes of one table
)

// ErrFormat is returned for a file that is none of the formats that [Read] knows.
var ErrFormat = errors.New("not a format that can be read")

// Row is one service of a file.
type Row struct {
	// Where is its place in the file as a person would find it: "services.csv
	// row 3" (row 1 is the header), "line 7", "$[2]", "$" for the whole file.
	Where string
	// Document is the service; nil when it cannot be read at all.
	Document listing.Document
	// Faults keep the row from being taken in: it cannot be read, lacks what
	// every listing must have, or holds values of the wrong type. All at once.
	Faults listing.Faults
	// Notes do not keep it from being taken in. They say what of a tabular
	// package was left out since it belongs to no service; what belongs to none in
	// particular stands at the last row.
	Notes listing.Faults
}

// Read reads all services of a file or folder. The error says why the whole
// cannot be read ([ErrFormat], or that of the file system); what is wrong with
// one service stands in its row. These are known:
//
//   - JSON: one service; a list; a page {"contents": […]}; an organization
//     with its services nested, one or a list
//   - NDJSON: one of those a line
//   - the tabular package of HSDS: a folder or a zip file with services.csv and any
//     of the other 23 tables, separated by commas or semicolons, in UTF-8
//   - a services.csv alone
func Read(path string) ([]Row, error) {
	var rows []Row
	for row, err := range Rows(path) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Rows is [Read] one row at a time: JSON is not held in memory as a whole, the
// tables of a package are. It ends after the first error.
func Rows(path string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		seen := map[string]string{} // id → where
		err := open(path, func(row Row) bool {
			row.check(seen)
			return yield(row, nil)
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Row{}, fmt.Errorf("read %s: %w", filepath.Base(path), err))
		}
	}
}

// errStop ends reading when the caller has had enough.
var errStop = errors.New("stopped")

// check adds what is wrong with a document that could be read.
func (r *Row) check(seen map[string]string) {
	if r.Document == nil {
		return
	}
	Strip(r.Document)
	l, faults := r.Document.Listing()
	r.Faults = append(r.Faults, faults...)
	r.Faults = append(r.Faults, l.CheckServe()...)
	if l.ID == "" {
		return
	}
	if first, twice := seen[l.ID]; twice {
		r.Faults = append(r.Faults, listing.Fault{Path: "id", Code: listing.CodeTwice,
			Message: fmt.Sprintf("The same id stands at %s. Give each service an id of its own, or leave one out.", first)})
		return
	}
	seen[l.ID] = r.Where
}

// open finds out the format and reads it.
func open(path string, emit func(Row) bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return readFolder(path, emit)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if info.Size() > MaxTotal {
		return fmt.Errorf("%w: it has more than %d MiB; split it", ErrFormat, MaxTotal>>20)
	}
	in := bufio.NewReaderSize(io.LimitReader(f, MaxTotal), 64<<10)
	head, err := in.Peek(4)
	if err != nil && err != io.EOF {
		return err
	}
	ext := strings.ToLower(filepath.Ext(path))
	if string(head) == "PK\x03\x04" {
		if ext == ".xlsx" {
			return fmt.Errorf("%w: this is a workbook; import it with a mapping of its columns", ErrFormat)
		}
		return readZip(f, info.Size(), emit)
	}
	if ext == ".csv" {
		return readSingle(in, emit)
	}
	skipBOM(in)
	return readJSON(in, ext == ".ndjson" || ext == ".jsonl", emit)
}

// skipBOM passes over the mark that some programs put before UTF-8.
func skipBOM(in *bufio.Reader) {
	if b, _ := in.Peek(3); string(b) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3) // has just been peeked
	}
}
