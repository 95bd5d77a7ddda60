package search_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/search"
)

// The oracle answers by looking at every document and every rule anew. It
// knows plain words only; inflection has its own tables.

type oracle map[search.Ref]search.Doc

func (o oracle) fresh(d search.Doc) string {
	age, c := today-int(d.Assured), d.CadenceDays
	switch {
	case d.Assured == 0:
		return "stale"
	case age < c:
		return "fresh"
	case age < c+min(c/2, 30):
		return "due"
	case age < 2*c:
		return "stale"
	case age < 4*c:
		return "demoted"
	}
	return "lapsed"
}

func (o oracle) open(d search.Doc) string {
	if len(d.Hours) == 0 || !slices.Contains([]string{"fresh", "due"}, o.fresh(d)) {
		return "not_stated"
	}
	zone, _ := time.LoadLocation(d.Hours[0].Zone)
	local := noon.In(zone)
	at := int16(local.Hour()*60 + local.Minute())
	for _, s := range d.Hours[0].Weekly {
		if s.Day == local.Weekday() && s.Opens <= at && at < s.Closes {
			return "true"
		}
	}
	return "false"
}

// values returns the values of a facet of a document, as they are counted.
func (o oracle) values(d search.Doc, f search.Facet) []string {
	switch f {
	case search.Freshness:
		return []string{o.fresh(d)}
	case search.OpenNow:
		return []string{o.open(d)}
	case search.Country:
		return []string{d.Country}
	case search.Language:
		return d.Languages
	case search.Age:
		var out []string
		for _, b := range []string{"12-17", "18-20", "21+"} {
			if o.aged(d, b) {
				out = append(out, b)
			}
		}
		return out
	}
	return d.Facets[f]
}

func (o oracle) aged(d search.Doc, value string) bool {
	bounds := map[string][2]int{"12-17": {12, 17}, "18-20": {18, 20}, "21+": {21, 999}}
	b, band := bounds[value]
	if !band {
		from, to, _ := strings.Cut(value, "-")
		b[0], _ = strconv.Atoi(from)
		b[1], _ = strconv.Atoi(cmp.Or(to, from))
	}
	return d.MinAge <= b[1] && (d.MaxAge <= 0 || d.MaxAge >= b[0])
}

func (o oracle) passes(d search.Doc, f search.Facet, list []string) bool {
	return slices.ContainsFunc(list, func(v string) bool {
		if f == search.Age {
			return o.aged(d, v)
		}
		return slices.Contains(o.values(d, f), v)
	})
}

func (o oracle) usable(q search.Query, d search.Doc, place string) bool {
	for _, tag := range d.Communities {
		if tag == q.Language || slices.Contains(q.Facets[string(search.Language)], tag) {
			return true
		}
	}
	return d.Global || slices.Contains(d.Coverage, place) || (len(d.Coverage) == 0 && d.Country == place)
}

// hits returns the documents that answer q but for its filter by skip.
func (o oracle) hits(q search.Query, skip search.Facet) []search.Doc {
	var out []search.Doc
	for _, d := range o {
		ok := q.Professional || !d.ProfessionalsOnly
		for name, list := range q.Facets {
			ok = ok && (search.Facet(name) == skip || o.passes(d, search.Facet(name), list))
		}
		if len(q.UsableFrom) > 0 {
			ok = ok && slices.ContainsFunc(q.UsableFrom, func(p string) bool { return o.usable(q, d, p) })
		}
		ok = ok && o.says(d, q.Text)
		if q.RadiusKM > 0 {
			km := o.distance(d, q.Near)
			ok = ok && km >= 0 && km <= q.RadiusKM
		}
		if ok {
			out = append(out, d)
		}
	}
	return out
}

// says tells whether a document has a phrase in quotes, or a word that begins like
// a text without.
func (o oracle) says(d search.Doc, text string) bool {
	phrase := strings.Fields(strings.Trim(text, `"`))
	return text == "" || slices.ContainsFunc(d.Texts, func(t search.Text) bool {
		words := strings.Fields(t.Text)
		if text[0] != '"' {
			return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, text) })
		}
		for i := range words {
			if len(words)-i >= len(phrase) && slices.Equal(words[i:i+len(phrase)], phrase) {
				return true
			}
		}
		return false
	})
}

