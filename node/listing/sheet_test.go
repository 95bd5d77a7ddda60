package listing_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/listing"
)

// sheet is fit to publish on overlayDay.
const sheet = `{"crisis_contacts":[
{"kind":"emergency","value":"112","number_kind":"national_short_code","languages":["lt","en"],"hours":{"zone":"Europe/Vilnius","always_open":true},"as_of":"2026-11-20","method":"official_register","source_url":"https://www.example.org/112"},
{"kind":"emotional_support","type":"live_chat","value":"https://chat.example.org/","label":"Linija","label_language":"lt","languages":["lt"],"hours":{"not_stated":true},"as_of":"2026-11-01","method":"called","later":{"field":[1,2]}}],
"law_notes":[{"language":"lt","text":"Teisė.","as_of":"2026-05-01","review_due":"2027-05-01","reviewed_by":"teisininkas","source_url":"https://law.example.org/"},
{"language":"en","text":"The law.","as_of":"2026-05-01","review_due":"2027-05-02","reviewed_by":"legal adviser","source_url":"https://law.example.org/"}],
"exit_target":{"url":"https://weather.example.org/","label":"Orai","language":"lt","as_of":"2026-11-01"},
"operator_statement":[{"language":"lt","text":"Mes.","as_of":"2026-11-01"}],
"notice_contact":{"value":"notices@example.org","languages":["lt"],"as_of":"2026-11-01"},
"a_later_version":{"says":"more"}}`

// edited is the sheet with a value set at a path such as crisis_contacts.0.kind;
// nil takes it away.
func edited(t *testing.T, edits map[string]any) listing.Document {
	t.Helper()
	d, err := listing.ParseJSON([]byte(sheet))
	if err != nil {
		t.Fatal(err)
	}
	for path, v := range edits {
		var at any = map[string]any(d)
		names := strings.Split(path, ".")
		for _, name := range names[:len(names)-1] {
			if list, ok := at.([]any); ok {
				at = list[name[0]-'0']
			} else {
				at = at.(map[string]any)[name]
			}
		}
		last := names[len(names)-1]
		switch in := at.(type) {
		case []any:
			in[last[0]-'0'] = v
		case map[string]any:
			if in[last] = v; v == nil {
				delete(in, last)
			}
		}
	}
	return d
}

