package feed

import (
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

	signers  []identity.KeyID // as the envelope says; those that count once it was checked
	approved bool             // checked: an admin key signed as well
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
	signed := &SignedHead{Head: *h, Hash: HashHead(e.Body), Envelope: envelope}
	for _, sig := range e.Signatures {
		signed.signers = append(signed.signers, sig.Key)
	}
	return signed, nil
}

// HashHead is the name of a head in the chain: a hash of its body, so that a
// second signature added later does not break the chain.
func HashHead(body []byte) identity.Hash { return identity.Sum(0x20, body) }

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
