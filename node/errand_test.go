package node

import (
	"sync/atomic"
	"testing"
)

// TestAnErrandIsDoneOnceForManyChanges: a node that catches up with thousands of
// entries does not start a goroutine for each, and misses nothing.
func TestAnErrandIsDoneOnceForManyChanges(t *testing.T) {
	var e errand
	var entries atomic.Int64
	gate, saw := make(chan struct{}), make(chan int64, 2000)
	f := func() {
		<-gate
		saw <- entries.Load()
	}
	for range 1000 {
		entries.Add(1)
		e.run(f)
	}
	close(gate)
	times := 1
	for ; <-saw != 1000; times++ {
	}
	if times > 2 {
		t.Errorf("it ran %d times for 1000 changes", times)
	}
	entries.Add(1)
	e.run(f)
	for <-saw != 1001 {
	}
}
