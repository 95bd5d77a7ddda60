package sheet

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/2ps-project/waymark/node/hsds/spill"
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
	_           struct{} `cbor:",toarray"`
	Where, Name string
	Phones      []string
	Address     string
	Lat, Lon    float64
	Placed      bool
	IsRow       bool
	IsNew       bool

	folded string // the name
}

// finder compares rows that bring something new with everything else. What each
// listing is compared by waits in a file.
type finder struct {
	all  *spill.File // features
	by   spill.Index // where they are, by what listings may have in common
	seed maphash.Seed
}

func newFinder() (*finder, error) {
	all, err := spill.New()
	if err != nil {
		return nil, err
	}
	return &finder{all: all, seed: maphash.MakeSeed()}, nil
}

func (f *finder) close() error { return errors.Join(f.all.Close(), f.by.Close()) }

// existing remembers a listing that is there; matched is one that a row means.
func (f *finder) existing(d listing.Document, matched bool) error {
	if matched {
		return nil
	}
	id, _ := d["id"].(string)
	l, _ := d.Listing()
	return f.add(featuresOf(id, l))
}

// row remembers a row.
func (f *finder) row(where string, l *listing.Listing, isNew bool) error {
	x := featuresOf(where, l)
	x.IsRow, x.IsNew = true, isNew
	return f.add(x)
}

// withinBits are for where in its cell of the map something is. The rest of a value of
// the index says where its features wait.
const withinBits = 24

func (f *finder) add(x features) error {
	piece, err := cbor.Marshal(x)
	if err != nil {
		return err
	}
	at, err := f.all.Add(piece)
	for _, key := range x.keys() {
		err = errors.Join(err, f.by.Put(f.hash(key), uint64(at)<<withinBits))
	}
	if x.Placed {
		c, within := meshOf(x.Lat, x.Lon)
		err = errors.Join(err, f.by.Put(f.hash(c.key()), uint64(at)<<withinBits|within))
	}
	return err
}

func (f *finder) hash(key string) uint64 { return maphash.String(f.seed, key) }

func (f *finder) at(at int64) (*features, error) {
	piece, _, err := f.all.At(at)
	if err != nil {
		return nil, err
	}
	return readFeatures(piece)
}

func readFeatures(piece []byte) (*features, error) {
	var x features
	if err := cbor.Unmarshal(piece, &x); err != nil {
		return nil, err
	}
	x.folded = fold(x.Name)
	return &x, nil
}

func featuresOf(where string, l *listing.Listing) features {
	x := features{Where: where, Name: l.Name, folded: fold(l.Name)}
	for _, c := range l.ContactChannels() {
		if c.Type != "phone" && c.Type != "callback" {
			continue
		}
		if n := digits(c.Value); len(n) >= 7 && !slices.Contains(x.Phones, n[max(0, len(n)-9):]) {
			x.Phones = append(x.Phones, n[max(0, len(n)-9):])
		}
	}
	for _, s := range l.ServiceAtLocations {
		if s.Location == nil {
			continue
		}
		if lat, lon := s.Location.Latitude, s.Location.Longitude; lat != nil && lon != nil && !x.Placed {
			x.Lat, x.Lon, x.Placed = *lat, *lon, true
		}
		for _, a := range s.Location.Addresses {
			if x.Address == "" && a.Address1 != "" {
				x.Address = fold(a.Address1) + "|" + fold(cmp.Or(a.PostalCode, a.City))
			}
		}
	}
	return x
}

// found compares what has a word for it in common.
func (f *finder) found() (out []Duplicate, err error) {
	if err := f.by.Sort(); err != nil {
		return nil, err
	}
	var failed error
	err = f.all.Each(0, f.all.Size(), func(at int64, piece []byte) bool {
		var x *features
		if x, failed = readFeatures(piece); failed == nil && x.IsRow && x.IsNew {
			failed = f.compare(x, at, &out)
		}
		return failed == nil && len(out) < maxDuplicates
	})
	return out, errors.Join(err, failed)
}

