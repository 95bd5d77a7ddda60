package catalog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

// everything is the whole of what search knows, in print.
func (s *shelf) everything() string {
	s.t.Helper()
	var b strings.Builder
	for page := 1; ; page++ {
		a, err := s.catalog.Search(context.Background(), search.Query{Professional: true, PerPage: 100, Page: page, Order: search.ByID, Now: feedtest.Now})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, h := range a.Hits {
			h.Why = nil
			fmt.Fprintln(&b, h)
		}
		if page*100 >= a.Total {
			fmt.Fprintln(&b, a.Facets)
			return b.String()
		}
	}
}

// restart is what the next process does, after a crash at any point since the
// last save. It tells whether the saved index served.
func (s *shelf) restart() bool {
	s.t.Helper()
	s.fresh()
	ok, err := s.catalog.ResumeSaved(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	s.fresh()
	if err := s.catalog.Resume(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	return ok
}

func (s *shelf) save() {
	s.t.Helper()
	if err := s.catalog.Save(); err != nil {
		s.t.Fatal(err)
	}
}

// TestResume: whatever happened to the feeds since the index was saved, after a
// start it is what an index is that was filled anew; and only where it cannot be
// otherwise it was filled anew.
func TestResume(t *testing.T) {
	type scene struct {
		s    *shelf
		a, b *feedtest.Author
		keys []feed.Key
	}
	for _, tt := range []struct {
		name   string
		change func(x *scene)
		served bool
	}{
		{"nothing", func(*scene) {}, true},
		{"a listing more, one changed, one deleted, one erased", func(x *scene) {
			x.s.put(x.a, 40, nil)
			x.s.put(x.a, 3, func(d listing.Document) { d["name"] = "Another name" })
			x.a.Delete(x.keys[1])
			x.a.Erase(x.keys[2])
			x.s.append(x.a, false)
			x.s.put(x.a, 41, nil)
			x.s.append(x.a, false)
		}, true},
		{"a large step", func(x *scene) {
			for i := range 15 {
				x.s.put(x.a, 50+i, nil)
			}
			x.a.Delete(x.keys[4])
			x.s.append(x.a, true)
		}, true},
		{"the first step of another country", func(x *scene) {
			x.s.put(x.s.f.Author("cid"), 90, nil)
			c := x.s.f.Author("cid")
			x.s.put(c, 91, nil)
			x.s.append(c, true)
		}, true},
		{"a listing is hidden", func(x *scene) { x.s.hides[x.keys[5]] = listing.Hiding{} }, true},
		{"a country is no member any more", func(x *scene) { x.s.hidden = true }, false},
		{"a caretaker is named", func(x *scene) { x.s.caretakers[x.b.Origin()] = true }, false},
		{"a member is suspended", func(x *scene) { x.s.suspended[x.b.Origin()] = true }, false},
		{"a new epoch", func(x *scene) {
			x.a.NewEpoch()
			x.a.Delete(x.keys[6])
			x.s.put(x.a, 60, nil)
			x.s.append(x.a, true)
		}, true},
		{"a part of it is damaged", func(x *scene) {
			names, err := filepath.Glob(filepath.Join(x.s.dir, "*.segment"))
			if err != nil || len(names) == 0 {
				x.s.t.Fatal(names, err)
			}
			if err := os.Truncate(names[0], 5000); err != nil {
				x.s.t.Fatal(err)
			}
		}, true},
		{"the list of its parts is gone", func(x *scene) {
			if err := os.Remove(filepath.Join(x.s.dir, "set")); err != nil {
				x.s.t.Fatal(err)
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShelf(t)
			s.dir = t.TempDir()
			s.fresh()
			x := &scene{s: s, a: s.f.Author("ada"), b: s.f.Author("ben")}
			for i := range 30 {
				x.keys = append(x.keys, s.put(x.a, i, nil))
				s.put(x.b, i, nil) // the same ids: known under others here
			}
			s.append(x.a, false)
			s.append(x.b, true)
			s.save()
			tt.change(x)
			if served := s.restart(); served != tt.served {
				t.Errorf("the saved index served: %v, want %v", served, tt.served)
			}
			if s.catalog.Lost() { // a damaged part: the node rebuilds while it answers
				if tt.name != "a part of it is damaged" {
					t.Error("the index is not whole")
				}
				if err := s.catalog.Rebuild(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			got := s.everything()
			s.save()
			s.restart()
			again := s.everything()
			s.dir = ""
			s.fresh()
			if err := s.catalog.Rebuild(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if want := s.everything(); got != want || again != want || len(want) < 500 {
				t.Errorf("after a start:\n%safter another:\n%sfilled anew:\n%s", got, again, want)
			}
		})
	}
}

// An index saved beside overlays remembers who said what about whom.
func TestResumeRemembersOverlays(t *testing.T) {
	s := newShelf(t)
	s.dir = t.TempDir()
	s.fresh()
	a := s.f.Author("ada")
	k := s.put(a, 1, nil)
	s.append(a, false)
	ben := s.publisher("ben")
	s.publish(ben, s.edit("ben", s.says(listing.OverlayNote, "fi", k)))
	s.save()
	if !s.restart() {
		t.Error("the saved index did not serve")
	}
	if got := remarks(s.get(k).Notes); len(got) != 1 || got[0] != "FI note fi" {
		t.Errorf("after a start the notes are %q", got)
	}
}

func TestRebuildTellsHowFarItIs(t *testing.T) {
	s := newShelf(t)
	a := s.f.Author("ada")
	for i := range 30 {
		s.put(a, i, nil)
	}
	s.append(a, false)
	var said []string
	if err := s.catalog.Rebuild(t.Context(), func(done, total int) { said = append(said, fmt.Sprint(done, "/", total)) }); err != nil {
		t.Fatal(err)
	}
	if strings.Join(said, " ") != "0/30 30/30" {
		t.Errorf("said %v", said)
	}
}
