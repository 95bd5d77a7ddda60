package check

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Level says how much it matters that a rule is broken.
type Level string

// A client may rely on what an API must; it works better where an API does what
// it should.
const (
	Must   Level = "must"
	Should Level = "should"
)

// Outcome says how an API stands by one rule.
type Outcome string

// The outcomes of a rule.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"  // a rule of level must is broken
	Warned  Outcome = "warned"  // a rule of level should is broken
	Skipped Outcome = "skipped" // nothing was found on which it could be tried; Result.Why says what
)

// Finding is one place where a rule is broken.
type Finding struct {
	Place   string `json:"place"`          // the request: "GET /services?page=2"
	Path    string `json:"path,omitempty"` // in its answer: "contents[3].organization.id"
	Message string `json:"message"`        // what is wrong, in a sentence
}

// Result is how the API stands by one rule.
type Result struct {
	Code     string    `json:"code"` // stable, for scripts: "page.arithmetic"
	Title    string    `json:"title"`
	Level    Level     `json:"level"`
	Outcome  Outcome   `json:"outcome"`
	Looked   int       `json:"looked"`             // in how many places it was tried
	Broken   int       `json:"broken"`             // in how many it was broken
	Why      string    `json:"why,omitempty"`      // it was skipped
	Findings []Finding `json:"findings,omitempty"` // the first ten
}

// ListSummary says what was read of a list.
type ListSummary struct {
	Name    string `json:"name"`
	Total   int    `json:"total"`   // as the API says
	Read    int    `json:"read"`    // items read
	Details int    `json:"details"` // items fetched one by one
	Whole   bool   `json:"whole"`   // every page was read
}

// Report is the answer of a check.
type Report struct {
	URL      string        `json:"url"`
	Started  time.Time     `json:"started"`
	Seconds  float64       `json:"seconds"`
	Version  string        `json:"version,omitempty"` // that the API says it speaks
	Profile  string        `json:"profile,omitempty"`
	Requests int           `json:"requests"`
	Bytes    int64         `json:"bytes"` // of all answers, unpacked
	Lists    []ListSummary `json:"lists"`
	// Extra are the properties that HSDS does not have, "service.channels". They
	// are allowed; the profile should describe them.
	Extra   []string `json:"extra_properties,omitempty"`
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Warned  int      `json:"warned"`
	Skipped int      `json:"skipped"`
	Results []Result `json:"results"`

	extra map[string]bool
}

