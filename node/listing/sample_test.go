package listing_test

import (
	"testing"

	"github.com/2ps-project/waymark/node/listing"
)

// sample is a listing that is fit to publish on 2026-03-10.
const sample = `{
 "id": "5f1f6f0e-6f0a-4c55-9d3c-0b6a1d1c2f11", "name": "Example Line", "status": "active",
 "description": "Somebody to talk to.", "assured_date": "2026-03-01", "minimum_age": 16,
 "guardian_consent": "from_age:16", "kind": "help", "audience": ["self.not_offended", "partner_family"],
 "service_types": ["helpline"], "coverage": {"countries": ["LT"]},
 "assurer_email": "private-assurer@example.org", "funding_until": "2027-01-01", "internal_notes": "private-note",
 "left_over": {"column": "private-leftover"},
 "organization": {"id": "o1", "name": "Example Charity", "operator_type": "charity",
  "contacts": [{"id": "k1", "name": "private-person", "title": "Director", "email": "office@example.org"},
               {"id": "k2", "name": "Agreed Person", "consent_date": "2026-01-01"}],
  "metadata": [{"id": "m1", "updated_by": "private-editor"}]},
 "service_at_locations": [{"id": "s1", "location_id": "place-id", "description": "place-description",
  "location": {"id": "place-id", "location_type": "physical", "name": "place-name", "transportation": "place-bus",
   "latitude": 54.687157, "longitude": 25.279652, "addresses": [{"id": "a1", "attention": "private-attention",
    "address_1": "place-street", "city": "place-city", "state_province": "", "postal_code": "01100", "country": "LT",
    "address_type": "physical"}]}}],
 "channels": [{"id": "c1", "type": "phone", "value": "+370 5 000 0000", "languages": ["lt", "en"],
   "hours": {"zone": "Europe/Vilnius", "weekly": [{"day": "MO", "opens": "09:00", "closes": "17:00"}]},
   "cost": {"value": "free", "basis": "service_said", "source_url": "https://example.org/a", "as_of": "2026-03-01"},
   "anonymity": {"value": "full", "basis": "editor_read", "source_url": "https://example.org/b", "as_of": "2026-03-01"},
   "breach": {"value": "not_stated"}},
  {"id": "c2", "type": "in_person", "value": "place-door", "languages": ["lt"],
   "cost": {"value": "not_stated"}, "anonymity": {"value": "not_stated"},
   "breach": {"conditions": ["court_order"], "basis": "service_said", "source_url": "https://example.org/c", "as_of": "2026-03-01"}}],
 "translations": {"lt": {"description": {"text": "Tekstas", "source_revision": 2, "by": "human"},
   "channels.c1.label": {"text": "Linija", "by": "human"},
   "internal_notes": {"text": "private-translated"}, "contacts.k1.name": {"text": "private-named"}}},
 "region": {"code": "LT-VL", "name": "Vilnius", "latitude": 54.687157, "longitude": 25.279652},
 "verification": {"level": 2, "method": "called", "date": "2026-03-01", "by_role": "editor"}
}`

func parse(t testing.TB, text string) listing.Document {
	t.Helper()
	d, err := listing.ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// view returns the typed view of a document that has no wrong types.
func view(t testing.TB, d listing.Document) *listing.Listing {
	t.Helper()
	l, faults := d.Listing()
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return l
}
