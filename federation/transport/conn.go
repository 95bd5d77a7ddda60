package transport

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// conn is a live connection. It wraps the TLS session instead of embedding its
// type: net/http takes what has a ConnectionState method for its own TLS.
type conn struct {
	net.Conn // the TLS session
	raw      net.Conn
	t        *Transport
	peer     identity.NodeID
	key      identity.PublicKey
	proto    string
	inbound  bool
	closed   atomic.Bool
	expiry   *time.Timer // set before the connection is shared
	since    time.Time
	gone     chan struct{} // closed with the connection
}

var _ Conn = (*conn)(nil)

func newConn(t *Transport, session, raw net.Conn, key identity.PublicKey, proto string, inbound bool) *conn {
	return &conn{Conn: session, raw: raw, t: t, peer: key.NodeID(), key: key, proto: proto, inbound: inbound, since: time.Now(), gone: make(chan struct{})}
}

func (c *conn) Peer() identity.NodeID   { return c.peer }
func (c *conn) Key() identity.PublicKey { return c.key }

// Read tells a refusal by the other side apart from other failures. In TLS 1.3
// a client learns of it only when it first reads.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !c.inbound && isRefusal(err) {
		err = fmt.Errorf("node %s: %w; ask its administrator whether this node is admitted there and not revoked: %w", c.peer, ErrRefused, err)
	}
	return n, err
}

// isRefusal goes by the text, since crypto/tls does not export its alerts.
func isRefusal(err error) bool {
	return strings.Contains(err.Error(), "remote error: tls: bad certificate")
}

// Close says goodbye to the peer and closes.
func (c *conn) Close() error {
	if c.forget() {
		return c.Conn.Close()
	}
	return nil
}

// cut closes at once, without a word to the peer, who may not be reading.
func (c *conn) cut() {
	if c.forget() {
		_ = c.raw.Close()
	}
}

func (c *conn) expire(after time.Duration) { c.expiry = time.AfterFunc(after, c.cut) }

func (c *conn) isClosed() bool { return c.closed.Load() }

// forget reports whether this call is the one that closes.
func (c *conn) forget() bool {
	if c.closed.Swap(true) {
		return false
	}
	if c.expiry != nil {
		c.expiry.Stop()
	}
	close(c.gone)
	c.t.mu.Lock()
	delete(c.t.live, c)
	c.t.mu.Unlock()
	if c.proto == ProtoReverse && c.inbound {
		c.t.reverse.remove(c)
	}
	if (c.proto == ProtoHTTP || c.proto == ProtoReverse) && c.t.lost != nil {
		c.t.lost(c.peer)
	}
	return true
}

// register puts a connection under the eye of Recheck, or says why not.
func (t *Transport) register(c *conn) Reason {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped.Err() != nil {
		return ReasonStopping
	}
	if c.inbound {
		same, joins := 0, 0
		for other := range t.live {
			if !other.inbound {
				continue
			}
			if other.peer == c.peer && other.proto == c.proto {
				same++
			}
			if other.proto == ProtoJoin {
				joins++
			}
		}
		if c.proto == ProtoJoin && (joins >= maxJoins || same >= maxJoinsPerKey) || same >= maxPerPeer {
			return ReasonTooMany
		}
	}
	if !c.closed.Load() { // a join may have expired meanwhile
		t.live[c] = struct{}{}
	}
	return ""
}

// Recheck closes every connection whose peer the Directory no longer knows by
// that key, inbound raft connections of peers that are no longer voters, and all
// but the questions of peers that only read.
// Call it when the registry changes; Run also does so every five seconds.
func (t *Transport) Recheck() {
	t.closeConns(func(c *conn) bool {
		if c.proto == ProtoJoin {
			return false // was never authorised; it expires by itself
		}
		peer, ok := t.directory.Peer(c.peer)
		return !ok || peer.Key != c.key || c.inbound && c.proto == ProtoRaft && !peer.Voter ||
			peer.Reader && !(c.inbound && c.proto == ProtoHTTP)
	})
}

// Reset closes the HTTP connections that this node made to a peer, so that the
// next request dials anew. After a cut an old connection can hang for long
// before the network says so. Those that the peer opened stay: they are its to
// open, and pings end them within 13 s.
func (t *Transport) Reset(id identity.NodeID) {
	t.closeConns(func(c *conn) bool { return c.peer == id && c.proto == ProtoHTTP && !c.inbound })
}

// closeConns asks about each connection without holding the lock, since the
// answer may come from the directory.
func (t *Transport) closeConns(which func(*conn) bool) {
	t.mu.Lock()
	all := make([]*conn, 0, len(t.live))
	for c := range t.live {
		all = append(all, c)
	}
	t.mu.Unlock()
	for _, c := range all {
		if which(c) {
			c.cut()
		}
	}
}
