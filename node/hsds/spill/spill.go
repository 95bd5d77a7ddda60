// Package spill keeps in files without names what would not fit into memory: pieces
// of bytes, and an index to find them by.
package spill

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// File holds pieces of bytes. It is for one goroutine.
type File struct {
	f       *os.File
	named   bool // where the system does not let an open file lose its name
	out     *bufio.Writer
	size    int64 // with what is in out
	written int64
	piece   []byte  // that was asked for last
	blocks  []block // what was read lately, each at its number modulo their count
}

type block struct {
	at int64 // -1 for none
	b  []byte
}

const (
	blockSize = 16 << 10
	blocks    = 128 // 2 MiB
)

// New returns an empty file in the directory for temporary ones. Close drops it; so
// does the end of the process, where the system can do that.
func New() (*File, error) {
	f, err := os.CreateTemp("", "waymark-spill-*") // for its owner's eyes only
	if err != nil {
		return nil, fmt.Errorf("make a file for a moment: %w", err)
	}
	s := &File{f: f, out: bufio.NewWriterSize(f, 64<<10), named: os.Remove(f.Name()) != nil}
	return s, nil
}

// Close drops the file.
func (s *File) Close() error {
	err := s.f.Close()
	if s.named {
		_ = os.Remove(s.f.Name())
	}
	return err
}

// Size is how many bytes the file has: where the next piece will begin.
func (s *File) Size() int64 { return s.size }

// Add appends a piece and returns where it begins.
func (s *File) Add(piece []byte) (at int64, err error) {
	at = s.size
	head := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen64), uint64(len(piece)))
	if err := s.write(head); err != nil {
		return 0, err
	}
	return at, s.write(piece)
}

func (s *File) write(b []byte) error {
	n, err := s.out.Write(b)
	s.size += int64(n)
	if err != nil {
		return fmt.Errorf("keep something for a moment: %w", err)
	}
	return nil
}

// At returns the piece that begins there, and where the next one begins. It is the
// caller's until the next call.
func (s *File) At(at int64) (piece []byte, next int64, err error) {
	var head [binary.MaxVarintLen64]byte
	n := min(int64(len(head)), s.size-at)
	if err := s.read(head[:n], at); err != nil {
		return nil, 0, err
	}
	size, k := binary.Uvarint(head[:n])
	if k <= 0 || size > uint64(s.size-at-int64(k)) {
		return nil, 0, errDamaged
	}
	at += int64(k)
	s.piece = slices.Grow(s.piece[:0], int(size))[:size]
	return s.piece, at + int64(size), s.read(s.piece, at)
}

// Each calls f with the pieces that begin from there on and before end, in order,
// and where they begin, until it is false. A piece is f's until it returns.
func (s *File) Each(from, end int64, f func(at int64, piece []byte) bool) error {
	if err := s.flush(); err != nil {
		return err
	}
	in := bufio.NewReaderSize(io.NewSectionReader(s.f, from, end-from), 64<<10)
	var piece []byte
	var head [binary.MaxVarintLen64]byte
	for at := from; at < end; {
		size, err := binary.ReadUvarint(in)
		if err == nil && size > uint64(end-at) {
			err = errDamaged
		}
		if err != nil {
			return fmt.Errorf("read what was kept for a moment: %w", err)
		}
		piece = slices.Grow(piece[:0], int(size))[:size]
		if _, err := io.ReadFull(in, piece); err != nil {
			return fmt.Errorf("read what was kept for a moment: %w", err)
		}
		if !f(at, piece) {
			return nil
		}
		at += int64(binary.PutUvarint(head[:], size)) + int64(size)
	}
	return nil
}

var errDamaged = errors.New("what was kept for a moment is damaged")

func (s *File) flush() error {
	if s.written < s.size {
		if err := s.out.Flush(); err != nil {
			return fmt.Errorf("keep something for a moment: %w", err)
		}
		s.written = s.size
	}
	return nil
}

// read fills b with what stands in the file from there.
func (s *File) read(b []byte, at int64) error {
	if at+int64(len(b)) > s.written { // blocks hold only what does not change any more, or all of it
		if err := s.flush(); err != nil {
			return err
		}
	}
	if s.blocks == nil {
		s.blocks = make([]block, blocks)
	}
	for len(b) > 0 {
		number, off := at/blockSize, int(at%blockSize)
		x := &s.blocks[number%blocks]
		if x.b == nil || x.at != number || len(x.b) < min(off+len(b), blockSize) {
			if x.b == nil {
				x.b = make([]byte, blockSize)
			}
			n := min(blockSize, s.written-number*blockSize)
			x.at, x.b = number, x.b[:n]
			if _, err := s.f.ReadAt(x.b, number*blockSize); err != nil {
				x.at = -1
				return fmt.Errorf("read what was kept for a moment: %w", err)
			}
		}
		n := copy(b, x.b[off:])
		b, at = b[n:], at+int64(n)
	}
	return nil
}
