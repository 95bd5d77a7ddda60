package api

import (
	"context"
	"fmt"
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

// maxID is how long an id that is asked for can be, in bytes.
const maxID = 100

// common are the parameters of every list.
var common = []string{"search", "page", "per_page", "format", "snapshot"}

// parseHSDS reads the parameters of a list and names everything that is wrong with
// them at once. One that the list does not have is refused, and one that stands
// there twice, since leaving one out would answer another question.
func parseHSDS(v url.Values, l hsdsList, now time.Time) (hsdsAsk, error) {
	ask := hsdsAsk{page: 1, perPage: DefaultPer, q: search.Query{Now: now, Order: search.ByID}}
	var faults faults
	for _, name := range sorted(v) {
		faults.add(ask.read(name, v[name], l))
	}
	ask.settle(v, &faults)
	return ask, faults.err()
}

// read takes in one parameter.
func (ask *hsdsAsk) read(name string, values []string, l hsdsList) error {
	s := values[0]
	switch {
	case !slices.Contains(common, name) && !slices.Contains(l.params, name):
		return unknownHSDS(name, l)
	case len(values) > 1:
		return wrong(name, "can be given only once; two filters together give what both give")
	case len(s) > maxValue || !utf8.ValidString(s):
		return wrong(name, "must be UTF-8 text of at most %d bytes", maxValue)
	case s == "":
		return nil
	}
	return ask.set(name, s)
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
	key := func(kind string) error {
		if len(s) > maxID {
			return wrong(name, "is an id of at most %d bytes", maxID)
		}
		q.Keys = append(q.Keys, search.KeyFilter{Any: []string{kind + s}})
		return nil
	}
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
		err = key(hsds.KeyOrganization)
	case "taxonomy_term_id":
		err = key(hsds.KeyTerm)
	case "taxonomy_id":
		ask.taxonomyID = s
		err = key(hsds.KeyTaxonomy)
	case "parent_id":
		ask.parentID = s
	case "modified_after":
		var t time.Time
		if t, err = moment(name, s); err == nil {
			q.Keys = append(q.Keys, search.KeyFilter{From: hsds.KeyModified + hsds.ModifiedKey(t), To: hsds.KeyModified + "~"})
		}
	case "country":
		if q.Countries, err = countries(name, []string{s}); err == nil && len(s) != 2 {
			err = wrong(name, "is an ISO 3166-1 code of two letters such as PL")
		}
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
func (ask *hsdsAsk) settle(v url.Values, faults *faults) {
	lat, lon, radius := v.Get("latitude"), v.Get("longitude"), v.Get("radius")
	if (lat == "") != (lon == "") {
		faults.add(wrong("latitude", "and longitude belong together: give both or neither"))
	}
	if lat == "" && radius != "" {
		faults.add(wrong("radius", "needs latitude and longitude, the place around which it is drawn"))
	}
	if lat != "" && lon != "" {
		var p search.Point
		metres := 25000.0
		var errs [3]error
		p.Latitude, errs[0] = number("latitude", lat, -90, 90)
		p.Longitude, errs[1] = number("longitude", lon, -180, 180)
		if radius != "" {
			metres, errs[2] = number("radius", radius, 1, 2.1e7)
		}
		for _, err := range errs {
			faults.add(err)
		}
		ask.q.Near, ask.q.RadiusKM = &p, metres/1000
	}
	if ask.proximity > 0 && ask.postcode == "" {
		faults.add(wrong("proximity", "needs postcode, the place around which it is drawn"))
	}
	if ask.proximity > 0 && ask.q.Near != nil {
		faults.add(wrong("proximity", "and latitude draw two circles: ask with one of them"))
	}
	ask.ages(v.Get("minimum_age"), v.Get("maximum_age"), faults)
}

// ages asks for services that take somebody of an age between two.
func (ask *hsdsAsk) ages(from, to string, faults *faults) {
	if from == "" && to == "" {
		return
	}
	lo, hi := 0, 150
	var errs [2]error
	if from != "" {
		lo, errs[0] = whole("minimum_age", from, 0, 150)
	}
	if to != "" {
		hi, errs[1] = whole("maximum_age", to, 0, 150)
	}
	faults.add(errs[0])
	faults.add(errs[1])
	if errs[0] == nil && errs[1] == nil && lo > hi {
		faults.add(wrong("minimum_age", "is above maximum_age"))
	}
	if ask.q.Facets == nil {
		ask.q.Facets = map[string][]string{}
	}
	ask.q.Facets[string(search.Age)] = []string{fmt.Sprintf("%d-%d", lo, hi)}
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
