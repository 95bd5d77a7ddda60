package fiction

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/listing"
)

type object = map[string]any

// perOrganization is how many listings one organization has. It divides
// [Cycle], so a pair of companions has one organization.
const perOrganization = 4

// maker makes one listing.
type maker struct {
	*dice
	slot
	seed    uint64
	code    string // of the country
	country country
	i       int
	today   time.Time
	tag     string // language of the texts
	bank    bank
	owner   owner
	where   place
	checked string   // day of the last check
	age     int      // of that check, in days
	said    []phrase // of the description
	told    phrase   // of what would make the service tell someone; zero: not stated
	rule    int      // which of the conditions for that
	brief   bool     // says little more than it must, as many listings do
	doc     object
}

// owner is what the listings of one organization share.
type owner struct {
	number int
	noun   phrase
	kind   string
	host   string // under example.org
}

var ownerKinds = []string{"charity", "health", "university", "public_authority", "charity", "private_practice"}

func newMaker(seed uint64, c country, code string, i int, today time.Time) *maker {
	m := &maker{dice: newDice(seed, "listing "+code, i), slot: pattern[i%Cycle], seed: seed, code: code, country: c, i: i}
	y, month, day := today.UTC().Date()
	m.today = time.Date(y, month, day, 0, 0, 0, 0, time.UTC)

	number := i / perOrganization
	d := newDice(seed, "owner "+code, number)
	m.owner = owner{number: number, noun: phrase{"noun", d.below(12)}, kind: ownerKinds[d.below(len(ownerKinds))]}
	word := strings.ToLower(banks()["en"].say(m.owner.noun))
	m.owner.host = word + strconv.Itoa(number+1) + "." + strings.ToLower(code) + ".example.org"

	// The languages move on with every round, so that a country has every sort of
	// listing in each of them however many it has.
	m.tag = c.mix[(i%Cycle/perOrganization+i/Cycle)%len(c.mix)]
	m.bank = banks()[m.tag]
	return m
}

func (m *maker) document() listing.Document {
	id := m.uuid() // first, so that ID needs nothing else
	m.brief = m.percent(65)
	places := m.country.in(m.tag)
	m.where = places[m.below(len(places))]
	m.age = m.checkAge()
	m.checked = m.day(-m.age)
	m.doc = object{
		"id":            id,
		"name":          m.name(m.bank),
		"status":        string(listing.Active),
		"organization":  m.organization(),
		"languages":     m.languages(),
		"text_language": m.spoken()[0],
		"licence":       "CC-BY-4.0",
	}
	if m.gone {
		m.stub()
		return m.doc
	}
	m.texts()
	m.people()
	m.provenance()
	m.coverage()
	m.channels()
	m.location()
	m.condition()
	if m.percent(20) || (m.tag == "mt" && !m.brief) {
		m.translate()
	}
	return m.doc
}

// day is the date so many days from today.
func (m *maker) day(offset int) string { return m.today.AddDate(0, 0, offset).Format(time.DateOnly) }

// checkAge is how many days ago the listing was last checked: within its cadence, or
// for the stale ones beyond it, by more in each round.
func (m *maker) checkAge() int {
	days := m.sort.days
	if !Stale(m.i) {
		return 1 + m.below(days*9/10)
	}
	days += days/60 + 3 // above the true cadence
	return [...]int{days, days*2 - 12, days * 3, days*4 + 10}[m.i/Cycle%4]
}

// name is "Birch Therapy Service Kraków 7 (fictional)" in the language of b.
func (m *maker) name(b bank) string {
	word := b.say(m.owner.noun)
	if m.place == address || m.place == local {
		word += " " + m.where.city
	}
	return with(b.text("name."+m.sort.key), word+m.serial())
}

// serial tells organizations of the same name apart.
func (m *maker) serial() string {
	if m.owner.number < 12 {
		return ""
	}
	return " " + strconv.Itoa(m.owner.number+1)
}

func (m *maker) organization() object {
	o := object{
		"id":            numbered(m.seed, "organization "+m.code, m.owner.number),
		"name":          with(m.bank.text("org."+m.owner.kind), m.bank.say(m.owner.noun)+m.serial()),
		"website":       "https://" + m.owner.host + "/",
		"operator_type": m.owner.kind,
	}
	if m.owner.number%3 == 0 {
		o["description"] = m.bank.say(phrase{"orgtext", m.owner.number / 3})
		o["email"] = "info@" + m.owner.host
	}
	return o
}

