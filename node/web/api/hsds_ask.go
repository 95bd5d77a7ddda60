package api

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/search"
)

// hsdsAsk is a question for a list of HSDS.
type hsdsAsk struct {
	q             search.Query // which services; of an organization or a place, its services
	page, perPage int
	lines         bool // format=ndjson: all, one a line
	full          bool
	minimal       bool
	fullService   bool
	topOnly       bool
	taxonomyID    string // of terms
	parentID      string
	postcode      string
	proximity     float64 // metres; 0 = not asked
}

// common are the parameters of every list.
var common = []string{"search", "page", "per_page", "format", "snapshot"}

// parseHSDS reads the parameters of a list. One that the list does not have is
// refused, since leaving it out would answer another question.
func parseHSDS(v url.Values, l hsdsList, now time.Time) (hsdsAsk, error) {
	ask := hsdsAsk{page: 1, perPage: DefaultPer, q: search.Query{Now: now, Order: search.ByID}}
	for _, name := range sorted(v) {
		s := v.Get(name)
		if len(s) > maxValue || !utf8.ValidString(s) {
			return ask, wrong(name, "must be UTF-8 text of at most %d bytes", maxValue)
		}
		if !slices.Contains(common, name) && !slices.Contains(l.params, name) {
			return ask, unknownHSDS(name, l)
		}
		if s == "" {
			continue
		}
		if err := ask.set(name, s); err != nil {
			return ask, err
		}
	}
	return ask, ask.settle(v)
}

func unknownHSDS(name string, l hsdsList) error {
	names := append(slices.Clone(common), l.params...)
	slices.Sort(names)
	shown := strings.ToValidUTF8(name[:min(len(name), 64)], "")
	return &QueryError{
		Parameter: shown, Nearest: search.Nearest(shown, names),
		Detail: "The list " + l.name + " can be asked with " + strings.Join(names, ", ") + " only.",
	}
}

func (ask *hsdsAsk) set(name, s string) (err error) {
	q := &ask.q
	key := func(kind string) { q.Keys = append(q.Keys, search.KeyFilter{Any: []string{kind + s}}) }
	switch name {
	case "page":
		ask.page, err = whole(name, s, 1, maxPage)
	case "per_page":
		ask.perPage, err = whole(name, s, 1, MaxPer)
	case "search":
		q.Text = s
	case "snapshot":
		q.Snapshot = s
	case "format":
		if s != "json" && s != "ndjson" {
			return wrong(name, "can be json or ndjson")
		}
		ask.lines = s == "ndjson"
	case "organization_id":
		key(hsds.KeyOrganization)
	case "taxonomy_term_id":
		key(hsds.KeyTerm)
	case "taxonomy_id":
		ask.taxonomyID = s
		key(hsds.KeyTaxonomy)
	case "parent_id":
		ask.parentID = s
	case "modified_after":
		var t time.Time
		if t, err = moment(name, s); err == nil {
			q.Keys = append(q.Keys, search.KeyFilter{From: hsds.KeyModified + hsds.ModifiedKey(t), To: hsds.KeyModified + "~"})
		}
	case "country":
		q.Countries = []string{s}
	case "language":
		q.Languages = []string{s}
	case "postcode":
		ask.postcode = hsds.Postcode(s)
	case "proximity":
		ask.proximity, err = number(name, s, 1, 1e7)
	default:
		return ask.flag(name, s)
	}
	return err
}

// flag reads what is true or false. Places and ages are read together, in
// settle.
func (ask *hsdsAsk) flag(name, s string) error {
	to := map[string]*bool{
		"full": &ask.full, "minimal": &ask.minimal, "full_service": &ask.fullService, "top_only": &ask.topOnly,
		"open_now": &ask.q.OpenNow, "professional": &ask.q.Professional,
	}[name]
	if to == nil {
		return nil
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return wrong(name, "is true or false")
	}
	if name == "open_now" && !b {
		ask.q.Facets = map[string][]string{string(search.OpenNow): {"false"}}
		return nil
	}
	*to = b
	return nil
}

