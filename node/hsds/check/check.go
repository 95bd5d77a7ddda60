// Package check asks any HSDS 3 API the questions that its specification
// answers, and says where it does not keep its word.
package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The bounds of a check. They hold whatever the other side sends.
const (
	DefaultItems   = 5_000            // items read of a list where [Options] does not say
	DefaultDetails = 60               // items of a list that are fetched one by one, spread over it
	maxBody        = 64 << 20         // bytes of one answer
	maxPages       = 20_000           // pages read of a list
	maxFindings    = 10               // kept of a rule; the others are counted
	requestTime    = 60 * time.Second // for one answer, to its end
)

// ErrUnreachable is returned when the API gives no answer at all: there is
// nothing to report on.
var ErrUnreachable = errors.New("the API cannot be reached")

// ErrAddress is returned for an address that cannot be that of an API.
var ErrAddress = errors.New("this is no address of an API")

// Options of a check.
type Options struct {
	// URL is the root of the API, below which services stands:
	// "https://directory.example.org/hsds". Required.
	URL     string
	Items   int               // most items read of a list; 0 = [DefaultItems]
	Details int               // most items of a list fetched one by one; 0 = [DefaultDetails]
	PerPage int               // items asked for on a page; 0 = 100
	Client  *http.Client      // nil = one that follows redirects within the same host
	Doing   func(what string) // told what is looked at next; nil = nobody
	Now     func() time.Time  // nil = time.Now
	Agent   string            // User-Agent; "" = "hsds-check"
}

// Run checks an API and reports on every rule. The error says why there is
// nothing to report: [ErrAddress], [ErrUnreachable], or that ctx ended.
func Run(ctx context.Context, opt Options) (*Report, error) {
	base, err := url.Parse(strings.TrimSpace(opt.URL))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("%w: %q; write for example https://directory.example.org/hsds", ErrAddress, opt.URL)
	}
	base.Path = strings.TrimRight(base.Path, "/")
	base.RawQuery, base.Fragment = "", ""
	opt.Items = cmp.Or(opt.Items, DefaultItems)
	opt.PerPage = cmp.Or(opt.PerPage, 100)
	opt.Details = cmp.Or(opt.Details, DefaultDetails)
	opt.Agent = cmp.Or(opt.Agent, "hsds-check")
	if opt.Doing == nil {
		opt.Doing = func(string) {}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Client == nil {
		opt.Client = &http.Client{CheckRedirect: sameHost}
	}
	c := &run{opt: opt, base: base, report: newReport(base.String()), lists: map[string]*list{}}
	started := opt.Now()
	if err := c.all(ctx); err != nil {
		return nil, err
	}
	c.report.Started = started.UTC().Truncate(time.Second)
	c.report.Seconds = opt.Now().Sub(started).Seconds()
	c.report.finish()
	return c.report, nil
}

// sameHost keeps a check at the API that it was asked to look at.
func sameHost(r *http.Request, via []*http.Request) error {
	if len(via) > 5 {
		return errors.New("it redirects more than five times")
	}
	if r.URL.Host != via[0].URL.Host {
		return fmt.Errorf("it redirects to another host, %s", r.URL.Host)
	}
	return nil
}

// run is one check under way.
type run struct {
	opt    Options
	base   *url.URL
	report *Report
	lists  map[string]*list // what was read, by the name of the list
}

// all asks everything, the plain questions first: what follows builds on the
// lists that were read.
func (c *run) all(ctx context.Context) error {
	if err := c.root(ctx); err != nil {
		return err
	}
	for _, k := range kinds {
		c.opt.Doing(k.name)
		c.read(ctx, k)
		if l := c.lists[k.name]; l != nil {
			c.details(ctx, l)
			c.pages(ctx, l)
			c.filters(ctx, l)
			c.formats(ctx, l)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	c.opt.Doing("links")
	c.links(ctx)
	c.opt.Doing("HTTP")
	c.http(ctx)
	return ctx.Err()
}

// list is what was read of one list.
type list struct {
	kind
	pageSize int              // contents of its first page
	total    int              // total_items of its first page
	items    []map[string]any // in the order of the pages
	whole    bool             // every page was read
	byID     map[string]map[string]any
	detail   map[string]map[string]any // those fetched one by one
	narrowed *found                    // what a filter gives that gives some and not all; nil = none is known
}

// kind is a list that an API has.
type kind struct {
	name     string // in the path
	object   string // that its items are
	required bool   // every API must have it
	filters  []string
}

var kinds = []kind{
	{"services", "service", true, []string{"organization_id", "taxonomy_term_id", "taxonomy_id", "modified_after"}},
	{"organizations", "organization", false, []string{"taxonomy_term_id", "taxonomy_id"}},
	{"service_at_locations", "service_at_location", false, []string{"organization_id", "taxonomy_term_id", "taxonomy_id", "modified_after"}},
	{"taxonomies", "taxonomy", false, nil},
	{"taxonomy_terms", "taxonomy_term", false, []string{"taxonomy_id", "parent_id"}},
}