func TestSheetCheckPublish(t *testing.T) {
	long := strings.Repeat("ž", listing.MaxSheetText+1)
	for _, tc := range []struct {
		name   string
		edits  map[string]any
		faults []string // "path code"
	}{
		{"as it is", nil, nil},
		{"without a law note and a page to leave to", map[string]any{"law_notes": nil, "exit_target": nil}, nil},
		{"nothing at all", map[string]any{"crisis_contacts": nil, "law_notes": nil, "exit_target": nil, "operator_statement": nil, "notice_contact": nil},
			[]string{"crisis_contacts missing", "operator_statement missing", "notice_contact missing"}},
		{"of the wrong types", map[string]any{"crisis_contacts.1.value": int64(3), "notice_contact": "x"},
			[]string{"crisis_contacts[1].value wrong_type", "notice_contact wrong_type", "crisis_contacts[1].value missing", "notice_contact.value missing", "notice_contact.as_of missing"}},
		{"no emergency number", map[string]any{"crisis_contacts.0.kind": "victims", "crisis_contacts.0.label": "x", "crisis_contacts.0.label_language": "lt"}, []string{"crisis_contacts missing"}},
		{"a contact about which nothing is said", map[string]any{"crisis_contacts.1": map[string]any{}},
			[]string{"crisis_contacts[1].kind missing", "crisis_contacts[1].value missing", "crisis_contacts[1].label missing", "crisis_contacts[1].languages missing",
				"crisis_contacts[1].hours missing", "crisis_contacts[1].method missing", "crisis_contacts[1].source_url missing", "crisis_contacts[1].as_of missing"}},
		{"a number that is none", map[string]any{"crisis_contacts.0.value": "call us"}, []string{"crisis_contacts[0].value bad_value"}},
		{"a chat that is no address", map[string]any{"crisis_contacts.1.value": "javascript:1"}, []string{"crisis_contacts[1].value bad_value"}},
		{"a place to go to", map[string]any{"crisis_contacts.1.type": "in_person"}, []string{"crisis_contacts[1].type bad_code"}},
		{"codes that are none", map[string]any{"crisis_contacts.1.kind": "x", "crisis_contacts.1.method": "x", "crisis_contacts.1.languages": []any{"a b"}, "crisis_contacts.1.label_language": "a b"},
			[]string{"crisis_contacts[1].kind bad_code", "crisis_contacts[1].label_language bad_code", "crisis_contacts[1].languages[0] bad_code", "crisis_contacts[1].method bad_code", "crisis_contacts[1].source_url missing"}},
		{"a contact checked too long ago", map[string]any{"crisis_contacts.1.as_of": "2026-10-22"}, []string{"crisis_contacts[1].as_of stale"}},
		{"a contact checked just in time", map[string]any{"crisis_contacts.1.as_of": "2026-10-24"}, nil},
		{"a contact from the future", map[string]any{"crisis_contacts.1.as_of": "2026-11-25"}, []string{"crisis_contacts[1].as_of bad_value"}},
		{"hours that are none", map[string]any{"crisis_contacts.1.hours": map[string]any{"zone": "Nowhere/Atall"}}, []string{"crisis_contacts[1].hours.zone bad_value", "crisis_contacts[1].hours missing"}},
		{"a source that is no address", map[string]any{"crisis_contacts.1.source_url": "a friend"}, []string{"crisis_contacts[1].source_url bad_value"}},
		{"a law note that is overdue", map[string]any{"law_notes.0.review_due": "2026-11-22"}, []string{"law_notes[0].review_due stale"}},
		{"a law note that holds for ever", map[string]any{"law_notes.0.review_due": "2037-01-01"}, []string{"law_notes[0].review_due bad_value"}},
		{"a law note of nobody", map[string]any{"law_notes.0": map[string]any{}},
			[]string{"law_notes[0].language missing", "law_notes[0].text missing", "law_notes[0].as_of missing", "law_notes[0].review_due missing", "law_notes[0].reviewed_by missing", "law_notes[0].source_url missing"}},
		{"one language twice", map[string]any{"law_notes.0.language": "EN"}, []string{"law_notes[1].language twice"}},
		{"texts that are too long", map[string]any{"law_notes.0.text": long, "operator_statement.0.text": long, "exit_target.label": long},
			[]string{"law_notes[0].text too_large", "exit_target.label too_large", "operator_statement[0].text too_large"}},
		{"a page to leave to that tells where from", map[string]any{"exit_target.url": "https://weather.example.org/?from=here"}, []string{"exit_target.url bad_value"}},
		{"pages that nobody can read", map[string]any{"public_page": map[string]any{"url": "http://directory.example.org/", "as_of": "2026-11-01"}}, []string{"public_page.url bad_value"}},
		{"pages without a date", map[string]any{"public_page": map[string]any{"url": "https://directory.example.org/"}}, []string{"public_page.as_of missing"}},
		{"pages at an onion address", map[string]any{"public_page": map[string]any{"url": "http://exampleexampleexample.onion/", "as_of": "2026-11-01"}}, nil},
		{"a page to leave to in the open", map[string]any{"exit_target.url": "http://weather.example.org/"}, []string{"exit_target.url bad_value"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, faults := edited(t, tc.edits).Sheet()
			var got []string
			for _, f := range append(faults, s.CheckPublish(overlayDay)...) {
				got = append(got, f.Path+" "+f.Code)
				if !strings.HasSuffix(f.Message, ".") {
					t.Errorf("%q does not say what to do", f.Message)
				}
			}
			if !slices.Equal(got, tc.faults) {
				t.Errorf("faults\n%q, want\n%q", got, tc.faults)
			}
		})
	}
	many := edited(t, nil)
	contact := many["crisis_contacts"].([]any)[1].(map[string]any)
	var contacts []any
	for i := range listing.MaxContacts + 1 {
		c := maps.Clone(contact)
		c["kind"], c["value"] = "emergency", fmt.Sprintf("https://chat.example.org/%d", i/2)
		contacts = append(contacts, c)
	}
	many["crisis_contacts"] = contacts
	s, _ := many.Sheet()
	text := s.CheckPublish(overlayDay).Error()
	if !strings.Contains(text, "too many") || strings.Count(text, "stands here twice") != listing.MaxContacts/2 {
		t.Errorf("too many contacts: %s", text)
	}
	huge := edited(t, map[string]any{"a_later_version": strings.Repeat("x", listing.MaxSheet)})
	s, _ = huge.Sheet()
	if f := s.CheckPublish(overlayDay); len(f) != 1 || f[0].Code != listing.CodeTooLarge {
		t.Errorf("a sheet that is too large: %v", f)
	}
	if _, err := s.Encode(); !errors.Is(err, listing.ErrMalformed) {
		t.Errorf("it is encoded: %v", err)
	}
}

