package store

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/durable"
)

// counter counts the writes of the owner's documents and of drawers, in the
// database and in a file outside it. No signed head stands over those, so
// only this tells that the database lost what it had acknowledged, or is an older
// one.
//
// The database comes first, then the file, shortly after and once for many: a
// file that is behind means nothing.
type counter struct {
	path string
	warn func(string, error)

	write sync.Mutex // one counted write at a time, so that counts rise in order

	mu     sync.Mutex
	state  counted
	saved  counted
	saving bool
	closed bool
	idle   sync.Cond
	stop   chan struct{} // closed by close
}

// saveAfter is how long a save waits for more writes, so that its syncs do not
// stand in the way of the next of them.
const saveAfter = 200 * time.Millisecond

// counted is what the file says.
type counted struct {
	writes uint64
	lost   uint64 // writes that are gone, and that nobody has taken note of yet
}

const counterTitle = "waymark write counter 1"

// String is the text of the file.
func (c counted) String() string {
	text := fmt.Sprintf("%s\nwrites %d\nlost %d\n", counterTitle, c.writes, c.lost)
	return fmt.Sprintf("%ssum %x\n", text, sha256.Sum256([]byte(text)))
}

var errCounter = errors.New("the write counter cannot be read, so nobody can tell whether drafts were lost")

func parseCounter(text string) (c counted, err error) {
	rest, ok := strings.CutPrefix(text, counterTitle+"\n")
	if !ok {
		return c, errCounter
	}
	if _, err := fmt.Sscanf(rest, "writes %d\nlost %d\n", &c.writes, &c.lost); err != nil || c.String() != text {
		return counted{}, errCounter
	}
	return c, nil
}

func loadCounter(path string) (c counted, ok bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("%w: %w", errCounter, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err == nil {
		c, err = parseCounter(string(text))
	}
	return c, err == nil, err
}

// openCounter compares the database with the file. It tells what is odd.
func (s *Store) openCounter() (odd string, err error) {
	if s.o.InMemory {
		return "", nil
	}
	c := &counter{path: s.o.Counter, warn: s.warn, stop: make(chan struct{})}
	c.idle.L = &c.mu
	var held uint64
	if err := s.view(func(txn *badger.Txn) error {
		b, err := raw(txn, key(prefixCounter))
		if len(b) == 8 {
			held = binary.BigEndian.Uint64(b)
		}
		return err
	}); err != nil {
		return "", err
	}
	file, ok, err := loadCounter(c.path)
	if err != nil {
		s.warn("the next write makes a new one", err)
	}
	s.counter, c.state = c, counted{writes: held, lost: file.lost}
	c.saved = file
	if !ok || file.writes <= held {
		return "", nil
	}
	c.state = counted{writes: file.writes, lost: file.lost + file.writes - held}
	if err := durable.Write(c.path, []byte(c.state.String())); err != nil {
		return "", fmt.Errorf("note that writes are lost: %w", err)
	}
	c.saved = c.state
	return fmt.Sprintf("the last %d writes are missing", file.writes-held), s.commit(func(txn *badger.Txn) error {
		return txn.Set(key(prefixCounter), binary.BigEndian.AppendUint64(nil, file.writes))
	})
}

// updateOwn is update for what is counted.
func (s *Store) updateOwn(f func(*badger.Txn) error) error {
	defer s.ownVersion.Add(1)
	c := s.counter
	if c == nil {
		return s.update(f)
	}
	c.write.Lock()
	defer c.write.Unlock()
	c.mu.Lock()
	next := c.state.writes + 1
	c.mu.Unlock()
	if err := s.update(func(txn *badger.Txn) error {
		if err := f(txn); err != nil {
			return err
		}
		return txn.Set(key(prefixCounter), binary.BigEndian.AppendUint64(nil, next))
	}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.writes = next
	if !c.saving {
		c.saving = true
		go c.save()
	}
	return nil
}

// save writes the file until it says what is known, and ends.
func (c *counter) save() {
	wait := time.NewTimer(saveAfter)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-c.stop:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.saved != c.state {
		state := c.state
		c.mu.Unlock()
		err := durable.Write(c.path, []byte(state.String()))
		c.mu.Lock()
		if err != nil {
			c.warn("the write counter is behind; the next write tries again", err)
			break
		}
		c.saved = state
	}
	c.saving = false
	c.idle.Broadcast()
}

func (c *counter) close() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.stop)
	}
	for c.saving {
		c.idle.Wait()
	}
	return nil
}

// LostTail tells how many acknowledged writes of the owner's documents and of
// drawers are gone: the database was damaged, or an older copy took its place.
// What is published is back from the others soon; drafts are only in a backup.
// It stays until [Store.NoteLostTail].
func (s *Store) LostTail() (n uint64, lost bool) {
	if s.counter == nil {
		return 0, false
	}
	s.counter.mu.Lock()
	defer s.counter.mu.Unlock()
	return s.counter.state.lost, s.counter.state.lost > 0
}

// NoteLostTail is told when the operator has taken note of what is lost.
func (s *Store) NoteLostTail() error {
	c := s.counter
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.saving {
		c.idle.Wait()
	}
	state := counted{writes: c.state.writes}
	if err := durable.Write(c.path, []byte(state.String())); err != nil {
		return fmt.Errorf("note that the loss is known: %w", err)
	}
	c.state, c.saved = state, state
	return nil
}
