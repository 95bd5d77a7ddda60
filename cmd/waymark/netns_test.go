package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The tests in this file give each node a network of its own, so that a link can
// go down the way links do: in silence.

// switchboard is a bridge to which the namespaces of nodes are connected. All
// of it lies in a namespace of its own and touches nothing of the host's.
type switchboard struct {
	t    *testing.T
	name string
	next int
}

// ip runs the ip command; the kernel must let us.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

func newSwitchboard(t *testing.T) *switchboard {
	t.Helper()
	s := &switchboard{t: t, name: fmt.Sprintf("waymark-%d", os.Getpid())}
	missing := ""
	if os.Geteuid() != 0 {
		missing = "it is not run by root"
	} else if _, err := exec.LookPath("ip"); err != nil {
		missing = "there is no ip command (package iproute2)"
	} else if err := ip("netns", "add", s.name); err != nil {
		missing = err.Error()
	}
	if missing != "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("network namespaces are needed here: %s", missing)
		}
		t.Skipf("left out: needs network namespaces, and %s", missing)
	}
	t.Cleanup(func() { s.must("netns", "del", s.name) })
	s.must("-n", s.name, "link", "add", "board", "type", "bridge")
	s.must("-n", s.name, "link", "set", "board", "up")
	return s
}

func (s *switchboard) must(args ...string) {
	s.t.Helper()
	if err := ip(args...); err != nil {
		s.t.Fatal(err)
	}
}

