package registry

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// Limits of recoveries.
const (
	MaxRecovery  = 8 << 10            // bytes of a recovery's envelope
	RecoveryLife = 7 * 24 * time.Hour // within which a recovery begins its generation
)

// ErrRecovery: a recovery that cannot be made as it is.
var ErrRecovery = errors.New("the registry cannot be recovered like this")

// Recovery is what the members sign when a majority of the voters is lost for
// good: from the last entry that the voters stood by, other voters go on. It is
// good with the admin keys of a majority of the active members; of two members
// both must sign.
type Recovery struct {
	Version    uint64                `cbor:"1,keyasint"`
	Federation identity.FederationID `cbor:"2,keyasint"`
	Generation uint64                `cbor:"3,keyasint"` // the one that begins, from 2
	Rotation   uint64                `cbor:"4,keyasint"` // number of the voters that are replaced
	Seq        uint64                `cbor:"5,keyasint"` // the last entry that stays
	Hash       identity.Hash         `cbor:"6,keyasint"` // the registry's hash after it
	// Voters are the keys of the nodes that go on, 1, 3 or 5 of distinct
	// countries. The first begins, and takes in the others.
	Voters []identity.PublicKey `cbor:"7,keyasint"`
	Issued int64                `cbor:"8,keyasint"` // Unix seconds
}

// Branch names one continuation of the registry: the generation and, from the
// second on, the hash of the recovery that began it. It is comparable.
type Branch struct {
	Generation uint64
	Recovery   identity.Hash
}

// Outranks reports whether b counts and not other: the higher generation does,
// of two recoveries of one generation the one with the lower hash.
func (b Branch) Outranks(other Branch) bool {
	if b.Generation != other.Generation {
		return b.Generation > other.Generation
	}
	return bytes.Compare(b.Recovery[:], other.Recovery[:]) < 0
}

// Branch is the continuation of the registry that the head is of.
func (h *Head) Branch() Branch {
	if h.Under == nil {
		return Branch{Generation: h.Generation}
	}
	return Branch{h.Generation, *h.Under}
}

// Branch is the continuation of the registry that the chain is of; the first
// generation when nothing is known.
func (c HeadChain) Branch() Branch {
	if c.newest == nil {
		return Branch{Generation: 1}
	}
	return c.newest.Branch()
}

// Before is, for the first head of a generation, the newest head of the
// generation before that was known; else nil.
func (h *SignedHead) Before() *SignedHead { return h.before }

// HashRecovery names a recovery, whoever signed it: the hash of its body.
func HashRecovery(body []byte) identity.Hash { return identity.Sum(domainRecover, body) }

// NewRecovery is the recovery that goes on from the newest head of a chain with
// other voters, the first of which begins. It checks them against the registry
// as it was then.
func NewRecovery(c HeadChain, at *State, voters []identity.PublicKey, now time.Time) (Recovery, error) {
	h := c.Newest()
	if h == nil {
		return Recovery{}, fmt.Errorf("%w: the voters have never stood by it", ErrRecovery)
	}
	if at.Seq() != h.Seq || at.Hash() != h.Hash {
		return Recovery{}, fmt.Errorf("%w: the registry as it was after entry %d is needed", ErrRecovery, h.Seq)
	}
	r := Recovery{
		Version: HeadVersion, Federation: h.Federation, Generation: h.Generation + 1, Rotation: c.Rotation(),
		Seq: h.Seq, Hash: h.Hash, Voters: slices.Clone(voters), Issued: max(now.Unix(), h.Issued),
	}
	if err := r.check(); err != nil {
		return Recovery{}, err
	}
	return r, CheckVoters(at, r.Voters, true)
}

// SignRecovery is the recovery as an envelope with the signatures of admin keys.
func SignRecovery(r Recovery, keys ...*identity.Key) ([]byte, error) {
	body, err := identity.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("sign a recovery: %w", err)
	}
	b := identity.Sign(identity.TypeRecovery, r.Federation, body, keys...).Encode()
	_, _, err = ParseRecovery(b)
	return b, err
}

