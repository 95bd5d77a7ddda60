package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ids of the listings in this file.
const (
	idFirst  = "9d3f6c1e-40a1-4b57-8f5e-0c2a7d9be001"
	idSecond = "9d3f6c1e-40a1-4b57-8f5e-0c2a7d9be002"
	idThird  = "9d3f6c1e-40a1-4b57-8f5e-0c2a7d9be003"
	idFourth = "9d3f6c1e-40a1-4b57-8f5e-0c2a7d9be004"
)

// get is the status and body of one of a node's public pages.
func (c *country) get(path string) (int, string) {
	c.t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", c.base, path))
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

// refuses expects a command to fail with an exit code and words.
func (c *country) refuses(code int, words string, args ...string) {
	c.t.Helper()
	_, errs, exit := c.run(args...)
	if exit != code || !strings.Contains(errs, words) {
		c.t.Errorf("%s: waymark %s: exit %d, want %d; %q is not in\n%s", c.code, strings.Join(args, " "), exit, code, words, errs)
	}
}

// TestTakedown: two countries take a third one's listing off every node, with
// nobody there who could change the registry; readers are told; it comes back.
func TestTakedown(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes; left out with -short")
	}
	nodes, _ := threeCountries(t)
	pl, de, lt := nodes["PL"], nodes["DE"], nodes["LT"]
	de.publish(idFirst, "Beratung am Telefon")
	de.publish(idSecond, "Beratung im Chat")
	for _, c := range nodes {
		within(t, 10*time.Second, c.code+" has both listings", func() bool { return c.finds("Beratung am Telefon") && c.finds("Beratung im Chat") })
	}
	pl.refuses(2, "--reason", "listing", "hide", idFirst)
	de.refuses(4, "own listings", "listing", "hide", idFirst, "--reason", "danger")
	pl.must("listing", "hide", idFirst, "--reason", "danger", "--text", "The number belongs to somebody else.")
	if !pl.finds("Beratung am Telefon") {
		t.Fatal("one country alone has hidden another's listing")
	}
	waits := func() (id string) {
		out := lt.must("approval", "list", "-o", "json")
		var list []struct {
			ID      string
			InForce bool `json:"in_force"`
		}
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if !d.InForce {
				id = d.ID
			}
		}
		return id
	}
	within(t, 10*time.Second, "LT hears of it", func() bool { return waits() != "" })
	if st, code := lt.status(); code != 0 {
		t.Errorf("a request to sign makes LT's status %d: %+v", code, st)
	}
	// The registry has nobody left who could change it.
	de.kill()
	lt.must("approval", "sign", waits()[:8])
	for _, c := range []*country{lt, pl} {
		d := within(t, 10*time.Second, c.code+" no longer shows it", func() bool { return !c.finds("Beratung am Telefon") })
		t.Logf("%s has hidden it after %s", c.code, d)
		if !c.finds("Beratung im Chat") {
			t.Errorf("%s hides too much", c.code)
		}
		code, page := c.get("/en/s/" + idFirst)
		if code != http.StatusNotFound || !strings.Contains(page, "is not shown here") || strings.Contains(page, "Beratung am Telefon") {
			t.Errorf("%s: the page of the hidden listing: %d\n%s", c.code, code, page)
		}
	}
	de.serve()
	within(t, 15*time.Second, "DE hides its own listing when it is back", func() bool { return !de.finds("Beratung am Telefon") })
	lt.kill()
	lt.serve()
	if lt.finds("Beratung am Telefon") {
		t.Error("LT shows it again after a restart")
	}
	pl.must("listing", "unhide", idFirst)
	within(t, 10*time.Second, "LT hears that it may come back", func() bool { return waits() != "" })
	lt.must("approval", "sign", waits())
	for _, c := range nodes {
		within(t, 10*time.Second, c.code+" shows it again", func() bool { return c.finds("Beratung am Telefon") })
	}
	// One operator alone, on one node, at once.
	lt.must("listing", "hide", idSecond, "--local", "--reason", "unlawful")
	if lt.finds("Beratung im Chat") || !pl.finds("Beratung im Chat") {
		t.Error("hiding on one node: it is still there, or gone elsewhere")
	}
	lt.must("listing", "unhide", idSecond, "--local")
	if !lt.finds("Beratung im Chat") {
		t.Error("LT does not show it again")
	}
}

