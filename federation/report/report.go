// Package report brings what readers say is wrong with a listing to the country
// that publishes it, and to nobody else.
//
// A report is sealed to that country the moment it is made: nothing here, on disk
// or on its way, holds its words in the clear. See DESIGN.md.
package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// What a reader may say is wrong.
const (
	Closed      = "closed"
	WrongNumber = "wrong_number"
	Hours       = "hours"
	NoAnswer    = "no_answer"
	Language    = "language"
	Unsafe      = "unsafe"
)

// Choices returns all of them in the order in which they are offered.
func Choices() []string { return []string{Closed, WrongNumber, Hours, NoAnswer, Language, Unsafe} }

// Limits of a report.
const (
	MaxText    = 500 // characters
	MaxListing = 200 // bytes
)

// Life is how many days a report is kept, delivered or not.
const Life = 30

// ErrMalformed is returned for what is no report.
var ErrMalformed = errors.New("not a report")

// ID names a report wherever it is. It is random.
type ID [16]byte

// String is the id in hexadecimal.
func (id ID) String() string { return fmt.Sprintf("%x", id[:]) }

// Report is what one reader said about one listing.
type Report struct {
	ID      ID       // made by [Box.Submit]
	Listing string   // its id as its country publishes it
	Choice  string   // one of Choices
	Text    string   // in the reader's own words; mostly empty
	Day     feed.Day // when it was made; nothing finer is kept
}

// body is what is sealed. Pad hides how much was written.
type body struct {
	Listing string `cbor:"1,keyasint"`
	Choice  string `cbor:"2,keyasint"`
	Text    string `cbor:"3,keyasint,omitempty"`
	Pad     []byte `cbor:"4,keyasint"`
}

// Lengths to which a body is filled up: one for those without a text, one for
// those with. The longest text in UTF-8 and the longest id fit.
const (
	shortBody = 320
	longBody  = 2400
	maxSealed = longBody + 64 // with the key and the tag of RFC 9180
)

func (r Report) check() error {
	switch {
	case r.Listing == "" || len(r.Listing) > MaxListing:
		return fmt.Errorf("%w: the id of the listing has %d bytes", ErrMalformed, len(r.Listing))
	case !slices.Contains(Choices(), r.Choice):
		return fmt.Errorf("%w: an unknown choice", ErrMalformed)
	case !utf8.ValidString(r.Text) || !utf8.ValidString(r.Listing):
		return fmt.Errorf("%w: a text that is not UTF-8", ErrMalformed)
	case utf8.RuneCountInString(r.Text) > MaxText:
		return fmt.Errorf("%w: a text of more than %d characters", ErrMalformed, MaxText)
	}
	return nil
}

// Clean is a text as it may be sent: without what is no character of a text, and
// without the white space around it.
func Clean(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return ' '
		}
		return r
	}, text))
}

// encode is the report without its id and day, filled up.
func (r Report) encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	b := body{Listing: r.Listing, Choice: r.Choice, Text: r.Text}
	size := shortBody
	if r.Text != "" {
		size = longBody
	}
	for range 2 { // the length of the padding takes up to two bytes itself
		plain, err := identity.Marshal(b)
		if err != nil {
			return nil, err
		}
		if len(plain) < size {
			b.Pad = make([]byte, len(b.Pad)+size-len(plain))
		} else if len(plain) > size {
			b.Pad = b.Pad[:max(0, len(b.Pad)-(len(plain)-size))]
		}
	}
	return identity.Marshal(b)
}

// decode reads what encode writes.
func decode(plain []byte, id ID, day feed.Day) (Report, error) {
	var b body
	if err := identity.Unmarshal(plain, &b); err != nil {
		return Report{}, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	r := Report{ID: id, Listing: b.Listing, Choice: b.Choice, Text: b.Text, Day: day}
	return r, r.check()
}

// info binds what is sealed to its federation, its recipient, its name and its day.
func info(f identity.FederationID, to identity.OriginID, id ID, day feed.Day) []byte {
	b := append([]byte("waymark/report/1\x00"), f[:]...)
	b = append(b, to[:]...)
	b = append(b, id[:]...)
	return fmt.Appendf(b, "%d", day)
}
