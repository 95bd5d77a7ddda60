package nodetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/hsds/check"
	"github.com/2ps-project/waymark/node/nodetest"
)

// TestHSDSCheck asks whole nodes over HTTP what hsds-check asks any API: with
// demonstration data, and with the official examples taken in.
func TestHSDSCheck(t *testing.T) {
	ctx := context.Background()
	port := freeBase(t, 2)
	f, err := nodetest.Start(ctx, nodetest.DemoOptions{Countries: []string{"PL", "DE"}, Listings: 14, Dir: t.TempDir(), BasePort: port})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + "/hsds"
	t.Run("demonstration data", func(t *testing.T) { checked(t, url) })
	t.Run("a spreadsheet", func(t *testing.T) {
		report, err := f.Nodes()[0].Admin().Import(ctx, func(yield func(control.Row, error) bool) {
			for i := range 3 { // such rows have an id of their own and no other
				row := fmt.Sprintf(`{"id":"0000000%d-1111-4222-8333-444444444444","name":"Service %d","status":"active","organization":{"name":"Body %d"},"program":{"name":"Programme"},
					"channels":[{"type":"phone","value":"+48 00 000 00 0%d"}],"service_at_locations":[{"location":{"location_type":"physical","addresses":[{"city":"Place"}]}}]}`, i, i, i%2, i)
				if !yield(control.Row{Where: "row", Document: json.RawMessage(row)}, nil) {
					return
				}
			}
		}, control.ImportOptions{Publish: true})
		if err != nil || report.Published != 3 {
			t.Fatal(err, report)
		}
		checked(t, url)
	})
	t.Run("pages while listings change", func(t *testing.T) {
		for _, list := range []string{"services", "organizations", "service_at_locations"} {
			before := walk(t, url+"/"+list+"?per_page=100", func() {})
			added := 0
			now := walk(t, url+"/"+list+"?per_page=3", func() {
				row := fmt.Sprintf(`{"id":"%08d-2222-4333-8444-%012d","name":"New","status":"active","organization":{"name":"New body %s %d"},
					"service_at_locations":[{"location":{"location_type":"physical"}}]}`, added, len(list), list, added)
				one := func(yield func(control.Row, error) bool) {
					yield(control.Row{Where: "row", Document: json.RawMessage(row)}, nil)
				}
				if _, err := f.Nodes()[0].Admin().Import(ctx, one, control.ImportOptions{Publish: true}); err != nil {
					t.Fatal(err)
				}
				added++
			})
			if !slices.Equal(now, before) || added < 3 {
				t.Errorf("%s: %d items on %d pages while listings came, %d before", list, len(now), added, len(before))
			}
		}
	})
	t.Run("official examples", func(t *testing.T) {
		dir := filepath.Join("..", "..", "..", "shared", "standards", "hsds", "examples-3.2.3")
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") == "" {
			t.Skip("the examples of HSDS are not beside the project (../shared/standards); they were tried in continuous integration")
		}
		for _, name := range []string{"service_full.json", "csv", "organization_full.json"} {
			report, err := f.Nodes()[0].Admin().Import(ctx, example(filepath.Join(dir, name)), control.ImportOptions{Publish: true, SkipBad: true})
			if err != nil || report.Published == 0 {
				t.Fatalf("%s: %v, %+v", name, err, report)
			}
			t.Logf("%s: %d published, refused %+v", name, report.Published, report.Refused)
		}
		checked(t, url)
	})
}

// example are the rows of a file.
func example(path string) iter.Seq2[control.Row, error] {
	return func(yield func(control.Row, error) bool) {
		for r, err := range hsds.Rows(path) {
			row := control.Row{Where: r.Where, Document: r.Raw}
			if r.Document != nil {
				row.Document = r.Document.JSON()
			}
			for _, f := range r.Faults {
				row.Faults = append(row.Faults, control.Fault{Path: f.Path, Code: f.Code, Message: f.Message})
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func checked(t *testing.T, url string) {
	t.Helper()
	report, err := check.Run(t.Context(), check.Options{URL: url, PerPage: 7})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		if r.Broken > 0 || r.Outcome == check.Warned && r.Code != "http.https" { // a test has no certificate
			t.Errorf("%s (%s): %s %+v", r.Code, r.Title, r.Outcome, r.Findings)
		}
	}
}

// walk reads the ids of all pages of a list, in their order, and calls between after
// each.
func walk(t *testing.T, url string, between func()) (ids []string) {
	t.Helper()
	for range 200 {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		var page struct{ Contents []struct{ ID string } }
		err = json.NewDecoder(res.Body).Decode(&page)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(url, res.Status, err)
		}
		for _, one := range page.Contents {
			ids = append(ids, one.ID)
		}
		between()
		next, _, ok := strings.Cut(strings.TrimPrefix(res.Header.Get("Link"), "<"), `>; rel="next"`)
		if !ok {
			return ids
		}
		to, err := res.Request.URL.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		url = to.String()
	}
	t.Fatal("the pages do not end")
	return nil
}
