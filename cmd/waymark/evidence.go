package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) evidenceCommand() *cobra.Command {
	listed := list(m, &cobra.Command{Use: "list", Short: "Feeds of which one number was signed twice", Args: noArgs},
		"No contradiction is known.", []string{"ID", "COUNTRY", "HEAD", "RECORDED", "STATE"},
		func(e control.Evidence) []string {
			state := "frozen"
			if e.Over {
				state = "over: the feed began anew"
			}
			recorded := "not yet"
			if e.Recorded {
				recorded = "in the registry"
			}
			return []string{e.ID, e.Country, strconv.FormatUint(e.Epoch, 10) + "." + strconv.FormatUint(e.N, 10), recorded, state}
		},
		func(ctx context.Context, node *control.Client, _ []string) ([]control.Evidence, error) {
			return node.Evidence(ctx)
		})

	var to string
	export := &cobra.Command{
		Use: "export ID", Short: "Write evidence to a file that anybody can check", Args: args(cobra.ExactArgs(1), "the id of a piece of evidence"),
		Long: `Write evidence to a file that anybody can check with this program, without a node:
the two heads, and the part of the registry that names the keys.`,
	}
	export.Flags().StringVar(&to, "file", "", "the new file; required")
	export.RunE = func(cmd *cobra.Command, args []string) error {
		return m.exportFile(cmd.Context(), to, func(ctx context.Context, node *control.Client) ([]byte, error) {
			return node.ExportEvidence(ctx, args[0])
		})
	}

	verify := &cobra.Command{
		Use: "verify FILE", Short: "Check evidence that somebody else has written; needs no node", Args: args(cobra.ExactArgs(1), "one file"),
	}
	var federation string
	verify.Flags().StringVar(&federation, "federation", "", "the id of the federation, from somebody you trust; required")
	verify.RunE = func(_ *cobra.Command, args []string) error {
		wanted, err := identity.ParseFederationID(federation)
		if err != nil {
			return usageError{"Name the federation's id with --federation; the line federation_id in waymark status -o json has it."}
		}
		content, err := readSmall(args[0])
		if err != nil {
			return err
		}
		found, err := docket.VerifyEvidence(content, wanted)
		if err != nil {
			return &control.Error{Class: control.Failed, Code: "bad_evidence", Message: "This proves nothing: " + err.Error() + ".", Next: "Ask for the file again."}
		}
		return m.say("It is true. In the federation %s, %s has signed number %d.%d of its feed twice: as %s and as %s.", found.Name, found.Country, found.A.Epoch, found.A.N, found.A.Hash, found.B.Hash)
	}
	return group("evidence", "Proofs that a feed was signed in two ways", listed, export, verify)
}

// maxSmall is how large a file of signatures or evidence may be.
const maxSmall = 16 << 20

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the file cannot be read: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err == nil && len(b) > maxSmall {
		err = fmt.Errorf("%s is larger than %d MiB", path, maxSmall>>20)
	}
	return b, err
}

// exportFile writes what the node hands out to a new file.
func (m *Main) exportFile(ctx context.Context, path string, get func(context.Context, *control.Client) ([]byte, error)) error {
	if path == "" {
		return usageError{"Say where to write it: --file FILE."}
	}
	node, err := m.node()
	if err != nil {
		return err
	}
	defer node.Close()
	content, err := get(ctx, node)
	if err != nil {
		return err
	}
	return newFile(path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// newFile writes a file that must not be there yet. It has another name until it
// is whole: one that was cut off stands in nobody's way.
func newFile(path string, write func(io.Writer) error) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("the file cannot be written: %s exists already", path)
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("the file cannot be written: %w", err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync() // a stick is pulled out soon
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		_ = os.Remove(part)
	}
	return err
}
