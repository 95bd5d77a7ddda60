package listing

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The limits of a country sheet. What is over them is not published; what
// another country publishes over them is not shown.
const (
	MaxSheet     = 32 << 10 // bytes of its body
	MaxContacts  = 12       // crisis contacts
	MaxTexts     = 16       // languages of one text
	MaxSheetText = 2000     // characters of one text
	MaxLawDays   = 366      // days that a law note holds at most after its as_of
)

// sheetSpace is the name space in which an origin becomes the key of its sheet.
var sheetSpace = uuid.MustParse("c3a7c5a4-5b0d-4c0e-9a53-0f6b8c1d7e21")

// SheetKey is the key of the one record in a feed that is its country's sheet.
// A sheet that stands under another key does not count.
func SheetKey(origin [16]byte) [16]byte { return uuid.NewSHA1(sheetSpace, origin[:]) }

// Sheet is what one country says about itself: whom to call in a crisis, what
// its law asks of those who help, where its readers may leave to, who runs its
// pages and whom to write to. It is a record in that country's own feed.
//
// Its fields are the view of the document from which it was made and are read,
// never written. Unknown fields stay in the document.
type Sheet struct {
	Crisis   []CrisisContact `json:"crisis_contacts"`
	Law      []LawNote       `json:"law_notes"`          // one for each language
	Exit     *ExitTarget     `json:"exit_target"`        // nil: none
	Operator []Statement     `json:"operator_statement"` // one for each language
	Notice   *NoticeContact  `json:"notice_contact"`     // nil: none
	Page     *PublicPage     `json:"public_page"`        // nil: not said where its readers find this directory

	doc  Document
	size int
}

// CrisisContact is somebody to turn to in a crisis.
type CrisisContact struct {
	Kind          string   `json:"kind"`           // code of VocabularyCrisis
	Type          string   `json:"type"`           // code of VocabularyChannel; phone when absent
	Value         string   `json:"value"`          // number or address
	NumberKind    string   `json:"number_kind"`    // code of VocabularyNumberKind; by the form of the number when absent
	Label         string   `json:"label"`          // the line's own name
	LabelLanguage string   `json:"label_language"` // BCP 47 tag of Label
	Languages     []string `json:"languages"`      // BCP 47 tags that are spoken there
	Hours         *Hours   `json:"hours"`          // nil: not stated
	AsOf          string   `json:"as_of"`          // date on which somebody made sure
	Method        string   `json:"method"`         // code of VocabularyMethod: how
	SourceURL     string   `json:"source_url"`     // page that says so
}

// LawNote says in one language what the law of the country asks of those whom
// somebody tells something.
type LawNote struct {
	Language   string `json:"language"` // BCP 47 tag
	Text       string `json:"text"`
	AsOf       string `json:"as_of"`       // date of the law that it tells of
	ReviewDue  string `json:"review_due"`  // last date on which it may be relied on
	ReviewedBy string `json:"reviewed_by"` // role of who has checked it, no person's name
	SourceURL  string `json:"source_url"`
}

// ExitTarget is a page that anybody might have open: weather, news.
type ExitTarget struct {
	URL      string `json:"url"`      // https, without a query
	Label    string `json:"label"`    // as the link reads
	Language string `json:"language"` // BCP 47 tag of Label
	AsOf     string `json:"as_of"`
}

// Statement is what the operator says in one language about itself and its
// pages.
type Statement struct {
	Language string `json:"language"` // BCP 47 tag
	Text     string `json:"text"`
	AsOf     string `json:"as_of"`
}

// NoticeContact is whom to write to about what is published or hidden.
type NoticeContact struct {
	Value     string   `json:"value"`     // e-mail, web or postal address
	Languages []string `json:"languages"` // BCP 47 tags in which one may write
	AsOf      string   `json:"as_of"`
}

// PublishedSheet is a country's sheet as this node holds it.
type PublishedSheet struct {
	Country  string // ISO 3166-1 alpha-2 of the member that publishes it
	Sheet    *Sheet
	AsOf     time.Time // when that country last confirmed its feed, UTC
	Standing Standing  // how far the feed can be relied on
}

var sheetShape = shapeOf(reflect.TypeFor[Sheet](), map[reflect.Type]*shape{})

// Sheet returns d read as a country sheet, and every value that has the wrong
// type, by path; such a value reads as absent. The sheet is never nil.
func (d Document) Sheet() (*Sheet, Faults) {
	s := &Sheet{}
	tree, err := canonical(map[string]any(d), MaxDepth)
	if err != nil {
		return s, Faults{{"", CodeMalformed, "This sheet cannot be read: " + err.Error() + ". Correct it and try again."}}
	}
	s.doc, _ = tree.(map[string]any)
	var faults Faults
	fill(reflect.ValueOf(s).Elem(), sheetShape, tree, "", &faults)
	if body, err := s.doc.Encode(); err == nil {
		s.size = len(body)
	} else {
		s.size = MaxBody + 1 // the only reason left
	}
	return s, faults
}

