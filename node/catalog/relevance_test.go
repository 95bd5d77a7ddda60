package catalog

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
	"github.com/2ps-project/waymark/node/search"
)

var record = flag.Bool("record", false, "write what the relevance kit measures to testdata/relevance/measured.txt")

const (
	relevanceFolder    = "testdata/relevance"
	relevancePerNation = 60 // listings of each country: three rounds of all kinds
	relevanceDepth     = 10
	minRelevanceRows   = 60 // questions of each language
)

// The kinds of question that every language must have some of.
var relevanceKinds = []string{"plain", "inflected", "accents", "typo", "synonym", "need", "compound", "phrase", "prefix", "cross"}

// TestRelevance asks the demonstration listings of all countries what people
// type, and tells how much of what is right stands on the first ten places.
//
// The questions of a language stand in testdata/relevance/LANGUAGE.txt, what is
// right for them in needs.txt: both can be mended without reading Go. What was
// measured before stands in measured.txt; a figure below it fails. Run it with
// -v to see the figures and the questions that do badly, and with -record to
// keep new figures.
func TestRelevance(t *testing.T) {
	corpus := newRelevanceCorpus(t)
	needs := readNeeds(t)
	before := readMeasured(t)
	var lines []string
	for _, lang := range search.Languages() {
		rows := readRelevanceRows(t, lang, needs)
		var recall, gain float64
		for _, r := range rows {
			re, nd, top := corpus.judge(t, lang, r)
			recall += re
			gain += nd
			if re < 0.7 {
				t.Logf("%s: %q (%s, %s): recall %.2f, nDCG %.2f: %s", lang, r.text, r.kind, r.needText, re, nd, top)
			}
		}
		recall, gain = recall/float64(len(rows)), gain/float64(len(rows))
		line := fmt.Sprintf("%s recall@10 %.3f nDCG@10 %.3f over %d questions", lang, recall, gain, len(rows))
		t.Log(line)
		lines = append(lines, line)
		if old, ok := before[lang]; !*record && (!ok || round3(recall) < old[0] || round3(gain) < old[1]) {
			t.Errorf("%s: recall@10 %.3f and nDCG@10 %.3f; before they were %.3f and %.3f", lang, recall, gain, old[0], old[1])
		}
	}
	corpus.beside(t, "unseen", needs)
	corpus.beside(t, "heldout", needs)
	if *record {
		if err := os.WriteFile(filepath.Join(relevanceFolder, "measured.txt"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// beside asks the questions of unseen.txt or of heldout.txt, for which nothing was
// tuned. They are told, and fail nothing: they show how far the other figures can be
// trusted. Those of heldout.txt may not even be looked at by who mends the tables.
func (k *relevanceCorpus) beside(t *testing.T, set string, needs map[string][]grade) {
	t.Helper()
	sums := map[string][3]float64{}
	readTable(t, set+".txt", func(line string) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			t.Fatalf("%s.txt: %q has not four cells", set, line)
		}
		lang := strings.TrimSpace(cells[0])
		r := relevanceRow{text: strings.TrimSpace(cells[1]), kind: strings.TrimSpace(cells[2]), needText: strings.TrimSpace(cells[3])}
		if r.need = needs[r.needText]; r.need == nil {
			t.Fatalf("%s.txt: %q: need is unknown", set, line)
		}
		recall, gain, top := k.judge(t, lang, r)
		if recall < 0.7 && set == "unseen" {
			t.Logf("%s, unseen: %q (%s): recall %.2f, nDCG %.2f: %s", lang, r.text, r.needText, recall, gain, top)
		}
		s := sums[lang]
		sums[lang] = [3]float64{s[0] + recall, s[1] + gain, s[2] + 1}
	})
	var mean [2]float64
	for _, lang := range search.Languages() {
		s := sums[lang]
		mean[0], mean[1] = mean[0]+s[0]/s[2], mean[1]+s[1]/s[2]
		t.Logf("%s, %s: recall@10 %.3f nDCG@10 %.3f over %.0f questions", lang, set, s[0]/s[2], s[1]/s[2], s[2])
	}
	n := float64(len(search.Languages()))
	t.Logf("%s: recall@10 %.3f nDCG@10 %.3f on the mean of the languages", set, mean[0]/n, mean[1]/n)
}

func round3(x float64) float64 { return math.Round(x*1000) / 1000 }

// relevanceRow is one judged question.
type relevanceRow struct {
	text, kind, needText string
	need                 []grade
}

// grade is one line of facts of a need.
type grade struct {
	gain         int
	facts        []string
	professional bool
	anyLanguage  bool
}

// relevanceCorpus is the demonstration as it is found and as it is judged.
type relevanceCorpus struct {
	index *search.Index
	facts map[search.Ref]*facts
}

// facts are what a listing says, as "type:helpline".
type facts struct {
	set  map[string]bool
	text string // all of it
	ages [2]int
	pros bool // for professionals only
	name string
}

func newRelevanceCorpus(t *testing.T) *relevanceCorpus {
	t.Helper()
	index, err := search.New(search.Options{Now: func() time.Time { return benchDay }})
	if err != nil {
		t.Fatal(err)
	}
	k := &relevanceCorpus{index: index, facts: map[search.Ref]*facts{}}
	c := &Catalog{o: Options{Now: func() time.Time { return benchDay }, Cadence: func() listing.Cadence { return listing.DefaultCadence }}}
	var batch search.Batch
	for _, country := range fiction.Countries() {
		for i := range relevancePerNation {
			doc := fiction.Listing(7, country, i, benchDay)
			body, err := doc.Public().Encode()
			if err != nil {
				t.Fatal(err)
			}
			id := uuid.MustParse(doc["id"].(string))
			raw, err := feed.NewRecord(feed.Key(id), TypeListing, 1, feed.DayOf(benchDay), body).Encode()
			if err != nil {
				t.Fatal(err)
			}
			d, ok := c.doc(country, id.String(), parse(raw), false)
			if !ok {
				continue
			}
			batch.Put = append(batch.Put, d)
			k.facts[search.Ref{Country: country, ID: d.ID}] = factsOf(t, body, country, d)
		}
	}
	if err := index.Apply(batch); err != nil {
		t.Fatal(err)
	}
	index.SetLabels(relevanceLabels(t))
	return k
}

// factsOf reads what the judges go by from the public record itself.
func factsOf(t *testing.T, body []byte, country string, d search.Doc) *facts {
	t.Helper()
	l, err := listing.View(body)
	if err != nil {
		t.Fatal(err)
	}
	f := &facts{set: map[string]bool{"active": true, "country:" + country: true, "kind:" + string(l.KindValue()): true}, name: l.Name,
		ages: [2]int{years(l.MinimumAge), years(l.MaximumAge)}, pros: d.ProfessionalsOnly}
	for name, values := range map[string][]string{"type": l.ServiceTypes, "audience": d.Facets[search.Audience], "format": l.Formats,
		"setting": l.Settings, "channel": d.Facets[search.Channel], "cost": d.Facets[search.Cost], "anonymity": d.Facets[search.Anonymity]} {
		for _, v := range values {
			f.set[name+":"+v] = true
		}
	}
	for _, tag := range d.Languages {
		f.set["language:"+tag] = true
	}
	var texts []string
	for _, text := range d.Texts {
		texts = append(texts, text.Text)
	}
	f.text = strings.Join(texts, "\n")
	return f
}

func (f *facts) has(fact string) bool {
	if rest, not := strings.CutPrefix(fact, "!"); not {
		return !f.has(rest)
	}
	name, value, _ := strings.Cut(fact, ":")
	switch name {
	case "says":
		return strings.Contains(f.text, strings.ReplaceAll(value, "_", " "))
	case "age":
		n, _ := strconv.Atoi(value)
		return n >= f.ages[0] && (f.ages[1] <= 0 || n <= f.ages[1])
	case "max":
		return strconv.Itoa(f.ages[1]) == value
	}
	return f.set[fact]
}

// gain is how right a listing is for a question in a language.
func (r relevanceRow) gain(lang string, f *facts) int {
	for _, g := range r.need {
		if f.pros && !g.professional || !g.anyLanguage && !f.has("language:"+lang) {
			continue
		}
		if !slices.ContainsFunc(g.facts, func(fact string) bool { return !f.has(fact) }) {
			return g.gain
		}
	}
	return 0
}

// judge asks one question and returns recall and nDCG of the first ten, and
// the wrong ones among them.
func (k *relevanceCorpus) judge(t *testing.T, lang string, r relevanceRow) (recall, ndcg float64, wrong string) {
	t.Helper()
	var ideal []int
	for _, f := range k.facts {
		if g := r.gain(lang, f); g > 0 {
			ideal = append(ideal, g)
		}
	}
	if len(ideal) == 0 {
		t.Errorf("%s: nothing is right for %q (%s)", lang, r.text, r.needText)
		return 0, 0, ""
	}
	slices.SortFunc(ideal, func(a, b int) int { return b - a })
	ideal = ideal[:min(len(ideal), relevanceDepth)]
	a, err := k.index.Search(context.Background(), search.Query{Text: r.text, Language: lang, PerPage: relevanceDepth, Now: benchDay, Professional: r.need[0].professional})
	if err != nil {
		t.Fatal(err)
	}
	var got, best float64
	hits := 0
	var bad []string
	for i, h := range a.Hits {
		f := k.facts[h.Ref]
		g := r.gain(lang, f)
		got += discounted(g, i)
		if g > 0 {
			hits++
		} else {
			bad = append(bad, h.Country+" "+f.name)
		}
	}
	for i, g := range ideal {
		best += discounted(g, i)
	}
	return float64(hits) / float64(len(ideal)), got / best, fmt.Sprintf("%d of %d words, %d found, %d right; wrong: %s", a.Matched, a.Words, a.Total, hits, strings.Join(bad, "; "))
}

// discounted is the gain of a place in nDCG (Järvelin and Kekäläinen 2002).
func discounted(gain, place int) float64 {
	return (math.Exp2(float64(gain)) - 1) / math.Log2(float64(place)+2)
}

// readTable calls yield with the lines of a table that are no notes.
func readTable(t *testing.T, name string, yield func(line string)) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(relevanceFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			yield(line)
		}
	}
}

