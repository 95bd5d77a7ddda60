package editorial_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

// A sheet is published whole or not at all; the next one takes its place.
func TestPutSheet(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	if _, err := h.desk.Sheet(); !errors.Is(err, listing.ErrNoSheet) {
		t.Errorf("before there is one: %v", err)
	}
	var e *control.Error
	bad := fiction.Sheet("LT", feedtest.Now)
	bad["crisis_contacts"].([]any)[1].(map[string]any)["as_of"] = "2025-01-01"
	bad["notice_contact"], bad["exit_target"] = "an address", nil
	_, err := h.desk.PutSheet(ctx, bad)
	if !errors.As(err, &e) || e.Code != "not_fit" || e.Class != control.Refused || !strings.Contains(e.Message, "crisis_contacts[1].as_of") || !strings.Contains(e.Message, "notice_contact") || e.Next == "" {
		t.Errorf("a sheet with faults: %v", err)
	}
	if _, count := h.head(); count != 0 {
		t.Errorf("%d records after a refusal", count)
	}

	doc := fiction.Sheet("LT", feedtest.Now)
	doc["of_a_later_version"] = "kept"
	if _, err := h.desk.PutSheet(ctx, doc); err != nil {
		t.Fatal(err)
	}
	s, err := h.desk.Sheet()
	if err != nil || s.Document()["of_a_later_version"] != "kept" || len(s.Crisis) != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	shown, err := h.catalog.Sheet(h.origin)
	if err != nil || shown.Country != "LT" || !reflect.DeepEqual(shown.Sheet, s) {
		t.Errorf("in the catalog: %+v, %v", shown, err)
	}
	first, count := h.head()
	if _, err := h.desk.PutSheet(ctx, doc); err != nil || count != 1 {
		t.Errorf("the same again: %v, %d records", err, count)
	}
	if again, _ := h.head(); again != first {
		t.Error("the same again made a new head")
	}
	doc["notice_contact"].(map[string]any)["value"] = "other@example.org"
	if _, err := h.desk.PutSheet(ctx, doc); err != nil {
		t.Fatal(err)
	}
	if s, err := h.desk.Sheet(); err != nil || s.Notice.Value != "other@example.org" {
		t.Errorf("renewed: %+v, %v", s, err)
	}
	if _, count := h.head(); count != 1 {
		t.Errorf("%d records", count)
	}
	if list, err := h.desk.Overlays(ctx, nil); err != nil || len(list) != 0 {
		t.Errorf("among the overlays: %v, %v", list, err)
	}

	h.member = false
	if _, err := h.desk.PutSheet(ctx, doc); !errors.As(err, &e) || e.Code != "not_member" {
		t.Errorf("before it is a member: %v", err)
	}
	if _, err := h.desk.Sheet(); !errors.Is(err, listing.ErrNoSheet) {
		t.Errorf("of no member: %v", err)
	}
}
