package fedmodel

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// signed takes in what a machine's publisher has signed and is about to commit;
// nil when the head was known, as when the own feed is fetched back.
func (w *world) signed(m *machine, v *feed.Verified, edits []feed.Edit) *refHead {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := v.Head()
	if w.ref.heads[h.Hash] != nil {
		return nil
	}
	fresh := w.ref.sign(h, w.ref.after(h.Prev, edits), m.name, w.step)
	fresh.lawless = m.lawless
	for c, err := range v.Delta().Changes {
		if err == nil && c.Live() {
			w.ref.hashes[c.Key] = append(w.ref.hashes[c.Key], c.Hash)
		}
		if err == nil && c.Op == feed.Erase {
			fresh.erased = append(fresh.erased, w.ref.hashes[c.Key]...)
		}
	}
	return fresh
}

// unsigned takes a head back that was not committed.
func (w *world) unsigned(h *refHead) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ref.unsign(h)
}

// mayBeSeen remembers that others may see a head from now on, and checks that no
// node has ever signed its number before in another way (I4), but for those of
// which somebody else has the key or an earlier image.
func (w *world) mayBeSeen(hash identity.Hash) {
	w.mu.Lock()
	var fork string
	if h := w.ref.heads[hash]; h != nil && !h.seen {
		h.seen = true
		for _, other := range w.ref.at[h.refPlace] {
			if other != h && other.seen && w.tainted[refPlace{origin: h.origin, epoch: h.epoch}] == "" {
				fork = fmt.Sprintf("I4: %s, and %s", h, other)
			}
		}
	}
	w.mu.Unlock()
	if fork != "" {
		w.fail("%s", fork)
	}
}

// checkedAt is what was compared whole at a machine, so that it need not be
// compared again while it stands.
type checkedAt struct{ head identity.Hash }

// check compares every machine with the model: I1, I2, I4, I5, I7 and I8.
func (w *world) check() {
	for _, m := range w.machines {
		if m.proc == nil {
			continue
		}
		before := time.Now()
		origins, err := m.disk.Origins()
		if err != nil {
			w.fail("I8: %s cannot list its feeds: %v", m.name, err)
			return
		}
		for _, o := range origins {
			w.checkFeed(m, o)
		}
		if waited := time.Since(before); waited != 0 {
			w.fail("I8: reading at %s took %v: it waited for something", m.name, waited)
		}
	}
}

func (w *world) checkFeed(m *machine, o identity.OriginID) {
	view, err := m.disk.View(o)
	if err != nil {
		w.fail("I8: %s cannot read the feed of %s: %v", m.name, o, err)
		return
	}
	defer view.Close()
	head := view.Head()
	if head == nil {
		return
	}
	w.mu.Lock()
	ref := w.ref.heads[head.Hash]
	w.mu.Unlock()
	if ref == nil {
		w.fail("I1: %s holds head %d.%d of %s, which nobody has signed", m.name, head.Epoch, head.N, o)
		return
	}
	if o != m.origin() {
		w.mayBeSeen(head.Hash)
	}
	w.checkOrder(m, o, head)
	if m.rotten[o] {
		if m.damaged(o) {
			return // what the model has damaged is not repaired yet
		}
		delete(m.rotten, o)
	} else if m.checked[o].head == head.Hash {
		return
	}
	if what := w.compare(view, ref); what != "" {
		w.fail("I1: %s shows of %s, under %s: %s", m.name, o, ref, what)
		return
	}
	w.checkErased(m, view, o)
	if head.Count > limits.Records || head.Bytes > limits.Bytes {
		w.fail("I7: %s holds %d records and %d bytes of %s, more than the policy allows", m.name, head.Count, head.Bytes, o)
	}
	m.checked[o] = checkedAt{head.Hash}
}

