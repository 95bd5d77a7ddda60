// Package editorial is what editors do with their country's listings: take in,
// look through, publish, confirm, take back.
//
// The owner's document is kept whole on this node; what is published is its
// public part. A document that was taken in is a draft until it is published.
package editorial

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/catalog"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/store"
)

// Publisher signs the own feed; feed.Publisher is one.
type Publisher interface {
	Publish(context.Context, iter.Seq[feed.Edit]) (*feed.SignedHead, error)
}

// Options say what the desk works on.
type Options struct {
	Country   string
	Store     *store.Store
	Publisher func() (Publisher, error) // an error says why nothing can be published now
	Cadence   func() listing.Cadence
	Now       func() time.Time // time.Now when nil

	Origin    func() (identity.OriginID, bool)            // this country's own; false before it is a member. nil: never
	Caretaker func(target, author identity.OriginID) bool // may author give alerts about target's listings; nil: nobody may
	CountryOf func(identity.OriginID) string              // ISO 3166-1 alpha-2 of a member; nil: not known
}

// Desk is where the own listings are edited. One change at a time.
type Desk struct {
	o      Options
	mu     sync.Mutex
	drafts atomic.Pointer[draftCount]
}

// New makes a desk.
func New(o Options) (*Desk, error) {
	if o.Store == nil || o.Publisher == nil {
		return nil, errors.New("editorial: an option is missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Cadence == nil {
		o.Cadence = func() listing.Cadence { return listing.DefaultCadence }
	}
	if o.Origin == nil {
		o.Origin = func() (identity.OriginID, bool) { return identity.OriginID{}, false }
	}
	if o.Caretaker == nil {
		o.Caretaker = func(identity.OriginID, identity.OriginID) bool { return false }
	}
	if o.CountryOf == nil {
		o.CountryOf = func(identity.OriginID) string { return "" }
	}
	return &Desk{o: o}, nil
}

// foreign is the name space in which ids that are no UUIDs become record keys.
var foreign = uuid.MustParse("7d0b7c5e-5a0e-4c4b-9a53-2f7f3a1d6c11")

// Key is the record key of a listing's id: the id itself when it is a UUID.
func Key(id string) feed.Key {
	if u, err := uuid.Parse(id); err == nil && len(id) == 36 {
		return feed.Key(u)
	}
	return feed.Key(uuid.NewSHA1(foreign, []byte(id)))
}

func errNotFound(id string) error {
	return &control.Error{
		Class: control.Failed, Code: "not_found",
		Message: fmt.Sprintf("There is no own listing %s here.", id),
		Next:    "List what there is with: waymark listing list",
	}
}

// ready is a document with the body of its record, so that the public part of
// many is made only once.
type ready struct {
	store.Own
	body []byte
}

// prepare makes the body of a document's record.
func prepare(own store.Own) (ready, error) {
	doc, err := listing.ParseJSON(own.Document)
	if err != nil {
		return ready{}, fmt.Errorf("listing %s: %w", uuid.UUID(own.Key), err)
	}
	body, err := body(own.Key, doc)
	if err != nil {
		return ready{}, fmt.Errorf("listing %s: %w", uuid.UUID(own.Key), err)
	}
	return ready{own, body}, nil
}

// body is the public part of a document as a record holds it.
func body(key feed.Key, doc listing.Document) ([]byte, error) {
	public := doc.Public()
	if id, _ := public["id"].(string); id != uuid.UUID(key).String() && Key(id) == key {
		public["id"] = uuid.UUID(key).String()
		public["external_ids"] = append(externalIDs(public), map[string]any{"scheme": "source", "id": id})
	}
	return public.Encode()
}

func externalIDs(public listing.Document) []any {
	list, _ := public["external_ids"].([]any)
	return slices.Clone(list)
}

// publish puts documents into the feed, with removals, as one head, and
// remembers what was published.
func (d *Desk) publish(ctx context.Context, docs []ready, remove []feed.Key) error {
	publisher, err := d.o.Publisher()
	if err != nil {
		return err
	}
	_, err = publisher.Publish(ctx, func(yield func(feed.Edit) bool) {
		for _, doc := range docs {
			if !yield(feed.Edit{Key: doc.Key, Op: feed.Put, Type: catalog.TypeListing, Body: doc.body}) {
				return
			}
		}
		for _, key := range remove {
			if !yield(feed.Edit{Key: key, Op: feed.Delete}) {
				return
			}
		}
	})
	if err != nil {
		return explain(err)
	}
	published := make([]store.Own, len(docs))
	for i := range docs {
		docs[i].Published = docs[i].Fingerprint()
		published[i] = docs[i].Own
	}
	return d.o.Store.PutOwn(published...)
}

// explain says why publishing failed in words for an administrator.
func explain(err error) error {
	switch {
	case errors.Is(err, feed.ErrQuarantined):
		return &control.Error{Class: control.Degraded, Code: "quarantined", Message: "Nothing can be published: " + err.Error() + ".",
			Next: "Edits are kept as drafts. Connect the node to its federation: it fetches what it published last back from the others and then goes on."}
	case errors.Is(err, feed.ErrForked):
		return &control.Error{Class: control.Degraded, Code: "forked", Message: "Nothing can be published: " + err.Error() + ".",
			Next: "Edits are kept as drafts. Look for a second copy of this node and stop it, then begin anew with: waymark feed restart"}
	case errors.Is(err, feed.ErrNeedsApproval):
		return &control.Error{Class: control.Refused, Code: "needs_approval", Message: "So large a change needs the country's admin key as well: " + err.Error() + ".",
			Next: "Put the admin key back into the node's keys, start it again, and publish once more; or publish fewer listings at a time."}
	case errors.Is(err, feed.ErrNotMember):
		return &control.Error{Class: control.Refused, Code: "not_member", Message: "Nothing can be published: this country is not an active member of a federation yet.",
			Next: "Found a federation with waymark found, or join one with waymark join."}
	case errors.Is(err, feed.ErrNeedsApproval):
		return &control.Error{Class: control.Refused, Code: "needs_approval", Message: "Nothing was published: " + err.Error() + ".",
			Next: "Start the node with its admin key open (--passphrase-file), or publish fewer listings today. Edits are kept."}
	case errors.Is(err, feed.ErrQuota):
		return &control.Error{Class: control.Refused, Code: "quota", Message: "Nothing was published: this country's list would be larger than the federation allows: " + err.Error() + ".",
			Next: "Take listings back that are not needed, or ask the other countries for a higher limit. Edits are kept."}
	case errors.Is(err, store.ErrNoRoom):
		return &control.Error{Class: control.Degraded, Code: "disk_full", Message: "Nothing was written: " + err.Error() + ".",
			Next: "Free some space on the disk, then do it again. Reading goes on meanwhile."}
	}
	return err
}

// own loads documents by id; all or an error.
func (d *Desk) own(ids []string) ([]store.Own, error) {
	if len(ids) == 0 {
		return nil, &control.Error{Class: control.Usage, Code: "no_listing", Message: "No listing was named.", Next: "Name one or more ids."}
	}
	out := make([]store.Own, 0, len(ids))
	seen := make(map[feed.Key]bool, len(ids))
	for _, id := range ids {
		if seen[Key(id)] {
			continue // named twice
		}
		seen[Key(id)] = true
		doc, ok, err := d.o.Store.Own(Key(id))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errNotFound(id)
		}
		out = append(out, doc)
	}
	return out, nil
}

