package listing

import (
	"errors"
	"fmt"
	"time"
)

// ErrHidden is the kind of the error with which a listing is refused that is
// stored here and not shown: taken down by members of the federation, or hidden
// on this node by its operator. The error is a [*HiddenError].
var ErrHidden = errors.New("listing hidden")

// Hiding says why a listing that is stored here is not shown. What is stored
// stays as its country signed it.
type Hiding struct {
	Local   bool      // by this node's operator, on this node only; otherwise by members of the federation, everywhere
	By      []string  // ISO 3166-1 alpha-2 of the members that signed; of this node's member when Local
	Since   time.Time // day, UTC; zero when it is not known
	Until   time.Time // when it ends unless it is confirmed, UTC; zero: it has no end
	Reason  string    // code of VocabularyHiding
	Text    string    // in their own words, of no known language; may be empty
	Contact string    // whom to write to about it, shown as text; may be empty
}

// ReasonValue returns the reason; other when absent or not known.
func (h Hiding) ReasonValue() string { return cautious(VocabularyHiding, h.Reason, Other) }

// HiddenError is returned in place of a listing that is hidden. It is also an
// [ErrNotFound], for whoever needs to know no more.
type HiddenError struct {
	ID      string // id that was asked for
	Country string // ISO 3166-1 alpha-2 of the member that publishes it
	Hiding  Hiding
}

func (e *HiddenError) Error() string {
	return fmt.Sprintf("listing %s of %s is not shown here since %s: %s", e.ID, e.Country, e.Hiding.Since.Format(time.DateOnly), e.Hiding.ReasonValue())
}

// Is makes the error one of [ErrHidden] and of [ErrNotFound].
func (e *HiddenError) Is(target error) bool { return target == ErrHidden || target == ErrNotFound }

// HiddenCount is how many listings of one country are hidden here for one
// reason by the same ones.
type HiddenCount struct {
	Count  int
	Hiding Hiding // Since is the earliest, Until is zero
}
