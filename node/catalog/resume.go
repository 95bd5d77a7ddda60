package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

// savedState is what a saved index stands for: the head of each feed that is in
// it, and what the catalog remembers beside the index.
type savedState struct {
	Conditions identity.Hash `cbor:"1,keyasint"` // see conditions
	Feeds      []savedFeed   `cbor:"2,keyasint"`
	Hidden     []savedSpot   `cbor:"3,keyasint"`
	Remarks    []savedRemark `cbor:"4,keyasint"`
	Aliases    []savedAlias  `cbor:"5,keyasint"`
	Companions []savedPair   `cbor:"6,keyasint"`
}

type savedPair struct {
	_  struct{} `cbor:",toarray"`
	At savedSpot
	Of []feed.Key
}

type savedFeed struct {
	Origin  identity.OriginID `cbor:"1,keyasint"`
	Country string            `cbor:"2,keyasint"`
	Epoch   uint64            `cbor:"3,keyasint"`
	N       uint64            `cbor:"4,keyasint"`
	Seq     uint64            `cbor:"5,keyasint"`
	Hash    identity.Hash     `cbor:"6,keyasint"`
}

type savedSpot struct {
	_      struct{} `cbor:",toarray"`
	Origin identity.OriginID
	Key    feed.Key
}

type savedRemark struct {
	_       struct{} `cbor:",toarray"`
	Overlay savedSpot
	Target  savedSpot
	Kind    listing.OverlayKind
	Ends    int64 // Unix seconds; 0 = never
	Over    bool
}

type savedAlias struct {
	_  struct{} `cbor:",toarray"`
	ID feed.Key // under which it is shown
	At savedSpot
}

// indexed is the head up to which a feed is in the index.
type indexed struct {
	country string
	head    *feed.SignedHead // nil: nothing was published yet
}

// conditions are what documents depend on beside the feeds: how often listings
// must be checked, and who may speak for whom.
func (c *Catalog) conditions(origins []identity.OriginID) identity.Hash {
	text := fmt.Sprintf("%+v\n", c.o.Cadence())
	origins = slices.Clone(origins)
	slices.SortFunc(origins, func(a, b identity.OriginID) int { return slices.Compare(a[:], b[:]) })
	for _, author := range origins {
		text += fmt.Sprintf("%x %s %t", author[:], c.o.Country(author), slices.Contains(silent, c.o.Standing(author).State))
		for _, target := range origins {
			if c.o.Caretaker(target, author) {
				text += fmt.Sprintf(" %x", target[:])
			}
		}
		text += "\n"
	}
	return identity.Sum(0x49, []byte(text))
}

// Save makes the index durable if it has changed, so that the next start need
// not fill it. Call it now and then, and when the node stops.
func (c *Catalog) Save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.o.Index.Dirty() || c.lost.Load() || c.o.Index.Damaged() {
		return nil
	}
	b, err := cbor.Marshal(c.saved())
	if err != nil {
		return fmt.Errorf("save the search index: %w", err)
	}
	return c.o.Index.Save(b)
}

// saved is the state of the index. The caller holds mu.
func (c *Catalog) saved() (out savedState) {
	var origins []identity.OriginID
	for o, x := range c.heads {
		origins = append(origins, o)
		f := savedFeed{Origin: o, Country: x.country}
		if x.head != nil {
			f.Epoch, f.N, f.Seq, f.Hash = x.head.Epoch, x.head.N, x.head.Seq, x.head.Hash
		}
		out.Feeds = append(out.Feeds, f)
	}
	out.Conditions = c.conditions(origins)
	s := c.side.Load()
	s.mu.RLock()
	defer s.mu.RUnlock()
	for at := range s.hidden {
		out.Hidden = append(out.Hidden, savedSpot{Origin: at.origin, Key: at.key})
	}
	for target, remarks := range s.remarks {
		for at, r := range remarks {
			x := savedRemark{Overlay: savedSpot{Origin: at.origin, Key: at.key}, Target: savedSpot{Origin: target.origin, Key: target.key}, Kind: r.kind, Over: r.over}
			if !r.ends.IsZero() {
				x.Ends = r.ends.Unix()
			}
			out.Remarks = append(out.Remarks, x)
		}
	}
	for id, at := range s.aliases {
		out.Aliases = append(out.Aliases, savedAlias{ID: feed.Key(id), At: savedSpot{Origin: at.origin, Key: at.key}})
	}
	for at, of := range s.companions {
		out.Companions = append(out.Companions, savedPair{At: savedSpot{Origin: at.origin, Key: at.key}, Of: of})
	}
	return out
}

