package editorial

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/node/catalog"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/store"
)

// intake looks at what an import would do before anything of it is done. Of each
// row it remembers some 40 bytes, and as much again once it is published; the rest
// waits in files.
type intake struct {
	d      *Desk
	o      control.ImportOptions
	report control.ImportReport
	seen   *seen
	blind  string // a row whose listing cannot be told; empty when there is none
	spool  *spool
	held   int // documents in the spool
}

// Import takes rows in: it merges each into the document with its id, where an
// absent field is unchanged and null clears one, or replaces it. Nothing is
// written when a row is refused, unless SkipBad says so. All is published as one
// head. Rows are read once, in order, and may be any number.
func (d *Desk) Import(ctx context.Context, rows iter.Seq2[control.Row, error], o control.ImportOptions) (control.ImportReport, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer hurry()()
	in := &intake{d: d, o: o}
	in.report.Refused = []control.Refusal{}
	var err error
	if in.seen, err = newSeen(d.o.Store); err != nil {
		return in.report, explain(err)
	}
	defer in.seen.close()
	if in.spool, err = newSpool(d.o.Store); err != nil {
		return in.report, explain(err)
	}
	defer in.spool.close()
	if err := in.readAll(ctx, rows); err != nil {
		return in.report, explain(err)
	}
	if len(in.report.Refused) > 0 && !o.SkipBad {
		return in.refusals(), nil
	}
	remove, err := in.missing()
	if err != nil {
		return in.refusals(), err
	}
	if o.DryRun {
		if o.Publish {
			in.report.Published = in.held
		}
		return in.report, nil
	}
	return in.report, in.write(ctx, remove)
}

// refusals is the report of an import that did nothing.
func (in *intake) refusals() control.ImportReport {
	return control.ImportReport{Refused: in.report.Refused, MoreRefused: in.report.MoreRefused}
}

// How many rows, or bytes of them, are looked at by one goroutine before their
// results are taken, in their order.
const (
	together      = 32
	togetherBytes = 256 << 10
)

