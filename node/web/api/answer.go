package api

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/closest"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

// Catalog is what this package needs to know: answers from this node's own disk.
type Catalog interface {
	// Search answers one question. Its errors are those of package search.
	Search(ctx context.Context, q search.Query) (search.Answer, error)
	// Get returns what this node can show under an id, or listing.ErrNotFound;
	// what is held and not shown is a *listing.HiddenError.
	Get(ctx context.Context, id string) (listing.Published, error)
	// Whole returns all listings that answer a question, by country and id, and
	// the snapshot they were taken from.
	Whole(ctx context.Context, q search.Query) ([]search.Ref, string, error)
	// Keys returns what stands behind a prefix in the keys ([hsds.Keys]) of the
	// listings that answer a question: each once, sorted.
	Keys(ctx context.Context, q search.Query, prefix string) ([]string, string, error)
	// KeyOwner returns the first listing that has a key; false = none.
	KeyOwner(ctx context.Context, q search.Query, key string) (search.Ref, bool, error)
	// CountHidden counts the listings that this node holds and does not show: those of
	// some countries, in any case, or of all where none is given.
	CountHidden(countries []string) int
	// Countries returns every member, in any order.
	Countries() []listing.CountryView
	// Sheet returns what a country says about itself; false when there is
	// nothing, or nothing to be shown.
	Sheet(country string) (listing.PublishedSheet, bool)
}

// Answer is one page of an answer, as /api/search and `waymark search -o json`
// write it.
type Answer struct {
	Total     int                `json:"total"`            // listings that were found
	Places    int                `json:"places,omitempty"` // with together: results on all pages; companions that were found too stand within them
	Page      int                `json:"page"`
	PerPage   int                `json:"per_page"`
	Results   []Result           `json:"results"`
	Facets    map[string][]Count `json:"facets"`
	Words     int                `json:"words,omitempty"`     // of the question that were looked for
	Matched   int                `json:"matched,omitempty"`   // how many of them each result has at least
	Corrected *Corrected         `json:"corrected,omitempty"` // what was taken to be meant; nil = nothing was forgiven
	Instead   []Offer            `json:"instead,omitempty"`   // where nothing was found: what comes closest, each group named for what it is
	Crisis    []CrisisContact    `json:"crisis,omitempty"`    // where nothing was found: whom to call in the country that was asked for
	Snapshot  string             `json:"snapshot,omitempty"`  // asks for further pages of the same list
	Hidden    int                `json:"hidden"`              // listings that this node holds and does not show, of the countries asked for; /api/countries says why
	Notice    string             `json:"notice,omitempty"`    // that the data is invented, in a demonstration
}

// Count is how many listings of an answer have a value.
type Count struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// Result is one listing of an answer.
type Result struct {
	ID           string    `json:"id"`
	Country      string    `json:"country"`
	Name         string    `json:"name"`
	Organization string    `json:"organization,omitempty"`
	Summary      string    `json:"summary"`
	Languages    []string  `json:"languages"`
	Status       string    `json:"status"`
	Alert        string    `json:"alert,omitempty"`
	AsOf         string    `json:"as_of,omitempty"`        // when its country last confirmed its list, RFC 3339 UTC, to the hour
	AssuredDate  string    `json:"assured_date,omitempty"` // when the listing was last checked
	Freshness    string    `json:"freshness"`
	State        string    `json:"state,omitempty"`       // of its country's list, as in status: synced, unconfirmed, frozen, …
	RolledBack   bool      `json:"rolled_back,omitempty"` // that list went back to an earlier state because its key was misused
	Remarks      []Remark  `json:"remarks,omitempty"`     // what other countries say about it now
	Channels     []Channel `json:"channels"`
	OpenNow      string    `json:"open_now,omitempty"`    // true, false, not_stated
	DistanceKM   *float64  `json:"distance_km,omitempty"` // to its nearest place
	Why          []string  `json:"why,omitempty"`         // what put it where it is
	Explanation  string    `json:"explanation,omitempty"` // the same as a sentence, when asked for
	Highlight    *Marks    `json:"highlight,omitempty"`   // when asked for: where the words stand; nil = in neither
	Companions   []Result  `json:"companions,omitempty"`  // services that are shown with it or not at all
}

