package fedmodel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// do makes one step happen. What it returns is for the trace: that it was not
// possible, or how the node refused it.
func (w *world) do(s Step) error {
	a, b := w.machine(s.A), w.machine(s.B)
	rng := rand.New(rand.NewPCG(w.plan.Seed, uint64(w.step)))
	switch s.Op {
	case OpEdit, OpBulk:
		return w.edit(a, s.N, rng)
	case OpDelete:
		return w.remove(a, feed.Delete, s.N, rng)
	case OpErase:
		return w.remove(a, feed.Erase, s.N, rng)
	case OpEraseOld:
		return w.eraseOld(a, s.N, rng)
	case OpPublish:
		return w.publish(a)
	case OpNothing:
		return w.nothing(a)
	case OpCrash:
		return w.crash(a, s.N)
	case OpCut, OpCutOneWay, OpHeal, OpHealAll, OpPart:
		return w.cable(s, a, b)
	case OpKill, OpStart, OpBackup, OpRestore, OpRewind, OpLose:
		return w.power(s.Op, a)
	case OpClone, OpSteal:
		return w.clone(a, s.Op == OpSteal)
	case OpUnclone:
		return w.unclone()
	case OpCopyEdit:
		return w.edit(w.copied(), s.N, rng)
	case OpCopyPub:
		return w.publish(w.copied())
	case OpRotate, OpRevoke, OpBump, OpSuspend, OpResume, OpAnchor:
		return w.decide(s.Op, a)
	case OpCorrupt, OpRotGuard, OpRotDocket, OpForget, OpClock, OpFull, OpFree, OpLie, OpHonest:
		return w.spoil(s, a, b, rng)
	case OpWait:
		time.Sleep(time.Duration(s.N) * time.Second)
		return nil
	}
	return fmt.Errorf("no such step")
}

// edit writes records anew, as drafts: some that are published, some new ones.
func (w *world) edit(m *machine, n int, rng *rand.Rand) error {
	if m == nil {
		return errSkip
	}
	live := m.published()
	for range n {
		w.written++
		var key feed.Key
		if len(live) > 0 && rng.IntN(2) == 0 {
			key = live[rng.IntN(len(live))]
		} else {
			key = newKey(m.origin(), w.written)
		}
		m.draft(feed.Edit{Key: key, Type: "listing", Body: fmt.Appendf(nil, "%s writes this in step %d, record %d", m.name, w.step, w.written)})
	}
	return nil
}

// remove deletes or erases published records, as drafts.
func (w *world) remove(m *machine, op feed.Op, n int, rng *rand.Rand) error {
	if m == nil {
		return errSkip
	}
	live := m.published()
	if len(live) == 0 {
		return errSkip
	}
	for range n {
		m.draft(feed.Edit{Key: live[rng.IntN(len(live))], Op: op})
	}
	return nil
}

// eraseOld erases records that were deleted before, as drafts.
func (w *world) eraseOld(m *machine, n int, rng *rand.Rand) error {
	if m == nil {
		return errSkip
	}
	old := m.deleted()
	if len(old) == 0 {
		return errSkip
	}
	for range n {
		m.draft(feed.Edit{Key: old[rng.IntN(len(old))], Op: feed.Erase})
	}
	return nil
}

