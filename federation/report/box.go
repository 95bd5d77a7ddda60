package report

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// How many reports a box holds. Who fills it up keeps out other reports of the
// day, and nothing else.
const (
	maxWaiting = 2000 // for other countries
	maxMine    = 2000 // for the own editors
	maxADay    = 200  // made here on one day for one country
	maxTold    = 200  // taken from one country with one day
	maxCarried = 2000 // between others
	maxShut    = 500  // for the own editors, and no key here opens them
)

// Timings.
const (
	firstTry = 2 * time.Second  // after a try that left something, doubled up to
	lastTry  = 10 * time.Minute // this, which is also how often a box looks when nothing waits
	callTime = time.Minute      // for one call
	// tombDays is how long the name of a report that was dropped is kept: longer
	// than any sender keeps the report, its clock a day off.
	tombDays = Life + 2
)

// ErrFull is returned when no more reports are taken today.
var ErrFull = errors.New("no more reports are taken today")

// ErrNobody is returned for a report to a country that cannot read it.
var ErrNobody = errors.New("nobody there can read a report")

// Drawer keeps small values; *store.Drawer is one. Erase also makes sure that
// the files do not hold the value for long.
type Drawer interface {
	Put(key, value []byte) error
	Erase(keys ...[]byte) error
	Replace(key, value []byte) error // Put in the place of something, and Erase that
	Each(f func(key, value []byte) error) error
}

// Link reaches the boxes of other nodes.
type Link interface {
	// Deliver brings a batch to a node's [Box.Take] and returns its answer.
	Deliver(ctx context.Context, node identity.NodeID, batch []byte) ([]byte, error)
	// Fetch asks a node's [Box.Give].
	Fetch(ctx context.Context, node identity.NodeID, done []byte) ([]byte, error)
}

// Self is what a node is.
type Self struct {
	Federation identity.FederationID
	Origin     identity.OriginID
	Publisher  bool              // its editors read the country's reports
	Hidden     bool              // nobody can call it: it asks
	Key        *identity.SealKey // opens what is sealed to the country
	Peers      []identity.NodeID // whom it can ask
	Siblings   []identity.NodeID // the other nodes of its country
}

// Recipient is who reads the reports about a country's listings.
type Recipient struct {
	Seal identity.SealPublicKey
	Node identity.NodeID // that publishes its feed
	// Hidden: nobody can call that node. Reports from others that nobody can call
	// wait for it at a third.
	Hidden bool
}

// Options of a [Box]. All are required except Now and Logger.
type Options struct {
	Drawer    Drawer
	Link      Link
	Self      func() (Self, bool) // false until the node is a member's
	Recipient func(identity.OriginID) (Recipient, bool)
	Origin    func(identity.NodeID) (identity.OriginID, bool) // whose a node is
	Now       func() time.Time
	Logger    *slog.Logger // counts and faults only, nothing of a report
}

// Box keeps reports until they are delivered, read or too old.
type Box struct {
	o Options

	mu   sync.Mutex // guards kept and orders writes of the drawer
	kept map[ID]note
}

// note is what is known of a kept report without reading it.
type note struct {
	to   identity.OriginID
	from identity.OriginID // zero: made here
	day  feed.Day
	gone bool // only its name is kept
	shut bool // its key was not here when it came
}

// value is how a report is stored, under its id.
type value struct {
	To     identity.OriginID `cbor:"1,keyasint"`
	From   identity.OriginID `cbor:"2,keyasint"`
	Day    feed.Day          `cbor:"3,keyasint"`
	Sealed []byte            `cbor:"4,keyasint,omitempty"` // none: dropped
	Shut   bool              `cbor:"5,keyasint,omitempty"` // its key was not here when it came
}

func (v value) note() note { return note{v.To, v.From, v.Day, len(v.Sealed) == 0, v.Shut} }

