package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Role is what a key may be used for. A key has one role.
type Role string

// The roles of keys. Admin keys sign registry commands, publish keys sign
// heads and beats, node keys prove connections, seal keys open what was sealed
// to their owner.
const (
	RoleAdmin   Role = "admin"
	RolePublish Role = "publish"
	RoleNode    Role = "node"
	RoleSeal    Role = "seal"
	// RoleRecovery stands on a sheet of paper and replaces the other keys of a
	// member that lost them.
	RoleRecovery Role = "recovery"
)

// Errors of key files.
var (
	ErrKeyExists = errors.New("a key file is already there")
	ErrKeyFile   = errors.New("not a usable key file")
)

// Key is a private Ed25519 key with its role. It prints as its public key.
type Key struct {
	role Role
	// Inside a function, so that even a printout that calls no methods (of an
	// unexported field with a wrong verb, say) shows an address and no key.
	private func() ed25519.PrivateKey
}

func newKey(role Role, private ed25519.PrivateKey) *Key {
	return &Key{role, func() ed25519.PrivateKey { return private }}
}

// Generate makes a new key.
func Generate(role Role) (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a %s key: %w", role, err)
	}
	return newKey(role, private), nil
}

// KeyFromSeed is the key of a 32-byte seed; for test vectors.
func KeyFromSeed(role Role, seed [32]byte) *Key {
	return newKey(role, ed25519.NewKeyFromSeed(seed[:]))
}

// Public is the public half.
func (k *Key) Public() PublicKey { return PublicKey(k.private().Public().(ed25519.PublicKey)) }

// ID is the name of the public half.
func (k *Key) ID() KeyID { return k.Public().ID() }

// Role is what the key may be used for.
func (k *Key) Role() Role { return k.role }

// String shows the public half only.
func (k *Key) String() string { return fmt.Sprintf("%s key %s", k.role, k.ID()) }

// Format shows the public half only, whatever the verb and whether the key or a
// pointer to it is printed.
func (k Key) Format(s fmt.State, _ rune) {
	if k.private == nil {
		_, _ = io.WriteString(s, "no key")
		return
	}
	_, _ = io.WriteString(s, k.String())
}

// Sign signs body as a message of type t in federation f.
func (k *Key) Sign(t Type, f FederationID, body []byte) Signature {
	return Signature{Algorithm: AlgorithmEd25519, Key: k.ID(), Value: ed25519.Sign(k.private(), signed(t, f, body))}
}

// Certificate is a self-signed certificate of a node key for mutual TLS. Only
// its key means anything: peers look the key up in the registry and ignore
// names and dates.
func (k *Key) Certificate() (tls.Certificate, error) {
	if k.role != RoleNode {
		return tls.Certificate{}, fmt.Errorf("a %s key cannot prove a connection; use the node key", k.role)
	}
	id := k.Public().NodeID()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: id.String()},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 §4.1.2.5: no expiry
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.private().Public(), k.private())
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the node's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k.private()}, nil
}

// KeyOfCertificate is the Ed25519 key of a certificate in DER form.
func KeyOfCertificate(der []byte) (PublicKey, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: certificate: %v", ErrMalformed, err)
	}
	pub, ok := cert.PublicKey.(ed25519.PublicKey)
	if !ok {
		return PublicKey{}, fmt.Errorf("%w: a certificate with a %s key; only Ed25519 is spoken", ErrMalformed, cert.PublicKeyAlgorithm)
	}
	return PublicKey(pub), nil
}

const pemKey = "WAYMARK PRIVATE KEY"

// Save writes the key to a new file that only its owner can read. It never
// overwrites: [ErrKeyExists].
func (k *Key) Save(path string) error { return saveKey(path, k.role, k.private().Seed()) }

// LoadKey reads what Save wrote and checks that the key has the role.
func LoadKey(path string, role Role) (*Key, error) {
	seed, err := loadKey(path, role, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return newKey(role, ed25519.NewKeyFromSeed(seed)), nil
}

func saveKey(path string, role Role, secret []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrKeyExists, path)
	}
	if err != nil {
		return fmt.Errorf("save the %s key: %w", role, err)
	}
	err = pem.Encode(f, &pem.Block{Type: pemKey, Headers: map[string]string{"Role": string(role)}, Bytes: secret})
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("save the %s key: %w", role, err)
	}
	return syncDir(filepath.Dir(path))
}

func loadKey(path string, role Role, size int) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the %s key: %w", role, err)
	}
	if info.Size() > 4096 {
		return nil, fmt.Errorf("%w: %s is too large", ErrKeyFile, path)
	}
	if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" { // there the folder's access list guards it
		return nil, fmt.Errorf("%w: others can read %s; make it private with: chmod 600 %s", ErrKeyFile, path, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the %s key: %w", role, err)
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != pemKey || len(block.Bytes) != size {
		return nil, fmt.Errorf("%w: %s", ErrKeyFile, path)
	}
	if got := Role(block.Headers["Role"]); got != role {
		return nil, fmt.Errorf("%w: %s holds a key for %q, wanted one for %q", ErrKeyFile, path, got, role)
	}
	return block.Bytes, nil
}

// syncDir makes a new name in dir durable. Windows has no such call and needs
// none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("make %s durable: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("make %s durable: %w", dir, err)
	}
	return nil
}
