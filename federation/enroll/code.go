package enroll

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// sumSize is how many bytes of a checksum over all groups end a code.
const sumSize = 2

const (
	flagDemo = 0x80 // in the first byte, beside the version

	hostIPv4 = 0x04
	hostIPv6 = 0x06
	hostName = 0x80 // with its length below, up to 127
)

// Code is the invitation as a code, of about thirty groups. It holds the first
// contact; the rest of the terms comes from there.
func (i *Invitation) Code() (string, error) {
	b := []byte{Version}
	if i.Demo {
		b[0] |= flagDemo
	}
	b = append(b, i.Country...)
	b = append(b, i.Federation[:]...)
	b = append(b, i.Contacts[0].Node[:]...)
	b = append(b, i.Secret[:]...)
	b = append(b, i.digest[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(i.Expires))
	e, err := registry.ParseEndpoint(i.Contacts[0].Endpoint)
	if err != nil {
		return "", fmt.Errorf("write the code: %w", err)
	}
	b = binary.BigEndian.AppendUint16(b, e.Port)
	switch addr, err := netip.ParseAddr(e.Host); {
	case err == nil && addr.Is4():
		b = append(append(b, hostIPv4), addr.AsSlice()...)
	case err == nil && addr.Zone() == "":
		b = append(append(b, hostIPv6), addr.AsSlice()...)
	case len(e.Host) < hostName:
		b = append(append(b, hostName|byte(len(e.Host))), e.Host...)
	default:
		return "", fmt.Errorf("write the code: the address %s is too long for it; use the file", e.Host)
	}
	sum := sha256.Sum256(b)
	return identity.EncodeGroups(append(b, sum[:sumSize]...)), nil
}

func parseCode(text string) (*Invitation, error) {
	b, err := identity.DecodeGroups(text)
	switch {
	case errors.Is(err, identity.ErrNoGroups):
		return nil, Refuse(NoInvitation, "it is neither a file nor a code in groups")
	case err != nil:
		return nil, Refuse(Typo, strings.TrimPrefix(err.Error(), identity.ErrTypo.Error()+": "))
	}
	damaged := Refuse(Typo, "every group fits, and all of them together do not; two groups may be exchanged, or the end be missing")
	const fixed = 1 + 2 + 16 + 16 + secretSize + 8 + 4 + 2 + 1
	if len(b) < fixed+sumSize {
		return nil, Refuse(NoInvitation, "it is too short for a code")
	}
	// Fewer than eight bits are left over in the last group; they make at most
	// two whole bytes, which are zero.
	body, ok := trimmed(b)
	if !ok {
		return nil, damaged
	}
	if v := body[0] &^ flagDemo; v != Version {
		return nil, otherVersion("the code", uint64(v))
	}
	i := &Invitation{}
	i.Version, i.Demo = Version, body[0]&flagDemo != 0
	i.Country = string(body[1:3])
	rest := body[3:]
	var node [16]byte
	for _, part := range [][]byte{i.Federation[:], node[:], i.Secret[:], i.digest[:]} {
		rest = rest[copy(part, rest):]
	}
	i.Expires = int64(binary.BigEndian.Uint32(rest))
	port := binary.BigEndian.Uint16(rest[4:])
	host, ok := parseHost(rest[6:])
	endpoint := registry.Endpoint{Kind: "tcp", Host: host, Port: port}
	if _, err := registry.ParseEndpoint(endpoint.String()); !ok || err != nil || !registry.ValidCountry(i.Country) {
		return nil, damaged
	}
	i.Contacts = []Contact{{endpoint.String(), node}}
	i.SecretHash = registry.HashSecret(i.Secret[:])
	return i, nil
}

// trimmed is the part of b that its last bytes are the checksum of: the code
// does not say how long it is, its last group is filled up with zeros.
func trimmed(b []byte) ([]byte, bool) {
	for cut := range 3 {
		n := len(b) - cut - sumSize
		if n < 1 || strings.Trim(string(b[len(b)-cut:]), "\x00") != "" {
			break
		}
		if sum := sha256.Sum256(b[:n]); string(sum[:sumSize]) == string(b[n:n+sumSize]) {
			return b[:n], wellFormed(b[:n])
		}
	}
	return nil, false
}

// wellFormed reports whether the host at the end is exactly as long as it says.
func wellFormed(b []byte) bool {
	const before = 1 + 2 + 16 + 16 + secretSize + 8 + 4 + 2
	if len(b) <= before {
		return false
	}
	_, ok := parseHost(b[before:])
	return ok
}

func parseHost(b []byte) (string, bool) {
	switch kind := b[0]; {
	case kind == hostIPv4 && len(b) == 5, kind == hostIPv6 && len(b) == 17:
		addr, ok := netip.AddrFromSlice(b[1:])
		return addr.String(), ok
	case kind&hostName != 0 && len(b) == 1+int(kind&^hostName):
		return string(b[1:]), true
	}
	return "", false
}
