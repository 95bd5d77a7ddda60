// Package search answers questions over listings from memory: words in
// thirteen languages, facets with counts, distance, opening hours and an order
// that can be explained.
//
// An [Index] holds immutable snapshots. Readers take the newest one and never
// wait; [Index.Apply] makes the next. The index is a cache: whoever owns the
// listings can fill a new one from them at any time. It keeps nothing about a
// reader: no query, no word, no count.
//
// DESIGN.md beside this file tells how and why.
package search

import (
	"time"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// Doc is what search knows of one listing. The caller fills it from the public
// part of a listing; nothing else may go in. Strings and slices are not kept
// after [Index.Apply] returns.
type Doc struct {
	ID       string // with Country the identity; at most 200 bytes
	Country  string // ISO 3166-1 alpha-2 of the publisher, any case
	Revision uint64 // handed back in hits, so that a caller can tell an answer that is behind

	Texts  []Text             // what can be found by words; see [MaxText]
	Facets map[Facet][]string // audience, channel, anonymity, cost, format and service type: codes, at most 200 bytes each

	Languages []string // BCP 47 tags in which the service works; "de-AT" counts as "de"
	Coverage  []string // from where it can be used: ISO 3166-1 or 3166-2 (the caller spells out "the EU"); empty and not Global = from Country
	Global    bool     // usable from everywhere

	Communities []string // BCP 47: who speaks one of these can use it from everywhere

	MinAge, MaxAge int // years, both inclusive; 0 or below = no bound stated, so everybody from or up to there

	Points []Point // where it is; a hidden address gives its region's centroid

	Assured     int32   // day of the last check, days since 1970-01-01 UTC; 0 = not known, which reads as stale
	CadenceDays int     // how often it must be checked; 0 = 180
	LapseDays   int     // age at which it lapses; 0 = four times the cadence
	Hours       []Hours // one for each channel whose hours are stated and hold

	Keys []string // exact values by which it can be asked for, "organization/" and an id; see [KeyFilter]. Not counted, not found by words

	Companions []string // ids of the listings with which it is shown, mostly of the same country

	ProfessionalsOnly bool // left out unless [Query.Professional]
	AnonymousContact  bool // at least one channel asks for no name
}

// Text is one field in one language.
type Text struct {
	Language string // BCP 47; only the thirteen of [Languages] are stemmed, others are found by surface
	Weight   Weight
	Text     string
}

// Weight says how much a word counts by the field in which it stands.
type Weight uint8

// The weights of fields. The zero value is WeightBody.
const (
	WeightBody    Weight = iota // descriptions
	WeightSummary               // short texts
	WeightKeyword               // labels, places, organisation
	WeightName                  // names
)

// factor is how often a word of a field counts as standing there.
func (w Weight) factor() int {
	switch w {
	case WeightName:
		return 6
	case WeightKeyword:
		return 3
	case WeightSummary:
		return 2
	}
	return 1
}

// Facet is the name of a facet, as readers of the API write it.
type Facet string

// The facets. The first six come from [Doc.Facets]; the others are computed.
const (
	Audience  Facet = "audience"
	Channel   Facet = "channel"
	Anonymity Facet = "anonymity"
	Cost      Facet = "cost"
	Format    Facet = "format"

	// ServiceType comes from [Doc.Facets] too. It is found by its labels, but is
	// none of [Facets]: nothing is filtered or counted by it.
	ServiceType Facet = "service_type"

	Freshness Facet = "freshness" // fresh, due, stale, demoted, lapsed; by the time of the query
	Age       Facet = "age"       // 12-17, 18-20, 21+; a question may also name an age in years, 15, or a range, 30-45
	OpenNow   Facet = "open_now"  // true, false, not_stated; by the time of the query

	// Country and Language are filters that are counted like facets: the
	// publisher, and the language of the service.
	Country  Facet = "country"
	Language Facet = "language"
)

// Facets returns the names of all facets and counted filters in the order in
// which they are explained.
func Facets() []Facet {
	return []Facet{Audience, Channel, Anonymity, Cost, Format, Freshness, Age, OpenNow, Country, Language}
}

// Point is a place on the WGS 84 sphere, in degrees.
type Point struct{ Latitude, Longitude float64 }

// Hours are the opening hours of one channel in the wall clock of its zone.
type Hours struct {
	Zone       string // IANA name; hours in an unknown zone say nothing
	AlwaysOpen bool
	Weekly     []Span      // at most 64
	Exceptions []Exception // at most 400; all of one date together replace its weekly hours
	Assured    int32       // day of the last check of the channel; 0 = that of the listing
}

// Span is one opening on one day of the week, in minutes after midnight. One
// that closes at or before it opens runs into the next day.
type Span struct {
	Day           time.Weekday
	Opens, Closes int16 // 0 to 1440
}

// Exception is one opening on one date, or with Closed none.
type Exception struct {
	Day           int32 // local date, days since 1970-01-01
	Closed        bool
	Opens, Closes int16
}

// Ref names one listing.
type Ref struct{ Country, ID string }

// Batch is a set of changes that become visible together. Deletes come first,
// so a Ref that also stands in Put is replaced. The last of several documents
// with one identity wins. Deleting what is not there is no error.
type Batch struct {
	Delete []Ref
	Erase  []Ref // deleted, and its words leave memory and, with the next Save, the disk
	Put    []Doc
	Built  []Built // more to put, made ahead with [Index.Build]; none that is in Put or in another
}

// Built are documents that the index has made ready, so that a large batch need not
// be held as documents until all of it is there.
type Built struct {
	added  []view
	idents []string
}

// Bounds on what one document may hold. What is over them is left out of the
// index, not refused: a foreign listing must not stop a batch.
const (
	MaxText   = 64 << 10 // bytes of all texts together
	maxTexts  = 1024
	maxIDLen  = 200 // of an id or a code: over it the document is refused
	maxCodes  = 256 // codes of one facet, languages or places of one document
	maxPoints = 64
	maxHours  = 32
)

// Languages returns the codes of the languages whose inflections are
// understood. A text in another language is found by its words as written.
func Languages() []string { return analysis.Languages() }
