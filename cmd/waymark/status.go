package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "How the node and its federation are, and what to do",
		Long: `How the node and its federation are, and what to do.

The exit code is 0 when all is well and 3 when something needs you. Readers are
served in both cases.`,
		Args: noArgs,
	}
	out := formatFlag(cmd)
	noted := false
	cmd.Flags().BoolVar(&noted, "noted", false, "you have taken note of drafts that were lost: the alarm ends")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		if noted {
			if err := node.NoteLoss(cmd.Context()); err != nil {
				return err
			}
		}
		s, err := node.Status(cmd.Context())
		if err != nil {
			return err
		}
		if out.json() {
			err = printJSON(m.Stdout, s)
		} else {
			err = m.printStatus(s)
		}
		if err == nil && s.Degraded {
			return exitCode(exitDegraded)
		}
		return err
	}
	return cmd
}

func (m *Main) printStatus(s control.Status) error {
	light := "GREEN   all is well"
	switch {
	case s.Degraded:
		light = "RED     something needs you; readers are served"
		if s.DegradedReason != "" {
			light = "RED     " + s.DegradedReason
		}
	case len(s.Alarms) > 0:
		light = "YELLOW  working, with something to look at"
	}
	federation := s.Federation
	switch {
	case federation == "":
		federation = "none yet"
	case s.Demo:
		federation += " (demonstration: everything is fictional)"
	}
	fmt.Fprintln(m.Stdout, plain(light))
	rows := [][]string{
		{"Country", s.Country},
		{"Federation", federation},
		{"Listings", fmt.Sprintf("%d to show, %s of our own", s.Listings, count(s.Drafts, "draft", "drafts"))},
		{"Registry", registryLine(s.Registry)},
		{"Node", s.Node + " (" + s.Role + "), version " + s.Version},
	}
	if s.PublicURL != "" {
		rows = append(rows, []string{"Pages", s.PublicURL})
	}
	if err := table(m.Stdout, nil, rows); err != nil {
		return err
	}
	if len(s.Members) > 0 {
		fmt.Fprintln(m.Stdout)
		var rows [][]string
		for _, member := range s.Members {
			rows = append(rows, memberRow(member))
		}
		if err := table(m.Stdout, memberHead, rows); err != nil {
			return err
		}
	}
	for _, a := range s.Alarms {
		fmt.Fprintf(m.Stdout, "\n! %s\n  Next: %s\n", plain(a.Text), plain(a.Next))
	}
	if s.Federation == "" && !slices.ContainsFunc(s.Alarms, func(a control.Alarm) bool { return a.Code == "data_lost" || a.Code == "machine_waits" }) {
		fmt.Fprintf(m.Stdout, "\nNext: waymark found --name NAME or waymark join INVITATION, with --dir %s\n", m.dir)
	}
	return nil
}

func registryLine(r control.Registry) string {
	if r.Seq == 0 {
		return "none yet"
	}
	state := "changes are possible"
	if !r.Quorum {
		state = "no changes possible now"
	}
	line := fmt.Sprintf("entry %d, %s, %s", r.Seq, count(len(r.Voters), "voter", "voters"), state)
	if r.ConfirmedAt != nil {
		line += ", confirmed " + r.ConfirmedAt.UTC().Format(time.RFC3339)
	}
	return line
}

var memberHead = []string{"COUNTRY", "STATE", "LISTINGS", "HEAD", "AS OF", "OPERATOR"}

func memberRow(m control.Member) []string {
	head, asOf, state, listings := "none", "never", m.State, strconv.Itoa(m.Listings)
	if m.Head != nil {
		head = fmt.Sprintf("%d.%d", m.Head.Epoch, m.Head.N)
	}
	if m.Known != nil {
		head += fmt.Sprintf(" of %d.%d", m.Known.Epoch, m.Known.N)
	}
	if m.Copied != nil && m.Copied.Of > 0 {
		state += fmt.Sprintf(" %d%%", min(100*m.Copied.Records/m.Copied.Of, 99))
	}
	if m.Hidden > 0 {
		listings += fmt.Sprintf(" (%d hidden)", m.Hidden)
	}
	if m.AsOf != nil {
		asOf = m.AsOf.UTC().Format(time.RFC3339)
	}
	return []string{m.Country, state, listings, head, asOf, short(m.Operator, 40)}
}
