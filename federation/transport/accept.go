package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// Limits of what others can make this node hold. A handshake costs about a
// millisecond of one core.
const (
	handshakeTime  = 5 * time.Second // from the first byte to proven identity
	maxPerPeer     = 64              // inbound connections of one node
	maxJoins       = 8               // connections of unknown nodes
	maxJoinsPerKey = 2
	joinTime       = time.Minute // how long an unknown node may stay
)

// acceptAll returns nil when ctx ends and an error when the listener is lost.
func (t *Transport) acceptAll(ctx context.Context, running *sync.WaitGroup) error {
	var pause time.Duration
	for {
		raw, err := t.listener.Accept()
		if err == nil {
			pause = 0
			pass, reason := t.gate.enter(raw.RemoteAddr())
			if reason != "" {
				t.counts.refuse(reason)
				_ = raw.Close()
				continue
			}
			running.Go(func() {
				defer pass()
				t.admit(ctx, raw)
			})
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		// Out of file descriptors, or the dialler gave up in the queue: both
		// pass, so wait and go on. Anything else means that the port is gone.
		var passing interface{ Temporary() bool }
		if !errors.As(err, &passing) || !passing.Temporary() {
			return fmt.Errorf("%w: %w", ErrListener, err)
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// admit takes one connection from its first byte to its protocol's queue.
func (t *Transport) admit(ctx context.Context, raw net.Conn) {
	c, err := t.handshake(ctx, raw)
	if err != nil {
		_ = raw.Close()
		t.counts.refuse(reasonOf(err))
		t.log.Debug("refused a connection on the federation port", "from", raw.RemoteAddr().String(), "reason", err.Error())
		return
	}
	if c.proto == ProtoJoin {
		c.expire(joinTime)
	}
	if reason := t.offer(c); reason != "" {
		t.counts.refuse(reason)
		c.cut()
		return
	}
	t.counts.accept(c.proto)
}

func (t *Transport) handshake(ctx context.Context, raw net.Conn) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	session := tls.Server(raw, t.inbound)
	if err := session.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, refusal{ReasonSlow, fmt.Errorf("no handshake within %v", handshakeTime)}
		}
		return nil, err
	}
	state := session.ConnectionState()
	key, err := provenKey(state)
	if err != nil {
		return nil, err
	}
	return newConn(t, session, raw, key, state.NegotiatedProtocol, true), nil
}

// offer registers the connection and hands it to its protocol. The order
// matters: once registered, Recheck can find it, so asking the directory again
// afterwards leaves no moment in which a revoked peer slips through.
func (t *Transport) offer(c *conn) Reason {
	if reason := t.register(c); reason != "" {
		return reason
	}
	if err := t.authorise(c.key, c.proto); err != nil {
		return reasonOf(err)
	}
	if c.proto == ProtoReverse {
		return t.adopt(c)
	}
	q := t.queue(c.proto)
	if q == nil || !q.push(c) {
		return ReasonNobody
	}
	return ""
}

// serverConfig asks for a certificate, checks no chain and no date, and lets
// the key decide. VerifyConnection is called on every connection, and tickets
// are off, so no resumed session passes by it.
func (t *Transport) serverConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{t.cert},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true,
		SessionTicketsDisabled: true,
		NextProtos:             []string{ProtoRaft, ProtoGossip, ProtoHTTP, ProtoReverse, ProtoJoin},
		VerifyConnection: func(state tls.ConnectionState) error {
			key, err := provenKey(state)
			if err != nil {
				return err
			}
			return t.authorise(key, state.NegotiatedProtocol)
		},
	}
}

// authorise decides whether the holder of a key may speak a protocol to us.
func (t *Transport) authorise(key identity.PublicKey, proto string) error {
	if !known(proto) {
		return refusal{ReasonProtocol, ErrProtocol}
	}
	id := key.NodeID()
	if id == t.self {
		return refusal{ReasonSelf, ErrSelf}
	}
	if proto == ProtoJoin {
		return nil
	}
	peer, ok := t.directory.Peer(id)
	if !ok || peer.Key != key {
		return refusal{ReasonUnknown, fmt.Errorf("node %s: %w", id, ErrUnknownPeer)}
	}
	if peer.Reader && proto != ProtoHTTP {
		return refusal{ReasonReader, fmt.Errorf("node %s is not heard at present and may only ask", id)}
	}
	if proto == ProtoRaft && !peer.Voter {
		return refusal{ReasonVoter, fmt.Errorf("node %s is no voter and may not speak raft", id)}
	}
	return nil
}

func provenKey(state tls.ConnectionState) (identity.PublicKey, error) {
	if len(state.PeerCertificates) != 1 {
		return identity.PublicKey{}, refusal{ReasonCertificate, fmt.Errorf("%d certificates where one is spoken", len(state.PeerCertificates))}
	}
	key, err := identity.KeyOfCertificate(state.PeerCertificates[0].Raw)
	if err != nil {
		return key, refusal{ReasonCertificate, err}
	}
	return key, nil
}

// queue hands accepted connections of one protocol to whoever listens.
type queue struct {
	addr net.Addr
	done chan struct{}

	mu     sync.Mutex
	ch     chan *conn
	closed bool
}

const queueLength = 16

func newQueue(addr net.Addr) *queue {
	return &queue{addr: addr, done: make(chan struct{}), ch: make(chan *conn, queueLength)}
}

func (q *queue) push(c *conn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	select {
	case q.ch <- c:
		return true
	default:
		return false
	}
}

// Accept waits for the next connection; net.ErrClosed after Close.
func (q *queue) Accept() (net.Conn, error) {
	for {
		select {
		case c := <-q.ch:
			if c.isClosed() { // revoked, or expired, while it waited
				continue
			}
			return c, nil
		case <-q.done:
			return nil, net.ErrClosed
		}
	}
}

// Close ends Accept and closes what waited.
func (q *queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	q.closed = true
	close(q.done)
	for {
		select {
		case c := <-q.ch:
			c.cut()
		default:
			return nil
		}
	}
}

func (q *queue) Addr() net.Addr { return q.addr }

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
