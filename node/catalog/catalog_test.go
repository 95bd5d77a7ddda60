package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/catalog"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/store"
)

var countries = map[string]string{"ada": "LT", "ben": "FI", "cid": "PL"}

// shelf is a catalog over a store in memory, and the registry beside it.
type shelf struct {
	t       testing.TB
	f       *feedtest.Federation
	store   *store.Store
	index   *search.Index
	catalog *catalog.Catalog
	hidden  bool // the registry does not know ben

	now        time.Time
	dir        string // of the saved index; "" = none
	guards     string // folder of the publishers' guards
	hides      map[feed.Key]listing.Hiding
	caretakers map[identity.OriginID]bool // may speak for everybody
	suspended  map[identity.OriginID]bool
}

func newShelf(t testing.TB) *shelf {
	t.Helper()
	s := &shelf{t: t, guards: t.TempDir(), f: feedtest.NewFederation("ada", "ben", "cid"), now: feedtest.Now, hides: map[feed.Key]listing.Hiding{},
		caretakers: map[identity.OriginID]bool{}, suspended: map[identity.OriginID]bool{}}
	var err error
	s.store, err = store.Open(store.Options{InMemory: true, Alias: alias})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	s.fresh()
	return s
}

// fresh puts a new, empty index under the catalog, as after a restart.
func (s *shelf) fresh() {
	s.t.Helper()
	now := func() time.Time { return s.now }
	var err error
	if s.index, err = search.New(search.Options{Dir: s.dir, Now: now}); err != nil {
		s.t.Fatal(err)
	}
	s.catalog, err = catalog.New(catalog.Options{Store: s.store, Index: s.index, Now: now, Country: func(o identity.OriginID) string {
		for name, code := range countries {
			if s.f.Member(name).Origin == o && !(s.hidden && name == "ben") {
				return code
			}
		}
		return ""
	}, Hidden: func(_ identity.OriginID, k feed.Key) (listing.Hiding, bool) {
		h, ok := s.hides[k]
		return h, ok && (h.Until.IsZero() || s.now.Before(h.Until))
	}, Caretaker: func(_, author identity.OriginID) bool { return s.caretakers[author] }, Standing: func(o identity.OriginID) listing.Standing {
		if s.suspended[o] {
			return listing.Standing{State: "suspended"}
		}
		return listing.Standing{State: "synced"}
	}})
	if err != nil {
		s.t.Fatal(err)
	}
}

func alias(o identity.OriginID, k feed.Key) feed.Key {
	return feed.Key(uuid.NewSHA1(uuid.UUID(o), k[:]))
}

func (s *shelf) append(a *feedtest.Author, staged bool) {
	s.t.Helper()
	env, items := a.Head(nil)
	var delta feed.Delta = items
	if staged {
		st, err := s.store.Stage(a.Origin())
		if err != nil {
			s.t.Fatal(err)
		}
		if err := st.Put(items...); err != nil {
			s.t.Fatal(err)
		}
		delta = st
	}
	view, err := s.store.View(a.Origin())
	if err != nil {
		s.t.Fatal(err)
	}
	defer view.Close()
	v, err := s.f.Rules().Verify(view, [][]byte{env}, delta)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.catalog.Append(context.Background(), v); err != nil {
		s.t.Fatal(err)
	}
}

// ids are the listings that search finds, by country and id.
func (s *shelf) ids() []string {
	s.t.Helper()
	var out []string
	for page := 1; ; page++ {
		a, err := s.catalog.Search(context.Background(), search.Query{Professional: true, PerPage: 100, Page: page, Order: search.ByID, Now: feedtest.Now})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, h := range a.Hits {
			out = append(out, h.Country+" "+h.ID)
		}
		if len(out) >= a.Total {
			slices.Sort(out)
			return out
		}
	}
}

func body(t testing.TB, i int, change func(listing.Document)) (feed.Key, string) {
	t.Helper()
	d := fiction.Listing(7, "LT", i, feedtest.Now)
	d["status"] = "active" // some are closed
	if change != nil {
		change(d)
	}
	b, err := d.Public().Encode()
	if err != nil {
		t.Fatal(err)
	}
	return feed.Key(uuid.MustParse(d["id"].(string))), string(b)
}

func (s *shelf) put(a *feedtest.Author, i int, change func(listing.Document)) feed.Key {
	s.t.Helper()
	k, b := body(s.t, i, change)
	a.Put(k, b)
	return k
}

// TestSearchKeepsInStep: whichever way a step comes, search finds what is live
// afterwards, and an index that is filled anew finds the same.
func TestSearchKeepsInStep(t *testing.T) {
	for _, staged := range []bool{false, true} {
		t.Run(fmt.Sprintf("staged %t", staged), func(t *testing.T) {
			defer catalog.BuildBatch(3)() // several parts of a step
			s := newShelf(t)
			a := s.f.Author("ada")
			keys := map[int]feed.Key{}
			for i := range 40 {
				keys[i] = s.put(a, i, nil)
			}
			want := func(n int) {
				t.Helper()
				got := s.ids()
				if len(got) != n {
					t.Errorf("search finds %d, want %d", len(got), n)
				}
				s.fresh()
				if err := s.catalog.Rebuild(context.Background(), nil); err != nil {
					t.Fatal(err)
				}
				if again := s.ids(); !slices.Equal(got, again) {
					t.Errorf("filled anew it finds %d, before %d", len(again), len(got))
				}
				if counts, all := s.catalog.Counts(context.Background()); all != n || counts["LT"] != n {
					t.Errorf("Counts = %v, %d", counts, all)
				}
			}
			s.append(a, staged)
			want(40)
			a.Delete(keys[0]).Erase(keys[1])
			s.put(a, 2, func(d listing.Document) { d["status"] = "inactive" })
			s.put(a, 3, func(d listing.Document) { d["visibility"] = "to nobody that we know" })
			s.put(a, 4, func(d listing.Document) { d["name"] = "Zebrawords" })
			s.put(a, 41, nil)
			a.Put(feedtest.RecordKey(1), "no listing at all")
			s.append(a, staged)
			want(37)
			answer, err := s.catalog.Search(context.Background(), search.Query{Text: "zebrawords", Language: "en", Professional: true, Now: feedtest.Now})
			if err != nil || answer.Total != 1 || answer.Hits[0].ID != uuid.UUID(keys[4]).String() {
				t.Errorf("the changed name finds %d, %v", answer.Total, err)
			}
			for i, found := range map[int]bool{0: false, 1: false, 2: true, 3: false, 4: true} {
				if _, err := s.catalog.Get(context.Background(), uuid.UUID(keys[i]).String()); (err == nil) != found || err != nil && !errors.Is(err, listing.ErrNotFound) {
					t.Errorf("Get of listing %d: %v, want found %t", i, err, found)
				}
			}
		})
	}
}

