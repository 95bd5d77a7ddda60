package search

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/search/analysis"
)

func knownFacet(f Facet) bool { return slices.Contains(Facets(), f) }

// nearestFacet returns the facet whose name takes the fewest edits.
func nearestFacet(name string) Facet {
	name = printable(name, 64)
	best, least := Audience, 1<<30
	for _, f := range Facets() {
		d := distance([]rune(name), []rune(string(f)))
		if name != "" && (strings.HasPrefix(string(f), name) || strings.HasPrefix(name, string(f))) {
			d = 0
		}
		if d < least {
			best, least = f, d
		}
	}
	return best
}

// printable cuts s to n bytes of valid, printable text.
func printable(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// facetValue brings a value of a question into the form in which it is kept.
// A code that nothing carries is no error: vocabularies grow.
func facetValue(f Facet, v string) (string, error) {
	v = strings.TrimSpace(v)
	if v == "" {
		return "", nil
	}
	if len(v) > maxIDLen {
		return "", fmt.Errorf("%w: a value of %s is %d bytes long, at most %d are", ErrBadQuery, f, len(v), maxIDLen)
	}
	switch f {
	case Country:
		return strings.ToUpper(v), nil
	case Language:
		return analysis.Base(v), nil
	case OpenNow:
		switch strings.ToLower(v) {
		case "true", "1", "yes", "on":
			return openTrue, nil
		case "false", "0", "no":
			return openFalse, nil
		case openNotStated:
			return openNotStated, nil
		}
		return "", fmt.Errorf("%w: open_now is true, false or not_stated, not %q", ErrBadQuery, printable(v, 32))
	case Freshness:
		v = strings.ToLower(v)
		if !slices.Contains(freshnessNames[:], v) {
			return "", fmt.Errorf("%w: freshness is one of %s, not %q", ErrBadQuery, strings.Join(freshnessNames[:], ", "), printable(v, 32))
		}
		return v, nil
	case Age:
		if slices.ContainsFunc(ageBands[:], func(b ageBand) bool { return b.name == v }) {
			return v, nil
		}
		if lo, hi, ok := years(v); ok && lo == hi {
			return strconv.Itoa(lo), nil
		} else if ok {
			return fmt.Sprintf("%d-%d", lo, hi), nil
		}
		return "", fmt.Errorf("%w: age is 12-17, 18-20, 21+, a number of years or a range such as 30-45, not %q", ErrBadQuery, printable(v, 32))
	}
	return v, nil
}

// years reads an age, "15", or a range of ages, "30-45", both inclusive.
func years(v string) (lo, hi int, ok bool) {
	from, to, ranged := strings.Cut(v, "-")
	if !ranged {
		to = from
	}
	lo, err1 := strconv.Atoi(from)
	hi, err2 := strconv.Atoi(to)
	return lo, hi, err1 == nil && err2 == nil && 0 <= lo && lo <= hi && hi <= 150
}

// ageBand is a range of ages in years, both inclusive.
type ageBand struct {
	name     string
	min, max int
}

var ageBands = [...]ageBand{{"12-17", 12, 17}, {"18-20", 18, 20}, {"21+", 21, 255}}

const (
	openTrue      = "true"
	openFalse     = "false"
	openNotStated = "not_stated"
)
