package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (m *Main) inviteCommand() *cobra.Command {
	var expires string
	cmd := &cobra.Command{
		Use:   "invite COUNTRY",
		Short: "Invite a country; prints the code of the invitation",
		Long: `Invite a country; prints the code of the invitation. The node must be running.

An invitation lets one country knock, once, until it expires. It admits nobody by
itself from the fourth country on. Hand the code or the file over on a way that
you trust.`,
		Args: args(cobra.ExactArgs(1), "one country code"),
	}
	cmd.Flags().StringVar(&expires, "expires", "", "how long it is valid: 14d, 36h (default: the federation's policy)")
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
		inv, err := node.Invite(cmd.Context(), country, expiry)
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
