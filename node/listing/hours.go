package listing

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a node must know its zones on any machine
)

// Silence is how long a country may go without confirming its list before readers
// are told, and before its hours are no promise any more. It hides nothing.
const Silence = 72 * time.Hour

// OpenNow tells whether the channel ch of l can be used at the time now. known
// is false when nothing certain can be said: hours not stated or malformed, a
// zone or status that is not known, or an alert with a date that holds now, or
// that has ended without a check of the listing since.
func (l *Listing) OpenNow(ch *Channel, now time.Time) (open, known bool) {
	switch {
	case !Known(VocabularyStatus, string(l.Status)) || (ch.Status != "" && !Known(VocabularyChannelStatus, ch.Status)):
		return false, false
	case l.Status != Active || ch.StatusValue() == ChannelPaused:
		return false, true
	case l.HoursInDoubt(ch, now):
		return false, false
	}
	return ch.Hours.openAt(now)
}

// HoursInDoubt tells whether a dated alert makes the usual hours doubtful. The
// end of an alert does not by itself restore them: somebody must have looked.
func (l *Listing) HoursInDoubt(ch *Channel, now time.Time) bool {
	if l.Alert == "" || l.AlertUntil == "" {
		return false
	}
	until, err := time.Parse(time.DateOnly, l.AlertUntil)
	if err != nil {
		return true
	}
	if ch.Verification != nil {
		if d, ok := usableDate(ch.Verification.Date, now); ok && d.After(until) {
			return false
		}
	}
	checked, ok := l.Assured(now)
	return !ok || !checked.After(until)
}

// openAt tells whether the hours say open at the time now.
func (h *Hours) openAt(now time.Time) (open, known bool) {
	if h == nil || h.NotStated {
		return false, false
	}
	zone, err := h.Location()
	if err != nil {
		return false, false
	}
	local := now.In(zone)
	y, m, d := local.Date()
	today := time.Date(y, m, d, 0, 0, 0, 0, time.UTC) // a date, not an instant
	spans, replaced, ok := h.day(today)
	if !ok {
		return false, false
	}
	if h.AlwaysOpen && !replaced {
		return true, true
	}
	if len(h.Weekly) == 0 && !replaced && !h.AlwaysOpen {
		return false, false // exceptions to nothing
	}
	if replaced && len(spans) == 0 {
		return false, true // closed that day, the end of a night before included
	}
	before, _, ok := h.day(today.AddDate(0, 0, -1))
	if !ok {
		return false, false
	}
	for _, s := range before {
		if s.holds(today.AddDate(0, 0, -1), now, zone) {
			return true, true
		}
	}
	for _, s := range spans {
		if s.holds(today, now, zone) {
			return true, true
		}
	}
	return false, true
}

// Location returns the zone of the hours. A blank or local zone is an error:
// hours without a zone say nothing.
func (h *Hours) Location() (*time.Location, error) {
	if h.Zone == "" || h.Zone == "Local" {
		return nil, errors.New("the hours name no time zone")
	}
	if z, ok := zones.Load(h.Zone); ok {
		return z.(*time.Location), nil
	}
	z, err := time.LoadLocation(h.Zone) // reads a file
	if err != nil {
		return nil, err
	}
	zones.Store(h.Zone, z)
	return z, nil
}

var zones sync.Map // name → *time.Location; only names that exist, so it is bounded

// minutes is one opening on one date, in minutes of the wall clock from its
// midnight; closes may lie on the next date.
type minutes struct{ opens, closes int }

// holds tells whether now lies in the opening that starts on date.
func (s minutes) holds(date, now time.Time, zone *time.Location) bool {
	return !now.Before(instant(date, s.opens, zone)) && now.Before(instant(date, s.closes, zone))
}

var days = [...]string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}

// day returns the openings that start on date: those of the exceptions of that
// date, if any (replaced), else the weekly ones. ok is false when one of them cannot be read.
func (h *Hours) day(date time.Time) (spans []minutes, replaced, ok bool) {
	text := date.Format(time.DateOnly)
	for _, e := range h.Exceptions {
		if e.Date != text {
			continue
		}
		replaced = true
		if e.Closed {
			return nil, true, true
		}
		s, ok := parseSpan(e.Opens, e.Closes)
		if !ok {
			return nil, true, false
		}
		spans = append(spans, s)
	}
	if replaced {
		return spans, true, true
	}
	if h.AlwaysOpen {
		return []minutes{{0, 24 * 60}}, false, true
	}
	for _, w := range h.Weekly {
		if w.Day != days[date.Weekday()] {
			continue
		}
		s, ok := parseSpan(w.Opens, w.Closes)
		if !ok {
			return nil, false, false
		}
		spans = append(spans, s)
	}
	return spans, false, true
}

// parseSpan reads an opening; one that closes at or before it opens closes on
// the next day.
func parseSpan(opens, closes string) (minutes, bool) {
	o, ok1 := parseClock(opens)
	c, ok2 := parseClock(closes)
	if !ok1 || !ok2 || o == 24*60 {
		return minutes{}, false
	}
	if c <= o {
		c += 24 * 60
	}
	return minutes{o, c}, true
}

// parseClock reads "HH:MM" up to "24:00" as minutes.
func parseClock(s string) (int, bool) {
	hh, mm, ok := strings.Cut(s, ":")
	if !ok || len(hh) != 2 || len(mm) != 2 {
		return 0, false
	}
	h, err1 := strconv.ParseUint(hh, 10, 8)
	m, err2 := strconv.ParseUint(mm, 10, 8)
	if err1 != nil || err2 != nil || m > 59 || h*60+m > 24*60 {
		return 0, false
	}
	return int(h*60 + m), true
}

// instant returns when the wall clock of a zone shows so many minutes after
// the midnight of date. A time that comes twice is meant the first time; one
// that the clock leaps over is the moment of the leap.
func instant(date time.Time, min int, zone *time.Location) time.Time {
	wall := date.Add(time.Duration(min) * time.Minute) // as if the zone were UTC
	_, early := wall.Add(-24 * time.Hour).In(zone).Zone()
	_, late := wall.Add(24 * time.Hour).In(zone).Zone()
	a := wall.Add(-time.Duration(early) * time.Second)
	b := wall.Add(-time.Duration(late) * time.Second)
	if b.Before(a) {
		a, b = b, a
	}
	for _, t := range []time.Time{a, b} {
		if _, offset := t.In(zone).Zone(); t.Add(time.Duration(offset) * time.Second).Equal(wall) {
			return t
		}
	}
	start, _ := b.In(zone).ZoneBounds() // the leap lies between a and b
	return start
}
