package consensus

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// errDamaged: the raft log here is not what was written; it must be set aside.
var errDamaged = errors.New("the raft log is damaged")

// errSuperseded: the entry was ordered for a place that another one has.
var errSuperseded = errors.New("ordered for a place that is taken")

// ordered is what the voters agree on: that this entry comes at this place,
// after a registry of this hash.
type ordered struct {
	Seq    uint64        `cbor:"1,keyasint"`
	Before identity.Hash `cbor:"2,keyasint"`
	Entry  []byte        `cbor:"3,keyasint"`
}

// fsm applies what raft has committed. It knows nothing that the ledger does
// not: raft may replay its whole log into it.
type fsm struct {
	k      *Keeper
	ctx    context.Context // ends when raft is to stop
	halt   func(error)     // asks for raft to be stopped
	branch registry.Branch // under which raft orders

	// Owned by raft's one applying goroutine.
	dead   bool
	next   uint64 // after the last entry of the log that has its place; 0 before the first
	waited bool   // for entries before the first one
	failed error  // why the last snapshot was not restored
}

// gapTime is how long the first entry of a log waits for those before it, which
// only a peer has.
const gapTime = time.Minute

// result is what Apply answers to the leader that proposed.
type result struct {
	seq uint64
	err error
}

// Apply implements [raft.FSM].
func (f *fsm) Apply(l *raft.Log) any {
	if f.dead {
		return result{err: errDamaged}
	}
	if sum := sha256.Sum256(l.Data); string(sum[:]) != string(l.Extensions) {
		return f.die(fmt.Errorf("%w: entry %d does not match its checksum", errDamaged, l.Index))
	}
	var o ordered
	if err := identity.Unmarshal(l.Data, &o); err != nil {
		return result{err: fmt.Errorf("%w: %v", registry.ErrMalformed, err)}
	}
	for {
		changed := f.k.ledger.wait()
		err := f.k.ledger.order(f.branch, o.Seq, &o.Before, o.Entry)
		switch {
		case err == nil:
			f.next = max(f.next, o.Seq+1)
			f.k.gap.Store(false)
		case errors.Is(err, errSuperseded): // the voters are founded anew
		case errors.Is(err, errGap):
			if f.awaits(changed) {
				continue
			}
			if f.ctx.Err() != nil {
				return f.die(f.ctx.Err())
			}
			f.askPeers()
		case errors.Is(err, ErrStorage):
			f.k.stop(err)
			return f.die(err)
		case errors.Is(err, registry.ErrUnknownKind):
			// A newer program or a false leader: if a majority of the voters
			// signs for it, it stops this node, as any other that follows.
			f.askPeers()
		case errors.Is(err, ErrSplit):
			// Ordered for another place than the registry is at: by a leader
			// that was no longer one, or a false one. Every voter refuses it
			// alike. Whether this node is the one that is wrong, others tell.
			f.k.Poke()
			err = fmt.Errorf("%w: %w", errSuperseded, err)
		}
		return result{o.Seq, err}
	}
}

// awaits waits until an entry came from a peer, while the log has not yet led to
// any place of the registry. After that a leader orders one entry after the
// other, and what lies further on is a false one's: to wait for it would be to
// wait for ever. It reports whether one came.
func (f *fsm) awaits(changed <-chan struct{}) bool {
	if f.next != 0 || f.waited {
		return false
	}
	f.askPeers()
	select {
	case <-changed:
		return true
	case <-time.After(gapTime):
		f.waited = true
	case <-f.ctx.Done():
	}
	return false
}

// askPeers lets this node take entries from others too, up to what a head of the
// registry confirms, until raft brings the next one.
func (f *fsm) askPeers() {
	f.k.gap.Store(true)
	f.k.Poke()
}

func (f *fsm) die(err error) result {
	f.dead = true
	f.halt(err)
	return result{err: err}
}

// Snapshot implements [raft.FSM]. A snapshot is the registry's whole chain of
// entries: whoever restores it verifies every one of them.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	last, err := f.k.Chain.Last()
	return snapshot{f.k.Chain, last}, err
}

type snapshot struct {
	chain Chain
	last  uint64
}

// Persist implements [raft.FSMSnapshot].
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	w := bufio.NewWriter(sink)
	err := s.write(w)
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		_ = sink.Cancel()
		return fmt.Errorf("write a snapshot of the registry: %w", err)
	}
	return sink.Close()
}

func (s snapshot) write(w *bufio.Writer) error {
	for seq := uint64(1); seq <= s.last; {
		entries, err := s.chain.Entries(seq, 512)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return fmt.Errorf("entry %d of %d is missing", seq, s.last)
		}
		for _, b := range entries[:min(uint64(len(entries)), s.last-seq+1)] {
			if _, err := w.Write(binary.AppendUvarint(nil, uint64(len(b)))); err != nil {
				return err
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
			seq++
		}
	}
	return nil
}

// Release implements [raft.FSMSnapshot].
func (s snapshot) Release() {}

// Restore implements [raft.FSM].
func (f *fsm) Restore(from io.ReadCloser) error {
	defer from.Close()
	if f.failed = f.k.ledger.restore(f.branch, from); f.failed != nil {
		return fmt.Errorf("restore the registry: %w", f.failed)
	}
	f.next = seqOf(f.k.State()) + 1
	return nil
}

// restore takes the entries of a snapshot. Those that are here already are
// compared with it.
func (l *ledger) restore(branch registry.Branch, from io.Reader) error {
	r := bufio.NewReader(from)
	for seq := uint64(1); ; seq++ {
		n, err := binary.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", seq, err)
		}
		if n > registry.MaxEntry {
			return fmt.Errorf("%w: entry %d has %d bytes", registry.ErrMalformed, seq, n)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("entry %d: %w", seq, err)
		}
		if err := l.order(branch, seq, nil, b); err != nil {
			return fmt.Errorf("entry %d: %w", seq, err)
		}
	}
}
