package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/catalog"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

// publisher is a member's publisher that writes through the catalog.
func (s *shelf) publisher(name string) *feed.Publisher {
	s.t.Helper()
	m := s.f.Member(name)
	p, err := feed.NewPublisher(feed.PublisherOptions{
		Federation: s.f.ID, Origin: m.Origin, Store: s.store, Appender: s.catalog, Keys: func() feed.Keys { return s.f },
		Registry: func() uint64 { return 1 }, PublishKey: m.Publish, AdminKey: m.Admin,
		GuardPath: filepath.Join(s.guards, name), Now: func() time.Time { return s.now },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(p.Wait)
	return p
}

func (s *shelf) publish(p *feed.Publisher, edits ...feed.Edit) {
	s.t.Helper()
	if _, err := p.Publish(context.Background(), slices.Values(edits)); err != nil {
		s.t.Fatal(err)
	}
	p.Wait() // its guard is written before another publisher of the same member begins
}

func (s *shelf) get(k feed.Key) listing.Published {
	s.t.Helper()
	p, err := s.catalog.Get(context.Background(), uuid.UUID(k).String())
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// says is an overlay of a member about a listing of ada.
func (s *shelf) says(kind listing.OverlayKind, language string, about feed.Key) listing.Overlay {
	return listing.Overlay{
		Target: uuid.UUID(about).String(), TargetOrigin: s.f.Member("ada").Origin.String(), Kind: kind, Language: language,
		SourceRevision: s.get(about).Document().Revision(), By: "human", Text: "words in " + language,
		AsOf: s.now.Format(time.DateOnly), Expires: s.now.AddDate(0, 0, 10).Format(time.DateOnly),
	}
}

// edit puts an overlay into the feed of its author.
func (s *shelf) edit(author string, o listing.Overlay) feed.Edit {
	s.t.Helper()
	b, err := o.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	return feed.Edit{Key: o.Key(s.f.Member(author).Origin), Op: feed.Put, Type: catalog.TypeOverlay, Body: b}
}

func remarks(list []listing.Remark) (out []string) {
	for _, r := range list {
		out = append(out, r.Country+" "+string(r.Kind)+" "+r.Language)
	}
	return out
}

func (s *shelf) wantRemarks(when string, k feed.Key, notes, alerts, statuses []string) {
	s.t.Helper()
	for _, again := range []bool{false, true} {
		if again { // the same after a restart
			s.fresh()
			if err := s.catalog.Rebuild(context.Background(), nil); err != nil {
				s.t.Fatal(err)
			}
		}
		p := s.get(k)
		for _, x := range []struct {
			what      string
			got, want []string
		}{{"notes", remarks(p.Notes), notes}, {"alerts", remarks(p.Alerts), alerts}, {"statuses", remarks(p.Statuses), statuses}} {
			if !slices.Equal(x.got, x.want) {
				s.t.Errorf("%s (after a restart %t): %s %q, want %q", when, again, x.what, x.got, x.want)
			}
		}
	}
}

// TestOverlaysStandBesideListings: every member may write notes, only caretakers
// alerts and statuses; what has ended, is taken back or stands under a wrong key
// is not shown, and the listing itself is never changed.
func TestOverlaysStandBesideListings(t *testing.T) {
	s := newShelf(t)
	ada, ben, cid := s.f.Author("ada"), s.publisher("ben"), s.publisher("cid")
	k := s.put(ada, 1, nil)
	other := s.put(ada, 2, nil)
	s.append(ada, false)
	signed := string(s.get(k).Document().JSON())

	status := s.says(listing.OverlayStatus, "", k)
	status.Text, status.Status = "", listing.TemporarilyClosed
	old := s.says(listing.OverlayNote, "lv", k)
	old.SourceRevision = "of another state of the listing, "[:32]
	future := s.says(listing.OverlayNote, "et", k)
	future.AsOf, future.Expires = s.now.AddDate(0, 0, 3).Format(time.DateOnly), s.now.AddDate(0, 0, 9).Format(time.DateOnly)
	moved := s.edit("ben", s.says(listing.OverlayNote, "sv", k))
	moved.Key[0] ^= 1
	self := s.says(listing.OverlayNote, "fi", k)
	self.TargetOrigin = s.f.Member("ben").Origin.String()
	s.publish(ben,
		s.edit("ben", s.says(listing.OverlayNote, "fi", k)), s.edit("ben", old), s.edit("ben", future), s.edit("ben", self), moved,
		s.edit("ben", s.says(listing.OverlayAlert, "fi", k)), s.edit("ben", status),
		s.edit("ben", s.says(listing.OverlayTranslation, "fi", k)), s.edit("ben", s.says("order", "fi", k)),
		feed.Edit{Key: feedtest.RecordKey(7), Op: feed.Put, Type: catalog.TypeOverlay, Body: []byte("no overlay")},
	)
	s.publish(cid, s.edit("cid", s.says(listing.OverlayNote, "en", k)), s.edit("cid", s.says(listing.OverlayAlert, "en", k)))
	notes := []string{"FI note fi", "FI note lv", "PL note en"}
	s.wantRemarks("nobody is a caretaker", k, notes, nil, nil)
	s.wantRemarks("of another listing", other, nil, nil, nil)
	if p := s.get(k); p.StatusValue() != listing.Active || !p.Notes[1].Outdated || p.Notes[0].Outdated || p.Notes[0].Text != "words in fi" {
		t.Errorf("%+v", p.Notes)
	}

	s.caretakers[s.f.Member("ben").Origin] = true
	s.wantRemarks("ben is a caretaker", k, notes, []string{"FI alert fi"}, []string{"FI status "})
	p := s.get(k)
	if p.StatusValue() != listing.TemporarilyClosed || p.Listing.StatusValue() != listing.Active {
		t.Errorf("status %s, its own %s", p.StatusValue(), p.Listing.StatusValue())
	}
	if got := string(p.Document().JSON()); got != signed {
		t.Errorf("the document is not as it was signed: %s", got)
	}
	if len(s.ids()) != 2 {
		t.Errorf("search finds %v", s.ids())
	}

	fi := s.edit("ben", s.says(listing.OverlayAlert, "fi", k)).Key
	s.hides[fi] = listing.Hiding{By: []string{"LT", "PL"}, Reason: "danger"}
	s.wantRemarks("the alert is taken down", k, notes, nil, []string{"FI status "})
	delete(s.hides, fi)

	s.suspended[s.f.Member("ben").Origin] = true
	s.wantRemarks("ben is suspended", k, notes[2:], nil, nil)
	delete(s.suspended, s.f.Member("ben").Origin)
	s.hidden = true
	s.wantRemarks("the registry does not know ben", k, notes[2:], nil, nil)
	s.hidden = false

	s.now = s.now.AddDate(0, 0, 11)
	s.wantRemarks("eleven days later", k, nil, nil, nil)
	s.now = feedtest.Now

	ben, cid = s.publisher("ben"), s.publisher("cid") // with the catalog of now
	s.publish(ben, feed.Edit{Key: s.edit("ben", status).Key, Op: feed.Delete}, s.edit("ben", s.says(listing.OverlayNote, "fi", other)))
	s.publish(cid, feed.Edit{Key: s.edit("cid", s.says(listing.OverlayNote, "en", k)).Key, Op: feed.Erase})
	s.wantRemarks("taken back", k, notes[:2], []string{"FI alert fi"}, nil)
	s.wantRemarks("of the other listing", other, []string{"FI note fi"}, nil, nil)
	ada.Delete(k)
	s.append(ada, false)
	if _, err := s.catalog.Get(context.Background(), uuid.UUID(k).String()); !errors.Is(err, listing.ErrNotFound) {
		t.Errorf("a deleted listing with overlays: %v", err)
	}
}

// TestNobodyMakesAListingSlow: one member has a few overlays for a listing, not
// as many as there are tags.
func TestNobodyMakesAListingSlow(t *testing.T) {
	s := newShelf(t)
	ada, ben := s.f.Author("ada"), s.publisher("ben")
	k := s.put(ada, 1, nil)
	s.append(ada, false)
	var edits []feed.Edit
	for i := range 300 {
		edits = append(edits, s.edit("ben", s.says(listing.OverlayNote, "en-x-"+string(rune('a'+i/26))+string(rune('a'+i%26)), k)))
	}
	s.publish(ben, edits...)
	if n := len(s.get(k).Notes); n == 0 || n > 30 {
		t.Errorf("%d notes of one member", n)
	}
}

// heard is a sign of life now.
func (s *shelf) heard(a *feedtest.Author) {
	s.t.Helper()
	if err := s.store.PutBeat(a.At(s.now).Beat(uint64(s.now.Unix()))); err != nil {
		s.t.Fatal(err)
	}
	s.now = s.now.Add(3 * time.Second) // nobody looks more often
}

// TestASilentCountryIsNotOpenNow: what search says of hours is what the page of a
// listing says, also when its country has not been heard of for three days.
func TestASilentCountryIsNotOpenNow(t *testing.T) {
	s := newShelf(t)
	ada, cid := s.f.Author("ada"), s.f.Author("cid")
	for i, a := range []*feedtest.Author{ada, cid} {
		s.put(a, i, func(d listing.Document) {
			d["assured_date"] = s.now.Format(time.DateOnly)
			delete(d, "alert")
			delete(d, "verification")
			d["channels"] = []any{map[string]any{"id": "c", "type": "phone", "value": "+990 000 012345", "hours": map[string]any{"zone": "Europe/Vilnius", "always_open": true}}}
		})
		s.append(a, false)
	}
	counts := func() (open, unsaid int) {
		t.Helper()
		answer, err := s.catalog.Search(context.Background(), search.Query{Professional: true, Now: s.now})
		if err != nil || answer.Total != 2 {
			t.Fatalf("%d listings, %v", answer.Total, err)
		}
		for _, c := range answer.Facets[search.OpenNow] {
			switch c.Value {
			case "true":
				open = c.Count
			case "not_stated":
				unsaid = c.Count
			}
		}
		shown := 0
		for _, h := range answer.Hits {
			if p, err := s.catalog.Get(context.Background(), h.ID); err != nil || (s.now.Sub(p.AsOf) <= listing.Silence) != (h.Open == "true") {
				t.Errorf("%s is open: %s; its country was last heard of %s ago, %v", h.Country, h.Open, s.now.Sub(p.AsOf), err)
			}
			if h.Open == "true" {
				shown++
			}
		}
		if shown != open || s.open() != open {
			t.Errorf("%d are counted as open, %d are shown so, %d are found so", open, shown, s.open())
		}
		return open, unsaid
	}
	for _, step := range []struct {
		when         string
		after        time.Duration
		heard        *feedtest.Author
		open, unsaid int
	}{
		{"at first", 0, nil, 2, 0},
		{"both silent for 72 hours", listing.Silence, nil, 2, 0},
		{"longer", time.Minute, nil, 0, 2},
		{"one is heard of", 0, cid, 1, 1},
		{"the other too", 0, ada, 2, 0},
	} {
		if s.now = s.now.Add(step.after); step.heard != nil {
			s.heard(step.heard)
		}
		if open, unsaid := counts(); open != step.open || unsaid != step.unsaid {
			t.Errorf("%s: %d open, %d not stated; want %d, %d", step.when, open, unsaid, step.open, step.unsaid)
		}
	}
}

// open is how many listings search takes for open now.
func (s *shelf) open() int {
	s.t.Helper()
	a, err := s.catalog.Search(context.Background(), search.Query{Professional: true, OpenNow: true, Now: s.now})
	if err != nil {
		s.t.Fatal(err)
	}
	return a.Total
}

// TestNoOpenNowAgainstACaretaker: while an alert or a status holds, search does
// not take the listing for open; afterwards it does again.
func TestNoOpenNowAgainstACaretaker(t *testing.T) {
	for _, kind := range []listing.OverlayKind{listing.OverlayAlert, listing.OverlayStatus} {
		t.Run(string(kind), func(t *testing.T) {
			s := newShelf(t)
			ada, ben := s.f.Author("ada"), s.publisher("ben")
			k := s.put(ada, 1, func(d listing.Document) {
				d["assured_date"] = s.now.Format(time.DateOnly)
				delete(d, "alert")
				delete(d, "verification")
				d["channels"] = []any{map[string]any{"id": "c", "type": "phone", "value": "+990 000 012345", "hours": map[string]any{"zone": "Europe/Vilnius", "always_open": true}}}
			})
			s.append(ada, false)
			o := s.says(kind, "fi", k)
			o.Status = listing.TemporarilyClosed
			want := func(when string, n int) {
				t.Helper()
				if got := s.open(); got != n {
					t.Errorf("%s: %d open now, want %d", when, got, n)
				}
			}
			want("at first", 1)
			s.publish(ben, s.edit("ben", o))
			want("ben is nobody's caretaker", 1)
			s.caretakers[s.f.Member("ben").Origin] = true
			if err := s.catalog.Reconsider(context.Background(), ada.Origin()); err != nil {
				t.Fatal(err)
			}
			want("ben became a caretaker", 0)
			key := feed.Key(o.Key(s.f.Member("ben").Origin))
			for _, hidden := range []bool{true, false} {
				if delete(s.hides, key); hidden {
					s.hides[key] = listing.Hiding{Reason: "false"}
				}
				if err := s.catalog.Reconsider(context.Background(), s.f.Member("ben").Origin, key); err != nil {
					t.Fatal(err)
				}
				want(fmt.Sprintf("hidden %t", hidden), map[bool]int{true: 1}[hidden])
			}
			o.Text = "other words"
			s.publish(ben, s.edit("ben", o))
			want("in other words", 0)
			s.now = s.now.AddDate(0, 0, 11)
			if err := s.catalog.Refresh(context.Background()); err != nil {
				t.Fatal(err)
			}
			want("it has ended, but ada was not heard of since", 0)
			s.heard(ada)
			want("it has ended", 1)
			o.AsOf, o.Expires = s.now.Format(time.DateOnly), s.now.AddDate(0, 0, 5).Format(time.DateOnly)
			s.publish(ben, s.edit("ben", o))
			want("again", 0)
			s.publish(ben, feed.Edit{Key: o.Key(s.f.Member("ben").Origin), Op: feed.Delete})
			want("taken back", 1)
		})
	}
}

// TestHiddenIsStoredAndNotShown: the stored set is as it was signed, the shown
// set is without what is hidden, in search, by id, after a restart and after a
// change of the listing.
func TestHiddenIsStoredAndNotShown(t *testing.T) {
	s := newShelf(t)
	a := s.f.Author("ada")
	keys := []feed.Key{s.put(a, 1, nil), s.put(a, 2, nil), s.put(a, 3, nil)}
	s.append(a, false)
	root := func() identity.Hash {
		view, err := s.store.View(a.Origin())
		if err != nil {
			t.Fatal(err)
		}
		defer view.Close()
		leaves, err := view.Leaves()
		if err != nil {
			t.Fatal(err)
		}
		return leaves.Root()
	}
	before := root()
	day := feedtest.Now.AddDate(0, 0, -2)
	s.hides[keys[0]] = listing.Hiding{By: []string{"FI", "PL"}, Since: day, Until: feedtest.Now.AddDate(0, 0, 12), Reason: "danger"}
	s.hides[keys[1]] = listing.Hiding{Local: true, By: []string{"LT"}, Since: day, Reason: "unlawful"}
	want := func(when string, found int, groups ...int) {
		t.Helper()
		if got := len(s.ids()); got != found {
			t.Errorf("%s: search finds %d, want %d", when, got, found)
		}
		if _, all := s.catalog.Counts(context.Background()); all != found {
			t.Errorf("%s: Counts says %d", when, all)
		}
		var counts []int
		for _, g := range s.catalog.Hidden(a.Origin()) {
			counts = append(counts, g.Count)
		}
		if !slices.Equal(counts, groups) {
			t.Errorf("%s: hidden in groups of %v, want %v", when, counts, groups)
		}
	}
	// By id at once, whether search knows or not.
	var hidden *listing.HiddenError
	if _, err := s.catalog.Get(context.Background(), uuid.UUID(keys[0]).String()); !errors.As(err, &hidden) || hidden.Country != "LT" || hidden.Hiding.Reason != "danger" || !errors.Is(err, listing.ErrNotFound) {
		t.Errorf("a hidden listing by id: %v", err)
	}
	want("before search knows", 3)
	if err := s.catalog.Reconsider(context.Background(), a.Origin(), keys[:2]...); err != nil {
		t.Fatal(err)
	}
	want("hidden", 1, 1, 1)
	if root() != before {
		t.Error("hiding changed what is stored")
	}
	s.hides[keys[2]] = s.hides[keys[0]]
	s.put(a, 3, func(d listing.Document) { d["name"] = "Changed while hidden" })
	s.append(a, false)
	want("changed while hidden", 0, 2, 1)
	if root() == before {
		t.Error("what changed while hidden is not stored")
	}
	if g := s.catalog.Hidden(a.Origin())[0]; g.Hiding.Reason != "danger" || !g.Hiding.Since.Equal(day) || !g.Hiding.Until.IsZero() {
		t.Errorf("%+v", g)
	}
	if len(s.catalog.Hidden(s.f.Member("ben").Origin)) != 0 {
		t.Error("another country has hidden listings")
	}
	s.fresh()
	if err := s.catalog.Rebuild(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	want("after a restart", 0, 2, 1)
	s.now = feedtest.Now.AddDate(0, 0, 13)
	want("ended, and search does not know", 0, 1)
	if err := s.catalog.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	want("ended", 2, 1)
	delete(s.hides, keys[1])
	if err := s.catalog.Reconsider(context.Background(), a.Origin(), keys[1]); err != nil {
		t.Fatal(err)
	}
	want("shown again", 3)
}

// TestRebuildLeavesNothingOver: what the store does not have goes from search
// too, whatever the reason for which it stayed there.
func TestRebuildLeavesNothingOver(t *testing.T) {
	s := newShelf(t)
	a, b := s.f.Author("ada"), s.f.Author("ben")
	s.put(a, 1, nil)
	s.append(a, false)
	s.put(b, 2, nil)
	s.append(b, false)
	if err := s.index.Apply(search.Batch{Put: []search.Doc{{ID: "00000000-0000-4000-8000-00000000000f", Country: "LT", MinAge: -1, MaxAge: -1}}}); err != nil {
		t.Fatal(err)
	}
	if got := len(s.ids()); got != 3 {
		t.Fatalf("search finds %d", got)
	}
	s.hidden = true // ben is no member any more
	if err := s.catalog.Rebuild(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if got := s.ids(); len(got) != 1 || got[0][:2] != "LT" {
		t.Errorf("search finds %v", got)
	}
}