// connect makes a namespace with an address and a link to the board.
func (s *switchboard) connect(code string) *remote {
	s.t.Helper()
	s.next++
	r := &remote{s: s, name: fmt.Sprintf("%s-%s", s.name, code), address: fmt.Sprintf("10.99.7.%d", s.next)}
	s.must("netns", "add", r.name)
	s.t.Cleanup(func() { s.must("netns", "del", r.name) })
	port := "to-" + code
	s.must("-n", r.name, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", s.name)
	s.must("-n", s.name, "link", "set", port, "master", "board")
	s.must("-n", s.name, "link", "set", port, "up")
	s.must("-n", r.name, "address", "add", r.address+"/24", "dev", "eth0")
	s.must("-n", r.name, "link", "set", "lo", "up")
	r.up()
	return r
}

// remote is the place in the network where one node is.
type remote struct {
	s             *switchboard
	name, address string
}

func (r *remote) up()   { r.s.t.Helper(); r.s.must("-n", r.name, "link", "set", "eth0", "up") }
func (r *remote) down() { r.s.t.Helper(); r.s.must("-n", r.name, "link", "set", "eth0", "down") }

// country makes the node of a country there. Its program runs inside the
// namespace; the shell gives way to it, so that signals reach it.
func (r *remote) country(code string) *country {
	t := r.s.t
	t.Helper()
	inside := filepath.Join(t.TempDir(), "waymark")
	script := fmt.Sprintf("#!/bin/sh\nexec ip netns exec %s %s \"$@\"\n", r.name, binary(t))
	if err := os.WriteFile(inside, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	c := &country{t: t, bin: inside, code: code, dir: filepath.Join(t.TempDir(), strings.ToLower(code)), base: 8100, log: new(bytes.Buffer)}
	at := r.address + ":7946"
	c.must("init", "--country", code, "--operator", "Test operator "+code, "--advertise", at)
	t.Cleanup(c.kill)
	return c
}

// holds reports whether the node finds exactly one listing of a name, asked
// through its socket, which no link can take away.
func (c *country) holds(name string) (asOf time.Time, ok bool) {
	c.t.Helper()
	out, _, code := c.run("search", `"`+name+`"`, "-o", "json")
	var a apiAnswer
	if code != 0 || json.Unmarshal([]byte(out), &a) != nil || a.Total != 1 || a.Results[0].Name != name {
		return time.Time{}, false
	}
	return a.Results[0].AsOf, true
}

// alarmed reports whether the node's status names an alarm.
func (c *country) alarmed(code string) bool {
	c.t.Helper()
	out, _, exit := c.run("status", "-o", "json")
	var st struct {
		Degraded bool
		Alarms   []struct{ Code string }
	}
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		c.t.Fatalf("%s: status: exit %d, %v\n%s", c.code, exit, err, out)
	}
	for _, a := range st.Alarms {
		if a.Code == code {
			if exit != 3 || !st.Degraded {
				c.t.Errorf("%s: %s, but exit %d and degraded %t", c.code, code, exit, st.Degraded)
			}
			return true
		}
	}
	return false
}

// TestLinkDown: the link of one of three nodes goes down without a word, and the
// founder dies. Everybody answers with everything they held and says as of when;
// what is published meanwhile is everywhere soon after the link is up again.
func TestLinkDown(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes; left out with -short")
	}
	board := newSwitchboard(t)
	links, nodes := map[string]*remote{}, map[string]*country{}
	for _, code := range []string{"PL", "DE", "LT"} {
		links[code] = board.connect(code)
		c := links[code].country(code)
		nodes[code] = c
		if code == "PL" {
			c.must("found", "--name", "Test federation")
		} else {
			c.must("join", strings.TrimSpace(nodes["PL"].must("invite", code)), "--wait")
		}
		c.serve()
	}
	pl, de, lt := nodes["PL"], nodes["DE"], nodes["LT"]
	finds := func(c *country, names ...string) bool {
		for _, name := range names {
			if asOf, ok := c.holds(name); !ok || asOf.IsZero() {
				return false
			}
		}
		return true
	}
	pl.publish("7c9e6679-7425-40de-944b-e07fc1f90ae7", "Anonimowa rozmowa")
	lt.publish("2f1b0a52-6f83-4d0c-8a52-1f3ad0a7c001", "Anoniminis pokalbis")
	de.publish("9d3f6c1e-40a1-4b57-8f5e-0c2a7d9be001", "Beratung am Telefon")
	all := []string{"Anonimowa rozmowa", "Anoniminis pokalbis", "Beratung am Telefon"}
	for _, c := range nodes {
		within(t, 10*time.Second, c.code+" finds the listings of all three", func() bool { return finds(c, all...) })
	}
	within(t, 30*time.Second, "all three keep the registry, so that one may go", func() bool {
		st, _ := lt.status()
		return len(st.Registry.Voters) == 3 && st.Registry.Quorum
	})

	links["DE"].down()
	if !finds(de, all...) {
		t.Fatal("DE lost what it held when its link went down")
	}
	de.publish("9d3f6c1e-40a1-4b57-8f5e-0c2a7d9be002", "Vertraulicher Chat")
	if !finds(de, "Vertraulicher Chat") {
		t.Fatal("DE does not find its own listing while cut off")
	}
	pl.publish("7c9e6679-7425-40de-944b-e07fc1f90ae8", "Nowa rozmowa")
	within(t, 10*time.Second, "LT finds what PL publishes meanwhile", func() bool { return finds(lt, "Nowa rozmowa") })
	for _, c := range []*country{pl, lt} {
		d := within(t, 30*time.Second, c.code+" says that DE is out of reach", func() bool { return c.alarmed("unreachable") })
		t.Logf("%s says so after %s", c.code, d)
		if st, _ := c.status(); !st.Registry.Quorum {
			t.Errorf("%s: two of three agree, and status says that nobody can", c.code)
		}
		if finds(c, "Vertraulicher Chat") {
			t.Fatal("the link is not down")
		}
	}
	within(t, 30*time.Second, "DE says that it cannot change the registry", func() bool { return de.alarmed("no_quorum") })

	pl.kill()
	links["DE"].up()
	d := within(t, 10*time.Second, "LT finds what DE published", func() bool { return finds(lt, "Vertraulicher Chat") })
	t.Logf("LT finds what DE published %s after its link was up", d)
	within(t, 10*time.Second, "DE finds what PL published, though PL is dead", func() bool { return finds(de, "Nowa rozmowa") })
	within(t, 30*time.Second, "the two that are left agree", func() bool {
		st, _ := lt.status()
		return st.Registry.Quorum && lt.alarmed("unreachable")
	})
	pl.serve()
	within(t, 10*time.Second, "PL comes back and finds it too", func() bool { return finds(pl, "Vertraulicher Chat") })
}
