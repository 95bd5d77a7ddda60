package editorial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/store"
)

// Export writes own documents, one a line: whole as they are kept, or as they are
// published now.
func (d *Desk) Export(ctx context.Context, w io.Writer, o control.ExportOptions) error {
	write := func(doc []byte) error {
		_, err := w.Write(append(slices.Clip(doc), '\n'))
		return errors.Join(err, ctx.Err())
	}
	if !o.Published {
		return d.each(o.IDs, func(own store.Own) error { return write(own.Document) })
	}
	origin, ok := d.o.Origin()
	if !ok {
		return nil // nothing has been published yet
	}
	view, err := d.o.Store.View(origin)
	if err != nil {
		return fmt.Errorf("export what is published: %w", err)
	}
	defer view.Close()
	return d.each(o.IDs, func(own store.Own) error {
		if own.Published == (identity.Hash{}) {
			return nil
		}
		_, raw, err := view.Record(own.Key)
		if errors.Is(err, feed.ErrNoRecord) {
			return nil // taken back since the list was made
		}
		var doc listing.Document
		if err == nil {
			doc, err = recorded(raw)
		}
		if err != nil {
			return fmt.Errorf("export listing %s as published: %w", uuid.UUID(own.Key), err)
		}
		return write(doc.JSON())
	})
}

// recorded is the public document that a record holds.
func recorded(raw []byte) (listing.Document, error) {
	r, err := feed.ParseRecord(raw)
	if err != nil {
		return nil, err
	}
	return listing.DecodeDocument(r.Body)
}