// rules are all there are, in the order of the report.
var rules = []Result{
	{Code: "base.answers", Level: Must, Title: "The root answers with a JSON object"},
	{Code: "base.version", Level: Must, Title: "It names the version of HSDS, 3 or a later 3.x"},
	{Code: "base.profile", Level: Should, Title: "It names its profile by a URI"},
	{Code: "base.openapi", Level: Should, Title: "It names its own description by a URI"},
	{Code: "base.openapi.read", Level: Should, Title: "Its description can be read and names the lists"},
	{Code: "list.services", Level: Must, Title: "There is a list of services"},
	{Code: "list.others", Level: Should, Title: "There are the other lists of the specification"},
	{Code: "page.envelope", Level: Must, Title: "A page has contents and says whether it is empty; its members are of the right types"},
	{Code: "page.members", Level: Should, Title: "A page has the other members too: nobody can page without them"},
	{Code: "page.arithmetic", Level: Must, Title: "The numbers of the envelope agree with each other and with the contents"},
	{Code: "page.per_page", Level: Must, Title: "per_page sets how many items a page has"},
	{Code: "page.complete", Level: Must, Title: "All pages together hold total_items"},
	{Code: "page.unique", Level: Must, Title: "No id stands on the pages twice"},
	{Code: "page.stable", Level: Must, Title: "The same page asked twice is the same"},
	{Code: "page.beyond", Level: Should, Title: "A page after the last has no contents"},
	{Code: "item.schema", Level: Must, Title: "Items of lists are valid after the schemas"},
	{Code: "item.values", Level: Should, Title: "Dates, times and the like can be read"},
	{Code: "detail.answers", Level: Must, Title: "Every listed item can be fetched by its id"},
	{Code: "detail.schema", Level: Must, Title: "Single items are valid after the schemas"},
	{Code: "detail.agrees", Level: Must, Title: "An item says the same in a list and alone"},
	{Code: "detail.unknown", Level: Must, Title: "An id that does not exist is answered with 404"},
	{Code: "filter.search", Level: Must, Title: "search finds an item by a word of its name"},
	{Code: "filter.search.none", Level: Should, Title: "search for a word that nobody uses finds nothing"},
	{Code: "filter.organization_id", Level: Must, Title: "organization_id gives the services of that organization, all of them and no others"},
	{Code: "filter.taxonomy_term_id", Level: Must, Title: "taxonomy_term_id gives items with that term only"},
	{Code: "filter.taxonomy_id", Level: Must, Title: "taxonomy_id gives items with a term of that taxonomy only"},
	{Code: "filter.modified_after", Level: Must, Title: "modified_after gives what was modified on or after that time"},
	{Code: "filter.parent_id", Level: Must, Title: "parent_id gives the terms below that term"},
	{Code: "filter.top_only", Level: Must, Title: "top_only gives terms without a parent"},
	{Code: "filter.and", Level: Must, Title: "Two filters together give what both give"},
	{Code: "filter.none", Level: Must, Title: "A filter that nothing fits gives an empty page"},
	{Code: "filter.invalid", Level: Must, Title: "A value that makes no sense is refused or ignored, never a server error"},
	{Code: "param.minimal", Level: Must, Title: "minimal gives the ids and times of modification only"},
	{Code: "param.full", Level: Must, Title: "full gives items as they are alone"},
	{Code: "param.full_service", Level: Must, Title: "full_service gives organizations with their services"},
	{Code: "format.ndjson", Level: Must, Title: "ndjson is one object a line and holds all pages together"},
	{Code: "format.ndjson.type", Level: Should, Title: "ndjson says that it is ndjson"},
	{Code: "link.organization", Level: Must, Title: "The organization of a service exists"},
	{Code: "link.agrees", Level: Should, Title: "The organization of a service has the same name as alone"},
	{Code: "link.service", Level: Must, Title: "The service of a service at location exists"},
	{Code: "link.taxonomy", Level: Must, Title: "The taxonomy of a term exists"},
	{Code: "link.parent", Level: Must, Title: "The parent of a term exists"},
	{Code: "link.term", Level: Should, Title: "The terms of services are among the taxonomy terms"},
	{Code: "http.type", Level: Must, Title: "JSON is served as JSON"},
	{Code: "http.post", Level: Must, Title: "A list can be asked with POST"},
	{Code: "http.post.body", Level: Should, Title: "What is asked with POST may stand in its body, so that no address tells it"},
	{Code: "http.cors", Level: Should, Title: "Pages of other sites may read it (CORS)"},
	{Code: "http.head", Level: Should, Title: "HEAD answers as GET, without the body"},
	{Code: "http.cache", Level: Should, Title: "An answer can be asked for again cheaply (ETag or Last-Modified, 304)"},
	{Code: "http.problem", Level: Should, Title: "Errors are JSON, not a page"},
	{Code: "http.gzip", Level: Should, Title: "Large answers can be compressed"},
	{Code: "http.https", Level: Should, Title: "It is served over HTTPS"},
}

func newReport(u string) *Report {
	return &Report{URL: u, Results: slices.Clone(rules), Lists: []ListSummary{}, extra: map[string]bool{}}
}

func (r *Report) rule(code string) *Result {
	i := slices.IndexFunc(r.Results, func(x Result) bool { return x.Code == code })
	if i < 0 {
		panic("check: no rule " + code) // a code of this package, seen by every test
	}
	return &r.Results[i]
}

// looked counts one place where a rule was tried.
func (c *run) looked(code string) { c.report.rule(code).Looked++ }

