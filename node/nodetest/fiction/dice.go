package fiction

import "encoding/hex"

// dice is a stream of numbers that is the same on every machine and with every
// version of Go: splitmix64 (Steele, Lea and Flood, 2014).
type dice struct{ state uint64 }

// golden is the odd number nearest to 2^64 divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// newDice starts the stream of one thing, named by its kind and number. For one
// seed and kind different numbers give different first values.
func newDice(seed uint64, kind string, number int) *dice {
	h := uint64(0xcbf29ce484222325) // FNV-1a
	for _, b := range []byte(kind) {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	return &dice{state: mix(seed^mix(h)) + mix(uint64(number)+1)}
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (d *dice) next() uint64 {
	d.state += golden
	return mix(d.state)
}

// below returns a number from 0 to n-1.
func (d *dice) below(n int) int { return int(d.next() >> 33 % uint64(n)) }

// percent is true in p of 100 cases.
func (d *dice) percent(p int) bool { return d.below(100) < p }

// uuid returns an id in the form of a random UUID (RFC 9562, version 4).
func (d *dice) uuid() string {
	var b [16]byte
	for i, half := range [2]uint64{d.next(), d.next()} {
		for j := range 8 {
			b[8*i+j] = byte(half >> (56 - 8*j))
		}
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var text [36]byte
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:36], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// numbered returns the id of one thing, named by its kind and number.
func numbered(seed uint64, kind string, number int) string {
	return newDice(seed, kind, number).uuid()
}
