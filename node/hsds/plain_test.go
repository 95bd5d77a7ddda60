package hsds_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/hsds/profile"
	spec "github.com/2ps-project/waymark/node/hsds/schema"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var day = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// TestPlainSaysTheProfile: what the profile says of channels stands in plain
// HSDS too, with ids that stay.
func TestPlainSaysTheProfile(t *testing.T) {
	d, err := listing.ParseJSON([]byte(`{"id":"11111111-2222-4333-8444-555555555555","name":"Helpline","status":"active","organization":{"id":"21111111-2222-4333-8444-555555555555","name":"Body"},
		"audience":["self.unsure"],"phones":[{"id":"31111111-2222-4333-8444-555555555555","number":"+990 1"}],
		"channels":[
			{"id":"a","type":"phone","value":"+990 1","hours":{"zone":"Europe/Berlin","weekly":[{"day":"MO","opens":"09:00","closes":"17:00"},{"day":"TU","opens":"09:00","closes":"17:00"},{"day":"WE","opens":"22:00","closes":"02:00"}],"exceptions":[{"date":"2026-12-24","closed":true}]}},
			{"id":"b","type":"phone","value":"+990 2","label":"Evening line","languages":["de"],"anonymity":{"value":"full","text":"We ask for nothing."}},
			{"id":"c","type":"live_chat","value":"https://example.org/chat","hours":{"always_open":true},"status":"paused"},
			{"id":"d","type":"phone","value":"+990 4"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	l, _ := d.Listing()
	out := hsds.Plain(d.Public(), l, hsds.NewVocabulary(nil), func(ch *listing.Channel) bool { return ch.ID == "d" })
	var got struct {
		Phones []struct {
			Number, Description string
			Languages           []struct{ Code string }
		}
		Schedules []struct {
			Byday    string
			OpensAt  string `json:"opens_at"`
			ClosesAt string `json:"closes_at"`
			From     string `json:"valid_from"`
			Notes    string
		}
		Attributes []struct {
			Kind  string `json:"link_type"`
			Value string
			Term  struct{ Code string } `json:"taxonomy_term"`
		}
	}
	if err := json.Unmarshal(out.JSON(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Phones) != 2 || got.Phones[1].Number != "+990 2" || got.Phones[1].Description != "Evening line" || got.Phones[1].Languages[0].Code != "de" {
		t.Errorf("phones %+v; want the own one, the second once, none twice and none that is lapsed", got.Phones)
	}
	if len(got.Schedules) != 3 || got.Schedules[0].Byday != "MO,TU" || got.Schedules[1].ClosesAt != "02:00" || got.Schedules[2].From != "2026-12-24" {
		t.Errorf("schedules %+v; want those of the telephone, and not of the chat that is paused", got.Schedules)
	}
	said := map[string]string{}
	for _, a := range got.Attributes {
		said[a.Kind+" "+a.Term.Code] = a.Value
	}
	for what, value := range map[string]string{"audience self.unsure": "", "anonymity full": "Evening line: We ask for nothing.", "breach not_stated": "Evening line"} {
		if v, ok := said[what]; !ok || v != value && what != "breach not_stated" {
			t.Errorf("%s is %q (%t), want %q", what, v, ok, value)
		}
	}
	again := hsds.Plain(d.Public(), l, hsds.NewVocabulary(nil), func(ch *listing.Channel) bool { return ch.ID == "d" })
	if !reflect.DeepEqual(out, again) {
		t.Error("it is not the same twice")
	}
}

// TestPlainComesBack: what a node serves is taken in by another as it was
// published, for every invented listing.
func TestPlainComesBack(t *testing.T) {
	for _, country := range []string{"PL", "DE", "CH"} {
		for _, d := range fiction.Generate(3, country, 40, day) {
			public := d.Public()
			l, _ := public.Listing()
			served := hsds.Plain(public.Public(), l, hsds.NewVocabulary(nil), nil).JSON()
			file := filepath.Join(t.TempDir(), "service.json")
			if err := os.WriteFile(file, served, 0o600); err != nil {
				t.Fatal(err)
			}
			back := single(t, file)
			for _, name := range []string{"phones", "schedules", "attributes", "channels", "audience", "service_at_locations"} {
				want, _ := json.Marshal(values(t, public.JSON()).(map[string]any)[name])
				got, _ := json.Marshal(values(t, back.JSON()).(map[string]any)[name])
				if name != "service_at_locations" && string(got) != string(want) { // addresses gain what HSDS requires
					t.Fatalf("%s of %s: %s, want %s", name, l.Name, got, want)
				}
			}
		}
	}
}

// TestServedIsValidAfterTheProfile: with every property that no schema declares
// forbidden.
func TestServedIsValidAfterTheProfile(t *testing.T) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, object := range spec.Objects() {
		s := profile.Schema(object)
		s["additionalProperties"] = false
		if defs, ok := s["$defs"].(map[string]any); ok {
			for _, def := range defs {
				def.(map[string]any)["additionalProperties"] = false
			}
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("mem:///"+object+".json", values(t, b)); err != nil {
			t.Fatal(err)
		}
	}
	service, err := c.Compile("mem:///service.json")
	if err != nil {
		t.Fatal(err)
	}
	place, err := c.Compile("mem:///service_at_location.json")
	if err != nil {
		t.Fatal(err)
	}
	organization, err := c.Compile("mem:///organization.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, country := range fiction.Countries() {
		for _, d := range fiction.Generate(5, country, 30, day) {
			public := d.Public()
			l, _ := public.Listing()
			plain := hsds.Plain(public, l, hsds.NewVocabulary(nil), nil)
			validate(t, service, plain.JSON())
			if o, ok := hsds.Organization(plain, l); ok {
				validate(t, organization, o.JSON())
			}
			for _, at := range l.ServiceAtLocations {
				p, ok := hsds.Place(plain, l, at.ID)
				if !ok {
					t.Fatalf("no place %s", at.ID)
				}
				validate(t, place, p.JSON())
			}
			if t.Failed() {
				t.Fatal(l.Name)
			}
		}
	}
}

func BenchmarkPlain(b *testing.B) {
	d := fiction.Generate(1, "PL", 1, day)[0].Public()
	l, _ := d.Listing()
	body, err := d.Encode()
	if err != nil {
		b.Fatal(err)
	}
	v := hsds.NewVocabulary(nil)
	for _, bb := range []struct {
		name string
		row  func(d listing.Document) listing.Document
	}{
		{"decoded", func(d listing.Document) listing.Document { return d }}, // what the others begin with
		{"whole", func(d listing.Document) listing.Document { return hsds.Plain(d, l, v, nil) }},
		{"item", func(d listing.Document) listing.Document {
			return hsds.ListItem("service", d, "organization", "program")
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d, err := listing.DecodeDocument(body)
				if err != nil {
					b.Fatal(err)
				}
				bb.row(d).JSON()
			}
		})
	}
}
