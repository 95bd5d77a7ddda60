package node

import (
	"sync"
	"sync/atomic"
)

// errand is something that is done in the background after each of many changes:
// once for those that come while it is under way.
type errand struct {
	waiting atomic.Bool
	running sync.Mutex
}

// run does f after now. Of the calls that wait for one under way only the first
// does; f therefore looks at how things are then.
func (e *errand) run(f func()) {
	if !e.waiting.CompareAndSwap(false, true) {
		return
	}
	go func() {
		e.running.Lock()
		defer e.running.Unlock()
		e.waiting.Store(false)
		f()
	}()
}
