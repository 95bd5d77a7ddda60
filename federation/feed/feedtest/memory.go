package feedtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Memory is a [feed.Store] and [feed.Appender] in plain maps, the simplest that
// keeps the contract.
type Memory struct {
	mu    sync.Mutex
	feeds map[identity.OriginID]*memoryFeed // replaced, never changed
	beats map[identity.OriginID]*feed.SignedBeat
	open  map[identity.OriginID]*memoryStaging
	fail  error
}

var (
	_ feed.Store    = (*Memory)(nil)
	_ feed.Appender = (*Memory)(nil)
)

type memoryFeed struct {
	head    *feed.SignedHead
	chain   [][]byte // heads without a gap, the last one is head
	entries map[feed.Key]feed.Item
	rotten  map[feed.Key]bool // records that are not what their entries name any more
	floor   uint64
	lists   [feed.Buckets][]feed.Change
	leaves  *feed.Leaves
	undo    []undoStep // newest last
}

// undoStep is what one step replaced: of each key the item before it, or none.
type undoStep struct {
	to  identity.Hash // the head before the step
	old map[feed.Key]*feed.Item
}

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		feeds: make(map[identity.OriginID]*memoryFeed), beats: make(map[identity.OriginID]*feed.SignedBeat),
		open: make(map[identity.OriginID]*memoryStaging),
	}
}

// Fail makes every Append, and every Put of a staging area, fail from now on; nil
// ends that.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// Staged is how many changes wait in a staging area.
func (m *Memory) Staged(o identity.OriginID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if st := m.open[o]; st != nil {
		return len(st.items)
	}
	return 0
}

// Origins implements [feed.Store].
func (m *Memory) Origins() ([]identity.OriginID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.feeds)), nil
}

// View implements [feed.Store].
func (m *Memory) View(o identity.OriginID) (feed.StoreView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.feeds[o]
	if f == nil {
		f = &memoryFeed{}
	}
	return memoryView{f}, nil
}

// Beat implements [feed.Store].
func (m *Memory) Beat(o identity.OriginID) (*feed.SignedBeat, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.beats[o], nil
}

// PutBeat implements [feed.Store].
func (m *Memory) PutBeat(b *feed.SignedBeat) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.beats[b.Origin]; old == nil || b.Epoch > old.Epoch || b.Epoch == old.Epoch && b.Counter > old.Counter {
		m.beats[b.Origin] = b
	}
	return nil
}

// Stage implements [feed.Store].
func (m *Memory) Stage(o identity.OriginID) (feed.Staging, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := &memoryStaging{m: m, o: o}
	m.open[o] = st
	return st, nil
}

// Append implements [feed.Appender].
func (m *Memory) Append(_ context.Context, v *feed.Verified) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	var items feed.Items
	switch d := v.Delta().(type) {
	case feed.Items:
		items = d
	case *memoryStaging:
		if m.open[v.Origin()] != d {
			return feed.ErrMoved
		}
		items = d.items
	default:
		return fmt.Errorf("feedtest: a step with a delta of type %T", d)
	}
	old := m.feeds[v.Origin()]
	if old == nil {
		old = &memoryFeed{}
	}
	var base identity.Hash
	if old.head != nil {
		base = old.head.Hash
	}
	if base != v.Base() {
		return feed.ErrMoved
	}
	m.feeds[v.Origin()] = old.step(v, items)
	delete(m.open, v.Origin())
	return nil
}

