//go:build race

package fedtest

import "runtime"

// The race detector of Go 1.26 crashes (a fault in its stack depot, about one
// run in three of an hour in virtual time) when two processors fire timers of
// one testing/synctest bubble at the same moment: the bubble's timers share one
// detector context. With one processor they cannot, and races are still found,
// since the detector goes by what is ordered and not by what overlaps.
func init() { runtime.GOMAXPROCS(1) }
