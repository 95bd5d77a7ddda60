package docket

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// View is what holds now by the docket and the registry together. It never
// changes, but for takedowns that end by themselves. It must not be modified.
type View struct {
	state    *registry.State // nil: nothing is known
	now      func() time.Time
	holding  map[registry.Target]Holding // the latest ruling of each target that holds
	revoked  map[revokedKey]Holding      // those among them that are revocations
	forks    map[forkedFeed]uint64
	pending  []Pending
	unlisted []Command
	print    [32]byte // equal for views that say the same
}

// Holding is a ruling that has its signatures.
type Holding struct {
	Ruling  registry.Ruling
	Signers []identity.OriginID // ordered by id
	// Recorded is the registry entry that holds it; 0 while it is in the docket
	// only.
	Recorded uint64
}

// Pending is a ruling that does not have its signatures yet.
type Pending struct {
	ID       ID
	Ruling   registry.Ruling
	Signers  []identity.OriginID // ordered by id
	Needed   int
	Envelope []byte // for [registry.CountersignRuling]
}

// Command is something that the registry does not have yet.
type Command struct {
	Kind    registry.Kind
	Payload any // for [registry.NewCommand]
}

type revokedKey struct {
	origin identity.OriginID
	key    identity.KeyID
}

type forkedFeed struct {
	origin identity.OriginID
	epoch  uint64
}

func newView(s *registry.State, items map[ID]*item, now func() time.Time) *View {
	v := &View{
		state: s, now: now, holding: make(map[registry.Target]Holding),
		revoked: make(map[revokedKey]Holding), forks: make(map[forkedFeed]uint64),
	}
	if s == nil {
		return v
	}
	for _, r := range s.Rulings() {
		v.holding[r.Ruling.Target()] = Holding{r.Ruling, r.Signers, r.Seq}
	}
	for _, f := range s.Evidence() {
		v.forks[forkedFeed{f.Origin, f.Epoch}] = f.N
	}
	for _, id := range slices.SortedFunc(maps.Keys(items), compareIDs) {
		v.take(items[id])
	}
	for t, h := range v.holding {
		if t.Kind == registry.RulingRevoke {
			v.revoked[revokedKey{t.Origin, t.Key}] = h
		}
	}
	slices.SortFunc(v.pending, func(a, b Pending) int {
		return cmp.Or(cmp.Compare(a.Ruling.Issued, b.Ruling.Issued), compareIDs(a.ID, b.ID))
	})
	v.print = v.fingerprint()
	return v
}

// take puts an item of the docket into the view. reduce has left at most one
// ruling of a target that holds, and it is later than the recorded one.
func (v *View) take(i *item) {
	if i.evidence != nil {
		f := forkedFeed{i.fork.Origin, i.fork.Epoch}
		if n, ok := v.forks[f]; !ok || i.fork.N < n {
			v.forks[f] = i.fork.N
		}
		v.unlisted = append(v.unlisted, Command{registry.KindEvidence, *i.evidence})
		return
	}
	envelope := i.envelope.Encode()
	if !i.holds() {
		v.pending = append(v.pending, Pending{i.id, i.ruling, i.signers, i.needed, envelope})
		return
	}
	v.holding[i.ruling.Target()] = Holding{i.ruling, i.signers, 0}
	if i.judged(v.state) {
		v.unlisted = append(v.unlisted, Command{registry.KindRuling, registry.RecordRuling{Ruling: envelope}})
	}
}

// fingerprint covers what consumers act on. Who has signed a pending ruling is
// part of it, the passing of time is told by what has ended.
func (v *View) fingerprint() [32]byte {
	var lines [][]byte
	line := func(x any) {
		if b, err := identity.Marshal(x); err == nil { // the types hold nothing that cannot be encoded
			lines = append(lines, b)
		}
	}
	for _, h := range v.holding {
		line([]any{"holding", h.Ruling, h.Recorded != 0, h.Ruling.Over(v.now())})
	}
	for f, n := range v.forks {
		line([]any{"fork", f.origin, f.epoch, n})
	}
	for _, p := range v.pending {
		line([]any{"pending", p.ID, p.Signers, p.Needed})
	}
	slices.SortFunc(lines, bytes.Compare)
	return sha256.Sum256(bytes.Join(lines, nil))
}

