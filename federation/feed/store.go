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
	// Undo are the changes that lead from the held head back to an earlier one
	// at which a step ended: each key with the record or the listed deletion that
	// it had there, and a deletion numbered as the head's Seq where it had
	// neither. It fails with ErrPruned when what that needs is not kept any more,
	// or was erased. The result serves for one step, while to stays reachable.
	Undo(o identity.OriginID, to *SignedHead) (Delta, error)
	// Actual reads one feed as it really is on disk: its leaves and buckets are
	// computed again from the records that are there and whole; a record that
	// does not match its hash counts as missing. Its head is the one that is
	// held, which need not fit.
	Actual(o identity.OriginID) (StoreView, error)
}

// StoreView is a View from which a feed can be served.
type StoreView interface {
	View
	// Record is the encoded record of a key and its entry. For a key without one
	// it fails with ErrNoRecord; the change is then the deletion as long as it is
	// listed, else zero. Where the entry is there and the record is not the one
	// that it names, it fails with ErrDamaged, and the change is the entry.
	Record(Key) (Change, []byte, error)
	// Since calls yield with each key's latest change after seq, in order of
	// seq, and its record if it is live, until yield returns false. With live
	// set deletions are left out, as a first copy needs none; otherwise it
	// fails with ErrPruned when deletions since then are no longer listed.
	Since(seq uint64, live bool, yield func(Change, []byte) bool) error
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
//
// What a [Step] replaces or deletes is kept for undoing for 30 days; an erased
// record is kept nowhere. Where the first head does not follow the held one, the
// chain and the list of deletions begin anew. With a [Compared] step nothing that was
// kept before stays. A [Rollback] drops the heads past
// its own, and keeps the list of deletions; what it takes back is not kept.
type Appender interface {
	Append(context.Context, *Verified) error
}
