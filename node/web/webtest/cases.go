package webtest

import (
	"maps"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/listing"
)

// Case is a listing of one of the kinds that a page must be able to say.
type Case struct {
	Name    string
	Country string
	ID      string
	Over    string // JSON members that differ from an ordinary listing
	Bare    bool   // it has nothing but these

	Around func(*listing.Published) // what the node knows beside the document; nil = nothing
	Hiding *listing.Hiding          // why it is not shown; nil = it is
}

// channel is a telephone with every safety fact stated, to be put into a case.
const channel = `{"id":"c1","type":"phone","value":"+990 000 012345","label":"Recepcja","languages":["pl","en","ar"],"interpreter":"Tłumacz po uzgodnieniu.",
"response_time":"W ciągu dwóch dni.","free_from":["PL"],"hours":{"zone":"Europe/Warsaw","weekly":[{"day":"MO","opens":"09:00","closes":"17:00"},{"day":"TU","opens":"18:00","closes":"02:00"}],
"exceptions":[{"date":"2026-11-24","closed":true}],"as_of":"2026-11-01","source_url":"https://hours.example.org/"},
"anonymity":{"value":"full","text":"Nie pytamy o nazwisko.","basis":"service_said","source_url":"https://privacy.example.org/","as_of":"2026-11-01"},
"cost":{"value":"free","basis":"editor_tested","as_of":"2026-11-01"},"retention":{"value":"Nic.","basis":"editor_read","as_of":"2026-11-01"},
"breach":{"conditions":["identifiable_child_at_risk","court_order"],"text":"Tylko gdy dziecko jest w niebezpieczeństwie.","basis":"service_said","jurisdiction":"PL","as_of":"2026-11-01"}}`

// ChatID is the id of an anonymous chat in Polish that can be used from any
// country of the European Union, and ChatURL is where it is.
const (
	ChatID  = "case-chat"
	ChatURL = "https://chat.example.org/"
)

const chat = `{"id":"c1","type":"live_chat","value":"` + ChatURL + `","languages":["pl"],"hours":{"zone":"Europe/Warsaw","always_open":true,"as_of":"2026-11-10"},
"anonymity":{"value":"full","basis":"editor_tested","as_of":"2026-11-10"},"cost":{"value":"free","basis":"service_said","as_of":"2026-11-10"},
"breach":{"conditions":["identifiable_child_at_risk"],"basis":"service_said","jurisdiction":"PL","as_of":"2026-11-10"}}`

// base is an ordinary listing.
const base = `"status":"active","organization":{"id":"o","name":"Fundacja Przykład","website":"https://www.example.org/"},"audience":["self.unsure","partner_family"],
"topic_acceptance":{"value":"stated_publicly"},"operator_type":"charity","coverage":{"countries":["PL"],"residency_required":true},"waiting":{"value":"weeks","as_of":"2026-11-01","source":"https://www.example.org/"},
"description":"Pierwsza rozmowa jest anonimowa.","application_process":"Dzwonisz. Ktoś odbiera.","minimum_age":16,"maximum_age":99,"guardian_consent":"from_age:18"`

const named = `"assured_date":"2026-11-01","channels":[` + channel + `],"name":`

// remark is what a country says about a listing, in a language.
func remark(country, language string, o listing.Overlay) listing.Remark {
	o.Language, o.By, o.AsOf, o.Expires = language, "human", "2026-11-20", "2026-12-20"
	return listing.Remark{Overlay: o, Country: country}
}

func noted(p *listing.Published) {
	p.Notes = []listing.Remark{
		remark("DE", "de", listing.Overlay{Kind: listing.OverlayNote, Works: "no", Text: "Von hier aus nicht erreichbar."}),
		remark("LT", "en", listing.Overlay{Kind: listing.OverlayNote, Works: "partly", Cost: "paid", Languages: []string{"en", "lt"}, Text: "Calls from Lithuania cost as much as any call abroad."}),
		remark("LT", "lt", listing.Overlay{Kind: listing.OverlayNote, Works: "partly", Cost: "paid", Languages: []string{"en", "lt"}, Text: "Skambučiai iš Lietuvos kainuoja kaip bet kuris skambutis į užsienį."}),
	}
	p.Notes[0].Outdated = true
}