// What this version does not know stays in the record, in whatever depth.
func TestSheetKeepsWhatItDoesNotKnow(t *testing.T) {
	d := edited(t, nil)
	s, faults := d.Sheet()
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	body, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := listing.ParseSheet(body)
	if err != nil || !reflect.DeepEqual(back.Document(), d) || back.Crisis[1].Label != "Linija" || back.Exit.Label != "Orai" || len(back.Law) != 2 {
		t.Errorf("%+v, %v", back, err)
	}
	again, err := back.Encode()
	if err != nil || !bytes.Equal(body, again) {
		t.Errorf("other bytes the second time, %v", err)
	}
	asJSON, err := json.Marshal(back)
	var read listing.Sheet
	if err2 := json.Unmarshal(asJSON, &read); err != nil || err2 != nil || !reflect.DeepEqual(read.Document(), d) {
		t.Errorf("through JSON: %s, %v, %v", asJSON, err, err2)
	}
	for name, b := range map[string][]byte{"nothing": nil, "no object": {0x80}, "too long": append(bytes.Clone(body), make([]byte, listing.MaxSheet)...), "cut": body[:len(body)-1]} {
		if _, err := listing.ParseSheet(b); !errors.Is(err, listing.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var empty listing.Sheet
	if b, err := empty.Encode(); err != nil || !bytes.Equal(b, []byte{0xa0}) {
		t.Errorf("the zero sheet is %x, %v", b, err)
	}
}

func TestSheetKey(t *testing.T) {
	a, b := listing.SheetKey([16]byte{1}), listing.SheetKey([16]byte{2})
	if a == b || a == ([16]byte{}) || a != listing.SheetKey([16]byte{1}) {
		t.Errorf("%x, %x", a, b)
	}
	// It is in every feed that was ever signed.
	if got := fmt.Sprintf("%x", a); got != "9afc1afb96a05cb6aa0609484aa66b50" {
		t.Errorf("the key of origin 01… has changed: %s", got)
	}
}

// A crisis contact ages as a crisis line does, and one without a date was never
// confirmed.
func TestCrisisContactGrowsOld(t *testing.T) {
	for _, tc := range []struct {
		asOf, method string
		want         listing.Freshness
	}{
		{"2026-11-23", "called", listing.Fresh}, {"2026-10-24", "called", listing.Due}, {"2026-10-09", "called", listing.Stale},
		{"2026-09-24", "called", listing.Lapsed}, {"2026-11-09", "web_only", listing.Fresh}, {"2026-11-01", "web_only", listing.Stale}, {"2026-10-24", "web_only", listing.Lapsed},
		{"", "called", listing.Lapsed}, {"soon", "called", listing.Lapsed}, {"2026-12-23", "called", listing.Lapsed},
	} {
		c := listing.CrisisContact{AsOf: tc.asOf, Method: tc.method}
		if got := c.Freshness(overlayDay, listing.DefaultCadence); got != tc.want {
			t.Errorf("%s by %s: %s, want %s", tc.asOf, tc.method, got, tc.want)
		}
		l := listing.Listing{}
		l.Kind, l.Verification = listing.KindCrisis, &listing.Verification{Date: tc.asOf, Method: tc.method}
		if c.Confirmed(overlayDay) && l.Freshness(overlayDay, listing.DefaultCadence) != tc.want {
			t.Errorf("%s by %s: a crisis listing is %s", tc.asOf, tc.method, l.Freshness(overlayDay, listing.DefaultCadence))
		}
	}
}

func TestLawNoteExpires(t *testing.T) {
	for _, tc := range []struct {
		asOf, due string
		want      bool
	}{
		{"2026-05-01", "2026-11-23", false}, {"2026-05-01", "2026-11-22", true}, {"2025-11-21", "2030-01-01", true}, {"2025-12-01", "2030-01-01", false},
		{"", "2027-01-01", true}, {"2026-05-01", "", true}, {"2027-05-01", "2027-06-01", true},
	} {
		n := listing.LawNote{AsOf: tc.asOf, ReviewDue: tc.due}
		if got := n.Expired(overlayDay); got != tc.want {
			t.Errorf("of %s, due %s: expired %t", tc.asOf, tc.due, got)
		}
	}
}

func TestSpoken(t *testing.T) {
	same := func(s string) string { return s }
	for _, tc := range []struct {
		texts, tags []string
		want        int
	}{
		{[]string{"de", "pl", "en"}, []string{"pl"}, 1}, {[]string{"de", "nb"}, []string{"no"}, 1}, {[]string{"de", "pt-BR", "pt"}, []string{"PT"}, 2},
		{[]string{"de", "pt-BR"}, []string{"pt-PT", "de"}, 1}, {[]string{"de", "fr"}, []string{"lt", "", "en"}, 0}, {nil, []string{"en"}, -1},
	} {
		if got := listing.Spoken(tc.texts, same, tc.tags...); got != tc.want {
			t.Errorf("of %q for %q: %d, want %d", tc.texts, tc.tags, got, tc.want)
		}
	}
}

func FuzzParseSheet(f *testing.F) {
	d, err := listing.ParseJSON([]byte(sheet))
	if err != nil {
		f.Fatal(err)
	}
	s, _ := d.Sheet()
	body, err := s.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := listing.ParseSheet(b)
		if err != nil {
			if !errors.Is(err, listing.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		_ = s.CheckPublish(overlayDay)
		for i := range s.Crisis {
			c := s.Crisis[i].Channel()
			if link := c.Link(); link != "" && !slices.ContainsFunc([]string{"tel:", "mailto:", "http://", "https://"}, func(p string) bool { return strings.HasPrefix(strings.ToLower(link), p) }) {
				t.Fatalf("a link %q", link)
			}
			_ = s.Crisis[i].Freshness(overlayDay, listing.DefaultCadence)
		}
		out, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := listing.ParseSheet(out); err != nil || !reflect.DeepEqual(again.Document(), s.Document()) {
			t.Fatalf("does not come back: %v", err)
		}
	})
}
