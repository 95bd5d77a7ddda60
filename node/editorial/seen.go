package editorial

import (
	"bufio"
	"fmt"
	"io"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/node/store"
)

// seen are the listings that a source holds. Where each stands there waits in a file
// until somebody asks, so that a row takes some 40 bytes of memory however it is
// called.
type seen struct {
	at   map[feed.Key]int64 // where the name of its place begins in the file
	file *store.Temp
	out  *bufio.Writer
	size int64
}

func newSeen(s *store.Store) (*seen, error) {
	file, err := s.Temp()
	if err != nil {
		return nil, err
	}
	return &seen{at: make(map[feed.Key]int64), file: file, out: bufio.NewWriterSize(file, 64<<10)}, nil
}

// add remembers that a listing stands at a place. It returns the place that it had
// already; twice is false when it had none.
func (s *seen) add(key feed.Key, where string) (before string, twice bool, err error) {
	at, twice := s.at[key]
	if twice {
		if before, err = s.place(at); err != nil {
			return "", true, err
		}
	}
	s.at[key] = s.size
	n, err := s.out.WriteString(where + "\x00")
	if err != nil {
		return "", twice, fmt.Errorf("keep for a moment where a row stands: %w", err)
	}
	s.size += int64(n)
	return before, twice, nil
}

// place is the name of the place that begins in the file there.
func (s *seen) place(at int64) (string, error) {
	err := s.out.Flush()
	if err == nil {
		var name string
		name, err = bufio.NewReaderSize(io.NewSectionReader(s.file, at, s.size-at), 256).ReadString(0)
		if err == nil {
			return name[:len(name)-1], nil
		}
	}
	return "", fmt.Errorf("read where a row stands: %w", err)
}

func (s *seen) has(key feed.Key) bool { _, there := s.at[key]; return there }

func (s *seen) len() int { return len(s.at) }

func (s *seen) close() { _ = s.file.Close() }
