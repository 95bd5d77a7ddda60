package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) policyCommand() *cobra.Command {
	return group("policy", "What the countries have agreed on for all of them", m.policyShowCommand(), m.policySetCommand(), m.policyActivateCommand(), m.policyClockCommand())
}

// policyMeaning says what the parts of the policy are, in the order in which they
// are shown.
var policyMeaning = []struct{ name, meaning string }{
	{"rules", "version of the registry's rules that holds; see: waymark policy activate"},
	{"approvals", "how many countries sign an admission, a policy or a vocabulary,"},
	{"majority_below", "once there are so many; while there are fewer, a majority does"},
	{"vote_days", "how long a proposal waits for signatures"},
	{"invitation_days", "how long an invitation may be open"},
	{"origins_per_country", "how many partners of one country can be members"},
	{"voters", "the most nodes that keep the registry: 1, 3 or 5"},
	{"takedown_days", "how long a hidden listing stays so unless that is confirmed"},
	{"erase_days", "within how many days what was erased is gone from every disk"},
	{"caretakers", "the most caretakers that a country may name"},
	{"languages", "in which labels and texts are to be had"},
	{"cadence", "after how many months a listing wants to be checked again, by kind"},
	{"lapse_after", "after how many times that its contacts are no longer offered"},
	{"large_change", "from when on a change needs a second signature"},
	{"heads", "what one country's feed may ask of the others"},
}

func (m *Main) policyShowCommand() *cobra.Command {
	return ask(m, &cobra.Command{
		Use: "show", Short: "Show the policy", Args: noArgs,
		Long: `Show the policy of the federation.

To change it: waymark policy show -o json > FILE, edit FILE, then
waymark policy set FILE --dry-run.`,
	}, func(ctx context.Context, node *control.Client, _ []string) (control.Policy, error) {
		return node.Policy(ctx)
	}, m.showPolicy)
}

func (m *Main) showPolicy(p control.Policy) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var values map[string]any
	if err := json.Unmarshal(b, &values); err != nil {
		return err
	}
	rows := make([][]string, 0, len(policyMeaning))
	for _, x := range policyMeaning {
		rows = append(rows, []string{x.name, value(values[x.name]), x.meaning})
	}
	return table(m.Stdout, []string{"NAME", "VALUE", "MEANING"}, rows)
}

// value writes a JSON value on one line.
func value(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		parts := make([]string, 0, len(v))
		for _, e := range v {
			parts = append(parts, value(e))
		}
		return strings.Join(parts, " ")
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+"="+value(v[k]))
		}
		return strings.Join(parts, " ")
	}
	return fmt.Sprint(v)
}

func (m *Main) policySetCommand() *cobra.Command {
	var in control.RulesRequest
	cmd := &cobra.Command{
		Use: "set FILE", Short: "Propose another policy",
		Long: `Propose another policy, signed for this country. It holds when enough countries have
signed, as many as the policy says that holds until then.

FILE is a JSON object with what is to be other than now; what it does not name stays.
The tables cadence and lapse_after are replaced whole. - reads standard input. When
anything is wrong, every fault is named and nothing is proposed.`,
		Args: args(cobra.ExactArgs(1), "one file"),
	}
	cmd.Flags().BoolVar(&in.DryRun, "dry-run", false, "propose nothing; tell what would be other than now")
	return ask(m, cmd, func(ctx context.Context, node *control.Client, args []string) (control.Proposed, error) {
		var err error
		if in.Document, err = m.readJSON(args[0], "policy"); err != nil {
			return control.Proposed{}, err
		}
		return node.PutPolicy(ctx, in)
	}, m.printProposed)
}

func (m *Main) policyActivateCommand() *cobra.Command {
	return ask(m, &cobra.Command{
		Use: "activate [VERSION]", Short: "Propose to go over to the next version of the registry's rules",
		Long: `Propose to go over to the next version of the registry's rules, signed for this
country. New kinds of decisions count from then on. A node whose program does not
know them stops following the registry there, says which version to install, and goes
on answering; nodes that keep the registry must all know them before.`,
		Args: args(cobra.MaximumNArgs(1), "at most one version"),
	}, func(ctx context.Context, node *control.Client, args []string) (control.Proposed, error) {
		version := uint64(0)
		if len(args) == 1 {
			var err error
			if version, err = strconv.ParseUint(args[0], 10, 32); err != nil || version == 0 {
				return control.Proposed{}, usageError{fmt.Sprintf("%q is no version of the rules; use a number.", args[0])}
			}
		}
		return node.ActivateRules(ctx, version)
	}, m.printProposed)
}

func (m *Main) policyClockCommand() *cobra.Command {
	return ask(m, &cobra.Command{
		Use: "clock", Short: "Propose to set the registry's time back after a wrong clock has moved it ahead", Args: noArgs,
		Long: `Propose to set the registry's time back to the clock of this machine, signed for this
country. That is needed when the only node that keeps the registry had a wrong clock:
invitations and contests would go by a time that has not come. Make sure that this
clock is right; the others compare before they sign.`,
	}, func(ctx context.Context, node *control.Client, _ []string) (control.Proposed, error) {
		return node.SetClock(ctx)
	}, m.printProposed)
}

// readJSON reads a document from a file, or from standard input for "-".
func (m *Main) readJSON(path, what string) (json.RawMessage, error) {
	b, err := m.readDocument(path)
	if err != nil {
		return nil, fmt.Errorf("the %s cannot be read: %w", what, err)
	}
	if !json.Valid(b) {
		return nil, &control.Error{Class: control.Usage, Code: "malformed", Message: fmt.Sprintf("This is no %s: it is not JSON.", what),
			Next: fmt.Sprintf("See its form with: waymark %s show -o json", what)}
	}
	return b, nil
}

// printProposed says what came of a proposal.
func (m *Main) printProposed(p control.Proposed) error {
	for _, c := range p.Changes {
		if err := m.say("- %s", c); err != nil {
			return err
		}
	}
	for _, note := range p.Notes {
		if err := m.say("Note: %s.", note); err != nil {
			return err
		}
	}
	switch {
	case len(p.Changes) == 0:
		return m.say("Nothing would be other than it is.")
	case p.DryRun:
		return m.say("Nothing was proposed: this was a dry run.")
	}
	for _, d := range p.Decisions {
		if d.InForce {
			if err := m.say("Signed by %s: in force.", strings.Join(d.Signed, ", ")); err != nil {
				return err
			}
			continue
		}
		if err := m.say("Signed by %s: %d of %d. The others sign with: waymark approval sign %s", strings.Join(d.Signed, ", "), len(d.Signed), d.Needed, d.ID[:16]); err != nil {
			return err
		}
	}
	return nil
}
