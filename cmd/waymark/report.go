package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

// reportCommand shows what readers said is wrong.
func (m *Main) reportCommand() *cobra.Command {
	listed := ask(m, &cobra.Command{
		Use: "list", Short: "Show what readers say is wrong with own listings", Args: noArgs,
		Long: `Show what readers say is wrong with own listings, whichever country's node they
told it to. Nothing is known about who said it. Reports are kept until they are
dropped, and for 30 days at most. Those told to other nodes come once a day.`,
	}, func(ctx context.Context, node *control.Client, _ []string) (control.Reports, error) {
		return node.Reports(ctx)
	}, m.printReports)

	drop := ask(m, &cobra.Command{
		Use: "drop ID...", Short: "Remove reports that were looked into", Args: args(cobra.MinimumNArgs(1), "the ids of reports"),
		Long: `Remove reports that were looked into, and those that cannot be read because the
key to which they were sealed is gone. "waymark report list" shows the ids. All are
removed, or none.`,
	}, func(ctx context.Context, node *control.Client, ids []string) (control.Dropped, error) {
		return node.DropReports(ctx, ids)
	}, func(d control.Dropped) error { return m.say("Dropped: %s.", count(d.Dropped, "report", "reports")) })
	return group("report", "What readers say is wrong with own listings", listed, drop)
}

func (m *Main) printReports(all control.Reports) error {
	if all.Unreadable > 0 {
		if err := m.say("%s cannot be read: sealed to a key that this node no longer has. Put the key back, or remove them with: waymark report drop ID...", count(all.Unreadable, "report", "reports")); err != nil {
			return err
		}
	}
	if len(all.Reports)+len(all.Locked) == 0 {
		return m.say("Nobody has reported a mistake.")
	}
	var rows [][]string
	for _, r := range all.Reports {
		rows = append(rows, []string{r.ID, r.Day, r.Choice, r.Listing, short(r.Name, 40), r.Text})
	}
	for _, r := range all.Locked {
		rows = append(rows, []string{r.ID, r.Day, "cannot be read", "", "", ""})
	}
	return table(m.Stdout, []string{"ID", "DAY", "WHAT", "LISTING", "NAME", "TEXT"}, rows)
}