// distance is that to the nearest place of a document in km, below 0 where it has
// none: by the haversine formula, on a sphere of 6371.0088 km.
func (o oracle) distance(d search.Doc, from *search.Point) float64 {
	best := -1.0
	for _, p := range d.Points {
		lat1, lat2 := from.Latitude*math.Pi/180, p.Latitude*math.Pi/180
		h := math.Pow(math.Sin((lat2-lat1)/2), 2) + math.Cos(lat1)*math.Cos(lat2)*math.Pow(math.Sin((p.Longitude-from.Longitude)*math.Pi/360), 2)
		if km := 2 * 6371.0088 * math.Asin(math.Sqrt(h)); best < 0 || km < best {
			best = km
		}
	}
	return best
}

// near is the order by distance: by the metre, and last those without a place.
func (o oracle) near(q search.Query, d search.Doc) int {
	if km := o.distance(d, q.Near); km >= 0 {
		return int(math.Round(km * 1000))
	}
	return math.MaxInt
}

// rank is the ladder without the text.
func (o oracle) rank(q search.Query, d search.Doc) []int {
	yes := func(b bool) int {
		if b {
			return 0
		}
		return 1
	}
	return []int{
		2*yes(q.From != "" && o.usable(q, d, q.From)) + yes(slices.Contains(d.Languages, q.Language)), yes(d.AnonymousContact), yes(o.open(d) == "true"),
		slices.Index([]string{"fresh", "due", "stale", "demoted", "lapsed"}, o.fresh(d)),
	}
}

// check compares an answer with q's page 1 of everything.
func (o oracle) check(q search.Query, a search.Answer) error {
	if q.Text != "" && q.Text[0] != '"' && !slices.ContainsFunc(slices.Collect(maps.Values(o)), func(d search.Doc) bool { return o.says(d, q.Text) }) {
		return nil // nothing begins so: then mistakes are forgiven, which has tables of its own
	}
	want := o.hits(q, "")
	if a.Total != len(want) {
		return fmt.Errorf("total %d, want %d", a.Total, len(want))
	}
	slices.SortFunc(want, func(x, y search.Doc) int {
		return cmp.Or(slices.Compare(o.rank(q, x), o.rank(q, y)), cmp.Compare(x.Country, y.Country), cmp.Compare(x.ID, y.ID))
	})
	last := 0
	for i, h := range a.Hits {
		d, ok := o[h.Ref]
		if !ok || d.Revision != h.Revision {
			return fmt.Errorf("hit %d is %v revision %d, which is not there", i, h.Ref, h.Revision)
		}
		if q.Order == search.ByDistance {
			at := o.near(q, d)
			if at < last-2 { // two roundings
				return fmt.Errorf("hit %d %v is %d m away and stands behind one of %d m", i, h.Ref, at, last)
			}
			if last = at; math.Abs(h.Distance-o.distance(d, q.Near)) > 1e-6 {
				return fmt.Errorf("hit %d %v is said to be %f km away, want %f", i, h.Ref, h.Distance, o.distance(d, q.Near))
			}
			continue
		}
		if q.Text == "" && (h.ID != want[i].ID || h.Country != want[i].Country) {
			return fmt.Errorf("hit %d is %v, want %v", i, h.Ref, want[i].ID)
		}
		if slices.Compare(o.rank(q, d), o.rank(q, want[i])) != 0 {
			return fmt.Errorf("hit %d %v stands on step %v of the ladder, want %v", i, h.Ref, o.rank(q, d), o.rank(q, want[i]))
		}
		if h.Freshness != o.fresh(d) || h.Open != o.open(d) {
			return fmt.Errorf("hit %v is %s and open %s, want %s and %s", h.Ref, h.Freshness, h.Open, o.fresh(d), o.open(d))
		}
	}
	for _, f := range search.Facets() {
		count := map[string]int{}
		for _, v := range q.Facets[string(f)] {
			count[v] = 0
		}
		if q.Text == "" || a.Matched == a.Words {
			for _, d := range o.hits(q, f) {
				for _, v := range o.values(d, f) {
					count[v]++
				}
				for _, v := range q.Facets[string(f)] {
					if f == search.Age && !slices.Contains([]string{"12-17", "18-20", "21+"}, v) && o.aged(d, v) {
						count[v]++
					}
				}
			}
			got := map[string]int{}
			for _, c := range a.Facets[f] {
				got[c.Value] = c.Count
			}
			if !maps.Equal(got, count) {
				return fmt.Errorf("counts of %s are %v, want %v", f, got, count)
			}
		}
	}
	return nil
}

