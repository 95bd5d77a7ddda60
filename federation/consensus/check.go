package consensus

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

var (
	// errNotAdmitted is what a node hears whose message is not passed on.
	errNotAdmitted = errors.New("this message is not heard here")
	// errHostile: no honest voter sends this.
	errHostile = errors.New("no voter sends this")
	// errNoPart: by a node that has no part in the quorum, as far as is known here.
	errNoPart = errors.New("the sender is none of the voters that are known here")
	// errNotLeading: leadership is handed over by who does not lead, or no longer.
	errNotLeading = errors.New("the sender does not lead")
	// errNotTakenIn: this node has no say in who leads.
	errNotTakenIn = errors.New("this node has not been taken in by the voters yet, or not again since it lost its log")
)

const (
	maxServers = 64      // in a configuration
	maxJump    = 1 << 32 // between two terms; honest voters need seconds for each
	maxTerm    = 1 << 62 // and for indexes: nothing may come near to overflowing
)

// believable refuses terms that no elections have led to. Raft takes over any
// higher term, and after the highest one there is no election any more.
func believable(term, known uint64) error {
	if term > maxTerm || term > known+maxJump {
		return fmt.Errorf("%w: term %d, after %d", errHostile, term, known)
	}
	return nil
}

// check refuses messages that raft would take and that no honest voter sends.
func (d *door) check(at *raft.Raft, r *room, rpc *raft.RPC) error {
	q, ok := rpc.Command.(raft.WithRPCHeader)
	if !ok {
		return fmt.Errorf("%w: a message without sender", errHostile)
	}
	h := q.GetRPCHeader()
	if raft.ServerAddress(h.Addr) != address(r.peer) || !isServer(raft.ServerID(h.ID), r.peer) {
		return fmt.Errorf("%w: it names another sender", errHostile)
	}
	if !d.v.hears(r.peer) {
		return errNoPart
	}
	term := at.CurrentTerm()
	switch q := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		if q.Term < term {
			return nil // of an old leader that may not know yet; raft takes nothing from it and tells it so
		}
		if err := believable(q.Term, term); err != nil {
			return err
		}
		return d.checkEntries(at, q)
	case *raft.RequestVoteRequest:
		return errors.Join(believable(q.Term, term), believable(q.LastLogTerm, q.Term), inBounds(q.LastLogIndex), d.v.mayElect(at))
	case *raft.RequestPreVoteRequest:
		return errors.Join(believable(q.Term, term), believable(q.LastLogTerm, q.Term), inBounds(q.LastLogIndex), d.v.mayElect(at))
	case *raft.InstallSnapshotRequest:
		if err := errors.Join(believable(q.Term, term), inBounds(q.LastLogIndex), inBounds(q.ConfigurationIndex)); err != nil {
			return err
		}
		if q.SnapshotVersion != raft.SnapshotVersionMax || q.LastLogTerm > q.Term || q.Size < 0 {
			return fmt.Errorf("%w: a snapshot that raft does not make", errHostile)
		}
		if err := checkConfiguration(q.Configuration); err != nil {
			return err
		}
		rpc.Reader = &snapshotReader{r: bufio.NewReader(rpc.Reader), l: d.v.k.ledger, room: r}
		return nil
	case *raft.TimeoutNowRequest:
		if leader, _ := at.LeaderWithID(); leader != address(r.peer) {
			return errNotLeading
		}
		return nil
	}
	return fmt.Errorf("%w: a message of an unknown type", errHostile)
}

func inBounds(index uint64) error {
	if index > maxTerm {
		return fmt.Errorf("%w: entry %d", errHostile, index)
	}
	return nil
}

// hears reports whether a node can be a voter: raft's servers here say so, or
// the head of the registry does, which tells of voters that came while this node
// was away. Who has neither yet hears everybody who has offered to vote.
func (v *voter) hears(id identity.NodeID) bool {
	if h, ok := v.k.Head(); !ok || slices.Contains(h.VoterIDs(), id) {
		return true
	}
	d := v.door.raft.Load()
	if d == nil {
		return false
	}
	f := d.GetConfiguration()
	return f.Error() == nil && slices.ContainsFunc(f.Configuration().Servers, func(s raft.Server) bool { return s.Address == address(id) })
}

// mayElect refuses to vote until the others have taken this node in under the
// name that it has now. They reach it by its address alone and count what it
// says as its old self's: with a log that was lost, it would help somebody to
// lead who lacks what it had itself said yes to.
func (v *voter) mayElect(at *raft.Raft) error {
	f := at.GetConfiguration()
	if err := f.Error(); err != nil {
		return err
	}
	if !slices.ContainsFunc(f.Configuration().Servers, func(s raft.Server) bool { return s.ID == v.id }) {
		return errNotTakenIn
	}
	return nil
}

