package editorial

import (
	"context"
	"errors"
	"fmt"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/node/catalog"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
)

// Sheet is what this country has published about itself, or
// [listing.ErrNoSheet].
func (d *Desk) Sheet() (*listing.Sheet, error) {
	own, ok := d.o.Origin()
	if !ok {
		return nil, listing.ErrNoSheet // never a member: nothing is published
	}
	view, err := d.o.Store.View(own)
	if err != nil {
		return nil, fmt.Errorf("read the own country sheet: %w", err)
	}
	defer view.Close()
	_, raw, err := view.Record(feed.Key(listing.SheetKey(own)))
	if errors.Is(err, feed.ErrNoRecord) {
		return nil, listing.ErrNoSheet
	}
	if err != nil {
		return nil, fmt.Errorf("read the own country sheet: %w", err)
	}
	record, err := feed.ParseRecord(raw)
	if err != nil {
		return nil, fmt.Errorf("read the own country sheet: %w", err)
	}
	if record.Type != catalog.TypeSheet {
		return nil, listing.ErrNoSheet
	}
	return listing.ParseSheet(record.Body)
}

// PutSheet publishes what this country says about itself, in place of what it
// has said before. Nothing is published unless all of it is fit to be: see
// [listing.Sheet.CheckPublish].
func (d *Desk) PutSheet(ctx context.Context, doc listing.Document) (*listing.Sheet, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	own, err := d.origin()
	if err != nil {
		return nil, err
	}
	s, faults := doc.Sheet()
	if faults = append(faults, s.CheckPublishAt(d.o.Now(), d.o.Cadence())...); len(faults) > 0 {
		return nil, &control.Error{
			Class: control.Refused, Code: "not_fit", Message: "The country sheet is not fit to publish: " + faults.Error(),
			Next: "Nothing was published. Mend this and publish again.",
		}
	}
	body, err := s.Encode()
	if err != nil {
		return nil, err
	}
	return s, d.send(ctx, feed.Edit{Key: feed.Key(listing.SheetKey(own)), Op: feed.Put, Type: catalog.TypeSheet, Body: body})
}
