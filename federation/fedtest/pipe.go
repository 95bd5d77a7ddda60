package fedtest

import (
	"io"
	"net"
	"sync"
	"time"
)

// pipe is one direction of a connection.
type pipe struct {
	n    *Network
	way  way
	mu   sync.Mutex
	wait chan struct{} // closed and replaced at every change

	chunks    []chunk
	size      int
	finished  bool  // the writer closed: end of file after the chunks
	abandoned bool  // the reader closed
	broken    error // the network went away
}

type chunk struct {
	b  []byte
	at time.Time // not to be read before
}

func (n *Network) newPipe(from, to string) *pipe {
	p := &pipe{n: n, way: way{from, to}, wait: make(chan struct{})}
	n.mu.Lock()
	n.pipes[p] = struct{}{}
	n.mu.Unlock()
	return p
}

// changed wakes whoever waits. The caller holds mu.
func (p *pipe) changed() {
	close(p.wait)
	p.wait = make(chan struct{})
}

func (p *pipe) read(b []byte, d *deadline) (int, error) {
	for {
		if d.passed() {
			return 0, errTimeout
		}
		cut, healed := p.n.state(p.way.from, p.way.to)
		p.mu.Lock()
		wait := p.wait
		var later <-chan time.Time
		switch {
		case p.abandoned:
			p.mu.Unlock()
			return 0, net.ErrClosed
		case p.broken != nil:
			p.mu.Unlock()
			return 0, p.broken
		case cut:
		case len(p.chunks) > 0:
			c := &p.chunks[0]
			if in := time.Until(c.at); in > 0 {
				later = time.After(in)
				break
			}
			n := copy(b, c.b)
			if c.b = c.b[n:]; len(c.b) == 0 {
				p.chunks = p.chunks[1:]
			}
			p.size -= n
			p.changed()
			p.mu.Unlock()
			return n, nil
		case p.finished:
			p.mu.Unlock()
			return 0, io.EOF
		}
		p.mu.Unlock()
		if !cut {
			healed = nil
		}
		select {
		case <-wait:
		case <-healed:
		case <-later:
		case <-d.channel():
		}
	}
}

func (p *pipe) write(b []byte, d *deadline) (int, error) {
	written := 0
	for len(b) > 0 {
		if d.passed() {
			return written, errTimeout
		}
		cut, healed := p.n.state(p.way.from, p.way.to)
		p.mu.Lock()
		wait := p.wait
		switch {
		case p.finished:
			p.mu.Unlock()
			return written, net.ErrClosed
		case p.broken != nil:
			p.mu.Unlock()
			return written, p.broken
		case p.abandoned && !cut: // a cut hides that the other end is gone
			p.mu.Unlock()
			return written, errBroken
		case p.size < window:
			n := min(len(b), window-p.size)
			p.chunks = append(p.chunks, chunk{append([]byte(nil), b[:n]...), time.Now().Add(p.n.latency)})
			p.size += n
			b = b[n:]
			written += n
			p.changed()
			p.mu.Unlock()
			p.n.mu.Lock()
			p.n.sent[p.way.from] += int64(n)
			p.n.mu.Unlock()
			continue
		}
		p.mu.Unlock()
		if !cut {
			healed = nil
		}
		select {
		case <-wait:
		case <-healed:
		case <-d.channel():
		}
	}
	return written, nil
}

// finish is the writer's close, abandon the reader's, fail the network's.
func (p *pipe) finish()        { p.end(func() { p.finished = true }) }
func (p *pipe) abandon()       { p.end(func() { p.abandoned = true }) }
func (p *pipe) fail(err error) { p.end(func() { p.broken = err }) }

func (p *pipe) end(how func()) {
	p.mu.Lock()
	how()
	over := p.broken != nil || p.finished && p.abandoned
	p.changed()
	p.mu.Unlock()
	if over {
		p.n.mu.Lock()
		delete(p.n.pipes, p)
		p.n.mu.Unlock()
	}
}

// deadline is a moment that ends waits. The zero deadline never passes.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	ch    chan struct{} // closed when passed
	gone  bool
	turn  int // counts settings, so that a timer that was stopped too late does nothing
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.ch == nil || d.gone {
		d.ch, d.gone = make(chan struct{}), false
	}
	d.turn++
	if t.IsZero() {
		return
	}
	ch, turn := d.ch, d.turn
	pass := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.turn == turn && !d.gone {
			d.gone = true
			close(ch)
		}
	}
	in := time.Until(t)
	if in <= 0 {
		d.gone = true
		close(ch)
		return
	}
	d.timer = time.AfterFunc(in, pass)
}

func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone
}

func (d *deadline) channel() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	return d.ch
}
