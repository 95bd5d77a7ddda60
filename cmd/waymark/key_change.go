package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) keyRotateCommand() *cobra.Command {
	return ask(m, &cobra.Command{
		Use: "rotate ROLE", Short: "Replace the publish or the admin key by a new one", Args: args(cobra.ExactArgs(1), "publish or admin"),
		Long: `Replace the publish or the admin key by a new one. The registry is told; what the
old key has signed stays good, and it signs nothing any more. For a key that may be
in somebody else's hands use waymark key revoke.`,
	}, func(ctx context.Context, node *control.Client, args []string) (control.KeyChange, error) {
		return node.RotateKey(ctx, args[0])
	}, m.printKeyChange)
}

func (m *Main) keyRevokeCommand() *cobra.Command {
	var in control.RevokeRequest
	cmd := &cobra.Command{
		Use: "revoke KEY", Short: "Withdraw a key that may be in somebody else's hands", Args: args(cobra.ExactArgs(1), "the id of a key, see: waymark key show"),
		Long: `Withdraw a key that may be in somebody else's hands.

For a publish key say which head was the last that you believe (--last-good, the
number after the dot under HEAD in waymark status). Every node goes back to that
head at once, from its own copies; this country gets a new key and goes on from
there. A key of another country is withdrawn when enough countries have signed; that
of a node, or the node's id, cuts that machine off everywhere within seconds.`,
	}
	cmd.Flags().Uint64Var(&in.LastGood, "last-good", 0, "number of the last head that is believed; for publish keys")
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why, for another country's key: compromised, misuse, unreachable, other")
	return ask(m, cmd, func(ctx context.Context, node *control.Client, args []string) (control.KeyChange, error) {
		in.Key = args[0]
		return node.RevokeKey(ctx, in)
	}, m.printKeyChange)
}

func (m *Main) printKeyChange(k control.KeyChange) error {
	switch {
	case k.Decision != nil:
		return m.printDecision(*k.Decision)
	case k.Due != nil:
		return m.say("Asked for. The new keys of %s are valid from %s on, unless somebody with its present admin key objects before. Leave the node running.", k.Country, k.Due.UTC().Format("2006-01-02 15:04 UTC"))
	case k.New == "":
		return m.say("The key %s of %s is withdrawn. The feed goes on in epoch %d.", k.Old, k.Country, k.Epoch)
	}
	return m.say("The %s key of %s is now %s; %s signs nothing any more.", k.Role, k.Country, k.New, k.Old)
}

func (m *Main) keySheetCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "recovery-sheet", Short: "Make a recovery key and write its only copy to a file to print", Args: noArgs,
		Long: `Make a recovery key and write its only copy to a file. Print it, put the paper into
a safe, and remove the file. With it, and only with it, this country can replace its
keys alone when all of them are lost. The sheet says how: waymark init --recover. A
new sheet makes an older one worthless.`,
	}
	cmd.Flags().StringVar(&to, "file", "", "the new file; required")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if to == "" {
			return usageError{"Say where to write the sheet: --file FILE."}
		}
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		err = newFile(to, func(w io.Writer) error {
			sheet, err := node.RecoverySheet(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(w, sheetText, sheet.Country, sheet.Federation, sheet.FederationID, sheet.Key, sheet.Country, sheet.Secret)
			return err
		})
		if err != nil {
			return err
		}
		return m.say("Written to %s. Print it, put the paper away safely, and remove the file.", to)
	}
	return cmd
}

const sheetText = `WAYMARK RECOVERY SHEET

Country     %s
Federation  %s
Its id      %s
Key         %s

Whoever has this sheet can speak for the country. Keep it in a safe, on paper,
away from the node. If the machine or the keys of the country are lost:

1. Ask the administrator of any other country for a ticket. They make it with
   waymark node ticket --country %s --file TICKET
2. Type this sheet into a file, and make a new machine:
   waymark init --ticket TICKET --recover SHEET-FILE --advertise HOST:PORT
3. Send them the file that this names, start the new node with waymark serve, and
   leave it running. After three days it takes the place of the lost one.

Secret      %s
`

func (m *Main) keyRecoverCommand() *cobra.Command {
	return ask(m, &cobra.Command{
		Use: "recover FILE", Short: "Replace lost keys with the help of the recovery sheet", Args: args(cobra.ExactArgs(1), "the file of a recovery sheet"),
		Long: `Replace this country's admin and publish keys by new ones, signed with the recovery
key of the sheet, on a node that still runs: somebody else may have the keys, and they
are withdrawn. The change takes effect after 72 hours, in which somebody with the
present admin key can object. Where the machine or its key files are lost, make a new
one instead: waymark init --ticket TICKET --recover SHEET-FILE`,
	}, func(ctx context.Context, node *control.Client, args []string) (control.KeyChange, error) {
		content, err := readSmall(args[0])
		if err != nil {
			return control.KeyChange{}, err
		}
		secret, ok := sheetLine(content, "Secret")
		if !ok {
			return control.KeyChange{}, usageError{fmt.Sprintf("%s is no recovery sheet: it has no line that begins with Secret.", args[0])}
		}
		return node.RecoverKeys(ctx, secret)
	}, m.printKeyChange)
}

// sheetLine is what stands behind a label on a sheet, which may have been typed
// off the paper.
func sheetLine(sheet []byte, label string) (string, bool) {
	for line := range strings.Lines(string(sheet)) {
		line = strings.TrimSpace(line)
		if len(line) > len(label) && strings.EqualFold(line[:len(label)], label) {
			return strings.TrimSpace(line[len(label):]), true
		}
	}
	return "", false
}

func (m *Main) keyObjectCommand() *cobra.Command {
	return ask(m, &cobra.Command{
		Use: "object", Short: "Stop a change of this country's keys that somebody else has asked for", Args: noArgs,
	}, func(ctx context.Context, node *control.Client, _ []string) (control.KeyChange, error) {
		return node.ObjectKeys(ctx)
	},
		func(k control.KeyChange) error { return m.say("The keys of %s stay as they are.", k.Country) })
}
