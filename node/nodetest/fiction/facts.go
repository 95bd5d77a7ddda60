package fiction

import (
	"strconv"

	"github.com/2ps-project/waymark/node/listing"
)

// methods are the ways of a check. A look at the page counts for half, so it
// stands only where the check is young enough.
var methods = []string{"called", "emailed", "provider_attested", "web_only"}

func (m *maker) verification(full bool) object {
	method := methods[m.below(len(methods))]
	if method == "web_only" && (m.age*3 > m.sort.days || m.sort.kind == "crisis") {
		method = "called"
	}
	v := object{"level": int64(1 + m.below(4)), "method": method, "date": m.checked}
	if full {
		v["by_role"] = "editor"
		v["next_due"] = m.day(m.sort.days - m.age)
	}
	return v
}

// provenance says how the listing is known and when it was checked.
func (m *maker) provenance() {
	m.doc["assured_date"] = m.checked
	m.doc["verification"] = m.verification(true)
	m.doc["source"] = "https://" + m.owner.host + "/"
	m.doc["listing_basis"] = []string{"service_request", "service_agreed", "editor_found"}[m.below(3)]
	acceptance := listing.AcceptanceConfirmed
	if roll := m.below(100); roll >= 96 {
		acceptance = listing.AcceptanceNotConfirmed
	} else if roll >= 70 {
		acceptance = listing.AcceptanceStated
	}
	m.doc["topic_acceptance"] = object{"value": acceptance, "as_of": m.checked}
	if m.percent(10) {
		m.doc["external_ids"] = []any{object{"scheme": "example-directory", "id": "X-" + strconv.Itoa(10000+m.below(90000))}}
	}
	if m.private {
		m.doc["assurer_email"] = "editor@" + m.owner.host
		m.doc["funding_until"] = m.day(60 + m.below(600))
	}
}

// coverage says from where the service can be used.
func (m *maker) coverage() {
	switch m.reach {
	case worldwide:
		m.doc["coverage"] = object{"global": true}
		return
	case anyEU:
		m.doc["coverage"] = object{"eu_any": true, "countries": []any{"CH", "GB", "NO"}}
		return
	}
	c := object{"countries": []any{m.code}}
	if m.place == local {
		c["regions"] = []any{m.where.code}
	}
	if len(Languages(m.code)) > 1 {
		c["language_communities"] = []any{m.tag}
	}
	if m.sort == &therapy && m.percent(40) {
		c["insurance_required"] = true
	}
	m.doc["coverage"] = c
	if m.brief {
		return
	}
	area := object{"id": m.uuid(), "name": m.code}
	if m.place != region { // the extent is kept back where the place is
		area["extent"], area["extent_type"] = m.code, "text"
	}
	m.doc["service_areas"] = []any{area}
}

// location says where the service is, or only the region.
func (m *maker) location() {
	lat, lon := m.where.lat, m.where.lon
	switch m.place {
	case nowhere:
		return
	case region:
		m.doc["address_precision"] = listing.PrecisionRegion
		m.doc["region"] = object{
			"code": m.where.code, "name": m.where.region,
			"latitude": tenth(lat), "longitude": tenth(lon),
		}
		return
	}
	lat += float64(m.below(401)-200) / 10000
	lon += float64(m.below(401)-200) / 10000
	location := object{
		"id": m.uuid(), "location_type": "physical", "name": m.where.city,
		"latitude": degrees(lat), "longitude": degrees(lon),
		"addresses": []any{object{
			"id":             m.uuid(),
			"address_1":      with(m.bank.text("street"), strconv.Itoa(1+m.below(98))),
			"city":           m.where.city,
			"state_province": m.where.region,
			"postal_code":    m.country.postal,
			"country":        m.code,
			"address_type":   "physical",
		}},
	}
	m.doc["service_at_locations"] = []any{object{"id": m.uuid(), "location": location}}
}

// condition says whether there is room, and what is different just now.
func (m *maker) condition() {
	capacity, waiting := "open", "none"
	if m.sort.days == daysClinic {
		waiting = []string{"days", "weeks", "weeks", "months"}[m.below(4)]
		if m.percent(20) {
			capacity = "limited"
		}
	}
	if m.full {
		capacity, waiting = "closed_to_new", "months"
	}
	if m.percent(8) {
		waiting = listing.NotStated
	}
	if m.sort.days != daysResource {
		m.doc["capacity_status"] = object{"value": capacity, "as_of": m.checked}
		m.doc["waiting"] = object{"value": waiting, "as_of": m.checked}
	}
	if m.alert {
		m.doc["alert"] = m.bank.text("alert.hours")
		m.doc["alert_until"] = m.day(3 + m.below(20))
	}
	if m.closed {
		m.doc["status"] = string(listing.TemporarilyClosed)
		m.doc["alert"] = m.bank.text("alert.closed")
		m.doc["alert_until"] = m.day(20 + m.below(40))
	}
	if m.pair != 0 {
		m.doc["companions"] = []any{ID(m.seed, m.code, m.i+m.pair)}
	}
}

// translate adds the main texts in a second language. What would make the
// service tell someone is never translated by a machine.
func (m *maker) translate() {
	tag := "en"
	if m.tag == "en" {
		tag = map[string]string{"MT": "mt", "CY": "el", "CH": "de", "GB": "pl"}[m.code]
	}
	b := banks()[tag]
	by := "human"
	if m.percent(20) {
		by = "machine"
	}
	texts := object{}
	add := func(field, text, by string) {
		texts[field] = object{"text": text, "source_revision": int64(1), "by": by}
	}
	add("name", m.name(b), "human")
	add("description", b.sentences(m.said), by)
	if m.told.key != "" {
		add("channels.c1.breach.text", b.say(m.told), "human")
	}
	m.doc["translations"] = object{tag: texts}
}

// tenth rounds a coordinate to a tenth of a degree, some ten kilometres.
func tenth(x float64) any { return degrees(float64(int64(x*10)) / 10) }
