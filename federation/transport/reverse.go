package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// Limits and timings of reverse connections: what a node that nobody can dial
// opens, so that requests can reach it. They are pinged from both ends like any
// other HTTP connection and never closed for being idle.
const (
	maxReverse        = 64 // inbound, of all peers
	maxReversePerPeer = 2  // inbound, of one peer: the old one and the one that replaces it
	defaultReverse    = 2  // outbound, when nothing is asked for
	maxReverseOut     = 8
	reverseLook       = 10 * time.Second // how often the list of peers is read while some are missing
	reverseFirst      = time.Second      // the pause after a failure, doubled for each further one
	reverseLongest    = time.Minute
	reverseGood       = 20 * time.Second // how long one must have held to count as accepted
)

// KeepReverse makes this node reachable through others: it keeps want
// connections open, each to another peer, and serves over them what it serves
// on its port. Those peers' requests then come that way, with no change on
// either side. Peers are tried in the order of the list, so a caller who wants
// them spread over countries orders it so; the list is read again whenever a
// connection is missing, and who is on it but cannot be reached is passed over
// and tried again later. 0 asks for two; at most eight are kept.
//
// It returns nil when ctx or Run ends, with its connections closed.
func (t *Transport) KeepReverse(ctx context.Context, peers func() []identity.NodeID, want int) error {
	if peers == nil {
		return errors.New("federation port: no list of peers to stay reachable through")
	}
	if want <= 0 {
		want = defaultReverse
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.stopped, cancel)()

	k := &reverseKeeper{
		t: t, peers: peers, want: min(want, maxReverseOut),
		serve: newQueue(address{t.self, ProtoReverse}),
		open:  map[identity.NodeID]*conn{}, dialling: map[identity.NodeID]bool{}, pauses: map[identity.NodeID]pause{},
		dialled: make(chan reverseDial), ended: make(chan *conn),
	}
	server := t.newServer()
	server.IdleTimeout = 0
	k.running.Go(func() { _ = server.Serve(k.serve) })
	k.run(ctx)
	_ = k.serve.Close()
	_ = server.Close()
	for _, c := range k.open {
		c.cut()
	}
	k.running.Wait()
	return nil
}

// Reverse reports whether a peer has a connection open over which this node
// can send it requests without dialling it.
func (t *Transport) Reverse(id identity.NodeID) bool { return t.reverse.pick(id) != nil }

