package editorial_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

// neighbour is the feed of another country, as it comes in.
type neighbour struct {
	*feedtest.Author
	h *house
}

// neighbour lets ben's feed come in.
func (h *house) neighbour() neighbour { return neighbour{h.f.Author("ben"), h} }

// publish takes in ben's listing number i, changed, and returns its id.
func (n neighbour) publish(i int, change func(listing.Document)) string {
	n.h.t.Helper()
	d := fiction.Listing(7, "FI", i, feedtest.Now)
	if change != nil {
		change(d)
	}
	body, err := d.Public().Encode()
	if err != nil {
		n.h.t.Fatal(err)
	}
	n.Put(feed.Key(uuid.MustParse(id(d))), string(body))
	n.come()
	return id(d)
}

func (n neighbour) come() {
	n.h.t.Helper()
	env, items := n.Head(nil)
	view, err := n.h.store.View(n.Origin())
	if err != nil {
		n.h.t.Fatal(err)
	}
	defer view.Close()
	v, err := n.h.f.Rules().Verify(view, [][]byte{env}, items)
	if err != nil {
		n.h.t.Fatal(err)
	}
	if err := n.h.catalog.Append(context.Background(), v); err != nil {
		n.h.t.Fatal(err)
	}
}

func (h *house) shown(id string) listing.Published {
	h.t.Helper()
	p, err := h.catalog.Get(context.Background(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *house) overlayStates() map[string]string {
	h.t.Helper()
	list, err := h.desk.Overlays(context.Background(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range list {
		out[string(r.Kind)+" "+r.Language] = r.State
	}
	return out
}

// A note is published with what its editor left out, stands beside the listing,
// is renewed in its place, grows old and is taken back.
func TestOverlay(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	fi := h.neighbour()
	about := fi.publish(1, nil)
	r, err := h.desk.Overlay(ctx, listing.Overlay{Target: about, Kind: listing.OverlayNote, Works: "partly", Language: "lt", Text: "Veikia tik angliškai."})
	if err != nil {
		t.Fatal(err)
	}
	if r.State != "holds" || r.Country != "FI" || r.Name == "" || r.By != "human" || r.AsOf != feedtest.Now.Format(time.DateOnly) ||
		r.Expires != feedtest.Now.AddDate(0, 0, 180).Format(time.DateOnly) || r.TargetOrigin != fi.Origin().String() {
		t.Errorf("%+v", r)
	}
	if notes := h.shown(about).Notes; len(notes) != 1 || notes[0].Country != "LT" || notes[0].Outdated || notes[0].Text != "Veikia tik angliškai." {
		t.Fatalf("beside the listing: %+v", notes)
	}
	again, err := h.desk.Overlay(ctx, listing.Overlay{Target: about, Kind: listing.OverlayNote, Works: "yes", Language: "lt", Text: "Veikia."})
	if err != nil || again.ID != r.ID {
		t.Errorf("the same kind and language: %+v, %v", again, err)
	}
	if notes := h.shown(about).Notes; len(notes) != 1 || notes[0].Text != "Veikia." {
		t.Errorf("renewed: %+v", notes)
	}
	if _, count := h.head(); count != 1 {
		t.Errorf("%d records in the feed", count)
	}

	fi.publish(1, func(d listing.Document) { d["assured_date"] = "2026-11-22" })
	if s := h.overlayStates()["note lt"]; s != "holds" {
		t.Errorf("after a check of the listing: %s", s)
	}
	fi.publish(1, func(d listing.Document) { d["description"] = "Now we do something else." })
	if s := h.overlayStates()["note lt"]; s != "outdated" || !h.shown(about).Notes[0].Outdated {
		t.Errorf("after a change of the listing: %s", s)
	}
	h.now = feedtest.Now.AddDate(0, 0, 181)
	if s := h.overlayStates()["note lt"]; s != "ended" || len(h.shown(about).Notes) != 0 {
		t.Errorf("after its time: %s", s)
	}
	h.now = feedtest.Now
	fi.Delete(feed.Key(uuid.MustParse(about)))
	fi.come()
	if s := h.overlayStates()["note lt"]; s != "orphaned" {
		t.Errorf("after the listing: %s", s)
	}
	if list, err := h.desk.Overlays(ctx, []string{about}); err != nil || len(list) != 1 {
		t.Errorf("about the listing that is gone: %+v, %v", list, err)
	}
	if list, err := h.desk.Overlays(ctx, []string{"00000000-0000-4000-8000-000000000000"}); err != nil || len(list) != 0 {
		t.Errorf("about no listing: %+v, %v", list, err)
	}
	var e *control.Error
	if _, err := h.desk.RemoveOverlays(ctx, []string{r.ID, about}); !errors.As(err, &e) || e.Code != "not_found" || len(h.overlayStates()) != 1 {
		t.Errorf("taking back one that is not there: %v", err)
	}
	if gone, err := h.desk.RemoveOverlays(ctx, []string{r.ID}); err != nil || len(gone) != 1 || gone[0].State != "removed" || len(h.overlayStates()) != 0 {
		t.Errorf("taken back: %+v, %v", gone, err)
	}
}

func TestOverlayRefuses(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	about := h.neighbour().publish(1, nil)
	own := some(1)[0]
	h.take(control.ImportOptions{Publish: true}, own)
	note, err := h.desk.Overlay(ctx, listing.Overlay{Target: about, Kind: listing.OverlayNote, Works: "yes"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name      string
		o         listing.Overlay
		member    bool
		caretaker bool
		code      string
	}{
		{"an alert by who is no caretaker", listing.Overlay{Target: about, Kind: listing.OverlayAlert, Language: "en", Text: "Closed."}, true, false, "not_caretaker"},
		{"a status by who is no caretaker", listing.Overlay{Target: about, Kind: listing.OverlayStatus, Status: listing.Inactive}, true, false, "not_caretaker"},
		{"the same by a caretaker", listing.Overlay{Target: about, Kind: listing.OverlayStatus, Status: listing.Inactive}, true, true, ""},
		{"about an own listing", listing.Overlay{Target: id(own), Kind: listing.OverlayNote, Works: "yes"}, true, false, "own_listing"},
		{"about an overlay", listing.Overlay{Target: note.ID, Kind: listing.OverlayNote, Works: "yes"}, true, false, "no_listing"},
		{"about what is not here", listing.Overlay{Target: "00000000-0000-4000-8000-000000000000", Kind: listing.OverlayNote, Works: "yes"}, true, false, "not_found"},
		{"about nothing", listing.Overlay{Kind: listing.OverlayNote, Works: "yes"}, true, false, "not_found"},
		{"that says nothing", listing.Overlay{Target: about, Kind: listing.OverlayNote}, true, false, "not_fit"},
		{"by who is no member", listing.Overlay{Target: about, Kind: listing.OverlayNote, Works: "yes"}, false, false, "not_member"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h.member, h.caretaker = tc.member, tc.caretaker
			n, _ := h.head()
			_, err := h.desk.Overlay(ctx, tc.o)
			var e *control.Error
			if errors.As(err, &e) != (tc.code != "") || e != nil && e.Code != tc.code {
				t.Fatalf("%v, want %q", err, tc.code)
			}
			if e != nil && (!strings.HasSuffix(e.Message, ".") || e.Next == "") {
				t.Errorf("%q, next %q", e.Message, e.Next)
			}
			if after, _ := h.head(); (after != n) != (err == nil) {
				t.Errorf("head %d became %d", n, after)
			}
		})
	}
	h.member, h.caretaker = true, true
	p := h.shown(about)
	if p.StatusValue() != listing.Inactive || len(p.Statuses) != 1 {
		t.Errorf("the caretaker's status: %+v", p.Statuses)
	}
}

// Reclaiming the own feed leaves overlays and the country sheet alone: they are no
// documents. The desk knows of all of them, or each start would look at everything.
func TestReclaimPassesOverlays(t *testing.T) {
	h := newHouse(t)
	if _, err := h.desk.PutSheet(context.Background(), fiction.Sheet("LT", feedtest.Now)); err != nil {
		t.Fatal(err)
	}
	about := h.neighbour().publish(1, nil)
	if _, err := h.desk.Overlay(context.Background(), listing.Overlay{Target: about, Kind: listing.OverlayNote, Works: "no"}); err != nil {
		t.Fatal(err)
	}
	view, err := h.store.View(h.origin)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	if back, err := h.desk.Reclaim(view); err != nil || back != 0 {
		t.Errorf("%d came back, %v", back, err)
	}
	if n, err := h.desk.Published(); err != nil || n != view.Head().Count {
		t.Errorf("the desk knows of %d records, the feed has %d, %v", n, view.Head().Count, err)
	}
	if list, err := h.desk.List(); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
