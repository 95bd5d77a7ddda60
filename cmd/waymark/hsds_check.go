package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/hsds/check"
)

func (m *Main) hsdsCheckCommand() *cobra.Command {
	var items, details int
	var strict bool
	cmd := &cobra.Command{
		Use:   "hsds-check URL",
		Short: "Check any HSDS 3 API: does it keep what the specification promises?",
		Long: `Check any HSDS 3 API, of this program or another: does it keep what the
specification promises? It reads every list to its end, fetches items one by one,
tries every filter alone and two together, and compares the answers with each other:
the arithmetic of pages, ids that stand twice, links that lead nowhere, what ndjson
leaves out. It only reads, one request after the other, and asks no other host.

URL is the root below which services stands. Exit codes: 0 it keeps every rule that it
must, 1 it breaks one or cannot be reached.`,
		Example: `  waymark hsds-check http://127.0.0.1:8100/hsds
  waymark hsds-check https://directory.example.org/hsds --strict -o json`,
		Args: args(cobra.ExactArgs(1), "the address of one API"),
	}
	cmd.Flags().IntVar(&items, "items", check.DefaultItems, "most items read of a list")
	cmd.Flags().IntVar(&details, "details", check.DefaultDetails, "most items of a list that are fetched one by one")
	cmd.Flags().BoolVar(&strict, "strict", false, "end with 1 also where only rules are broken that it should keep")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if items < 1 || details < 1 {
			return usageError{"--items and --details are at least 1."}
		}
		report, err := check.Run(cmd.Context(), check.Options{URL: args[0], Items: items, Details: details, Doing: func(what string) {
			if !out.json() {
				fmt.Fprintln(m.Stderr, "looking at "+what)
			}
		}})
		if err != nil {
			return err
		}
		if out.json() {
			err = printJSON(m.Stdout, report)
		} else {
			err = report.Write(m.Stdout)
		}
		if err == nil && (!report.Conforms() || strict && report.Warned > 0) {
			return exitCode(exitError)
		}
		return err
	}
	return cmd
}
