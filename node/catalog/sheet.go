package catalog

import (
	"errors"
	"fmt"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/listing"
)

// Sheet is what the country of an origin says about itself, or
// [listing.ErrNoSheet] where nothing is held, or it is hidden or cannot be read.
// Any other error is the store's.
func (c *Catalog) Sheet(o identity.OriginID) (none listing.PublishedSheet, err error) {
	country := c.o.Country(o)
	if country == "" {
		return none, listing.ErrNoSheet
	}
	key := feed.Key(listing.SheetKey(o))
	if _, hidden := c.o.Hidden(o, key); hidden {
		return none, listing.ErrNoSheet
	}
	view, err := c.o.Store.View(o)
	if err != nil {
		return none, fmt.Errorf("read the sheet of %s: %w", country, err)
	}
	change, raw, err := view.Record(key)
	view.Close()
	if errors.Is(err, feed.ErrNoRecord) {
		c.sheets.Delete(o) // an erased record is not kept here either
		return none, listing.ErrNoSheet
	}
	if err != nil {
		return none, fmt.Errorf("read the sheet of %s: %w", country, err)
	}
	s := c.parseSheet(o, change.Hash, raw)
	if s == nil {
		return none, listing.ErrNoSheet
	}
	return listing.PublishedSheet{Country: country, Sheet: s, AsOf: c.AsOf(o), Standing: c.o.Standing(o)}, nil
}

// knownSheet is a sheet as it was read from a record of this hash. Every page
// asks for it, and it seldom changes.
type knownSheet struct {
	hash  identity.Hash
	sheet *listing.Sheet // nil: of another version, or broken: kept, not shown
}

// parseSheet reads a record as a sheet; nil when it is none.
func (c *Catalog) parseSheet(o identity.OriginID, hash identity.Hash, raw []byte) *listing.Sheet {
	if k, ok := c.sheets.Load(o); ok && k.(knownSheet).hash == hash {
		return k.(knownSheet).sheet
	}
	known := knownSheet{hash: hash}
	if record := parse(raw); record != nil && record.Type == TypeSheet {
		known.sheet, _ = listing.ParseSheet(record.Body)
	}
	c.sheets.Store(o, known)
	return known.sheet
}
