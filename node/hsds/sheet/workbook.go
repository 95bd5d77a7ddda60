package sheet

import (
	"archive/zip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"
)

// maxParts is how many files a workbook may hold.
const maxParts = 500

// maxRatio is how much larger than packed a workbook may be: XML packs well,
// bombs far better.
const maxRatio = 200

// inMemory is how large a part of a workbook may be that is held in memory once it is
// unpacked; tables and texts that are larger wait in files.
const inMemory = 8 << 20

// workbook is a sheet of an XLSX file. Of a formula the result counts that was saved
// with it; nothing is computed.
type workbook struct {
	file *excelize.File
	dir  string // of its files
	name string
}

func openWorkbook(src io.ReaderAt, size int64, o Options) (_ source, as string, err error) {
	if size > MaxBook {
		return nil, "", refuse("the workbook has more than %d MiB; split it, or save it as CSV", MaxBook>>20)
	}
	if err := checkParts(src, size); err != nil {
		return nil, "", err
	}
	w := &workbook{}
	if w.dir, err = os.MkdirTemp("", "waymark-sheet-*"); err != nil { // for its owner's eyes only
		return nil, "", err
	}
	if err := damaged(func() error { return w.open(src, size, o) }); err != nil {
		return nil, "", errors.Join(err, w.close())
	}
	return w, fmt.Sprintf("workbook, sheet “%s”", w.name), nil
}

// damaged runs what the library does: a hostile workbook must not end the program,
// whatever that overlooks.
func damaged(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = refuse("the workbook is damaged (%.100v)", p)
		}
	}()
	return f()
}

func (w *workbook) open(src io.ReaderAt, size int64, o Options) (err error) {
	if w.file, err = excelize.OpenReader(io.NewSectionReader(src, 0, size), excelize.Options{
		RawCellValue: true, UnzipSizeLimit: MaxUnpacked, UnzipXMLSizeLimit: inMemory, TmpDir: w.dir,
	}); err != nil {
		return refuse("the workbook is damaged or has a password: %v", err)
	}
	w.name, err = chooseSheet(w.file, o.Sheet)
	return err
}

func (w *workbook) close() error {
	if w.file != nil {
		_ = damaged(w.file.Close) // what matters is gone with the directory
	}
	return os.RemoveAll(w.dir)
}

func (w *workbook) rows(f func(Line) error) error {
	var rows *excelize.Rows
	if err := damaged(func() (err error) {
		if rows, err = w.file.Rows(w.name); err != nil {
			err = refuse("the sheet %q: %v", w.name, err)
		}
		return err
	}); err != nil {
		return err
	}
	defer rows.Close()
	for n := 1; ; n++ {
		l, more := Line{Number: n}, false
		if err := damaged(func() (err error) {
			if more = rows.Next(); !more {
				if err = rows.Error(); err != nil {
					err = refuse("the sheet %q ends too early: %v", w.name, err)
				}
				return err
			}
			if l.Cells, err = rows.Columns(excelize.Options{RawCellValue: true}); err != nil {
				err = refuse("the sheet %q, row %d: %v", w.name, n, err)
			}
			return err
		}); err != nil || !more {
			return err
		}
		if err := f(l); err != nil {
			return err
		}
	}
}

// checkParts looks at the directory of the zip before anything is unpacked. The
// zip reader holds each part to the size that the directory claims.
func checkParts(src io.ReaderAt, size int64) error {
	z, err := zip.NewReader(src, size)
	if err != nil {
		return refuse("the workbook is damaged: %v", err)
	}
	if len(z.File) > maxParts {
		return refuse("the workbook holds %d parts, at most %d can be read", len(z.File), maxParts)
	}
	var total uint64
	book := false
	for _, e := range z.File {
		if e.UncompressedSize64 > MaxUnpacked || total+e.UncompressedSize64 > MaxUnpacked {
			return refuse("%s in the workbook: it is larger than %d MiB once unpacked; split it, or save it as CSV", e.Name, MaxUnpacked>>20)
		}
		if e.UncompressedSize64 > 1<<20 && e.UncompressedSize64/maxRatio > e.CompressedSize64 {
			return refuse("%s in the workbook: it unpacks to more than %d times its size; this is no table", e.Name, maxRatio)
		}
		total += e.UncompressedSize64
		table, err := checkXML(e)
		if err != nil {
			return err
		}
		if !table && e.UncompressedSize64 > inMemory {
			return refuse("%s in the workbook: what is no table may have %d MiB", e.Name, inMemory>>20)
		}
		book = book || strings.HasPrefix(strings.ToLower(e.Name), "xl/")
	}
	if !book {
		return refuse("the zip file is no XLSX workbook; save the table as .xlsx or .csv")
	}
	return nil
}

// checkXML reads a part that holds cells to its end: the library takes broken XML
// for the end of the table, and rows would be missing without a word. It tells whether
// the part is one.
func checkXML(e *zip.File) (table bool, err error) {
	name := strings.ToLower(e.Name)
	if name != "xl/sharedstrings.xml" && (!strings.HasPrefix(name, "xl/worksheets/") || !strings.HasSuffix(name, ".xml")) {
		return false, nil
	}
	r, err := e.Open()
	if err != nil {
		return true, refuse("%s in the workbook: %v", e.Name, err)
	}
	defer r.Close()
	dec := xml.NewDecoder(r)
	for {
		if _, err := dec.Token(); err == io.EOF {
			return true, nil
		} else if err != nil {
			line, column := dec.InputPos()
			return true, refuse("%s in the workbook is damaged or cut off (line %d, character %d): %v", e.Name, line, column, err)
		}
	}
}

func chooseSheet(f *excelize.File, name string) (string, error) {
	all := f.GetSheetList()
	if name != "" {
		if !slices.Contains(all, name) {
			return "", refuse("there is no sheet %q; there are: %s", name, strings.Join(all, ", "))
		}
		return name, nil
	}
	for _, s := range all {
		if visible, err := f.GetSheetVisible(s); err == nil && visible {
			return s, nil
		}
	}
	return "", refuse("the workbook has no sheet that is visible")
}
