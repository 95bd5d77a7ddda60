package listing

import (
	"strconv"
	"time"
)

// details checks what may be left out but, once given, must be right.
func (c *checker) details() {
	l := c.l
	c.codes("formats", VocabularyFormat, l.Formats)
	c.codes("settings", VocabularySetting, l.Settings)
	c.codes("prevention_levels", VocabularyPreventionLevel, l.PreventionLevels)
	c.codes("objectives", VocabularyObjective, l.Objectives)
	c.codes("referral", VocabularyReferral, l.Referral)
	c.code("gender", VocabularyGender, l.Gender, false)
	c.code("evidence", VocabularyEvidence, l.Evidence, false)
	c.datedFact("capacity_status", VocabularyCapacity, l.Capacity)
	c.datedFact("waiting", VocabularyWaiting, l.Waiting)
	c.datedFact("topic_acceptance", VocabularyTopicAcceptance, l.TopicAcceptance)
	c.page("url", l.URL)
	c.page("source", l.Source)
	if l.Organization != nil {
		c.page("organization.website", l.Organization.Website)
	}
	c.date("alert_until", l.AlertUntil, false)
	c.date("defunct_since", l.DefunctSince, false)
	c.code("address_precision", VocabularyPrecision, l.AddressPrecision, false)
	if l.PrecisionValue() == PrecisionRegion && (l.Region == nil || blank(l.Region.Name+l.Region.Code)) {
		c.add("region", CodeMissing, "Only the region is to be shown, and none is given. Name it.")
	}
	if r := l.Region; r != nil {
		c.point("region", r.Latitude, r.Longitude)
	}
	for i, s := range l.ServiceAtLocations {
		if s.Location != nil {
			c.point("service_at_locations["+strconv.Itoa(i)+"].location", s.Location.Latitude, s.Location.Longitude)
		}
	}
	c.verification("verification", l.Verification)
	c.verification("confidentiality_verification", l.ConfidentialityVerification)
	for i, id := range l.Companions {
		if id == l.ID {
			c.add("companions["+strconv.Itoa(i)+"]", CodeDangling, "The listing names itself as its companion. Leave it out.")
		}
	}
}

// page checks the address of a page, which readers follow and clients of HSDS want
// with its scheme.
func (c *checker) page(path, address string) {
	if !blank(address) && !webAddress(address) {
		c.add(path, CodeBadValue, "This is no web address. Write it with https:// in front.")
	}
}

func (c *checker) verification(path string, v *Verification) {
	if v == nil {
		return
	}
	c.code(path+".method", VocabularyMethod, v.Method, true)
	c.date(path+".date", v.Date, true)
	c.date(path+".next_due", v.NextDue, false)
	if v.Level < 0 || v.Level > 4 {
		c.add(path+".level", CodeBadValue, "The level of a verification is 0 to 4. Correct it.")
	}
}

func (c *checker) datedFact(path, vocabulary string, f *DatedFact) {
	if f == nil {
		return
	}
	c.code(path+".value", vocabulary, f.Value, true)
	c.date(path+".as_of", f.AsOf, f.Value != NotStated && f.Value != AcceptanceNotConfirmed)
}

func (c *checker) point(path string, lat, lon *float64) {
	if lat != nil && (*lat < -90 || *lat > 90) {
		c.add(path+".latitude", CodeBadValue, "A latitude lies between -90 and 90. Correct it or leave it out.")
	}
	if lon != nil && (*lon < -180 || *lon > 180) {
		c.add(path+".longitude", CodeBadValue, "A longitude lies between -180 and 180. Correct it or leave it out.")
	}
}

// code checks one code of a vocabulary.
func (c *checker) code(path, vocabulary, code string, must bool) {
	switch {
	case blank(code) && must:
		c.add(path, CodeMissing, "Nothing is said here. Choose one of: %s.", choices(vocabulary))
	case code != "" && !Known(vocabulary, code):
		c.badCode(path, vocabulary, code)
	}
}

func (c *checker) codes(path, vocabulary string, codes []string) {
	for i, code := range codes {
		if !Known(vocabulary, code) {
			c.badCode(path+"["+strconv.Itoa(i)+"]", vocabulary, code)
		}
	}
}

func (c *checker) date(path, date string, must bool) {
	if blank(date) {
		if must {
			c.add(path, CodeMissing, "The date is missing. Write it as 2026-11-23.")
		}
		return
	}
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		c.add(path, CodeBadValue, "This is no date. Write it as 2026-11-23.")
	}
}

// IsLanguage reports whether a text is written as the tag of a language (BCP 47).
func IsLanguage(tag string) bool { return languageTag.MatchString(tag) }

// IsCountry reports whether a text is written as the code of a country (ISO 3166-1
// alpha-2).
func IsCountry(code string) bool { return countryCode.MatchString(code) }

func (c *checker) countries(path string, codes []string) {
	for i, code := range codes {
		if !countryCode.MatchString(code) {
			c.add(path+"["+strconv.Itoa(i)+"]", CodeBadCode, "%.20q is no code of a country, such as LT. Correct it.", code)
		}
	}
}

func (c *checker) tags(path string, tags []string) {
	for i, tag := range tags {
		if !languageTag.MatchString(tag) {
			c.add(path+"["+strconv.Itoa(i)+"]", CodeBadCode, "%.20q is no tag of a language, such as lt or nb-NO. Correct it.", tag)
		}
	}
}
