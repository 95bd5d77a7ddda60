package replication

import (
	"context"

	"github.com/2ps-project/waymark/federation/identity"
)

// feedLock keeps the steps of one feed in sequence. It is held over network
// calls, so that waiting for it ends with a context; and it waits on a channel,
// so that virtual time goes on meanwhile.
type feedLock chan struct{}

func (l feedLock) lock(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l feedLock) try() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l feedLock) unlock() { <-l }

func (r *Replicator) lock(o identity.OriginID) feedLock {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.locks[o] == nil {
		r.locks[o] = make(feedLock, 1)
	}
	return r.locks[o]
}
