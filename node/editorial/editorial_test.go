package editorial_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/catalog"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/editorial"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/store"
)

// house is a desk with all that it stands on.
type house struct {
	t         *testing.T
	desk      *editorial.Desk
	store     *store.Store
	catalog   *catalog.Catalog
	publisher *feed.Publisher
	origin    identity.OriginID
	member    bool
	f         *feedtest.Federation
	caretaker bool // of everybody
	now       time.Time
}

func newHouse(t *testing.T) *house {
	t.Helper()
	f := feedtest.NewFederation("ada", "ben")
	m := f.Member("ada")
	h := &house{t: t, origin: m.Origin, member: true, f: f, now: feedtest.Now}
	now := func() time.Time { return h.now }
	country := func(o identity.OriginID) string {
		if o == m.Origin {
			return "LT"
		}
		return "FI"
	}
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	h.store, err = store.Open(store.Options{InMemory: true})
	fail(err)
	t.Cleanup(func() { fail(h.store.Close()) })
	index, err := search.New(search.Options{Now: now})
	fail(err)
	h.catalog, err = catalog.New(catalog.Options{Store: h.store, Index: index, Country: country, Now: now,
		Caretaker: func(identity.OriginID, identity.OriginID) bool { return h.caretaker }})
	fail(err)
	h.publisher, err = feed.NewPublisher(feed.PublisherOptions{
		Federation: f.ID, Origin: m.Origin, Store: h.store, Appender: h.catalog, Keys: func() feed.Keys { return f },
		Registry: func() uint64 { return 1 }, PublishKey: m.Publish, AdminKey: m.Admin,
		GuardPath: filepath.Join(t.TempDir(), "guard"), Now: now,
	})
	fail(err)
	t.Cleanup(h.publisher.Wait)
	h.desk, err = editorial.New(editorial.Options{Country: "LT", Store: h.store, Now: now, Publisher: func() (editorial.Publisher, error) {
		if !h.member {
			return nil, feed.ErrNotMember
		}
		return h.publisher, nil
	}, Origin: func() (identity.OriginID, bool) { return m.Origin, h.member }, CountryOf: country,
		Caretaker: func(identity.OriginID, identity.OriginID) bool { return h.caretaker }})
	fail(err)
	return h
}

func rows(docs ...listing.Document) iter.Seq2[control.Row, error] {
	return func(yield func(control.Row, error) bool) {
		for i, d := range docs {
			if !yield(control.Row{Where: fmt.Sprintf("row %d", i+1), Document: d.JSON()}, nil) {
				return
			}
		}
	}
}

