package fedmodel

import (
	"errors"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// How long, in virtual time, a federation may take for what must come about.
const (
	// meetTime is for all that are in contact to agree. A node that was away
	// compares as soon as it is reached; at the latest after one round of
	// comparisons, of five minutes give or take half, and after a source that
	// failed is tried again, which takes eleven minutes at the most.
	meetTime = 25 * time.Minute
	// lieTime is for the same while somebody lies: who asks a random peer each
	// time gets at the truth with the first honest one.
	lieTime = time.Hour
	// mendTime is for a feed to be published again after its administrator has
	// done what there is to do.
	mendTime = 12 * time.Minute
)

// settle ends the faults and checks what must be true once everybody can talk:
// contradictions are known everywhere (I3) and feeds are equal (I6). Then the
// administrators mend what only they can, and every country publishes once more.
func (w *world) settle() {
	w.net.HealAll()
	for _, m := range w.machines {
		m.full = false
		m.disk.Fail(nil)
		m.mu.Lock()
		m.offset = 0
		m.mu.Unlock()
		if m.proc == nil {
			m.start()
		}
	}
	w.mu.Lock()
	entries, anchors := w.law.entries, w.law.anchors
	w.mu.Unlock()
	w.machines[0].proc.learn(entries, anchors) // the voters are in reach again
	w.note("all cuts healed, all machines on, disks and clocks right")
	time.Sleep(20 * time.Second)
	if slices.ContainsFunc(w.machines, func(m *machine) bool { return m.proc.liar.lying() }) {
		if what := w.wait(lieTime, w.equal); what != "" {
			w.note("not equal after %v with a liar among them: %s", lieTime, what)
		}
		for _, m := range w.machines {
			m.proc.liar.set(0)
		}
	}
	if !w.until(meetTime, w.equal) || !w.until(meetTime, w.agreed) || !w.until(meetTime, w.accused) {
		return
	}
	synctest.Wait()
	w.check()
	if w.hasFailed() {
		return
	}
	// What a copy signed may come to light only when the original publishes again:
	// then there is more to mend.
	for round := 1; ; round++ {
		w.mend()
		for _, m := range w.machines {
			m.draft(feed.Edit{Key: newKey(m.origin(), -1), Type: "listing", Body: fmt.Appendf(nil, "the last word of %s, %d", m.name, round)})
		}
		if w.hasFailed() || !w.until(mendTime, w.allPublished) {
			return
		}
		what := w.wait(meetTime, w.whole)
		if what == "" {
			break
		}
		if round == 3 || !w.anyParted() {
			w.fail("after %v in contact: %s", meetTime, what)
			return
		}
		w.note("round %d: %s", round, what)
	}
	if !w.until(meetTime, w.equal) {
		return
	}
	synctest.Wait()
	for _, m := range w.machines {
		clear(m.checked)
	}
	w.check()
}

// anyParted reports whether a feed was signed in two ways, as it may be where
// there was a copy.
func (w *world) anyParted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.machines {
		epoch, _ := w.law.state.Epoch(m.origin())
		if w.ref.parted(m.origin(), epoch) {
			return true
		}
	}
	return false
}

// until waits for something to come about; it says why it has not yet. It is a
// failure if it does not.
func (w *world) until(limit time.Duration, it func() (what string)) bool {
	if what := w.wait(limit, it); what != "" {
		w.fail("after %v in contact: %s", limit, what)
	}
	return !w.hasFailed()
}

// wait waits until something has nothing to say any more, or for the limit.
func (w *world) wait(limit time.Duration, it func() (what string)) string {
	began := time.Now()
	for {
		synctest.Wait()
		what := it()
		if what == "" || w.hasFailed() || time.Since(began) > limit {
			return what
		}
		time.Sleep(time.Second)
	}
}

// equal checks that all machines hold the same of every feed that can be
// followed (I6): the newest head that anybody in contact holds.
func (w *world) equal() string {
	for _, owner := range w.machines[:w.plan.Nodes] {
		o := owner.origin()
		if w.suspended[o] {
			continue
		}
		w.mu.Lock()
		epoch, _ := w.law.state.Epoch(o)
		parted := w.ref.parted(o, epoch)
		w.mu.Unlock()
		// What only a copy has cannot be fetched: it goes by the name of another
		// machine, so that nobody can call it. Nor can what is damaged.
		var newest *feed.SignedHead
		for _, m := range w.machines[:w.plan.Nodes] {
			if h := m.head(o); h != nil && (newest == nil || newest.Place().Before(h.Place())) && !m.spoiled(o) {
				newest = h
			}
		}
		if newest == nil || newest.Epoch < epoch || parted || w.ahead(newest) {
			continue // of an old epoch: all wait for the first head of the new one
		}
		for _, m := range w.machines {
			h := m.head(o)
			if h != nil && newest.Place().Before(h.Place()) && (m.copyOf != nil || m.spoiled(o)) {
				continue
			}
			if h == nil {
				return fmt.Sprintf("I6: %s holds nothing of %s, head %d.%d is held elsewhere", m.name, owner.name, newest.Epoch, newest.N)
			}
			if h.Hash != newest.Hash {
				return fmt.Sprintf("I6: %s holds head %d.%d of %s, head %d.%d is held elsewhere%s", m.name, h.Epoch, h.N, owner.name, newest.Epoch, newest.N, m.excuse(o))
			}
		}
	}
	return ""
}

