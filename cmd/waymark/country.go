package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) countryCommand() *cobra.Command {
	return group("country", "The countries of the federation", m.countryListCommand(), m.countrySheetCommand(), m.countryPendingCommand(), m.countryKnockCommand(), m.countryObjectCommand(), m.countryApproveCommand(), m.countrySuspendCommand(), m.countryResumeCommand(), m.countryWithdrawCommand(), m.countryExpelCommand(), m.countryRekeyCommand(), m.countryRecoverCommand())
}

func (m *Main) countryListCommand() *cobra.Command {
	return list(m, &cobra.Command{Use: "list", Short: "The members, and how far this node has each of them", Args: noArgs},
		"This node is not in a federation.", memberHead, memberRow,
		func(ctx context.Context, node *control.Client, _ []string) ([]control.Member, error) {
			s, err := node.Status(ctx)
			return s.Members, err
		})
}

func (m *Main) countryPendingCommand() *cobra.Command {
	return list(m, &cobra.Command{Use: "pending", Short: "The countries that have knocked", Args: noArgs},
		"Nobody has knocked.", []string{"COUNTRY", "SPONSOR", "NUMBERS", "APPROVED", "UNTIL", "OPERATOR"},
		func(p control.Pending) []string {
			return []string{p.Country, p.Sponsor, strings.Join(p.Numbers[:], " "), approvals(p), p.Expires.UTC().Format(time.DateOnly), short(operatorOf(p), 60)}
		},
		func(ctx context.Context, node *control.Client, _ []string) ([]control.Pending, error) {
			return node.Pending(ctx)
		})
}

func approvals(p control.Pending) string {
	return strings.TrimSpace(fmt.Sprintf("%d of %d %s", len(p.Approved), p.Needed, strings.Join(p.Approved, ",")))
}

func (m *Main) countryApproveCommand() *cobra.Command {
	var numbers string
	cmd := &cobra.Command{
		Use:   "approve COUNTRY",
		Short: "Sign the admission of a country that has knocked",
		Long: `Sign the admission of a country that has knocked.

Before you sign: telephone the newcomer on a number that you had before the
invitation, and compare the three numbers of "waymark country pending".`,
		Args: args(cobra.ExactArgs(1), "one country code"),
	}
	cmd.Flags().StringVar(&numbers, "numbers", "", `the numbers that the newcomer read out, "1234 5678 9012"; nothing is signed if they differ`)
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		country, err := countryArg(args[0])
		if err != nil {
			return err
		}
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		p, err := node.Approve(cmd.Context(), country, numbers)
		if err != nil {
			return err
		}
		if out.json() {
			return printJSON(m.Stdout, p)
		}
		if p.Admitted {
			_, err = fmt.Fprintf(m.Stdout, "%s is a member.\n", p.Country)
		} else {
			_, err = fmt.Fprintf(m.Stdout, "Signed. %s has the approval of %s.\n", p.Country, approvals(p))
		}
		return err
	}
	return cmd
}

func countryArg(arg string) (string, error) {
	code := strings.ToUpper(strings.TrimSpace(arg))
	if err := config.CheckCountry(code); err != nil {
		return "", usageError{err.Error() + "."}
	}
	return code, nil
}

// operatorOf is who wants to join, with the kind of organisation that it says it
// is: whoever approves signs both.
func operatorOf(p control.Pending) string {
	if p.OperatorType == "" {
		return p.Operator
	}
	return p.Operator + " (" + p.OperatorType + ")"
}
