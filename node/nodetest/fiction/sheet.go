package fiction

import (
	"time"

	"github.com/2ps-project/waymark/node/listing"
)

// Sheet returns an invented country sheet that is fit to publish on a day, in
// every language of the country: its contacts are those of [Crisis]. It is nil
// for a country not of [Countries].
func Sheet(country string, today time.Time) listing.Document {
	contacts := Crisis(country, today)
	if contacts == nil {
		return nil
	}
	tags := Languages(country)
	asOf := contacts[0].AsOf
	due := today.UTC().AddDate(0, 6, 0).Format(time.DateOnly)
	const source = "https://www.example.org/"
	crisis := make([]any, len(contacts))
	for i, c := range contacts {
		one := map[string]any{
			"kind": c.Kind, "type": "phone", "value": c.Value, "number_kind": listing.NumberInternational,
			"label": c.Label, "label_language": tags[0], "languages": c.Languages, "as_of": c.AsOf, "method": "called", "source_url": source,
			"hours": map[string]any{"zone": countries[country].zone, "always_open": true},
		}
		if c.ShortCode {
			one["number_kind"] = listing.NumberShortCode
		}
		crisis[i] = one
	}
	law, statements := make([]any, len(tags)), make([]any, len(tags))
	for i, tag := range tags {
		law[i] = map[string]any{"language": tag, "text": LawNote(tag), "as_of": asOf, "review_due": due, "reviewed_by": "Example", "source_url": source}
		statements[i] = map[string]any{"language": tag, "text": note(tag, "sheet.operator") + " " + CrisisNote(tag), "as_of": asOf}
	}
	return listing.Document{
		"crisis_contacts": crisis, "law_notes": law, "operator_statement": statements,
		"exit_target":    map[string]any{"url": "https://weather.example.org/", "label": note(tags[0], "sheet.exit"), "language": tags[0], "as_of": asOf},
		"notice_contact": map[string]any{"value": "notices@example.org", "languages": tags, "as_of": asOf},
	}
}
