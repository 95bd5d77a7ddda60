package control

import (
	"context"
	"encoding/json"
	"io"
	"time"
)

// Care is what an administrator does for the country's feed, its keys, and the
// listings of others, beside the daily work of editors.
type Care interface {
	// Erase deletes own listings with every copy that is kept for undoing, here
	// and on each node that hears of it.
	Erase(ctx context.Context, ids []string) ([]Summary, error)

	// Hide hides a listing, or ends that. With Local this node alone does it, for
	// a reason that binds its operator. Otherwise a decision is made for all
	// countries; it takes effect when enough of them have signed.
	Hide(ctx context.Context, request HideRequest) (Hidden, error)

	// Decisions are those on which countries act together: waiting and in force.
	Decisions(ctx context.Context) ([]Decision, error)

	// SignDecision signs one of them for this country.
	SignDecision(ctx context.Context, id string) (Decision, error)

	// ExportDecision is a decision as a file, to be signed elsewhere; with
	// ImportDecision signatures that were made elsewhere come back.
	ExportDecision(ctx context.Context, id string) ([]byte, error)
	ImportDecision(ctx context.Context, file []byte) (Decision, error)

	// Overlay puts a note, an alert or a status of this country beside another
	// country's listing; with Remove it takes it back.
	Overlay(ctx context.Context, request OverlayRequest) (Overlay, error)

	// Overlays are those that this country has made.
	Overlays(ctx context.Context) ([]Overlay, error)

	// CountrySheet is what a country says about itself; no country means this
	// one.
	CountrySheet(ctx context.Context, country string) (CountrySheet, error)

	// PutCountrySheet publishes what this country says about itself, in place of
	// what it has said before: a JSON object.
	PutCountrySheet(ctx context.Context, document json.RawMessage) (CountrySheet, error)

	// RotateKey makes a new key of a role, tells the registry, and uses it from
	// then on. The old one stays good for what it has signed.
	RotateKey(ctx context.Context, role string) (KeyChange, error)

	// RevokeKey withdraws a key, here for what this country's own keys have
	// signed after the head LastGood, and for another country as a decision of
	// several.
	RevokeKey(ctx context.Context, request RevokeRequest) (KeyChange, error)

	// RecoverySheet makes a recovery key, tells the registry, and answers with
	// the only copy of its private half. Nothing of it is kept.
	RecoverySheet(ctx context.Context) (Sheet, error)

	// RecoverKeys replaces this country's admin and publish keys by new ones,
	// signed with the recovery key of the sheet.
	RecoverKeys(ctx context.Context, secret string) (KeyChange, error)

	// ObjectKeys stops a change of this country's keys that waits and that its
	// admin key did not sign.
	ObjectKeys(ctx context.Context) (KeyChange, error)

	// RestartFeed gives the own feed a new epoch, from what is held here: after a
	// fork, or when the newest head is lost for good. While other nodes hold a
	// newer state than this one it refuses, unless takeBack says that their newer
	// state is to be taken back everywhere.
	RestartFeed(ctx context.Context, takeBack bool) (KeyChange, error)

	// RebuildIndex fills the search index anew from what is stored. Readers get
	// answers meanwhile from what is there. Progress, which may be nil, is told
	// with the stage [StageIndex] and counts listings.
	RebuildIndex(ctx context.Context, progress func(Progress)) (IndexReport, error)

	// Evidence is what is known of numbers that were signed twice.
	Evidence(ctx context.Context) ([]Evidence, error)

	// ExportEvidence is one piece of it as a file that anybody can check.
	ExportEvidence(ctx context.Context, id string) ([]byte, error)

	// CheckFeeds recomputes what is stored against what was signed, and fetches
	// what is rotten again. No country means all.
	CheckFeeds(ctx context.Context, country string) ([]FeedCheck, error)

	// NoteLoss ends the alarm about changes of drafts that were lost: somebody has
	// taken note of it.
	NoteLoss(ctx context.Context) error

	// ExportBundle writes the registry and feeds as one signed file.
	ExportBundle(ctx context.Context, w io.Writer, options BundleOptions) error

	// ImportBundle takes in a bundle, all of it or nothing. The file lies on the
	// node's machine. Progress may be nil.
	ImportBundle(ctx context.Context, path string, options BundleImport, progress func(Progress)) (BundleReport, error)
}

// HideRequest says what to hide.
type HideRequest struct {
	ID      string `json:"id"`
	Local   bool   `json:"local,omitempty"`   // on this node only
	Off     bool   `json:"off,omitempty"`     // show again
	Reason  string `json:"reason,omitempty"`  // a code of the vocabulary hiding_reason
	Text    string `json:"text,omitempty"`    // in the operator's own words; public
	Lasting bool   `json:"lasting,omitempty"` // confirm what is hidden, without an end
}

// Hidden is what became of a request to hide.
type Hidden struct {
	ID       string    `json:"id"`
	Country  string    `json:"country"`
	Hidden   bool      `json:"hidden"` // not shown here now
	Local    bool      `json:"local"`
	Decision *Decision `json:"decision,omitempty"` // when countries decide together
}

