package listing_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/listing"
)

var overlayDay = time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)

const overlayFeed = "000102030405060708090a0b0c0d0e0f"

// note is a note that is fit to publish on overlayDay.
func note() listing.Overlay {
	return listing.Overlay{
		Target: "5f1f6f0e-6f0a-4c55-9d3c-0b6a1d1c2f11", TargetOrigin: overlayFeed, Kind: listing.OverlayNote, Language: "lt",
		SourceRevision: strings.Repeat("a", 32), By: "human", Text: "Iš Lietuvos veikia.", Works: "yes", Cost: "paid",
		Languages: []string{"en"}, AsOf: "2026-11-20", Expires: "2027-05-01",
	}
}

func as(kind listing.OverlayKind, change func(*listing.Overlay)) listing.Overlay {
	o := note()
	o.Kind, o.Works, o.Cost, o.Languages, o.Expires = kind, "", "", nil, "2026-12-20"
	if change != nil {
		change(&o)
	}
	return o
}

func TestOverlayCheckPublish(t *testing.T) {
	for _, tc := range []struct {
		name   string
		o      listing.Overlay
		faults []string // "path code"
	}{
		{"a note", note(), nil},
		{"a note of facts alone", as("note", func(o *listing.Overlay) { o.Text, o.Language, o.Works = "", "", "no" }), nil},
		{"a note that says nothing", as("note", func(o *listing.Overlay) { o.Text, o.Works = " ", "not_stated" }), []string{"text missing"}},
		{"a note with codes that are none", as("note", func(o *listing.Overlay) { o.Works, o.Cost, o.Languages = "maybe", "cheap", []string{"x y"} }),
			[]string{"works_here bad_code", "cost bad_code", "languages[0] bad_code"}},
		{"an alert", as("alert", nil), nil},
		{"an alert without words", as("alert", func(o *listing.Overlay) { o.Text = "" }), []string{"text missing"}},
		{"a status", as("status", func(o *listing.Overlay) { o.Status = listing.TemporarilyClosed; o.Text, o.Language = "", "" }), nil},
		{"a status that opens", as("status", func(o *listing.Overlay) { o.Status = listing.Active }), []string{"status bad_code"}},
		{"a translation", as("translation", func(o *listing.Overlay) {
			o.By, o.Text, o.Expires, o.Fields = "machine", "", "", map[string]string{"name": "Linija", "channels.c1.label": "Telefonas"}
		}), nil},
		{"a translation of what is private or protected", as("translation", func(o *listing.Overlay) {
			o.Fields = map[string]string{"internal_notes": "x", "service_at_locations.s1.description": "x", "name": ""}
		}), []string{"translation bad_value", "translation missing", "translation bad_value"}},
		{"a translation of nothing", as("translation", nil), []string{"translation missing"}},
		{"another kind", as("edit", nil), []string{"kind bad_code"}},
		{"written by a machine", as("alert", func(o *listing.Overlay) { o.By = "machine" }), []string{"by bad_value"}},
		{"written by nobody", as("alert", func(o *listing.Overlay) { o.By = "" }), []string{"by missing"}},
		{"in no language", as("alert", func(o *listing.Overlay) { o.Language = "" }), []string{"language missing"}},
		{"too long", as("alert", func(o *listing.Overlay) { o.Text = strings.Repeat("ž", listing.MaxOverlayText+1) }), []string{"text too_large"}},
		{"about nothing", as("alert", func(o *listing.Overlay) { o.Target, o.TargetOrigin, o.SourceRevision = "x", "00", "" }),
			[]string{"target bad_value", "target_origin bad_value", "source_revision missing"}},
		{"without dates", as("alert", func(o *listing.Overlay) { o.AsOf, o.Expires = "", "" }), []string{"as_of bad_value", "expires missing"}},
		{"from the future", as("alert", func(o *listing.Overlay) { o.AsOf = "2026-11-25"; o.Expires = "2026-12-01" }), []string{"as_of bad_value"}},
		{"over already", as("alert", func(o *listing.Overlay) { o.Expires = "2026-11-22" }), []string{"expires bad_value"}},
		{"over before it began", as("alert", func(o *listing.Overlay) { o.Expires = "2026-11-19" }), []string{"expires bad_value"}},
		{"an alert that holds too long", as("alert", func(o *listing.Overlay) { o.Expires = "2027-02-22" }), []string{"expires bad_value"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, f := range tc.o.CheckPublish(overlayDay) {
				got = append(got, f.Path+" "+f.Code)
				if !strings.HasSuffix(f.Message, ".") {
					t.Errorf("%q does not say what to do", f.Message)
				}
			}
			if !slices.Equal(got, tc.faults) {
				t.Errorf("faults %q, want %q", got, tc.faults)
			}
			if len(tc.faults) == 0 && !tc.o.Holds(overlayDay) {
				t.Error("fit to publish, and does not hold")
			}
		})
	}
}

