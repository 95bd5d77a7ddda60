package search

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options of an index. The zero value works.
type Options struct {
	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger     // merges, at debug level; never a query. nil = none
}

// Label is a word or phrase of a vocabulary: whoever writes one of its words
// finds the listings that carry the code, in whatever language they are.
type Label struct {
	Facet    Facet // audience, channel, anonymity, cost or format
	Code     string
	Language string // BCP 47
	Text     string // at most 300 bytes are looked at
}

// Index is the search index of one node. Its methods may be called at once
// from any number of goroutines.
type Index struct {
	opt  Options
	key  []byte // of the tokens of this run
	wake chan struct{}

	current atomic.Pointer[snapshot]
	kept    atomic.Pointer[[]*snapshot] // retired, newest first

	merging sync.Mutex // held by the one that merges; taken before write
	running atomic.Bool

	write sync.Mutex // held while a snapshot is replaced
}

// New returns an empty index.
func New(opt Options) (*Index, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	x := &Index{opt: opt, key: make([]byte, 32), wake: make(chan struct{}, 1)}
	if _, err := rand.Read(x.key); err != nil {
		return nil, fmt.Errorf("make the key of the page tokens: %w", err)
	}
	x.current.Store(newSnapshot(1, nil, newLabels(nil)))
	x.kept.Store(new([]*snapshot))
	return x, nil
}

// Run merges in the background and lets go of old snapshots until ctx ends.
// Without it the index works, but an Apply now and then takes longer because
// it merges itself.
func (x *Index) Run(ctx context.Context) error {
	x.running.Store(true)
	defer x.running.Store(false)
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-x.wake:
			x.merging.Lock()
			for x.mergeOnce() && ctx.Err() == nil {
			}
			x.merging.Unlock()
		case <-tick.C:
			x.write.Lock()
			x.retain(*x.kept.Load(), x.current.Load())
			x.write.Unlock()
		}
	}
}

// Len returns how many listings the newest snapshot holds.
func (x *Index) Len() int { return x.current.Load().count }

// Refs yields every listing of the newest snapshot, in no order.
func (x *Index) Refs(yield func(Ref) bool) {
	for _, v := range x.current.Load().views {
		for doc := range v.live.each {
			if !yield(v.seg.ref(doc)) {
				return
			}
		}
	}
}

// chunkDocs bounds what is analysed at once, and so the memory of a large batch.
const chunkDocs = 16384

// Apply makes a batch visible to searches that start after it returns: all of
// it or, with an error (ErrBadDoc), nothing.
func (x *Index) Apply(b Batch) error {
	for i := range b.Put {
		if err := b.Put[i].check(); err != nil {
			return err
		}
	}
	fresh, idents := sortDocs(b.Put)
	var added []view
	for chunk := range slices.Chunk(fresh, chunkDocs) {
		added = append(added, newView(build(chunk)))
	}
	for _, r := range b.Delete {
		idents = append(idents, identityOf(r.Country, r.ID))
	}
	if len(idents) == 0 {
		return nil
	}

	x.write.Lock()
	old := x.current.Load()
	views := make([]view, 0, len(old.views)+len(added))
	for _, v := range old.views {
		var dying []uint32
		for _, ident := range idents {
			if doc, ok := v.seg.lookup(ident); ok && !v.isDead(doc) {
				dying = append(dying, doc)
			}
		}
		if len(dying) > 0 {
			v = v.without(dying)
		}
		if v.count() > 0 {
			views = append(views, v)
		}
	}
	x.publish(newSnapshot(old.number+1, append(views, added...), old.labels))
	x.write.Unlock()
	x.tidy()
	return nil
}

// sortDocs returns the documents sorted by identity, of equals the last, and
// their identities.
func sortDocs(docs []Doc) ([]*Doc, []string) {
	type item struct {
		ident string
		at    int
	}
	items := make([]item, len(docs))
	for i := range docs {
		items[i] = item{identityOf(docs[i].Country, docs[i].ID), i}
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Or(strings.Compare(a.ident, b.ident), cmp.Compare(b.at, a.at)) })
	items = slices.CompactFunc(items, func(a, b item) bool { return a.ident == b.ident })
	sorted, idents := make([]*Doc, len(items)), make([]string, len(items))
	for i, it := range items {
		sorted[i], idents[i] = &docs[it.at], it.ident
	}
	return sorted, idents
}

