package enroll

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"github.com/2ps-project/waymark/federation/registry"
)

// The code is what fits on a sheet and through a telephone: base32 in the
// alphabet of Crockford, without letters that look alike, in groups of four
// characters and a check character of their own. The check sees every single
// wrong character and every two exchanged in a group, and groups in the wrong
// order.
const (
	alphabet  = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	groupData = 4
	groupSize = groupData + 1
	maxCode   = 512 // bytes
	sumSize   = 2
)

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
	return encodeGroups(append(b, sum[:sumSize]...)), nil
}

func parseCode(text string) (*Invitation, error) {
	b, err := decodeGroups(text)
	if err != nil {
		return nil, err
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
		return nil, Refuse(TooOld, fmt.Sprintf("the code is of version %d, this program knows %d", v, Version))
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

func encodeGroups(b []byte) string {
	var out strings.Builder
	var group [groupData]byte
	filled, acc, bits, index := 0, uint(0), 0, 0
	put := func(v byte) {
		group[filled] = v
		if filled++; filled < groupData {
			return
		}
		if index > 0 {
			out.WriteByte('-')
		}
		for _, v := range group {
			out.WriteByte(alphabet[v])
		}
		out.WriteByte(alphabet[check(group, index)])
		filled = 0
		index++
	}
	for _, c := range b {
		acc, bits = acc<<8|uint(c), bits+8
		for bits >= 5 {
			bits -= 5
			put(byte(acc>>bits) & 31)
		}
	}
	if bits > 0 {
		put(byte(acc<<(5-bits)) & 31)
	}
	for filled > 0 {
		put(0)
	}
	return out.String()
}

// decodeGroups reads what encodeGroups writes, however it is spaced and in
// either case. It names the first group that is wrong.
func decodeGroups(text string) ([]byte, error) {
	if len(text) > 4*maxCode {
		return nil, Refuse(NoInvitation, "it is too long for a code")
	}
	groups := strings.FieldsFunc(text, func(r rune) bool { return r == '-' || r == '–' || unicode.IsSpace(r) })
	if len(groups) == 1 && len(groups[0]) > groupSize { // typed without spaces
		s := groups[0]
		groups = groups[:0]
		for len(s) > 0 {
			n := min(groupSize, len(s))
			groups, s = append(groups, s[:n]), s[n:]
		}
	}
	if len(groups) < 2 {
		return nil, Refuse(NoInvitation, "it is neither a file nor a code in groups")
	}
	var out []byte
	acc, bits := uint(0), 0
	for index, g := range groups {
		if len(g) != groupSize {
			return nil, Refuse(Typo, fmt.Sprintf("group %d, %q, has %d characters instead of %d", index+1, g, len(g), groupSize))
		}
		var v [groupSize]byte
		for j := range v {
			n, ok := value(g[j])
			if !ok {
				return nil, Refuse(Typo, fmt.Sprintf("group %d, %q, contains %q, which no code does", index+1, g, g[j]))
			}
			v[j] = n
		}
		data := [groupData]byte(v[:groupData])
		if v[groupData] != check(data, index) {
			return nil, Refuse(Typo, fmt.Sprintf("group %d, %q, is mistyped or in the wrong place", index+1, g))
		}
		for _, n := range data {
			acc, bits = acc<<5|uint(n), bits+5
			if bits >= 8 {
				bits -= 8
				out = append(out, byte(acc>>bits))
			}
		}
	}
	return out, nil
}

// value is the number that a character stands for. Letters that are taken for
// figures count as these.
func value(c byte) (byte, bool) {
	switch {
	case c >= 'a' && c <= 'z':
		c -= 'a' - 'A'
	}
	switch c {
	case 'O':
		c = '0'
	case 'I', 'L':
		c = '1'
	}
	n := strings.IndexByte(alphabet, c)
	return byte(n), n >= 0
}

// check is the check character of a group: its characters and its place, each
// times another number of the field of 32 elements. Changing one character, or
// exchanging two, always changes it.
func check(group [groupData]byte, index int) byte {
	sum := multiply(byte(index%31+1), 1)
	factor := byte(2)
	for _, v := range group {
		sum ^= multiply(v, factor)
		factor = multiply(factor, 2)
	}
	return sum
}

// multiply in GF(2^5), modulo x^5 + x^2 + 1.
func multiply(a, b byte) byte {
	var out byte
	for b > 0 {
		if b&1 != 0 {
			out ^= a
		}
		if a <<= 1; a&0x20 != 0 {
			a ^= 0x25
		}
		b >>= 1
	}
	return out & 31
}
