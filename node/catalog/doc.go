package catalog

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

// mainLanguage is the language of a listing's own texts where it does not say:
// the one that is official in most of the country.
var mainLanguage = map[string]string{
	"BE": "nl", "CH": "de", "CY": "el", "CZ": "cs", "DE": "de", "FI": "fi", "GB": "en", "IT": "it",
	"LT": "lt", "MT": "mt", "NL": "nl", "NO": "no", "PL": "pl", "SE": "sv",
}

// doc is what search may know of a record; false when it is not to be found:
// no listing, hidden, or closed for good. A stub of a closed listing is still
// shown under its id, so that old links stay true. With doubt its opening hours
// are left out: somebody says something that they do not know of.
func (c *Catalog) doc(country, id string, record *feed.Record, doubt bool) (search.Doc, bool) {
	l := c.toBeFound(country, id, record)
	if l == nil {
		return search.Doc{}, false
	}
	return c.document(country, id, record, l, doubt), true
}

// toBeFound is the listing of a record that search may know of; nil when there is none.
func (c *Catalog) toBeFound(country, id string, record *feed.Record) *listing.Listing {
	if record == nil || record.Type != TypeListing {
		return nil // deleted, or something else
	}
	l, err := listing.View(record.Body)
	if err != nil {
		c.o.Logger.Warn("a published listing cannot be read and is not shown", "country", country, "id", id, "err", err)
		return nil
	}
	if s := l.StatusValue(); l.VisibilityValue() == listing.VisibleNobody || s != listing.Active && s != listing.TemporarilyClosed {
		return nil
	}
	return l
}

func (c *Catalog) document(country, id string, record *feed.Record, l *listing.Listing, doubt bool) search.Doc {
	d := search.Doc{
		ID: id, Country: country, Revision: record.Revision,
		Texts:     texts(country, l),
		Languages: languages(l),
		Facets:    make(map[search.Facet][]string),
		MinAge:    years(l.MinimumAge), MaxAge: years(l.MaximumAge),
		Points: points(l),
		Keys:   hsds.Keys(l, record.Modified.Time()),
	}
	for _, id := range companions(l) {
		d.Companions = append(d.Companions, uuid.UUID(id).String())
	}
	age := l.Timetable(c.o.Now(), c.o.Cadence())
	if d.CadenceDays, d.LapseDays = age.Days, age.Lapse; age.Known {
		d.Assured = int32(feed.DayOf(age.Checked))
	}
	d.ProfessionalsOnly = l.ProfessionalsOnly()
	coverage(&d, l)
	d.Facets[search.Audience] = audience(l)
	d.Facets[search.Format] = l.Formats
	d.Facets[search.ServiceType] = l.ServiceTypes
	for _, ch := range l.ContactChannels() {
		c.channel(&d, l, &ch)
	}
	if doubt {
		d.Hours = nil
	}
	return d
}

// audience leaves out the door "I am worried about myself" where nobody has
// confirmed that the service wants these callers.
func audience(l *listing.Listing) []string {
	out := slices.Clone(l.Audience)
	if l.AcceptanceValue() == "confirmed_by_service" || l.AcceptanceValue() == "stated_publicly" {
		return out
	}
	return slices.DeleteFunc(out, func(code string) bool { return strings.HasPrefix(code, "self.") })
}

func (c *Catalog) channel(d *search.Doc, l *listing.Listing, ch *listing.Channel) {
	add := func(f search.Facet, code string) {
		if code != "" && !slices.Contains(d.Facets[f], code) {
			d.Facets[f] = append(d.Facets[f], code)
		}
	}
	if ch.StatusValue() != "active" {
		return
	}
	add(search.Channel, ch.TypeValue())
	add(search.Cost, ch.CostValue())
	anonymity := ch.AnonymityValue()
	add(search.Anonymity, anonymity)
	d.AnonymousContact = d.AnonymousContact || anonymity == "full" || anonymity == "pseudonymous_ok"
	if h := ch.Hours; h != nil && !h.NotStated && l.StatusValue() == listing.Active && !l.HoursInDoubt(ch, c.o.Now()) {
		d.Hours = append(d.Hours, hours(h, ch))
	}
}

func hours(h *listing.Hours, ch *listing.Channel) search.Hours {
	out := search.Hours{Zone: h.Zone, AlwaysOpen: h.AlwaysOpen}
	if ch.Verification != nil {
		out.Assured = day(ch.Verification.Date)
	}
	for _, s := range h.Weekly {
		wd := slices.Index([]string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}, s.Day)
		opens, ok1 := clock(s.Opens)
		closes, ok2 := clock(s.Closes)
		if wd >= 0 && ok1 && ok2 {
			out.Weekly = append(out.Weekly, search.Span{Day: time.Weekday(wd), Opens: opens, Closes: closes})
		}
	}
	for _, e := range h.Exceptions {
		x := search.Exception{Day: day(e.Date), Closed: e.Closed}
		var ok1, ok2 bool
		x.Opens, ok1 = clock(e.Opens)
		x.Closes, ok2 = clock(e.Closes)
		x.Closed = x.Closed || !ok1 || !ok2 // what cannot be read is no promise to be open
		if x.Day != 0 {
			out.Exceptions = append(out.Exceptions, x)
		}
	}
	return out
}

