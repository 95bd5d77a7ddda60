package feed

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/2ps-project/waymark/federation/identity"
)

// Buckets is the number of leaves of the state root.
const Buckets = 1024

// MaxBucket is the number of live records that one bucket may hold.
const MaxBucket = 4096

// Leaves are the hashes of the buckets. The zero value is not a feed's state;
// start from [EmptyLeaves].
type Leaves [Buckets]identity.Hash

var emptyLeaves = func() (l Leaves) {
	for q := range l {
		l[q] = BucketHash(q, nil)
	}
	return l
}()

// EmptyLeaves are the leaves of a feed without records.
func EmptyLeaves() *Leaves {
	l := emptyLeaves
	return &l
}

// BucketHash is the leaf of bucket q: SHA-256(0x00 ‖ q as two bytes ‖ for each
// live entry, keys ascending: key ‖ seq as eight bytes ‖ record hash). It
// depends on what is there, never on how it came to be there.
func BucketHash(q int, entries []Change) identity.Hash {
	h := sha256.New()
	var buf [16 + 8 + 32]byte
	buf[0] = 0x00
	binary.BigEndian.PutUint16(buf[1:], uint16(q))
	h.Write(buf[:3])
	for _, e := range entries {
		if !e.Live() {
			continue
		}
		copy(buf[:16], e.Key[:])
		binary.BigEndian.PutUint64(buf[16:], e.Seq)
		copy(buf[24:], e.Hash[:])
		h.Write(buf[:])
	}
	var out identity.Hash
	h.Sum(out[:0])
	return out
}

// Root is the top of the binary tree over the leaves: SHA-256(0x01 ‖ left ‖
// right) at every inner node.
func (l *Leaves) Root() identity.Hash {
	level := *l
	var buf [1 + 64]byte
	buf[0] = 0x01
	for n := Buckets / 2; n > 0; n /= 2 {
		for i := range n {
			copy(buf[1:], level[2*i][:])
			copy(buf[33:], level[2*i+1][:])
			level[i] = sha256.Sum256(buf[:])
		}
	}
	return level[0]
}