// step is the feed after a verified step.
func (f *memoryFeed) step(v *feed.Verified, items feed.Items) *memoryFeed {
	first, head := v.Heads()[0], v.Head()
	next := &memoryFeed{head: head, entries: maps.Clone(f.entries), rotten: maps.Clone(f.rotten), floor: f.floor}
	if next.entries == nil {
		next.entries = make(map[feed.Key]feed.Item)
	}
	envelopes := slices.Clone(f.chain)
	for i, env := range envelopes { // what the step replaces
		if h, err := feed.ParseHead(env); err == nil && h.N >= first.N {
			envelopes = envelopes[:i]
			break
		}
	}
	for _, h := range v.Heads() {
		envelopes = append(envelopes, h.Envelope)
	}
	next.chain = chain(envelopes)
	follows := f.head == nil && head.N == 1 || f.head != nil && first.Prev == f.head.Hash
	if v.Kind() == feed.Compared || !follows && v.Kind() != feed.Rollback && v.Base() != head.Hash {
		next.floor = head.Seq // deletions in between are not known
	}
	step := undoStep{v.Base(), make(map[feed.Key]*feed.Item)}
	for _, i := range items {
		key := i.Change().Key
		if was, ok := f.entries[key]; ok {
			step.old[key] = &was
		} else {
			step.old[key] = nil
		}
		next.entries[key] = i
		delete(next.rotten, key)
	}
	switch v.Kind() {
	case feed.Repair:
		for key := range next.rotten { // the step began from what was whole
			delete(next.entries, key)
		}
		next.rotten = nil
		if v.Base() == head.Hash {
			next.undo = f.undo
		}
	case feed.Step:
		next.undo = append(slices.Clone(f.undo), step)
	case feed.Rollback:
		for i, s := range f.undo {
			if s.to == head.Hash {
				next.undo = slices.Clone(f.undo[:i])
			}
		}
	}
	reach := 0 // steps before this one would need what is erased now
	for _, i := range items {
		for j, s := range next.undo {
			if was := s.old[i.Change().Key]; i.Change().Op == feed.Erase && was != nil && was.Change().Live() {
				reach = max(reach, j+1)
			}
		}
	}
	next.undo = slices.Clone(next.undo[reach:])
	next.lists, _ = fromScratch(memoryView{next}.sorted())
	// As on a disk, the hashes of buckets that a step leaves alone stay as they
	// were kept, whatever has become of the entries.
	leaves := *feed.EmptyLeaves()
	if f.leaves != nil {
		leaves = *f.leaves
	}
	for q, hash := range v.Leaves() {
		leaves[q] = hash
	}
	next.leaves = &leaves
	return next
}

// Undo implements [feed.Store].
func (m *Memory) Undo(o identity.OriginID, to *feed.SignedHead) (feed.Delta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.feeds[o]
	if f == nil {
		return nil, feed.ErrPruned
	}
	back := make(map[feed.Key]*feed.Item)
	for _, step := range slices.Backward(f.undo) {
		maps.Copy(back, step.old)
		if step.to != to.Hash {
			continue
		}
		var items feed.Items
		for key, was := range back {
			if was == nil {
				gone, err := feed.Check(feed.Change{Seq: max(to.Seq, 1), Key: key, Op: feed.Delete}, nil)
				if err != nil {
					return nil, err
				}
				was = &gone
			}
			items = append(items, *was)
		}
		return items.Sort(), nil
	}
	return nil, feed.ErrPruned
}

// Forget drops what is kept for undoing, as after its time.
func (m *Memory) Forget(o identity.OriginID) {
	m.edit(o, func(f *memoryFeed) { f.undo = nil })
}

// Actual implements [feed.Store].
func (m *Memory) Actual(o identity.OriginID) (feed.StoreView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.feeds[o]
	if f == nil {
		return memoryView{&memoryFeed{}}, nil
	}
	whole := *f
	whole.entries, whole.rotten = maps.Clone(f.entries), nil
	for key := range f.rotten {
		delete(whole.entries, key)
	}
	whole.lists, whole.leaves = fromScratch(memoryView{&whole}.sorted())
	return memoryView{&whole}, nil
}

// edit replaces a feed that is held.
func (m *Memory) edit(o identity.OriginID, change func(*memoryFeed)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.feeds[o]; f != nil {
		next := *f
		next.entries, next.rotten = maps.Clone(f.entries), maps.Clone(f.rotten)
		change(&next)
		m.feeds[o] = &next
	}
}

// Corrupt damages a record as a failing disk does, but not its entry. It reports
// whether there was one.
func (m *Memory) Corrupt(o identity.OriginID, key feed.Key) (done bool) {
	m.edit(o, func(f *memoryFeed) {
		i, ok := f.entries[key]
		if !ok || !i.Change().Live() {
			return
		}
		if f.rotten == nil {
			f.rotten = make(map[feed.Key]bool)
		}
		f.rotten[key], done = true, true
	})
	return done
}

