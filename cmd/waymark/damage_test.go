package main_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// garble overwrites all of a file but its first bytes with what means nothing.
func garble(t *testing.T, path string, keep int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(path))
	for i := keep; i < len(b); i++ {
		if i%32 == 0 {
			sum = sha256.Sum256(sum[:])
		}
		b[i] = sum[i%32]
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedFiles: what a bad disk may do to a stopped node. It comes up and
// answers, or it says what is wrong and what to do, and deletes nothing.
func TestDamagedFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes; left out with -short")
	}
	nodes, _ := threeCountries(t)
	de, lt := nodes["DE"], nodes["LT"]
	de.publish(idFirst, "Beratung eins")
	within(t, 10*time.Second, "LT has it", func() bool { return lt.finds("Beratung eins") })
	within(t, 30*time.Second, "three keep the registry", func() bool { st, _ := lt.status(); return len(st.Registry.Voters) == 3 })

	// The voters' log, beyond its first page.
	lt.kill()
	garble(t, filepath.Join(lt.dir, "raft", "raft.db"), 4096)
	lt.serve()
	if !lt.finds("Beratung eins") {
		t.Error("a damaged log of the voters takes readers' answers away")
	}
	within(t, 60*time.Second, "LT is one of the voters again", func() bool {
		st, code := lt.status()
		return code == 0 && len(st.Registry.Voters) == 3 && st.Registry.Quorum
	})

	// The list of the database's tables.
	de.kill()
	de.serve() // so that there are tables
	de.kill()
	manifest := filepath.Join(de.dir, "store", "MANIFEST")
	kept, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(de.dir, "store", "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) == 0 {
		t.Fatal("the database has no tables, so nothing could be lost")
	}
	if err := os.Remove(manifest); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := de.run("serve"); code != 1 || !strings.Contains(errs, "MANIFEST is gone") || !strings.Contains(errs, "move the folder aside") {
		t.Errorf("exit %d\n%s", code, errs)
	}
	if err := os.WriteFile(manifest, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	de.serve()
	if !de.finds("Beratung eins") {
		t.Error("what was refused was changed all the same")
	}
}
