package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// checkTables looks at the end of every table before Badger does. Badger reads
// lengths from there and trusts them: a table that was cut short, or whose last
// bytes are rotten, ends the process in a goroutine that nothing can catch.
// What lies before the end Badger checks itself, by checksum.
//
// Only tables that the manifest lists count. A process that is killed while it
// writes a table leaves a part of one, which Badger removes: what it was to hold
// is still in the log.
func checkTables(o badger.Options) error {
	if o.InMemory {
		return nil
	}
	f, err := os.Open(filepath.Join(o.Dir, badger.ManifestFilename))
	if err != nil {
		return nil // a new directory, or one of which Badger tells what is wrong
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, 0, o)
	if err != nil {
		return nil // Badger tells
	}
	for id := range manifest.Tables {
		path := table.NewFilename(id, o.Dir)
		err := checkTable(path)
		if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) { // of those Badger tells
			return damaged(o.Dir, fmt.Errorf("%s: %w", filepath.Base(path), err))
		}
	}
	return nil
}

// checkTable follows the lengths at the end of a table: … index ‖ length of the
// index (4 bytes) ‖ checksum ‖ length of the checksum (4 bytes).
func checkTable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	left := info.Size()
	for _, what := range []string{"checksum", "index"} {
		var length [4]byte
		if left -= 4; left < 0 {
			return fmt.Errorf("the table is cut short before its %s", what)
		}
		if _, err := f.ReadAt(length[:], left); err != nil {
			return err
		}
		if left -= int64(binary.BigEndian.Uint32(length[:])); left < 0 {
			return fmt.Errorf("the table has no room for its %s", what)
		}
	}
	return nil
}
