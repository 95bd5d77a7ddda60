package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/bundle"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// three is a federation of three countries, two of which have published.
func three(t testing.TB) *world {
	w := found(t, "DE", "LT", "PL")
	w.publish("DE", put(0, 300, "eins")...)
	w.publish("DE", append(put(5, 9, "zwei"), drop(feed.Delete, 1, 2)...)...)
	w.publish("PL", put(1000, 1040, "jeden")...)
	w.confirm()
	return w
}

func TestRoundTrip(t *testing.T) {
	w := three(t)
	file := w.export(func(o *bundle.ExportOptions) { o.Docket = items("a ruling", "bad one") })
	r := newReplica(t, w.at)
	report := r.mustTake(file)
	r.same(w)
	if got := outcomes(report); len(got) != 2 || got["DE"] != bundle.OutcomeTaken || got["PL"] != bundle.OutcomeTaken {
		t.Errorf("outcomes %v", got)
	}
	if !report.Taken || report.NewEntries != w.state.Seq() || report.Items != 2 || report.RefusedItems != 1 || len(r.items) != 1 {
		t.Errorf("report %+v", report)
	}
	if report.ExporterCountry != "DE" || report.Federation != w.state.Federation() || report.Duty != bundle.Duty || report.Confirmed == nil {
		t.Errorf("report %+v", report)
	}
	if r.heads.Newest() == nil || r.heads.Newest().Seq != w.state.Seq() {
		t.Error("the registry's head did not come along")
	}
	again := r.mustTake(file)
	if got := outcomes(again); got["DE"] != bundle.OutcomeHeld || got["PL"] != bundle.OutcomeHeld || again.NewEntries != 0 {
		t.Errorf("the second time: %+v", again)
	}
	r.same(w)
}

func TestCheckAlone(t *testing.T) {
	w := three(t)
	file := w.export(nil)
	report, err := bundle.Check(context.Background(), bytes.NewReader(file), int64(len(file)), bundle.ImportOptions{Now: w.at})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes(report); got["DE"] != bundle.OutcomeSound || got["PL"] != bundle.OutcomeSound || report.Taken {
		t.Errorf("report %+v", report)
	}
}

// TestNewer brings a whole bundle to a node that holds an older state: what
// changed comes, what is gone goes, and nothing else moves.
func TestNewer(t *testing.T) {
	w := three(t)
	r := newReplica(t, w.at)
	r.mustTake(w.export(nil))
	w.publish("DE", append(put(290, 310, "drei"), drop(feed.Erase, 7)...)...)
	w.publish("DE", drop(feed.Delete, 0, 299)...)
	w.publish("LT", put(2000, 2001, "vienas")...)
	r.at = w.at
	report := r.mustTake(w.export(nil))
	if got := outcomes(report); got["DE"] != bundle.OutcomeTaken || got["LT"] != bundle.OutcomeTaken || got["PL"] != bundle.OutcomeHeld {
		t.Errorf("outcomes %v", got)
	}
	r.same(w)
}

