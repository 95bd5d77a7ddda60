package fedmodel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

// Disk is a node's store of feeds as the model needs it: what is in it outlives
// the process.
type Disk interface {
	feed.Store
	feed.Appender
	// Open is called when the node's process starts, Close when it has ended, and
	// once more at the very end. What is held is read in between, too.
	Open() error
	Close() error
	// Snapshot is a copy of everything, for Restore. The process may be running.
	Snapshot() (any, error)
	// Restore puts the disk back to a snapshot, of this disk or another; nil
	// empties it. The process is not running.
	Restore(snapshot any) error
	// Corrupt damages a record as a failing disk does: a bit of it flips, or it is
	// gone. It reports false when there is none.
	Corrupt(o identity.OriginID, key feed.Key, gone bool) bool
	// Forget drops what is kept of a feed for undoing, as time does.
	Forget(identity.OriginID)
	// Fail makes every Append fail from now on; nil ends that.
	Fail(error)
}

// machine is a computer with a disk: a node of the federation, or a copy of one.
type machine struct {
	w       *world
	name    string
	host    string
	member  *registrytest.Member
	id      identity.NodeID
	publish *identity.Key // in its directory
	rotated int           // how many publish keys it had
	disk    Disk
	dir     string // for the publish guard
	beside  *beside
	first   *beside       // what lay beside it when it was admitted
	offset  time.Duration // of its clock
	full    bool
	copyOf  *machine // nil for an original
	lawless bool     // its program keeps no rule: it was made by who stole the publish key

	drafts []feed.Edit // what its editors have written since the last publish

	backup, image *image
	proc          *process // nil while it is off

	// What the model has seen there.
	last    map[identity.OriginID]feed.Place // the newest head that it held
	checked map[identity.OriginID]checkedAt  // what was compared whole
	rotten  map[identity.OriginID]bool       // damaged by the model, and not known to be repaired

	crashed chan bool // told when it got there

	mu    sync.Mutex
	crash int // at which point of the next publish the process dies; 0 does not
}

// The points of a publish at which a process can be made to die.
const (
	crashBefore = 1 + iota // before the commit
	crashAfter             // after the commit, before the guard
)

// beside is what a node keeps beside its feeds: the registry and the docket.
type beside struct {
	mu      sync.Mutex
	entries []registry.Entry
	state   *registry.State
	anchors []anchor
	drawer  map[string][]byte
}

func (b *beside) clone() *beside {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &beside{entries: slices.Clone(b.entries), state: b.state, anchors: slices.Clone(b.anchors), drawer: maps.Clone(b.drawer)}
}

// image is what a backup holds: of a database, or of a whole machine.
type image struct {
	disk    any
	guard   []byte
	beside  *beside
	publish *identity.Key
	rotated int
	drafts  []feed.Edit
	last    map[identity.OriginID]feed.Place
	rotten  map[identity.OriginID]bool
}

func (w *world) newMachine(i int, member *registrytest.Member, host string) *machine {
	m := &machine{
		w: w, name: member.Country, host: host, member: member, id: member.Node(), publish: member.Keys.Publish,
		dir: filepath.Join(w.dir, fmt.Sprint("m", i)), disk: w.o.NewDisk(),
		beside: &beside{entries: w.law.entries, state: w.law.state, drawer: map[string][]byte{}},
		last:   map[identity.OriginID]feed.Place{}, checked: map[identity.OriginID]checkedAt{}, rotten: map[identity.OriginID]bool{},
		crashed: make(chan bool, 1),
	}
	m.first = m.beside.clone()
	w.made = append(w.made, m)
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (m *machine) origin() identity.OriginID { return m.member.Origin }
func (m *machine) node() identity.NodeID     { return m.id }
func (m *machine) guardPath() string         { return filepath.Join(m.dir, "publish.guard") }

// now is the time by the machine's own clock.
func (m *machine) now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.w.now().Add(m.offset)
}

// snapshot is an image of the machine as it is.
func (m *machine) snapshot() *image {
	snap, err := m.disk.Snapshot()
	if err != nil {
		m.w.fail("%s: a snapshot of the disk: %v", m.name, err)
	}
	guard, err := os.ReadFile(m.guardPath())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.w.fail("%s: %v", m.name, err)
	}
	return &image{snap, guard, m.beside.clone(), m.publish, m.rotated, slices.Clone(m.drafts), maps.Clone(m.last), maps.Clone(m.rotten)}
}

// restore puts the database back, and with all set what lies beside it too. The
// process is not running.
func (m *machine) restore(i *image, all bool) {
	if err := m.disk.Restore(i.disk); err != nil {
		m.w.fail("%s: the disk could not be restored: %v", m.name, err)
	}
	m.last, m.rotten = maps.Clone(i.last), maps.Clone(i.rotten)
	clear(m.checked)
	m.beside = i.beside.clone() // the registry and the docket lie in the database
	if !all {
		return
	}
	m.publish, m.rotated, m.drafts = i.publish, i.rotated, slices.Clone(i.drafts)
	_ = os.Remove(m.guardPath())
	if i.guard != nil {
		if err := os.WriteFile(m.guardPath(), i.guard, 0o600); err != nil {
			m.w.fail("%s: %v", m.name, err)
		}
	}
}

// lose empties the disk, guard included. The keys are kept elsewhere, and so is
// who the members were when it was admitted.
func (m *machine) lose() {
	m.restore(&image{beside: m.first.clone(), last: map[identity.OriginID]feed.Place{}, rotten: map[identity.OriginID]bool{}}, false)
	_ = os.Remove(m.guardPath())
}

// Append implements [feed.Appender] for the machine's processes: it keeps the
// model's books of what is signed here, and is where a process can be made to die.
func (p *process) Append(ctx context.Context, v *feed.Verified) error {
	m := p.m
	if p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	var fresh *refHead
	if v.Origin() == m.origin() {
		edits, _ := ctx.Value(editsKey{}).([]feed.Edit)
		fresh = m.w.signed(m, v, edits)
	}
	m.mu.Lock()
	crash := m.crash
	if fresh != nil {
		m.crash = 0
	}
	m.mu.Unlock()
	if fresh != nil && crash == crashBefore {
		m.w.unsigned(fresh)
		return p.die()
	}
	if err := m.disk.Append(ctx, v); err != nil {
		if fresh != nil {
			m.w.unsigned(fresh)
		}
		return err
	}
	if fresh != nil && crash == crashAfter {
		return p.die()
	}
	return nil
}

// die is the end of a process in the middle of a commit.
func (p *process) die() error {
	p.m.crashed <- true
	<-p.ctx.Done()
	return p.ctx.Err()
}
