package search

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options of an index. The zero value works.
type Options struct {
	Dir    string           // where it is saved; "" = in memory only
	Stamp  []byte           // what the documents depend on beside the listings: saved under another one, it is made again
	Room   func() error     // asked before a file is written: an error when the disk is too full; nil = never
	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger     // merges, at debug level, and damage; never a query. nil = none
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

	idle idle

	current atomic.Pointer[snapshot]
	kept    atomic.Pointer[[]*snapshot] // retired, newest first

	merging sync.Mutex // held by the one that merges; taken before write
	running atomic.Bool

	write sync.Mutex // held while a snapshot is replaced
	// guarded by write
	distrusted bool // every file was left out once
	erasing    bool // something was erased that a retired snapshot may hold

	stamp   [32]byte
	saved   atomic.Uint64 // number of the snapshot that was saved
	damaged atomic.Bool
	changed atomic.Int64 // when Apply last changed it, Unix seconds

	inFlight sync.Map // names of files that may not be in a snapshot yet

	saving sync.Mutex
	// guarded by saving
	state []byte
}

// New returns the index as it was saved in Options.Dir, without what of it is
// damaged or of another Stamp; else an empty one.
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
	x.stamp = stamp(opt.Stamp)
	if opt.Dir != "" {
		if err := x.load(); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// Run merges in the background and lets go of old snapshots until ctx ends.
// Without it the index works, but an Apply now and then takes longer because
// it merges itself.
func (x *Index) Run(ctx context.Context) error {
	x.running.Store(true)
	defer x.running.Store(false)
	tick := time.NewTicker(20 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-x.wake:
			x.mergeAll(ctx, pick)
		case <-tick.C:
			if x.opt.Now().Unix()-x.changed.Load() >= 10 {
				x.mergeAll(ctx, pickQuiet)
			}
			x.write.Lock()
			x.retain(*x.kept.Load(), x.current.Load())
			x.write.Unlock()
		}
	}
}

// Settle merges until the index rests, as Run does after a while: after a bulk
// load questions are fastest so.
func (x *Index) Settle(ctx context.Context) {
	x.mergeAll(ctx, pick)
	x.mergeAll(ctx, pickQuiet)
}

// Len returns how many listings the newest snapshot holds.
func (x *Index) Len() int { return x.current.Load().count }

// Find returns the revision of a listing of the newest snapshot; false when it
// is not there.
func (x *Index) Find(r Ref) (revision uint64, ok bool) {
	snap := x.current.Load()
	defer runtime.KeepAlive(snap)
	var space [64]byte
	identity := appendIdentity(space[:0], r.Country, r.ID)
	err := guarded(func() error {
		for i := range snap.views {
			v := &snap.views[i]
			if doc, found := v.seg.lookup(identity); found && !v.isDead(doc) {
				revision, ok = v.seg.revision[doc], true
			}
		}
		return nil
	})
	if err != nil {
		x.distrust(err)
	}
	return revision, ok
}

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

// Build makes documents ready for a later [Index.Apply], which may be a long while
// after it. What is large goes into a file; one that is never applied is removed at
// the next start. The error is ErrBadDoc.
func (x *Index) Build(docs []Doc) (Built, error) {
	for i := range docs {
		if err := docs[i].check(); err != nil {
			return Built{}, err
		}
	}
	fresh, idents := sortDocs(docs)
	b := Built{idents: idents}
	for chunk := range slices.Chunk(fresh, chunkDocs) {
		b.added = append(b.added, newView(x.spill(build(chunk), spillFrom/4))) // a quarter: more is to come
	}
	return b, nil
}

// Apply makes a batch visible to searches that start after it returns: all of
// it or, with an error (ErrBadDoc), nothing.
func (x *Index) Apply(b Batch) error {
	own, err := x.Build(b.Put)
	if err != nil {
		return err
	}
	added, idents := own.added, own.idents
	for _, more := range b.Built {
		added, idents = append(added, more.added...), append(idents, more.idents...)
	}
	for _, r := range b.Delete {
		idents = append(idents, identityOf(r.Country, r.ID))
	}
	erase := make(map[string]bool, len(b.Erase))
	for _, r := range b.Erase {
		ident := identityOf(r.Country, r.ID)
		erase[ident] = true
		idents = append(idents, ident)
	}
	if len(idents) == 0 {
		return nil
	}
	x.changed.Store(x.opt.Now().Unix())
	change := func() error { return x.change(idents, erase, added) }
	if err := guarded(change); err != nil {
		x.distrust(err)
		if err = guarded(change); err != nil {
			return err
		}
	}
	x.tidy()
	return nil
}

// change swaps in the snapshot after some listings died and views were added.
func (x *Index) change(idents []string, erase map[string]bool, added []view) error {
	x.write.Lock()
	defer x.write.Unlock()
	old := x.current.Load()
	views := make([]view, 0, len(old.views)+len(added))
	for _, v := range old.views {
		var dying []uint32
		for _, ident := range idents {
			doc, ok := v.seg.lookup([]byte(ident))
			if !ok {
				continue
			}
			if !v.isDead(doc) {
				dying = append(dying, doc)
			}
			v.purge = v.purge || erase[ident] // an earlier version of it counts too
		}
		if len(dying) > 0 {
			v = v.without(dying)
		}
		if v.count() > 0 {
			views = append(views, v)
		}
	}
	x.erasing = x.erasing || len(erase) > 0
	x.publish(newSnapshot(old.number+1, append(views, added...), old.labels))
	x.erased()
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
	x.saved.CompareAndSwap(old.number, old.number+1) // labels are not saved
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
