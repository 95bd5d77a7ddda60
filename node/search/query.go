package search

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// Errors of a search. All are the fault of the question and safe to show.
var (
	// ErrUnknownFacet: the question names a facet that does not exist. The
	// error is an [*UnknownFacetError].
	ErrUnknownFacet = errors.New("unknown facet")
	// ErrSnapshotGone: the snapshot to page in is no longer kept; ask again
	// without one, from the first page.
	ErrSnapshotGone = errors.New("the list to page in is no longer kept; ask again from the first page")
	// ErrBadQuery: the question contradicts itself or leaves the bounds.
	ErrBadQuery = errors.New("bad question")
	// ErrBadDoc: a document cannot be indexed; nothing of its batch was.
	ErrBadDoc = errors.New("bad document")
)

// UnknownFacetError names a facet that does not exist and the nearest that does.
type UnknownFacetError struct {
	Name    string // as asked, shortened to 64 bytes of printable text
	Nearest Facet  // the most similar name
}

func (e *UnknownFacetError) Error() string {
	return fmt.Sprintf("there is no facet %q; did you mean %q?", e.Name, e.Nearest)
}

// Is makes errors.Is(err, ErrUnknownFacet) true.
func (e *UnknownFacetError) Is(target error) bool { return target == ErrUnknownFacet }

// Order says by what an answer is sorted. Ties are broken by country and id.
type Order uint8

// The orders.
const (
	ByRank     Order = iota // the ladder: see [Why]
	ByID                    // country, then id
	ByDistance              // nearest first, then those without a place; needs Near
)

// Bounds of a question.
const (
	MaxQueryRunes = 400 // of the text; the rest is not looked at
	MaxWords      = 32  // of the text; the rest is not looked at
	MaxPerPage    = 100
	DefaultPage   = 20 // results on a page where the question does not say
	maxValues     = 64 // of one facet in a question
	maxRadiusKM   = 20100
)

// Query is one question. The zero value asks for everything public, the best
// first, in pages of 20.
type Query struct {
	// Text is what the reader wrote: any bytes. Listings that have all its words
	// come first; where fewer than ten in the language of the page have all,
	// those that have most of them follow: two thirds of three or more words, or,
	// when none in that language has so many, as many as any of them has; of two
	// words one, but only in that language. A word that no listing has is not
	// counted. The last word may be the beginning of one; words in double
	// quotes must stand side by side as written.
	Text     string
	Language string // of the page: BCP 47. Ranks, never hides
	From     string // country of the reader, ISO 3166-1. Ranks, never hides; "" = not said

	Countries  []string            // publishers
	Languages  []string            // of the service
	UsableFrom []string            // ISO 3166-1 or 3166-2: where it must be possible to use it
	Facets     map[string][]string // by name of a [Facet]: OR within one, AND between them

	Keys []KeyFilter // all of them must be met

	Near     *Point
	RadiusKM float64 // 0 = no bound; above 0 needs Near

	// Silent are publishers that have not been heard of for so long that their
	// opening hours are no promise: their listings are neither open nor closed.
	Silent []string

	Age          int  // years; 0 = not said
	OpenNow      bool // the same as the facet open_now=true
	Professional bool // show what is for professionals too

	// Together gives companions one place: a hit that one before it names as a
	// companion, and what that names in turn, stands with the first of them, in
	// [Hit.Together], and not in the list. At most [MaxTogether] stand with one;
	// further ones keep their places.
	Together bool

	Page, PerPage int // from 1; 0 = 1 and [DefaultPage]
	Order         Order
	Snapshot      string    // [Answer.Snapshot] of an earlier page; "" = the newest
	Now           time.Time // zero = the clock of the index; with a Snapshot that of its answer
}

// Answer is one page of an answer.
type Answer struct {
	Total         int // of all pages: listings
	Places        int // of all pages: hits. Fewer than Total where some stand together
	Page, PerPage int
	Hits          []Hit
	Facets        map[Facet][]Count // over all pages; a facet's own filter does not bound its counts
	Snapshot      string            // to ask for further pages of the same list
	Words         int               // words of the text that were looked for
	Matched       int               // how many of them each hit has at least; fewer than Words where few have all
	Corrected     []Correction      // words found only by forgiving a typing mistake, in the order of the text
}

// Correction is a word that no listing has, and the most frequent of the words
// most like it that some have: what the reader may have meant. Both are folded;
// [analysis.Spelled] finds how a listing writes it.
type Correction struct{ Asked, Meant string }

// Count is how many listings of an answer have a value.
type Count struct {
	Value string
	Count int
}

// Hit is one listing of an answer.
type Hit struct {
	Ref
	Revision  uint64
	Distance  float64 // km to its nearest place; below 0 = not asked or no place
	Freshness string  // fresh, due, stale, demoted, lapsed
	Open      string  // true, false, not_stated
	Why       []Why   // what put it where it is, most important first
	Together  []Ref   // the hits that stand with it, the nearest first; see [Query.Together]
}

