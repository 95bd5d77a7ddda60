package fedmodel

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// cable cuts and heals.
func (w *world) cable(s Step, a, b *machine) error {
	switch s.Op {
	case OpHealAll:
		w.net.HealAll()
		return nil
	case OpPart:
		var one, other []string
		for i, m := range w.machines {
			if s.N>>i&1 == 1 {
				one = append(one, m.host)
			} else {
				other = append(other, m.host)
			}
		}
		w.net.Partition(one, other)
		return nil
	}
	if a == nil || b == nil || a == b {
		return errSkip
	}
	switch s.Op {
	case OpCut:
		w.net.Cut(a.host, b.host)
	case OpCutOneWay:
		w.net.CutOneWay(a.host, b.host)
	case OpHeal:
		w.net.Heal(a.host, b.host)
	}
	return nil
}

// power turns machines off and on, and puts back what was kept of them.
func (w *world) power(op Op, m *machine) error {
	if m == nil {
		return errSkip
	}
	switch op {
	case OpKill:
		if m.proc == nil {
			return errSkip
		}
		m.stop()
	case OpStart:
		if m.proc != nil {
			return errSkip
		}
		m.start()
	case OpBackup:
		m.backup = m.snapshot()
		m.image = m.backup
	case OpRestore:
		if m.backup == nil {
			return errSkip
		}
		m.stop()
		w.suspect(m.origin(), "the database was restored from a backup")
		if _, err := os.Stat(m.guardPath()); err != nil {
			w.taint(m.origin(), "the database was restored and the guard had rotted")
		}
		m.restore(m.backup, false)
		m.start()
	case OpRewind:
		if m.image == nil {
			return errSkip
		}
		m.stop()
		w.taint(m.origin(), "the whole machine was put back to an earlier state")
		m.restore(m.image, true)
		m.start()
	case OpLose:
		m.stop()
		w.taint(m.origin(), "the database and the guard were lost")
		m.lose()
		m.start()
	}
	return nil
}

// clone starts an image of a machine elsewhere. Of a thief's, only the publish
// key and what is public were taken.
func (w *world) clone(of *machine, thief bool) error {
	if of == nil || w.copied() != nil {
		return errSkip
	}
	c := w.newMachine(100+w.step, of.member, fmt.Sprintf("copy%d.example", w.step))
	c.copyOf, c.lawless, c.name = of, thief, of.name+"-copy"
	if thief {
		c.name = of.name + "-thief"
	}
	i := of.snapshot()
	if thief {
		i.drafts = nil
	}
	w.taint(of.origin(), "another machine has its publish key")
	c.restore(i, true)
	w.machines = append(w.machines, c)
	c.start()
	return nil
}

func (w *world) unclone() error {
	c := w.copied()
	if c == nil {
		return errSkip
	}
	c.stop()
	w.machines = w.machines[:w.plan.Nodes]
	return nil
}

// spoil is what goes wrong with a machine.
func (w *world) spoil(s Step, a, b *machine, rng *rand.Rand) error {
	if a == nil {
		return errSkip
	}
	switch s.Op {
	case OpCorrupt:
		if b == nil {
			return errSkip
		}
		return w.corrupt(a, b.origin(), s.N == 1, rng)
	case OpRotGuard:
		w.suspect(a.origin(), "its publish guard rotted")
		return a.rotGuard(s.N == 1)
	case OpRotDocket:
		return a.beside.rot(rng)
	case OpForget:
		for _, m := range w.machines {
			a.disk.Forget(m.origin())
		}
	case OpClock:
		a.mu.Lock()
		a.offset = time.Duration(s.N) * time.Minute
		a.mu.Unlock()
		w.suspect(a.origin(), "its clock was wrong")
	case OpFull:
		a.full = true
		a.disk.Fail(fmt.Errorf("write a step: %w", syscall.ENOSPC))
	case OpFree:
		a.full = false
		a.disk.Fail(nil)
	case OpLie:
		if a.proc == nil {
			return errSkip
		}
		a.proc.liar.set(s.N)
	case OpHonest:
		if a.proc == nil {
			return errSkip
		}
		a.proc.liar.set(0)
	}
	return nil
}

// rotGuard damages the file of the publish guard, or removes it.
func (m *machine) rotGuard(gone bool) error {
	text, err := os.ReadFile(m.guardPath())
	if err != nil || m.lawless {
		return errSkip
	}
	g, there, err := feed.LoadGuard(m.guardPath())
	if h := m.head(m.origin()); gone && err == nil && there && g.N > 0 && (h == nil || h.Place().Before(feed.Place{Epoch: g.Epoch, N: g.N})) {
		m.w.taint(m.origin(), "its database was behind the guard when that was lost")
	}
	if gone {
		return os.Remove(m.guardPath())
	}
	text[len(text)/2] ^= 0x80
	return os.WriteFile(m.guardPath(), text, 0o600)
}

// rot flips a bit of an item of the docket. The node sees it when it starts.
func (b *beside) rot(rng *rand.Rand) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := slices.Sorted(maps.Keys(b.drawer))
	if len(keys) == 0 {
		return errSkip
	}
	k := keys[rng.IntN(len(keys))]
	bent := slices.Clone(b.drawer[k])
	bent[rng.IntN(len(bent))] ^= 1 << rng.IntN(8)
	b.drawer[k] = bent
	return nil
}

// corrupt damages a record on a machine's disk, and lets the node's background
// check find it.
func (w *world) corrupt(m *machine, o identity.OriginID, gone bool, rng *rand.Rand) error {
	h := m.head(o)
	if h == nil || m.proc == nil {
		return errSkip
	}
	w.mu.Lock()
	ref := w.ref.heads[h.Hash]
	w.mu.Unlock()
	if ref == nil || len(ref.set) == 0 {
		return errSkip
	}
	at := slices.SortedFunc(maps.Keys(ref.set), func(a, b feed.Key) int { return slices.Compare(a[:], b[:]) })
	if !m.disk.Corrupt(o, at[rng.IntN(len(at))], gone) {
		return errSkip
	}
	m.rotten[o] = true
	if o == m.origin() {
		w.suspect(o, "its own feed is damaged")
	}
	return nil
}