// Lose drops a record and its entry as a failing disk does. It reports whether
// there was one.
func (m *Memory) Lose(o identity.OriginID, key feed.Key) (done bool) {
	m.edit(o, func(f *memoryFeed) {
		_, done = f.entries[key]
		delete(f.entries, key)
		delete(f.rotten, key)
		f.lists, _ = fromScratch(memoryView{f}.sorted())
	})
	return done
}

// Snapshot is a copy of all that a [Memory] held at one moment: a backup.
type Snapshot struct {
	feeds map[identity.OriginID]*memoryFeed
	beats map[identity.OriginID]*feed.SignedBeat
}

// Snapshot copies the store.
func (m *Memory) Snapshot() *Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Snapshot{maps.Clone(m.feeds), maps.Clone(m.beats)}
}

// Restore puts the store back to what it held then. Steps under way are lost.
func (m *Memory) Restore(s *Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.feeds, m.beats = maps.Clone(s.feeds), maps.Clone(s.beats)
	m.open = make(map[identity.OriginID]*memoryStaging)
}

type memoryStaging struct {
	m     *Memory
	o     identity.OriginID
	items feed.Items
}

func (s *memoryStaging) Put(items ...feed.Item) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.m.fail != nil {
		return s.m.fail
	}
	if s.m.open[s.o] != s {
		return feed.ErrMoved
	}
	s.items = append(s.items, items...).Sort()
	return nil
}

func (s *memoryStaging) Discard() error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.m.open[s.o] == s {
		delete(s.m.open, s.o)
		s.items = nil
	}
	return nil
}

func (s *memoryStaging) Changes(yield func(feed.Change, error) bool) {
	s.m.mu.Lock()
	items := slices.Clone(s.items)
	s.m.mu.Unlock()
	items.Changes(yield)
}

type memoryView struct{ f *memoryFeed }

func (v memoryView) Head() *feed.SignedHead { return v.f.head }
func (v memoryView) Close()                 {}

func (v memoryView) Leaves() (*feed.Leaves, error) {
	if v.f.leaves == nil {
		return feed.EmptyLeaves(), nil
	}
	return v.f.leaves, nil
}

// sorted are the live entries in order of their numbers.
func (v memoryView) sorted() (out []feed.Change) {
	for _, i := range v.f.entries {
		if i.Change().Live() {
			out = append(out, i.Change())
		}
	}
	slices.SortFunc(out, func(a, b feed.Change) int { return int(a.Seq) - int(b.Seq) })
	return out
}

func (v memoryView) Bucket(q int) ([]feed.Change, error) { return slices.Clone(v.f.lists[q]), nil }

func (v memoryView) Record(k feed.Key) (feed.Change, []byte, error) {
	i, ok := v.f.entries[k]
	if !ok || !i.Change().Live() {
		return i.Change(), nil, feed.ErrNoRecord
	}
	if v.f.rotten[k] {
		return i.Change(), nil, fmt.Errorf("%w: record %s", feed.ErrDamaged, k)
	}
	return i.Change(), i.Raw(), nil
}

func (v memoryView) Since(seq uint64, live bool, yield func(feed.Change, []byte) bool) error {
	if v.f.head == nil {
		return nil
	}
	if !live && seq < v.f.floor {
		return feed.ErrPruned
	}
	items := slices.Collect(maps.Values(v.f.entries))
	slices.SortFunc(items, func(a, b feed.Item) int { return int(a.Change().Seq) - int(b.Change().Seq) })
	for _, i := range items {
		c := i.Change()
		if c.Seq <= seq || c.Seq > v.f.head.Seq || live && !c.Live() {
			continue
		}
		if v.f.rotten[c.Key] {
			return fmt.Errorf("%w: record %s", feed.ErrDamaged, c.Key)
		}
		if !yield(c, i.Raw()) {
			return nil
		}
	}
	return nil
}

func (v memoryView) Heads(n uint64, limit int) (out [][]byte, err error) {
	for _, env := range v.f.chain {
		h, err := feed.ParseHead(env)
		if err != nil {
			return nil, err
		}
		if h.N >= n && len(out) < limit {
			out = append(out, env)
		}
	}
	return out, nil
}