// keyID is the id of a node's key of a role.
func (c *country) keyID(role string) string {
	c.t.Helper()
	var shown struct {
		Keys []struct{ Role, ID string }
	}
	if err := json.Unmarshal([]byte(c.must("key", "show", "-o", "json")), &shown); err != nil {
		c.t.Fatal(err)
	}
	for _, k := range shown.Keys {
		if k.Role == role {
			return k.ID
		}
	}
	c.t.Fatalf("%s has no %s key", c.code, role)
	return ""
}

// TestKeys: keys are replaced while everything goes on, a stolen one is withdrawn
// and what it signed last is taken back everywhere, and a sheet of paper asks for
// new ones in a way that the present admin key can stop.
func TestKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes; left out with -short")
	}
	nodes, _ := threeCountries(t)
	de, lt := nodes["DE"], nodes["LT"]
	de.publish(idFirst, "Beratung eins")
	publish, admin := de.keyID("publish"), de.keyID("admin")
	de.must("key", "rotate", "publish")
	de.must("key", "rotate", "admin")
	if de.keyID("publish") == publish || de.keyID("admin") == admin {
		t.Fatal("the keys are the old ones")
	}
	de.publish(idSecond, "Beratung zwei")
	within(t, 10*time.Second, "LT takes what the new key has signed", func() bool { return lt.finds("Beratung zwei") && lt.finds("Beratung eins") })
	de.kill()
	de.serve()
	de.publish(idThird, "Beratung drei")
	within(t, 10*time.Second, "LT takes it after a restart too", func() bool { return lt.finds("Beratung drei") })

	// Somebody has the key: the third listing was not DE's.
	stolen := de.keyID("publish")
	de.refuses(2, "--last-good", "key", "revoke", stolen)
	before := ""
	st, _ := de.status()
	for _, m := range st.Members {
		if m.Country == "DE" {
			before = fmt.Sprint(m.Head.N - 1)
		}
	}
	de.must("key", "revoke", stolen, "--last-good", before)
	for _, c := range nodes {
		d := within(t, 10*time.Second, c.code+" goes back to what DE believes", func() bool {
			return !c.finds("Beratung drei") && c.finds("Beratung zwei") && c.finds("Beratung eins")
		})
		t.Logf("%s went back after %s", c.code, d)
	}
	de.publish(idFourth, "Beratung vier")
	within(t, 10*time.Second, "LT takes what DE publishes from there", func() bool { return lt.finds("Beratung vier") && !lt.finds("Beratung drei") })

	sheet := filepath.Join(t.TempDir(), "sheet.txt")
	de.must("key", "recovery-sheet", "--file", sheet)
	out := de.must("key", "recover", sheet)
	if !strings.Contains(out, "valid from") {
		t.Errorf("recover says %q", out)
	}
	if _, code := de.status(); code != 3 {
		t.Errorf("keys are about to be replaced, and DE's status is %d", code)
	}
	de.must("key", "object")
	if _, code := de.status(); code != 0 {
		t.Errorf("DE's status is %d after its objection", code)
	}
	older := sheet
	sheet = filepath.Join(t.TempDir(), "second.txt")
	de.must("key", "recovery-sheet", "--file", sheet)
	de.refuses(4, "not the valid one", "key", "recover", older)
}