// nextEnd is when the next takedown ends by itself.
func (v *View) nextEnd() (end time.Time, ok bool) {
	for _, h := range v.holding {
		if h.Ruling.Until == 0 || h.Ruling.Over(v.now()) {
			continue
		}
		if t := h.Ruling.Until.Time(); !ok || t.Before(end) {
			end, ok = t, true
		}
	}
	return end, ok
}

// held is the ruling of a target if it is in force now.
func (v *View) held(t registry.Target) (Holding, bool) {
	h, ok := v.holding[t]
	if !ok || h.Ruling.Off || h.Ruling.Over(v.now()) {
		return Holding{}, false
	}
	return h, true
}

// Hidden reports whether a record is taken down now, by which ruling and by
// whom.
func (v *View) Hidden(o identity.OriginID, key feed.Key) (r registry.Ruling, signers []identity.OriginID, ok bool) {
	h, ok := v.held(registry.Target{Kind: registry.RulingTakedown, Origin: o, Record: key})
	return h.Ruling, h.Signers, ok
}

// HiddenAll are all takedowns in force now, ordered by origin and record.
func (v *View) HiddenAll() []Holding {
	return slices.DeleteFunc(v.Holdings(), func(h Holding) bool { return h.Ruling.Kind != registry.RulingTakedown })
}

// Holdings are all rulings in force now, ordered by what they are about.
func (v *View) Holdings() []Holding {
	return slices.DeleteFunc(v.Latest(), func(h Holding) bool { return h.Ruling.Off || h.Ruling.Over(v.now()) })
}

// Latest are the latest rulings that have their signatures, one of each target,
// also those that lift an earlier one or have ended, ordered by what they are
// about.
func (v *View) Latest() []Holding {
	return slices.SortedFunc(maps.Values(v.holding), func(a, b Holding) int { return a.Ruling.Target().Compare(b.Ruling.Target()) })
}

// Suspension is the ruling by which a member is silenced now: suspended, or
// expelled.
func (v *View) Suspension(o identity.OriginID) (Holding, bool) {
	if h, ok := v.held(registry.Target{Kind: registry.RulingExpel, Origin: o}); ok {
		return h, true
	}
	return v.held(registry.Target{Kind: registry.RulingSuspend, Origin: o})
}

// Suspended reports whether a member is suspended, by a ruling or in the
// registry. That a suspension was lifted counts once the registry has it.
func (v *View) Suspended(o identity.OriginID) bool {
	if _, ok := v.Suspension(o); ok {
		return true
	}
	if v.state == nil {
		return false
	}
	m, ok := v.state.MemberByOrigin(o)
	return ok && m.Status == registry.StatusSuspended
}

// Node finds a node that may be talked to: of an active member that is not
// suspended, with a key that is not revoked.
func (v *View) Node(id identity.NodeID) (registry.Node, registry.Member, bool) {
	if v.state == nil {
		return registry.Node{}, registry.Member{}, false
	}
	n, m, ok := v.state.Node(id)
	if !ok || v.Suspended(m.Origin) {
		return registry.Node{}, registry.Member{}, false
	}
	if _, revoked := v.revoked[revokedKey{m.Origin, n.Key.ID()}]; revoked {
		return registry.Node{}, registry.Member{}, false
	}
	return n, m, true
}

// Revoked reports whether a key of a member is revoked, of whatever role, by a
// ruling or in the registry. The place is the last good head of a publish key;
// zero when none is named.
func (v *View) Revoked(o identity.OriginID, key identity.KeyID) (feed.Place, bool) {
	if h, ok := v.revoked[revokedKey{o, key}]; ok {
		if h.Ruling.Good != nil {
			return *h.Ruling.Good, true
		}
		return feed.Place{}, true
	}
	if v.state == nil {
		return feed.Place{}, false
	}
	m, _ := v.state.MemberByOrigin(o)
	for _, k := range m.Keys {
		if k.Revoked && k.Public.ID() == key {
			return feed.Place{}, true
		}
	}
	return feed.Place{}, false
}

