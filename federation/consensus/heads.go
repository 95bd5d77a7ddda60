package consensus

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// anchorDays is how long the last head of a day is kept for its feeds.
const anchorDays = 365

// Drawer keeps small values under small keys, durably.
type Drawer interface {
	// Put keeps value under key; it is durable when Put returns.
	Put(key, value []byte) error
	// Delete forgets what is under key, if anything.
	Delete(key []byte) error
	// Each hands out everything, in no particular order, until do fails. The
	// slices are only good during the call.
	Each(do func(key, value []byte) error) error
}

// Head is the newest head of the registry that is held here; false while there
// is none.
func (k *Keeper) Head() (*registry.SignedHead, bool) {
	h := k.heads.chain().Newest()
	return h, h != nil
}

// HeadChain is what is known of the registry's heads: the newest one and those
// by which the voters changed.
func (k *Keeper) HeadChain() registry.HeadChain { return k.heads.chain() }

// Heads are the envelopes that prove [Keeper.Head] to somebody who knows the
// genesis alone: the heads by which the voters changed, the first one to begin
// with, and the newest at the end. Empty while there is none.
func (k *Keeper) Heads() [][]byte {
	c := k.heads.chain()
	var out [][]byte
	for _, h := range c.Rotations() {
		out = append(out, h.Envelope)
	}
	if h := c.Newest(); h != nil && (len(out) == 0 || !bytes.Equal(out[len(out)-1], h.Envelope)) {
		out = append(out, h.Envelope)
	}
	return out
}

// Anchor is the hash of head n of an epoch of a feed, if a majority of the
// voters has put it on record in a head of the registry that is kept here.
func (k *Keeper) Anchor(o identity.OriginID, epoch, n uint64) (identity.Hash, bool) {
	return k.heads.anchors.Load().at(o, epoch, n)
}

// Anchors are the numbers of an epoch's heads for which [Keeper.Anchor] has a
// hash, ascending. Kept are those of the newest head of the registry, of the
// last one of each day for a year, and of those at which the voters changed.
func (k *Keeper) Anchors(o identity.OriginID, epoch uint64) []uint64 {
	list := k.heads.anchors.Load().places[feedEpoch{o, epoch}]
	out := make([]uint64, len(list))
	for i, p := range list {
		out[i] = p.N
	}
	return out
}

type feedEpoch struct {
	origin identity.OriginID
	epoch  uint64
}

// anchors are the places on record, ascending. They never change.
type anchors struct {
	places map[feedEpoch][]feed.Place
}

// headStore holds the heads of the registry.
type headStore struct {
	drawer  Drawer // nil: they last as long as the process
	log     *slog.Logger
	now     func() time.Time
	onHead  func(*registry.SignedHead)
	past    func(seq uint64) (*registry.State, error)
	anchors atomic.Pointer[anchors]

	mu      sync.Mutex
	heads   registry.HeadChain
	days    map[int64][]registry.Anchor // of the last head of each day
	left    map[string][]byte           // entries that a recovery has left behind
	changed chan struct{}
}

func newHeadStore(o Options) *headStore {
	st := &headStore{drawer: o.Heads, log: o.Logger, now: o.Now, onHead: o.OnHead, days: map[int64][]registry.Anchor{}, left: map[string][]byte{}, changed: make(chan struct{})}
	st.anchors.Store(&anchors{})
	return st
}

// Keys of the drawer: a letter and a number of eight bytes.
const (
	keyRotation = 'r' // the head by which a set of voters came in
	keyDay      = 'd' // the last head of a day
	keyBase     = 'b' // the newest head before the recovery that brought in a set of voters
	keyLeft     = 's' // an entry that a recovery has left behind, by generation and number
)

func headKey(kind byte, n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{kind}, n) }

func dayOf(h *registry.SignedHead) int64 { return h.Issued / 86400 }

