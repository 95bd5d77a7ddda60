package search

import (
	"math"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
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
	var lists [freshnessSteps][]uint32
	for i := range s.n {
		step := freshness(s.assured[i], s.cadence[i], s.lapse[i], day)
		v.steps[i] = uint8(step)
		lists[step] = append(lists[step], uint32(i))
	}
	for i, l := range lists {
		v.sets[i] = newDocSet(l, s.n)
	}
	s.today.Store(v)
	return v
}

// minuteView is which documents of a segment are open in one minute.
type minuteView struct {
	minute                  int64
	open, closed, notStated docSet
	dense                   docBits // the open ones
}

// opening returns the view of a minute. It is computed once a minute: the
// newest asked is kept. Hours that nobody has checked in time say nothing.
func (s *segment) opening(now time.Time) *minuteView {
	minute := now.Unix() / 60
	if v := s.minute.Load(); v != nil && v.minute == minute {
		return v
	}
	const unknown, shut, open = 0, 1, 2
	states := make([]uint8, len(s.rules))
	for i := range s.rules {
		switch isOpen, known := s.rules[i].open(now); {
		case isOpen:
			states[i] = open
		case known:
			states[i] = shut
		}
	}
	day := dayOf(now)
	var lists [3][]uint32
	for i := range s.n {
		best := uint8(unknown)
		for _, h := range s.hours[s.hourOff[i]:s.hourOff[i+1]] {
			if freshness(h.assured, s.cadence[i], s.lapse[i], day) < stale {
				best = max(best, states[h.rule])
			}
		}
		lists[best] = append(lists[best], uint32(i))
	}
	v := &minuteView{minute: minute, dense: newBits(s.n),
		open: newDocSet(lists[open], s.n), closed: newDocSet(lists[shut], s.n), notStated: newDocSet(lists[unknown], s.n)}
	v.dense.fill(v.open.Bitmap)
	s.minute.Store(v)
	return v
}

// aged returns the documents for people of some age from lo to hi.
func (s *segment) aged(lo, hi int) docSet {
	var docs []uint32
	for i, a := range s.ages {
		if int(a[0]) <= hi && lo <= int(a[1]) {
			docs = append(docs, uint32(i))
		}
	}
	return newDocSet(docs, s.n)
}

// place is a point in the grid: the earth in cells of one degree.
type place struct {
	cell uint32
	doc  uint32
	at   Point
}

func cellOf(p Point) uint32 {
	row := min(int(math.Floor(p.Latitude))+90, 179)
	col := min(int(math.Floor(p.Longitude))+180, 359)
	return uint32(row*360 + col)
}

// around returns the documents with a place within km of p.
func (s *segment) around(p Point, km float64) *roaring.Bitmap {
	const kmPerDegree = earthKM * math.Pi / 180
	var docs []uint32
	scan := func(row, from, to int) {
		lo, hi := uint32(row*360+from), uint32(row*360+to)
		i := searchPlaces(s.points, lo)
		for ; i < len(s.points) && s.points[i].cell <= hi; i++ {
			if kilometres(p, s.points[i].at) <= km {
				docs = append(docs, s.points[i].doc)
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
	return bitmapOf(docs)
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
		if d := kilometres(p, q); best < 0 || d < best {
			best = d
		}
	}
	return best
}
