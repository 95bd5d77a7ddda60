package webtest

import (
	"maps"
	"testing"

	"github.com/2ps-project/waymark/node/listing"
)

// Case is a listing of one of the kinds that a page must be able to say.
type Case struct {
	Name    string
	Country string
	ID      string
	Over    string // JSON members that differ from an ordinary listing
	Bare    bool   // it has nothing but these
}

// channel is a telephone with every safety fact stated, to be put into a case.
const channel = `{"id":"c1","type":"phone","value":"+990 000 012345","label":"Recepcja","languages":["pl","en","ar"],"interpreter":"Tłumacz po uzgodnieniu.",
"response_time":"W ciągu dwóch dni.","free_from":["PL"],"hours":{"zone":"Europe/Warsaw","weekly":[{"day":"MO","opens":"09:00","closes":"17:00"},{"day":"TU","opens":"18:00","closes":"02:00"}],
"exceptions":[{"date":"2026-11-24","closed":true}],"as_of":"2026-11-01","source_url":"https://hours.example.org/"},
"anonymity":{"value":"full","text":"Nie pytamy o nazwisko.","basis":"service_said","source_url":"https://privacy.example.org/","as_of":"2026-11-01"},
"cost":{"value":"free","basis":"editor_tested","as_of":"2026-11-01"},"retention":{"value":"Nic.","basis":"editor_read","as_of":"2026-11-01"},
"breach":{"conditions":["identifiable_child_at_risk","court_order"],"text":"Tylko gdy dziecko jest w niebezpieczeństwie.","basis":"service_said","jurisdiction":"PL","as_of":"2026-11-01"}}`

// base is an ordinary listing.
const base = `"status":"active","organization":{"id":"o","name":"Fundacja Przykład","website":"https://www.example.org/"},"audience":["self.unsure","partner_family"],
"topic_acceptance":{"value":"stated_publicly"},"operator_type":"charity","coverage":{"countries":["PL"],"residency_required":true},"waiting":{"value":"weeks","as_of":"2026-11-01","source":"https://www.example.org/"},
"description":"Pierwsza rozmowa jest anonimowa.","application_process":"Dzwonisz. Ktoś odbiera.","minimum_age":16,"maximum_age":99,"guardian_consent":"from_age:18"`

// Cases returns one listing of each kind: in a crisis, for professionals,
// closed, moved, old, hidden, bare, in a script that runs the other way.
func Cases() []Case {
	return []Case{
		{"ordinary", "PL", "case-ordinary", `"name":"Poradnia Przykład","assured_date":"2026-11-01","verification":{"method":"called","date":"2026-11-01"},"companions":["case-crisis"],"channels":[` + channel + `]`, false},
		{"crisis", "PL", "case-crisis", `"name":"Telefon kryzysowy","kind":"crisis","assured_date":"2026-11-20","channels":[` + channel + `]`, false},
		{"professional", "DE", "case-professional", `"name":"Fortbildung Beispiel","kind":"professional_resource","visibility":"professionals","audience":["professional.health"],"evidence":"promising","prevention_levels":["secondary"],"objectives":["fear_may_offend"],"assured_date":"2026-11-01","channels":[` + channel + `]`, false},
		{"reporting", "PL", "case-reporting", `"name":"Zgłoszenia","kind":"reporting_hotline","assured_date":"2026-11-01","channels":[` + channel + `]`, false},
		{"closed for now", "PL", "case-closed", `"name":"Poradnia w remoncie","status":"temporarily closed","alert":"Zamknięte do wiosny.","assured_date":"2026-11-01","successors":["case-ordinary"],"channels":[` + channel + `]`, false},
		{"stub", "PL", "case-stub", `"name":"Dawna poradnia","status":"defunct","defunct_since":"2026-02-03","organization":{"id":"o","name":"Fundacja Przykład"},"successors":["case-ordinary","case-crisis"]`, true},
		{"stale", "PL", "case-stale", `"name":"Poradnia dawno sprawdzona","assured_date":"2026-06-01","channels":[` + channel + `]`, false},
		{"lapsed", "PL", "case-lapsed", `"name":"Poradnia bardzo dawno sprawdzona","assured_date":"2020-01-01","channels":[` + channel + `]`, false},
		{"region only", "DE", "case-region", `"name":"Praxis Beispiel","text_language":"de","address_precision":"region","region":{"code":"DE-NI","name":"Niedersachsen"},"assured_date":"2026-11-01","channels":[{"id":"c1","type":"in_person","languages":["de"],"anonymity":{"value":"name_required","basis":"editor_read"}}]`, false},
		{"plain import", "GB", "case-plain", `"name":"Community Counselling","status":"active","organization":{"id":"o","name":"Example Council"},"description":"Counselling by trained people.","interpretation_services":"Urdu and Polish on request.","fees_description":"Please ask for the current price."`, true},
		{"right to left", "BE", "case-rtl", `"name":"خدمة المثال","text_language":"ar","assured_date":"2026-11-01","channels":[` + channel + `]`, false},
		{"very long words", "PL", "case-long", `"name":"Donaudampfschifffahrtsgesellschaftskapitänskajütenberatungsstellenverzeichniseintrag","assured_date":"2026-11-01","channels":[{"id":"c1","type":"web_self_guided","value":"https://a-very-long-name-of-a-host-that-does-not-fit-on-a-telephone.example.org/and/a/path/that/goes/on/and/on/and/on"}]`, false},
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
