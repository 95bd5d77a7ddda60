package listing_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/listing"
)

func TestListingNamesEveryWrongType(t *testing.T) {
	d := parse(t, `{"id": 7, "name": null, "status": "active", "minimum_age": "12", "organization": [],
		"phones": [{"extension": "100", "languages": {}}, "none"], "channels": [{"hours": {"weekly": [{"day": 1}], "always_open": "yes"}}],
		"audience": ["self.unsure", 3], "coverage": {"global": 1}, "verification": {"level": 1.5}, "unknown": {"phones": 1},
		"translations": {"lt": {"name": {"source_revision": "x", "text": "ok"}}, "pl": 5}}`)
	l, faults := d.Listing()
	var got []string
	for _, f := range faults {
		if f.Code != listing.CodeWrongType || f.Message == "" {
			t.Errorf("fault %+v", f)
		}
		got = append(got, f.Path)
	}
	want := []string{"audience[1]", "channels[0].hours.always_open", "channels[0].hours.weekly[0].day", "coverage.global", "id",
		"minimum_age", "organization", "phones[0].extension", "phones[0].languages", "phones[1]",
		"translations.lt.name.source_revision", "translations.pl", "verification.level"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if s := faults[5].String(); s != "minimum_age: Want a number, have text. Correct the value or leave it out." {
		t.Errorf("got %q", s)
	}
	if l.Status != listing.Active || l.MinimumAge != nil || len(l.Phones) != 2 || l.Phones[0].Extension != nil ||
		l.Translations["lt"]["name"].Text != "ok" {
		t.Errorf("what is right must stay: %+v", l)
	}
}

// The two ways to a typed view agree.
func TestViewIsTheSameBothWays(t *testing.T) {
	for name, text := range map[string]string{
		"a listing":       sample,
		"nulls":           `{"id":"1","name":null,"minimum_age":null,"phones":null,"organization":null,"channels":[null],"translations":{"lt":null}}`,
		"wrong types":     `{"id":5,"name":"x","phones":[{"number":"1","extension":"x"}],"minimum_age":3,"audience":["a",1,"b"],"coverage":[]}`,
		"fractions":       `{"minimum_age":12.5,"verification":{"level":1.5}}`,
		"large numbers":   `{"minimum_age":18446744073709551615,"verification":{"level":9223372036854775807}}`,
		"case of names":   `{"ID":"1","Name":"x"}`,
		"unknown fields":  `{"id":"1","future":{"deep":[{}]}}`,
		"embedded fields": `{"kind":"crisis","channels":[{"breach":{"value":"v","conditions":["court_order"]}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			body, err := parse(t, text).Encode()
			if err != nil {
				t.Fatal(err)
			}
			fast, err := listing.View(body)
			if err != nil {
				t.Fatal(err)
			}
			d, err := listing.DecodeDocument(body)
			if err != nil {
				t.Fatal(err)
			}
			slow, _ := d.Listing()
			// Their sizes differ, since one body holds the private part too.
			if a, b := listing.Fields(fast), listing.Fields(slow); !reflect.DeepEqual(a, b) {
				t.Errorf("fast %+v\nslow %+v", a, b)
			}
		})
	}
}

func TestViewRefusesOnlyWhatIsNoDocument(t *testing.T) {
	for _, b := range [][]byte{nil, {0x80}, {0xa1}, {0xa2, 0x61, 'a', 1, 0x61, 'a', 2}, {0xf6}} {
		if l, err := listing.View(b); !errors.Is(err, listing.ErrMalformed) {
			t.Errorf("%x: got %v, %v", b, l, err)
		}
	}
}

func TestUnreadableTreeIsAFault(t *testing.T) {
	_, faults := listing.Document{"name": make(chan int)}.Listing()
	if len(faults) != 1 || faults[0].Code != listing.CodeMalformed {
		t.Errorf("got %v", faults)
	}
}

func FuzzListing(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(`{"phones":[{"extension":"x"}],"translations":{"a":{"b":[]}},"organization":{"contacts":[[]]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := listing.ParseJSON(b)
		if err != nil {
			return
		}
		l, faults := d.Listing()
		for _, x := range faults {
			if x.Code != listing.CodeWrongType || strings.TrimSpace(x.Message) == "" {
				t.Fatalf("fault %+v", x)
			}
		}
		body, err := d.Encode()
		if err != nil {
			return
		}
		fast, err := listing.View(body)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(listing.Fields(fast), listing.Fields(l)) {
			t.Fatalf("the two views of %s differ", d.JSON())
		}
		for i := range l.ContactChannels() {
			ch := &l.ContactChannels()[i]
			ch.Link()
			l.OpenNow(ch, day("2026-03-10"))
		}
		l.CheckPublish(day("2026-03-10"))
	})
}

func BenchmarkView(b *testing.B) {
	body, err := parse(b, sample).Public().Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := listing.View(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublic(b *testing.B) {
	d := parse(b, sample)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Public().Encode(); err != nil {
			b.Fatal(err)
		}
	}
}
