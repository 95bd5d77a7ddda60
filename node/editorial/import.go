package editorial

import (
	"context"
	"fmt"
	"iter"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/store"
)

// intake collects what an import would do before anything of it is done.
type intake struct {
	d       *Desk
	o       control.ImportOptions
	report  control.ImportReport
	seen    map[feed.Key]string // where in the source
	blind   string              // a row whose listing cannot be told; empty when there is none
	changed []store.Own         // to write
	all     []ready             // to publish: changed ones, and those that stand as they were
}

// Import takes rows in: it merges each into the document with its id, where an
// absent field is unchanged and null clears one, or replaces it. Nothing is
// written when a row is refused, unless SkipBad says so.
func (d *Desk) Import(ctx context.Context, rows iter.Seq2[control.Row, error], o control.ImportOptions) (control.ImportReport, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	in := &intake{d: d, o: o, seen: make(map[feed.Key]string)}
	in.report.Refused = []control.Refusal{}
	for row, err := range rows {
		if err != nil {
			return in.report, err
		}
		if err := ctx.Err(); err != nil {
			return in.report, err
		}
		if err := in.take(row); err != nil {
			return in.report, err
		}
	}
	if len(in.report.Refused) > 0 && !o.SkipBad {
		return control.ImportReport{Refused: in.report.Refused}, nil
	}
	remove, err := in.missing()
	if err != nil {
		return control.ImportReport{Refused: in.report.Refused}, err
	}
	if o.DryRun {
		if o.Publish {
			in.report.Published = len(in.all)
		}
		return in.report, nil
	}
	return in.report, in.write(ctx, remove)
}

func (in *intake) refuse(where string, faults listing.Faults) {
	for _, f := range asFaults(faults) {
		in.report.Refused = append(in.report.Refused, control.Refusal{Row: where, Fault: f})
	}
}

// take looks at one row: every fault of it is reported at once.
func (in *intake) take(row control.Row) error {
	if len(row.Faults) > 0 {
		for _, f := range row.Faults {
			in.report.Refused = append(in.report.Refused, control.Refusal{Row: row.Where, Fault: f})
		}
		in.bad(row)
		return nil
	}
	doc, err := listing.ParseJSON(row.Document)
	if err != nil {
		in.refuse(row.Where, listing.Faults{{Code: listing.CodeMalformed, Message: err.Error()}})
		in.bad(row)
		return nil
	}
	id, _ := doc["id"].(string)
	if id == "" {
		in.bad(row)
		in.refuse(row.Where, listing.Faults{{Path: "id", Code: listing.CodeMissing, Message: "The listing has no id. Give it one that stays the same for ever, best a UUID."}})
		return nil
	}
	key := Key(id)
	if at, twice := in.seen[key]; twice {
		in.refuse(row.Where, listing.Faults{{Path: "id", Code: listing.CodeTwice, Message: fmt.Sprintf("The id %s was given already, at %s.", id, at)}})
		return nil
	}
	in.seen[key] = row.Where
	old, known, err := in.d.o.Store.Own(key)
	if err != nil {
		return err
	}
	if known && !in.o.Replace {
		held, err := listing.ParseJSON(old.Document)
		if err != nil {
			return fmt.Errorf("listing %s: %w", id, err)
		}
		doc = merge(held, doc).(map[string]any)
	}
	l, faults := doc.Listing()
	faults = append(faults, l.CheckServe()...)
	var public []byte
	if len(faults) == 0 {
		if public, err = body(key, doc); err != nil {
			faults = listing.Faults{{Code: listing.CodeTooLarge, Message: err.Error()}}
		}
	}
	if len(faults) > 0 {
		in.refuse(row.Where, faults)
		return nil
	}
	if n := len(doc.JSON()); n > store.MaxOwn {
		in.refuse(row.Where, listing.Faults{{Code: listing.CodeTooLarge, Message: fmt.Sprintf("The listing is too large with its private part: %d bytes, at most %d. Shorten its texts.", n, store.MaxOwn)}})
		return nil
	}
	now := store.Own{Key: key, Document: doc.JSON(), Published: old.Published, Updated: feed.DayOf(in.d.o.Now())}
	switch {
	case !known:
		in.report.Added++
	case now.Fingerprint() == old.Fingerprint():
		in.report.Unchanged++
		in.all = append(in.all, ready{old, public})
		return nil
	default:
		in.report.Changed++
	}
	in.changed = append(in.changed, now)
	in.all = append(in.all, ready{now, public})
	return nil
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

// bad notes a row that is not taken in: the listing that it means is there all
// the same, and is not missing.
func (in *intake) bad(row control.Row) {
	if doc, err := listing.ParseJSON(row.Document); err == nil {
		if id, _ := doc["id"].(string); id != "" {
			in.seen[Key(id)] = row.Where
			return
		}
	}
	in.blind = row.Where
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
	case len(in.seen) == 0:
		return nil, refused("The source holds no listing at all; every listing would be removed.")
	}
	var out []feed.Key
	err := in.d.o.Store.EachOwn(func(own store.Own) error {
		if _, there := in.seen[own.Key]; there {
			return nil
		}
		doc, err := listing.ParseJSON(own.Document)
		if err != nil {
			return fmt.Errorf("listing %s: %w", uuid.UUID(own.Key), err)
		}
		if l, _ := doc.Listing(); l.StatusValue() != listing.Defunct {
			out = append(out, own.Key)
		}
		return nil
	})
	in.report.Removed = len(out)
	return out, err
}

// write keeps the drafts, then publishes all in one head. Whatever is cut off
// in between, importing again completes it.
func (in *intake) write(ctx context.Context, remove []feed.Key) error {
	if err := in.d.o.Store.PutOwn(in.changed...); err != nil {
		return explain(err)
	}
	if in.o.Publish || len(remove) > 0 {
		publish := in.all
		if !in.o.Publish {
			publish = nil
		}
		if err := in.d.publish(ctx, publish, remove); err != nil {
			return err
		}
		in.report.Published = len(publish)
	}
	for _, key := range remove {
		if err := in.d.o.Store.DeleteOwn(key); err != nil {
			return fmt.Errorf("remove listing %s: %w", uuid.UUID(key), explain(err))
		}
	}
	return nil
}
