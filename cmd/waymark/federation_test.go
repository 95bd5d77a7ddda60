package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type statusJSON struct {
	Country string
	Members []struct {
		Country, State string
		Head           *struct{ Epoch, N, Count uint64 }
		AsOf           *time.Time `json:"as_of"`
	}
	Registry struct {
		Seq    uint64
		Leader *string
		Voters []json.RawMessage
		Quorum bool
	}
	Listings int
}

func (c *country) status() (st statusJSON, code int) {
	c.t.Helper()
	out, errs, code := c.run("status", "-o", "json")
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		c.t.Fatalf("%s: status: %v\n%s%s", c.code, err, out, errs)
	}
	return st, code
}

// threeCountries founds a federation of PL, DE and LT as separate processes,
// each behind a cable of its own.
func threeCountries(t *testing.T) (nodes map[string]*country, cables map[string]*cable) {
	t.Helper()
	nodes, cables = map[string]*country{}, map[string]*cable{}
	for _, code := range []string{"PL", "DE", "LT"} {
		k := newCable(t)
		c := newCountry(t, code, k.address())
		k.plugInto(fmt.Sprintf("127.0.0.1:%d", c.base+6))
		nodes[code], cables[code] = c, k
		if code == "PL" {
			c.must("found", "--name", "Test federation")
			c.serve()
			continue
		}
		invitation := strings.TrimSpace(nodes["PL"].must("invite", code))
		c.must("join", invitation, "--wait")
		c.serve()
	}
	for _, c := range nodes {
		within(t, 20*time.Second, c.code+" sees three members", func() bool { st, _ := c.status(); return len(st.Members) == 3 })
	}
	return nodes, cables
}

// TestThreeCountries is the promise of the whole: every node answers with
// everything from its own disk, whatever becomes of the others.
func TestThreeCountries(t *testing.T) {
	nodes, cables := threeCountries(t)
	pl, de, lt := nodes["PL"], nodes["DE"], nodes["LT"]

	pl.publish("7c9e6679-7425-40de-944b-e07fc1f90ae7", "Anonimowa rozmowa")
	for _, c := range []*country{de, lt} {
		d := within(t, 10*time.Second, c.code+" finds what PL published", func() bool { return c.finds("Anonimowa rozmowa") })
		t.Logf("%s finds PL's listing %s after the import command ended", c.code, d)
	}
	lt.publish("2f1b0a52-6f83-4d0c-8a52-1f3ad0a7c001", "Anoniminis pokalbis")
	within(t, 10*time.Second, "DE finds what LT published", func() bool { return de.finds("Anoniminis pokalbis") })

	pl.kill()
	cables["DE"].pull()
	cables["LT"].pull()
	if !de.finds("Anonimowa rozmowa") || !de.finds("Anoniminis pokalbis") {
		t.Fatal("DE lost what it held when the others went away")
	}
	a, err := de.search(url.Values{"q": {"Anonimowa rozmowa"}})
	if err != nil || a.Total == 0 || a.Results[0].AsOf.IsZero() {
		t.Fatalf("DE does not say as of when: %+v, %v", a, err)
	}
	st, code := de.status()
	for _, m := range st.Members {
		if m.AsOf == nil && m.Country != "DE" {
			t.Errorf("status of DE says nothing of how old %s's listings are", m.Country)
		}
	}
	t.Logf("status while cut off: exit %d, quorum %v", code, st.Registry.Quorum)

	de.publish("9d3f6c1e-40a1-4b57-8f5e-0c2a7d9be002", "Vertraulicher Chat")
	if !de.finds("Vertraulicher Chat") {
		t.Fatal("DE does not find its own listing while cut off")
	}
	if lt.finds("Vertraulicher Chat") {
		t.Fatal("the cable is not pulled")
	}
	cables["DE"].plug()
	cables["LT"].plug()
	d := within(t, 10*time.Second, "LT finds what DE published while cut off", func() bool { return lt.finds("Vertraulicher Chat") })
	t.Logf("LT finds DE's listing %s after the cut healed", d)

	pl.serve()
	within(t, 10*time.Second, "PL comes back and finds it too", func() bool { return pl.finds("Vertraulicher Chat") })
}

// TestLostDatabase: a node whose database is gone fetches the registry and every
// listing back from the others, its own ones too, and then publishes on.
func TestLostDatabase(t *testing.T) {
	nodes, _ := threeCountries(t)
	lt, de := nodes["LT"], nodes["DE"]
	lt.publish("2f1b0a52-6f83-4d0c-8a52-1f3ad0a7c001", "Anoniminis pokalbis")
	within(t, 10*time.Second, "DE finds what LT published", func() bool { return de.finds("Anoniminis pokalbis") })

	lt.kill()
	if err := os.Rename(filepath.Join(lt.dir, "store"), filepath.Join(lt.dir, "store.old")); err != nil {
		t.Fatal(err)
	}
	lt.serve()
	within(t, 30*time.Second, "LT has its own listing back", func() bool { return lt.finds("Anoniminis pokalbis") })
	within(t, 30*time.Second, "LT may publish again", func() bool {
		st, _ := lt.status()
		return len(st.Members) == 3 && st.Members[1].Country == "LT" && st.Members[1].State == "self"
	})
	lt.publish("2f1b0a52-6f83-4d0c-8a52-1f3ad0a7c002", "Antras pokalbis")
	within(t, 10*time.Second, "DE finds what LT published afterwards", func() bool { return de.finds("Antras pokalbis") })
	if !de.finds("Anoniminis pokalbis") {
		t.Error("what LT had published before is gone at DE")
	}
}