// open reads the drawer. What cannot be used is left out and said: it comes
// again from others.
func (st *headStore) open(l *ledger) error {
	if st.drawer == nil || l.state.Load() == nil {
		return nil
	}
	var rotations, days []*registry.SignedHead
	bases := map[uint64]*registry.SignedHead{}
	err := st.drawer.Each(func(key, value []byte) error {
		if len(key) != 9 || key[0] != keyRotation && key[0] != keyDay && key[0] != keyBase {
			return st.openLeft(key, value)
		}
		h, err := registry.ParseHead(value)
		if err != nil {
			st.log.Warn("a kept head of the registry cannot be read; it is fetched again", "error", err)
			return nil
		}
		switch key[0] {
		case keyRotation:
			rotations = append(rotations, h)
		case keyBase:
			bases[binary.BigEndian.Uint64(key[1:])] = h
		default:
			days = append(days, h)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("open the heads of the registry: %w", err)
	}
	slices.SortFunc(rotations, func(a, b *registry.SignedHead) int { return cmp.Compare(a.Rotation, b.Rotation) })
	slices.SortFunc(days, func(a, b *registry.SignedHead) int { return cmp.Compare(a.Issued, b.Issued) })
	all := rotations
	if len(days) > 0 {
		all = append(all, days[len(days)-1])
	}
	for _, h := range all {
		if h.Recovery != nil && l.agrees(h) {
			st.heads = st.heads.Resume(h, bases[h.Rotation])
			continue
		}
		// They were in time when they were taken, whatever the clock says now.
		next, _, err := st.heads.AddPast(h.Envelope, l.state.Load(), st.past, h.Confirmed())
		if err == nil && !l.agrees(h) {
			err = errContrary
		}
		if err != nil && !errors.Is(err, registry.ErrHeadOld) {
			st.log.Warn("a kept head of the registry cannot be used; it is fetched again", "error", err)
			break
		}
		st.heads = next
	}
	for _, h := range days {
		if st.heads.Newest() != nil && l.agrees(h) {
			st.days[dayOf(h)] = h.Feeds
		}
	}
	st.index()
	return nil
}

func (st *headStore) chain() registry.HeadChain {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.heads
}

// wait gives a channel that is closed when the next head is taken.
func (st *headStore) wait() <-chan struct{} {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.changed
}

// take verifies a head, keeps it and makes it known. It must agree with the
// entries, as far as they are here: that is for the caller to have checked.
func (st *headStore) take(envelope []byte, s *registry.State) error {
	h, err := st.keep(envelope, s, false)
	if err == nil && st.onHead != nil {
		st.onHead(h)
	}
	return err
}

func (st *headStore) keep(envelope []byte, s *registry.State, begins bool) (*registry.SignedHead, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	next, h, err := st.heads.AddPast(envelope, s, st.past, st.now())
	if err != nil {
		return nil, err
	}
	if next.Branch() != st.heads.Branch() {
		if !begins { // the entries have to be seen to first
			return nil, fmt.Errorf("%w: generation %d begins", registry.ErrHeadGap, h.Generation)
		}
	}
	if a, ok := st.contradicted(h.Feeds); ok {
		return nil, fmt.Errorf("%w: head %d of %s", registry.ErrHeadAnchor, a.Place.N, a.Origin)
	}
	fresh := next.Rotation() != st.heads.Rotation()
	if begins {
		st.begin(h)
		fresh = true
	}
	st.heads = next
	if fresh {
		st.put(headKey(keyRotation, h.Rotation), h.Envelope)
	}
	if next.Newest() == h {
		st.days[dayOf(h)] = h.Feeds
		st.put(headKey(keyDay, uint64(dayOf(h))), h.Envelope)
		st.prune(dayOf(h))
	}
	st.index()
	close(st.changed)
	st.changed = make(chan struct{})
	return h, nil
}

// put writes to the drawer. A head that could not be written is held all the
// same: it is needed now, and comes again after a restart.
func (st *headStore) put(key, value []byte) {
	if st.drawer == nil {
		return
	}
	if err := st.drawer.Put(key, value); err != nil {
		st.log.Warn("a head of the registry could not be kept; it is fetched again after a restart", "error", err)
	}
}

// prune forgets the days that are more than a year before today.
func (st *headStore) prune(today int64) {
	for day := range st.days {
		if day >= today-anchorDays {
			continue
		}
		delete(st.days, day)
		if st.drawer == nil {
			continue
		}
		if err := st.drawer.Delete(headKey(keyDay, uint64(day))); err != nil {
			st.log.Warn("an old head of the registry could not be removed", "error", err)
		}
	}
}

// contradicted finds a place that is on record with another hash.
func (st *headStore) contradicted(feeds []registry.Anchor) (registry.Anchor, bool) {
	on := st.anchors.Load()
	for _, a := range feeds {
		if on.contradicts(a) {
			return a, true
		}
	}
	return registry.Anchor{}, false
}

func (on *anchors) at(o identity.OriginID, epoch, n uint64) (identity.Hash, bool) {
	list := on.places[feedEpoch{o, epoch}]
	i, ok := slices.BinarySearchFunc(list, n, func(p feed.Place, n uint64) int { return cmp.Compare(p.N, n) })
	if !ok {
		return identity.Hash{}, false
	}
	return list[i].Hash, true
}

func (on *anchors) has(a registry.Anchor) bool {
	hash, ok := on.at(a.Origin, a.Place.Epoch, a.Place.N)
	return ok && hash == a.Place.Hash
}

func (on *anchors) contradicts(a registry.Anchor) bool {
	hash, ok := on.at(a.Origin, a.Place.Epoch, a.Place.N)
	return ok && hash != a.Place.Hash
}

// index makes the list of anchors anew. The caller holds mu.
func (st *headStore) index() {
	places := map[feedEpoch][]feed.Place{}
	add := func(feeds []registry.Anchor) {
		for _, a := range feeds {
			key := feedEpoch{a.Origin, a.Place.Epoch}
			places[key] = append(places[key], a.Place)
		}
	}
	for _, feeds := range st.days {
		add(feeds)
	}
	for _, h := range st.heads.Rotations() {
		add(h.Feeds)
	}
	if h := st.heads.Newest(); h != nil {
		add(h.Feeds)
	}
	for key, list := range places {
		slices.SortFunc(list, func(a, b feed.Place) int { return cmp.Compare(a.N, b.N) })
		places[key] = slices.CompactFunc(list, func(a, b feed.Place) bool { return a.N == b.N })
	}
	st.anchors.Store(&anchors{places})
}
