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
	heads   map[uint64][]byte
	entries map[feed.Key]feed.Item
	floor   uint64
	lists   [feed.Buckets][]feed.Change
	leaves  *feed.Leaves
}

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		feeds: make(map[identity.OriginID]*memoryFeed), beats: make(map[identity.OriginID]*feed.SignedBeat),
		open: make(map[identity.OriginID]*memoryStaging),
	}
}

// Fail makes every Append fail from now on; nil ends that.
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
	next := &memoryFeed{head: v.Head(), heads: make(map[uint64][]byte), entries: make(map[feed.Key]feed.Item)}
	var base identity.Hash
	switch {
	case old == nil:
		if v.Head().N != 1 {
			next.floor = v.Head().Seq
		}
	case old.head.Epoch != v.Head().Epoch:
		base, next.floor = old.head.Hash, v.Head().Seq
	default:
		base, next.floor = old.head.Hash, old.floor
	}
	if base != v.Base() {
		return feed.ErrMoved
	}
	if old != nil {
		maps.Copy(next.heads, old.heads)
		maps.Copy(next.entries, old.entries)
	}
	for _, h := range v.Heads() {
		next.heads[h.N] = h.Envelope
	}
	for _, i := range items {
		next.entries[i.Change().Key] = i
	}
	next.lists, next.leaves = fromScratch(memoryView{next}.sorted())
	m.feeds[v.Origin()] = next
	delete(m.open, v.Origin())
	return nil
}

type memoryStaging struct {
	m     *Memory
	o     identity.OriginID
	items feed.Items
}

func (s *memoryStaging) Put(items ...feed.Item) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
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
		return feed.Change{}, nil, feed.ErrNoRecord
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
		if !yield(c, i.Raw()) {
			return nil
		}
	}
	return nil
}

func (v memoryView) Heads(n uint64, limit int) (out [][]byte, err error) {
	for _, have := range slices.Sorted(maps.Keys(v.f.heads)) {
		if have >= n && len(out) < limit {
			out = append(out, v.f.heads[have])
		}
	}
	return out, nil
}