// ReversedTo is the peers through which this node is reachable now, sorted.
func (t *Transport) ReversedTo() []identity.NodeID {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ids []identity.NodeID
	for c := range t.live {
		if c.proto == ProtoReverse && !c.inbound {
			ids = append(ids, c.peer)
		}
	}
	slices.SortFunc(ids, func(a, b identity.NodeID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

// reverseKeeper is the state of one KeepReverse; the goroutine of run owns it.
type reverseKeeper struct {
	t        *Transport
	peers    func() []identity.NodeID
	want     int
	serve    *queue // hands connections to the HTTP server
	open     map[identity.NodeID]*conn
	dialling map[identity.NodeID]bool
	pauses   map[identity.NodeID]pause
	dialled  chan reverseDial
	ended    chan *conn
	running  sync.WaitGroup
}

type reverseDial struct {
	id   identity.NodeID
	conn *conn
	err  error
}

// pause is how long a peer that failed is left alone.
type pause struct {
	until time.Time
	last  time.Duration
}

func (k *reverseKeeper) run(ctx context.Context) {
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		case d := <-k.dialled:
			delete(k.dialling, d.id)
			if d.err != nil {
				k.t.log.Debug("no reverse connection", "peer", d.id.String(), "reason", d.err.Error())
				k.postpone(d.id)
				break
			}
			k.hold(ctx, d.conn)
		case c := <-k.ended:
			delete(k.open, c.peer)
			if time.Since(c.since) < reverseGood {
				k.postpone(c.peer)
			} else {
				delete(k.pauses, c.peer)
			}
		}
		if k.fill(ctx) {
			look.Stop()
		} else {
			look.Reset(k.wait())
		}
	}
}

// fill dials as many peers as are missing and reports whether enough are open.
func (k *reverseKeeper) fill(ctx context.Context) bool {
	if len(k.open) >= k.want {
		return true
	}
	now := time.Now()
	for _, id := range k.peers() {
		if len(k.open)+len(k.dialling) >= k.want {
			break
		}
		if id == k.t.self || k.open[id] != nil || k.dialling[id] || now.Before(k.pauses[id].until) {
			continue
		}
		k.dialling[id] = true
		k.running.Go(func() {
			made, err := k.t.dialPeer(ctx, id, ProtoReverse)
			k.t.counts.dial(err)
			c, _ := made.(*conn)
			select {
			case k.dialled <- reverseDial{id, c, err}:
			case <-ctx.Done():
				if c != nil {
					c.cut()
				}
			}
		})
	}
	return false
}

// hold serves on a connection and hears of its end. A peer that refuses shows
// it only now: its connection ends at once.
func (k *reverseKeeper) hold(ctx context.Context, c *conn) {
	k.open[c.peer] = c
	if !k.serve.push(c) {
		c.cut()
	}
	k.running.Go(func() {
		select {
		case <-c.gone:
		case <-ctx.Done():
			return
		}
		select {
		case k.ended <- c:
		case <-ctx.Done():
		}
	})
}

func (k *reverseKeeper) postpone(id identity.NodeID) {
	last := min(max(2*k.pauses[id].last, reverseFirst), reverseLongest)
	spread := time.Duration(rand.Int64N(int64(last / 2))) // many nodes may have lost one peer at once
	k.pauses[id] = pause{time.Now().Add(last*3/4 + spread), last}
}

// wait is the time until a peer may be tried again or the list is read anew.
func (k *reverseKeeper) wait() time.Duration {
	wait := reverseLook
	for id, p := range k.pauses {
		in := time.Until(p.until)
		if in <= -reverseLongest {
			delete(k.pauses, id) // left the list, or its turn never came
		} else if in > 0 {
			wait = min(wait, in)
		}
	}
	return wait
}

// reversed are the connections that peers opened to be reached by.
type reversed struct {
	mu    sync.Mutex
	conns map[identity.NodeID][]*reverseConn // newest last
	count int
}

type reverseConn struct {
	conn   *conn
	client *http.ClientConn
}

// adopt makes a reverse connection usable for requests, in place of the oldest
// of the same peer when it has too many.
func (t *Transport) adopt(c *conn) Reason {
	pool := t.newPool(func(context.Context, string, string) (net.Conn, error) { return c, nil })
	pool.IdleConnTimeout = 0
	ctx, cancel := context.WithTimeout(t.stopped, handshakeTime)
	defer cancel()
	client, err := pool.NewClientConn(ctx, "http", net.JoinHostPort(c.peer.String(), "80"))
	if err != nil {
		return ReasonGarbage
	}
	old, ok := t.reverse.add(&reverseConn{c, client})
	if old != nil {
		old.cut()
	}
	if !ok {
		return ReasonTooMany
	}
	if c.isClosed() { // between the handshake and here
		t.reverse.remove(c)
	}
	return ""
}

func (r *reversed) add(rc *reverseConn) (replaced *conn, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	same := r.conns[rc.conn.peer]
	if len(same) >= maxReversePerPeer {
		replaced, same = same[0].conn, same[1:]
		r.count--
	}
	if r.count >= maxReverse {
		return replaced, false
	}
	r.conns[rc.conn.peer] = append(slices.Clip(same), rc)
	r.count++
	return replaced, true
}

func (r *reversed) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	same := r.conns[c.peer]
	i := slices.IndexFunc(same, func(rc *reverseConn) bool { return rc.conn == c })
	if i < 0 {
		return
	}
	r.count--
	if same = slices.Delete(slices.Clone(same), i, i+1); len(same) == 0 {
		delete(r.conns, c.peer)
	} else {
		r.conns[c.peer] = same
	}
}

// pick is the newest connection of a peer that still works, or nil.
func (r *reversed) pick(id identity.NodeID) *reverseConn {
	r.mu.Lock()
	same := r.conns[id]
	r.mu.Unlock()
	for _, rc := range slices.Backward(same) {
		if rc.client.Err() == nil && !rc.conn.isClosed() {
			return rc
		}
	}
	return nil
}

// errNotReverse keeps the connections of KeepReverse out of other hands.
var errNotReverse = fmt.Errorf("%w: reverse connections are made by KeepReverse and taken by Run", ErrProtocol)
