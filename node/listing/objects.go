package listing

// Status is the HSDS status of a service.
type Status string

// The statuses of HSDS 3.2.3.
const (
	Active            Status = "active"
	Inactive          Status = "inactive"
	Defunct           Status = "defunct"
	TemporarilyClosed Status = "temporarily closed"
)

// URL is a labelled web address.
type URL struct {
	ID             string      `json:"id"`
	Label          string      `json:"label"`
	URL            string      `json:"url"`
	OrganizationID string      `json:"organization_id"`
	ServiceID      string      `json:"service_id"`
	Attributes     []Attribute `json:"attributes"`
	Metadata       []Metadata  `json:"metadata" share:"never"`
}

// Phone is a telephone number and what it is for.
type Phone struct {
	ID                  string      `json:"id"`
	LocationID          string      `json:"location_id" share:"place"`
	ServiceID           string      `json:"service_id"`
	OrganizationID      string      `json:"organization_id"`
	ContactID           string      `json:"contact_id"`
	ServiceAtLocationID string      `json:"service_at_location_id"`
	Number              string      `json:"number"`
	Extension           *float64    `json:"extension"`
	Type                string      `json:"type"`
	Description         string      `json:"description"`
	Languages           []Language  `json:"languages"`
	Attributes          []Attribute `json:"attributes"`
	Metadata            []Metadata  `json:"metadata" share:"never"`
}

// Schedule is a rule of opening times in the terms of RFC 5545.
type Schedule struct {
	ID                  string      `json:"id"`
	ServiceID           string      `json:"service_id"`
	LocationID          string      `json:"location_id" share:"place"`
	ServiceAtLocationID string      `json:"service_at_location_id"`
	ValidFrom           string      `json:"valid_from"`
	ValidTo             string      `json:"valid_to"`
	Dtstart             string      `json:"dtstart"`
	Timezone            *float64    `json:"timezone"`
	Until               string      `json:"until"`
	Count               *float64    `json:"count"`
	Wkst                string      `json:"wkst"`
	Freq                string      `json:"freq"`
	Interval            *float64    `json:"interval"`
	Byday               string      `json:"byday"`
	Byweekno            string      `json:"byweekno"`
	Bymonthday          string      `json:"bymonthday"`
	Byyearday           string      `json:"byyearday"`
	Description         string      `json:"description"`
	OpensAt             string      `json:"opens_at"`
	ClosesAt            string      `json:"closes_at"`
	ScheduleLink        string      `json:"schedule_link"`
	AttendingType       string      `json:"attending_type"`
	Notes               string      `json:"notes"`
	Attributes          []Attribute `json:"attributes"`
	Metadata            []Metadata  `json:"metadata" share:"never"`
}

// ServiceArea is an area that a service covers.
type ServiceArea struct {
	ID                  string      `json:"id"`
	ServiceID           string      `json:"service_id"`
	ServiceAtLocationID string      `json:"service_at_location_id"`
	Name                string      `json:"name"`
	Description         string      `json:"description"`
	Extent              string      `json:"extent" share:"place"`
	ExtentType          string      `json:"extent_type" share:"place"`
	URI                 string      `json:"uri"`
	Attributes          []Attribute `json:"attributes"`
	Metadata            []Metadata  `json:"metadata" share:"never"`
}

// ServiceAtLocation is a service as it is given at one place.
type ServiceAtLocation struct {
	ID           string        `json:"id"`
	ServiceID    string        `json:"service_id"`
	LocationID   string        `json:"location_id" share:"place"`
	Description  string        `json:"description" share:"place"`
	ServiceAreas []ServiceArea `json:"service_areas" share:"place"`
	Contacts     []Contact     `json:"contacts"`
	Phones       []Phone       `json:"phones"`
	Schedules    []Schedule    `json:"schedules"`
	Location     *Location     `json:"location" share:"place"`
	Attributes   []Attribute   `json:"attributes"`
	Metadata     []Metadata    `json:"metadata" share:"never"`
}

// Language is a language in which a service, place or number can be used.
type Language struct {
	ID         string      `json:"id"`
	ServiceID  string      `json:"service_id"`
	LocationID string      `json:"location_id" share:"place"`
	PhoneID    string      `json:"phone_id"`
	Name       string      `json:"name"`
	Code       string      `json:"code"`
	Note       string      `json:"note"`
	Attributes []Attribute `json:"attributes"`
	Metadata   []Metadata  `json:"metadata" share:"never"`
}

