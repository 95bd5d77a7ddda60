// Package nodetest runs whole nodes in one process, for tests and for the
// demonstration.
package nodetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/node"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

// DemoOptions say what to demonstrate. The zero value is a federation of PL, DE
// and LT with 40 listings each, in a temporary directory, from port 8100.
type DemoOptions struct {
	Countries []string // ISO 3166-1 alpha-2; see fiction.Countries
	Listings  int      // of each country
	Dir       string   // kept, and continued when it holds nodes already; temporary when empty
	BasePort  int      // country i uses BasePort+10*i and the ports that follow it
	Seed      uint64   // of the listings
	Out       io.Writer
	Logger    *slog.Logger         // discards when nil
	Now       func() time.Time     // of all nodes; nil = time.Now
	Configure func(*config.Config) // changes the configuration of a node; nil = none
}

const demoName = "Demonstration"

// Federation is a demonstration that runs.
type Federation struct {
	o      DemoOptions
	g      *errgroup.Group
	cancel context.CancelFunc
	nodes  []*node.Node
}

// Nodes are the countries' nodes, in the order of the options.
func (f *Federation) Nodes() []*node.Node { return f.nodes }

// Stop stops all nodes and waits for them.
func (f *Federation) Stop() error {
	f.cancel()
	if err := f.g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Start brings a federation up in o.Dir, which must be given, and returns when
// every node holds what every country published. Stop it.
func Start(ctx context.Context, o DemoOptions) (*Federation, error) {
	o, err := o.normal()
	if err != nil {
		return nil, err
	}
	if o.Dir == "" {
		return nil, errors.New("demonstration: no directory is given")
	}
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	f := &Federation{o: o, g: g, cancel: cancel}
	if err := f.start(ctx); err != nil {
		return nil, fmt.Errorf("demonstration: %w", errors.Join(err, f.Stop()))
	}
	return f, nil
}

// Demo runs a federation of fictional countries on this machine until ctx ends.
// It prints a line per country and then "ready" when every node answers with
// the listings of all.
func Demo(ctx context.Context, o DemoOptions) error {
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "waymark-demo-")
		if err != nil {
			return fmt.Errorf("make a directory for the demonstration: %w", err)
		}
		defer os.RemoveAll(dir)
		o.Dir = dir
	}
	f, err := Start(ctx, o)
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it was ready
		}
		return err
	}
	for _, n := range f.nodes {
		st, err := n.Admin().Status(ctx)
		if err != nil {
			return errors.Join(err, f.Stop())
		}
		fmt.Fprintf(f.o.Out, "%s  %s/  %d listings of %d countries\n", st.Country, n.URL(), st.Listings, len(st.Members))
	}
	fmt.Fprintln(f.o.Out, "ready")
	failed := make(chan error, 1)
	go func() { failed <- f.g.Wait() }()
	select {
	case <-ctx.Done():
	case err := <-failed: // one node ended by itself
		return errors.Join(err, f.Stop())
	}
	return f.Stop()
}