// TestOneIDTwoCountries: the second country's listing is found and shown under
// its alias, the first one's stays where it is.
func TestOneIDTwoCountries(t *testing.T) {
	s := newShelf(t)
	a, b := s.f.Author("ada"), s.f.Author("ben")
	k := s.put(a, 1, nil)
	s.append(a, false)
	s.put(b, 1, func(d listing.Document) { d["name"] = "The second" })
	s.append(b, false)
	other := uuid.UUID(alias(b.Origin(), k)).String()
	if want := []string{"FI " + other, "LT " + uuid.UUID(k).String()}; !slices.Equal(s.ids(), want) {
		t.Errorf("search finds %v, want %v", s.ids(), want)
	}
	p, err := s.catalog.Get(context.Background(), other)
	if err != nil || p.Country != "FI" || p.Listing.ID != other || p.Document()["id"] != other || p.Listing.Name != "The second" {
		t.Errorf("under its alias: %+v, %v", p, err)
	}
	if p, err := s.catalog.Get(context.Background(), uuid.UUID(k).String()); err != nil || p.Country != "LT" {
		t.Errorf("under the bare id: %+v, %v", p, err)
	}
	a.Delete(k)
	s.append(a, false)
	if want := []string{"FI " + other}; !slices.Equal(s.ids(), want) {
		t.Errorf("after the first is gone search finds %v", s.ids())
	}
}

func TestUnknownCountryIsHidden(t *testing.T) {
	s := newShelf(t)
	s.hidden = true
	b := s.f.Author("ben")
	k := s.put(b, 1, nil)
	s.append(b, false)
	if _, err := s.catalog.Get(context.Background(), uuid.UUID(k).String()); !errors.Is(err, listing.ErrNotFound) || len(s.ids()) != 0 {
		t.Errorf("a feed that the registry does not know is shown: %v", err)
	}
	s.hidden = false
	if err := s.catalog.Rebuild(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if len(s.ids()) != 1 {
		t.Error("once it is known it is not found")
	}
}

func TestGetRefuses(t *testing.T) {
	s := newShelf(t)
	for _, id := range []string{"", "x", "00000000-0000-4000-8000-000000000000", "{00000000-0000-4000-8000-000000000000}", "urn:uuid:00000000-0000-4000-8000-000000000000"} {
		if _, err := s.catalog.Get(context.Background(), id); !errors.Is(err, listing.ErrNotFound) {
			t.Errorf("Get(%q): %v", id, err)
		}
	}
}

func TestAsOf(t *testing.T) {
	s := newShelf(t)
	a := s.f.Author("ada")
	if !s.catalog.AsOf(a.Origin()).IsZero() {
		t.Error("a date for a feed that is not held")
	}
	s.put(a, 1, nil)
	s.append(a, false)
	if got := s.catalog.AsOf(a.Origin()); !got.Equal(feedtest.Now) {
		t.Errorf("AsOf = %s", got)
	}
}

// TestShownIsWhatIsStored: as soon as a step is applied everybody reads what it
// says, however busy the readers are who read what was there before.
func TestShownIsWhatIsStored(t *testing.T) {
	s := newShelf(t)
	a := s.f.Author("ada")
	k := s.put(a, 1, nil)
	id := uuid.UUID(k).String()
	s.append(a, false)
	ctx, stop := context.WithCancel(context.Background())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop()
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.catalog.Get(ctx, id); err != nil && !errors.Is(err, listing.ErrNotFound) {
					t.Error(err)
					return
				}
			}
		})
	}
	for round := range 40 {
		name := fmt.Sprintf("Round %d", round)
		s.put(a, 1, func(d listing.Document) { d["name"] = name })
		s.append(a, round%3 == 0)
		if p, err := s.catalog.Get(ctx, id); err != nil || p.Listing.Name != name {
			t.Fatalf("after %s was published: %v, %v", name, p.Listing, err)
		}
		s.put(a, 2+round, nil) // another listing changes: this one stays as it is
		s.append(a, false)
		if p, err := s.catalog.Get(ctx, id); err != nil || p.Listing.Name != name {
			t.Fatalf("after another was published: %v, %v", p.Listing, err)
		}
		if round%2 == 0 {
			a.Delete(k)
		} else {
			a.Erase(k)
		}
		s.append(a, round%5 == 0)
		if _, err := s.catalog.Get(ctx, id); !errors.Is(err, listing.ErrNotFound) {
			t.Fatalf("after it was deleted: %v", err)
		}
	}
	stop()
	readers.Wait()
	if s.catalog.Keeps(k) {
		t.Error("what was erased is still kept in memory")
	}
}
