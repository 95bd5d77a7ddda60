package listing_test

import (
	"slices"
	"testing"

	"github.com/2ps-project/waymark/node/listing"
)

// What this version does not know promises the least.
func TestUnknownValuesReadWithCaution(t *testing.T) {
	unknown := view(t, parse(t, `{"kind":"x","visibility":"x","status":"x","address_precision":"x","gender":"x","evidence":"x",
		"guardian_consent":"x","capacity_status":{"value":"x"},"waiting":{"value":"x"},"topic_acceptance":{"value":"x"},
		"organization":{"operator_type":"x"},
		"channels":[{"type":"x","status":"x","anonymity":{"value":"x"},"cost":{"value":"x"},"breach":{"conditions":["x","court_order"]}}]}`))
	empty := view(t, parse(t, `{"channels":[{}]}`))
	known := view(t, parse(t, `{"kind":"crisis","visibility":"professionals","status":"defunct","address_precision":"region","gender":"men",
		"evidence":"prudent","guardian_consent":"from_age:14","capacity_status":{"value":"open"},"waiting":{"value":"days"},
		"topic_acceptance":{"value":"stated_publicly"},"organization":{"operator_type":"health"},
		"channels":[{"type":"phone","status":"active","anonymity":{"value":"full"},"cost":{"value":"free"},"breach":{"text":"Never."}}]}`))
	read := func(l *listing.Listing) []string {
		consent, _ := l.GuardianConsentValue()
		ch := &l.Channels[0]
		return []string{string(l.KindValue()), string(l.VisibilityValue()), string(l.StatusValue()), l.PrecisionValue(), l.GenderValue(),
			l.EvidenceValue(), consent, l.CapacityValue(), l.WaitingValue(), l.AcceptanceValue(), l.OperatorTypeValue(),
			ch.TypeValue(), ch.StatusValue(), ch.AnonymityValue(), ch.CostValue()}
	}
	for _, tc := range []struct {
		name string
		l    *listing.Listing
		want []string
	}{
		{"unknown", unknown, []string{"unknown", "nobody", "inactive", "hidden", "not_stated", "not_rated", "not_stated", "not_stated",
			"not_stated", "not_confirmed", "not_stated", "other", "paused", "not_stated", "not_stated"}},
		{"absent", empty, []string{"help", "public", "inactive", "full", "not_stated", "not_rated", "not_stated", "not_stated",
			"not_stated", "not_confirmed", "not_stated", "other", "active", "not_stated", "not_stated"}},
		{"known", known, []string{"crisis", "professionals", "defunct", "region", "men", "prudent", "from_age", "open",
			"days", "stated_publicly", "health", "phone", "active", "full", "free"}},
	} {
		if got := read(tc.l); !slices.Equal(got, tc.want) {
			t.Errorf("%s:\ngot  %v\nwant %v", tc.name, got, tc.want)
		}
	}
	if got, stated := unknown.Channels[0].BreachConditions(); !stated || !slices.Equal(got, []string{"other", "court_order"}) {
		t.Errorf("breach: got %v, %v", got, stated)
	}
	if _, stated := empty.Channels[0].BreachConditions(); stated {
		t.Error("breach: nothing is stated")
	}
	if _, stated := known.Channels[0].BreachConditions(); !stated {
		t.Error("breach: a text is a statement")
	}
	if _, age := known.GuardianConsentValue(); age != 14 {
		t.Errorf("age %d", age)
	}
	if l := view(t, parse(t, `{"kind":"x","visibility":"public"}`)); l.VisibilityValue() != listing.VisibleNobody {
		t.Error("a kind that is not known is shown to nobody")
	}
}

func TestVocabularies(t *testing.T) {
	for _, v := range listing.Vocabularies() {
		terms := listing.Terms(v)
		if len(terms) == 0 {
			t.Errorf("%s is empty", v)
		}
		for i, code := range terms {
			if !listing.Known(v, code) || slices.Contains(terms[:i], code) || code == "" {
				t.Errorf("%s: %q", v, code)
			}
		}
		terms[0] = "changed"
		if listing.Known(v, "changed") {
			t.Errorf("%s: a caller changed it", v)
		}
	}
	if listing.Terms("nothing") != nil || listing.Known("nothing", "") || listing.Known(listing.VocabularyAudience, "") {
		t.Error("no such vocabulary, no such code")
	}
}
