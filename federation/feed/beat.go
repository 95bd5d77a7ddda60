package feed

import (
	"fmt"

	"github.com/2ps-project/waymark/federation/identity"
)

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

// Sign makes the envelope of a beat.
func (b Beat) Sign(key *identity.Key) (*SignedBeat, error) {
	body, err := identity.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode beat %d: %w", b.Counter, err)
	}
	return ParseBeat(identity.Sign(identity.TypeBeat, b.Federation, body, key).Encode())
}

// Beat signs that the newest head still stands; nil when there is no head or
// nothing may be signed.
func (p *Publisher) Beat() (*SignedBeat, error) {
	epoch, ok := p.o.Keys().Epoch(p.o.Origin)
	if !ok {
		return nil, nil
	}
	var held *SignedHead
	var err error
	p.Shared(func() { // a beat shows its head's hash: not before the guard has it
		if p.Quarantined() == nil {
			held, err = p.held()
		}
	})
	if err != nil || held == nil || held.Epoch != epoch {
		return nil, err
	}
	now := p.o.Now()
	b := Beat{
		Version: 1, Federation: p.o.Federation, Origin: p.o.Origin, Epoch: epoch, N: held.N,
		Counter: uint64(max(now.Unix(), 1)), Issued: MinuteOf(now), Expires: MinuteOf(now.Add(BeatLife)),
		Instance: p.instance, RegistrySeq: p.o.Registry(),
	}
	copy(b.Head[:], held.Hash[:])
	last, err := p.o.Store.Beat(p.o.Origin)
	if err != nil {
		return nil, fmt.Errorf("beat: %w", err)
	}
	if last != nil && last.Counter >= b.Counter {
		b.Counter = last.Counter + 1
	}
	publish, _ := p.keys()
	signed, err := b.Sign(publish)
	if err != nil {
		return nil, err
	}
	if err := p.o.Store.PutBeat(signed); err != nil {
		return nil, fmt.Errorf("beat: %w", err)
	}
	return signed, nil
}
