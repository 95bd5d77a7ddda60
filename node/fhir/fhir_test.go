package fhir_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/fhir"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func writer() *fhir.Writer {
	return &fhir.Writer{Base: "https://help.example.org", Vocabulary: hsds.NewVocabulary(nil), Cadence: listing.DefaultCadence, Now: now}
}

const service = `{"id":"11111111-1111-4111-8111-111111111111","name":"Evening line","description":"Talk.","status":"active","audience":["self.unsure"],
"service_types":["helpline","not a code"],"eligibility_description":"Adults.","program":{"id":"p","name":"Winter"},"languages":[{"id":"x","code":"pl","name":"Polish"}],
"verification":{"date":"2026-11-10"},"external_ids":[{"scheme":"https://other.example","id":"7"},{"scheme":"the old list","id":"8"}],
"organization":{"id":"22222222-2222-4222-8222-222222222222","name":"Harbour","operator_type":"charity","website":"https://harbour.example","email":"info@harbour.example"},
"channels":[
{"id":"a","type":"phone","value":"+48 12 345 67 89","languages":["pl","uk"],"anonymity":{"value":"full"},"verification":{"date":"2026-11-10"},
 "hours":{"zone":"Europe/Warsaw","weekly":[{"day":"MO","opens":"09:00","closes":"17:00"},{"day":"TU","opens":"09:00","closes":"17:00"},{"day":"SU","opens":"22:00","closes":"02:00"},{"day":"WE","opens":"00:00","closes":"24:00"}],
 "exceptions":[{"date":"2026-12-24","closed":true,"note":"Holiday"}]}},
{"id":"b","type":"email","value":"line@harbour.example","verification":{"date":"2026-11-10"}},
{"id":"c","type":"live_chat","value":"https://harbour.example/chat","verification":{"date":"2026-11-10"},"status":"paused"},
{"id":"d","type":"web_form","value":"javascript:alert(1)","verification":{"date":"2026-11-10"}}],
"service_at_locations":[{"id":"33333333-3333-4333-8333-333333333333","location":{"id":"l","name":"House","location_type":"physical","latitude":50.1,"longitude":19.9,
 "addresses":[{"address_1":"1 Example Street","city":"Example","postal_code":"00-000","country":"PL","state_province":"PL-12","address_type":"physical"}]}}]}`

func published(t testing.TB, text string) listing.Published {
	t.Helper()
	d, err := listing.ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return shown(t, d)
}

func shown(t testing.TB, d listing.Document) listing.Published {
	t.Helper()
	body, err := d.Public().Encode()
	if err != nil {
		t.Fatal(err)
	}
	l, err := listing.View(body)
	if err != nil {
		t.Fatal(err)
	}
	return listing.Published{Country: "PL", Body: body, Listing: l, Modified: now}
}

