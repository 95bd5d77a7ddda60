package bundle_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/2ps-project/waymark/federation/bundle"
)

var update = flag.Bool("update", false, "write testdata anew; right only before a first release")

// TestGolden reads files that were written once: every later version has to read
// them alike. v1.bundle is a whole bundle, v1-since.bundle a difference from it.
func TestGolden(t *testing.T) {
	if *update {
		w := found(t, "DE", "LT", "PL")
		w.publish("DE", put(0, 12, "eins")...)
		w.publish("PL", put(1000, 1004, "jeden")...)
		w.confirm()
		first := w.export(func(o *bundle.ExportOptions) { o.Docket = items("an item of the docket") })
		m, err := bundle.ReadManifest(bytes.NewReader(first))
		if err != nil {
			t.Fatal(err)
		}
		w.publish("DE", append(put(2, 3, "zwei"), drop(0x03, 5)...)...)
		w.confirm()
		write(t, "testdata/v1.bundle", first)
		write(t, "testdata/v1-since.bundle", w.export(func(o *bundle.ExportOptions) { o.Since = m.Raw() }))
	}
	at := now.AddDate(0, 1, 0)
	r := newReplica(t, at)
	for _, name := range []string{"v1", "v1-since"} {
		file, err := os.ReadFile("testdata/" + name + ".bundle")
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.MarshalIndent(r.mustTake(file), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			write(t, "testdata/"+name+".json", append(got, '\n'))
		}
		want, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if string(got)+"\n" != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
