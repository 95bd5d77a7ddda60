package editorial

import (
	"runtime/debug"
	"sync"
)

// hurried is how many imports are under way in this process, and what the garbage
// collector did before.
var hurried struct {
	sync.Mutex
	imports, was int
}

// importGarbage is the percentage of garbage that an import may make before it is
// collected. Little of what it makes lives on, so that each collection looks through
// the rest of the node for nothing: at the node's own 50 per cent it took a third of
// an import's time, and 100 are still a twentieth slower.
const importGarbage = 200

// hurry lets the garbage collector rest until what it returns is called.
func hurry() (end func()) {
	hurried.Lock()
	defer hurried.Unlock()
	if hurried.imports++; hurried.imports == 1 {
		hurried.was = debug.SetGCPercent(importGarbage)
		if hurried.was < 0 || hurried.was > importGarbage { // whoever started the node knows better
			debug.SetGCPercent(hurried.was)
		}
	}
	return func() {
		hurried.Lock()
		defer hurried.Unlock()
		if hurried.imports--; hurried.imports == 0 {
			debug.SetGCPercent(hurried.was)
		}
	}
}
