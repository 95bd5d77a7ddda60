// Package store keeps everything that a node must not lose in one Badger
// database: feeds, the registry's chain, and the owner's own documents.
//
// What it acknowledged is on disk. Below a floor of free space it refuses to
// write, with a reason, and goes on reading. keys.go is the whole layout.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Errors of the store.
var (
	// ErrRotten is returned for a feed whose stored bytes do not add up to its
	// signed head. It names what is wrong; [Store.Actual] shows what is whole. It
	// is a kind of [feed.ErrDamaged].
	ErrRotten  = fmt.Errorf("%w: a disk has changed it; it must be fetched again from another node", feed.ErrDamaged)
	ErrInUse   = errors.New("another process has the node's data open")
	ErrNewer   = errors.New("the node's data was written by a newer version of this program")
	ErrDamaged = errors.New("the node's data is damaged")
	ErrNoRoom  = errors.New("the disk is nearly full: nothing is written, reading goes on")
)

// DefaultFloor is the free space in bytes below which nothing is written.
// Badger ends the process when a disk runs full under it, so it must not.
const DefaultFloor = 256 << 20

// needToOpen is what opening the database may take: two memory tables with
// their logs, and the value log's first file.
const needToOpen = 64 << 20

// Options say where the data is.
type Options struct {
	Dir      string // made when it does not exist
	InMemory bool   // nothing on disk; for tests
	Floor    int64  // bytes of free space to leave; DefaultFloor when 0, none when negative
	Logger   *slog.Logger
	// Alias is the id under which a record is known here when its own id is
	// already another origin's. Required for feeds with listings.
	Alias func(identity.OriginID, feed.Key) feed.Key
	// Counter is the file that counts writes of the owner's documents, outside the
	// database; Dir with ".counter" after it when empty.
	Counter string
	// Now is the time that ages of what is kept are measured by; time.Now when nil.
	Now func() time.Time
	// Free measures the free space in bytes; the file system when nil.
	Free func() (int64, error)
}

// Store is the open database.
type Store struct {
	db       *badger.DB
	o        Options
	pack     codec
	readings readings

	mended     atomic.Bool  // a repair was applied since the store was opened
	beforeFold func() error // tests cut off here

	version    atomic.Uint64 // see Version
	ownVersion atomic.Uint64 // see OwnVersion

	gate    sync.RWMutex  // held for writing while nothing may be written
	erased  atomic.Uint64 // erasures since the start
	counter *counter      // nil in memory

	mu     sync.Mutex
	feeds  map[identity.OriginID]*feedLocks
	rotten map[identity.OriginID]error
}

// feedLocks serialise the writers of one feed.
type feedLocks struct {
	write sync.Mutex   // one step or staging at a time
	fold  sync.RWMutex // held for writing while a large step is folded in

	run uint64 // guarded by write: the open staging run, 0 when there is none

	mu     sync.Mutex
	head   identity.Hash // of the head that leaves belong to
	leaves *feed.Leaves
}

