// Package heap tells tests how much memory something takes.
package heap

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// often is how often [Peak] looks.
const often = 2 * time.Millisecond

// Peak runs f and returns how much more of the heap was in use meanwhile than
// before, at the most, in bytes. Garbage counts until it is collected, which is
// whenever there is a fifth of it, unless f sets another limit.
func Peak(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	used := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	start := used()
	peak := start
	done, watch := make(chan struct{}), sync.WaitGroup{}
	watch.Go(func() {
		tick := time.NewTicker(often)
		defer tick.Stop()
		for {
			peak = max(peak, used())
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	func() {
		defer watch.Wait() // also when f ends its test
		defer close(done)
		f()
	}()
	return peak - start
}
