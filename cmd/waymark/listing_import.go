package main

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/hsds/sheet"
)

func (m *Main) listingImportCommand() *cobra.Command {
	var o control.ImportOptions
	var mapping string
	var suggest bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take listings in from HSDS JSON, JSON lines, a tabular folder or zip, CSV or XLSX",
		Long: `Take listings in from HSDS 3.2 JSON (one service or a list), JSON lines (one
service a line), the HSDS tabular package as a folder or a zip, or a spreadsheet.

A spreadsheet (CSV separated by commas, semicolons or tabs, in UTF-8, UTF-16 or
Windows-1250, 1252, 1253 or 1257; or XLSX) needs a mapping that says what its
columns mean, unless it came from listing export or listing template. A draft of
a mapping: waymark listing import FILE --suggest-mapping > mapping.toml. A blank
cell changes nothing. A row finds the listing that it made before by its id in the
source. Rows that may mean a listing under another id are shown and stay two.

Ids are kept. A listing that is here already is merged: absent fields stay as
they are, null clears. Facts that plain HSDS cannot say are taken in as "not
stated by the service"; waymark listing check names them.

When anything is wrong, every fault is named with its row, nothing is taken in,
and the exit code is 1.`,
		Args: args(cobra.ExactArgs(1), "one file or folder"),
	}
	f := cmd.Flags()
	f.BoolVar(&o.Publish, "publish", false, "publish what is taken in")
	f.BoolVar(&o.DryRun, "dry-run", false, "change nothing; tell what would be done")
	f.BoolVar(&o.SkipBad, "skip-bad", false, "take in the good rows although others are bad")
	f.BoolVar(&o.Replace, "replace", false, "replace listings instead of merging: absent fields are cleared")
	f.BoolVar(&o.RemoveMissing, "remove-missing", false, "remove this country's listings that are not in the file")
	f.StringVar(&mapping, "mapping", "", "what the columns of a spreadsheet mean (TOML file)")
	f.BoolVar(&suggest, "suggest-mapping", false, "print the draft of a mapping for the spreadsheet and take nothing in")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if suggest {
			return m.suggestMapping(args[0])
		}
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		rows, taken := hsds.Rows(args[0]), &sheet.Taken{}
		if isSheet(args[0], mapping) {
			if taken, err = m.takeSheet(args[0], mapping, o.Replace, ownListings(cmd.Context(), node, control.ExportOptions{})); err != nil {
				return err
			}
			defer taken.Close()
			rows = sheetRows(taken)
		}
		var said notes
		report, err := node.Import(cmd.Context(), controlRows(rows, &said), o)
		if err != nil {
			return err
		}
		m.printNotes(said)
		m.printDuplicates(taken.Duplicates)
		if out.json() {
			err = printJSON(m.Stdout, importOut{report, taken.Duplicates})
		} else {
			err = m.printReport(report, o)
		}
		if err == nil && len(report.Refused) > 0 && !o.SkipBad {
			return exitCode(exitError)
		}
		return err
	}
	return cmd
}

// importOut is the report as JSON.
type importOut struct {
	control.ImportReport
	Duplicates []sheet.Duplicate `json:"duplicates,omitempty"` // rows that may mean a listing that is there
}

// notes are what is to be said of rows although they are taken in: the first of it,
// and how much more there is. A package of another directory may give one for every row.
type notes struct {
	first []string
	more  int
}

// maxNotes is how many notes are shown.
const maxNotes = 20

func (n *notes) add(text string) {
	if len(n.first) == maxNotes {
		n.more++
		return
	}
	n.first = append(n.first, text)
}

func (m *Main) printNotes(n notes) {
	for _, text := range n.first {
		fmt.Fprintf(m.Stderr, "Note: %s\n", text)
	}
	if n.more > 0 {
		fmt.Fprintf(m.Stderr, "Note: and %d more like these.\n", n.more)
	}
}

// controlRows are the rows of a file as they go through the socket, and what is
// to be said about them.
func controlRows(rows iter.Seq2[hsds.Row, error], said *notes) iter.Seq2[control.Row, error] {
	return func(yield func(control.Row, error) bool) {
		for r, err := range rows {
			if err != nil {
				yield(control.Row{}, err)
				return
			}
			for _, f := range r.Notes {
				where := r.Where
				if f.Path != "" {
					where = f.Path // it names the row itself
				}
				said.add(plain(where) + ": " + plain(f.Message))
			}
			said.more += r.MoreNotes
			row := control.Row{Where: r.Where, Document: r.Raw}
			if r.Document != nil {
				row.Document = r.Document.JSON()
			}
			for _, f := range r.Faults {
				row.Faults = append(row.Faults, control.Fault{Path: f.Path, Code: f.Code, Message: f.Message})
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

func (m *Main) printReport(r control.ImportReport, o control.ImportOptions) error {
	rows := faultRows(r.Refused)
	if len(rows) > 0 {
		if err := table(m.Stdout, []string{"ROW", "FIELD", "WHAT IS WRONG"}, rows); err != nil {
			return err
		}
		if r.MoreRefused > 0 {
			fmt.Fprintf(m.Stdout, "and %d more\n", r.MoreRefused)
		}
		fmt.Fprintln(m.Stdout)
	}
	if len(rows) > 0 && !o.SkipBad {
		_, err := fmt.Fprintln(m.Stdout, "Nothing was taken in. Correct the rows, or take in the others with --skip-bad.")
		return err
	}
	for _, c := range r.Changes {
		fmt.Fprintf(m.Stdout, "%s %s  %s\n", c.Kind, plain(c.ID), short(c.Name, 60))
		for _, f := range c.Fields {
			fmt.Fprintf(m.Stdout, "  %s: %s → %s\n", plain(f.Path), short(orNothing(f.Before), 80), short(orNothing(f.After), 80))
		}
	}
	if r.MoreChanges > 0 {
		fmt.Fprintf(m.Stdout, "and %d more\n", r.MoreChanges)
	}
	if o.DryRun {
		fmt.Fprint(m.Stdout, "Would be: ")
	}
	_, err := fmt.Fprintf(m.Stdout, "%d added, %d changed, %d unchanged, %d removed, %d published.\n", r.Added, r.Changed, r.Unchanged, r.Removed, r.Published)
	return err
}

// faultRows are the lines of the table of faults. What is wrong in the same way in
// many rows stands there once: it is mended once, in the mapping or in the column.
func faultRows(refused []control.Refusal) (rows [][]string) {
	type fault struct{ path, message string }
	const named = 8 // rows that are named
	at := map[fault]int{}
	more := map[fault][]string{}
	for _, f := range refused {
		key := fault{f.Path, f.Message}
		if _, there := at[key]; there {
			more[key] = append(more[key], f.Row[strings.LastIndexByte(f.Row, ' ')+1:])
			continue
		}
		at[key] = len(rows)
		rows = append(rows, []string{f.Row, f.Path, f.Message})
	}
	for key, others := range more {
		line := rows[at[key]]
		rows := "rows"
		if len(others) == 1 {
			rows = "row"
		}
		line[2] += fmt.Sprintf(" The same in %d more %s: %s", len(others), rows, strings.Join(others[:min(len(others), named)], ", "))
		if len(others) > named {
			line[2] += ", …"
		}
	}
	return rows
}

func orNothing(raw json.RawMessage) string {
	if raw == nil {
		return "nothing"
	}
	return string(raw)
}
