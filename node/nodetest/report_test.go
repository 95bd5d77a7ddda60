package nodetest_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/nodetest"
)

// TestAReportReachesItsCountry: a reader tells the node of DE that a listing of PL
// has closed. The next day PL's editors know, DE's keep nothing, and after PL has
// dropped it, it does not come again.
func TestAReportReachesItsCountry(t *testing.T) {
	var ahead atomic.Int64
	var log bytes.Buffer
	o := nodetest.DemoOptions{
		Countries: []string{"PL", "DE"}, Listings: 2, Dir: t.TempDir(), BasePort: freeBase(t, 2),
		Now:    func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	f, err := nodetest.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		t.Helper()
		if err := f.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	all, err := f.Nodes()[0].Admin().Listings(t.Context(), control.Filter{State: "published"})
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	id := all[0].ID
	answer, err := http.PostForm(f.Nodes()[1].URL()+"/de/report/"+id, url.Values{"choice": {"closed"}})
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", answer, err)
	}
	_ = answer.Body.Close()
	reports := func() []control.Report {
		t.Helper()
		r, err := f.Nodes()[0].Admin().Reports(t.Context())
		if err != nil || r.Unreadable != 0 {
			t.Fatal(r, err)
		}
		return r.Reports
	}
	if early := reports(); len(early) > 0 {
		t.Errorf("it came on its own day: %v", early)
	}
	day := time.Now().UTC().Format(time.DateOnly)
	stop()

	ahead.Store(int64(25 * time.Hour))
	if f, err = nodetest.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	got := reports()
	for ; len(got) == 0; got = reports() {
		select {
		case <-ctx.Done():
			t.Fatal("it did not come")
		case <-tick.C:
		}
	}
	r := got[0]
	if len(got) != 1 || r.Listing != id || r.Choice != "closed" || r.Text != "" || r.Day != day && r.Day != time.Now().UTC().Format(time.DateOnly) || r.Name == "" {
		t.Errorf("PL has %+v", got)
	}
	if d, err := f.Nodes()[0].Admin().DropReports(ctx, []string{r.ID}); err != nil || d.Dropped != 1 {
		t.Error(d, err)
	}
	if _, err := f.Nodes()[0].Admin().DropReports(ctx, []string{r.ID}); err == nil {
		t.Error("it could be dropped twice")
	}
	stop()
	if f, err = nodetest.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if again := reports(); len(again) > 0 {
		t.Errorf("after a restart it is back: %v", again)
	}
	stop()
	for _, word := range []string{"closed\"", "choice", "/de/report/"} {
		if strings.Contains(log.String(), word) {
			t.Errorf("%q is in the log", word)
		}
	}
}

// TestAReportThatNobodyCanReadIsDropped: the key to which it was sealed was lost
// while it lay there. The list names it, and it can be dropped by its name.
func TestAReportThatNobodyCanReadIsDropped(t *testing.T) {
	o := nodetest.DemoOptions{Countries: []string{"PL"}, Listings: 1, Dir: t.TempDir(), BasePort: freeBase(t, 1)}
	f, err := nodetest.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	all, err := f.Nodes()[0].Admin().Listings(t.Context(), control.Filter{State: "published"})
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	answer, err := http.PostForm(f.Nodes()[0].URL()+"/pl/report/"+all[0].ID, url.Values{"choice": {"closed"}})
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", answer, err)
	}
	_ = answer.Body.Close()
	if r, err := f.Nodes()[0].Admin().Reports(t.Context()); err != nil || len(r.Reports) != 1 || r.Locked == nil || len(r.Locked) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := f.Stop(); err != nil {
		t.Fatal(err)
	}
	other, err := identity.GenerateSeal()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(o.Dir, "PL", "keys", "seal.key")
	if err := errors.Join(os.Remove(file), other.Save(file)); err != nil {
		t.Fatal(err)
	}
	if f, err = nodetest.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	admin := f.Nodes()[0].Admin()
	r, err := admin.Reports(t.Context())
	if err != nil || len(r.Reports) != 0 || r.Unreadable != 1 || len(r.Locked) != 1 || r.Locked[0].Day == "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if d, err := admin.DropReports(t.Context(), []string{r.Locked[0].ID}); err != nil || d.Dropped != 1 {
		t.Error(d, err)
	}
	if r, err := admin.Reports(t.Context()); err != nil || r.Unreadable != 0 || len(r.Locked) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := f.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestAReportBetweenTwoThatNobodyCanCall: a reader tells the node of DE that a
// listing of LT has closed. Nobody can call either; PL carries what it cannot read.
func TestAReportBetweenTwoThatNobodyCanCall(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a federation twice; left out with -short")
	}
	var ahead atomic.Int64
	o := nodetest.DemoOptions{
		Countries: []string{"PL", "DE", "LT"}, Listings: 1, Dir: t.TempDir(), BasePort: freeBase(t, 3),
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		Configure: func(c *config.Config) {
			if c.Country != "PL" {
				c.Federation.OutboundOnly, c.Federation.Advertise, c.Federation.Voter = true, nil, false
			}
		},
	}
	f, err := nodetest.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	all, err := f.Nodes()[2].Admin().Listings(t.Context(), control.Filter{State: "published"})
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	answer, err := http.PostForm(f.Nodes()[1].URL()+"/de/report/"+all[0].ID, url.Values{"choice": {"hours"}})
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", answer, err)
	}
	_ = answer.Body.Close()
	if err := f.Stop(); err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(25 * time.Hour))
	if f, err = nodetest.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := f.Nodes()[2].Admin().Reports(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Reports) == 1 && got.Reports[0].Listing == all[0].ID && got.Reports[0].Choice == "hours" && got.Unreadable == 0 {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("LT has %+v", got)
		case <-tick.C:
		}
	}
	if got, err := f.Nodes()[0].Admin().Reports(ctx); err != nil || len(got.Reports) > 0 || got.Unreadable > 0 {
		t.Errorf("PL, which carried it, has %+v, %v", got, err)
	}
	if err := f.Stop(); err != nil {
		t.Fatal(err)
	}
}