// clock reads "09:30" as minutes after midnight; "24:00" is the end of the day.
func clock(s string) (int16, bool) {
	if s == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", s[:min(len(s), 5)])
	if err != nil {
		return 0, false
	}
	return int16(t.Hour()*60 + t.Minute()), true
}

// day reads a date as days since 1970; 0 when it is none.
func day(date string) int32 {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return 0
	}
	return int32(feed.DayOf(t))
}

func years(n *float64) int {
	if n == nil || *n < 0 || *n > 150 {
		return -1
	}
	return int(*n)
}

// coverage says from where a listing can be used. An area that cannot be
// expressed in codes is left to the publisher's own country.
func coverage(d *search.Doc, l *listing.Listing) {
	if l.Coverage == nil {
		return
	}
	d.Global = l.Coverage.Global
	d.Coverage = append(slices.Clone(l.Coverage.Countries), l.Coverage.Regions...)
	if l.Coverage.AnyEU {
		d.Coverage = append(d.Coverage, memberStates...)
	}
	// Beside places, a community is a bound ("Poles in Germany"), which only the
	// service can judge; alone it is who can use it, wherever they are.
	if !d.Global && len(d.Coverage) == 0 {
		d.Communities = l.Coverage.LanguageCommunities
	}
}

// memberStates are the states of the European Union since 2020.
var memberStates = []string{
	"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
	"MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
}

// languages are those in which a service works: of the listing and of its
// channels. Languages that only an interpreter brings are a fact of their own.
func languages(l *listing.Listing) []string {
	var out []string
	add := func(tag string) {
		if tag != "" && !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	for _, x := range l.Languages {
		add(x.Code)
	}
	for _, ch := range l.Channels {
		for _, tag := range ch.Languages {
			add(tag)
		}
	}
	return out
}

func points(l *listing.Listing) []search.Point {
	var out []search.Point
	add := func(lat, lon *float64) {
		if lat != nil && lon != nil && *lat >= -90 && *lat <= 90 && *lon >= -180 && *lon <= 180 {
			out = append(out, search.Point{Latitude: *lat, Longitude: *lon})
		}
	}
	for _, s := range l.ServiceAtLocations {
		if s.Location != nil {
			add(s.Location.Latitude, s.Location.Longitude)
		}
	}
	if l.Region != nil {
		add(l.Region.Latitude, l.Region.Longitude)
	}
	return out
}

// codeWords are what a code says of a listing, in English: whoever asks for a
// helpline in any language finds what calls itself by another name.
var codeWords = map[string]string{
	"helpline": "helpline", "anonymous_chat": "anonymous chat", "email_advice": "advice email", "self_assessment": "questionnaire",
	"self_help_programme": "programme", "guided_online_programme": "programme online", "counselling": "counselling",
	"psychotherapy_individual": "psychotherapy", "psychotherapy_group": "psychotherapy group", "medical_psychiatric": "psychiatrist doctor",
	"peer_support": "group", "family_support": "family", "professional_consultation": "professional advice", "training": "training",
	"information_resource": "information", "crisis_line": "crisis",

	"partner_family": "partner family", "friend_colleague": "friend colleague", "parent_of_young_person": "parent",
	"self.csam_use": "csam",
}

// texts are what a listing can be found by.
func texts(country string, l *listing.Listing) []search.Text {
	lang := l.TextLanguage
	if lang == "" {
		lang = mainLanguage[country]
	}
	var out []search.Text
	add := func(language string, w search.Weight, texts ...string) {
		for _, t := range texts {
			if t != "" {
				out = append(out, search.Text{Language: language, Weight: w, Text: t})
			}
		}
	}
	add(lang, search.WeightName, l.Name, l.AlternateName)
	for _, code := range slices.Concat(l.ServiceTypes, audience(l)) {
		add("en", search.WeightKeyword, codeWords[code])
	}
	add(lang, search.WeightKeyword, l.OrganizationName())
	add(lang, search.WeightSummary, l.EligibilityDescription, l.ApplicationProcess)
	add(lang, search.WeightBody, l.Description, l.InterpretationServices, l.FeesDescription)
	for _, ch := range l.Channels {
		add(lang, search.WeightKeyword, ch.Label)
		for _, f := range []*listing.Fact{ch.Anonymity, ch.Retention, ch.Cost} {
			if f != nil {
				add(lang, search.WeightBody, f.Text)
			}
		}
		if ch.Breach != nil {
			add(lang, search.WeightBody, ch.Breach.Text)
		}
	}
	for _, s := range l.ServiceAtLocations {
		if loc := s.Location; loc != nil {
			add(lang, search.WeightKeyword, loc.Name, loc.AlternateName)
			for _, a := range loc.Addresses {
				add(lang, search.WeightKeyword, a.City, a.Region, a.StateProvince)
			}
		}
	}
	if l.Region != nil {
		add(lang, search.WeightKeyword, l.Region.Name)
	}
	for _, a := range l.Attributes {
		if a.TaxonomyTerm != nil {
			add(lang, search.WeightKeyword, a.TaxonomyTerm.Name, a.Label)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(l.Translations)) { // what is over the bound is the same everywhere
		fields := l.Translations[tag]
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			t := fields[field]
			w := search.WeightBody
			if field == "name" || field == "alternate_name" {
				w = search.WeightName
			}
			add(tag, w, t.Text)
		}
	}
	return out
}
