package public

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// confirmed says when a country last confirmed its list: "Last confirmed by
// Lithuania 3 days ago (20 November 2026)". It never tells an hour.
func confirmed(l *locale.Language, country string, asOf, now time.Time) string {
	if asOf.IsZero() {
		return ""
	}
	return l.Say("feed.confirmed", "country", l.CountryInText(country), "ago", ago(l, asOf, now), "date", l.Date(asOf.UTC()))
}

// ago counts days of the calendar in UTC.
func ago(l *locale.Language, then, now time.Time) string {
	day := func(t time.Time) int64 { return t.UTC().Unix() / 86400 }
	switch n := day(now) - day(then); {
	case n <= 0:
		return l.Say("feed.today")
	case n == 1:
		return l.Say("feed.yesterday")
	default:
		return l.Count("days_ago", int(n))
	}
}

// standing says in plain words what is wrong with a country's list; nothing
// when nothing is.
func standing(l *locale.Language, country string, s listing.Standing) []string {
	var list []string
	name := l.CountryName(country)
	switch s.State {
	case "frozen":
		list = append(list, l.Say("feed.frozen", "country", name))
	case "suspended":
		list = append(list, l.Say("feed.suspended", "country", name))
	case "withdrawn", "expelled":
		list = append(list, l.Say("feed.left", "country", name))
	case "quarantined":
		list = append(list, l.Say("feed.quarantined", "country", name))
	case "behind":
		list = append(list, l.Say("feed.behind", "country", name))
	}
	if s.RolledBack {
		list = append(list, l.Say("feed.rolled_back", "country", name))
	}
	if len(list) > 0 && !s.Since.IsZero() {
		list = append(list, l.Say("feed.since", "date", l.Date(s.Since.UTC())))
	}
	return list
}

// aged is what must be said of one country under a list of results.
type aged struct {
	Confirmed string
	Standing  []string
}

// aging says which of the countries whose services are shown have been silent
// for a while, or have a list that cannot be relied on in full.
func (s *Site) aging(l *locale.Language, cards []card) []aged {
	now := s.opt.Now()
	var list []aged
	seen := map[string]bool{}
	for i := range cards {
		c := &cards[i]
		if seen[c.code] {
			continue
		}
		seen[c.code] = true
		a := aged{Standing: standing(l, c.code, c.standing)}
		if now.Sub(c.asOf) > listing.Silence {
			a.Confirmed = confirmed(l, c.code, c.asOf, now)
		}
		if a.Confirmed != "" || len(a.Standing) > 0 {
			list = append(list, a)
		}
	}
	return list
}

// hiddenView is the page of a service that is not shown here. It tells why, and
// nothing of what the service's entry says.
type hiddenView struct {
	Here, Text, Reason, Words, By, Since, Until, Contact string
	Country                                              string // path of the country's page
	Name                                                 string // of the country
}

// notShown answers in place of a service that is hidden.
func (s *Site) notShown(w http.ResponseWriter, l *locale.Language, id string, e *listing.HiddenError) {
	h := e.Hiding
	v := hiddenView{
		Here: "/" + l.Tag(), Text: l.Say("hidden.all"), Reason: l.Term("hiding_reason", h.ReasonValue()), By: s.decidedBy(l, h),
		Contact: page.Clip(160, s.notice(h)), Words: page.Clip(300, strings.TrimSpace(h.Text)), Country: "/" + l.Tag() + "/in/" + strings.ToLower(e.Country), Name: l.CountryName(e.Country),
	}
	if h.Local {
		v.Text = l.Say("hidden.local", "operator", page.Clip(160, s.opt.Operator().Name))
	}
	if !h.Since.IsZero() {
		v.Since = l.Date(h.Since.UTC())
	}
	if v.Until = l.Say("hidden.until.open"); !h.Until.IsZero() {
		v.Until = l.Say("hidden.until.again", "date", l.Date(h.Until.UTC()))
	}
	s.render(w, http.StatusNotFound, "hidden", page.Page{
		Language: l, Title: l.Say("listing.title"), Path: strings.TrimPrefix(servicePath(l, id), "/"+l.Tag()), Body: v,
	})
}

// decidedBy names the countries that decided not to show something, or the
// operator of this page.
func (s *Site) decidedBy(l *locale.Language, h listing.Hiding) string {
	if h.Local || len(h.By) == 0 {
		return page.Clip(160, s.opt.Operator().Name)
	}
	names := make([]string, len(h.By))
	for i, code := range h.By {
		names[i] = l.CountryName(code)
	}
	return strings.Join(names, ", ")
}

// hiddenItems says for a country's page why some of its entries are not shown.
func (s *Site) hiddenItems(l *locale.Language, groups []listing.HiddenCount) (total int, items []string) {
	for _, g := range groups {
		total += g.Count
		since := "–"
		if !g.Hiding.Since.IsZero() {
			since = l.Date(g.Hiding.Since.UTC())
		}
		items = append(items, l.Say("hidden.item", "reason", l.Term("hiding_reason", g.Hiding.ReasonValue()),
			"count", l.Number(g.Count), "since", since, "by", s.decidedBy(l, g.Hiding)))
	}
	return total, items
}

// asHidden returns the reason why a service is not shown, if that is what the error
// says.
func asHidden(err error) (*listing.HiddenError, bool) {
	var e *listing.HiddenError
	ok := errors.As(err, &e)
	return e, ok
}
