package editorial_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/editorial"
	"github.com/2ps-project/waymark/node/listing"
)

// op is what the own feed says last about an id; 0 when it says nothing.
func (h *house) op(id string) feed.Op {
	h.t.Helper()
	view, err := h.store.View(h.origin)
	if err != nil {
		h.t.Fatal(err)
	}
	defer view.Close()
	c, _, err := view.Record(editorial.Key(id))
	if err != nil && !errors.Is(err, feed.ErrNoRecord) {
		h.t.Fatal(err)
	}
	return c.Op
}

// TestErase: whatever became of a listing before, after an erase there is no
// document, nothing is found, and the feed tells every node to drop its copies;
// of what was never published nobody is told.
func TestErase(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		name   string
		before func(h *house, id string) error
		op     feed.Op // what the feed says then
	}{
		{"published", func(h *house, id string) error { return nil }, feed.Erase},
		{"published and edited since", func(h *house, id string) error {
			h.take(control.ImportOptions{}, listing.Document{"id": id, "name": "Edited since"})
			return nil
		}, feed.Erase},
		{"closed, a stub", func(h *house, id string) error { _, err := h.desk.Delete(ctx, []string{id}); return err }, feed.Erase},
		{"taken back", func(h *house, id string) error { _, err := h.desk.Unpublish(ctx, []string{id}); return err }, feed.Erase},
		{"taken back, and its draft deleted", func(h *house, id string) error {
			_, err := h.desk.Unpublish(ctx, []string{id})
			_, err2 := h.desk.Delete(ctx, []string{id})
			return errors.Join(err, err2)
		}, feed.Erase},
		{"lost by the editors", func(h *house, id string) error { return h.store.DeleteOwn(editorial.Key(id)) }, feed.Erase},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHouse(t)
			docs := some(2)
			h.take(control.ImportOptions{Publish: true}, docs...)
			gone, kept := id(docs[0]), id(docs[1])
			if err := tc.before(h, gone); err != nil {
				t.Fatal(err)
			}
			out, err := h.desk.Erase(ctx, []string{gone, gone})
			if err != nil || len(out) != 1 || out[0].State != "erased" || out[0].ID != gone {
				t.Fatalf("Erase = %+v, %v", out, err)
			}
			if got := h.op(gone); got != tc.op {
				t.Errorf("the feed says %d, want %d", got, tc.op)
			}
			if _, there, err := h.desk.Document(gone); there || err != nil {
				t.Errorf("the document is still there: %v", err)
			}
			if _, err := h.catalog.Get(ctx, gone); !errors.Is(err, listing.ErrNotFound) || h.found() != 1 {
				t.Errorf("it is still shown: %v, %d found", err, h.found())
			}
			if h.op(kept) != feed.Put || h.state(kept) != "published" {
				t.Error("the other listing is not as it was")
			}
			var e *control.Error
			if _, err := h.desk.Erase(ctx, []string{kept, "00000000-0000-4000-8000-000000000000"}); !errors.As(err, &e) || e.Code != "not_found" || h.op(kept) != feed.Put {
				t.Errorf("erasing one that is not there: %v", err)
			}
		})
	}
}

func TestEraseDraft(t *testing.T) {
	ctx := context.Background()
	h := newHouse(t)
	docs := some(2)
	h.take(control.ImportOptions{}, docs...)
	h.member = false // nobody need be told
	if _, err := h.desk.Erase(ctx, []string{id(docs[0])}); err != nil {
		t.Fatal(err)
	}
	if h.state(id(docs[0])) != "" || h.op(id(docs[0])) != 0 {
		t.Error("the draft is still there, or the feed tells of it")
	}
	h.member = true
	if _, err := h.desk.Erase(ctx, []string{id(docs[1])}); err != nil || h.op(id(docs[1])) != 0 {
		t.Errorf("a draft that was never published: %v", err)
	}
	var e *control.Error
	if _, err := h.desk.Erase(ctx, nil); !errors.As(err, &e) || e.Class != control.Usage {
		t.Errorf("erasing nothing: %v", err)
	}
}

// An erase that cannot be published erases nothing: it can be given again.
func TestEraseIsAllOrNothing(t *testing.T) {
	h := newHouse(t)
	docs := some(1)
	h.take(control.ImportOptions{Publish: true}, docs...)
	gone := id(docs[0])
	cut := errors.New("not now")
	desk, err := editorial.New(editorial.Options{Country: "LT", Store: h.store, Publisher: func() (editorial.Publisher, error) { return nil, cut },
		Origin: func() (identity.OriginID, bool) { return h.origin, true }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Erase(context.Background(), []string{gone}); !errors.Is(err, cut) {
		t.Errorf("%v", err)
	}
	if h.state(gone) != "published" || h.op(gone) != feed.Put {
		t.Error("something is gone")
	}
	if _, err := h.desk.Erase(context.Background(), []string{uuid.MustParse(gone).String()}); err != nil {
		t.Error(err)
	}
}