func TestService(t *testing.T) {
	r := writer().Service(published(t, service))
	if r.ResourceType != "HealthcareService" || !*r.Active || r.Name != "Evening line" || r.Comment != "Talk." || r.Meta.LastUpdated != "2026-11-20T12:00:00Z" || len(r.Meta.VersionID) != 24 {
		t.Errorf("%+v", r)
	}
	if *r.ProvidedBy != (fhir.Reference{Reference: "Organization/22222222-2222-4222-8222-222222222222", Display: "Harbour"}) ||
		!reflect.DeepEqual(r.Location, []fhir.Reference{{Reference: "Location/33333333-3333-4333-8333-333333333333"}}) {
		t.Errorf("refers to %v %v", r.ProvidedBy, r.Location)
	}
	if len(r.Type) != 1 || r.Type[0].Coding[0].System != fhir.System("service_type") || r.Type[0].Coding[0].Code != "helpline" {
		t.Errorf("types %v", r.Type)
	}
	if len(r.Identifier) != 3 || r.Identifier[1].System != "https://other.example" || r.Identifier[2].System != "" || r.Identifier[2].Type.Text != "the old list" {
		t.Errorf("identifiers %+v", r.Identifier)
	}
	if r.Eligibility[0].Comment != "Adults." || r.Program[0].Text != "Winter" || len(r.Communication) != 2 || r.Communication[1].Coding[0].Code != "uk" {
		t.Errorf("%+v %+v %+v", r.Eligibility, r.Program, r.Communication)
	}
	want := []fhir.Available{
		{DaysOfWeek: []string{"mon", "tue"}, AvailableStartTime: "09:00:00", AvailableEndTime: "17:00:00"},
		{DaysOfWeek: []string{"sun"}, AvailableStartTime: "22:00:00", AvailableEndTime: "23:59:59"},
		{DaysOfWeek: []string{"mon"}, AvailableStartTime: "00:00:00", AvailableEndTime: "02:00:00"},
		{DaysOfWeek: []string{"wed"}, AllDay: true},
	}
	if !reflect.DeepEqual(r.AvailableTime, want) || r.AvailabilityExceptions != "Times are those of Europe/Warsaw." {
		t.Errorf("open %+v, %q", r.AvailableTime, r.AvailabilityExceptions)
	}
	if len(r.NotAvailable) != 1 || r.NotAvailable[0].Description != "Holiday" || *r.NotAvailable[0].During != (fhir.Period{Start: "2026-12-24", End: "2026-12-24"}) {
		t.Errorf("closed %+v", r.NotAvailable)
	}
	var systems []string
	for _, x := range r.Telecom {
		systems = append(systems, x.System)
	}
	if !reflect.DeepEqual(systems, []string{"phone", "email", "other"}) {
		t.Errorf("telecom %v: what is paused is not asserted, and no link is made of what is none", systems)
	}
	x := r.Telecom[0].Extension[0]
	if x.URL != "https://help.example.org/hsds/profile/fhir-channel" {
		t.Error(x.URL)
	}
	facts := map[string]string{}
	for _, f := range x.Extension {
		facts[f.URL] = f.ValueCode
	}
	if !reflect.DeepEqual(facts, map[string]string{"type": "phone", "cost": "not_stated", "anonymity": "full", "breach": "not_stated"}) {
		t.Errorf("facts %v", facts)
	}
	b, _ := json.Marshal(r)
	if strings.Contains(string(b), "unsure") {
		t.Error("tells the audience")
	}
}

func TestWhatLapsedIsNotAsserted(t *testing.T) {
	w := writer()
	w.Now = now.AddDate(6, 0, 0)
	p := published(t, service)
	if r := w.Service(p); len(r.Telecom) != 0 || len(r.AvailableTime) != 0 {
		t.Errorf("six years later %+v %+v", r.Telecom, r.AvailableTime)
	}
	if r, ok := w.Organization(p); !ok || len(r.Telecom) != 0 {
		t.Errorf("six years later %+v", r.Telecom)
	}
}

func TestClosed(t *testing.T) {
	p := published(t, strings.Replace(service, `"status":"active"`, `"status":"temporarily closed"`, 1))
	if r := writer().Service(p); *r.Active || len(r.AvailableTime) != 0 || len(r.NotAvailable) != 1 {
		t.Errorf("%v %+v %+v", *r.Active, r.AvailableTime, r.NotAvailable)
	}
	if r, ok := writer().Location(p, "33333333-3333-4333-8333-333333333333"); !ok || r.Status != "suspended" {
		t.Errorf("%t %+v", ok, r)
	}
}

func TestOrganizationAndLocation(t *testing.T) {
	p := published(t, service)
	o, ok := writer().Organization(p)
	if !ok || o.Name != "Harbour" || !*o.Active || o.Type[0].Coding[0] != (fhir.Code{System: fhir.System("operator_type"), Code: "charity", Display: "charity"}) || len(o.Telecom) != 2 {
		t.Errorf("%+v", o)
	}
	l, ok := writer().Location(p, "33333333-3333-4333-8333-333333333333")
	if !ok || l.Name != "House" || l.Status != "active" || l.Mode != "instance" || l.PhysicalType.Coding[0].Code != "si" || *l.Position != (fhir.Position{Longitude: 19.9, Latitude: 50.1}) ||
		l.Address.PostalCode != "00-000" || l.Address.Type != "physical" || l.ManagingOrganization.Reference != "Organization/"+o.ID {
		t.Errorf("%+v", l)
	}
	if _, ok := writer().Location(p, "none"); ok {
		t.Error("a place that is not there")
	}
}

func TestProtectedPlace(t *testing.T) {
	text := strings.Replace(service, `"status":"active"`, `"status":"active","address_precision":"region","region":{"code":"PL-12","name":"Hill country"}`, 1)
	l, ok := writer().Location(published(t, text), "33333333-3333-4333-8333-333333333333")
	b, _ := json.Marshal(l)
	if !ok || l.PhysicalType.Coding[0].Code != "area" || l.Description != "Hill country" || l.Position != nil || !reflect.DeepEqual(l.Address, &fhir.Address{State: "PL-12"}) {
		t.Errorf("%t %s", ok, b)
	}
	for _, secret := range []string{"House", "Street", "00-000", "19.9"} {
		if strings.Contains(string(b), secret) {
			t.Errorf("tells %s of a protected place", secret)
		}
	}
}

