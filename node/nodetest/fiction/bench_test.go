package fiction_test

import (
	"testing"

	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

var sink int

func BenchmarkListing(b *testing.B) {
	countries := fiction.Countries()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		sink += len(fiction.Listing(7, countries[i%14], i/14, today))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "docs/s")
}

// BenchmarkEncoded adds the body of a record, and says how large it is.
func BenchmarkEncoded(b *testing.B) {
	countries := fiction.Countries()
	size := 0
	for i := 0; b.Loop(); i++ {
		size += len(encode(b, fiction.Listing(7, countries[i%14], i/14, today)))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "docs/s")
	b.ReportMetric(float64(size)/float64(b.N), "bytes/doc")
}
