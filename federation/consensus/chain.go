package consensus

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Chain keeps the entries of the registry, numbered from 1, the genesis.
type Chain interface {
	// Append keeps entry as number seq, which is the one after Last. It is
	// durable when it returns.
	Append(seq uint64, entry []byte) error
	// Entries are at most max entries from number from on; none past the last.
	Entries(from uint64, max int) ([][]byte, error)
	// Last is the number of the last entry; 0 for an empty chain.
	Last() (uint64, error)
}

// MemoryChain is a chain that lasts as long as its process. Its zero value is
// empty and ready.
type MemoryChain struct {
	mu      sync.Mutex
	entries [][]byte
}

var _ Chain = (*MemoryChain)(nil)

// Append implements [Chain].
func (c *MemoryChain) Append(seq uint64, entry []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if want := uint64(len(c.entries)) + 1; seq != want {
		return fmt.Errorf("append entry %d: the next is %d", seq, want)
	}
	c.entries = append(c.entries, slices.Clone(entry))
	return nil
}

// Entries implements [Chain].
func (c *MemoryChain) Entries(from uint64, max int) ([][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if from == 0 || from > uint64(len(c.entries)) || max <= 0 {
		return nil, nil
	}
	rest := c.entries[from-1:]
	return slices.Clone(rest[:min(len(rest), max)]), nil
}

// Last implements [Chain].
func (c *MemoryChain) Last() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return uint64(len(c.entries)), nil
}

var errGap = errors.New("entries before this one are missing")

// ledger is the one place where an entry becomes part of the registry, whether
// it came through raft, from a peer or out of a snapshot. Doing it twice is
// harmless.
type ledger struct {
	chain      Chain
	federation identity.FederationID
	onChange   func(*registry.State)
	state      atomic.Pointer[registry.State]

	mu      sync.Mutex
	hashes  []identity.Hash // after each entry; hashes[0] is the genesis'
	at      time.Time       // when the last entry came; zero before the first
	changed chan struct{}
	branch  registry.Branch // under which raft may add entries
}

func newLedger(c Chain, federation identity.FederationID, onChange func(*registry.State)) (*ledger, error) {
	l := &ledger{chain: c, federation: federation, onChange: onChange, changed: make(chan struct{})}
	last, err := c.Last()
	if err != nil {
		return nil, fmt.Errorf("open the registry: %w", err)
	}
	for seq := uint64(1); seq <= last; {
		entries, err := c.Entries(seq, 512)
		if err != nil {
			return nil, fmt.Errorf("open the registry: %w", err)
		}
		if len(entries) == 0 {
			return nil, fmt.Errorf("open the registry: entry %d of %d is missing", seq, last)
		}
		for _, b := range entries {
			next, err := l.judge(l.state.Load(), b)
			if err != nil {
				return nil, fmt.Errorf("open the registry: entry %d: %w", seq, err)
			}
			l.take(next)
			seq++
		}
	}
	return l, nil
}

// judge is the state after an entry, if the entry is good.
func (l *ledger) judge(s *registry.State, b []byte) (*registry.State, error) {
	e, err := registry.ParseEntry(b)
	if err != nil {
		return nil, err
	}
	next, err := registry.Next(s, e)
	if err != nil {
		return nil, err
	}
	if s == nil && !l.federation.IsZero() && next.Federation() != l.federation {
		return nil, fmt.Errorf("%w: %s, wanted %s", registry.ErrForeign, next.Federation(), l.federation)
	}
	return next, nil
}

func (l *ledger) take(s *registry.State) {
	l.hashes = append(l.hashes, s.Hash())
	l.state.Store(s)
}

// append makes b entry number seq. What is there already is compared. The hash
// is that of the registry before the entry; nil when it is not known. Errors:
// errGap, ErrSplit, ErrStorage, or why the entry is refused.
func (l *ledger) append(seq uint64, before *identity.Hash, b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.add(seq, before, b)
}

// order is append for entries that raft has ordered under a branch: once
// another one counts, they are superseded.
func (l *ledger) order(branch registry.Branch, seq uint64, before *identity.Hash, b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if branch != l.branch {
		return errSuperseded
	}
	return l.add(seq, before, b)
}

// add is append for a caller that holds mu.
func (l *ledger) add(seq uint64, before *identity.Hash, b []byte) error {
	s := l.state.Load()
	have := uint64(len(l.hashes))
	switch {
	case seq == 0:
		return fmt.Errorf("%w: entries are numbered from 1", registry.ErrMalformed)
	case seq > have+1:
		return errGap
	case before != nil && seq > 1 && l.hashes[seq-2] != *before:
		return fmt.Errorf("%w at entry %d", ErrSplit, seq)
	case seq <= have:
		kept, err := l.chain.Entries(seq, 1)
		if err != nil || len(kept) != 1 {
			return fmt.Errorf("%w: read entry %d: %v", ErrStorage, seq, err)
		}
		if string(kept[0]) != string(b) {
			return fmt.Errorf("%w at entry %d", ErrSplit, seq)
		}
		return nil
	}
	next, err := l.judge(s, b)
	if err != nil {
		return err
	}
	return l.commit(next, b)
}

// commit keeps b as the entry that makes the state next. The caller holds mu.
func (l *ledger) commit(next *registry.State, b []byte) error {
	if err := l.chain.Append(next.Seq(), b); err != nil {
		return fmt.Errorf("%w: %w", ErrStorage, err)
	}
	l.take(next)
	l.at = time.Now()
	close(l.changed)
	l.changed = make(chan struct{})
	if l.onChange != nil {
		l.onChange(next)
	}
	return nil
}

// extend takes entries that follow s, which was the state when they were
// checked. All of them are judged before the first is taken; those before one
// of an unknown kind are.
func (l *ledger) extend(s *registry.State, entries [][]byte) error {
	states := make([]*registry.State, 0, len(entries))
	last, failed := s, error(nil)
	for _, b := range entries {
		next, err := l.judge(last, b)
		if err != nil {
			failed = fmt.Errorf("registry entry %d: %w", seqOf(last)+1, err)
			if last == nil || !errors.Is(err, registry.ErrUnknownKind) {
				return failed
			}
			break
		}
		states, last = append(states, next), next
	}
	l.mu.Lock()
	same := l.state.Load() == s
	for i := 0; same && i < len(states); i++ {
		if err := l.commit(states[i], entries[i]); err != nil {
			l.mu.Unlock()
			return err
		}
	}
	l.mu.Unlock()
	if !same { // raft was quicker: each is compared or added
		for i, next := range states {
			if err := l.append(next.Seq(), nil, entries[i]); err != nil {
				return err
			}
		}
	}
	return failed
}

// agrees reports whether a head is of the entries here, as far as they go.
func (l *ledger) agrees(h *registry.SignedHead) bool {
	hash, ok := l.hashAt(h.Seq)
	return !ok || hash == h.Hash
}

// fresh reports whether the last entry came within d.
func (l *ledger) fresh(d time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.at) < d
}

func (l *ledger) wait() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// hashAt is the registry's hash after an entry.
func (l *ledger) hashAt(seq uint64) (identity.Hash, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq == 0 || seq > uint64(len(l.hashes)) {
		return identity.Hash{}, false
	}
	return l.hashes[seq-1], true
}