// Organization is who provides a service.
type Organization struct {
	OperatorType            string                   `json:"operator_type"` // hsds-2ps: health, charity, university, public_authority, police_justice, peer_run, private_practice
	ID                      string                   `json:"id"`
	Name                    string                   `json:"name"`
	AlternateName           string                   `json:"alternate_name"`
	Description             string                   `json:"description"`
	Email                   string                   `json:"email"`
	Website                 string                   `json:"website"`
	AdditionalWebsites      []URL                    `json:"additional_websites"`
	TaxStatus               string                   `json:"tax_status"`
	TaxID                   string                   `json:"tax_id"`
	YearIncorporated        *float64                 `json:"year_incorporated"`
	LegalStatus             string                   `json:"legal_status"`
	Logo                    string                   `json:"logo"`
	URI                     string                   `json:"uri"`
	ParentOrganizationID    string                   `json:"parent_organization_id"`
	Funding                 []Funding                `json:"funding"`
	Contacts                []Contact                `json:"contacts"`
	Phones                  []Phone                  `json:"phones"`
	Locations               []Location               `json:"locations" share:"place"`
	Programs                []Program                `json:"programs"`
	OrganizationIdentifiers []OrganizationIdentifier `json:"organization_identifiers"`
	Attributes              []Attribute              `json:"attributes"`
	Metadata                []Metadata               `json:"metadata" share:"never"`
}

// Funding is a source of money.
type Funding struct {
	ID             string      `json:"id"`
	OrganizationID string      `json:"organization_id"`
	ServiceID      string      `json:"service_id"`
	Source         string      `json:"source"`
	Attributes     []Attribute `json:"attributes"`
	Metadata       []Metadata  `json:"metadata" share:"never"`
}

// CostOption is one price of a service.
type CostOption struct {
	ID                string      `json:"id"`
	ServiceID         string      `json:"service_id"`
	ValidFrom         string      `json:"valid_from"`
	ValidTo           string      `json:"valid_to"`
	Option            string      `json:"option"`
	Currency          string      `json:"currency"`
	Amount            *float64    `json:"amount"`
	AmountDescription string      `json:"amount_description"`
	Attributes        []Attribute `json:"attributes"`
	Metadata          []Metadata  `json:"metadata" share:"never"`
}

// Program groups services of an organization.
type Program struct {
	ID             string      `json:"id"`
	OrganizationID string      `json:"organization_id"`
	Name           string      `json:"name"`
	AlternateName  string      `json:"alternate_name"`
	Description    string      `json:"description"`
	Attributes     []Attribute `json:"attributes"`
	Metadata       []Metadata  `json:"metadata" share:"never"`
}

// RequiredDocument is a paper that a service asks for.
type RequiredDocument struct {
	ID         string      `json:"id"`
	ServiceID  string      `json:"service_id"`
	Document   string      `json:"document"`
	URI        string      `json:"uri"`
	Attributes []Attribute `json:"attributes"`
	Metadata   []Metadata  `json:"metadata" share:"never"`
}

// Contact is a role, or with consent a person, to turn to.
type Contact struct {
	ID                  string      `json:"id"`
	OrganizationID      string      `json:"organization_id"`
	ServiceID           string      `json:"service_id"`
	ServiceAtLocationID string      `json:"service_at_location_id"`
	LocationID          string      `json:"location_id" share:"place"`
	Name                string      `json:"name" share:"consent"`
	ConsentDate         string      `json:"consent_date"` // hsds-2ps: the date on which the person agreed to be named in public
	Title               string      `json:"title"`
	Department          string      `json:"department"`
	Email               string      `json:"email"`
	Phones              []Phone     `json:"phones"`
	Attributes          []Attribute `json:"attributes"`
	Metadata            []Metadata  `json:"metadata" share:"never"`
}

// ServiceCapacity is how much of something is free.
type ServiceCapacity struct {
	ID          string      `json:"id"`
	ServiceID   string      `json:"service_id"`
	Unit        *Unit       `json:"unit"`
	UnitID      string      `json:"unit_id"`
	Available   *float64    `json:"available"`
	Maximum     *float64    `json:"maximum"`
	Description string      `json:"description"`
	Updated     string      `json:"updated"`
	Attributes  []Attribute `json:"attributes"`
	Metadata    []Metadata  `json:"metadata" share:"never"`
}

// Unit is what a capacity counts.
type Unit struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	Scheme     string      `json:"scheme"`
	Identifier string      `json:"identifier"`
	URI        string      `json:"uri"`
	Attributes []Attribute `json:"attributes"`
	Metadata   []Metadata  `json:"metadata" share:"never"`
}

