package nodetest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/nodetest"
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
			for _, c := range []string{"pl", "de", "lt"} {
				get(t, node+"/en/in/"+c, nil)
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
