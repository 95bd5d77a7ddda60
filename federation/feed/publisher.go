package feed

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// What a step may hold in memory before it is staged in the store instead.
const (
	maxItems     = 200
	maxItemBytes = 512 << 10
)

// LargeChange is the number of changed records from which a head carries a
// second signature, by an admin key: whoever steals the publish key alone
// cannot change a whole country at once.
const LargeChange = 20

// Errors of publishing.
var (
	ErrQuarantined = errors.New("this node may not sign")
	ErrNotMember   = errors.New("this node's country is not an active member of a federation")
)

// Edit is one thing to publish: a record's new body, or its end.
type Edit struct {
	Key  Key
	Op   Op // Put unless said otherwise
	Type string
	Body []byte
	Must []string
}

// PublisherOptions say for whom, with what and where to publish.
type PublisherOptions struct {
	Federation identity.FederationID
	Origin     identity.OriginID
	Store      Store
	Appender   Appender
	Keys       func() Keys   // the registry as known now
	Registry   func() uint64 // its sequence number
	PublishKey *identity.Key
	AdminKey   *identity.Key    // for large changes; nil: such heads carry one signature only
	GuardPath  string           // outside the database and its backups
	Announce   func(*Verified)  // told of each head once it may be seen
	Logger     *slog.Logger     // discards when nil
	Now        func() time.Time // time.Now when nil
}

// Publisher signs one origin's feed. It is the only writer of that feed; one
// process in the world may run it.
type Publisher struct {
	o        PublisherOptions
	instance [8]byte

	turn chan struct{} // held from the start of a publish until its guard is written
	gate sync.RWMutex  // held for writing while a head is durable but not yet guarded

	mu         sync.Mutex
	quarantine error  // why nothing is signed; nil when all is well
	forked     uint64 // the epoch in which a number was signed twice; 0 when none was
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
	p := &Publisher{o: o, turn: make(chan struct{}, 1)}
	rand.Read(p.instance[:])
	held, err := p.held()
	if err != nil {
		return nil, err
	}
	guard, there, err := LoadGuard(o.GuardPath)
	switch {
	case errors.Is(err, ErrGuard):
		p.Quarantine(err.Error())
	case err != nil:
		return nil, err
	case !there && held == nil:
		// Nothing was ever published here. The guard says so, and thereby tells a
		// first head that was cut off before its guard from a restored node.
		if err := (Guard{Origin: o.Origin, Instance: p.instance}).Save(o.GuardPath); err != nil {
			return nil, err
		}
	case !there:
		p.Quarantine("the publish guard is missing: this looks like a restored or copied node")
	case guard.Origin != o.Origin:
		p.Quarantine("the publish guard is another origin's")
	case !guard.covers(held):
		p.Quarantine("the database is older than what was published from here: this looks like a restored or damaged node")
	case held == nil || held.Hash == guard.Hash:
	case held.N == guard.N+1 && held.Prev == guard.Hash:
		// Killed between the commit and the guard: the head was never seen by
		// anyone else, and is ours.
		if err := p.guard(held).Save(o.GuardPath); err != nil {
			return nil, err
		}
	default:
		p.Quarantine("the publish guard names another head than the database holds")
	}
	return p, nil
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
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quarantine = fmt.Errorf("%w: %s", ErrQuarantined, reason)
}

// Quarantined is nil, or why nothing is signed (wraps [ErrQuarantined]).
func (p *Publisher) Quarantined() error {
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

// Forked reports whether a number was signed twice, which fetching back cannot
// mend: the feed needs a new epoch.
func (p *Publisher) Forked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forked != 0 && p.quarantine != nil
}