func TestOverlayHolds(t *testing.T) {
	at := func(s string) time.Time {
		d, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, tc := range []struct {
		name  string
		o     listing.Overlay
		now   string
		holds bool
	}{
		{"on its last day, to the end", as("alert", nil), "2026-12-20T23:59:59Z", true},
		{"the day after", as("alert", nil), "2026-12-21T00:00:00Z", false},
		{"longer than its kind may", as("alert", func(o *listing.Overlay) { o.Expires = "2036-01-01" }), "2027-02-21T00:00:00Z", false},
		{"as long as its kind may", as("alert", func(o *listing.Overlay) { o.Expires = "2036-01-01" }), "2027-02-20T00:00:00Z", true},
		{"a note without an end", as("note", func(o *listing.Overlay) { o.Expires = "" }), "2026-11-23T00:00:00Z", false},
		{"a translation without an end", as("translation", func(o *listing.Overlay) { o.Expires = "" }), "2031-11-23T00:00:00Z", true},
		{"before it was found", as("alert", nil), "2026-11-18T00:00:00Z", false},
		{"a kind that is not known", as("edit", nil), "2026-11-23T00:00:00Z", false},
		{"an alert by a machine", as("alert", func(o *listing.Overlay) { o.By = "machine" }), "2026-11-23T00:00:00Z", false},
		{"about no listing", as("alert", func(o *listing.Overlay) { o.Target = "" }), "2026-11-23T00:00:00Z", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.o.Holds(at(tc.now)); got != tc.holds {
				t.Errorf("holds %t", got)
			}
		})
	}
}

// One author has one overlay of a kind and language for a listing, and nobody
// can take the place of another's.
func TestOverlayKey(t *testing.T) {
	ada, ben := [16]byte{1}, [16]byte{2}
	key := note().Key(ada)
	for _, tc := range []struct {
		name   string
		author [16]byte
		o      listing.Overlay
		same   bool
	}{
		{"other words and dates", ada, as("note", func(o *listing.Overlay) { o.Text, o.AsOf = "x", "2026-11-21" }), true},
		{"the language in capitals", ada, as("note", func(o *listing.Overlay) { o.Language = "LT" }), true},
		{"another author", ben, note(), false},
		{"another language", ada, as("note", func(o *listing.Overlay) { o.Language = "en" }), false},
		{"another kind", ada, as("alert", nil), false},
		{"another listing", ada, as("note", func(o *listing.Overlay) { o.Target = "5f1f6f0e-6f0a-4c55-9d3c-0b6a1d1c2f12" }), false},
		{"the same id in another feed", ada, as("note", func(o *listing.Overlay) { o.TargetOrigin = strings.Repeat("00", 16) }), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if same := tc.o.Key(tc.author) == key; same != tc.same {
				t.Errorf("the same key: %t", same)
			}
		})
	}
}

