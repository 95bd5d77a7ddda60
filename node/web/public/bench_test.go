package public_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/public"
	"github.com/2ps-project/waymark/node/web/webtest"
)

// What a page costs beside the search itself: the catalog here holds 30 listings.
func BenchmarkPages(b *testing.B) {
	set, err := locale.New()
	if err != nil {
		b.Fatal(err)
	}
	c := webtest.New(b, 30, "PL")
	h, err := public.New(public.Options{Catalog: c, Locale: set, Operator: operator, Now: func() time.Time { return webtest.Now }})
	if err != nil {
		b.Fatal(err)
	}
	for name, x := range map[string]struct{ method, path, form string }{
		"start": {"GET", "/en/", ""}, "results": {"POST", "/en/search", "country=PL"},
		"country": {"GET", "/en/in/pl", ""}, "detail": {"GET", "/en/s/" + c.Listings[0].Listing.ID, ""},
	} {
		b.Run(name, func(b *testing.B) {
			size := 0
			for b.Loop() {
				r := httptest.NewRequest(x.method, x.path, strings.NewReader(x.form))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "B/page")
		})
	}
}
