package catalog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/node/catalog"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

// sheet puts a country's sheet into the feed of its author.
func (s *shelf) sheet(author string, doc listing.Document) feed.Edit {
	s.t.Helper()
	read, faults := doc.Sheet()
	body, err := read.Encode()
	if err != nil || len(faults) > 0 {
		s.t.Fatal(err, faults)
	}
	return feed.Edit{Key: feed.Key(listing.SheetKey(s.f.Member(author).Origin)), Op: feed.Put, Type: catalog.TypeSheet, Body: body}
}

func (s *shelf) wantNoSheet(when, author string) {
	s.t.Helper()
	if p, err := s.catalog.Sheet(s.f.Member(author).Origin); !errors.Is(err, listing.ErrNoSheet) {
		s.t.Errorf("%s: %+v, %v", when, p, err)
	}
}

// TestSheet: a sheet is shown as soon as it is here, by its country alone, and
// not when it is hidden, stands where it does not belong, or is none.
func TestSheet(t *testing.T) {
	s := newShelf(t)
	ben, cid := s.publisher("ben"), s.publisher("cid")
	s.wantNoSheet("nothing is here", "ben")
	first := fiction.Sheet("FI", s.now)
	s.publish(ben, s.sheet("ben", first))
	p, err := s.catalog.Sheet(s.f.Member("ben").Origin)
	if err != nil || p.Country != "FI" || len(p.Sheet.Crisis) != 3 || p.Standing.State != "synced" || !p.AsOf.Equal(s.now.Truncate(time.Minute)) {
		t.Fatalf("%+v, %v", p, err)
	}
	second := fiction.Sheet("FI", s.now)
	second["notice_contact"].(map[string]any)["value"] = "other@example.org"
	s.publish(ben, s.sheet("ben", second))
	if p, err = s.catalog.Sheet(s.f.Member("ben").Origin); err != nil || p.Sheet.Notice.Value != "other@example.org" {
		t.Errorf("renewed: %+v, %v", p.Sheet, err)
	}
	if got := s.ids(); len(got) != 0 {
		t.Errorf("search finds the sheet: %v", got)
	}
	key := feed.Key(listing.SheetKey(s.f.Member("ben").Origin))
	if _, err := s.catalog.Get(context.Background(), uuid.UUID(key).String()); !errors.Is(err, listing.ErrNotFound) {
		t.Errorf("as a listing: %v", err)
	}

	// cid takes ben's key, and puts its own sheet under another key.
	foreign, astray := s.sheet("ben", fiction.Sheet("PL", s.now)), s.sheet("cid", fiction.Sheet("PL", s.now))
	astray.Key[0] ^= 1
	s.publish(cid, foreign, astray)
	s.wantNoSheet("under other keys", "cid")
	if p, err = s.catalog.Sheet(s.f.Member("ben").Origin); err != nil || p.Country != "FI" || p.Sheet.Notice.Value != "other@example.org" {
		t.Errorf("another country took its key: %+v, %v", p, err)
	}
	odd := s.sheet("cid", first)
	odd.Type = catalog.TypeOverlay
	s.publish(cid, odd)
	s.wantNoSheet("of another type", "cid")
	odd.Type, odd.Body = catalog.TypeSheet, []byte("no sheet at all")
	s.publish(cid, odd)
	s.wantNoSheet("that cannot be read", "cid")
	s.publish(cid, s.sheet("cid", fiction.Sheet("PL", s.now)))
	if p, err = s.catalog.Sheet(s.f.Member("cid").Origin); err != nil || p.Country != "PL" {
		t.Errorf("put right: %v", err)
	}

	s.hides[key] = listing.Hiding{Reason: "danger", Until: s.now.AddDate(0, 0, 14)}
	s.wantNoSheet("taken down", "ben")
	s.now = feedtest.Now.AddDate(0, 0, 15)
	if _, err := s.catalog.Sheet(s.f.Member("ben").Origin); err != nil {
		t.Errorf("after the takedown: %v", err)
	}
	s.hidden = true
	s.wantNoSheet("the registry does not know ben", "ben")
	s.hidden, s.now = false, feedtest.Now
	delete(s.hides, key)
	s.fresh()
	if err := s.catalog.Rebuild(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.catalog.Sheet(s.f.Member("ben").Origin); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	ben = s.publisher("ben")
	s.publish(ben, feed.Edit{Key: key, Op: feed.Delete})
	s.wantNoSheet("deleted", "ben")
}
