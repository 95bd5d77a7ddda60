package nodetest_test

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/node"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/nodetest"
)

// TestThreeMonthsAlone: the other countries are gone and three months pass. The node
// that is left answers every page in every language, says of when the others' lists
// are, and calls nothing of theirs open.
func TestThreeMonthsAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a federation; left out with -short")
	}
	var own config.Config
	o := nodetest.DemoOptions{
		Countries: []string{"PL", "DE", "LT"}, Listings: 12, Dir: t.TempDir(), BasePort: freeBase(t, 3),
		Configure: func(c *config.Config) {
			if c.Country == "LT" {
				own = *c
			}
		},
	}
	f, err := nodetest.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	get := func(address, language string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Language", language)
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(w.Body)
		_ = w.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		return w.StatusCode, string(body)
	}
	ask := func(address string, form url.Values) (int, string) {
		t.Helper()
		w, err := http.PostForm(address, form)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(w.Body)
		_ = w.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		return w.StatusCode, string(body)
	}
	set, err := locale.New()
	if err != nil {
		t.Fatal(err)
	}
	const open = `badge good">`
	if _, page := ask(f.Nodes()[2].URL()+"/en/search", url.Values{"country": {"PL"}}); !strings.Contains(page, open+"Open now") {
		t.Fatal("nothing is open while all are there")
	}
	if err := f.Stop(); err != nil {
		t.Fatal(err)
	}
	later := time.Now().AddDate(0, 0, 92)
	n, err := node.New(node.Options{Dir: filepath.Join(o.Dir, "LT"), Config: own, Now: func() time.Time { return later }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	<-n.Ready()
	st, err := n.Admin().Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var asOf time.Time
	for _, m := range st.Members {
		if m.Country == "PL" && m.AsOf != nil {
			asOf = *m.AsOf
		}
	}
	link := regexp.MustCompile(`<h3><a href="(/[a-z]+/s/[^"]+)"`)
	for _, l := range set.Languages() {
		t.Run(l.Tag(), func(t *testing.T) {
			home := n.URL() + "/" + l.Tag()
			check := func(path string, status int, page string) {
				t.Helper()
				if status != http.StatusOK || strings.Contains(page, open+html.EscapeString(l.Say("listing.open_now"))) {
					t.Errorf("%s: status %d, or something is called open", path, status)
				}
			}
			for _, path := range []string{"/", "/in/pl", "/in/de", "/in/lt", "/in/ie", "/safety", "/accessibility", "/embed", "/in/pl/poster"} {
				status, page := get(home+path, l.Tag())
				check(path, status, page)
				old := html.EscapeString(l.Say("country.old", "date", l.Date(asOf.UTC())))
				if silent := path == "/in/pl" || path == "/in/de"; silent && !strings.Contains(page, old) {
					t.Errorf("%s does not say %q", path, old)
				}
			}
			if status, page := get(n.URL()+"/leave", l.Tag()); status != http.StatusOK || !strings.Contains(page, html.EscapeString(l.MonthYear(later.UTC()))) {
				t.Errorf("the way out: status %d", status)
			}
			status, page := ask(home+"/search", url.Values{"country": {"PL"}})
			check("results", status, page)
			confirmed := html.EscapeString(l.Say("feed.confirmed", "country", l.CountryInText("PL"), "ago", l.Count("days_ago", 92), "date", l.Date(asOf.UTC())))
			if !strings.Contains(page, confirmed) {
				t.Errorf("the results do not say %q", confirmed)
			}
			services := link.FindAllStringSubmatch(page, -1)
			for _, s := range services {
				status, page := get(n.URL()+s[1], l.Tag())
				check(s[1], status, page)
			}
			if len(services) < 5 {
				t.Errorf("only %d services", len(services))
			}
		})
	}
}
