package identity

import (
	"crypto/ed25519"
	"errors"
	"fmt"
)

// Type says what a signature is about. It is part of what is signed, so that a
// signature given for one thing never serves for another.
type Type string

// The types of what is signed.
const (
	TypeGenesis      Type = "genesis"
	TypeCommand      Type = "command"
	TypeRegistryHead Type = "registry-head"
	TypeHead         Type = "head"
	TypeBeat         Type = "beat"
	TypeInvitation   Type = "invitation"
	TypeKnock        Type = "knock"
	TypeStatement    Type = "statement"
	TypeRuling       Type = "ruling"
	TypeRecovery     Type = "recovery"
	TypeBundle       Type = "bundle"
)

// AlgorithmEd25519 is the one signature algorithm of this version.
const AlgorithmEd25519 = 1

// Limits of an envelope.
const (
	MaxEnvelope   = 1 << 20 // bytes of an encoded envelope
	MaxSignatures = 32
)

// Errors of envelopes.
var (
	ErrUnsigned     = errors.New("no signature")
	ErrUnknownKey   = errors.New("signed by an unknown key")
	ErrBadSignature = errors.New("signature does not match")
	ErrAlgorithm    = errors.New("unknown signature algorithm")
)

// Signature is one party's signature on an envelope's body.
type Signature struct {
	_         struct{} `cbor:",toarray"`
	Algorithm uint8
	Key       KeyID
	Value     []byte
}

// Envelope is a signed body. The bytes of the body are what is signed, hashed
// and kept: nobody encodes them a second time.
type Envelope struct {
	Body       []byte      `cbor:"1,keyasint"`
	Signatures []Signature `cbor:"2,keyasint"`
}

// signed is what a signature covers: the type and version of the message, the
// federation it is meant for, and the body.
func signed(t Type, f FederationID, body []byte) []byte {
	msg := make([]byte, 0, len("waymark//1\x00")+len(t)+len(f)+len(body))
	msg = append(msg, "waymark/"...)
	msg = append(msg, t...)
	msg = append(msg, "/1\x00"...)
	msg = append(msg, f[:]...)
	return append(msg, body...)
}

// Sign makes an envelope of body, signed by each of the keys.
func Sign(t Type, f FederationID, body []byte, keys ...*Key) *Envelope {
	e := &Envelope{Body: body}
	for _, k := range keys {
		e.Signatures = append(e.Signatures, k.Sign(t, f, body))
	}
	return e
}

// Encode is the envelope as bytes.
func (e *Envelope) Encode() []byte {
	b, err := Marshal(e)
	if err != nil { // the type holds nothing that cannot be encoded
		panic(err)
	}
	return b
}

// ParseEnvelope reads what Encode writes. It checks form and limits, not
// signatures.
func ParseEnvelope(b []byte) (*Envelope, error) {
	if len(b) > MaxEnvelope {
		return nil, fmt.Errorf("%w: an envelope of %d bytes, at most %d are allowed", ErrMalformed, len(b), MaxEnvelope)
	}
	e := new(Envelope)
	if err := Unmarshal(b, e); err != nil {
		return nil, err
	}
	if len(e.Body) == 0 {
		return nil, fmt.Errorf("%w: an envelope without a body", ErrMalformed)
	}
	if len(e.Signatures) > MaxSignatures {
		return nil, fmt.Errorf("%w: %d signatures, at most %d are allowed", ErrMalformed, len(e.Signatures), MaxSignatures)
	}
	for _, s := range e.Signatures {
		if s.Algorithm == AlgorithmEd25519 && len(s.Value) != ed25519.SignatureSize {
			return nil, fmt.Errorf("%w: a signature of %d bytes", ErrMalformed, len(s.Value))
		}
	}
	return e, nil
}

// Verify checks every signature and returns the distinct keys that signed, in
// the order of their signatures. It fails when there is none, or when any one
// is bad or by a key that lookup does not know: a half good envelope is refused
// whole.
func (e *Envelope) Verify(t Type, f FederationID, lookup func(KeyID) (PublicKey, bool)) ([]KeyID, error) {
	if len(e.Signatures) == 0 {
		return nil, ErrUnsigned
	}
	msg := signed(t, f, e.Body)
	signers := make([]KeyID, 0, len(e.Signatures))
	seen := make(map[KeyID]bool, len(e.Signatures))
	for _, s := range e.Signatures {
		if s.Algorithm != AlgorithmEd25519 {
			return nil, fmt.Errorf("%w: %d", ErrAlgorithm, s.Algorithm)
		}
		pub, ok := lookup(s.Key)
		if !ok {
			return nil, fmt.Errorf("%w: %s", ErrUnknownKey, s.Key)
		}
		if !ed25519.Verify(pub[:], msg, s.Value) {
			return nil, fmt.Errorf("%w: %s for key %s", ErrBadSignature, t, s.Key)
		}
		if !seen[s.Key] {
			seen[s.Key] = true
			signers = append(signers, s.Key)
		}
	}
	return signers, nil
}
