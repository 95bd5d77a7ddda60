package listing

// NotStated is the value of a fact about which the service says nothing. It is
// shown as such; it is never the same as a blank.
const NotStated = "not_stated"

// Profile holds what the profile hsds-2ps adds to an HSDS service. Its fields
// stand beside the HSDS ones in the same JSON object, as HSDS profiles do.
type Profile struct {
	Kind                        Kind          `json:"kind"`              // help when absent
	TextLanguage                string        `json:"text_language"`     // BCP 47 tag in which the listing's own texts are written; absent: the country's language
	Visibility                  Visibility    `json:"visibility"`        // public when absent
	Audience                    []string      `json:"audience"`          // codes of VocabularyAudience
	ServiceTypes                []string      `json:"service_types"`     // codes of VocabularyServiceType
	Formats                     []string      `json:"formats"`           // individual, group, self_paced
	Settings                    []string      `json:"settings"`          // online, outpatient_clinic, …
	Gender                      string        `json:"gender"`            // any, men, women, all_genders
	GuardianConsent             string        `json:"guardian_consent"`  // none, required, from_age:N, not_stated
	PreventionLevels            []string      `json:"prevention_levels"` // primary, secondary, tertiary
	Objectives                  []string      `json:"objectives"`        // the four of the JRC
	Evidence                    string        `json:"evidence"`          // effective, promising, prudent, pioneering, not_rated
	Referral                    []string      `json:"referral"`          // self, professional, court, any
	Capacity                    *DatedFact    `json:"capacity_status"`   // open, limited, closed_to_new, not_stated
	Waiting                     *DatedFact    `json:"waiting"`           // none, days, weeks, months, not_stated
	Coverage                    *Coverage     `json:"coverage"`          // where a person must be to use it
	Channels                    []Channel     `json:"channels"`          // ways to make contact
	TopicAcceptance             *DatedFact    `json:"topic_acceptance"`  // confirmed_by_service, stated_publicly, not_confirmed
	ListingBasis                string        `json:"listing_basis"`     // how it came to be listed
	Source                      string        `json:"source"`            // where its facts come from (address of a page)
	Licence                     string        `json:"licence"`           // under which its text may be reused (SPDX id)
	AlertUntil                  string        `json:"alert_until"`       // date after which HSDS alert is no longer shown
	AddressPrecision            string        `json:"address_precision"` // full (absent), region, hidden
	Region                      *Region       `json:"region"`            // what is left of a place that is not shown
	Companions                  []string      `json:"companions"`        // listing ids shown together with this one or not at all
	Successors                  []string      `json:"successors"`        // listing ids to try instead of a closed one
	DefunctSince                string        `json:"defunct_since"`     // date
	ExternalIDs                 []ExternalID  `json:"external_ids"`      // ids in other directories
	Translations                Translations  `json:"translations"`      // per language tag, per field
	Verification                *Verification `json:"verification"`      // of the whole listing
	ConfidentialityVerification *Verification `json:"confidentiality_verification"`
	FundingUntil                string        `json:"funding_until" share:"never"`  // private: never leaves the node
	Notes                       string        `json:"internal_notes" share:"never"` // private: never leaves the node
}

// Kind of a listing. Reporting hotlines never stand among help.
type Kind string

// The kinds of a listing.
const (
	KindHelp         Kind = "help"
	KindCrisis       Kind = "crisis"
	KindReporting    Kind = "reporting_hotline"
	KindProfessional Kind = "professional_resource"
)

// Visibility says who is shown a listing by default. It is a display filter,
// not secrecy: every feed is public.
type Visibility string

// The visibilities of a listing.
const (
	VisiblePublic        Visibility = "public"
	VisibleProfessionals Visibility = "professionals"
	VisibleNobody        Visibility = "nobody" // the cautious reading of an unknown value
)

// Fact is a safety fact with its provenance: the service said it, or an editor
// read or tested it. The software displays facts and never asserts them.
type Fact struct {
	Value        string `json:"value"` // a code or text; NotStated when the service is silent
	Text         string `json:"text"`  // the service's own words, if any
	Basis        string `json:"basis"` // service_said, editor_read, editor_tested
	SourceURL    string `json:"source_url"`
	AsOf         string `json:"as_of"`        // date
	Jurisdiction string `json:"jurisdiction"` // ISO 3166-1 alpha-2
}