// SetLabels replaces the labels of the vocabularies. Labels of other facets
// than the five that a document carries, or without a code, are left out.
func (x *Index) SetLabels(list []Label) {
	l := newLabels(list)
	x.write.Lock()
	defer x.write.Unlock()
	old := x.current.Load()
	x.publish(newSnapshot(old.number+1, old.views, l))
}

// publish swaps in a snapshot and keeps the one before. The caller holds write.
func (x *Index) publish(next *snapshot) {
	old := x.current.Load()
	old.retired = x.opt.Now()
	x.current.Store(next)
	x.retain(append([]*snapshot{old}, *x.kept.Load()...), next)
}

// retain replaces what is kept. The caller holds write.
func (x *Index) retain(kept []*snapshot, current *snapshot) {
	kept = keep(kept, current, x.opt.Now())
	x.kept.Store(&kept)
}

// at returns the snapshot of a token and the minute in it.
func (x *Index) at(tok string) (*snapshot, time.Time, error) {
	number, minute, ok := parseToken(x.key, tok)
	if !ok {
		return nil, time.Time{}, ErrSnapshotGone
	}
	now := time.Unix(minute*60, 0).UTC()
	if s := x.current.Load(); s.number == number {
		return s, now, nil
	}
	for _, s := range *x.kept.Load() {
		if s.number == number {
			return s, now, nil
		}
	}
	return nil, time.Time{}, ErrSnapshotGone
}

const (
	mergeAlone = 24 // segments above which an Apply merges itself when Run does not
	mergeHard  = 96 // segments above which it does so in any case
)

// tidy has the segments merged: by Run, or here where that falls behind.
func (x *Index) tidy() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
	n := len(x.current.Load().views)
	if (n > mergeAlone && !x.running.Load() && x.merging.TryLock()) || (n > mergeHard && lock(&x.merging)) {
		for x.mergeOnce() {
		}
		x.merging.Unlock()
	}
}

func lock(m *sync.Mutex) bool { m.Lock(); return true }

// pick chooses what to merge: the smallest segments, as long as each is no
// larger than those before it together, so that a document is rewritten about
// once for each doubling of the index; or one that is a third dead.
func pick(views []view) []int {
	order := make([]int, len(views))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(views[a].count(), views[b].count()) })
	sum, n := 0, 0
	for _, i := range order {
		if views[i].count() > sum+32 {
			break
		}
		sum += views[i].count()
		n++
	}
	if n >= 4 {
		return order[:n]
	}
	for i := range views {
		if dead := views[i].seg.n - views[i].count(); dead > 32 && dead > views[i].seg.n/3 {
			return []int{i}
		}
	}
	return nil
}

// mergeOnce merges some segments and reports whether there were any to merge.
// Searches and writes go on meanwhile. The caller holds merging.
func (x *Index) mergeOnce() bool {
	start := time.Now()
	before := x.current.Load().views
	chosen := pick(before)
	if len(chosen) == 0 {
		return false
	}
	parts := make([]view, len(chosen))
	for i, c := range chosen {
		parts[i] = before[c]
	}
	seg, remap := merge(parts)
	merged := newView(seg)

	x.write.Lock()
	defer x.write.Unlock()
	old := x.current.Load()
	// What died since the merge began dies in its outcome.
	views := make([]view, 0, len(old.views))
	alive := map[*segment]bool{}
	var dying []uint32
	for _, v := range old.views {
		p := slices.IndexFunc(parts, func(p view) bool { return p.seg == v.seg })
		if p < 0 {
			views = append(views, v)
			continue
		}
		alive[v.seg] = true
		dying = died(dying, v.live, remap[p])
	}
	for p := range parts {
		if !alive[parts[p].seg] { // all of it died
			dying = died(dying, nil, remap[p])
		}
	}
	if len(dying) > 0 {
		merged = merged.without(dying)
	}
	if merged.count() > 0 {
		views = append(views, merged)
	}
	x.publish(newSnapshot(old.number+1, views, old.labels))
	x.opt.Logger.Debug("search: merged segments", "segments", len(parts), "documents", seg.n, "took", time.Since(start))
	return true
}

// died appends the new numbers of what is not in live now and was alive when
// the merge began.
func died(list []uint32, live docBits, remap []uint32) []uint32 {
	for d, to := range remap {
		if to != gone && (live == nil || !live.has(uint32(d))) {
			list = append(list, to)
		}
	}
	return list
}
