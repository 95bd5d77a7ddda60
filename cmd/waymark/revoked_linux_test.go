package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRevocationCutsOff: the others withdraw the node key of a country, whose
// machine is in other hands. Its connections end at once, and nothing that it
// publishes is taken any more; what it published before stays.
func TestRevocationCutsOff(t *testing.T) {
	nodes, cables := threeCountries(t)
	pl, de, lt := nodes["PL"], nodes["DE"], nodes["LT"]
	lt.publish("2f1b0a52-6f83-4d0c-8a52-1f3ad0a7c001", "Anoniminis pokalbis")
	for _, c := range []*country{pl, de} {
		within(t, 20*time.Second, c.code+" finds what LT published", func() bool { return c.finds("Anoniminis pokalbis") })
	}
	key := ""
	for line := range strings.Lines(lt.must("key", "show")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "node" {
			key = f[1]
		}
	}
	// What comes in at LT, and what it has open to the other two.
	ports := []string{fmt.Sprintf("%04X", lt.base+6), hexPort(t, cables["PL"]), hexPort(t, cables["DE"])}
	for i, p := range ports {
		if connections(t, lt.cmd.Process.Pid, p) == 0 && i == 0 {
			t.Fatal("LT has no connections to begin with")
		}
	}
	pl.must("key", "revoke", key, "--reason", "compromised")
	within(t, 20*time.Second, "DE hears of the decision", func() bool {
		out, _, _ := de.run("approval", "list")
		return strings.Contains(out, "revoke")
	})
	start := time.Now()
	de.must("key", "revoke", key, "--reason", "compromised")
	within(t, 5*time.Second, "LT is cut off", func() bool {
		return connections(t, lt.cmd.Process.Pid, ports...) == 0
	})
	t.Logf("LT has no connection left %s after the last signature was asked for", time.Since(start))
	lt.publish("2f1b0a52-6f83-4d0c-8a52-1f3ad0a7c002", "Netikras pokalbis")
	if !lt.finds("Netikras pokalbis") {
		t.Fatal("LT itself does not find what it published")
	}
	// Everybody that is left agrees once more; by then it would have come.
	pl.publish("7c9e6679-7425-40de-944b-e07fc1f90ae7", "Anonimowa rozmowa")
	within(t, 20*time.Second, "DE finds what PL published", func() bool { return de.finds("Anonimowa rozmowa") })
	for _, c := range []*country{pl, de} {
		if c.finds("Netikras pokalbis") {
			t.Errorf("%s has taken what a revoked node published", c.code)
		}
		if !c.finds("Anoniminis pokalbis") {
			t.Errorf("%s has lost what was published before", c.code)
		}
	}
}

// hexPort is the port of a cable as the kernel writes it.
func hexPort(t *testing.T, k *cable) string {
	t.Helper()
	_, port, err := net.SplitHostPort(k.address())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%04X", n)
}

// connections counts the established TCP connections of a process from or to
// ports of this machine.
func connections(t *testing.T, pid int, ports ...string) int {
	t.Helper()
	own := map[string]bool{}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:[") {
			own[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
		}
	}
	n := 0
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			const established = "01"
			if len(f) > 9 && f[3] == established && own[f[9]] && slices.ContainsFunc(ports, func(p string) bool { return strings.HasSuffix(f[1], ":"+p) || strings.HasSuffix(f[2], ":"+p) }) {
				n++
			}
		}
	}
	return n
}