// deleted are the keys that the machine's own feed had and has no more, in order.
func (m *machine) deleted() []feed.Key {
	h := m.head(m.origin())
	if h == nil {
		return nil
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	now := m.w.ref.heads[h.Hash]
	gone := map[feed.Key]bool{}
	for at := now; at != nil; at = m.w.ref.heads[at.prev] {
		for k := range at.set {
			if _, live := now.set[k]; !live {
				gone[k] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(gone), func(a, b feed.Key) int { return slices.Compare(a[:], b[:]) })
}

// draft keeps an edit; the last one of a key counts.
func (m *machine) draft(e feed.Edit) {
	if e.Op == 0 {
		e.Op = feed.Put
	}
	m.drafts = slices.DeleteFunc(m.drafts, func(d feed.Edit) bool { return d.Key == e.Key })
	m.drafts = append(m.drafts, e)
}

// published are the keys of the machine's own feed as it holds it, in order.
func (m *machine) published() []feed.Key {
	h := m.head(m.origin())
	if h == nil {
		return nil
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	ref := m.w.ref.heads[h.Hash]
	if ref == nil {
		return nil
	}
	return slices.SortedFunc(maps.Keys(ref.set), func(a, b feed.Key) int { return slices.Compare(a[:], b[:]) })
}

func newKey(o identity.OriginID, i int) feed.Key {
	h := identity.Sum(3, o[:], fmt.Append(nil, i))
	return feed.Key(h[:16])
}

// publishTime is how long an administrator waits for a publish. A burst of heads
// makes a publisher wait for the next minute.
const publishTime = 90 * time.Second

// publish publishes what the machine's editors have written.
func (w *world) publish(m *machine) error {
	if m == nil || m.proc == nil || len(m.drafts) == 0 {
		return errSkip
	}
	p := m.proc
	m.met(p)
	edits := slices.Clone(m.drafts)
	ctx, cancel := context.WithTimeout(context.WithValue(p.ctx, editsKey{}, edits), publishTime)
	defer cancel()
	before := time.Now()
	head, err := p.pub.Publish(ctx, slices.Values(edits))
	if err != nil {
		w.mayRefuse(m, err)
		return err
	}
	if since := time.Since(before); since > time.Minute+time.Second {
		w.fail("I8: %s waited %v to publish", m.name, since)
	}
	m.drafts = nil
	if head != nil {
		p.pub.Wait()
		w.mayBeSeen(head.Hash)
	}
	return nil
}

// met waits as a node does before its first publish: until the peers in reach
// have shown which own head they hold.
func (m *machine) met(p *process) {
	select {
	case <-p.rep.Met():
	case <-time.After(10 * time.Second):
	case <-p.ctx.Done():
	}
}

// mayRefuse checks that a publisher had a reason to refuse.
func (w *world) mayRefuse(m *machine, err error) {
	w.mu.Lock()
	why := w.suspects[m.origin()]
	member, _ := w.law.state.MemberByOrigin(m.origin())
	w.mu.Unlock()
	switch {
	case errors.Is(err, feed.ErrQuarantined):
		if why == "" {
			w.fail("I8: %s may not publish, although nothing happened to it: %v", m.name, err)
		}
	case errors.Is(err, feed.ErrNotMember):
		if _, active := m.proc.keys().Epoch(m.origin()); active && member.Active() {
			w.fail("I8: %s may not publish as if its country were no member: %v", m.name, err)
		}
	case errors.Is(err, syscall.ENOSPC) && m.full:
	case errors.Is(err, feed.ErrDamaged) && m.spoiled(m.origin()):
	case m.lawless, m.copyOf != nil: // it may be refused for what it is
	case errors.Is(err, feed.ErrMoved): // its own feed came in from a peer at that moment; the next try succeeds
	case errors.Is(err, feed.ErrSigner), errors.Is(err, identity.ErrUnknownKey), errors.Is(err, feed.ErrFuture), why != "":
		// Its key was replaced while its publisher was somewhere else, or its
		// clock ran ahead.
	default:
		w.fail("I8: %s may not publish: %v", m.name, err)
	}
}

// nothing publishes what is published already: there must be no new head.
func (w *world) nothing(m *machine) error {
	if m == nil || m.proc == nil {
		return errSkip
	}
	h := m.head(m.origin())
	if h == nil {
		return errSkip
	}
	w.mu.Lock()
	ref := w.ref.heads[h.Hash]
	w.mu.Unlock()
	var edits []feed.Edit
	for k, c := range ref.set {
		edits = append(edits, feed.Edit{Key: k, Op: feed.Put, Type: c.kind, Body: []byte(c.body)})
	}
	m.met(m.proc)
	if now := m.head(m.origin()); now.Hash != h.Hash {
		return errSkip // a newer one came in meanwhile
	}
	mends := m.spoiled(m.origin()) // to put again what rotted is a change
	ctx, cancel := context.WithTimeout(m.proc.ctx, publishTime)
	defer cancel()
	head, err := m.proc.pub.Publish(ctx, slices.Values(edits))
	if err != nil {
		w.mayRefuse(m, err)
		return err
	}
	if head != nil && !mends && m.head(m.origin()).Epoch == h.Epoch && head.Prev == h.Hash {
		w.fail("%s signed head %d for changes that change nothing", m.name, head.N)
	}
	return nil
}

// crash kills a process at a point of its publish.
func (w *world) crash(m *machine, where int) error {
	if m == nil || m.proc == nil || len(m.drafts) == 0 || m.full {
		return errSkip
	}
	p := m.proc
	m.met(p)
	m.mu.Lock()
	m.crash = crashBefore + where
	m.mu.Unlock()
	edits := slices.Clone(m.drafts)
	ctx, cancel := context.WithTimeout(context.WithValue(p.ctx, editsKey{}, edits), publishTime)
	defer cancel()
	done := make(chan error, 1)
	go func() { _, err := p.pub.Publish(ctx, slices.Values(edits)); done <- err }()
	var err error
	select {
	case <-m.crashed:
		m.stop()
		<-done
	case err = <-done: // it refused before it came that far
		m.mu.Lock()
		m.crash = 0
		m.mu.Unlock()
		if err != nil {
			w.mayRefuse(m, err)
		}
		m.stop()
	}
	return err
}
