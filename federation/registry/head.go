package registry

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// HeadVersion is the version of the heads that this program makes and reads.
const HeadVersion = 1

// Limits of a head of the registry.
const (
	MaxHead   = 32 << 10         // bytes of an encoded head's envelope
	MaxVoters = 7                // voters that a head may name
	MaxFeeds  = 256              // feeds that a head may name
	HeadLife  = 72 * time.Hour   // how long a head vouches for the registry
	HeadAhead = 10 * time.Minute // how far ahead of the clock a head may be issued
)

// Errors of heads of the registry. Each names why a head was not taken; besides
// them there are ErrMalformed, ErrForeign, ErrUnauthorised and ErrUnknownKind.
var (
	// ErrHeadOld: a head like it, or a newer one, is held already.
	ErrHeadOld = errors.New("not newer than the head of the registry that is held")
	// ErrHeadGap: the heads by which the voters changed in between come first.
	ErrHeadGap = errors.New("the voters have changed more than once since the head of the registry that is held")
	// ErrHeadFork: a majority of the voters has signed two registries.
	ErrHeadFork = errors.New("contradicts the head of the registry that is held")
	// ErrHeadAnchor: it names another head of a feed than is on record for that
	// number.
	ErrHeadAnchor = errors.New("the head of the registry contradicts what is on record of a feed")
	// ErrHeadFuture: issued too far ahead of the clock; it may be good later.
	ErrHeadFuture = errors.New("a head of the registry that is dated in the future")
	// ErrHeadVoters: who it names as voters may not vote.
	ErrHeadVoters = errors.New("the head of the registry names voters that may not vote")
)

// Anchor is the place that a feed has reached, on record in a head of the
// registry.
type Anchor struct {
	Origin identity.OriginID `cbor:"1,keyasint"`
	Place  feed.Place        `cbor:"2,keyasint"`
}

// Head is what the voters say the registry is. Signed by a majority of them, it
// is what everybody else goes by: entries count up to the newest head's, in the
// order that its hash proves.
type Head struct {
	Version    uint64                `cbor:"1,keyasint"`
	Federation identity.FederationID `cbor:"2,keyasint"`
	// Generation is 1, and rises when the members found the quorum anew: see
	// [Recovery].
	Generation uint64 `cbor:"3,keyasint"`
	// Rotation counts the sets of voters, from 1.
	Rotation uint64        `cbor:"4,keyasint"`
	Seq      uint64        `cbor:"5,keyasint"` // the registry's last entry
	Hash     identity.Hash `cbor:"6,keyasint"` // the registry's hash after it
	// Voters are the keys of the nodes that sign for the registry, ascending.
	Voters []identity.PublicKey `cbor:"7,keyasint"`
	// Feeds are the newest heads of the members' feeds that the voters know,
	// by ascending origin.
	Feeds   []Anchor `cbor:"8,keyasint"`
	Issued  int64    `cbor:"9,keyasint"`  // Unix seconds
	Expires int64    `cbor:"10,keyasint"` // Unix seconds
	// Under is the hash of the recovery that began the generation; nil in the
	// first.
	Under *identity.Hash `cbor:"11,keyasint,omitempty"`
	// Recovery is that recovery, in the first head of its generation.
	Recovery []byte `cbor:"12,keyasint,omitempty"`
}

// SignedHead is a head with the envelope that it came in.
type SignedHead struct {
	Head
	Envelope []byte
	before   *SignedHead // of a generation's first head: the newest one before
}

// Confirmed is when the voters stood by the head.
func (h *SignedHead) Confirmed() time.Time { return time.Unix(h.Issued, 0).UTC() }

// Expired reports whether the head no longer vouches for the registry. What it
// confirmed stays good; what came after it is not known.
func (h *SignedHead) Expired(now time.Time) bool { return now.Unix() > h.Expires }

// VoterIDs are the nodes of the voters, in the order of their keys.
func (h *Head) VoterIDs() []identity.NodeID {
	out := make([]identity.NodeID, len(h.Voters))
	for i, k := range h.Voters {
		out[i] = k.NodeID()
	}
	return out
}

// Feed finds the place of an origin's feed.
func (h *Head) Feed(o identity.OriginID) (feed.Place, bool) {
	i, ok := slices.BinarySearchFunc(h.Feeds, o, func(a Anchor, o identity.OriginID) int { return bytes.Compare(a.Origin[:], o[:]) })
	if !ok {
		return feed.Place{}, false
	}
	return h.Feeds[i].Place, true
}

