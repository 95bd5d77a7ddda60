package search_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/search"
)

func TestPagesNeitherSkipNorRepeatWhileListingsChange(t *testing.T) {
	c := corpus{words: vocabulary(200), size: 20}
	for _, q := range []search.Query{
		{PerPage: 7, From: "DE", Language: "de"},
		{PerPage: 50, Order: search.ByID, Professional: true},
		{PerPage: 30, Text: c.words[0], Language: "en"},
		{PerPage: 9, Order: search.ByDistance, Near: &search.Point{Latitude: 52, Longitude: 13}},
	} {
		x := newIndex(t, c.docs(1, 500)...)
		whole := []string{}
		all := q
		all.PerPage = 100
		first := ask(t, x, q)
		for all.Page = 1; (all.Page-1)*100 < first.Total; all.Page++ {
			all.Snapshot = first.Snapshot
			whole = append(whole, ids(ask(t, x, all))...)
		}
		var paged []string
		q.Snapshot = first.Snapshot
		for q.Page = 1; ; q.Page++ {
			a := ask(t, x, q)
			if a.Total != first.Total {
				t.Fatalf("page %d: total %d, was %d", q.Page, a.Total, first.Total)
			}
			if len(a.Hits) == 0 {
				break
			}
			paged = append(paged, ids(a)...)
			if q.Page < 40 {
				if err := x.Apply(search.Batch{Put: []search.Doc{c.doc(2, q.Page*3)}, Delete: []search.Ref{{Country: countries[q.Page%14], ID: fmt.Sprintf("id-%06d", q.Page)}}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(paged) != first.Total || !slices.Equal(paged, whole) {
			t.Errorf("order %d: paged %d, whole %d, total %d", q.Order, len(paged), len(whole), first.Total)
		}
	}
}

func TestSnapshotsAreKeptFor15MinutesAndThenGone(t *testing.T) {
	clock := noon
	x, err := search.New(search.Options{Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	c := corpus{words: vocabulary(50), size: 5}
	change := func(i int) {
		if err := x.Apply(search.Batch{Put: []search.Doc{c.doc(uint64(i), 0)}}); err != nil {
			t.Fatal(err)
		}
	}
	change(1)
	tok := ask(t, x, search.Query{}).Snapshot
	for i := range 20 {
		change(i)
	}
	clock = clock.Add(14 * time.Minute)
	change(21)
	if a := ask(t, x, search.Query{Snapshot: tok}); a.Hits[0].Revision != 1 || a.Snapshot != tok {
		t.Errorf("a page of an older list shows revision %d under %q", a.Hits[0].Revision, a.Snapshot)
	}
	clock = clock.Add(2 * time.Minute)
	change(22)
	for name, s := range map[string]string{"too old": tok, "nonsense": "x", "not base64": "ż", "cut": tok[:8], "long": strings.Repeat("A", 500), "changed": "B" + tok[1:]} {
		if _, err := x.Search(t.Context(), search.Query{Snapshot: s}); !errors.Is(err, search.ErrSnapshotGone) {
			t.Errorf("%s: %v, want ErrSnapshotGone", name, err)
		}
	}
	other := newIndex(t)
	if _, err := other.Search(t.Context(), search.Query{Snapshot: ask(t, x, search.Query{}).Snapshot}); !errors.Is(err, search.ErrSnapshotGone) {
		t.Errorf("the token of another index: %v", err)
	}
}

func TestUnknownFacetsAreRefusedByName(t *testing.T) {
	x := newIndex(t)
	for name, nearest := range map[string]search.Facet{"chanel": search.Channel, "audience ": "", "AGE": "", "lang": search.Language, "anon": search.Anonymity, "opennow": search.OpenNow, "pries": search.Audience} {
		_, err := x.Search(t.Context(), search.Query{Facets: map[string][]string{name: {"15"}}})
		if nearest == "" {
			if err != nil {
				t.Errorf("%q: %v", name, err)
			}
			continue
		}
		var unknown *search.UnknownFacetError
		if !errors.Is(err, search.ErrUnknownFacet) || !errors.As(err, &unknown) || unknown.Name != name {
			t.Errorf("%q: %v", name, err)
		} else if unknown.Nearest != nearest && name != "pries" {
			t.Errorf("%q: nearest %q, want %q", name, unknown.Nearest, nearest)
		}
	}
	if err := x.Apply(search.Batch{Put: []search.Doc{{ID: "1", Country: "PL", Facets: map[search.Facet][]string{"price": {"1"}}}}}); !errors.Is(err, search.ErrBadDoc) || x.Len() != 0 {
		t.Errorf("a document with an unknown facet: %v, %d listings", err, x.Len())
	}
}

// Refs are the living: each once, whatever segment it stands in.
func TestRefs(t *testing.T) {
	x := newIndex(t)
	doc := func(id string) search.Doc { return search.Doc{ID: id, Country: "PL", MinAge: -1, MaxAge: -1} }
	for _, b := range []search.Batch{
		{Put: []search.Doc{doc("1"), doc("2"), doc("3")}},
		{Put: []search.Doc{doc("2"), doc("4")}, Delete: []search.Ref{{Country: "PL", ID: "3"}}},
	} {
		if err := x.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for r := range x.Refs {
		got = append(got, r.Country+r.ID)
	}
	slices.Sort(got)
	if want := []string{"PL1", "PL2", "PL4"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for range x.Refs {
		break // a reader may stop early
	}
}

func TestQuestionsOutOfBoundsAreRefused(t *testing.T) {
	x := newIndex(t)
	for name, q := range map[string]search.Query{
		"radius without a place":   {RadiusKM: 5},
		"distance without a place": {Order: search.ByDistance},
		"latitude":                 {Near: &search.Point{Latitude: 91}},
		"negative page":            {Page: -1},
		"page too large":           {PerPage: 101},
		"age":                      {Age: 200},
		"age text":                 {Facets: map[string][]string{"age": {"old"}}},
		"freshness":                {Facets: map[string][]string{"freshness": {"new"}}},
		"open_now":                 {Facets: map[string][]string{"open_now": {"maybe"}}},
		"long value":               {Facets: map[string][]string{"channel": {strings.Repeat("x", 300)}}},
		"many values":              {Countries: make([]string, 100)},
		"order":                    {Order: 9},
	} {
		if _, err := x.Search(t.Context(), q); !errors.Is(err, search.ErrBadQuery) {
			t.Errorf("%s: %v, want ErrBadQuery", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newIndex(t, search.Doc{ID: "1", Country: "PL"}).Search(ctx, search.Query{Text: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context ended: %v", err)
	}
	if a := ask(t, x, search.Query{Page: 1 << 62, PerPage: 100}); len(a.Hits) != 0 || a.Total != 0 {
		t.Errorf("a page far behind the end: %+v", a)
	}
}

func TestPlaces(t *testing.T) {
	at := func(id string, lat, lon float64) search.Doc {
		return search.Doc{ID: id, Country: "PL", Points: []search.Point{{Latitude: lat, Longitude: lon}}}
	}
	x := newIndex(t, at("warsaw", 52.2297, 21.0122), at("lodz", 51.7592, 19.4560), at("berlin", 52.52, 13.405), at("fiji", -17.0, 179.9),
		at("samoa", -17.0, -179.9), at("pole", 89.9, 10), search.Doc{ID: "none", Country: "PL"})
	for _, c := range []struct {
		lat, lon, km float64
		want         string
	}{
		{52.23, 21.01, 10, "warsaw"}, {52.23, 21.01, 130, "lodz warsaw"}, {52.23, 21.01, 110, "warsaw"}, {52.23, 21.01, 600, "berlin lodz warsaw"},
		{-17, 180, 20, "fiji samoa"}, {-17, -180, 20, "fiji samoa"}, {89.95, -170, 30, "pole"}, {0, 0, 20100, "berlin fiji lodz pole samoa warsaw"},
	} {
		p := &search.Point{Latitude: c.lat, Longitude: c.lon}
		if got := strings.Join(found(t, x, search.Query{Near: p, RadiusKM: c.km}), " "); got != c.want {
			t.Errorf("%v km around %v: %q, want %q", c.km, *p, got, c.want)
		}
	}
	a := ask(t, x, search.Query{Near: &search.Point{Latitude: 52.23, Longitude: 21.01}, Order: search.ByDistance})
	if got := strings.Join(ids(a), " "); !strings.HasPrefix(got, "warsaw lodz berlin pole") || !strings.HasSuffix(got, "none") {
		t.Errorf("by distance: %s", got)
	}
	if d := a.Hits[1].Distance; d < 118 || d > 120 {
		t.Errorf("Warsaw to Łódź is %f km", d)
	}
	if a.Hits[6].Distance >= 0 {
		t.Errorf("a listing without a place is %f km away", a.Hits[6].Distance)
	}
}

func TestOpenNow(t *testing.T) {
	week := func(day time.Weekday, opens, closes int16) []search.Span {
		return []search.Span{{Day: day, Opens: opens, Closes: closes}}
	}
	dates := func(d string) int32 {
		v, err := time.Parse(time.DateOnly, d)
		if err != nil {
			t.Fatal(err)
		}
		return int32(v.Unix() / 86400)
	}
	for _, c := range []struct {
		name  string
		hours search.Hours
		now   string
		want  string
	}{
		{"zone east of UTC", search.Hours{Zone: "Asia/Nicosia", Weekly: week(time.Wednesday, 9*60, 17*60)}, "2026-02-18T07:00:00Z", "true"},
		{"the same before it opens", search.Hours{Zone: "Asia/Nicosia", Weekly: week(time.Wednesday, 9*60, 17*60)}, "2026-02-18T06:59:00Z", "false"},
		{"summer time", search.Hours{Zone: "Europe/Warsaw", Weekly: week(time.Wednesday, 9*60, 17*60)}, "2026-07-15T07:00:00Z", "true"},
		{"winter time", search.Hours{Zone: "Europe/Warsaw", Weekly: week(time.Wednesday, 9*60, 17*60)}, "2026-02-18T07:00:00Z", "false"},
		{"past midnight", search.Hours{Zone: "Europe/Warsaw", Weekly: week(time.Tuesday, 22*60, 2*60)}, "2026-02-18T00:30:00Z", "true"},
		{"closes at two", search.Hours{Zone: "Europe/Warsaw", Weekly: week(time.Tuesday, 22*60, 2*60)}, "2026-02-18T01:00:00Z", "false"},
		{"until 24:00", search.Hours{Zone: "Europe/Warsaw", Weekly: week(time.Wednesday, 0, 1440)}, "2026-02-18T22:59:00Z", "true"},
		{"always", search.Hours{Zone: "Europe/Warsaw", AlwaysOpen: true}, "2026-02-18T03:00:00Z", "true"},
		{"always but for a day", search.Hours{Zone: "Europe/Warsaw", AlwaysOpen: true, Exceptions: []search.Exception{{Day: dates("2026-02-18"), Closed: true}}}, "2026-02-18T03:00:00Z", "false"},
		{"a holiday with hours of its own", search.Hours{Zone: "Europe/Warsaw", Weekly: week(time.Wednesday, 9*60, 17*60), Exceptions: []search.Exception{{Day: dates("2026-02-18"), Opens: 20 * 60, Closes: 21 * 60}}}, "2026-02-18T19:30:00Z", "true"},
		{"the holiday replaces the week", search.Hours{Zone: "Europe/Warsaw", Weekly: week(time.Wednesday, 9*60, 17*60), Exceptions: []search.Exception{{Day: dates("2026-02-18"), Opens: 20 * 60, Closes: 21 * 60}}}, "2026-02-18T12:30:00Z", "false"},
		{"the hour that comes twice", search.Hours{Zone: "Europe/Warsaw", Weekly: week(time.Sunday, 60, 150)}, "2026-10-25T01:15:00Z", "false"},
		{"the hour that is leapt over", search.Hours{Zone: "Europe/Warsaw", Weekly: week(time.Sunday, 150, 200)}, "2026-03-29T01:00:00Z", "true"},
		{"unknown zone", search.Hours{Zone: "Europe/Atlantis", AlwaysOpen: true}, "2026-02-18T12:00:00Z", "not_stated"},
		{"no zone", search.Hours{AlwaysOpen: true}, "2026-02-18T12:00:00Z", "not_stated"},
		{"no hours", search.Hours{Zone: "Europe/Warsaw"}, "2026-02-18T12:00:00Z", "not_stated"},
		{"exceptions to no week", search.Hours{Zone: "Europe/Warsaw", Exceptions: []search.Exception{{Day: dates("2026-12-24"), Closed: true}}}, "2026-02-18T12:00:00Z", "not_stated"},
		{"checked too long ago", search.Hours{Zone: "Europe/Warsaw", AlwaysOpen: true, Assured: dates("2025-06-01")}, "2026-02-18T12:00:00Z", "not_stated"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		x := newIndex(t, search.Doc{ID: "1", Country: "PL", Assured: int32(now.Unix()/86400 - 1), CadenceDays: 30, Hours: []search.Hours{c.hours}})
		if got := ask(t, x, search.Query{Now: now}).Hits[0].Open; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if a := ask(t, x, search.Query{Now: now, OpenNow: true}); (a.Total == 1) != (c.want == "true") {
			t.Errorf("%s: the filter disagrees", c.name)
		}
	}
}

func TestTheLadderExplainsItself(t *testing.T) {
	doc := func(id string, f func(*search.Doc)) search.Doc {
		d := search.Doc{ID: id, Country: "DE", Coverage: []string{"FR"}, Assured: today - 300, CadenceDays: 90, Texts: []search.Text{{Language: "en", Text: "help"}}}
		f(&d)
		return d
	}
	x := newIndex(t,
		doc("a-plain", func(d *search.Doc) {}),
		doc("b-fresh", func(d *search.Doc) { d.Assured = today }),
		doc("c-open", func(d *search.Doc) { d.Hours = []search.Hours{{Zone: "UTC", AlwaysOpen: true, Assured: today}} }),
		doc("d-anonymous", func(d *search.Doc) { d.AnonymousContact = true }),
		doc("e-language", func(d *search.Doc) { d.Languages = []string{"pl-PL"} }),
		doc("f-usable", func(d *search.Doc) { d.Coverage = []string{"PL-MZ"} }),
		doc("g-both", func(d *search.Doc) { d.Global, d.Languages = true, []string{"pl"} }),
	)
	a := ask(t, x, search.Query{Text: "help", From: "pl", Language: "pl"})
	if got := strings.Join(ids(a), " "); got != "g-both f-usable e-language d-anonymous c-open b-fresh a-plain" {
		t.Errorf("order %s", got)
	}
	if got := fmt.Sprint(a.Hits[0].Why, a.Hits[6].Why); got != "[usable_from your_language words] [words]" {
		t.Errorf("why %s", got)
	}
}

func FuzzSearchAnswersAnything(f *testing.F) {
	c := corpus{words: vocabulary(100), size: 20, langs: true}
	x := newIndex(f, c.docs(1, 60)...)
	for _, s := range []string{"", "\"", `"a" "b`, "\xff\xfe", strings.Repeat("a ", 50000), strings.Repeat("AND -+(", 1000), "\u202eabc\u200f", "\x00\x01pl", "\x01plpomoc", "ﬁ ½ ǆ", strings.Repeat("ß", 500), strings.Repeat("e\u0301", 300), "Σίσυφος", "l'écoute", "木"} {
		f.Add(s, "pl", uint8(0))
	}
	f.Fuzz(func(t *testing.T, text, lang string, order uint8) {
		a, err := x.Search(t.Context(), search.Query{Text: text, Language: lang, Order: search.Order(order % 2), PerPage: 100})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if a.Words > search.MaxWords || a.Matched > a.Words || a.Total > 60 || len(a.Hits) != a.Total {
			t.Fatalf("%q: %d words, %d matched, %d of %d hits", text, a.Words, a.Matched, len(a.Hits), a.Total)
		}
		// What is asked must be found once it stands in a listing.
		y := newIndex(t, search.Doc{ID: "1", Country: "PL", Texts: []search.Text{{Language: lang, Text: text}}})
		if b, err := y.Search(t.Context(), search.Query{Text: text, Language: lang}); err != nil || b.Total != 1 {
			t.Fatalf("%q is not found by itself: %d, %v", text, b.Total, err)
		}
	})
}

// Writers, merges and readers at once: every answer must be that of the oracle
// for one of the states between the batch that was complete when the question began and
// the one begun when it ended.
func TestReadersAgreeWithTheOracleWhileWritersWrite(t *testing.T) {
	const rounds, width = 120, 6
	c := corpus{words: vocabulary(120), size: 12}
	states := make([]oracle, rounds+1)
	batches := make([]search.Batch, rounds+1)
	r := rand.New(rand.NewPCG(8, 9))
	states[0] = oracle{}
	for i := 1; i <= rounds; i++ {
		states[i] = oracle{}
		for k, d := range states[i-1] {
			states[i][k] = d
		}
		gone := c.doc(1, r.IntN(150))
		batches[i].Delete = []search.Ref{{Country: gone.Country, ID: gone.ID}}
		delete(states[i], batches[i].Delete[0])
		for range width {
			d := c.doc(uint64(i), r.IntN(150))
			batches[i].Put = append(batches[i].Put, d)
			states[i][search.Ref{Country: d.Country, ID: d.ID}] = d
		}
	}
	dir := t.TempDir()
	open := func(dir string) *search.Index {
		x, err := search.New(search.Options{Dir: dir, Now: func() time.Time { return noon }})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := open(dir)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := x.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	var mu sync.Mutex
	begun, done := 0, 0
	for worker := range 3 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(10, uint64(worker)))
			for ctx.Err() == nil {
				q := c.question(r)
				mu.Lock()
				from := done
				mu.Unlock()
				q.Now = noon
				a, err := x.Search(t.Context(), q)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				to := begun
				mu.Unlock()
				for i := from; ; i++ {
					if err = states[i].check(q, a); err == nil || i == to {
						break
					}
				}
				if err != nil {
					t.Errorf("between %d and %d: %v", from, to, err)
					return
				}
			}
		})
	}
	for i := 1; i <= rounds; i++ {
		mu.Lock()
		begun = i
		mu.Unlock()
		if err := x.Apply(batches[i]); err != nil {
			t.Error(err)
		}
		mu.Lock()
		done = i
		mu.Unlock()
		if i%10 == 0 {
			if err := x.Save([]byte(strconv.Itoa(i))); err != nil {
				t.Error(err)
			}
			// What another process would find now is this state, however Run goes on.
			found := t.TempDir()
			if err := os.CopyFS(found, os.DirFS(dir)); err != nil {
				t.Error(err)
			}
			again := open(found)
			if got := string(again.State()); got != strconv.Itoa(i) {
				t.Errorf("state %q, want %d", got, i)
			}
			for range 5 {
				q := c.question(r)
				if err := states[i].check(q, ask(t, again, q)); err != nil {
					t.Errorf("opened again after %d: %v", i, err)
				}
			}
		}
	}
	cancel()
	wg.Wait()
	if x.Len() != len(states[rounds]) {
		t.Errorf("%d listings, want %d", x.Len(), len(states[rounds]))
	}
}

// Hours of countries that were not heard of are neither open nor closed; those of
// others stay as they are, and so does everything else.
func TestSilentCountriesAreNeitherOpenNorClosed(t *testing.T) {
	c := corpus{words: vocabulary(50), size: 10}
	x := newIndex(t, c.docs(1, 700)...)
	loud := ask(t, x, search.Query{PerPage: 100, Professional: true})
	hush := ask(t, x, search.Query{PerPage: 100, Professional: true, Silent: []string{"PL", "LT", "XX"}})
	if loud.Total != hush.Total {
		t.Fatalf("%d listings, with silent countries %d", loud.Total, hush.Total)
	}
	sum := func(a search.Answer, values ...string) (n int) {
		for _, c := range a.Facets[search.OpenNow] {
			if slices.Contains(values, c.Value) {
				n += c.Count
			}
		}
		return n
	}
	gone := 0
	for _, country := range []string{"PL", "LT"} {
		own := ask(t, x, search.Query{Professional: true, Countries: []string{country}})
		gone += sum(own, "true", "false")
		if own = ask(t, x, search.Query{PerPage: 100, Professional: true, Countries: []string{country}, Silent: []string{country}}); sum(own, "true", "false") != 0 || sum(own, "not_stated") != own.Total {
			t.Errorf("%s: %v of %d", country, own.Facets[search.OpenNow], own.Total)
		}
		for _, h := range own.Hits {
			if h.Open != "not_stated" || slices.Contains(h.Why, search.WhyOpen) {
				t.Errorf("%s %s is %s because of %v", h.Country, h.ID, h.Open, h.Why)
			}
		}
	}
	if gone == 0 || sum(hush, "true", "false") != sum(loud, "true", "false")-gone {
		t.Errorf("%v, with silent countries %v; %d should be gone", loud.Facets[search.OpenNow], hush.Facets[search.OpenNow], gone)
	}
}
