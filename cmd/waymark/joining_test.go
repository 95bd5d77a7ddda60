package main

import (
	"encoding/pem"
	"os"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
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
