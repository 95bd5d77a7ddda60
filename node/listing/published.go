package listing

import (
	"errors"
	"time"
)

// ErrNotFound is returned where a listing was asked for that is not shown
// here: unknown, deleted, taken down or hidden.
var ErrNotFound = errors.New("listing not found")

// Published is a listing as this node can show it: the public document, its
// typed view, and what is known of its age.
type Published struct {
	Country   string    // ISO 3166-1 alpha-2 of the member that publishes it
	Document  Document  // the public part, as signed
	Listing   *Listing  // the typed view of Document
	AsOf      time.Time // when the publishing country last confirmed its feed, UTC
	Freshness Freshness // computed from signed dates at the time of reading
}

// CountryView is what a page can say about one member.
type CountryView struct {
	Code         string    // ISO 3166-1 alpha-2
	Operator     string    // who runs the node
	OperatorType string    // code of VocabularyOperatorType
	Listings     int       // how many of its listings this node can show
	AsOf         time.Time // when it last confirmed its feed, UTC; zero when never
	State        string    // self, synced, behind, unconfirmed, frozen, suspended, quarantined
}
