// Package listing says what a listing is and when it is fit to publish.
//
// A listing is an HSDS 3.2.3 service with its organization, locations and
// channels, extended by the profile hsds-2ps (the fields of [Profile]).
// It exists in two forms. A [Document] is the tree as it was given, with every
// field, known or not: it is what is stored, signed and served. A [Listing] is
// the typed view of a document: it is what is validated, searched and shown.
package listing

// Listing is the typed view of one HSDS service. Field names and meanings are
// those of HSDS 3.2.3; the zero value of a field means that it is absent.
// Dates are text as HSDS has them ("2026-11-23").
type Listing struct {
	ID                     string              `json:"id"`
	OrganizationID         string              `json:"organization_id"`
	ProgramID              string              `json:"program_id"`
	Name                   string              `json:"name"`
	AlternateName          string              `json:"alternate_name"`
	Description            string              `json:"description"`
	URL                    string              `json:"url"`
	AdditionalURLs         []URL               `json:"additional_urls"`
	Email                  string              `json:"email"`
	Status                 Status              `json:"status"`
	InterpretationServices string              `json:"interpretation_services"`
	ApplicationProcess     string              `json:"application_process"`
	FeesDescription        string              `json:"fees_description"`
	WaitTime               string              `json:"wait_time"`
	Fees                   string              `json:"fees"`
	Accreditations         string              `json:"accreditations"`
	EligibilityDescription string              `json:"eligibility_description"`
	MinimumAge             *float64            `json:"minimum_age"`
	MaximumAge             *float64            `json:"maximum_age"`
	AssuredDate            string              `json:"assured_date"`
	AssurerEmail           string              `json:"assurer_email" share:"never"`
	Licenses               string              `json:"licenses"`
	Alert                  string              `json:"alert"`
	LastModified           string              `json:"last_modified"`
	Phones                 []Phone             `json:"phones"`
	Schedules              []Schedule          `json:"schedules"`
	ServiceAreas           []ServiceArea       `json:"service_areas"`
	ServiceAtLocations     []ServiceAtLocation `json:"service_at_locations"`
	Languages              []Language          `json:"languages"`
	Organization           *Organization       `json:"organization"`
	Funding                []Funding           `json:"funding"`
	CostOptions            []CostOption        `json:"cost_options"`
	Program                *Program            `json:"program"`
	RequiredDocuments      []RequiredDocument  `json:"required_documents"`
	Contacts               []Contact           `json:"contacts"`
	Capacities             []ServiceCapacity   `json:"capacities"`
	Attributes             []Attribute         `json:"attributes"`
	Metadata               []Metadata          `json:"metadata" share:"never"`

	Profile

	size int // of the public body in bytes, 0 when it is not known
}
