package catalog_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/node/listing"
)

// TestCompanionsAreFoundTogetherOrNotAtAll: a listing whose companion is taken down or
// hidden is not found either, whichever way that comes about and ends, and it is
// counted as hidden; its own address shows it all the time.
func TestCompanionsAreFoundTogetherOrNotAtAll(t *testing.T) {
	s := newShelf(t)
	s.dir = t.TempDir()
	s.fresh()
	ctx := context.Background()
	ada, ben := s.f.Author("ada"), s.f.Author("ben")
	partner := s.put(ada, 2, nil)
	pair := func(d listing.Document) { d["companions"] = []any{uuid.UUID(partner).String(), "no id"} }
	own := s.put(ada, 1, pair)
	s.put(ada, 3, nil)
	s.append(ada, true)
	abroad := s.put(ben, 4, pair)
	s.append(ben, false)
	want := func(when string, found, hidden int) {
		t.Helper()
		if got := len(s.ids()); got != found {
			t.Errorf("%s: search finds %d, want %d", when, got, found)
		}
		if got := s.catalog.CountHidden(nil); got != hidden {
			t.Errorf("%s: %d are counted as hidden, want %d", when, got, hidden)
		}
		for _, k := range []feed.Key{own, abroad} {
			if _, err := s.catalog.Get(ctx, uuid.UUID(k).String()); err != nil {
				t.Errorf("%s: its own address: %v", when, err)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	again := func() { // a start with what was saved
		t.Helper()
		s.fresh()
		if ok, err := s.catalog.ResumeSaved(ctx); err != nil || !ok {
			t.Fatalf("the saved index is not taken up: %t, %v", ok, err)
		}
	}
	hide := func(h listing.Hiding) {
		t.Helper()
		s.hides[partner] = h
		must(s.catalog.Reconsider(ctx, ada.Origin(), partner))
	}
	want("at first", 4, 0)
	hide(listing.Hiding{Reason: "danger", Until: feedtest.Now.AddDate(0, 0, 3)})
	want("the partner is taken down", 1, 3)
	must(s.catalog.Rebuild(ctx, nil))
	want("the index is made again", 1, 3)
	s.put(ada, 1, func(d listing.Document) { pair(d); d["name"] = "Another name" })
	s.append(ada, false)
	want("it is published again", 1, 3)
	must(s.catalog.Save())
	again()
	want("after a start", 1, 3)
	s.now = s.now.AddDate(0, 0, 4)
	must(s.catalog.Refresh(ctx))
	want("the takedown has ended", 4, 0)
	must(s.catalog.Save())
	s.hides[partner] = listing.Hiding{Local: true, Reason: "unlawful"}
	again()
	want("hidden while the node stood still", 1, 3)
	must(s.catalog.Save())
	delete(s.hides, partner)
	again()
	must(s.catalog.Refresh(ctx)) // as a node does at once
	want("shown again while the node stood still", 4, 0)
	hide(listing.Hiding{Local: true, Reason: "unlawful", Since: time.Time{}})
	want("hidden here", 1, 3)
	ada.Delete(partner)
	s.append(ada, true)
	want("the hidden partner is deleted", 3, 0)
	s.put(ada, 2, nil)
	s.append(ada, false)
	want("it comes back, and is hidden still", 1, 3)
	s.put(ada, 1, nil)
	s.append(ada, false)
	want("it names no companion any more", 2, 2)
}