// TestClone: a copy of a node publishes while it is cut off. The two heads of
// one number become evidence everywhere, the feed freezes, anybody can check the
// proof, and the country begins anew.
func TestClone(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes; left out with -short")
	}
	nodes, cables := threeCountries(t)
	pl, de, lt := nodes["PL"], nodes["DE"], nodes["LT"]
	de.publish(idFirst, "Beratung eins")
	within(t, 10*time.Second, "LT has it", func() bool { return lt.finds("Beratung eins") })
	de.kill()
	copied := filepath.Join(t.TempDir(), "de")
	if out, err := exec.Command("cp", "-a", de.dir, copied).CombinedOutput(); err != nil {
		t.Fatalf("copy the node: %v %s", err, out)
	}
	de.serve()
	de.publish(idSecond, "Beratung vom Original")
	de.publish("9d3f6c1e-40a1-4b57-8f5e-0c2a7d9be005", "Noch eine vom Original")
	within(t, 10*time.Second, "LT has what the original publishes", func() bool { return lt.finds("Beratung vom Original") && lt.finds("Noch eine vom Original") })
	de.kill()

	// The copy hears of nobody: all cables are out.
	for _, k := range cables {
		k.pull()
	}
	original := de.dir
	de.dir = copied
	de.serve()
	de.publish(idThird, "Beratung von der Kopie")
	for _, k := range cables {
		k.plug()
	}
	for _, c := range []*country{lt, pl} {
		d := within(t, 30*time.Second, c.code+" holds the proof", func() bool { return strings.Contains(c.must("evidence", "list"), "DE-1.2") })
		t.Logf("%s has the evidence after %s", c.code, d)
		if !c.finds("Beratung vom Original") || c.finds("Beratung von der Kopie") {
			t.Errorf("%s does not show the last good state", c.code)
		}
	}
	within(t, 15*time.Second, "DE signs nothing any more", func() bool { return de.alarmed("quarantined") })
	within(t, 15*time.Second, "the copy does not begin anew while others hold more", func() bool {
		_, errs, code := de.run("feed", "restart")
		return code == 4 && strings.Contains(errs, "hold a newer state")
	})
	within(t, 60*time.Second, "the registry has it on record", func() bool { return strings.Contains(pl.must("evidence", "list"), "in the registry") })
	proof := filepath.Join(t.TempDir(), "proof")
	lt.must("evidence", "export", "DE-1.2", "--file", proof)
	federation := federationID(t, lt)
	if out := lt.must("evidence", "verify", proof, "--federation", federation); !strings.Contains(out, "It is true") || !strings.Contains(out, "DE") {
		t.Errorf("verify says %q", out)
	}
	b, err := os.ReadFile(proof)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, b, 0o600); err != nil {
		t.Fatal(err)
	}
	lt.refuses(1, "proves nothing", "evidence", "verify", bad, "--federation", federation)

	// The administrator decides for the original.
	de.kill()
	de.dir = original
	de.serve()
	within(t, 20*time.Second, "the original has heard of it", func() bool { return de.alarmed("quarantined") })
	de.must("feed", "restart")
	de.publish(idFourth, "Beratung danach")
	for _, c := range []*country{lt, pl} {
		within(t, 15*time.Second, c.code+" follows the new beginning", func() bool {
			return c.finds("Beratung danach") && c.finds("Beratung vom Original") && !c.finds("Beratung von der Kopie")
		})
	}
	if _, code := lt.status(); code != 0 {
		t.Errorf("LT's status is %d after it is over: %s", code, lt.must("evidence", "list"))
	}
}

func federationID(t *testing.T, c *country) string {
	t.Helper()
	out, _, _ := c.run("status", "-o", "json")
	var st struct {
		ID string `json:"federation_id"`
	}
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatal(err)
	}
	return st.ID
}