// CountersignRecovery adds a signature, unless the key has signed.
func CountersignRecovery(recovery []byte, key *identity.Key) ([]byte, error) {
	r, e, err := ParseRecovery(recovery)
	if err != nil {
		return nil, err
	}
	one := identity.Sign(identity.TypeRecovery, r.Federation, e.Body, key)
	return MergeRecoveries(recovery, one.Encode())
}

// MergeRecoveries is a recovery with the signatures of two envelopes of it,
// ordered by key. It verifies none of them.
func MergeRecoveries(a, b []byte) ([]byte, error) {
	_, ea, err := ParseRecovery(a)
	if err != nil {
		return nil, err
	}
	_, eb, err := ParseRecovery(b)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(ea.Body, eb.Body) {
		return nil, fmt.Errorf("%w: two different recoveries", ErrConflict)
	}
	out := identity.Envelope{Body: ea.Body, Signatures: slices.Concat(ea.Signatures, eb.Signatures)}
	slices.SortStableFunc(out.Signatures, func(x, y identity.Signature) int { return bytes.Compare(x.Key[:], y.Key[:]) })
	out.Signatures = slices.CompactFunc(out.Signatures, func(x, y identity.Signature) bool { return x.Key == y.Key })
	merged := out.Encode()
	_, _, err = ParseRecovery(merged)
	return merged, err
}

// ParseRecovery reads a recovery and its envelope. It checks form and limits,
// not signatures: that is for [State.CheckRecovery].
func ParseRecovery(b []byte) (Recovery, *identity.Envelope, error) {
	if len(b) > MaxRecovery {
		return Recovery{}, nil, fmt.Errorf("%w: a recovery of %d bytes, at most %d are allowed", ErrMalformed, len(b), MaxRecovery)
	}
	e, err := identity.ParseEnvelope(b)
	if err != nil {
		return Recovery{}, nil, fmt.Errorf("%w: recovery: %v", ErrMalformed, err)
	}
	var r Recovery
	if err := identity.Unmarshal(e.Body, &r); err != nil {
		return Recovery{}, nil, fmt.Errorf("%w: recovery: %v", ErrMalformed, err)
	}
	if r.Version > HeadVersion {
		return Recovery{}, nil, fmt.Errorf("%w: a recovery of version %d, this program knows %d", ErrUnknownKind, r.Version, HeadVersion)
	}
	return r, e, r.check()
}

func (r *Recovery) check() error {
	bad := func(what string) error { return fmt.Errorf("%w: recovery: %s", ErrMalformed, what) }
	switch {
	case r.Version == 0, r.Federation.IsZero(), r.Rotation == 0, r.Seq == 0, r.Issued < 0:
		return bad("version, federation, voters before, entry or date is missing")
	case r.Generation < 2 || r.Generation >= maxNumber || r.Rotation >= maxNumber:
		return bad("it begins a generation from the second on")
	case len(r.Voters) != 1 && len(r.Voters) != 3 && len(r.Voters) != 5:
		return bad("it names 1, 3 or 5 voters")
	case len(SortVoters(r.Voters)) != len(r.Voters):
		return bad("a voter is named twice")
	}
	return nil
}

