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
		if n, err := strconv.Atoi(v); err == nil && n >= 0 && n <= 150 {
			return strconv.Itoa(n), nil
		}
		return "", fmt.Errorf("%w: age is 12-17, 18-20, 21+ or a number of years, not %q", ErrBadQuery, printable(v, 32))
	}
	return v, nil
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
