package registry

import (
	"slices"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// HeadKey finds the key by which a member's feed may be signed at a place; it
// answers false for every other key and epoch. It answers for members that are
// not active too: what they signed can still be evidence. Whether a feed is
// taken in at all is told by [State.Epoch].
func (s *State) HeadKey(origin identity.OriginID, epoch, n uint64, id identity.KeyID) (identity.PublicKey, bool) {
	i := s.origin(origin)
	if i < 0 || epoch == 0 || epoch > s.members[i].Epoch {
		return identity.PublicKey{}, false
	}
	for _, k := range s.members[i].Keys {
		if k.Role == identity.RolePublish && k.covers(Mark{epoch, n}) && k.Public.ID() == id {
			return k.Public, true
		}
	}
	return identity.PublicKey{}, false
}

// AdminKey finds an admin key of a member, as a second look at large changes
// needs it: one that is in use, or one that was retired, as heads that it signed
// are still passed on; never one that was revoked.
func (s *State) AdminKey(origin identity.OriginID, id identity.KeyID) (identity.PublicKey, bool) {
	i := s.origin(origin)
	if i < 0 {
		return identity.PublicKey{}, false
	}
	for _, k := range s.members[i].Keys {
		if k.Role == identity.RoleAdmin && !k.Revoked && k.Public.ID() == id {
			return k.Public, true
		}
	}
	return identity.PublicKey{}, false
}

// Epoch is the epoch in which an active member's feed is signed; false for any
// other origin.
func (s *State) Epoch(origin identity.OriginID) (uint64, bool) {
	i := s.origin(origin)
	if i < 0 || !s.members[i].Active() {
		return 0, false
	}
	return s.members[i].Epoch, true
}

// Forked is the lowest number of the origin's present epoch that is on record
// as signed twice; false when none is.
func (s *State) Forked(origin identity.OriginID) (n uint64, ok bool) {
	m := s.origin(origin)
	if m < 0 {
		return 0, false
	}
	i := slices.IndexFunc(s.forks, func(f Fork) bool { return f.Origin == origin && f.Epoch == s.members[m].Epoch })
	if i < 0 {
		return 0, false
	}
	return s.forks[i].N, true
}

// Good is the head of the epoch before to which the origin's feed went back when
// its present epoch began; false when it did not go back.
func (s *State) Good(origin identity.OriginID) (feed.Place, bool) {
	i := s.origin(origin)
	if i < 0 || s.members[i].Good == (feed.Place{}) {
		return feed.Place{}, false
	}
	return s.members[i].Good, true
}
