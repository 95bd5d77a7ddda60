package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/store"
)

// past is a database as a killed process left it, and all that it ever showed.
type past struct {
	dir   string
	heads map[identity.OriginID]map[uint64]*feedtest.Author
	docs  map[feed.Key][]string // every content acknowledged, newest last
}

// makePast fills a database so that each class of file holds something: tables of
// several sessions, a log, and the small files.
func makePast(t *testing.T) *past {
	t.Helper()
	dir := t.TempDir()
	f := feedtest.NewFederation("ada", "ben")
	p := &past{heads: make(map[identity.OriginID]map[uint64]*feedtest.Author), docs: make(map[feed.Key][]string)}
	authors := []*feedtest.Author{f.Author("ada"), f.Author("ben")}
	var s *store.Store
	session := func(name string) {
		var err error
		if s, err = store.Open(store.Options{Dir: dir, Floor: -1, Alias: alias}); err != nil {
			t.Fatal(err)
		}
		for i, a := range authors {
			for n := range 4 {
				apply(t, f, s, a.Fill(40*n, 40*n+60, fmt.Sprint(name, n)).Delete(feedtest.RecordKey(40*n+3)))
				if p.heads[a.Origin()] == nil {
					p.heads[a.Origin()] = make(map[uint64]*feedtest.Author)
				}
				p.heads[a.Origin()][a.View().Head().N] = a.Clone()
				k := feedtest.RecordKey(1000 + 10*i + n)
				text := fmt.Sprint("draft of ", name, i, n)
				if err := s.PutOwn(store.Own{Key: k, Document: []byte(text)}); err != nil {
					t.Fatal(err)
				}
				p.docs[k] = append(p.docs[k], text)
			}
		}
	}
	for _, name := range []string{"one", "two"} {
		session(name)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	session("three")
	s.CounterSaved()
	for p.dir = ""; p.dir == ""; { // not while Badger moves tables about
		before := listing(t, dir)
		image := copyImage(t, dir)
		if listing(t, dir) == before {
			p.dir = image
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// listing names the tables of a directory, and all that was ever done to them.
func listing(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "MANIFEST"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(names) + string(manifest)
}

// copyImage copies the directory and the counter beside it.
func copyImage(t *testing.T, dir string) string {
	t.Helper()
	to := copyDir(t, dir)
	b, err := os.ReadFile(dir + ".counter")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".counter", b, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// check opens an image and reports what came of it. Either it is refused, with
// what to do next; or each feed is just as one of its heads signed it, or marked;
// and a draft that is gone or older is told of.
func (p *past) check(t *testing.T, dir string) string {
	t.Helper()
	s, err := store.Open(store.Options{Dir: dir, Floor: -1, Alias: alias})
	if err != nil {
		if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "move the folder aside") || !strings.Contains(err.Error(), dir) {
			t.Errorf("refused without saying what to do: %v", err)
		}
		return "refused"
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	result := "whole"
	for o, heads := range p.heads {
		view, err := s.View(o)
		if err != nil {
			t.Errorf("View: %v", err)
			continue
		}
		head := view.Head()
		view.Close()
		rotten := s.Rotten(o)
		switch {
		case rotten != nil:
			result = "rotten"
		case head == nil:
			result = "lost"
		case heads[head.N] == nil:
			t.Errorf("head %d was never applied", head.N)
		default:
			if int(head.N) < len(heads) {
				result = "older"
			}
			if head.Hash != heads[head.N].View().Head().Hash {
				t.Errorf("another head %d", head.N)
			}
			if err := s.Scrub(context.Background(), o); err != nil {
				t.Errorf("not marked, and %v", err)
			}
		}
	}
	lost := 0
	for k, texts := range p.docs {
		d, ok, err := s.Own(k)
		if err != nil {
			t.Errorf("Own: %v", err)
		}
		if ok && string(d.Document) == texts[len(texts)-1] {
			continue
		}
		lost++
		if ok && !strings.Contains(strings.Join(texts, "|"), string(d.Document)) {
			t.Errorf("a draft says %q", d.Document)
		}
	}
	if n, told := s.LostTail(); lost > 0 && (!told || n < uint64(lost)) {
		t.Errorf("%d drafts are lost, and LostTail is %d, %t", lost, n, told)
	} else if told {
		result += ", drafts lost"
	}
	return result
}

// TestDamagedFiles flips a bit in, and cuts short, a file of every class, at many
// places. Whatever Badger makes of it, nothing wrong is shown for right, and
// nothing is lost without a word.
func TestDamagedFiles(t *testing.T) {
	p := makePast(t)
	if got := p.check(t, copyImage(t, p.dir)); got != "whole" {
		t.Fatalf("without damage it is %s", got)
	}
	for _, class := range []string{"MANIFEST", "*.sst", "*.mem", "*.vlog", "KEYREGISTRY", "DISCARD"} {
		paths, err := filepath.Glob(filepath.Join(p.dir, class))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no file of class %s, %v", class, err)
		}
		for _, path := range paths {
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Base(path)
			used := len(bytes.TrimRight(whole, "\x00"))
			if used == 0 {
				used = min(len(whole), 64)
			}
			results := make(map[string]int)
			try := func(what string, content []byte) {
				t.Run(name+" "+what, func(t *testing.T) {
					dir := copyImage(t, p.dir)
					if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
						t.Fatal(err)
					}
					results[p.check(t, dir)]++
				})
			}
			for _, at := range places(used) {
				bent := bytes.Clone(whole)
				bent[at] ^= 0x10
				try(fmt.Sprint("flipped at ", at), bent)
				try(fmt.Sprint("cut at ", at), bytes.Clone(whole[:at]))
			}
			t.Logf("%s: %v", name, results)
		}
	}
}

// places are where a file of that length is damaged: at both ends, where lengths
// and sums stand, and in between.
func places(length int) (out []int) {
	for _, at := range []int{0, 3, 8, 15, 18, 25} {
		if at < length {
			out = append(out, at)
		}
	}
	for i := 1; i < 6; i++ {
		if at := length * i / 6; at > 25 {
			out = append(out, at)
		}
	}
	for _, back := range []int{9, 6, 3, 1} {
		if at := length - back; at > 25 {
			out = append(out, at)
		}
	}
	return out
}

// TestManifestCutBetweenEntries: the manifest reads well and lists too little.
func TestManifestCutBetweenEntries(t *testing.T) {
	p := makePast(t)
	whole, err := os.ReadFile(filepath.Join(p.dir, "MANIFEST"))
	if err != nil {
		t.Fatal(err)
	}
	cuts := 0
	for at := 8; at < len(whole); {
		dir := copyImage(t, p.dir)
		if err := os.WriteFile(filepath.Join(dir, "MANIFEST"), whole[:at], 0o600); err != nil {
			t.Fatal(err)
		}
		if got := p.check(t, dir); got != "refused" {
			t.Errorf("cut at %d of %d it is %s", at, len(whole), got)
		}
		cuts++
		at += 8 + int(uint32(whole[at])<<24|uint32(whole[at+1])<<16|uint32(whole[at+2])<<8|uint32(whole[at+3]))
	}
	if cuts < 2 {
		t.Errorf("only %d entries", cuts)
	}
}

// TestLostTail: one flipped bit in the live log, and Badger drops what follows
// without a word. The counter tells of the drafts, the head of the feed is an
// older one that was signed, and a replica catches up as if it had been away.
func TestLostTail(t *testing.T) {
	dir := t.TempDir()
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	s, err := store.Open(store.Options{Dir: dir, Floor: -1})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, f, s, a.Fill(0, 20, "one"))
	doc := func(i int) store.Own { // of noise, which stands in the log as it is
		noise := rand.NewChaCha8([32]byte{byte(i)})
		d := store.Own{Key: feedtest.RecordKey(100 + i), Document: make([]byte, 3000)}
		_, _ = noise.Read(d.Document)
		return d
	}
	for i := range 3 {
		if err := s.PutOwn(doc(i)); err != nil {
			t.Fatal(err)
		}
	}
	apply(t, f, s, a.Put(feedtest.RecordKey(1), "two"))
	held := a.Clone()
	for i := 3; i < 8; i++ {
		if err := s.PutOwn(doc(i)); err != nil {
			t.Fatal(err)
		}
	}
	apply(t, f, s, a.Put(feedtest.RecordKey(1), "three"))
	s.CounterSaved()
	image := copyImage(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(image, "*.mem"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs %v, %v", logs, err)
	}
	b, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, doc(4).Document[:2000])
	if at < 0 {
		t.Fatal("the log does not hold the second of five")
	}
	b[at+500] ^= 1
	if err := os.WriteFile(logs[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	o := store.Options{Dir: image, Floor: -1}
	if s, err = store.Open(o); err != nil {
		t.Fatal(err)
	}
	if n, lost := s.LostTail(); n != 4 || !lost {
		t.Errorf("LostTail = %d, %t; want 4", n, lost)
	}
	feedtest.Same(t, s, held)
	if err := s.Rotten(a.Origin()); err != nil {
		t.Errorf("an older head that was signed: %v", err)
	}
	view, err := s.View(a.Origin())
	if err != nil {
		t.Fatal(err)
	}
	item, err := feed.Check(a.Live()[len(a.Live())-1], a.Raw(feedtest.RecordKey(1)))
	if err != nil {
		t.Fatal(err)
	}
	v, err := f.Rules().Verify(view, a.Heads[len(a.Heads)-1:], feed.Items{item})
	view.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	feedtest.Same(t, s, a)
	for range 2 { // it is told until somebody takes note, and counted once
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = store.Open(o); err != nil {
			t.Fatal(err)
		}
		if n, lost := s.LostTail(); n != 4 || !lost {
			t.Errorf("after a restart LostTail = %d, %t; want 4", n, lost)
		}
	}
	if err := s.PutOwn(doc(9)); err != nil {
		t.Fatal(err)
	}
	if err := s.NoteLostTail(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(o); err != nil {
		t.Fatal(err)
	}
	if n, lost := s.LostTail(); n != 0 || lost {
		t.Errorf("after it was noted LostTail = %d, %t", n, lost)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
