// Package identity names the parties of a federation and holds their keys:
// private keys live here and only sign, open, or prove a connection.
//
// It also holds the one encoding of everything that is signed (see [Marshal])
// and the one signed envelope (see [Envelope]).
package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
)

// FederationID names a federation: the first 16 bytes of the SHA-256 of its
// genesis body. Everything signed is signed for one federation.
type FederationID [16]byte

// OriginID names a source of records, that is, one publishing partner. It is
// random, fixed in the registry, and outlives keys, machines and operators.
type OriginID [16]byte

// NodeID names a node: the first 16 bytes of the SHA-256 of its public key in
// SubjectPublicKeyInfo form.
type NodeID [16]byte

// KeyID names a public key: the first 8 bytes of its SHA-256. A key id can
// therefore never be given to another key.
type KeyID [8]byte

// Hash is a SHA-256.
type Hash [32]byte

// PublicKey is an Ed25519 public key.
type PublicKey [32]byte

// ErrBadID is returned when a text is not an id of the expected length.
var ErrBadID = errors.New("not a valid identifier")

// Sum is the SHA-256 of a domain byte followed by the parts. Domain bytes keep
// a leaf from being mistaken for a node, and a record for a head.
func Sum(domain byte, parts ...[]byte) Hash {
	h := sha256.New()
	h.Write([]byte{domain})
	for _, p := range parts {
		h.Write(p)
	}
	var out Hash
	h.Sum(out[:0])
	return out
}

// NewOriginID draws a random origin id.
func NewOriginID() OriginID {
	var o OriginID
	rand.Read(o[:])
	return o
}

// ID is the key's name.
func (p PublicKey) ID() KeyID {
	sum := sha256.Sum256(p[:])
	return KeyID(sum[:8])
}

// NodeID is the name of the node that proves itself with this key.
func (p PublicKey) NodeID() NodeID {
	spki, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(p[:]))
	if err != nil { // cannot happen for an Ed25519 key of the right length
		panic(err)
	}
	sum := sha256.Sum256(spki)
	return NodeID(sum[:16])
}

// IsZero reports whether the id is all zero, which names nothing.
func (id FederationID) IsZero() bool { return id == FederationID{} }

// IsZero reports whether the id is all zero, which names nothing.
func (id OriginID) IsZero() bool { return id == OriginID{} }

// IsZero reports whether the id is all zero, which names nothing.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// IsZero reports whether the key is all zero, which is nobody's.
func (p PublicKey) IsZero() bool { return p == PublicKey{} }

// String is the id in lower-case hexadecimal.
func (id FederationID) String() string { return hex.EncodeToString(id[:]) }

// String is the id in lower-case hexadecimal.
func (id OriginID) String() string { return hex.EncodeToString(id[:]) }

// String is the id in lower-case hexadecimal.
func (id NodeID) String() string { return hex.EncodeToString(id[:]) }

// String is the id in lower-case hexadecimal.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// String is the hash in lower-case hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// String is the key in lower-case hexadecimal.
func (p PublicKey) String() string { return hex.EncodeToString(p[:]) }

// ParseFederationID reads what String writes.
func ParseFederationID(s string) (id FederationID, err error) {
	err = parseHex(id[:], s)
	return id, err
}

// ParseOriginID reads what String writes.
func ParseOriginID(s string) (id OriginID, err error) {
	err = parseHex(id[:], s)
	return id, err
}

// ParseNodeID reads what String writes.
func ParseNodeID(s string) (id NodeID, err error) {
	err = parseHex(id[:], s)
	return id, err
}

// ParsePublicKey reads what String writes.
func ParsePublicKey(s string) (p PublicKey, err error) {
	err = parseHex(p[:], s)
	return p, err
}

func parseHex(dst []byte, s string) error {
	if len(s) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("%w: want %d hexadecimal digits, have %d characters", ErrBadID, hex.EncodedLen(len(dst)), len(s))
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return fmt.Errorf("%w: %v", ErrBadID, err)
	}
	return nil
}

// MarshalText makes ids appear as hexadecimal in JSON.
func (id FederationID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText makes ids appear as hexadecimal in JSON.
func (id OriginID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText makes ids appear as hexadecimal in JSON.
func (id NodeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText makes ids appear as hexadecimal in JSON.
func (id KeyID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText makes hashes appear as hexadecimal in JSON.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// MarshalText makes keys appear as hexadecimal in JSON.
func (p PublicKey) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (id *FederationID) UnmarshalText(b []byte) error { return parseHex(id[:], string(b)) }

// UnmarshalText reads what MarshalText writes.
func (id *OriginID) UnmarshalText(b []byte) error { return parseHex(id[:], string(b)) }

// UnmarshalText reads what MarshalText writes.
func (id *NodeID) UnmarshalText(b []byte) error { return parseHex(id[:], string(b)) }

// UnmarshalText reads what MarshalText writes.
func (id *KeyID) UnmarshalText(b []byte) error { return parseHex(id[:], string(b)) }

// UnmarshalText reads what MarshalText writes.
func (h *Hash) UnmarshalText(b []byte) error { return parseHex(h[:], string(b)) }

// UnmarshalText reads what MarshalText writes.
func (p *PublicKey) UnmarshalText(b []byte) error { return parseHex(p[:], string(b)) }

// UnmarshalBinary takes exactly the bytes of an id: a longer or shorter byte
// string in a message is refused, not cut or filled up.
func (id *FederationID) UnmarshalBinary(b []byte) error { return fill(id[:], b) }

// UnmarshalBinary takes exactly the bytes of an id.
func (id *OriginID) UnmarshalBinary(b []byte) error { return fill(id[:], b) }

// UnmarshalBinary takes exactly the bytes of an id.
func (id *NodeID) UnmarshalBinary(b []byte) error { return fill(id[:], b) }

// UnmarshalBinary takes exactly the bytes of an id.
func (id *KeyID) UnmarshalBinary(b []byte) error { return fill(id[:], b) }

// UnmarshalBinary takes exactly the bytes of a hash.
func (h *Hash) UnmarshalBinary(b []byte) error { return fill(h[:], b) }

// UnmarshalBinary takes exactly the bytes of a key.
func (p *PublicKey) UnmarshalBinary(b []byte) error { return fill(p[:], b) }

func fill(dst, b []byte) error {
	if len(b) != len(dst) {
		return fmt.Errorf("%w: want %d bytes, have %d", ErrBadID, len(dst), len(b))
	}
	copy(dst, b)
	return nil
}
