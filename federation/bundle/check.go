package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// ImportOptions say where a bundle goes and what is there already. The zero
// value checks a bundle by itself.
type ImportOptions struct {
	// Federation is the one that is wanted; zero for the one that is held. A
	// node that holds none must name it (ErrWhich), a mere check need not.
	Federation identity.FederationID

	State *registry.State    // the registry held; nil for none
	Chain Chain              // its entries; needed with State
	Heads registry.HeadChain // its heads
	// Rules are those of this node over a registry and its heads, which may be
	// newer than what it holds; nil stands for their keys and anchors alone.
	Rules func(*registry.State, registry.HeadChain) feed.Rules

	Store    feed.Store    // nil: nothing is compared and nothing taken
	Appender feed.Appender // this and TakeRegistry are needed with Store
	// TakeRegistry takes entries that are not held, the first of them number from,
	// and the registry's heads, which confirm the last of them. It is called at
	// most once, before anything else is taken. Doing it again is harmless.
	TakeRegistry func(ctx context.Context, from uint64, entries, heads [][]byte) error
	// TakeItem takes evidence or a ruling; an error means that it does not hold
	// here, and no more. Nil takes none.
	TakeItem func(item []byte) error
	// Fork is shown two heads of one number, one held and one in the bundle. It
	// may be nil.
	Fork func(held, shown *feed.SignedHead)

	// Own is this node's own origin. NewerOwn is told of a newer own head before
	// it is taken, Adopted after. Both may be nil.
	Own      identity.OriginID
	NewerOwn func(*feed.SignedHead)
	Adopted  func()

	DryRun   bool      // check everything, change nothing
	Now      time.Time // time.Now when zero
	Progress func(Progress)
}

// Check verifies a whole bundle of the given size and changes nothing. Without a
// store in the options it says whether the bundle is right in itself.
//
// Errors: all of this package, those of the registry that package registry
// names, of the disk, the store and the context.
func Check(ctx context.Context, file io.ReaderAt, size int64, o ImportOptions) (*Report, error) {
	o.DryRun = true
	c, err := check(ctx, file, size, o)
	if err != nil {
		return nil, err
	}
	return c.report, nil
}

func check(ctx context.Context, file io.ReaderAt, size int64, o ImportOptions) (*checker, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	c := &checker{ImportOptions: o, ctx: ctx, file: file, size: size, pasts: make(map[uint64]*registry.State)}
	err := walk(ctx, io.NewSectionReader(file, 0, size), progress(o.Progress, StageCheck, size), c)
	if err != nil && ctx.Err() == nil && spoilt(err) && !intact(ctx, io.NewSectionReader(file, 0, size)) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, fmt.Errorf("check the bundle: %w", err)
	}
	return c, nil
}

// progress tells of every MiB of the file and of its end.
func progress(tell func(Progress), stage string, size int64) func(int64) {
	if tell == nil {
		return nil
	}
	last := int64(-1)
	return func(n int64) {
		if n>>20 != last>>20 || n == size && last != n {
			last = n
			tell(Progress{stage, n, size})
		}
	}
}

// spoilt reports whether an error may come from bytes that were changed on the
// way, rather than from who made the bundle.
func spoilt(err error) bool {
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrBomb) {
		return false
	}
	return isAny(err, []error{ErrContent, ErrPart, ErrTooLarge, ErrExporter, ErrParted, ErrBase, ErrForeign, ErrDemo})
}

// intact reports whether the bytes are those that some maker signed, whatever
// they say.
func intact(ctx context.Context, file io.Reader) bool {
	r, err := newReader(file, nil)
	if err != nil {
		return false
	}
	defer r.close()
	r.lenient = true
	b, err := r.body(partManifest)
	if err != nil {
		return false
	}
	var m Manifest // as it is, without the limits
	if identity.Unmarshal(b, &m) != nil {
		return false
	}
	for ctx.Err() == nil {
		switch k, err := r.peek(); {
		case err != nil:
			return false
		case k == partTrailer:
			return r.end(&m) == nil
		default:
			if _, err := r.body(k); err != nil {
				return false
			}
		}
	}
	return false
}

