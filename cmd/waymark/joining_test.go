package main

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/store"
)

// untilSays is for what becomes true by itself, in another process.
func untilSays(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEX COMMAND…")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	eventually(ts, args[1]+" says "+args[0], func() bool {
		_ = ts.Exec(args[1], args[2:]...) // what it says decides
		return want.MatchString(ts.ReadFile("stdout")) || want.MatchString(ts.ReadFile("stderr"))
	})
}

// spoilFile changes a byte inside a PEM file, which stays one: its first, its last,
// or the version of what is in it, which stands behind the head of the map and the
// first key.
func spoilFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: spoil FILE start|end|newer|older")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	block, _ := pem.Decode(b)
	if block == nil {
		ts.Fatalf("%s is no PEM file", args[0])
	}
	at := len(block.Bytes) - 1
	switch args[1] {
	case "start":
		at = 0
	case "newer", "older":
		at = 2
	}
	switch args[1] {
	case "newer":
		block.Bytes[at]++
	case "older":
		block.Bytes[at]--
	default:
		block.Bytes[at] ^= 1
	}
	ts.Check(os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
}

// makeNewer adds a command of a kind that this program does not know to the registry
// of a stopped founder: as a newer program has left it.
func makeNewer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: newer DIR")
	}
	dir := ts.MkAbs(args[0])
	admin, err := identity.LoadKey(filepath.Join(dir, "keys", "admin.key"), identity.RoleAdmin)
	ts.Check(err)
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "store"), Floor: -1})
	ts.Check(err)
	defer func() { ts.Check(s.Close()) }()
	chain := s.Chain()
	last, err := chain.Last()
	ts.Check(err)
	entries, err := chain.Entries(1, int(last))
	ts.Check(err)
	state, err := registry.Replay(entries)
	ts.Check(err)
	_, command, err := registry.NewCommand(state, "of_next_year", registry.Withdraw{}, admin)
	ts.Check(err)
	ts.Check(chain.Append(last+1, registry.Entry{Time: state.Time(), Command: command}.Encode()))
}
