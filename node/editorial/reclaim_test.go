package editorial_test

import (
	"context"
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/editorial"
)

// TestReclaim: the feed was fetched back from peers, and the desk's documents
// are older than it, or gone.
func TestReclaim(t *testing.T) {
	h := newHouse(t)
	docs := some(5)
	h.take(control.ImportOptions{Publish: true}, docs...)
	n, _ := h.head()
	if err := h.store.DeleteOwn(editorial.Key(id(docs[0]))); err != nil { // lost
		t.Fatal(err)
	}
	edit := func(i int, name string, published bool) {
		own, _, err := h.store.Own(editorial.Key(id(docs[i])))
		if err != nil {
			t.Fatal(err)
		}
		if name != "" {
			doc := h.document(id(docs[i]))
			doc["name"] = name
			own.Document = doc.JSON()
		}
		own.Published = identity.Hash{}
		if published {
			own.Published = own.Fingerprint()
		}
		if err := h.store.PutOwn(own); err != nil {
			t.Fatal(err)
		}
	}
	edit(1, "", false)             // published, and killed before that was noted
	edit(2, "an older name", true) // from before the last publish
	edit(3, "a new draft", false)
	reclaim := func() int {
		t.Helper()
		view, err := h.store.View(h.origin)
		if err != nil {
			t.Fatal(err)
		}
		defer view.Close()
		back, err := h.desk.Reclaim(view)
		if err != nil {
			t.Fatal(err)
		}
		return back
	}
	if back := reclaim(); back != 1 {
		t.Errorf("%d documents came back, want 1", back)
	}
	for i, want := range []string{"published", "published", "changed", "changed", "published"} {
		if got := h.state(id(docs[i])); got != want {
			t.Errorf("document %d is %s, want %s", i, got, want)
		}
	}
	if got := h.document(id(docs[2]))["name"]; got != "an older name" {
		t.Errorf("the editor's document was replaced: %v", got)
	}
	if back := reclaim(); back != 0 {
		t.Errorf("%d documents came back again", back)
	}
	if now, _ := h.head(); now != n {
		t.Errorf("head %d was signed: giving back is no publishing", now)
	}
	if _, err := h.desk.Unpublish(context.Background(), []string{id(docs[0])}); err != nil {
		t.Errorf("what came back cannot be taken back: %v", err)
	}
}
