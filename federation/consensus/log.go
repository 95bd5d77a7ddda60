package consensus

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/2ps-project/waymark/federation/durable"
	"github.com/2ps-project/waymark/federation/identity"
)

// Files in the raft directory.
const (
	logFile    = "raft.db"
	markFile   = "raft.hw"   // the high-water mark
	serverFile = "server-id" // this voter's name, new after each loss of the log
)

// logStore is raft's log and its term and votes, in one bbolt file, guarded by
// a high-water mark outside of it: a file that has gone back in time, be it by
// a fault, a restored backup or a copied machine, is found out before it votes.
type logStore struct {
	*raftboltdb.BoltStore
	dir string

	mu   sync.Mutex
	mark mark
}

// mark is the furthest that the log has been.
type mark struct {
	Index uint64 `cbor:"1,keyasint"`
	Term  uint64 `cbor:"2,keyasint"`
}

func openLog(dir string) (*logStore, error) {
	b, err := openBolt(filepath.Join(dir, logFile))
	switch {
	case errors.Is(err, errDamaged):
		return nil, err
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %v", errDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("open the raft log: %w", err)
	}
	l := &logStore{BoltStore: b, dir: dir}
	raw, err := os.ReadFile(filepath.Join(dir, markFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		_ = b.Close()
		return nil, fmt.Errorf("open the raft log: %w", err)
	case identity.Unmarshal(raw, &l.mark) != nil:
		_ = b.Close()
		return nil, fmt.Errorf("%w: the high-water mark cannot be read", errDamaged)
	}
	return l, nil
}

// openBolt opens the database of the log and reads both ends of it. Over pages
// that make no sense bbolt panics, and over ones that are missing the system
// sends a signal: both are damage, for which the log is set aside.
func openBolt(path string) (b *raftboltdb.BoltStore, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			b, err = nil, fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	b, err = raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &bbolt.Options{Timeout: time.Second}})
	if err != nil {
		return nil, err
	}
	for _, end := range []func() (uint64, error){b.FirstIndex, b.LastIndex} {
		n, err := end()
		if err == nil && n > 0 {
			err = b.GetLog(n, new(raft.Log))
		}
		if err != nil {
			_ = b.Close()
			return nil, fmt.Errorf("%w: %v", errDamaged, err)
		}
	}
	return b, nil
}

// check compares the log with its high-water mark. The index is that of the
// newest snapshot, which may stand for a log that is empty.
func (l *logStore) check(snapshot uint64) error {
	last, err := l.LastIndex()
	if err != nil {
		return fmt.Errorf("%w: %v", errDamaged, err)
	}
	term, err := l.GetUint64([]byte("CurrentTerm"))
	if err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return fmt.Errorf("%w: %v", errDamaged, err)
	}
	if max(last, snapshot) < l.mark.Index || term < l.mark.Term {
		return fmt.Errorf("%w: it ends at entry %d of term %d and has been at entry %d of term %d", errDamaged, last, term, l.mark.Index, l.mark.Term)
	}
	return nil
}

// StoreLog implements [raft.LogStore].
func (l *logStore) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// StoreLogs implements [raft.LogStore].
func (l *logStore) StoreLogs(logs []*raft.Log) error {
	if err := l.BoltStore.StoreLogs(logs); err != nil || len(logs) == 0 {
		return err
	}
	return l.raise(func(m *mark) { m.Index = logs[len(logs)-1].Index })
}

// DeleteRange implements [raft.LogStore]. Cutting off the end, as a follower
// does with what a lost leader left, lowers the mark first.
func (l *logStore) DeleteRange(from, to uint64) error {
	first, err := l.FirstIndex()
	if err != nil {
		return err
	}
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	if to >= last && from > first {
		if err := l.raise(func(m *mark) { m.Index = from - 1 }); err != nil {
			return err
		}
	}
	return l.BoltStore.DeleteRange(from, to)
}

// SetUint64 implements [raft.StableStore].
func (l *logStore) SetUint64(key []byte, v uint64) error {
	if err := l.BoltStore.SetUint64(key, v); err != nil {
		return err
	}
	if string(key) != "CurrentTerm" {
		return nil
	}
	return l.raise(func(m *mark) { m.Term = v })
}

// raise writes the mark after the log itself is durable, so that it is never
// ahead of an undamaged log.
func (l *logStore) raise(change func(*mark)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.mark
	if change(&m); m == l.mark {
		return nil
	}
	b, err := identity.Marshal(m)
	if err == nil {
		err = durable.Write(filepath.Join(l.dir, markFile), b)
	}
	if err != nil {
		return fmt.Errorf("write the raft log's high-water mark: %w", err)
	}
	l.mark = m
	return nil
}

// serverID is this voter's name in raft: the node's id and eight random digits
// that change whenever the log was lost, so that raft never takes an empty log
// for the one that voted.
func serverID(dir string, id identity.NodeID, fresh bool) (raft.ServerID, error) {
	path := filepath.Join(dir, serverFile)
	b, err := os.ReadFile(path)
	if err == nil {
		s := strings.TrimSpace(string(b))
		if node, tail, ok := strings.Cut(s, "/"); ok && node == id.String() && len(tail) == 8 {
			return raft.ServerID(s), nil
		}
		return "", fmt.Errorf("%w: it belongs to another node", errDamaged)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the voter's name: %w", err)
	}
	if !fresh {
		return "", fmt.Errorf("%w: the voter's name is missing", errDamaged)
	}
	var tail [4]byte
	rand.Read(tail[:])
	s := id.String() + "/" + hex.EncodeToString(tail[:])
	if err := durable.Write(path, []byte(s+"\n")); err != nil {
		return "", fmt.Errorf("write the voter's name: %w", err)
	}
	return raft.ServerID(s), nil
}

// setAside keeps a damaged raft directory for a look at it and makes room.
func setAside(dir string) error {
	if err := os.RemoveAll(dir + ".damaged"); err != nil {
		return err
	}
	if err := os.Rename(dir, dir+".damaged"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
