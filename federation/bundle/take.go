package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/2ps-project/waymark/federation/feed"
)

// What is taken at once; more goes through the store's staging area.
const (
	heldItems = 200
	heldBytes = 512 << 10
)

// retries is how often a feed is tried again that moved on while it was taken.
const retries = 3

// errUneven is returned when the file is another one the second time.
var errUneven = fmt.Errorf("%w: it changed while it was read", ErrDamaged)

// Import checks a bundle like [Check] and takes what is new in it. While
// anything in it is wrong nothing is taken at all. What is taken goes the way of
// everything that comes from a peer: verified once more, and applied one feed at
// a time, each whole. When a disk or a context ends it in between, what was
// taken stands, and the same bundle can be taken again.
func Import(ctx context.Context, file io.ReaderAt, size int64, o ImportOptions) (*Report, error) {
	c, err := check(ctx, file, size, o)
	if err != nil || c.DryRun || c.Store == nil {
		if c == nil {
			return nil, err
		}
		return c.report, err
	}
	t := &taker{checker: c, left: slices.Clone(c.planned)}
	for range retries {
		if err := walk(ctx, io.NewSectionReader(file, 0, size), progress(o.Progress, StageTake, size), t); err != nil {
			return c.report, fmt.Errorf("take the bundle, %d of %d feeds done: %w", t.done, t.wanted(), err)
		}
		t.registryDone = true
		if !slices.Contains(t.left, true) {
			break
		}
	}
	for i, left := range t.left {
		if left {
			t.set(i, OutcomeAside, reason(feed.ErrMoved))
		}
	}
	c.report.Taken = true
	return c.report, nil
}

// taker is the second pass over a bundle.
type taker struct {
	*checker
	left         []bool // feeds still to be taken
	done         int
	registryDone bool
	entries      [][]byte // of the registry, those that are not held
	items        [][]byte
}

func (t *taker) wanted() (n int) {
	for _, p := range t.planned {
		if p {
			n++
		}
	}
	return n
}

func (t *taker) set(i int, outcome, why string) {
	t.report.Feeds[i].Outcome, t.report.Feeds[i].Reason = outcome, why
	t.left[i] = false
}

func (t *taker) manifest(m *Manifest) error {
	if !t.sameFile(m) {
		return errUneven
	}
	return nil
}

func (t *taker) head([]byte) error { return nil }

func (t *taker) entry(seq uint64, entry []byte) error {
	if !t.registryDone && t.report.NewEntries > 0 && seq > seqOf(t.State) {
		t.entries = append(t.entries, entry)
	}
	return nil
}

func (t *taker) item(item []byte) error {
	if !t.registryDone && t.TakeItem != nil {
		t.items = append(t.items, item)
	}
	return nil
}

func (t *taker) registered() error {
	if t.registryDone {
		return nil
	}
	if t.report.RegistryReason == "" && len(t.heads) > 0 {
		var heads [][]byte
		for _, h := range t.heads {
			heads = append(heads, h.Envelope)
		}
		if err := t.TakeRegistry(t.ctx, seqOf(t.State)+1, t.entries, heads); err != nil {
			return fmt.Errorf("the registry: %w", err)
		}
	}
	t.entries = nil
	for _, item := range t.items {
		if err := t.TakeItem(item); err != nil {
			t.report.RefusedItems++
		}
	}
	t.items = nil
	if t.ImportOptions.Rules != nil { // rulings that were just taken may have changed them
		t.rules = t.ImportOptions.Rules(t.now, t.chain)
	}
	return nil
}

func (t *taker) feed(i int, s *section) error {
	if !t.left[i] {
		return nil
	}
	outcome, why, err := t.take(s)
	switch {
	case errors.Is(err, feed.ErrMoved):
		return nil // the next walk tries again
	case aside(err):
		outcome, why = OutcomeAside, reason(err)
	case err != nil:
		return err
	default:
		t.done++
	}
	t.set(i, outcome, why)
	return nil
}

// take verifies a feed against what is held now and hands it to the appender.
func (t *taker) take(s *section) (outcome, why string, err error) {
	view, err := t.Store.View(s.Origin)
	if err != nil {
		return "", "", err
	}
	closed := false
	shut := func() {
		if !closed {
			closed = true
			view.Close()
		}
	}
	defer shut()
	held := view.Head()
	if held != nil && !held.Place().Before(s.Place) {
		return OutcomeHeld, "", nil // it came from a peer meanwhile
	}
	heads, err := s.lead(held, t.rules.Keys)
	if err != nil {
		return "", "", err
	}
	if s.Origin == t.Own && t.NewerOwn != nil {
		t.NewerOwn(s.head)
	}
	changes, err := t.gather(s, view)
	if err != nil {
		return "", "", err
	}
	defer func() {
		if staging, ok := changes.(feed.Staging); ok && err != nil {
			err = errors.Join(err, staging.Discard())
		}
	}()
	verify := t.rules.Verify
	if s.Whole() {
		verify = t.rules.VerifyCompared
	}
	v, err := verify(view, heads, changes)
	if err != nil {
		return "", "", err
	}
	shut() // a store may wait for its readers
	if err := t.Appender.Append(t.ctx, v); err != nil {
		return "", "", err
	}
	if s.Origin == t.Own && t.Adopted != nil {
		t.Adopted()
	}
	return OutcomeTaken, "", nil
}

// gather collects the steps of a feed: in memory while they are few, in the
// store's staging area from there on.
func (t *taker) gather(s *section, view feed.View) (_ feed.Delta, err error) {
	var (
		items   feed.Items
		size    int
		staging feed.Staging
	)
	defer func() {
		if err != nil && staging != nil {
			err = errors.Join(err, staging.Discard())
		}
	}()
	for item, err := range s.steps(view) {
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if size += len(item.Raw()); len(items) < heldItems && size < heldBytes {
			continue
		}
		if staging == nil {
			if staging, err = t.Store.Stage(s.Origin); err != nil {
				return nil, err
			}
		}
		if err := staging.Put(items...); err != nil {
			return nil, err
		}
		items, size = nil, 0
	}
	if staging == nil {
		return items.Sort(), nil
	}
	if err := staging.Put(items...); err != nil {
		return nil, err
	}
	return staging, nil
}
