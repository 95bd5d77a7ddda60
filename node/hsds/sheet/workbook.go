package sheet

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"
)

// maxParts is how many files a workbook may hold.
const maxParts = 500

// maxRatio is how much larger than packed a workbook may be: XML packs well,
// bombs far better.
const maxRatio = 200

// parseWorkbook reads a sheet of an XLSX file. Of a formula the result counts that
// was saved with it; nothing is computed.
func parseWorkbook(b []byte, o Options) (t *Table, err error) {
	if err := checkParts(b); err != nil {
		return nil, err
	}
	defer func() {
		// A hostile workbook must not end the program, whatever the library
		// overlooks.
		if p := recover(); p != nil {
			t, err = nil, refuse("the workbook is damaged (%.100v)", p)
		}
	}()
	f, err := excelize.OpenReader(bytes.NewReader(b), excelize.Options{
		RawCellValue: true, UnzipSizeLimit: MaxFile, UnzipXMLSizeLimit: MaxFile, // equal: nothing goes to a temporary file
	})
	if err != nil {
		return nil, refuse("the workbook is damaged or has a password: %v", err)
	}
	defer f.Close()
	name, err := chooseSheet(f, o.Sheet)
	if err != nil {
		return nil, err
	}
	rows, err := f.Rows(name)
	if err != nil {
		return nil, refuse("the sheet %q: %v", name, err)
	}
	defer rows.Close()
	t = &Table{ReadAs: fmt.Sprintf("workbook, sheet “%s”", name), raw: true}
	for n := 1; rows.Next(); n++ {
		cells, err := rows.Columns(excelize.Options{RawCellValue: true})
		if err != nil {
			return nil, refuse("the sheet %q, row %d: %v", name, n, err)
		}
		if err := t.add(Line{Number: n, Cells: cells}, o.Header); err != nil {
			return nil, err
		}
	}
	if err := rows.Error(); err != nil {
		return nil, refuse("the sheet %q ends too early: %v", name, err)
	}
	return t, nil
}

// checkParts looks at the directory of the zip before anything is unpacked. The
// zip reader holds each part to the size that the directory claims.
func checkParts(b []byte) error {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return refuse("the workbook is damaged: %v", err)
	}
	if len(z.File) > maxParts {
		return refuse("the workbook holds %d parts, at most %d can be read", len(z.File), maxParts)
	}
	var total uint64
	book := false
	for _, e := range z.File {
		if e.UncompressedSize64 > MaxFile || total+e.UncompressedSize64 > MaxFile {
			return refuse("%s in the workbook: it is larger than %d MiB once unpacked; split it", e.Name, MaxFile>>20)
		}
		if e.UncompressedSize64 > 1<<20 && e.UncompressedSize64/maxRatio > e.CompressedSize64 {
			return refuse("%s in the workbook: it unpacks to more than %d times its size; this is no table", e.Name, maxRatio)
		}
		total += e.UncompressedSize64
		if err := checkXML(e); err != nil {
			return err
		}
		book = book || strings.HasPrefix(strings.ToLower(e.Name), "xl/")
	}
	if !book {
		return refuse("the zip file is no XLSX workbook; save the table as .xlsx or .csv")
	}
	return nil
}

// checkXML reads a part that holds cells to its end: the library takes broken XML
// for the end of the table, and rows would be missing without a word.
func checkXML(e *zip.File) error {
	name := strings.ToLower(e.Name)
	if name != "xl/sharedstrings.xml" && (!strings.HasPrefix(name, "xl/worksheets/") || !strings.HasSuffix(name, ".xml")) {
		return nil
	}
	r, err := e.Open()
	if err != nil {
		return refuse("%s in the workbook: %v", e.Name, err)
	}
	defer r.Close()
	dec := xml.NewDecoder(r)
	for {
		if _, err := dec.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			line, column := dec.InputPos()
			return refuse("%s in the workbook is damaged or cut off (line %d, character %d): %v", e.Name, line, column, err)
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
