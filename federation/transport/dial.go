package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

const (
	endpointTime = 5 * time.Second        // for one endpoint, handshake included
	stagger      = 400 * time.Millisecond // head start of an endpoint over the next
	maxEndpoints = 8
)

// DialPeer connects to a node that the Directory knows. It tries the peer's
// endpoints, the one that last worked first, the next a little later or as soon
// as one fails, and takes the first at which the peer proves that id. The
// connection is a [Conn]. The peer may still refuse: then the first Read is
// [ErrRefused].
func (t *Transport) DialPeer(ctx context.Context, id identity.NodeID, proto string) (net.Conn, error) {
	if proto == ProtoReverse {
		return nil, errNotReverse
	}
	c, err := t.dialPeer(ctx, id, proto)
	t.counts.dial(err)
	if err != nil {
		return nil, fmt.Errorf("reach node %s: %w", id, err)
	}
	return c, nil
}

// DialJoin connects to a pinned node that need not know us, over
// waymark-join/1. Whoever answers at addr must prove the id.
func (t *Transport) DialJoin(ctx context.Context, addr string, want identity.NodeID) (net.Conn, error) {
	c, err := t.dialOne(ctx, addr, want, ProtoJoin)
	t.counts.dial(err)
	if err != nil {
		return nil, fmt.Errorf("reach node %s: %w", want, err)
	}
	return c, nil
}

func (t *Transport) dialPeer(ctx context.Context, id identity.NodeID, proto string) (net.Conn, error) {
	if !known(proto) || proto == ProtoJoin {
		return nil, fmt.Errorf("%w: %q", ErrProtocol, proto)
	}
	if id == t.self {
		return nil, ErrSelf
	}
	peer, ok := t.directory.Peer(id)
	if !ok {
		return nil, ErrUnknownPeer
	}
	endpoints := t.inOrder(id, peer.Endpoints)
	if len(endpoints) == 0 {
		return nil, ErrNoEndpoint
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the attempts that lost

	type result struct {
		addr string
		conn *conn
		err  error
	}
	results := make(chan result)
	try := func(addr string) {
		c, err := t.dialOne(ctx, addr, id, proto)
		select {
		case results <- result{addr, c, err}:
		case <-ctx.Done():
			if c != nil {
				c.cut()
			}
		}
	}
	var errs []error
	pending := 0
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-next.C:
			if len(endpoints) > 0 {
				go try(endpoints[0])
				endpoints = endpoints[1:]
				pending++
				next.Reset(stagger)
			}
		case r := <-results:
			pending--
			if r.err == nil {
				t.remember(id, r.addr)
				return r.conn, nil
			}
			errs = append(errs, r.err)
			if len(endpoints) > 0 {
				next.Reset(0)
			} else if pending == 0 {
				return nil, errors.Join(errs...)
			}
		case <-ctx.Done():
			return nil, errors.Join(append(errs, ctx.Err())...)
		}
	}
}

// inOrder is the endpoints to try, the last good one first.
func (t *Transport) inOrder(id identity.NodeID, endpoints []string) []string {
	endpoints = slices.Clone(endpoints[:min(len(endpoints), maxEndpoints)])
	t.mu.Lock()
	good := t.good[id]
	t.mu.Unlock()
	if i := slices.Index(endpoints, good); i > 0 {
		endpoints = slices.Insert(slices.Delete(endpoints, i, i+1), 0, good)
	}
	return endpoints
}

func (t *Transport) remember(id identity.NodeID, addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.good[id] = addr // bounded by the registry: only its nodes get here
}

// dialOne connects to one address and has it prove the id.
func (t *Transport) dialOne(ctx context.Context, addr string, want identity.NodeID, proto string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, endpointTime)
	defer cancel()
	defer context.AfterFunc(t.stopped, cancel)()
	raw, err := t.dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("at %s: %w", addr, err)
	}
	var key identity.PublicKey
	session := tls.Client(raw, &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{t.cert},
		InsecureSkipVerify:     true, // no chain and no date: VerifyConnection has the key decide
		SessionTicketsDisabled: true,
		NextProtos:             []string{proto},
		VerifyConnection: func(state tls.ConnectionState) (err error) {
			if key, err = provenKey(state); err != nil {
				return err
			}
			return t.isWanted(key, want, state.NegotiatedProtocol, proto)
		},
	})
	if err := session.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("at %s: %w", addr, err)
	}
	c := newConn(t, session, raw, key, proto, false)
	if t.register(c) != "" {
		_ = raw.Close()
		return nil, ErrStopped
	}
	if proto != ProtoJoin {
		// Asked again now that Recheck can see the connection.
		if peer, ok := t.directory.Peer(want); !ok || peer.Key != key {
			c.cut()
			return nil, ErrUnknownPeer
		}
	}
	return c, nil
}

func (t *Transport) isWanted(key identity.PublicKey, want identity.NodeID, spoken, proto string) error {
	got := key.NodeID()
	switch {
	case got == t.self:
		return ErrSelf
	case got != want:
		return fmt.Errorf("%w: node %s", ErrWrongPeer, got)
	case spoken != proto:
		return fmt.Errorf("%w: it does not speak %s", ErrProtocol, proto)
	}
	if proto == ProtoJoin {
		return nil
	}
	if peer, ok := t.directory.Peer(want); !ok || peer.Key != key {
		return ErrUnknownPeer
	}
	return nil
}