// ParseSheet reads the body of a sheet's record. A value of the wrong type
// reads as absent; bytes that are no document, or over [MaxSheet], are an error
// ([ErrMalformed]).
func ParseSheet(body []byte) (*Sheet, error) {
	if len(body) > MaxSheet {
		return nil, fmt.Errorf("%w: the sheet has %d bytes, the limit is %d", ErrMalformed, len(body), MaxSheet)
	}
	d, err := DecodeDocument(body)
	if err != nil {
		return nil, err
	}
	s, _ := d.Sheet()
	return s, nil
}

// Encode returns the body of the sheet's record: core-deterministic CBOR of the
// document, unknown fields included. It refuses with [ErrMalformed] what is over
// [MaxSheet].
func (s *Sheet) Encode() ([]byte, error) {
	b, err := s.Document().Encode()
	if err == nil && len(b) > MaxSheet {
		err = fmt.Errorf("%w: the sheet has %d bytes, the limit is %d", ErrMalformed, len(b), MaxSheet)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Document returns the document from which the sheet was made; empty for the
// zero Sheet.
func (s *Sheet) Document() Document {
	if s.doc == nil {
		return Document{}
	}
	return s.doc
}

// MarshalJSON implements [json.Marshaler]: the document as it was given.
func (s *Sheet) MarshalJSON() ([]byte, error) { return s.Document().JSON(), nil }

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Sheet) UnmarshalJSON(b []byte) error {
	d, err := ParseJSON(b)
	if err != nil {
		return err
	}
	read, _ := d.Sheet()
	*s = *read
	return nil
}

var (
	_ json.Marshaler   = (*Sheet)(nil)
	_ json.Unmarshaler = (*Sheet)(nil)
)

// Channel returns the contact as a channel, whose rules say what may be dialled
// and what may be a link.
func (c *CrisisContact) Channel() Channel {
	t := c.Type
	if t == "" {
		t = "phone"
	}
	return Channel{Type: t, Value: c.Value, NumberKind: c.NumberKind}
}

// Freshness returns where the contact stands on the ladder of freshness, as a
// crisis listing that was last checked on its date. One without a usable date
// is lapsed: nobody is sent to a number of which nobody made sure.
func (c *CrisisContact) Freshness(now time.Time, cadence Cadence) Freshness {
	if !c.Confirmed(now) {
		return Lapsed
	}
	l := crisisListing()
	l.Verification = &Verification{Date: c.AsOf, Method: c.Method}
	return l.Freshness(now, cadence)
}

// Confirmed reports whether somebody has ever made sure of the contact: it has a
// date, and not one in the future. One that nobody did is not shown.
func (c *CrisisContact) Confirmed(now time.Time) bool {
	_, ok := usableDate(c.AsOf, now)
	return ok
}

// crisisListing has the cadence that crisis contacts have.
func crisisListing() *Listing {
	l := &Listing{}
	l.Kind = KindCrisis
	return l
}

// Expired reports whether the note may no longer be relied on at the time now:
// its review is overdue, or its dates cannot be used.
func (n *LawNote) Expired(now time.Time) bool {
	since, ok := usableDate(n.AsOf, now)
	due, err := time.Parse(time.DateOnly, n.ReviewDue)
	if latest := since.AddDate(0, 0, MaxLawDays); due.After(latest) {
		due = latest
	}
	return !ok || err != nil || !now.UTC().Before(due.AddDate(0, 0, 1))
}

// Spoken returns which of some texts to show: that in the first of the tags
// that has one, else the first text; -1 when there is none. Tags are BCP 47;
// one with a region stands for its language, and the two written forms of
// Norwegian for Norwegian.
func Spoken[T any](texts []T, language func(T) string, tags ...string) int {
	for _, tag := range tags {
		for i, t := range texts {
			if strings.EqualFold(language(t), tag) {
				return i
			}
		}
		for i, t := range texts {
			if baseLanguage(language(t)) == baseLanguage(tag) {
				return i
			}
		}
	}
	if len(texts) == 0 {
		return -1
	}
	return 0
}

func baseLanguage(tag string) string {
	base, _, _ := strings.Cut(strings.ToLower(tag), "-")
	if base == "nb" || base == "nn" {
		return "no"
	}
	return base
}

// ErrNoSheet is returned where a country's sheet was asked for that is not held
// or not shown here.
var ErrNoSheet = errors.New("the country has published no sheet")
