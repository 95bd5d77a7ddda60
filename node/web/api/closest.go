package api

import (
	"github.com/2ps-project/waymark/node/closest"
	"github.com/2ps-project/waymark/node/listing"
)

// Offer is one group of what comes closest where nothing was found; see
// package closest.
type Offer struct {
	Kind    string `json:"kind"` // fewer_words, cross_border, farther, fewer_filters, online
	Is      string `json:"is"`   // what the group is, a sentence in English
	LeftOut []Part `json:"left_out"`
	// UsableFrom are the places from which all of the group can be used; none = not asked.
	UsableFrom []string `json:"usable_from,omitempty"`
	Language   string   `json:"language,omitempty"` // of kind online
	Results    []Result `json:"results"`
}

// Part is a parameter of the question, with the values that were left out.
type Part struct {
	Parameter string   `json:"parameter"`
	Values    []string `json:"values"`
}

// CrisisContact is somebody to turn to in a crisis, as a country's sheet says. A
// value that nobody has confirmed for too long stands in UnconfirmedValue: it
// is not to be dialled or linked.
type CrisisContact struct {
	Country          string   `json:"country"`
	Kind             string   `json:"kind"`
	Type             string   `json:"type"`
	Value            string   `json:"value,omitempty"`
	UnconfirmedValue string   `json:"unconfirmed_value,omitempty"`
	Label            string   `json:"label,omitempty"`
	Languages        []string `json:"languages"`
	AsOf             string   `json:"as_of"` // when somebody made sure of it
	Freshness        string   `json:"freshness"`
}

var offerIs = map[closest.Kind]string{
	closest.FewerWords:   "These have some of the words that were asked for.",
	closest.CrossBorder:  "These are based in other countries and can be used from the country that was asked for.",
	closest.Farther:      "These are farther away than was asked for, the nearest first.",
	closest.FewerFilters: "These do not match all that was asked for: what is named was left out.",
	closest.Online:       "These are reached online or by phone, in the language that was asked for.",
}

func (w *writer) offers(list []closest.Offer) []Offer {
	out := make([]Offer, 0, len(list))
	for _, o := range list {
		x := Offer{Kind: string(o.Kind), Is: offerIs[o.Kind], LeftOut: make([]Part, 0, len(o.LeftOut)), UsableFrom: o.Places, Language: o.Language, Results: w.results(o.Hits)}
		for _, p := range o.LeftOut {
			x.LeftOut = append(x.LeftOut, Part{p.Name, p.Values})
		}
		if len(x.Results) > 0 {
			out = append(out, x)
		}
	}
	return out
}

// crisis are the contacts of the one country that a question is about.
func (w *writer) crisis() []CrisisContact {
	var country string
	switch {
	case len(w.q.UsableFrom) == 1:
		country = w.q.UsableFrom[0]
	case len(w.q.Countries) == 1:
		country = w.q.Countries[0]
	default:
		return nil
	}
	country = country[:2] // of a region its country
	p, ok := w.c.Sheet(country)
	if !ok || p.Sheet == nil {
		return nil
	}
	var out []CrisisContact
	for i := range p.Sheet.Crisis {
		c := &p.Sheet.Crisis[i]
		if len(out) == listing.MaxContacts || !c.Confirmed(w.clock.Now) {
			continue
		}
		f := c.Freshness(w.clock.Now, w.clock.Cadence)
		x := CrisisContact{
			Country: country, Kind: c.Kind, Type: c.Channel().Type, Value: c.Value, Label: c.Label, Languages: c.Languages,
			AsOf: c.AsOf, Freshness: string(f),
		}
		if x.Languages == nil {
			x.Languages = []string{}
		}
		if f == listing.Lapsed {
			if c.Kind == "emergency" {
				continue // a doubtful emergency number is worse than none
			}
			x.Value, x.UnconfirmedValue = "", c.Value
		}
		out = append(out, x)
	}
	return out
}
