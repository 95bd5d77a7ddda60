package consensus

import (
	"bytes"
	"encoding/hex"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// logs are the registries that package registry holds every version to: all their
// entries, and the bytes of the state that they lead to.
func logs(t *testing.T) map[string]struct{ entries, state [][]byte } {
	files, err := filepath.Glob("../registry/testdata/golden*.txt")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d logs: %v", len(files), err)
	}
	out := make(map[string]struct{ entries, state [][]byte })
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := make(map[string][][]byte)
		for line := range strings.Lines(string(raw)) {
			kind, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			b, err := hex.DecodeString(value)
			if err != nil {
				t.Fatal(err)
			}
			lines[kind] = append(lines[kind], b)
		}
		out[filepath.Base(file)] = struct{ entries, state [][]byte }{lines["entry"], lines["state"]}
	}
	return out
}

// TestSnapshotOfEveryKindOfCommand: a registry with every kind of command that there
// is comes out of a snapshot, whole or on top of a part of it, and out of raft's log,
// with the same bytes.
func TestSnapshotOfEveryKindOfCommand(t *testing.T) {
	kinds := make(map[string]bool)
	for name, log := range logs(t) {
		t.Run(name, func(t *testing.T) {
			for _, b := range log.entries[1:] {
				e, err := registry.ParseEntry(b)
				if err != nil {
					t.Fatal(err)
				}
				c, _, err := registry.ParseCommand(e.Command)
				if err != nil {
					t.Fatal(err)
				}
				kinds[string(c.Kind)] = true
			}
			whole, _ := machine(t, log.entries...)
			snap, err := whole.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			sink := new(memorySink)
			if err := snap.Persist(sink); err != nil {
				t.Fatal(err)
			}
			same := func(how string, m *fsm) {
				t.Helper()
				if s := m.k.State(); !bytes.Equal(s.Encode(), log.state[0]) || s.Hash() != whole.k.State().Hash() {
					t.Errorf("%s: another state", how)
				}
				again, _ := m.Snapshot()
				other := new(memorySink)
				if err := again.Persist(other); err != nil || !bytes.Equal(other.Bytes(), sink.Bytes()) {
					t.Errorf("%s: another snapshot, %v", how, err)
				}
			}
			same("as it was", whole)
			for _, held := range []int{0, 1, len(log.entries) / 2, len(log.entries)} {
				m, _ := machine(t, log.entries[:held]...)
				if err := m.Restore(io.NopCloser(bytes.NewReader(sink.Bytes()))); err != nil {
					t.Fatalf("on top of %d entries: %v", held, err)
				}
				same("restored", m)
			}
			m, _ := machine(t, log.entries[0])
			for i, b := range log.entries {
				var before identity.Hash
				if i > 0 {
					before, _ = m.k.ledger.hashAt(uint64(i))
				}
				if r, ok := m.Apply(logged(t, uint64(i)+1, before, b)).(result); !ok || r.err != nil {
					t.Fatalf("entry %d: %v", i+1, r.err)
				}
			}
			same("replayed", m)
		})
	}
	source, err := os.ReadFile("../registry/command.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile(`Kind\w+\s+Kind = "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	if have := slices.Sorted(maps.Keys(kinds)); len(all) < 15 || !slices.Equal(have, all) {
		t.Errorf("the logs hold the kinds %q, there are %q", have, all)
	}
}
