package public

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/web/page"
)

// oldFeed is how long a country may be silent before its page says so.
const oldFeed = 8 * 24 * time.Hour

// onCountryPage is how many services of each part a country page shows; the
// search shows the rest.
const onCountryPage = 6

// countryView is what is known of help in one country.
type countryView struct {
	Here, Path  string
	Name, Code  string
	Doors       doorsView
	Member      bool
	Operator    string
	Confirmed   string // when it last confirmed its list; "" = never
	AsOf        string // date of that
	Old         bool
	Standing    []string // what is wrong with its list
	Hidden      int      // entries that are held here and not shown
	HiddenWhy   []string
	Listings    int
	Local       []card
	LocalTotal  int
	Across      []card
	AcrossTotal int
	Aging       []aged // what must be said of the countries of these
	Sheet       sheetView
	Changes     bool // there is a feed of them
}

// country answers GET /{lang}/in/{country}. It exists for countries without a
// partner too: help from elsewhere is what their people need to find.
func (s *Site) country(w http.ResponseWriter, r *http.Request, l *locale.Language) {
	code, ok := s.place(w, r, l, "")
	if !ok {
		return
	}
	here := "/" + l.Tag()
	v := countryView{
		Here: here, Path: here + "/in/" + strings.ToLower(code), Name: l.CountryName(code), Code: code,
		Doors: s.doors(l, code), Sheet: s.sheet(l, code),
	}
	for _, c := range s.opt.Catalog.Countries() {
		if strings.EqualFold(c.Code, code) {
			v.member(l, c, s.opt.Now())
			v.Hidden, v.HiddenWhy = s.hiddenItems(l, c.Hidden)
		}
	}
	q := search.Query{Language: l.Tag(), From: code, UsableFrom: []string{code}, PerPage: onCountryPage, Together: true, Now: s.opt.Now()}
	usable, err := s.opt.Catalog.Search(r.Context(), q)
	if err != nil {
		s.fault(w, l, err)
		return
	}
	var elsewhere []string
	for _, c := range usable.Facets[search.Country] {
		if !strings.EqualFold(c.Value, code) && len(elsewhere) < 60 {
			elsewhere = append(elsewhere, c.Value)
		}
	}
	if v.Member {
		q.UsableFrom, q.Countries = nil, []string{code}
		local, err := s.opt.Catalog.Search(r.Context(), q)
		if err != nil {
			s.fault(w, l, err)
			return
		}
		v.Local, v.LocalTotal = s.cards(r.Context(), l, local.Hits, asker{From: code}), local.Total
	}
	if len(elsewhere) > 0 {
		q.UsableFrom, q.Countries = []string{code}, elsewhere
		across, err := s.opt.Catalog.Search(r.Context(), q)
		if err != nil {
			s.fault(w, l, err)
			return
		}
		v.Across, v.AcrossTotal = s.cards(r.Context(), l, across.Hits, asker{From: code}), across.Total
		v.Aging = s.aging(l, v.Across)
	}
	var data page.Data
	if v.Changes = v.Member && s.opt.Changes != nil; v.Changes {
		data = page.Data{Type: "application/atom+xml", Path: v.Path + "/feed.atom"}
	}
	s.render(w, http.StatusOK, "country", page.Page{
		Language: l, Title: v.Name, Country: code, Path: "/in/" + strings.ToLower(code), Index: true, Paper: true, Body: v, Data: data,
	})
}

// place reads the country of an address, in its one spelling; after it comes
// rest. When it returns false, the reader has been answered.
func (s *Site) place(w http.ResponseWriter, r *http.Request, l *locale.Language, rest string) (code string, ok bool) {
	given := r.PathValue("country")
	code = strings.ToUpper(given)
	switch code {
	case "UK":
		code = "GB"
	case "EL":
		code = "GR"
	}
	if lower := strings.ToLower(code); lower != given && twoLetters(code) {
		redirect(w, "/"+l.Tag()+"/in/"+lower+rest)
		return "", false
	}
	if !s.known(l, code) && !slices.ContainsFunc(s.opt.Catalog.Countries(), func(c listing.CountryView) bool { return strings.EqualFold(c.Code, code) }) {
		s.fail(w, l, http.StatusNotFound)
		return "", false
	}
	return code, true
}

func (v *countryView) member(l *locale.Language, c listing.CountryView, now time.Time) {
	v.Member, v.Operator, v.Listings = true, c.Operator, c.Listings
	if !c.AsOf.IsZero() {
		v.AsOf, v.Confirmed = l.Date(c.AsOf.UTC()), confirmed(l, c.Code, c.AsOf, now)
		v.Old = now.Sub(c.AsOf) > oldFeed
	}
	v.Standing = standing(l, c.Code, listing.Standing{State: c.State, RolledBack: c.RolledBack, Since: c.Since})
}

func (s *Site) known(l *locale.Language, code string) bool {
	return slices.ContainsFunc(s.choices[l.Tag()].countries, func(c locale.Choice) bool { return c.Code == code })
}