// moment reads a time: RFC 3339, the same without a zone, or a date.
func moment(name, s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, strings.ToUpper(strings.ReplaceAll(s, " ", "+"))); err == nil {
			return t, nil
		}
	}
	return time.Time{}, wrong(name, "is a date and time, 2026-01-31T12:00:00Z, or a date")
}

// settle reads what belongs together.
func (ask *hsdsAsk) settle(v url.Values) error {
	lat, lon, radius := v.Get("latitude"), v.Get("longitude"), v.Get("radius")
	if (lat == "") != (lon == "") {
		return wrong("latitude", "and longitude belong together: give both or neither")
	}
	if lat == "" && radius != "" {
		return wrong("radius", "needs latitude and longitude, the place around which it is drawn")
	}
	if lat != "" {
		if radius == "" {
			radius = "25000"
		}
		var p search.Point
		var metres float64
		var err error
		if p.Latitude, err = number("latitude", lat, -90, 90); err != nil {
			return err
		}
		if p.Longitude, err = number("longitude", lon, -180, 180); err != nil {
			return err
		}
		if metres, err = number("radius", radius, 1, 2.1e7); err != nil {
			return err
		}
		ask.q.Near, ask.q.RadiusKM = &p, metres/1000
	}
	if ask.proximity > 0 && ask.postcode == "" {
		return wrong("proximity", "needs postcode, the place around which it is drawn")
	}
	return ask.ages(v.Get("minimum_age"), v.Get("maximum_age"))
}

// maxAges is how many years of age can be asked at once.
const maxAges = 60

// ages asks for services that take somebody of an age between two.
func (ask *hsdsAsk) ages(from, to string) error {
	if from == "" && to == "" {
		return nil
	}
	lo, hi := 0, 150
	var err error
	if from != "" {
		if lo, err = whole("minimum_age", from, 0, 150); err != nil {
			return err
		}
		hi = min(150, lo+maxAges)
	}
	if to != "" {
		if hi, err = whole("maximum_age", to, 0, 150); err != nil {
			return err
		}
		if from == "" {
			lo = max(0, hi-maxAges)
		}
	}
	if lo > hi {
		return wrong("minimum_age", "is above maximum_age")
	}
	if ask.q.Facets == nil {
		ask.q.Facets = map[string][]string{}
	}
	for year := lo; year <= min(hi, lo+maxAges); year++ {
		ask.q.Facets[string(search.Age)] = append(ask.q.Facets[string(search.Age)], strconv.Itoa(year))
	}
	return nil
}

// locate turns a postal code into a question for places: those with that code,
// or those within proximity of their middle. No register of postal codes is
// asked: a code that no place here has is known by nobody.
func (a *API) locate(ctx context.Context, ask *hsdsAsk) error {
	filter := search.KeyFilter{Any: []string{hsds.KeyPostcode + ask.postcode}}
	if ask.proximity == 0 {
		ask.q.Keys = append(ask.q.Keys, filter)
		return nil
	}
	refs, _, err := a.opt.Catalog.Whole(ctx, search.Query{Keys: []search.KeyFilter{filter}, Professional: ask.q.Professional, Now: ask.q.Now})
	if err != nil {
		return err
	}
	var middle search.Point
	n := 0.0
	for _, ref := range refs[:min(len(refs), 50)] {
		p, err := a.shown(ctx, ref.ID)
		if err != nil {
			continue
		}
		for _, at := range hsds.Located(p.Listing, ask.postcode) {
			middle.Latitude += at[0]
			middle.Longitude += at[1]
			n++
		}
	}
	if n == 0 {
		ask.q.Keys = append(ask.q.Keys, search.KeyFilter{}) // nothing can answer
		return nil
	}
	ask.q.Near = &search.Point{Latitude: middle.Latitude / n, Longitude: middle.Longitude / n}
	ask.q.RadiusKM = ask.proximity / 1000
	return nil
}
