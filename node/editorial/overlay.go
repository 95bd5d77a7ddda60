package editorial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/catalog"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
)

// How long an overlay holds where its editor does not say.
const (
	noteDays  = 180
	alertDays = 14
)

// Remark is an overlay that this country has published.
type Remark struct {
	ID      string `json:"id"`      // of the overlay, a UUID
	Country string `json:"country"` // of the listing; empty when that is not held any more
	Name    string `json:"name"`    // of the listing
	State   string `json:"state"`   // holds, outdated (the listing says something else since), ended, orphaned (the listing is gone)
	listing.Overlay
}

// Overlay publishes what this country says about a listing of another one. It
// takes the place of the overlay of the same kind and language, if there is
// one. What the editor left out is filled in: whose listing it is and in which
// state, today as the day, human as the author, and how long it holds.
func (d *Desk) Overlay(ctx context.Context, o listing.Overlay) (Remark, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	author, err := d.origin()
	if err != nil {
		return Remark{}, err
	}
	target, err := d.target(&o, author)
	if err != nil {
		return Remark{}, err
	}
	d.complete(&o)
	if faults := o.CheckPublish(d.o.Now()); len(faults) > 0 {
		return Remark{}, &control.Error{
			Class: control.Refused, Code: "not_fit", Message: "This is not fit to publish: " + faults.Error(),
			Next: "Nothing was published. Mend this and publish again.",
		}
	}
	if o.Kind == listing.OverlayAlert || o.Kind == listing.OverlayStatus {
		if !d.o.Caretaker(target, author) {
			return Remark{}, &control.Error{
				Class: control.Refused, Code: "not_caretaker",
				Message: fmt.Sprintf("Only a caretaker may say that about a listing of %s, and %s is not named as one.", d.o.CountryOf(target), d.o.Country),
				Next:    "A note is open to every member. To become a caretaker, ask that country's administrator, or the other members if nobody there can be reached.",
			}
		}
	}
	body, err := o.Encode()
	if err != nil {
		return Remark{}, err
	}
	key := feed.Key(o.Key(author))
	if err := d.send(ctx, feed.Edit{Key: key, Op: feed.Put, Type: catalog.TypeOverlay, Body: body}); err != nil {
		return Remark{}, err
	}
	return d.remark(key, o)
}

// origin is this country's own, or why it cannot publish.
func (d *Desk) origin() (identity.OriginID, error) {
	if o, ok := d.o.Origin(); ok {
		return o, nil
	}
	return identity.OriginID{}, explain(feed.ErrNotMember)
}

// target finds the listing that an overlay is about.
func (d *Desk) target(o *listing.Overlay, author identity.OriginID) (identity.OriginID, error) {
	origin, change, raw, err := d.o.Store.Record(Key(o.Target))
	if errors.Is(err, feed.ErrNoRecord) {
		return origin, &control.Error{
			Class: control.Failed, Code: "not_found", Message: fmt.Sprintf("There is no listing %s here.", o.Target),
			Next: "Find its id with: waymark search",
		}
	}
	if err != nil {
		return origin, err
	}
	record, err := feed.ParseRecord(raw)
	if err != nil {
		return origin, err
	}
	switch {
	case record.Type != catalog.TypeListing:
		return origin, &control.Error{Class: control.Usage, Code: "no_listing", Message: fmt.Sprintf("%s is no listing.", o.Target), Next: "Find the id of the listing with: waymark search"}
	case origin == author:
		return origin, &control.Error{Class: control.Usage, Code: "own_listing", Message: fmt.Sprintf("Listing %s is published by this country itself.", o.Target),
			Next: "Change the listing: its text, its alert, its status. Overlays are for the listings of others."}
	}
	doc, err := listing.DecodeDocument(record.Body)
	if err != nil {
		return origin, err
	}
	o.Target, o.TargetOrigin, o.SourceRevision = uuid.UUID(change.Key).String(), origin.String(), doc.Revision()
	return origin, nil
}

// complete fills in what an editor may leave out.
func (d *Desk) complete(o *listing.Overlay) {
	if o.By == "" {
		o.By = "human"
	}
	if o.AsOf == "" {
		o.AsOf = d.o.Now().UTC().Format(time.DateOnly)
	}
	if o.Expires != "" || o.Kind == listing.OverlayTranslation {
		return
	}
	days := alertDays
	if o.Kind == listing.OverlayNote {
		days = noteDays
	}
	if since, err := time.Parse(time.DateOnly, o.AsOf); err == nil {
		o.Expires = since.AddDate(0, 0, days).Format(time.DateOnly)
	}
}

