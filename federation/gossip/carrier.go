package gossip

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/transport"
)

// carrier is memberlist's network: packets and streams over connections whose
// other end has proven its key. Who sent a packet is who the connection belongs
// to, never what the packet says.
type carrier struct {
	o       *Options
	packets chan *memberlist.Packet
	streams chan net.Conn
	lost    chan struct{} // closed when the listener fails before Shutdown
	counts  counters

	ctx      context.Context
	stop     context.CancelFunc
	running  sync.WaitGroup
	listener net.Listener

	mu    sync.Mutex
	links map[identity.NodeID]*link
	open  map[net.Conn]identity.NodeID // streams that came in or went out
}

var _ memberlist.NodeAwareTransport = (*carrier)(nil)

const (
	firstFrameTime   = 10 * time.Second
	maxStreams       = 16             // that came in, at once
	maxStreamsOfPeer = 3              // of them, of one peer
	maxStreamBytes   = 512 << 10      // read from one stream
	streamLife       = 3 * streamTime // memberlist has closed it by then, or has lost it
	checkEvery       = 15 * time.Second
)

func newCarrier(o *Options) *carrier {
	c := &carrier{
		o:        o,
		packets:  make(chan *memberlist.Packet, 256),
		streams:  make(chan net.Conn),
		lost:     make(chan struct{}),
		listener: o.Transport.Accept(transport.ProtoGossip),
		links:    map[identity.NodeID]*link{},
		open:     map[net.Conn]identity.NodeID{},
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.running.Go(c.accept)
	c.running.Go(c.check)
	return c
}

// FinalAdvertiseAddr is this node's synthetic address.
func (c *carrier) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return synthetic(c.o.Self), syntheticPort, nil
}

// WriteTo sends a packet to a synthetic address. See WriteToAddress.
func (c *carrier) WriteTo(b []byte, addr string) (time.Time, error) {
	return c.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress queues a packet and returns. It never fails: memberlist takes
// errors for its own fault, and a lost packet is what it is built for.
func (c *carrier) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	now := time.Now()
	id, ok := c.find(addr)
	if !ok || len(b) == 0 || len(b) > maxFrame {
		c.counts.dropped.Add(1)
		return now, nil
	}
	if l := c.link(id); l != nil {
		l.send(appendFrame(nil, framePacket, b))
	}
	return now, nil
}

// DialTimeout opens a stream to a synthetic address. See DialAddressTimeout.
func (c *carrier) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return c.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout opens a connection of its own for a stream.
func (c *carrier) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	id, ok := c.find(addr)
	if !ok {
		return nil, fmt.Errorf("gossip with %s: %w", addr.Name, transport.ErrUnknownPeer)
	}
	ctx, cancel := context.WithTimeout(c.ctx, timeout)
	defer cancel()
	conn, err := c.o.Transport.DialPeer(ctx, id, transport.ProtoGossip)
	if err != nil {
		return nil, err
	}
	s := &stream{Conn: conn, c: c, r: conn, left: maxStreamBytes}
	if !c.keep(s, id) {
		_ = conn.Close()
		return nil, transport.ErrStopped
	}
	_ = conn.SetWriteDeadline(time.Now().Add(timeout))
	if _, err := conn.Write(appendFrame(nil, frameStream, nil)); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("gossip with node %s: %w", id, err)
	}
	_ = conn.SetWriteDeadline(time.Time{})
	return s, nil
}

// PacketCh is where packets arrive.
func (c *carrier) PacketCh() <-chan *memberlist.Packet { return c.packets }

// StreamCh is where streams arrive.
func (c *carrier) StreamCh() <-chan net.Conn { return c.streams }

// Shutdown closes every connection and waits for the carrier's goroutines.
func (c *carrier) Shutdown() error {
	c.stop()
	_ = c.listener.Close()
	c.mu.Lock()
	var all []net.Conn
	for s := range c.open {
		all = append(all, s)
	}
	c.mu.Unlock() // packet connections are closed by their links, once those have said goodbye
	for _, conn := range all {
		_ = conn.Close()
	}
	c.running.Wait()
	return nil
}

