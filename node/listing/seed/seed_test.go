package seed_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/listing/seed"
)

var (
	date   = regexp.MustCompile(`^(\d{4}(-\d{2}(-\d{2})?)?)?$`)
	number = regexp.MustCompile(`[+0-9][0-9 /().-]{2,}[0-9]`)
)

// Every country has its proposal, no fact stands there as confirmed, and none
// can be published before somebody has made sure.
func TestProposals(t *testing.T) {
	want := []string{"BE", "CH", "CY", "CZ", "DE", "FI", "GB", "IT", "LT", "MT", "NL", "NO", "PL", "SE"}
	if got := seed.Countries(); !slices.Equal(got, want) {
		t.Fatalf("countries %v", got)
	}
	for _, country := range want {
		t.Run(country, func(t *testing.T) {
			p, err := seed.For(strings.ToLower(country))
			if err != nil || p.Country != country || p.Confirmed || p.About == "" || len(p.Languages) == 0 || len(p.Open) == 0 {
				t.Fatalf("%+v, %v", p, err)
			}
			topics := map[string]bool{}
			for _, f := range p.Facts {
				topics[f.Topic] = true
				if f.Text == "" || !date.MatchString(f.AsOf) || f.Source == "" && !strings.Contains(f.Text, "No service was found") && !strings.Contains(f.Text, "must be verified") {
					t.Errorf("a fact without its source: %+v", f)
				}
			}
			if !topics["partners"] || !topics["crisis"] || !topics["law"] || !topics["services"] && country != "FI" {
				t.Errorf("topics %v", topics)
			}
			d, err := listing.ParseJSON(p.Sheet)
			if err != nil {
				t.Fatal(err)
			}
			s, faults := d.Sheet()
			if len(faults) > 0 {
				t.Error(faults)
			}
			var paths []string
			for _, f := range s.CheckPublish(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)) {
				paths = append(paths, f.Path)
			}
			for _, must := range []string{"crisis_contacts[0].as_of", "law_notes[0].as_of", "law_notes[0].reviewed_by", "operator_statement[0].text", "notice_contact.value"} {
				if !slices.Contains(paths, must) {
					t.Errorf("%s could be published as it is: %q", must, paths)
				}
			}
			for _, c := range s.Crisis {
				if c.Value != "112" {
					t.Errorf("a number of which nobody made sure: %s", c.Value)
				}
			}
			for _, f := range p.Facts {
				for _, n := range number.FindAllString(f.Text, -1) {
					if n = strings.TrimSpace(n); !slices.Contains([]string{"116 111", "116 123", "112"}, n) && len(n) > 4 {
						t.Errorf("%q in %q looks like a telephone number", n, f.Text)
					}
				}
			}
		})
	}
	for _, country := range []string{"", "XX", "../seed", "US"} {
		if _, err := seed.For(country); !errors.Is(err, seed.ErrNoProposal) {
			t.Errorf("%q: %v", country, err)
		}
	}
}
