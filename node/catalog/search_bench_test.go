package catalog

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
	"github.com/2ps-project/waymark/node/search"
)

var benchDay = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// demonstration indexes n demonstration listings of all countries, made one at
// a time from the records that a feed would carry.
func demonstration(b *testing.B, n int) *search.Index {
	b.Helper()
	index, err := search.New(search.Options{Now: func() time.Time { return benchDay }})
	if err != nil {
		b.Fatal(err)
	}
	c := &Catalog{o: Options{Now: func() time.Time { return benchDay }, Cadence: func() listing.Cadence { return listing.DefaultCadence }}}
	countries := fiction.Countries()
	var batch search.Batch
	for i := range n {
		country := countries[i%len(countries)]
		doc := fiction.Listing(7, country, i/len(countries), benchDay)
		body, err := doc.Public().Encode()
		if err != nil {
			b.Fatal(err)
		}
		id := uuid.MustParse(doc["id"].(string))
		raw, err := feed.NewRecord(feed.Key(id), TypeListing, 1, feed.DayOf(benchDay), body).Encode()
		if err != nil {
			b.Fatal(err)
		}
		if d, ok := c.doc(country, id.String(), parse(raw), false); ok {
			batch.Put = append(batch.Put, d)
		}
		if len(batch.Put) == rebuildBatch || i == n-1 {
			if err := index.Apply(batch); err != nil {
				b.Fatal(err)
			}
			batch.Put = batch.Put[:0]
		}
	}
	index.Settle(b.Context())
	return index
}

// BenchmarkSearch asks the demonstration data of all countries the kinds of
// question that readers ask: p50 and p99 of one question, in process. A million
// listings are made only with WAYMARK_FULL=1.
func BenchmarkSearch(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if os.Getenv("WAYMARK_FULL") == "1" {
		sizes = append(sizes, 1_000_000)
	}
	berlin := search.Point{Latitude: 52.52, Longitude: 13.40}
	questions := []struct {
		name string
		q    search.Query
	}{
		{"words and facets", search.Query{Text: "anonimowy czat", Language: "pl", From: "PL", Facets: map[string][]string{"cost": {"free"}}}},
		{"facets only", search.Query{From: "DE", Language: "de", Facets: map[string][]string{"anonymity": {"full"}, "channel": {"phone", "live_chat"}}}},
		{"radius", search.Query{Near: &berlin, RadiusKM: 100}},
		{"typing mistake", search.Query{Text: "beratnug", Language: "de"}},
		{"beginning of a word", search.Query{Text: "help", Language: "en"}},
		{"everything of a country", search.Query{Countries: []string{"LT"}}},
	}
	for _, n := range sizes {
		start := time.Now()
		index := demonstration(b, n)
		b.Logf("%d listings made and indexed in %s, %d found", n, time.Since(start).Round(time.Millisecond), index.Len())
		for _, q := range questions {
			q.q.Now = benchDay
			b.Run(fmt.Sprintf("%d/%s", n, q.name), func(b *testing.B) {
				var took []time.Duration
				for b.Loop() {
					start := time.Now()
					if _, err := index.Search(context.Background(), q.q); err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(start))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e6, "ms-p50")
				b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e6, "ms-p99")
			})
		}
	}
}
