package gossip

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/time/rate"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/transport"
)

// link carries packets to and from one peer. Either side may have made the
// connection; each answers on the one on which it last heard something, so that
// the two soon share one.
type link struct {
	c    *carrier
	id   identity.NodeID
	out  chan []byte // frames; the oldest gives way
	ctx  context.Context
	end  context.CancelFunc
	rate *rate.Limiter // of packets that come in

	// Of the goroutine of run.
	retryAt time.Time
	pause   time.Duration

	mu   sync.Mutex
	all  []*packetConn // oldest first
	last *packetConn   // on which something was heard, or that was dialled
}

type packetConn struct {
	net.Conn
	writing sync.Mutex

	mu      sync.Mutex
	used    time.Time // the last packet out or frame in
	read    time.Time // the last frame in
	waiting time.Time // the first packet out since a frame came in; zero if none
	asked   time.Time // when "are you there?" went out since then; zero if not
}

const (
	queueLength   = 32
	maxConns      = 4 // packet connections with one peer
	writeTime     = 5 * time.Second
	dialTime      = 8 * time.Second
	idleTime      = 10 * time.Minute
	firstPause    = time.Second
	longestPause  = 10 * time.Second
	incomingRate  = 200 // packets a second of one peer
	incomingBurst = 500
)

func newLink(c *carrier, id identity.NodeID) *link {
	l := &link{c: c, id: id, out: make(chan []byte, queueLength), rate: rate.NewLimiter(incomingRate, incomingBurst)}
	l.ctx, l.end = context.WithCancel(c.ctx)
	return l
}

// send queues a frame; when the queue is full, the oldest is dropped.
func (l *link) send(frame []byte) {
	for {
		select {
		case l.out <- frame:
			return
		default:
		}
		select {
		case <-l.out:
			l.c.counts.dropped.Add(1)
		default:
		}
	}
}

// run writes what is queued until the link ends, and closes its connections.
func (l *link) run() {
	defer l.closeAll()
	for {
		select {
		case <-l.ctx.Done():
			l.flush()
			return
		case frame := <-l.out:
			if l.write(frame) {
				l.c.counts.sent.Add(1)
			} else {
				l.c.counts.dropped.Add(1)
			}
		}
	}
}

// flush writes what is still queued, which may be the news that this node
// leaves, if there is a connection to write it on.
func (l *link) flush() {
	for {
		select {
		case frame := <-l.out:
			if p := l.current(); p == nil || p.write(frame) != nil {
				return
			}
		default:
			return
		}
	}
}

// write sends on the current connection, and on a fresh one if that is dead.
func (l *link) write(frame []byte) bool {
	if p := l.current(); p != nil {
		if p.write(frame) == nil {
			p.wrote()
			return true
		}
		l.drop(p)
	}
	p := l.dial()
	if p == nil {
		return false
	}
	if p.write(frame) != nil {
		l.drop(p)
		return false
	}
	p.wrote()
	return true
}

// dial makes a connection, holding no lock. After a failure it pauses: packets
// are dropped meanwhile, as they would be on a network that is down.
func (l *link) dial() *packetConn {
	if time.Now().Before(l.retryAt) {
		return nil
	}
	ctx, cancel := context.WithTimeout(l.ctx, dialTime)
	defer cancel()
	conn, err := l.c.o.Transport.DialPeer(ctx, l.id, transport.ProtoGossip)
	if err != nil {
		l.pause = min(max(2*l.pause, firstPause), longestPause)
		l.retryAt = time.Now().Add(l.pause)
		return nil
	}
	l.pause = 0
	p := l.adopt(conn)
	l.c.running.Go(func() {
		l.read(p, bufio.NewReader(conn), make([]byte, maxFrame))
		l.drop(p)
	})
	return p
}