// newer reports whether h comes after other: by entry, then by time, then by
// voters.
func (h *Head) newer(other *Head) bool {
	switch {
	case h.Seq != other.Seq:
		return h.Seq > other.Seq
	case h.Issued != other.Issued:
		return h.Issued > other.Issued
	}
	return h.Rotation > other.Rotation
}

// Encode is the head's body, which is what the voters sign.
func (h Head) Encode() []byte {
	b, err := identity.Marshal(h)
	if err != nil { // the type holds nothing that cannot be encoded
		panic(err)
	}
	return b
}

// Envelope joins the signatures that voters gave on the head's body.
func (h Head) Envelope(signatures []identity.Signature) []byte {
	return (&identity.Envelope{Body: h.Encode(), Signatures: signatures}).Encode()
}

// SortVoters puts the keys into the order that a head has them in, each once.
func SortVoters(keys []identity.PublicKey) []identity.PublicKey {
	out := slices.Clone(keys)
	slices.SortFunc(out, func(a, b identity.PublicKey) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(out)
}

// SortAnchors puts anchors into the order that a head has them in. Of several
// of one origin the furthest stays, and of too many those of the lowest origins.
func SortAnchors(anchors []Anchor) []Anchor {
	out := slices.Clone(anchors)
	slices.SortStableFunc(out, func(a, b Anchor) int {
		switch c := bytes.Compare(a.Origin[:], b.Origin[:]); {
		case c != 0:
			return c
		case b.Place.Before(a.Place):
			return -1
		case a.Place.Before(b.Place):
			return 1
		}
		return 0
	})
	out = slices.CompactFunc(out, func(a, b Anchor) bool { return a.Origin == b.Origin })
	return out[:min(len(out), MaxFeeds)]
}

// ParseHead reads a head's envelope. It checks form and limits, not signatures:
// that is for [HeadChain.Add].
func ParseHead(envelope []byte) (*SignedHead, error) {
	h, _, err := parseHead(envelope)
	return h, err
}

func parseHead(envelope []byte) (*SignedHead, *identity.Envelope, error) {
	if len(envelope) > MaxHead {
		return nil, nil, fmt.Errorf("%w: a head of the registry of %d bytes, at most %d are allowed", ErrMalformed, len(envelope), MaxHead)
	}
	e, err := identity.ParseEnvelope(envelope)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: head of the registry: %v", ErrMalformed, err)
	}
	h, err := ParseHeadBody(e.Body)
	if err != nil {
		return nil, nil, err
	}
	return &SignedHead{Head: h, Envelope: slices.Clone(envelope)}, e, nil
}

// ParseHeadBody reads the body of a head, as voters get it to sign. It checks
// form and limits.
func ParseHeadBody(body []byte) (Head, error) {
	var h Head
	if len(body) > MaxHead {
		return h, fmt.Errorf("%w: a head of the registry of %d bytes, at most %d are allowed", ErrMalformed, len(body), MaxHead)
	}
	if err := identity.Unmarshal(body, &h); err != nil {
		return h, fmt.Errorf("%w: head of the registry: %v", ErrMalformed, err)
	}
	if h.Version > HeadVersion {
		return h, fmt.Errorf("%w: a head of the registry of version %d, this program knows %d", ErrUnknownKind, h.Version, HeadVersion)
	}
	if err := h.check(); err != nil {
		return h, err
	}
	return h, h.checkGeneration()
}

// check checks what a head must be by itself.
func (h *Head) check() error {
	ascending := func(n int, less func(i int) bool) bool {
		for i := 1; i < n; i++ {
			if !less(i) {
				return false
			}
		}
		return true
	}
	switch {
	case h.Version == 0 || h.Generation == 0 || h.Rotation == 0 || h.Seq == 0:
		return fmt.Errorf("%w: a head of the registry without version, generation, rotation or entry", ErrMalformed)
	case len(h.Voters) == 0 || len(h.Voters) > MaxVoters:
		return fmt.Errorf("%w: a head of the registry with %d voters", ErrMalformed, len(h.Voters))
	case len(h.Feeds) > MaxFeeds:
		return fmt.Errorf("%w: a head of the registry with %d feeds", ErrMalformed, len(h.Feeds))
	case h.Issued < 0 || h.Expires <= h.Issued || h.Expires-h.Issued > int64(HeadLife/time.Second):
		return fmt.Errorf("%w: a head of the registry is good for at most %v", ErrMalformed, HeadLife)
	case !ascending(len(h.Voters), func(i int) bool { return bytes.Compare(h.Voters[i-1][:], h.Voters[i][:]) < 0 }):
		return fmt.Errorf("%w: a head of the registry with voters out of order", ErrMalformed)
	case !ascending(len(h.Feeds), func(i int) bool { return bytes.Compare(h.Feeds[i-1].Origin[:], h.Feeds[i].Origin[:]) < 0 }):
		return fmt.Errorf("%w: a head of the registry with feeds out of order", ErrMalformed)
	case slices.ContainsFunc(h.Feeds, func(a Anchor) bool { return a.Place.Epoch == 0 || a.Place.N == 0 }):
		return fmt.Errorf("%w: a head of the registry with a feed at no place", ErrMalformed)
	}
	return nil
}

