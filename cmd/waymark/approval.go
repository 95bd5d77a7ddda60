package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) approvalCommand() *cobra.Command {
	listed := list(m, &cobra.Command{Use: "list", Short: "What countries decide together: waiting and in force", Args: noArgs},
		"Nothing waits, and nothing is in force.", []string{"ID", "WHAT", "COUNTRY", "LISTING", "REASON", "SIGNED", "STATE", "UNTIL"},
		func(d control.Decision) []string {
			return []string{short(d.ID, 16), d.Kind + map[bool]string{true: " lifted"}[d.Off], d.Country, d.Listing, d.Reason, signed(d), standing(d), until(d)}
		},
		func(ctx context.Context, node *control.Client, _ []string) ([]control.Decision, error) {
			return node.Decisions(ctx)
		})

	sign := ask(m, &cobra.Command{
		Use: "sign ID", Short: "Sign a decision for this country", Args: args(cobra.ExactArgs(1), "the id of a decision"),
		Long: `Sign a decision for this country. The first digits of its id are enough.

Look at what it says first: waymark approval show, waymark listing show.`,
	}, func(ctx context.Context, node *control.Client, args []string) (control.Decision, error) {
		return node.SignDecision(ctx, args[0])
	}, m.printDecision)

	show := ask(m, &cobra.Command{
		Use: "show ID", Short: "Show what a decision would change", Args: args(cobra.ExactArgs(1), "the id of a decision"),
	}, func(ctx context.Context, node *control.Client, args []string) (control.Decision, error) {
		all, err := node.Decisions(ctx)
		if err != nil {
			return control.Decision{}, err
		}
		for _, d := range all {
			if len(args[0]) >= 4 && strings.HasPrefix(d.ID, strings.ToLower(args[0])) {
				return d, nil
			}
		}
		return control.Decision{}, &control.Error{Class: control.Failed, Code: "no_decision", Message: fmt.Sprintf("No decision begins with %q.", args[0]), Next: "See them with: waymark approval list"}
	}, m.showDecision)

	var to string
	export := &cobra.Command{Use: "export ID", Short: "Write a decision to a file, to be signed elsewhere", Long: exportLong, Args: args(cobra.ExactArgs(1), "the id of a decision")}
	export.Flags().StringVar(&to, "file", "", "the new file; required")
	export.RunE = func(cmd *cobra.Command, args []string) error {
		return m.exportFile(cmd.Context(), to, func(ctx context.Context, node *control.Client) ([]byte, error) {
			return node.ExportDecision(ctx, args[0])
		})
	}

	imported := ask(m, &cobra.Command{Use: "import FILE", Short: "Take in a decision that was signed elsewhere", Args: args(cobra.ExactArgs(1), "one file")},
		func(ctx context.Context, node *control.Client, args []string) (control.Decision, error) {
			content, err := readSmall(args[0])
			if err != nil {
				return control.Decision{}, err
			}
			return node.ImportDecision(ctx, content)
		}, m.printDecision)
	return group("approval", "Decisions that several countries sign", listed, show, sign, export, imported)
}

const exportLong = `Write a decision to a file.

A decision about one country (a hidden listing, a suspension) is written with the
signatures that it has; another country takes it in, signs it and writes it again.
Of an admission, and of a change of the rules for all (policy, vocabulary), the file
is this country's signature: take it in where the others can be reached.`

func (m *Main) showDecision(d control.Decision) error {
	if err := m.say("%s%s, from %s, signed by %s: %s.", d.Kind, map[bool]string{true: " lifted"}[d.Off], d.Country, signed(d), standing(d)); err != nil {
		return err
	}
	for _, line := range []string{d.Listing, d.Reason, d.Text} {
		if line != "" {
			if err := m.say("  %s", line); err != nil {
				return err
			}
		}
	}
	for _, c := range d.Changes {
		if err := m.say("- %s", c); err != nil {
			return err
		}
	}
	for _, o := range d.Objected {
		if err := m.say("Against it: %s", o); err != nil {
			return err
		}
	}
	return nil
}

func (m *Main) printDecision(d control.Decision) error {
	if d.InForce {
		return m.say("Signed by %s: in force.", strings.Join(d.Signed, ", "))
	}
	return m.say("Signed by %s: %d of %d.", strings.Join(d.Signed, ", "), len(d.Signed), d.Needed)
}

func signed(d control.Decision) string {
	return strings.TrimSpace(fmt.Sprintf("%d of %d %s", len(d.Signed), d.Needed, strings.Join(d.Signed, ",")))
}

func standing(d control.Decision) string {
	if d.InForce {
		return "in force"
	}
	return "waiting"
}

func until(d control.Decision) string {
	if d.Until == nil {
		return "no end"
	}
	return d.Until.UTC().Format(time.DateOnly)
}
