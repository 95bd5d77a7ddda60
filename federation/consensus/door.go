package consensus

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/2ps-project/waymark/federation/identity"
)

// door is raft's transport, with a look at everything that comes in. Raft trusts
// its servers: one message of a hostile one can end the process, and the log
// keeps it for the next start. So each node speaks in a room of its own, where
// it is known who speaks, and raft hears only what an honest voter could say
// (check.go).
type door struct {
	*raft.NetworkTransport // what this node asks of others
	v                      *voter
	rpcs                   chan raft.RPC
	heartbeat              atomic.Pointer[func(raft.RPC)]
	raft                   atomic.Pointer[raft.Raft] // nil until raft runs
	done                   chan struct{}
	serving                sync.WaitGroup
	close                  sync.Once

	mu     sync.Mutex
	rooms  map[identity.NodeID]*room
	warned map[identity.NodeID]bool
	asked  time.Time // when others were last asked because of an unknown voter
}

var (
	_ raft.Transport   = (*door)(nil)
	_ raft.WithPreVote = (*door)(nil)
	_ raft.WithClose   = (*door)(nil)
)

// newDoor opens the door of a voter. It takes the keeper's incoming connections
// until it is closed.
func newDoor(v *voter) *door {
	d := &door{
		v: v, rpcs: make(chan raft.RPC), done: make(chan struct{}),
		rooms: map[identity.NodeID]*room{}, warned: map[identity.NodeID]bool{},
	}
	d.NetworkTransport = d.transport(&streams{k: v.k, mark: streamMark(v.branch), done: d.done})
	d.serving.Go(d.receive)
	return d
}

// transport speaks raft over s. One message is under way to a voter at a time:
// with a second one, raft's pipeline hangs for ever when the line goes at the
// wrong moment (what reads the answers waits for who sends, and the other way
// round), that voter gets nothing any more, and raft cannot be stopped.
func (d *door) transport(s raft.StreamLayer) *raft.NetworkTransport {
	return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: s, MaxPool: 3, MaxRPCsInFlight: 1, Timeout: rpcTimeout, Logger: d.v.k.raftLogger(),
	})
}

// receive leads each incoming connection to the room of its peer.
func (d *door) receive() {
	for {
		select {
		case c := <-d.v.k.conns:
			p, ok := c.(interface{ Peer() identity.NodeID })
			if !ok {
				_ = c.Close()
				continue
			}
			r := d.room(p.Peer())
			select {
			case r.conns <- &metered{Conn: marked(c, streamMark(d.v.branch)), room: r}:
			case <-d.done:
				_ = c.Close()
				return
			}
		case <-d.done:
			return
		}
	}
}

// newsTime is how often others are asked at most because a node speaks that is
// no voter as far as is known here.
const newsTime = 5 * time.Second

// room is the room of a node, made when it first comes. There are at most as
// many as the registry has nodes that have offered to vote.
func (d *door) room(peer identity.NodeID) *room {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.rooms[peer]; r != nil {
		return r
	}
	r := &room{peer: peer, conns: make(chan net.Conn), done: d.done}
	d.rooms[peer] = r
	r.transport = d.transport(r)
	r.transport.SetHeartbeatHandler(func(rpc raft.RPC) {
		if pass := d.heartbeat.Load(); pass != nil && *pass != nil && d.admits(r, &rpc) {
			(*pass)(rpc)
			return
		}
		rpc.Respond(nil, errNotAdmitted)
	})
	d.serving.Go(func() {
		for {
			select {
			case rpc := <-r.transport.Consumer():
				if !d.admits(r, &rpc) {
					rpc.Respond(nil, errNotAdmitted)
					continue
				}
				select {
				case d.rpcs <- rpc:
				case <-d.done:
					return
				}
			case <-d.done:
				return
			}
		}
	})
	return r
}