// skip says why a rule was not tried, if nothing else tries it.
func (c *run) skip(code, why string) { c.report.rule(code).Why = why }

// broken notes a place where a rule is broken. It counts as looked at.
func (c *run) broken(code, place, path, format string, args ...any) {
	r := c.report.rule(code)
	r.Looked++
	r.Broken++
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, Finding{Place: place, Path: path, Message: fmt.Sprintf(format, args...)})
	}
}

// holds notes that a rule was tried, and what is wrong if it does not hold.
func (c *run) holds(ok bool, code, place, path, format string, args ...any) bool {
	if ok {
		c.looked(code)
	} else {
		c.broken(code, place, path, format, args...)
	}
	return ok
}

func (r *Report) finish() {
	for i := range r.Results {
		x := &r.Results[i]
		switch {
		case x.Broken > 0 && x.Level == Must:
			x.Outcome, x.Why = Failed, ""
			r.Failed++
		case x.Broken > 0:
			x.Outcome, x.Why = Warned, ""
			r.Warned++
		case x.Looked > 0:
			x.Outcome, x.Why = Passed, ""
			r.Passed++
		default:
			x.Outcome = Skipped
			if x.Why == "" {
				x.Why = "there was nothing to try it on"
			}
			r.Skipped++
		}
	}
	for name := range r.extra {
		r.Extra = append(r.Extra, name)
	}
	slices.Sort(r.Extra)
}

// Conforms reports whether no rule of level must is broken.
func (r *Report) Conforms() bool { return r.Failed == 0 }

// Write prints the report for a person: what is broken first and in full, then
// what could not be tried, then one line that says how it stands.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.URL)
	fmt.Fprintf(&b, "HSDS %s, profile %s\n\n", orNone(r.Version), orNone(r.Profile))
	for _, l := range r.Lists {
		part := "all"
		if !l.Whole {
			part = fmt.Sprintf("the first %d", l.Read)
		}
		fmt.Fprintf(&b, "  %-21s %7d items, %s read, %d fetched one by one\n", l.Name, l.Total, part, l.Details)
	}
	for _, part := range []struct {
		outcome Outcome
		head    string
	}{{Failed, "BROKEN"}, {Warned, "COULD BE BETTER"}} {
		head := "\n" + part.head + "\n"
		for _, x := range r.Results {
			if x.Outcome != part.outcome {
				continue
			}
			fmt.Fprintf(&b, "%s  %s: %s\n", head, x.Code, x.Title)
			head = ""
			for _, f := range x.Findings {
				at := f.Place
				if f.Path != "" {
					at += "  " + f.Path
				}
				fmt.Fprintf(&b, "      %s\n        %s\n", plain(at), plain(f.Message))
			}
			if more := x.Broken - len(x.Findings); more > 0 {
				fmt.Fprintf(&b, "      and in %d more places\n", more)
			}
		}
	}
	head := "\nNOT TRIED\n"
	for _, x := range r.Results {
		if x.Outcome == Skipped {
			fmt.Fprintf(&b, "%s  %s: %s\n", head, x.Code, plain(x.Why))
			head = ""
		}
	}
	if len(r.Extra) > 0 {
		fmt.Fprintf(&b, "\nBEYOND HSDS (allowed; the profile should describe it)\n  %s\n", plain(strings.Join(r.Extra, ", ")))
	}
	verdict := "It keeps every rule that it must."
	if !r.Conforms() {
		verdict = "It breaks rules that clients rely on."
	}
	fmt.Fprintf(&b, "\n%s %d kept, %d broken, %d could be better, %d not tried; %d requests, %.1f MB, %.1f s.\n",
		verdict, r.Passed, r.Failed, r.Warned, r.Skipped, r.Requests, float64(r.Bytes)/1e6, r.Seconds)
	_, err := io.WriteString(w, b.String())
	return err
}

func orNone(s string) string {
	if s == "" {
		return "not named"
	}
	return plain(s)
}

// plain makes what the other side sent safe to show on a terminal, on one line.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return ' '
		}
		return r
	}, s)
}
