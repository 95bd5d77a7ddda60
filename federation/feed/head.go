package feed

import (
	"errors"
	"fmt"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// Limits of heads and beats.
const (
	MaxHead  = 4 << 10          // bytes of an encoded head or beat envelope
	maxSeq   = 1<<53 - 1        // so that sequence numbers survive every JSON reader
	Ahead    = 10 * time.Minute // how far in the future a head may be dated before it is parked
	BeatLife = 72 * time.Hour   // how long a beat vouches for a head
)

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
)

// Minute counts minutes since 1970-01-01 UTC.
type Minute int64

// MinuteOf is the UTC minute of t.
func MinuteOf(t time.Time) Minute { return Minute(t.Unix() / 60) }

// Time is the start of the minute in UTC.
func (m Minute) Time() time.Time { return time.Unix(int64(m)*60, 0).UTC() }

// Head is the summary of a feed at one moment. Signed, it is the whole truth
// about the feed: whoever holds records that add up to it holds the feed.
type Head struct {
	Version     uint8                 `cbor:"1,keyasint"`
	Federation  identity.FederationID `cbor:"2,keyasint"`
	Origin      identity.OriginID     `cbor:"3,keyasint"`
	Epoch       uint64                `cbor:"4,keyasint"` // raised by the registry when a feed starts over
	N           uint64                `cbor:"5,keyasint"` // rises by one with every head, from 1
	Seq         uint64                `cbor:"6,keyasint"` // the latest change that the head covers
	Count       uint64                `cbor:"7,keyasint"` // live records
	Bytes       uint64                `cbor:"8,keyasint"` // their encoded size
	Root        identity.Hash         `cbor:"9,keyasint"`
	Floor       uint64                `cbor:"10,keyasint"` // deletions up to here are no longer listed
	Prev        identity.Hash         `cbor:"11,keyasint"` // hash of the head before; zero for the first
	RegistrySeq uint64                `cbor:"12,keyasint"` // the registry as the signer knew it
	Issued      Minute                `cbor:"13,keyasint"`
}

// SignedHead is a head with the envelope that it came in.
type SignedHead struct {
	Head
	Hash     identity.Hash // of the head's body; extra signatures do not change it
	Envelope []byte

	approved bool // checked: an admin key signed as well
}

// ParseHead reads a head's envelope. It checks form and limits, not signatures:
// that is for [Verify].
func ParseHead(envelope []byte) (*SignedHead, error) {
	e, h, err := parseSigned[Head](envelope, "head")
	if err != nil {
		return nil, err
	}
	if h.Version == 0 || h.N == 0 || h.Seq > maxSeq || h.Count > h.Seq || h.Floor > h.Seq {
		return nil, fmt.Errorf("head: %w: numbers that cannot be", identity.ErrMalformed)
	}
	return &SignedHead{Head: *h, Hash: HashHead(e.Body), Envelope: envelope}, nil
}

// HashHead is the name of a head in the chain: a hash of its body, so that a
// second signature added later does not break the chain.
func HashHead(body []byte) identity.Hash { return identity.Sum(0x20, body) }

// Beat says that the origin still stands by a head. Its expiry changes labels
// and raises alarms; it never hides a listing.
type Beat struct {
	Version     uint8                 `cbor:"1,keyasint"`
	Federation  identity.FederationID `cbor:"2,keyasint"`
	Origin      identity.OriginID     `cbor:"3,keyasint"`
	Epoch       uint64                `cbor:"4,keyasint"`
	N           uint64                `cbor:"5,keyasint"`
	Head        [16]byte              `cbor:"6,keyasint"` // first half of the head's hash
	Counter     uint64                `cbor:"7,keyasint"` // strictly rising
	Issued      Minute                `cbor:"8,keyasint"`
	Expires     Minute                `cbor:"9,keyasint"`
	Instance    [8]byte               `cbor:"10,keyasint"` // random per start: two at once mean a clone
	RegistrySeq uint64                `cbor:"11,keyasint"`
}

// SignedBeat is a beat with the envelope that it came in.
type SignedBeat struct {
	Beat
	Envelope []byte
}

// ParseBeat reads a beat's envelope. It checks form and limits, not signatures.
func ParseBeat(envelope []byte) (*SignedBeat, error) {
	_, b, err := parseSigned[Beat](envelope, "beat")
	if err != nil {
		return nil, err
	}
	if b.Version == 0 || b.N == 0 || b.Expires < b.Issued {
		return nil, fmt.Errorf("beat: %w: numbers that cannot be", identity.ErrMalformed)
	}
	return &SignedBeat{Beat: *b, Envelope: envelope}, nil
}

func parseSigned[T any](envelope []byte, what string) (*identity.Envelope, *T, error) {
	if len(envelope) > MaxHead {
		return nil, nil, fmt.Errorf("%s: %w: %d bytes, at most %d", what, ErrTooLarge, len(envelope), MaxHead)
	}
	e, err := identity.ParseEnvelope(envelope)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	v := new(T)
	if err := identity.Unmarshal(e.Body, v); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	return e, v, nil
}

// sign makes the envelope of a head.
func (h Head) sign(keys ...*identity.Key) (*SignedHead, error) {
	body, err := identity.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode head %d: %w", h.N, err)
	}
	return ParseHead(identity.Sign(identity.TypeHead, h.Federation, body, keys...).Encode())
}

// Sign makes the envelope of a beat.
func (b Beat) Sign(key *identity.Key) (*SignedBeat, error) {
	body, err := identity.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode beat %d: %w", b.Counter, err)
	}
	return ParseBeat(identity.Sign(identity.TypeBeat, b.Federation, body, key).Encode())
}
