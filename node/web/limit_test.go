package web

import (
	"bytes"
	"fmt"
	"testing"
	"time"
	"unsafe"
)

func TestLimit(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	l := newLimiter(func() time.Time { return now })
	asked := func(address string, n int) (answered int) {
		for range n {
			if l.allow(address) {
				answered++
			}
		}
		return answered
	}
	if n := asked("192.0.2.7:4000", limitBurst+50); n != limitBurst {
		t.Errorf("%d of a burst are answered, want %d", n, limitBurst)
	}
	if n := asked("192.0.2.8:4000", 5); n != 5 {
		t.Error("a stranger is refused for somebody else's requests")
	}
	if n := asked("[::ffff:192.0.2.7]:5000", 5); n != 0 {
		t.Error("the same address written as IPv6 is somebody else")
	}
	now = now.Add(2 * time.Second)
	if n := asked("192.0.2.7:4001", 100); n != 2*limitRate {
		t.Errorf("after two seconds %d are answered, want %d", n, 2*limitRate)
	}
	answered := 0
	for i := range limitBurst + 100 { // one subscriber, many addresses
		answered += asked(fmt.Sprintf("[2001:db8:1:2::%x]:443", i+1), 1)
	}
	if answered != limitBurst {
		t.Errorf("a network of /64 gets %d answers, want %d", answered, limitBurst)
	}
	if n := asked("[2001:db8:1:3::1]:443", 1); n != 1 {
		t.Error("the next network is refused")
	}
	for _, here := range []string{"127.0.0.1:1", "[::1]:1", "@"} {
		if n := asked(here, 2*limitBurst); n != 2*limitBurst {
			t.Errorf("%s: %d are answered", here, n)
		}
	}
}

// Nothing from which an address could be read is in the memory of the limiter,
// its size does not grow with readers, and after ten minutes all is forgotten.
func TestLimitKeepsNoAddress(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	l := newLimiter(func() time.Time { return now })
	size := len(l.slots)
	for i := range 2000 {
		l.allow(fmt.Sprintf("198.51.100.%d:1", i%250+1))
	}
	table := unsafe.Slice((*byte)(unsafe.Pointer(&l.slots[0])), len(l.slots)*int(unsafe.Sizeof(l.slots[0])))
	if bytes.Contains(table, []byte{198, 51, 100}) {
		t.Error("the table holds an address")
	}
	if len(l.slots) != size {
		t.Error("the table grows")
	}
	key := l.key
	now = now.Add(limitKey)
	l.allow("203.0.113.1:1")
	used := 0
	for _, b := range l.slots {
		if b.at != 0 {
			used++
		}
	}
	if key == l.key || used > 2 {
		t.Errorf("after %v the key is the same, or %d places are still in use", limitKey, used)
	}
}

func BenchmarkLimit(b *testing.B) {
	l := newLimiter(time.Now)
	for b.Loop() {
		l.allow("192.0.2.7:4000")
	}
}