// CheckRecovery verifies a recovery against this state. It returns the active
// members that have signed, ordered by id, and how many are needed: a majority.
// With fewer the recovery is sound and does not hold yet. Signatures by keys
// that do not count here are passed over; a bad one by a key that would makes
// the recovery bad.
func (s *State) CheckRecovery(recovery []byte) (r Recovery, signers []identity.OriginID, needed int, err error) {
	r, e, err := ParseRecovery(recovery)
	if err != nil {
		return Recovery{}, nil, 0, err
	}
	if r.Federation != s.federation {
		return Recovery{}, nil, 0, fmt.Errorf("%w: %s, this is %s", ErrForeign, r.Federation, s.federation)
	}
	counted := identity.Envelope{Body: e.Body}
	for _, sig := range e.Signatures {
		if _, o, ok := s.Signer(sig.Key); ok {
			counted.Signatures = append(counted.Signatures, sig)
			if !slices.Contains(signers, o) {
				signers = append(signers, o)
			}
		}
	}
	needed = Majority(s.active())
	if len(signers) == 0 {
		return r, nil, needed, nil
	}
	if _, err := counted.Verify(identity.TypeRecovery, s.federation, func(id identity.KeyID) (identity.PublicKey, bool) {
		k, _, ok := s.Signer(id)
		return k, ok
	}); err != nil {
		return Recovery{}, nil, 0, fmt.Errorf("%w: %w", ErrUnauthorised, err)
	}
	slices.SortFunc(signers, func(a, b identity.OriginID) int { return bytes.Compare(a[:], b[:]) })
	return r, signers, needed, nil
}

// First is the head with which the recovery begins its generation, to be signed
// by a majority of its voters. The feeds are those that are on record.
func (r Recovery) First(recovery []byte, feeds []Anchor, now time.Time) (Head, error) {
	_, e, err := ParseRecovery(recovery)
	if err != nil {
		return Head{}, err
	}
	under := HashRecovery(e.Body)
	issued := max(now.Unix(), r.Issued)
	h := Head{
		Version: HeadVersion, Federation: r.Federation, Generation: r.Generation, Rotation: r.Rotation + 1,
		Seq: r.Seq, Hash: r.Hash, Voters: SortVoters(r.Voters), Feeds: feeds,
		Issued: issued, Expires: issued + int64(HeadLife/time.Second), Under: &under, Recovery: recovery,
	}
	return h, h.checkGeneration()
}

// checkGeneration checks that a head says under which recovery it was made, and
// that the first of a generation is the one that its recovery asks for.
func (h *Head) checkGeneration() error {
	switch {
	case h.Generation == 1 && (h.Under != nil || h.Recovery != nil):
		return fmt.Errorf("%w: a head of the first generation with a recovery", ErrMalformed)
	case h.Generation == 1:
		return nil
	case h.Under == nil:
		return fmt.Errorf("%w: a head of generation %d that names no recovery", ErrUnknownKind, h.Generation)
	case h.Recovery == nil:
		return nil
	}
	r, e, err := ParseRecovery(h.Recovery)
	if err != nil {
		return err
	}
	if HashRecovery(e.Body) != *h.Under || r.Federation != h.Federation || r.Generation != h.Generation || r.Rotation+1 != h.Rotation ||
		r.Seq != h.Seq || r.Hash != h.Hash || !slices.Equal(SortVoters(r.Voters), h.Voters) {
		return fmt.Errorf("%w: a head that is not the one its recovery asks for", ErrMalformed)
	}
	if h.Issued < r.Issued || h.Issued > r.Issued+int64(RecoveryLife/time.Second) {
		return fmt.Errorf("%w: a recovery is good for %v", ErrMalformed, RecoveryLife)
	}
	return nil
}

// Resume is the chain with the first head of a generation, as it was taken
// before, and the newest head that was known then; nil when that is lost. It
// judges nothing: it is for who has kept them.
func (c HeadChain) Resume(h, before *SignedHead) HeadChain {
	if uint64(len(c.rotations)) < h.Rotation-1 {
		return c
	}
	h.before = before
	return HeadChain{rotations: append(slices.Clone(c.rotations[:h.Rotation-1]), h), newest: h}
}

// recover begins a generation with its first head.
func (c HeadChain) recover(h *SignedHead, e *identity.Envelope, s *State, past func(uint64) (*State, error)) (HeadChain, *SignedHead, error) {
	prior, err := c.Recoverable(&h.Head, s, past)
	if err != nil {
		return c, nil, err
	}
	ids, err := e.Verify(identity.TypeRegistryHead, h.Federation, func(id identity.KeyID) (identity.PublicKey, bool) {
		i := slices.IndexFunc(h.Voters, func(k identity.PublicKey) bool { return k.ID() == id })
		if i < 0 {
			return identity.PublicKey{}, false
		}
		return h.Voters[i], true
	})
	if err != nil {
		return c, nil, fmt.Errorf("%w: head of the registry: %w", ErrUnauthorised, err)
	}
	if n := len(ids); n < Majority(len(h.Voters)) {
		return c, nil, fmt.Errorf("%w: %d of %d new voters have signed the first head of the generation, a majority is needed", ErrUnauthorised, n, len(h.Voters))
	}
	h.before = prior
	return HeadChain{rotations: append(slices.Clone(c.rotations[:h.Rotation-1]), h), newest: h}, h, nil
}

