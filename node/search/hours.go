package search

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"time"
	_ "time/tzdata" // zones must be known on any machine
)

// rule is the opening hours of a channel as they are kept: without the date of
// their check, so that the many listings with the same hours share one.
type rule struct {
	zone       string
	always     bool
	weekly     []Span
	exceptions []Exception // by date
}

const (
	maxSpans      = 64
	maxExceptions = 400
)

// newRule returns the hours in their kept form and a key that is equal for
// equal hours; ok is false if they say nothing: no zone, no hours, or a time
// that no clock shows.
func newRule(h Hours) (r rule, key string, ok bool) {
	if h.Zone == "" || len(h.Zone) > 64 || location(h.Zone) == nil || (!h.AlwaysOpen && len(h.Weekly) == 0 && len(h.Exceptions) == 0) ||
		len(h.Weekly) > maxSpans || len(h.Exceptions) > maxExceptions {
		return rule{}, "", false
	}
	r = rule{zone: h.Zone, always: h.AlwaysOpen}
	b := append([]byte(h.Zone), 0, b2i(h.AlwaysOpen))
	for _, s := range h.Weekly {
		if !clock(s.Opens, s.Closes) || s.Day < time.Sunday || s.Day > time.Saturday {
			return rule{}, "", false
		}
		r.weekly = append(r.weekly, s)
	}
	for _, e := range h.Exceptions {
		if !e.Closed && !clock(e.Opens, e.Closes) {
			return rule{}, "", false
		}
		r.exceptions = append(r.exceptions, e)
	}
	slices.SortFunc(r.weekly, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Opens, b.Opens), cmp.Compare(a.Closes, b.Closes))
	})
	slices.SortFunc(r.exceptions, func(a, b Exception) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(b2i(a.Closed), b2i(b.Closed)), cmp.Compare(a.Opens, b.Opens), cmp.Compare(a.Closes, b.Closes))
	})
	for _, s := range r.weekly {
		b = append(b, byte(s.Day))
		b = binary.BigEndian.AppendUint16(b, uint16(s.Opens))
		b = binary.BigEndian.AppendUint16(b, uint16(s.Closes))
	}
	for _, e := range r.exceptions {
		b = append(b, 'x', b2i(e.Closed))
		b = binary.BigEndian.AppendUint32(b, uint32(e.Day))
		b = binary.BigEndian.AppendUint16(b, uint16(e.Opens))
		b = binary.BigEndian.AppendUint16(b, uint16(e.Closes))
	}
	return r, string(b), true
}

func clock(opens, closes int16) bool {
	return opens >= 0 && opens < 1440 && closes >= 0 && closes <= 1440
}

func b2i(b bool) byte {
	if b {
		return 1
	}
	return 0
}

var zones sync.Map // name → *time.Location; only names that exist, so it is bounded

// location returns a zone, or nil if there is none of that name.
func location(name string) *time.Location {
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location)
	}
	if name == "Local" {
		return nil
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	zones.Store(name, z)
	return z
}

// open tells whether the hours say open at the time now. known is false when
// they say nothing about that day: exceptions to no week.
func (r *rule) open(now time.Time) (open, known bool) {
	zone := location(r.zone)
	if zone == nil {
		return false, false
	}
	y, m, d := now.In(zone).Date()
	date := time.Date(y, m, d, 0, 0, 0, 0, time.UTC) // a date, not an instant
	today, replaced := r.day(date)
	switch {
	case r.always && !replaced:
		return true, true
	case !r.always && len(r.weekly) == 0 && !replaced:
		return false, false
	case replaced && len(today) == 0:
		return false, true // closed that day, the end of a night before included
	}
	for _, s := range today {
		if within(date, s, now, zone) {
			return true, true
		}
	}
	before := date.AddDate(0, 0, -1)
	night, _ := r.day(before)
	for _, s := range night {
		if within(before, s, now, zone) {
			return true, true
		}
	}
	return false, true
}

// day returns the openings that begin on a date, in minutes after its
// midnight, and whether they stand in place of the weekly ones.
func (r *rule) day(date time.Time) (spans [][2]int, replaced bool) {
	add := func(opens, closes int16) {
		if closes <= opens {
			closes += 1440
		}
		spans = append(spans, [2]int{int(opens), int(closes)})
	}
	day := dayOf(date)
	i, _ := slices.BinarySearchFunc(r.exceptions, day, func(e Exception, d int32) int { return cmp.Compare(e.Day, d) })
	closed := false
	for ; i < len(r.exceptions) && r.exceptions[i].Day == day; i++ {
		replaced = true
		if e := r.exceptions[i]; e.Closed {
			closed = true
		} else {
			add(e.Opens, e.Closes)
		}
	}
	switch {
	case closed:
		return nil, true
	case replaced:
		return spans, true
	case r.always:
		return [][2]int{{0, 1440}}, false
	}
	for _, s := range r.weekly {
		if s.Day == date.Weekday() {
			add(s.Opens, s.Closes)
		}
	}
	return spans, false
}

func within(date time.Time, s [2]int, now time.Time, zone *time.Location) bool {
	return !now.Before(instant(date, s[0], zone)) && now.Before(instant(date, s[1], zone))
}

// instant returns when the clocks of a zone first show so many minutes after
// the midnight of date; where they leap over it, the moment of the leap.
func instant(date time.Time, minutes int, zone *time.Location) time.Time {
	wall := date.Add(time.Duration(minutes) * time.Minute) // as if the zone were UTC
	_, before := wall.Add(-24 * time.Hour).In(zone).Zone()
	_, after := wall.Add(24 * time.Hour).In(zone).Zone()
	first := wall.Add(-time.Duration(max(before, after)) * time.Second)
	second := wall.Add(-time.Duration(min(before, after)) * time.Second)
	for _, t := range [...]time.Time{first, second} {
		if _, offset := t.In(zone).Zone(); t.Add(time.Duration(offset) * time.Second).Equal(wall) {
			return t
		}
	}
	leap, _ := second.In(zone).ZoneBounds()
	return leap
}