// Majority is how many of a number of voters must sign.
func Majority(voters int) int { return voters/2 + 1 }

// CheckVoters reports why the nodes with these keys may not sign for the
// registry, as it is after s, or nil: each is a node of an active member, and no
// two are of one country. Who comes in must have offered to; an offer that is
// taken back later counts until others have come in. It wraps ErrHeadVoters.
func CheckVoters(s *State, voters []identity.PublicKey, comeIn bool) error {
	countries := map[string]bool{}
	for _, key := range voters {
		n, m, ok := s.Node(key.NodeID())
		switch {
		case !ok || n.Key != key:
			return fmt.Errorf("%w: %s is no node of an active member", ErrHeadVoters, key.NodeID())
		case comeIn && !n.VoterOptIn:
			return fmt.Errorf("%w: node %s of %s has not offered to", ErrHeadVoters, n.ID, m.Country)
		case countries[m.Country]:
			return fmt.Errorf("%w: two nodes of %s", ErrHeadVoters, m.Country)
		}
		countries[m.Country] = true
	}
	return nil
}

// Roots are the keys of the founder's nodes as the genesis names them: one of
// them is the first voter. The caller must not modify them.
func (s *State) Roots() []identity.PublicKey { return s.roots }

// HashAfter is the registry's hash after an entry, given the hash before it
// (zero before the first).
func HashAfter(before identity.Hash, entry []byte) identity.Hash { return chain(before, entry) }

// HeadChain is what is known of the heads of one registry: the head by which
// each set of voters came in, and the newest head. It is a value that never
// changes; its zero value knows nothing.
type HeadChain struct {
	rotations []*SignedHead // the one at i has rotation i+1
	newest    *SignedHead
}

// Newest is the newest head; nil when none is known.
func (c HeadChain) Newest() *SignedHead { return c.newest }

// Rotations are the heads by which the voters changed, the founder's first one
// to begin with, and before the first of a generation the head that it goes on
// from: whoever knows the genesis can add them one by one. The caller must not
// modify them.
func (c HeadChain) Rotations() []*SignedHead {
	if !slices.ContainsFunc(c.rotations, func(h *SignedHead) bool { return h.before != nil }) {
		return c.rotations
	}
	var out []*SignedHead
	for i, h := range c.rotations {
		if b := h.before; b != nil && b.Seq == h.Seq && (i == 0 || b != c.rotations[i-1]) {
			out = append(out, b)
		}
		out = append(out, h)
	}
	return out
}

// Rotation is the number of the present set of voters; 0 when none is known.
func (c HeadChain) Rotation() uint64 { return uint64(len(c.rotations)) }

// Voters are the keys of the present voters. The caller must not modify them.
func (c HeadChain) Voters() []identity.PublicKey {
	if len(c.rotations) == 0 {
		return nil
	}
	return c.rotations[len(c.rotations)-1].Voters
}

// Add verifies a head and returns the chain with it. The state is the registry
// as far as it is known, from the genesis on; where it is exactly the one that
// the head is about, the voters are checked against it as well. Whether the
// head's hash is that of the entries is for the caller to compare, who has them.
//
// The first head of a generation is taken only where the state is exactly the
// one that it goes on from; see [HeadChain.AddPast].
//
// Errors: ErrMalformed, ErrForeign, ErrUnauthorised, ErrUnknownKind, ErrHeadOld,
// ErrHeadGap, ErrHeadFork, ErrHeadAnchor, ErrHeadFuture, ErrHeadVoters.
func (c HeadChain) Add(envelope []byte, s *State, now time.Time) (HeadChain, *SignedHead, error) {
	return c.AddPast(envelope, s, nil, now)
}