// checkEntries checks the entries of a leader: one after the other, whole, of
// types that this program makes, and none instead of one that is committed here.
func (d *door) checkEntries(at *raft.Raft, q *raft.AppendEntriesRequest) error {
	if err := errors.Join(inBounds(q.PrevLogEntry), inBounds(q.LeaderCommitIndex)); err != nil {
		return err
	}
	committed := at.CommitIndex()
	term := q.PrevLogTerm
	for i, e := range q.Entries {
		if e == nil || e.Index != q.PrevLogEntry+1+uint64(i) || e.Index > maxTerm || e.Term < term || e.Term > q.Term {
			return fmt.Errorf("%w: entries out of order", errHostile)
		}
		term = e.Term
		if err := checkEntry(e); err != nil {
			return err
		}
		if e.Type == raft.LogCommand {
			if err := d.v.checkOrdered(e); err != nil {
				return err
			}
		}
		var have raft.Log
		if e.Index <= committed && d.v.log.GetLog(e.Index, &have) == nil && have.Term != e.Term {
			return fmt.Errorf("%w: another entry instead of %d, which is committed", errHostile, e.Index)
		}
	}
	return nil
}

// checkEntry checks one entry by itself. A wrong checksum would later look like
// damage here, for which a voter gives its log up.
func checkEntry(e *raft.Log) error {
	switch e.Type {
	case raft.LogNoop, raft.LogBarrier:
		if len(e.Data) > 0 {
			return fmt.Errorf("%w: an empty entry that is not empty", errHostile)
		}
		return nil
	case raft.LogConfiguration:
		return checkConfiguration(e.Data)
	case raft.LogCommand:
		if sum := sha256.Sum256(e.Data); len(e.Data) > registry.MaxEntry+256 || !bytes.Equal(sum[:], e.Extensions) {
			return fmt.Errorf("%w: an entry that does not match its checksum", errHostile)
		}
		return nil
	}
	return fmt.Errorf("%w: an entry of type %d", errHostile, e.Type)
}

// checkConfiguration checks the servers in an entry or a snapshot. Raft panics
// over bytes that are none, and again at each start while they are in the log.
func checkConfiguration(b []byte) error {
	c, ok := readConfiguration(b)
	if !ok || len(c.Servers) > maxServers {
		return fmt.Errorf("%w: a configuration that cannot be read", errHostile)
	}
	voters := 0
	seen := map[raft.ServerAddress]bool{}
	for _, s := range c.Servers {
		id, err := identity.ParseNodeID(string(s.Address))
		if err != nil || address(id) != s.Address || !isServer(s.ID, id) || seen[s.Address] {
			return fmt.Errorf("%w: a configuration with a server that can be none", errHostile)
		}
		seen[s.Address] = true
		voters += order(s.Suffrage == raft.Voter)
	}
	if voters == 0 {
		return fmt.Errorf("%w: a configuration without voters", errHostile)
	}
	return nil
}

func readConfiguration(b []byte) (c raft.Configuration, ok bool) {
	defer func() { ok = recover() == nil }()
	return raft.DecodeConfiguration(b), true
}

// isServer reports whether a name is one that a node gives itself in raft.
func isServer(s raft.ServerID, id identity.NodeID) bool {
	node, tail, ok := strings.Cut(string(s), "/")
	return ok && node == id.String() && len(tail) == 8
}

// snapshotReader passes a snapshot on while it is good: the entries that are
// here, then others that fit. Raft keeps a snapshot before anybody has judged
// it, and may throw good ones away for it.
type snapshotReader struct {
	r    *bufio.Reader
	l    *ledger
	room *room
	seq  uint64
	last *registry.State // after entry seq, once it is past what is here
	buf  []byte
	done int64
	err  error
}

// Read implements [io.Reader].
func (s *snapshotReader) Read(b []byte) (int, error) {
	if len(s.buf) == 0 && s.err == nil {
		s.buf, s.err = s.next()
	}
	if len(s.buf) == 0 {
		return 0, s.err
	}
	n := copy(b, s.buf)
	s.buf = s.buf[n:]
	s.done += int64(n)
	if s.done > s.room.snapshot.Load() {
		s.room.snapshot.Store(s.done)
	}
	return n, nil
}

// next is the next entry with its length before it.
func (s *snapshotReader) next() ([]byte, error) {
	n, err := binary.ReadUvarint(s.r)
	if err != nil {
		return nil, err
	}
	if n > registry.MaxEntry {
		return nil, fmt.Errorf("%w: an entry of %d bytes in a snapshot", errHostile, n)
	}
	b := binary.AppendUvarint(nil, n)
	head := len(b)
	b = append(b, make([]byte, n)...)
	if _, err := io.ReadFull(s.r, b[head:]); err != nil {
		return nil, err
	}
	s.seq++
	if s.last, err = s.l.follows(s.last, s.seq, b[head:]); err != nil {
		return nil, fmt.Errorf("a snapshot that is not of this registry, entry %d: %w", s.seq, err)
	}
	return b, nil
}

// follows compares entry seq with the one that is here, or judges it after the
// state last when there is none; nil means that of the ledger. It returns the
// state after the entry when that is past what is here, and keeps nothing.
func (l *ledger) follows(last *registry.State, seq uint64, b []byte) (*registry.State, error) {
	if last == nil {
		kept, err := l.chain.Entries(seq, 1)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrStorage, err)
		case len(kept) == 1 && !bytes.Equal(kept[0], b):
			return nil, ErrSplit
		case len(kept) == 1:
			return nil, nil
		}
		last = l.state.Load()
	}
	if have := seqOf(last); have+1 != seq {
		return nil, errGap // entries came meanwhile; the sender tries again
	}
	return l.judge(last, b)
}