// change loads documents, changes each, publishes or keeps them, and answers
// with how they are then.
func (d *Desk) change(ctx context.Context, ids []string, f func(*store.Own, listing.Document) (publish bool, err error)) ([]control.Summary, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	docs, err := d.own(ids)
	if err != nil {
		return nil, err
	}
	var publish []ready
	var at []int // where they stand in docs
	for i := range docs {
		doc, err := listing.ParseJSON(docs[i].Document)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", ids[i], err)
		}
		now, err := f(&docs[i], doc)
		if err != nil {
			return nil, err
		}
		if docs[i].Document = doc.JSON(); !now {
			continue
		}
		r, err := prepare(docs[i])
		if err != nil {
			return nil, err
		}
		publish, at = append(publish, r), append(at, i)
	}
	if len(publish) > 0 {
		if err := d.publish(ctx, publish, nil); err != nil {
			return nil, err
		}
	}
	for k, i := range at { // as they are kept now
		docs[i] = publish[k].Own
	}
	return d.summaries(docs)
}

// Publish publishes documents as they are now. It wants what an editor must
// know about a listing: see [listing.Listing.CheckPublish].
func (d *Desk) Publish(ctx context.Context, ids []string) ([]control.Summary, error) {
	return d.change(ctx, ids, func(own *store.Own, doc listing.Document) (bool, error) {
		l, faults := doc.Listing()
		faults = append(faults, l.CheckPublishAt(d.o.Now(), d.o.Cadence())...)
		return true, refusal(own, faults)
	})
}