// Attribute links an object to a term of a taxonomy.
type Attribute struct {
	ID             string        `json:"id"`
	LinkID         string        `json:"link_id"`
	TaxonomyTermID string        `json:"taxonomy_term_id"`
	LinkType       string        `json:"link_type"`
	LinkEntity     string        `json:"link_entity"`
	Value          string        `json:"value"`
	TaxonomyTerm   *TaxonomyTerm `json:"taxonomy_term"`
	Metadata       []Metadata    `json:"metadata" share:"never"`
	Label          string        `json:"label"`
}

// TaxonomyTerm is one term of a taxonomy.
type TaxonomyTerm struct {
	ID             string     `json:"id"`
	Code           string     `json:"code"`
	Name           string     `json:"name"`
	Description    string     `json:"description"`
	ParentID       string     `json:"parent_id"`
	Taxonomy       string     `json:"taxonomy"`
	TaxonomyDetail *Taxonomy  `json:"taxonomy_detail"`
	Language       string     `json:"language"`
	TaxonomyID     string     `json:"taxonomy_id"`
	TermURI        string     `json:"term_uri"`
	Metadata       []Metadata `json:"metadata" share:"never"`
}

// Taxonomy is a named list of terms.
type Taxonomy struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	URI         string     `json:"uri"`
	Version     string     `json:"version"`
	Metadata    []Metadata `json:"metadata" share:"never"`
}

// Metadata is a change made to an object. It is private and never published.
type Metadata struct {
	ID               string `json:"id"`
	ResourceID       string `json:"resource_id"`
	ResourceType     string `json:"resource_type"`
	LastActionDate   string `json:"last_action_date"`
	LastActionType   string `json:"last_action_type"`
	FieldName        string `json:"field_name"`
	PreviousValue    string `json:"previous_value"`
	ReplacementValue string `json:"replacement_value"`
	UpdatedBy        string `json:"updated_by"`
}

// Location is a place, physical, postal or virtual.
type Location struct {
	ID                     string          `json:"id"`
	LocationType           string          `json:"location_type"`
	URL                    string          `json:"url"`
	OrganizationID         string          `json:"organization_id"`
	Name                   string          `json:"name"`
	AlternateName          string          `json:"alternate_name"`
	Description            string          `json:"description"`
	Transportation         string          `json:"transportation"`
	Latitude               *float64        `json:"latitude"`
	Longitude              *float64        `json:"longitude"`
	ExternalIdentifier     string          `json:"external_identifier"`
	ExternalIdentifierType string          `json:"external_identifier_type"`
	Languages              []Language      `json:"languages"`
	Addresses              []Address       `json:"addresses"`
	Contacts               []Contact       `json:"contacts"`
	Accessibility          []Accessibility `json:"accessibility"`
	Phones                 []Phone         `json:"phones"`
	Schedules              []Schedule      `json:"schedules"`
	Attributes             []Attribute     `json:"attributes"`
	Metadata               []Metadata      `json:"metadata" share:"never"`
}

// Address is where a location is.
type Address struct {
	ID            string      `json:"id"`
	LocationID    string      `json:"location_id" share:"place"`
	Attention     string      `json:"attention" share:"never"`
	Address1      string      `json:"address_1"`
	Address2      string      `json:"address_2"`
	City          string      `json:"city"`
	Region        string      `json:"region"`
	StateProvince string      `json:"state_province"`
	PostalCode    string      `json:"postal_code"`
	Country       string      `json:"country"`
	AddressType   string      `json:"address_type"`
	Attributes    []Attribute `json:"attributes"`
	Metadata      []Metadata  `json:"metadata" share:"never"`
}

// Accessibility says how a location can be reached and used.
type Accessibility struct {
	ID          string      `json:"id"`
	LocationID  string      `json:"location_id" share:"place"`
	Description string      `json:"description"`
	Details     string      `json:"details"`
	URL         string      `json:"url"`
	Attributes  []Attribute `json:"attributes"`
	Metadata    []Metadata  `json:"metadata" share:"never"`
}

// OrganizationIdentifier is the id of an organization in a register.
type OrganizationIdentifier struct {
	ID               string      `json:"id"`
	OrganizationID   string      `json:"organization_id"`
	IdentifierScheme string      `json:"identifier_scheme"`
	IdentifierType   string      `json:"identifier_type"`
	Identifier       string      `json:"identifier"`
	Attributes       []Attribute `json:"attributes"`
	Metadata         []Metadata  `json:"metadata" share:"never"`
}
