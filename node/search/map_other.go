//go:build !unix

package search

import (
	"fmt"
	"os"
)

// mapFile reads a file: this system's mappings keep it from being removed.
func mapFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() < headerSize || info.Size() > maxFile {
		return nil, fmt.Errorf("%w: %s has %d bytes", errSegment, info.Name(), info.Size())
	}
	return os.ReadFile(path)
}

func unmap([]byte)         {}
func release([]byte)       {}
func syncDir(string) error { return nil }
