package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

// ask makes cmd ask the running node and show the answer: as JSON with -o json,
// otherwise by show.
func ask[T any](m *Main, cmd *cobra.Command, get func(context.Context, *control.Client, []string) (T, error), show func(T) error) *cobra.Command {
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		answer, err := get(cmd.Context(), node, args)
		if err != nil {
			return err
		}
		if out.json() {
			return printJSON(m.Stdout, answer)
		}
		return show(answer)
	}
	return cmd
}

// list is ask for answers that are lists: a table, or a sentence when there is
// nothing. In JSON an empty list is [].
func list[T any](m *Main, cmd *cobra.Command, none string, head []string, row func(T) []string, get func(context.Context, *control.Client, []string) ([]T, error)) *cobra.Command {
	return ask(m, cmd, func(ctx context.Context, node *control.Client, args []string) ([]T, error) {
		all, err := get(ctx, node, args)
		if all == nil {
			all = []T{}
		}
		return all, err
	}, func(all []T) error {
		if len(all) == 0 {
			_, err := fmt.Fprintln(m.Stdout, none)
			return err
		}
		var rows [][]string
		for _, one := range all {
			rows = append(rows, row(one))
		}
		return table(m.Stdout, head, rows)
	})
}

// say shows a sentence.
func (m *Main) say(format string, a ...any) error {
	_, err := fmt.Fprintln(m.Stdout, plain(fmt.Sprintf(format, a...)))
	return err
}