func readNeeds(t *testing.T) map[string][]grade {
	t.Helper()
	needs := map[string][]grade{}
	readTable(t, "needs.txt", func(line string) {
		name, rest, ok := strings.Cut(line, " = ")
		if !ok {
			t.Fatalf("needs.txt: %q has no =", line)
		}
		for alternative := range strings.SplitSeq(rest, "|") {
			words := strings.Fields(alternative)
			gain, err := strconv.Atoi(words[0])
			if err != nil || gain < 1 || gain > 3 {
				t.Fatalf("needs.txt: %s: %q begins with no grade", name, alternative)
			}
			g := grade{gain: gain}
			for _, w := range words[1:] {
				switch w {
				case "professional-view":
					g.professional = true
				case "any-language":
					g.anyLanguage = true
				default:
					g.facts = append(g.facts, w)
				}
			}
			needs[name] = append(needs[name], g)
		}
	})
	return needs
}

// readRelevanceRows reads "question | kind | need and further facts".
func readRelevanceRows(t *testing.T, lang string, needs map[string][]grade) []relevanceRow {
	t.Helper()
	var rows []relevanceRow
	kinds := map[string]int{}
	seen := map[string]bool{}
	readTable(t, lang+".txt", func(line string) {
		cells := strings.Split(line, "|")
		if len(cells) != 3 {
			t.Fatalf("%s.txt: %q has not three cells", lang, line)
		}
		r := relevanceRow{text: strings.TrimSpace(cells[0]), kind: strings.TrimSpace(cells[1]), needText: strings.TrimSpace(cells[2])}
		words := strings.Fields(r.needText)
		need, ok := needs[words[0]]
		if !ok || !slices.Contains(relevanceKinds, r.kind) || seen[r.text] {
			t.Fatalf("%s.txt: %q: need or kind is unknown, or the question is there twice", lang, line)
		}
		for _, g := range need {
			g.facts = append(slices.Clone(g.facts), words[1:]...)
			r.need = append(r.need, g)
		}
		kinds[r.kind]++
		seen[r.text] = true
		rows = append(rows, r)
	})
	if len(rows) < minRelevanceRows {
		t.Errorf("%s.txt has %d questions, at least %d are wanted", lang, len(rows), minRelevanceRows)
	}
	for _, kind := range relevanceKinds[:6] {
		if kinds[kind] < 3 && !(kind == "accents" && (lang == "en" || lang == "nl")) {
			t.Errorf("%s.txt has %d questions of the kind %s, at least 3 are wanted", lang, kinds[kind], kind)
		}
	}
	return rows
}

