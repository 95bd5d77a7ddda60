package feed

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// What a step may hold in memory before it is staged in the store instead.
const (
	maxItems     = 200
	maxItemBytes = 512 << 10
)

// Errors of publishing.
var (
	ErrQuarantined = errors.New("this node may not sign")
	ErrNotMember   = errors.New("this node's country is not an active member of a federation")
	// ErrClone is told besides ErrQuarantined when another copy of this node is
	// running.
	ErrClone = errors.New("a copy of this node is running elsewhere")
	// ErrNoWayBack is told besides ErrQuarantined when the registry has the feed go
	// back to a head that cannot be had here. Another node that has it can help; if
	// none does, only a new epoch.
	ErrNoWayBack = errors.New("the last good head is not to be had here")
	// ErrLacking is told besides ErrQuarantined when a head of the own feed is known
	// to have been published and is not here. Who has it can help, or a new epoch.
	ErrLacking = errors.New("something newer that was published is not here")
	// ErrNeedsApproval is returned when the admin key must sign too and is not
	// at hand.
	ErrNeedsApproval = errors.New("so many changes within a day need the signature of the admin key as well, and that key is not open on this node; open it, then publish again")
)

// PublisherOptions say for whom, with what and where to publish.
type PublisherOptions struct {
	Federation identity.FederationID
	Origin     identity.OriginID
	Store      Store
	Appender   Appender
	Keys       func() Keys   // the registry as known now
	Registry   func() uint64 // its sequence number
	PublishKey *identity.Key
	AdminKey   *identity.Key    // for large changes; nil: not at hand
	Limits     func() Limits    // as the policy says now; the defaults when nil
	GuardPath  string           // outside the database and its backups
	Announce   func(*Verified)  // told of each head once it may be seen
	Damaged    func(error)      // told when a publish met damage of the own feed; nil: nobody mends it
	Logger     *slog.Logger     // discards when nil
	Now        func() time.Time // time.Now when nil
}

// Publisher signs one origin's feed. It is the only writer of that feed; one
// process in the world may run it.
type Publisher struct {
	o        PublisherOptions
	instance [8]byte
	started  Minute
	lastBeat uint64 // the counter of the newest own beat at the start

	turn chan struct{} // held from the start of a publish until its guard is written
	gate sync.RWMutex  // held for writing while a head is durable but not yet guarded

	listed, listedAt uint64 // the turn's: how many deletions were listed at the last count, and at which number

	mu         sync.Mutex
	publishKey *identity.Key
	adminKey   *identity.Key
	quarantine error  // why nothing is signed; nil when all is well
	forked     uint64 // the epoch in which a number was signed twice; 0 when none was
	cloned     uint64 // the epoch in which a copy of this node was seen; 0 when none was
	since      uint64 // the registry's epoch when the quarantine began
	noWayBack  error  // why the last try to go back failed; it counts while the feed still has to
}

// NewPublisher compares the guard with the store. A mismatch is no error here:
// the publisher is then quarantined, and says so at every Publish.
func NewPublisher(o PublisherOptions) (*Publisher, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Publisher{o: o, turn: make(chan struct{}, 1), started: MinuteOf(o.Now()), publishKey: o.PublishKey, adminKey: o.AdminKey}
	rand.Read(p.instance[:])
	beat, err := o.Store.Beat(o.Origin)
	if err != nil {
		return nil, fmt.Errorf("read the own beat: %w", err)
	}
	if beat != nil {
		p.lastBeat = beat.Counter
	}
	return p, p.compare()
}

// compare decides whether what is held is what was published last from here.
func (p *Publisher) compare() error {
	held, err := p.held()
	if err != nil {
		return err
	}
	guard, there, err := LoadGuard(p.o.GuardPath)
	switch {
	case errors.Is(err, ErrGuard):
		p.Quarantine(err.Error())
	case err != nil:
		return err
	case !there && held == nil:
		// Nothing was ever published here. The guard says so, and thereby tells a
		// first head that was cut off before its guard from a restored node.
		return Guard{Origin: p.o.Origin, Instance: p.instance}.Save(p.o.GuardPath)
	case !there:
		p.Quarantine("the publish guard is missing: this looks like a restored or copied node")
	case guard.Origin != p.o.Origin:
		p.Quarantine("the publish guard is another origin's")
	case p.wentBack(guard, held):
		return p.guard(held).Save(p.o.GuardPath)
	case !guard.covers(held):
		p.Quarantine("the database is older than what was published from here: this looks like a restored or damaged node")
	case held == nil || held.Hash == guard.Hash:
	case held.N == guard.N+1 && held.Prev == guard.Hash:
		// Killed between the commit and the guard: the head was never seen by
		// anyone else, and is ours.
		return p.guard(held).Save(p.o.GuardPath)
	default:
		p.Quarantine("the publish guard names another head than the database holds")
	}
	return nil
}