// checker is the first pass over a bundle: it finds every fault.
type checker struct {
	ImportOptions
	ctx  context.Context
	file io.ReaderAt
	size int64

	m      *Manifest
	heard  int                        // how many of heads are verified
	heads  []*registry.SignedHead     // of the registry, as they stand in the file
	state  *registry.State            // as the file's entries come
	pasts  map[uint64]*registry.State // as it was where a recovery goes on
	held   [][]byte                   // entries held here, from number heldAt on
	heldAt uint64

	now     *registry.State    // what counts once the file is taken
	alones  registry.HeadChain // the bundle's
	chain   registry.HeadChain // those held and the bundle's
	own     feed.Rules         // by the bundle's registry alone
	rules   feed.Rules         // by what will count here
	report  *Report
	planned []bool // feeds to take
}

func (c *checker) manifest(m *Manifest) error {
	c.m = m
	want := c.Federation
	if c.State != nil {
		if c.State.Demo() != m.Demo {
			return fmt.Errorf("%w: %q", ErrDemo, m.Name)
		}
		if !want.IsZero() && want != c.State.Federation() {
			return fmt.Errorf("%w: this node belongs to %s, not to %s", ErrForeign, c.State.Federation(), want)
		}
		want = c.State.Federation()
	}
	switch {
	case want.IsZero() && c.Store != nil:
		return fmt.Errorf("%w; the bundle says that it is of %s", ErrWhich, m.Federation)
	case !want.IsZero() && want != m.Federation:
		return fmt.Errorf("%w: %s, wanted %s", ErrForeign, m.Federation, want)
	case m.size() > ratioSlack+maxRatio*uint64(c.size):
		return fmt.Errorf("%w: %d bytes of records from %d", ErrBomb, m.size(), c.size)
	}
	c.planned = make([]bool, len(m.Feeds))
	c.report = &Report{
		Federation: m.Federation, Name: m.Name, Demo: m.Demo, Made: m.Made.Time().Format(time.DateOnly), Exporter: m.Exporter.NodeID(),
		RegistrySeq: m.Registry.Seq, Duty: m.Duty, Left: append([]Left{}, m.Left...), Feeds: []FeedReport{},
	}
	return nil
}

// feed checks one feed, and decides whether it is to be taken.
func (c *checker) feed(i int, s *section) error {
	r := FeedReport{
		Country: s.Country, Origin: s.Origin, Epoch: s.Place.Epoch, N: s.Place.N, Since: s.Base.N,
		Records: s.head.Count, Changes: s.Changes,
	}
	var err error
	r.Outcome, r.Reason, err = c.judge(i, s)
	if err != nil {
		return err
	}
	c.planned[i] = r.Outcome == OutcomeTaken
	c.report.Feeds = append(c.report.Feeds, r)
	return nil
}

func (c *checker) judge(i int, s *section) (outcome, why string, err error) {
	// By the bundle's own registry first: what that does not bear out is forged,
	// what the one here does not admit may have been right in its time.
	if _, err := c.own.CheckHead(s.head.Envelope); err != nil {
		return c.fault(err)
	}
	if c.Store == nil {
		return c.alone(i, s, OutcomeSound)
	}
	view, err := c.Store.View(s.Origin)
	if err != nil {
		return "", "", err
	}
	defer view.Close()
	held := view.Head()
	if here, shown, err := contradiction(view, s); err != nil {
		return "", "", err
	} else if here != nil {
		if c.Fork != nil && !c.DryRun {
			c.Fork(here, shown)
		}
		return OutcomeAside, fmt.Sprintf("%v: number %d", feed.ErrEquivocation, here.N), nil
	}
	if held != nil && !held.Place().Before(s.Place) {
		return c.alone(i, s, OutcomeHeld)
	}
	if _, err := c.rules.CheckHead(s.head.Envelope); err != nil {
		return OutcomeAside, reason(err), nil
	}
	heads, err := s.lead(held, c.rules.Keys)
	if err != nil {
		return c.fault(err)
	}
	if _, err := c.rules.Verify(view, heads, c.delta(i, s, view)); err != nil {
		return c.fault(err)
	}
	return OutcomeTaken, "", nil
}

