package catalog

import (
	"reflect"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

// TestDocVersionSeesTheMapping: the version is a steady one, and the probes have
// something in every field of the document, so that no part of the mapping can
// change unseen.
func TestDocVersionSeesTheMapping(t *testing.T) {
	version := DocVersion()
	if len(version) != 16 {
		t.Errorf("version %q", version)
	}
	if again := docVersion(); again != version {
		t.Errorf("it is %s, then %s", version, again)
	}
	known, err := listing.ParseJSON(probe)
	if err != nil {
		t.Fatal(err)
	}
	body, err := known.Public().Encode()
	if err != nil {
		t.Fatal(err)
	}
	c := &Catalog{o: Options{Now: func() time.Time { return benchDay }, Cadence: func() listing.Cadence { return listing.DefaultCadence }}}
	doc, ok := c.doc("MT", "id", &feed.Record{Type: TypeListing, Revision: 1, Modified: feed.DayOf(benchDay), Body: body}, false)
	if !ok {
		t.Fatal("the probe is not shown")
	}
	empty := map[string]bool{"Global": true, "Communities": true, "ProfessionalsOnly": true} // seen by the strange probe, or one of two ways
	for _, f := range reflect.VisibleFields(reflect.TypeFor[search.Doc]()) {
		if reflect.ValueOf(doc).FieldByIndex(f.Index).IsZero() != empty[f.Name] {
			t.Errorf("of the probe the field %s is %v", f.Name, reflect.ValueOf(doc).FieldByIndex(f.Index))
		}
	}
	for table, change := range map[string]func() func(){
		"codeWords": func() func() {
			old := codeWords["helpline"]
			codeWords["helpline"] = "x"
			return func() { codeWords["helpline"] = old }
		},
		"mainLanguage": func() func() { mainLanguage["ZZ"] = "en"; return func() { delete(mainLanguage, "ZZ") } },
		"memberStates": func() func() { memberStates[0] = "ZZ"; return func() { memberStates[0] = "AT" } },
	} {
		back := change()
		if docVersion() == version {
			t.Errorf("%s changed, the version did not", table)
		}
		back()
	}
}