func (h *house) take(o control.ImportOptions, docs ...listing.Document) control.ImportReport {
	h.t.Helper()
	r, err := h.desk.Import(context.Background(), rows(docs...), o)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) document(id string) listing.Document {
	h.t.Helper()
	b, ok, err := h.desk.Document(id)
	if err != nil || !ok {
		h.t.Fatalf("document %s: %t, %v", id, ok, err)
	}
	d, err := listing.ParseJSON(b)
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

func (h *house) head() (n, count uint64) {
	h.publisher.Wait()
	v, err := h.store.View(h.origin)
	if err != nil {
		h.t.Fatal(err)
	}
	defer v.Close()
	if v.Head() == nil {
		return 0, 0
	}
	return v.Head().N, v.Head().Count
}

func (h *house) state(id string) string {
	h.t.Helper()
	list, err := h.desk.List()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range list {
		if s.ID == id {
			return s.State
		}
	}
	return ""
}

// found is how many listings search knows.
func (h *house) found() int {
	a, err := h.catalog.Search(context.Background(), search.Query{Professional: true, Now: feedtest.Now})
	if err != nil {
		h.t.Fatal(err)
	}
	return a.Total
}

// some are fit listings.
func some(n int) []listing.Document {
	out := make([]listing.Document, 0, n)
	for i := 0; len(out) < n; i++ {
		if d := fiction.Listing(7, "LT", i, feedtest.Now); !fiction.Stale(i) {
			out = append(out, d)
		}
	}
	return out
}

func id(d listing.Document) string { return d["id"].(string) }

func report(t *testing.T, got control.ImportReport, added, changed, unchanged, removed, published, refused int) {
	t.Helper()
	if got.Added != added || got.Changed != changed || got.Unchanged != unchanged || got.Removed != removed || got.Published != published || len(got.Refused) != refused {
		t.Errorf("the report is %+v; want added %d, changed %d, unchanged %d, removed %d, published %d, refused %d", got, added, changed, unchanged, removed, published, refused)
	}
}

func TestDryRunTellsEveryField(t *testing.T) {
	h := newHouse(t)
	docs := some(3)
	h.take(control.ImportOptions{}, docs[:2]...)
	changed, err := listing.ParseJSON(docs[0].JSON())
	if err != nil {
		t.Fatal(err)
	}
	docs[0] = changed
	docs[0]["name"] = "Another name"
	docs[0]["channels"].([]any)[0].(map[string]any)["value"] = "+370 5 000 0001"
	docs[0]["description"] = nil
	got := h.take(control.ImportOptions{DryRun: true, RemoveMissing: true}, docs[0], docs[2])
	report(t, got, 1, 1, 0, 1, 0, 0)
	var told []string
	for _, c := range got.Changes {
		told = append(told, c.Kind+" "+c.ID)
		for _, f := range c.Fields {
			told = append(told, fmt.Sprintf("%s %.30s→%.30s", f.Path, f.Before, f.After))
		}
	}
	t.Log(strings.Join(told, "\n"))
	for _, want := range []string{"changed " + id(docs[0]), "added " + id(docs[2]), "removed " + id(docs[1])} {
		if !slices.Contains(told, want) {
			t.Errorf("the dry run does not tell %q", want)
		}
	}
	all := strings.Join(told, "\n")
	for _, want := range []string{`→"Another name"`, `channels[0].value `, `→"+370 5 000 0001"`} {
		if !strings.Contains(all, want) {
			t.Errorf("the dry run does not tell %q", want)
		}
	}
}

func TestImport(t *testing.T) {
	h := newHouse(t)
	docs := some(5)
	report(t, h.take(control.ImportOptions{DryRun: true, Publish: true}, docs...), 5, 0, 0, 0, 5, 0)
	if list, _ := h.desk.List(); len(list) != 0 {
		t.Fatal("a dry run wrote something")
	}
	report(t, h.take(control.ImportOptions{}, docs[:2]...), 2, 0, 0, 0, 0, 0)
	if n, _ := h.head(); n != 0 || h.state(id(docs[0])) != "draft" {
		t.Error("an import without publishing published")
	}
	report(t, h.take(control.ImportOptions{Publish: true}, docs...), 3, 0, 2, 0, 5, 0)
	if n, count := h.head(); n != 1 || count != 5 {
		t.Errorf("head %d with %d records; one import makes one head", n, count)
	}
	if h.found() != 5 {
		t.Errorf("search finds %d", h.found())
	}
	report(t, h.take(control.ImportOptions{Publish: true}, docs...), 0, 0, 5, 0, 5, 0)
	if n, _ := h.head(); n != 1 {
		t.Error("importing the same again made a head")
	}

	// Absent is unchanged, null is cleared.
	patch := listing.Document{"id": id(docs[0]), "name": "A new name", "url": nil}
	before := h.document(id(docs[0]))
	report(t, h.take(control.ImportOptions{}, patch), 0, 1, 0, 0, 0, 0)
	after := h.document(id(docs[0]))
	if _, there := after["url"]; there || after["name"] != "A new name" || after["description"] != before["description"] {
		t.Errorf("after the merge: %v", after)
	}
	if h.state(id(docs[0])) != "changed" {
		t.Errorf("the state is %s", h.state(id(docs[0])))
	}
	whole := some(6)[5]
	whole["id"] = id(docs[0])
	report(t, h.take(control.ImportOptions{Replace: true, Publish: true}, whole), 0, 1, 0, 0, 1, 0)
	if got := h.document(id(docs[0])); !bytes.Equal(got.JSON(), whole.JSON()) {
		t.Error("replacing left something of the old document")
	}
	if h.state(id(docs[0])) != "published" {
		t.Errorf("the state is %s", h.state(id(docs[0])))
	}
}

// What is taken in marks the translations of words that have changed since; who brings
// a new one, or says that it is right, takes the mark away.
func TestImportMarksTranslations(t *testing.T) {
	for _, replace := range []bool{false, true} {
		h := newHouse(t)
		doc := some(1)[0]
		step := func(description, text string, outdated any) bool {
			t.Helper()
			tr := map[string]any{"text": text, "by": "human"}
			if outdated != nil {
				tr["outdated"] = outdated
			}
			doc["description"], doc["translations"] = description, map[string]any{"fi": map[string]any{"description": tr}}
			h.take(control.ImportOptions{Publish: true, Replace: replace}, doc)
			l, _ := h.document(id(doc)).Listing()
			return l.Translations["fi"]["description"].Outdated
		}
		for i, x := range []struct {
			description, text string
			said              any
			want              bool
		}{
			{"Words", "Sanoja", nil, false}, {"Other words", "Sanoja", nil, true}, {"Other words", "Sanoja", nil, true}, {"Other words", "Sanoja", false, false},
			{"Third words", "Sanoja", false, true}, {"Third words", "Kolmannet", nil, false},
		} {
			if have := step(x.description, x.text, x.said); have != x.want {
				t.Errorf("replacing %t, step %d: outdated %t, want %t", replace, i+1, have, x.want)
			}
		}
	}
}

func TestImportRefuses(t *testing.T) {
	h := newHouse(t)
	docs := some(3)
	bare := listing.Document{"id": "x-1", "status": "unheard of"}
	noID := listing.Document{"name": "No id"}
	r := h.take(control.ImportOptions{Publish: true}, docs[0], bare, noID, docs[0])
	report(t, r, 0, 0, 0, 0, 0, len(r.Refused))
	paths := map[string][]string{}
	for _, f := range r.Refused {
		paths[f.Row] = append(paths[f.Row], f.Path)
	}
	for _, want := range []string{"name", "status", "organization"} {
		if !slices.Contains(paths["row 2"], want) {
			t.Errorf("row 2 is refused for %v, and not for %s as well", paths["row 2"], want)
		}
	}
	if len(paths["row 3"]) == 0 || !slices.Contains(paths["row 4"], "id") || paths["row 1"] != nil {
		t.Errorf("the refusals are %v", paths)
	}
	if list, _ := h.desk.List(); len(list) != 0 {
		t.Fatal("an import with refusals wrote something")
	}
	if !slices.ContainsFunc(r.Refused, func(f control.Refusal) bool { return f.Row == "row 4" && strings.HasSuffix(f.Message, "at row 1.") }) {
		t.Errorf("where the id stands already is not told: %+v", r.Refused)
	}
	r = h.take(control.ImportOptions{Publish: true, SkipBad: true}, docs[0], bare, noID, docs[0])
	if r.Added != 1 || r.Published != 1 || len(r.Refused) == 0 {
		t.Errorf("skipping the bad ones: %+v", r)
	}
	cut := errors.New("the file ended")
	_, err := h.desk.Import(context.Background(), func(yield func(control.Row, error) bool) {
		_ = yield(control.Row{Where: "1", Document: docs[1].JSON()}, nil) && yield(control.Row{}, cut)
	}, control.ImportOptions{})
	if !errors.Is(err, cut) || h.state(id(docs[1])) != "" {
		t.Errorf("a source that breaks off: %v", err)
	}
	huge := some(1)[0]
	huge["left_over"] = strings.Repeat("x", store.MaxOwn)
	if r := h.take(control.ImportOptions{}, huge); len(r.Refused) != 1 || r.Refused[0].Code != listing.CodeTooLarge {
		t.Errorf("a private part over the limit: %+v", r)
	}
}

func TestRefusalsBeyondTheBoundAreCounted(t *testing.T) {
	h := newHouse(t)
	many := make([]listing.Document, control.MaxRefused+7)
	for i := range many {
		many[i] = listing.Document{"id": fmt.Sprint(i), "name": "x", "status": "unheard of", "organization": map[string]any{"name": "x"}}
	}
	r := h.take(control.ImportOptions{}, many...)
	report(t, r, 0, 0, 0, 0, 0, control.MaxRefused)
	if r.MoreRefused != 7 || r.Refused[0].Row != "row 1" {
		t.Errorf("%d more than are told, the first is of %s", r.MoreRefused, r.Refused[0].Row)
	}
}

func TestRemoveMissing(t *testing.T) {
	h := newHouse(t)
	docs := some(5)
	h.take(control.ImportOptions{Publish: true}, docs...)
	if _, err := h.desk.Delete(context.Background(), []string{id(docs[4])}); err != nil {
		t.Fatal(err)
	}
	refused := func(name string, o control.ImportOptions, source iter.Seq2[control.Row, error]) {
		t.Helper()
		o.RemoveMissing = true
		_, err := h.desk.Import(context.Background(), source, o)
		var e *control.Error
		if !errors.As(err, &e) || e.Class != control.Refused {
			t.Errorf("%s: %v", name, err)
		}
		if _, count := h.head(); count != 5 {
			t.Fatalf("%s: %d records are left", name, count)
		}
	}
	refused("an empty source", control.ImportOptions{}, rows())
	refused("a row that cannot be read", control.ImportOptions{SkipBad: true}, func(yield func(control.Row, error) bool) {
		_ = yield(control.Row{Where: "1", Document: docs[0].JSON()}, nil) &&
			yield(control.Row{Where: "2", Faults: []control.Fault{{Code: "malformed"}}}, nil)
	})
	// A bad row is there all the same: its listing is not missing.
	bad := listing.Document{"id": id(docs[1]), "name": nil}
	r := h.take(control.ImportOptions{RemoveMissing: true, SkipBad: true, Publish: true}, docs[0], bad)
	if r.Removed != 2 || h.state(id(docs[1])) == "" || h.state(id(docs[2])) != "" || h.state(id(docs[3])) != "" {
		t.Errorf("removing: %+v", r)
	}
	if h.state(id(docs[4])) == "" {
		t.Error("the stub of a closed listing was removed")
	}
	if _, count := h.head(); count != 3 {
		t.Errorf("%d records are left", count)
	}
}

func TestPublishConfirmUnpublishDelete(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	docs := some(3)
	a, b := id(docs[0]), id(docs[1])
	unfit := some(3)[2]
	delete(unfit, "channels")
	delete(unfit, "coverage")
	h.take(control.ImportOptions{}, docs[0], docs[1], unfit)
	var e *control.Error
	if _, err := h.desk.Publish(ctx, []string{a, id(unfit)}); !errors.As(err, &e) || e.Code != "not_fit" {
		t.Errorf("publishing what is not fit: %v", err)
	}
	if n, _ := h.head(); n != 0 {
		t.Error("one of two was published: all or none")
	}
	if checked, err := h.desk.Check(ctx, nil); err != nil || len(checked) != 3 {
		t.Errorf("Check: %d, %v", len(checked), err)
	} else {
		for _, c := range checked {
			if (len(c.Faults) > 0) != (c.ID == id(unfit)) {
				t.Errorf("Check of %s: %v", c.ID, c.Faults)
			}
		}
	}
	if _, err := h.desk.Confirm(ctx, []string{a}); !errors.As(err, &e) || e.Code != "not_published" {
		t.Errorf("confirming a draft: %v", err)
	}
	if _, err := h.desk.Publish(ctx, nil); !errors.As(err, &e) || e.Class != control.Usage {
		t.Errorf("publishing nothing: %v", err)
	}
	if _, err := h.desk.Publish(ctx, []string{a, "00000000-0000-4000-8000-000000000000"}); !errors.As(err, &e) || e.Code != "not_found" {
		t.Errorf("publishing what is not there: %v", err)
	}
	got, err := h.desk.Publish(ctx, []string{a, b, a})
	if err != nil || len(got) != 2 || got[0].State != "published" || got[0].Revision != 1 {
		t.Fatalf("Publish = %+v, %v", got, err)
	}
	if h.found() != 2 {
		t.Errorf("search finds %d", h.found())
	}
	if p, err := h.catalog.Get(ctx, a); err != nil || p.Country != "LT" || p.Listing.Name != docs[0]["name"] || p.AsOf.IsZero() {
		t.Errorf("Get = %+v, %v", p, err)
	}

	h.take(control.ImportOptions{}, listing.Document{"id": a, "assured_date": "2026-01-15"})
	got, err = h.desk.Confirm(ctx, []string{a})
	if err != nil || got[0].AssuredDate != "2026-03-01" || got[0].State != "published" || got[0].Revision != 2 {
		t.Errorf("Confirm = %+v, %v", got, err)
	}

	got, err = h.desk.Unpublish(ctx, []string{b})
	if err != nil || got[0].State != "draft" || h.found() != 1 {
		t.Errorf("Unpublish = %+v, %v; search finds %d", got, err, h.found())
	}
	if _, err := h.catalog.Get(ctx, b); !errors.Is(err, listing.ErrNotFound) {
		t.Errorf("Get after Unpublish: %v", err)
	}

	if _, err := h.desk.Delete(ctx, []string{b}); err != nil || h.state(b) != "" {
		t.Errorf("deleting a draft: %v, its state is %q", err, h.state(b))
	}
	got, err = h.desk.Delete(ctx, []string{a})
	if err != nil || got[0].State != "deleted" || h.state(a) != "published" {
		t.Fatalf("Delete = %+v, %v", got, err)
	}
	p, err := h.catalog.Get(ctx, a)
	if err != nil || p.Listing.StatusValue() != listing.Defunct || p.Listing.Name != docs[0]["name"] || p.Listing.DefunctSince != "2026-03-01" {
		t.Errorf("the stub is %+v, %v", p.Listing, err)
	}
	for _, gone := range []string{"channels", "description", "audience"} {
		if _, there := p.Document()[gone]; there {
			t.Errorf("the stub still holds %s", gone)
		}
	}
	if h.found() != 0 {
		t.Error("search finds a closed listing")
	}
}

func TestNotAMember(t *testing.T) {
	h := newHouse(t)
	h.member = false
	docs := some(2)
	_, err := h.desk.Import(context.Background(), rows(docs...), control.ImportOptions{Publish: true})
	if err == nil {
		t.Error("published without a federation")
	}
	if h.state(id(docs[0])) != "draft" {
		t.Error("what was taken in is not kept as a draft")
	}
	h.member = true
	if r := h.take(control.ImportOptions{Publish: true}, docs...); r.Unchanged != 2 || r.Published != 2 {
		t.Errorf("once a member: %+v", r)
	}
}

func TestForeignIDs(t *testing.T) {
	h := newHouse(t)
	d := some(1)[0]
	d["id"] = "service-17"
	h.take(control.ImportOptions{Publish: true}, d)
	key := editorial.Key("service-17")
	if key == editorial.Key("service-18") {
		t.Fatal("two ids, one key")
	}
	shown := ""
	list, _ := h.desk.List()
	if len(list) == 1 {
		shown = list[0].ID
	}
	p, err := h.catalog.Get(context.Background(), shown)
	if err != nil || p.Listing.ID != shown {
		t.Fatalf("Get(%s) = %v", shown, err)
	}
	if raw, _ := json.Marshal(p.Document()["external_ids"]); !strings.Contains(string(raw), "service-17") {
		t.Errorf("the source's own id is gone: %s", raw)
	}
	if _, ok, _ := h.desk.Document("service-17"); !ok {
		t.Error("the owner cannot find it by its own id")
	}
}

func TestExport(t *testing.T) {
	h := newHouse(t)
	docs := some(3)
	docs[0]["left_over"] = map[string]any{"column": "private"}
	h.take(control.ImportOptions{Publish: true}, docs...)
	var out bytes.Buffer
	if err := h.desk.Export(context.Background(), &out, control.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.Contains(out.String(), "private") {
		t.Errorf("%d lines; the private part must be among them", len(lines))
	}
	p, err := h.catalog.Get(context.Background(), id(docs[0]))
	if err != nil || p.Document()["left_over"] != nil {
		t.Errorf("the private part is published: %v", err)
	}
	back := newHouse(t)
	var again []listing.Document
	for _, l := range lines {
		d, err := listing.ParseJSON([]byte(l))
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, d)
	}
	back.take(control.ImportOptions{}, again...)
	var second bytes.Buffer
	if err := back.desk.Export(context.Background(), &second, control.ExportOptions{}); err != nil || second.String() != out.String() {
		t.Errorf("the round trip is not exact: %v", err)
	}
}

// broken is a publisher that gives up after some edits.
type broken int

func (n broken) Publish(_ context.Context, edits iter.Seq[feed.Edit]) (*feed.SignedHead, error) {
	seen := 0
	for range edits {
		if seen++; seen == int(n) {
			break
		}
	}
	return nil, feed.ErrNeedsApproval
}

// TestDraftsOutliveAFailedPublish: whatever keeps an import from being published, and
// however far that came, everything that was taken in is kept as drafts.
func TestDraftsOutliveAFailedPublish(t *testing.T) {
	docs := some(900)
	for _, after := range []int{1, 450, 900, 1000} {
		s, err := store.Open(store.Options{InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		desk, err := editorial.New(editorial.Options{Country: "LT", Store: s, Publisher: func() (editorial.Publisher, error) { return broken(after), nil }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = desk.Import(context.Background(), rows(docs...), control.ImportOptions{Publish: true}); err == nil {
			t.Error("it did not fail")
		}
		if n, err := desk.Drafts(); err != nil || n != len(docs) {
			t.Errorf("after %d edits: %d drafts, want %d, %v", after, n, len(docs), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
