package search

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// The set is the file that names the segments of a saved index, who of them is
// dead, and what state of the listings they stand for. It is replaced as a
// whole, so a start finds the last set that was saved, or none:
//
//	0   magic "wmset\n\n\n"
//	8   uint32 little-endian: bytes of the body; uint32: CRC-32C of the body
//	16  body: CBOR of savedSet
const (
	setName  = "set"
	setMagic = "wmset\n\n\n"
	maxState = 64 << 20
	maxSet   = maxState + 64<<20
	maxFile  = 1 << 36
	maxNames = 4096
)

type savedSet struct {
	Stamp    [32]byte       `cbor:"1,keyasint"`
	State    []byte         `cbor:"2,keyasint"`
	Segments []savedSegment `cbor:"3,keyasint"`
}

type savedSegment struct {
	Name  string `cbor:"1,keyasint"`
	Live  []byte `cbor:"2,keyasint,omitempty"` // bits, little-endian words; empty = all
	Purge bool   `cbor:"3,keyasint,omitempty"`
}

var setDecoder = func() cbor.DecMode {
	m, err := cbor.DecOptions{MaxArrayElements: maxNames, MaxMapPairs: 64, MaxNestedLevels: 8, DupMapKey: cbor.DupMapKeyEnforcedAPF}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// parseSet reads the bytes of a set.
func parseSet(b []byte) (s savedSet, err error) {
	if len(b) < 16 || len(b) > maxSet || string(b[:8]) != setMagic || int(binary.LittleEndian.Uint32(b[8:])) != len(b)-16 ||
		crc32.Checksum(b[16:], castagnoli) != binary.LittleEndian.Uint32(b[12:]) {
		return s, fmt.Errorf("%w: the list of segments", errSegment)
	}
	if err := setDecoder.Unmarshal(b[16:], &s); err != nil {
		return s, fmt.Errorf("%w: the list of segments: %w", errSegment, err)
	}
	for _, g := range s.Segments {
		if g.Name != filepath.Base(g.Name) || !strings.HasSuffix(g.Name, fileSuffix) {
			return s, fmt.Errorf("%w: a segment of a name that is never given", errSegment)
		}
	}
	return s, nil
}

// load takes up what was saved in the directory. What is damaged is left out
// and removed. It fails only when the directory cannot be used at all.
func (x *Index) load() error {
	if err := os.MkdirAll(x.opt.Dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of the search index: %w", err)
	}
	var views []view
	b, err := os.ReadFile(filepath.Join(x.opt.Dir, setName))
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		x.opt.Logger.Warn("the search index cannot be read and is made again", "err", err)
	default:
		set, err := parseSet(b)
		if err == nil && set.Stamp != x.stamp {
			err = fmt.Errorf("%w: of another federation, or of another version of the program", errSegment)
		}
		if err == nil {
			x.state = set.State
			views, err = x.loadViews(set)
			x.damaged.Store(err != nil)
		}
		if err != nil {
			x.opt.Logger.Warn("a part of the search index is made again", "err", err)
		}
	}
	x.publish(newSnapshot(2, views, x.current.Load().labels))
	x.saved.Store(2)
	x.sweep(views)
	return nil
}

func (x *Index) loadViews(set savedSet) (views []view, bad error) {
	for _, g := range set.Segments {
		s, err := openSegment(filepath.Join(x.opt.Dir, g.Name), x.stamp)
		if err != nil {
			bad = errors.Join(bad, err)
			continue
		}
		s.file.synced = true
		v := newView(s)
		if len(g.Live) > 0 {
			live := newBits(s.n)
			if len(g.Live) != 8*len(live) {
				bad = errors.Join(bad, fmt.Errorf("%w: the living of %s", errSegment, g.Name))
				continue
			}
			var dead []uint32
			for i := range live {
				live[i] = binary.LittleEndian.Uint64(g.Live[8*i:])
			}
			for d := range uint32(s.n) {
				if !live.has(d) {
					dead = append(dead, d)
				}
			}
			v = v.without(dead)
		}
		v.purge = g.Purge
		views = append(views, v)
	}
	return views, bad
}

// State is what [Index.Save] was last given, in this run or an earlier one; nil
// where nothing is saved. With [Index.Damaged] some of the listings for which it
// stands are not there.
func (x *Index) State() []byte {
	x.saving.Lock()
	defer x.saving.Unlock()
	return x.state
}

// Dirty tells whether the index has changed since it was saved.
func (x *Index) Dirty() bool { return x.opt.Dir != "" && x.saved.Load() != x.current.Load().number }

// Save makes the index durable as it is, together with state: what the owner of
// the listings needs to know at the next start to tell what has changed since,
// at most 64 MiB. No Apply may run meanwhile. An index without a directory
// saves nothing. After an error what was saved before still stands.
func (x *Index) Save(state []byte) error {
	if x.opt.Dir == "" {
		return nil
	}
	if len(state) > maxState {
		return fmt.Errorf("save the search index: a state of %d bytes, at most %d can be kept", len(state), maxState)
	}
	if err := x.room(); err != nil {
		return fmt.Errorf("save the search index: %w", err)
	}
	x.saving.Lock()
	defer x.saving.Unlock()
	if x.merging.TryLock() { // else Run is at it
		err := guarded(func() error { x.mergeOnce(pickFresh); return nil })
		x.merging.Unlock()
		if err != nil {
			x.distrust(err)
		}
	}
	if err := guarded(func() error { return x.save(state) }); err != nil {
		return fmt.Errorf("save the search index: %w", err)
	}
	return nil
}