// side is what the catalog remembered when the state was saved.
func (st *savedState) side() *side {
	s := newSide()
	for _, h := range st.Hidden {
		s.hidden[spot{h.Origin, h.Key}] = true
	}
	for _, x := range st.Remarks {
		r := remark{kind: x.Kind, over: x.Over}
		if x.Ends != 0 {
			r.ends = time.Unix(x.Ends, 0).UTC()
		}
		at, target := spot{x.Overlay.Origin, x.Overlay.Key}, spot{x.Target.Origin, x.Target.Key}
		if s.remarks[target] == nil {
			s.remarks[target] = map[spot]remark{}
		}
		s.remarks[target][at], s.about[at] = r, target
	}
	for _, a := range st.Aliases {
		s.aliases[uuid.UUID(a.ID)] = spot{a.At.Origin, a.At.Key}
	}
	for _, p := range st.Companions {
		s.setCompanions(spot{p.At.Origin, p.At.Key}, p.Of)
	}
	return s
}

// Resume makes the index what the store is. An index that was saved is brought
// up to date: only what has changed since is read. Where nothing is known of it,
// it is filled anew. It is [Catalog.Lost] afterwards if a part was damaged: that
// part is missing until a Rebuild, while the rest is found.
func (c *Catalog) Resume(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ok, err := c.resume(ctx)
	if err == nil && ok {
		c.lost.Store(c.o.Index.Damaged())
		return nil
	}
	if err != nil && ctx.Err() == nil {
		c.o.Logger.Warn("the saved search index cannot be brought up to date and is made again", "err", err)
	}
	return c.rebuildAll(ctx, nil)
}

func (c *Catalog) resume(ctx context.Context) (ok bool, err error) {
	raw := c.o.Index.State()
	var st savedState
	if raw == nil || cbor.Unmarshal(raw, &st) != nil {
		return false, nil
	}
	var known []identity.OriginID
	byCountry := map[string]bool{}
	for _, f := range st.Feeds {
		known = append(known, f.Origin)
		if byCountry[f.Country] { // what is left over could not be told apart
			return false, nil
		}
		byCountry[f.Country] = true
	}
	if c.conditions(known) != st.Conditions {
		return false, nil
	}
	origins, err := c.o.Store.Origins()
	if err != nil {
		return false, err
	}
	c.side.Store(st.side())
	clear(c.heads)
	if err := c.hideAgain(st.Feeds); err != nil {
		return false, err
	}
	var touched []spot
	for _, o := range origins {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		i := slices.Index(known, o)
		country := c.o.Country(o)
		if country == "" {
			continue
		}
		if i < 0 && byCountry[country] {
			return false, nil // another feed of the same country
		}
		var from savedFeed
		if i >= 0 {
			from = st.Feeds[i]
		}
		more, err := c.catchUp(o, country, from)
		if err != nil {
			return false, fmt.Errorf("%s: %w", country, err)
		}
		touched = append(touched, more...)
	}
	for _, f := range st.Feeds {
		if !slices.Contains(origins, f.Origin) {
			return false, nil // the feed is gone from the store
		}
	}
	// Who has a companion may be hidden with it, or be so no longer.
	return true, c.index(ctx, append(touched, c.side.Load().paired()...))
}

// hideAgain takes out what may no longer be shown: what was taken down or hidden
// since the index was saved must not be in the first answer.
func (c *Catalog) hideAgain(feeds []savedFeed) error {
	origin := map[string]identity.OriginID{}
	for _, f := range feeds {
		origin[f.Country] = f.Origin
	}
	s := c.side.Load()
	var batch search.Batch
	for ref := range c.o.Index.Refs {
		id, err := uuid.Parse(ref.ID)
		if err != nil {
			continue
		}
		at, aliased := s.aliases[id]
		if !aliased {
			at = spot{origin[ref.Country], feed.Key(id)}
		}
		if _, hidden := c.o.Hidden(at.origin, at.key); hidden {
			s.setHidden(feed.Key(id), at, true)
			batch.Delete = append(batch.Delete, ref)
		}
	}
	return c.o.Index.Apply(batch)
}