// wentBack reports whether the store is behind the guard because the registry
// let the feed go back, in an epoch in which nothing was signed yet.
func (p *Publisher) wentBack(guard Guard, held *SignedHead) bool {
	if held == nil || guard.Epoch != held.Epoch || guard.N <= held.N {
		return false
	}
	good, ok := p.o.Keys().Good(p.o.Origin)
	return ok && held.Place() == good
}

// SetKeys gives the publisher other keys from the next head on. Admin may be nil
// when it is not at hand.
func (p *Publisher) SetKeys(publish, admin *identity.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.publishKey, p.adminKey = publish, admin
}

func (p *Publisher) keys() (publish, admin *identity.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.publishKey, p.adminKey
}

func (p *Publisher) held() (*SignedHead, error) {
	view, err := p.o.Store.View(p.o.Origin)
	if err != nil {
		return nil, fmt.Errorf("read the own feed: %w", err)
	}
	defer view.Close()
	return view.Head(), nil
}

func (p *Publisher) guard(h *SignedHead) Guard {
	return Guard{Origin: p.o.Origin, Epoch: h.Epoch, N: h.N, Hash: h.Hash, Instance: p.instance}
}

// Quarantine stops signing for the reason given, until Adopt.
func (p *Publisher) Quarantine(reason string) {
	epoch, _ := p.o.Keys().Epoch(p.o.Origin)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = epoch
	p.quarantine = fmt.Errorf("%w: %s", ErrQuarantined, reason)
}

// Quarantined is nil, or why nothing is signed (wraps [ErrQuarantined]).
func (p *Publisher) Quarantined() error {
	p.mu.Lock()
	stopped, stuck := p.quarantine, p.noWayBack
	p.mu.Unlock()
	if stopped != nil {
		return stopped
	}
	held, err := p.held()
	if err != nil {
		return stuck
	}
	keys := p.o.Keys()
	epoch, _ := keys.Epoch(p.o.Origin)
	if _, must := mustGoBack(keys, held, p.o.Origin, epoch); must && stuck != nil {
		return stuck
	}
	return behindRecord(keys, held, p.o.Origin, epoch)
}

// behindRecord is nil, or a quarantine because the registry has a later head of the
// epoch on record than is held: it was signed here once, or by who has our key.
func behindRecord(keys Keys, held *SignedHead, o identity.OriginID, epoch uint64) error {
	anchors := keys.Anchors(o, epoch)
	if len(anchors) == 0 || held != nil && (held.Epoch > epoch || held.Epoch == epoch && held.N >= anchors[len(anchors)-1]) {
		return nil
	}
	return fmt.Errorf("%w: %w: the registry has head %d of this feed on record", ErrQuarantined, ErrLacking, anchors[len(anchors)-1])
}

func (p *Publisher) stopped() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.quarantine
}

// Seen takes a verified head of the own feed that a peer shows. When one of the
// same number was signed here with other contents, nothing is signed any more in
// this epoch. When it is newer
// than what is held here, someone with our key went on from another copy of this
// node, or this one fell back: nothing is signed until that head is here too,
// not even after a restart.
func (p *Publisher) Seen(h *SignedHead) {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	held, err := p.held()
	if err != nil || h.Origin != p.o.Origin {
		return
	}
	if p.guard(h).covers(held) {
		if held.Epoch == h.Epoch && p.contradicted(h) {
			p.fork(h)
		}
		return
	}
	p.Quarantine("another node shows a newer head than is here: this looks like a restored or copied node")
	if g, there, err := LoadGuard(p.o.GuardPath); err == nil && there && g.Origin == h.Origin && g.covers(h) {
		err = p.guard(h).Save(p.o.GuardPath)
		if err != nil {
			p.o.Logger.Error("the publish guard could not be written", "err", err)
		}
	}
}

// contradicted reports whether another head of this number is held.
func (p *Publisher) contradicted(h *SignedHead) bool {
	view, err := p.o.Store.View(p.o.Origin)
	if err != nil {
		return false
	}
	defer view.Close()
	envelopes, err := view.Heads(h.N, 1)
	if err != nil || len(envelopes) == 0 {
		return false
	}
	same, err := ParseHead(envelopes[0])
	return err == nil && same.Epoch == h.Epoch && same.N == h.N && same.Hash != h.Hash
}

