package feed

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// Keys answers whose signature counts, as the registry knows it now.
type Keys interface {
	// HeadKey is the key with this id, if it may sign head n of the epoch. It
	// answers for epochs gone by and for suspended origins too, as long as the
	// registry knows the key.
	HeadKey(o identity.OriginID, epoch, n uint64, id identity.KeyID) (identity.PublicKey, bool)
	// AdminKey is the origin's admin key with this id.
	AdminKey(o identity.OriginID, id identity.KeyID) (identity.PublicKey, bool)
	// Epoch is the epoch of an active origin; false for any other.
	Epoch(o identity.OriginID) (uint64, bool)
	// Anchor is the hash of head n of the epoch, where a majority of the
	// registry's voters has put it on record.
	Anchor(o identity.OriginID, epoch, n uint64) (identity.Hash, bool)
	// Anchors are the numbers of the heads of the epoch that are on record,
	// ascending.
	Anchors(o identity.OriginID, epoch uint64) []uint64
	// Forked is the lowest number of the origin's present epoch that was signed
	// twice; false when none was.
	Forked(o identity.OriginID) (n uint64, ok bool)
	// Good is the head of the epoch before to which the feed went back when its
	// present epoch began, after a key was stolen; false when it did not go back.
	Good(o identity.OriginID) (Place, bool)
}

// What a feed may ask of others unless the registry's policy says otherwise.
const (
	DefaultPerMinute = 80 // a burst of 20 and one a second
	DefaultRecords   = 1 << 20
	DefaultBytes     = 4 << 30
)

// Limits bound what one feed may ask of all others. The zero value means the
// defaults.
type Limits struct {
	PerMinute int    // heads of one issued minute
	Records   uint64 // live records
	Bytes     uint64 // their encoded size
}

func (l Limits) perMinute() uint64 { return uint64(max(cmp.Or(l.PerMinute, DefaultPerMinute), 1)) }

// check refuses a head before anything of it is fetched.
func (l Limits) check(h *Head) error {
	if limit := cmp.Or(l.Records, DefaultRecords); h.Count > limit {
		return fmt.Errorf("%w: %d records, at most %d", ErrQuota, h.Count, limit)
	}
	if limit := cmp.Or(l.Bytes, DefaultBytes); h.Bytes > limit {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrQuota, h.Bytes, limit)
	}
	return nil
}

// Rules are what heads and beats are checked against: one federation, the keys
// of its registry, and one fixed moment.
type Rules struct {
	Federation identity.FederationID
	Keys       Keys
	// Now decides what is dated in the future. A machine without a good clock
	// gives the latest of its clock, the program's build date and the dates of
	// what it has accepted.
	Now    time.Time
	Limits Limits
}

// CheckHead checks one head on its own: federation, active origin, epoch,
// signatures, date, quota, and that it is not another one than the registry's
// voters have on record. Signatures by keys that the registry does not know, or
// knows no longer, are dropped from the result's envelope and count for nothing.
//
// While the registry says that the feed goes back to an earlier head
// ([Keys.Good]), the heads of the epoch before up to that one still pass, for who
// is behind; later ones are [ErrRevoked].
func (r Rules) CheckHead(envelope []byte) (*SignedHead, error) {
	h, err := r.checkHead(envelope)
	if err != nil {
		return nil, err
	}
	if err := r.Limits.check(&h.Head); err != nil {
		return nil, fmt.Errorf("head %d of %s: %w", h.N, h.Origin, err)
	}
	return h, nil
}

// checkHead is CheckHead but for the quota, which is asked of the newest head
// only: a feed that grew too large may shrink again.
func (r Rules) checkHead(envelope []byte) (*SignedHead, error) {
	h, err := ParseHead(envelope)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*SignedHead, error) {
		return nil, fmt.Errorf("head %d of %s: %w", h.N, h.Origin, err)
	}
	if h.Federation != r.Federation {
		return fail(fmt.Errorf("%w: %s", ErrFederation, h.Federation))
	}
	if err := r.checkEpoch(h); err != nil {
		return fail(err)
	}
	s, err := r.checkSignatures(identity.TypeHead, envelope, h.Origin, h.Epoch, h.N, true)
	if err != nil {
		return fail(err)
	}
	h.Envelope, h.signers, h.approved = s.envelope, s.signers, s.approved
	if err := r.checkIssued(h.Issued); err != nil {
		return fail(err)
	}
	if hash, ok := r.Keys.Anchor(h.Origin, h.Epoch, h.N); ok && hash != h.Hash {
		return fail(ErrAnchor)
	}
	return h, nil
}

func (r Rules) checkEpoch(h *SignedHead) error {
	current, ok := r.Keys.Epoch(h.Origin)
	switch {
	case !ok:
		return ErrOrigin
	case h.Epoch == current:
		return nil
	}
	if good, ok := r.Keys.Good(h.Origin); ok && h.Epoch == good.Epoch && current == good.Epoch+1 {
		if h.N < good.N || h.Place() == good {
			return nil
		}
		return fmt.Errorf("%w: the last good head is %d", ErrRevoked, good.N)
	}
	return fmt.Errorf("%w: %d, the registry says %d", ErrEpoch, h.Epoch, current)
}

func (r Rules) checkIssued(issued Minute) error {
	if issued.Time().After(r.Now.Add(Ahead)) {
		return fmt.Errorf("%w: %s", ErrFuture, issued.Time().Format(time.RFC3339))
	}
	return nil
}

