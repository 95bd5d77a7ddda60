package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/listing"
)

// maxRemarks is how many overlays one member may have about one listing: some
// kinds in some languages. What is over it is kept and counted, not shown, so
// that nobody can make a listing slow to read.
const maxRemarks = 24

// spot is a record's place: a key in a feed.
type spot struct {
	origin identity.OriginID
	key    feed.Key
}

// side is what the catalog must remember beside store and index: which listings
// others have written about, and which it keeps out of the index because they
// are hidden. It is filled again with the index.
type side struct {
	mu      sync.RWMutex
	remarks map[spot]map[spot]remark // by listing, then by overlay
	about   map[spot]spot            // listing of an overlay
	hidden  map[spot]bool
	aliases map[uuid.UUID]spot // listings that are shown under another id than their key

	companions map[spot][]feed.Key        // listings that are shown with others or not at all: those others' ids
	named      map[feed.Key]map[spot]bool // the same by the others' ids
	turned     []spot                     // listings with a companion that was hidden, or is no longer, since the last drain
}

// remark is an overlay without its texts: those stay on disk until they are
// asked for.
type remark struct {
	kind listing.OverlayKind
	ends time.Time // zero: never
	over bool      // the index knows that it has ended
}

func newSide() *side {
	return &side{remarks: map[spot]map[spot]remark{}, about: map[spot]spot{}, hidden: map[spot]bool{}, aliases: map[uuid.UUID]spot{},
		companions: map[spot][]feed.Key{}, named: map[feed.Key]map[spot]bool{}}
}

// put takes the state of a record at a spot, nil for one that is gone, and
// returns the listings about which an alert or a status came or went.
func (s *side) put(at spot, record *feed.Record) (changed []spot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if target, ok := s.about[at]; ok {
		if s.remarks[target][at].urgent() {
			changed = append(changed, target)
		}
		delete(s.about, at)
		if delete(s.remarks[target], at); len(s.remarks[target]) == 0 {
			delete(s.remarks, target)
		}
	}
	if record == nil || record.Type != TypeOverlay {
		return changed
	}
	o, err := listing.ParseOverlay(record.Body)
	if err != nil || feed.Key(o.Key(at.origin)) != at.key {
		return changed // of another version, or not where it belongs: kept, not shown
	}
	key, ok1 := o.TargetKey()
	origin, ok2 := o.TargetFeed()
	target := spot{origin, key}
	if !ok1 || !ok2 || target.origin == at.origin { // an own listing is edited, not written about
		return changed
	}
	by := 0
	for other := range s.remarks[target] {
		if other.origin == at.origin {
			by++
		}
	}
	if by >= maxRemarks {
		return changed
	}
	r := remark{kind: o.Kind}
	r.ends, _ = o.Ends()
	if s.remarks[target] == nil {
		s.remarks[target] = map[spot]remark{}
	}
	s.remarks[target][at], s.about[at] = r, target
	if r.urgent() {
		changed = append(changed, target)
	}
	return changed
}

// of are the overlays about a listing.
func (s *side) of(target spot) map[spot]remark {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.remarks[target])
}

// target is the listing that an overlay is about.
func (s *side) target(overlay spot) (spot, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	target, ok := s.about[overlay]
	return target, ok
}

// setHidden remembers whether a listing, shown under an id, is kept out of the index.
func (s *side) setHidden(id feed.Key, at spot, hidden bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hidden[at] != hidden {
		for by := range s.named[id] {
			s.turned = append(s.turned, by)
		}
	}
	if hidden {
		s.hidden[at] = true
	} else {
		delete(s.hidden, at)
	}
}

// setAlias remembers a listing whose key is not the id under which it is shown.
func (s *side) setAlias(id uuid.UUID, at spot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aliases[id] = at
}

// listed are the spots of hidden listings: all, or those of one feed.
func (s *side) listed(of func(identity.OriginID) bool) []spot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []spot
	for at := range s.hidden {
		if of(at.origin) {
			out = append(out, at)
		}
	}
	return out
}

