package search

import (
	"math"
	"time"
)

// channelHours is the opening hours of one channel of a document.
type channelHours struct {
	rule    uint32
	assured int32 // day of the check; that of the listing where the channel has none
}

// dayView is how fresh the documents of a segment are on one day.
type dayView struct {
	day   int32
	steps []uint8 // of each document
	sets  [freshnessSteps]docSet
}

// fresh returns the view of a day. It is computed once a day: the newest
// asked is kept.
func (s *segment) fresh(day int32) *dayView {
	if v := s.today.Load(); v != nil && v.day == day {
		return v
	}
	v := &dayView{day: day, steps: make([]uint8, s.n)}
	for i := range v.sets {
		v.sets[i].bits = newBits(s.n)
	}
	for i := range s.n {
		step := freshness(s.assured[i], s.cadence[i], s.lapse[i], day)
		v.steps[i] = uint8(step)
		v.sets[step].bits.set(uint32(i))
	}
	s.today.Store(v)
	return v
}

// minuteView is which documents of a segment are open, for as long as none of
// its hours can turn.
type minuteView struct {
	from, until int64     // minutes since 1970-01-01 UTC: holds in [from, until)
	states      [3]docSet // by hoursUnknown, hoursShut, hoursOpen
}

const (
	hoursUnknown = iota
	hoursShut
	hoursOpen
)

var openNames = [3]string{openNotStated, openFalse, openTrue}

// opening returns the view of a minute: the newest asked is kept, and serves
// until the next moment at which any hours begin or end. Hours that nobody has
// checked in time say nothing.
func (s *segment) opening(now time.Time) *minuteView {
	minute := now.Unix() / 60
	if v := s.minute.Load(); v != nil && v.from <= minute && minute < v.until {
		return v
	}
	v := &minuteView{from: minute, until: (minute/1440 + 1) * 1440} // with the day, freshness turns
	walls := make([]wall, len(s.turns))
	for i := range s.turns {
		walls[i] = wallAt(s.turns[i].zone, now)
		v.until = min(v.until, minute+int64(s.turns[i].next(&walls[i])))
	}
	states := make([]uint8, len(s.rules))
	for i := range s.rules {
		r := &s.rules[i]
		switch isOpen, known := r.at(&walls[r.turn], now); {
		case isOpen:
			states[i] = hoursOpen
		case known:
			states[i] = hoursShut
		}
	}
	for i := range v.states {
		v.states[i].bits = newBits(s.n)
	}
	day := dayOf(now)
	for i := range s.n {
		best := uint8(hoursUnknown)
		for _, h := range s.hours[s.hourOff[i]:s.hourOff[i+1]] {
			if states[h.rule] > best && freshness(h.assured, s.cadence[i], s.lapse[i], day) < stale {
				best = states[h.rule]
			}
		}
		v.states[best].bits.set(uint32(i))
	}
	s.minute.Store(v)
	return v
}

// aged returns the documents for people of some age from lo to hi.
func (s *segment) aged(lo, hi int) docBits {
	out := newBits(s.n)
	for i, a := range s.ages {
		if int(a[0]) <= hi && lo <= int(a[1]) {
			out.set(uint32(i))
		}
	}
	return out
}

// place is a point in the grid: the earth in cells of one degree. The vector
// is rounded to about a metre; what is nearer to a border is asked of pts.
type place struct {
	cell    uint32
	doc     uint32
	x, y, z float32 // on the unit sphere
}

func cellOf(p Point) uint32 {
	row := min(int(math.Floor(p.Latitude))+90, 179)
	col := min(int(math.Floor(p.Longitude))+180, 359)
	return uint32(row*360 + col)
}

// vector returns p on the unit sphere.
func (p Point) vector() (x, y, z float64) {
	const rad = math.Pi / 180
	sinLat, cosLat := math.Sincos(p.Latitude * rad)
	sinLon, cosLon := math.Sincos(p.Longitude * rad)
	return cosLat * cosLon, cosLat * sinLon, sinLat
}

// reached is a place of a document and the square of the chord to it.
type reached struct {
	doc    uint32
	square float64
}

// around adds the documents with a place within km of p to out, and these places to
// list.
func (s *segment) around(p Point, km float64, out docBits, list []reached) []reached {
	const kmPerDegree = earthKM * math.Pi / 180
	px, py, pz := p.vector()
	chord := 2 * math.Sin(min(km/earthKM/2, math.Pi/2))
	const rounded = 1e-6 // more than three roundings to float32
	sure, never := max(chord-rounded, 0), chord+rounded
	sure, never = sure*sure, never*never
	scan := func(row, from, to int) {
		lo, hi := uint32(row*360+from), uint32(row*360+to)
		i := searchPlaces(s.cells, lo)
		for ; i < len(s.cells) && s.cells[i].cell <= hi; i++ {
			c := &s.cells[i]
			dx, dy, dz := float64(c.x)-px, float64(c.y)-py, float64(c.z)-pz
			if d := dx*dx + dy*dy + dz*dz; d < sure || d < never && s.nearest(p, c.doc) <= km {
				out.set(c.doc)
				list = append(list, reached{c.doc, d})
			}
		}
	}
	dLat := km/kmPerDegree + 1e-9
	south, north := max(p.Latitude-dLat, -90), min(p.Latitude+dLat, 90)
	dLon := 180.0 // all meridians, if a pole lies within
	if south > -90 && north < 90 {
		if ratio := math.Sin(min(km/earthKM, math.Pi/2)) / math.Cos(p.Latitude*math.Pi/180); ratio < 1 {
			dLon = math.Asin(ratio)*180/math.Pi + 1e-9
		}
	}
	rows := [2]int{int(math.Floor(south)) + 90, min(int(math.Floor(north))+90, 179)}
	for row := rows[0]; row <= rows[1]; row++ {
		if dLon >= 180 {
			scan(row, 0, 359)
			continue
		}
		from, to := int(math.Floor(p.Longitude-dLon))+180, int(math.Floor(p.Longitude+dLon))+180
		scan(row, max(from, 0), min(to, 359))
		if from < 0 {
			scan(row, from+360, 359)
		}
		if to > 359 {
			scan(row, 0, to-360)
		}
	}
	return list
}

// searchPlaces returns the first place in cell or behind it.
func searchPlaces(points []place, cell uint32) int {
	lo, hi := 0, len(points)
	for lo < hi {
		mid := (lo + hi) / 2
		if points[mid].cell < cell {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// nearest returns the distance in km from p to the nearest place of a
// document, or below 0 if it has none.
func (s *segment) nearest(p Point, doc uint32) float64 {
	best := -1.0
	for _, q := range s.pts[s.ptOff[doc]:s.ptOff[doc+1]] {
		if d := Kilometres(p, q); best < 0 || d < best {
			best = d
		}
	}
	return best
}
