package main

import (
	"archive/zip"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/hsds/sheet"
	"github.com/2ps-project/waymark/node/listing"
)

// export is what listing export was asked for.
type export struct {
	file, form, separator, licence string
	public                         bool
}

var exportForms = []string{"ndjson", "json", "tables", "csv", "xlsx", "jsonld", "open-data"}

func (m *Main) listingExportCommand() *cobra.Command {
	var x export
	cmd := &cobra.Command{
		Use:   "export [ID…]",
		Short: "Write this country's listings: JSON, tables, spreadsheets, open data",
		Long: `Write this country's listings: all of them, or those that are named.

  ndjson     every field, one JSON document a line (this is the default)
  json       the same as one list
  tables     the tabular package of HSDS: 24 CSV tables and datapackage.json, in a new
             folder, or in a zip file when the name ends in .zip
  csv, xlsx  a spreadsheet with the fields that editors work with; import takes it
             back, and what it has no column for stays as it is
  jsonld     schema.org, one document a line
  open-data  a zip file with all of these for anybody to use, with the licence and the
             checksum (SHA-256) of each file, and FILE.sha256 beside it

With --public only what is published is written, as it is published: without private
parts, and without changes that are still drafts; open-data and jsonld are always so. Without it the private parts are among them: treat the
file like the node's own data.

Prefer xlsx to csv for telephone numbers and for texts of strangers: its cells are
texts, so that no program makes numbers or formulas of them. CSV is written as it
is, for a sign that disarms formulas would spoil every number that begins with +.`,
	}
	f := cmd.Flags()
	f.StringVar(&x.file, "file", "", "write to this new file (or folder) instead of standard output")
	f.StringVar(&x.form, "format", "ndjson", strings.Join(exportForms, ", "))
	f.StringVar(&x.separator, "separator", ";", "what separates the cells of CSV: a semicolon or a comma")
	f.StringVar(&x.licence, "licence", "", "SPDX id of the licence, such as CC-BY-4.0; open-data needs one")
	f.BoolVar(&x.public, "public", false, "only what is published, without private parts")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		if err := x.check(ids); err != nil {
			return err
		}
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		o := control.ExportOptions{IDs: ids, Published: x.public}
		if x.form == "ndjson" { // as it comes, whatever is in it
			return m.toFile(x.file, func(w io.Writer) error { return node.Export(cmd.Context(), w, o) })
		}
		return once(func(w io.Writer) error { return node.Export(cmd.Context(), w, o) }, func(docs iter.Seq2[listing.Document, error]) error {
			return m.writeExport(x, docs)
		})
	}
	return cmd
}

func (x *export) check(ids []string) error {
	switch {
	case slices.Contains(ids, "-"):
		return usageError{`"-" is no listing's id. Without --file the export goes to standard output.`}
	case !slices.Contains(exportForms, x.form):
		return usageError{fmt.Sprintf("There is no format %q. Choose one of: %s.", x.form, strings.Join(exportForms, ", "))}
	case x.separator != ";" && x.separator != ",":
		return usageError{"The separator is a semicolon or a comma."}
	case x.file == "" && slices.Contains([]string{"tables", "xlsx", "open-data"}, x.form):
		return usageError{fmt.Sprintf("Name the new file: --format %s --file FILE.", x.form)}
	case x.form == "open-data" && x.licence == "":
		return usageError{"Say under which licence anybody may use the data: --licence CC-BY-4.0."}
	}
	x.public = x.public || x.form == "open-data" || x.form == "jsonld"
	return nil
}

