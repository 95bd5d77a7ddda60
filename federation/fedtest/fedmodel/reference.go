package fedmodel

import (
	"fmt"
	"maps"
	"slices"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// reference is the model itself: every head that was ever signed, with the set
// of records that it stands for, kept as plainly as can be. It learns of a head
// when it is written to its signer's disk, before anybody else can see it.
type reference struct {
	heads map[identity.Hash]*refHead
	at    map[refPlace][]*refHead // which heads were signed for a number: one, unless something went wrong
	// hashes are those of all records that a key ever had: what has to be
	// nowhere once the key is erased.
	hashes map[feed.Key][]identity.Hash
}

type refPlace struct {
	origin   identity.OriginID
	epoch, n uint64
}

// refHead is one signed head.
type refHead struct {
	refPlace
	hash, prev identity.Hash
	set        map[feed.Key]content
	erased     []identity.Hash // records that are to be nowhere from this head on
	lawless    bool            // signed by who stole the key
	signer     string          // the machine
	seen       bool            // somebody else may have seen it
	step       int             // the number of the plan's step during which it was signed
}

func (h *refHead) String() string {
	return fmt.Sprintf("head %d.%d %s of %s (%d records, signed by %s in step %d)", h.epoch, h.n, h.hash.String()[:8], h.origin.String()[:6], len(h.set), h.signer, h.step)
}

// content is what a record says.
type content struct{ kind, body string }

func newReference() *reference {
	return &reference{heads: map[identity.Hash]*refHead{}, at: map[refPlace][]*refHead{}, hashes: map[feed.Key][]identity.Hash{}}
}

// after is the set of records that edits make of that of the head prev.
func (r *reference) after(prev identity.Hash, edits []feed.Edit) map[feed.Key]content {
	set := map[feed.Key]content{}
	if h := r.heads[prev]; h != nil {
		maps.Copy(set, h.set)
	}
	for _, e := range edits {
		if e.Op == feed.Delete || e.Op == feed.Erase {
			delete(set, e.Key)
		} else {
			set[e.Key] = content{e.Type, string(e.Body)}
		}
	}
	return set
}

// sign takes in a head that a machine has just signed.
func (r *reference) sign(h *feed.SignedHead, set map[feed.Key]content, signer string, step int) *refHead {
	at := refPlace{h.Origin, h.Epoch, h.N}
	head := &refHead{refPlace: at, hash: h.Hash, prev: h.Prev, set: set, signer: signer, step: step}
	r.heads[h.Hash] = head
	r.at[at] = append(r.at[at], head)
	return head
}

// unsign takes a head back whose commit failed: it never was anywhere.
func (r *reference) unsign(h *refHead) {
	delete(r.heads, h.hash)
	r.at[h.refPlace] = slices.DeleteFunc(r.at[h.refPlace], func(x *refHead) bool { return x == h })
}

// parted reports whether heads of an origin's epoch that somebody may have seen
// do not lie on one chain: one number signed twice, or, where there was a copy
// when the epoch began, two beginnings with different numbers.
func (r *reference) parted(o identity.OriginID, epoch uint64) bool {
	var newest *refHead
	seen := 0
	for at, heads := range r.at {
		for _, h := range heads {
			if at.origin == o && at.epoch == epoch && h.seen {
				seen++
				if newest == nil || h.n > newest.n {
					newest = h
				}
			}
		}
	}
	for h := newest; h != nil && h.epoch == epoch; h = r.heads[h.prev] {
		if h.seen {
			seen--
		}
	}
	return seen != 0
}

// differs tells how a set that is held differs from a head's; "" when it does not.
func (h *refHead) differs(held map[feed.Key]content) string {
	for k, c := range h.set {
		got, ok := held[k]
		if !ok {
			return fmt.Sprintf("record %s is missing", k)
		}
		if got != c {
			return fmt.Sprintf("record %s reads %.40q, want %.40q", k, got.body, c.body)
		}
	}
	for k := range held {
		if _, ok := h.set[k]; !ok {
			return fmt.Sprintf("record %s is there and should not be", k)
		}
	}
	return ""
}
