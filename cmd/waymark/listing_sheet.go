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
	t, err := sheet.Read(path, sheet.Options{})
	if err != nil {
		return errors.Is(err, sheet.ErrFormat)
	}
	_, own := sheet.Own(t)
	return own || !strings.EqualFold(t.Header[0], "id") // a bare table of the tabular package
}

// readSheet reads a spreadsheet and what its columns mean.
func readSheet(path, mapping string) (*sheet.Table, *sheet.Mapping, error) {
	if mapping == "" {
		t, err := sheet.Read(path, sheet.Options{})
		if err != nil {
			return nil, nil, err
		}
		m, ok := sheet.Own(t)
		if !ok {
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
	t, err := sheet.Read(path, m.Options())
	return t, m, err
}

// suggestMapping drafts a mapping for a file.
func (m *Main) suggestMapping(path string) error {
	t, err := sheet.Read(path, sheet.Options{})
	if err != nil {
		return err
	}
	source := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	_, err = m.Stdout.Write(sheet.Suggest(t, source))
	return err
}

// sheetRows are the rows of a spreadsheet, each put into the listing that it means.
func (m *Main) sheetRows(ctx context.Context, node *control.Client, path, mapping string, replace bool) (iter.Seq2[hsds.Row, error], []sheet.Duplicate, error) {
	t, how, err := readSheet(path, mapping)
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(m.Stderr, "Note: %s is read as %s.\n", plain(t.Name), plain(t.ReadAs))
	taken, err := sheet.Take(t, how, ownListings(ctx, node, control.ExportOptions{}), replace)
	if err != nil {
		return nil, nil, err
	}
	for i, d := range taken.Duplicates {
		if i == maxNotes {
			fmt.Fprintf(m.Stderr, "Note: and %d more like these.\n", len(taken.Duplicates)-i)
			break
		}
		fmt.Fprintf(m.Stderr, "Note: %s “%s” may be the same as %s “%s” (%s). They stay two; compare them.\n",
			plain(d.Row), short(d.Name, 60), plain(d.Of), short(d.OfName, 60), d.Because)
	}
	return func(yield func(hsds.Row, error) bool) {
		for _, r := range taken.Rows {
			if !yield(hsds.Row{Where: r.Where, Document: r.Document, Faults: r.Faults}, nil) {
				return
			}
		}
	}, taken.Duplicates, nil
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
