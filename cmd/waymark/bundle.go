package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/federation/bundle"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) bundleCommand() *cobra.Command {
	c := group("bundle", "Carry the registry and feeds in a file, where no cable goes",
		m.bundleExportCommand(), m.bundleVerifyCommand(), m.bundleImportCommand())
	c.Long = `Carry the registry and feeds in one signed file, where no cable goes: to a node
without a connection, to a new one, or into a safe.

Nothing in a bundle is believed because of who brought it. Whoever takes it in
checks every signature and every record, as with what comes from other nodes.`
	return c
}

func (m *Main) bundleExportCommand() *cobra.Command {
	var o control.BundleOptions
	var since string
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the registry and the feeds that are here to a new file",
		Long: `Write the registry and the feeds that are here to a new file. What is in it is
public; drafts, private parts and keys are not in it.

With --since only what changed since an earlier bundle goes in: much smaller, and
of use only where that earlier one was taken in.`,
		Args: args(cobra.ExactArgs(1), "the name of the new file"),
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Countries, "countries", nil, "only the feeds of these countries: DE,PL")
	f.StringVar(&since, "since", "", "an earlier bundle: only what changed since")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for i, c := range o.Countries {
			code, err := countryArg(c)
			if err != nil {
				return err
			}
			o.Countries[i] = code
		}
		if since != "" {
			earlier, err := readManifest(since)
			if err != nil {
				return err
			}
			o.Since = earlier.Raw()
		}
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		if err := newFile(args[0], func(w io.Writer) error {
			if err := node.ExportBundle(cmd.Context(), w, o); err != nil {
				return err
			}
			if f, ok := w.(*os.File); ok {
				return f.Sync() // it may stand on a stick that is pulled out now
			}
			return nil
		}); err != nil {
			return err
		}
		return m.printExported(args[0], out.json())
	}
	return cmd
}

func readManifest(path string) (*bundle.Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the bundle cannot be read: %w", err)
	}
	defer f.Close()
	return bundle.ReadManifest(f)
}

// exported is what was written, as JSON.
type exported struct {
	File         string                `json:"file"`
	Bytes        int64                 `json:"bytes"`
	Federation   string                `json:"federation"`
	FederationID identity.FederationID `json:"federation_id"`
	Demo         bool                  `json:"demo"`
	RegistrySeq  uint64                `json:"registry_seq"`
	Feeds        []exportedFeed        `json:"feeds"`    // never null
	Left         []bundle.Left         `json:"left_out"` // never null
	Duty         string                `json:"duty"`
}

type exportedFeed struct {
	Country string `json:"country"`
	Epoch   uint64 `json:"epoch"`
	N       uint64 `json:"n"`
	Since   uint64 `json:"since,omitempty"` // a difference: it builds on this n
	Changes uint64 `json:"changes"`
}

