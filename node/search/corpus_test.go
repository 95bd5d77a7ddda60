package search_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/search"
)

// noon is a Wednesday in winter: half the hours of the corpus are open.
var noon = time.Date(2026, 2, 18, 12, 0, 0, 0, time.UTC)

const today = 20502 // days from 1970-01-01 to noon

var (
	countries = []string{"CY", "CZ", "DE", "ES", "FI", "FR", "GR", "IT", "LT", "MT", "NL", "NO", "PL", "SE"}
	audiences = []string{"self.not_offended", "self.unsure", "partner_family", "parent_of_young_person", "professional.health"}
	channels  = []string{"phone", "live_chat", "email", "in_person", "video"}
	anonymity = []string{"full", "pseudonymous_ok", "name_required", "not_stated"}
	costs     = []string{"free", "paid", "insurance_covered"}
	formats   = []string{"individual", "group", "self_paced"}
	zoneNames = []string{"Europe/Warsaw", "Europe/Helsinki", "Asia/Nicosia", "Europe/Vilnius"}
)

// vocabulary is made words, so that the frequency of each is known: word i of
// the list is about i times rarer than the first.
func vocabulary(n int) []string {
	r := rand.New(rand.NewPCG(7, 7))
	syllables := strings.Fields("ba be bi bo da de di do fa fe ga go ka ke ko la le li lo ma me mi mo na ne no pa pe po ra re ri ro sa se si so ta te ti to va ve vi za ze")
	seen, list := map[string]bool{}, make([]string, 0, n)
	for len(list) < n {
		var b strings.Builder
		for range 2 + r.IntN(4) {
			b.WriteString(syllables[r.IntN(len(syllables))])
		}
		if w := b.String(); !seen[w] {
			seen[w] = true
			list = append(list, w)
		}
	}
	return list
}

// corpus makes documents that depend on nothing but the seed and their number.
type corpus struct {
	words []string
	size  int // words of a text
	langs bool
}

func (c corpus) doc(seed uint64, i int) search.Doc {
	r := rand.New(rand.NewPCG(seed, uint64(i)))
	zipf := rand.NewZipf(r, 1.1, 8, uint64(len(c.words)-1))
	text := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(c.words[zipf.Uint64()])
			b.WriteByte(' ')
		}
		return b.String()
	}
	pick := func(list []string) []string {
		var out []string
		for _, v := range list {
			if r.IntN(3) == 0 {
				out = append(out, v)
			}
		}
		return out
	}
	country := countries[i%len(countries)]
	var lang, other string
	if c.langs {
		all := search.Languages()
		lang, other = all[i%len(all)], all[r.IntN(len(all))]
	}
	d := search.Doc{
		ID: fmt.Sprintf("id-%06d", i), Country: country, Revision: seed,
		Texts: []search.Text{
			{Language: lang, Weight: search.WeightName, Text: text(4)},
			{Language: lang, Text: text(c.size / 2)},
			{Language: other, Weight: search.WeightSummary, Text: text(c.size / 2)},
		},
		Facets: map[search.Facet][]string{search.Audience: pick(audiences), search.Channel: pick(channels), search.Anonymity: pick(anonymity),
			search.Cost: pick(costs), search.Format: pick(formats)},
		Languages: pick(search.Languages()), Coverage: pick(countries[:6]), Global: r.IntN(20) == 0,
		MinAge: r.IntN(3) * 12, MaxAge: r.IntN(2) * (36 + r.IntN(40)),
		Assured: int32(today - r.IntN(900)), CadenceDays: []int{30, 90, 180, 365}[r.IntN(4)],
		ProfessionalsOnly: r.IntN(15) == 0, AnonymousContact: r.IntN(3) == 0,
	}
	if r.IntN(3) > 0 {
		d.Points = []search.Point{{Latitude: 35 + 35*r.Float64(), Longitude: -10 + 45*r.Float64()}}
	}
	if r.IntN(4) > 0 {
		h := search.Hours{Zone: zoneNames[r.IntN(len(zoneNames))]}
		for day := time.Monday; day <= time.Friday; day++ {
			h.Weekly = append(h.Weekly, search.Span{Day: day, Opens: int16(60 * (6 + r.IntN(9))), Closes: int16(60 * (15 + r.IntN(5)))})
		}
		d.Hours = []search.Hours{h}
	}
	return d
}

func (c corpus) docs(seed uint64, n int) []search.Doc {
	out := make([]search.Doc, n)
	for i := range out {
		out[i] = c.doc(seed, i)
	}
	return out
}

func newIndex(t testing.TB, docs ...search.Doc) *search.Index {
	t.Helper()
	x, err := search.New(search.Options{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Apply(search.Batch{Put: docs}); err != nil {
		t.Fatal(err)
	}
	return x
}

func ask(t testing.TB, x *search.Index, q search.Query) search.Answer {
	t.Helper()
	if q.Now.IsZero() {
		q.Now = noon
	}
	a, err := x.Search(t.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return a
}

func ids(a search.Answer) []string {
	out := []string{}
	for _, h := range a.Hits {
		out = append(out, h.ID)
	}
	return out
}

func found(t testing.TB, x *search.Index, q search.Query) []string {
	t.Helper()
	out := ids(ask(t, x, q))
	slices.Sort(out)
	return out
}
