package editorial_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
)

// TestExportPublished: what anybody may have is what is in the feed, also of a
// listing that is being edited.
func TestExportPublished(t *testing.T) {
	h := newHouse(t)
	docs := some(4)
	docs[0]["left_over"] = "private"
	docs[3]["id"] = "service-17" // no UUID: it is published under one
	h.take(control.ImportOptions{Publish: true}, docs[0], docs[1], docs[3])
	h.take(control.ImportOptions{}, docs[2]) // a draft
	was := docs[1]["name"].(string)
	docs[1]["name"] = "Changed and not published"
	h.take(control.ImportOptions{}, docs[1])

	published := func(ids ...string) (lines []string) {
		t.Helper()
		var out bytes.Buffer
		if err := h.desk.Export(context.Background(), &out, control.ExportOptions{IDs: ids, Published: true}); err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	}
	lines := published()
	if len(lines) != 3 {
		t.Fatalf("%d lines, want the three that are published: %s", len(lines), lines)
	}
	for _, line := range lines {
		d, err := listing.ParseJSON([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.catalog.Get(context.Background(), id(d))
		if err != nil {
			t.Fatalf("%s is exported and not shown: %v", id(d), err)
		}
		if have := string(p.Document().JSON()); have != line {
			t.Errorf("exported\n%s\nshown\n%s", line, have)
		}
	}
	if one := published(id(docs[1])); len(one) != 1 || !strings.Contains(one[0], was) || strings.Contains(one[0], "Changed") {
		t.Errorf("the listing with an unpublished change is exported as %s", one)
	}
	if one := published(id(docs[2])); one[0] != "" {
		t.Errorf("a draft is exported: %s", one)
	}
	h.member = false
	if one := published(); one[0] != "" {
		t.Errorf("a country that has published nothing exports %s", one)
	}
}
