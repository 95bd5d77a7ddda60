package identity

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Errors of codes in groups.
var (
	ErrNoGroups = errors.New("not a code in groups")
	ErrTypo     = errors.New("mistyped")
)

const (
	alphabet  = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	groupData = 4
	groupSize = groupData + 1
	maxGroups = 512 // bytes
)

// EncodeGroups writes bytes for a sheet of paper or a telephone: base32 in the
// alphabet of Crockford, without letters that look alike, in groups of four
// characters and a check character of their own. The check sees every single
// wrong character, every two exchanged in a group, and groups in the wrong
// order. Up to two bytes of zeros may fill up the end.
func EncodeGroups(b []byte) string {
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

// DecodeGroups reads what EncodeGroups writes, however it is spaced and in
// either case. It fails with [ErrNoGroups], or with [ErrTypo] naming the first
// group that is wrong.
func DecodeGroups(text string) ([]byte, error) {
	if len(text) > 4*maxGroups {
		return nil, ErrNoGroups
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
		return nil, ErrNoGroups
	}
	var out []byte
	acc, bits := uint(0), 0
	for index, g := range groups {
		if len(g) != groupSize {
			return nil, fmt.Errorf("%w: group %d, %q, has %d characters instead of %d", ErrTypo, index+1, g, len(g), groupSize)
		}
		var v [groupSize]byte
		for j := range v {
			n, ok := value(g[j])
			if !ok {
				return nil, fmt.Errorf("%w: group %d, %q, contains %q, which no code does", ErrTypo, index+1, g, g[j])
			}
			v[j] = n
		}
		data := [groupData]byte(v[:groupData])
		if v[groupData] != check(data, index) {
			return nil, fmt.Errorf("%w: group %d, %q, is mistyped or in the wrong place", ErrTypo, index+1, g)
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
