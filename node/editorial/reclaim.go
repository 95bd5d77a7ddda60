package editorial

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/catalog"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/store"
)

// Reclaim makes the desk fit the own feed again after a part of this node's data
// was lost and the feed was fetched back: what is published without a document
// gets its public part as the document, and a document that is not what is
// published is an edit. It returns how many documents came back.
func (d *Desk) Reclaim(view feed.StoreView) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var put []store.Own
	size, back := 0, 0
	var failed error
	flush := func() bool {
		failed = d.o.Store.PutOwn(put...)
		put, size = nil, 0
		return failed == nil
	}
	err := view.Since(0, true, func(c feed.Change, raw []byte) bool {
		var own *store.Own
		var lost bool
		if own, lost, failed = d.reclaim(c.Key, raw); failed != nil {
			failed = fmt.Errorf("listing %s: %w", uuid.UUID(c.Key), failed)
			return false
		}
		if own == nil {
			return true
		}
		if lost {
			back++
		}
		put, size = append(put, *own), size+len(own.Document)
		return size < reclaimBatch || flush()
	})
	if err == nil {
		err = failed
	}
	if err == nil && !flush() {
		err = failed
	}
	if err != nil {
		return back, fmt.Errorf("give published listings back to the editors: %w", explain(err))
	}
	return back, nil
}

// Published is how many records the own feed should have: one for each document
// that was published and not taken back, the overlays, and the country sheet.
func (d *Desk) Published() (n uint64, err error) {
	if n, err = d.o.Store.PublishedOwn(); err != nil {
		return n, err
	}
	switch _, err := d.Sheet(); {
	case err == nil:
		n++
	case !errors.Is(err, listing.ErrNoSheet):
		return n, err
	}
	return n, d.eachOverlay(func(feed.Key, listing.Overlay) error { n++; return nil })
}

// reclaimBatch is how many bytes of documents are held in memory at once.
const reclaimBatch = 1 << 20

// reclaim is the document that fits a published record, and whether there was
// none; nil when the one that is there fits.
func (d *Desk) reclaim(key feed.Key, raw []byte) (*store.Own, bool, error) {
	record, err := feed.ParseRecord(raw)
	if err != nil || record.Type != catalog.TypeListing {
		return nil, false, err
	}
	own, there, err := d.o.Store.Own(key)
	if err != nil {
		return nil, false, err
	}
	if !there {
		doc, err := listing.DecodeDocument(record.Body)
		if err != nil {
			return nil, false, err
		}
		own = store.Own{Key: key, Document: doc.JSON(), Updated: feed.DayOf(d.o.Now())}
		own.Published = own.Fingerprint()
		return &own, true, nil
	}
	ready, err := prepare(own)
	if err != nil {
		return nil, false, err
	}
	before := own.Published
	switch same := bytes.Equal(ready.body, record.Body); {
	case same:
		own.Published = own.Fingerprint()
	case own.State() != "changed":
		own.Published = identity.Sum(0x40, record.Body) // of no document that is here
	}
	if own.Published == before {
		return nil, false, nil
	}
	return &own, false, nil
}