func readMeasured(t *testing.T) map[string][2]float64 {
	t.Helper()
	out := map[string][2]float64{}
	if *record {
		return out
	}
	readTable(t, "measured.txt", func(line string) {
		var lang string
		var recall, gain float64
		if _, err := fmt.Sscanf(line, "%s recall@10 %f nDCG@10 %f", &lang, &recall, &gain); err != nil {
			t.Fatalf("measured.txt: %q: %v", line, err)
		}
		out[lang] = [2]float64{recall, gain}
	})
	return out
}

// relevanceLabels are the labels and synonyms with which a federation begins.
func relevanceLabels(t *testing.T) []search.Label {
	t.Helper()
	texts, err := locale.New()
	if err != nil {
		t.Fatal(err)
	}
	var out []search.Label
	for facet, vocabulary := range map[search.Facet]string{search.Audience: listing.VocabularyAudience, search.Channel: listing.VocabularyChannel,
		search.Anonymity: listing.VocabularyAnonymity, search.Cost: listing.VocabularyCost, search.Format: listing.VocabularyFormat, search.ServiceType: listing.VocabularyServiceType} {
		for _, words := range texts.Words() {
			for code, label := range words.Terms[vocabulary] {
				for _, text := range append([]string{label}, words.Synonyms[vocabulary][code]...) {
					out = append(out, search.Label{Facet: facet, Code: code, Language: words.Language, Text: text})
				}
			}
		}
	}
	return out
}