// silent is how a listing looks whose country has not been heard of for a while.
func silent(state string) func(*listing.Published) {
	return func(p *listing.Published) {
		p.AsOf = Now.AddDate(0, 0, -20)
		p.Standing = listing.Standing{State: state, Since: Now.AddDate(0, 0, -15)}
	}
}

func cared(p *listing.Published) {
	silent("unconfirmed")(p)
	p.Standing.Since = time.Time{}
	p.Statuses = []listing.Remark{remark("LT", "", listing.Overlay{Kind: listing.OverlayStatus, Status: listing.TemporarilyClosed})}
	p.Alerts = []listing.Remark{remark("LT", "lt", listing.Overlay{Kind: listing.OverlayAlert, Text: "Numeris laikinai neveikia. Rašykite el. paštu."})}
}

func rolledBack(p *listing.Published) {
	p.Standing = listing.Standing{State: "synced", RolledBack: true, Since: Now.AddDate(0, 0, -2)}
}

// Cases returns one listing of each kind: in a crisis, for professionals,
// closed, moved, old, hidden, bare, in a script that runs the other way.
func Cases() []Case {
	return []Case{
		{"ordinary", "PL", "case-ordinary", `"name":"Poradnia Przykład","assured_date":"2026-11-01","verification":{"method":"called","date":"2026-11-01"},"companions":["case-crisis"],"channels":[` + channel + `]`, false, nil, nil},
		{"anonymous chat", "PL", ChatID, `"name":"Czat Przykład","service_types":["anonymous_chat"],"audience":["self.not_offended","self.unsure"],"minimum_age":18,"guardian_consent":null,"assured_date":"2026-11-10","verification":{"method":"called","date":"2026-11-10"},"coverage":{"eu_any":true},"channels":[` + chat + `],"companions":["case-youth"]`, false, nil, nil},
		{"chat for the young", "PL", "case-youth", `"name":"Czat dla młodych","service_types":["anonymous_chat"],"audience":["self.unsure"],"minimum_age":12,"maximum_age":17,"guardian_consent":"none","assured_date":"2026-11-10","coverage":{"eu_any":true},"channels":[` + chat + `],"companions":["` + ChatID + `"]`, false, nil, nil},
		{"crisis", "PL", "case-crisis", `"name":"Telefon kryzysowy","kind":"crisis","assured_date":"2026-11-20","channels":[` + channel + `]`, false, nil, nil},
		{"professional", "DE", "case-professional", `"name":"Fortbildung Beispiel","kind":"professional_resource","visibility":"professionals","audience":["professional.health"],"evidence":"promising","prevention_levels":["secondary"],"objectives":["fear_may_offend"],"assured_date":"2026-11-01","channels":[` + channel + `]`, false, nil, nil},
		{"reporting", "PL", "case-reporting", `"name":"Zgłoszenia","kind":"reporting_hotline","assured_date":"2026-11-01","channels":[` + channel + `]`, false, nil, nil},
		{"closed for now", "PL", "case-closed", `"name":"Poradnia w remoncie","status":"temporarily closed","alert":"Zamknięte do wiosny.","assured_date":"2026-11-01","successors":["case-ordinary"],"channels":[` + channel + `]`, false, nil, nil},
		{"stub", "PL", "case-stub", `"name":"Dawna poradnia","status":"defunct","defunct_since":"2026-02-03","organization":{"id":"o","name":"Fundacja Przykład"},"successors":["case-ordinary","case-crisis"]`, true, nil, nil},
		{"stale", "PL", "case-stale", `"name":"Poradnia dawno sprawdzona","assured_date":"2026-06-01","channels":[` + channel + `]`, false, nil, nil},
		{"lapsed", "PL", "case-lapsed", `"name":"Poradnia bardzo dawno sprawdzona","assured_date":"2020-01-01","channels":[` + channel + `]`, false, nil, nil},
		{"region only", "DE", "case-region", `"name":"Praxis Beispiel","text_language":"de","address_precision":"region","region":{"code":"DE-NI","name":"Niedersachsen"},"assured_date":"2026-11-01","channels":[{"id":"c1","type":"in_person","languages":["de"],"anonymity":{"value":"name_required","basis":"editor_read"}}]`, false, nil, nil},
		{"plain import", "GB", "case-plain", `"name":"Community Counselling","status":"active","organization":{"id":"o","name":"Example Council"},"description":"Counselling by trained people.","interpretation_services":"Urdu and Polish on request.","fees_description":"Please ask for the current price."`, true, nil, nil},
		{"right to left", "BE", "case-rtl", `"name":"خدمة المثال","text_language":"ar","assured_date":"2026-11-01","channels":[` + channel + `]`, false, nil, nil},
		{"very long words", "PL", "case-long", `"name":"Donaudampfschifffahrtsgesellschaftskapitänskajütenberatungsstellenverzeichniseintrag","assured_date":"2026-11-01","channels":[{"id":"c1","type":"web_self_guided","value":"https://a-very-long-name-of-a-host-that-does-not-fit-on-a-telephone.example.org/and/a/path/that/goes/on/and/on/and/on"}]`, false, nil, nil},
		{"noted by others", "PL", "case-noted", named + `"Poradnia z uwagami"`, false, noted, nil},
		{"closed by a caretaker", "PL", "case-cared", named + `"Poradnia pod opieką"`, false, cared, nil},
		{"of a contradicting list", "PL", "case-frozen", named + `"Poradnia z dwiema wersjami"`, false, silent("frozen"), nil},
		{"of a suspended member", "PL", "case-suspended", named + `"Poradnia zawieszonego partnera"`, false, silent("suspended"), nil},
		{"of a member that has left", "PL", "case-left", named + `"Poradnia dawnego partnera"`, false, silent("withdrawn"), nil},
		{"of a list that went back", "PL", "case-back", named + `"Poradnia po przywróceniu"`, false, rolledBack, nil},
		{"hidden by members", "PL", "case-hidden", named + `"Nazwa której nie widać"`, false, nil,
			&listing.Hiding{By: []string{"DE", "FI", "LT"}, Since: Now.AddDate(0, 0, -3), Until: Now.AddDate(0, 0, 11), Reason: "danger", Text: "Der Eintrag führt zu einer anderen Stelle.", Contact: "notices@example.org"}},
		{"hidden here", "LT", "case-hidden-here", named + `"Pavadinimas kurio nematyti"`, false, nil,
			&listing.Hiding{Local: true, By: []string{"PL"}, Since: Now.AddDate(0, -2, 0), Reason: "unlawful"}},
	}
}

// AddCases puts the listings of [Cases] into the catalog.
func (c *Catalog) AddCases(tb testing.TB) {
	tb.Helper()
	for _, x := range Cases() {
		d := listing.Document{}
		if !x.Bare {
			d = parse(tb, x.Name, base)
		}
		maps.Copy(d, parse(tb, x.Name, `"id":"`+x.ID+`",`+x.Over))
		c.Add(tb, x.Country, d)
		if x.Around != nil {
			x.Around(&c.Listings[len(c.Listings)-1])
		}
		if x.Hiding != nil {
			if c.Hidden == nil {
				c.Hidden = map[string]listing.Hiding{}
			}
			c.Hidden[x.ID] = *x.Hiding
		}
	}
}

func parse(tb testing.TB, name, members string) listing.Document {
	tb.Helper()
	d, err := listing.ParseJSON([]byte("{" + members + "}"))
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return d
}
