// Package control lets the command line reach the running node through a unix
// socket in the node's directory.
//
// It speaks HTTP with JSON, and JSON lines where there may be many. Whoever can
// open the socket is the administrator: the file is readable and writable by
// its owner only, and nothing else guards it. [Node] is what package node
// offers here; [Client] is the same for the other end of the socket.
package control

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"time"
)

// Node is a running node as its administrator uses it. Every error that a
// person should read in other words than "internal error" is an [*Error].
type Node interface {
	Care
	Desk
	Enrolment
	Membership
	Rescue
	Rules

	// Status tells how the node and its federation are.
	Status(ctx context.Context) (Status, error)

	// Search answers like /api/search: form holds the same fields (q, country,
	// language, page, per_page and one per facet), the answer is the same JSON.
	// A field or facet that does not exist is an Error of class Usage.
	Search(ctx context.Context, form map[string][]string) (json.RawMessage, error)

	// Import takes rows in. An error from rows ends the import with nothing
	// written. If a row is refused and options do not say SkipBad, nothing is
	// written either and the report counts nothing but Refused; that is not an
	// error. Rows with Faults are to be refused with them.
	Import(ctx context.Context, rows iter.Seq2[Row, error], options ImportOptions) (ImportReport, error)

	// Listings are the listings that the filter lets through, by country and id.
	Listings(ctx context.Context, filter Filter) ([]Summary, error)

	// Listing is the whole document of a listing: with its private part when it
	// is the node's own, as published when it is another country's.
	Listing(ctx context.Context, id string) (json.RawMessage, error)

	// Check tells what is missing until listings are fit to publish. No ids
	// means every own listing. A fit listing is in the answer without faults.
	Check(ctx context.Context, ids []string) ([]Checked, error)

	// Publish, Unpublish, Confirm and Delete change own listings, all or none,
	// and answer with the listings as they are then. Confirm says that the
	// listings were looked at and are right today. A deleted listing stays as
	// the stub that its readers need.
	Publish(ctx context.Context, ids []string) ([]Summary, error)
	Unpublish(ctx context.Context, ids []string) ([]Summary, error)
	Confirm(ctx context.Context, ids []string) ([]Summary, error)
	Delete(ctx context.Context, ids []string) ([]Summary, error)

	// Export writes own listings, one JSON document a line, by id.
	Export(ctx context.Context, w io.Writer, options ExportOptions) error

	// Invite makes an invitation that lets one country knock, once. Zero expiry
	// means that of the policy.
	Invite(ctx context.Context, country string, expiry time.Duration) (Invitation, error)

	// Join knocks with an invitation (the file's content or the code). It
	// returns once the knock is delivered, or with wait, once admitted.
	Join(ctx context.Context, invitation string, wait bool) (Joined, error)

	// Pending are the countries that have knocked and are not yet admitted.
	Pending(ctx context.Context) ([]Pending, error)

	// Approve signs the admission of a country that has knocked. Numbers, when
	// not empty, are the three numbers that the newcomer read out; they must be
	// those of the knock.
	Approve(ctx context.Context, country, numbers string) (Pending, error)
}

// Status is how a node and its federation are. Its JSON is a fixed contract.
type Status struct {
	Country        string   `json:"country"`       // ISO 3166-1 alpha-2
	Federation     string   `json:"federation"`    // the name given when it was founded; empty before joining
	FederationID   string   `json:"federation_id"` // hexadecimal; empty before joining
	Demo           bool     `json:"demo"`          // everything here is fictional
	Node           string   `json:"node"`          // node id, hexadecimal
	Version        string   `json:"version"`
	Role           string   `json:"role"` // publisher or mirror, and voter if it is one: "publisher, voter"
	PublicURL      string   `json:"public_url"`
	Members        []Member `json:"members"` // by country
	Registry       Registry `json:"registry"`
	Listings       int      `json:"listings"` // that this node can show
	Drafts         int      `json:"drafts"`   // own listings taken in and not published
	DegradedReason string   `json:"degraded_reason,omitempty"`
	Degraded       bool     `json:"degraded"` // something needs an administrator; readers are served
	Alarms         []Alarm  `json:"alarms"`

	Clock   Clock             `json:"clock"`
	Refused map[string]uint64 `json:"refused"` // by kind, what peers sent and was turned away since the start; never null
}

