package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/config"
)

func (m *Main) initCommand() *cobra.Command {
	var country, operator, kind, uses string
	var basePort int
	var advertise []string
	var ticket, recover string
	var byVote bool
	cmd := &cobra.Command{
		Use:   `init --country PL --operator "Name"`,
		Short: "Make a node: its keys and its configuration",
		Long: `Make a node: its keys and its configuration.

The directory must not hold a node yet. The keys in DIR/keys are this country's
voice: whoever has them can speak for it, and nobody can make them again.

A further machine of a country that is a member begins with a ticket, which any node
of the federation writes: waymark node ticket. With the ticket alone the machine asks
to be a mirror beside the one that publishes. To replace a machine that is lost, add
--recover with the file of the recovery sheet, or with a kept copy of keys/admin.key;
where all of that is lost, --by-vote, and the other countries decide.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			c := config.Default()
			c.Country = strings.ToUpper(strings.TrimSpace(country))
			c.Operator, c.OperatorUses = strings.TrimSpace(operator), strings.TrimSpace(uses)
			c.OperatorType = strings.TrimSpace(kind)
			c.Federation.Voter = true
			c.Federation.Advertise = advertise
			if basePort != 0 {
				if err := c.UseBasePort(basePort); err != nil {
					return usageError{"--base-port: " + err.Error()}
				}
				c.Federation.Listen = reachable(c.Federation.Listen, advertise)
			}
			if ticket != "" || recover != "" || byVote {
				return m.initMachine(c, ticket, recover, byVote)
			}
			if err := checkInit(c); err != nil {
				return err
			}
			if err := makeNode(m.dir, c); err != nil {
				return err
			}
			fmt.Fprintf(m.Stdout, `The node of %s is made in %s.
Keep a copy of %s in a safe place: the keys cannot be made again.

Next, one of:
  waymark found --name "Name of the federation" --dir %[2]s   to found a federation
  waymark join INVITATION --dir %[2]s                         to join one
Then: waymark serve --dir %[2]s
`, c.Country, m.dir, filepath.Join(m.dir, "keys"))
			for _, advice := range c.Advice() {
				fmt.Fprintln(m.Stdout, "Note: "+advice)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&country, "country", "", "ISO 3166-1 code of the country, two letters (required)")
	f.StringVar(&operator, "operator", "", "the organisation that runs the node (required)")
	f.StringVar(&kind, "operator-type", "", "what kind of organisation that is: "+strings.Join(config.OperatorTypes(), ", "))
	f.StringVar(&uses, "operator-uses", "", "hosting company, proxy and DNS provider, told to readers at the foot of every page")
	f.IntVar(&basePort, "base-port", 0, "use N for the public pages, N+1 admin, N+2 operations, N+6 federation, on 127.0.0.1")
	f.StringSliceVar(&advertise, "advertise", nil, "HOST:PORT by which the other countries reach this node (default with --base-port: 127.0.0.1:N+6)")
	f.StringVar(&ticket, "ticket", "", "make a further machine of a member country, by this file of waymark node ticket")
	f.StringVar(&recover, "recover", "", "with --ticket: take the place of a lost machine, by this file: the recovery sheet or a copy of keys/admin.key")
	f.BoolVar(&byVote, "by-vote", false, "with --ticket: the same where all keys and the sheet are lost; the other countries decide")
	return cmd
}

// reachable is the address to listen on so that the advertised ones lead to it:
// every address of the machine as soon as one of them is not this machine alone.
func reachable(listen string, advertise []string) string {
	_, port, err := net.SplitHostPort(listen)
	for _, a := range advertise {
		host, _, herr := net.SplitHostPort(a)
		ip := net.ParseIP(host)
		if err == nil && herr == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return net.JoinHostPort("", port)
		}
	}
	return listen
}

// checkInit turns what is wrong with the new configuration into words about
// flags.
func checkInit(c config.Config) error {
	flags := map[string]string{"country": "--country", "operator": "--operator", "operator_type": "--operator-type", "operator_uses": "--operator-uses", "federation.advertise": "--advertise"}
	var lines []string
	for _, f := range c.Check() {
		name := flags[f.Key]
		if name == "" {
			name = f.Key
		}
		message, _, _ := strings.Cut(f.Message, "; write for example")
		lines = append(lines, name+": "+message+".")
	}
	if len(lines) == 0 {
		return nil
	}
	return usageError{strings.Join(lines, "\n  ") + "\nUse: waymark init --country PL --operator \"Example Foundation\""}
}
