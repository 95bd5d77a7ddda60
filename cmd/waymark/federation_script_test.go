package main

import "testing"

// TestFederationScripts runs the scripts in which real nodes take part.
func TestFederationScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real nodes; left out with -short")
	}
	runScripts(t, "testdata/federation")
}
