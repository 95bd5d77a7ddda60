package fiction

import (
	"strconv"
	"time"

	"github.com/2ps-project/waymark/node/listing"
)

// channels adds the ways to make contact, with what is known of each.
func (m *maker) channels() {
	var channels, phones []any
	for n, kind := range m.sort.channels {
		needed := n == 0 || (n == 1 && m.place == region) // nobody can just come to a region
		if !needed && (m.brief || !m.percent([...]int{0, 50, 50}[n])) {
			continue
		}
		c := m.channel("c"+strconv.Itoa(len(channels)+1), kind)
		if kind == "phone" {
			phones = append(phones, object{"id": m.uuid(), "number": c["value"], "type": "voice"})
		}
		channels = append(channels, c)
	}
	m.doc["channels"] = channels
	if phones != nil {
		m.doc["phones"] = phones
	}
}

func (m *maker) channel(id, kind string) object {
	c := object{
		"id": id, "type": kind, "languages": list(m.spoken()),
		"hours":     m.hours(kind),
		"cost":      m.cost(kind),
		"anonymity": m.anonymity(kind),
		"breach":    m.breach(id),
	}
	if !m.brief {
		c["verification"] = m.verification(false)
		c["retention"] = m.retention(kind)
	}
	if value := m.value(kind); value != "" {
		c["value"] = value
	}
	switch kind {
	case "async_message", "email", "callback":
		c["response_time"] = m.bank.text("reply")
	case "phone", "in_person":
		if m.percent(15) {
			c["interpreter"] = m.bank.text("interpreter")
			m.doc["interpretation_services"] = c["interpreter"]
		}
	case "onion_site":
		c["label"] = "Tor"
	}
	if f := c["cost"].(object); f["value"] == "free_from_country_only" {
		c["free_from"] = []any{m.code}
	}
	return c
}

// value is the number, address or link of a channel. No address of a Tor
// service can be reserved, so what stands for one is a name under example.net.
func (m *maker) value(kind string) string {
	switch kind {
	case "phone", "callback":
		return m.number(m.country.phones)
	case "email":
		return m.sort.key + "@" + m.owner.host
	case "in_person":
		if m.place == region {
			return "" // must not be told
		}
		return m.where.city
	case "onion_site":
		return "http://onion-" + strconv.Itoa(m.owner.number+1) + ".example.net/"
	case "live_chat":
		return "https://" + m.owner.host + "/chat"
	case "async_message":
		return "https://" + m.owner.host + "/write"
	case "video":
		return "https://" + m.owner.host + "/video"
	}
	return "https://" + m.owner.host + "/start"
}

// fact is a fact with where it is said.
func (m *maker) fact(value, page string) object {
	if value == listing.NotStated {
		return object{"value": value}
	}
	f := object{"basis": []string{"service_said", "editor_read", "editor_read"}[m.below(3)], "as_of": m.checked}
	if page == "costs" && m.percent(50) {
		f["basis"] = "editor_tested" // needs no page that says it
	} else {
		f["source_url"] = "https://" + m.owner.host + "/" + page
	}
	if value != "" {
		f["value"] = value
	}
	return f
}

func (m *maker) cost(kind string) object {
	value := "free"
	switch {
	case kind == "in_person" || kind == "video":
		value = []string{"insurance_covered", "insurance_covered", "free", "sliding"}[m.below(4)]
		m.doc["fees_description"] = m.bank.text(map[string]string{
			"free": "cost.free", "insurance_covered": "cost.insurance", "sliding": "cost.sliding"}[value])
	case kind == "phone" && m.percent(30):
		value = "free_from_country_only"
	}
	return m.fact(value, "costs")
}

func (m *maker) anonymity(kind string) object {
	code, key := "full", "anon.full"
	switch kind {
	case "in_person", "video":
		code, key = "name_required", "anon.name"
	case "callback", "email":
		code, key = "pseudonymous_ok", "anon.pseudonymous"
	case "live_chat", "async_message", "web_self_guided":
		if m.percent(50) {
			code, key = "technical_trace", "anon.trace"
		}
	case "phone":
		if m.percent(20) {
			code, key = "pseudonymous_ok", "anon.pseudonymous"
		}
	}
	if m.percent(5) {
		return object{"value": listing.NotStated}
	}
	f := m.fact(code, "privacy")
	if !m.brief {
		f["text"] = m.bank.text(key)
	}
	return f
}

// retention is told in the words of the service.
func (m *maker) retention(kind string) object {
	key := "kept.none"
	switch kind {
	case "in_person", "video":
		key = "kept.record"
	case "email": // kept somewhere, as mail is, and nobody says for how long
		return object{"value": listing.NotStated}
	case "live_chat", "async_message":
		key = "kept.days"
	}
	if m.percent(10) {
		return object{"value": listing.NotStated}
	}
	return m.fact(m.bank.text(key), "privacy")
}

// conditions are those that the variants of the text "breach" name.
var conditions = [...][]string{
	{"identifiable_child_at_risk"},
	{"planned_serious_offence", "risk_to_self"},
	{"court_order", "identifiable_child_at_risk"},
}

// breach is the same for every channel of a listing, and so told in words at
// the first only.
func (m *maker) breach(id string) object {
	if id == "c1" {
		m.rule = newDice(m.seed, "breach "+m.code, m.i).below(len(conditions) + 1)
	}
	if m.rule == len(conditions) && m.i%2 == 1 {
		return object{"value": listing.NotStated}
	}
	rule := m.rule % len(conditions)
	f := m.fact("", "privacy")
	f["conditions"] = list(conditions[rule])
	f["jurisdiction"] = m.code
	if id == "c1" {
		m.told = phrase{"breach", rule}
		f["text"] = m.bank.say(m.told)
	}
	return f
}

// week is a pattern of opening hours.
type week struct {
	days          []string
	opens, closes string
}

var (
	workdays = []string{"MO", "TU", "WE", "TH", "FR"}
	everyDay = []string{"MO", "TU", "WE", "TH", "FR", "SA", "SU"}
	weeks    = []week{
		{workdays, "09:00", "17:00"},
		{workdays, "10:00", "14:00"},
		{[]string{"TU", "TH"}, "18:00", "21:00"},
		{[]string{"MO", "WE"}, "14:00", "19:30"},
		{[]string{"WE"}, "13:00", "16:00"},
		{everyDay, "18:00", "02:00"},
	}
)

func (m *maker) hours(kind string) object {
	zone := m.country.zone
	switch {
	case m.sort.kind == "crisis" && kind == "phone", kind == "web_self_guided", kind == "onion_site", kind == "async_message":
		return object{"zone": zone, "always_open": true}
	case m.percent(6):
		return object{"not_stated": true}
	}
	w := weeks[m.below(len(weeks))]
	if kind == "in_person" {
		w = weeks[m.below(4)]
	}
	var spans []any
	for _, day := range w.days {
		spans = append(spans, object{"day": day, "opens": w.opens, "closes": w.closes})
	}
	h := object{"zone": zone, "weekly": spans}
	if m.percent(20) {
		date := m.today.AddDate(0, 0, 1+m.below(60))
		h["exceptions"] = []any{object{"date": date.Format(time.DateOnly), "closed": true}}
	}
	return h
}
