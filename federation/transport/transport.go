// Package transport is a node's one door to the federation: a mutual-TLS port
// on which the protocol name picks raft, gossip, HTTP/2 or joining.
//
// DESIGN.md beside this file tells why it is built as it is.
package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// The protocols of the port, as they are named in the TLS handshake (ALPN).
const (
	ProtoRaft    = "waymark-raft/1"    // inbound from voters only
	ProtoGossip  = "waymark-gossip/1"  // between any two peers
	ProtoHTTP    = "h2"                // served and dialled by this package: ServeHTTP and Client
	ProtoReverse = "waymark-reverse/1" // HTTP/2 with the dialler as server: KeepReverse and Client
	ProtoJoin    = "waymark-join/1"    // the only one open to unknown keys
)

// Errors of dialling. A failed dial wraps one of them, or what the network said.
var (
	ErrUnknownPeer = errors.New("the registry names no such node")
	ErrNoEndpoint  = errors.New("the registry names no address for the node")
	ErrWrongPeer   = errors.New("another node answered at that address")
	ErrSelf        = errors.New("that address leads back to this node")
	ErrRefused     = errors.New("the other node does not accept this node's key")
	ErrProtocol    = errors.New("not a protocol of the federation port")
	ErrStopped     = errors.New("the federation port is closed")
)

// ErrListener is wrapped by the error of Run when the port itself is lost. It
// is not to be retried: the process should end and be started again.
var ErrListener = errors.New("the federation port was lost")

// Peer is a node that the registry knows.
type Peer struct {
	ID        identity.NodeID
	Key       identity.PublicKey // what it must prove; a peer without one is refused
	Endpoints []string           // host:port, best first; at most 8 are tried
	Voter     bool               // may speak raft to us
	// Reader may ask us over HTTP and nothing else, and is not called: what it may
	// ask is the handler's to decide. So a member that is not heard learns when it is
	// again.
	Reader bool
}

// Directory is the registry's view of the peers. It is asked at every
// handshake and by Recheck, from many goroutines, and must not block.
type Directory interface {
	Peer(identity.NodeID) (Peer, bool)
}

// Conn is what the listeners of Accept and the dials return.
type Conn interface {
	net.Conn
	// Peer is the node that proved itself on this connection. On a
	// waymark-join/1 connection it need not be known to anybody.
	Peer() identity.NodeID
	// Key is the key it proved.
	Key() identity.PublicKey
}

// Options say what a Transport is made of. Key, Listener and Directory are
// required.
type Options struct {
	Key       *identity.Key                                            // the node key
	Listener  net.Listener                                             // the federation port; Run closes it
	Dial      func(ctx context.Context, addr string) (net.Conn, error) // nil is TCP
	Directory Directory
	Lost      func(identity.NodeID) // told when an HTTP connection with a peer ended; may be nil, must not block
	Logger    *slog.Logger          // nil logs nothing
	Now       func() time.Time      // nil is time.Now; used for rate limits only
}

// Transport accepts and makes the federation's connections.
type Transport struct {
	self      identity.NodeID
	listener  net.Listener
	dial      func(ctx context.Context, addr string) (net.Conn, error)
	directory Directory
	lost      func(identity.NodeID)
	log       *slog.Logger
	cert      tls.Certificate
	inbound   *tls.Config
	gate      *gate
	counts    counters
	handler   atomic.Pointer[http.Handler]
	client    *http.Client
	pool      *http.Transport
	reverse   reversed

	stopped context.Context // ends when Run ends
	stop    context.CancelFunc

	mu     sync.Mutex
	queues map[string]*queue
	live   map[*conn]struct{}
	good   map[identity.NodeID]string // the endpoint that last worked
}

// New checks the options. Nothing runs and nothing is accepted before Run;
// dials work at once.
func New(o Options) (*Transport, error) {
	switch {
	case o.Key == nil:
		return nil, errors.New("federation port: no node key given")
	case o.Listener == nil:
		return nil, errors.New("federation port: no listener given")
	case o.Directory == nil:
		return nil, errors.New("federation port: no directory of peers given")
	}
	cert, err := o.Key.Certificate()
	if err != nil {
		return nil, fmt.Errorf("federation port: %w", err)
	}
	if o.Dial == nil {
		dialer := &net.Dialer{KeepAlive: 15 * time.Second}
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", addr)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Transport{
		self:      o.Key.Public().NodeID(),
		listener:  o.Listener,
		dial:      o.Dial,
		directory: o.Directory,
		lost:      o.Lost,
		log:       o.Logger,
		cert:      cert,
		gate:      newGate(o.Now),
		queues:    map[string]*queue{},
		live:      map[*conn]struct{}{},
		good:      map[identity.NodeID]string{},
	}
	t.stopped, t.stop = context.WithCancel(context.Background())
	t.inbound = t.serverConfig()
	t.client, t.pool = t.newClient()
	t.reverse.conns = map[identity.NodeID][]*reverseConn{}
	return t, nil
}

// Self is the id of this node.
func (t *Transport) Self() identity.NodeID { return t.self }

// recheckEvery bounds how long a revoked peer can stay connected when nobody
// calls Recheck.
const recheckEvery = 5 * time.Second

// Run accepts connections until ctx ends, then closes every connection, waits
// for its goroutines and returns nil. A lost listener is [ErrListener]. A
// Transport runs once.
func (t *Transport) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup

	server := t.newServer()
	requests := t.Accept(ProtoHTTP)
	running.Go(func() { _ = server.Serve(requests) }) // ends when the queue closes
	running.Go(func() {
		every := time.NewTicker(recheckEvery)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
				t.Recheck()
			}
		}
	})
	running.Go(func() {
		<-ctx.Done()
		_ = t.listener.Close()
	})
	err := t.acceptAll(ctx, &running)
	cancel()
	t.stop()
	t.closeQueues()
	_ = server.Close()
	t.pool.CloseIdleConnections()
	t.closeConns(func(*conn) bool { return true })
	running.Wait()
	return err
}

// Accept is the listener of one protocol: its connections have finished the
// handshake and are authorised. Each is a [Conn]. Its queue is short: what
// nobody accepts in time is closed. Calling Accept again returns the same
// listener, or a new one if that was closed. It panics on a name that is no
// protocol of the port, or whose connections this package takes itself
// (waymark-reverse/1). h2 is served by ServeHTTP and not to be accepted.
func (t *Transport) Accept(proto string) net.Listener {
	if !known(proto) || proto == ProtoReverse {
		panic(fmt.Sprintf("transport: %v: %q", ErrProtocol, proto))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.queues[proto]; q != nil && (!q.isClosed() || t.stopped.Err() != nil) {
		return q
	}
	q := newQueue(address{t.self, proto})
	if t.stopped.Err() != nil {
		q.Close()
	}
	t.queues[proto] = q
	return q
}

func (t *Transport) queue(proto string) *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.queues[proto]
}

func (t *Transport) closeQueues() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.queues {
		q.Close()
	}
}

func known(proto string) bool {
	switch proto {
	case ProtoRaft, ProtoGossip, ProtoHTTP, ProtoReverse, ProtoJoin:
		return true
	}
	return false
}

// address is the synthetic address of a protocol's listener.
type address struct {
	node  identity.NodeID
	proto string
}

func (address) Network() string  { return "waymark" }
func (a address) String() string { return a.node.String() + "/" + a.proto }
