package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"
)

// What one address may ask for: a clinic or a school behind one address reads
// undisturbed, a machine that copies the site page by page does not.
const (
	limitBurst = 300              // requests at once
	limitRate  = 10               // requests a second after that
	limitWait  = 30 * time.Second // what who is refused is told to wait
	limitKey   = 10 * time.Minute // how long a key lives, and with it all that is remembered
	limitSlots = 1 << 16
)

// limiter counts requests without knowing who sends them. Its memory is a table
// of fixed size; an address picks its two places there by a keyed hash. The key
// is random, never leaves the process and is thrown away with the table every
// ten minutes. Nothing of it is written anywhere.
type limiter struct {
	now func() time.Time

	mu    sync.Mutex
	key   [32]byte
	since time.Time
	slots []bucket
}

// bucket is how many requests are left, and when that was.
type bucket struct {
	left float32
	at   uint32 // milliseconds since the key was made; 0 = never used
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, slots: make([]bucket, limitSlots)}
}

// allow counts a request from an address, "host:port", and reports whether it
// may be answered. Requests from this machine are not counted: behind a proxy or
// an onion service everybody comes from here, and the limit is theirs to set.
func (l *limiter) allow(remote string) bool {
	who, err := netip.ParseAddrPort(remote)
	if err != nil || who.Addr().IsLoopback() {
		return true
	}
	network := who.Addr().Unmap().WithZone("")
	if network.Is6() {
		// Every subscriber has 2^64 addresses.
		network = netip.PrefixFrom(network, 64).Masked().Addr()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if age := now.Sub(l.since); age >= limitKey || age < 0 {
		l.since = now
		_, _ = rand.Read(l.key[:]) // never fails
		clear(l.slots)
	}
	hash := hmac.New(sha256.New, l.key[:])
	address := network.As16()
	_, _ = hash.Write(address[:])
	sum := hash.Sum(nil)
	at := uint32(now.Sub(l.since)/time.Millisecond) + 1 //nolint:gosec // below ten minutes
	// Two strangers seldom share both places: whoever shares one is not refused
	// for the other's requests.
	first, second := l.slot(sum, 0, at), l.slot(sum, 4, at)
	if first.left < 1 && second.left < 1 {
		return false
	}
	first.left, second.left = first.left-1, second.left-1
	return true
}

// slot returns the place that part of a hash picks, filled up to now.
func (l *limiter) slot(sum []byte, part int, at uint32) *bucket {
	b := &l.slots[binary.BigEndian.Uint32(sum[part:])%limitSlots]
	if b.at == 0 {
		b.left = limitBurst
	} else {
		b.left = min(limitBurst, max(b.left, 0)+float32(at-b.at)*limitRate/1000)
	}
	b.at = at
	return b
}
