// Package fiction makes listings that look like those of a real directory and
// are plainly invented, for demonstrations, tests and benchmarks.
//
// The i-th listing of a country depends on nothing but the seed, the country,
// i and the day, so a million of them can be made one after another without
// keeping any, and two machines make the same bytes. Names say in their own
// language that they are invented, web and e-mail addresses are under
// example.org and example.net, and telephone numbers are of the ranges that
// [Invented] names.
package fiction

import (
	"slices"
	"strconv"
	"time"

	"github.com/2ps-project/waymark/node/listing"
)

// Cycle is the length of the pattern in which the kinds of listings follow one
// another: any Cycle consecutive listings of a country hold a helpline, a
// crisis line, treatment, a defunct stub and so on.
const Cycle = 20

// StalePerCycle of the Cycle listings of each round were last checked too long
// ago and so fail the check before publishing, for that reason alone. All
// others pass it on the day for which they were made, if the day's policy asks
// nothing shorter than [listing.DefaultCadence].
const StalePerCycle = 2

// Stale tells whether the i-th listing of a country is one of those.
func Stale(i int) bool {
	slot, round := i%Cycle, i/Cycle
	return slot == (round*7+3)%goneSlot || slot == (round*7+12)%goneSlot
}

// Countries returns the codes (ISO 3166-1 alpha-2) of the fourteen countries,
// in alphabetical order.
func Countries() []string {
	codes := make([]string, 0, len(countries))
	for code := range countries {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return codes
}

// Languages returns the language tags in which the listings of a country are
// written, the most frequent first; nil for a country not of [Countries].
func Languages(country string) []string {
	c, ok := countries[country]
	if !ok {
		return nil
	}
	var tags []string
	for _, tag := range c.mix {
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// Operator returns the name of a fictional operator of a country's node, which
// says that it is one; "" for a country not of [Countries].
func Operator(country string) string { return countries[country].operator }

// OperatorType returns the code of the operator's type ("charity"); "" for a
// country not of [Countries]. One of the operators is a police force, so that
// what is shown of such an operator can be seen.
func OperatorType(country string) string { return countries[country].operatorType }

// Words returns things that people may type into the search box in a language:
// single words and short phrases that occur, at least in part, in the listings
// of that language. It is nil for a language that no country has.
func Words(language string) []string {
	b, ok := banks()[language]
	if !ok {
		return nil
	}
	return slices.Clone(b["query"])
}

// Listing returns the i-th listing of a country, i from 0, as it would stand on
// the day of today in UTC. The document is the caller's own. Pairs of
// companions are at i and i+1 with i even, and the successor of a defunct one
// comes before it, so the first n listings are complete in themselves if n is
// even. Listing panics for a country that is not of [Countries] and for a
// negative i.
func Listing(seed uint64, country string, i int, today time.Time) listing.Document {
	c, ok := countries[country]
	if !ok {
		panic("fiction: no such country: " + strconv.Quote(country))
	}
	if i < 0 {
		panic("fiction: negative listing number " + strconv.Itoa(i))
	}
	return newMaker(seed, c, country, i, today).document()
}

// Generate returns the first n listings of a country. Where many are wanted,
// call [Listing] for one at a time instead.
func Generate(seed uint64, country string, n int, today time.Time) []listing.Document {
	docs := make([]listing.Document, n)
	for i := range docs {
		docs[i] = Listing(seed, country, i, today)
	}
	return docs
}

// ID returns the id of the i-th listing of a country without making it.
func ID(seed uint64, country string, i int) string {
	return numbered(seed, "listing "+country, i)
}
