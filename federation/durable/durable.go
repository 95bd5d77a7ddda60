// Package durable replaces small files so that a crash at any moment leaves the
// old content or the new, whole.
package durable

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// Write makes b the content of the file at path, readable by its owner only.
// When it returns without error the content survives a power failure. Two
// writers of one path must take turns.
func Write(path string, b []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return Dir(filepath.Dir(path))
}

// Dir makes the names in a directory durable.
func Dir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // has no call for it, and needs none
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