// languageNames are the names of the languages in themselves.
var languageNames = map[string]string{
	"pl": "polski", "de": "Deutsch", "it": "italiano", "el": "ελληνικά", "en": "English", "cs": "čeština",
	"nl": "Nederlands", "fr": "français", "lt": "lietuvių", "no": "norsk", "sv": "svenska", "fi": "suomi", "mt": "Malti",
	"uk": "українська", "ar": "العربية",
}

// spoken are the tags of the languages of the service; the first is that of its texts.
func (m *maker) spoken() []string {
	tags := []string{m.tag}
	d := newDice(m.seed, "spoken "+m.code, m.i)
	if m.tag != "en" && d.percent(45) {
		tags = append(tags, "en")
	}
	if d.percent(12) {
		tags = append(tags, []string{"uk", "ar"}[d.below(2)])
	}
	return tags
}

func (m *maker) languages() []any {
	var list []any
	for _, tag := range m.spoken() {
		list = append(list, object{"id": m.uuid(), "code": tag, "name": languageNames[tag]})
	}
	return list
}

// stub turns the document into what is left of a closed service.
func (m *maker) stub() {
	m.doc["status"] = string(listing.Defunct)
	m.doc["description"] = m.bank.text("gone")
	m.doc["defunct_since"] = m.day(-100 - m.below(1500))
	m.doc["successors"] = []any{ID(m.seed, m.code, m.i-2)}
	m.doc["audience"] = list(m.sort.audience)
	m.doc["service_types"] = list(m.sort.types)
}

// description is who it is for, what it is, what happens and a word of
// encouragement.
func (m *maker) description() []phrase {
	contact := "contact.write"
	switch m.sort.channels[0] {
	case "phone":
		contact = "contact.phone"
	case "in_person":
		contact = "contact.visit"
	case "web_self_guided":
		contact = "contact.web"
	case "email": // whoever writes there has an address that names them
		contact = "contact.visit"
	}
	said := []phrase{{m.sort.who, m.below(6)}}
	what := "what." + m.sort.key
	if m.brief {
		return append(said, phrase{what, m.below(2)}, phrase{contact, m.below(2)})
	}
	said = append(said, phrase{what, 0}, phrase{what, 1}, phrase{contact, m.below(2)})
	if m.percent(50) && m.sort.who != "who.professional" {
		said = append(said, phrase{"tone", m.below(3)})
	}
	return said
}

func (m *maker) texts() {
	said := m.description()
	m.doc["description"] = m.bank.sentences(said)
	m.said = said
	m.doc["url"] = "https://" + m.owner.host + "/" + m.sort.key
	if m.brief {
		return
	}
	m.doc["eligibility_description"] = m.bank.text(m.eligibility())
	m.doc["application_process"] = m.bank.text("apply.self")
	if m.sort.referral == "any" {
		m.doc["application_process"] = m.bank.text("apply.referral")
	}
}

func (m *maker) eligibility() string {
	switch {
	case m.sort.who == "who.professional":
		return "elig.professional"
	case m.sort.maxAge > 0:
		return "elig.youth"
	case m.sort.minAge > 0:
		return "elig.adult"
	}
	return "elig.any"
}

// people says who may come.
func (m *maker) people() {
	s := m.sort
	m.doc["audience"] = list(s.audience)
	m.doc["service_types"] = list(s.types)
	m.doc["formats"] = list(s.formats)
	if len(s.settings) > 0 {
		m.doc["settings"] = list(s.settings)
	}
	if !m.brief {
		m.doc["prevention_levels"] = list(s.levels)
		m.doc["objectives"] = []any{s.objective}
	}
	m.doc["referral"] = []any{s.referral}
	m.doc["gender"] = []string{"any", "any", "any", "men", "all_genders"}[m.below(5)]
	if s.kind != "" {
		m.doc["kind"] = s.kind
	}
	if s.visible != "" {
		m.doc["visibility"] = s.visible
	}
	if s.minAge > 0 {
		m.doc["minimum_age"] = int64(s.minAge)
	}
	if s.maxAge > 0 {
		m.doc["maximum_age"] = int64(s.maxAge)
	}
	if s.minAge < 18 && s.who != "who.professional" {
		m.doc["guardian_consent"] = []string{"none", "none", "from_age:14", "not_stated"}[m.below(4)]
	}
	m.doc["evidence"] = []string{"not_rated", "not_rated", "pioneering", "prudent", "promising"}[m.below(5)]
}

// list is a list of a document, of its own.
func list(codes []string) []any {
	out := make([]any, len(codes))
	for i, c := range codes {
		out[i] = c
	}
	return out
}

// degrees rounds a coordinate to four decimals, about ten metres.
func degrees(x float64) any {
	x = math.Round(x*1e4) / 1e4
	if x == math.Trunc(x) {
		return int64(x) // the only form that a document keeps of a whole number
	}
	return x
}
