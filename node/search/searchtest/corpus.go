// Package searchtest makes documents and questions for tests and benchmarks of
// search: as many as are wanted, the same every time.
package searchtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/search"
)

// Noon is a Wednesday in winter: half the hours of the corpus are open.
var Noon = time.Date(2026, 2, 18, 12, 0, 0, 0, time.UTC)

// Today is the day of Noon, days since 1970-01-01.
const Today = 20502

// The values that documents take.
var (
	Countries   = []string{"CY", "CZ", "DE", "ES", "FI", "FR", "GR", "IT", "LT", "MT", "NL", "NO", "PL", "SE"}
	Audiences   = []string{"self.not_offended", "self.unsure", "partner_family", "parent_of_young_person", "professional.health"}
	Channels    = []string{"phone", "live_chat", "email", "in_person", "video"}
	Anonymities = []string{"full", "pseudonymous_ok", "name_required", "not_stated"}
	Costs       = []string{"free", "paid", "insurance_covered"}
	Formats     = []string{"individual", "group", "self_paced"}
	zoneNames   = []string{"Europe/Warsaw", "Europe/Helsinki", "Asia/Nicosia", "Europe/Vilnius"}
)

// Vocabulary is made words, so that the frequency of each is known: word i of
// the list is about i times rarer than the first.
func Vocabulary(n int) []string {
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

// Corpus makes documents that depend on nothing but the seed and their number.
type Corpus struct {
	Words []string
	Size  int // words of a text
	Langs bool
}

// Doc makes one document.
func (c Corpus) Doc(seed uint64, i int) search.Doc {
	r := rand.New(rand.NewPCG(seed, uint64(i)))
	zipf := rand.NewZipf(r, 1.1, 8, uint64(len(c.Words)-1))
	text := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(c.Words[zipf.Uint64()])
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
	country := Countries[i%len(Countries)]
	var lang, other string
	if c.Langs {
		all := search.Languages()
		lang, other = all[i%len(all)], all[r.IntN(len(all))]
	}
	d := search.Doc{
		ID: fmt.Sprintf("id-%06d", i), Country: country, Revision: seed,
		Texts: []search.Text{
			{Language: lang, Weight: search.WeightName, Text: text(4)},
			{Language: lang, Text: text(c.Size / 2)},
			{Language: other, Weight: search.WeightSummary, Text: text(c.Size / 2)},
		},
		Facets: map[search.Facet][]string{search.Audience: pick(Audiences), search.Channel: pick(Channels), search.Anonymity: pick(Anonymities),
			search.Cost: pick(Costs), search.Format: pick(Formats)},
		Languages: pick(search.Languages()), Coverage: pick(Countries[:6]), Global: r.IntN(20) == 0,
		MinAge: r.IntN(3) * 12, MaxAge: r.IntN(2) * (36 + r.IntN(40)),
		Assured: int32(Today - r.IntN(900)), CadenceDays: []int{30, 90, 180, 365}[r.IntN(4)],
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

// Docs makes the first n documents of a seed.
func (c Corpus) Docs(seed uint64, n int) []search.Doc {
	out := make([]search.Doc, n)
	for i := range out {
		out[i] = c.Doc(seed, i)
	}
	return out
}

// Classes are the kinds of question that are measured.
func Classes(c Corpus) map[string]func(i int) search.Query {
	word := func(i int) string { return c.Words[20+i%400] }
	misspelt := func(i int) string {
		for ; ; i++ {
			if w := c.Words[50+i%2000]; len(w) >= 6 {
				return w[:2] + "x" + w[3:]
			}
		}
	}
	return map[string]func(i int) search.Query{
		"words+facets": func(i int) search.Query {
			return search.Query{Text: word(i) + " " + word(i*7+3), Language: "pl", From: "PL", Facets: map[string][]string{"channel": {Channels[i%5]}, "cost": {"free"}}}
		},
		"facets": func(i int) search.Query {
			return search.Query{Language: "de", From: "DE", Facets: map[string][]string{"audience": {Audiences[i%5]}, "anonymity": {"full", "pseudonymous_ok"}}, OpenNow: i%2 == 0}
		},
		"radius": func(i int) search.Query {
			return search.Query{Language: "en", Near: &search.Point{Latitude: 40 + float64(i%25), Longitude: float64(i % 30)}, RadiusKM: 100, Order: search.ByDistance}
		},
		"fuzzy":  func(i int) search.Query { return search.Query{Text: misspelt(i), Language: "lt"} },
		"prefix": func(i int) search.Query { return search.Query{Text: word(i)[:3], Language: "fi"} },
		"countries": func(i int) search.Query {
			return search.Query{Text: word(i), Language: "sv", UsableFrom: []string{Countries[i%6]}, Countries: Countries[:7]}
		},
		"phrase": func(i int) search.Query { return search.Query{Text: `"` + c.Words[i%10] + " " + c.Words[i%7] + `"`} },
		"all":    func(i int) search.Query { return search.Query{Language: "en", From: "FR"} },
	}
}
