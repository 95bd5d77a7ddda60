package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

const maxInvitation = 64 << 10 // bytes; a real one is under 1 kB

func (m *Main) joinCommand() *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "join INVITATION",
		Short: "Join a federation with an invitation: a file or a code",
		Long: `Join a federation with an invitation: a file or a code, or - for standard input.

Prints three numbers. Telephone the country that invited you, on a number that
you had before the invitation, and compare them: they must be the same on both
sides. The exit code is 0 once the request has been delivered.`,
		Args: args(cobra.MinimumNArgs(1), "an invitation: a file or a code"),
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "return only when this country is a member")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		// A code comes in groups; without quotes they are several arguments.
		invitation, err := m.readInvitation(strings.Join(args, " "))
		if err != nil {
			return err
		}
		c, err := m.load(nil)
		if err != nil {
			return err
		}
		node := control.NewClient(m.dir)
		defer node.Close()
		joined, err := node.Join(cmd.Context(), invitation, wait)
		running := !errors.Is(err, control.ErrNotRunning)
		if !running {
			joined, err = joinOffline(cmd.Context(), m.dir, c.Config, m.logger(c.Config), invitation)
			for err == nil && wait && !joined.Admitted {
				// Knocking again with the same invitation asks how it stands.
				if err = pause(cmd.Context(), 2*time.Second); err == nil {
					joined, err = joinOffline(cmd.Context(), m.dir, c.Config, m.logger(c.Config), invitation)
				}
			}
		}
		if err != nil {
			return err
		}
		if out.json() {
			return printJSON(m.Stdout, joined)
		}
		return m.printJoined(joined, running)
	}
	return cmd
}

func (m *Main) printJoined(j control.Joined, running bool) error {
	if err := table(m.Stdout, nil, [][]string{
		{"Federation", j.Federation},
		{"Invited by", j.Sponsor},
		{"Numbers", strings.Join(j.Numbers[:], " ")},
	}); err != nil {
		return err
	}
	fmt.Fprintf(m.Stdout, "\nTelephone %s, on a number that you had before the invitation, and compare the numbers.\n", plain(j.Sponsor))
	if j.Admitted {
		fmt.Fprintln(m.Stdout, "This country is a member.")
	} else {
		fmt.Fprintln(m.Stdout, "The request is delivered. It is now for the members to approve it.")
	}
	if !running {
		fmt.Fprintf(m.Stdout, "Next: waymark serve --dir %s\n", m.dir)
	}
	return nil
}

func (m *Main) readInvitation(arg string) (string, error) {
	read := func(r io.Reader) (string, error) {
		raw, err := io.ReadAll(io.LimitReader(r, maxInvitation+1))
		if err != nil {
			return "", fmt.Errorf("read the invitation: %w", err)
		}
		if len(raw) > maxInvitation {
			return "", &control.Error{Class: control.Usage, Code: "not_an_invitation", Message: "This is too large for an invitation.", Next: "Give the file that the inviting country made, or its code."}
		}
		return string(raw), nil
	}
	if arg == "-" {
		return read(m.Stdin)
	}
	f, err := os.Open(arg)
	switch {
	case err == nil:
		defer f.Close()
		return read(f)
	case strings.ContainsAny(arg, `/\.`): // codes hold none of these
		return "", fmt.Errorf("the invitation cannot be read: %w", err)
	}
	return arg, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
