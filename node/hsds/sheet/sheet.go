// Package sheet reads and writes listings as spreadsheets, CSV and XLSX, one
// listing a row.
package sheet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The limits of what is read. They hold before anything is built.
const (
	MaxFile    = 64 << 20 // bytes of a file, and of a workbook once unpacked
	MaxRows    = 100_000
	MaxColumns = 400
	MaxCells   = 5_000_000 // in all, blank ones before the last of a row included
	MaxCell    = 64 << 10  // bytes of the text of one cell
)

// ErrFormat is returned for what is no spreadsheet that can be read. Its text
// names the place and says what to do.
var ErrFormat = errors.New("not a spreadsheet that can be read")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
}

// Line is one row of a table.
type Line struct {
	Number int      // as a spreadsheet program counts: the first row is 1
	Cells  []string // as they stand there; trailing blank ones are left out
	// Broken says why the row cannot be read; empty when it can.
	Broken string
}

// Table is the content of a spreadsheet.
type Table struct {
	Name   string // of the file
	ReadAs string // how it was read, for a person: "Windows-1250, separated by semicolons"
	Header []string
	Lines  []Line // below the header; blank ones are left out
	cells  int    // in all lines
	raw    bool   // cells of a workbook: numbers and dates are as the program keeps them
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

// Read reads a CSV or XLSX file. The first bytes decide, not the name.
func Read(path string, o Options) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// Room for the file as it is, and not for its doubles while it grows.
	b := bytes.NewBuffer(make([]byte, 0, min(info.Size(), MaxFile)+bytes.MinRead))
	if _, err := b.ReadFrom(io.LimitReader(f, MaxFile+1)); err != nil {
		return nil, err
	}
	t, err := Parse(b.Bytes(), o)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	t.Name = filepath.Base(path)
	return t, nil
}

// Parse is [Read] of what stands in memory.
func Parse(b []byte, o Options) (t *Table, err error) {
	if len(b) > MaxFile {
		return nil, refuse("it has more than %d MiB; split it", MaxFile>>20)
	}
	if o.Header == 0 {
		o.Header = 1
	}
	switch {
	case strings.HasPrefix(string(b), "PK\x03\x04"):
		t, err = parseWorkbook(b, o)
	case strings.HasPrefix(string(b), "\xd0\xcf\x11\xe0"):
		return nil, refuse("it is a workbook of an old kind (.xls) or has a password; save it as .xlsx without one")
	default:
		t, err = parseCSV(b, o)
	}
	if err != nil {
		return nil, err
	}
	return t, t.checkHeader(o.Header)
}

// add takes the next row within the limits; rows up to the header are not kept.
func (t *Table) add(l Line, header int) error {
	for len(l.Cells) > 0 && strings.TrimSpace(l.Cells[len(l.Cells)-1]) == "" {
		l.Cells = l.Cells[:len(l.Cells)-1]
	}
	switch {
	case l.Number < header || (l.Number > header && len(l.Cells) == 0 && l.Broken == ""):
		return nil
	case len(l.Cells) > MaxColumns:
		return refuse("row %d has %d columns, at most %d can be read; remove those that are not needed", l.Number, len(l.Cells), MaxColumns)
	case len(t.Lines) == MaxRows:
		return refuse("it has more than %d rows (row %d); split it", MaxRows, l.Number)
	case l.Number == header:
		if l.Broken != "" {
			return refuse("the header in row %d: %s", l.Number, l.Broken)
		}
		t.Header = slices.Clone(l.Cells)
		return nil
	}
	for i, c := range l.Cells {
		if len(c) > MaxCell {
			return refuse("row %d, column %s: the cell holds %d bytes, at most %d can be read; shorten it", l.Number, Letter(i), len(c), MaxCell)
		}
	}
	if t.cells += len(l.Cells); t.cells > MaxCells {
		return refuse("row %d: it has more than %d cells by then; remove columns that are not needed, or split it", l.Number, MaxCells)
	}
	l.Cells = slices.Clone(l.Cells) // the reader's row may have room for many more
	t.Lines = append(t.Lines, l)
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
