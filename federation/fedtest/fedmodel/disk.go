package fedmodel

import (
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
)

// memory is a [Disk] in memory.
type memory struct{ *feedtest.Memory }

// NewMemory makes a disk in memory, empty.
func NewMemory() Disk { return memory{feedtest.NewMemory()} }

func (memory) Open() error  { return nil }
func (memory) Close() error { return nil }

func (m memory) Snapshot() (any, error) { return m.Memory.Snapshot(), nil }

func (m memory) Restore(snapshot any) error {
	s, _ := snapshot.(*feedtest.Snapshot)
	if s == nil {
		s = feedtest.NewMemory().Snapshot()
	}
	m.Memory.Restore(s)
	return nil
}

func (m memory) Corrupt(o identity.OriginID, key feed.Key, gone bool) bool {
	if gone {
		return m.Lose(o, key)
	}
	return m.Memory.Corrupt(o, key)
}
