package store

import (
	"encoding/binary"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// The whole key layout. O is an origin id (16 bytes), K a record key (16),
// q a bucket (2), numbers are big-endian so that keys sort by them. Values are
// CBOR unless said otherwise; packed ones say so in their user meta, see codec. A new layout raises [Format]; Open brings an older
// one up to it.
//
//	m              format version, decimal text
//	h O            feedState: the head that is visible, and what is being folded in
//	H O n8         head envelope as signed, for serving the chain
//	B O            newest beat, envelope as signed
//	b O q          hash of bucket q under the visible head, 32 bytes
//	e O q K        entry: the latest change of K (seq, op, hash, size), dead ones too
//	f O seq8 K     the same change again in order of seq; one byte, the op
//	r O K h16      record as signed, packed, under the first half of its hash: what is
//	               staged can never take the place of what is visible; only the one
//	               that e names is visible
//	s O run8 q K   entry being staged; its record already stands under r
//	u O q K epoch8 seq8  undo: what the change number seq replaced; its record stays under r
//	i K            whose listing has this bare id: O, and K of the record
//	d K            the owner's own document, packed: drafts and private parts; never
//	               leaves the node
//	p K            fingerprint of the own document that was published last, 32 bytes
//	g seq8         registry entry number seq as signed
//	x name 0 key   what another package keeps in its drawer, as it gave it
//	R id16         a reader's report, sealed to its country; never in a backup
//	c              how often the owner's documents and drawers were written, 8 bytes
//	E              day of the first erasure since the files were compacted, 8 bytes
//	z              nothing; dropped at once, see compact
const (
	prefixFormat  = 'm'
	prefixState   = 'h'
	prefixHeads   = 'H'
	prefixBeat    = 'B'
	prefixBucket  = 'b'
	prefixEntry   = 'e'
	prefixFeed    = 'f'
	prefixRecord  = 'r'
	prefixStaging = 's'
	prefixUndo    = 'u'
	prefixID      = 'i'
	prefixOwn     = 'd'
	prefixShown   = 'p'
	prefixChain   = 'g'
	prefixDrawer  = 'x'
	prefixReport  = 'R'
	prefixCounter = 'c'
	prefixErased  = 'E'
	prefixScratch = 'z'
)

// Format is the version of the layout that this program reads and writes.
const Format = 3

// key joins a prefix and parts: ids, hashes (half), numbers (uint64), buckets (int).
func key(prefix byte, parts ...any) []byte {
	k := make([]byte, 1, 64)
	k[0] = prefix
	for _, p := range parts {
		switch p := p.(type) {
		case identity.OriginID:
			k = append(k, p[:]...)
		case feed.Key:
			k = append(k, p[:]...)
		case identity.Hash:
			k = append(k, p[:16]...)
		case uint64:
			k = binary.BigEndian.AppendUint64(k, p)
		case int:
			k = binary.BigEndian.AppendUint16(k, uint16(p))
		default:
			panic("store: a key part of unknown type")
		}
	}
	return k
}

func entryKey(o identity.OriginID, k feed.Key) []byte { return key(prefixEntry, o, k.Bucket(), k) }

func stagingKey(o identity.OriginID, run uint64, k feed.Key) []byte {
	return key(prefixStaging, o, run, k.Bucket(), k)
}

func recordKey(o identity.OriginID, c feed.Change) []byte {
	return key(prefixRecord, o, c.Key, c.Hash)
}
