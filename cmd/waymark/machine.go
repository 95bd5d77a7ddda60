package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) nodeCommand() *cobra.Command {
	return group("node", "The machines of this country", m.nodeListCommand(), m.nodeTicketCommand(), m.nodeAddCommand(), m.nodeTakeOverCommand(), m.nodeRemoveCommand())
}

func (m *Main) nodeListCommand() *cobra.Command {
	return list(m, &cobra.Command{Use: "list", Short: "The nodes of this country", Args: noArgs},
		"This country has no node.", []string{"NODE", "ROLE", "STATE", "VOTER", "ADDRESS", "ADMIN KEY"},
		func(n control.Machine) []string {
			state := "reachable"
			switch {
			case n.Here:
				state = "here"
			case !n.Reachable:
				state = "unreachable"
			}
			voter := "no"
			if n.Voter {
				voter = "yes"
			}
			return []string{n.Node, n.Role, state, voter, strings.Join(n.Addresses, ","), n.AdminKey}
		},
		func(ctx context.Context, node *control.Client, _ []string) ([]control.Machine, error) {
			return node.Machines(ctx)
		})
}

func (m *Main) nodeTicketCommand() *cobra.Command {
	var to, country string
	cmd := &cobra.Command{
		Use: "ticket", Short: "Write the file by which a further machine of a country is made", Args: noArgs,
		Long: `Write the file by which a further machine of a country is made: for a mirror beside
the node that publishes, or in the place of one that is lost. It is not secret and
gives no right. Without --country it is for this country; another country whose
machine is lost gets it from you with --country.`,
	}
	cmd.Flags().StringVar(&to, "file", "", "the new file; required")
	cmd.Flags().StringVar(&country, "country", "", "the country whose machine is to be made")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if country != "" {
			if country, err = countryArg(country); err != nil {
				return err
			}
		}
		if err := m.exportFile(cmd.Context(), to, func(ctx context.Context, node *control.Client) ([]byte, error) { return node.Ticket(ctx, country) }); err != nil {
			return err
		}
		return m.say("On the new machine: waymark init --ticket %s", to)
	}
	return cmd
}

func (m *Main) nodeAddCommand() *cobra.Command {
	return ask(m, &cobra.Command{
		Use: "add FILE", Short: "Take in what a further machine asks for", Args: args(cobra.ExactArgs(1), "the file machine.request of the new machine"),
		Long: `Take in what a further machine asks for, in the file machine.request of its directory.

A mirror is signed for by its own country, on the node that publishes. A machine that
takes the place of a lost one has been signed for with a key of its country, so a node
of any member may hand it to the shared registry. Bringing the file twice does no harm.`,
	}, func(ctx context.Context, node *control.Client, args []string) (control.MachineAdded, error) {
		content, err := readSmall(args[0])
		if err != nil {
			return control.MachineAdded{}, err
		}
		return node.AddMachine(ctx, content)
	}, func(a control.MachineAdded) error {
		switch {
		case a.In && a.As == enroll.AsMirror:
			return m.say("The machine %s is a mirror of %s. Start it there with: waymark serve", a.Node, a.Country)
		case a.In:
			return m.say("The machine %s is let in. It copies what was published, and then takes the place of the lost one of %s by itself.", a.Node, a.Country)
		case a.Due != nil:
			return m.say("Asked for. The machine %s is let in for %s on %s, and takes the place of the lost one by itself, unless somebody with its present admin key objects before. Leave it running.", a.Node, a.Country, a.Due.UTC().Format("2006-01-02 15:04 UTC"))
		}
		return m.say("The request of the machine %s is in the registry, and no change of the keys of %s waits any more: it was stopped, or something later took its place.", a.Node, a.Country)
	})
}

func (m *Main) nodeTakeOverCommand() *cobra.Command {
	without := false
	cmd := &cobra.Command{
		Use: "take-over", Short: "Let this mirror be the node that publishes", Args: noArgs,
		Long: `Let this mirror be the node that publishes for its country. It makes a publish key of
its own, the feed goes on in a new epoch, and the node that published becomes a mirror.
Stop editing there first: drafts stay where they are, published listings are given to
the editors here. With --without-old the node that published is struck off, and an
admin key that lay on it is withdrawn: it is lost.`,
	}
	cmd.Flags().BoolVar(&without, "without-old", false, "the node that published is lost: strike it off")
	return ask(m, cmd, func(ctx context.Context, node *control.Client, _ []string) (control.KeyChange, error) {
		return node.TakeOver(ctx, without)
	}, func(k control.KeyChange) error {
		return m.say("This node publishes for %s from now on, in epoch %d, in the place of %s.", k.Country, k.Epoch, k.Old)
	})
}

