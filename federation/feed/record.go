// Package feed is a country's published records: numbered by one writer,
// summarised by a signed head, verified whole before anything of them is used.
//
// [Verify] and [Publish] are the only makers of a [Verified], and a Verified is
// the only thing that a store takes: an unchecked record cannot get in.
package feed

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// Limits of a record.
const (
	MaxRecord = 64 << 10 // bytes of an encoded record
	maxType   = 32       // bytes of a record's type
)

// Errors of records and changes.
var (
	ErrTooLarge = errors.New("larger than allowed")
	ErrMismatch = errors.New("does not match its hash")
)

// Key names a record within its feed. For a listing it is the listing's id.
type Key [16]byte

// String is the key in lower-case hexadecimal.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// UnmarshalBinary takes exactly the bytes of a key.
func (k *Key) UnmarshalBinary(b []byte) error {
	if len(b) != len(k) {
		return fmt.Errorf("%w: a record key of %d bytes", identity.ErrMalformed, len(b))
	}
	copy(k[:], b)
	return nil
}

// Bucket is the bucket of the state root that the key falls into: the first ten
// bits of its SHA-256.
func (k Key) Bucket() int {
	sum := sha256.Sum256(k[:])
	return int(sum[0])<<2 | int(sum[1])>>6
}

// Record is one published thing. Its body is opaque here.
type Record struct {
	Version  uint8    `cbor:"1,keyasint"`
	Key      Key      `cbor:"2,keyasint"`
	Type     string   `cbor:"3,keyasint"` // "listing", "sheet", …; unknown types are kept and not shown
	Revision uint64   `cbor:"4,keyasint"` // rises with every change of this record, from 1
	Modified Day      `cbor:"5,keyasint"` // never finer than a day: a feed does not tell who works at night
	Nonce    [16]byte `cbor:"6,keyasint"` // makes the hash of an erased record meaningless
	Body     []byte   `cbor:"7,keyasint"`
	Must     []string `cbor:"8,keyasint,omitempty"` // fields of the body that a reader must understand
}

// Day counts days since 1970-01-01 UTC.
type Day int32

// DayOf is the UTC day of t.
func DayOf(t time.Time) Day { return Day(t.Unix() / 86400) }

// Time is the start of the day in UTC.
func (d Day) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// NewRecord makes the first or next revision of a record with a fresh nonce.
func NewRecord(key Key, kind string, revision uint64, modified Day, body []byte) Record {
	r := Record{Version: 1, Key: key, Type: kind, Revision: revision, Modified: modified, Body: body}
	rand.Read(r.Nonce[:])
	return r
}

// Encode is the record as bytes, or [ErrTooLarge].
func (r Record) Encode() ([]byte, error) {
	b, err := identity.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record %s: %w", r.Key, err)
	}
	if len(b) > MaxRecord {
		return nil, fmt.Errorf("record %s: %w: %d bytes, at most %d", r.Key, ErrTooLarge, len(b), MaxRecord)
	}
	return b, nil
}

// ParseRecord reads what Encode writes.
func ParseRecord(b []byte) (Record, error) {
	if len(b) > MaxRecord {
		return Record{}, fmt.Errorf("record: %w: %d bytes, at most %d", ErrTooLarge, len(b), MaxRecord)
	}
	var r Record
	if err := identity.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("record: %w", err)
	}
	switch {
	case r.Version == 0:
		return Record{}, fmt.Errorf("record %s: %w: no version", r.Key, identity.ErrMalformed)
	case r.Type == "" || len(r.Type) > maxType:
		return Record{}, fmt.Errorf("record %s: %w: type of %d bytes", r.Key, identity.ErrMalformed, len(r.Type))
	}
	return r, nil
}

// HashRecord is the content address of an encoded record.
func HashRecord(b []byte) identity.Hash { return identity.Sum(0x10, b) }