// Channel is one way of contact. A value that nobody has confirmed for too
// long stands in UnconfirmedValue: it is not to be dialled or linked.
type Channel struct {
	Type             string   `json:"type"`
	Value            string   `json:"value,omitempty"`
	UnconfirmedValue string   `json:"unconfirmed_value,omitempty"`
	Languages        []string `json:"languages"`
	Anonymity        string   `json:"anonymity"`
	Cost             string   `json:"cost"`
	Status           string   `json:"status"`
	Freshness        string   `json:"freshness"`
	OpenNow          string   `json:"open_now"` // true, false; not_stated also where the hours were not checked in time
}

// Remark is what another country says about a listing: a note for its own
// people, or an alert or a status from a caretaker.
type Remark struct {
	Kind      string   `json:"kind"`    // note, alert, status
	Country   string   `json:"country"` // who says it
	Language  string   `json:"language,omitempty"`
	Text      string   `json:"text,omitempty"`
	Status    string   `json:"status,omitempty"` // of kind status
	Works     string   `json:"works_here,omitempty"`
	Cost      string   `json:"cost,omitempty"`
	Languages []string `json:"languages,omitempty"`
	AsOf      string   `json:"as_of"`
	Expires   string   `json:"expires"`
	Outdated  bool     `json:"outdated"` // the listing says something else since
}

// Clock is what the age of a listing is judged by.
type Clock struct {
	Now     time.Time
	Cadence listing.Cadence
}

const (
	maxSummary    = 300 // runes
	maxCompanions = search.MaxTogether
	lapsedNote    = "Not confirmed for a long time: the contact details may be wrong."
)

// Search answers a question. What has vanished between the index and the disk
// is left out of the page. Errors are those of the catalog.
func Search(ctx context.Context, c Catalog, q Question, clock Clock) (Answer, error) {
	if q.Now.IsZero() {
		q.Now = clock.Now
	}
	found, err := c.Search(ctx, q.Query)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{
		Total: found.Total, Page: found.Page, PerPage: found.PerPage, Snapshot: found.Snapshot,
		Words: found.Words, Matched: found.Matched,
		Results: make([]Result, 0, len(found.Hits)), Facets: make(map[string][]Count, len(found.Facets)),
	}
	if q.Together {
		a.Places = found.Places
	}
	for facet, counts := range found.Facets {
		list := make([]Count, len(counts))
		for i, n := range counts {
			list[i] = Count{n.Value, n.Count}
		}
		a.Facets[string(facet)] = list
	}
	a.Hidden = c.CountHidden(q.Countries)
	w := writer{ctx: ctx, c: c, q: q, clock: clock}
	if q.Highlight && q.Text != "" {
		w.marks = search.NewHighlighter(q.Text, q.Language, found.Corrected)
	}
	a.Results = w.results(found.Hits)
	a.Corrected = corrected(q.Text, closest.Spelled(found.Corrected, w.texts))
	if a.Total == 0 {
		offers, err := closest.Find(ctx, c.Search, q.Query, nil)
		if err != nil {
			return Answer{}, err
		}
		a.Instead = w.offers(offers)
		a.Crisis = w.crisis()
	}
	return a, nil
}

// writer writes the results of one question.
type writer struct {
	ctx   context.Context
	c     Catalog
	q     Question
	clock Clock
	marks *search.Highlighter // nil = not asked for
	texts []string            // of what it wrote
}

func (w *writer) results(hits []search.Hit) []Result {
	list := make([]Result, 0, len(hits))
	for _, hit := range hits {
		p, err := w.c.Get(w.ctx, hit.ID)
		if err != nil || p.Listing == nil {
			continue
		}
		r := w.result(p)
		w.texts = append(w.texts, p.Listing.Name, p.Listing.Description)
		if r.OpenNow = hit.Open; !promises(p, w.clock.Now) {
			r.OpenNow = listing.NotStated
		}
		if hit.Distance >= 0 && w.q.Near != nil {
			r.DistanceKM = &hit.Distance
		}
		for _, why := range hit.Why {
			r.Why = append(r.Why, string(why))
		}
		if w.q.Explain {
			r.Explanation = explain(w.q, hit)
		}
		for _, id := range search.First(hit.Together, p.Listing.Companions) {
			if len(r.Companions) == maxCompanions {
				break
			}
			other, err := w.c.Get(w.ctx, id)
			// Beside what everybody sees stands only what everybody may see.
			if err == nil && other.Listing != nil && id != p.Listing.ID && other.Listing.VisibilityValue() != listing.VisibleNobody &&
				(w.q.Professional || !other.Listing.ProfessionalsOnly()) {
				r.Companions = append(r.Companions, w.result(other))
			}
		}
		list = append(list, r)
	}
	return list
}

