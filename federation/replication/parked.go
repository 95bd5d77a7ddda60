package replication

import (
	"context"
	"slices"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// maxParked is how many heads may wait, one a feed.
const maxParked = 16

// parked is a head that cannot be judged yet. It is kept, since whoever showed
// it may not be in reach when it can.
type parked struct {
	head     *feed.SignedHead
	peer     identity.NodeID
	registry uint64 // waits until this much of the registry is known; else for its date
}

// park keeps a head for later. Of one feed the newest one stays. With too many,
// one goes whose signature could not be checked yet, and else the one that would
// wait for longest.
func (r *Replicator) park(p parked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, old := range r.parked {
		if old.head.Origin == p.head.Origin {
			if newer(p.head, old.head) && (old.registry > 0 || p.registry == 0) {
				r.parked[i] = p
			}
			return
		}
	}
	if len(r.parked) >= maxParked {
		worst := slices.MaxFunc(r.parked, func(a, b parked) int {
			if (a.registry > 0) != (b.registry > 0) {
				if a.registry > 0 {
					return 1
				}
				return -1
			}
			return int(a.head.Issued - b.head.Issued)
		})
		if p.registry > 0 || worst.registry == 0 && worst.head.Issued < p.head.Issued {
			return
		}
		r.parked = slices.DeleteFunc(r.parked, func(x parked) bool { return x.head == worst.head })
	}
	r.parked = append(r.parked, p)
}

// unpark looks again at heads whose time has come.
func (r *Replicator) unpark(ctx context.Context) {
	r.mu.Lock()
	waiting := len(r.parked)
	r.mu.Unlock()
	if waiting == 0 {
		return
	}
	latest, seq := feed.MinuteOf(r.o.Rules().Now.Add(feed.Ahead)), r.o.RegistrySeq()
	r.mu.Lock()
	var due []parked
	r.parked = slices.DeleteFunc(r.parked, func(p parked) bool {
		ripe := p.registry > 0 && p.registry <= seq || p.registry == 0 && p.head.Issued <= latest
		if ripe {
			due = append(due, p)
		}
		return ripe
	})
	r.mu.Unlock()
	for _, p := range due {
		r.hearHead(ctx, p.peer, announcement{Head: p.head.Envelope})
	}
}