// Open opens the database, and finishes what a killed process left half done.
func Open(o Options) (*Store, error) {
	if o.Floor == 0 {
		o.Floor = DefaultFloor
	}
	if o.Alias == nil {
		o.Alias = func(_ identity.OriginID, k feed.Key) feed.Key { return k }
	}
	if o.Counter == "" {
		o.Counter = filepath.Clean(o.Dir) + ".counter"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Free == nil {
		o.Free = func() (int64, error) { return freeSpace(o.Dir) }
	}
	if o.InMemory {
		o.Dir, o.Floor = "", -1
	} else if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the node's data: %w", err)
	}
	s := &Store{o: o, feeds: make(map[identity.OriginID]*feedLocks), rotten: make(map[identity.OriginID]error)}
	if err := s.mayOpen(); err != nil {
		return nil, err
	}
	var err error
	if s.pack, err = newCodec(); err != nil {
		return nil, fmt.Errorf("open the node's data: %w", err)
	}
	odd, err := checkFiles(badgerOptions(o))
	if err != nil {
		return nil, err
	}
	db, err := badger.Open(badgerOptions(o))
	if err != nil {
		return nil, openError(o.Dir, err)
	}
	s.db = db
	dropTemp(o.Dir)
	err = s.checkFormat()
	if err == nil {
		err = s.recover()
	}
	var missing string
	if err == nil {
		missing, err = s.openCounter()
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if odd = cmp.Or(odd, missing); odd != "" {
		s.scrubAll(odd)
	}
	return s, nil
}

// mayOpen refuses where there is no room: reading goes on below the floor, but
// a new database has nothing to read, and Badger itself needs some room to open.
func (s *Store) mayOpen() error {
	err := s.room()
	if err == nil || !hasData(s.o.Dir) {
		return err
	}
	if free, ferr := s.o.Free(); ferr != nil || free < needToOpen {
		return err
	}
	return nil
}

func hasData(dir string) bool {
	_, err := os.Stat(dir + "/MANIFEST")
	return err == nil
}

// badgerOptions keep memory small and every acknowledged write on disk. Values
// stay in the tree, so that the value log stays empty and needs no collecting.
// Tables are not packed: while Badger builds one it keeps all of it unpacked, so
// that records that pack well would take any amount of memory. Checksums are
// verified before Badger opens a table, by checkFiles: none of Badger's own modes
// survives every rotten table.
func badgerOptions(o Options) badger.Options {
	b := badger.DefaultOptions(o.Dir).
		WithInMemory(o.InMemory).
		WithLogger(badgerLog{o.Logger}).
		WithSyncWrites(true).
		WithMemTableSize(8 << 20).
		WithNumMemtables(2).
		WithNumLevelZeroTables(5).
		WithNumLevelZeroTablesStall(10).
		WithNumCompactors(2).
		WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(0).
		WithIndexCacheSize(4 << 20).
		WithCompression(options.None).
		WithChecksumVerificationMode(options.NoVerification).
		WithNumVersionsToKeep(1).
		WithDetectConflicts(true).
		WithMetricsEnabled(false).
		WithNumGoroutines(2)
	b.TableSizeMultiplier = 1
	return b
}

func openError(dir string, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "Cannot acquire directory lock"):
		return fmt.Errorf("%w: %s; stop the other waymark process first", ErrInUse, dir)
	case errors.Is(err, fs.ErrPermission) || strings.Contains(text, "permission denied"):
		return fmt.Errorf("open the node's data in %s: %w; run waymark as the user who owns it", dir, err)
	case errors.As(err, new(syscall.Errno)):
		return fmt.Errorf("open the node's data in %s: %w", dir, err)
	}
	return damaged(dir, err)
}

func damaged(dir string, err error) error {
	return fmt.Errorf("%w: %s: %v; move the folder aside and start again: a member's node fetches the registry and all feeds back from the others; what was never published is only in a backup", ErrDamaged, dir, err)
}

func (s *Store) checkFormat() error {
	format := 0
	err := s.view(func(txn *badger.Txn) error {
		v, err := raw(txn, key(prefixFormat))
		if err != nil || v == nil {
			return err
		}
		format, err = strconv.Atoi(string(v))
		switch {
		case err != nil || format < 1:
			return fmt.Errorf("%w: format version %q", ErrDamaged, v)
		case format > Format:
			return fmt.Errorf("%w: format %d, this program knows %d; install the newer version again", ErrNewer, format, Format)
		}
		return nil
	})
	if err != nil || format == Format {
		return err
	}
	return s.db.Update(func(txn *badger.Txn) error {
		if format == 1 { // from 2 to 3 nothing is to be done: what is there is read as it stands
			if err := upgrade1(txn); err != nil {
				return err
			}
		}
		return txn.Set(key(prefixFormat), []byte(strconv.Itoa(Format)))
	})
}

