package listing

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrTooLongAgo is returned where changes were asked for from a time on of which
// deletions are no longer known: everything must be loaded again.
var ErrTooLongAgo = errors.New("what was deleted since then is no longer known")

// Change says that the listing with an id changed, or was deleted. A deleted id
// can be that of something that was never shown as a listing.
type Change struct {
	ID      string
	Deleted bool
	First   bool // told on the way from the beginning: the reader knows no earlier version
}

// Update is one of the last changes of a country's list.
type Update struct {
	Seq uint64    // its number in that list; later ones are larger
	ID  string    // of the listing, or of something deleted that was none
	Day time.Time // when it was signed, or hidden: a day, UTC
	// Shown is the listing as it is shown here; nil = it was deleted, or is not
	// shown any more.
	Shown *Published
}

// Place is how far the changes of all countries are known, by ISO 3166-1 code.
// The zero value is the beginning.
type Place map[string]Mark

// Mark is how far the changes of one country's feed are known.
type Mark struct {
	Epoch, Seq uint64
	Live       uint64 // on the way from the beginning to this change, without deletions; 0 = not
	More       bool   // there is more: not part of the text
}

// String writes the place as [ParsePlace] reads it: "DE.1.40~PL.2.7-90".
func (p Place) String() string {
	parts := make([]string, 0, len(p))
	for _, country := range slices.Sorted(maps.Keys(p)) {
		m := p[country]
		s := fmt.Sprintf("%s.%d.%d", country, m.Epoch, m.Seq)
		if m.Live != 0 {
			s += "-" + strconv.FormatUint(m.Live, 10)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "~")
}

// maxPlace bounds the countries of a place: more than there are codes for.
const maxPlace = 700

// ParsePlace reads a place.
func ParsePlace(s string) (Place, error) {
	if len(s) > maxPlace*50 {
		return nil, errors.New("longer than any place of changes")
	}
	p := Place{}
	for part := range strings.SplitSeq(s, "~") {
		f := strings.Split(part, ".")
		if len(f) != 3 || len(f[0]) != 2 || f[0][0] < 'A' || f[0][0] > 'Z' || f[0][1] < 'A' || f[0][1] > 'Z' || len(p) == maxPlace {
			return nil, errors.New("not a place of changes")
		}
		seq, to, walking := strings.Cut(f[2], "-")
		epoch, err1 := strconv.ParseUint(f[1], 10, 64)
		n, err2 := strconv.ParseUint(seq, 10, 64)
		var live uint64
		var err3 error
		if walking {
			live, err3 = strconv.ParseUint(to, 10, 64)
		}
		if err := cmp.Or(err1, err2, err3); err != nil || live != 0 && live < n {
			return nil, errors.New("not a place of changes")
		}
		p[f[0]] = Mark{Epoch: epoch, Seq: n, Live: live}
	}
	return p, nil
}