// New opens a box.
func New(o Options) (*Box, error) {
	if o.Drawer == nil || o.Link == nil || o.Self == nil || o.Recipient == nil || o.Origin == nil {
		return nil, errors.New("a box of reports needs a drawer, a link, and to know itself and others")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Box{o: o, kept: map[ID]note{}}
	err := b.each(func(id ID, v value) error {
		b.kept[id] = v.note()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the reports: %w", err)
	}
	return b, nil
}

func (b *Box) each(f func(ID, value) error) error {
	return b.o.Drawer.Each(func(k, raw []byte) error {
		var v value
		if len(k) != len(ID{}) {
			return fmt.Errorf("%w: a key of %d bytes", ErrMalformed, len(k))
		}
		if err := identity.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("%w: %v", ErrMalformed, err)
		}
		return f(ID(k), v)
	})
}

// Submit seals a report to a country and keeps it. It is on disk when Submit
// returns. It fails with [ErrMalformed], [ErrFull] or [ErrNobody].
func (b *Box) Submit(to identity.OriginID, r Report) error {
	self, in := b.o.Self()
	recipient, ok := b.o.Recipient(to)
	if !in || !ok {
		return ErrNobody
	}
	_, _ = rand.Read(r.ID[:]) // never fails
	r.Day = feed.DayOf(b.o.Now())
	plain, err := r.encode()
	if err != nil {
		return err
	}
	sealed, err := recipient.Seal.Seal(plain, info(self.Federation, to, r.ID, r.Day))
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	mine := self.Publisher && to == self.Origin
	today := b.count(func(n note) bool { return n.from.IsZero() && n.to == to && n.day == r.Day })
	all := b.count(func(n note) bool { return !n.gone && (self.Publisher && n.to == self.Origin) == mine })
	limit := maxWaiting
	if mine {
		limit = maxMine
	}
	if today >= maxADay || all >= limit {
		return ErrFull
	}
	return b.put(r.ID, value{To: to, Day: r.Day, Sealed: sealed})
}

func (b *Box) count(f func(note) bool) (n int) {
	for _, k := range b.kept {
		if f(k) {
			n++
		}
	}
	return n
}

func (b *Box) put(id ID, v value) error {
	raw, err := identity.Marshal(v)
	if err != nil {
		return err
	}
	if err := b.o.Drawer.Put(id[:], raw); err != nil {
		return fmt.Errorf("keep a report: %w", err)
	}
	b.kept[id] = v.note()
	return nil
}

// Locked is a report that the present key does not open.
type Locked struct {
	ID  ID
	Day feed.Day
}

// List returns the reports to this country that nobody has dropped, the oldest
// day first: those that can be read, and those that cannot be opened with its
// present key.
func (b *Box) List() (list []Report, locked []Locked, err error) {
	self, in := b.o.Self()
	if !in || !self.Publisher {
		return nil, nil, nil
	}
	err = b.each(func(id ID, v value) error {
		if v.To != self.Origin || len(v.Sealed) == 0 || b.old(v.Day) {
			return nil
		}
		r, err := open(self, id, v.Day, v.Sealed)
		if err != nil {
			locked = append(locked, Locked{id, v.Day})
			return nil
		}
		list = append(list, r)
		return nil
	})
	slices.SortFunc(list, func(x, y Report) int {
		return cmp.Or(cmp.Compare(x.Day, y.Day), cmp.Compare(x.Listing, y.Listing), slices.Compare(x.ID[:], y.ID[:]))
	})
	slices.SortFunc(locked, func(x, y Locked) int {
		return cmp.Or(cmp.Compare(x.Day, y.Day), slices.Compare(x.ID[:], y.ID[:]))
	})
	return list, locked, err
}

func open(self Self, id ID, day feed.Day, sealed []byte) (Report, error) {
	plain, err := self.Key.Open(sealed, info(self.Federation, self.Origin, id, day))
	if err != nil {
		return Report{}, err
	}
	return decode(plain, id, day)
}

// Drop removes reports from the list for good, and returns how many of them
// there were.
func (b *Box) Drop(ids ...ID) (int, error) {
	self, in := b.o.Self()
	if !in {
		return 0, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	dropped := 0
	for _, id := range ids {
		n, ok := b.kept[id]
		if !ok || n.gone || n.to != self.Origin {
			continue
		}
		if err := b.bury(id, n); err != nil {
			return dropped, err
		}
		dropped++
	}
	return dropped, nil
}

// bury leaves the name of a report: the same one may come again.
func (b *Box) bury(id ID, n note) error {
	raw, err := identity.Marshal(value{To: n.to, From: n.from, Day: n.day})
	if err != nil {
		return err
	}
	if err := b.o.Drawer.Replace(id[:], raw); err != nil {
		return fmt.Errorf("drop a report: %w", err)
	}
	n.gone = true
	b.kept[id] = n
	return nil
}

func (b *Box) old(day feed.Day) bool { return feed.DayOf(b.o.Now())-day >= Life }

// Sweep removes what is too old.
func (b *Box) Sweep() error {
	self, in := b.o.Self()
	b.mu.Lock()
	defer b.mu.Unlock()
	today := feed.DayOf(b.o.Now())
	for id, n := range b.kept {
		// What was made here comes no second time, and who is carried for is told once
		// more rather than never.
		switch passing := n.from.IsZero() || in && n.to != self.Origin; {
		case today-n.day >= tombDays, passing && (n.gone || b.old(n.day)):
			if err := b.forget(id); err != nil {
				return err
			}
		case b.old(n.day) && !n.gone:
			if err := b.bury(id, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Box) forget(ids ...ID) error {
	keys := make([][]byte, len(ids))
	for i := range ids {
		keys[i] = ids[i][:]
	}
	if err := b.o.Drawer.Erase(keys...); err != nil {
		return fmt.Errorf("forget a report: %w", err)
	}
	for _, id := range ids {
		delete(b.kept, id)
	}
	return nil
}

// Run hands over what waits, asks for what waits elsewhere, and forgets what is
// old, until ctx ends.
func (b *Box) Run(ctx context.Context) error {
	pause := firstTry
	for {
		if err := b.Sweep(); err != nil {
			b.o.Logger.Error("old reports could not be removed", "err", err)
		}
		left := b.HandOver(ctx)
		if unheard := b.Collect(ctx); !left && !unheard {
			pause = lastTry
		}
		next := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			next.Stop()
			return nil
		case <-next.C:
		}
		pause = min(2*pause, lastTry)
	}
}
