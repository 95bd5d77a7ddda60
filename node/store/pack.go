package store

import (
	_ "embed"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/klauspost/compress/zstd"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// dictionary is what packed values are packed against: the field names, codes and
// shapes of listings as JSON and as records hold them, and no text of anybody's.
// Records and documents are small and alike, so that it is worth a third of what
// they take. Values name it by dictionaryID; TestDictionary says how it was made
// and that it never changes.
//
//go:embed dictionary1
var dictionary []byte

const dictionaryID = 1

// packed is the user meta of an entry whose value is one zstd frame.
const packed = 1

// Values under packFrom bytes are not worth packing. No value is larger than
// packMax when it is unpacked.
const (
	packFrom = 256
	packMax  = 2 << 20
)

// codec packs values, one by one, so that reading one costs no more than that.
// It belongs to a store, since its channels must not cross between federations in
// virtual time.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec() (c codec, err error) {
	n := min(runtime.GOMAXPROCS(0), 4)
	c.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderDictRaw(dictionaryID, dictionary),
		zstd.WithEncoderConcurrency(n), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return c, err
	}
	c.dec, err = zstd.NewReader(nil, zstd.WithDecoderDictRaw(dictionaryID, dictionary),
		zstd.WithDecoderConcurrency(n), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(packMax))
	return c, err
}

// errPacked is returned for a value that cannot be unpacked.
var errPacked = fmt.Errorf("%w: a value cannot be unpacked", ErrDamaged)

// stored is a key with its value as it goes to the disk.
type stored struct {
	key, value []byte
	meta       byte
}

// set is a transaction's write of it. An entry belongs to one transaction, and
// may be written by several when the first ones meet others.
func (v stored) set(txn *badger.Txn) error {
	return txn.SetEntry(badger.NewEntry(v.key, v.value).WithMeta(v.meta))
}

// entry packs a value if that makes it an eighth smaller.
func (c codec) entry(k, v []byte) stored {
	if len(v) >= packFrom {
		if small := c.enc.EncodeAll(v, make([]byte, 0, len(v)/2)); len(small) < len(v)-len(v)/8 {
			return stored{k, small, packed}
		}
	}
	return stored{k, v, 0}
}

// packedRecords are the records of items, in their order; one without a key where
// an item has none.
type packedRecords []stored

func (s *Store) packRecords(o identity.OriginID, items []feed.Item) packedRecords {
	out := make(packedRecords, len(items))
	var wait sync.WaitGroup
	for from := 0; from < len(items); from += packChunk {
		wait.Go(func() {
			for i := from; i < min(from+packChunk, len(items)); i++ {
				if c := items[i].Change(); c.Live() {
					out[i] = s.pack.entry(recordKey(o, c), items[i].Raw())
				}
			}
		})
	}
	wait.Wait()
	return out
}

// packChunk is how many records are packed by one goroutine.
const packChunk = 125

func (p packedRecords) put(txn *badger.Txn, i int) error {
	if p[i].key == nil {
		return nil
	}
	return p[i].set(txn)
}

func (p packedRecords) size(i int) int { return len(p[i].value) }

// value is a copy of an item's value as it was given. What cannot be unpacked is
// [ErrDamaged].
func (c codec) value(item *badger.Item) (v []byte, err error) {
	switch item.UserMeta() {
	case 0:
		return item.ValueCopy(nil)
	case packed:
	default:
		return nil, errPacked
	}
	err = item.Value(func(b []byte) error {
		if v, err = c.dec.DecodeAll(b, nil); err != nil {
			err = fmt.Errorf("%w: %v", errPacked, err)
		}
		return err
	})
	return v, err
}

// read is a copy of the value of a key as it was given; nil when there is none.
func (c codec) read(txn *badger.Txn, k []byte) ([]byte, error) {
	item, err := find(txn, k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return c.value(item)
}