// Recoverable reports why a head that is not signed yet may not begin a
// generation after the chain, or nil and the newest head before it. A majority
// of the members must have signed its recovery, both of those that were active
// at the entry that it goes on from and of those that are at the newest head:
// so no old majority ever takes the registry back.
func (c HeadChain) Recoverable(h *Head, s *State, past func(uint64) (*State, error)) (*SignedHead, error) {
	switch {
	case !h.Branch().Outranks(c.Branch()):
		return nil, fmt.Errorf("%w: it is of generation %d, and another one counts", ErrHeadOld, h.Generation)
	case h.Recovery == nil || h.Generation > c.Branch().Generation+1 || c.newest == nil:
		return nil, fmt.Errorf("%w: the heads that lead to generation %d", ErrHeadGap, h.Generation)
	case h.Federation != s.Federation():
		return nil, fmt.Errorf("%w: %s, this is %s", ErrForeign, h.Federation, s.Federation())
	}
	// Of two recoveries of one generation, both go on from the one before.
	prior, before := c.newest, len(c.rotations)
	if h.Generation == prior.Generation {
		for before > 0 && c.rotations[before-1].Generation == h.Generation {
			before--
			prior = c.rotations[before].before
		}
	}
	kept := h.Rotation - 1
	switch {
	case prior == nil || prior.Seq < h.Seq || kept > uint64(before):
		return nil, fmt.Errorf("%w: the last head before generation %d", ErrHeadGap, h.Generation)
	case prior.Seq == h.Seq && prior.Hash != h.Hash:
		return nil, fmt.Errorf("%w: entry %d has two hashes", ErrHeadFork, h.Seq)
	case c.rotations[kept-1].Seq > h.Seq:
		return nil, fmt.Errorf("%w: its voters came in after entry %d", ErrUnauthorised, h.Seq)
	}
	for _, a := range h.Feeds {
		if p, ok := prior.Feed(a.Origin); ok && p.Epoch == a.Place.Epoch && p.N == a.Place.N && p.Hash != a.Place.Hash {
			return nil, fmt.Errorf("%w: head %d of %s has two hashes", ErrHeadAnchor, p.N, a.Origin)
		}
	}
	return prior, c.agreed(h, s, past)
}

// agreed checks the members' signatures, and that the new voters may vote.
func (c HeadChain) agreed(h *Head, s *State, past func(uint64) (*State, error)) error {
	find := func(seq uint64) (*State, error) {
		switch {
		case s.Seq() == seq:
			return s, nil
		case past == nil || seq > s.Seq():
			return nil, fmt.Errorf("%w: the registry as it was after entry %d is needed", ErrHeadGap, seq)
		}
		return past(seq)
	}
	at, err := find(h.Seq)
	if err != nil {
		return err
	}
	if at.Hash() != h.Hash {
		return fmt.Errorf("%w: entry %d is another one here", ErrHeadFork, h.Seq)
	}
	now, err := find(max(h.Seq, min(s.Seq(), c.newest.Seq)))
	if err != nil {
		return err
	}
	for _, s := range []*State{at, now} {
		_, signers, needed, err := s.CheckRecovery(h.Recovery)
		if err != nil {
			return err
		}
		if len(signers) < needed {
			return fmt.Errorf("%w: %d of the members have signed the recovery, %d are needed", ErrUnauthorised, len(signers), needed)
		}
	}
	return CheckVoters(at, h.Voters, true)
}
