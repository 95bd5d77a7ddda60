package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func (m *Main) searchCommand() *cobra.Command {
	var countries, languages, facets []string
	var page, perPage int
	var lat, lon, radius float64
	cmd := &cobra.Command{
		Use:   `search "words"`,
		Short: "Search the listings of all countries, as readers do",
		Long: `Search the listings of all countries, as readers do. Without words: everything.

Facets: audience, channel, anonymity, cost, format, freshness, age, open_now. The
same facet twice means either; different facets must all fit.`,
		Example: `  waymark search "chat" --country PL --language pl --facet anonymity=full`,
	}
	f := cmd.Flags()
	f.StringSliceVar(&countries, "country", nil, "only listings of these countries")
	f.StringSliceVar(&languages, "language", nil, "only services in these languages")
	f.StringArrayVar(&facets, "facet", nil, "only listings with this value: name=value")
	f.IntVar(&page, "page", 1, "page of the answer")
	f.IntVar(&perPage, "per-page", 20, "listings on a page, at most 100")
	f.Float64Var(&lat, "lat", 0, "latitude of a place, in degrees")
	f.Float64Var(&lon, "lon", 0, "longitude of the place")
	f.Float64Var(&radius, "radius-km", 0, "at most this far from the place, in kilometres")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form := url.Values{"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(perPage)}}
		if words := strings.TrimSpace(strings.Join(args, " ")); words != "" {
			form.Set("q", words)
		}
		for _, c := range countries {
			form.Add("country", strings.ToUpper(strings.TrimSpace(c)))
		}
		for _, l := range languages {
			form.Add("language", strings.TrimSpace(l))
		}
		for _, facet := range facets {
			name, value, ok := strings.Cut(facet, "=")
			if !ok || name == "" || value == "" {
				return usageError{fmt.Sprintf("--facet: %q is not name=value; write for example anonymity=full.", facet)}
			}
			form.Add(name, value)
		}
		for name, v := range map[string]float64{"lat": lat, "lon": lon, "radius-km": radius} {
			if cmd.Flags().Changed(name) {
				form.Set(strings.ReplaceAll(name, "-", "_"), strconv.FormatFloat(v, 'f', -1, 64))
			}
		}
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		answer, err := node.Search(cmd.Context(), form)
		if err != nil {
			return err
		}
		if out.json() {
			return printJSON(m.Stdout, answer)
		}
		return m.printAnswer(answer)
	}
	return cmd
}

// answer is what the text output shows of an answer of /api/search.
type answer struct {
	Total   int `json:"total"`
	Page    int `json:"page"`
	PerPage int `json:"per_page"`
	Results []struct {
		ID        string            `json:"id"`
		Country   string            `json:"country"`
		Name      string            `json:"name"`
		Languages []string          `json:"languages"`
		Freshness string            `json:"freshness"`
		Channels  []json.RawMessage `json:"channels"`
	} `json:"results"`
}

func (m *Main) printAnswer(raw json.RawMessage) error {
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return fmt.Errorf("the node's answer cannot be read: %w", err)
	}
	if a.Total == 0 {
		_, err := fmt.Fprintln(m.Stdout, "Nothing found.")
		return err
	}
	var rows [][]string
	for _, r := range a.Results {
		rows = append(rows, []string{r.Country, short(r.Name, 48), short(strings.Join(r.Languages, " "), 16), short(channelNames(r.Channels), 24), r.Freshness, r.ID})
	}
	if err := table(m.Stdout, []string{"COUNTRY", "NAME", "LANGUAGES", "CHANNELS", "FRESHNESS", "ID"}, rows); err != nil {
		return err
	}
	line := count(a.Total, "listing", "listings")
	if a.PerPage > 0 && a.Total > a.PerPage {
		line += fmt.Sprintf(", page %d of %d", a.Page, (a.Total+a.PerPage-1)/a.PerPage)
	}
	_, err := fmt.Fprintln(m.Stdout, "\n"+line)
	return err
}

// channelNames are the types of channels, given as texts or as objects.
func channelNames(channels []json.RawMessage) string {
	var names []string
	for _, raw := range channels {
		var c struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(raw, &c.Type) != nil {
			_ = json.Unmarshal(raw, &c) // neither: shown as nothing
		}
		if c.Type != "" {
			names = append(names, c.Type)
		}
	}
	return strings.Join(names, " ")
}
