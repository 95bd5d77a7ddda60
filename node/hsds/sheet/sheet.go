// Package sheet reads and writes listings as spreadsheets, CSV and XLSX, one
// listing a row.
package sheet

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The limits of what is read. They hold before anything is built. CSV may be of any
// size, for one row of it is in memory at a time.
const (
	MaxBook     = 64 << 20 // bytes of a workbook
	MaxUnpacked = 1 << 30  // of a workbook once unpacked
	MaxColumns  = 400
	MaxRow      = 2 << 20  // bytes of a row of CSV
	MaxCell     = 64 << 10 // bytes of the text of one cell
)

// lastRow is the last row that a spreadsheet program has.
const lastRow = 1 << 20

// ErrFormat is returned for what is no spreadsheet that can be read. Its text
// names the place and says what to do.
var ErrFormat = errors.New("not a spreadsheet that can be read")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
}

// Line is one row of a table.
type Line struct {
	Number int      // as a spreadsheet program counts: the first row is 1
	Cells  []string // as they stand there; trailing blank ones are left out; good until the next line
	// Broken says why the row cannot be read; empty when it can.
	Broken string
}

// Table is a spreadsheet that is open.
type Table struct {
	Name   string // of the file
	ReadAs string // how it is read, for a person: "Windows-1250, separated by semicolons"
	Header []string

	source source
	file   *os.File // nil in memory
	header int      // its row
	raw    bool     // cells of a workbook: numbers and dates are as the program keeps them
}

// source is what reads the rows of a file.
type source interface {
	// rows calls f with all rows from the first on, until it returns an error.
	rows(f func(Line) error) error
	close() error
}

// Where names a row of the table.
func (t *Table) Where(line int) string { return fmt.Sprintf("%s row %d", t.Name, line) }

// Options say how a table is to be read. The zero value finds everything out.
type Options struct {
	Encoding  string // utf-8, utf-16le, utf-16be, windows-1250, -1252, -1253 or -1257
	Separator string // of CSV: one of , ; and tab
	Sheet     string // of a workbook; empty for the first that is visible
	Header    int    // the row of the header; 0 = 1
}

// Open opens a CSV or XLSX file and reads its header. The first bytes decide, not the
// name. Close closes it.
func Open(path string, o Options) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	t := &Table{Name: filepath.Base(path), file: f}
	info, err := f.Stat()
	if err == nil {
		err = t.open(f, info.Size(), o)
	}
	if err != nil {
		t.Close()
		return nil, t.failed(err)
	}
	return t, nil
}

func (t *Table) failed(err error) error { return fmt.Errorf("read %s: %w", t.Name, err) }

// Close closes the file.
func (t *Table) Close() error {
	var err error
	if t.source != nil {
		err = t.source.close()
	}
	if t.file != nil {
		err = errors.Join(err, t.file.Close())
	}
	return err
}

// open finds out what the file is and reads the header.
func (t *Table) open(src io.ReaderAt, size int64, o Options) (err error) {
	t.header = max(o.Header, 1)
	var head [4]byte
	if _, err := src.ReadAt(head[:], 0); err != nil && err != io.EOF {
		return err
	}
	switch string(head[:]) {
	case "PK\x03\x04":
		t.raw = true
		t.source, t.ReadAs, err = openWorkbook(src, size, o)
	case "\xd0\xcf\x11\xe0":
		return refuse("it is a workbook of an old kind (.xls) or has a password; save it as .xlsx without one")
	default:
		t.source, t.ReadAs, err = openCSV(src, size, o)
	}
	if err != nil {
		return err
	}
	if err := t.source.rows(func(l Line) error {
		switch l = trimmed(l); {
		case l.Number < t.header:
			return nil
		case l.Number > t.header:
			return errStop
		case l.Broken != "":
			return refuse("the header in row %d: %s", l.Number, l.Broken)
		}
		t.Header = slices.Clone(l.Cells)
		return errors.Join(tooWide(l), errStop)
	}); err != nil && (!errors.Is(err, errStop) || errors.Is(err, ErrFormat)) {
		return err
	}
	return t.checkHeader(t.header)
}

// errStop ends reading when the caller has had enough.
var errStop = errors.New("stopped")

// Lines reads what stands below the header; blank lines are left out. It can be read
// as often as wanted. An error, such as one that wraps [ErrFormat], ends it.
func (t *Table) Lines() iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		err := t.source.rows(func(l Line) error {
			l = trimmed(l)
			if l.Number <= t.header || len(l.Cells) == 0 && l.Broken == "" {
				return nil
			}
			if err := tooWide(l); err != nil {
				return err
			}
			for i, c := range l.Cells {
				if len(c) > MaxCell {
					return refuse("row %d, column %s: the cell holds %d bytes, at most %d can be read; shorten it", l.Number, Letter(i), len(c), MaxCell)
				}
			}
			if !yield(l, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Line{}, t.failed(err))
		}
	}
}

// trimmed is a line without the blank cells at its end.
func trimmed(l Line) Line {
	for len(l.Cells) > 0 && strings.TrimSpace(l.Cells[len(l.Cells)-1]) == "" {
		l.Cells = l.Cells[:len(l.Cells)-1]
	}
	return l
}

func tooWide(l Line) error {
	if len(l.Cells) > MaxColumns {
		return refuse("row %d has %d columns, at most %d can be read; remove those that are not needed", l.Number, len(l.Cells), MaxColumns)
	}
	return nil
}

func (t *Table) checkHeader(row int) error {
	seen := map[string]int{}
	for i, h := range t.Header {
		h = strings.TrimSpace(h)
		t.Header[i] = h
		if c := control(h); c != "" {
			return refuse("row %d, column %s: the header holds %s; is this a spreadsheet?", row, Letter(i), c)
		}
		if first, twice := seen[h]; twice && h != "" {
			return refuse("row %d: the columns %s and %s have the same header %q; give each a name of its own", row, Letter(first), Letter(i), h)
		}
		seen[h] = i
	}
	if len(t.Header) == 0 {
		return refuse("there is no header in row %d", row)
	}
	return nil
}

// control names a character that no text of a cell may hold; empty when there is none.
func control(s string) string {
	for _, r := range s {
		if r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return fmt.Sprintf("the control character U+%04X", r)
		}
	}
	return ""
}

// Letter is the name of a column as spreadsheet programs show it; 0 is A.
func Letter(i int) string {
	s := ""
	for i++; i > 0; i = (i - 1) / 26 {
		s = string(rune('A'+(i-1)%26)) + s
	}
	return s
}
