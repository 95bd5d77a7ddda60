package spill

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sort"
)

// entry is 16 bytes, in memory as in the file.
type entry struct{ key, value uint64 }

func (a entry) compare(b entry) int {
	return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.value, b.value))
}

// inMemory is how many entries are held in memory: 4 MiB. More are sorted in parts,
// and lie in a file.
var inMemory = 1 << 18

// perBlock is how many entries of the file are searched at once; the first of each
// such part is in memory, which makes 16 bytes for 4 KiB.
const perBlock = 256

// Index finds values by keys. First all are put, then it is sorted, then asked. A
// pair that was put twice is there twice. It is for one goroutine.
type Index struct {
	buffer []entry
	parts  []part // of the file, each sorted
	file   *File
	firsts []entry // of every perBlock entries
	count  int64
}

type part struct{ at, count int64 }

// Put adds a value under a key.
func (x *Index) Put(key, value uint64) error {
	if len(x.buffer) == inMemory {
		if err := x.spill(); err != nil {
			return err
		}
	}
	x.buffer = append(x.buffer, entry{key, value})
	x.count++
	return nil
}

func (x *Index) spill() (err error) {
	if x.file == nil {
		if x.file, err = New(); err != nil {
			return err
		}
	}
	slices.SortFunc(x.buffer, entry.compare)
	x.parts = append(x.parts, part{x.file.size, int64(len(x.buffer))})
	for _, e := range x.buffer {
		if err := x.file.entry(e); err != nil {
			return err
		}
	}
	x.buffer = x.buffer[:0]
	return nil
}

func (s *File) entry(e entry) error {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], e.key)
	binary.BigEndian.PutUint64(b[8:], e.value)
	return s.write(b[:])
}

func entryOf(b []byte) entry {
	return entry{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// Sort ends the putting.
func (x *Index) Sort() error {
	if x.file == nil {
		slices.SortFunc(x.buffer, entry.compare)
		return nil
	}
	if err := errors.Join(x.spill(), x.file.out.Flush()); err != nil {
		return err
	}
	x.buffer = nil
	sorted, err := New()
	if err != nil {
		return err
	}
	var m merge
	for _, p := range x.parts {
		r := &run{in: bufio.NewReaderSize(io.NewSectionReader(x.file.f, p.at, p.count*16), 64<<10)}
		if more, err := r.next(); err != nil {
			return errors.Join(err, sorted.Close())
		} else if more {
			m = append(m, r)
		}
	}
	heap.Init(&m)
	for n := int64(0); len(m) > 0; n++ {
		r := m[0]
		if n%perBlock == 0 {
			x.firsts = append(x.firsts, r.entry)
		}
		err := sorted.entry(r.entry)
		more, nextErr := r.next()
		if err = errors.Join(err, nextErr); err != nil {
			return errors.Join(err, sorted.Close())
		}
		if more {
			heap.Fix(&m, 0)
		} else {
			heap.Pop(&m)
		}
	}
	err = x.file.Close()
	x.file, x.parts = sorted, nil
	return err
}

// run is a sorted part that is being read.
type run struct {
	in    *bufio.Reader
	entry entry
}

func (r *run) next() (more bool, err error) {
	var b [16]byte
	if _, err := io.ReadFull(r.in, b[:]); err == io.EOF {
		return false, nil
	} else if err != nil {
		return false, err
	}
	r.entry = entryOf(b[:])
	return true, nil
}

type merge []*run

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return m[i].entry.compare(m[j].entry) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(r any)        { *m = append(*m, r.(*run)) }
func (m *merge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

// Find calls f with the values under a key from least on, in their order, until it is
// false.
func (x *Index) Find(key, least uint64, f func(value uint64) bool) error {
	from := entry{key, least}
	if x.file == nil {
		i, _ := slices.BinarySearchFunc(x.buffer, from, entry.compare)
		for ; i < len(x.buffer) && x.buffer[i].key == key && f(x.buffer[i].value); i++ {
		}
		return nil
	}
	// The part before the first that begins there may end there.
	first := int64(max(sort.Search(len(x.firsts), func(i int) bool { return x.firsts[i].compare(from) >= 0 })-1, 0))
	var b [perBlock * 16]byte
	for at := first * perBlock; at < x.count; at += perBlock {
		part := b[:min(perBlock, x.count-at)*16]
		if err := x.file.read(part, at*16); err != nil {
			return err
		}
		i := sort.Search(len(part)/16, func(i int) bool { return entryOf(part[i*16:]).compare(from) >= 0 })
		for ; i < len(part)/16; i++ {
			if e := entryOf(part[i*16:]); e.key != key || !f(e.value) {
				return nil
			}
		}
	}
	return nil
}

// Close drops the index.
func (x *Index) Close() error {
	if x.file == nil {
		return nil
	}
	return x.file.Close()
}
