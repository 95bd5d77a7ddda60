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
	var countries, languages, usableFrom, facets []string
	var page, perPage int
	var order, snapshot string
	var professional, explain, together bool
	var lat, lon, radius float64
	cmd := &cobra.Command{
		Use:   `search "words"`,
		Short: "Search the listings of all countries, as readers do",
		Long: `Search the listings of all countries, as readers do. Without words: everything.

Facets: audience, channel, anonymity, cost, format, freshness, age, open_now. The
same facet twice means either; different facets must all fit.

--country asks where a service is based, --usable-from where somebody is who is to
use it. Where nothing fits, what comes closest is shown, each group named for what
it is. Pages of a list that changes meanwhile belong together with the same
--snapshot, which -o json tells.`,
		Example: `  waymark search "chat" --country PL --language pl --facet anonymity=full
  waymark search --usable-from MT --lat 35.9 --lon 14.5 --order distance --explain`,
	}
	f := cmd.Flags()
	f.StringSliceVar(&countries, "country", nil, "only listings of these countries")
	f.StringSliceVar(&languages, "language", nil, "only services in these languages")
	f.StringSliceVar(&usableFrom, "usable-from", nil, "only services that can be used from these countries or regions")
	f.StringArrayVar(&facets, "facet", nil, "only listings with this value: name=value")
	f.IntVar(&page, "page", 1, "page of the answer")
	f.IntVar(&perPage, "per-page", 20, "listings on a page, at most 100")
	f.Float64Var(&lat, "lat", 0, "latitude of a place, in degrees")
	f.Float64Var(&lon, "lon", 0, "longitude of the place")
	f.Float64Var(&radius, "radius-km", 0, "at most this far from the place, in kilometres")
	f.StringVar(&order, "order", "rank", "rank, distance (needs a place) or id")
	f.StringVar(&snapshot, "snapshot", "", "the list of an earlier answer, for its further pages")
	f.BoolVar(&professional, "professional", false, "also what is meant for professionals")
	f.BoolVar(&explain, "explain", false, "say of each why it stands where it stands")
	f.BoolVar(&together, "together", false, "companions stand with the one whose they are, and count as one; always so but in JSON")
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
		for _, c := range usableFrom {
			form.Add("usable_from", strings.ToUpper(strings.TrimSpace(c)))
		}
		for name, v := range map[string]string{"order": order, "snapshot": snapshot} {
			if v != "" {
				form.Set(name, v)
			}
		}
		for name, on := range map[string]bool{"professional": professional, "explain": explain, "together": together || !out.json()} {
			if on {
				form.Set(name, "true")
			}
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
	Total     int      `json:"total"`
	Places    int      `json:"places"`
	Page      int      `json:"page"`
	PerPage   int      `json:"per_page"`
	Results   []result `json:"results"`
	Words     int      `json:"words"`
	Matched   int      `json:"matched"`
	Corrected *struct {
		Text string `json:"text"`
	} `json:"corrected"`
	Instead []struct {
		Is      string `json:"is"`
		LeftOut []struct {
			Parameter string   `json:"parameter"`
			Values    []string `json:"values"`
		} `json:"left_out"`
		Results []result `json:"results"`
	} `json:"instead"`
	Crisis []struct {
		Country     string   `json:"country"`
		Kind        string   `json:"kind"`
		Value       string   `json:"value"`
		Unconfirmed string   `json:"unconfirmed_value"`
		Label       string   `json:"label"`
		Languages   []string `json:"languages"`
		AsOf        string   `json:"as_of"`
	} `json:"crisis"`
}

type result struct {
	ID          string            `json:"id"`
	Country     string            `json:"country"`
	Name        string            `json:"name"`
	Languages   []string          `json:"languages"`
	Freshness   string            `json:"freshness"`
	Channels    []json.RawMessage `json:"channels"`
	DistanceKM  *float64          `json:"distance_km"`
	Explanation string            `json:"explanation"`
	Companions  []result          `json:"companions"`
}

func (m *Main) printAnswer(raw json.RawMessage) error {
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return fmt.Errorf("the node's answer cannot be read: %w", err)
	}
	if a.Total == 0 {
		return m.printClosest(a)
	}
	var first []string
	switch {
	case a.Corrected != nil:
		first = []string{"No listing has all of these words as written. Shown is what is most like them: " + a.Corrected.Text, ""}
	case a.Matched < a.Words:
		first = []string{"Few listings have all of these words. Behind them are those that have some.", ""}
	}
	if err := m.sayLines(first); err != nil {
		return err
	}
	if err := m.printResults(a.Results); err != nil {
		return err
	}
	line := count(a.Total, "listing", "listings")
	if a.PerPage > 0 && a.Places > a.PerPage {
		line += fmt.Sprintf(", page %d of %d", a.Page, (a.Places+a.PerPage-1)/a.PerPage)
	}
	return m.sayLines([]string{"", line})
}

// printClosest shows what is offered where nothing was found.
func (m *Main) printClosest(a answer) error {
	lines := []string{"Nothing found."}
	if len(a.Crisis) > 0 {
		if err := m.sayLines(append(lines, "", "Whom to call in a crisis in "+a.Crisis[0].Country+":")); err != nil {
			return err
		}
		lines = nil
		var rows [][]string
		for _, c := range a.Crisis {
			value := c.Value
			if value == "" {
				value = "not confirmed: " + c.Unconfirmed
			}
			rows = append(rows, []string{c.Kind, value, short(c.Label, 48), strings.Join(c.Languages, " "), c.AsOf})
		}
		if err := table(m.Stdout, []string{"KIND", "CONTACT", "NAME", "LANGUAGES", "CHECKED"}, rows); err != nil {
			return err
		}
	}
	for _, o := range a.Instead {
		lines = append(lines, "", o.Is)
		var left []string
		for _, p := range o.LeftOut {
			left = append(left, p.Parameter+"="+strings.Join(p.Values, ","))
		}
		if len(left) > 0 {
			lines = append(lines, "Left out: "+short(strings.Join(left, " "), 200))
		}
		if err := m.sayLines(lines); err != nil {
			return err
		}
		if err := m.printResults(o.Results); err != nil {
			return err
		}
		lines = nil
	}
	return m.sayLines(lines)
}

// printResults shows companions under the one whose they are, and once.
func (m *Main) printResults(results []result) error {
	head := []string{"COUNTRY", "NAME", "LANGUAGES", "CHANNELS", "FRESHNESS", "ID"}
	far, why := false, false
	for _, r := range results {
		far, why = far || r.DistanceKM != nil, why || r.Explanation != ""
	}
	if far {
		head = append(head, "KM")
	}
	if why {
		head = append(head, "WHY")
	}
	var rows [][]string
	there := map[string]bool{}
	add := func(r result, mark string) {
		if there[r.ID] {
			return
		}
		there[r.ID] = true
		row := []string{r.Country, mark + short(r.Name, 48), short(strings.Join(r.Languages, " "), 16), short(channelNames(r.Channels), 24), r.Freshness, r.ID}
		if far {
			km := "-"
			if r.DistanceKM != nil {
				km = fmt.Sprintf("%.1f", *r.DistanceKM)
			}
			row = append(row, km)
		}
		if why {
			row = append(row, r.Explanation)
		}
		rows = append(rows, row)
	}
	for _, r := range results {
		add(r, "")
		for _, c := range r.Companions {
			add(c, "+ ")
		}
	}
	return table(m.Stdout, head, rows)
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
