package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRecover: of three voters one is lost with its disk, and one is cut off for
// good as far as anybody knows. The members sign, each at its own node, the one
// that is cut off too; then the registry takes changes again, and who comes back
// follows.
func TestRecover(t *testing.T) {
	nodes, cables := threeCountries(t)
	pl, de, lt := nodes["PL"], nodes["DE"], nodes["LT"]
	var plan struct {
		Refused    json.RawMessage
		Needed     int
		Answering  int
		OldVoters  int `json:"old_voters"`
		Generation uint64
		Nodes      []struct {
			Country  string
			Answers  bool
			NewVoter bool `json:"new_voter"`
		}
	}
	planned := func(want int) bool {
		out, _, code := pl.run("country", "recover", "-o", "json")
		return json.Unmarshal([]byte(out), &plan) == nil && code == want
	}
	within(t, 30*time.Second, "all three vote", func() bool { return planned(4) && plan.OldVoters == 3 && plan.Answering == 3 })
	dir := t.TempDir()
	one, both := filepath.Join(dir, "one"), filepath.Join(dir, "both")

	for _, args := range [][]string{{}, {"--sign", one}} {
		out, errs, code := pl.run(append([]string{"country", "recover"}, args...)...)
		if code != 4 || !strings.Contains(errs, "there is nothing to recover") {
			t.Fatalf("recover %v while the voters agree: exit %d\n%s%s", args, code, out, errs)
		}
	}
	if _, err := os.Stat(one); err == nil {
		t.Fatal("a recovery was signed while the voters agree")
	}

	de.kill()
	if err := os.RemoveAll(de.dir); err != nil {
		t.Fatal(err)
	}
	cables["PL"].pull()
	cables["LT"].pull()
	within(t, 20*time.Second, "a plan that can be carried out", func() bool { return planned(0) })
	if !bytes.Equal(plan.Refused, []byte("null")) || plan.Needed != 2 || plan.OldVoters != 3 || plan.Answering != 1 || plan.Generation != 2 || len(plan.Nodes) != 3 || plan.Nodes[0].Answers || plan.Nodes[1].Answers || !plan.Nodes[2].NewVoter {
		t.Fatalf("the plan: %+v", plan)
	}
	if st, _ := pl.status(); st.Registry.Quorum {
		t.Fatal("one of three voters agrees with itself")
	}

	pl.must("country", "recover", "--sign", one)
	if out, errs, code := pl.run("country", "recover", "--run", one); code != 4 || !strings.Contains(errs, "1 of 2 countries") {
		t.Fatalf("run with one signature: exit %d\n%s%s", code, out, errs)
	}
	var out string
	within(t, 20*time.Second, "LT signs, once it knows that the voters are gone", func() bool {
		var code int
		out, _, code = lt.run("country", "recover", "--sign", both, "--add", one)
		return code == 0
	})
	if !strings.Contains(out, "Signed by LT, PL: 2, of 2") {
		t.Fatalf("the second signature:\n%s", out)
	}
	if out := pl.must("country", "recover", "--run", one, "--run", both); !strings.Contains(out, "Done.") {
		t.Fatalf("the recovery:\n%s", out)
	}
	took := within(t, 30*time.Second, "the registry takes a change again", func() bool {
		_, _, code := pl.run("invite", "FI")
		return code == 0
	})
	st, _ := pl.status()
	t.Logf("the registry takes changes again after %s", took)
	if now, _ := lt.status(); now.Registry.Seq >= st.Registry.Seq {
		t.Fatal("LT is not cut off")
	}
	cables["PL"].plug()
	cables["LT"].plug()
	within(t, 20*time.Second, "LT follows", func() bool { now, _ := lt.status(); return now.Registry.Seq >= st.Registry.Seq })
}
