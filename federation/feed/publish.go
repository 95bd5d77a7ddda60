package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// Edit is one thing to publish: a record's new body, or its end.
type Edit struct {
	Key  Key
	Op   Op // Put unless said otherwise
	Type string
	Body []byte
	Must []string
}

// errWait is returned before any edit was read when this minute has had all the
// heads that it may have.
var errWait = errors.New("the minute is full")

// Publish makes one head of the edits. When it returns without error the change
// is durable and visible here; the guard is written, and peers are told, right
// after. Edits that change nothing are left out; with none left there is no new
// head, and the result is nil. When ctx ended by the time that the edits were read,
// nothing is published, and the error is its cause. An [Erase] changes something even where the
// record is deleted already, as copies of it may be kept for undoing.
//
// When a minute has had as many heads as others take, Publish waits for the next
// one. More than [LargeChange] changes within [LargeSpan] are signed with the
// admin key as well; without it Publish fails with [ErrNeedsApproval]. In an
// epoch that goes back to an earlier head, the feed is first taken back there.
//
// Nothing is signed over damage that an edit meets. An edit of a record that
// rotted mends it; where the entry of a record may be lost, Publish fails with
// [ErrDamaged], since the edit could not be told from one of a record that never
// was. What rots beside the edits does not stop them: the head names the hashes of
// what was published, and whoever has a record whole can prove it.
func (p *Publisher) Publish(ctx context.Context, edits iter.Seq[Edit]) (*SignedHead, error) {
	return p.publish(ctx, edits, false)
}

// Renew signs what is held once more, in a head without changes, when the keys
// that signed it are not those of today or a new epoch began; so the newest head
// can always be checked with the keys that the registry knows. Otherwise it does
// nothing, and the result is nil.
func (p *Publisher) Renew(ctx context.Context) (*SignedHead, error) {
	return p.publish(ctx, func(func(Edit) bool) {}, true)
}

