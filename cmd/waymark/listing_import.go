package main

import (
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
)

func (m *Main) listingImportCommand() *cobra.Command {
	var o control.ImportOptions
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take listings in from HSDS JSON, JSON lines, or a tabular folder or zip",
		Long: `Take listings in from HSDS 3.2 JSON (one service or a list), JSON lines (one
service a line), or the HSDS tabular package as a folder or a zip.

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
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		var notes []note
		report, err := node.Import(cmd.Context(), controlRows(hsds.Rows(args[0]), &notes), o)
		if err != nil {
			return err
		}
		m.printNotes(notes)
		if out.json() {
			err = printJSON(m.Stdout, report)
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

// note is something about a row that does not keep it from being taken in.
type note struct {
	where string
	fault listing.Fault
}

// maxNotes is how many notes are shown; a package of another directory may give
// one for every row.
const maxNotes = 20

func (m *Main) printNotes(notes []note) {
	for i, n := range notes {
		if i == maxNotes {
			fmt.Fprintf(m.Stderr, "Note: and %d more like these.\n", len(notes)-i)
			return
		}
		fmt.Fprintf(m.Stderr, "Note: %s: %s\n", plain(n.where), plain(n.fault.Message))
	}
}

// controlRows are the rows of a file as they go through the socket, and what is
// to be said about them.
func controlRows(rows iter.Seq2[hsds.Row, error], notes *[]note) iter.Seq2[control.Row, error] {
	return func(yield func(control.Row, error) bool) {
		for r, err := range rows {
			if err != nil {
				yield(control.Row{}, err)
				return
			}
			for _, f := range r.Notes {
				*notes = append(*notes, note{r.Where, f})
			}
			row := control.Row{Where: r.Where}
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
	var rows [][]string
	for _, f := range r.Refused {
		rows = append(rows, []string{f.Row, f.Path, f.Message})
	}
	if len(rows) > 0 {
		if err := table(m.Stdout, []string{"ROW", "FIELD", "WHAT IS WRONG"}, rows); err != nil {
			return err
		}
		fmt.Fprintln(m.Stdout)
	}
	switch {
	case len(rows) > 0 && !o.SkipBad:
		_, err := fmt.Fprintln(m.Stdout, "Nothing was taken in. Correct the rows, or take in the others with --skip-bad.")
		return err
	case o.DryRun:
		fmt.Fprint(m.Stdout, "Would be: ")
	}
	_, err := fmt.Fprintf(m.Stdout, "%d added, %d changed, %d unchanged, %d removed, %d published.\n", r.Added, r.Changed, r.Unchanged, r.Removed, r.Published)
	return err
}
