package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/node/store"
)

func TestDrawer(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	a, ab := s.Drawer("a"), s.Drawer("ab") // one name begins with the other
	for i := range 5 {
		if err := a.Put([]byte{byte(4 - i)}, fmt.Append(nil, "a", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := ab.Put([]byte("b"), nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Delete([]byte{2}), a.Delete([]byte("never"))); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := a.Each(func(k, v []byte) error { got = append(got, fmt.Sprintf("%x=%s", k, v)); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := "00=a4 01=a3 03=a1 04=a0"; strings.Join(got, " ") != want {
		t.Errorf("Each: %v, want %s", got, want)
	}
	stop := errors.New("stop")
	n := 0
	if err := a.Each(func(_, _ []byte) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("Each after an error: %v, %d calls", err, n)
	}
	if v, ok, err := ab.Get([]byte("b")); !ok || len(v) != 0 || err != nil {
		t.Errorf("an empty value: %q, %t, %v", v, ok, err)
	}
	if _, ok, err := a.Get([]byte("b")); ok || err != nil {
		t.Errorf("the other's value: %t, %v", ok, err)
	}
	if err := a.Put([]byte("big"), make([]byte, store.MaxDrawerValue)); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"a value": a.Put([]byte("k"), make([]byte, store.MaxDrawerValue+1)),
		"a key":   a.Put(make([]byte, store.MaxDrawerKey+1), nil),
	} {
		if !errors.Is(err, feed.ErrTooLarge) {
			t.Errorf("%s over the limit: %v", name, err)
		}
	}
	for _, name := range []string{"", "a\x00b", strings.Repeat("x", store.MaxDrawerName+1)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a drawer called %q", name)
				}
			}()
			s.Drawer(name)
		}()
	}
}

// TestCounterAgainstAnOlderCopy: the database of yesterday takes the place of
// today's, and the counter beside it tells.
func TestCounterAgainstAnOlderCopy(t *testing.T) {
	dir := t.TempDir()
	o := store.Options{Dir: filepath.Join(dir, "store"), Floor: -1, Counter: filepath.Join(dir, "counter")}
	write := func(from, to int) {
		t.Helper()
		s, err := store.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i < to; i++ {
			if err := s.PutOwn(store.Own{Key: feedtest.RecordKey(i), Document: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(s.DeleteOwn(feedtest.RecordKey(from)), s.Drawer("hides").Put([]byte("k"), nil), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write(0, 3)
	backup := copyDir(t, o.Dir)
	write(3, 10)
	tell := func(what string, want uint64) {
		t.Helper()
		s, err := store.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if n, lost := s.LostTail(); n != want || lost != (want > 0) {
			t.Errorf("%s: LostTail = %d, %t; want %d", what, n, lost, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	tell("a clean restart", 0)
	o.Dir = backup
	tell("the older copy", 9)
	o.Dir = filepath.Join(dir, "new")
	tell("a new database", 14+9)

	whole, err := os.ReadFile(o.Counter)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		bent := bytes.Clone(whole)
		bent[at] ^= 1
		for what, content := range map[string][]byte{"flipped": bent, "cut": whole[:at]} {
			if err := os.WriteFile(o.Counter, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if c, err := store.ParseCounter(content); err == nil {
				t.Errorf("%s at %d it reads %v", what, at, c)
			}
		}
	}
	tell("a counter that cannot be read", 0)
	write(0, 1) // makes a new one
	b, err := os.ReadFile(o.Counter)
	if _, perr := store.ParseCounter(b); err != nil || perr != nil {
		t.Errorf("the new counter: %v, %v", err, perr)
	}
}

func FuzzParseCounter(f *testing.F) {
	f.Add([]byte("waymark write counter 1\nwrites 3\nlost 1\nsum 00\n"))
	f.Add([]byte("waymark write counter 1\nwrites 18446744073709551615\nlost 0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, err := store.ParseCounter(b); err == nil && text != string(b) {
			t.Errorf("%q reads as %q", b, text)
		}
	})
}

// FuzzLog: the log of a killed process may say anything.
func FuzzLog(f *testing.F) {
	f.Add(make([]byte, 100))
	f.Fuzz(func(_ *testing.T, b []byte) { store.ReadLog(b) })
}

// FuzzTable: so may a table.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "000001.sst")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = store.CheckTable(path)
	})
}
