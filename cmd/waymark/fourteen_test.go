package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

var fourteen = []string{"PL", "DE", "LT", "SE", "GB", "FR", "NL", "BE", "AT", "CZ", "GR", "IT", "FI", "NO"}

// trunk is a second board, and the one link between the two.
func (s *switchboard) trunk() {
	s.t.Helper()
	s.must("-n", s.name, "link", "add", "far", "type", "bridge")
	s.must("-n", s.name, "link", "set", "far", "up")
	s.must("-n", s.name, "link", "add", "trunk0", "type", "veth", "peer", "name", "trunk1")
	s.must("-n", s.name, "link", "set", "trunk0", "master", "board")
	s.must("-n", s.name, "link", "set", "trunk1", "master", "far")
	s.must("-n", s.name, "link", "set", "trunk1", "up")
	s.must("-n", s.name, "link", "set", "trunk0", "up")
}

// move connects a place to the far board.
func (r *remote) move(code string) {
	r.s.t.Helper()
	r.s.must("-n", r.s.name, "link", "set", "to-"+code, "master", "far")
}

// admit takes a country into the federation that PL has founded.
func admit(t *testing.T, nodes map[string]*country, c *country) {
	t.Helper()
	c.must("join", strings.TrimSpace(nodes["PL"].must("invite", c.code)))
	c.serve()
	admitted := func() bool {
		st, _ := c.status()
		return len(st.Members) > len(nodes)-1
	}
	for _, code := range []string{"PL", "DE", "LT"} {
		signer := nodes[code]
		if signer == nil || signer == c || len(nodes) <= 3 {
			continue
		}
		within(t, 20*time.Second, code+" hears that "+c.code+" has knocked, and signs", func() bool {
			_, _, exit := signer.run("country", "approve", c.code)
			return exit == 0 || admitted()
		})
	}
	within(t, 30*time.Second, c.code+" is admitted", admitted)
}

// roots are the feeds that a node holds: epoch, number and root of each.
func (c *country) roots() string {
	c.t.Helper()
	out, _, _ := c.run("status", "-o", "json")
	var st struct {
		Members []struct {
			Country string
			Head    *struct {
				Epoch, N uint64
				Root     string
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		c.t.Fatalf("%s: status: %v", c.code, err)
	}
	var b strings.Builder
	for _, m := range st.Members {
		if m.Head != nil {
			fmt.Fprintf(&b, "%s %d.%d %s\n", m.Country, m.Head.Epoch, m.Head.N, m.Head.Root)
		}
	}
	return b.String()
}

// TestFourteen: fourteen nodes, each in a network of its own, are cut in two
// halves. Both edit on, every node answers all the while, and after the cut has
// healed all of them hold the same.
func TestFourteen(t *testing.T) {
	if testing.Short() || os.Getenv("CI") != "true" {
		t.Skip("left out: runs fourteen real processes for minutes; set CI=true for it")
	}
	board := newSwitchboard(t)
	board.trunk()
	nodes := map[string]*country{}
	for i, code := range fourteen {
		place := board.connect(strings.ToLower(code))
		if i%2 == 1 {
			place.move(strings.ToLower(code))
		}
		c := place.country(code)
		nodes[code] = c
		if i == 0 {
			c.must("found", "--name", "Test federation")
			c.serve()
			continue
		}
		admit(t, nodes, c)
	}
	id := func(i, round int) string { return fmt.Sprintf("2f1b0a52-6f83-4d0c-8a52-1f3ad0a7%02d%02d", round, i) }
	name := func(code string, round int) string { return fmt.Sprintf("Service %s number %d", code, round) }
	for i, code := range fourteen {
		nodes[code].publish(id(i, 0), name(code, 0))
	}
	equal := func() bool {
		want := nodes["PL"].roots()
		if strings.Count(want, "\n") != len(fourteen) {
			return false
		}
		for _, code := range fourteen[1:] {
			if nodes[code].roots() != want {
				return false
			}
		}
		return true
	}
	d := within(t, 60*time.Second, "all fourteen hold the same feeds", equal)
	t.Logf("fourteen countries joined and published; all equal after another %s", d)

	// Somebody asks all the while, everywhere.
	var asking sync.WaitGroup
	stop, asked, failed := make(chan struct{}), 0, 0
	asking.Go(func() {
		for {
			for i, code := range fourteen {
				select {
				case <-stop:
					return
				default:
				}
				asked++
				if _, ok := nodes[fourteen[(i+5)%len(fourteen)]].holds(name(code, 0)); !ok {
					failed++
				}
			}
		}
	})
	board.must("-n", board.name, "link", "set", "trunk0", "down")
	for round := 1; round <= 3; round++ {
		for i, code := range fourteen {
			nodes[code].publish(id(i, round), name(code, round))
		}
	}
	within(t, 30*time.Second, "the halves go on by themselves", func() bool {
		_, near := nodes["LT"].holds(name("PL", 3))
		_, far := nodes["SE"].holds(name("DE", 3))
		return near && far
	})
	if _, ok := nodes["DE"].holds(name("PL", 1)); ok {
		t.Fatal("the trunk is not cut")
	}
	board.must("-n", board.name, "link", "set", "trunk0", "up")
	d = within(t, 60*time.Second, "all fourteen hold the same again", equal)
	t.Logf("all equal %s after the halves were joined", d)
	close(stop)
	asking.Wait()
	t.Logf("%d questions asked meanwhile", asked)
	if failed > 0 || asked < len(fourteen) {
		t.Errorf("%d of %d questions were not answered", failed, asked)
	}
	for _, code := range fourteen {
		for round := range 4 {
			if _, ok := nodes[code].holds(name("NO", round)); !ok {
				t.Errorf("%s lacks listing %d of NO", code, round)
			}
		}
	}
}