// Why is a reason for a place in the order.
type Why string

// The reasons, in the order in which the ladder asks them. Between listings
// with the same answers the better match of the words comes first.
const (
	WhyUsable    Why = "usable_from"   // can be used from Query.From
	WhyLanguage  Why = "your_language" // works in Query.Language
	WhyAnonymous Why = "anonymous"     // can be contacted without a name
	WhyOpen      Why = "open_now"      // open at Query.Now
	WhyFresh     Why = "fresh"         // checked within its cadence
	WhyWords     Why = "words"         // has all words as they were asked
	WhySomeWords Why = "some_words"    // has some of the words
	WhyTypo      Why = "typo"          // has a word similar to one that was asked
	WhyNear      Why = "near"          // stands within the radius
)

// normal returns q with its defaults filled in and its codes folded to the
// case in which they are kept, or an error that says what is wrong with it.
func (q Query) normal() (Query, error) {
	facets := make(map[string][]string, len(q.Facets)+3)
	for name, values := range q.Facets {
		f := Facet(strings.ToLower(strings.TrimSpace(name)))
		if !knownFacet(f) {
			return q, &UnknownFacetError{Name: printable(name, 64), Nearest: nearestFacet(string(f))}
		}
		facets[string(f)] = append(facets[string(f)], values...)
	}
	facets[string(Country)] = append(facets[string(Country)], q.Countries...)
	facets[string(Language)] = append(facets[string(Language)], q.Languages...)
	if q.Age > 0 && q.Age <= 150 {
		facets[string(Age)] = append(facets[string(Age)], strconv.Itoa(q.Age))
	}
	if q.OpenNow {
		facets[string(OpenNow)] = []string{"true"}
	}
	for name, values := range facets {
		if len(values) == 0 {
			delete(facets, name)
			continue
		}
		if len(values) > maxValues {
			return q, fmt.Errorf("%w: %d values of %s, at most %d can be asked at once", ErrBadQuery, len(values), name, maxValues)
		}
		clean := make([]string, 0, len(values))
		for _, v := range values {
			v, err := facetValue(Facet(name), v)
			if err != nil {
				return q, err
			}
			if v != "" {
				clean = append(clean, v)
			}
		}
		if facets[name] = clean; len(clean) == 0 {
			delete(facets, name)
		}
	}
	q.Facets, q.Countries, q.Languages, q.OpenNow = facets, nil, nil, false

	q.Language = analysis.Base(q.Language)
	q.From = strings.ToUpper(strings.TrimSpace(q.From))
	if len(q.UsableFrom) > maxValues {
		return q, fmt.Errorf("%w: %d places to use it from, at most %d can be asked at once", ErrBadQuery, len(q.UsableFrom), maxValues)
	}
	places := make([]string, 0, len(q.UsableFrom))
	for _, p := range q.UsableFrom {
		if p = strings.ToUpper(strings.TrimSpace(p)); p != "" {
			places = append(places, p)
		}
	}
	q.UsableFrom = places
	if len(q.Keys) > maxValues {
		return q, fmt.Errorf("%w: %d filters by keys, at most %d can be asked at once", ErrBadQuery, len(q.Keys), maxValues)
	}
	for _, f := range q.Keys {
		if err := f.normal(); err != nil {
			return q, err
		}
	}

	switch {
	case q.Near != nil && !q.Near.valid():
		return q, fmt.Errorf("%w: a latitude lies between -90 and 90, a longitude between -180 and 180", ErrBadQuery)
	case q.RadiusKM != q.RadiusKM || q.RadiusKM < 0:
		return q, fmt.Errorf("%w: a radius is a number of kilometres above 0", ErrBadQuery)
	case q.RadiusKM > 0 && q.Near == nil:
		return q, fmt.Errorf("%w: a radius needs a place around which it is drawn", ErrBadQuery)
	case q.Order == ByDistance && q.Near == nil:
		return q, fmt.Errorf("%w: an order by distance needs a place from which it is measured", ErrBadQuery)
	case q.Order > ByDistance:
		return q, fmt.Errorf("%w: there is no order %d", ErrBadQuery, q.Order)
	case q.Age < 0 || q.Age > 150:
		return q, fmt.Errorf("%w: an age lies between 0 and 150 years", ErrBadQuery)
	case q.Page < 0 || q.PerPage < 0:
		return q, fmt.Errorf("%w: pages are numbered from 1", ErrBadQuery)
	case q.PerPage > MaxPerPage:
		return q, fmt.Errorf("%w: a page has at most %d results", ErrBadQuery, MaxPerPage)
	}
	q.RadiusKM = min(q.RadiusKM, maxRadiusKM)
	if q.Page == 0 {
		q.Page = 1
	}
	if q.PerPage == 0 {
		q.PerPage = DefaultPage
	}
	return q, nil
}