func TestDemo(t *testing.T) {
	w := writer()
	w.Demo = true
	if r := w.Service(published(t, service)); len(r.Meta.Tag) != 1 || r.Meta.Tag[0].Code != "HTEST" {
		t.Errorf("%+v", r.Meta)
	}
}

// rules are what FHIR R4 says of the elements that are written here: for the last
// two names of a path, or the last.
var rules = map[string]*regexp.Regexp{
	"id":                 regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`),
	"code":               regexp.MustCompile(`^[^\s]+(\s[^\s]+)*$`),
	"valueCode":          regexp.MustCompile(`^[^\s]+(\s[^\s]+)*$`),
	"lastUpdated":        regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`),
	"availableStartTime": regexp.MustCompile(`^([01]\d|2[0-3]):[0-5]\d:[0-5]\d$`),
	"availableEndTime":   regexp.MustCompile(`^([01]\d|2[0-3]):[0-5]\d:[0-5]\d$`),
	"daysOfWeek":         regexp.MustCompile(`^(mon|tue|wed|thu|fri|sat|sun)$`),
	"status":             regexp.MustCompile(`^(active|suspended|inactive)$`),
	"start":              regexp.MustCompile(`^\d{4}-\d\d-\d\d$`),
	"reference":          regexp.MustCompile(`^(Organization|Location)/[A-Za-z0-9.-]{1,64}$`),
	"url":                regexp.MustCompile(`^\S+$`),
}

// keeps checks a tree: nothing is empty, no text has control characters, and what has
// a rule follows it.
func keeps(t *testing.T, path string, v any) {
	t.Helper()
	name := path[strings.LastIndex(path, ".")+1:]
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			t.Errorf("%s is empty", path)
		}
		for k, x := range v {
			keeps(t, path+"."+k, x)
		}
	case []any:
		if len(v) == 0 {
			t.Errorf("%s is empty", path)
		}
		for _, x := range v {
			keeps(t, path, x)
		}
	case string:
		if strings.TrimSpace(v) == "" || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }) {
			t.Errorf("%s is %q", path, v)
		}
		if rule := rules[name]; rule != nil && !rule.MatchString(v) {
			t.Errorf("%s is %q", path, v)
		}
	}
}

func check(t *testing.T, r fhir.Resource) {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(b, &tree); err != nil {
		t.Fatal(err)
	}
	keeps(t, r.ResourceType, tree)
}

func checkAll(t *testing.T, p listing.Published) {
	t.Helper()
	w := writer()
	check(t, w.Service(p))
	if r, ok := w.Organization(p); ok {
		check(t, r)
	}
	for _, id := range hsds.Places(p.Listing) {
		if r, ok := w.Location(p, id); ok {
			check(t, r)
		}
	}
}

func TestInventedListingsKeepTheRules(t *testing.T) {
	for _, country := range []string{"PL", "DE", "CH"} {
		for _, d := range fiction.Generate(5, country, 60, now) {
			checkAll(t, shown(t, d))
		}
	}
}

// FuzzService: whatever stands in a listing, the resources keep FHIR's rules.
func FuzzService(f *testing.F) {
	f.Add(service)
	f.Add(strings.ReplaceAll(service, "Harbour", `\u0000\u001f <script>`))
	f.Add(strings.ReplaceAll(service, "22222222-2222-4222-8222-222222222222", "../../x y"))
	f.Add(strings.ReplaceAll(strings.ReplaceAll(service, "09:00", "25:99"), "2026-12-24", "soon"))
	f.Add(strings.ReplaceAll(service, `"PL-12"`, `" "`))
	f.Fuzz(func(t *testing.T, text string) {
		d, err := listing.ParseJSON([]byte(text))
		if err != nil {
			return
		}
		body, err := d.Public().Encode()
		if err != nil {
			return
		}
		l, err := listing.View(body)
		if err != nil || !fhir.ValidID(l.ID) {
			return
		}
		checkAll(t, listing.Published{Country: "PL", Body: body, Listing: l, Modified: now})
	})
}
