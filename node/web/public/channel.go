package public

import (
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// channel is one way of contact as a page shows it.
type channel struct {
	Type        string
	Label       text
	Value       string
	Shown       string       // Value without what a reader need not read
	Href        template.URL // "" = shown, not linked
	Outbound    string       // host that a link leads to
	Lapsed      bool
	Since       string // date of the last check of a lapsed value; "" = never
	Open        bool   // certain
	Closed      bool   // certain
	Paused      bool
	Know        fact
	KnowShort   string
	Anonymous   bool // no name is asked for
	Trusted     bool // and that may be said with a good mark: it is stated, and somebody looked lately
	Tell        tell
	Keep        fact
	Languages   []string
	Interpreter text
	Cost        fact
	FreeFrom    string
	Hours       *hours
	Reply       text
}

// fact is what somebody says about a channel.
type fact struct {
	Stated bool
	Label  string // public wording of the code; "" when there are only words
	Text   text   // the service's own words
	Said   string // who says so
	Short  string // the same in fewer words, for a card
	AsOf   string
	Source *link
}

// tell is what would make a service tell someone.
type tell struct {
	fact
	Conditions []string
	Law        string // name of the country whose law decides
}

// hours are opening hours in rows of equal days.
type hours struct {
	Stated, Always bool
	Rows           []hoursRow // days of the week, then dates with other hours
	Zone, AsOf     string
	Source         *link
}

type hoursRow struct{ Days, Times string }

const (
	maxChannels = 12
	maxFactText = 500 // runes of a service's own words about one fact
)

// channels makes the ways of contact of a listing.
func (s *Site) channels(l *locale.Language, p listing.Published) []channel {
	r, now := newReader(l, p), s.opt.Now()
	all := p.Listing.ContactChannels()
	list := make([]channel, 0, min(len(all), maxChannels))
	for i := range all {
		if i == maxChannels {
			break
		}
		list = append(list, s.channel(r, p, &all[i], now))
	}
	return list
}

func (s *Site) channel(r reader, p listing.Published, ch *listing.Channel, now time.Time) channel {
	li := p.Listing
	path := "channels." + ch.ID + "."
	v := channel{
		Type:      r.l.Term("channel", ch.TypeValue()),
		Label:     r.text(path+"label", ch.Label, 120, false),
		Value:     page.Clip(200, strings.TrimSpace(ch.Value)),
		Paused:    ch.StatusValue() == listing.ChannelPaused,
		Know:      r.fact("anonymity", ch.AnonymityValue(), ch.Anonymity, path+"anonymity.text"),
		KnowShort: r.l.Term("anonymity_short", ch.AnonymityValue()),
		Keep:      r.fact("", "", ch.Retention, path+"retention.text"),
		Tell:      r.tell(ch, path+"breach.text"),
		Languages: r.languages(ch.Languages, 12), Interpreter: r.interpreter(path+"interpreter", ch.Interpreter),
		Cost:     r.fact("cost", ch.CostValue(), ch.Cost, path+"cost.text"),
		FreeFrom: strings.Join(r.countries(ch.FreeFrom, 16), ", "),
		Reply:    r.text(path+"response_time", ch.ResponseTime, 200, false),
		Hours:    openingHours(r.l, ch.Hours, now),
	}
	switch ch.AnonymityValue() {
	case "full", "pseudonymous_ok":
		v.Anonymous = true
	}
	freshness := li.ChannelFreshness(ch, now, s.opt.Cadence())
	v.Lapsed = freshness == listing.Lapsed
	if v.Lapsed {
		if d, ok := lastCheck(li, ch, now); ok {
			v.Since = r.l.Date(d)
		}
	}
	usable := p.StatusValue() == listing.Active && !v.Lapsed
	v.Trusted = v.Know.Stated && v.Anonymous && usable // what is closed or lapsed gets no good mark
	v.Shown = shown(v.Value)
	if usable {
		v.Href, v.Outbound = target(ch)
	}
	// "Open now" is a promise: only somebody who looked lately can make it, and
	// nobody while a caretaker has something else to say, or while the country has
	// been silent for so long that a closure may not have come here.
	if usable && len(p.Alerts) == 0 && now.Sub(p.AsOf) <= listing.Silence && (freshness == listing.Fresh || freshness == listing.Due) {
		if open, certain := li.OpenNow(ch, now); certain {
			v.Open, v.Closed = open, !open
		}
	}
	return v
}

// lastCheck is the day on which the channel, or else its listing, was checked.
func lastCheck(li *listing.Listing, ch *listing.Channel, now time.Time) (time.Time, bool) {
	if ch.Verification != nil {
		if d, err := time.Parse(time.DateOnly, ch.Verification.Date); err == nil && !d.After(now.Add(24*time.Hour)) {
			return d, true
		}
	}
	return li.Assured(now)
}

// shown is an address as people write it, everything else as it is.
func shown(value string) string {
	if rest, ok := strings.CutPrefix(value, "https://"); ok {
		return strings.TrimSuffix(rest, "/")
	}
	return value
}

// target returns where a channel's link leads. The typed URL is made only of
// what package listing has checked.
func target(ch *listing.Channel) (href template.URL, host string) {
	address := ch.Link()
	switch {
	case strings.HasPrefix(address, "tel:"), strings.HasPrefix(address, "mailto:"):
		return template.URL(address), "" //nolint:gosec // checked by Link
	}
	if l := webLink(address); l != nil {
		return template.URL(l.URL), l.Host //nolint:gosec // http or https
	}
	return "", ""
}

// fact makes the view of a fact with a code, or of one with words alone
// (vocabulary "").
func (r reader) fact(vocabulary, code string, f *listing.Fact, path string) fact {
	if f == nil || (vocabulary != "" && code == listing.NotStated) || (vocabulary == "" && (f.Value == listing.NotStated || f.Value+f.Text == "")) {
		return fact{}
	}
	v := fact{Stated: true, Said: r.said(f.Basis), Short: r.saidShort(f.Basis), Source: webLink(f.SourceURL)}
	words := f.Text
	if vocabulary == "" && words == "" {
		words = f.Value
	}
	v.Text = r.text(path, words, maxFactText, true)
	if vocabulary != "" {
		v.Label = r.l.Term(vocabulary, code)
	}
	if f.AsOf != "" {
		v.AsOf = r.l.DateText(page.Clip(20, f.AsOf))
	}
	return v
}

func (r reader) said(basis string) string {
	if listing.Known(listing.VocabularyBasis, basis) {
		return r.l.Say("said." + basis)
	}
	return r.l.Say("said.unknown")
}

func (r reader) saidShort(basis string) string {
	switch basis {
	case "editor_read":
		return r.l.Say("said.editor_read.short")
	case "editor_tested":
		return r.l.Say("said.editor_tested.short")
	}
	return r.said(basis)
}

func (r reader) tell(ch *listing.Channel, path string) tell {
	conditions, stated := ch.BreachConditions()
	if !stated {
		return tell{}
	}
	b := ch.Breach
	v := tell{fact: fact{Stated: true, Said: r.said(b.Basis), Short: r.saidShort(b.Basis), Source: webLink(b.SourceURL)}}
	words := b.Text
	if words == "" && !listing.Known(listing.VocabularyBreach, b.Value) {
		words = b.Value
	}
	v.Text = r.text(path, words, maxFactText, true)
	for _, c := range conditions {
		if label := r.l.Term("breach", c); !slices.Contains(v.Conditions, label) {
			v.Conditions = append(v.Conditions, label)
		}
	}
	if b.AsOf != "" {
		v.AsOf = r.l.DateText(page.Clip(20, b.AsOf))
	}
	if b.Jurisdiction != "" {
		v.Law = page.Clip(40, r.l.CountryName(b.Jurisdiction))
	}
	return v
}

// interpreter writes a list of tags as names; anything else stands as it is.
func (r reader) interpreter(path, s string) text {
	tags := strings.Fields(s)
	for _, t := range tags {
		if name := r.l.LanguageName(t); name == t || len(t) > 12 {
			return r.text(path, s, 200, false)
		}
	}
	return text{S: strings.Join(r.languages(tags, 16), ", ")}
}

var weekdays = []string{"MO", "TU", "WE", "TH", "FR", "SA", "SU"}

// openingHours writes hours as rows; days in a row with the same times become
// one.
func openingHours(l *locale.Language, h *listing.Hours, now time.Time) *hours {
	if h == nil || h.NotStated || (!h.AlwaysOpen && len(h.Weekly) == 0 && len(h.Exceptions) == 0) {
		return &hours{}
	}
	v := &hours{Stated: true, Always: h.AlwaysOpen, Zone: page.Clip(40, h.Zone), Source: webLink(h.SourceURL)}
	if h.AsOf != "" {
		v.AsOf = l.DateText(page.Clip(20, h.AsOf))
	}
	if !h.AlwaysOpen && len(h.Weekly) > 0 {
		times := make([]string, 7)
		for i, day := range weekdays {
			times[i] = dayTimes(l, h.Weekly, day)
		}
		for i := 0; i < 7; {
			j := i
			for j < 6 && times[j+1] == times[i] {
				j++
			}
			name := l.Weekday(i)
			if j > i {
				name = l.WeekdayShort(i) + " – " + l.WeekdayShort(j)
			}
			v.Rows = append(v.Rows, hoursRow{name, times[i]})
			i = j + 1
		}
	}
	today := now.UTC().Format(time.DateOnly)
	soon := now.UTC().AddDate(0, 0, 30).Format(time.DateOnly)
	changes := 0
	for _, e := range h.Exceptions {
		if e.Date < today || e.Date > soon || changes == 5 {
			continue
		}
		changes++
		times := l.Say("listing.closed")
		if !e.Closed {
			times = page.Clip(5, e.Opens) + "–" + page.Clip(5, e.Closes)
		}
		v.Rows = append(v.Rows, hoursRow{l.DateText(e.Date), times})
	}
	return v
}

func dayTimes(l *locale.Language, weekly []listing.Span, day string) string {
	var spans []string
	for _, s := range weekly {
		if s.Day == day && len(spans) < 6 {
			spans = append(spans, page.Clip(5, s.Opens)+"–"+page.Clip(5, s.Closes))
		}
	}
	if len(spans) == 0 {
		return l.Say("listing.closed")
	}
	slices.Sort(spans)
	return strings.Join(spans, ", ")
}