func (m *Main) nodeRemoveCommand() *cobra.Command {
	return ask(m, &cobra.Command{
		Use: "remove NODE", Short: "Strike a mirror of this country off", Args: args(cobra.ExactArgs(1), "the id of a node, or its beginning"),
		Long: `Strike a mirror of this country off, with the admin key that lies on it. It is cut off
everywhere within seconds.`,
	}, func(ctx context.Context, node *control.Client, args []string) (control.Machine, error) {
		return node.RemoveMachine(ctx, args[0])
	}, func(n control.Machine) error {
		if n.AdminKey == "" {
			return m.say("The node %s is struck off. If an admin key lay on it, withdraw that too: waymark key revoke", n.Node)
		}
		return m.say("The node %s is struck off, and its admin key %s signs nothing any more.", n.Node, n.AdminKey)
	})
}

func (m *Main) countryRekeyCommand() *cobra.Command {
	return ask(m, &cobra.Command{
		Use: "rekey FILE", Short: "Give a country that lost all its keys those of a new machine", Args: args(cobra.ExactArgs(1), "the file machine.request of the new machine"),
		Long: `Give a country that lost all its keys, and its recovery sheet, those of a new machine,
which its administrator has made with "waymark init --ticket TICKET --by-vote". The
file is machine.request of that machine. Telephone the administrator on a number that
you had before, and make sure that the file is theirs: whoever made it speaks for the
country afterwards. When enough countries have signed, it takes effect after 72 hours,
in which somebody with the present admin key can object. Give the same command with
the same file on another country's node, or sign there: waymark approval sign`,
	}, func(ctx context.Context, node *control.Client, args []string) (control.Decision, error) {
		content, err := readSmall(args[0])
		if err != nil {
			return control.Decision{}, err
		}
		return node.Rekey(ctx, content)
	}, func(d control.Decision) error {
		if d.InForce {
			return m.say("Signed by %s. The keys of %s change in 72 hours; see: waymark status", strings.Join(d.Signed, ", "), d.Country)
		}
		return m.printDecision(d)
	})
}

// initMachine makes a further machine of a member country.
func (m *Main) initMachine(c config.Config, ticket, recover string, byVote bool) error {
	switch {
	case ticket == "":
		return usageError{"--recover and --by-vote need a ticket: --ticket FILE. Any node of the federation writes one: waymark node ticket."}
	case recover != "" && byVote:
		return usageError{"--recover and --by-vote exclude each other."}
	}
	text, err := readSmall(ticket)
	if err != nil {
		return err
	}
	t, err := enroll.ParseTicket(text)
	if err != nil {
		return refusal(err)
	}
	if c.Country != "" && c.Country != t.Country {
		return usageError{fmt.Sprintf("The ticket is for a machine of %s, not of %s.", t.Country, c.Country)}
	}
	c.Country = t.Country
	if c.Operator == "" {
		c.Operator = t.Operator
	}
	if err := checkInit(c); err != nil {
		return err
	}
	var by *identity.Key
	if recover != "" {
		if by, err = recoveringKey(recover, t); err != nil {
			return err
		}
	}
	request, err := makeMachine(m.dir, c, t, recover != "" || byVote, by)
	if err != nil {
		return err
	}
	name := t.Name
	if t.Demo {
		name += " (demonstration: everything is fictional)"
	}
	if err := table(m.Stdout, nil, [][]string{{"Federation", name}, {"Its id", t.Federation.String()}, {"Country", c.Country}}); err != nil {
		return err
	}
	take := "waymark node add FILE, on the node that publishes"
	switch {
	case byVote:
		take = "waymark country rekey FILE, on nodes of enough other countries"
	case recover != "":
		take = "waymark node add FILE, on a node of any member country"
	}
	fmt.Fprintf(m.Stdout, `
The machine is made in %s. Compare the federation's id with what you know.

Next: have the file %s taken in, with
  %s
Then, or before: waymark serve --dir %[1]s
`, m.dir, request, take)
	for _, advice := range c.Advice() {
		fmt.Fprintln(m.Stdout, "Note: "+advice)
	}
	return nil
}

// recoveringKey reads a recovery sheet, or a copy of an admin key.
func recoveringKey(path string, t *enroll.Ticket) (*identity.Key, error) {
	if key, err := identity.LoadKey(path, identity.RoleAdmin); err == nil {
		return key, nil
	}
	content, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	secret, ok := sheetLine(content, "Secret")
	if !ok {
		return nil, usageError{fmt.Sprintf("%s is neither a recovery sheet, which has a line that begins with Secret, nor an admin key.", filepath.Base(path))}
	}
	if id, ok := sheetLine(content, "Its id"); ok && id != t.Federation.String() {
		return nil, refusal(enroll.Refuse(enroll.Foreign, "the sheet is for "+id+", the ticket for "+t.Federation.String()))
	}
	key, err := identity.RecoveryKey(secret)
	if err != nil {
		return nil, &control.Error{Class: control.Usage, Code: "mistyped", Message: "The secret of the sheet is not right: " + err.Error() + ".", Next: "Compare it with the paper and try again."}
	}
	return key, nil
}

// refusal is one of package enroll as the command line shows it.
func refusal(err error) error {
	var r *enroll.Refusal
	if !errors.As(err, &r) {
		return err
	}
	class := control.Usage
	if r.Code == enroll.TooOld {
		class = control.Refused
	}
	return &control.Error{Class: class, Code: string(r.Code), Message: r.Text, Next: r.Next}
}
