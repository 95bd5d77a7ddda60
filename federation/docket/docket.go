// Package docket keeps what every node must know about the members whether or
// not the registry can be written: evidence that a feed was signed in two ways,
// and rulings that enough members have signed.
//
// Items are believed for their signatures, never for who brought them, so that
// any peer, a bundle or a stick may carry them. What is held is a function of
// the items seen and the registry's state: nodes that exchange items end up
// with the same ones, in whatever order they came. DESIGN.md has the reasons.
package docket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/registry"
)

// Limits.
const (
	MaxItems   = 4096 // items in all
	MaxOpen    = 64   // rulings that lack signatures, of one signer
	MaxPerFeed = 64   // epochs of one feed with evidence

	keepEnded = 30 * 24 * time.Hour // how long a takedown that has ended is kept, for its counter
)

// Errors of the docket. An item that Add refuses wraps one of them or one of
// the registry's.
var (
	// ErrMalformed: not an item, or larger than one may be.
	ErrMalformed = errors.New("not a well-formed item of the docket")
	// ErrUnknownKind: made by a newer program. It is not kept and not passed on.
	ErrUnknownKind = errors.New("an item of a kind that this version does not know")
	// ErrNotReady: there is no registry yet to check signatures with.
	ErrNotReady = errors.New("the registry is not known yet, so nothing can be checked")
)

// Drawer is where the docket lies on disk. Values are at most [MaxItem] bytes.
type Drawer interface {
	Put(key, value []byte) error
	Delete(key []byte) error
	Each(func(key, value []byte) error) error
}

// Options are what a docket works with. Drawer and State are required.
type Options struct {
	Drawer Drawer
	// State is the registry as it is known now; nil while there is none.
	State func() *registry.State
	// Changed is called after what a [View] says has changed, never twice at
	// once. It may read the docket and must not add to it. Nil: nobody wants
	// to know.
	Changed func()
	Logger  *slog.Logger     // nil: discards
	Now     func() time.Time // nil: time.Now
}

// Docket is safe for concurrent use.
type Docket struct {
	o    Options
	view atomic.Pointer[View]

	mu     sync.Mutex
	items  map[ID]*item
	digest [16]byte
	sorted []ID

	tell sync.Mutex // held while Changed is told
	told [32]byte   // the last view that it was told of; guarded by tell
}

