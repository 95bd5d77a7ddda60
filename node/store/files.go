package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/klauspost/compress/snappy"
)

// checkFiles looks at the files before Badger does, which trusts some of them and
// drops what others no longer say. It tells what is odd: then every feed is to
// be checked. Damage for which there is no help is [ErrDamaged].
//
// Only tables that the manifest lists count. A process that is killed while it
// writes a table leaves a part of one, which Badger removes: what it was to hold
// is still in the log.
func checkFiles(o badger.Options) (odd string, err error) {
	if err := checkManifest(o.Dir); err != nil {
		return "", err
	}
	if o.InMemory {
		return "", nil
	}
	if err := mendHeaders(o.Dir); err != nil {
		return "", fmt.Errorf("mend the node's data in %s: %w", o.Dir, err)
	}
	f, err := os.Open(filepath.Join(o.Dir, badger.ManifestFilename))
	if err != nil {
		return "", nil // a new directory, or one of which Badger tells what is wrong
	}
	defer f.Close()
	manifest, whole, err := badger.ReplayManifestFile(f, 0, o)
	if err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n")
		return "", damaged(o.Dir, fmt.Errorf("%s: %s", badger.ManifestFilename, line))
	}
	if info, err := f.Stat(); err == nil && info.Size() != whole {
		return "", damaged(o.Dir, fmt.Errorf("%s ends in the middle of an entry", badger.ManifestFilename))
	}
	for id, t := range manifest.Tables {
		path := table.NewFilename(id, o.Dir)
		_, err := checkTable(path, t.Compression)
		if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) { // of those Badger tells
			return "", damaged(o.Dir, fmt.Errorf("%s: %w", filepath.Base(path), err))
		}
	}
	logs, err := readLogs(o.Dir)
	if err != nil {
		return "", nil // Badger tells
	}
	if err := checkUnlisted(o, manifest, logs); err != nil {
		return "", damaged(o.Dir, err)
	}
	for _, l := range logs {
		if l.rest {
			return fmt.Sprintf("%s goes on after its last whole entry", l.name), nil
		}
	}
	return "", nil
}

// keyRegistry is the file that names Badger's keys for encryption: 16 bytes that
// mean nothing without one, and a text to try keys on. Here there are no keys.
const (
	keyRegistry     = "KEYREGISTRY"
	keyRegistryText = "Hello Badger"
)

// mendHeaders puts right what Badger would refuse to open although it holds
// nothing of ours: the registry of encryption keys, the names of such keys at the
// start of logs and value logs, and value logs that are empty.
func mendHeaders(dir string) error {
	path := filepath.Join(dir, keyRegistry)
	b, err := os.ReadFile(path)
	if err == nil && (len(b) != 16+len(keyRegistryText) || string(b[16:]) != keyRegistryText) {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, class := range []string{"*.mem", "*.vlog"} {
		paths, err := filepath.Glob(filepath.Join(dir, class))
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := mendHeader(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func mendHeader(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var none, named [8]byte
	n, err := f.ReadAt(named[:], 0)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case n == 0 && filepath.Ext(path) == ".vlog":
		return os.Remove(path)
	case n < len(named) || named == none:
		return nil
	}
	_, err = f.WriteAt(none[:], 0)
	return err
}

// maxBlock is how large a block of a table may be, in bytes: several times the
// largest entry.
const maxBlock = 8 << 20

// checkTable reads a table from end to end and checks every sum in it, as Badger
// would; but Badger trusts lengths on its way, and ends the process over wrong
// ones in a goroutine that nothing can catch. It returns the highest version in
// the table. From its end a table reads: length of the checksum (4 bytes),
// checksum, length of the index (4 bytes), index, blocks.
func checkTable(path string, packing options.CompressionType) (version uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	left := info.Size()
	sum, left, err := tail(f, left, "checksum")
	if err != nil {
		return 0, err
	}
	index, left, err := tail(f, left, "index")
	if err != nil {
		return 0, err
	}
	if err := checkSum(index, sum); err != nil {
		return 0, fmt.Errorf("index: %w", err)
	}
	defer func() {
		if recover() != nil { // the sum is right, and it is no index
			err = errors.New("the index cannot be read")
		}
	}()
	in := fb.GetRootAsTableIndex(index, 0)
	var packed, plain []byte
	for i := range in.OffsetsLength() {
		var at fb.BlockOffset
		if !in.Offsets(&at, i) || int64(at.Offset())+int64(at.Len()) > left {
			return 0, fmt.Errorf("block %d lies outside", i)
		}
		packed = slices.Grow(packed[:0], int(at.Len()))[:at.Len()]
		if _, err := f.ReadAt(packed, int64(at.Offset())); err != nil {
			return 0, err
		}
		block := packed
		if packing == options.Snappy {
			if n, err := snappy.DecodedLen(packed); err != nil || n > maxBlock {
				return 0, fmt.Errorf("block %d cannot be unpacked", i)
			}
			if plain, err = snappy.Decode(plain[:cap(plain)], packed); err != nil {
				return 0, fmt.Errorf("block %d: %w", i, err)
			}
			block = plain
		}
		if err := checkBlock(block); err != nil {
			return 0, fmt.Errorf("block %d: %w", i, err)
		}
	}
	return in.MaxVersion(), nil
}

// tail reads what stands before end, with its length behind it, and where it
// begins.
func tail(f *os.File, end int64, what string) (b []byte, start int64, err error) {
	var length [4]byte
	if end -= 4; end < 0 {
		return nil, 0, fmt.Errorf("the table is cut short before its %s", what)
	}
	if _, err := f.ReadAt(length[:], end); err != nil {
		return nil, 0, err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if n == 0 || n > end {
		return nil, 0, fmt.Errorf("the table has no room for its %s", what)
	}
	b = make([]byte, n)
	_, err = f.ReadAt(b, end-n)
	return b, end - n, err
}

// checkBlock checks a block: entries, their places, their number (4 bytes),
// checksum, its length (4 bytes).
func checkBlock(b []byte) error {
	end := len(b) - 4
	if end < 0 {
		return errors.New("cut short")
	}
	n := int(binary.BigEndian.Uint32(b[end:]))
	if n > end-4 {
		return errors.New("no room for its checksum")
	}
	data := b[:end-n]
	if err := checkSum(data, b[end-n:end]); err != nil {
		return err
	}
	if count := binary.BigEndian.Uint32(data[len(data)-4:]); int64(count)*4 > int64(len(data)-4) {
		return errors.New("no room for its entries")
	}
	return nil
}

// checkSum compares data with its checksum, a protocol buffer {1: algorithm, 2:
// sum}. Badger uses the algorithm 0, CRC-32C, and leaves zeros out.
func checkSum(data, sum []byte) error {
	var want uint64
	if len(sum) > 0 {
		v, n := binary.Uvarint(sum[1:])
		if sum[0] != 2<<3 || n != len(sum)-1 {
			return errors.New("the checksum cannot be read")
		}
		want = v
	}
	if uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))) != want {
		return errors.New("the checksum is wrong")
	}
	return nil
}

// checkManifest refuses tables without the list of them: Badger would take the
// database for a new one and delete them all.
func checkManifest(dir string) error {
	if dir == "" || hasData(dir) {
		return nil
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err == nil && len(tables) > 0 {
		err = damaged(dir, fmt.Errorf("the file MANIFEST is gone and %d tables are there", len(tables)))
	}
	return err
}
