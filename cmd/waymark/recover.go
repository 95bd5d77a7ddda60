package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

// recoverFlags say what is to be done besides looking.
type recoverFlags struct {
	sign, add string
	run       []string
}

func (m *Main) countryRecoverCommand() *cobra.Command {
	var f recoverFlags
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Let other countries keep the registry when most of its voters are lost for good",
		Long: `Let other countries keep the registry when most of its voters are lost for good.

Searching and publishing go on without them, and only changes of the registry
wait: if a lost machine can come back with its disk within days, wait.

  waymark country recover                          what would be done; changes nothing
  waymark country recover --sign FILE              write it to a new file, signed by this country
  waymark country recover --sign NEW --add FILE    add this country's signature to one
  waymark country recover --run FILE               carry it out, when enough have signed

Before you sign, read generation, last entry and voters to each other by
telephone. Sign no second recovery of the same generation. Run it within seven
days. Files that were signed apart are put together: --run ONE --run OTHER.`,
		Args: noArgs,
	}
	cmd.Flags().StringVar(&f.sign, "sign", "", "write the recovery with this country's signature to this new file")
	cmd.Flags().StringVar(&f.add, "add", "", "with --sign: the recovery that others have signed")
	cmd.Flags().StringArrayVar(&f.run, "run", nil, "carry out the recovery in this file; may be given again for more signatures")
	cmd.MarkFlagsMutuallyExclusive("sign", "run")
	cmd.MarkFlagsMutuallyExclusive("add", "run")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.add != "" && f.sign == "" {
			return usageError{"Say where to write the signed recovery: --sign NEW-FILE."}
		}
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		switch {
		case f.sign != "":
			return m.signRecovery(cmd.Context(), node, f, out.json())
		case len(f.run) > 0:
			return m.runRecovery(cmd.Context(), node, f.run, out.json())
		}
		return m.planRecovery(cmd.Context(), node, out.json())
	}
	return cmd
}

func (m *Main) planRecovery(ctx context.Context, node *control.Client, asJSON bool) error {
	p, err := node.PlanRecovery(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(m.Stdout, p)
	} else {
		err = m.printPlan(p)
	}
	if err == nil && p.Refused != nil {
		return p.Refused
	}
	return err
}

func (m *Main) printPlan(p control.RecoveryPlan) error {
	yes := map[bool]string{true: "yes", false: "no"}
	var rows [][]string
	var first []string
	for _, n := range p.Nodes {
		rows = append(rows, []string{n.Country, short(n.Node, 16), yes[n.Answers], fmt.Sprint(n.Seq), yes[n.OldVoter], yes[n.NewVoter]})
		if n.NewVoter {
			first = append(first, n.Country)
		}
	}
	if err := table(m.Stdout, []string{"COUNTRY", "NODE", "ANSWERS", "ENTRY", "VOTER", "WOULD VOTE"}, rows); err != nil {
		return err
	}
	lines := []string{"", fmt.Sprintf("Voters: %d of %d answer.", p.Answering, p.OldVoters)}
	if p.ConfirmedAt != nil {
		lines = append(lines, fmt.Sprintf("Last confirmed: entry %d, on %s.", p.Confirmed, p.ConfirmedAt.UTC().Format(time.RFC3339)))
	}
	lines = append(lines, "Superseded: "+superseded(p.Superseded))
	if p.Refused == nil {
		lines = append(lines,
			fmt.Sprintf("It would begin generation %d, kept by: %s.", p.Generation, strings.Join(first, ", ")),
			fmt.Sprintf("Signatures needed: %d of %d countries.", p.Needed, p.Members),
			"Nothing was changed. To go on: waymark country recover --sign FILE")
	}
	return m.sayLines(lines)
}

// sayLines shows lines in order; empty ones part them.
func (m *Main) sayLines(lines []string) error {
	for _, l := range lines {
		if err := m.say("%s", l); err != nil {
			return err
		}
	}
	return nil
}

func superseded(kinds []string) string {
	if len(kinds) == 0 {
		return "nothing, as far as this node knows."
	}
	return fmt.Sprintf("%d changes, to be made again: %s.", len(kinds), strings.Join(kinds, ", "))
}

func (m *Main) signRecovery(ctx context.Context, node *control.Client, f recoverFlags, asJSON bool) error {
	var have []byte
	if f.add != "" {
		var err error
		if have, err = readSmall(f.add); err != nil {
			return err
		}
		if len(have) == 0 {
			return usageError{f.add + " is empty."}
		}
	}
	r, err := node.SignRecovery(ctx, have)
	if err != nil {
		return err
	}
	if err := newFile(f.sign, func(w io.Writer) error {
		_, err := w.Write(r.File)
		return err
	}); err != nil {
		return err
	}
	if asJSON {
		return printJSON(m.Stdout, r)
	}
	next := "Now run it with: waymark country recover --run " + f.sign
	if len(r.Signed) < r.Needed {
		next = "Send the file to another country, whose administrator adds a signature with: waymark country recover --sign NEW-FILE --add FILE"
	}
	return m.sayLines(append(recoveryLines(r), next))
}

// recoveryLines are what administrators read to each other.
func recoveryLines(r control.SignedRecovery) []string {
	var voters []string
	for _, v := range r.Voters {
		voters = append(voters, strings.TrimSpace(v.Country+" "+short(v.Node, 16)))
	}
	return []string{
		fmt.Sprintf("Generation %d, after entry %d (%s).", r.Generation, r.Confirmed, short(r.Hash, 16)),
		"Kept by: " + strings.Join(voters, ", ") + ".",
		fmt.Sprintf("Signed by %s: %d, of %d that are needed.", strings.Join(r.Signed, ", "), len(r.Signed), r.Needed),
	}
}

func (m *Main) runRecovery(ctx context.Context, node *control.Client, paths []string, asJSON bool) error {
	var files [][]byte
	for _, path := range paths {
		b, err := readSmall(path)
		if err != nil {
			return err
		}
		files = append(files, b)
	}
	r, err := node.RunRecovery(ctx, files)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(m.Stdout, r)
	}
	return m.sayLines(append(recoveryLines(r), "Done. Superseded: "+superseded(r.Superseded), "Changes are possible again when waymark status names a leader, within half a minute."))
}