// ahead reports whether a head is dated so far in the future, by a wrong clock,
// that nobody takes it.
func (w *world) ahead(h *feed.SignedHead) bool {
	return h != nil && h.Issued.Time().After(w.now().Add(feed.Ahead))
}

// excuse is what a replicator says of a feed that it does not get on with.
func (m *machine) excuse(o identity.OriginID) string {
	k, _ := m.proc.rep.Known(o)
	return fmt.Sprintf(" (it knows of %d.%d from %d peers; stuck: %v; rotten: %v; frozen: %v; quarantined: %v)",
		k.Epoch, k.N, len(k.Sources), k.Stuck, m.proc.rep.Rotten(o), m.proc.rep.Frozen(o), m.proc.pub.Quarantined())
}

// accused checks that where two machines in contact hold contradicting heads of
// a feed's present epoch, every machine knows it (I3).
func (w *world) accused() string {
	for _, owner := range w.machines[:w.plan.Nodes] {
		o := owner.origin()
		if w.suspended[o] {
			continue
		}
		w.mu.Lock()
		epoch, _ := w.law.state.Epoch(o)
		w.mu.Unlock()
		held := map[uint64]identity.Hash{}
		forked := uint64(0)
		for _, m := range w.machines {
			for _, h := range m.chain(o) {
				if h.Epoch != epoch || w.ahead(h) {
					continue
				}
				if other, ok := held[h.N]; ok && other != h.Hash && (forked == 0 || h.N < forked) {
					forked = h.N
				}
				held[h.N] = h.Hash
			}
		}
		for _, m := range w.machines {
			n, known := m.proc.keys().Forked(o)
			switch {
			case forked != 0 && (!known || n > forked) && !m.proc.rep.Frozen(o):
				return fmt.Sprintf("I3: head %d.%d of %s is held in two versions, and %s does not know", epoch, forked, owner.name, m.name)
			case known && !w.contradicted(o, epoch, n):
				return fmt.Sprintf("I3: %s takes head %d.%d of %s for signed twice, which it is not", m.name, epoch, n, owner.name)
			}
		}
	}
	return ""
}

// agreed checks that all dockets are the same: rulings and evidence are known
// everywhere, whoever was told of them first.
func (w *world) agreed() string {
	first := w.machines[0]
	for _, m := range w.machines[1:] {
		if m.proc.dock.Digest() != first.proc.dock.Digest() {
			return fmt.Sprintf("I3: the dockets of %s and %s are not the same", first.name, m.name)
		}
		if m.proc.registrySeq() != first.proc.registrySeq() {
			return fmt.Sprintf("I6: %s knows the registry up to %d, %s up to %d", m.name, m.proc.registrySeq(), first.name, first.proc.registrySeq())
		}
	}
	return ""
}

// contradicted reports whether two heads of a number were really signed.
func (w *world) contradicted(o identity.OriginID, epoch, n uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ref.at[refPlace{o, epoch, n}]) > 1
}

// chain are the heads of a feed that a machine keeps.
func (m *machine) chain(o identity.OriginID) (out []*feed.SignedHead) {
	view, err := m.disk.View(o)
	if err != nil {
		m.w.fail("%s: the feed of %s cannot be read: %v", m.name, o, err)
		return nil
	}
	defer view.Close()
	envelopes, err := view.Heads(0, 10_000)
	if err != nil {
		m.w.fail("%s: the heads of %s cannot be read: %v", m.name, o, err)
	}
	for _, env := range envelopes {
		if h, err := feed.ParseHead(env); err == nil {
			out = append(out, h)
		}
	}
	return out
}

