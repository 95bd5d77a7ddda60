// Package store keeps everything that a node must not lose in one Badger
// database: feeds, the registry's chain, and the owner's own documents.
//
// What it acknowledged is on disk. Below a floor of free space it refuses to
// write, with a reason, and goes on reading. keys.go is the whole layout.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Errors of the store.
var (
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
	// Free measures the free space in bytes; the file system when nil.
	Free func() (int64, error)
}

// Store is the open database.
type Store struct {
	db *badger.DB
	o  Options

	beforeFold func() error // tests cut off here

	mu    sync.Mutex
	feeds map[identity.OriginID]*feedLocks
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
	if o.Free == nil {
		o.Free = func() (int64, error) { return freeSpace(o.Dir) }
	}
	if o.InMemory {
		o.Dir, o.Floor = "", -1
	} else if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the node's data: %w", err)
	}
	s := &Store{o: o, feeds: make(map[identity.OriginID]*feedLocks)}
	if err := s.mayOpen(); err != nil {
		return nil, err
	}
	if err := checkTables(badgerOptions(o)); err != nil {
		return nil, err
	}
	db, err := badger.Open(badgerOptions(o))
	if err != nil {
		return nil, openError(o.Dir, err)
	}
	s.db = db
	err = s.checkFormat()
	if err == nil {
		err = s.recover()
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
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

// badgerOptions keep memory small and every acknowledged write on disk, and
// notice damage. Values stay in the tree, so that the value log stays empty and
// needs no collecting; checksums are verified when a table is opened, the one
// mode in which Badger reports a rotten table as an error.
func badgerOptions(o Options) badger.Options {
	return badger.DefaultOptions(o.Dir).
		WithInMemory(o.InMemory).
		WithLogger(badgerLog{o.Logger}).
		WithSyncWrites(true).
		WithMemTableSize(8 << 20).
		WithNumMemtables(2).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(6).
		WithNumCompactors(2).
		WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(8 << 20).
		WithIndexCacheSize(4 << 20).
		WithCompression(options.Snappy).
		WithChecksumVerificationMode(options.OnTableRead).
		WithNumVersionsToKeep(1).
		WithDetectConflicts(true).
		WithMetricsEnabled(false).
		WithNumGoroutines(2)
}

func openError(dir string, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "Cannot acquire directory lock"):
		return fmt.Errorf("%w: %s; stop the other waymark process first", ErrInUse, dir)
	case errors.Is(err, fs.ErrPermission) || strings.Contains(text, "permission denied"):
		return fmt.Errorf("open the node's data in %s: %w; run waymark as the user who owns it", dir, err)
	case strings.Contains(text, "checksum") || strings.Contains(text, "truncate") || strings.Contains(text, "manifest"),
		strings.Contains(text, "does not exist for table"), strings.Contains(text, "proto:"):
		return damaged(dir, err)
	}
	return fmt.Errorf("open the node's data in %s: %w", dir, err)
}

func damaged(dir string, err error) error {
	return fmt.Errorf("%w: %s: %v; move the folder aside and start again: a member's node fetches the registry and all feeds back from the others; what was never published is only in a backup", ErrDamaged, dir, err)
}

func (s *Store) checkFormat() error {
	return s.db.Update(func(txn *badger.Txn) error {
		item, err := txn.Get(key(prefixFormat))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return txn.Set(key(prefixFormat), []byte(strconv.Itoa(Format)))
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			n, err := strconv.Atoi(string(v))
			switch {
			case err != nil || n < 1:
				return fmt.Errorf("%w: format version %q", ErrDamaged, v)
			case n > Format:
				return fmt.Errorf("%w: format %d, this program knows %d; install the newer version again", ErrNewer, n, Format)
			}
			return nil
		})
	})
}

// Close closes the database.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the node's data: %w", err)
	}
	return nil
}

// Size is what the data takes on disk, in bytes.
func (s *Store) Size() int64 {
	lsm, vlog := s.db.Size()
	return lsm + vlog
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
	for range 20 {
		if err := s.db.Update(f); !errors.Is(err, badger.ErrConflict) {
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

// get decodes the value of a key; false when there is none.
func get(txn *badger.Txn, k []byte, v any) (bool, error) {
	item, err := txn.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = item.Value(func(raw []byte) error { return identity.Unmarshal(raw, v) })
	if err != nil {
		return false, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return true, nil
}

// raw is a copy of the value of a key; nil when there is none.
func raw(txn *badger.Txn, k []byte) ([]byte, error) {
	item, err := txn.Get(k)
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
