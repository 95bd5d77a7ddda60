package api

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/listing"
)

// Countries is the answer of /api/countries.
type Countries struct {
	Countries []Country `json:"countries"` // by code
	Notice    string    `json:"notice,omitempty"`
}

// Country is one member and how its list stands here.
type Country struct {
	Country      string   `json:"country"` // ISO 3166-1 alpha-2
	Operator     string   `json:"operator"`
	OperatorType string   `json:"operator_type,omitempty"`
	Listings     int      `json:"listings"`              // that this node can show
	AsOf         string   `json:"as_of,omitempty"`       // when it last confirmed its list, RFC 3339 UTC, to the hour
	State        string   `json:"state"`                 // self, synced, behind, unconfirmed, frozen, suspended, quarantined, unknown
	RolledBack   bool     `json:"rolled_back,omitempty"` // its list went back to an earlier state because its key was misused
	Since        string   `json:"since,omitempty"`       // date, where the state has one
	Hidden       int      `json:"hidden"`                // listings that this node holds and does not show
	HiddenWhy    []Hiding `json:"hidden_why,omitempty"`
}

// Hiding says why listings are not shown.
type Hiding struct {
	Count   int      `json:"count,omitempty"` // how many; absent where it is about one
	Reason  string   `json:"reason"`
	Text    string   `json:"text,omitempty"`  // in their own words
	Local   bool     `json:"local"`           // decided by this node's operator alone, for this node
	By      []string `json:"by,omitempty"`    // countries that decided
	Since   string   `json:"since,omitempty"` // date
	Until   string   `json:"until,omitempty"` // date on which it ends unless it is confirmed; absent: it has no end
	Contact string   `json:"contact,omitempty"`
}

func hiding(h listing.Hiding) *Hiding {
	out := &Hiding{Reason: h.ReasonValue(), Text: h.Text, Local: h.Local, By: h.By, Contact: h.Contact}
	if !h.Since.IsZero() {
		out.Since = h.Since.UTC().Format(time.DateOnly)
	}
	if !h.Until.IsZero() {
		out.Until = h.Until.UTC().Format(time.DateOnly)
	}
	return out
}

func (a *API) countries(w http.ResponseWriter, r *http.Request) {
	answer := Countries{Countries: []Country{}}
	if a.opt.Demo {
		answer.Notice = demoNotice
	}
	for _, v := range a.opt.Catalog.Countries() {
		c := Country{
			Country: v.Code, Operator: v.Operator, OperatorType: v.OperatorType, Listings: v.Listings,
			State: v.State, RolledBack: v.RolledBack,
		}
		if !v.AsOf.IsZero() {
			c.AsOf = v.AsOf.UTC().Truncate(time.Hour).Format(time.RFC3339)
		}
		if !v.Since.IsZero() {
			c.Since = v.Since.UTC().Format(time.DateOnly)
		}
		for _, g := range v.Hidden {
			why := hiding(g.Hiding)
			why.Count, why.Text = g.Count, "" // each has words of its own
			c.Hidden += g.Count
			c.HiddenWhy = append(c.HiddenWhy, *why)
		}
		answer.Countries = append(answer.Countries, c)
	}
	slices.SortFunc(answer.Countries, func(a, b Country) int { return strings.Compare(a.Country, b.Country) })
	w.Header().Set("Cache-Control", "no-cache")
	a.write(w, r, answer)
}