// admits reports whether raft may hear a message.
func (d *door) admits(r *room, rpc *raft.RPC) bool {
	at := d.raft.Load()
	if at == nil {
		return false // in a moment
	}
	err := d.check(at, r, rpc)
	if err == nil {
		return true
	}
	now := time.Now()
	d.mu.Lock()
	warn := errors.Is(err, errHostile) && !d.warned[r.peer]
	d.warned[r.peer] = d.warned[r.peer] || warn
	ask := errors.Is(err, errNoPart) && now.Sub(d.asked) >= newsTime
	if ask {
		d.asked = now
	}
	d.mu.Unlock()
	if ask {
		d.v.k.Poke() // a newer head may say that it is a voter
	}
	if warn {
		d.v.k.Logger.Warn("a node sends what no voter may send; it is not heard", "node", r.peer, "error", err)
	} else {
		d.v.k.Logger.Debug("a message of a voter is not heard", "node", r.peer, "error", err)
	}
	return false
}

// Consumer implements [raft.Transport].
func (d *door) Consumer() <-chan raft.RPC { return d.rpcs }

// SetHeartbeatHandler implements [raft.Transport].
func (d *door) SetHeartbeatHandler(pass func(raft.RPC)) { d.heartbeat.Store(&pass) }

// Close implements [raft.WithClose].
func (d *door) Close() error {
	d.close.Do(func() {
		close(d.done)
		d.mu.Lock()
		for _, r := range d.rooms {
			_ = r.transport.Close()
		}
		d.mu.Unlock()
		_ = d.NetworkTransport.Close()
		d.serving.Wait()
	})
	return nil
}

// RequestVote implements [raft.Transport].
func (d *door) RequestVote(id raft.ServerID, to raft.ServerAddress, q *raft.RequestVoteRequest, a *raft.RequestVoteResponse) error {
	if err := d.NetworkTransport.RequestVote(id, to, q, a); err != nil {
		return err
	}
	return believable(a.Term, q.Term)
}

// RequestPreVote implements [raft.WithPreVote].
func (d *door) RequestPreVote(id raft.ServerID, to raft.ServerAddress, q *raft.RequestPreVoteRequest, a *raft.RequestPreVoteResponse) error {
	if err := d.NetworkTransport.RequestPreVote(id, to, q, a); err != nil {
		return err
	}
	return believable(a.Term, q.Term)
}

// room is where one node speaks to raft.
type room struct {
	peer      identity.NodeID
	conns     chan net.Conn
	done      <-chan struct{}
	transport *raft.NetworkTransport
	// snapshot is the size of the largest snapshot that was found good here so
	// far; one connection may carry that much in one message.
	snapshot atomic.Int64
}

// Accept implements [raft.StreamLayer].
func (r *room) Accept() (net.Conn, error) {
	select {
	case c := <-r.conns:
		return c, nil
	case <-r.done:
		return nil, net.ErrClosed
	}
}

// Close implements [raft.StreamLayer].
func (r *room) Close() error { return nil }

// Addr implements [raft.StreamLayer].
func (r *room) Addr() net.Addr { return nodeAddr(r.peer) }

// Dial implements [raft.StreamLayer]. Nobody calls from a room.
func (r *room) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	return nil, fmt.Errorf("dial from the room of %s: %w", r.peer, errors.ErrUnsupported)
}

// maxMessage bounds what a node may send before it is answered: 64 entries of
// the largest size, and what was read ahead.
const maxMessage = 8 << 20

// metered is an incoming connection that ends when a message is too large. One
// goroutine of raft reads and answers on it.
type metered struct {
	net.Conn
	room *room
	read int64 // since the last answer
}

// Read implements [net.Conn].
func (m *metered) Read(b []byte) (int, error) {
	if m.read > maxMessage+m.room.snapshot.Load() {
		return 0, fmt.Errorf("%w: a message of more than %d bytes", errHostile, m.read)
	}
	n, err := m.Conn.Read(b)
	m.read += int64(n)
	return n, err
}

// Write implements [net.Conn].
func (m *metered) Write(b []byte) (int, error) {
	m.read = 0
	return m.Conn.Write(b)
}
