package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) feedCommand() *cobra.Command {
	check := &cobra.Command{
		Use: "check [COUNTRY]", Short: "Check what is stored against what was signed, and mend it", Args: args(cobra.MaximumNArgs(1), "at most one country code"),
		Long: `Check every stored record against what its country has signed: all countries, or
one. What is rotten is fetched again from the other countries' nodes. The node does
this by itself once a week. The exit code is 3 when something stays wrong.`,
	}
	out := formatFlag(check)
	check.RunE = func(cmd *cobra.Command, args []string) error {
		country := ""
		if len(args) == 1 {
			code, err := countryArg(args[0])
			if err != nil {
				return err
			}
			country = code
		}
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		found, err := node.CheckFeeds(cmd.Context(), country)
		if err != nil {
			return err
		}
		if found == nil {
			found = []control.FeedCheck{}
		}
		return m.printChecks(found, out.json())
	}
	takeBack := false
	begin := &cobra.Command{
		Use: "restart", Short: "Begin this country's feed anew from what this node holds", Args: noArgs,
		Long: `Begin this country's feed anew from what this node holds: after one number was
signed twice (a copy of the node, an old backup), or when the newest state is lost
for good. Every other node takes the new beginning and drops what contradicts it.
First make sure that no other copy of this node runs, and that this one holds what
readers should see: while others hold a newer state it is refused.`,
	}
	begin.Flags().BoolVar(&takeBack, "take-back", false, "also take back everywhere what others hold and this node does not")
	restart := ask(m, begin, func(ctx context.Context, node *control.Client, _ []string) (control.KeyChange, error) {
		return node.RestartFeed(ctx, takeBack)
	}, func(k control.KeyChange) error {
		return m.say("The feed of %s has begun anew: epoch %d.", k.Country, k.Epoch)
	})
	return group("feed", "The stored feeds of all countries", check, restart)
}

func (m *Main) printChecks(found []control.FeedCheck, asJSON bool) error {
	var rows [][]string
	bad := false
	for _, f := range found {
		result := "as signed"
		switch {
		case f.Mended:
			result = "was rotten, mended: " + f.Fault
		case !f.OK:
			bad, result = true, "ROTTEN: "+f.Fault+" Next: "+f.Next
		}
		rows = append(rows, []string{f.Country, strconv.FormatUint(f.Records, 10), f.Took, result})
	}
	var err error
	if asJSON {
		err = printJSON(m.Stdout, found)
	} else {
		err = table(m.Stdout, []string{"COUNTRY", "RECORDS", "TOOK", "RESULT"}, rows)
	}
	if err == nil && bad {
		return exitCode(exitDegraded)
	}
	return err
}
