package node

import (
	"errors"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/replication"
)

// TestStalled: a copy that does not go on is told of only where nothing else says
// why: somebody who has it is in reach, there is room, and it is long enough.
func TestStalled(t *testing.T) {
	one, two := identity.NodeID{1}, identity.NodeID{2}
	for name, tt := range map[string]struct {
		known       replication.Known
		unreachable []identity.NodeID
		room        error
		want        bool
	}{
		"for long":              {replication.Known{Sources: []identity.NodeID{one, two}, Idle: time.Hour}, []identity.NodeID{two}, nil, true},
		"for a moment":          {replication.Known{Sources: []identity.NodeID{one}, Idle: time.Minute}, nil, nil, false},
		"nobody is in reach":    {replication.Known{Sources: []identity.NodeID{one}, Idle: time.Hour}, []identity.NodeID{one, two}, nil, false},
		"there is no room":      {replication.Known{Sources: []identity.NodeID{one}, Idle: time.Hour}, nil, errors.New("full"), false},
		"nobody has shown it":   {replication.Known{Idle: time.Hour}, nil, nil, false},
		"just at the threshold": {replication.Known{Sources: []identity.NodeID{one}, Idle: stallAfter}, nil, nil, false},
	} {
		if got := stalled(tt.known, tt.unreachable, tt.room); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
