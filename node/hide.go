package node

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/store"
)

// hides are the listings that this node's operator does not show. What is
// stored stays as it was signed.
type hides struct {
	drawer *store.Drawer
	now    atomic.Pointer[map[place]hide]

	mu sync.Mutex // one writer
}

// place is a record of a feed.
type place struct {
	origin identity.OriginID
	key    feed.Key
}

// hide is why one is not shown.
type hide struct {
	Since  feed.Day `cbor:"1,keyasint"`
	Reason string   `cbor:"2,keyasint"`
	Text   string   `cbor:"3,keyasint,omitempty"`
}

func openHides(d *store.Drawer) (*hides, error) {
	all := make(map[place]hide)
	err := d.Each(func(k, v []byte) error {
		var h hide
		if len(k) != 32 {
			return fmt.Errorf("%w: a key of %d bytes", store.ErrDamaged, len(k))
		}
		if err := identity.Unmarshal(v, &h); err != nil {
			return fmt.Errorf("%w: %v", store.ErrDamaged, err)
		}
		all[place{identity.OriginID(k[:16]), feed.Key(k[16:])}] = h
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what is hidden here: %w", err)
	}
	h := &hides{drawer: d}
	h.now.Store(&all)
	return h, nil
}

// set hides a listing, or shows it again when h is nil.
func (hs *hides) set(p place, h *hide) error {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	next := maps.Clone(*hs.now.Load())
	k := append(p.origin[:], p.key[:]...)
	var err error
	if h == nil {
		delete(next, p)
		err = hs.drawer.Delete(k)
	} else {
		next[p] = *h
		var b []byte
		if b, err = identity.Marshal(h); err == nil {
			err = hs.drawer.Put(k, b)
		}
	}
	if err != nil {
		return fmt.Errorf("keep what is hidden here: %w", err)
	}
	hs.now.Store(&next)
	return nil
}

func (hs *hides) get(p place) (hide, bool) {
	h, ok := (*hs.now.Load())[p]
	return h, ok
}

// hidden tells the catalog whether a listing is shown: not what enough countries
// have taken down, and not what this node's operator hides.
func (n *Node) hidden(o identity.OriginID, key feed.Key) (listing.Hiding, bool) {
	if h, ok := n.hides.get(place{o, key}); ok {
		return listing.Hiding{Local: true, By: []string{n.o.Config.Country}, Since: h.Since.Time(), Reason: h.Reason, Text: h.Text, Contact: n.o.Config.OperatorContact}, true
	}
	r, signers, ok := n.docket.View().Hidden(o, key)
	if !ok {
		return listing.Hiding{}, false
	}
	out := listing.Hiding{By: n.codes(signers), Since: r.Issued.Time().Truncate(24 * time.Hour), Reason: r.Reason, Text: r.Text}
	if r.Until != 0 {
		out.Until = r.Until.Time()
	}
	return out, true
}

// codes are the countries of origins.
func (n *Node) codes(origins []identity.OriginID) []string {
	out := make([]string, 0, len(origins))
	for _, o := range origins {
		out = append(out, n.country(o))
	}
	return out
}

// caretaker reports whether a member may speak for another that is dark.
func (n *Node) caretaker(target, author identity.OriginID) bool {
	for _, o := range n.docket.View().Caretakers(target) {
		if o == author {
			return true
		}
	}
	return false
}

// standingLife is how long a standing is taken from memory: it is asked for every
// listing of every answer.
const standingLife = time.Second

type knownStanding struct {
	at time.Time
	listing.Standing
}

// standing is how far a member's feed can be relied on.
func (n *Node) standing(o identity.OriginID) listing.Standing {
	if k, ok := n.standings.Load(o); ok && time.Since(k.(knownStanding).at) < standingLife {
		return k.(knownStanding).Standing
	}
	out := n.standingNow(o)
	n.standings.Store(o, knownStanding{time.Now(), out})
	return out
}

func (n *Node) standingNow(o identity.OriginID) listing.Standing {
	s := n.state()
	if s == nil {
		return listing.Standing{}
	}
	m, ok := s.MemberByOrigin(o)
	if !ok {
		return listing.Standing{}
	}
	out := listing.Standing{State: n.memberState(m)}
	if h, ok := n.docket.View().Suspension(o); ok {
		out.Since = h.Ruling.Issued.Time()
	}
	if m.Left != 0 {
		out.Since = timeOf(m.Left)
	}
	// A feed that went back to an earlier head, and whose country has not
	// published since.
	if good, ok := n.feedKeys().Good(o); ok {
		if view, err := n.store.View(o); err == nil {
			h := view.Head()
			out.RolledBack = h != nil && h.Place() == good
			view.Close()
		}
	}
	return out
}

// origin is this node's own.
func (n *Node) origin() (identity.OriginID, bool) {
	m, ok := n.self()
	return m.Origin, ok
}
