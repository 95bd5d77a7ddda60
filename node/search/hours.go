package search

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
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
	turn       int         // of the turnings of its segment
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

// wall is what the clocks of a zone show.
type wall struct {
	day     int32 // days since 1970-01-01, of the local date
	weekday time.Weekday
	minute  int  // after midnight
	steady  bool // the zone's offset does not change in the two days before or after
}

func wallAt(zone *time.Location, now time.Time) wall {
	local := now.In(zone)
	y, m, d := local.Date()
	w := wall{dayOf(time.Date(y, m, d, 0, 0, 0, 0, time.UTC)), local.Weekday(), local.Hour()*60 + local.Minute(), true}
	const near = 48 * time.Hour
	start, end := local.ZoneBounds()
	w.steady = (start.IsZero() || now.Sub(start) > near) && (end.IsZero() || end.Sub(now) > near)
	return w
}

// at tells the same as open: from the numbers alone while the offset of the zone
// is steady, as it is on all but ten days of the year.
func (r *rule) at(w *wall, now time.Time) (open, known bool) {
	if !w.steady {
		return r.open(now)
	}
	in, any, replaced := r.covers(w.day, w.weekday, w.minute)
	switch {
	case r.always && !replaced:
		return true, true
	case !r.always && len(r.weekly) == 0 && !replaced:
		return false, false
	case replaced && !any:
		return false, true
	case in:
		return true, true
	}
	in, _, _ = r.covers(w.day-1, (w.weekday+6)%7, w.minute+1440)
	return in, true
}

// covers tells whether an opening that begins on a date covers a minute after
// its midnight, whether there is any, and whether exceptions replace the week.
func (r *rule) covers(day int32, weekday time.Weekday, minute int) (in, any, replaced bool) {
	one := func(opens, closes int16) {
		end := int(closes)
		if closes <= opens {
			end += 1440
		}
		any = true
		in = in || int(opens) <= minute && minute < end
	}
	if len(r.exceptions) > 0 {
		i, _ := slices.BinarySearchFunc(r.exceptions, day, func(e Exception, d int32) int { return cmp.Compare(e.Day, d) })
		for ; i < len(r.exceptions) && r.exceptions[i].Day == day; i++ {
			if replaced = true; r.exceptions[i].Closed {
				return false, false, true
			}
			one(r.exceptions[i].Opens, r.exceptions[i].Closes)
		}
	}
	switch {
	case replaced:
	case r.always:
		return minute < 1440, true, false
	default:
		for _, s := range r.weekly {
			if s.Day == weekday {
				one(s.Opens, s.Closes)
			}
		}
	}
	return in, any, replaced
}

// turning is when in a day the hours of a zone can turn from open to closed.
type turning struct {
	zone  *time.Location
	marks [1440/64 + 1]uint64 // bit m: minute m after midnight
}

func (t *turning) mark(minute int16) {
	m := minute % 1440
	t.marks[m>>6] |= 1 << (m & 63)
}

// next returns in how many minutes hours can turn next, at most at midnight.
func (t *turning) next(w *wall) int {
	if !w.steady {
		return 1
	}
	for m := w.minute + 1; m < 1440; m++ {
		if rest := t.marks[m>>6] >> (m & 63); rest == 0 {
			m |= 63
		} else if m += bits.TrailingZeros64(rest); m < 1440 {
			return m - w.minute
		}
	}
	return 1440 - w.minute
}

// append writes a rule; parseRule is its mirror.
func (r *rule) append(b []byte) []byte {
	b = append(b, byte(len(r.zone)))
	b = append(b, r.zone...)
	b = append(b, b2i(r.always), byte(len(r.weekly)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.exceptions)))
	for _, s := range r.weekly {
		b = append(b, byte(s.Day))
		b = binary.LittleEndian.AppendUint16(b, uint16(s.Opens))
		b = binary.LittleEndian.AppendUint16(b, uint16(s.Closes))
	}
	for _, e := range r.exceptions {
		b = binary.LittleEndian.AppendUint32(b, uint32(e.Day))
		b = append(b, b2i(e.Closed))
		b = binary.LittleEndian.AppendUint16(b, uint16(e.Opens))
		b = binary.LittleEndian.AppendUint16(b, uint16(e.Closes))
	}
	return b
}

// parseRule reads what append wrote; false when it is anything else.
func parseRule(b []byte) (r rule, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0])+4 {
		return rule{}, false
	}
	r.zone, b = string(b[1:1+b[0]]), b[1+b[0]:]
	r.always = b[0] == 1
	weekly, exceptions := int(b[1]), int(binary.LittleEndian.Uint16(b[2:]))
	if b = b[4:]; weekly > maxSpans || exceptions > maxExceptions || len(b) != 5*weekly+9*exceptions || location(r.zone) == nil {
		return rule{}, false
	}
	num := func(b []byte) int16 { return int16(binary.LittleEndian.Uint16(b)) }
	if weekly > 0 {
		r.weekly = make([]Span, weekly)
	}
	for i := range r.weekly {
		r.weekly[i] = Span{time.Weekday(b[0]), num(b[1:]), num(b[3:])}
		if b = b[5:]; !clock(r.weekly[i].Opens, r.weekly[i].Closes) {
			return rule{}, false
		}
	}
	if exceptions > 0 {
		r.exceptions = make([]Exception, exceptions)
	}
	for i := range r.exceptions {
		e := Exception{int32(binary.LittleEndian.Uint32(b)), b[4] == 1, num(b[5:]), num(b[7:])}
		if b = b[9:]; !e.Closed && !clock(e.Opens, e.Closes) {
			return rule{}, false
		}
		r.exceptions[i] = e
	}
	return r, true
}

// readRules makes the rules of the columns, and when they can turn.
func (s *segment) readRules() error {
	s.rules = make([]rule, 0, len(s.ruleAt)-1)
	zones := map[string]int{}
	for i := range len(s.ruleAt) - 1 {
		r, ok := parseRule(s.ruleOf[s.ruleAt[i]:s.ruleAt[i+1]])
		if !ok {
			return fmt.Errorf("%w: opening hours that cannot be read", errSegment)
		}
		z, seen := zones[r.zone]
		if !seen {
			z = len(s.turns)
			zones[r.zone] = z
			s.turns = append(s.turns, turning{zone: location(r.zone)})
		}
		r.zone, r.turn = s.turns[z].zone.String(), z // one string for all of a zone
		for _, w := range r.weekly {
			s.turns[z].mark(w.Opens)
			s.turns[z].mark(w.Closes)
		}
		for _, e := range r.exceptions {
			if !e.Closed {
				s.turns[z].mark(e.Opens)
				s.turns[z].mark(e.Closes)
			}
		}
		s.rules = append(s.rules, r)
	}
	return nil
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
