package catalog_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/store"
)

func name(k feed.Key) string { return uuid.UUID(k).String() }

// changes walks all pages from a place, and returns what each listing came to and the last place.
func (s *shelf) changes(after listing.Place, since time.Time, limit int) (map[string]bool, listing.Place) {
	s.t.Helper()
	live := map[string]bool{}
	for range 200 {
		list, at, more, err := s.catalog.Changes(context.Background(), after, since, limit)
		if err != nil || len(list) > limit {
			s.t.Fatal(len(list), err)
		}
		for _, c := range list {
			live[c.ID] = !c.Deleted
		}
		if after, err = listing.ParsePlace(at.String()); err != nil {
			s.t.Fatal(err)
		}
		if !more {
			return live, after
		}
	}
	s.t.Fatal("the pages do not end")
	return nil, nil
}

func TestChanges(t *testing.T) {
	s := newShelf(t)
	start := feedtest.Now.Add(-3 * time.Hour)
	ada, cid := s.f.Author("ada"), s.f.Author("cid")
	ada.At(start)
	cid.At(start)
	want := map[string]bool{}
	for i := range 10 {
		want[name(s.put(ada, i, nil))] = true
	}
	k := s.put(cid, 20, nil)
	want[name(k)] = true
	s.append(ada, false)
	s.append(cid, false)
	for _, limit := range []int{1, 3, 10, 11, 100} {
		if got, _ := s.changes(nil, time.Time{}, limit); !maps.Equal(got, want) {
			t.Errorf("from the beginning by %d: %d, want %d", limit, len(got), len(want))
		}
	}
	_, end := s.changes(nil, time.Time{}, 4)
	if got, _ := s.changes(end, time.Time{}, 4); len(got) != 0 {
		t.Errorf("nothing changed, and %d are told", len(got))
	}
	// On the way through the first list something goes that was told already.
	first, middle, _, err := s.catalog.Changes(context.Background(), nil, time.Time{}, 4)
	if err != nil {
		t.Fatal(err)
	}
	gone := feed.Key(uuid.MustParse(first[0].ID))
	ada.At(start.Add(time.Hour)).Delete(gone)
	k = s.put(ada, 30, nil)
	s.append(ada, false)
	rest, _ := s.changes(middle, time.Time{}, 4)
	if live, told := rest[first[0].ID]; !told || live {
		t.Error("a deletion between two pages was not told")
	}
	news := map[string]bool{name(gone): false, name(k): true}
	if got, _ := s.changes(end, time.Time{}, 4); !maps.Equal(got, news) {
		t.Errorf("from a place on %v, want %v", got, news)
	}
	if got, _ := s.changes(nil, start.Add(time.Minute), 4); !maps.Equal(got, news) {
		t.Errorf("since a time %v, want %v", got, news)
	}
	if got, _ := s.changes(nil, start.Add(2*time.Hour), 4); len(got) != 0 {
		t.Errorf("since after the last head %v", got)
	}
	delete(want, name(gone))
	want[name(k)] = true
	if got, _ := s.changes(nil, start.Add(-time.Hour), 4); !maps.Equal(got, want) {
		t.Errorf("since before the first head %d, want %d", len(got), len(want))
	}
	if got, _ := s.changes(listing.Place{"LT": {Epoch: 999, Seq: 1}}, time.Time{}, 4); !maps.Equal(got, want) {
		t.Errorf("after the feed started over %d, want %d", len(got), len(want))
	}
}

// TestChangesTooLongAgo: deletions that are no longer listed are not passed over in
// silence.
func TestChangesTooLongAgo(t *testing.T) {
	s := newShelf(t)
	ada := s.f.Author("ada")
	gone := s.put(ada, 1, nil)
	s.put(ada, 2, nil)
	s.append(ada, false)
	_, before := s.changes(nil, time.Time{}, 10)
	ada.Delete(gone)
	env, items := ada.Head(func(h *feed.Head) { h.Floor = h.Seq })
	view, err := s.store.View(ada.Origin())
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	v, err := s.f.Rules().Verify(view, [][]byte{env}, items)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.catalog.Append(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Maintain(context.Background(), s.now, store.MaintainOptions{}); err != nil {
		t.Fatal(err)
	}
	_, _, _, err = s.catalog.Changes(context.Background(), before, time.Time{}, 10)
	if !errors.Is(err, listing.ErrTooLongAgo) {
		t.Errorf("%v, want that it is too long ago", err)
	}
	if got, _ := s.changes(nil, time.Time{}, 10); len(got) != 1 {
		t.Errorf("from the beginning %v", got)
	}
}

// TestBefore: what was published before can be told as long as it is kept, and where
// it is not, that is said.
func TestBefore(t *testing.T) {
	for _, staged := range []bool{false, true} {
		s := newShelf(t)
		ada := s.f.Author("ada")
		at := feedtest.Now.Add(-3 * time.Hour)
		named := func(n string) func(listing.Document) { return func(d listing.Document) { d["name"] = n } }
		step := func(change func()) {
			at = at.Add(time.Minute)
			ada.At(at)
			change()
			s.append(ada, staged)
		}
		before := func(k feed.Key) (names string) {
			t.Helper()
			list, err := s.catalog.Before(context.Background(), name(k))
			if errors.Is(err, listing.ErrTooLongAgo) {
				return "too long ago"
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range list {
				if l.ID != name(k) {
					t.Errorf("it is called %s", l.ID)
				}
				names += l.Name + " "
			}
			return names
		}
		var k, erased feed.Key
		step(func() { k = s.put(ada, 1, named("first")); erased = s.put(ada, 2, nil) })
		if got := before(k); got != "" {
			t.Errorf("before the first there was %q", got)
		}
		step(func() { s.put(ada, 1, named("second")); ada.Erase(erased) })
		step(func() { ada.Delete(k) })
		if got := before(k); got != "first second " {
			t.Errorf("there was %q", got)
		}
		if got := before(erased); got != "too long ago" {
			t.Errorf("of what was erased there is %q", got)
		}
		step(func() { s.put(ada, 1, named("third")) })
		if got := before(k); got != "first second " {
			t.Errorf("there was %q", got)
		}
		if err := s.store.Maintain(context.Background(), time.Now().Add(store.UndoLife+48*time.Hour), store.MaintainOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := before(k); got != "too long ago" {
			t.Errorf("of what is kept no more there is %q", got)
		}
		if _, err := s.catalog.Before(context.Background(), "nothing"); !errors.Is(err, listing.ErrNotFound) {
			t.Error(err)
		}
	}
}