func (w *writer) result(p listing.Published) Result {
	r := NewResult(p, w.q.Language, w.clock)
	if w.marks != nil {
		r.Highlight = marksOf(w.marks, p.Listing, w.q.Language)
	}
	return r
}

// NewResult makes the short form of a listing, its name and summary in a language if
// there is a translation.
func NewResult(p listing.Published, language string, clock Clock) Result {
	l := p.Listing
	freshness := l.Freshness(clock.Now, clock.Cadence)
	r := Result{
		ID: l.ID, Country: p.Country, Name: translated(l, language, "name", l.Name), Organization: l.OrganizationName(),
		Summary: clip(translated(l, language, "description", l.Description)), Languages: []string{},
		Status: string(p.StatusValue()), Alert: currentAlert(l, clock.Now), AssuredDate: l.AssuredDate,
		Freshness: string(freshness), Channels: []Channel{},
		State: p.Standing.State, RolledBack: p.Standing.RolledBack, Remarks: remarks(p),
	}
	if !p.AsOf.IsZero() {
		r.AsOf = p.AsOf.UTC().Truncate(time.Hour).Format(time.RFC3339)
	}
	seen := map[string]bool{}
	add := func(tags []string) {
		for _, tag := range tags {
			if tag != "" && !seen[tag] {
				seen[tag] = true
				r.Languages = append(r.Languages, tag)
			}
		}
	}
	channels := l.ContactChannels()
	for i := range channels {
		ch := &channels[i]
		add(ch.Languages)
		f := l.ChannelFreshness(ch, clock.Now, clock.Cadence)
		out := Channel{
			Type: ch.TypeValue(), Value: ch.Value, Languages: ch.Languages, Anonymity: ch.AnonymityValue(),
			Cost: ch.CostValue(), Status: ch.StatusValue(), Freshness: string(f),
		}
		if out.Languages == nil {
			out.Languages = []string{}
		}
		if f == listing.Lapsed {
			out.Value, out.UnconfirmedValue = "", ch.Value
		}
		out.OpenNow = openNow(p, ch, f, clock.Now)
		r.Channels = append(r.Channels, out)
	}
	for _, lang := range l.Languages {
		add([]string{lang.Code})
	}
	if freshness == listing.Lapsed {
		r.Alert = strings.TrimSpace(lapsedNote + " " + r.Alert)
	}
	return r
}

// promises tells whether the hours of a listing are to be relied on: not while a
// caretaker has something else to say, nor while its country has been silent for so
// long that a closure may not have come here.
func promises(p listing.Published, now time.Time) bool {
	return len(p.Statuses)+len(p.Alerts) == 0 && now.Sub(p.AsOf) <= listing.Silence
}

// openNow says it of a channel, in whose own zone; only somebody who looked lately
// can promise it.
func openNow(p listing.Published, ch *listing.Channel, f listing.Freshness, now time.Time) string {
	if promises(p, now) && (f == listing.Fresh || f == listing.Due) {
		if open, known := p.Listing.OpenNow(ch, now); known {
			return strconv.FormatBool(open)
		}
	}
	return listing.NotStated
}

func remarks(p listing.Published) []Remark {
	var out []Remark
	for _, list := range [][]listing.Remark{p.Statuses, p.Alerts, p.Notes} {
		for _, r := range list {
			x := Remark{
				Kind: string(r.Kind), Country: r.Country, Language: r.Language, Text: r.Text, Languages: r.Languages,
				AsOf: r.AsOf, Expires: r.Expires, Outdated: r.Outdated,
			}
			switch r.Kind {
			case listing.OverlayStatus:
				x.Status = string(r.StatusValue())
			case listing.OverlayNote:
				x.Works, x.Cost = r.WorksValue(), r.CostValue()
			}
			out = append(out, x)
		}
	}
	return out
}

func translated(l *listing.Listing, language, field, own string) string {
	if t, ok := l.Translations[language][field]; ok && strings.TrimSpace(t.Text) != "" {
		return t.Text
	}
	return own
}

// currentAlert leaves out a notice that has ended.
func currentAlert(l *listing.Listing, now time.Time) string {
	if until, err := time.Parse(time.DateOnly, l.AlertUntil); err == nil && now.After(until.AddDate(0, 0, 1)) {
		return ""
	}
	return l.Alert
}

func clip(s string) string {
	if utf8.RuneCountInString(s) <= maxSummary {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:maxSummary])) + "…"
}