// compare adds the listings that one may be the same as.
func (f *finder) compare(x *features, at int64, out *[]Duplicate) error {
	looked := map[int64]bool{at: true}
	places, err := f.candidates(x)
	if err != nil {
		return err
	}
	for _, p := range places {
		if looked[p] {
			continue
		}
		looked[p] = true
		y, err := f.at(p)
		if err != nil {
			return err
		}
		if y.IsRow && y.IsNew && p > at { // the later row tells of that pair
			continue
		}
		if why := x.alike(y); why != "" && len(*out) < maxDuplicates {
			*out = append(*out, Duplicate{x.Where, x.Name, y.Where, y.Name, why})
		}
	}
	return nil
}

// candidates are where the features wait of what may be the same; some may be there
// twice.
func (f *finder) candidates(x *features) (places []int64, err error) {
	const everybody = 200 // a number or place that everybody has tells nothing
	look := func(key string, close func(within uint64) bool) {
		values := make([]uint64, 0, 8)
		err = errors.Join(err, f.by.Find(f.hash(key), 0, func(v uint64) bool {
			values = append(values, v)
			return len(values) <= everybody
		}))
		if len(values) > everybody {
			return
		}
		for _, v := range values {
			if close == nil || close(v&(1<<withinBits-1)) {
				places = append(places, int64(v>>withinBits))
			}
		}
	}
	for _, key := range x.keys() {
		look(key, nil)
	}
	if x.Placed {
		c, _ := meshOf(x.Lat, x.Lon)
		for _, north := range []int{-1, 0, 1} {
			for _, east := range []int{-1, 0, 1} {
				d := mesh{c.lat + north, c.lon + east}
				look(d.key(), func(within uint64) bool {
					lat, lon := d.point(within)
					return metres(x.Lat, x.Lon, lat, lon) <= near+1
				})
			}
		}
	}
	return places, err
}

// keys are what alike listings have in common at least one of, beside their place.
func (x *features) keys() []string {
	var out []string
	if x.folded != "" {
		words := strings.Fields(x.folded)
		slices.Sort(words)
		out = append(out, "name "+strings.Join(words, " "))
	}
	for _, p := range x.Phones {
		out = append(out, "phone "+p)
	}
	if x.Address != "" {
		out = append(out, "address "+x.Address)
	}
	return out
}

// mesh is a cell of the map.
type mesh struct{ lat, lon int }

// meshSize is in degrees: more than near anywhere in Europe but the far north's
// longitudes.
const meshSize = 0.005

// meshOf returns the cell of a place, and where in it that is.
func meshOf(lat, lon float64) (c mesh, within uint64) {
	part := func(degrees float64) (int, uint64) {
		n := math.Floor(degrees / meshSize)
		return int(n), min(uint64((degrees/meshSize-n)*(1<<(withinBits/2))), 1<<(withinBits/2)-1)
	}
	var y, x uint64
	c.lat, y = part(lat)
	c.lon, x = part(lon)
	return c, y<<(withinBits/2) | x
}

func (c mesh) key() string { return fmt.Sprintf("place %d %d", c.lat, c.lon) }

// point is where that is on the map, to half a metre.
func (c mesh) point(within uint64) (lat, lon float64) {
	const parts = 1 << (withinBits / 2)
	return (float64(c.lat) + (float64(within/parts)+0.5)/parts) * meshSize, (float64(c.lon) + (float64(within%parts)+0.5)/parts) * meshSize
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
	phone := slices.ContainsFunc(x.Phones, func(p string) bool { return slices.Contains(y.Phones, p) })
	if phone {
		why = append(why, "same telephone")
	}
	place := x.Address != "" && x.Address == y.Address
	if place {
		why = append(why, "same address")
	}
	if x.Placed && y.Placed {
		if d := metres(x.Lat, x.Lon, y.Lat, y.Lon); d <= near {
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