func (m *Main) printExported(path string, json bool) error {
	made, err := readManifest(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	x := exported{
		File: path, Bytes: info.Size(), Federation: made.Name, FederationID: made.Federation, Demo: made.Demo,
		RegistrySeq: made.Registry.Seq, Feeds: []exportedFeed{}, Left: append([]bundle.Left{}, made.Left...), Duty: made.Duty,
	}
	for _, f := range made.Feeds {
		x.Feeds = append(x.Feeds, exportedFeed{f.Country, f.Place.Epoch, f.Place.N, f.Base.N, f.Changes})
	}
	if json {
		return printJSON(m.Stdout, x)
	}
	fmt.Fprintf(m.Stdout, "Wrote %s, %s: the registry up to entry %d and the feeds of %s.\n", plain(path), megabytes(x.Bytes), x.RegistrySeq, count(len(x.Feeds), "country", "countries"))
	if x.Demo {
		fmt.Fprintln(m.Stdout, "This is a demonstration: everything in it is fictional.")
	}
	var rows [][]string
	for _, f := range x.Feeds {
		what := "whole"
		if f.Since > 0 {
			what = fmt.Sprintf("since %d.%d", f.Epoch, f.Since)
		}
		rows = append(rows, []string{f.Country, fmt.Sprintf("%d.%d", f.Epoch, f.N), fmt.Sprint(f.Changes), what})
	}
	if len(rows) > 0 {
		if err := table(m.Stdout, []string{"COUNTRY", "HEAD", "RECORDS", "WHAT"}, rows); err != nil {
			return err
		}
	}
	m.printLeft(x.Left)
	_, err = fmt.Fprintf(m.Stdout, "\n%s\n", plain(x.Duty))
	return err
}

func (m *Main) printLeft(left []bundle.Left) {
	for _, l := range left {
		fmt.Fprintf(m.Stdout, "Left out: %s, %s\n", plain(l.Country), plain(l.Reason))
	}
}

func (m *Main) bundleVerifyCommand() *cobra.Command {
	var federation string
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a bundle; needs no node",
		Long: `Check a bundle: its own signature, the registry from its first entry on, and every
record of every feed. It needs no node and changes nothing.

That a bundle is right in itself does not say that it is of the federation you
mean: compare the id, or name it with --federation.`,
		Args: args(cobra.ExactArgs(1), "one file"),
	}
	federationFlag(cmd, &federation)
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := federationArg(federation)
		if err != nil {
			return err
		}
		f, err := os.Open(args[0])
		if err != nil {
			return fmt.Errorf("the bundle cannot be read: %w", err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return fmt.Errorf("the bundle cannot be read: %w", err)
		}
		bar := m.newBar()
		report, err := bundle.Check(cmd.Context(), f, info.Size(), bundle.ImportOptions{Federation: id, Progress: bar.show})
		bar.end()
		if err != nil {
			return err
		}
		return m.printBundle(*report, out.json())
	}
	return cmd
}

func (m *Main) bundleImportCommand() *cobra.Command {
	var o control.BundleImport
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Check a bundle and take in what is newer than here",
		Long: `Check a bundle and take in what is newer than here. While anything in it is wrong,
nothing is taken. What is here already stays as it is, so taking the same bundle
twice, or an old one, does no harm.

A node that belongs to no federation yet needs --federation: the id, from somebody
you trust, by telephone.

The exit code is 3 when a feed had to be set aside; the report says why.`,
		Args: args(cobra.ExactArgs(1), "one file"),
	}
	federationFlag(cmd, &o.Federation)
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "change nothing; tell what would be taken")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := federationArg(o.Federation); err != nil {
			return err
		}
		path, err := filepath.Abs(args[0])
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return fmt.Errorf("the bundle cannot be read: %w", err)
		}
		report, err := m.importBundle(cmd.Context(), path, o)
		if err != nil {
			return err
		}
		return m.printBundle(report, out.json())
	}
	return cmd
}

// importBundle has the running node read the file, which lies on its machine.
func (m *Main) importBundle(ctx context.Context, path string, o control.BundleImport) (control.BundleReport, error) {
	node, err := m.node()
	if err != nil {
		return control.BundleReport{}, err
	}
	defer node.Close()
	bar := m.newBar()
	defer bar.end()
	return node.ImportBundle(ctx, path, o, bar.show)
}

func federationFlag(cmd *cobra.Command, id *string) {
	cmd.Flags().StringVar(id, "federation", "", "id of the federation that it must be of, hexadecimal")
}

func federationArg(s string) (id identity.FederationID, err error) {
	if s == "" {
		return id, nil
	}
	if id, err = identity.ParseFederationID(s); errors.Is(err, identity.ErrBadID) {
		return id, usageError{fmt.Sprintf("--federation: %q is not the id of a federation; it has 32 hexadecimal digits. waymark status -o json shows it as federation_id.", s)}
	}
	return id, err
}

// outcomeWords say what became of a feed.
var outcomeWords = map[string]string{
	bundle.OutcomeTaken: "taken", bundle.OutcomeHeld: "here already", bundle.OutcomeAside: "set aside",
	bundle.OutcomeSound: "right", bundle.OutcomeSigned: "signed; the rest can be checked only where its base is",
}

