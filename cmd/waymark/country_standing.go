package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) countrySuspendCommand() *cobra.Command {
	return m.ruleCommand(control.RuleSuspend, &cobra.Command{
		Use: "suspend COUNTRY", Short: "Silence another country until it is resumed",
		Long: `Silence another country until it is resumed, for example because somebody else may
have its machine. It takes effect everywhere as soon as enough countries have signed,
also while the shared registry cannot be changed: its nodes are cut off, nothing that
it publishes is taken, its signatures count for nothing and its node keeps no vote.
Its list stays where it is, and pages say that it is as it was. Give the same command
on another country's node, or sign it there with "waymark approval sign".`,
	})
}

func (m *Main) countryResumeCommand() *cobra.Command {
	return m.ruleCommand(control.RuleResume, &cobra.Command{
		Use: "resume COUNTRY", Short: "End the suspension of a country",
		Long: `End the suspension of a country. It needs as many signatures as the suspension did.
What the country has published meanwhile is taken in then.`,
	})
}

func (m *Main) countryExpelCommand() *cobra.Command {
	return m.ruleCommand(control.RuleExpel, &cobra.Command{
		Use: "expel COUNTRY", Short: "Put another country out for good",
		Long: `Put another country out for good. It needs the signatures of two thirds of all other
countries, those that are suspended counted in, and of two at least. It cannot be
lifted: the country comes back only as a newcomer, with an invitation. Its list stays
as it was, each entry with its date, and ages like any other; single entries can be
hidden with "waymark listing hide". Until it is clear what has happened, suspend.`,
	})
}

// ruleCommand makes a decision about another country's membership.
func (m *Main) ruleCommand(rule string, cmd *cobra.Command) *cobra.Command {
	in := control.MemberRuling{Rule: rule}
	cmd.Args = args(cobra.ExactArgs(1), "one country code")
	reason := "why: compromised, unreachable, misuse, unlawful, request, mistake, other"
	if rule != control.RuleResume {
		reason += "; required"
	}
	cmd.Flags().StringVar(&in.Reason, "reason", "", reason)
	cmd.Flags().StringVar(&in.Text, "text", "", "the same in words, for everybody")
	return ask(m, cmd, func(ctx context.Context, node *control.Client, args []string) (d control.Decision, err error) {
		if in.Country, err = countryArg(args[0]); err != nil {
			return d, err
		}
		return node.Rule(ctx, in)
	}, func(d control.Decision) error {
		if err := m.printDecision(d); err != nil || d.InForce {
			return err
		}
		return m.say("It takes effect when enough others have signed, with the same command or with: waymark approval sign %s", short(d.ID, 16))
	})
}

func (m *Main) countryWithdrawCommand() *cobra.Command {
	return ask(m, &cobra.Command{
		Use: "withdraw COUNTRY", Short: "Leave the federation with this country", Args: args(cobra.ExactArgs(1), "this country's own code"),
		Long: `Leave the federation with this country, at once and for good. Name the country, so
that it does not happen by mistake.

Its keys sign nothing any more, its nodes are cut off, and its invitations are
cancelled. What it has published stays at the others as it was, each entry with its
date, and ages like any other; pages say that the country no longer takes part. To
have it gone, first take it back: "waymark listing unpublish", or "waymark listing
erase" where every copy must go. This node goes on serving readers with what it has.
The country comes back only as a newcomer: a new node, and an invitation.`,
	}, func(ctx context.Context, node *control.Client, args []string) (control.Member, error) {
		country, err := countryArg(args[0])
		if err != nil {
			return control.Member{}, err
		}
		return node.Withdraw(ctx, country)
	}, func(c control.Member) error {
		return m.say("%s has withdrawn. Its %s stay at the others as they are now.", c.Country, count(c.Listings, "listing", "listings"))
	})
}
