package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) inviteCommand() *cobra.Command {
	var expires, sheet string
	cmd := &cobra.Command{
		Use:   "invite COUNTRY",
		Short: "Invite a country; prints the code of the invitation",
		Long: `Invite a country; prints the code of the invitation. The node must be running.

An invitation lets one country knock, once, until it expires. It admits nobody by
itself from the fourth country on. Hand the code, the file or the printed sheet
over on a way that you trust.

With --sheet also a page is written that is made for printing: the code in groups
and as a square to be read by a camera, until when it is valid, and what to do.`,
		Args: args(cobra.ExactArgs(1), "one country code"),
	}
	cmd.Flags().StringVar(&expires, "expires", "", "how long it is valid: 14d, 36h (default: the federation's policy)")
	cmd.Flags().StringVar(&sheet, "sheet", "", "also write the invitation to this new file, as one page to print (HTML)")
	cmd.AddCommand(m.inviteListCommand(), m.inviteCancelCommand())
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		country, err := countryArg(args[0])
		if err != nil {
			return err
		}
		expiry, err := parseExpiry(expires)
		if err != nil {
			return err
		}
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		var inv control.Invitation
		invite := func() error {
			inv, err = node.Invite(cmd.Context(), country, expiry)
			return err
		}
		if sheet == "" {
			err = invite()
		} else {
			err = newFile(sheet, func(w io.Writer) error { // nobody is invited when it cannot be written
				if err := invite(); err != nil {
					return err
				}
				return m.writeSheet(w, inv)
			})
		}
		if err != nil {
			return err
		}
		if out.json() {
			return printJSON(m.Stdout, inv)
		}
		_, err = fmt.Fprintln(m.Stdout, inv.Code)
		return err
	}
	return cmd
}

// writeSheet writes the sheet of an invitation that was just made.
func (m *Main) writeSheet(w io.Writer, made control.Invitation) error {
	text, err := readSmall(made.File)
	if err != nil {
		return err
	}
	i, err := enroll.Parse(string(text))
	if err != nil {
		return err
	}
	c, err := m.load(nil)
	if err != nil {
		return err
	}
	return printSheet(w, i, c.Config.Operator)
}

func (m *Main) inviteListCommand() *cobra.Command {
	return list(m, &cobra.Command{Use: "list", Short: "The invitations that this country has given out", Args: noArgs},
		"This country has invited nobody.", []string{"ID", "COUNTRY", "STATE", "UNTIL"},
		func(i control.Invited) []string {
			return []string{i.ID, i.Country, i.State, i.Expires.UTC().Format(time.RFC3339)}
		},
		func(ctx context.Context, node *control.Client, _ []string) ([]control.Invited, error) {
			return node.Invitations(ctx)
		})
}

func (m *Main) inviteCancelCommand() *cobra.Command {
	return ask(m, &cobra.Command{
		Use: "cancel ID|COUNTRY", Short: "Cancel an invitation; nobody can use it any more", Args: args(cobra.ExactArgs(1), "the id of an invitation, or a country"),
		Long: `Cancel an invitation; nobody can use it any more. Name it by its id, the beginning
of its id, or by its country if that has one open invitation.`,
	}, func(ctx context.Context, node *control.Client, args []string) (control.Invited, error) {
		return node.CancelInvitation(ctx, args[0])
	}, func(i control.Invited) error {
		return m.say("The invitation for %s is cancelled.", i.Country)
	})
}

// parseExpiry reads a duration that may be in days. Empty is zero.
func parseExpiry(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	var d time.Duration
	var err error
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if n, err = strconv.Atoi(days); err == nil && n <= 3650 {
			d = time.Duration(n) * 24 * time.Hour
		}
	} else {
		d, err = time.ParseDuration(text)
	}
	if err != nil || d <= 0 {
		return 0, usageError{fmt.Sprintf("--expires: %q is not a time to come; write for example 14d or 36h.", text)}
	}
	return d, nil
}