// DatedFact is a fact that ages quickly.
type DatedFact struct {
	Value  string `json:"value"`
	AsOf   string `json:"as_of"`
	Source string `json:"source"`
}

// Breach says what would make the service tell someone.
type Breach struct {
	Conditions []string `json:"conditions"` // codes of VocabularyBreach; empty with Value NotStated
	Fact
}

// Channel is one way to make contact. Safety facts belong to it, not to the
// listing as a whole.
type Channel struct {
	ID           string        `json:"id"`
	Type         string        `json:"type"`                  // code of VocabularyChannel
	Value        string        `json:"value" share:"channel"` // number, address or link
	NumberKind   string        `json:"number_kind"`           // for phones: international (absent) or national_short_code
	Label        string        `json:"label"`
	Languages    []string      `json:"languages"`   // BCP 47 tags spoken
	Interpreter  string        `json:"interpreter"` // free text, or a list of tags separated by spaces
	ResponseTime string        `json:"response_time"`
	Status       string        `json:"status"` // active (absent), paused
	Hours        *Hours        `json:"hours"`
	Cost         *Fact         `json:"cost"`      // free, insurance_covered, sliding, paid, free_from_country_only, not_stated
	FreeFrom     []string      `json:"free_from"` // countries it is free from
	Anonymity    *Fact         `json:"anonymity"` // full, pseudonymous_ok, technical_trace, name_required, official_id_required, not_stated
	Retention    *Fact         `json:"retention"` // what is kept and how long
	Breach       *Breach       `json:"breach"`    // what would make them tell someone
	Verification *Verification `json:"verification"`
}

// Hours are opening hours in the wall clock of an IANA zone.
type Hours struct {
	Zone       string      `json:"zone"`
	AlwaysOpen bool        `json:"always_open"`
	NotStated  bool        `json:"not_stated"`
	Weekly     []Span      `json:"weekly"`
	Exceptions []Exception `json:"exceptions"`
	AsOf       string      `json:"as_of"`
	SourceURL  string      `json:"source_url"`
}

// Span is one opening on one day of the week. A span that closes at or before
// the hour at which it opens runs past midnight.
type Span struct {
	Day    string `json:"day"`    // MO TU WE TH FR SA SU
	Opens  string `json:"opens"`  // "09:00"
	Closes string `json:"closes"` // "17:00", "24:00"
}

// Exception replaces the weekly hours of one date.
type Exception struct {
	Date   string `json:"date"`
	Closed bool   `json:"closed"`
	Opens  string `json:"opens"`
	Closes string `json:"closes"`
	Note   string `json:"note"`
}

// Coverage says from where a listing can be used.
type Coverage struct {
	Countries           []string `json:"countries"`            // ISO 3166-1 alpha-2
	Regions             []string `json:"regions"`              // ISO 3166-2
	LanguageCommunities []string `json:"language_communities"` // BCP 47
	Global              bool     `json:"global"`
	AnyEU               bool     `json:"eu_any"`
	Residency           bool     `json:"residency_required"`
	Citizenship         bool     `json:"citizenship_required"`
	Insurance           bool     `json:"insurance_required"`
}

// Region stands for a place that is not shown: its name, code and centroid.
type Region struct {
	Code      string   `json:"code"` // ISO 3166-2
	Name      string   `json:"name"`
	Latitude  *float64 `json:"latitude" share:"coarse"`
	Longitude *float64 `json:"longitude" share:"coarse"`
}

// ExternalID is the id of the same service in another directory.
type ExternalID struct {
	Scheme string `json:"scheme"`
	ID     string `json:"id"`
}

// Translations holds texts by language tag and by field name.
type Translations map[string]map[string]Translation

// Translation is the text of one field in one language.
type Translation struct {
	Text           string `json:"text"`
	SourceRevision int    `json:"source_revision"` // revision of the field that it translates
	By             string `json:"by"`              // human, machine
	Outdated       bool   `json:"outdated"`        // the original says something else since
}

// Verification says when, how and by which role something was last checked.
type Verification struct {
	Level   int    `json:"level"`  // 0 to 4
	Method  string `json:"method"` // called, emailed, provider_attested, web_only, official_register
	Date    string `json:"date"`
	ByRole  string `json:"by_role"`
	NextDue string `json:"next_due"`
}