// Adopt ends a quarantine after the own feed was fetched back from peers: what
// the store holds now becomes what was published last. It fails, wrapping
// [ErrQuarantined], while the store is still behind the guard, unless the
// registry has given the feed a new epoch. Without a quarantine it does nothing.
func (p *Publisher) Adopt() error {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	reason := p.Quarantined()
	if reason == nil {
		return nil
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
	forked := p.forked
	p.mu.Unlock()
	if forked != 0 && epoch <= forked {
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

// Shared runs f at a moment when every head in the store may be seen by others.
// Whoever serves the own feed to peers does it inside.
func (p *Publisher) Shared(f func()) {
	p.gate.RLock()
	defer p.gate.RUnlock()
	f()
}

// Publish makes one head of the edits. When it returns without error the change
// is durable and visible here; the guard is written, and peers are told, right
// after. Edits that change nothing are left out; with none left there is no new
// head, and the result is nil.
func (p *Publisher) Publish(ctx context.Context, edits iter.Seq[Edit]) (*SignedHead, error) {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := p.Quarantined(); err != nil {
		<-p.turn
		return nil, err
	}
	v, err := p.prepare(edits)
	if err != nil || v == nil {
		<-p.turn
		return nil, err
	}
	p.gate.Lock()
	if err := p.o.Appender.Append(ctx, v); err != nil {
		p.gate.Unlock()
		err = discard(v.Delta(), err)
		<-p.turn
		return nil, fmt.Errorf("publish: %w", err)
	}
	go func() {
		err := p.guard(v.Head()).Save(p.o.GuardPath)
		if err != nil {
			p.Quarantine(err.Error())
			p.o.Logger.Error("publishing stopped: the publish guard could not be written", "err", err)
		}
		p.gate.Unlock()
		<-p.turn
		if err == nil && p.o.Announce != nil {
			p.o.Announce(v)
		}
	}()
	return v.Head(), nil
}

// Wait returns when no publish is under way and every guard is written.
func (p *Publisher) Wait() {
	p.turn <- struct{}{}
	<-p.turn
}

// prepare turns edits into a verified step; nil when nothing changes.
func (p *Publisher) prepare(edits iter.Seq[Edit]) (v *Verified, err error) {
	o := &p.o
	epoch, ok := o.Keys().Epoch(o.Origin)
	if !ok {
		return nil, ErrNotMember
	}
	view, err := o.Store.View(o.Origin)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	defer view.Close()
	held := view.Head()
	head := Head{
		Version: 1, Federation: o.Federation, Origin: o.Origin, Epoch: epoch, N: 1,
		RegistrySeq: o.Registry(), Issued: MinuteOf(o.Now()),
	}
	if held != nil {
		head.N, head.Prev, head.Seq, head.Floor = held.N+1, held.Hash, held.Seq, held.Floor
	}
	delta, changed, err := p.collect(view, edits, &head)
	if err != nil || changed == 0 {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = discard(delta, err)
		}
	}()
	t, err := tallyOf(view, delta)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	head.Count, head.Bytes, head.Root = t.count, t.bytes, t.root
	keys := []*identity.Key{o.PublishKey}
	if changed > LargeChange && o.AdminKey != nil {
		keys = append(keys, o.AdminKey)
	}
	signed, err := head.sign(keys...)
	if err != nil {
		return nil, err
	}
	// Our own head goes through the same checks as everybody's.
	rules := Rules{Federation: o.Federation, Keys: o.Keys(), Now: o.Now()}
	if v, err = rules.Verify(view, [][]byte{signed.Envelope}, delta); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return v, nil
}

// discard drops what a failed publish staged.
func discard(d Delta, err error) error {
	if staging, ok := d.(Staging); ok {
		return errors.Join(err, staging.Discard())
	}
	return err
}

// collect numbers the edits that change something. They are kept in memory, or
// staged in the store when they are many.
func (p *Publisher) collect(view StoreView, edits iter.Seq[Edit], head *Head) (Delta, int, error) {
	var (
		items   Items
		staging Staging
		size    int
		changed int
		today   = DayOf(p.o.Now())
		seen    = make(map[Key]bool)
	)
	fail := func(err error) (Delta, int, error) {
		if staging != nil {
			err = errors.Join(err, staging.Discard())
		}
		return nil, 0, fmt.Errorf("publish: %w", err)
	}
	for e := range edits {
		if seen[e.Key] {
			return fail(fmt.Errorf("record %s is given twice", e.Key))
		}
		seen[e.Key] = true
		item, ok, err := p.item(view, e, head.Seq+1, today)
		if err != nil {
			return fail(err)
		}
		if !ok {
			continue
		}
		head.Seq++
		changed++
		size += len(item.raw)
		items = append(items, item)
		if len(items) < maxItems && size < maxItemBytes {
			continue
		}
		if staging == nil {
			if staging, err = p.o.Store.Stage(p.o.Origin); err != nil {
				return fail(err)
			}
		}
		if err := staging.Put(items...); err != nil {
			return fail(err)
		}
		items, size = items[:0], 0
	}
	if staging == nil {
		return items.Sort(), changed, nil
	}
	if err := staging.Put(items...); err != nil {
		return fail(err)
	}
	return staging, changed, nil
}

// item is the change that an edit makes; false when it makes none.
func (p *Publisher) item(view StoreView, e Edit, seq uint64, today Day) (Item, bool, error) {
	old, raw, err := view.Record(e.Key)
	if err != nil && !errors.Is(err, ErrNoRecord) {
		return Item{}, false, err
	}
	there := err == nil && old.Live()
	if e.Op == Delete || e.Op == Erase {
		if !there {
			return Item{}, false, nil
		}
		item, err := Check(Change{Seq: seq, Key: e.Key, Op: e.Op}, nil)
		return item, err == nil, err
	}
	revision := uint64(1)
	if there {
		r, err := ParseRecord(raw)
		if err != nil {
			return Item{}, false, err
		}
		if r.Type == e.Type && bytes.Equal(r.Body, e.Body) && slices.Equal(r.Must, e.Must) {
			return Item{}, false, nil
		}
		revision = r.Revision + 1
	}
	record := NewRecord(e.Key, e.Type, revision, today, e.Body)
	record.Must = e.Must
	encoded, err := record.Encode()
	if err != nil {
		return Item{}, false, err
	}
	item, err := Check(Change{Seq: seq, Key: e.Key, Op: Put, Hash: HashRecord(encoded), Size: uint32(len(encoded))}, encoded)
	return item, err == nil, err
}

// Beat signs that the newest head still stands; nil when there is no head or
// nothing may be signed.
func (p *Publisher) Beat() (*SignedBeat, error) {
	epoch, ok := p.o.Keys().Epoch(p.o.Origin)
	if !ok {
		return nil, nil
	}
	var held *SignedHead
	var err error
	p.Shared(func() { // a beat shows its head's hash: not before the guard has it
		if p.Quarantined() == nil {
			held, err = p.held()
		}
	})
	if err != nil || held == nil || held.Epoch != epoch {
		return nil, err
	}
	now := p.o.Now()
	b := Beat{
		Version: 1, Federation: p.o.Federation, Origin: p.o.Origin, Epoch: epoch, N: held.N,
		Counter: uint64(max(now.Unix(), 1)), Issued: MinuteOf(now), Expires: MinuteOf(now.Add(BeatLife)),
		Instance: p.instance, RegistrySeq: p.o.Registry(),
	}
	copy(b.Head[:], held.Hash[:])
	last, err := p.o.Store.Beat(p.o.Origin)
	if err != nil {
		return nil, fmt.Errorf("beat: %w", err)
	}
	if last != nil && last.Counter >= b.Counter {
		b.Counter = last.Counter + 1
	}
	signed, err := b.Sign(p.o.PublishKey)
	if err != nil {
		return nil, err
	}
	if err := p.o.Store.PutBeat(signed); err != nil {
		return nil, fmt.Errorf("beat: %w", err)
	}
	return signed, nil
}
