package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/hsds/sheet"
	"github.com/2ps-project/waymark/node/listing"
)

// isSheet tells whether a file is taken in as a spreadsheet: a CSV or XLSX file
// with a mapping, or with a header that names the fields.
func isSheet(path, mapping string) bool {
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return false
	}
	if ext := strings.ToLower(filepath.Ext(path)); ext == ".xlsx" || mapping != "" {
		return true
	} else if ext != ".csv" && ext != ".tsv" && ext != ".txt" {
		return false
	}
	t, err := sheet.Open(path, sheet.Options{})
	if err != nil {
		return errors.Is(err, sheet.ErrFormat)
	}
	defer t.Close()
	_, own := sheet.Own(t)
	return own || !strings.EqualFold(t.Header[0], "id") // a bare table of the tabular package
}

// openSheet opens a spreadsheet and says what its columns mean.
func openSheet(path, mapping string) (*sheet.Table, *sheet.Mapping, error) {
	if mapping == "" {
		t, err := sheet.Open(path, sheet.Options{})
		if err != nil {
			return nil, nil, err
		}
		m, ok := sheet.Own(t)
		if !ok {
			t.Close()
			return nil, nil, usageError{fmt.Sprintf("The columns of %s are not known. Say what they mean in a mapping; a draft of one: waymark listing import %s --suggest-mapping > mapping.toml", path, path)}
		}
		return t, m, nil
	}
	b, err := os.ReadFile(mapping)
	if err != nil {
		return nil, nil, err
	}
	m, err := sheet.ParseMapping(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", mapping, err)
	}
	t, err := sheet.Open(path, m.Options())
	return t, m, err
}

// suggestMapping drafts a mapping for a file.
func (m *Main) suggestMapping(path string) error {
	t, err := sheet.Open(path, sheet.Options{})
	if err != nil {
		return err
	}
	defer t.Close()
	source := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	draft, err := sheet.Suggest(t, source)
	if err != nil {
		return err
	}
	_, err = m.Stdout.Write(draft)
	return err
}

// takeSheet takes in a spreadsheet, each row put into the listing that it means.
func (m *Main) takeSheet(path, mapping string, replace bool, existing iter.Seq2[listing.Document, error]) (*sheet.Taken, error) {
	t, how, err := openSheet(path, mapping)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(m.Stderr, "Note: %s is read as %s.\n", plain(t.Name), plain(t.ReadAs))
	return sheet.Take(t, how, existing, replace)
}

// sheetRows are the rows of a spreadsheet as those of other files.
func sheetRows(taken *sheet.Taken) iter.Seq2[hsds.Row, error] {
	return func(yield func(hsds.Row, error) bool) {
		for r, err := range taken.Rows() {
			if !yield(hsds.Row{Where: r.Where, Document: r.Document, Faults: r.Faults}, err) {
				return
			}
		}
	}
}

// printDuplicates tells of rows that may mean a listing that is there.
func (m *Main) printDuplicates(duplicates []sheet.Duplicate) {
	var said notes
	for _, d := range duplicates {
		said.add(fmt.Sprintf("%s “%s” may be the same as %s “%s” (%s). They stay two; compare them.",
			plain(d.Row), short(d.Name, 60), plain(d.Of), short(d.OfName, 60), d.Because))
	}
	m.printNotes(said)
}

// ownListings are the documents of own listings.
func ownListings(ctx context.Context, node *control.Client, o control.ExportOptions) iter.Seq2[listing.Document, error] {
	return func(yield func(listing.Document, error) bool) {
		r, w := io.Pipe()
		defer r.Close()
		go func() { w.CloseWithError(node.Export(ctx, w, o)) }() // ends with r
		documents(r)(yield)
	}
}

// documents are those of an export.
func documents(r io.Reader) iter.Seq2[listing.Document, error] {
	return func(yield func(listing.Document, error) bool) {
		lines := bufio.NewReaderSize(r, 64<<10)
		for {
			line, err := lines.ReadBytes('\n')
			if err == io.EOF && len(line) == 0 {
				return
			}
			if err != nil && err != io.EOF {
				yield(nil, err)
				return
			}
			d, err := listing.ParseJSON(line)
			if err != nil {
				yield(nil, fmt.Errorf("a listing of the node cannot be read: %w", err))
				return
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (m *Main) listingTemplateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "template FILE.xlsx",
		Short: "Write an empty workbook for listings, with drop-down lists",
		Long: `Write an empty workbook in which listings can be written down, one a row, with
drop-down lists of the codes. The first column holds ids that wait to be used.
Take it in again with: waymark listing import FILE.xlsx`,
		Args: args(cobra.ExactArgs(1), "one new file"),
		RunE: func(_ *cobra.Command, args []string) error {
			return newFile(args[0], sheet.WriteTemplate)
		},
	}
}
