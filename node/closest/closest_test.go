package closest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/closest"
	"github.com/2ps-project/waymark/node/search"
)

func index(t *testing.T) *search.Index {
	t.Helper()
	x, err := search.New(search.Options{Now: func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	doc := func(id, country, words string, languages []string, channel string, covers ...string) search.Doc {
		return search.Doc{
			ID: id, Country: country, Languages: languages, Coverage: covers, MinAge: -1, MaxAge: -1,
			Texts:  []search.Text{{Language: "en", Weight: search.WeightName, Text: words}},
			Facets: map[search.Facet][]string{search.Channel: {channel}, search.Audience: {"self.unsure"}},
			Points: []search.Point{{Latitude: 52, Longitude: 21}},
		}
	}
	professional := doc("training", "PL", "garden training", []string{"pl"}, "in_person")
	professional.Facets[search.Audience] = []string{"professional.health"}
	if err := x.Apply(search.Batch{Put: []search.Doc{
		doc("garden", "PL", "garden meeting", []string{"pl"}, "in_person"),
		doc("river", "PL", "river walk", []string{"pl"}, "in_person"),
		doc("europe", "DE", "mountain talk", []string{"de", "mt"}, "live_chat", "DE", "MT", "PL"),
		doc("alone", "DE", "mountain house", []string{"de"}, "in_person"),
		professional,
	}}); err != nil {
		t.Fatal(err)
	}
	return x
}

func show(list []closest.Offer) string {
	var out []string
	for _, o := range list {
		s := string(o.Kind)
		for _, p := range o.LeftOut {
			s += " -" + p.Name + "=" + strings.Join(p.Values, ",")
		}
		s += ":"
		for _, h := range o.Hits {
			s += " " + h.ID
		}
		out = append(out, s)
	}
	return strings.Join(out, " | ")
}

// Every group is named for what it is, no listing stands in two of them, and
// neither why somebody came nor where they are is left out.
func TestWhatIsOffered(t *testing.T) {
	x := index(t)
	self := map[string][]string{"audience": {"self.unsure"}}
	for _, tt := range []struct {
		name string
		q    search.Query
		want string
	}{
		{"no word stands there", search.Query{Text: "garden unicorn", Languages: []string{"mt"}, Facets: self}, "fewer_filters -q=garden unicorn: europe"},
		{"words here that only stand elsewhere", search.Query{Text: "mountain", Countries: []string{"PL"}, Facets: self}, "cross_border -country=PL: europe | fewer_filters -q=mountain: garden river"},
		{"some words stand here, all of them elsewhere", search.Query{Text: "river mountain house", Countries: []string{"PL"}, UsableFrom: []string{"PL"}, Languages: []string{"pl"}, Facets: map[string][]string{"audience": {"self.unsure"}, "channel": {"in_person"}}}, "fewer_words -q=mountain,house: river"},
		{"a country without any", search.Query{Countries: []string{"MT"}, Facets: self}, "cross_border -country=MT: europe"},
		{"a filter", search.Query{UsableFrom: []string{"MT"}, Facets: map[string][]string{"audience": {"self.unsure"}, "channel": {"post"}}}, "fewer_filters -channel=post: europe"},
		{"a language", search.Query{UsableFrom: []string{"PL"}, Languages: []string{"fi"}, Facets: self}, "fewer_filters -language=fi: europe garden river"},
		{"too near", search.Query{Near: &search.Point{Latitude: 48, Longitude: 2}, RadiusKM: 5, Facets: self}, "farther -radius_km=5: alone europe garden river"},
		{"online in the language", search.Query{Text: "unicorn", Countries: []string{"PL"}, Language: "mt", Facets: map[string][]string{"audience": {"self.unsure"}, "channel": {"post"}}}, "fewer_filters -q=unicorn -channel=post: garden river | online -q=unicorn -channel=post: europe"},
		{"nothing at all", search.Query{Facets: map[string][]string{"audience": {"no such"}}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first, err := x.Search(t.Context(), tt.q)
			if err != nil {
				t.Fatal(err)
			}
			list, err := closest.Find(t.Context(), x.Search, tt.q, nil)
			if err != nil {
				t.Fatal(err)
			}
			if have := show(list); tt.want != "" && have != tt.want || tt.want == "" && strings.Contains(have, "training") {
				t.Errorf("%d found; offered\n%s\nwant\n%s", first.Total, have, tt.want)
			}
			var all []search.Ref
			for _, o := range list {
				for _, h := range o.Hits {
					if slices.Contains(all, h.Ref) {
						t.Errorf("%v stands in two groups", h.Ref)
					}
					all = append(all, h.Ref)
				}
			}
		})
	}
}

// A narrowed audience is widened to all who came by the same door.
func TestANarrowedAudienceIsWidened(t *testing.T) {
	x := index(t)
	list, err := closest.Find(t.Context(), x.Search, search.Query{Countries: []string{"PL"}, Facets: map[string][]string{"audience": {"self.other"}}}, []string{"self.unsure", "self.other"})
	if have := show(list); err != nil || have != "fewer_filters -audience=self.other: garden river" {
		t.Errorf("%s, %v", have, err)
	}
}

// However long a question is, it costs few more; and what fails is told.
func TestTriesAreBounded(t *testing.T) {
	n := 0
	none := func(context.Context, search.Query) (search.Answer, error) { n++; return search.Answer{}, nil }
	q := search.Query{Text: strings.Repeat("word ", 1000), Languages: []string{"mt"}, Countries: []string{"PL"}, Facets: map[string][]string{"channel": {"post"}}}
	if list, err := closest.Find(t.Context(), none, q, nil); err != nil || len(list) != 0 || n > 24 {
		t.Errorf("%d questions, %v, %v", n, list, err)
	}
	broken := errors.New("broken")
	failing := func(context.Context, search.Query) (search.Answer, error) {
		return search.Answer{}, fmt.Errorf("ask: %w", broken)
	}
	if _, err := closest.Find(t.Context(), failing, q, nil); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
