package main_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestJoinByStick: a fourth country whose link is down from the first day joins by
// files alone: request, numbers, approvals of others, a bundle back.
func TestJoinByStick(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes; left out with -short")
	}
	board := newSwitchboard(t)
	nodes := map[string]*country{}
	for _, code := range []string{"PL", "DE", "LT"} {
		c := board.connect(code).country(code)
		nodes[code] = c
		if code == "PL" {
			c.must("found", "--name", "Test federation")
		} else {
			c.must("join", strings.TrimSpace(nodes["PL"].must("invite", code)), "--wait")
		}
		c.serve()
	}
	pl, de := nodes["PL"], nodes["DE"]
	within(t, 20*time.Second, "DE sees three members", func() bool { st, _ := de.status(); return len(st.Members) == 3 })
	de.publish("9d3f6c1e-40a1-4b57-8f5e-0c2a7d9be001", "Beratung am Telefon")

	island := board.connect("FI")
	island.down()
	fi := island.country("FI")
	var made struct{ File string }
	if err := json.Unmarshal([]byte(pl.must("invite", "FI", "-o", "json")), &made); err != nil {
		t.Fatal(err)
	}
	stick := t.TempDir()
	request := filepath.Join(stick, "request")
	var asked, heard struct{ Numbers []string }
	if err := json.Unmarshal([]byte(fi.must("join", made.File, "--request", request, "-o", "json")), &asked); err != nil {
		t.Fatal(err)
	}
	fi.serve()
	if err := json.Unmarshal([]byte(pl.must("country", "knock", request, "-o", "json")), &heard); err != nil {
		t.Fatal(err)
	}
	numbers := strings.Join(asked.Numbers, " ")
	if len(numbers) != 14 || strings.Join(heard.Numbers, " ") != numbers {
		t.Fatalf("FI reads %q, PL reads %q", asked.Numbers, heard.Numbers)
	}
	pl.must("country", "approve", "FI", "--numbers", numbers)
	within(t, 20*time.Second, "DE signs", func() bool { _, _, exit := de.run("country", "approve", "FI"); return exit == 0 })
	within(t, 20*time.Second, "PL holds DE's listing and knows FI", func() bool {
		st, _ := pl.status()
		_, ok := pl.holds("Beratung am Telefon")
		return ok && len(st.Members) == 4
	})
	if st, _ := fi.status(); len(st.Members) != 0 {
		t.Fatal("the link is not down")
	}

	var errs string
	within(t, 20*time.Second, "FI takes the answer in", func() bool {
		// The voters' word on the newest entries may be a moment behind.
		welcome := filepath.Join(t.TempDir(), "welcome")
		pl.must("bundle", "export", welcome)
		var exit int
		_, errs, exit = fi.run("bundle", "import", welcome)
		st, _ := fi.status()
		return exit == 0 && len(st.Members) == 4
	})
	if _, ok := fi.holds("Beratung am Telefon"); !ok {
		t.Fatalf("FI does not have what came with the bundle\n%s", errs)
	}
	within(t, 20*time.Second, "FI publishes", func() bool {
		st, _ := fi.status()
		for _, m := range st.Members {
			if m.Country == "FI" {
				return m.State == "self"
			}
		}
		return false
	})
	fi.publish("2f1b0a52-6f83-4d0c-8a52-1f3ad0a7c001", "Luottamuksellinen keskustelu")
	first := filepath.Join(stick, "first")
	fi.must("bundle", "export", first)
	pl.run("bundle", "import", first)
	if _, ok := pl.holds("Luottamuksellinen keskustelu"); !ok {
		t.Fatal("PL does not have what FI published")
	}
}