func (x *Index) save(state []byte) error {
	snap := x.current.Load()
	for i := 0; i < len(snap.views); i++ {
		if own := snap.views[i].seg; own.file == nil {
			s, err := x.toFile(own)
			if err != nil {
				return err
			}
			x.replace(s)
			snap, i = x.current.Load(), -1 // it may have changed meanwhile
		}
	}
	set := savedSet{Stamp: x.stamp, State: state}
	for i := range snap.views {
		v := &snap.views[i]
		if !v.seg.file.synced {
			if err := syncFile(filepath.Join(x.opt.Dir, v.seg.file.name)); err != nil {
				return err
			}
			v.seg.file.synced = true
		}
		g := savedSegment{Name: v.seg.file.name, Purge: v.purge}
		if v.dead > 0 {
			for _, w := range v.live {
				g.Live = binary.LittleEndian.AppendUint64(g.Live, w)
			}
		}
		set.Segments = append(set.Segments, g)
	}
	body, err := cbor.Marshal(set)
	if err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint32([]byte(setMagic), uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	if err := replaceFile(x.opt.Dir, setName, append(b, body...)); err != nil {
		return err
	}
	x.state = slices.Clone(state)
	x.saved.Store(snap.number)
	x.sweep(snap.views)
	return nil
}

// toFile writes a segment and returns it mapped.
func (x *Index) toFile(s *segment) (*segment, error) {
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	name := hex.EncodeToString(id[:]) + fileSuffix
	x.inFlight.Store(name, true)
	path := filepath.Join(x.opt.Dir, name)
	if err := writeSegment(path, x.stamp, s); err != nil {
		return nil, err
	}
	out, err := openSegment(path, x.stamp)
	if err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	out.serial = s.serial
	out.today.Store(s.today.Load())
	out.minute.Store(s.minute.Load())
	return out, nil
}

// spillFrom is how many documents a segment has that is put into a file as soon
// as it is made, so that the memory of a bulk load stays bounded. Tests lower it.
var spillFrom = 8192

// spill returns a segment of so many documents or more mapped from a file, or where
// that fails as it is.
func (x *Index) spill(s *segment, from int) *segment {
	if x.opt.Dir == "" || s.n < from || x.room() != nil {
		return s
	}
	out, err := x.toFile(s)
	if err != nil {
		x.opt.Logger.Warn("a part of the search index stays in memory", "err", err)
		return s
	}
	return out
}

func (x *Index) room() error {
	if x.opt.Room == nil {
		return nil
	}
	return x.opt.Room()
}

// replace swaps a segment for the same one in a file, if it is still in use.
func (x *Index) replace(s *segment) {
	x.write.Lock()
	defer x.write.Unlock()
	old := x.current.Load()
	i := slices.IndexFunc(old.views, func(v view) bool { return v.seg.serial == s.serial })
	if i < 0 {
		return
	}
	views := slices.Clone(old.views)
	views[i].seg = s
	x.publish(newSnapshot(old.number+1, views, old.labels))
}

// sweep removes the files that neither the set nor the snapshot needs. Mapped
// ones stay readable for who still has them.
func (x *Index) sweep(keep []view) {
	entries, err := os.ReadDir(x.opt.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if slices.ContainsFunc(keep, func(v view) bool { return v.seg.file != nil && v.seg.file.name == e.Name() }) {
			x.inFlight.Delete(e.Name())
			continue
		}
		_, new := x.inFlight.Load(e.Name())
		if ours := strings.HasSuffix(e.Name(), fileSuffix) || strings.HasPrefix(e.Name(), setName+"."); ours && !new {
			_ = os.Remove(filepath.Join(x.opt.Dir, e.Name()))
		}
	}
}

// Damaged tells whether a part of the index was found damaged and left out since
// [Index.Mended]: then some listings are not found until all are given again.
func (x *Index) Damaged() bool { return x.damaged.Load() }

// Mended forgets what [Index.Damaged] told. Call it before giving all listings
// again.
func (x *Index) Mended() { x.damaged.Store(false) }

// distrust leaves out the segments whose files are no longer what was written;
// if all of them are, every one that came from a file, once.
func (x *Index) distrust(cause error) {
	x.write.Lock()
	defer x.write.Unlock()
	old := x.current.Load()
	var views []view
	var names []string
	drop := func(which func(v *view) bool) {
		views, names = nil, nil
		for _, v := range old.views {
			if v.seg.file != nil && which(&v) {
				names = append(names, v.seg.file.name)
				_ = os.Remove(filepath.Join(x.opt.Dir, v.seg.file.name))
			} else {
				views = append(views, v)
			}
		}
	}
	drop(func(v *view) bool { return !v.seg.file.whole(x.stamp) })
	if len(names) == 0 && !x.distrusted {
		x.distrusted = true
		drop(func(*view) bool { return true })
	}
	x.opt.Logger.Error("a part of the search index is damaged; it is left out and made again", "files", strings.Join(names, " "), "err", cause)
	if len(names) > 0 {
		x.damaged.Store(true)
		_ = os.Remove(filepath.Join(x.opt.Dir, setName))
		x.publish(newSnapshot(old.number+1, views, old.labels))
	}
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// replaceFile puts a file in the place of another, all of it or nothing.
func replaceFile(dir, name string, b []byte) error {
	f, err := os.CreateTemp(dir, name+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncDir(dir)
}