func (m *Main) printBundle(r control.BundleReport, json bool) error {
	incomplete := r.RegistryReason != ""
	for _, f := range r.Feeds {
		incomplete = incomplete || f.Outcome == bundle.OutcomeAside
	}
	var err error
	if json {
		err = printJSON(m.Stdout, r)
	} else {
		err = m.printBundleText(r)
	}
	if err == nil && incomplete {
		return exitCode(exitDegraded)
	}
	return err
}

func (m *Main) printBundleText(r control.BundleReport) error {
	confirmed := "no word of its voters"
	if r.Confirmed != nil {
		confirmed = "confirmed " + r.Confirmed.UTC().Format(time.RFC3339)
	}
	registry := fmt.Sprintf("entry %d, %s", r.RegistrySeq, confirmed)
	if r.NewEntries > 0 {
		registry += fmt.Sprintf(", %d new here", r.NewEntries)
	}
	if r.RegistryReason != "" {
		registry += "; " + r.RegistryReason
	}
	name := r.Name
	if r.Demo {
		name += " (demonstration: everything is fictional)"
	}
	if err := table(m.Stdout, nil, [][]string{
		{"Federation", name}, {"Its id", r.Federation.String()},
		{"Made", r.Made + " by " + r.ExporterCountry + ", node " + r.Exporter.String()}, {"Registry", registry},
	}); err != nil {
		return err
	}
	var rows [][]string
	for _, f := range r.Feeds {
		word := outcomeWords[f.Outcome]
		if f.Outcome == bundle.OutcomeTaken && !r.Taken {
			word = "would be taken"
		}
		if f.Reason != "" {
			word += ": " + f.Reason
		}
		rows = append(rows, []string{f.Country, fmt.Sprintf("%d.%d", f.Epoch, f.N), fmt.Sprint(f.Records), fmt.Sprint(f.Changes), word})
	}
	if len(rows) > 0 {
		fmt.Fprintln(m.Stdout)
		if err := table(m.Stdout, []string{"COUNTRY", "HEAD", "RECORDS", "IN THE FILE", "WHAT BECAME OF IT"}, rows); err != nil {
			return err
		}
	}
	m.printLeft(r.Left)
	if r.RefusedItems > 0 {
		fmt.Fprintf(m.Stdout, "%s of evidence or decisions did not hold here.\n", count(r.RefusedItems, "piece", "pieces"))
	}
	_, err := fmt.Fprintf(m.Stdout, "\n%s\n", plain(r.Duty))
	return err
}

func megabytes(n int64) string {
	if n < 100_000 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// bar shows progress: on a terminal as a bar that is drawn over itself,
// elsewhere as one line for each stage.
type bar struct {
	w        io.Writer
	terminal bool
	stage    string
	drawn    int // percent, or -1
}

func (m *Main) newBar() *bar {
	b := &bar{w: m.Stderr, drawn: -1}
	if f, ok := m.Stderr.(*os.File); ok {
		info, err := f.Stat()
		b.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

var stageWords = map[string]string{bundle.StageCheck: "Checking", bundle.StageTake: "Taking in", control.StageIndex: "Indexing"}

// amount is what a stage has to do.
func amount(p control.Progress) string {
	if p.Stage == control.StageIndex {
		return count(int(p.Total), "listing", "listings")
	}
	return megabytes(p.Total)
}

const barWidth = 30

func (b *bar) show(p control.Progress) {
	if p.Stage != b.stage {
		b.end()
		b.stage = p.Stage
		if !b.terminal {
			fmt.Fprintf(b.w, "%s %s …\n", stageWords[p.Stage], amount(p))
		}
	}
	percent := 100
	if p.Total > 0 {
		percent = int(p.Done * 100 / p.Total)
	}
	if !b.terminal || percent == b.drawn {
		return
	}
	b.drawn = percent
	full := percent * barWidth / 100
	fmt.Fprintf(b.w, "\r%-9s [%s%s] %3d%%", stageWords[p.Stage], strings.Repeat("#", full), strings.Repeat(" ", barWidth-full), percent)
}

// end leaves the bar behind.
func (b *bar) end() {
	if b.terminal && b.drawn >= 0 {
		fmt.Fprintln(b.w)
	}
	b.drawn = -1
}