// Forked is the lowest number of an epoch of a feed that is known to be signed
// twice.
func (v *View) Forked(o identity.OriginID, epoch uint64) (n uint64, ok bool) {
	n, ok = v.forks[forkedFeed{o, epoch}]
	return n, ok
}

// Caretakers are the active members that may add alerts for an origin.
func (v *View) Caretakers(o identity.OriginID) []identity.OriginID {
	if v.state == nil {
		return nil
	}
	h, ok := v.holding[registry.Target{Kind: registry.RulingCaretaker, Origin: o}]
	if !ok || h.Recorded != 0 { // the registry has it, or what the member itself said after it
		return v.state.Caretakers(o)
	}
	return slices.DeleteFunc(slices.Clone(h.Ruling.By), func(c identity.OriginID) bool {
		_, active := v.state.Epoch(c)
		return !active
	})
}

// Keys are the keys that count when the docket is heeded too: base must be those
// of the registry's state and its anchors.
func (v *View) Keys(base feed.Keys) feed.Keys { return keys{base, v} }

// Pending are the rulings that lack signatures, oldest first.
func (d *Docket) Pending() []Pending { return slices.Clone(d.current().pending) }

// Unrecorded is what the registry does not have and would take: to be proposed
// by whoever reaches it.
func (d *Docket) Unrecorded() []Command { return slices.Clone(d.current().unlisted) }

// Counter is the highest counter of a ruling about a target that holds; 0 when
// none does. The next ruling takes one more.
func (d *Docket) Counter(t registry.Target) uint64 { return d.current().holding[t].Ruling.Counter }

// keys are the registry's with what the docket takes away.
type keys struct {
	feed.Keys
	v *View
}

// unrecorded is a revocation that the registry has not got yet. The registry
// heeds the others by itself.
func (k keys) unrecorded(o identity.OriginID, id identity.KeyID) (*feed.Place, bool) {
	h, ok := k.v.revoked[revokedKey{o, id}]
	return h.Ruling.Good, ok && h.Recorded == 0
}

func (k keys) Epoch(o identity.OriginID) (uint64, bool) {
	if _, ok := k.v.Suspension(o); ok {
		return 0, false
	}
	return k.Keys.Epoch(o)
}

func (k keys) HeadKey(o identity.OriginID, epoch, n uint64, id identity.KeyID) (identity.PublicKey, bool) {
	if good, ok := k.unrecorded(o, id); ok && (good == nil || epoch > good.Epoch || epoch == good.Epoch && n > good.N) {
		return identity.PublicKey{}, false
	}
	return k.Keys.HeadKey(o, epoch, n, id)
}

func (k keys) AdminKey(o identity.OriginID, id identity.KeyID) (identity.PublicKey, bool) {
	if _, ok := k.unrecorded(o, id); ok {
		return identity.PublicKey{}, false
	}
	return k.Keys.AdminKey(o, id)
}

func (k keys) Forked(o identity.OriginID) (uint64, bool) {
	n, ok := k.Keys.Forked(o)
	epoch, active := k.Keys.Epoch(o)
	if m, known := k.v.Forked(o, epoch); active && known && (!ok || m < n) {
		return m, true
	}
	return n, ok
}

// Good is also the last good head of a revocation that the registry has not got
// yet: the feed goes back at once, in the epoch that it is in.
func (k keys) Good(o identity.OriginID) (feed.Place, bool) {
	var lowest *feed.Place
	epoch, _ := k.Keys.Epoch(o)
	for r, h := range k.v.revoked {
		if g := h.Ruling.Good; r.origin == o && h.Recorded == 0 && g != nil && g.Epoch == epoch && (lowest == nil || g.N < lowest.N) {
			lowest = g
		}
	}
	if lowest != nil {
		return *lowest, true
	}
	return k.Keys.Good(o)
}