// Confirm says of published documents that they are right today.
func (d *Desk) Confirm(ctx context.Context, ids []string) ([]control.Summary, error) {
	today := d.o.Now().UTC().Format(time.DateOnly)
	return d.change(ctx, ids, func(own *store.Own, doc listing.Document) (bool, error) {
		if own.Published == (identity.Hash{}) {
			return false, &control.Error{
				Class: control.Refused, Code: "not_published",
				Message: fmt.Sprintf("Listing %s is a draft: there is nothing published to confirm.", uuid.UUID(own.Key)),
				Next:    "Nothing was changed. Publish it with waymark listing publish.",
			}
		}
		doc["assured_date"] = today
		own.Updated = feed.DayOf(d.o.Now())
		l, faults := doc.Listing()
		return true, refusal(own, append(faults, l.CheckServe()...))
	})
}

func refusal(own *store.Own, faults listing.Faults) error {
	if len(faults) == 0 {
		return nil
	}
	return &control.Error{
		Class: control.Refused, Code: "not_fit",
		Message: fmt.Sprintf("Listing %s is not fit to publish: %s", uuid.UUID(own.Key), faults),
		Next:    "Nothing was published. Mend this and publish again; waymark listing check shows it at any time.",
	}
}

// Unpublish takes documents out of the feed and keeps them as drafts.
func (d *Desk) Unpublish(ctx context.Context, ids []string) ([]control.Summary, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	docs, err := d.own(ids)
	if err != nil {
		return nil, err
	}
	keys := make([]feed.Key, len(docs))
	for i := range docs {
		keys[i] = docs[i].Key
		docs[i].Published = identity.Hash{}
	}
	if err := d.publish(ctx, nil, keys); err != nil {
		return nil, err
	}
	if err := d.o.Store.PutOwn(docs...); err != nil {
		return nil, err
	}
	return d.summaries(docs)
}

// Delete ends listings. One that was published stays as a stub under its id, so
// that posters and links say "closed" and what to try instead.
func (d *Desk) Delete(ctx context.Context, ids []string) ([]control.Summary, error) {
	today := d.o.Now().UTC().Format(time.DateOnly)
	out, err := d.change(ctx, ids, func(own *store.Own, doc listing.Document) (bool, error) {
		if own.Published == (identity.Hash{}) {
			return false, nil
		}
		kept := map[string]any{"id": doc["id"], "name": doc["name"], "status": "defunct", "defunct_since": today}
		for _, field := range []string{"successors", "text_language", "organization_id"} {
			if v, ok := doc[field]; ok {
				kept[field] = v
			}
		}
		if org, ok := doc["organization"].(map[string]any); ok {
			kept["organization"] = map[string]any{"id": org["id"], "name": org["name"], "description": org["description"]}
		}
		for field := range doc {
			if _, ok := kept[field]; !ok {
				delete(doc, field)
			}
		}
		for field, v := range kept {
			doc[field] = v
		}
		own.Updated = feed.DayOf(d.o.Now())
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].State == "draft" {
			if err := d.o.Store.DeleteOwn(Key(out[i].ID)); err != nil {
				return nil, err
			}
		}
		out[i].State = "deleted"
	}
	return out, nil
}

