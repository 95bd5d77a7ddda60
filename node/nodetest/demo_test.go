package nodetest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/nodetest"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

// freeBase finds a block of ports that is free for n countries.
func freeBase(t testing.TB, n int) int {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		base := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if base > 64000 {
			continue
		}
		free := true
		for i := 0; i < 10*n && free; i++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+i))
			if free = err == nil; free {
				l.Close()
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("no free block of ports")
	return 0
}

// demo runs a demonstration until the test ends, and returns when it is ready.
func demo(t *testing.T, o nodetest.DemoOptions) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	o.Out = w
	done := make(chan error, 1)
	go func() {
		err := nodetest.Demo(ctx, o)
		w.CloseWithError(io.EOF)
		done <- err
	}()
	ready := false
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if lines.Text() == "ready" {
			ready = true
			break
		}
	}
	go io.Copy(io.Discard, r)
	if !ready {
		t.Fatalf("the demonstration ended before it was ready: %v", <-done)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the demonstration ended with: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func get(t *testing.T, url string, into any) *http.Response {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", url, resp.Status, body)
	}
	switch into := into.(type) {
	case nil:
	case *string:
		*into = string(body)
	default:
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatalf("%s: %v\n%s", url, err, body)
		}
	}
	return resp
}

// TestDemo: each of three nodes finds the listings of all three countries in
// every face, and after a stop the same directory goes on as it was.
func TestDemo(t *testing.T) {
	o := nodetest.DemoOptions{Listings: 20, Dir: t.TempDir(), BasePort: freeBase(t, 3)}
	stop := demo(t, o)
	check := func() (total int) {
		for i := range 3 {
			node := fmt.Sprintf("http://127.0.0.1:%d", o.BasePort+10*i)
			var answer struct {
				Total  int
				Facets map[string][]struct {
					Value string
					Count int
				}
			}
			get(t, node+"/api/search", &answer)
			if total == 0 {
				total = answer.Total
			}
			if answer.Total != 3*o.Listings {
				t.Errorf("node %d finds %d listings, want %d", i, answer.Total, 3*o.Listings)
			}
			seen := map[string]int{}
			for _, c := range answer.Facets["country"] {
				seen[c.Value] = c.Count
			}
			for _, c := range []string{"PL", "DE", "LT"} {
				if seen[c] != o.Listings {
					t.Errorf("node %d finds %d listings of %s", i, seen[c], c)
				}
			}
			var services struct {
				TotalItems int `json:"total_items"`
				Contents   []struct{ ID string }
			}
			get(t, node+"/hsds/services?per_page=100", &services)
			if services.TotalItems != 3*o.Listings || len(services.Contents) != services.TotalItems {
				t.Errorf("node %d: /hsds/services holds %d services on one page of %d", i, len(services.Contents), services.TotalItems)
			}
			var page string
			get(t, node+"/en/", &page)
			if !strings.Contains(page, "fictional") && !strings.Contains(page, "invented") {
				t.Errorf("node %d: the start page does not say that its data is fictional", i)
			}
			for _, c := range []string{"PL", "DE", "LT"} {
				sheetOn(t, node, c)
			}
		}
		return total
	}
	first := check()
	stop()
	demo(t, o)
	if again := check(); again != first {
		t.Errorf("%d listings after a restart, %d before", again, first)
	}
}

// sheetOn checks that a node's page of a country shows the sheet that the country
// has published: its numbers, its law note, its operator's words.
func sheetOn(t *testing.T, node, country string) {
	t.Helper()
	s, faults := fiction.Sheet(country, time.Now().UTC().Truncate(24*time.Hour)).Sheet()
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var body string
	get(t, node+"/"+s.Law[0].Language+"/in/"+strings.ToLower(country), &body)
	body = html.UnescapeString(body)
	want := []string{s.Law[0].Text, s.Operator[0].Text, s.Notice.Value}
	for _, c := range s.Crisis {
		want = append(want, c.Value)
	}
	for _, w := range want {
		if !strings.Contains(body, w) {
			t.Errorf("%s does not show %q of the sheet of %s", node, w, country)
		}
	}
}

