package docket_test

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

var update = flag.Bool("update", false, "write the known answers anew")

// vectors are known answers: what another implementation must make of the same
// genesis, heads and ruling.
type vectors struct {
	Federation string `json:"federation"`
	Genesis    string `json:"genesis"`  // the registry's first entry
	Evidence   string `json:"evidence"` // an item: two heads of number 5
	Ruling     string `json:"ruling"`   // an item: a takedown that one other member has signed
	Both       string `json:"both"`     // the digest of a docket that holds the two
	Empty      string `json:"empty"`    // the digest of one that holds nothing
}

// TestVectors holds the formats to known answers.
func TestVectors(t *testing.T) {
	pl, de := New(t, "PL"), New(t, "DE")
	pl.Seal = identity.SealPublicKey{1}
	e, s, err := registry.Genesis{Version: 1, Random: [32]byte{4, 5, 6}, Name: "Vectors", Founded: Start.Unix(), Founder: pl.Candidate}.Sign(pl.Keys)
	if err != nil {
		t.Fatal(err)
	}
	got := vectors{Federation: s.Federation().String(), Genesis: hex.EncodeToString(e.Encode())}
	s = Apply(t, s, pl.Invite(t, s, "DE"))
	_, admit := pl.Admit(t, s, de)
	s = Apply(t, s, admit)
	d, err := docket.New(docket.Options{Drawer: newDrawer(), State: func() *registry.State { return s }, Now: func() time.Time { return Start.Add(time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	hexed := func(b []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(b)
	}
	digest := func() string { b := d.Digest(); return hex.EncodeToString(b[:]) }
	got.Empty = digest()
	// The heads name the registry's first entry: later ones have random ids.
	founded, err := registry.Begin(e)
	if err != nil {
		t.Fatal(err)
	}
	got.Evidence = hexed(docket.EvidenceItem(de.Fork(t, founded, 1, 5)))
	r := de.Takedown(9)
	r.Reason, r.Text = registry.ReasonPrivacy, "It names a person."
	if r, err = registry.NewRuling(s, r, Start); err != nil {
		t.Fatal(err)
	}
	b, err := registry.SignRuling(s.Federation(), r, pl.Keys.Admin)
	if err != nil {
		t.Fatal(err)
	}
	got.Ruling = hexed(docket.RulingItem(b))
	for _, item := range []string{got.Evidence, got.Ruling} {
		raw, err := hex.DecodeString(item)
		if err != nil {
			t.Fatal(err)
		}
		if added, err := d.Add(raw); !added || err != nil {
			t.Fatal(added, err)
		}
	}
	got.Both = digest()

	path := filepath.Join("testdata", "vectors.json")
	if *update {
		raw, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want vectors
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}
