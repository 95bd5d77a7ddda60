// Package bundle carries the registry and feeds in one signed file, for nodes
// that no cable reaches, and for the day after a bad one.
//
// A bundle is believed in nothing. Who takes one in replays its registry from
// the genesis and checks each feed by [feed.Rules], as if it had come from a
// peer; the file's own signature only tells damage on the way from everything
// else, and whose node made it. DESIGN.md has the format.
package bundle

import (
	"errors"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Version is the form of bundles that this program writes and reads.
const Version = 1

// Limits of a bundle. Each is checked before memory or disk is given.
const (
	maxManifest = 512 << 10 // bytes of the table of contents
	maxPart     = 1 << 20   // bytes of any other part
	maxFeeds    = 256       // feeds
	maxRecords  = 1 << 20   // records of one feed
	maxBytes    = 4 << 30   // bytes of the records of one feed
	maxChain    = 16 << 20  // bytes of the heads of one feed
	maxEntries  = 1 << 20   // entries of the registry
	maxRegistry = 256 << 20 // bytes of them
	maxRotation = 1024      // heads of the registry
	maxItems    = 4096      // pieces of evidence and rulings
	maxDocket   = 64 << 20  // bytes of them
	maxText     = 2000      // bytes of the text for whoever keeps the file
	window      = 1 << 20   // bytes that zstd looks back

	// Real records hold at least 64 bytes of keys, hashes and random numbers in
	// at most 64 KiB, so no honest file shrinks to less than a thousandth.
	maxRatio   = 1000
	ratioSlack = 4 << 20
)

// Errors of bundles. Whatever is refused wraps one of them, or is the error of a
// disk, of the store, or of a context.
var (
	// ErrNotBundle: the file is something else.
	ErrNotBundle = errors.New("not a bundle")
	// ErrVersion: a newer program wrote the file.
	ErrVersion = errors.New("a bundle of an unknown version")
	// ErrTruncated: the end of the file is missing.
	ErrTruncated = errors.New("the bundle ends too early")
	// ErrDamaged: the bytes are not those that its maker signed.
	ErrDamaged = errors.New("the bundle was changed on its way")
	// ErrPart: a part is not the one that the table of contents names, or stands
	// where it does not belong.
	ErrPart = errors.New("a part of the bundle is not what its table of contents says")
	// ErrBomb: it unpacks to more than real records ever do.
	ErrBomb = errors.New("the bundle unpacks to far more than it can honestly hold")
	// ErrTooLarge: it passes a limit.
	ErrTooLarge = errors.New("the bundle passes a limit")
	// ErrForeign: it belongs to another federation than the one wanted.
	ErrForeign = errors.New("a bundle of another federation")
	// ErrDemo: one of the two is a demonstration and the other is real.
	ErrDemo = errors.New("demonstrations and real federations exchange nothing")
	// ErrWhich: nothing is held here and no federation was named.
	ErrWhich = errors.New("no federation is named, and none is held here")
	// ErrBase: it holds what changed since an earlier one, which is not here.
	ErrBase = errors.New("what the bundle builds on is not here")
	// ErrParted: its registry and the one held tell two histories.
	ErrParted = errors.New("the registry in the bundle and the one here have parted")
	// ErrUnconfirmed: no majority of the voters stands by the end of its registry.
	// Where a registry is held that is no error; its new entries are not taken.
	ErrUnconfirmed = errors.New("the registry in the bundle is not confirmed by its voters")
	// ErrExporter: not signed by a node of an active member.
	ErrExporter = errors.New("not signed by a node of the federation")
	// ErrContent: something in it is not what its author signed.
	ErrContent = errors.New("something in the bundle is not what its author signed")
	// ErrCountry: a country that was asked for is no member.
	ErrCountry = errors.New("no member of the federation")
)

// Progress is how far a bundle has been read.
type Progress struct {
	Stage string `json:"stage"` // StageCheck, then StageTake
	Done  int64  `json:"done"`  // bytes of the file
	Total int64  `json:"total"` // its size
}

// The stages of reading a bundle.
const (
	StageCheck = "check" // everything is verified, nothing is changed
	StageTake  = "take"  // what is new is taken in
)

// What became of a feed.
const (
	OutcomeTaken  = "taken"     // newer than what was held, right, and taken (in a dry run: it would be)
	OutcomeHeld   = "held"      // the same or a newer state is here already
	OutcomeAside  = "set_aside" // intact, but the registry or the rules here do not admit it now; see Reason
	OutcomeSound  = "sound"     // checked whole, with no store to take it
	OutcomeSigned = "signed"    // a difference, checked as far as that goes without its base
)

// Report is what was in a bundle and what became of it.
type Report struct {
	Federation      identity.FederationID `json:"federation_id"`
	Name            string                `json:"federation"`
	Demo            bool                  `json:"demo"`
	Made            string                `json:"made"`                      // the day, 2026-11-23
	Exporter        identity.NodeID       `json:"exporter"`                  // the node that made it
	ExporterCountry string                `json:"exporter_country"`          // its country
	RegistrySeq     uint64                `json:"registry_seq"`              // the last entry in it
	NewEntries      uint64                `json:"new_entries"`               // entries that were not held
	RegistryReason  string                `json:"registry_reason,omitempty"` // why its entries are not taken
	Confirmed       *time.Time            `json:"confirmed"`                 // when the voters last stood by them, UTC; null: no word of them is in it
	Items           int                   `json:"items"`                     // pieces of evidence and rulings in it
	RefusedItems    int                   `json:"refused_items"`             // of these, that do not hold here
	Feeds           []FeedReport          `json:"feeds"`                     // never null
	Left            []Left                `json:"left_out"`                  // what its maker left out; never null
	Duty            string                `json:"duty"`                      // what is asked of whoever keeps the file
	Taken           bool                  `json:"taken"`                     // false for a check and a dry run
}

// FeedReport is what became of one feed.
type FeedReport struct {
	Country string            `json:"country"`
	Origin  identity.OriginID `json:"origin"`
	Epoch   uint64            `json:"epoch"`
	N       uint64            `json:"n"`
	Since   uint64            `json:"since,omitempty"` // a difference: it builds on this n
	Records uint64            `json:"records"`         // live records at its head
	Changes uint64            `json:"changes"`         // that are in the file
	Outcome string            `json:"outcome"`
	Reason  string            `json:"reason,omitempty"`
}

// asides are the errors that say something about a feed under the registry and
// the rules as they are known here, not about the file: the feed is left as it
// is and the rest is taken.
var asides = []error{
	feed.ErrOrigin, feed.ErrEpoch, feed.ErrFuture, feed.ErrOlder, feed.ErrChain, feed.ErrEquivocation, feed.ErrUnapproved,
	feed.ErrForked, feed.ErrRevoked, feed.ErrEmpty, feed.ErrTooMany, feed.ErrQuota,
}

func aside(err error) bool { return isAny(err, asides) }

func isAny(err error, kinds []error) bool {
	return slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
}
