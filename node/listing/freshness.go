package listing

import (
	"slices"
	"time"
)

// Freshness says how far a listing can still be trusted, by the age of its
// last check. It is computed when read and never stored, so it holds for a
// country that has been silent for months.
type Freshness string

// The ladder of freshness. With one cadence C counted from the day of the last
// check: fresh until C; due for a grace of C/2 but at most 30 days; stale until
// 2 C (shown with a badge); demoted until 4 C (ranked last); then lapsed (found, but
// its values are no links any more). A crisis listing lapses at 2 C.
//
// A listing without a usable date is stale: nothing is known against it and
// nothing for it. A date more than a day in the future is no usable date.
const (
	Fresh   Freshness = "fresh"
	Due     Freshness = "due"
	Stale   Freshness = "stale"
	Demoted Freshness = "demoted"
	Lapsed  Freshness = "lapsed"
)

// Cadence is how often listings must be checked, in months by what they are. A
// field that is not above 0 takes the value of [DefaultCadence].
type Cadence struct {
	Crisis   int // crisis lines
	Helpline int // helplines, chats and whatever is answered live
	Clinic   int // treatment and counselling
	Resource int // programmes and pages to read, training
}

// DefaultCadence holds where the federation's policy says nothing.
var DefaultCadence = Cadence{Crisis: 1, Helpline: 3, Clinic: 6, Resource: 12}

// Days returns the cadence of l in days, a month being a twelfth of 365 days.
// Where several could apply the shortest does.
func (c Cadence) Days(l *Listing) int {
	months, standard := c.Clinic, DefaultCadence.Clinic
	switch l.group() {
	case groupCrisis:
		months, standard = c.Crisis, DefaultCadence.Crisis
	case groupHelpline:
		months, standard = c.Helpline, DefaultCadence.Helpline
	case groupResource:
		months, standard = c.Resource, DefaultCadence.Resource
	}
	if months <= 0 {
		months = standard
	}
	return months * 365 / 12
}

type group int

const (
	groupClinic group = iota
	groupCrisis
	groupHelpline
	groupResource
)

// group sorts a listing by the kind, then the types of service, then, where
// nothing is said (plain HSDS), by its channels: what is answered live changes
// most often.
func (l *Listing) group() group {
	has := func(codes ...string) bool {
		return slices.ContainsFunc(l.ServiceTypes, func(t string) bool { return slices.Contains(codes, t) })
	}
	switch {
	case l.Kind == KindCrisis || has("crisis_line"):
		return groupCrisis
	case has("helpline", "anonymous_chat", "email_advice") || l.Kind == KindReporting:
		return groupHelpline
	case has("counselling", "psychotherapy_individual", "psychotherapy_group", "medical_psychiatric",
		"peer_support", "family_support", "guided_online_programme", "professional_consultation", "referral_only"):
		return groupClinic
	case has("self_assessment", "self_help_programme", "training", "information_resource") || l.Kind == KindProfessional:
		return groupResource
	}
	for _, c := range l.ContactChannels() {
		switch c.Type {
		case "phone", "callback", "live_chat", "async_message":
			return groupHelpline
		}
	}
	return groupClinic
}

// Assured returns the day (UTC) on which l was last checked: the later of the assured date
// and the date of the verification. It is false when neither is a date or both
// lie more than a day after now.
func (l *Listing) Assured(now time.Time) (time.Time, bool) {
	day, _, ok := l.lastCheck(now)
	return day, ok
}

// lastCheck also says whether the check was only a look at a web page, which
// is good for half the time.
func (l *Listing) lastCheck(now time.Time) (day time.Time, light, ok bool) {
	day, ok = usableDate(l.AssuredDate, now)
	if l.Verification != nil {
		if d, known := usableDate(l.Verification.Date, now); known && (!ok || !d.Before(day)) {
			return d, l.Verification.Method == "web_only", true
		}
	}
	return day, false, ok
}

// usableDate parses a date and refuses one more than a day after now.
func usableDate(s string, now time.Time) (time.Time, bool) {
	d, err := time.Parse(time.DateOnly, s)
	if err != nil || d.After(now.UTC().Add(24*time.Hour)) {
		return time.Time{}, false
	}
	return d, true
}

// Timetable is what the ladder of freshness is computed from.
type Timetable struct {
	Checked time.Time // day of the last check, UTC
	Known   bool      // false: there is no usable date
	Days    int       // cadence, in days; halved when the check was only a look at a web page
	Lapse   int       // age in days at which it lapses
}

// Timetable returns the numbers behind [Listing.Freshness].
func (l *Listing) Timetable(now time.Time, cadence Cadence) Timetable {
	day, light, ok := l.lastCheck(now)
	return l.timetable(day, light, ok, cadence)
}

func (l *Listing) timetable(day time.Time, light, known bool, cadence Cadence) Timetable {
	t := Timetable{Checked: day, Known: known, Days: cadence.Days(l)}
	if light {
		t.Days = max(t.Days/2, 1)
	}
	t.Lapse = 4 * t.Days
	if l.group() == groupCrisis {
		t.Lapse = 2 * t.Days
	}
	return t
}

// Freshness returns where l stands on the ladder at the time now. The caller
// gives as now the later of its clock and the newest signed time it has seen.
func (l *Listing) Freshness(now time.Time, cadence Cadence) Freshness {
	return l.Timetable(now, cadence).at(now)
}

// ChannelFreshness is the freshness of one channel of l: by the channel's own
// verification if it has one, else that of the listing.
func (l *Listing) ChannelFreshness(ch *Channel, now time.Time, cadence Cadence) Freshness {
	if ch.Verification != nil {
		if d, ok := usableDate(ch.Verification.Date, now); ok {
			return l.timetable(d, ch.Verification.Method == "web_only", true, cadence).at(now)
		}
	}
	return l.Freshness(now, cadence)
}

func (t Timetable) at(now time.Time) Freshness {
	if !t.Known {
		return Stale
	}
	age := int(now.UTC().Sub(t.Checked) / (24 * time.Hour))
	switch {
	case age >= t.Lapse:
		return Lapsed
	case age >= 2*t.Days:
		return Demoted
	case age >= t.Days+min(t.Days/2, 30):
		return Stale
	case age >= t.Days:
		return Due
	}
	return Fresh
}
