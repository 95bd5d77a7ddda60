package public

import (
	"net/http"
	"slices"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// startView is the first page.
type startView struct {
	Here    string // path of the language: "/pl"
	Doors   doorsView
	Members []member
}

// doorsView is the form with the three doors.
type doorsView struct {
	Here      string
	Names     []string
	Code      string   // country that is settled; "" = to be chosen
	Countries []option // where the reader may be
	Languages []option // of the service
	Ways      []option // of contact
}

// firstWays are the ways of contact that are offered at the doors; the filter
// of the results has the rest.
var firstWays = []string{"live_chat", "async_message", "phone", "email", "video", "in_person", "web_self_guided"}

// doors makes the form for readers in a country; "" = to be chosen.
func (s *Site) doors(l *locale.Language, country string) doorsView {
	v := doorsView{Here: "/" + l.Tag(), Names: doorNames, Code: country, Languages: s.languageOptions(l, l.Tag())}
	if country == "" {
		v.Countries = s.countryOptions(l, s.opt.Operator().Country)
	}
	for _, w := range firstWays {
		v.Ways = append(v.Ways, option{Code: w, Name: l.Term("channel", w)})
	}
	return v
}

// option is one entry of a list to choose from.
type option struct {
	Code, Name string
	Chosen     bool
}

// member is one country with listings.
type member struct {
	Name, Path string
	Listings   int
}

func (s *Site) start(w http.ResponseWriter, _ *http.Request, l *locale.Language) {
	s.render(w, http.StatusOK, "start", page.Page{Language: l, Index: true, Body: startView{
		Here: "/" + l.Tag(), Doors: s.doors(l, ""), Members: s.members(l),
	}})
}

// choices are the lists to choose from in one language. To put them into its
// alphabet takes longer than the rest of a page, so it is done once.
type choices struct {
	countries []locale.Choice
	languages []locale.Choice // of the service
}

// newChoices leaves out the two written forms of Norwegian: who reads one reads
// "Norwegian".
func newChoices(l *locale.Language) choices {
	return choices{l.CountryChoices(), slices.DeleteFunc(l.LanguageChoices(), func(c locale.Choice) bool { return c.Code == "nb" || c.Code == "nn" })}
}

func (s *Site) countryOptions(l *locale.Language, chosen string) []option {
	return options(s.choices[l.Tag()].countries, chosen)
}

func (s *Site) languageOptions(l *locale.Language, chosen string) []option {
	return options(s.choices[l.Tag()].languages, chosen)
}

func options(choices []locale.Choice, chosen string) []option {
	list := make([]option, len(choices))
	for i, c := range choices {
		list[i] = option{c.Code, c.Name, c.Code == chosen}
	}
	return list
}

// members returns the countries in the order of the language's alphabet.
func (s *Site) members(l *locale.Language) []member {
	views := s.opt.Catalog.Countries()
	byCode := make(map[string]listing.CountryView, len(views))
	for _, v := range views {
		byCode[v.Code] = v
	}
	list := make([]member, 0, len(views))
	add := func(v listing.CountryView) {
		list = append(list, member{l.CountryName(v.Code), "/" + l.Tag() + "/in/" + strings.ToLower(v.Code), v.Listings})
	}
	for _, c := range s.choices[l.Tag()].countries {
		if v, ok := byCode[c.Code]; ok {
			add(v)
			delete(byCode, c.Code)
		}
	}
	for _, v := range views { // a country that has no name here yet
		if _, left := byCode[v.Code]; left {
			add(v)
		}
	}
	return list
}