// mend is what administrators do in the end: switch copies off, revoke what a
// thief has, lift suspensions, and give a new epoch to who cannot publish.
func (w *world) mend() {
	if c := w.copied(); c != nil {
		of, thief := c.copyOf, c.lawless
		_ = w.unclone()
		if thief {
			w.note("mend: the key of %s is revoked: %v", of.name, w.revoke(of))
		}
	}
	for _, m := range w.machines {
		if w.suspended[m.origin()] {
			w.note("mend: the suspension of %s is lifted: %v", m.name, w.suspend(m, true))
		}
	}
	for _, m := range w.machines { // a machine that was put back has an old key
		m.publish, m.rotated = newest(w, m), max(m.rotated, w.keysOf[m.origin()])
		m.proc.pub.SetKeys(m.publish, m.adminKey())
		poke(m.proc.tidy)
	}
	time.Sleep(2 * time.Minute)
	for _, m := range w.machines {
		w.giveUp(m)
	}
	for _, m := range w.machines {
		w.mu.Lock()
		epoch, _ := w.law.state.Epoch(m.origin())
		parted := w.ref.parted(m.origin(), epoch)
		w.mu.Unlock()
		if reason := m.proc.pub.Quarantined(); reason != nil || parted || w.ahead(m.head(m.origin())) {
			w.mu.Lock()
			why := w.suspects[m.origin()]
			w.mu.Unlock()
			if why == "" {
				w.fail("I8: %s is quarantined although nothing happened to it: %v", m.name, reason)
				return
			}
			w.note("mend: %s is given a new epoch (%v; parted: %v): %v", m.name, reason, parted, w.bump(m))
		}
	}
}

// spoiled reports whether the model has damaged a machine's copy of a feed, and
// it is not whole again. Looking is dear, so it is done only then.
func (m *machine) spoiled(o identity.OriginID) bool { return m.rotten[o] && m.damaged(o) }

// giveUp is what an administrator does about the own feed when records of it
// rotted before anybody else had them. What can still be named is deleted; where
// entries are gone, the feed is fetched back as the others have it, and goes on
// in a new epoch.
func (w *world) giveUp(m *machine) {
	if !m.spoiled(m.origin()) {
		return
	}
	view, err := m.disk.View(m.origin())
	if err != nil {
		w.fail("I8: %s cannot read its own feed: %v", m.name, err)
		return
	}
	defer view.Close()
	for _, key := range m.published() {
		switch c, raw, err := view.Record(key); {
		case errors.Is(err, feed.ErrNoRecord):
			w.note("mend: %s starts over from what the others have of it: nobody has record %s", m.name, key)
			m.stop()
			w.taint(m.origin(), "its database was thrown away")
			m.lose()
			m.start()
			time.Sleep(time.Minute)
			w.note("mend: %s is given a new epoch: %v", m.name, w.bump(m))
			return
		case err != nil || feed.HashRecord(raw) != c.Hash:
			w.note("mend: %s deletes record %s, of which nobody has a whole copy", m.name, key)
			m.draft(feed.Edit{Key: key, Op: feed.Delete})
		}
	}
}

// newest is the publish key of a machine's member that the registry has in use.
func newest(w *world, m *machine) *identity.Key {
	if n := w.keysOf[m.origin()]; n > 0 {
		return newPublishKey(m.member, n)
	}
	return m.member.Keys.Publish
}

// allPublished publishes what is not published yet, and says who cannot.
func (w *world) allPublished() string {
	for _, m := range w.machines {
		if len(m.drafts) == 0 {
			continue
		}
		if err := w.publish(m); err != nil {
			return fmt.Sprintf("I6: %s cannot publish: %v%s", m.name, err, m.excuse(m.origin()))
		}
		w.note("the last word of %s is published", m.name)
		h := m.head(m.origin())
		w.mu.Lock()
		w.lastWord[m.origin()] = w.ref.heads[h.Hash].set[newKey(m.origin(), -1)].body
		w.mu.Unlock()
	}
	return ""
}

// whole checks that nothing is rotten any more, nothing frozen, and everybody
// has everybody's last word.
func (w *world) whole() string {
	for _, m := range w.machines {
		for _, owner := range w.machines {
			o := owner.origin()
			h := m.head(o)
			w.mu.Lock()
			var said bool
			if h != nil && w.ref.heads[h.Hash] != nil {
				said = w.ref.heads[h.Hash].set[newKey(o, -1)].body == w.lastWord[o]
			}
			w.mu.Unlock()
			switch {
			case !said:
				return fmt.Sprintf("I6: %s does not have the last word of %s%s", m.name, owner.name, m.excuse(o))
			case m.spoiled(o):
				return fmt.Sprintf("I1: %s holds a damaged copy of %s%s", m.name, owner.name, m.excuse(o))
			}
		}
	}
	return ""
}
