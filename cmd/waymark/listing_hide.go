package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
)

// hideCommand is "listing hide", or "listing unhide" with off.
func (m *Main) hideCommand(off bool) *cobra.Command {
	in := control.HideRequest{Off: off}
	cmd := &cobra.Command{
		Use:   "hide ID",
		Short: "Stop showing a listing: on this node alone, or everywhere",
		Long: `Stop showing a listing, of any country.

With --local this node alone stops showing it, at once: for an operator who is
bound by law. Readers are told that it is hidden here, since when and why.

Without --local this country asks the others to hide it everywhere. It is hidden
on every node as soon as enough countries have signed (waymark approval list), even
while the registry cannot be changed, and shown again after two weeks unless that
is decided once more (--lasting). What is stored does not change.`,
		Args: args(cobra.ExactArgs(1), "one listing's id"),
	}
	if off {
		cmd.Use, cmd.Short, cmd.Long = "unhide ID", "Show a listing again that was hidden", ""
	}
	cmd.Flags().BoolVar(&in.Local, "local", false, "on this node only")
	if !off {
		cmd.Flags().StringVar(&in.Reason, "reason", "", "why: "+strings.Join(listing.Terms(listing.VocabularyHiding), ", "))
		cmd.Flags().BoolVar(&in.Lasting, "lasting", false, "confirm what is hidden already, without an end")
	}
	cmd.Flags().StringVar(&in.Text, "text", "", "a sentence about it; everybody can read it")
	return ask(m, cmd, func(ctx context.Context, node *control.Client, args []string) (control.Hidden, error) {
		in.ID = args[0]
		return node.Hide(ctx, in)
	}, func(h control.Hidden) error {
		where := "on every node that hears of it"
		if h.Local {
			where = "on this node"
		}
		switch {
		case h.Decision != nil && !h.Decision.InForce:
			return m.say("Signed: %d of %d countries. Until the others sign, nothing changes. They see it with: waymark approval list", len(h.Decision.Signed), h.Decision.Needed)
		case h.Hidden && !off:
			return m.say("Hidden %s.", where)
		case h.Hidden:
			return m.say("It stays hidden: something else hides it too. See: waymark approval list")
		}
		return m.say("Shown again %s.", where)
	})
}

func (m *Main) overlayCommand() *cobra.Command {
	var in control.OverlayRequest
	var expires string
	cmd := &cobra.Command{
		Use:   "overlay ID",
		Short: "Put a note of this country beside another country's listing",
		Long: `Put a note of this country beside another country's listing: does it work from
here, what does it cost, in which language? Readers see it with the name of this
country and its date. A country that the registry names as caretaker of another
may also sign alerts and a status while that country cannot.`,
		Args: args(cobra.ExactArgs(1), "one listing's id"),
	}
	cmd.Flags().StringVar(&in.Kind, "kind", "note", "note, alert or status")
	cmd.Flags().StringVar(&in.Language, "language", "", "the text's language, for example de")
	cmd.Flags().StringVar(&in.Text, "text", "", "what readers are told")
	cmd.Flags().StringVar(&in.Works, "works", "", "does it work from here: "+strings.Join(listing.Terms(listing.VocabularyWorks), ", "))
	cmd.Flags().StringVar(&in.Cost, "cost", "", "what it costs from here: "+strings.Join(listing.Terms(listing.VocabularyCost), ", "))
	cmd.Flags().StringSliceVar(&in.Languages, "languages", nil, "in which people from here are helped there, for example de,en")
	cmd.Flags().StringVar(&in.Status, "status", "", "with --kind status: what holds instead of the listing's own")
	cmd.Flags().StringVar(&expires, "expires", "90d", "how long it holds: 14d, 36h")
	cmd.Flags().BoolVar(&in.Remove, "remove", false, "take it back")
	return ask(m, cmd, func(ctx context.Context, node *control.Client, args []string) (control.Overlay, error) {
		life, err := parseExpiry(expires)
		if err != nil {
			return control.Overlay{}, err
		}
		in.ID, in.Expires = args[0], time.Now().Add(life).UTC()
		return node.Overlay(ctx, in)
	}, func(o control.Overlay) error {
		if in.Remove {
			return m.say("Taken back.")
		}
		return m.say("Published beside the listing until %s.", o.Expires.UTC().Format(time.DateOnly))
	})
}