// Decision is what several countries decide together. What is decided about one of
// them (takedown, suspend and its like) does not need the registry's quorum; the
// rules for all of them (policy, vocabulary, activate) do.
type Decision struct {
	ID      string     `json:"id"`
	Kind    string     `json:"kind"` // takedown, suspend, revoke, caretaker, …; policy, vocabulary, activate or clock; admission
	Off     bool       `json:"off,omitempty"`
	Country string     `json:"country"`           // whose listing, keys or standing; of rules for all, who proposed it
	Listing string     `json:"listing,omitempty"` // its id
	Reason  string     `json:"reason,omitempty"`
	Text    string     `json:"text,omitempty"`
	Issued  time.Time  `json:"issued"`
	Until   *time.Time `json:"until"` // null: until it is lifted
	Signed  []string   `json:"signed"`
	Needed  int        `json:"needed"`
	InForce bool       `json:"in_force"`
	// Changes and Objected are of rules for all and admissions that wait: what would be other than
	// now, and who has spoken against it, with the reason.
	Changes  []string `json:"changes,omitempty"`
	Objected []string `json:"objected,omitempty"`
}

// OverlayRequest says what to put beside a listing.
type OverlayRequest struct {
	ID        string    `json:"id"`   // of the listing
	Kind      string    `json:"kind"` // note, alert or status
	Language  string    `json:"language"`
	Text      string    `json:"text"`
	Works     string    `json:"works,omitempty"`     // from this country: a code of the vocabulary works_here
	Cost      string    `json:"cost,omitempty"`      // from this country: a code of the vocabulary cost
	Languages []string  `json:"languages,omitempty"` // in which people from this country are helped there
	Status    string    `json:"status,omitempty"`    // of a status
	Expires   time.Time `json:"expires"`
	Remove    bool      `json:"remove,omitempty"`
}

// Overlay is a note, alert or status of one country beside another's listing.
type Overlay struct {
	Key       string    `json:"key"`
	Listing   string    `json:"listing"`
	Country   string    `json:"country"` // whose listing
	Kind      string    `json:"kind"`
	Language  string    `json:"language"`
	Text      string    `json:"text"`
	Works     string    `json:"works,omitempty"`
	Cost      string    `json:"cost,omitempty"`
	Languages []string  `json:"languages,omitempty"`
	Status    string    `json:"status,omitempty"`
	Expires   time.Time `json:"expires"`
}

// CountrySheet is what a country says about itself, as this node shows it.
type CountrySheet struct {
	Country string          `json:"country"`
	AsOf    *time.Time      `json:"as_of"` // when the country last confirmed its list; null: never
	State   string          `json:"state"` // of the member, as in Status
	Facts   []SheetFact     `json:"facts"` // how old each part is
	Sheet   json.RawMessage `json:"sheet"` // the document as it was published
}

// SheetFact is how old one part of a country sheet is.
type SheetFact struct {
	Path      string `json:"path"` // where it stands in the sheet: crisis_contacts[0]
	What      string `json:"what"`
	AsOf      string `json:"as_of"`     // date
	Freshness string `json:"freshness"` // of a crisis contact: fresh, due, stale, demoted, lapsed; of a law note: fresh or expired; else empty
}

// RevokeRequest says which key is withdrawn.
type RevokeRequest struct {
	Key      string `json:"key"`       // its id, hexadecimal
	LastGood uint64 `json:"last_good"` // number of the last head that is believed
	Reason   string `json:"reason,omitempty"`
}

// KeyChange is what became of keys.
type KeyChange struct {
	Country  string    `json:"country"`
	Role     string    `json:"role,omitempty"`
	Old      string    `json:"old,omitempty"` // key ids
	New      string    `json:"new,omitempty"`
	Epoch    uint64    `json:"epoch"`
	Decision *Decision `json:"decision,omitempty"` // when other countries must sign
	// Due is when the change takes effect, so that the present admin key can
	// object before; null when it has.
	Due *time.Time `json:"due,omitempty"`
}

// Sheet is a recovery key. Whoever has it can replace the country's keys.
type Sheet struct {
	Country    string `json:"country"`
	Federation string `json:"federation"`
	// FederationID tells it apart from another of the same name, hexadecimal.
	FederationID string `json:"federation_id"`
	Key          string `json:"key"` // id
	Secret       string `json:"secret"`
}

// Evidence says that one number of a feed was signed twice, in two ways.
type Evidence struct {
	ID       string `json:"id"`
	Country  string `json:"country"`
	Epoch    uint64 `json:"epoch"`
	N        uint64 `json:"n"`
	A        string `json:"a"` // hashes of the two heads
	B        string `json:"b"`
	Recorded bool   `json:"recorded"` // the registry has it
	Over     bool   `json:"over"`     // the feed has a new epoch since
}

// FeedCheck is what a check of a stored feed has found.
type FeedCheck struct {
	Country string `json:"country"`
	Records uint64 `json:"records"`
	OK      bool   `json:"ok"`
	Fault   string `json:"fault,omitempty"`  // what was wrong
	Mended  bool   `json:"mended,omitempty"` // and is right again, from other countries' copies
	Took    string `json:"took,omitempty"`   // a duration
	Next    string `json:"next,omitempty"`   // what to do where it was not mended
}

// StageIndex is the stage of [Progress] while the search index is filled.
const StageIndex = "index"

// IndexReport tells how a rebuild of the search index went.
type IndexReport struct {
	Listings int    `json:"listings"` // that can be found now
	Took     string `json:"took"`     // like 2.5s
}
