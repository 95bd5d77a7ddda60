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

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/node/control"
)

const maxInvitation = 64 << 10 // bytes; a real one is under 1 kB

func (m *Main) joinCommand() *cobra.Command {
	var wait bool
	var request string
	cmd := &cobra.Command{
		Use:   "join INVITATION",
		Short: "Join a federation with an invitation: a file or a code",
		Long: `Join a federation with an invitation: a file or a code, or - for standard input.

Prints three numbers. Telephone the country that invited you, on a number that
you had before the invitation, and compare them: they must be the same on both
sides. The exit code is 0 once the request has been delivered.

A node without a connection writes its request to a file, with --request. Somebody
carries it to the country that invited, which takes it in with "waymark country
knock". The answer comes back in a bundle: waymark bundle import.`,
		Args: args(cobra.MinimumNArgs(1), "an invitation: a file or a code"),
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "return only when this country is a member and, where the node runs, has copied the lists of the others")
	cmd.Flags().StringVar(&request, "request", "", "write the request to this new file, to be carried; needs no connection")
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
		if request != "" {
			if wait {
				return usageError{"--wait and --request exclude each other: the answer comes back in a bundle."}
			}
			return m.requestJoin(cmd.Context(), node, c.Config, invitation, request, out.json())
		}
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
		if err := m.printJoined(joined, running); err != nil || !running || !wait || !joined.Admitted {
			return err
		}
		return m.welcome(cmd.Context(), node)
	}
	return cmd
}

// requestJoin writes a request to be carried. A file that cannot be written changes
// nothing: made again, the request is the same.
func (m *Main) requestJoin(ctx context.Context, node *control.Client, c config.Config, invitation, path string, json bool) error {
	r, err := node.RequestJoin(ctx, invitation)
	running := !errors.Is(err, control.ErrNotRunning)
	if !running {
		r, err = requestOffline(m.dir, c, invitation)
	}
	if err != nil {
		return err
	}
	if err := newFile(path, func(w io.Writer) error {
		_, err := w.Write(r.File)
		return err
	}); err != nil {
		return err
	}
	if json {
		return printJSON(m.Stdout, r.Joined)
	}
	if err := m.printParties(r.Joined); err != nil {
		return err
	}
	fmt.Fprintf(m.Stdout, "The request is in %s. Have it carried to %s, where it is taken in with: waymark country knock FILE\n", plain(path), plain(r.Sponsor))
	if !running {
		fmt.Fprintf(m.Stdout, "Next: waymark serve --dir %s\n", m.dir)
	}
	fmt.Fprintln(m.Stdout, "The answer comes back in a bundle: waymark bundle import BUNDLE")
	return nil
}

// printParties says who asks whom, and what is to be compared.
func (m *Main) printParties(j control.Joined) error {
	name := j.Federation
	if j.Demo {
		name += " (demonstration: everything is fictional)"
	}
	rows := [][]string{{"Federation", name}, {"Its id", j.FederationID}, {"Invited by", j.Sponsor}}
	if j.Numbers[0] == "" { // it is a member; there is nothing left to compare
		return table(m.Stdout, nil, rows)
	}
	if err := table(m.Stdout, nil, append(rows, []string{"Numbers", strings.Join(j.Numbers[:], " ")})); err != nil {
		return err
	}
	_, err := fmt.Fprintf(m.Stdout, "\nTelephone %s, on a number that you had before the invitation, and compare the numbers.\n", plain(j.Sponsor))
	return err
}

func (m *Main) printJoined(j control.Joined, running bool) error {
	if err := m.printParties(j); err != nil {
		return err
	}
	switch {
	case j.Admitted:
		fmt.Fprintln(m.Stdout, "This country is a member.")
	case j.Needed > 0:
		fmt.Fprintf(m.Stdout, "The request is delivered. Approved by %d of %d countries.\n", j.Approvals, j.Needed)
	default:
		fmt.Fprintln(m.Stdout, "The request is delivered. It is now for the members to approve it.")
	}
	if j.Objections > 0 {
		fmt.Fprintf(m.Stdout, "%s spoke against it. Telephone %s and ask why.\n", count(j.Objections, "country", "countries"), plain(j.Sponsor))
	}
	if !running {
		fmt.Fprintf(m.Stdout, "Next: waymark serve --dir %s\n", m.dir)
	}
	return nil
}

// countryKnockCommand is join --request seen from the other side.
func (m *Main) countryKnockCommand() *cobra.Command {
	return ask(m, &cobra.Command{
		Use: "knock FILE", Short: "Take in a request to join that was carried here", Args: args(cobra.ExactArgs(1), "the file of a request"),
		Long: `Take in a request to join that was carried here, by a country without a connection
that this one has invited. Prints three numbers: telephone the newcomer, on a number
that you had before, and compare them. Then go on as with any other newcomer, and
send a bundle back when it is a member: waymark bundle export`,
	}, func(ctx context.Context, node *control.Client, args []string) (control.Pending, error) {
		file, err := readSmall(args[0])
		if err != nil {
			return control.Pending{}, err
		}
		return node.TakeRequest(ctx, file)
	}, func(p control.Pending) error {
		switch {
		case p.Admitted:
			return m.say("%s is a member. Send it the registry: waymark bundle export FILE", p.Country)
		case p.Numbers[0] == "":
			return m.say("%s has the approval of %s.", p.Country, approvals(p))
		}
		if err := table(m.Stdout, nil, [][]string{{"Country", p.Country}, {"Operator", operatorOf(p)}, {"Numbers", strings.Join(p.Numbers[:], " ")}}); err != nil {
			return err
		}
		_, err := fmt.Fprintf(m.Stdout, "\nTelephone the newcomer, on a number that you had before the invitation, and compare the numbers.\nNext: waymark country approve %s --numbers \"…\"\n", plain(p.Country))
		return err
	})
}

func (m *Main) countryObjectCommand() *cobra.Command {
	var reason string
	cmd := ask(m, &cobra.Command{
		Use: "object COUNTRY", Short: "Speak against a country that has knocked", Args: args(cobra.ExactArgs(1), "one country code"),
		Long: `Speak against a country that has knocked, with a reason that the other countries
and the newcomer's sponsor read. An objection stops nobody by itself: the others
decide. "waymark country approve" takes it back.`,
	}, func(ctx context.Context, node *control.Client, args []string) (control.Pending, error) {
		country, err := countryArg(args[0])
		if err != nil {
			return control.Pending{}, err
		}
		return node.Object(ctx, country, reason)
	}, func(p control.Pending) error {
		return m.say("Noted. Against %s: %s. It has the approval of %s.", p.Country, strings.Join(p.Objected, "; "), approvals(p))
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the other countries")
	return cmd
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