// TestBundle: a stick carries everything to a node that was never online, and
// what was published on an island to the mainland.
func TestBundle(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes; left out with -short")
	}
	nodes, cables := threeCountries(t)
	pl, de, lt := nodes["PL"], nodes["DE"], nodes["LT"]
	de.publish(idFirst, "Beratung eins")
	pl.publish(idSecond, "Rozmowa")
	for _, c := range nodes {
		within(t, 10*time.Second, c.code+" has both", func() bool { return c.finds("Beratung eins") && c.finds("Rozmowa") })
	}
	federation := federationID(t, pl)
	stick := filepath.Join(t.TempDir(), "stick")
	lt.must("bundle", "export", stick)

	fi := newCountry(t, "FI", "")
	fi.serve()
	fi.refuses(2, "belongs to no federation", "bundle", "import", stick)
	fi.refuses(4, "another federation", "bundle", "import", stick, "--federation", strings.Repeat("0", 31)+"1")
	b, err := os.ReadFile(stick)
	if err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, b[:len(b)-40], 0o600); err != nil {
		t.Fatal(err)
	}
	fi.refuses(1, "ends too early", "bundle", "import", short, "--federation", federation)
	if fi.finds("Rozmowa") {
		t.Fatal("half a bundle was taken")
	}
	fi.must("bundle", "import", stick, "--federation", federation)
	if !fi.finds("Beratung eins") || !fi.finds("Rozmowa") {
		t.Error("FI does not find what the bundle brought")
	}
	fi.kill()
	fi.serve()
	if !fi.finds("Beratung eins") || !fi.finds("Rozmowa") {
		t.Error("FI has lost it over a restart")
	}

	// DE is an island. A difference goes over to LT, which was on the mainland.
	cables["DE"].pull()
	for _, c := range []string{"PL", "LT"} {
		cables[c].pull()
	}
	de.publish(idThird, "Beratung von der Insel")
	difference := filepath.Join(t.TempDir(), "difference")
	de.must("bundle", "export", difference, "--since", stick)
	if lt.finds("Beratung von der Insel") {
		t.Fatal("the island is none")
	}
	if out := lt.must("bundle", "verify", difference, "--federation", federation); out == "" {
		t.Error("verify says nothing")
	}
	lt.must("bundle", "import", difference)
	if !lt.finds("Beratung von der Insel") {
		t.Error("LT does not find what came over from the island")
	}
	small, large := size(t, difference), size(t, stick)
	t.Logf("the whole bundle has %d bytes, the difference %d", large, small)
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestOutboundOnly: a node that nobody can call takes full part: what it
// publishes, small or large, is everywhere soon, and it hears of the others at
// once.
func TestOutboundOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes; left out with -short")
	}
	nodes, _ := threeCountries(t)
	pl, lt := nodes["PL"], nodes["LT"]
	fi := newCountry(t, "FI", "")
	path := filepath.Join(fi.dir, "waymark.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if !strings.Contains(text, "[federation]") {
		t.Fatalf("the configuration has no table for the federation:\n%s", text)
	}
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "advertise") && !strings.HasPrefix(line, "voter") && !strings.HasPrefix(line, "outbound_only") {
			kept = append(kept, line)
		}
	}
	text = strings.Replace(strings.Join(kept, ""), "[federation]\n", "[federation]\noutbound_only = true\n", 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	admit(t, nodesWith(nodes, fi), fi)
	within(t, 20*time.Second, "FI is known everywhere", func() bool { st, _ := lt.status(); return len(st.Members) == 4 })
	fi.publish(idFirst, "Keskustelu")
	for _, c := range []*country{pl, lt} {
		d := within(t, 15*time.Second, c.code+" finds what FI publishes", func() bool { return c.finds("Keskustelu") })
		t.Logf("%s found it after %s", c.code, d)
	}
	fi.importMany(t, 400)
	for _, c := range []*country{pl, lt} {
		d := within(t, 20*time.Second, c.code+" has the large change", func() bool { return c.finds("Palvelu 399") })
		t.Logf("%s had 400 more after %s", c.code, d)
	}
	lt.publish(idSecond, "Pokalbis")
	d := within(t, 15*time.Second, "FI hears of the others", func() bool { return fi.finds("Pokalbis") })
	t.Logf("FI found it after %s", d)
	pl.kill()
	lt.publish(idThird, "Antras pokalbis")
	within(t, 20*time.Second, "FI hears of them with one of its gates gone", func() bool { return fi.finds("Antras pokalbis") })
}

func nodesWith(nodes map[string]*country, more *country) map[string]*country {
	out := map[string]*country{more.code: more}
	for code, c := range nodes {
		out[code] = c
	}
	return out
}

// importMany publishes plain services in one go.
func (c *country) importMany(t *testing.T, n int) {
	t.Helper()
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"id":"9d3f6c1e-40a1-4b57-8f5e-0c2a7d9c%04x","name":"Palvelu %d","description":%q,"status":"active","organization":{"id":"0b1c64e2-0f0f-4d3f-9a3e-3b8f0a5f7c11","name":"Example organization","description":"For tests"}}`+"\n", i, i, strings.Repeat(fmt.Sprintf("Text %d. ", i*i), 20))
	}
	path := filepath.Join(t.TempDir(), "many.ndjson")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c.must("listing", "import", path, "--publish")
}

// TestFeedCheck: a check of what is stored finds it as it was signed.
func TestFeedCheck(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes; left out with -short")
	}
	nodes, _ := threeCountries(t)
	nodes["DE"].publish(idFirst, "Beratung eins")
	lt := nodes["LT"]
	within(t, 10*time.Second, "LT has it", func() bool { return lt.finds("Beratung eins") })
	if out := lt.must("feed", "check"); strings.Count(out, "as signed") != 3 {
		t.Errorf("check says\n%s", out)
	}
}
