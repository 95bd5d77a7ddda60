package listing_test

import (
	"testing"

	"github.com/2ps-project/waymark/node/listing"
)

func TestFreshness(t *testing.T) {
	helpline := `"service_types":["helpline"]`
	for _, tc := range []struct {
		name, in, now string
		want          listing.Freshness
	}{
		{"checked today", helpline + `,"assured_date":"2026-01-01"`, "2026-01-01", listing.Fresh},
		{"the last fresh day", helpline + `,"assured_date":"2026-01-01"`, "2026-04-01", listing.Fresh},   // 90 days
		{"due after 91 days", helpline + `,"assured_date":"2026-01-01"`, "2026-04-02", listing.Due},      // 91
		{"the last day of grace", helpline + `,"assured_date":"2026-01-01"`, "2026-05-01", listing.Due},  // 120
		{"stale after 121 days", helpline + `,"assured_date":"2026-01-01"`, "2026-05-02", listing.Stale}, // 121
		{"demoted after 182 days", helpline + `,"assured_date":"2026-01-01"`, "2026-07-02", listing.Demoted},
		{"still demoted after 363 days", helpline + `,"assured_date":"2026-01-01"`, "2026-12-30", listing.Demoted},
		{"lapsed after 364 days", helpline + `,"assured_date":"2026-01-01"`, "2026-12-31", listing.Lapsed},
		{"crisis: due after 30 days", `"kind":"crisis","assured_date":"2026-01-01"`, "2026-01-31", listing.Due},
		{"crisis: stale after 45 days", `"kind":"crisis","assured_date":"2026-01-01"`, "2026-02-15", listing.Stale},
		{"crisis: lapsed after 60 days", `"kind":"crisis","assured_date":"2026-01-01"`, "2026-03-02", listing.Lapsed},
		{"nothing stated is stale", helpline, "2026-01-01", listing.Stale},
		{"a date that is none is stale", helpline + `,"assured_date":"01.01.2026"`, "2026-01-01", listing.Stale},
		{"tomorrow counts", helpline + `,"assured_date":"2026-01-02"`, "2026-01-01", listing.Fresh},
		{"the day after does not", helpline + `,"assured_date":"2026-01-03"`, "2026-01-01", listing.Stale},
		{"a verification is a check", helpline + `,"verification":{"method":"called","date":"2026-01-01"}`, "2026-03-01", listing.Fresh},
		{"a look at the page is worth half", helpline + `,"verification":{"method":"web_only","date":"2026-01-01"}`, "2026-02-15", listing.Due},
		{"the later of two checks counts", helpline + `,"assured_date":"2025-01-01","verification":{"method":"called","date":"2026-01-01"}`, "2026-01-02", listing.Fresh},
		{"a later assured date counts in full", helpline + `,"assured_date":"2026-01-02","verification":{"method":"web_only","date":"2026-01-01"}`, "2026-03-01", listing.Fresh},
		{"a verification of the future does not count", helpline + `,"assured_date":"2025-01-01","verification":{"method":"called","date":"2027-01-01"}`, "2026-01-02", listing.Lapsed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := view(t, parse(t, "{"+tc.in+"}"))
			if got := l.Freshness(day(tc.now), listing.DefaultCadence); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestChannelFreshness(t *testing.T) {
	l := view(t, parse(t, `{"service_types":["helpline"],"assured_date":"2026-03-01","channels":[
		{"type":"phone","verification":{"method":"called","date":"2025-03-01"}}, {"type":"email"}]}`))
	now := day("2026-03-02")
	if got := l.ChannelFreshness(&l.Channels[0], now, listing.DefaultCadence); got != listing.Lapsed {
		t.Errorf("its own check is a year old: got %s", got)
	}
	if got := l.ChannelFreshness(&l.Channels[1], now, listing.DefaultCadence); got != listing.Fresh {
		t.Errorf("without its own check: got %s", got)
	}
}

func TestCadence(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     int
	}{
		{"crisis", `{"kind":"crisis","service_types":["training"]}`, 30},
		{"a crisis line by type", `{"service_types":["crisis_line"]}`, 30},
		{"helpline", `{"service_types":["helpline","training"]}`, 91},
		{"reporting", `{"kind":"reporting_hotline"}`, 91},
		{"clinic", `{"service_types":["psychotherapy_group"],"channels":[{"type":"phone"}]}`, 182},
		{"resource", `{"service_types":["self_help_programme"]}`, 365},
		{"resource by kind", `{"kind":"professional_resource"}`, 365},
		{"plain HSDS with a telephone", `{"phones":[{"number":"+370 5 000 0000"}]}`, 91},
		{"plain HSDS without", `{"url":"https://example.org"}`, 182},
	} {
		l := view(t, parse(t, tc.in))
		if got := (listing.Cadence{}).Days(l); got != tc.want {
			t.Errorf("%s: got %d days, want %d", tc.name, got, tc.want)
		}
	}
	l := view(t, parse(t, `{"kind":"crisis"}`))
	if got := (listing.Cadence{Crisis: 2}).Days(l); got != 60 {
		t.Errorf("policy: got %d days", got)
	}
}