// send puts edits into the feed that belong to no own document.
func (d *Desk) send(ctx context.Context, edits ...feed.Edit) error {
	publisher, err := d.o.Publisher()
	if err != nil {
		return err
	}
	if _, err := publisher.Publish(ctx, iter.Seq[feed.Edit](slices.Values(edits))); err != nil {
		return explain(err)
	}
	return nil
}

// remark tells how an own overlay stands.
func (d *Desk) remark(key feed.Key, o listing.Overlay) (Remark, error) {
	r := Remark{ID: uuid.UUID(key).String(), Overlay: o, State: "orphaned"}
	id, ok := o.TargetFeed()
	target, ok2 := o.TargetKey()
	if !ok || !ok2 {
		return r, nil
	}
	view, err := d.o.Store.View(identity.OriginID(id))
	if err != nil {
		return r, err
	}
	defer view.Close()
	_, raw, err := view.Record(feed.Key(target))
	if errors.Is(err, feed.ErrNoRecord) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	record, err := feed.ParseRecord(raw)
	if err != nil || record.Type != catalog.TypeListing {
		return r, err
	}
	doc, err := listing.DecodeDocument(record.Body)
	if err != nil {
		return r, err
	}
	r.Country = d.o.CountryOf(identity.OriginID(id))
	r.Name, _ = doc["name"].(string)
	switch {
	case !o.Holds(d.o.Now()):
		r.State = "ended"
	case doc.Revision() != o.SourceRevision:
		r.State = "outdated"
	default:
		r.State = "holds"
	}
	return r, nil
}

// Overlays lists this country's overlays: those about the listings with these
// ids, or all.
func (d *Desk) Overlays(_ context.Context, listings []string) ([]Remark, error) {
	wanted := map[feed.Key]bool{}
	for _, id := range listings {
		_, change, _, err := d.o.Store.Record(Key(id))
		if err == nil {
			wanted[change.Key] = true
		}
		wanted[Key(id)] = true // also when the listing is gone
	}
	out := []Remark{}
	err := d.eachOverlay(func(key feed.Key, o listing.Overlay) error {
		target, _ := o.TargetKey()
		if len(listings) > 0 && !wanted[target] {
			return nil
		}
		r, err := d.remark(key, o)
		out = append(out, r)
		return err
	})
	slices.SortFunc(out, func(a, b Remark) int { return bytes.Compare([]byte(a.Target+a.ID), []byte(b.Target+b.ID)) })
	return out, err
}

// eachOverlay calls f for every overlay in the own feed.
func (d *Desk) eachOverlay(f func(feed.Key, listing.Overlay) error) error {
	own, ok := d.o.Origin()
	if !ok {
		return nil // never a member: nothing is published
	}
	view, err := d.o.Store.View(own)
	if err != nil {
		return err
	}
	defer view.Close()
	var failed error
	err = view.Since(0, true, func(c feed.Change, raw []byte) bool {
		record, err := feed.ParseRecord(raw)
		if err == nil && record.Type == catalog.TypeOverlay {
			var o listing.Overlay
			if o, err = listing.ParseOverlay(record.Body); err == nil {
				err = f(c.Key, o)
			}
		}
		failed = err
		return err == nil
	})
	return errors.Join(err, failed)
}

// RemoveOverlays takes overlays back, all or none, by their own ids.
func (d *Desk) RemoveOverlays(ctx context.Context, ids []string) ([]Remark, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wanted := make(map[feed.Key]bool, len(ids))
	for _, id := range ids {
		wanted[Key(id)] = true
	}
	var out []Remark
	var edits []feed.Edit
	err := d.eachOverlay(func(key feed.Key, o listing.Overlay) error {
		if !wanted[key] {
			return nil
		}
		delete(wanted, key)
		edits = append(edits, feed.Edit{Key: key, Op: feed.Delete})
		r, err := d.remark(key, o)
		r.State = "removed"
		out = append(out, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(wanted) > 0 || len(ids) == 0 {
		return nil, &control.Error{
			Class: control.Failed, Code: "not_found", Message: fmt.Sprintf("Of these overlays %d do not exist; nothing was changed.", len(wanted)),
			Next: "List what this country says about the listings of others with: waymark listing overlay",
		}
	}
	return out, d.send(ctx, edits...)
}
