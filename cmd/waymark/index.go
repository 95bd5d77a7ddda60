package main

import (
	"github.com/spf13/cobra"
)

func (m *Main) indexCommand() *cobra.Command {
	rebuild := &cobra.Command{
		Use: "rebuild", Short: "Fill the search index anew from the stored listings", Args: noArgs,
		Long: `Fill the search index anew from the stored listings. Readers get answers
meanwhile from what is there. The node does this by itself where it finds the index
damaged or left by another version: this command is for when search seems wrong.`,
	}
	out := formatFlag(rebuild)
	rebuild.RunE = func(cmd *cobra.Command, _ []string) error {
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		bar := m.newBar()
		report, err := node.RebuildIndex(cmd.Context(), bar.show)
		bar.end()
		if err != nil {
			return err
		}
		if out.json() {
			return printJSON(m.Stdout, report)
		}
		return m.say("%s can be found. It took %s.", count(report.Listings, "listing", "listings"), report.Took)
	}
	return group("index", "The search index of this node", rebuild)
}