// New opens a docket. What is in the drawer and cannot be read is dropped and
// logged: others still have it.
func New(o Options) (*Docket, error) {
	if o.Drawer == nil || o.State == nil {
		return nil, errors.New("docket: Options.Drawer and Options.State are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Docket{o: o, items: make(map[ID]*item)}
	var bad [][]byte
	err := o.Drawer.Each(func(key, value []byte) error {
		i, err := parse(bytes.Clone(value))
		if err != nil || !bytes.Equal(i.id[:], key) {
			bad = append(bad, bytes.Clone(key))
			return nil
		}
		d.items[i.id] = i
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the docket: %w", err)
	}
	for _, key := range bad {
		o.Logger.Warn("an item of the docket could not be read and was dropped; it comes back from a peer", "item", fmt.Sprintf("%x", key))
		if err := o.Drawer.Delete(key); err != nil {
			return nil, fmt.Errorf("drop an unreadable item of the docket: %w", err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle(o.State())
	d.told = d.view.Load().print
	return d, nil
}

// Run calls Changed when a takedown ends by itself and forgets what is too old,
// until ctx ends.
func (d *Docket) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		d.Refresh()
		wait := time.Hour
		if end, ok := d.View().nextEnd(); ok {
			wait = min(wait, max(end.Sub(d.o.Now()), time.Second))
		}
		timer.Reset(wait)
	}
}

// Refresh takes account of a new state of the registry and of the time. Call it
// when the registry has changed.
func (d *Docket) Refresh() {
	d.mu.Lock()
	d.settle(d.o.State())
	d.mu.Unlock()
	d.notify()
}

// notify tells of a view that says something else than the last one told.
func (d *Docket) notify() {
	d.tell.Lock()
	defer d.tell.Unlock()
	print := d.view.Load().print
	if print == d.told {
		return
	}
	d.told = print
	if d.o.Changed != nil {
		d.o.Changed()
	}
}

// Add takes an item in if it is sound and says something new: evidence of a
// lower number, a ruling, or more signatures on one. It returns false without an
// error for what is known, superseded or too old.
func (d *Docket) Add(raw []byte) (added bool, err error) {
	i, err := parse(bytes.Clone(raw))
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	added, err = d.add(i)
	d.mu.Unlock()
	if added {
		d.notify()
	}
	return added, err
}

// AddEvidence adds evidence that this node has found.
func (d *Docket) AddEvidence(e feed.Evidence) (added bool, err error) {
	raw, err := EvidenceItem(e)
	if err != nil {
		return false, err
	}
	return d.Add(raw)
}

// AddRuling adds a ruling, or a signature to one.
func (d *Docket) AddRuling(ruling []byte) (added bool, err error) {
	raw, err := RulingItem(ruling)
	if err != nil {
		return false, err
	}
	return d.Add(raw)
}

// EvidenceItem is evidence as an item.
func EvidenceItem(e feed.Evidence) ([]byte, error) {
	i, err := parseEvidence(e.Encode())
	if err != nil {
		return nil, err
	}
	return i.raw, nil
}

// RulingItem is a ruling's envelope as an item.
func RulingItem(ruling []byte) ([]byte, error) {
	i, err := parseRuling(ruling)
	if err != nil {
		return nil, err
	}
	return i.raw, nil
}

func (d *Docket) add(i *item) (bool, error) {
	s := d.o.State()
	if s == nil {
		return false, ErrNotReady
	}
	if err := d.check(i, s); err != nil {
		return false, err
	}
	known := d.items[i.id]
	if known != nil {
		if i.evidence != nil {
			return false, nil
		}
		i.merge(known)
		if _, err := i.verify(s); err != nil {
			return false, err
		}
		// What was once seen may have been dropped since, while its signer was
		// suspended: only what is kept now counts as known.
		if slices.Equal(i.keys(), known.keys()) {
			return false, nil
		}
	}
	d.items[i.id] = i
	d.settle(s)
	if d.items[i.id] != i {
		return false, nil
	}
	if err := d.o.Drawer.Put(i.id[:], i.raw); err != nil {
		return true, fmt.Errorf("keep an item of the docket: %w", err)
	}
	return true, nil
}

// check verifies an item that has just come in.
func (d *Docket) check(i *item, s *registry.State) error {
	if i.evidence != nil {
		fork, err := s.CheckEvidence(*i.evidence)
		if err != nil {
			return err
		}
		*i.evidence = fork.Evidence() // with nothing in it that does not count
		return i.encode()
	}
	if i.ruling.Issued.Time().After(d.o.Now().Add(registry.RulingAhead)) {
		return fmt.Errorf("%w: the ruling is %w", registry.ErrConflict, feed.ErrFuture)
	}
	if _, err := i.verify(s); err != nil {
		return err
	}
	_, _, err := s.Tally(&i.ruling, i.keys())
	return err
}

// settle reduces the items for a state of the registry and makes the view. The
// caller holds mu.
func (d *Docket) settle(s *registry.State) {
	if s == nil {
		d.view.Store(newView(nil, nil, d.o.Now))
		return
	}
	for id := range reduce(d.items, s, d.o.Now()) {
		delete(d.items, id)
		if err := d.o.Drawer.Delete(id[:]); err != nil {
			d.o.Logger.Warn("an item of the docket that is not needed any more could not be deleted; it will be tried again at the next start", "error", err)
		}
	}
	d.sorted = slices.SortedFunc(maps.Keys(d.items), compareIDs)
	h := sha256.New()
	for _, id := range d.sorted {
		h.Write(id[:])
		if i := d.items[id]; i.evidence == nil {
			for _, sig := range i.envelope.Signatures {
				h.Write(sig.Key[:])
			}
		}
	}
	d.digest = [16]byte(h.Sum(nil)[:16])
	d.view.Store(newView(s, d.items, d.o.Now))
}

// Digest is the same for two dockets that hold the same items with the same
// signers.
func (d *Docket) Digest() [16]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settleNew()
	return d.digest
}

// Items are the items after a cursor, in the order of their ids, at least one
// and else no more than maxBytes in all. Nil starts; next is nil after the last.
func (d *Docket) Items(after []byte, maxBytes int) (items [][]byte, next []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settleNew()
	start, found := slices.BinarySearchFunc(d.sorted, after, func(id ID, after []byte) int { return bytes.Compare(id[:], after) })
	if found {
		start++
	}
	size := 0
	for at := start; at < len(d.sorted); at++ {
		raw := d.items[d.sorted[at]].raw
		if size += len(raw); size > maxBytes && at > start {
			return items, bytes.Clone(d.sorted[at-1][:])
		}
		items = append(items, raw)
	}
	return items, nil
}

// View is what the docket and the registry together say now. It does not wait:
// while a new state of the registry is taken account of, it is the view before.
func (d *Docket) View() *View {
	if d.view.Load().state != d.o.State() && d.mu.TryLock() {
		d.settleNew()
		d.mu.Unlock()
	}
	return d.view.Load()
}

// current is the view for the registry's present state.
func (d *Docket) current() *View {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settleNew()
	return d.view.Load()
}

// settleNew settles if the registry's state is a new one. The caller holds mu.
func (d *Docket) settleNew() {
	if s := d.o.State(); d.view.Load().state != s {
		d.settle(s)
	}
}
