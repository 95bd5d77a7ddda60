package sheet

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
)

// Duplicate is a pair that may be one and the same service. Nothing is done about
// it: a person decides.
type Duplicate struct {
	Row     string `json:"row"`
	Name    string `json:"name"`
	Of      string `json:"of"`      // the id of a listing that is there, or another row
	OfName  string `json:"of_name"` // its name
	Because string `json:"because"` // "same telephone, 120 m apart"
}

// near is how far apart two places may be to count as one, in metres.
const near = 150

// maxDuplicates is how many pairs are told.
const maxDuplicates = 500

// features are what two listings are compared by.
type features struct {
	where, name   string
	folded        string
	phones        []string
	address       string
	lat, lon      float64
	placed, isRow bool
	isNew         bool
}

// finder compares rows that bring something new with everything else. It
// remembers of each listing what [features] holds.
type finder struct{ all []features }

func newFinder() *finder { return &finder{} }

// existing remembers a listing that is there; matched is one that a row means.
func (f *finder) existing(d listing.Document, matched bool) {
	if id, _ := d["id"].(string); !matched {
		f.all = append(f.all, featuresOf(id, d))
	}
}

// row remembers a row.
func (f *finder) row(where string, d listing.Document, isNew bool) {
	x := featuresOf(where, d)
	x.isRow, x.isNew = true, isNew
	f.all = append(f.all, x)
}

func featuresOf(where string, d listing.Document) features {
	l, _ := d.Listing()
	x := features{where: where, name: l.Name, folded: fold(l.Name)}
	for _, c := range l.ContactChannels() {
		if c.Type != "phone" && c.Type != "callback" {
			continue
		}
		if n := digits(c.Value); len(n) >= 7 && !slices.Contains(x.phones, n[max(0, len(n)-9):]) {
			x.phones = append(x.phones, n[max(0, len(n)-9):])
		}
	}
	for _, s := range l.ServiceAtLocations {
		if s.Location == nil {
			continue
		}
		if lat, lon := s.Location.Latitude, s.Location.Longitude; lat != nil && lon != nil && !x.placed {
			x.lat, x.lon, x.placed = *lat, *lon, true
		}
		for _, a := range s.Location.Addresses {
			if x.address == "" && a.Address1 != "" {
				x.address = fold(a.Address1) + "|" + fold(cmp.Or(a.PostalCode, a.City))
			}
		}
	}
	return x
}

// found compares what has a word for it in common.
func (f *finder) found() []Duplicate {
	by := map[string][]int{}
	for i, x := range f.all {
		for _, key := range x.keys() {
			by[key] = append(by[key], i)
		}
	}
	var out []Duplicate
	for i, x := range f.all {
		if !x.isRow || !x.isNew {
			continue
		}
		looked := map[int]bool{i: true}
		for _, key := range x.keys() {
			if len(by[key]) > 200 {
				continue // a number or place that everybody has tells nothing
			}
			for _, j := range by[key] {
				y := &f.all[j]
				if looked[j] || (y.isRow && y.isNew && j > i) { // the later row tells of that pair
					continue
				}
				looked[j] = true
				if why := x.alike(y); why != "" && len(out) < maxDuplicates {
					out = append(out, Duplicate{x.where, x.name, y.where, y.name, why})
				}
			}
		}
	}
	return out
}

// keys are what alike listings have in common at least one of.
func (x *features) keys() []string {
	var out []string
	if x.folded != "" {
		words := strings.Fields(x.folded)
		slices.Sort(words)
		out = append(out, "name "+strings.Join(words, " "))
	}
	for _, p := range x.phones {
		out = append(out, "phone "+p)
	}
	if x.address != "" {
		out = append(out, "address "+x.address)
	}
	if x.placed {
		const cell = 0.005 // degrees, more than near anywhere in Europe but the far north's longitudes
		for _, a := range []float64{-1, 0, 1} {
			for _, b := range []float64{-1, 0, 1} {
				out = append(out, fmt.Sprintf("place %d %d", int(math.Floor(x.lat/cell+a)), int(math.Floor(x.lon/cell+b))))
			}
		}
	}
	return out
}

// alike says why two may be the same; empty when they are likely not.
func (x *features) alike(y *features) string {
	var why []string
	names := similar(x.folded, y.folded)
	switch {
	case names == 1:
		why = append(why, "same name")
	case names >= 0.6:
		why = append(why, "similar name")
	}
	phone := slices.ContainsFunc(x.phones, func(p string) bool { return slices.Contains(y.phones, p) })
	if phone {
		why = append(why, "same telephone")
	}
	place := x.address != "" && x.address == y.address
	if place {
		why = append(why, "same address")
	}
	if x.placed && y.placed {
		if d := metres(x.lat, x.lon, y.lat, y.lon); d <= near {
			place = true
			why = append(why, fmt.Sprintf("%.0f m apart", d))
		}
	}
	if names == 1 || phone || (place && names >= 0.3) {
		return strings.Join(why, ", ")
	}
	return ""
}

// similar is the share of words that two names have in common.
func similar(a, b string) float64 {
	x, y := strings.Fields(a), strings.Fields(b)
	if len(x) == 0 || len(y) == 0 {
		return 0
	}
	common := 0
	y = slices.Clone(y)
	for _, w := range x {
		if i := slices.Index(y, w); i >= 0 {
			common++
			y = slices.Delete(y, i, i+1)
		}
	}
	return float64(common) / float64(len(x)+len(y))
}

// metres is the distance on the ground, good for short ones.
func metres(lat1, lon1, lat2, lon2 float64) float64 {
	const degree = 111_195
	x := (lon2 - lon1) * math.Cos((lat1+lat2)/2*math.Pi/180)
	return math.Hypot(x, lat2-lat1) * degree
}
