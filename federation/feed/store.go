package feed

import (
	"context"
	"errors"

	"github.com/2ps-project/waymark/federation/identity"
)

// Errors of stores.
var (
	// ErrMoved is returned when a step no longer starts where the feed is.
	ErrMoved = errors.New("the feed moved on meanwhile")
	// ErrPruned is returned when deletions that far back are no longer listed.
	ErrPruned = errors.New("too far back for the list of changes")
	// ErrNoRecord is returned for a key without a record.
	ErrNoRecord = errors.New("no such record")
)

// Store keeps feeds. Package feedtest checks that an implementation keeps this
// contract.
type Store interface {
	// Origins lists the feeds that are held.
	Origins() ([]identity.OriginID, error)
	// View reads one feed; of a feed that is not held, an empty view.
	View(identity.OriginID) (StoreView, error)
	// Stage opens a staging area for one feed and drops what an earlier,
	// unfinished one left.
	Stage(identity.OriginID) (Staging, error)
	// Beat is the newest beat that was kept; nil when there is none.
	Beat(identity.OriginID) (*SignedBeat, error)
	// PutBeat keeps a checked beat, unless a newer one is there.
	PutBeat(*SignedBeat) error
}

// StoreView is a View from which a feed can be served.
type StoreView interface {
	View
	// Record is the encoded record of a key and its entry, or ErrNoRecord.
	Record(Key) (Change, []byte, error)
	// Since calls yield with each key's latest change after seq, in order of
	// seq, and its record if it is live, until yield returns false. With live
	// set deletions are left out, as a first copy needs none; otherwise it
	// fails with ErrPruned when deletions since then are no longer listed.
	Since(seq uint64, live bool, yield func(Change, []byte) bool) error
	// Heads are the envelopes of the heads from number n on, oldest first, at
	// most limit. Missing ones at the start are left out.
	Heads(n uint64, limit int) ([][]byte, error)
}

// Staging collects the changes of one step where memory could not hold them.
// Records put here are invisible until the step is applied.
type Staging interface {
	Delta
	// Put adds items. A later change of a key replaces an earlier one.
	Put(...Item) error
	// Discard drops everything. It is harmless after the step was applied.
	Discard() error
}

// Appender takes a verified step: it makes it durable and visible, or fails and
// leaves everything as it was.
type Appender interface {
	Append(context.Context, *Verified) error
}
