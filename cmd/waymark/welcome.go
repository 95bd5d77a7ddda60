package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/2ps-project/waymark/node/control"
)

// welcomeLook is how often the progress of a first copy is looked at.
const welcomeLook = time.Second

// welcomePatience is how many looks in a row the copy may stand still before it is
// said why.
const welcomePatience = 60

// stopsCopy are the alarms that may say why a copy stands still, and are no reason
// at once to stop waiting for it.
var stopsCopy = []string{"disk_full", "too_old", "registry_stopped", "unapproved", "gap", "stuck", "frozen", "unreachable"}

// welcome shows how the copy of the others' lists goes on at a node that has just
// been admitted, and ends with what to do next, or with why it stands still. Progress
// goes to standard error.
func (m *Main) welcome(ctx context.Context, node *control.Client) error {
	var before, shown string
	still := 0
	for {
		s, err := node.Status(ctx)
		if err != nil {
			return err
		}
		line, copying := copyLine(s)
		if line != shown && copying {
			fmt.Fprintln(m.Stderr, plain(line))
			shown, still = line, 0
		}
		if still++; copying {
			if a, ok := standsStill(s, still > welcomePatience); ok {
				return &control.Error{Class: control.Degraded, Code: a.Code, Message: line + " " + a.Text, Next: a.Next + " The copy goes on by itself; see how far it is with: waymark status"}
			}
		}
		// Twice the same, a second apart: by then the others have been asked.
		if !copying && line == before {
			return m.printWelcome(s)
		}
		before = line
		if err := pause(ctx, welcomeLook); err != nil {
			return err
		}
	}
}

// standsStill is the alarm that says why a copy does not go on: that nobody knows
// why, which takes a while to find out, or after some patience what else is wrong.
func standsStill(s control.Status, patient bool) (control.Alarm, bool) {
	i := slices.IndexFunc(s.Alarms, func(a control.Alarm) bool {
		return a.Code == "stalled" || patient && slices.Contains(stopsCopy, a.Code)
	})
	if i < 0 {
		return control.Alarm{}, false
	}
	return s.Alarms[i], true
}

// copyLine says how far the copy is, and whether it still goes on.
func copyLine(s control.Status) (line string, copying bool) {
	var have, of uint64
	whole, others := 0, 0
	for _, c := range s.Members {
		if c.Country == s.Country {
			continue
		}
		others++
		if c.Copied != nil {
			have, of = have+c.Copied.Records, of+c.Copied.Of
		}
		if c.State == control.StateBehind || c.Copied != nil || c.Known != nil {
			copying = true
		} else {
			whole++
		}
	}
	line = fmt.Sprintf("Copying: %d of %s complete, %d listings to show", whole, count(others, "country", "countries"), s.Listings)
	if of > have {
		line += fmt.Sprintf(", %d of %d records under way", have, of)
	}
	return line + ".", copying
}

// printWelcome is what an administrator reads at the end of joining. Nothing is
// stored that was not verified, so what can be shown has good signatures.
func (m *Main) printWelcome(s control.Status) error {
	_, err := fmt.Fprintf(m.Stdout, `
%s, %s, all signatures good. You are live.

What to do next:
  1. Write a recovery sheet, print it and put it into a safe: waymark key recovery-sheet --file SHEET
  2. Publish the first listing: waymark listing import FILE --publish
  3. Say who you are, with the country's crisis contacts: waymark country sheet set FILE
  4. Make a second machine, so that your country does not depend on one: waymark node ticket --file TICKET
  5. Look in now and then, and when something seems wrong: waymark status
`, count(len(s.Members), "country", "countries"), count(s.Listings, "listing", "listings"))
	return err
}
