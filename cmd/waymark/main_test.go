package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/2ps-project/waymark/node/control"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"waymark": main})
}

func TestScripts(t *testing.T) { runScripts(t, "testdata") }

// runScripts runs every script of a folder. Beyond the usual commands they have:
//
//	exits CODE waymark …   runs it and checks its exit code
//	jsonenv NAME path      sets NAME to a value of the JSON on the last standard output ("members.0.state")
//	fakenode DIR [SCENE]   answers at the control socket of DIR as fakeNode does
//	ports NAME…            sets each name to a free base port
//	ready DIR              waits until the node of DIR answers
//	quorum DIR             waits until its registry can be changed
//	member DIR COUNTRY     waits until the node knows the country as a member
//	finds DIR ID           waits until a search at the node of DIR has the listing
//	until REGEX waymark …  runs it again and again until its output fits
//	visit STATUS BYTES METHOD ADDRESS [FORM]
//	                       asks for a page of at most so many bytes: its headers are in the file head, the rest in body
//	newer DIR              adds what a newer program has written to the registry of a stopped node
//	spoil FILE PART        changes the last byte of a PEM file's content (end), or its first (start), or
//	                       makes it one of another version (newer, older)
func runScripts(t *testing.T, dir string) {
	// Short names: the path of a unix socket may not be long. They go after all
	// scripts have ended: a node must not lose its directory while it runs.
	short, err := os.MkdirTemp("", "wm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			own, err := os.MkdirTemp(short, "")
			env.Setenv("D", own)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "jsonenv": jsonenv, "fakenode": startFake, "ports": ports, "ready": ready, "quorum": quorum, "member": member, "finds": finds, "until": untilSays, "visit": visit, "spoil": spoilFile, "newer": makeNewer,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func jsonenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: jsonenv NAME path")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for part := range strings.SplitSeq(args[1], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i, err := strconv.Atoi(part)
			ts.Check(err)
			if i >= len(x) {
				ts.Fatalf("%s: only %d elements", args[1], len(x))
			}
			v = x[i]
		default:
			ts.Fatalf("%s: nothing at %s", args[1], part)
		}
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

func ports(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		ts.Setenv(name, strconv.Itoa(freeBasePort(ts)))
	}
}

// handedOut are the ports that a script has and may not use yet.
var handedOut sync.Map

// freeBasePort finds n so that n, n+1, n+2 and n+6 are free, and nobody else's.
func freeBasePort(ts *testscript.TestScript) int {
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		n := l.Addr().(*net.TCPAddr).Port
		l.Close()
		free := n < 65000
		for _, p := range []int{n, n + 1, n + 2, n + 6} {
			if _, taken := handedOut.LoadOrStore(p, true); taken {
				free = false
				break
			}
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return n
		}
	}
	ts.Fatalf("no free ports")
	return 0
}

// eventually asks until done says so, for half a minute at most.
func eventually(ts *testscript.TestScript, what string, done func() bool) {
	again, giveUp := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-giveUp:
			ts.Fatalf("waited half a minute in vain until %s", what)
		}
	}
}

func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready DIR")
	}
	c := control.NewClient(ts.MkAbs(args[0]))
	defer c.Close()
	eventually(ts, "the node of "+args[0]+" is ready", func() bool {
		_, err := c.Status(context.Background())
		return err == nil
	})
}

func quorum(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: quorum DIR")
	}
	c := control.NewClient(ts.MkAbs(args[0]))
	defer c.Close()
	eventually(ts, "the registry can be changed at "+args[0], func() bool {
		s, err := c.Status(context.Background())
		return err == nil && s.Registry.Quorum
	})
}

func member(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: member DIR COUNTRY")
	}
	c := control.NewClient(ts.MkAbs(args[0]))
	defer c.Close()
	eventually(ts, args[1]+" is a member for "+args[0], func() bool {
		s, err := c.Status(context.Background())
		return err == nil && slices.ContainsFunc(s.Members, func(m control.Member) bool { return m.Country == args[1] })
	})
}

func finds(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: finds DIR ID")
	}
	c := control.NewClient(ts.MkAbs(args[0]))
	defer c.Close()
	has := func() bool {
		raw, err := c.Search(context.Background(), map[string][]string{"per_page": {"100"}})
		return err == nil && strings.Contains(string(raw), `"`+args[1]+`"`)
	}
	if neg {
		if has() {
			ts.Fatalf("%s is found at %s", args[1], args[0])
		}
		return
	}
	eventually(ts, args[1]+" is found at "+args[0], has)
}
