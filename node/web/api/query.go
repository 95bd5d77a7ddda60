package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/search"
)

// Bounds on a question.
const (
	MaxBody    = 32 << 10 // bytes of a posted question
	maxValue   = 1000     // bytes of one value
	maxValues  = 64       // values of one parameter
	maxPage    = 1_000_000
	DefaultPer = search.DefaultPage // results on a page where the question does not say
	MaxPer     = search.MaxPerPage  // and the most there can be
)

// ErrBadQuery is the kind of every error of [ParseQuery]; the error is a
// [*QueryError]. It is the asker's to mend and safe to show.
var ErrBadQuery = errors.New("bad question")

// QueryError says which parameter of a question is wrong, and how it would be
// right.
type QueryError struct {
	Parameter string // as asked, shortened
	Nearest   string // the most similar parameter that exists; "" when the value is what is wrong
	Detail    string // one sentence

	More []*QueryError // what else is wrong with the same question
}

func (e *QueryError) Error() string { return e.Detail }

// Is makes errors.Is(err, ErrBadQuery) true.
func (e *QueryError) Is(target error) bool { return target == ErrBadQuery }

// faults gathers what is wrong with a question.
type faults []*QueryError

// add takes in an error of a parameter; nil is none.
func (f *faults) add(err error) {
	if bad, ok := errors.AsType[*QueryError](err); ok {
		*f = append(*f, bad)
	}
}

// err is the first fault with all others in it, or nil.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	f[0].More = f[1:]
	return f[0]
}

// plain are the parameters that are no facets.
var plain = []string{"q", "country", "language", "lat", "lon", "radius_km", "order", "page", "per_page", "snapshot", "usable_from", "professional", "together", "explain", "highlight"}

// orders are the values of the parameter order.
var orders = map[string]search.Order{"": search.ByRank, "rank": search.ByRank, "distance": search.ByDistance, "id": search.ByID}

// Question is what is asked of /api/search: of the index, and what is to be
// said of each result.
type Question struct {
	search.Query
	Explain   bool // a sentence that says why it stands where it stands
	Highlight bool // where the words of the question stand in it
}

// Parameters returns the names of all parameters of a question.
func Parameters() []string {
	names := slices.Clone(plain)
	for _, f := range search.Facets() {
		if !slices.Contains(names, string(f)) {
			names = append(names, string(f))
		}
	}
	return names
}

// ParseQuery reads a question as /api/search and the command line take it. A
// repeated key is OR; facets are AND between each other. A key that does not
// exist is an error, since leaving it out would answer another question.
func ParseQuery(v url.Values) (Question, error) {
	q := Question{Query: search.Query{Facets: map[string][]string{}, Page: 1, PerPage: DefaultPer}}
	for _, name := range sorted(v) {
		values := v[name]
		if !slices.Contains(Parameters(), name) {
			return q, unknown(name)
		}
		if len(values) > maxValues {
			return q, wrong(name, "can be given at most %d times", maxValues)
		}
		for _, s := range values {
			if len(s) > maxValue || !utf8.ValidString(s) {
				return q, wrong(name, "must be UTF-8 text of at most %d bytes", maxValue)
			}
		}
		if err := set(&q, name, values); err != nil {
			return q, err
		}
	}
	lat, lon := first(v, "lat"), first(v, "lon")
	switch {
	case (lat == "") != (lon == ""):
		return q, wrong("lat", "and lon belong together: give both or neither")
	case lat != "":
		var p search.Point
		var err error
		if p.Latitude, err = number("lat", lat, -90, 90); err != nil {
			return q, err
		}
		if p.Longitude, err = number("lon", lon, -180, 180); err != nil {
			return q, err
		}
		q.Near = &p
	case q.RadiusKM > 0:
		return q, wrong("radius_km", "needs lat and lon, the place around which it is drawn")
	case q.Order == search.ByDistance:
		return q, wrong("order", "by distance needs lat and lon, the place from which it is measured")
	}
	if len(q.Languages) == 1 {
		q.Language = q.Languages[0]
	}
	if len(q.UsableFrom) == 1 {
		q.From = q.UsableFrom[0]
	}
	return q, nil
}