// CheckBeat checks one beat on its own, like CheckHead. A beat of any epoch but
// the present one is [ErrEpoch].
func (r Rules) CheckBeat(envelope []byte) (*SignedBeat, error) {
	b, err := ParseBeat(envelope)
	if err != nil {
		return nil, err
	}
	if err := r.checkBeat(b); err != nil {
		return nil, fmt.Errorf("beat %d of %s: %w", b.Counter, b.Origin, err)
	}
	return b, nil
}

func (r Rules) checkBeat(b *SignedBeat) error {
	if b.Federation != r.Federation {
		return fmt.Errorf("%w: %s", ErrFederation, b.Federation)
	}
	current, ok := r.Keys.Epoch(b.Origin)
	if !ok {
		return ErrOrigin
	}
	if b.Epoch != current {
		return fmt.Errorf("%w: %d, the registry says %d", ErrEpoch, b.Epoch, current)
	}
	s, err := r.checkSignatures(identity.TypeBeat, b.Envelope, b.Origin, b.Epoch, b.N, true)
	if err != nil {
		return err
	}
	b.Envelope = s.envelope
	return r.checkIssued(b.Issued)
}

// signatures are those of an envelope that count.
type signatures struct {
	signers  []identity.KeyID
	approved bool   // an admin key of the origin is among them
	envelope []byte // with these signatures only
}

// checkSignatures wants a good signature by a publish key for this place of the
// feed. Of the others, those by admin keys are kept if wanted; those by unknown
// keys are left out, since a key that was good when it signed may have been
// replaced; and a bad one by a known key makes all bad.
func (r Rules) checkSignatures(t identity.Type, envelope []byte, o identity.OriginID, epoch, n uint64, admin bool) (signatures, error) {
	e, err := identity.ParseEnvelope(envelope)
	if err != nil {
		return signatures{}, err
	}
	if len(e.Signatures) == 0 {
		return signatures{}, identity.ErrUnsigned
	}
	var s signatures
	var kept []identity.Signature
	published := false
	keys := make(map[identity.KeyID]identity.PublicKey, 2)
	for _, sig := range e.Signatures {
		if _, twice := keys[sig.Key]; twice {
			continue
		}
		key, ok := r.Keys.HeadKey(o, epoch, n, sig.Key)
		published = published || ok
		if !ok && admin {
			key, ok = r.Keys.AdminKey(o, sig.Key)
			s.approved = s.approved || ok
		}
		if ok {
			keys[sig.Key] = key
			kept = append(kept, sig)
		}
	}
	switch {
	case len(kept) == 0:
		return signatures{}, fmt.Errorf("%w: %s", identity.ErrUnknownKey, e.Signatures[0].Key)
	case !published:
		return signatures{}, ErrSigner
	}
	s.envelope = envelope
	if len(kept) < len(e.Signatures) {
		e.Signatures = kept
		s.envelope = e.Encode()
	}
	s.signers, err = e.Verify(t, r.Federation, func(id identity.KeyID) (identity.PublicKey, bool) {
		key, ok := keys[id]
		return key, ok
	})
	return s, err
}

// approvedBefore reports whether an admin key approved a head that was accepted
// earlier, and so needs no second check of its signatures.
func (r Rules) approvedBefore(h *SignedHead) bool {
	if h.approved {
		return true
	}
	for _, id := range h.signers {
		if _, ok := r.Keys.AdminKey(h.Origin, id); ok {
			return true
		}
	}
	return false
}

// Errors of heads. Each names why a head was refused.
var (
	ErrFederation   = errors.New("belongs to another federation")
	ErrOrigin       = errors.New("of an origin that is not an active member")
	ErrEpoch        = errors.New("of another epoch than the registry's")
	ErrSigner       = errors.New("not signed by a publish key of its origin")
	ErrOlder        = errors.New("not newer than what is held")
	ErrChain        = errors.New("does not follow from the head that is held")
	ErrEquivocation = errors.New("two different heads with one number")
	ErrFuture       = errors.New("dated in the future")
	ErrUnapproved   = errors.New("changes much at once without a second signature by an admin key")
	ErrRoot         = errors.New("the records do not add up to the signed head")

	// ErrAnchor is a kind of ErrEquivocation: the second head is not at hand.
	ErrAnchor = fmt.Errorf("%w: the registry's voters have another one on record", ErrEquivocation)
	// ErrForked is returned for heads from the number on that was signed twice,
	// until the registry gives the feed a new epoch.
	ErrForked = errors.New("of a feed in which one number was signed twice")
	// ErrRevoked is returned for heads past the last good one before a key was
	// stolen.
	ErrRevoked = errors.New("signed after the last good head of a stolen key")
	// ErrEmpty is returned for a head that says nothing new.
	ErrEmpty = errors.New("changes nothing")
	// ErrTooMany is returned for more heads of one minute than a feed may have.
	ErrTooMany = errors.New("too many heads in one minute")
	// ErrQuota is returned for a head of a feed larger than the policy allows.
	ErrQuota = errors.New("larger than the federation allows a feed to be")
	// ErrDamaged is returned when what is held does not add up to its own head:
	// nothing is signed or taken on top of it until it is repaired.
	ErrDamaged = errors.New("what is held here is damaged")
	// ErrEvidence is returned for two heads that are no evidence.
	ErrEvidence = errors.New("not evidence of a number signed twice")
)
