package editorial

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/store"
)

// Erase ends listings as if they had never been: the document with its drafts
// and its private part goes, and every node that hears of it drops the copies
// that it keeps for undoing. Unlike a deleted listing nothing stays to say that
// it has closed. A listing that was deleted or taken back before may be erased
// too. Bundles and backups that were made before keep it: that is for their
// holders, and the answer of the command line says so.
func (d *Desk) Erase(ctx context.Context, ids []string) ([]control.Summary, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(ids) == 0 {
		return nil, &control.Error{Class: control.Usage, Code: "no_listing", Message: "No listing was named.", Next: "Name one or more ids."}
	}
	var out []control.Summary
	var edits []feed.Edit
	seen := map[feed.Key]bool{}
	for _, id := range ids {
		key := Key(id)
		if seen[key] {
			continue // named twice
		}
		seen[key] = true
		s, inFeed, err := d.erasing(key, id)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
		if inFeed {
			edits = append(edits, feed.Edit{Key: key, Op: feed.Erase})
		}
	}
	// The feed first: if it refuses, nothing is gone and the command can be given
	// again. Of what was never published nobody is told.
	if len(edits) > 0 {
		if err := d.send(ctx, edits...); err != nil {
			return nil, err
		}
	}
	for key := range seen {
		if err := d.o.Store.EraseOwn(key); err != nil {
			return nil, fmt.Errorf("erase the document of listing %s: %w", uuid.UUID(key), err)
		}
	}
	return out, nil
}

// erasing is what is known of a listing that is to be erased, and whether the
// feed has or had it.
func (d *Desk) erasing(key feed.Key, id string) (control.Summary, bool, error) {
	s := control.Summary{ID: uuid.UUID(key).String(), Country: d.o.Country, State: "erased"}
	own, here, err := d.o.Store.Own(key)
	if err != nil {
		return s, false, err
	}
	if here {
		if doc, err := listing.ParseJSON(own.Document); err == nil {
			l, _ := doc.Listing()
			s.Name, s.Organization, s.AssuredDate = l.Name, l.OrganizationName(), l.AssuredDate
		}
	}
	inFeed, err := d.inFeed(key, own)
	if err != nil {
		return s, false, err
	}
	if !here && !inFeed {
		return s, false, errNotFound(id)
	}
	return s, inFeed, nil
}

// inFeed reports whether the own feed has a record of this key, or still lists
// that it had one.
func (d *Desk) inFeed(key feed.Key, own store.Own) (bool, error) {
	if own.Published != (identity.Hash{}) {
		return true, nil
	}
	origin, ok := d.o.Origin()
	if !ok {
		return false, nil
	}
	view, err := d.o.Store.View(origin)
	if err != nil {
		return false, err
	}
	defer view.Close()
	change, _, err := view.Record(key)
	if errors.Is(err, feed.ErrNoRecord) {
		return change.Op != 0, nil // a deletion that is still listed
	}
	return err == nil, err
}