// TestWrongCountry: a configuration that contradicts the registry is said in
// status, not only in the log.
func TestWrongCountry(t *testing.T) {
	c := newCountry(t, "PL", "")
	c.must("found", "--name", "Test federation")
	path := filepath.Join(c.dir, "waymark.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte(`"PL"`), []byte(`"DE"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	c.serve()
	within(t, 10*time.Second, "status says what is wrong", func() bool {
		out, _, code := c.run("status")
		return code == 3 && strings.Contains(out, "the registry knows this node as one of PL")
	})
}

// TestStranger: a node without an invitation gets nowhere, and neither does one
// with somebody else's.
func TestStranger(t *testing.T) {
	nodes, _ := threeCountries(t)
	pl := nodes["PL"]
	invitation := strings.TrimSpace(pl.must("invite", "FI"))

	stranger := newCountry(t, "SE", "")
	if out, errs, code := stranger.run("join", invitation); code == 0 {
		t.Errorf("SE joins with FI's invitation:\n%s%s", out, errs)
	}
	if out, errs, code := stranger.run("join", "0000 0000 0000"); code == 0 {
		t.Errorf("SE joins with an invented code:\n%s%s", out, errs)
	}
	stranger.serve()
	if out, errs, code := stranger.run("listing", "import", filepath.Join("testdata", "service.json"), "--publish"); code != 4 {
		t.Errorf("a stranger publishes: exit %d\n%s%s", code, out, errs)
	}
	st, _ := pl.status()
	if len(st.Members) != 3 {
		t.Errorf("PL has %d members after the stranger knocked", len(st.Members))
	}
	if a, err := stranger.search(url.Values{}); err != nil || a.Total != 0 {
		t.Errorf("the stranger holds listings: %+v, %v", a, err)
	}
}

// TestKillWhilePublishing kills a node without warning, again and again, while
// it takes in and publishes: nothing that it acknowledged may be missing
// afterwards, and nothing of what is there may be half. Publishing is rationed (a
// feed has so many heads a minute), so most rounds publish once, amid drafts.
func TestKillWhilePublishing(t *testing.T) {
	rounds := 8
	if os.Getenv("CI") == "true" {
		rounds = 100
	}
	c := newCountry(t, "PL", "")
	c.must("found", "--name", "Test federation")
	path := filepath.Join(t.TempDir(), "one.json")
	published, drafts := map[string]string{}, map[string]bool{} // by id
	next := 0
	// take imports one listing and reports whether that was acknowledged.
	take := func(flags ...string) (id, name string, ok bool) {
		next++
		id = fmt.Sprintf("00000000-0000-4000-8000-%012d", next)
		name = fmt.Sprintf("Listing number %d", next)
		doc := fmt.Sprintf(`{"id":%q,"name":%q,"status":"active","organization":{"id":"0b1c64e2-0f0f-4d3f-9a3e-3b8f0a5f7c11","name":"Example","description":"x"}}`, id, name)
		if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, code := c.run(append([]string{"listing", "import", path}, flags...)...)
		return id, name, code == 0
	}
	look := func(round int) {
		for _, name := range published {
			if !c.finds(name) {
				t.Fatalf("round %d: %q was acknowledged and is gone\n%s", round, name, c.log)
			}
		}
		out := c.must("listing", "list", "-o", "json")
		for id := range drafts {
			if !strings.Contains(out, id) {
				t.Fatalf("round %d: the draft %s was acknowledged and is gone\n%s", round, id, c.log)
			}
		}
		if out, errs, code := c.run("status", "-o", "json"); code != 0 {
			t.Fatalf("round %d: status: exit %d\n%s%s", round, code, out, errs)
		}
	}
	for round := range rounds {
		c.serve()
		look(round)
		deadline := time.Now().Add(time.Duration(50+rand.IntN(250)) * time.Millisecond)
		done := make(chan struct{})
		cmd := c.cmd
		go func() {
			defer close(done)
			time.Sleep(time.Until(deadline)) // the moment of the accident
			_ = cmd.Process.Kill()
		}()
		for publish, i := rand.IntN(4), 0; ; i++ {
			if i != publish {
				id, _, ok := take()
				if !ok {
					break
				}
				drafts[id] = true
				continue
			}
			id, name, ok := take("--publish")
			if !ok {
				break
			}
			published[id] = name
		}
		<-done
		c.kill()
	}
	c.serve()
	look(rounds)
	st, _ := c.status()
	if st.Members[0].State != "self" {
		t.Errorf("after %d kills the node is %q", rounds, st.Members[0].State)
	}
	t.Logf("%d kills, %d listings published and %d drafts acknowledged, none lost", rounds, len(published), len(drafts))
}
