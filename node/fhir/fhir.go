// Package fhir writes listings as FHIR R4 resources of a Care Services Directory
// (IHE mCSD): HealthcareService, Organization and Location.
package fhir

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/hsds"
)

// Version is the version of FHIR that this package writes.
const Version = "4.0.1"

// Resource is a resource of one of the three types.
type Resource struct {
	ResourceType string       `json:"resourceType"`
	ID           string       `json:"id"`
	Meta         Meta         `json:"meta"`
	Identifier   []Identifier `json:"identifier,omitempty"`
	Active       *bool        `json:"active,omitempty"`
	Status       string       `json:"status,omitempty"` // of a Location
	Mode         string       `json:"mode,omitempty"`   // of a Location

	ProvidedBy *Reference  `json:"providedBy,omitempty"`
	Category   []Concept   `json:"category,omitempty"`
	Type       []Concept   `json:"type,omitempty"`
	Location   []Reference `json:"location,omitempty"`
	Name       string      `json:"name,omitempty"`
	Alias      []string    `json:"alias,omitempty"`

	Description            string        `json:"description,omitempty"` // of a Location
	Comment                string        `json:"comment,omitempty"`
	Telecom                []Telecom     `json:"telecom,omitempty"`
	Address                *Address      `json:"address,omitempty"`
	PhysicalType           *Concept      `json:"physicalType,omitempty"`
	Position               *Position     `json:"position,omitempty"`
	ManagingOrganization   *Reference    `json:"managingOrganization,omitempty"`
	PartOf                 *Reference    `json:"partOf,omitempty"`
	Eligibility            []Eligibility `json:"eligibility,omitempty"`
	Program                []Concept     `json:"program,omitempty"`
	Characteristic         []Concept     `json:"characteristic,omitempty"`
	Communication          []Concept     `json:"communication,omitempty"`
	ReferralMethod         []Concept     `json:"referralMethod,omitempty"`
	AvailableTime          []Available   `json:"availableTime,omitempty"`
	NotAvailable           []Unavailable `json:"notAvailable,omitempty"`
	AvailabilityExceptions string        `json:"availabilityExceptions,omitempty"`
}

// The elements of resources, as FHIR R4 has them.
type (
	// Meta says which version of a resource this is.
	Meta struct {
		VersionID   string `json:"versionId,omitempty"`   // changes with what is served, and only then
		LastUpdated string `json:"lastUpdated,omitempty"` // instant
		Tag         []Code `json:"tag,omitempty"`
	}
	// Code is a Coding.
	Code struct {
		System  string `json:"system,omitempty"`
		Code    string `json:"code,omitempty"`
		Display string `json:"display,omitempty"`
	}
	// Concept is a CodeableConcept.
	Concept struct {
		Coding []Code `json:"coding,omitempty"`
		Text   string `json:"text,omitempty"`
	}
	// Identifier is an id in some system.
	Identifier struct {
		Type   *Concept `json:"type,omitempty"`
		System string   `json:"system,omitempty"`
		Value  string   `json:"value"`
	}
	// Reference names another resource, by its address or its identifier.
	Reference struct {
		Reference string `json:"reference,omitempty"`
		Display   string `json:"display,omitempty"`
	}
	// Telecom is a ContactPoint.
	Telecom struct {
		Extension []Extension `json:"extension,omitempty"`
		System    string      `json:"system"` // phone, email, url, other
		Value     string      `json:"value"`
	}
	// Extension has extensions of its own or a code.
	Extension struct {
		Extension []Extension `json:"extension,omitempty"`
		URL       string      `json:"url"`
		ValueCode string      `json:"valueCode,omitempty"`
	}
	// Address of a Location.
	Address struct {
		Type       string   `json:"type,omitempty"` // postal, physical
		Line       []string `json:"line,omitempty"`
		City       string   `json:"city,omitempty"`
		District   string   `json:"district,omitempty"`
		State      string   `json:"state,omitempty"`
		PostalCode string   `json:"postalCode,omitempty"`
		Country    string   `json:"country,omitempty"`
	}
	// Position in degrees, WGS 84.
	Position struct {
		Longitude float64 `json:"longitude"`
		Latitude  float64 `json:"latitude"`
	}
	// Eligibility says who can use a service.
	Eligibility struct {
		Comment string `json:"comment"`
	}
	// Available is when a service is open, on days of the week.
	Available struct {
		DaysOfWeek         []string `json:"daysOfWeek"`
		AllDay             bool     `json:"allDay,omitempty"`
		AvailableStartTime string   `json:"availableStartTime,omitempty"`
		AvailableEndTime   string   `json:"availableEndTime,omitempty"`
	}
	// Unavailable is why and when a service is not open.
	Unavailable struct {
		Description string  `json:"description"`
		During      *Period `json:"during,omitempty"`
	}
	// Period is from a day to another, both of it.
	Period struct {
		Start string `json:"start"`
		End   string `json:"end"`
	}
)

var idRule = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// ValidID reports whether FHIR can name a resource so.
func ValidID(id string) bool { return idRule.MatchString(id) }

// System is the coding system of a vocabulary of the federation: the id of its
// taxonomy in HSDS, the same on every node.
func System(vocabulary string) string { return "urn:uuid:" + hsds.TaxonomyID(vocabulary) }

// Instant writes a time as FHIR does.
func Instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// seal dates a resource and gives it its version.
func (r *Resource) seal(modified time.Time) {
	r.Meta.LastUpdated = Instant(modified)
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // texts, numbers and lists of them; numbers are checked where they are taken
	}
	sum := sha256.Sum256(b)
	r.Meta.VersionID = hex.EncodeToString(sum[:12])
}

// line is a text as FHIR may hold it: no control characters but those of lines,
// no space around it.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.TrimSpace(s)
}

func lines(list ...string) (out []string) {
	for _, s := range list {
		if s = line(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

var codeRule = regexp.MustCompile(`^[^\s]+$`)

// concepts are codes of a vocabulary with their names; what is no code is left out.
func (w *Writer) concepts(vocabulary string, codes ...string) (out []Concept) {
	for _, c := range codes {
		if c = line(c); codeRule.MatchString(c) {
			name := line(w.Vocabulary.Label(vocabulary, c))
			out = append(out, Concept{Coding: []Code{{System(vocabulary), c, name}}, Text: name})
		}
	}
	return out
}

func (w *Writer) tags() []Code {
	if !w.Demo {
		return nil
	}
	return []Code{{"http://terminology.hl7.org/CodeSystem/v3-ActReason", "HTEST", "test health data"}}
}
