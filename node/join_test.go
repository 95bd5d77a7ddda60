package node

import (
	"testing"
	"time"
)

// TestJoinPause: somebody who waits in front of it hears within moments, and a vote
// that takes a month costs next to nothing.
func TestJoinPause(t *testing.T) {
	for waited, want := range map[time.Duration]time.Duration{
		0: 2 * time.Second, time.Minute: 2 * time.Second, 10 * time.Minute: 10 * time.Second,
		time.Hour: 30 * time.Second, 30 * 24 * time.Hour: 30 * time.Second,
	} {
		if got := joinPause(waited); got != want {
			t.Errorf("after %v: %v, want %v", waited, got, want)
		}
	}
}