// TestSheetTravels: a country changes its sheet, and the pages of another country's
// node show it.
func TestSheetTravels(t *testing.T) {
	f, err := nodetest.Start(t.Context(), nodetest.DemoOptions{Listings: 2, Dir: t.TempDir(), BasePort: freeBase(t, 3)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	}()
	de, lt := f.Nodes()[1], f.Nodes()[2]
	doc := fiction.Sheet("DE", time.Now().UTC())
	doc["crisis_contacts"].([]any)[1].(map[string]any)["value"] = "+49 40 66969 999"
	doc["law_notes"].([]any)[0].(map[string]any)["text"] = "Ein anderer Hinweis zum Recht."
	published, err := de.Admin().PutCountrySheet(t.Context(), doc.JSON())
	if err != nil || published.Country != "DE" || published.State != control.StateSelf {
		t.Fatalf("%+v, %v", published, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := lt.Admin().CountrySheet(ctx, "de")
		if err == nil && bytes.Equal(got.Sheet, published.Sheet) {
			if len(got.Facts) != len(published.Facts) || got.Facts[1].What != "emotional_support +49 40 66969 999" || got.Facts[1].Freshness != "fresh" || got.AsOf == nil {
				t.Errorf("%+v", got.Facts)
			}
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the sheet did not come: %v, %s", err, got.Sheet)
		case <-tick.C:
		}
	}
	var body string
	get(t, lt.URL()+"/de/in/de", &body)
	for _, want := range []string{`href="tel:&#43;494066969999"`, "Ein anderer Hinweis zum Recht.", "Nummern für: Deutschland"} {
		if !strings.Contains(body, want) {
			t.Errorf("LT's page of DE does not show %q", want)
		}
	}
	get(t, lt.URL()+"/de/", &body)
	if strings.Contains(body, "66969999") || !strings.Contains(body, "Nummern für: Litauen") || !strings.Contains(body, "/de/in/lt#operator") {
		t.Error("LT's first page does not show LT's own numbers and statement")
	}
	var e *control.Error
	if _, err := lt.Admin().CountrySheet(ctx, "NZ"); !errors.As(err, &e) || e.Code != "no_sheet" {
		t.Errorf("of a country that is no member: %v", err)
	}
	if _, err := lt.Admin().PutCountrySheet(ctx, []byte(`{}`)); !errors.As(err, &e) || e.Code != "not_fit" {
		t.Errorf("an empty sheet: %v", err)
	}
	if own, err := lt.Admin().CountrySheet(ctx, ""); err != nil || own.Country != "LT" {
		t.Errorf("the own one: %+v, %v", own, err)
	}
}

// TestDemoOfSix: from the fourth country on others must approve.
func TestDemoOfSix(t *testing.T) {
	if testing.Short() {
		t.Skip("runs six nodes; left out with -short")
	}
	o := nodetest.DemoOptions{Countries: []string{"PL", "DE", "LT", "FI", "MT", "GB"}, Listings: 5, Dir: t.TempDir(), BasePort: freeBase(t, 6)}
	demo(t, o)
	var answer struct{ Total int }
	get(t, fmt.Sprintf("http://127.0.0.1:%d/api/search?professional=true&country=PL", o.BasePort+50), &answer)
	if answer.Total == 0 {
		t.Error("the sixth node finds nothing of the first country")
	}
}

// A demonstration whose directory is kept goes on where it stopped, though none of its
// three voters can agree on anything before another is up; and takes one more country in.
func TestDemoGoesOn(t *testing.T) {
	o := nodetest.DemoOptions{Countries: []string{"PL", "DE", "LT"}, Listings: 2, Dir: t.TempDir(), BasePort: freeBase(t, 4)}
	for _, countries := range [][]string{{"PL", "DE", "LT"}, {"PL", "DE", "LT"}, {"PL", "DE", "LT", "MT"}} {
		o.Countries = countries
		f, err := nodetest.Start(t.Context(), o)
		if err != nil {
			t.Fatalf("%v: %v", countries, err)
		}
		for _, n := range f.Nodes() {
			st, err := n.Admin().Status(t.Context())
			if err != nil || len(st.Members) != len(countries) || st.Listings < 2*len(countries) {
				t.Errorf("%v: %d members, %d listings, %v", countries, len(st.Members), st.Listings, err)
			}
		}
		if err := f.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDemoRefusesNonsense(t *testing.T) {
	for name, o := range map[string]nodetest.DemoOptions{
		"no such country": {Countries: []string{"XX"}},
		"a country twice": {Countries: []string{"PL", "pl"}},
		"less than none":  {Listings: -1},
	} {
		t.Run(name, func(t *testing.T) {
			if err := nodetest.Demo(t.Context(), o); err == nil {
				t.Error("it was started")
			}
		})
	}
}
