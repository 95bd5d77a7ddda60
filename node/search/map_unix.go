//go:build unix

package search

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// mapFile returns a file as memory that is read from disk when it is looked at.
func mapFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < headerSize || info.Size() > maxFile {
		return nil, fmt.Errorf("%w: %s has %d bytes", errSegment, info.Name(), info.Size())
	}
	return unix.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
}

func unmap(data []byte) { _ = unix.Munmap(data) }

// release gives back the memory of pages that nobody needs now.
func release(data []byte) { _ = unix.Madvise(data, unix.MADV_DONTNEED) }

// syncDir makes names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