// fork stops signing for the rest of the epoch: its numbers can no longer be
// told apart. The guard names the other head, so that a restart does not forget.
func (p *Publisher) fork(h *SignedHead) {
	p.Quarantine(fmt.Sprintf("change %d was signed twice with this country's key, in two ways: from here, and from a copy of this node or from before a backup was restored", h.N))
	p.mu.Lock()
	p.forked = h.Epoch
	p.mu.Unlock()
	if err := p.guard(h).Save(p.o.GuardPath); err != nil {
		p.o.Logger.Error("the publish guard could not be written", "err", err)
	}
}

// SeenBeat takes a verified beat of the own feed that a peer shows. One that was
// signed after this start, and not from here, comes from a copy of this node:
// nothing is signed any more until this process starts anew, or the registry
// gives the feed a new epoch. The copy sees our beats and stops as well.
func (p *Publisher) SeenBeat(b *SignedBeat) {
	if b.Origin != p.o.Origin || b.Instance == p.instance || b.Counter <= p.lastBeat || b.Issued <= p.started {
		return
	}
	if epoch, _ := p.o.Keys().Epoch(b.Origin); b.Epoch != epoch {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cloned == b.Epoch {
		return
	}
	p.cloned, p.since = b.Epoch, b.Epoch
	p.quarantine = fmt.Errorf("%w: %w: it signed with this country's key at %s, and has the mark %x. Stop one of the two, then start the other again",
		ErrQuarantined, ErrClone, b.Issued.Time().Format(time.RFC3339), b.Instance)
}

// Forked reports whether a number was signed twice, which fetching back cannot
// mend: the feed needs a new epoch.
func (p *Publisher) Forked() bool {
	if _, forked := p.o.Keys().Forked(p.o.Origin); forked {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forked != 0 && p.quarantine != nil
}

// Adopt ends a quarantine after the own feed was fetched back from peers: what
// the store holds now becomes what was published last. It fails, wrapping
// [ErrQuarantined], while the store is still behind the guard, a number was signed
// twice or a copy of this node was seen, unless the registry has given the feed a
// new epoch. Without a quarantine it does nothing.
func (p *Publisher) Adopt() error {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	reason := p.stopped()
	if reason == nil {
		return p.Quarantined()
	}
	held, err := p.held()
	if err != nil {
		return err
	}
	guard, there, err := LoadGuard(p.o.GuardPath)
	if err != nil && !errors.Is(err, ErrGuard) {
		return err
	}
	epoch, _ := p.o.Keys().Epoch(p.o.Origin)
	p.mu.Lock()
	forked, cloned := p.forked, p.cloned
	p.mu.Unlock()
	if last := max(forked, cloned); last != 0 && epoch <= last {
		return reason
	}
	if there && guard.Origin == p.o.Origin && !guard.covers(held) && epoch <= guard.Epoch {
		return fmt.Errorf("%w: head %d was published from here and is not fetched back yet", ErrQuarantined, guard.N)
	}
	next := Guard{Origin: p.o.Origin, Instance: p.instance}
	if held != nil {
		next = p.guard(held)
	}
	if err := next.Save(p.o.GuardPath); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quarantine == reason { // not for a new reason meanwhile
		p.quarantine = nil
	}
	return nil
}

// AdoptEpoch is Adopt for when the registry has changed: it ends a quarantine that a
// new epoch ends, and no other. Nobody has confirmed what the store holds; where the
// guard is missing there would be nothing to tell an old backup by.
func (p *Publisher) AdoptEpoch() error {
	reason := p.stopped()
	if reason == nil {
		return p.Quarantined()
	}
	epoch, _ := p.o.Keys().Epoch(p.o.Origin)
	guard, there, err := LoadGuard(p.o.GuardPath)
	p.mu.Lock()
	since := p.since
	p.mu.Unlock()
	if told := err == nil && there && guard.Origin == p.o.Origin; epoch <= since && !(told && epoch > guard.Epoch) {
		return reason
	}
	return p.Adopt()
}

// Shared runs f at a moment when every head in the store may be seen by others.
// Whoever serves the own feed to peers does it inside.
func (p *Publisher) Shared(f func()) {
	p.gate.RLock()
	defer p.gate.RUnlock()
	f()
}
