package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/listing/seed"
)

func (m *Main) countrySheetCommand() *cobra.Command {
	return group("sheet", "What a country says about itself: crisis contacts, its law, who runs its pages", m.sheetShowCommand(), m.sheetSetCommand())
}

func (m *Main) sheetShowCommand() *cobra.Command {
	var proposal bool
	cmd := &cobra.Command{
		Use:   "show [COUNTRY]",
		Short: "Show a country's sheet, this country's own by default",
		Long: `Show what a country says about itself and how old each part of it is.

With --proposal it shows what public sources say about a country, with date and
source, as a beginning for its sheet. Nobody has confirmed that. No node is needed.

To change the own sheet: waymark country sheet show -o json > FILE, edit FILE, then
waymark country sheet set FILE.`,
		Args: args(cobra.MaximumNArgs(1), "at most one country code"),
	}
	cmd.Flags().BoolVar(&proposal, "proposal", false, "what public sources say, not confirmed by the country")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		country := ""
		if len(args) > 0 {
			var err error
			if country, err = countryArg(args[0]); err != nil {
				return err
			}
		}
		if proposal {
			return m.showProposal(country, out.json())
		}
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		sheet, err := node.CountrySheet(cmd.Context(), country)
		if err != nil {
			return err
		}
		if out.json() {
			return printJSON(m.Stdout, sheet)
		}
		return m.showSheet(sheet)
	}
	return cmd
}

func (m *Main) showSheet(s control.CountrySheet) error {
	rows := make([][]string, 0, len(s.Facts))
	for _, f := range s.Facts {
		rows = append(rows, []string{short(f.What, 60), f.AsOf, f.Freshness})
	}
	if err := table(m.Stdout, []string{s.Country, "CONFIRMED", "FRESHNESS"}, rows); err != nil {
		return err
	}
	var sheet listing.Sheet
	if err := json.Unmarshal(s.Sheet, &sheet); err != nil {
		return fmt.Errorf("read the country sheet: %w", err)
	}
	for _, n := range sheet.Law {
		if err := m.paragraph("Law note ("+n.Language+", review due "+n.ReviewDue+")", n.Text); err != nil {
			return err
		}
	}
	for _, t := range sheet.Operator {
		if err := m.paragraph("Operator ("+t.Language+")", t.Text); err != nil {
			return err
		}
	}
	return nil
}

func (m *Main) paragraph(title, text string) error {
	_, err := fmt.Fprintf(m.Stdout, "\n%s\n  %s\n", plain(title), plain(text))
	return err
}

// showProposal shows what comes with the program. It asks no node.
func (m *Main) showProposal(country string, asJSON bool) error {
	if country == "" {
		return usageError{"Say for which country: " + strings.Join(seed.Countries(), ", ") + "."}
	}
	p, err := seed.For(country)
	if errors.Is(err, seed.ErrNoProposal) {
		return &control.Error{
			Class: control.Failed, Code: "no_proposal", Message: fmt.Sprintf("Nothing is known here about %s.", country),
			Next: "Take the form of another one: waymark country sheet show --proposal " + seed.Countries()[0] + " -o json",
		}
	}
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(m.Stdout, p)
	}
	if err := m.say("%s: %s", p.Country, p.About); err != nil {
		return err
	}
	for _, f := range p.Facts {
		date, source := f.AsOf, f.Source
		if date == "" {
			date = "no date"
		}
		if source == "" {
			source = "no source"
		}
		if err := m.paragraph(f.Topic+" ("+date+"; "+source+")", f.Text); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(m.Stdout, "\nTo find out before it can be published:"); err != nil {
		return err
	}
	for _, q := range p.Open {
		if err := m.say("- %s", q); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(m.Stdout, "\nNext: waymark country sheet show --proposal %s -o json > FILE, fill it in, then waymark country sheet set FILE\n", p.Country)
	return err
}

func (m *Main) sheetSetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set FILE",
		Short: "Publish this country's sheet, in place of the last one",
		Long: `Publish what this country says about itself, in place of what it has said before.

FILE is a JSON object: the sheet itself, or what "waymark country sheet show -o json"
prints, of which the member "sheet" is taken. - reads standard input. Everything in
it is public. Nothing is published if anything is missing or too old; every fault is
named at once.`,
		Args: args(cobra.ExactArgs(1), "one file"),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		document, err := m.readSheet(args[0])
		if err != nil {
			return err
		}
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		sheet, err := node.PutCountrySheet(cmd.Context(), document)
		if err != nil {
			return err
		}
		if out.json() {
			return printJSON(m.Stdout, sheet)
		}
		if err := m.say("Published. The pages of %s show it now, those of the other countries as soon as it reaches them.", sheet.Country); err != nil {
			return err
		}
		return m.showSheet(sheet)
	}
	return cmd
}

// readSheet reads a sheet from a file, or from standard input.
func (m *Main) readSheet(path string) (json.RawMessage, error) {
	from := m.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("the sheet cannot be read: %w", err)
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, listing.MaxJSON+1))
	if err != nil {
		return nil, fmt.Errorf("the sheet cannot be read: %w", err)
	}
	doc, err := listing.ParseJSON(b)
	if err != nil {
		return nil, &control.Error{
			Class: control.Usage, Code: "malformed", Message: "This is no country sheet: " + err.Error() + ".",
			Next: "Give one JSON object. See its form with: waymark country sheet show --proposal COUNTRY -o json",
		}
	}
	if inner, ok := doc["sheet"].(map[string]any); ok {
		doc = inner
	}
	return doc.JSON(), nil
}
