package identity

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
)

// SealPublicKey is the X25519 key to which something is sealed.
type SealPublicKey [32]byte

// SealKey is a private X25519 key that opens what was sealed to its owner. It
// prints as its public key.
type SealKey struct {
	private func() *ecdh.PrivateKey // see Key
}

func newSealKey(k *ecdh.PrivateKey) *SealKey { return &SealKey{func() *ecdh.PrivateKey { return k }} }

// ErrSealed is returned when something cannot be opened with this key.
var ErrSealed = errors.New("cannot be opened with this key")

// GenerateSeal makes a new key.
func GenerateSeal() (*SealKey, error) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a seal key: %w", err)
	}
	return newSealKey(k), nil
}

// Save writes the key to a new file that only its owner can read.
func (k *SealKey) Save(path string) error { return saveKey(path, RoleSeal, k.private().Bytes()) }

// LoadSealKey reads what Save wrote.
func LoadSealKey(path string) (*SealKey, error) {
	raw, err := loadKey(path, RoleSeal, 32)
	if err != nil {
		return nil, err
	}
	k, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrKeyFile, path, err)
	}
	return newSealKey(k), nil
}

// Public is the half that others seal to.
func (k *SealKey) Public() SealPublicKey { return SealPublicKey(k.private().PublicKey().Bytes()) }

// String shows the public half only.
func (k *SealKey) String() string { return fmt.Sprintf("seal key %x", k.Public()) }

// Format shows the public half only, whatever the verb and whether the key or a
// pointer to it is printed.
func (k SealKey) Format(s fmt.State, _ rune) {
	if k.private == nil {
		_, _ = io.WriteString(s, "no key")
		return
	}
	_, _ = io.WriteString(s, k.String())
}

// Seal encrypts plain so that only the key's owner can read it (HPKE, RFC 9180,
// base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305). Info names the purpose;
// Open needs the same.
func (p SealPublicKey) Seal(plain, info []byte) ([]byte, error) {
	point, err := ecdh.X25519().NewPublicKey(p[:])
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	pub, err := hpke.NewDHKEMPublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	out, err := hpke.Seal(pub, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, plain)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return out, nil
}

// Open decrypts what Seal made for this key and info, or fails with [ErrSealed].
func (k *SealKey) Open(sealed, info []byte) ([]byte, error) {
	private, err := hpke.NewDHKEMPrivateKey(k.private())
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	plain, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, sealed)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
