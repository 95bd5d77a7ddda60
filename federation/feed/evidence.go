package feed

import (
	"bytes"
	"fmt"

	"github.com/2ps-project/waymark/federation/identity"
)

// MaxEvidence is the most bytes of encoded evidence.
const MaxEvidence = 2*MaxHead + 16

// Place names one head of a feed.
type Place struct {
	Epoch uint64        `cbor:"1,keyasint"`
	N     uint64        `cbor:"2,keyasint"`
	Hash  identity.Hash `cbor:"3,keyasint"`
}

// Before reports whether p comes before other in its feed.
func (p Place) Before(other Place) bool {
	return p.Epoch < other.Epoch || p.Epoch == other.Epoch && p.N < other.N
}

// Place is where the head stands in its feed.
func (h *SignedHead) Place() Place { return Place{h.Epoch, h.N, h.Hash} }

// Evidence shows that one number of a feed was signed twice, in two ways: the
// envelopes of two heads. Anybody who knows the origin's keys can check it.
type Evidence struct {
	A []byte `cbor:"1,keyasint"`
	B []byte `cbor:"2,keyasint"`
}

// NewEvidence makes evidence of two heads, the one with the lower hash first, so
// that the same two heads make the same evidence everywhere. It checks nothing:
// that is for [Rules.CheckEvidence].
func NewEvidence(a, b *SignedHead) Evidence {
	if bytes.Compare(a.Hash[:], b.Hash[:]) > 0 {
		a, b = b, a
	}
	return Evidence{A: a.Envelope, B: b.Envelope}
}

// Encode is the evidence as bytes.
func (e Evidence) Encode() []byte {
	b, err := identity.Marshal(e)
	if err != nil { // the type holds nothing that cannot be encoded
		panic(err)
	}
	return b
}

// ParseEvidence reads what Encode writes. It checks form and limits only.
func ParseEvidence(b []byte) (Evidence, error) {
	if len(b) > MaxEvidence {
		return Evidence{}, fmt.Errorf("evidence: %w: %d bytes, at most %d", ErrTooLarge, len(b), MaxEvidence)
	}
	var e Evidence
	if err := identity.Unmarshal(b, &e); err != nil {
		return Evidence{}, fmt.Errorf("evidence: %w", err)
	}
	if len(e.A) > MaxHead || len(e.B) > MaxHead {
		return Evidence{}, fmt.Errorf("evidence: %w: a head of more than %d bytes", ErrTooLarge, MaxHead)
	}
	return e, nil
}

// Fork is what checked evidence shows: head N of the epoch exists in two ways.
type Fork struct {
	Origin identity.OriginID
	Epoch  uint64
	N      uint64
	A, B   *SignedHead // their envelopes hold the publish key's signatures only
}

// Evidence is the evidence of the fork, with nothing in it that does not count.
func (f *Fork) Evidence() Evidence { return NewEvidence(f.A, f.B) }

// CheckEvidence checks that the two heads are of one federation, origin, epoch
// and number and differ, and that each is signed by a key that may sign there.
// Epochs gone by count as well, and origins that are suspended, as long as the
// registry knows their keys. Admin keys change, and add nothing here: their
// signatures are left out. Anything else wraps [ErrEvidence].
func (r Rules) CheckEvidence(e Evidence) (*Fork, error) {
	a, err := r.evidenceHead(e.A)
	if err != nil {
		return nil, err
	}
	b, err := r.evidenceHead(e.B)
	if err != nil {
		return nil, err
	}
	if a.Origin != b.Origin || a.Epoch != b.Epoch || a.N != b.N {
		return nil, fmt.Errorf("%w: the heads are not of one feed, epoch and number", ErrEvidence)
	}
	switch bytes.Compare(a.Hash[:], b.Hash[:]) {
	case 0:
		return nil, fmt.Errorf("%w: it is the same head twice", ErrEvidence)
	case 1:
		return nil, fmt.Errorf("%w: the head with the lower hash comes first", ErrEvidence)
	}
	return &Fork{Origin: a.Origin, Epoch: a.Epoch, N: a.N, A: a, B: b}, nil
}

func (r Rules) evidenceHead(envelope []byte) (*SignedHead, error) {
	h, err := ParseHead(envelope)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	if h.Federation != r.Federation {
		return nil, fmt.Errorf("%w: %w: %s", ErrEvidence, ErrFederation, h.Federation)
	}
	s, err := r.checkSignatures(identity.TypeHead, envelope, h.Origin, h.Epoch, h.N, false)
	if err != nil {
		return nil, fmt.Errorf("%w: head %d of %s: %w", ErrEvidence, h.N, h.Origin, err)
	}
	h.Envelope = s.envelope
	return h, nil
}