func TestDifference(t *testing.T) {
	w := three(t)
	first := w.export(nil)
	m, err := bundle.ReadManifest(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	base := newReplica(t, w.at)
	base.mustTake(first)
	w.publish("DE", append(put(290, 303, "drei"), drop(feed.Erase, 7)...)...)
	between := w.export(nil)
	w.publish("DE", drop(feed.Delete, 0, 299)...)
	w.publish("LT", put(2000, 2001, "vienas")...)
	second := w.export(func(o *bundle.ExportOptions) { o.Since = m.Raw() })
	if whole := w.export(nil); len(second) > len(whole)/2 {
		t.Errorf("a difference of %d bytes, the whole has %d", len(second), len(whole))
	}

	t.Run("on its base", func(t *testing.T) {
		base.at = w.at
		report := base.mustTake(second)
		if got := outcomes(report); got["DE"] != bundle.OutcomeTaken || got["LT"] != bundle.OutcomeTaken || got["PL"] != bundle.OutcomeHeld {
			t.Errorf("outcomes %v", got)
		}
		base.same(w)
	})
	t.Run("on a state between", func(t *testing.T) {
		r := newReplica(t, w.at)
		r.mustTake(first)
		r.mustTake(between)
		r.mustTake(second)
		r.same(w)
	})
	t.Run("on nothing", func(t *testing.T) {
		r := newReplica(t, w.at)
		if _, err := r.take(second, nil); !errors.Is(err, bundle.ErrBase) {
			t.Fatalf("got %v", err)
		}
		if r.state != nil {
			t.Error("something was taken")
		}
	})
	t.Run("alone", func(t *testing.T) {
		report, err := bundle.Check(context.Background(), bytes.NewReader(second), int64(len(second)), bundle.ImportOptions{Now: w.at})
		if err != nil {
			t.Fatal(err)
		}
		if got := outcomes(report); got["DE"] != bundle.OutcomeSigned || got["LT"] != bundle.OutcomeSound {
			t.Errorf("outcomes %v", got)
		}
	})
}

func TestCountries(t *testing.T) {
	w := three(t)
	r := newReplica(t, w.at)
	report := r.mustTake(w.export(func(o *bundle.ExportOptions) { o.Countries = []string{"PL"} }))
	if got := outcomes(report); len(got) != 1 || got["PL"] != bundle.OutcomeTaken {
		t.Errorf("outcomes %v", got)
	}
	_, err := bundle.Export(t.Context(), new(bytes.Buffer), bundle.ExportOptions{
		State: w.state, Chain: &w.chain, Feeds: w.store, Key: w.founder.Keys.Node, Countries: []string{"FR"}, Now: w.at,
	})
	if !errors.Is(err, bundle.ErrCountry) {
		t.Errorf("a country that is no member: %v", err)
	}
}

func TestDryRun(t *testing.T) {
	w := three(t)
	r := newReplica(t, w.at)
	report, err := r.take(w.export(nil), func(o *bundle.ImportOptions) { o.DryRun = true })
	if err != nil {
		t.Fatal(err)
	}
	if report.Taken || outcomes(report)["DE"] != bundle.OutcomeTaken {
		t.Errorf("report %+v", report)
	}
	if origins, _ := r.store.Origins(); len(origins) != 0 || r.state != nil {
		t.Error("a dry run changed something")
	}
}

func TestOwnFeed(t *testing.T) {
	w := three(t)
	r := newReplica(t, w.at)
	var told []string
	if _, err := r.take(w.export(nil), func(o *bundle.ImportOptions) {
		o.Own = w.members["PL"].Origin
		o.NewerOwn = func(h *feed.SignedHead) { told = append(told, "newer "+h.Origin.String()) }
		o.Adopted = func() { told = append(told, "adopted") }
	}); err != nil {
		t.Fatal(err)
	}
	if want := "newer " + w.members["PL"].Origin.String(); len(told) != 2 || told[0] != want || told[1] != "adopted" {
		t.Errorf("told %q", told)
	}
}

// TestWhich: who has nothing must be told by somebody else what to believe.
func TestWhich(t *testing.T) {
	w, other := three(t), found(t, "SE")
	other.publish("SE", put(0, 3, "ett")...)
	file := w.export(nil)
	tests := []struct {
		name   string
		held   *world
		change func(*bundle.ImportOptions)
		want   error
	}{
		{"nothing held, none named", nil, func(o *bundle.ImportOptions) { o.Federation = identity.FederationID{} }, bundle.ErrWhich},
		{"nothing held, another named", nil, func(o *bundle.ImportOptions) { o.Federation = other.state.Federation() }, bundle.ErrForeign},
		{"another one held", other, nil, bundle.ErrForeign},
		{"another one held, this one named", other, func(o *bundle.ImportOptions) { o.Federation = w.state.Federation() }, bundle.ErrForeign},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newReplica(t, w.at)
			if tt.held != nil {
				r.state, r.chain = tt.held.state, tt.held.chain
			}
			if _, err := r.take(file, tt.change); !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if origins, _ := r.store.Origins(); len(origins) != 0 {
				t.Error("something was taken")
			}
		})
	}
}

func TestProgress(t *testing.T) {
	w := three(t)
	file := w.export(nil)
	r := newReplica(t, w.at)
	last := map[string]int64{}
	if _, err := r.take(file, func(o *bundle.ImportOptions) {
		o.Progress = func(p bundle.Progress) {
			if p.Total != int64(len(file)) || p.Done < last[p.Stage] {
				t.Errorf("progress %+v after %d", p, last[p.Stage])
			}
			last[p.Stage] = p.Done
		}
	}); err != nil {
		t.Fatal(err)
	}
	for _, stage := range []string{bundle.StageCheck, bundle.StageTake} {
		if last[stage] != int64(len(file)) {
			t.Errorf("%s ended at %d of %d", stage, last[stage], len(file))
		}
	}
}