// catchUp brings one feed from the head at which it was saved to that of the
// store, and returns what must be looked at again.
func (c *Catalog) catchUp(o identity.OriginID, country string, from savedFeed) (touched []spot, err error) {
	view, err := c.o.Store.View(o)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	head := view.Head()
	defer func() {
		if err == nil {
			c.heads[o] = indexed{country, head}
		}
	}()
	if head == nil && from.N == 0 || head != nil && head.Hash == from.Hash {
		return nil, nil
	}
	follows, err := leadsTo(view, from)
	if err != nil {
		return nil, err
	}
	if follows {
		touched, err = c.since(view, country, from.Seq)
		if !errors.Is(err, feed.ErrPruned) {
			return touched, err
		}
	}
	return c.fillAgain(view, o, country)
}

// leadsTo tells whether a head that was saved is one of the chain of a feed.
func leadsTo(view feed.StoreView, from savedFeed) (bool, error) {
	head := view.Head()
	if head == nil || from.N == 0 || head.Epoch != from.Epoch || head.N <= from.N {
		return false, nil
	}
	heads, err := view.Heads(from.N, 1)
	if err != nil || len(heads) == 0 {
		return false, err
	}
	was, err := feed.ParseHead(heads[0])
	return err == nil && was.N == from.N && was.Hash == from.Hash, nil
}

// since applies the changes of a feed after a sequence number.
func (c *Catalog) since(view feed.StoreView, country string, seq uint64) (touched []spot, err error) {
	var batch search.Batch
	var failed error
	origin := view.Head().Origin
	flush := func() bool {
		failed = c.o.Index.Apply(batch)
		batch = search.Batch{}
		return failed == nil
	}
	err = view.Since(seq, false, func(change feed.Change, raw []byte) bool {
		at := spot{origin, change.Key}
		record := parse(raw)
		touched = append(touched, c.note(c.side.Load(), at, record)...)
		if failed = c.takeChange(&batch, c.side.Load(), country, at, change.Op, record); failed != nil {
			return false
		}
		return len(batch.Put)+len(batch.Delete) < rebuildBatch || flush()
	})
	if err == nil && failed == nil {
		flush()
	}
	return touched, cmp.Or(err, failed)
}

// fillAgain indexes a whole feed of which something else is in the index.
func (c *Catalog) fillAgain(view feed.StoreView, o identity.OriginID, country string) ([]spot, error) {
	s := c.side.Load()
	touched := s.forget(o)
	seen := map[uuid.UUID]bool{}
	if view.Head() != nil {
		more, err := c.fill(view, country, s, seen)
		if err != nil {
			return nil, err
		}
		touched = append(touched, more...)
	}
	var left search.Batch
	for ref := range c.o.Index.Refs {
		if id, err := uuid.Parse(ref.ID); ref.Country == country && (err != nil || !seen[id]) {
			left.Erase = append(left.Erase, ref) // erased, for all that is known
		}
	}
	return touched, c.o.Index.Apply(left)
}

// forget drops what the feed of an origin said about others, and what of it was
// hidden, and returns the listings about which it said something that matters
// to search.
func (s *side) forget(o identity.OriginID) (changed []spot) {
	var pairs []spot
	defer func() {
		for _, at := range pairs {
			s.setCompanions(at, nil)
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, target := range s.about {
		if at.origin != o {
			continue
		}
		if s.remarks[target][at].urgent() {
			changed = append(changed, target)
		}
		delete(s.about, at)
		if delete(s.remarks[target], at); len(s.remarks[target]) == 0 {
			delete(s.remarks, target)
		}
	}
	for at := range s.hidden {
		if at.origin == o {
			delete(s.hidden, at)
		}
	}
	for at := range s.companions {
		if at.origin == o {
			pairs = append(pairs, at)
		}
	}
	return changed
}