// Clock compares this node's clock with the others'.
type Clock struct {
	Offset int64 `json:"offset"` // seconds ahead of the median of the peers; negative is behind
	Peers  int   `json:"peers"`  // how many were compared with; 0 means that the offset says nothing
}

// The states of a member, seen from one node.
const (
	StateSelf        = "self"
	StateSynced      = "synced"      // everything that is known to exist is here
	StateBehind      = "behind"      // a newer head is known and not yet here
	StateUnconfirmed = "unconfirmed" // no beat for longer than it lasts
	StateFrozen      = "frozen"      // two heads contradict each other
	StateSuspended   = "suspended"
	StateWithdrawn   = "withdrawn" // it has left: what is here is the last of it
	StateExpelled    = "expelled"  // the others have put it out: likewise
	StateQuarantined = "quarantined"
	StateUnknown     = "unknown" // never heard from: nothing of it is here, and nobody has shown more
)

// Member is a member's state and feed.
type Member struct {
	Country  string     `json:"country"`
	Operator string     `json:"operator"`
	State    string     `json:"state"`
	Head     *Head      `json:"head"`     // null before the first
	AsOf     *time.Time `json:"as_of"`    // issue time of the newest verified head or beat, UTC; null before the first
	Listings int        `json:"listings"` // that can be shown here
	Hidden   int        `json:"hidden"`   // stored, and not shown: by decision of the countries, or here alone
	// Known is the newest head that somebody has shown, when it is newer than
	// Head; null otherwise.
	Known *Head `json:"known,omitempty"`
	// Copied tells how far a copy of many records has got, in records of the
	// head that is fetched; null when none is under way.
	Copied *Copied `json:"copied,omitempty"`
}

// Copied is how much of a feed has been fetched.
type Copied struct {
	Records uint64 `json:"records"`
	Of      uint64 `json:"of"`
}

// Head is the place of a feed.
type Head struct {
	Epoch uint64 `json:"epoch"`
	N     uint64 `json:"n"`
	Count uint64 `json:"count"` // live records
	Root  string `json:"root"`  // the hash over all of them, hexadecimal: equal roots are equal feeds
}

// Registry is the shared metadata as this node has it.
type Registry struct {
	Seq    uint64  `json:"seq"`
	Leader *string `json:"leader"` // node id; null when none is known
	Voters []Voter `json:"voters"`
	Quorum bool    `json:"quorum"` // changes are possible now
	// ConfirmedAt is when a majority of the voters last signed the registry as it
	// is here, UTC; null when that was never seen.
	ConfirmedAt *time.Time `json:"confirmed_at"`
}

// Voter is a node that agrees on changes of the registry.
type Voter struct {
	Node    string `json:"node"`
	Country string `json:"country"`
}

// Alarm is something that an administrator must know.
type Alarm struct {
	Code string `json:"code"`
	Text string `json:"text"` // what happened and why, a sentence
	Next string `json:"next"` // what to do, a sentence
}

// Row is a listing to take in.
type Row struct {
	Where    string          `json:"row"`              // where it stands in its file: "services.csv row 3"
	Document json.RawMessage `json:"document"`         // null when it could not be read; Faults say why
	Faults   []Fault         `json:"faults,omitempty"` // what the reader of the file found
}

// Fault is something wrong in a document.
type Fault struct {
	Path    string `json:"path"` // "phones[0].number"
	Code    string `json:"code"`
	Message string `json:"message"` // a sentence
}

// ImportOptions say how rows are taken in.
type ImportOptions struct {
	Publish       bool // publish what is taken in
	SkipBad       bool // take in the good rows although there are bad ones
	DryRun        bool // write nothing; the report tells what would be
	Replace       bool // a document replaces the one here; otherwise absent fields stay as they are and null clears
	RemoveMissing bool // listings that are not among the rows are removed
}

// ExportOptions say which own listings are written, and as what.
type ExportOptions struct {
	IDs []string // none means all
	// Published writes what is in the feed now, under the ids that it has there:
	// without private parts, drafts, and changes that are not published. Without
	// it the documents come whole.
	Published bool
}

