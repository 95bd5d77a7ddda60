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
	Body      []byte    // the public part, as signed; see Document
	Listing   *Listing  // the typed view of it; not to be changed
	Modified  time.Time // the day on which it last changed, UTC
	AsOf      time.Time // when the publishing country last confirmed its feed, UTC
	Freshness Freshness // computed from signed dates at the time of reading
	Standing  Standing  // how far the feed can be relied on

	// What other countries say now about the listing, by country, kind and
	// language. Statuses come from caretakers only, alerts too.
	Notes    []Remark
	Alerts   []Remark
	Statuses []Remark
}

// Document returns the public part as it was signed, under the id by which it is
// known here: a tree of its own at each call, nil where the body is none.
func (p Published) Document() Document {
	d, err := DecodeDocument(p.Body)
	if err != nil {
		return nil // its view could be made, so this cannot be
	}
	if p.Listing != nil && d["id"] != p.Listing.ID {
		d["id"] = p.Listing.ID
	}
	return d
}

// Outline is [Published.Document] without lists, and of the objects at any level with
// those alone that have one of the names.
func (p Published) Outline(names ...string) Document {
	r := bodyReader{b: string(p.Body)}
	d, ok := r.outline(MaxDepth, names)
	if !ok {
		return p.Document() // it says more, and the same
	}
	if p.Listing != nil {
		d["id"] = p.Listing.ID
	}
	return d
}

// Remark is an overlay that holds now, with who says it.
type Remark struct {
	Overlay
	Country  string // ISO 3166-1 alpha-2 of the member that wrote it
	Outdated bool   // the listing says something else since it was written
}

// StatusValue returns the status of the service: what its own country says or
// what a caretaker says, whichever promises less.
func (p Published) StatusValue() Status {
	rank := map[Status]int{Active: 0, TemporarilyClosed: 1, Inactive: 2, Defunct: 3}
	s := p.Listing.StatusValue()
	for _, r := range p.Statuses {
		if v := r.StatusValue(); rank[v] > rank[s] {
			s = v
		}
	}
	return s
}

// Standing is how far a country's list can be relied on, as this node sees it.
// The zero value says that nothing is known against it.
type Standing struct {
	State      string    // self, synced, behind, unconfirmed, frozen, suspended, quarantined, unknown
	RolledBack bool      // its key was misused and the list went back to its last good state
	Since      time.Time // of frozen, suspended or rolled back: the day, UTC; zero when it is not known
}

// CountryView is what a page can say about one member.
type CountryView struct {
	Code         string        // ISO 3166-1 alpha-2
	Operator     string        // who runs the node
	OperatorType string        // code of VocabularyOperatorType
	Listings     int           // how many of its listings this node can show
	AsOf         time.Time     // when it last confirmed its feed, UTC; zero when never
	State        string        // self, synced, behind, unconfirmed, frozen, suspended, quarantined, unknown
	RolledBack   bool          // as in Standing
	Since        time.Time     // as in Standing
	Hidden       []HiddenCount // its listings that this node holds and does not show
}
