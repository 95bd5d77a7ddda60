package search

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/2ps-project/waymark/node/search/analysis"
)

// A segment file is a header and the columns of a segment, each at a multiple
// of 64 bytes, in the byte order of the machine that wrote it:
//
//	0   magic "wmindex\n"
//	8   uint32 fileFormat; uint32 byteOrder, so that another order is noticed
//	16  stamp: what the documents and their analysis depend on, SHA-256
//	48  uint64 bytes of the file
//	56  uint32 documents; uint16 languages; uint16 columns
//	64  for each column: uint64 where it begins, uint64 its bytes, uint32 CRC-32C of them, uint32 0
//	..  uint32 CRC-32C of all before
//
// Nothing of a file is used before its sums agree, so what a crash, a disk or
// another program left is noticed. A file never changes once it is written.
const (
	fileMagic  = "wmindex\n"
	fileFormat = 3
	byteOrder  = 0x01020304
	fileAlign  = 64
	headerSize = 64
	columnSize = 24
	fileSuffix = ".segment"
)

// errSegment: a segment is damaged, or not of this program, federation or machine.
var errSegment = errors.New("damaged index segment")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// file is what a segment is mapped from.
type file struct {
	name   string
	data   []byte
	synced bool // guarded by Index.saving
}

// stamp is what all files of an index must agree on.
func stamp(of []byte) (out [32]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "waymark index %d %d %q %d\n", fileFormat, analysis.Version, analysis.Languages(), len(of))
	h.Write(of)
	h.Sum(out[:0])
	return out
}

// writeSegment writes a segment into a new file. It is durable only once it is
// synced; until a set names it, that does not matter.
func writeSegment(path string, stamp [32]byte, s *segment) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(path)
		}
	}()
	columns := s.columns()
	var e = binary.NativeEndian
	head := append(make([]byte, 0, headerSize+columnSize*len(columns)+4), fileMagic...)
	head = e.AppendUint32(head, fileFormat)
	head = e.AppendUint32(head, byteOrder)
	head = append(head, stamp[:]...)
	at := align(headerSize + columnSize*len(columns) + 4)
	total := at
	for _, c := range columns {
		total = align(total + len(c.bytes()))
	}
	head = e.AppendUint64(head, uint64(total))
	head = e.AppendUint32(head, uint32(s.n))
	head = e.AppendUint16(head, s.langs)
	head = e.AppendUint16(head, uint16(len(columns)))
	for _, c := range columns {
		b := c.bytes()
		head = e.AppendUint64(head, uint64(at))
		head = e.AppendUint64(head, uint64(len(b)))
		head = e.AppendUint32(head, crc32.Checksum(b, castagnoli))
		head = e.AppendUint32(head, 0)
		at = align(at + len(b))
	}
	head = e.AppendUint32(head, crc32.Checksum(head, castagnoli))
	for _, b := range append([][]byte{head}, columnBytes(columns)...) {
		if _, err := f.Write(b); err != nil {
			return err
		}
		if pad := align(len(b)) - len(b); pad > 0 {
			if _, err := f.Write(make([]byte, pad)); err != nil {
				return err
			}
		}
	}
	return nil
}

func align(n int) int { return (n + fileAlign - 1) &^ (fileAlign - 1) }

func columnBytes(columns []column) (out [][]byte) {
	for _, c := range columns {
		out = append(out, c.bytes())
	}
	return out
}

// openSegment maps a file. The mapping lasts as long as anything refers to the
// segment: whoever reads from its arrays must hold it.
func openSegment(path string, stamp [32]byte) (*segment, error) {
	data, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	s, err := parseSegment(data, stamp)
	if err != nil {
		unmap(data)
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	s.file = &file{name: filepath.Base(path), data: data}
	runtime.AddCleanup(s, unmap, data)
	release(data) // the sums have read all of it; what questions need comes back by itself
	return s, nil
}

// parseSegment makes a segment of the bytes of a file, which it keeps.
func parseSegment(data []byte, stamp [32]byte) (s *segment, err error) {
	s = new(segment)
	err = guarded(func() error {
		columns, err := readHeader(data, stamp, s)
		if err != nil {
			return err
		}
		if err := readColumns(data, columns, s.columns()); err != nil {
			return err
		}
		return s.seal()
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// readHeader returns the table of the columns.
func readHeader(data []byte, stamp [32]byte, s *segment) (table []byte, err error) {
	var e = binary.NativeEndian
	bad := func(what string) ([]byte, error) { return nil, fmt.Errorf("%w: %s", errSegment, what) }
	if len(data) < headerSize || string(data[:8]) != fileMagic {
		return bad("no segment at all")
	}
	if e.Uint32(data[8:]) != fileFormat || e.Uint32(data[12:]) != byteOrder {
		return bad("of another format")
	}
	n := int(e.Uint16(data[62:]))
	end := headerSize + columnSize*n
	if len(data) < end+4 || crc32.Checksum(data[:end], castagnoli) != e.Uint32(data[end:]) {
		return bad("its header is damaged")
	}
	if [32]byte(data[16:48]) != stamp {
		return bad("of another federation, or of another version of the program")
	}
	if e.Uint64(data[48:]) != uint64(len(data)) {
		return bad("cut off, or something is added")
	}
	s.n, s.langs = int(e.Uint32(data[56:])), e.Uint16(data[60:])
	if s.n == 0 || s.n > maxSegment || n != len(s.columns()) {
		return bad("of another shape")
	}
	return data[headerSize:end], nil
}

func readColumns(data, table []byte, columns []column) error {
	var e = binary.NativeEndian
	for i, c := range columns {
		t := table[i*columnSize:]
		at, n := e.Uint64(t), e.Uint64(t[8:])
		if at%fileAlign != 0 || at > uint64(len(data)) || n > uint64(len(data))-at {
			return fmt.Errorf("%w: a column outside the file", errSegment)
		}
		b := data[at : at+n : at+n]
		if crc32.Checksum(b, castagnoli) != e.Uint32(t[16:]) {
			return fmt.Errorf("%w: column %d has changed", errSegment, i)
		}
		if err := c.take(b); err != nil {
			return err
		}
	}
	return nil
}

// whole tells whether the file of a segment still is what was written.
func (f *file) whole(stamp [32]byte) bool {
	_, err := parseSegment(f.data, stamp)
	return err == nil
}

// guarded runs f and returns as an error what would end the process: a number in
// a damaged segment that leads out of an array, or a page of a file that cannot
// be read.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			fault, ok := r.(runtime.Error)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%w: %w\n%s", errSegment, fault, frames())
		}
	}()
	return f()
}

// frames are the lines of the stack that tell where in this package it was.
func frames() string {
	var out []string
	for line := range strings.Lines(string(debug.Stack())) {
		if strings.Contains(line, "/node/search/") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(limit(out, 8), "\n")
}