func (p *Publisher) publish(ctx context.Context, edits iter.Seq[Edit], renew bool) (*SignedHead, error) {
	var v *Verified
	var err error
	for after := Minute(0); ; {
		select {
		case p.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err = p.stopped(); err == nil {
			v, after, err = p.prepare(ctx, edits, renew, after)
		}
		if !errors.Is(err, errWait) {
			break
		}
		<-p.turn
		if err := p.wait(ctx, after); err != nil {
			return nil, err
		}
	}
	if err == nil && v != nil && ctx.Err() != nil { // whoever gave the edits may have broken off
		err = discard(v.Delta(), context.Cause(ctx))
	}
	if err != nil || v == nil {
		<-p.turn
		if errors.Is(err, ErrDamaged) && p.o.Damaged != nil {
			p.o.Damaged(err)
		}
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

// wait waits for a minute to begin, though never longer than a minute lasts: a
// clock that stands still must not stop an editor.
func (p *Publisher) wait(ctx context.Context, begin Minute) error {
	d := min(max(begin.Time().Sub(p.o.Now()), time.Millisecond), time.Minute)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Wait returns when no publish is under way and every guard is written.
func (p *Publisher) Wait() {
	p.turn <- struct{}{}
	<-p.turn
}

// prepare turns edits into a verified step; nil when nothing changes. With
// errWait it tells the minute to wait for.
func (p *Publisher) prepare(ctx context.Context, edits iter.Seq[Edit], renew bool, after Minute) (v *Verified, next Minute, err error) {
	o := &p.o
	keys := o.Keys()
	epoch, ok := keys.Epoch(o.Origin)
	if !ok {
		return nil, 0, ErrNotMember
	}
	if err := p.goBack(ctx, keys, epoch); err != nil {
		return nil, 0, fmt.Errorf("publish: %w", err)
	}
	view, err := o.Store.View(o.Origin)
	if err != nil {
		return nil, 0, fmt.Errorf("publish: %w", err)
	}
	defer view.Close()
	held := view.Head()
	if err := behindRecord(keys, held, o.Origin, epoch); err != nil {
		return nil, 0, fmt.Errorf("publish: %w", err)
	}
	d := draft{p: p, view: view, held: held, rules: p.rules(keys, held), on: held != nil && held.Epoch == epoch}
	if n, forked := keys.Forked(o.Origin); forked && d.on {
		return nil, 0, fmt.Errorf("publish: %w: number %d", ErrForked, n)
	}
	d.head = Head{
		Version: 1, Federation: o.Federation, Origin: o.Origin, Epoch: epoch, N: 1,
		RegistrySeq: o.Registry(), Issued: max(MinuteOf(o.Now()), after),
	}
	if held != nil {
		d.head.N, d.head.Prev, d.head.Seq, d.head.Floor = held.N+1, held.Hash, held.Seq, held.Floor
	}
	if d.on {
		d.head.Issued = max(d.head.Issued, held.Issued)
		err := d.rules.checkBurst(view, held, []*SignedHead{{Head: d.head}})
		if errors.Is(err, ErrTooMany) {
			return nil, d.head.Issued + 1, errWait
		}
		if err != nil {
			return nil, 0, fmt.Errorf("publish: %w", err)
		}
	}
	v, err = d.finish(edits, renew && held != nil)
	if err != nil {
		return nil, 0, fmt.Errorf("publish: %w", err)
	}
	return v, 0, nil
}

// rules are what an own head is checked against. The heads that are held were
// accepted, so their dates are past, whatever the clock says.
func (p *Publisher) rules(keys Keys, held *SignedHead) Rules {
	r := Rules{Federation: p.o.Federation, Keys: keys, Now: p.o.Now()}
	if p.o.Limits != nil {
		r.Limits = p.o.Limits()
	}
	if held != nil && held.Issued.Time().After(r.Now) {
		r.Now = held.Issued.Time()
	}
	return r
}

// draft is a head in the making.
type draft struct {
	p     *Publisher
	view  StoreView
	held  *SignedHead
	on    bool // it goes on in the epoch of the held one
	rules Rules
	head  Head
}

// finish collects the edits, signs the head and checks the whole step.
func (d *draft) finish(edits iter.Seq[Edit], renew bool) (v *Verified, err error) {
	publish, admin := d.p.keys()
	renew = renew && d.stale(publish, admin)
	delta, changed, err := d.p.collect(d.view, edits, &d.head)
	if err != nil || changed == 0 && !renew {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = discard(delta, err)
		}
	}()
	t, err := tallyOf(d.view, delta, false)
	if err != nil {
		return nil, err
	}
	d.head.Count, d.head.Bytes, d.head.Root = t.count, t.bytes, t.sum.Root()
	if d.head.Floor, err = d.p.floor(d.view, d.held); err != nil {
		return nil, err
	}
	large, err := d.large()
	switch {
	case err != nil:
		return nil, err
	case large != nil && admin == nil:
		return nil, fmt.Errorf("%w (%w)", ErrNeedsApproval, large)
	}
	signing := []*identity.Key{publish}
	if admin != nil && (large != nil || changed > LargeChange || renew && len(d.held.signers) > 1) {
		signing = append(signing, admin)
	}
	signed, err := d.head.sign(signing...)
	if err != nil {
		return nil, err
	}
	// Our own head goes through the same checks as everybody's.
	return d.rules.Verify(d.view, [][]byte{signed.Envelope}, delta)
}

// stale reports whether the held head is not signed with the keys of today.
func (d *draft) stale(publish, admin *identity.Key) bool {
	if !d.on || !slices.Contains(d.held.signers, publish.ID()) {
		return true
	}
	return admin != nil && slices.ContainsFunc(d.held.signers, func(id identity.KeyID) bool {
		_, head := d.rules.Keys.HeadKey(d.held.Origin, d.held.Epoch, d.held.N, id)
		_, approval := d.rules.Keys.AdminKey(d.held.Origin, id)
		return !head && !approval
	})
}

// large is nil, or the [ErrUnapproved] that the head would meet with the publish
// key's signature alone.
func (d *draft) large() (large, err error) {
	if !d.on {
		return nil, nil
	}
	known, err := d.rules.recent(d.view, d.held)
	if err != nil {
		return nil, err
	}
	return checkLarge(append(known, &SignedHead{Head: d.head}), len(known)), nil
}

// mustGoBack reports whether the feed is to be taken back to an earlier head
// before anything is signed in an epoch, and to which.
func mustGoBack(keys Keys, held *SignedHead, o identity.OriginID, epoch uint64) (good Place, must bool) {
	good, ok := keys.Good(o)
	return good, ok && epoch == good.Epoch+1 && (held == nil || held.Epoch != epoch && held.Place() != good)
}

// goBack takes the feed back to the last good head when the registry says so and
// more is held.
func (p *Publisher) goBack(ctx context.Context, keys Keys, epoch uint64) error {
	view, err := p.o.Store.View(p.o.Origin)
	if err != nil {
		return err
	}
	defer view.Close()
	good, must := mustGoBack(keys, view.Head(), p.o.Origin, epoch)
	if !must {
		return nil
	}
	if err = p.goBackTo(ctx, keys, view, good); err != nil {
		err = fmt.Errorf("go back to head %d: %w", good.N, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noWayBack = nil
	if errors.Is(err, ErrNoWayBack) {
		p.noWayBack = err
	}
	return err
}

func (p *Publisher) goBackTo(ctx context.Context, keys Keys, view View, good Place) error {
	stuck := func(why error) error { return fmt.Errorf("%w: %w: %w", ErrQuarantined, ErrNoWayBack, why) }
	held := view.Head()
	if held == nil || held.Epoch != good.Epoch || held.N <= good.N {
		return stuck(errors.New("it is not fetched yet"))
	}
	envelopes, err := view.Heads(good.N, 1)
	if err != nil {
		return err
	}
	if len(envelopes) == 0 {
		return stuck(ErrPruned)
	}
	to, err := ParseHead(envelopes[0])
	if err != nil {
		return err
	}
	delta, err := p.o.Store.Undo(p.o.Origin, to)
	if errors.Is(err, ErrPruned) {
		return stuck(err)
	}
	if err != nil {
		return err
	}
	v, err := p.rules(keys, held).VerifyRollback(view, envelopes[0], delta)
	if err != nil {
		return err
	}
	p.gate.Lock()
	defer p.gate.Unlock()
	if err := p.o.Appender.Append(ctx, v); err != nil {
		return err
	}
	return p.guard(v.Head()).Save(p.o.GuardPath)
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
		staged  stager
		size    int
		changed int
		today   = DayOf(p.o.Now())
		seen    = make(map[Key]bool)
	)
	fail := func(err error) (Delta, int, error) {
		return nil, 0, errors.Join(err, staged.discard())
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
		if staged.Staging == nil {
			if staged.Staging, err = p.o.Store.Stage(p.o.Origin); err != nil {
				return fail(err)
			}
		}
		if err := staged.put(items); err != nil {
			return fail(err)
		}
		items, size = make(Items, 0, len(items)), 0
	}
	if staged.Staging == nil {
		return items.Sort(), changed, nil
	}
	if err := errors.Join(staged.put(items), staged.wait()); err != nil {
		return fail(err)
	}
	return staged.Staging, changed, nil
}

// stager stages one batch of items while the next one is collected.
type stager struct {
	Staging            // nil while there was too little to stage
	under   chan error // of the batch that is being staged; nil when none is
}

func (s *stager) put(items Items) error {
	if err := s.wait(); err != nil {
		return err
	}
	s.under = make(chan error, 1)
	go func() { s.under <- s.Put(items...) }()
	return nil
}

// wait returns when all that was put is staged, or the error that it met.
func (s *stager) wait() (err error) {
	if s.under != nil {
		err = <-s.under
		s.under = nil
	}
	return err
}

func (s *stager) discard() error {
	if s.Staging == nil {
		return nil
	}
	_ = s.wait() // what is dropped need not have been staged
	return s.Discard()
}

// item is the change that an edit makes; false when it makes none.
func (p *Publisher) item(view StoreView, e Edit, seq uint64, today Day) (Item, bool, error) {
	old, raw, err := view.Record(e.Key)
	rotten := errors.Is(err, ErrDamaged) && old.Live()
	if err != nil && !rotten && !errors.Is(err, ErrNoRecord) {
		return Item{}, false, err
	}
	there := old.Live() && (err == nil || rotten)
	if e.Op == Delete || e.Op == Erase {
		if !there && (e.Op == Delete || old.Op == Erase) {
			return Item{}, false, absent(view, e.Key)
		}
		item, err := Check(Change{Seq: seq, Key: e.Key, Op: e.Op}, nil)
		return item, err == nil, err
	}
	revision := uint64(1)
	switch {
	case rotten: // which one it was cannot be read, but each had a number of the feed of its own
		revision = old.Seq + 1
	case there:
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

// absent checks that a record for which no entry is found is not there, rather
// than that its entry is lost: a deletion of it would be dropped without a word,
// and everybody else would go on showing it. For edits that change something the
// sum over their buckets shows it.
func absent(view View, key Key) error {
	leaves, err := view.Leaves()
	if err != nil {
		return err
	}
	q := key.Bucket()
	list, err := view.Bucket(q)
	if err != nil {
		return err
	}
	if h := view.Head(); h != nil && leaves.Root() != h.Root || BucketHash(q, list) != leaves[q] {
		return fmt.Errorf("%w: bucket %d", ErrDamaged, q)
	}
	return nil
}