func TestCancelled(t *testing.T) {
	w := three(t)
	file := w.export(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := newReplica(t, w.at)
	o := r.options()
	o.Federation = w.state.Federation()
	if _, err := bundle.Import(ctx, bytes.NewReader(file), int64(len(file)), o); !errors.Is(err, context.Canceled) {
		t.Errorf("import: %v", err)
	}
	if _, err := bundle.Export(ctx, new(bytes.Buffer), bundle.ExportOptions{State: w.state, Chain: &w.chain, Feeds: w.store, Key: w.founder.Keys.Node, Now: w.at}); !errors.Is(err, context.Canceled) {
		t.Errorf("export: %v", err)
	}
}

// TestFullDisk: what a disk cuts off can be taken again.
func TestFullDisk(t *testing.T) {
	w := three(t)
	file := w.export(nil)
	r := newReplica(t, w.at)
	full := errors.New("no room")
	r.store.Fail(full)
	if _, err := r.take(file, nil); !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
	r.store.Fail(nil)
	r.mustTake(file)
	r.same(w)
}

// TestUnconfirmed: entries that no voter has signed for are not taken. What
// feeds need of them then waits as well.
func TestUnconfirmed(t *testing.T) {
	w := three(t)
	r := newReplica(t, w.at)
	r.mustTake(w.export(nil))
	seq := r.state.Seq()
	w.command(w.founder.Invite(t, w.state, "FI"))
	w.publish("LT", put(2000, 2001, "vienas")...)
	r.at = w.at
	bare := w.export(func(o *bundle.ExportOptions) { o.Heads = registry.HeadChain{} })
	report := r.mustTake(bare)
	if r.state.Seq() != seq || report.NewEntries != 0 || report.RegistryReason == "" || report.Confirmed != nil {
		t.Errorf("entries that nobody vouches for were taken: %+v", report)
	}
	if outcomes(report)["LT"] != bundle.OutcomeTaken {
		t.Errorf("a feed that does not need them was not taken: %+v", report.Feeds)
	}
	fresh := newReplica(t, w.at)
	if _, err := fresh.take(bare, nil); !errors.Is(err, bundle.ErrUnconfirmed) {
		t.Errorf("a new node: %v", err)
	}
	fresh.untouched()

	stale := w.export(nil) // the voters' newest word is about the entry before
	if m, err := bundle.ReadManifest(bytes.NewReader(stale)); err != nil || m.Registry.Seq != seq {
		t.Errorf("the registry in the file ends at %d, its voters stand by %d: %v", m.Registry.Seq, seq, err)
	}
	w.confirm()
	r.mustTake(w.export(nil))
	if r.state.Seq() != seq+1 {
		t.Errorf("a confirmed entry was not taken: %d, want %d", r.state.Seq(), seq+1)
	}
}

// TestWrongClock: a node whose clock is far behind takes no head of the registry
// that lies in its future, and says why.
func TestWrongClock(t *testing.T) {
	w := three(t)
	r := newReplica(t, w.at.AddDate(0, 0, -10))
	_, err := r.take(w.export(nil), nil)
	if !errors.Is(err, bundle.ErrUnconfirmed) || !strings.Contains(err.Error(), "future") {
		t.Errorf("got %v", err)
	}
	r.untouched()
}

// TestLeftOut: a feed that the maker's own rules do not admit is named, not
// handed on.
func TestLeftOut(t *testing.T) {
	w := three(t)
	file := w.export(func(o *bundle.ExportOptions) { o.Now = w.at.Add(-24 * time.Hour) })
	m, err := bundle.ReadManifest(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Feeds) != 1 || len(m.Left) != 1 || m.Left[0].Country == m.Feeds[0].Country || m.Left[0].Reason == "" {
		t.Errorf("feeds %+v, left %+v", m.Feeds, m.Left)
	}
}

// TestForkFound: a bundle that shows another head under a number that is held
// is evidence, whichever of the two feeds is longer; the feed stays as it is.
func TestForkFound(t *testing.T) {
	for _, further := range []int{0, 1, 3} {
		w := three(t)
		r := newReplica(t, w.at)
		r.mustTake(w.export(nil))
		restore := w.backup()
		w.publish("PL", put(1000, 1001, "dwa")...)
		r.at = w.at
		r.mustTake(w.export(nil))
		held := contents(t, r.store, w.members["PL"].Origin)

		restore()
		for i := range further + 1 {
			w.publish("PL", put(1001+i, 1002+i, "trzy")...)
		}
		w.publish("DE", put(0, 1, "drei")...)
		r.at = w.at
		file := w.export(nil)
		if _, err := r.take(file, func(o *bundle.ImportOptions) { o.DryRun = true }); err != nil || r.forks != 0 {
			t.Errorf("%d further: a dry run tells of %d forks, %v", further, r.forks, err)
		}
		report := r.mustTake(file)
		if got := outcomes(report); got["PL"] != bundle.OutcomeAside || got["DE"] != bundle.OutcomeTaken || r.forks != 1 {
			t.Errorf("%d further: %+v, %d forks", further, report.Feeds, r.forks)
		}
		if now := contents(t, r.store, w.members["PL"].Origin); now[0] != held[0] {
			t.Errorf("%d further: the feed moved", further)
		}
	}
}