func TestOverlayCaution(t *testing.T) {
	o := as("status", func(o *listing.Overlay) { o.Status, o.Works, o.Cost = "moved", "perhaps", "cheap" })
	if o.StatusValue() != listing.Inactive || o.WorksValue() != listing.NotStated || o.CostValue() != listing.NotStated {
		t.Errorf("%s %s %s", o.StatusValue(), o.WorksValue(), o.CostValue())
	}
	if o.Status = listing.Active; o.StatusValue() != listing.Inactive {
		t.Error("a status opens a service")
	}
}

func TestPublishedStatusPromisesLeast(t *testing.T) {
	closing := func(list ...listing.Status) (out []listing.Remark) {
		for _, s := range list {
			out = append(out, listing.Remark{Overlay: listing.Overlay{Kind: listing.OverlayStatus, Status: s}})
		}
		return out
	}
	for _, tc := range []struct {
		name    string
		own     listing.Status
		remarks []listing.Remark
		want    listing.Status
	}{
		{"nobody else says anything", listing.Active, nil, listing.Active},
		{"a caretaker closes", listing.Active, closing(listing.TemporarilyClosed), listing.TemporarilyClosed},
		{"two caretakers", listing.Active, closing(listing.TemporarilyClosed, listing.Defunct), listing.Defunct},
		{"nobody opens", listing.Defunct, closing(listing.TemporarilyClosed), listing.Defunct},
		{"not known", listing.Active, closing("moved"), listing.Inactive},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := listing.Published{Listing: &listing.Listing{Status: tc.own}, Statuses: tc.remarks}
			if got := p.StatusValue(); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

func TestRevision(t *testing.T) {
	before := parse(t, sample).Revision()
	for _, tc := range []struct {
		name   string
		change func(listing.Document)
		same   bool
	}{
		{"checked again", func(d listing.Document) { d["assured_date"] = "2026-11-20" }, true},
		{"verified again", func(d listing.Document) { d["verification"] = map[string]any{"method": "called"} }, true},
		{"a channel verified again", func(d listing.Document) {
			d["channels"].([]any)[0].(map[string]any)["verification"] = map[string]any{"method": "called"}
		}, true},
		{"another number", func(d listing.Document) { d["channels"].([]any)[0].(map[string]any)["value"] = "+370 5 000 0001" }, false},
		{"a field that is not known", func(d listing.Document) { d["new_field"] = true }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := parse(t, sample)
			tc.change(d)
			kept := string(d.JSON())
			if same := d.Revision() == before; same != tc.same {
				t.Errorf("the same revision: %t", same)
			}
			if string(d.JSON()) != kept {
				t.Error("Revision changed the document")
			}
		})
	}
}

func TestHiddenIsAlsoNotFound(t *testing.T) {
	err := fmt.Errorf("get: %w", &listing.HiddenError{ID: "x", Country: "LT", Hiding: listing.Hiding{Reason: "of a later version"}})
	var hidden *listing.HiddenError
	if !errors.Is(err, listing.ErrHidden) || !errors.Is(err, listing.ErrNotFound) || !errors.As(err, &hidden) || hidden.Hiding.ReasonValue() != listing.Other {
		t.Errorf("%v", err)
	}
	if errors.Is(listing.ErrNotFound, listing.ErrHidden) {
		t.Error("what is not found is hidden")
	}
}

func FuzzParseOverlay(f *testing.F) {
	body, err := note().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte{0xa1, 0x64, 'k', 'i', 'n', 'd', 1})
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := listing.ParseOverlay(b)
		if err != nil {
			if !errors.Is(err, listing.ErrMalformed) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		o.Holds(overlayDay)
		if len(o.CheckPublish(overlayDay)) > 0 {
			return
		}
		again, err := o.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := listing.ParseOverlay(again)
		if err != nil || back.Key([16]byte{1}) != o.Key([16]byte{1}) || !reflect.DeepEqual(back.Fields, o.Fields) || back.Text != o.Text {
			t.Fatalf("%+v became %+v (%v)", o, back, err)
		}
	})
}
