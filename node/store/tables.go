package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// checkTables looks at the end of every table before Badger does. Badger reads
// lengths from there and trusts them: a table that was cut short, or whose last
// bytes are rotten, ends the process in a goroutine that nothing can catch.
// What lies before the end Badger checks itself, by checksum.
func checkTables(dir string) error {
	if dir == "" {
		return nil
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	for _, path := range tables {
		if err := checkTable(path); err != nil && !errors.Is(err, fs.ErrPermission) { // of that Badger tells
			return damaged(dir, fmt.Errorf("%s: %w", filepath.Base(path), err))
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