// once keeps an export in a file for as long as use reads it, as often as it likes: so
// every part of what is made of it holds the same, whatever editors do meanwhile.
func once(export func(io.Writer) error, use func(iter.Seq2[listing.Document, error]) error) (err error) {
	f, err := os.CreateTemp("", "waymark-export-*") // for its owner's eyes only
	if err != nil {
		return err
	}
	gone := os.Remove(f.Name()) == nil // where the system lets it go at once, it goes whatever happens to us
	defer func() {
		if err = errors.Join(err, f.Close()); !gone {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	out := bufio.NewWriterSize(f, 64<<10)
	if err := errors.Join(export(out), out.Flush()); err != nil {
		return err
	}
	return use(func(yield func(listing.Document, error) bool) {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			yield(nil, err)
			return
		}
		documents(f)(yield)
	})
}

// toFile writes to a new file, or to standard output.
func (m *Main) toFile(file string, write func(io.Writer) error) error {
	if file == "" {
		return write(m.Stdout)
	}
	return newFile(file, write)
}

func (m *Main) writeExport(x export, docs iter.Seq2[listing.Document, error]) error {
	switch x.form {
	case "tables":
		p, err := hsds.NewPackage(docs)
		if err != nil {
			return err
		}
		defer p.Close()
		if strings.EqualFold(filepath.Ext(x.file), ".zip") {
			return newFile(x.file, func(w io.Writer) error {
				z := zip.NewWriter(w)
				return errors.Join(p.Files(x.licence, z.Create), z.Close())
			})
		}
		return folderOf(p, x.file, x.licence)
	case "open-data":
		return openData(x, docs)
	}
	return m.toFile(x.file, func(w io.Writer) error {
		left, err := x.write(w, docs)
		if left > 0 {
			fmt.Fprintf(m.Stderr, "Note: %s too long or odd for a cell; left blank, so that taking the file in again keeps them.\n", count(left, "value is", "values are"))
		}
		return err
	})
}

// write writes what is one file. left is how many values fit no cell.
func (x *export) write(w io.Writer, docs iter.Seq2[listing.Document, error]) (left int, err error) {
	switch x.form {
	case "csv", "xlsx":
		fields, err := sheet.Columns(docs)
		if err != nil {
			return 0, err
		}
		if x.form == "xlsx" {
			return sheet.WriteWorkbook(w, fields, docs)
		}
		return sheet.WriteCSV(w, fields, docs, rune(x.separator[0]))
	}
	out := bufio.NewWriter(w)
	before, between, after := "", "\n", "\n"
	if x.form == "json" {
		before, between, after = "[\n", ",\n", "\n]\n"
	}
	n := 0
	out.WriteString(before)
	for d, err := range docs {
		if err != nil {
			return 0, err
		}
		if n++; n > 1 {
			out.WriteString(between)
		}
		if x.form == "jsonld" {
			l, _ := d.Listing()
			d = hsds.LinkedData(l)
		}
		if _, err := out.Write(d.JSON()); err != nil {
			return 0, err
		}
	}
	if n > 0 || x.form == "json" {
		out.WriteString(after)
	}
	return 0, out.Flush()
}

// folderOf writes a package into a new folder.
func folderOf(p *hsds.Package, dir, licence string) (err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("the folder cannot be made: %w", err)
	}
	var open []*os.File
	err = p.Files(licence, func(name string) (io.Writer, error) {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			open = append(open, f)
		}
		return f, err
	})
	for _, f := range open {
		err = errors.Join(err, f.Close())
	}
	return err
}

// openData writes everything that is public into one zip file, with what anybody
// needs to use and to check it.
func openData(x export, docs iter.Seq2[listing.Document, error]) error {
	whole := sha256.New()
	err := newFile(x.file, func(w io.Writer) error {
		z := zip.NewWriter(io.MultiWriter(w, whole))
		sums := map[string]string{}
		var order []string
		put := func(name string, write func(io.Writer) error) error {
			f, err := z.Create(name)
			if err != nil {
				return err
			}
			h := sha256.New()
			err = write(io.MultiWriter(f, h))
			sums[name] = hex.EncodeToString(h.Sum(nil))
			order = append(order, name)
			return err
		}
		for _, one := range []struct{ name, form string }{
			{"services.ndjson", "ndjson"}, {"services.jsonld", "jsonld"}, {"listings.csv", "csv"}, {"listings.xlsx", "xlsx"},
		} {
			y := x
			y.form = one.form
			if err := put(one.name, func(w io.Writer) error { _, err := y.write(w, docs); return err }); err != nil {
				return err
			}
		}
		p, err := hsds.NewPackage(docs)
		if err != nil {
			return err
		}
		defer p.Close()
		if err := put("tables/datapackage.json", func(w io.Writer) error { _, err := w.Write(p.DataPackage(x.licence)); return err }); err != nil {
			return err
		}
		for _, table := range p.Tables() {
			if err := put("tables/"+table, func(w io.Writer) error { return p.WriteTable(w, table) }); err != nil {
				return err
			}
		}
		if err := put("LICENCE.txt", func(w io.Writer) error { return licenceText(w, x.licence, docs) }); err != nil {
			return err
		}
		f, err := z.Create("SHA256SUMS")
		if err != nil {
			return err
		}
		for _, name := range order {
			fmt.Fprintf(f, "%s  %s\n", sums[name], name)
		}
		return z.Close()
	})
	if err != nil {
		return err
	}
	return newFile(x.file+".sha256", func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s  %s\n", hex.EncodeToString(whole.Sum(nil)), filepath.Base(x.file))
		return err
	})
}

// licenceText names the licence of the whole, and the listings whose texts have
// another one.
func licenceText(w io.Writer, licence string, docs iter.Seq2[listing.Document, error]) error {
	fmt.Fprintf(w, "Services in HSDS %s, as published on %s.\n\nLicence: %s\nIts text: https://spdx.org/licenses/%s.html\n",
		hsds.Version, time.Now().UTC().Format(time.DateOnly), licence, licence)
	others := false
	for d, err := range docs {
		if err != nil {
			return err
		}
		if own, _ := d["licence"].(string); own != "" && own != licence {
			if !others {
				fmt.Fprint(w, "\nThe texts of these services have a licence of their own:\n")
			}
			others = true
			fmt.Fprintf(w, "%v  %s\n", d["id"], plain(own))
		}
	}
	return nil
}
