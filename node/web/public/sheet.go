package public

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// operator is who runs this page, with what the countries' sheets add.
func (s *Site) operator() page.Operator {
	o := s.opt.Operator()
	if p, ok := s.opt.Catalog.Sheet(o.Country); ok {
		o.Statement = len(p.Sheet.Operator) > 0
		if o.Contact == "" && p.Sheet.Notice != nil {
			o.Contact = page.Clip(160, p.Sheet.Notice.Value)
		}
	}
	if o.Others == nil {
		now, known := s.opt.Now(), s.others.Load()
		if known == nil || known.country != o.Country || now.Sub(known.at).Abs() > othersFor {
			known = &others{now, o.Country, s.elsewhere(o.Country)}
			s.others.Store(known)
		}
		o.Others = known.list
	}
	return o
}

// othersFor is how long the list of the others is used: every page needs it,
// and it takes a look at every country.
const othersFor = time.Minute

type others struct {
	at      time.Time
	country string // of this page's operator
	list    []page.Elsewhere
}

// elsewhere are the pages of the other countries, from their sheets. They begin
// with the country after ours in the alphabet, so that not everybody is sent to
// the first one.
func (s *Site) elsewhere(own string) []page.Elsewhere {
	members := s.opt.Catalog.Countries()
	slices.SortFunc(members, func(a, b listing.CountryView) int {
		return cmp.Or(cmp.Compare(turn(a.Code, own), turn(b.Code, own)), cmp.Compare(a.Code, b.Code))
	})
	var list []page.Elsewhere
	for _, m := range members {
		if m.Code == own || m.State == "suspended" {
			continue
		}
		p, ok := s.opt.Catalog.Sheet(m.Code)
		if !ok || p.Sheet.Page.Address() == "" {
			continue
		}
		list = append(list, page.Elsewhere{
			Country: m.Code, Name: page.Clip(120, m.Operator), URL: p.Sheet.Page.Address() + "/",
			Authority: m.OperatorType == "police_justice" || m.OperatorType == "public_authority",
		})
	}
	return list
}

func turn(code, own string) int {
	if code > own {
		return 0
	}
	return 1
}

// crisis are the contacts that a country has confirmed. One that it has not
// confirmed for too long is no link; one that it never confirmed is left out.
func (s *Site) crisis(l *locale.Language, country string) []page.CrisisContact {
	p, ok := s.opt.Catalog.Sheet(country)
	if !ok {
		return nil
	}
	now, cadence := s.opt.Now(), s.opt.Cadence()
	var list []page.CrisisContact
	for i := range p.Sheet.Crisis {
		c := &p.Sheet.Crisis[i]
		age := c.Freshness(now, cadence)
		if len(list) == listing.MaxContacts || !c.Confirmed(now) || age == listing.Lapsed && c.Kind == "emergency" {
			continue // instead of an emergency number that is doubtful the strip says what holds everywhere
		}
		x := page.CrisisContact{
			Kind: c.Kind, Number: shown(c.Value), Name: strings.TrimSpace(c.Label), Date: c.AsOf,
			Aging: age == listing.Stale || age == listing.Demoted, Lapsed: age == listing.Lapsed,
		}
		if wellFormed.MatchString(c.LabelLanguage) {
			x.Language = c.LabelLanguage
		}
		if ch := c.Channel(); !x.Lapsed {
			var host string
			x.Href, host = target(&ch)
			x.Outbound = host != ""
		}
		if c.Kind != "emergency" { // who is in danger now calls in any language, at any hour
			x.Spoken, x.Hours = strings.Join(reader{l: l}.languages(c.Languages, 4), ", "), s.hoursInShort(l, c.Hours)
		}
		list = append(list, x)
	}
	return list
}

// hoursInShort writes hours as one line.
func (s *Site) hoursInShort(l *locale.Language, h *listing.Hours) string {
	v := openingHours(l, h, s.opt.Now())
	switch {
	case !v.Stated:
		return ""
	case v.Always:
		return l.Say("listing.always")
	}
	var rows []string
	for _, r := range v.Rows {
		rows = append(rows, r.Days+" "+r.Times)
	}
	return page.Clip(160, strings.Join(rows, "; "))
}

