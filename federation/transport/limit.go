package transport

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits of handshakes. A demonstration runs many nodes behind one address, so
// the burst is wide and the rate is what bounds the cost: about 2 % of a core
// for each address that tries its best.
const (
	maxHandshakes    = 128 // at once, of all addresses
	maxPerAddress    = 48  // at once, of one address
	addressRate      = 20  // a second
	addressBurst     = 200
	maxAddresses     = 4096 // remembered
	forgetAddressAge = time.Minute
)

// gate decides who may begin a handshake, before anything is spent on it.
type gate struct {
	now func() time.Time

	mu        sync.Mutex
	active    int
	addresses map[string]*visitor
	crowd     *visitor // shared by all newcomers once too many addresses are remembered
}

type visitor struct {
	limit  *rate.Limiter
	active int
	seen   time.Time
}

func newGate(now func() time.Time) *gate {
	return &gate{now: now, addresses: map[string]*visitor{}, crowd: newVisitor()}
}

func newVisitor() *visitor {
	return &visitor{limit: rate.NewLimiter(addressRate, addressBurst)}
}

// enter lets a connection in or gives the reason why not. Who was let in calls
// leave when the handshake is over.
func (g *gate) enter(from net.Addr) (leave func(), refused Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	v := g.visitor(origin(from), now)
	v.seen = now
	if !v.limit.AllowN(now, 1) {
		return nil, ReasonRate
	}
	if g.active >= maxHandshakes || v.active >= maxPerAddress {
		return nil, ReasonBusy
	}
	g.active++
	v.active++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.active--
		v.active--
	}, ""
}

func (g *gate) visitor(addr string, now time.Time) *visitor {
	if v := g.addresses[addr]; v != nil {
		return v
	}
	if len(g.addresses) >= maxAddresses {
		for a, v := range g.addresses {
			if v.active == 0 && now.Sub(v.seen) > forgetAddressAge {
				delete(g.addresses, a)
			}
		}
	}
	if len(g.addresses) >= maxAddresses {
		return g.crowd
	}
	v := newVisitor()
	g.addresses[addr] = v
	return v
}

// origin is the host of an address, and for IPv6 its /64, which is what one
// household or server is given.
func origin(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		prefix, _ := ip.Prefix(64)
		return prefix.String()
	}
	return ip.String()
}
