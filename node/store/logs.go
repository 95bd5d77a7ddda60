package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// Badger's log of a memory table (memtable.go and structs.go of v4.9): a header
// of 20 bytes, then entries {meta, user meta, lengths of key and value, expiry,
// key, value, CRC-32C}. Entries of a transaction carry one bit, its end another
// and the version as text. Behind the last entry there are zeros.
const (
	logHeader    = 20
	logInTxn     = 1 << 6
	logEndTxn    = 1 << 7
	maxLogKey    = 1 << 16
	maxLogLength = 64 << 20
)

// logFile is what a log holds.
type logFile struct {
	name     string
	min, max uint64 // versions of its whole transactions; 0 when there is none
	rest     bool   // something stands behind the last of them
}

// readLogs reads the logs that a killed process left. One that is empty holds
// nothing and would keep Badger from opening: it is removed.
func readLogs(dir string) (out []logFile, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if info.Size() == 0 {
			if err := os.Remove(path); err != nil {
				return nil, err
			}
			out = append(out, logFile{name: filepath.Base(path), rest: true})
			continue
		}
		if info.Size() > maxLogLength {
			return nil, fmt.Errorf("%s: %d bytes", path, info.Size())
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		l := readLog(b)
		l.name = filepath.Base(path)
		out = append(out, l)
	}
	return out, nil
}

// readLog follows the entries as Badger will, up to the last whole transaction.
func readLog(b []byte) (l logFile) {
	if len(b) < logHeader {
		l.rest = true
		return l
	}
	whole, at, open := logHeader, logHeader, uint64(0)
	for {
		meta, k, v, n := readLogEntry(b[at:])
		if n == 0 {
			break
		}
		at += n
		switch version := parseVersion(k); {
		case meta&logInTxn != 0 && (open == 0 || open == version):
			open = version
			continue
		case meta&logEndTxn != 0 && string(v) == strconv.FormatUint(open, 10):
			if l.min == 0 {
				l.min = open
			}
			l.max, open = max(l.max, open), 0
			whole = at
			continue
		}
		break
	}
	l.rest = len(bytes.TrimLeft(b[whole:], "\x00")) > 0
	return l
}

func parseVersion(k []byte) uint64 {
	if len(k) < 8 {
		return 0
	}
	return y.ParseTs(k)
}

// readLogEntry reads one entry; n is 0 when there is no whole one.
func readLogEntry(b []byte) (meta byte, k, v []byte, n int) {
	if len(b) < 2 {
		return
	}
	at := 2
	var lengths [3]uint64 // of key and value, and the expiry
	for i := range lengths {
		x, size := binary.Uvarint(b[at:])
		if size <= 0 {
			return
		}
		lengths[i], at = x, at+size
	}
	if lengths[0] == 0 || lengths[0] > maxLogKey || lengths[1] > uint64(len(b)) {
		return
	}
	end := at + int(lengths[0]+lengths[1])
	if end+4 > len(b) || crc32.Checksum(b[:end], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(b[end:]) {
		return
	}
	k = b[at : at+int(lengths[0])]
	return b[0], k, b[at+len(k) : end], end + 4
}

// checkUnlisted finds tables that hold what nothing else does although the
// manifest does not list them: it was cut short. Badger would remove them. A
// process that is killed also leaves tables that are not listed; what stands in
// those is still in a log, or in the tables that they were made of.
func checkUnlisted(o badger.Options, manifest badger.Manifest, logs []logFile) error {
	paths, err := filepath.Glob(filepath.Join(o.Dir, "*.sst"))
	if err != nil {
		return err
	}
	var others, listed []string
	for _, path := range paths {
		if id, ok := table.ParseFileID(filepath.Base(path)); !ok {
			continue
		} else if _, ok := manifest.Tables[id]; ok {
			listed = append(listed, path)
		} else {
			others = append(others, path)
		}
	}
	if len(others) == 0 {
		return nil
	}
	var known uint64
	for _, path := range listed {
		id, _ := table.ParseFileID(filepath.Base(path))
		known = max(known, newestIn(path, manifest.Tables[id].Compression))
	}
	for _, path := range others {
		newest := max(newestIn(path, options.None), newestIn(path, options.Snappy))
		if newest <= known || slices.ContainsFunc(logs, func(l logFile) bool { return l.min <= newest && newest <= l.max }) {
			continue
		}
		return fmt.Errorf("%s does not list %s, which holds newer data", badger.ManifestFilename, filepath.Base(path))
	}
	return nil
}

// newestIn is the highest version in a table; 0 when it is not whole.
func newestIn(path string, packing options.CompressionType) uint64 {
	version, err := checkTable(path, packing)
	if err != nil {
		return 0
	}
	return version
}