// ended are the listings about which an alert or a status has ended since the
// last call.
func (s *side) ended(now time.Time) (out []spot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for target, remarks := range s.remarks {
		for at, r := range remarks {
			if !r.over && r.urgent() && !now.Before(r.ends) {
				r.over = true
				remarks[at] = r
				out = append(out, target)
			}
		}
	}
	return out
}

// urgent reports whether the remark bears on whether a service is open.
func (r remark) urgent() bool {
	return r.kind == listing.OverlayAlert || r.kind == listing.OverlayStatus
}

// speaks reports whether a member may say something of a kind about the
// listings of another.
func (c *Catalog) speaks(target, author identity.OriginID, kind listing.OverlayKind) bool {
	if c.o.Country(author) == "" || slices.Contains(silent, c.o.Standing(author).State) {
		return false
	}
	if kind == listing.OverlayAlert || kind == listing.OverlayStatus {
		return c.o.Caretaker(target, author)
	}
	return kind == listing.OverlayNote
}

// counts reports whether an overlay about a listing counts now: an overlay can be
// hidden like any record.
func (c *Catalog) counts(target, overlay spot, r remark) bool {
	if !r.ends.IsZero() && !c.o.Now().Before(r.ends) || !c.speaks(target.origin, overlay.origin, r.kind) {
		return false
	}
	_, hidden := c.o.Hidden(overlay.origin, overlay.key)
	return !hidden
}

// note takes a record of a feed into the side, and returns which listings must be
// indexed again for it.
func (c *Catalog) note(s *side, at spot, record *feed.Record) []spot {
	return slices.DeleteFunc(s.put(at, record), func(target spot) bool {
		return !c.speaks(target.origin, at.origin, listing.OverlayAlert)
	})
}

// inDoubt reports whether a caretaker says something now that makes the opening
// hours of a listing doubtful.
func (c *Catalog) inDoubt(s *side, at spot) bool {
	for by, r := range s.of(at) {
		if r.urgent() && c.counts(at, by, r) {
			return true
		}
	}
	return false
}

// remarks puts what others say now about a listing beside it.
func (c *Catalog) remarks(at spot, revision func() string, p *listing.Published) error {
	overlays := c.side.Load().of(at)
	if len(overlays) == 0 {
		return nil
	}
	now, own := c.o.Now(), revision()
	for by, r := range overlays {
		if !c.counts(at, by, r) {
			continue
		}
		o, err := c.overlay(by)
		if errors.Is(err, feed.ErrNoRecord) {
			continue // gone since
		}
		if err != nil {
			return fmt.Errorf("read what %s says about listing %s: %w", c.o.Country(by.origin), uuid.UUID(at.key), err)
		}
		if !o.Holds(now) {
			continue
		}
		x := listing.Remark{Overlay: o, Country: c.o.Country(by.origin), Outdated: o.SourceRevision != own}
		switch o.Kind {
		case listing.OverlayNote:
			p.Notes = append(p.Notes, x)
		case listing.OverlayAlert:
			p.Alerts = append(p.Alerts, x)
		case listing.OverlayStatus:
			p.Statuses = append(p.Statuses, x)
		}
	}
	for _, list := range []*[]listing.Remark{&p.Notes, &p.Alerts, &p.Statuses} {
		slices.SortFunc(*list, func(a, b listing.Remark) int {
			return cmp.Or(cmp.Compare(a.Country, b.Country), cmp.Compare(a.Language, b.Language))
		})
	}
	return nil
}

// overlay reads one overlay.
func (c *Catalog) overlay(at spot) (listing.Overlay, error) {
	view, err := c.o.Store.View(at.origin)
	if err != nil {
		return listing.Overlay{}, err
	}
	defer view.Close()
	_, raw, err := view.Record(at.key)
	if err != nil {
		return listing.Overlay{}, err
	}
	record, err := feed.ParseRecord(raw)
	if err != nil {
		return listing.Overlay{}, err
	}
	if record.Type != TypeOverlay {
		return listing.Overlay{}, feed.ErrNoRecord
	}
	return listing.ParseOverlay(record.Body)
}