// adopt makes a connection one of the link's.
func (l *link) adopt(conn net.Conn) *packetConn {
	p := &packetConn{Conn: conn, used: time.Now()}
	l.mu.Lock()
	l.all = append(l.all, p)
	l.last = p
	var oldest *packetConn
	if len(l.all) > maxConns {
		oldest = l.all[0]
	}
	l.mu.Unlock()
	if oldest != nil {
		l.drop(oldest)
	}
	if l.ctx.Err() != nil {
		l.drop(p)
	}
	return p
}

func (l *link) drop(p *packetConn) {
	l.mu.Lock()
	l.all = slices.DeleteFunc(l.all, func(o *packetConn) bool { return o == p })
	if l.last == p {
		l.last = nil
		if n := len(l.all); n > 0 {
			l.last = l.all[n-1]
		}
	}
	l.mu.Unlock()
	_ = p.Close()
}

func (l *link) current() *packetConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *link) conns() (all []net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.all {
		all = append(all, p)
	}
	return all
}

func (l *link) closeAll() {
	for _, conn := range l.conns() {
		l.drop(conn.(*packetConn))
	}
}

// read takes frames until the connection fails or breaks a rule.
func (l *link) read(p *packetConn, r *bufio.Reader, buf []byte) {
	for {
		kind, payload, err := readFrame(r, buf)
		if err != nil {
			return
		}
		if err := l.take(p, kind, payload); err != nil {
			l.c.counts.refused.Add(1)
			return
		}
	}
}

// take handles one frame that came in.
func (l *link) take(p *packetConn, kind byte, payload []byte) error {
	p.heard()
	l.mu.Lock()
	if slices.Contains(l.all, p) {
		l.last = p
	}
	l.mu.Unlock()
	switch kind {
	case framePacket:
	case frameAsk:
		return p.write(appendFrame(nil, frameHere, nil))
	case frameHere:
		return nil
	default:
		return fmt.Errorf("%w: kind %d among packets", errFrame, kind)
	}
	now := time.Now()
	if !l.rate.AllowN(now, 1) {
		l.c.counts.refused.Add(1)
		return nil
	}
	packet := &memberlist.Packet{
		Buf:       bytes.Clone(payload),
		From:      &net.TCPAddr{IP: synthetic(l.id), Port: syntheticPort},
		Timestamp: now,
	}
	select {
	case l.c.packets <- packet:
		l.c.counts.received.Add(1)
		return nil
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}

// check closes what has been idle for long, and what no longer answers: a
// connection can die without a word, and a write would not notice for minutes.
func (l *link) check() {
	now := time.Now()
	for _, conn := range l.conns() {
		p := conn.(*packetConn)
		idle, silent, ask := p.condition(now)
		switch {
		case !silent.IsZero(): // so are the others, unless they were heard since
			for _, o := range l.conns() {
				if o := o.(*packetConn); o.lastHeard().Before(silent) {
					l.drop(o)
				}
			}
		case idle, ask && p.write(appendFrame(nil, frameAsk, nil)) != nil:
			l.drop(p)
		}
	}
}

func (p *packetConn) write(frame []byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	_ = p.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := p.Conn.Write(frame)
	return err
}

// wrote notes that a packet went out. Questions and answers are not noted, or
// two idle nodes would keep each other talking.
func (p *packetConn) wrote() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = time.Now()
	if p.waiting.IsZero() {
		p.waiting = p.used
	}
}

func (p *packetConn) heard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read, p.waiting, p.asked = time.Now(), time.Time{}, time.Time{}
	p.used = p.read
}

func (p *packetConn) lastHeard() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.read
}

// condition says what is to be done. Whoever was asked has a round to answer;
// silent is when it was asked, if it has not.
func (p *packetConn) condition(now time.Time) (idle bool, silent time.Time, ask bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle = now.Sub(p.used) > idleTime
	if !p.asked.IsZero() && now.Sub(p.asked) >= checkEvery/2 {
		silent = p.asked
	}
	if ask = p.asked.IsZero() && !p.waiting.IsZero() && now.Sub(p.waiting) > time.Second; ask {
		p.asked = now
	}
	return idle, silent, ask
}