// Check tells of each document what keeps it from being published by its
// editor. No ids means all.
func (d *Desk) Check(_ context.Context, ids []string) ([]control.Checked, error) {
	out := []control.Checked{}
	err := d.each(ids, func(own store.Own) error {
		doc, err := listing.ParseJSON(own.Document)
		if err != nil {
			return err
		}
		l, faults := doc.Listing()
		faults = append(faults, l.CheckPublishAt(d.o.Now(), d.o.Cadence())...)
		out = append(out, control.Checked{ID: uuid.UUID(own.Key).String(), Name: l.Name, Faults: asFaults(faults)})
		return nil
	})
	return out, err
}

func asFaults(in listing.Faults) []control.Fault {
	out := make([]control.Fault, 0, len(in))
	for _, f := range in {
		out = append(out, control.Fault{Path: f.Path, Code: f.Code, Message: f.Message})
	}
	return out
}

// each calls f for the documents with these ids, or for all.
func (d *Desk) each(ids []string, f func(store.Own) error) error {
	if len(ids) == 0 {
		return d.o.Store.EachOwn(f)
	}
	docs, err := d.own(ids)
	if err != nil {
		return err
	}
	for _, own := range docs {
		if err := f(own); err != nil {
			return err
		}
	}
	return nil
}

// List is every own document in one line, by id.
func (d *Desk) List() ([]control.Summary, error) {
	var docs []store.Own
	if err := d.o.Store.EachOwn(func(own store.Own) error { docs = append(docs, own); return nil }); err != nil {
		return nil, err
	}
	return d.summaries(docs)
}

// Drafts is how many own documents are not published as they stand.
func (d *Desk) Drafts() (n int, err error) {
	version := d.o.Store.OwnVersion()
	if known := d.drafts.Load(); known != nil && known.version == version {
		return known.n, nil
	}
	err = d.o.Store.EachOwn(func(own store.Own) error {
		if own.State() != "published" {
			n++
		}
		return nil
	})
	if err == nil {
		d.drafts.Store(&draftCount{version, n})
	}
	return n, err
}

// draftCount is how many drafts there were at a version of the documents. To count
// them takes reading all of them, and who watches a node asks again and again.
type draftCount struct {
	version uint64
	n       int
}

func (d *Desk) summaries(docs []store.Own) ([]control.Summary, error) {
	out := make([]control.Summary, 0, len(docs))
	for _, own := range docs {
		doc, err := listing.ParseJSON(own.Document)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", uuid.UUID(own.Key), err)
		}
		l, _ := doc.Listing()
		s := control.Summary{
			ID: uuid.UUID(own.Key).String(), Country: d.o.Country, Name: l.Name, Organization: l.OrganizationName(), State: own.State(),
			Freshness: string(l.Freshness(d.o.Now(), d.o.Cadence())), AssuredDate: l.AssuredDate,
		}
		if _, _, raw, err := d.o.Store.Record(own.Key); err == nil {
			if r, err := feed.ParseRecord(raw); err == nil {
				s.Revision = r.Revision
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// Document is one own document whole, with its private part; false when the id
// is not an own one's.
func (d *Desk) Document(id string) ([]byte, bool, error) {
	own, ok, err := d.o.Store.Own(Key(id))
	return own.Document, ok, err
}
