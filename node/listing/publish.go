package listing

import (
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CheckPublish returns everything that keeps an editor from publishing l at
// the time now, all at once, in the order of the card on which it is shown. "not_stated" is a value
// everywhere; a blank is a fault. The cadence is [DefaultCadence]; use
// [Listing.CheckPublishAt] for another.
func (l *Listing) CheckPublish(now time.Time) Faults { return l.CheckPublishAt(now, DefaultCadence) }

// CheckPublishAt is [Listing.CheckPublish] under the cadence of a federation's
// policy.
//
// A defunct service is published as a stub, so that an old link can say what
// became of it: it needs only what [Listing.CheckServe] asks.
func (l *Listing) CheckPublishAt(now time.Time, cadence Cadence) Faults {
	c := checker{l: l, now: now, cadence: cadence, Faults: l.CheckServe()}
	if l.Status == Defunct {
		c.date("defunct_since", l.DefunctSince, false)
		return c.Faults
	}
	c.whom()
	c.channels()
	c.coverage()
	c.operator()
	c.age()
	c.details()
	return c.Faults
}

// checker gathers the faults of one listing.
type checker struct {
	Faults
	l       *Listing
	now     time.Time
	cadence Cadence
}

// whom checks who the listing is for.
func (c *checker) whom() {
	l := c.l
	c.code("kind", VocabularyKind, string(l.Kind), false)
	c.code("visibility", VocabularyVisibility, string(l.Visibility), false)
	if len(l.Audience) == 0 {
		c.add("audience", CodeMissing, "It is not said who the service is for. Choose at least one audience.")
	}
	c.codes("audience", VocabularyAudience, l.Audience)
	c.codes("service_types", VocabularyServiceType, l.ServiceTypes)
	for _, a := range []struct {
		path string
		age  *float64
	}{{"minimum_age", l.MinimumAge}, {"maximum_age", l.MaximumAge}} {
		if a.age != nil && (*a.age < 0 || *a.age > 150) {
			c.add(a.path, CodeBadValue, "This is no age in years. Correct it or leave it out.")
		}
	}
	if l.MinimumAge != nil && l.MaximumAge != nil && *l.MinimumAge > *l.MaximumAge {
		c.add("minimum_age", CodeBadValue, "The youngest age is above the oldest. Correct one of them.")
	}
	c.guardian()
}

// guardian asks what minors need to know. A listing that names no youngest age
// is open to them.
func (c *checker) guardian() {
	l := c.l
	value, _ := l.GuardianConsentValue()
	switch {
	case value == NotStated && !blank(l.GuardianConsent) && l.GuardianConsent != NotStated:
		c.add("guardian_consent", CodeBadCode, "%.60q is not a known code. Choose none, required, from_age: and a number, or not_stated.", l.GuardianConsent)
	case !blank(l.GuardianConsent) || (l.MinimumAge != nil && *l.MinimumAge >= 18) || !l.forEveryone():
	default:
		c.add("guardian_consent", CodeMissing, "People under 18 may use this service, and it is not said whether a parent must agree. "+
			"Choose none, required, from_age: and a number, or not_stated; or give a minimum age.")
	}
}

// forEveryone tells whether others than professionals turn to the service.
func (l *Listing) forEveryone() bool {
	if k := l.KindValue(); k != KindHelp && k != KindCrisis {
		return false
	}
	return len(l.Audience) == 0 || slices.ContainsFunc(l.Audience, func(a string) bool {
		return !strings.HasPrefix(a, "professional.") && a != "researcher_policy"
	})
}

// channels checks every way to make contact, and that one of them works.
func (c *checker) channels() {
	working := 0
	seen := map[string]bool{}
	for i := range c.l.Channels {
		ch := &c.l.Channels[i]
		path := "channels[" + strconv.Itoa(i) + "]"
		if c.reach(path, ch) && ch.StatusValue() == ChannelActive {
			working++
		}
		if ch.ID != "" && seen[ch.ID] {
			c.add(path+".id", CodeTwice, "Another channel of this listing has the same id. Give it one of its own.")
		}
		seen[ch.ID] = true
		c.channel(path, ch)
	}
	if working == 0 {
		c.add("channels", CodeMissing, "There is no way to make contact that works. Add a telephone, chat, e-mail or another channel, or set one active.")
	}
}

// reach tells whether the type and value of a channel lead somewhere.
func (c *checker) reach(path string, ch *Channel) bool {
	before := len(c.Faults)
	c.code(path+".type", VocabularyChannel, ch.Type, true)
	c.code(path+".status", VocabularyChannelStatus, ch.Status, false)
	c.code(path+".number_kind", VocabularyNumberKind, ch.NumberKind, false)
	switch ch.Type {
	case "in_person", "post": // the place is told elsewhere, or must not be told
	case "phone":
		if ch.DialTarget() == "" {
			c.add(path+".value", CodeBadValue, "This is no telephone number that can be dialled. Write it with + and the country's code, or as a national short code.")
		}
	case "email":
		if a, err := mail.ParseAddress(ch.Value); err != nil || a.Address != strings.TrimSpace(ch.Value) {
			c.add(path+".value", CodeBadValue, "This is no e-mail address. Correct it.")
		}
	case "live_chat", "web_self_guided", "onion_site":
		if !webAddress(ch.Value) {
			c.add(path+".value", CodeBadValue, "This is no web address. Write it with https:// in front.")
		}
	default:
		if blank(ch.Value) {
			c.add(path+".value", CodeMissing, "It is not said how to use this channel. Write the number, the address or what to do.")
		}
	}
	return len(c.Faults) == before
}

// channel checks what people need to know before they use a channel.
func (c *checker) channel(path string, ch *Channel) {
	if len(ch.Languages) == 0 {
		c.add(path+".languages", CodeMissing, "It is not said which languages are spoken here. Name at least one.")
	}
	c.tags(path+".languages", ch.Languages)
	c.fact(path+".cost", VocabularyCost, ch.Cost, "It is not said what contact costs.")
	c.countries(path+".free_from", ch.FreeFrom)
	if ch.CostValue() == "free_from_country_only" && len(ch.FreeFrom) == 0 {
		c.add(path+".free_from", CodeMissing, "Contact is free from some countries only. Name them.")
	}
	c.fact(path+".anonymity", VocabularyAnonymity, ch.Anonymity, "It is not said whether one can stay anonymous.")
	if ch.Retention != nil {
		c.fact(path+".retention", "", ch.Retention, "It is not said what is kept.")
	}
	c.breach(path+".breach", ch.Breach)
	if ch.Hours != nil {
		c.hours(path+".hours", ch.Hours)
	}
	c.verification(path+".verification", ch.Verification)
}

// fact checks a safety fact. vocabulary is "" where its value is text.
func (c *checker) fact(path, vocabulary string, f *Fact, silence string) {
	if f == nil || (blank(f.Value) && (vocabulary != "" || blank(f.Text))) {
		c.add(path, CodeMissing, "%s Write what the service says, or not_stated if it says nothing.", silence)
		return
	}
	if vocabulary != "" && !Known(vocabulary, f.Value) {
		c.badCode(path+".value", vocabulary, f.Value)
	}
	if f.Value != NotStated {
		c.provenance(path, f)
	}
}

// provenance asks who said a fact, where and when.
func (c *checker) provenance(path string, f *Fact) {
	c.code(path+".basis", VocabularyBasis, f.Basis, true)
	switch {
	case f.Basis == "editor_tested" && blank(f.SourceURL): // the test is the source
	case blank(f.SourceURL):
		c.add(path+".source_url", CodeMissing, "It is not said where this comes from. Give the address of the page that says it.")
	case !webAddress(f.SourceURL):
		c.add(path+".source_url", CodeBadValue, "This is no web address. Write it with https:// in front.")
	}
	c.date(path+".as_of", f.AsOf, true)
	if f.Jurisdiction != "" && !countryCode.MatchString(f.Jurisdiction) {
		c.add(path+".jurisdiction", CodeBadCode, "%.20q is no code of a country, such as LT. Correct it.", f.Jurisdiction)
	}
}

func (c *checker) breach(path string, b *Breach) {
	if b == nil || (len(b.Conditions) == 0 && blank(b.Value) && blank(b.Text)) {
		c.add(path, CodeMissing, "It is not said what would make the service tell someone. Write what the service says, or not_stated if it says nothing.")
		return
	}
	c.codes(path+".conditions", VocabularyBreach, b.Conditions)
	if b.Value != NotStated {
		c.provenance(path, &b.Fact)
	}
}

func (c *checker) hours(path string, h *Hours) {
	if h.NotStated {
		return
	}
	if _, err := h.Location(); err != nil {
		c.add(path+".zone", CodeBadValue, "The hours need the name of a time zone, such as Europe/Vilnius. Choose one.")
	}
	if !h.AlwaysOpen && len(h.Weekly) == 0 {
		c.add(path, CodeMissing, "It is not said when this channel is open. Give the hours, or say that they are not stated.")
	}
	for i, s := range h.Weekly {
		at := path + ".weekly[" + strconv.Itoa(i) + "]"
		if !slices.Contains(days[:], s.Day) {
			c.add(at+".day", CodeBadValue, "This is no day. Choose MO, TU, WE, TH, FR, SA or SU.")
		}
		if _, ok := parseSpan(s.Opens, s.Closes); !ok {
			c.add(at, CodeBadValue, "These are no hours. Write both times as 09:00.")
		}
	}
	for i, e := range h.Exceptions {
		at := path + ".exceptions[" + strconv.Itoa(i) + "]"
		c.date(at+".date", e.Date, true)
		if _, ok := parseSpan(e.Opens, e.Closes); !e.Closed && !ok {
			c.add(at, CodeBadValue, "These are no hours. Write both times as 09:00, or say that it is closed that day.")
		}
	}
}

func (c *checker) coverage() {
	v := c.l.Coverage
	if v == nil || (!v.Global && !v.AnyEU && len(v.Countries)+len(v.Regions)+len(v.LanguageCommunities) == 0) {
		c.add("coverage", CodeMissing, "It is not said from where the service can be used. Name countries or regions, or say that it is for everywhere.")
		return
	}
	c.countries("coverage.countries", v.Countries)
	for i, r := range v.Regions {
		if !regionCode.MatchString(r) {
			c.add("coverage.regions["+strconv.Itoa(i)+"]", CodeBadCode, "%.20q is no code of a region (ISO 3166-2), such as BE-VLG. Correct it.", r)
		}
	}
	c.tags("coverage.language_communities", v.LanguageCommunities)
}

func (c *checker) operator() {
	o := c.l.Organization
	if o == nil {
		if !blank(c.l.OrganizationID) { // else said already
			c.add("organization", CodeMissing, "People must see who runs the service. Add the organization with its name.")
		}
		return
	}
	c.code("organization.operator_type", VocabularyOperatorType, o.OperatorType, true)
}

// age asks for a check that is not too old.
func (c *checker) age() {
	if blank(c.l.AssuredDate) {
		c.add("assured_date", CodeMissing, "It is not said when the listing was last checked. Check it and give the date.")
		return
	}
	day, ok := usableDate(c.l.AssuredDate, c.now)
	if !ok {
		c.add("assured_date", CodeBadValue, "This is no date, or one in the future. Write the day of the last check as 2026-11-23.")
		return
	}
	limit := c.cadence.Days(c.l)
	if c.now.UTC().Sub(day) >= time.Duration(limit+1)*24*time.Hour {
		c.add("assured_date", CodeStale, "The last check is more than %d days ago. Check the listing again and give the new date.", limit)
	}
}

var regionCode = regexp.MustCompile(`^[A-Z]{2}-[A-Z0-9]{1,3}$`)
var countryCode = regexp.MustCompile(`^[A-Z]{2}$`)
