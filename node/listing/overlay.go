package listing

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// OverlayKind says what an overlay is about.
type OverlayKind string

// The kinds of an overlay. A note tells people of the author's country whether
// and how a listing works for them; every active member may write one. An alert
// and a status stand beside a listing whose own country cannot be reached; they
// count only from a member that the registry names as its caretaker. A
// translation gives texts in another language.
const (
	OverlayNote        OverlayKind = "note"
	OverlayAlert       OverlayKind = "alert"
	OverlayStatus      OverlayKind = "status"
	OverlayTranslation OverlayKind = "translation"
)

// The limits of an overlay.
const (
	MaxOverlayText = 1000 // characters of its text
	MaxNoteDays    = 366  // days that a note holds at most after its as_of
	MaxAlertDays   = 92   // days that an alert or a status holds at most
)

// Overlay is what one member publishes about a listing of another: a record of
// its own in the author's feed, never a change of the listing. Who the author
// is, is not said in it: it is the country in whose feed it stands.
//
// Dates are text as HSDS has them ("2026-11-23"). The zero value of a field
// means that it is absent.
type Overlay struct {
	Target         string            `json:"target"`                // id of the listing, a UUID
	TargetOrigin   string            `json:"target_origin"`         // origin id of its feed, 32 hexadecimal digits
	Kind           OverlayKind       `json:"kind"`                  //
	Language       string            `json:"language,omitempty"`    // BCP 47 tag in which Text and Fields are written
	SourceRevision string            `json:"source_revision"`       // Document.Revision of the listing that it was written for
	By             string            `json:"by"`                    // human or machine; machine for translations only
	Text           string            `json:"text,omitempty"`        //
	Works          string            `json:"works_here,omitempty"`  // note: code of VocabularyWorks
	Cost           string            `json:"cost,omitempty"`        // note: code of VocabularyCost
	Languages      []string          `json:"languages,omitempty"`   // note: BCP 47 tags that are spoken to people from here
	Status         Status            `json:"status,omitempty"`      // status: how the service is; a status can only close
	Fields         map[string]string `json:"translation,omitempty"` // translation: texts by path, as in Translations
	AsOf           string            `json:"as_of"`                 // date of the day on which it was found so
	Expires        string            `json:"expires,omitempty"`     // last date on which it holds; notes, alerts and statuses must have one
}

// Encode returns the body of an overlay's record: core-deterministic CBOR. It
// refuses with [ErrMalformed] what is over [MaxBody].
func (o Overlay) Encode() ([]byte, error) {
	b, err := encoding.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if len(b) > MaxShare {
		return nil, fmt.Errorf("%w: the overlay has %d bytes, the limit is %d", ErrMalformed, len(b), MaxShare)
	}
	return b, nil
}

