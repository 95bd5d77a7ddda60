package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/2ps-project/waymark/config"
)

func (m *Main) root() *cobra.Command {
	root := group("waymark", "A federated directory of help: one node, one country")
	root.Long = `Waymark is a federated directory of help. Each country runs one node, which holds
its own listings, copies everybody else's, and answers from its own disk.

Try it:            waymark demo
Run a node:        waymark init, then found or join, then serve
Is all well?       waymark status

Exit codes: 0 done, 1 error, 2 wrong use, 3 working only in part, 4 refused by policy.`
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVar(&m.dir, "dir", m.defaultDir(), "the node's directory; also $WAYMARK_DIR")
	root.PersistentFlags().Lookup("dir").DefValue = "~/.local/share/waymark"
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		m.demoCommand(), m.initCommand(), m.foundCommand(), m.serveCommand(),
		m.inviteCommand(), m.joinCommand(), m.countryCommand(), m.nodeCommand(), m.approvalCommand(),
		m.listingCommand(), m.reportCommand(), m.searchCommand(), m.statusCommand(), m.vocabularyCommand(), m.policyCommand(),
		m.feedCommand(), m.indexCommand(), m.evidenceCommand(), m.bundleCommand(),
		m.configCommand(), m.keyCommand(), m.hsdsCheckCommand(), m.versionCommand(),
	)
	return root
}

// group is a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short}
	c.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var names []string
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		message := fmt.Sprintf("There is no command %q.", cmd.CommandPath()+" "+args[0])
		if near := config.Nearest(args[0], names); near != "" {
			message += fmt.Sprintf(" Did you mean: %s %s", cmd.CommandPath(), near)
		} else {
			message += fmt.Sprintf(" See: %s --help", cmd.CommandPath())
		}
		return usageError{message}
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := cmd.Help(); err != nil {
			return err
		}
		if cmd.HasParent() {
			return exitCode(exitUsage) // half a command: a script should notice
		}
		return nil
	}
	c.AddCommand(subs...)
	return c
}

// flagError says which flag was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	message := "This is not how " + cmd.CommandPath() + " is used: " + err.Error() + "."
	if word, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		message = fmt.Sprintf("%s has no flag --%s.", cmd.CommandPath(), word)
		if near := config.Nearest(word, names); near != "" {
			message += " Did you mean --" + near + "?"
		}
	}
	return usageError{message + " See: " + cmd.CommandPath() + " --help"}
}

// args wraps a cobra rule about arguments so that breaking it is wrong use.
func args(rule cobra.PositionalArgs, want string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if rule(cmd, given) == nil {
			return nil
		}
		return usageError{fmt.Sprintf("%s takes %s. Use: waymark %s", cmd.CommandPath(), want, strings.TrimPrefix(cmd.UseLine(), "waymark "))}
	}
}

var noArgs = args(cobra.NoArgs, "no arguments, only flags")
