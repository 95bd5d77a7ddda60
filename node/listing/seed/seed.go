// Package seed has what public sources say about the countries of the project: a
// beginning for each country's sheet, with the date and source of every fact and
// the questions that only the country can answer.
//
// Nothing of it is confirmed by a country and nothing of it is shown to a
// reader. A proposal is not fit to publish: its dates are empty until somebody
// has made sure.
package seed

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed *.json
var files embed.FS

// ErrNoProposal is returned for a country about which nothing is known here.
var ErrNoProposal = errors.New("there is no proposal for this country")

// Proposal is the beginning of a country's sheet.
type Proposal struct {
	Country   string          `json:"country"`   // ISO 3166-1 alpha-2
	Confirmed bool            `json:"confirmed"` // by the country: false
	About     string          `json:"about"`
	Languages []string        `json:"languages"` // BCP 47 tags of the country's languages; general knowledge, not checked
	Sheet     json.RawMessage `json:"sheet"`     // the sheet to fill in
	Facts     []Fact          `json:"facts"`
	Open      []string        `json:"open"` // what the country must find out
}

// Fact is what a public source says.
type Fact struct {
	Topic  string `json:"topic"` // crisis, law, partners, services, funding or terms
	Text   string `json:"text"`
	AsOf   string `json:"as_of"`  // as exact as the source: 2024-04-25, 2018-02 or 2014; empty: not known
	Source string `json:"source"` // empty: none was found
}

// Countries returns the codes of the countries that have a proposal, in
// alphabetical order.
func Countries() []string {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil // a constant pattern
	}
	for i, name := range names {
		names[i] = strings.ToUpper(strings.TrimSuffix(name, ".json"))
	}
	return names
}

// For returns the proposal for a country, or [ErrNoProposal].
func For(country string) (Proposal, error) {
	var p Proposal
	b, err := files.ReadFile(strings.ToLower(country) + ".json")
	if err != nil {
		return p, fmt.Errorf("%w: %q", ErrNoProposal, country)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("read the proposal for %s: %w", country, err)
	}
	return p, nil
}
