package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) listingCommand() *cobra.Command {
	return group("listing", "The listings of this country",
		m.listingImportCommand(), m.listingListCommand(), m.listingShowCommand(), m.listingExportCommand(), m.listingTemplateCommand(), m.listingCheckCommand(),
		m.changeCommand("publish", "Publish listings; a refusal names everything that is missing", "Published", (*control.Client).Publish),
		m.changeCommand("unpublish", "Take listings back; they stay here as drafts", "Unpublished", (*control.Client).Unpublish),
		m.changeCommand("confirm", "Say that listings were looked at and are right today", "Confirmed", (*control.Client).Confirm),
		m.changeCommand("delete", "Delete listings; the stub that their readers need stays", "Deleted", (*control.Client).Delete),
		m.changeCommand("erase", "Delete listings with every copy that is kept for undoing, on every node", "Erased", (*control.Client).Erase),
		m.hideCommand(false), m.hideCommand(true), m.overlayCommand(),
	)
}

func (m *Main) listingListCommand() *cobra.Command {
	var f control.Filter
	cmd := &cobra.Command{Use: "list", Short: "List this country's listings, drafts included", Args: noArgs}
	cmd.Flags().StringVar(&f.Country, "country", "", "the published listings of another country instead")
	cmd.Flags().StringVar(&f.State, "state", "", "only draft, published, changed or deleted")
	return list(m, cmd, "No listings.", summaryHead, summaryRow, func(ctx context.Context, node *control.Client, _ []string) (_ []control.Summary, err error) {
		if f.Country != "" {
			if f.Country, err = countryArg(f.Country); err != nil {
				return nil, err
			}
		}
		return node.Listings(ctx, f)
	})
}

var summaryHead = []string{"ID", "COUNTRY", "STATE", "FRESHNESS", "CHECKED", "NAME"}

func summaryRow(l control.Summary) []string {
	return []string{l.ID, l.Country, l.State, l.Freshness, l.AssuredDate, short(l.Name, 60)}
}

func (m *Main) listingShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one listing with every field",
		Args:  args(cobra.ExactArgs(1), "one listing's id"),
	}
	return ask(m, cmd, func(ctx context.Context, node *control.Client, args []string) (json.RawMessage, error) {
		return node.Listing(ctx, args[0])
	}, func(doc json.RawMessage) error { return printDocument(m.Stdout, doc) })
}

// printDocument shows a document as an indented outline: one field a line, in the
// order of the document.
func printDocument(w io.Writer, doc json.RawMessage) error {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	out := bufio.NewWriter(w)
	if err := outline(out, dec, 0); err != nil {
		return fmt.Errorf("the listing cannot be shown: %w", err)
	}
	return out.Flush()
}

func outline(w *bufio.Writer, dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	indent := strings.Repeat("  ", depth)
	switch token {
	case json.Delim('{'):
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "\n%s%s:", indent, plain(fmt.Sprint(key)))
			if err := outline(w, dec, depth+1); err != nil {
				return err
			}
		}
		if _, err = dec.Token(); depth == 0 {
			fmt.Fprintln(w)
		}
		return err
	case json.Delim('['):
		for dec.More() {
			fmt.Fprintf(w, "\n%s-", indent)
			if err := outline(w, dec, depth+1); err != nil {
				return err
			}
		}
		_, err = dec.Token()
		return err
	case nil:
		fmt.Fprint(w, " none")
	default:
		fmt.Fprint(w, " "+plain(fmt.Sprint(token)))
	}
	return nil
}

func (m *Main) listingCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [ID…]",
		Short: "Say what is missing until listings are fit to publish",
		Long: `Say what is missing until listings are fit to publish: all of this country's, or
those that are named. The exit code is 1 when something is missing.`,
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		checked, err := node.Check(cmd.Context(), ids)
		if err != nil {
			return err
		}
		bad := 0
		for _, c := range checked {
			if len(c.Faults) > 0 {
				bad++
			}
		}
		if out.json() {
			if checked == nil {
				checked = []control.Checked{}
			}
			err = printJSON(m.Stdout, checked)
		} else {
			err = m.printChecked(checked, bad)
		}
		if err == nil && bad > 0 {
			return exitCode(exitError)
		}
		return err
	}
	return cmd
}

func (m *Main) printChecked(checked []control.Checked, bad int) error {
	for _, c := range checked {
		if len(c.Faults) == 0 {
			continue
		}
		fmt.Fprintf(m.Stdout, "%s  %s\n", plain(c.ID), short(c.Name, 60))
		var rows [][]string
		for _, f := range c.Faults {
			rows = append(rows, []string{"  " + f.Path, f.Message})
		}
		if err := table(m.Stdout, nil, rows); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(m.Stdout, "%s looked at, %d not fit to publish.\n", count(len(checked), "listing", "listings"), bad)
	return err
}

type change func(*control.Client, context.Context, []string) ([]control.Summary, error)

func (m *Main) changeCommand(name, short, done string, do change) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name + " ID…",
		Short: short,
		Long:  short + ".\n\nAll of the named listings or, on any fault, none of them.",
		Args:  args(cobra.MinimumNArgs(1), "the ids of one or more listings"),
	}
	return ask(m, cmd, func(ctx context.Context, node *control.Client, ids []string) ([]control.Summary, error) {
		all, err := do(node, ctx, ids)
		if all == nil {
			all = []control.Summary{}
		}
		return all, err
	}, func(all []control.Summary) error {
		return m.say("%s %s.", done, count(len(all), "listing", "listings"))
	})
}