// alone checks a feed against nothing: a whole one adds up to its head, a
// difference can only be shown to be signed.
func (c *checker) alone(i int, s *section, outcome string) (string, string, error) {
	if !s.Whole() {
		if outcome == OutcomeSound {
			outcome = OutcomeSigned
		}
		return outcome, "", nil
	}
	if _, err := c.own.Verify(nothing{}, s.heads, c.delta(i, s, nothing{})); err != nil {
		return c.fault(err)
	}
	return outcome, "", nil
}

// delta are the steps of feed number i from what the view holds.
func (c *checker) delta(i int, s *section, view feed.View) *delta {
	return &delta{first: s.steps(view), again: func() iter.Seq2[feed.Item, error] {
		return reread(c.ctx, io.NewSectionReader(c.file, 0, c.size), i, view)
	}}
}

// kept are the errors that a feed's check passes on as they are: they have their
// kind already, or are none of the bundle's.
var kept = []error{ErrTruncated, ErrDamaged, ErrPart, ErrBomb, ErrTooLarge, ErrBase, ErrContent, context.Canceled, context.DeadlineExceeded}

// fault tells what is wrong with the bundle from what only keeps a feed from
// being taken now.
func (c *checker) fault(err error) (outcome, why string, _ error) {
	switch {
	case aside(err):
		return OutcomeAside, reason(err), nil
	case isAny(err, kept):
		return "", "", err
	}
	return "", "", fmt.Errorf("%w: %w", ErrContent, err)
}

// lead are the section's heads that lead on from the held one: from the next one
// on, or from one that the registry has on record. A difference needs its base.
func (s *section) lead(held *feed.SignedHead, known feed.Keys) ([][]byte, error) {
	if !s.Whole() && (held == nil || held.Epoch != s.Base.Epoch || held.N < s.Base.N) {
		return nil, fmt.Errorf("%w: it needs change %d of %s or a later one", ErrBase, s.Base.N, s.Country)
	}
	if held == nil || held.Epoch < s.Place.Epoch {
		return s.heads, nil
	}
	anchored := -1
	for i, env := range s.heads {
		h, err := feed.ParseHead(env)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrContent, err)
		}
		if h.Epoch == held.Epoch && h.N == held.N+1 {
			return s.heads[i:], nil
		}
		if hash, ok := known.Anchor(h.Origin, h.Epoch, h.N); ok && hash == h.Hash && h.Epoch == held.Epoch && h.N > held.N && anchored < 0 {
			anchored = i
		}
	}
	if anchored >= 0 {
		return s.heads[anchored:], nil
	}
	return nil, fmt.Errorf("%w: the bundle does not reach back to head %d, which is held", feed.ErrChain, held.N)
}

// contradiction finds a number that was signed in two ways: the newest one that
// both the view and the section have a head for. Where these are the same, so are
// all before them.
func contradiction(view feed.View, s *section) (here, shown *feed.SignedHead, err error) {
	held := view.Head()
	if held == nil || held.Epoch != s.Place.Epoch {
		return nil, nil, nil
	}
	n := min(held.N, s.Place.N)
	if before := s.Place.N - n; before < uint64(len(s.heads)) {
		if shown, err = feed.ParseHead(s.heads[uint64(len(s.heads))-1-before]); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrContent, err)
		}
	}
	heads, err := view.Heads(n, 1)
	if err != nil || len(heads) == 0 || shown == nil {
		return nil, nil, err
	}
	if here, err = feed.ParseHead(heads[0]); err != nil {
		return nil, nil, err
	}
	if here.Epoch != shown.Epoch || here.N != shown.N || here.Hash == shown.Hash {
		return nil, nil, nil
	}
	return here, shown, nil
}

// nothing is a feed that is not held.
type nothing struct{}

var _ feed.View = nothing{}

func (nothing) Head() *feed.SignedHead              { return nil }
func (nothing) Leaves() (*feed.Leaves, error)       { return feed.EmptyLeaves(), nil }
func (nothing) Bucket(int) ([]feed.Change, error)   { return nil, nil }
func (nothing) Heads(uint64, int) ([][]byte, error) { return nil, nil }
func (nothing) Close()                              {}

// sameFile reports whether the manifest is the one that was checked.
func (c *checker) sameFile(m *Manifest) bool { return slices.Equal(m.Raw(), c.m.Raw()) }
