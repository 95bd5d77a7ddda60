package consensus_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
)

// TestAFullDiskIsNotForEver: a follower that could not store an entry says so,
// and goes on by itself once there is room.
func TestAFullDiskIsNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		de := f.join("DE")
		f.within(time.Minute, "Germany follows", f.same)
		de.full.Store(true)
		f.join("LT")
		f.within(time.Minute, "Germany says why it stopped", func() bool { return errors.Is(de.Status().Problem, consensus.ErrStorage) })
		de.full.Store(false)
		f.within(5*time.Minute, "Germany has caught up", f.same)
		if problem := de.Status().Problem; problem != nil {
			t.Errorf("there is room again, and Germany still says: %v", problem)
		}
	})
}