// sheetView is what a country says about itself, on its page.
type sheetView struct {
	Operator wording
	Law      wording
	Expired  bool // the law note is overdue
	Reviewed string
	Notice   string
}

// wording is a dated text that a country wrote, in the language nearest to the
// reader's.
type wording struct {
	Text   text
	AsOf   string
	In     string // which language it is in, when that is not the reader's
	Source *link
}

// sheet reads a country's sheet for its page.
func (s *Site) sheet(l *locale.Language, country string) (v sheetView) {
	p, ok := s.opt.Catalog.Sheet(country)
	if !ok {
		return v
	}
	sh := p.Sheet
	tags := []string{l.Tag(), mainLanguage[country], locale.English}
	if i := listing.Spoken(sh.Operator, func(t listing.Statement) string { return t.Language }, tags...); i >= 0 {
		t := sh.Operator[i]
		v.Operator = says(l, t.Language, t.Text, t.AsOf, "")
	}
	if i := listing.Spoken(sh.Law, func(n listing.LawNote) string { return n.Language }, tags...); i >= 0 {
		n := &sh.Law[i]
		v.Law, v.Expired = says(l, n.Language, n.Text, n.AsOf, n.SourceURL), n.Expired(s.opt.Now())
		if strings.TrimSpace(n.ReviewedBy) != "" {
			v.Reviewed = l.Say("sheet.law.reviewed", "who", page.Clip(120, n.ReviewedBy), "date", l.DateText(page.Clip(20, n.ReviewDue)))
		}
	}
	if sh.Notice != nil {
		v.Notice = page.Clip(160, strings.TrimSpace(sh.Notice.Value))
	}
	return v
}

func says(l *locale.Language, language, words, asOf, source string) wording {
	v := wording{Text: text{S: page.Clip(listing.MaxSheetText, strings.TrimSpace(words))}, Source: webLink(source)}
	if asOf != "" {
		v.AsOf = l.DateText(page.Clip(20, asOf))
	}
	if base, _, _ := strings.Cut(strings.ToLower(language), "-"); l.Tag() != base && !(l.Tag() == "no" && (base == "nb" || base == "nn")) {
		v.Text.Marked = true
		if wellFormed.MatchString(language) {
			v.Text.Lang = language
			v.In = l.Say("notes.language", "language", l.LanguageName(language))
		}
	}
	return v
}

// notice is whom to write to about what is hidden: those who decided it, else
// whoever runs this page.
func (s *Site) notice(h listing.Hiding) string {
	if h.Contact != "" {
		return h.Contact
	}
	own := s.operator()
	from := append([]string{}, h.By...)
	if h.Local {
		from = nil
	}
	for _, country := range append(from, own.Country) {
		if p, ok := s.opt.Catalog.Sheet(country); ok && p.Sheet.Notice != nil && strings.TrimSpace(p.Sheet.Notice.Value) != "" {
			return p.Sheet.Notice.Value
		}
	}
	return own.Contact
}

// leaveTo is where "leave this page" leads: the page that the country names, or
// "" for the one of this site. A demonstration's target is invented, and where
// this node reaches nobody its readers may reach nothing either.
func (s *Site) leaveTo() string {
	if s.opt.Demo || s.opt.CutOff() {
		return ""
	}
	if x := s.exit(); x != nil {
		return x.URL
	}
	return ""
}

// exit is the page to which readers of this node may leave; nil when the country
// names none that is fit for it.
func (s *Site) exit() *listing.ExitTarget {
	p, ok := s.opt.Catalog.Sheet(s.opt.Operator().Country)
	if !ok || p.Sheet.Exit == nil {
		return nil
	}
	x := *p.Sheet.Exit
	u, err := url.Parse(x.URL)
	if webLink(x.URL) == nil || err != nil || u.Scheme != "https" || u.RawQuery != "" || strings.TrimSpace(x.Label) == "" {
		return nil
	}
	if !wellFormed.MatchString(x.Language) {
		x.Language = ""
	}
	x.Label = page.Clip(60, strings.TrimSpace(x.Label))
	return &x
}
