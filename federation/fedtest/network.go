// Package fedtest is a federation in memory and in virtual time, with cuts.
package fedtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Network is a network in memory. Addresses are "host:port" with any names for
// hosts. Connections are buffered and ordered like TCP's, honour deadlines, and
// wait on channels and timers only, so that time in a testing/synctest bubble
// goes on while they wait.
//
// A cut behaves as a dead cable does: dials hang until their context ends,
// writes fill a buffer, reads wait, and neither side is told. What was under
// way arrives when the cut heals, if both ends are still open.
type Network struct {
	latency time.Duration

	mu        sync.Mutex
	listeners map[string]*listener
	pipes     map[*pipe]struct{}
	cuts      map[way]bool
	healed    chan struct{} // closed and replaced whenever a cut heals
	sent      map[string]int64
	ports     int
	closed    bool
}

// way is one direction between two hosts.
type way struct{ from, to string }

// window is how much one direction of a connection holds before writes wait.
const window = 256 << 10

// NewNetwork is an empty network that delivers after latency; 0 is at once.
func NewNetwork(latency time.Duration) *Network {
	return &Network{
		latency:   latency,
		listeners: map[string]*listener{},
		pipes:     map[*pipe]struct{}{},
		cuts:      map[way]bool{},
		healed:    make(chan struct{}),
		sent:      map[string]int64{},
	}
}

// Listen opens addr. It fails when addr is taken or the network is closed.
func (n *Network) Listen(addr string) (net.Listener, error) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, net.ErrClosed
	}
	if n.listeners[addr] != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, syscall.EADDRINUSE)
	}
	l := &listener{n: n, addr: address(addr), backlog: make(chan *end, 128), done: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

// Dial connects from a host that no cut touches.
func (n *Network) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return n.dial(ctx, "outside", addr)
}

// Dialer is what the named host dials with.
func (n *Network) Dialer(host string) func(ctx context.Context, addr string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) { return n.dial(ctx, host, addr) }
}

func (n *Network) dial(ctx context.Context, from, addr string) (net.Conn, error) {
	to, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	for {
		n.mu.Lock()
		cut, healed, l := n.cuts[way{from, to}] || n.cuts[way{to, from}], n.healed, n.listeners[addr]
		n.ports++
		local := address(fmt.Sprintf("%s:%d", from, 20000+n.ports%40000))
		n.mu.Unlock()
		if cut {
			select {
			case <-healed:
				continue
			case <-ctx.Done():
				return nil, fmt.Errorf("dial %s: %w", addr, ctx.Err())
			}
		}
		if l == nil {
			return nil, fmt.Errorf("dial %s: %w", addr, syscall.ECONNREFUSED)
		}
		there, back := n.newPipe(from, to), n.newPipe(to, from)
		client := &end{local: local, remote: l.addr, in: back, out: there}
		server := &end{local: l.addr, remote: local, in: there, out: back}
		select {
		case l.backlog <- server:
			return client, nil
		case <-l.done:
			client.Close()
			return nil, fmt.Errorf("dial %s: %w", addr, syscall.ECONNREFUSED)
		case <-ctx.Done():
			client.Close()
			return nil, fmt.Errorf("dial %s: %w", addr, ctx.Err())
		}
	}
}

// Cut severs two hosts in both directions.
func (n *Network) Cut(a, b string) { n.CutOneWay(a, b); n.CutOneWay(b, a) }

// CutOneWay loses what goes from one host to the other, but not back.
func (n *Network) CutOneWay(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[way{from, to}] = true
}

// Heal undoes every cut between two hosts.
func (n *Network) Heal(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cuts, way{a, b})
	delete(n.cuts, way{b, a})
	close(n.healed)
	n.healed = make(chan struct{})
}

// Partition cuts every host of one side off from every host of the other.
func (n *Network) Partition(one, other []string) {
	for _, a := range one {
		for _, b := range other {
			n.Cut(a, b)
		}
	}
}

// HealAll undoes every cut.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cuts)
	close(n.healed)
	n.healed = make(chan struct{})
}

// Reaches reports whether no cut lies on the way from one host to the other.
func (n *Network) Reaches(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cuts[way{from, to}]
}

// Sent is how many bytes a host has written so far, TLS included and headers
// of lower layers not.
func (n *Network) Sent(host string) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent[host]
}

// SentAll is how many bytes all hosts have written so far.
func (n *Network) SentAll() (total int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, v := range n.sent {
		total += v
	}
	return total
}

// Open is how many connections are open at one end at least.
func (n *Network) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return (len(n.pipes) + 1) / 2
}

// Close closes every listener and breaks every connection.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	var listeners []*listener
	for _, l := range n.listeners {
		listeners = append(listeners, l)
	}
	var pipes []*pipe
	for p := range n.pipes {
		pipes = append(pipes, p)
	}
	n.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	for _, p := range pipes {
		p.fail(syscall.ECONNRESET)
	}
	return nil
}

// state tells a waiting reader whether its way is cut now, and what to wait for.
func (n *Network) state(from, to string) (cut bool, healed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cuts[way{from, to}], n.healed
}

type address string

func (address) Network() string  { return "memory" }
func (a address) String() string { return string(a) }

type listener struct {
	n       *Network
	addr    address
	backlog chan *end
	done    chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.n.mu.Lock()
		delete(l.n.listeners, string(l.addr))
		l.n.mu.Unlock()
		for {
			select {
			case c := <-l.backlog:
				c.Close()
			default:
				return
			}
		}
	})
	return nil
}

// end is one end of a connection.
type end struct {
	local, remote address
	in, out       *pipe
	read, write   deadline
	once          sync.Once
}

func (e *end) Read(b []byte) (int, error)  { return e.in.read(b, &e.read) }
func (e *end) Write(b []byte) (int, error) { return e.out.write(b, &e.write) }
func (e *end) LocalAddr() net.Addr         { return e.local }
func (e *end) RemoteAddr() net.Addr        { return e.remote }

func (e *end) Close() error {
	e.once.Do(func() {
		e.out.finish()
		e.in.abandon()
		e.read.set(time.Time{})
		e.write.set(time.Time{})
	})
	return nil
}

func (e *end) SetDeadline(t time.Time) error      { e.read.set(t); e.write.set(t); return nil }
func (e *end) SetReadDeadline(t time.Time) error  { e.read.set(t); return nil }
func (e *end) SetWriteDeadline(t time.Time) error { e.write.set(t); return nil }

// errTimeout is what net.Conn promises when a deadline passes.
var errTimeout = os.ErrDeadlineExceeded

// errBroken is a write to an end that nobody reads any more.
var errBroken error = syscall.EPIPE
