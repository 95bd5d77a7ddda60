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
	MaxTotal   = 16 << 30 // bytes of all tables of a package once unpacked
	MaxRow     = 2 << 20  // bytes of one row of a table
	MaxElement = 64 << 20 // bytes of one line of NDJSON or one element of a list: a service, or an organization with all of its
)

// ErrFormat is returned for a file that is none of the formats that [Read] knows.
var ErrFormat = errors.New("not a format that can be read")

// Row is one service of a file.
type Row struct {
	// Where is its place in the file as a person would find it: "services.csv
	// row 3" (row 1 is the header), "line 7", "$[2]", "$" for the whole file.
	Where string
	// Document is the service; nil when it cannot be read at all, and where Raw is.
	Document listing.Document
	// Raw is the JSON of a service that is to be taken as it stands, and was not
	// looked at: it may turn out to be no listing. Nearly all of a large file is
	// so, since whoever takes it in must read it anyway.
	Raw []byte
	// Faults keep the row from being taken in: it cannot be read. All at once.
	Faults listing.Faults
	// Notes do not keep it from being taken in. They say what of a tabular
	// package was left out since it belongs to no service; what belongs to none in
	// particular stands at the last row.
	Notes listing.Faults
	// MoreNotes is how many there are beyond Notes.
	MoreNotes int
}

// Rows reads the services of a file or folder, one at a time. An error says why the
// whole cannot be read ([ErrFormat], or that of the file system) and ends it; what
// keeps one service from being read stands in its row. Whether a service that can be
// read is fit to be taken in, and whether its id stands twice, is for the node to say
// that takes it in. These are known:
//
//   - JSON: one service; a list; a page {"contents": […]}; an organization
//     with its services nested, one or a list
//   - NDJSON: one of those a line
//   - the tabular package of HSDS: a folder or a zip file with services.csv and any
//     of the other 23 tables, separated by commas or semicolons, in UTF-8
//   - a services.csv alone
//
// A file may be of any size: one element of a list, one line, or what belongs to one
// service of a package is in memory at a time. The rows of a package wait in a file
// for as long as that is read, in the directory for temporary ones.
func Rows(path string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		err := open(path, func(row Row) bool {
			if row.Document != nil {
				Strip(row.Document)
			}
			return yield(row, nil)
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Row{}, fmt.Errorf("read %s: %w", filepath.Base(path), err))
		}
	}
}

// errStop ends reading when the caller has had enough.
var errStop = errors.New("stopped")

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
	in := bufio.NewReaderSize(f, 64<<10)
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
	if why := noText(head); why != "" {
		return fmt.Errorf("%w: %s", ErrFormat, why)
	}
	return readJSON(in, ext == ".ndjson" || ext == ".jsonl", emit)
}

// noText says of the beginning of a file that can be no JSON what it is instead;
// "" where it may be some.
func noText(head []byte) string {
	switch s := string(head); {
	case strings.HasPrefix(s, "\x1f\x8b"), strings.HasPrefix(s, "BZh"), strings.HasPrefix(s, "\xfd7zX"), strings.HasPrefix(s, "\x28\xb5\x2f\xfd"), strings.HasPrefix(s, "7z\xbc\xaf"), s == "Rar!":
		return "it is packed; unpack it first"
	case s == "%PDF":
		return "it is a PDF; ask for the table from which it was made"
	case s == "\xd0\xcf\x11\xe0":
		return "it is a file of an old office program; save it as .xlsx"
	case strings.HasPrefix(s, "<"):
		return "it is a page or XML, not JSON; was it the address of a page that was saved?"
	}
	return ""
}

// skipBOM passes over the mark that some programs put before UTF-8.
func skipBOM(in *bufio.Reader) {
	if b, _ := in.Peek(3); string(b) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3) // has just been peeked
	}
}
