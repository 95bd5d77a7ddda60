package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) foundCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   `found --name "Federation name"`,
		Short: "Found a federation, once, on purpose",
		Long: `Found a federation, once, on purpose, with this node's country as its first
member. The node must be stopped. Every other country joins with an invitation.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(name) == "" {
				return usageError{`--name: the name of the federation is missing. Use: waymark found --name "Federation name"`}
			}
			c, err := m.load(nil)
			if err != nil {
				return err
			}
			if control.Running(cmd.Context(), m.dir) {
				return &control.Error{Code: "node_running", Message: fmt.Sprintf("The node in %s is running; a federation is founded while it is stopped.", m.dir),
					Next: "Stop it, found the federation, start it again."}
			}
			if err := found(cmd.Context(), m.dir, c.Config, m.logger(c.Config), strings.TrimSpace(name)); err != nil {
				return err
			}
			_, err = fmt.Fprintf(m.Stdout, `The federation %q is founded; %s is its first member.

Next:
  waymark serve --dir %[3]s
  waymark invite XX --dir %[3]s   to invite the country XX, while the node runs
`, plain(strings.TrimSpace(name)), c.Country, m.dir)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the name of the federation (required)")
	return cmd
}
