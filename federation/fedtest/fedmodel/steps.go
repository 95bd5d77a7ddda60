package fedmodel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
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

// decide is what administrators decide.
func (w *world) decide(op Op, m *machine) error {
	if m == nil {
		return errSkip
	}
	switch op {
	case OpRotate:
		return w.rotate(m)
	case OpRevoke:
		return w.revoke(m)
	case OpBump:
		return w.bump(m)
	case OpSuspend, OpResume:
		return w.suspend(m, op == OpResume)
	case OpAnchor:
		return w.anchor(m)
	}
	return errSkip
}

// rotate replaces a publish key as planned: what it signed stays good.
func (w *world) rotate(m *machine) error {
	member, ok := w.law.state.MemberByOrigin(m.origin())
	h := m.head(m.origin())
	if !ok || !w.inContact(m) || h == nil || h.Epoch != member.Epoch || m.publish.ID() != newest(w, m).ID() || m.proc.pub.Quarantined() != nil || w.copied() != nil {
		return errSkip
	}
	next, number := w.nextKey(m)
	m.proc.pub.Wait()
	h = m.head(m.origin())
	last := registry.Mark{Epoch: h.Epoch, N: h.N}
	if err := w.rekey(m, registry.KeyChange{Retire: []registry.Retirement{{ID: m.publish.ID(), Last: last}}}, next); err != nil {
		return err
	}
	w.suspect(m.origin(), "its publish key was replaced")
	m.publish, m.rotated, w.keysOf[m.origin()] = next, number, number
	m.proc.pub.SetKeys(next, m.adminKey())
	m.proc.renew()
	return nil
}

// nextKey is a publish key that the machine's member never had, and its number.
func (w *world) nextKey(m *machine) (*identity.Key, int) {
	n := w.keysOf[m.origin()] + 1
	return newPublishKey(m.member, n), n
}

// revoke takes a stolen publish key away: the feed goes back to the last head
// that the owner knows to be good, and on in a new epoch with a new key.
func (w *world) revoke(m *machine) error {
	member, ok := w.law.state.MemberByOrigin(m.origin())
	if !ok || !w.inContact(m) || !member.Active() {
		return errSkip
	}
	var good *feed.Place
	if h := w.lastGood(m); h != nil && h.epoch == member.Epoch {
		good = &feed.Place{Epoch: h.epoch, N: h.n, Hash: h.hash}
	}
	next, number := w.nextKey(m)
	ch := registry.KeyChange{Revoke: []identity.KeyID{newest(w, m).ID()}, Epoch: member.Epoch + 1, Good: good}
	if err := w.rekey(m, ch, next); err != nil {
		return err
	}
	w.suspect(m.origin(), "its publish key was revoked")
	w.taintAgain(m.origin())
	m.publish, m.rotated, w.keysOf[m.origin()] = next, number, number
	m.proc.pub.SetKeys(next, m.adminKey())
	poke(m.proc.tidy)
	return nil
}

// lastGood is the newest head on the machine's own chain that no thief signed.
func (w *world) lastGood(m *machine) *refHead {
	h := m.head(m.origin())
	if h == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.ref.heads[h.Hash]
	for at != nil && at.lawless {
		at = w.ref.heads[at.prev]
	}
	return at
}

// bump starts the feed over in a new epoch, with the same key.
func (w *world) bump(m *machine) error {
	member, ok := w.law.state.MemberByOrigin(m.origin())
	if !ok || !w.inContact(m) || !member.Active() {
		return errSkip
	}
	if err := w.rekey(m, registry.KeyChange{Epoch: member.Epoch + 1}); err != nil {
		return err
	}
	w.suspect(m.origin(), "its feed was given a new epoch")
	w.taintAgain(m.origin())
	poke(m.proc.tidy)
	return nil
}

// suspend has the other members decide, without the registry, that a member's
// keys do not speak, or speak again. One of their nodes is given the ruling.
func (w *world) suspend(m *machine, off bool) error {
	var by []*machine
	for _, o := range w.machines[:w.plan.Nodes] {
		if o != m {
			by = append(by, o)
		}
	}
	i := slices.IndexFunc(by, func(o *machine) bool { return o.proc != nil })
	if i < 0 {
		return errSkip
	}
	if on := w.suspended[m.origin()]; on != off {
		return errSkip
	}
	r := registry.Ruling{Kind: registry.RulingSuspend, Off: off, Origin: m.origin(), Reason: registry.ReasonMisuse, Counter: w.counters[m.origin()] + 1}
	if off {
		r.Reason = registry.ReasonMistake
	}
	r, err := registry.NewRuling(w.law.state, r, w.now())
	if err != nil {
		return err
	}
	var signers []*identity.Key
	for _, o := range by {
		signers = append(signers, o.member.Keys.Admin)
	}
	env, err := registry.SignRuling(w.law.state.Federation(), r, signers...)
	if err != nil {
		return err
	}
	p := by[i].proc
	if _, err := p.dock.AddRuling(env); err != nil {
		return err
	}
	item, err := docket.RulingItem(env)
	if err != nil {
		return err
	}
	p.wg.Go(func() { p.rep.SpreadDocket(p.ctx, item) })
	w.suspended[m.origin()], w.counters[m.origin()] = !off, r.Counter
	return nil
}

// anchor puts on record what a machine holds of its own feed, as a majority of
// the voters does when none of them knows of a contradiction.
func (w *world) anchor(m *machine) error {
	h := m.head(m.origin())
	if h == nil || !w.inContact(m) || m.copyOf != nil {
		return errSkip
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	ref := w.ref.heads[h.Hash]
	member, ok := w.law.state.MemberByOrigin(m.origin())
	if !ok || ref == nil || !ref.seen || h.Epoch != member.Epoch || w.ahead(h) {
		return errSkip // voters put on record what they have taken
	}
	for _, a := range w.law.anchors {
		if a.Origin == m.origin() && a.Place.Epoch == h.Epoch && a.Place.N >= h.N {
			return errSkip // a voter's feed vector never goes back
		}
	}
	w.law.anchors = append(slices.Clip(w.law.anchors), anchor{m.origin(), h.Place()})
	p, entries, anchors := m.proc, w.law.entries, w.law.anchors
	p.wg.Go(func() { p.learn(entries, anchors) })
	return nil
}
