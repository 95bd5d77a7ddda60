package nodetest_test

import (
	"bytes"
	"compress/gzip"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/nodetest"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
	"github.com/2ps-project/waymark/node/web/page"
	"github.com/2ps-project/waymark/node/web/public"
)

// BenchmarkPages is the server's time for each page with 10,000 listings of four
// countries on a whole node, search and store included, and the bytes that go
// over the wire. The network is left out.
func BenchmarkPages(b *testing.B) {
	f, err := nodetest.Start(b.Context(), nodetest.DemoOptions{Countries: []string{"PL", "DE", "LT", "MT"}, Listings: 2400, Dir: b.TempDir(), BasePort: freeBase(b, 4)})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Stop()
	texts, err := locale.New()
	if err != nil {
		b.Fatal(err)
	}
	n := f.Nodes()[0]
	h, err := public.New(public.Options{Catalog: n, Locale: texts, Demo: true, Operator: func() page.Operator {
		return page.Operator{Name: fiction.Operator("PL"), Country: "PL", Services: []string{"Example Hosting"}}
	}})
	if err != nil {
		b.Fatal(err)
	}
	listings := 0
	for listings < 9600 { // the last list may still be on its way into the index
		if listings = 0; b.Context().Err() != nil {
			b.Fatal(b.Context().Err())
		}
		for _, c := range n.Countries() {
			listings += c.Listings
		}
		runtime.Gosched()
	}
	for _, x := range []struct {
		name, path string
		form       url.Values
	}{
		{"start", "/en/", nil},
		{"door", "/en/search", url.Values{"door": {"self"}, "country": {"PL"}, "language": {"pl"}}},
		{"words and facets", "/pl/search", url.Values{"door": {"self"}, "country": {"PL"}, "q": {"anonimowy czat"}, "anonymity": {"full"}}},
		{"elsewhere", "/pl/search", url.Values{"door": {"self"}, "country": {"IE"}, "channel": {"live_chat"}}},
		{"professional", "/en/search", url.Values{"door": {"professional"}}},
		{"nothing", "/en/search", url.Values{"q": {"zzzzqqqq"}, "country": {"PL"}, "door": {"self"}, "channel": {"post"}}},
		{"country", "/en/in/pl", nil},
		{"country without a node", "/en/in/ie", nil},
		{"service", "/en/s/" + fiction.ID(0, "PL", 6), nil},
		{"poster", "/en/in/pl/poster", nil},
		{"safety", "/en/safety", nil},
	} {
		b.Run(x.name, func(b *testing.B) {
			var times []time.Duration
			size := 0
			for b.Loop() {
				r := httptest.NewRequest("GET", x.path, nil)
				if x.form != nil {
					r = httptest.NewRequest("POST", x.path, strings.NewReader(x.form.Encode()))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				w := httptest.NewRecorder()
				start := time.Now()
				h.ServeHTTP(w, r)
				times = append(times, time.Since(start))
				if w.Code != 200 {
					b.Fatalf("status %d", w.Code)
				}
				if size == 0 {
					var out bytes.Buffer
					z := gzip.NewWriter(&out)
					_, _ = z.Write(w.Body.Bytes())
					_ = z.Close()
					size = out.Len()
				}
			}
			b.ReportMetric(percentile(times, 0.5), "ms-p50")
			b.ReportMetric(percentile(times, 0.99), "ms-p99")
			b.ReportMetric(float64(size), "B/wire")
			b.ReportMetric(float64(listings), "listings")
		})
	}
}
