package consensus

import "context"

// OpenLog opens the log of a voter that has stopped.
var OpenLog = openLog

// TakeLate takes from a source what it was asked for when entry at was the next
// one here.
func (k *Keeper) TakeLate(ctx context.Context, at uint64, entries [][]byte, head []byte) error {
	from := given{1, entries, [][]byte{head}}
	first, _ := from.entries(ctx, at)
	return k.take(ctx, from, at, first, head)
}