// find is the node of a memberlist address, if the registry knows it.
func (c *carrier) find(addr memberlist.Address) (identity.NodeID, bool) {
	if id, err := identity.ParseNodeID(addr.Name); err == nil {
		return id, id != c.o.Self && c.o.knows(id)
	}
	for _, p := range c.o.Peers() {
		if p.ID != c.o.Self && syntheticAddr(p.ID) == addr.Addr {
			return p.ID, true
		}
	}
	return identity.NodeID{}, false
}

// link is the queue towards a peer; nil after Shutdown.
func (c *carrier) link(id identity.NodeID) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil
	}
	l := c.links[id]
	if l == nil {
		l = newLink(c, id)
		c.links[id] = l
		c.running.Go(l.run)
	}
	return l
}

// accept takes connections until the listener closes.
func (c *carrier) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			if c.ctx.Err() == nil {
				close(c.lost)
			}
			return
		}
		peer := conn.(transport.Conn).Peer()
		c.running.Go(func() { c.serve(conn, peer) })
	}
}

// serve reads the first frame and does what it says.
func (c *carrier) serve(conn net.Conn, peer identity.NodeID) {
	stop := context.AfterFunc(c.ctx, func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(firstFrameTime))
	r := bufio.NewReader(conn)
	buf := make([]byte, maxFrame)
	kind, payload, err := readFrame(r, buf)
	if err != nil {
		stop()
		c.counts.refused.Add(1)
		_ = conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	if kind == frameStream {
		stop()
		c.handOver(&stream{Conn: conn, c: c, r: r, left: maxStreamBytes, inbound: true}, peer)
		return
	}
	l := c.link(peer)
	if l == nil || !c.o.knows(peer) {
		stop()
		_ = conn.Close()
		return
	}
	p := l.adopt(conn) // from here on the link closes it
	stop()
	if l.take(p, kind, payload) == nil {
		l.read(p, r, buf)
	}
	l.drop(p)
}

// handOver gives memberlist a stream, unless there are too many.
func (c *carrier) handOver(s *stream, peer identity.NodeID) {
	if !c.keep(s, peer) {
		c.counts.refused.Add(1)
		_ = s.Conn.Close()
		return
	}
	select {
	case c.streams <- s:
	case <-c.ctx.Done():
		_ = s.Close()
	}
}

// keep remembers a stream, so that Shutdown can close it.
func (c *carrier) keep(s *stream, peer identity.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	all, same := 0, 0
	for o, id := range c.open {
		if o.(*stream).inbound {
			all++
			if id == peer {
				same++
			}
		}
	}
	if s.inbound && (all >= maxStreams || same >= maxStreamsOfPeer) {
		return false
	}
	c.open[s] = peer
	s.life = time.AfterFunc(streamLife, func() { _ = s.Close() })
	return true
}

// check looks at every link now and then: see link.check.
func (c *carrier) check() {
	every := time.NewTicker(checkEvery)
	defer every.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-every.C:
		}
		c.mu.Lock()
		links := make([]*link, 0, len(c.links))
		for id, l := range c.links {
			if !c.o.knows(id) {
				delete(c.links, id)
				l.end()
				continue
			}
			links = append(links, l)
		}
		c.mu.Unlock()
		for _, l := range links {
			l.check()
		}
	}
}

// stream is a connection in memberlist's hands. What can be read from it is
// bounded, and closing it is known here.
type stream struct {
	net.Conn
	c       *carrier
	r       interface{ Read([]byte) (int, error) }
	left    int // only the one reader of the stream touches it
	inbound bool
	life    *time.Timer
}

func (s *stream) Read(b []byte) (int, error) {
	if s.left <= 0 {
		s.c.counts.refused.Add(1)
		return 0, fmt.Errorf("%w: a comparison of more than %d bytes", errFrame, maxStreamBytes)
	}
	n, err := s.r.Read(b[:min(len(b), s.left)])
	s.left -= n
	return n, err
}

func (s *stream) Close() error {
	s.c.mu.Lock()
	delete(s.c.open, s)
	s.life.Stop()
	s.c.mu.Unlock()
	return s.Conn.Close()
}

type counters struct {
	sent, received, dropped, refused atomic.Uint64
}

func (c *counters) copy() Stats {
	return Stats{c.sent.Load(), c.received.Load(), c.dropped.Load(), c.refused.Load()}
}