// question makes a random one.
func (c corpus) question(r *rand.Rand) search.Query {
	some := func(list []string) []string {
		return []string{list[r.IntN(len(list))], list[r.IntN(len(list))]}[:1+r.IntN(2)]
	}
	q := search.Query{Facets: map[string][]string{}, Professional: r.IntN(4) == 0, PerPage: 100, Language: search.Languages()[r.IntN(13)]}
	for f, list := range map[search.Facet][]string{
		search.Audience: audiences, search.Channel: channels, search.Anonymity: anonymity, search.Cost: costs, search.Format: formats,
		search.Freshness: {"fresh", "due", "stale", "demoted", "lapsed"}, search.Age: {"12-17", "18-20", "21+", "15", "40", "70", "0-150", "30-84"},
		search.OpenNow: {"true", "false", "not_stated"}, search.Country: countries, search.Language: search.Languages(),
	} {
		if r.IntN(5) == 0 {
			if q.Facets[string(f)] = some(list); len(q.Facets[string(f)]) == 2 && q.Facets[string(f)][0] == q.Facets[string(f)][1] {
				q.Facets[string(f)] = q.Facets[string(f)][:1]
			}
		}
	}
	if r.IntN(3) == 0 {
		q.From = countries[r.IntN(6)]
	}
	if r.IntN(4) == 0 {
		q.UsableFrom = some(countries[:6])
	}
	// Words that need no forgiveness: of the most frequent, as written, alone or side
	// by side; or the beginning of one, in no language, so that nothing is inflected.
	word := func() string { return c.words[r.IntN(20)] }
	switch r.IntN(8) {
	case 0, 1:
		q.Text = `"` + word() + `"`
	case 2:
		q.Text = `"` + word() + " " + word() + `"`
	case 3:
		q.Text, q.Language = c.words[r.IntN(len(c.words))][:3], ""
	}
	if r.IntN(3) == 0 {
		q.Near = &search.Point{Latitude: 35 + 35*r.Float64(), Longitude: -10 + 45*r.Float64()}
		if r.IntN(3) > 0 {
			q.RadiusKM = 100 + 1500*r.Float64()
		}
		if r.IntN(2) == 0 {
			q.Order = search.ByDistance
		}
	}
	return q
}

func TestAnswersAndCountsAgreeWithTheOracle(t *testing.T) {
	c := corpus{words: vocabulary(300), size: 30}
	o := oracle{}
	docs := c.docs(1, 600)
	for _, d := range docs {
		o[search.Ref{Country: d.Country, ID: d.ID}] = d
	}
	x := newIndex(t, docs...)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 250 {
		q := c.question(r)
		if err := o.check(q, ask(t, x, q)); err != nil {
			t.Fatalf("question %d %+v: %v", i, q, err)
		}
	}
}

// However an index came about, by one batch or by many with deletions,
// replacements and merges between them, it answers alike, scores included.
func TestOrderDoesNotDependOnHistory(t *testing.T) {
	c := corpus{words: vocabulary(400), size: 40, langs: true}
	r := rand.New(rand.NewPCG(5, 6))
	x := newIndex(t)
	o := oracle{}
	for i := range 400 {
		d := c.doc(1, r.IntN(250))
		b := search.Batch{Put: []search.Doc{d}}
		if i%7 == 0 {
			d.Revision, d.Texts = 99, c.doc(2, i).Texts
			b.Put = append(b.Put, d) // the last of equals wins
		}
		if i%3 == 0 {
			gone := c.doc(1, r.IntN(250))
			ref := search.Ref{Country: strings.ToLower(gone.Country), ID: gone.ID}
			b.Delete = append(b.Delete, ref)
			delete(o, search.Ref{Country: gone.Country, ID: gone.ID})
		}
		if err := x.Apply(b); err != nil {
			t.Fatal(err)
		}
		o[search.Ref{Country: d.Country, ID: d.ID}] = d
	}
	whole := newIndex(t, slices.Collect(maps.Values(o))...)
	if x.Len() != len(o) || whole.Len() != len(o) {
		t.Fatalf("%d and %d listings, want %d", x.Len(), whole.Len(), len(o))
	}
	for i := range 300 {
		q := c.question(r)
		words := []string{c.words[r.IntN(100)], c.words[r.IntN(400)]}
		q.Text = strings.Join(words[:1+r.IntN(2)], " ")
		switch r.IntN(4) {
		case 0:
			q.Text = q.Text[:len(q.Text)-1] + "x" // a mistake
		case 1:
			q.Text = q.Text[:len(q.Text)-1] // a beginning
		case 2:
			q.Near, q.RadiusKM = &search.Point{Latitude: 50, Longitude: 15}, 900
		}
		a, b := ask(t, x, q), ask(t, whole, q)
		a.Snapshot, b.Snapshot = "", ""
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("question %d %+v:\n%v\n%v", i, q, a, b)
		}
	}
}