// readAll looks at rows on all processors, a few ahead of what is taken.
func (in *intake) readAll(ctx context.Context, rows iter.Seq2[control.Row, error]) error {
	work, ctx := errgroup.WithContext(ctx)
	type batch = chan []looked
	ahead := make(chan batch, runtime.GOMAXPROCS(0))
	work.Go(func() error {
		defer close(ahead)
		return batches(ctx, rows, func(batched []control.Row) bool {
			done := make(batch, 1)
			go func() {
				out := make([]looked, len(batched))
				for i, row := range batched {
					out[i] = in.look(row)
				}
				done <- out
			}()
			select {
			case ahead <- done:
				return true
			case <-ctx.Done():
				return false
			}
		})
	})
	work.Go(func() error {
		for done := range ahead {
			for _, l := range <-done {
				if err := in.take(l); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return work.Wait()
}

// batches collects rows until f is false or ctx ends, which is an error.
func batches(ctx context.Context, rows iter.Seq2[control.Row, error], f func([]control.Row) bool) error {
	var pending []control.Row
	size := 0
	for row, err := range rows {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		pending, size = append(pending, row), size+len(row.Document)
		if len(pending) < together && size < togetherBytes {
			continue
		}
		if !f(pending) {
			return ctx.Err()
		}
		pending, size = nil, 0
	}
	if len(pending) > 0 && !f(pending) {
		return ctx.Err()
	}
	return ctx.Err()
}

// looked is what there is to say of one row by itself.
type looked struct {
	where  string
	id     string // empty when it cannot be told
	faults []control.Fault
	err    error // why it could not be looked at

	known, changed bool
	held           spooled
	change         *control.Change // of a dry run
}

// look finds every fault of a row.
func (in *intake) look(row control.Row) (l looked) {
	l.where = row.Where
	doc, err := listing.ParseJSON(row.Document)
	if err == nil {
		l.id, _ = doc["id"].(string)
	}
	l.faults = slices.Clip(row.Faults)
	add := func(faults listing.Faults) {
		for _, f := range asFaults(faults) {
			// The reader of the file may have said so, and in which column it stands.
			said := func(r control.Fault) bool { return r.Code == f.Code && r.Message == f.Message }
			if !slices.ContainsFunc(row.Faults, said) {
				l.faults = append(l.faults, f)
			}
		}
	}
	switch {
	case err != nil && len(row.Faults) > 0: // they say why
	case err != nil:
		add(listing.Faults{{Code: listing.CodeMalformed, Message: "This cannot be read: " + err.Error() + ". Correct it."}})
	case l.id == "": // nothing becomes of it; all the same everything that is wrong is told
		view, faults := doc.Listing()
		add(append(faults, view.CheckServe()...))
	default:
		var faults listing.Faults
		faults, l.err = in.merged(&l, doc)
		add(faults)
	}
	return l
}

// merged is what becomes of a document with what is here of it.
func (in *intake) merged(l *looked, doc listing.Document) (listing.Faults, error) {
	key := Key(l.id)
	old, known, err := in.d.o.Store.Own(key)
	if err != nil {
		return nil, err
	}
	if known && !in.o.Replace {
		held, err := listing.ParseJSON(old.Document)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", l.id, err)
		}
		doc = merge(held, doc).(map[string]any)
	}
	if known && doc["translations"] != nil {
		before, err := listing.ParseJSON(old.Document) // merging may have changed the other
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", l.id, err)
		}
		doc.MarkTranslations(before)
	}
	view, public, faults := doc.Read()
	faults = append(faults, view.CheckServe()...)
	if len(faults) > 0 {
		return faults, nil
	}
	if l.id != uuid.UUID(key).String() {
		if public, err = body(key, doc); err != nil {
			return listing.Faults{{Code: listing.CodeTooLarge, Message: err.Error()}}, nil
		}
	}
	now := store.Own{Key: key, Document: doc.JSON(), Published: old.Published, Updated: feed.DayOf(in.d.o.Now())}
	if n := len(now.Document); n > store.MaxOwn {
		return listing.Faults{{Code: listing.CodeTooLarge, Message: fmt.Sprintf("The listing is too large with its private part: %d bytes, at most %d. Shorten its texts.", n, store.MaxOwn)}}, nil
	}
	print := now.Fingerprint()
	l.known, l.changed = known, !known || print != old.Fingerprint()
	l.held = spooled{Key: key, Published: old.Published, Print: print, Body: public}
	if l.changed {
		l.held.Document, l.held.Updated = now.Document, now.Updated
	}
	if l.changed && in.o.DryRun {
		if l.change, err = difference(l, old.Document, doc); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// take counts a row and keeps what it brings. A row that is not taken in is not
// missing all the same: the listing that it means is there.
func (in *intake) take(l looked) error {
	if l.err != nil {
		return l.err
	}
	refuse := func(faults ...control.Fault) {
		for _, f := range faults {
			if len(in.report.Refused) == control.MaxRefused {
				in.report.MoreRefused++
				continue
			}
			in.report.Refused = append(in.report.Refused, control.Refusal{Row: l.where, Fault: f})
		}
	}
	if l.id == "" {
		in.blind = l.where
		refuse(l.faults...)
		return nil
	}
	key := Key(l.id)
	at, twice, err := in.seen.add(key, l.where)
	if err != nil {
		return err
	}
	switch {
	case twice:
		refuse(asFaults(listing.Faults{{Path: "id", Code: listing.CodeTwice, Message: fmt.Sprintf("The id %s was given already, at %s.", l.id, at)}})...)
		refuse(l.faults...)
		return nil
	case len(l.faults) > 0:
		refuse(l.faults...)
		return nil
	case !l.known:
		in.report.Added++
	case l.changed:
		in.report.Changed++
	default:
		in.report.Unchanged++
	}
	in.held++
	in.tell(l.change)
	return in.spool.put(l.held)
}

// merge applies a JSON merge patch (RFC 7386).
func merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		if d, isDoc := patch.(listing.Document); isDoc {
			p, ok = d, true
		}
	}
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if d, isDoc := target.(listing.Document); isDoc {
		t, ok = d, true
	}
	if !ok {
		t = make(map[string]any)
	}
	for k, v := range p {
		if v == nil {
			delete(t, k)
		} else {
			t[k] = merge(t[k], v)
		}
	}
	return t
}

// missing are the listings that the source no longer has, if they are to go.
// Stubs of closed listings stay: links to them must go on saying so.
func (in *intake) missing() ([]feed.Key, error) {
	if !in.o.RemoveMissing {
		return nil, nil
	}
	refused := func(message string) error {
		return &control.Error{
			Class: control.Refused, Code: "cannot_remove", Message: message,
			Next: "Nothing was taken in or removed. Mend the source, or import it without removing what is missing.",
		}
	}
	switch {
	case in.blind != "":
		return nil, refused(fmt.Sprintf("What is missing cannot be told: the row at %s has no id that can be read.", in.blind))
	case in.seen.len() == 0:
		return nil, refused("The source holds no listing at all; every listing would be removed.")
	}
	var out []feed.Key
	err := in.d.o.Store.EachOwn(func(own store.Own) error {
		if in.seen.has(own.Key) {
			return nil
		}
		doc, err := listing.ParseJSON(own.Document)
		if err != nil {
			return fmt.Errorf("listing %s: %w", uuid.UUID(own.Key), err)
		}
		if l, _ := doc.Listing(); l.StatusValue() != listing.Defunct {
			out = append(out, own.Key)
			if in.o.DryRun {
				in.tell(&control.Change{Kind: "removed", ID: l.ID, Name: l.Name})
			}
		}
		return nil
	})
	in.report.Removed = len(out)
	return out, err
}

// write keeps the drafts and publishes all in one head. Whatever is cut off in
// between, importing again completes it.
func (in *intake) write(ctx context.Context, remove []feed.Key) error {
	if !in.o.Publish {
		if err := in.drafts(); err != nil {
			return explain(err)
		}
	}
	if in.o.Publish || len(remove) > 0 {
		if err := in.publish(ctx, remove); err != nil {
			return err
		}
	}
	if err := in.d.o.Store.DeleteOwn(remove...); err != nil {
		return fmt.Errorf("remove listings: %w", explain(err))
	}
	return nil
}

// How many drafts, or bytes of them, are kept at once.
const (
	draftItems = 400
	draftBytes = 2 << 20
)

// keeper keeps what is new or changed: some are packed while others are written.
type keeper struct {
	s     *store.Store
	work  errgroup.Group
	batch []store.Own
	size  int
	whole bool // everything was kept
}

func newKeeper(s *store.Store) *keeper {
	k := &keeper{s: s}
	k.work.SetLimit(2)
	return k
}

func (k *keeper) put(x spooled) {
	if x.Document == nil {
		return
	}
	k.batch = append(k.batch, store.Own{Key: x.Key, Document: x.Document, Published: x.Published, Updated: x.Updated})
	if k.size += len(x.Document); len(k.batch) == draftItems || k.size >= draftBytes {
		k.flush()
	}
}

func (k *keeper) flush() {
	if full := k.batch; len(full) > 0 {
		k.batch, k.size = nil, 0
		k.work.Go(func() error { return k.s.PutOwn(full...) })
	}
}

// wait returns when all that was put is kept.
func (k *keeper) wait() error {
	k.flush()
	err := k.work.Wait()
	k.whole = err == nil
	return err
}

// drafts keeps all.
func (in *intake) drafts() error {
	keep := newKeeper(in.d.o.Store)
	err := in.spool.each(func(x spooled) bool {
		keep.put(x)
		return true
	})
	return errors.Join(err, keep.wait())
}

// publish makes one head of all that is to be published and removed, and keeps
// what was published. The drafts are kept before the head is signed, also when it
// cannot be.
func (in *intake) publish(ctx context.Context, remove []feed.Key) error {
	keep := newKeeper(in.d.o.Store)
	err := in.head(ctx, keep, remove)
	if err != nil && in.o.Publish && !keep.whole {
		_ = keep.wait() // what it met is met again
		if kept := in.drafts(); kept != nil {
			err = errors.Join(err, kept)
		}
	}
	return err
}

func (in *intake) head(ctx context.Context, keep *keeper, remove []feed.Key) error {
	publisher, err := in.d.o.Publisher()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var marks []store.Mark
	_, err = publisher.Publish(ctx, func(yield func(feed.Edit) bool) {
		more := true
		if in.o.Publish {
			marks = make([]store.Mark, 0, in.held)
			err := in.spool.each(func(x spooled) bool {
				keep.put(x)
				marks = append(marks, store.Mark{Key: x.Key, Published: x.Print})
				more = yield(feed.Edit{Key: x.Key, Op: feed.Put, Type: catalog.TypeListing, Body: x.Body})
				return more
			})
			if more && err == nil {
				err = keep.wait()
			}
			if err != nil {
				cancel(err) // half of them must not be published
				return
			}
		}
		for i := 0; more && i < len(remove); i++ {
			more = yield(feed.Edit{Key: remove[i], Op: feed.Delete})
		}
	})
	if err != nil {
		return explain(err)
	}
	in.report.Published = len(marks)
	if err := in.d.o.Store.MarkOwn(marks...); err != nil {
		return explain(err)
	}
	return nil
}
