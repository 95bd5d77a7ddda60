package listing_test

import (
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/listing"
)

func TestOpenNow(t *testing.T) {
	const open, closed, unknown = "open", "closed", "unknown"
	vilnius := func(rest string) string { return `{"zone":"Europe/Vilnius",` + rest + `}` }
	office := vilnius(`"weekly":[{"day":"MO","opens":"09:00","closes":"17:00"}]`)
	night := vilnius(`"weekly":[{"day":"SA","opens":"22:00","closes":"06:00"}]`)
	short := vilnius(`"weekly":[{"day":"SA","opens":"22:00","closes":"03:30"},{"day":"SU","opens":"23:00","closes":"24:00"}]`)
	for _, tc := range []struct{ name, hours, now, want string }{
		{"opens", office, "2026-03-09T09:00:00+02:00", open},
		{"a minute before", office, "2026-03-09T08:59:59+02:00", closed},
		{"closes", office, "2026-03-09T17:00:00+02:00", closed},
		{"the same hour in UTC", office, "2026-03-09T07:00:00Z", open},
		{"another day", office, "2026-03-10T12:00:00+02:00", closed},
		{"no hours", ``, "2026-03-09T12:00:00Z", unknown},
		{"not stated", vilnius(`"not_stated":true,"always_open":true`), "2026-03-09T12:00:00Z", unknown},
		{"no zone", `{"always_open":true}`, "2026-03-09T12:00:00Z", unknown},
		{"zone of this machine", `{"zone":"Local","always_open":true}`, "2026-03-09T12:00:00Z", unknown},
		{"unknown zone", `{"zone":"Mars/Phobos","always_open":true}`, "2026-03-09T12:00:00Z", unknown},
		{"only exceptions", vilnius(`"exceptions":[{"date":"2026-03-10","closed":true}]`), "2026-03-09T12:00:00Z", unknown},
		{"hours that cannot be read", vilnius(`"weekly":[{"day":"MO","opens":"9","closes":"5pm"}]`), "2026-03-09T12:00:00Z", unknown},
		{"yesterday's cannot be read", vilnius(`"weekly":[{"day":"SU","opens":"9","closes":"5"},{"day":"MO","opens":"09:00","closes":"17:00"}]`), "2026-03-09T12:00:00Z", unknown},
		{"always", vilnius(`"always_open":true`), "2026-03-09T03:00:00Z", open},
		{"always but today", vilnius(`"always_open":true,"exceptions":[{"date":"2026-03-09","closed":true}]`), "2026-03-09T12:00:00Z", closed},
		{"always, today shorter", vilnius(`"always_open":true,"exceptions":[{"date":"2026-03-09","opens":"10:00","closes":"12:00"}]`), "2026-03-09T11:00:00Z", closed},
		{"an exception opens", vilnius(`"weekly":[{"day":"MO","opens":"09:00","closes":"10:00"}],"exceptions":[{"date":"2026-03-10","opens":"12:00","closes":"14:00"},{"date":"2026-03-10","opens":"15:00","closes":"16:00"}]`), "2026-03-10T15:30:00+02:00", open},
		{"an exception replaces", vilnius(`"weekly":[{"day":"MO","opens":"09:00","closes":"17:00"}],"exceptions":[{"date":"2026-03-09","opens":"12:00","closes":"14:00"}]`), "2026-03-09T10:00:00+02:00", closed},
		{"an exception that says nothing", vilnius(`"weekly":[{"day":"MO","opens":"09:00","closes":"17:00"}],"exceptions":[{"date":"2026-03-09"}]`), "2026-03-09T10:00:00+02:00", unknown},
		{"past midnight", night, "2026-03-08T05:59:00+02:00", open},
		{"past midnight, over", night, "2026-03-08T06:00:00+02:00", closed},
		{"past midnight, not yet", night, "2026-03-07T21:59:00+02:00", closed},
		{"the night ends on a day that is closed", vilnius(`"weekly":[{"day":"SA","opens":"22:00","closes":"06:00"}],"exceptions":[{"date":"2026-03-08","closed":true}]`), "2026-03-08T01:00:00+02:00", closed},
		{"until midnight", short, "2026-03-08T23:59:59+02:00", open},
		{"until midnight, over", short, "2026-03-09T00:00:00+02:00", closed},
		{"round the clock", vilnius(`"weekly":[{"day":"MO","opens":"00:00","closes":"24:00"}]`), "2026-03-09T23:59:59+02:00", open},
		// 29 March 2026: 03:00 EET becomes 04:00 EEST at 01:00 UTC.
		{"spring: just before the leap", short, "2026-03-29T00:59:59Z", open},
		{"spring: the hour at which it closes is leapt over", short, "2026-03-29T01:00:00Z", closed},
		{"spring: six in the morning", night, "2026-03-29T02:59:59Z", open},
		{"spring: six in the morning, over", night, "2026-03-29T03:00:00Z", closed},
		// 25 October 2026: 04:00 EEST becomes 03:00 EET at 01:00 UTC; 03:30 comes twice.
		{"autumn: before it closes", short, "2026-10-25T00:29:59Z", open},
		{"autumn: closed the first time", short, "2026-10-25T00:30:00Z", closed},
		{"autumn: not open again the second time", short, "2026-10-25T01:15:00Z", closed},
		{"autumn: the long night", night, "2026-10-25T03:59:59Z", open},
		{"autumn: the long night, over", night, "2026-10-25T04:00:00Z", closed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := `{"status":"active","channels":[{"type":"phone"}]}`
			if tc.hours != "" {
				text = `{"status":"active","channels":[{"type":"phone","hours":` + tc.hours + `}]}`
			}
			l := view(t, parse(t, text))
			now, err := time.Parse(time.RFC3339, tc.now)
			if err != nil {
				t.Fatal(err)
			}
			if got := answer(l, now); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestOpenNowMindsStatusAndAlert(t *testing.T) {
	for _, tc := range []struct{ name, in, channel, want string }{
		{"active", `"status":"active"`, ``, "open"},
		{"temporarily closed", `"status":"temporarily closed"`, ``, "closed"},
		{"defunct", `"status":"defunct"`, ``, "closed"},
		{"a status that is not known", `"status":"moved"`, ``, "unknown"},
		{"channel paused", `"status":"active"`, `,"status":"paused"`, "closed"},
		{"channel status not known", `"status":"active"`, `,"status":"x"`, "unknown"},
		{"a dated alert holds", `"status":"active","alert":"Holidays","alert_until":"2026-03-20"`, ``, "unknown"},
		{"an alert without a date", `"status":"active","alert":"We moved online"`, ``, "open"},
		{"an alert has ended, nobody looked", `"status":"active","alert":"x","alert_until":"2026-03-05","assured_date":"2026-03-01"`, ``, "unknown"},
		{"an alert has ended, somebody looked", `"status":"active","alert":"x","alert_until":"2026-03-05","assured_date":"2026-03-06"`, ``, "open"},
		{"an alert has ended, somebody called", `"status":"active","alert":"x","alert_until":"2026-03-05"`, `,"verification":{"method":"called","date":"2026-03-06"}`, "open"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := view(t, parse(t, `{`+tc.in+`,"channels":[{"type":"phone","hours":{"zone":"UTC","always_open":true}`+tc.channel+`}]}`))
			if got := answer(l, day("2026-03-10")); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func answer(l *listing.Listing, now time.Time) string {
	open, known := l.OpenNow(&l.Channels[0], now)
	switch {
	case !known:
		return "unknown"
	case open:
		return "open"
	}
	return "closed"
}
