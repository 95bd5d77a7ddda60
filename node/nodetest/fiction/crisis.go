package fiction

import "time"

// Contact is one line of a country's crisis contacts.
type Contact struct {
	Kind      string            // emergency, emotional_support, child_helpline
	Label     string            // in the country's first language
	Labels    map[string]string // by language tag, in every language of the country
	Value     string            // what is dialled
	ShortCode bool              // Value is dialled bare
	Languages []string          // that are spoken there
	AsOf      string            // date of the last check
}

// Crisis returns the crisis contacts to show in a demonstration of a country,
// the emergency number first; nil for a country not of [Countries].
//
// 112 is shown as it is: it is the real emergency number of all fourteen
// countries, and in a real emergency the right thing to dial even from a
// demonstration. Every other number is invented. The harmonised codes for
// emotional support and for child helplines are left out on purpose: they are
// reserved in the whole European Union but assigned country by country, and a
// number that may not answer must not be shown to a person in a crisis.
// [CrisisNote] says this to the reader.
func Crisis(country string, today time.Time) []Contact {
	c, ok := countries[country]
	if !ok {
		return nil
	}
	tags := Languages(country)
	d := newDice(0, "crisis "+country, 0)
	asOf := today.UTC().AddDate(0, 0, -d.below(14)).Format(time.DateOnly)
	contacts := []Contact{
		{Kind: "emergency", Label: "crisis.emergency", Value: "112", ShortCode: true},
		{Kind: "emotional_support", Label: "crisis.support", Value: d.number(c.phones)},
		{Kind: "child_helpline", Label: "crisis.child", Value: d.number(c.phones)},
	}
	for i := range contacts {
		contact := &contacts[i]
		contact.Labels = make(map[string]string, len(tags))
		for _, tag := range tags {
			contact.Labels[tag] = banks()[tag].text(contact.Label)
		}
		contact.Label = contact.Labels[tags[0]]
		contact.Languages, contact.AsOf = tags, asOf
	}
	return contacts
}

// CrisisNote says in a language that all numbers but 112 are invented; "" for a
// language that no country has.
func CrisisNote(language string) string { return note(language, "crisis.note") }

// LawNote is an invented note on the law of a country, to stand where a real
// one would, in a language; "" for a language that no country has.
func LawNote(language string) string { return note(language, "law") }

func note(language, key string) string {
	b, ok := banks()[language]
	if !ok {
		return ""
	}
	return b.text(key)
}