func (o DemoOptions) normal() (DemoOptions, error) {
	if len(o.Countries) == 0 {
		o.Countries = []string{"PL", "DE", "LT"}
	}
	known := fiction.Countries()
	for i, c := range o.Countries {
		c = strings.ToUpper(strings.TrimSpace(c))
		if !slices.Contains(known, c) {
			return o, &control.Error{Class: control.Usage, Code: "no_such_country", Message: fmt.Sprintf("There is no demonstration data for %q.", c),
				Next: "Choose among " + strings.Join(known, ", ") + "."}
		}
		if slices.Contains(o.Countries[:i], c) {
			return o, &control.Error{Class: control.Usage, Code: "country_twice", Message: fmt.Sprintf("The country %s is named twice.", c), Next: "Name each country once."}
		}
		o.Countries[i] = c
	}
	if o.Listings < 0 {
		return o, &control.Error{Class: control.Usage, Code: "bad_number", Message: "The number of listings is negative.", Next: "Give a number from 0 on."}
	}
	if o.BasePort == 0 {
		o.BasePort = 8100
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	return o, nil
}

func (f *Federation) dir(i int) string {
	return filepath.Join(f.o.Dir, f.o.Countries[i])
}

func (f *Federation) config(i int) (config.Config, error) {
	c := config.Default()
	c.Country, c.Operator = f.o.Countries[i], fiction.Operator(f.o.Countries[i])
	c.OperatorType = fiction.OperatorType(f.o.Countries[i])
	c.OperatorUses = "Example Hosting, Example Proxy, Example Names"
	c.Federation.Voter = true
	if err := c.UseBasePort(f.o.BasePort + 10*i); err != nil {
		return c, err
	}
	if f.o.Configure != nil {
		f.o.Configure(&c)
	}
	return c, nil
}

// start brings the countries up one after the other, and then their listings.
func (f *Federation) start(ctx context.Context) error {
	for i := range f.o.Countries {
		if err := f.country(ctx, i); err != nil {
			return fmt.Errorf("%s: %w", f.o.Countries[i], err)
		}
	}
	if err := f.agree(ctx); err != nil {
		return err
	}
	fill, fctx := errgroup.WithContext(ctx)
	for i, n := range f.nodes {
		fill.Go(func() error { return f.publish(fctx, n, f.o.Countries[i]) })
	}
	if err := fill.Wait(); err != nil {
		return err
	}
	return f.settled(ctx)
}

// country makes one country's node if there is none, takes it into the
// federation, and runs it.
func (f *Federation) country(ctx context.Context, i int) error {
	c, err := f.config(i)
	if err != nil {
		return err
	}
	dir := f.dir(i)
	if _, err := os.Stat(filepath.Join(dir, config.FileName)); errors.Is(err, os.ErrNotExist) {
		if err := node.Init(dir, c); err != nil {
			return err
		}
	}
	member, err := node.IsMember(dir, c)
	if err != nil {
		return err
	}
	switch {
	case member:
	case i == 0:
		if err := node.Found(ctx, dir, c, demoName, true); err != nil {
			return err
		}
	default:
		if err := f.agree(ctx); err != nil {
			return err
		}
		if err := f.join(ctx, dir, c); err != nil {
			return err
		}
	}
	n, err := node.New(node.Options{Dir: dir, Config: c, Logger: f.o.Logger.With("country", c.Country), Now: f.o.Now})
	if err != nil {
		return err
	}
	f.g.Go(func() error { return n.Run(ctx) })
	f.nodes = append(f.nodes, n)
	select {
	case <-n.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	if member { // one of several voters, of which the others are not up yet
		return nil
	}
	return f.agree(ctx)
}

// agree waits until all nodes that are up know each other and can change the
// registry.
func (f *Federation) agree(ctx context.Context) error {
	for i, n := range f.nodes {
		if err := poll(ctx, func() (bool, error) {
			st, err := n.Admin().Status(ctx)
			return err == nil && len(st.Members) > i && st.Registry.Quorum && st.Role != "mirror", err
		}); err != nil {
			return fmt.Errorf("%s: %w", f.o.Countries[i], err)
		}
	}
	return nil
}

func today() time.Time { return time.Now().UTC().Truncate(24 * time.Hour) }

// join invites the country from the first node, and lets the others approve
// once the federation is large enough to ask them.
func (f *Federation) join(ctx context.Context, dir string, c config.Config) error {
	inv, err := f.nodes[0].Admin().Invite(ctx, c.Country, 0)
	if err != nil {
		return err
	}
	joined, err := node.Join(ctx, dir, c, inv.Code)
	if err != nil || joined.Admitted {
		return err
	}
	numbers := strings.Join(joined.Numbers[:], " ")
	for k, n := range f.nodes {
		given := ""
		if k == 0 {
			given = numbers
		}
		p, err := n.Admin().Approve(ctx, c.Country, given)
		if err != nil || p.Admitted {
			return err
		}
	}
	return fmt.Errorf("%s was not admitted", c.Country)
}

// publish takes in the country's demonstration listings: as many as the options
// say that everybody finds, and those for professionals, and stubs of closed
// ones, that come between them. The country sheet goes first.
func (f *Federation) publish(ctx context.Context, n *node.Node, country string) error {
	day := today()
	sheet := fiction.Sheet(country, day)
	st, err := n.Admin().Status(ctx)
	if err != nil {
		return err
	}
	sheet["public_page"] = map[string]any{"url": st.PublicURL, "as_of": day.Format(time.DateOnly)}
	if _, err := n.Admin().PutCountrySheet(ctx, sheet.JSON()); err != nil {
		return err
	}
	var rows iter.Seq2[control.Row, error] = func(yield func(control.Row, error) bool) {
		for i, found := 0, 0; found < f.o.Listings; i++ {
			doc := fiction.Listing(f.o.Seed, country, i, day)
			if l, faults := doc.Listing(); len(faults) == 0 && findable(l) {
				found++
			}
			if !yield(control.Row{Where: fmt.Sprintf("listing %d", i), Document: json.RawMessage(doc.JSON())}, nil) {
				return
			}
		}
	}
	report, err := n.Admin().Import(ctx, rows, control.ImportOptions{Publish: true})
	if err == nil && len(report.Refused) > 0 {
		err = fmt.Errorf("the demonstration listings of %s are refused: %+v", country, report.Refused[0])
	}
	return err
}

// findable reports whether everybody finds the listing.
func findable(l *listing.Listing) bool {
	open := l.StatusValue() == listing.Active || l.StatusValue() == listing.TemporarilyClosed
	return open && l.VisibilityValue() == listing.VisiblePublic && l.KindValue() != listing.KindReporting
}

// settled waits until every node holds what every country published.
func (f *Federation) settled(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		heads := make(map[string]control.Head)
		listings := -1
		for _, n := range f.nodes {
			st, err := n.Admin().Status(ctx)
			if err != nil {
				return false, err
			}
			for _, m := range st.Members {
				if m.Head == nil {
					return false, nil
				}
				if seen, ok := heads[m.Country]; ok && seen != *m.Head {
					return false, nil
				}
				heads[m.Country] = *m.Head
			}
			if len(st.Members) < len(f.nodes) || listings >= 0 && st.Listings != listings {
				return false, nil
			}
			listings = st.Listings
		}
		return true, nil
	})
}

// poll asks every few milliseconds until done, for at most a minute.
func poll(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