// ImportReport is what an import did, in numbers of listings.
type ImportReport struct {
	Added     int       `json:"added"`
	Changed   int       `json:"changed"`
	Unchanged int       `json:"unchanged"`
	Removed   int       `json:"removed"`
	Published int       `json:"published"`
	Refused   []Refusal `json:"refused"` // never null; in the order of the source

	// MoreRefused is how many faults there are beyond the first [MaxRefused].
	MoreRefused int `json:"more_refused,omitempty"`

	// Changes are what a dry run would do, listing by listing, at most
	// [MaxChanges]; MoreChanges is how many there are beyond. Empty otherwise.
	Changes     []Change `json:"changes,omitempty"`
	MoreChanges int      `json:"more_changes,omitempty"`
}

// The bounds of what an import tells.
const (
	MaxRefused       = 10_000 // faults
	MaxChanges       = 1000   // listings of a dry run
	MaxChangedFields = 50     // fields of one listing
	MaxShown         = 500    // bytes of a value; a longer one is null
)

// Change is what would become of one listing.
type Change struct {
	Kind   string        `json:"kind"` // added, changed or removed
	Row    string        `json:"row,omitempty"`
	ID     string        `json:"id"`
	Name   string        `json:"name"`
	Fields []FieldChange `json:"fields,omitempty"` // of a changed one
}

// FieldChange is a field that changes. A value that is not there is left out.
type FieldChange struct {
	Path   string          `json:"path"` // "channels[0].value"
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Refusal is one reason why a row was not taken in.
type Refusal struct {
	Row string `json:"row"`
	Fault
}

// Filter chooses listings. The zero value means all own listings.
type Filter struct {
	Country string // another country's published listings; empty for the own, drafts included
	State   string // draft or published; empty for both
}

// Summary is a listing in one line.
type Summary struct {
	ID           string `json:"id"`
	Country      string `json:"country"`
	Name         string `json:"name"`
	Organization string `json:"organization"`
	State        string `json:"state"` // draft, published, changed (published, with unpublished changes), deleted
	Revision     uint64 `json:"revision"`
	Freshness    string `json:"freshness"`    // fresh, due, stale, demoted or lapsed
	AssuredDate  string `json:"assured_date"` // date, or empty
}

// Checked is what is missing in one listing.
type Checked struct {
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	Faults []Fault `json:"faults"` // never null; empty means fit to publish
}

// Invitation is an invitation that was made.
type Invitation struct {
	Code       string    `json:"code"`    // what is read out or pasted; secret until used
	File       string    `json:"file"`    // path of the same as a file
	Country    string    `json:"country"` // that may knock with it
	Expires    time.Time `json:"expires"` // UTC
	Federation string    `json:"federation"`
}

// Joined is how far joining has got.
type Joined struct {
	Numbers    [3]string `json:"numbers"`    // four digits each, to be compared by telephone
	Federation string    `json:"federation"` // its name
	// FederationID tells it apart from another of the same name, hexadecimal.
	FederationID string `json:"federation_id"`
	Demo         bool   `json:"demo"`    // a demonstration
	Sponsor      string `json:"sponsor"` // the country that invited
	Admitted     bool   `json:"admitted"`
	// Approvals of Needed have signed, Objections countries spoke against it;
	// zero while the country that invited has not decided.
	Approvals  int `json:"approvals,omitempty"`
	Needed     int `json:"needed,omitempty"`
	Objections int `json:"objections,omitempty"`
}

// Pending is a country that has knocked.
type Pending struct {
	Country  string `json:"country"`
	Operator string `json:"operator"`
	// OperatorType is what kind of organisation it says it is: whoever approves
	// signs that, too. Empty: not stated.
	OperatorType string    `json:"operator_type,omitempty"`
	Sponsor      string    `json:"sponsor"`
	Numbers      [3]string `json:"numbers"`
	Approved     []string  `json:"approved"` // countries that have signed
	Objected     []string  `json:"objected"` // countries that spoke against it, "DE: their reason"; may be null
	Needed       int       `json:"needed"`   // signatures that admit
	Expires      time.Time `json:"expires"`  // UTC
	Admitted     bool      `json:"admitted"`
}