// upgrade1 brings a database of format 1 up: nothing was kept for undoing.
func upgrade1(txn *badger.Txn) error {
	var origins []identity.OriginID
	if err := scan(txn, key(prefixState), false, func(item *badger.Item) error {
		origins = append(origins, identity.OriginID(item.Key()[1:]))
		return nil
	}); err != nil {
		return err
	}
	for _, o := range origins {
		st, head, err := stateOf(txn, o)
		if err != nil {
			return err
		}
		st.Undo = head.Seq
		if err := set(txn, key(prefixState, o), st); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the database.
func (s *Store) Close() error {
	s.readings.written()
	if err := errors.Join(s.counter.close(), s.db.Close()); err != nil {
		return fmt.Errorf("close the node's data: %w", err)
	}
	return nil
}

// Size is what the data takes on disk, in bytes.
func (s *Store) Size() int64 {
	lsm, vlog := s.db.Size()
	return lsm + vlog
}

// warn tells the operator of an error that stops nobody.
func (s *Store) warn(what string, err error) {
	if s.o.Logger != nil {
		s.o.Logger.Error(what, "err", err)
	}
}

// room refuses to write when the disk is nearly full.
func (s *Store) room() error {
	if s.o.Floor < 0 {
		return nil
	}
	free, err := s.o.Free()
	if err != nil {
		return fmt.Errorf("measure free space: %w", err)
	}
	if free < s.o.Floor {
		return fmt.Errorf("%w: %d MiB are free, %d MiB must stay free; make room in %s and try again", ErrNoRoom, free>>20, s.o.Floor>>20, s.o.Dir)
	}
	return nil
}

// Temp is a file for what an operation cannot hold in memory. It has no name where
// the system allows that, and is gone when it is closed, or at the next start.
func (s *Store) Temp() (*Temp, error) {
	f, err := os.CreateTemp(s.o.Dir, tempFiles) // of a store in memory: where the system keeps such files
	if err != nil {
		return nil, fmt.Errorf("make a file for a moment: %w", err)
	}
	_ = os.Remove(f.Name()) // not everywhere while it is open: then by Close
	return &Temp{f}, nil
}

// Temp is a file without a name.
type Temp struct{ *os.File }

// Close closes the file and drops it.
func (t *Temp) Close() error {
	err := t.File.Close()
	_ = os.Remove(t.Name())
	return err
}

const tempFiles = "moment-*.tmp"

// dropTemp removes what a killed process left of such files.
func dropTemp(dir string) {
	if dir == "" {
		return
	}
	left, err := filepath.Glob(filepath.Join(dir, tempFiles))
	if err != nil {
		return
	}
	for _, path := range left {
		_ = os.Remove(path)
	}
}

// Room is nil, or why nothing can be written now (wraps [ErrNoRoom]).
func (s *Store) Room() error { return s.room() }

// update runs f in a transaction that is on disk when update returns, if there
// is room. F may run more than once.
func (s *Store) update(f func(*badger.Txn) error) error {
	if err := s.room(); err != nil {
		return err
	}
	return s.commit(f)
}

// commit is update without asking for room: for what only moves or removes.
// Writers of different feeds may meet at a listing's id; then one goes again.
func (s *Store) commit(f func(*badger.Txn) error) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	for range 20 {
		err := s.db.Update(f)
		s.readings.written() // whatever came of it
		if !errors.Is(err, badger.ErrConflict) {
			return err
		}
	}
	return badger.ErrConflict
}

func (s *Store) locks(o identity.OriginID) *feedLocks {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.feeds[o]
	if l == nil {
		l = new(feedLocks)
		s.feeds[o] = l
	}
	return l
}

func find(txn *badger.Txn, k []byte) (item *badger.Item, err error) {
	err = guarded(func() error {
		item, err = txn.Get(k)
		return err
	})
	return item, err
}

// get decodes the value of a key; false when there is none.
func get(txn *badger.Txn, k []byte, v any) (bool, error) {
	item, err := find(txn, k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := item.Value(func(raw []byte) error { return decode(raw, v) }); err != nil {
		return false, err
	}
	return true, nil
}

// decode reads a value that this package wrote; what cannot be read is damage.
func decode(b []byte, v any) error {
	if err := identity.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return nil
}

// raw is a copy of the value of a key; nil when there is none.
func raw(txn *badger.Txn, k []byte) ([]byte, error) {
	item, err := find(txn, k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

func set(txn *badger.Txn, k []byte, v any) error {
	b, err := identity.Marshal(v)
	if err != nil {
		return err
	}
	return txn.Set(k, b)
}

// badgerLog passes on what Badger warns of. Its chatter is left out.
type badgerLog struct{ l *slog.Logger }

func (b badgerLog) Errorf(f string, a ...any)   { b.log(slog.LevelError, f, a...) }
func (b badgerLog) Warningf(f string, a ...any) { b.log(slog.LevelWarn, f, a...) }
func (b badgerLog) Infof(string, ...any)        {}
func (b badgerLog) Debugf(string, ...any)       {}

func (b badgerLog) log(level slog.Level, f string, a ...any) {
	if b.l != nil {
		b.l.Log(context.Background(), level, "badger: "+strings.TrimSpace(fmt.Sprintf(f, a...)))
	}
}
