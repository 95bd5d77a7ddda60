package listing_test

import (
	"slices"
	"testing"

	"github.com/2ps-project/waymark/node/listing"
)

func TestDialTarget(t *testing.T) {
	for _, tc := range []struct{ kind, value, want string }{
		{"", "+370 5 000 0000", "+37050000000"},
		{"", "+44 (0)20 7946 0000", "+442079460000"},
		{"", `"+44 1234 234567"`, "+441234234567"},
		{"", "tel:+49-30-23125-000", "+493023125000"},
		{"", "0049 30 23125 000", "+493023125000"},
		{"", "8 800 00 000", "880000000"},
		{"", "112", "112"},
		{"", "116 123", "116123"},
		{"national_short_code", "116 123", "116123"},
		{"national_short_code", "112", "112"},
		{"national_short_code", "+112", ""},
		{"national_short_code", "0800 111 222 333", ""},
		{"international", "112", ""},
		{"international", "+370 5 000 0000", "+37050000000"},
		{"satellite", "+370 5 000 0000", ""},
		{"", "0800 HELP", ""},
		{"", "+370 5 000 0000 ext. 5", ""},
		{"", "1;phone-context=evil", ""},
		{"", "", ""},
		{"", "+", ""},
		{"", "+0123456789", ""},
		{"", "1234567890123456", ""},
	} {
		c := listing.Channel{Type: "phone", NumberKind: tc.kind, Value: tc.value}
		if got := c.DialTarget(); got != tc.want {
			t.Errorf("%s %q: got %q, want %q", tc.kind, tc.value, got, tc.want)
		}
	}
	if got := (listing.Channel{Type: "email", Value: "112"}).DialTarget(); got != "" {
		t.Errorf("an e-mail address is no telephone: %q", got)
	}
}

func TestLink(t *testing.T) {
	for _, tc := range []struct{ kind, value, want string }{
		{"phone", "116 123", "tel:116123"},
		{"phone", "call us", ""},
		{"email", "help@example.org", "mailto:help@example.org"},
		{"email", "Help <help@example.org>", ""},
		{"email", "a?bcc=b@example.org", "mailto:a%3Fbcc=b@example.org"},
		{"live_chat", "https://example.org/chat", "https://example.org/chat"},
		{"live_chat", "javascript:alert(1)", ""},
		{"live_chat", "//example.org", ""},
		{"onion_site", "http://exampleexampleexample.onion/", "http://exampleexampleexample.onion/"},
		{"other", "https://user:secret@example.org", ""},
		{"something new", "https://example.org", "https://example.org"},
		{"post", "https://example.org", ""},
	} {
		if got := (listing.Channel{Type: tc.kind, Value: tc.value}).Link(); got != tc.want {
			t.Errorf("%s %q: got %q, want %q", tc.kind, tc.value, got, tc.want)
		}
	}
}

func TestContactChannelsOfPlainHSDS(t *testing.T) {
	l := view(t, parse(t, `{"url":"https://example.org","email":"a@example.org",
		"phones":[{"id":"p1","number":"+370 5 000 0000","type":"voice","description":"Reception","languages":[{"code":"lt"},{"code":"not a tag"}]},
			{"number":"+370 5 000 0001","type":"fax"},{"number":"+370 5 000 0002","type":"sms"},{"number":" "}],
		"service_at_locations":[{"location":{"phones":[{"number":"+37050000000"},{"number":"116 123"}]}}],
		"organization":{"website":"https://example.org/org","email":"a@example.org"}}`))
	var got []string
	for _, c := range l.ContactChannels() {
		got = append(got, c.ID+" "+c.Type+" "+c.Value)
		if c.AnonymityValue() != listing.NotStated || c.CostValue() != listing.NotStated {
			t.Errorf("%s: nothing is stated of it", c.Value)
		}
		if _, stated := c.BreachConditions(); stated {
			t.Errorf("%s: nothing is stated of breach", c.Value)
		}
	}
	want := []string{"p1 phone +370 5 000 0000", "async_message-2 async_message +370 5 000 0002", "email-3 email a@example.org",
		"phone-4 phone 116 123", "other-5 other https://example.org"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if langs := l.ContactChannels()[0].Languages; !slices.Equal(langs, []string{"lt"}) {
		t.Errorf("languages %v", langs)
	}
	l = view(t, parse(t, `{"channels":[{"type":"post","value":"x"}],"email":"a@example.org"}`))
	if c := l.ContactChannels(); len(c) != 1 || c[0].Type != "post" {
		t.Errorf("where there are channels nothing is derived: %v", c)
	}
	l = view(t, parse(t, `{"url":"http://exampleexampleexample.onion/"}`))
	if c := l.ContactChannels(); len(c) != 1 || c[0].Type != "onion_site" {
		t.Errorf("got %v", c)
	}
}
