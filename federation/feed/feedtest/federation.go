// Package feedtest checks that an implementation keeps the contract of
// feed.Store, and makes federations, authors and feeds for tests.
//
// An [Author] computes everything from scratch in the plainest way, so that it
// is a second opinion on packages that do the same by increments.
package feedtest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Now is the moment at which test federations live.
var Now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Key is the key of a name: always the same one.
func Key(role identity.Role, name string) *identity.Key {
	return identity.KeyFromSeed(role, sha256.Sum256([]byte("feedtest/"+string(role)+"/"+name)))
}

// RecordKey is the record key number i.
func RecordKey(i int) feed.Key {
	sum := sha256.Sum256(fmt.Appendf(nil, "feedtest/record/%d", i))
	return feed.Key(sum[:16])
}

// Member is an origin with its keys, as they are now.
type Member struct {
	Name           string
	Origin         identity.OriginID
	Publish, Admin *identity.Key
	Epoch          uint64
	Suspended      bool

	since   feed.Place // the present publish key signs only after this place
	retired []retired
	forked  uint64 // in the present epoch; 0: not
	good    *feed.Place
	anchors []feed.Place // ascending
}

// retired is a publish key that signs nothing past a place.
type retired struct {
	key         *identity.Key
	after, last feed.Place
}

// Federation is a registry that tests write as they like. Its methods may be
// called at any time; the fields of its members may not be written while it is
// in use by others.
type Federation struct {
	ID     identity.FederationID
	Limits feed.Limits // of Rules; tests that publish without end raise PerMinute

	mu      sync.RWMutex
	members map[identity.OriginID]*Member
}

var _ feed.Keys = (*Federation)(nil)

// NewFederation makes a federation with members of these names in epoch 1.
func NewFederation(names ...string) *Federation {
	sum := sha256.Sum256([]byte("feedtest/federation"))
	f := &Federation{ID: identity.FederationID(sum[:16]), members: make(map[identity.OriginID]*Member)}
	for _, name := range names {
		sum := sha256.Sum256([]byte("feedtest/origin/" + name))
		m := &Member{
			Name: name, Origin: identity.OriginID(sum[:16]), Epoch: 1,
			Publish: Key(identity.RolePublish, name), Admin: Key(identity.RoleAdmin, name),
		}
		f.members[m.Origin] = m
	}
	return f
}

// Member is the member of a name, which must be one of those given.
func (f *Federation) Member(name string) *Member {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, m := range f.members {
		if m.Name == name {
			return m
		}
	}
	panic("feedtest: no member " + name)
}

// change lets edit write a member.
func (f *Federation) change(name string, edit func(*Member)) {
	m := f.Member(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	edit(m)
}

// Rotate gives the member a new publish key and returns it: the old one signs
// nothing past head last of the present epoch.
func (f *Federation) Rotate(name string, last uint64) (fresh *identity.Key) {
	f.change(name, func(m *Member) { fresh = m.rotate(feed.Place{Epoch: m.Epoch, N: last}) })
	return fresh
}

func (m *Member) rotate(last feed.Place) *identity.Key {
	m.retired = append(m.retired, retired{m.Publish, m.since, last})
	m.Publish = Key(identity.RolePublish, fmt.Sprintf("%s/%d", m.Name, len(m.retired)+1))
	m.since = last
	return m.Publish
}

// RotateAdmin gives the member a new admin key and returns it. The old one
// counts for nothing from now on.
func (f *Federation) RotateAdmin(name string) (fresh *identity.Key) {
	f.change(name, func(m *Member) {
		m.Admin = Key(identity.RoleAdmin, m.Admin.ID().String())
		fresh = m.Admin
	})
	return fresh
}

// Bump begins the member's next epoch. With good given, its publish key was
// stolen after that head: the key is replaced, and the feed goes back there.
func (f *Federation) Bump(name string, good *feed.Place) {
	f.change(name, func(m *Member) {
		m.Epoch++
		m.forked, m.good = 0, nil
		if good != nil {
			g := *good
			m.good = &g
			m.rotate(g)
		}
	})
}

// Fork puts on record that head n of the member's present epoch was signed
// twice. Zero takes that back.
func (f *Federation) Fork(name string, n uint64) {
	f.change(name, func(m *Member) { m.forked = n })
}

// Suspend lets the member be suspended, or not any more.
func (f *Federation) Suspend(name string, suspended bool) {
	f.change(name, func(m *Member) { m.Suspended = suspended })
}

// SetAnchor puts a place of the member's feed on record. Places must be given in
// their order.
func (f *Federation) SetAnchor(name string, p feed.Place) {
	f.change(name, func(m *Member) { m.anchors = append(slices.Clip(m.anchors), p) })
}

// member reads a member under the lock.
func (f *Federation) member(o identity.OriginID, read func(*Member)) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if m := f.members[o]; m != nil {
		read(m)
	}
}

// HeadKey implements [feed.Keys].
func (f *Federation) HeadKey(o identity.OriginID, epoch, n uint64, id identity.KeyID) (key identity.PublicKey, ok bool) {
	at := feed.Place{Epoch: epoch, N: n}
	f.member(o, func(m *Member) {
		if epoch > m.Epoch {
			return
		}
		if id == m.Publish.ID() && m.since.Before(at) {
			key, ok = m.Publish.Public(), true
		}
		for _, r := range m.retired {
			if id == r.key.ID() && r.after.Before(at) && !r.last.Before(at) {
				key, ok = r.key.Public(), true
			}
		}
	})
	return key, ok
}

// AdminKey implements [feed.Keys].
func (f *Federation) AdminKey(o identity.OriginID, id identity.KeyID) (key identity.PublicKey, ok bool) {
	f.member(o, func(m *Member) {
		if id == m.Admin.ID() {
			key, ok = m.Admin.Public(), true
		}
	})
	return key, ok
}

// Epoch implements [feed.Keys].
func (f *Federation) Epoch(o identity.OriginID) (epoch uint64, ok bool) {
	f.member(o, func(m *Member) {
		if !m.Suspended {
			epoch, ok = m.Epoch, true
		}
	})
	return epoch, ok
}

// Anchor implements [feed.Keys].
func (f *Federation) Anchor(o identity.OriginID, epoch, n uint64) (hash identity.Hash, ok bool) {
	f.member(o, func(m *Member) {
		for _, p := range m.anchors {
			if p.Epoch == epoch && p.N == n {
				hash, ok = p.Hash, true
			}
		}
	})
	return hash, ok
}

// Anchors implements [feed.Keys].
func (f *Federation) Anchors(o identity.OriginID, epoch uint64) (out []uint64) {
	f.member(o, func(m *Member) {
		for _, p := range m.anchors {
			if p.Epoch == epoch {
				out = append(out, p.N)
			}
		}
	})
	return out
}

// Forked implements [feed.Keys].
func (f *Federation) Forked(o identity.OriginID) (n uint64, ok bool) {
	f.member(o, func(m *Member) { n, ok = m.forked, m.forked != 0 })
	return n, ok
}

// Good implements [feed.Keys].
func (f *Federation) Good(o identity.OriginID) (p feed.Place, ok bool) {
	f.member(o, func(m *Member) {
		if m.good != nil {
			p, ok = *m.good, true
		}
	})
	return p, ok
}

// Rules check what belongs to the federation at [Now].
func (f *Federation) Rules() feed.Rules {
	return feed.Rules{Federation: f.ID, Keys: f, Now: Now, Limits: f.Limits}
}