// checkOrder checks that a replica never goes back (I2), unless the registry
// names the head to which it goes.
func (w *world) checkOrder(m *machine, o identity.OriginID, head *feed.SignedHead) {
	place := head.Place()
	last, held := m.last[o]
	m.last[o] = place
	if !held || !place.Before(last) && (place == last || place.N != last.N || place.Epoch != last.Epoch) {
		return
	}
	if good, ok := m.proc.keys().Good(o); ok && good == place {
		return
	}
	w.fail("I2: %s had head %d.%d of %s and holds %d.%d %s now", m.name, last.Epoch, last.N, o, place.Epoch, place.N, head.Hash)
}

// compare tells how what a view shows differs from a signed head's set; "" when
// it is just that. Everything is counted and hashed anew.
func (w *world) compare(view feed.StoreView, ref *refHead) string {
	held := map[feed.Key]content{}
	var lists [feed.Buckets][]feed.Change
	var size uint64
	var wrong string
	err := view.Since(0, true, func(c feed.Change, raw []byte) bool {
		r, err := feed.ParseRecord(raw)
		if err != nil || feed.HashRecord(raw) != c.Hash || r.Key != c.Key {
			wrong = fmt.Sprintf("record %s is not the one that its entry names: %v", c.Key, err)
			return false
		}
		if _, twice := held[c.Key]; twice {
			wrong = fmt.Sprintf("record %s is listed twice", c.Key)
			return false
		}
		held[c.Key] = content{r.Type, string(r.Body)}
		lists[c.Key.Bucket()] = append(lists[c.Key.Bucket()], c)
		size += uint64(c.Size)
		return true
	})
	if err != nil {
		return fmt.Sprintf("its records cannot be listed: %v", err)
	}
	if wrong != "" {
		return wrong
	}
	if d := ref.differs(held); d != "" {
		return d
	}
	head := view.Head()
	leaves := *feed.EmptyLeaves()
	for q, list := range lists {
		if len(list) > 0 {
			slices.SortFunc(list, func(a, b feed.Change) int { return bytes.Compare(a.Key[:], b.Key[:]) })
			leaves[q] = feed.BucketHash(q, list)
		}
	}
	switch kept, err := view.Leaves(); {
	case err != nil:
		return fmt.Sprintf("its leaves cannot be read: %v", err)
	case *kept != leaves:
		return "the leaves that are kept are not those of the records"
	case leaves.Root() != head.Root || uint64(len(held)) != head.Count || size != head.Bytes:
		return fmt.Sprintf("%d records and %d bytes, root %s; the head says %d, %d, %s", len(held), size, leaves.Root(), head.Count, head.Bytes, head.Root)
	}
	return ""
}

// checkErased checks that what was erased cannot be had back from what a store
// keeps for undoing (I5). That nothing deleted comes back by itself is part of I1.
func (w *world) checkErased(m *machine, view feed.StoreView, o identity.OriginID) {
	envelopes, err := view.Heads(0, 1000)
	if err != nil {
		w.fail("I8: %s cannot list the heads of %s: %v", m.name, o, err)
		return
	}
	gone := map[identity.Hash]bool{}
	w.mu.Lock()
	for at := w.ref.heads[view.Head().Hash]; at != nil; at = w.ref.heads[at.prev] {
		for _, h := range at.erased {
			gone[h] = true
		}
	}
	w.mu.Unlock()
	if len(gone) == 0 {
		return
	}
	for _, env := range envelopes {
		to, err := feed.ParseHead(env)
		if err != nil {
			w.fail("I1: %s keeps a head of %s that cannot be read: %v", m.name, o, err)
			return
		}
		delta, err := m.disk.Undo(o, to)
		if err != nil {
			continue // not kept any more
		}
		for c, err := range delta.Changes {
			if err == nil && c.Live() && gone[c.Hash] {
				w.fail("I5: %s can bring back record %s of %s by undoing to head %d, although it was erased", m.name, c.Key, o, to.N)
				return
			}
		}
	}
}