// ParseOverlay reads what Encode writes. Fields that it does not know are
// passed over. Bytes that are no overlay are an error ([ErrMalformed]); whether
// what is in it counts is for [Overlay.Holds].
func ParseOverlay(body []byte) (Overlay, error) {
	var o Overlay
	if len(body) > MaxBody {
		return o, fmt.Errorf("%w: the overlay has %d bytes, the limit is %d", ErrMalformed, len(body), MaxBody)
	}
	if len(body) == 0 || body[0]>>5 != cborMap {
		return o, fmt.Errorf("%w: want an object", ErrMalformed)
	}
	if err := decoding.Unmarshal(body, &o); err != nil {
		return Overlay{}, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	return o, nil
}

// TargetKey is the id of the listing as bytes; false when it is none.
func (o Overlay) TargetKey() ([16]byte, bool) {
	id, err := uuid.Parse(o.Target)
	return id, err == nil && len(o.Target) == 36
}

// TargetFeed is the origin id of the listing's feed as bytes; false when it is
// none.
func (o Overlay) TargetFeed() (id [16]byte, ok bool) {
	b, err := hex.DecodeString(o.TargetOrigin)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return [16]byte(b), true
}

// Key is the key of the overlay's record in the feed of its author: one author
// has one overlay of a kind and language for a listing. An overlay that stands
// under another key does not count.
func (o Overlay) Key(author [16]byte) [16]byte {
	var name []byte
	if feed, ok := o.TargetFeed(); ok {
		name = append(name, feed[:]...)
	}
	if key, ok := o.TargetKey(); ok {
		name = append(name, key[:]...)
	}
	name = append(append(name, o.Kind...), 0)
	return uuid.NewSHA1(uuid.UUID(author), append(name, strings.ToLower(o.Language)...))
}

// Ends is the first moment at which the overlay no longer holds; false when it
// has no end. An end later than its kind may have is brought forward.
func (o Overlay) Ends() (time.Time, bool) {
	var days int
	switch o.Kind {
	case OverlayNote:
		days = MaxNoteDays
	case OverlayAlert, OverlayStatus:
		days = MaxAlertDays
	default:
		return time.Time{}, false
	}
	since, err := time.Parse(time.DateOnly, o.AsOf)
	last, err2 := time.Parse(time.DateOnly, o.Expires)
	if errors.Join(err, err2) != nil {
		return time.Time{}, true // no usable date: over before it began
	}
	if latest := since.AddDate(0, 0, days); last.After(latest) {
		last = latest
	}
	return last.AddDate(0, 0, 1), true
}

// Holds reports whether the overlay is of a known kind, sound, and neither over
// nor from the future. The caller gives as now the later of its clock and the
// newest signed time it has seen.
func (o Overlay) Holds(now time.Time) bool {
	if _, ok := usableDate(o.AsOf, now); !ok {
		return false
	}
	if end, bounded := o.Ends(); bounded && !now.UTC().Before(end) {
		return false
	}
	_, key := o.TargetKey()
	_, feed := o.TargetFeed()
	known := slices.Contains([]OverlayKind{OverlayNote, OverlayAlert, OverlayStatus, OverlayTranslation}, o.Kind)
	return known && key && feed && (o.By == "human" || o.Kind == OverlayTranslation)
}

// StatusValue returns how the service is by an overlay of kind status: one that
// is not known reads as inactive, and one that would open it as well.
func (o Overlay) StatusValue() Status {
	if o.Status == TemporarilyClosed || o.Status == Defunct {
		return o.Status
	}
	return Inactive
}

// WorksValue returns whether the service can be used from the author's country;
// not_stated when absent or not known.
func (o Overlay) WorksValue() string { return cautious(VocabularyWorks, o.Works, NotStated) }

// CostValue returns what it costs from the author's country; not_stated when
// absent or not known.
func (o Overlay) CostValue() string { return cautious(VocabularyCost, o.Cost, NotStated) }

// CheckPublish returns everything that keeps the overlay from being published
// at the time now, all at once.
func (o Overlay) CheckPublish(now time.Time) Faults {
	c := checker{l: &Listing{}, now: now}
	if _, ok := o.TargetKey(); !ok {
		c.add("target", CodeBadValue, "It is not said which listing this is about. Give the id of a listing.")
	}
	if _, ok := o.TargetFeed(); !ok {
		c.add("target_origin", CodeBadValue, "It is not said whose listing this is about. Leave it out: it is looked up.")
	}
	if len(o.SourceRevision) != 32 {
		c.add("source_revision", CodeMissing, "It is not said for which state of the listing this was written. Leave it out: it is looked up.")
	}
	if o.Language == "" && (o.Text != "" || o.Kind == OverlayTranslation) {
		c.add("language", CodeMissing, "It is not said in which language this is written. Give its tag, such as lt.")
	}
	if o.Language != "" {
		c.tags("language", []string{o.Language})
	}
	if n := utf8.RuneCountInString(o.Text); n > MaxOverlayText || !utf8.ValidString(o.Text) {
		c.add("text", CodeTooLarge, "The text has %d characters, at most %d are allowed. Shorten it.", n, MaxOverlayText)
	}
	switch o.By {
	case "human":
	case "machine":
		if o.Kind != OverlayTranslation {
			c.add("by", CodeBadValue, "Only a translation may be made by a machine. Have a person write or check this, and say human.")
		}
	default:
		c.add("by", CodeMissing, "It is not said who wrote this. Say human, or machine for a translation that nobody has checked.")
	}
	o.checkKind(&c)
	o.checkDates(&c)
	return c.Faults
}

func (o Overlay) checkKind(c *checker) {
	switch o.Kind {
	case OverlayNote:
		c.code("works_here", VocabularyWorks, o.Works, false)
		c.code("cost", VocabularyCost, o.Cost, false)
		c.tags("languages", o.Languages)
		if blank(o.Text) && o.WorksValue() == NotStated && o.CostValue() == NotStated && len(o.Languages) == 0 {
			c.add("text", CodeMissing, "The note says nothing. Say whether the service works from here, what it costs, which languages are spoken, or write a text.")
		}
	case OverlayAlert:
		if blank(o.Text) {
			c.add("text", CodeMissing, "The alert has no text. Write what people need to know now.")
		}
	case OverlayStatus:
		if o.Status != TemporarilyClosed && o.Status != Inactive && o.Status != Defunct {
			c.add("status", CodeBadCode, "A status from another country can only say that a service is closed. Choose temporarily closed, inactive or defunct.")
		}
	case OverlayTranslation:
		if len(o.Fields) == 0 {
			c.add("translation", CodeMissing, "The translation has no texts. Give at least one.")
		}
		paths := make([]string, 0, len(o.Fields))
		for path := range o.Fields {
			paths = append(paths, path)
		}
		slices.Sort(paths)
		for _, path := range paths {
			if !(filter{protected: true}).translatable(path) {
				c.add("translation", CodeBadValue, "%.60q is no text of a listing that can be translated. Leave it out.", path)
			} else if blank(o.Fields[path]) {
				c.add("translation", CodeMissing, "The translation of %.60q is empty. Write it or leave it out.", path)
			}
		}
	default:
		c.add("kind", CodeBadCode, "%.20q is no kind of overlay. Choose note, alert, status or translation.", o.Kind)
	}
}

func (o Overlay) checkDates(c *checker) {
	since, ok := usableDate(o.AsOf, c.now)
	if !ok {
		c.add("as_of", CodeBadValue, "This is no date, or one in the future. Write the day on which it was found so, as 2026-11-23.")
	}
	if o.Kind == OverlayTranslation && o.Expires == "" {
		return
	}
	last, err := time.Parse(time.DateOnly, o.Expires)
	if err != nil {
		c.add("expires", CodeMissing, "It is not said until when this holds. Give the last day, as 2026-11-23.")
		return
	}
	switch end, bounded := o.Ends(); {
	case !ok:
	case last.Before(since) || bounded && !c.now.UTC().Before(end):
		c.add("expires", CodeBadValue, "This would be over already. Give a later last day.")
	case bounded && last.After(end):
		c.add("expires", CodeBadValue, "This holds for too long: a note at most %d days, an alert or a status at most %d. "+
			"Give an earlier last day and renew it when it ends.", MaxNoteDays, MaxAlertDays)
	}
}

// Revision names what a listing says: two states of a document have the same
// one when they differ in nothing but when they were checked. Overlays carry
// that of the listing they were written for, so that a routine check does not
// make them look outdated.
func (d Document) Revision() string {
	tree, err := canonical(map[string]any(d), MaxDepth)
	if err != nil {
		return ""
	}
	b, err := encoding.Marshal(withoutChecks(tree))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// withoutChecks takes out of a canonical tree what only says that something was
// looked at.
func withoutChecks(v any) any {
	switch t := v.(type) {
	case map[string]any:
		for _, name := range []string{"assured_date", "last_modified", "verification", "confidentiality_verification"} {
			delete(t, name)
		}
		for _, x := range t {
			withoutChecks(x)
		}
	case []any:
		for _, x := range t {
			withoutChecks(x)
		}
	}
	return v
}