// AddPast is Add for who can look up the registry as it was after each entry up
// to that of the state.
func (c HeadChain) AddPast(envelope []byte, s *State, past func(seq uint64) (*State, error), now time.Time) (HeadChain, *SignedHead, error) {
	h, e, err := parseHead(envelope)
	if err != nil {
		return c, nil, err
	}
	switch {
	case h.Federation != s.Federation():
		return c, nil, fmt.Errorf("%w: %s, this is %s", ErrForeign, h.Federation, s.Federation())
	case h.Issued > now.Add(HeadAhead).Unix():
		return c, nil, fmt.Errorf("%w: by %v", ErrHeadFuture, h.Confirmed().Sub(now).Round(time.Second))
	case h.Branch() != c.Branch():
		return c.recover(h, e, s, past)
	case h.Rotation < c.Rotation():
		return c, nil, fmt.Errorf("%w: by the voters of rotation %d, there has been rotation %d", ErrHeadOld, h.Rotation, c.Rotation())
	case h.Rotation > c.Rotation()+1:
		return c, nil, fmt.Errorf("%w: rotation %d, held is %d", ErrHeadGap, h.Rotation, c.Rotation())
	}
	fresh := h.Rotation == c.Rotation()+1
	if !fresh && !h.newer(&c.newest.Head) && h.Seq != c.newest.Seq {
		return c, nil, ErrHeadOld
	}
	if err := c.signed(h, e, s); err != nil {
		return c, nil, err
	}
	if c.newest != nil {
		if err := h.follows(&c.newest.Head); err != nil {
			return c, nil, err
		}
		if !fresh && !h.newer(&c.newest.Head) {
			return c, nil, ErrHeadOld
		}
	}
	if s.Seq() == h.Seq {
		if err := CheckVoters(s, h.Voters, fresh); err != nil {
			return c, nil, err
		}
	}
	if fresh {
		c.rotations = append(c.rotations[:len(c.rotations):len(c.rotations)], h)
	}
	if c.newest == nil || h.newer(&c.newest.Head) {
		c.newest = h
	}
	return c, h, nil
}

// signed checks that a majority of the voters has signed: of those that the head
// names, and of those before them where they change. The first voter of all is
// one node of the founder, as the genesis names it.
func (c HeadChain) signed(h *SignedHead, e *identity.Envelope, s *State) error {
	before := c.Voters()
	switch {
	case h.Rotation == c.Rotation():
		if !slices.Equal(h.Voters, before) {
			return fmt.Errorf("%w: rotation %d has other voters", ErrUnauthorised, h.Rotation)
		}
	case c.Rotation() == 0:
		if len(h.Voters) != 1 || !slices.Contains(s.roots, h.Voters[0]) {
			return fmt.Errorf("%w: the first voter is one node of the founder, as the genesis names it", ErrUnauthorised)
		}
		before = h.Voters
	case slices.Equal(h.Voters, before):
		return fmt.Errorf("%w: a rotation that changes nothing", ErrHeadVoters)
	}
	keys := make(map[identity.KeyID]identity.PublicKey, len(before)+len(h.Voters))
	for _, k := range slices.Concat(before, h.Voters) {
		keys[k.ID()] = k
	}
	ids, err := e.Verify(identity.TypeRegistryHead, h.Federation, func(id identity.KeyID) (identity.PublicKey, bool) {
		k, ok := keys[id]
		return k, ok
	})
	if err != nil {
		return fmt.Errorf("%w: head of the registry: %w", ErrUnauthorised, err)
	}
	for _, voters := range [][]identity.PublicKey{h.Voters, before} {
		n := 0
		for _, id := range ids {
			if slices.Contains(voters, keys[id]) {
				n++
			}
		}
		if n < Majority(len(voters)) {
			return fmt.Errorf("%w: %d of %d voters have signed the head of the registry, a majority is needed", ErrUnauthorised, n, len(voters))
		}
	}
	return nil
}

// follows checks that a head does not contradict the newest one before it, and
// takes no feed back.
func (h *SignedHead) follows(newest *Head) error {
	if h.Seq == newest.Seq && h.Hash != newest.Hash {
		return fmt.Errorf("%w: entry %d has two hashes", ErrHeadFork, h.Seq)
	}
	back := h.newer(newest)
	for _, a := range h.Feeds {
		p, ok := newest.Feed(a.Origin)
		switch {
		case !ok:
		case p.Epoch == a.Place.Epoch && p.N == a.Place.N && p.Hash != a.Place.Hash:
			return fmt.Errorf("%w: head %d of %s has two hashes", ErrHeadAnchor, p.N, a.Origin)
		case back && a.Place.Before(p):
			return fmt.Errorf("%w: it takes the feed of %s back", ErrHeadOld, a.Origin)
		}
	}
	return nil
}

// roots are the keys of a founder's nodes.
func (c *Candidate) roots() []identity.PublicKey {
	out := make([]identity.PublicKey, len(c.Nodes))
	for i, n := range c.Nodes {
		out[i] = n.Key
	}
	return out
}