func set(q *Question, name string, values []string) (err error) {
	s := values[len(values)-1]
	switch name {
	case "q":
		q.Text = s
	case "country":
		q.Countries, err = countries(name, values)
	case "usable_from":
		q.UsableFrom, err = countries(name, values)
	case "language":
		q.Languages = nonEmpty(values)
	case "lat", "lon": // together, later
	case "radius_km":
		q.RadiusKM, err = number(name, s, 0, 20100)
	case "page":
		q.Page, err = whole(name, s, 1, maxPage)
	case "per_page":
		q.PerPage, err = whole(name, s, 1, MaxPer)
	case "snapshot":
		q.Snapshot = s
	case "professional":
		q.Professional, err = truth(name, s)
	case "together":
		q.Together, err = truth(name, s)
	case "explain":
		q.Explain, err = truth(name, s)
	case "highlight":
		q.Highlight, err = truth(name, s)
	case "order":
		var known bool
		if q.Order, known = orders[s]; !known {
			return wrong(name, "is rank, distance or id")
		}
	default:
		q.Facets[name] = nonEmpty(values)
	}
	return err
}

func truth(name, s string) (bool, error) {
	if s != "true" && s != "false" && s != "" {
		return false, wrong(name, "is true or false")
	}
	return s == "true", nil
}

func nonEmpty(values []string) []string {
	var list []string
	for _, s := range values {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}

func countries(name string, values []string) ([]string, error) {
	list := nonEmpty(values)
	for i, s := range list {
		s = strings.ToUpper(s)
		if len(s) < 2 || len(s) > 6 || s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z' {
			return nil, wrong(name, "is an ISO 3166 code such as PL")
		}
		list[i] = s
	}
	return list, nil
}

func number(name, s string, lowest, highest float64) (float64, error) {
	if s == "" {
		return 0, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= lowest && f <= highest) {
		return 0, wrong(name, "is a number from %g to %g", lowest, highest)
	}
	return f, nil
}

func whole(name, s string, lowest, highest int) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < lowest || n > highest {
		return 0, wrong(name, "is a whole number from %d to %d", lowest, highest)
	}
	return n, nil
}

func first(v url.Values, name string) string { return strings.TrimSpace(v.Get(name)) }

func sorted(v url.Values) []string {
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func wrong(name, format string, args ...any) error {
	return &QueryError{Parameter: name, Detail: "The parameter " + name + " " + fmt.Sprintf(format, args...) + "."}
}

func unknown(name string) error {
	shown := strings.ToValidUTF8(name[:min(len(name), 64)], "")
	best := search.Nearest(shown, Parameters())
	return &QueryError{Parameter: shown, Nearest: best,
		Detail: fmt.Sprintf("There is no parameter or facet %q. The nearest is %q; all are: %s.", shown, best, strings.Join(Parameters(), ", "))}
}

// ParseJSON reads a question posted as a JSON object whose values are texts,
// numbers, booleans or lists of them.
func ParseJSON(body []byte) (url.Values, error) {
	var tree map[string]json.RawMessage
	if err := json.Unmarshal(body, &tree); err != nil {
		return nil, &QueryError{Detail: "The body is no JSON object of parameters."}
	}
	v := url.Values{}
	for name, raw := range tree {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			list = []json.RawMessage{raw}
		}
		for _, item := range list {
			s, ok := scalar(item)
			if !ok {
				return nil, wrong(strings.ToValidUTF8(name[:min(len(name), 64)], ""), "takes a text, a number, true, false or a list of them")
			}
			v.Add(name, s)
		}
	}
	return v, nil
}

func scalar(raw json.RawMessage) (string, bool) {
	var s string
	var n json.Number
	var b bool
	switch {
	case string(raw) == "null":
		return "", true
	case json.Unmarshal(raw, &b) == nil:
		return strconv.FormatBool(b), true
	case len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil:
		return s, true
	case json.Unmarshal(raw, &n) == nil:
		return n.String(), true
	}
	return "", false
}
