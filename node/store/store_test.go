package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/store"
)

// step verifies what the author has put against what the store holds.
func step(t testing.TB, f *feedtest.Federation, s *store.Store, a *feedtest.Author) *feed.Verified {
	t.Helper()
	env, items := a.Head(nil)
	return verified(t, f, s, a, items, env)
}

func verified(t testing.TB, f *feedtest.Federation, s *store.Store, a *feedtest.Author, delta feed.Delta, env []byte) *feed.Verified {
	t.Helper()
	view, err := s.View(a.Origin())
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	v, err := f.Rules().Verify(view, [][]byte{env}, delta)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func apply(t testing.TB, f *feedtest.Federation, s *store.Store, a *feedtest.Author) {
	t.Helper()
	if err := s.Apply(context.Background(), step(t, f, s, a)); err != nil {
		t.Fatal(err)
	}
}

// copyDir copies a directory as it lies there, as a power failure would leave it.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == from || d.Name() == "LOCK" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, d.Name()), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func TestSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	f := feedtest.NewFederation("ada")
	a := f.Author("ada").Fill(0, 50, "one")
	s, err := store.Open(store.Options{Dir: dir, Floor: -1})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, f, s, a)
	apply(t, f, s, a.Delete(feedtest.RecordKey(3)).Put(feedtest.RecordKey(4), "two"))
	if err := s.PutBeat(a.Beat(4)); err != nil {
		t.Fatal(err)
	}
	crash := copyDir(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]string{"closed": dir, "cut off": crash} {
		s := open(t, store.Options{Dir: d, Floor: -1})
		feedtest.Same(t, s, a)
		if b, err := s.Beat(a.Origin()); err != nil || b == nil || b.Counter != 4 {
			t.Errorf("%s: the beat is %v, %v", name, b, err)
		}
	}
}

// TestCutOffInALargeStep takes an image of the directory whenever free space is
// asked for, that is before each transaction of a large step, and after it. Each
// image opens with the feed as it was or as it is then, never in between.
func TestCutOffInALargeStep(t *testing.T) {
	dir := t.TempDir()
	var images []string
	var watching atomic.Bool
	s := open(t, store.Options{Dir: dir, Free: func() (int64, error) {
		if watching.Load() {
			images = append(images, copyDir(t, dir))
		}
		return 1 << 40, nil
	}})
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	apply(t, f, s, a.Fill(0, 150, "old"))
	before := a.Clone()
	env, items := a.Fill(100, 2000, "new").Delete(feedtest.RecordKey(1)).Delete(feedtest.RecordKey(2)).Head(nil)
	st, err := s.Stage(a.Origin())
	if err != nil {
		t.Fatal(err)
	}
	watching.Store(true)
	if err := st.Put(items...); err != nil {
		t.Fatal(err)
	}
	v := verified(t, f, s, a, st, env)
	if err := s.Apply(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	watching.Store(false)
	images = append(images, copyDir(t, dir))
	if len(images) < 5 {
		t.Fatalf("only %d images", len(images))
	}
	for i, image := range images {
		again := open(t, store.Options{Dir: image, Floor: -1})
		want := before
		if i == len(images)-1 {
			want = a
		}
		if n, err := again.Keys('s'); n != 0 || err != nil {
			t.Errorf("image %d opens with %d staged entries left, %v", i, n, err)
		}
		undo, err := again.Keys('u')
		if n, err2 := again.Keys('r'); n != len(want.Live())+undo || err != nil || err2 != nil {
			t.Errorf("image %d opens with %d records for %d that are visible and %d kept for undoing, %v, %v", i, n, len(want.Live()), undo, err, err2)
		}
		feedtest.Same(t, again, want)
		if i < len(images)-1 { // and the step can be made again
			st, err := again.Stage(a.Origin())
			if err != nil {
				t.Fatal(err)
			}
			if err := st.Put(items...); err != nil {
				t.Fatal(err)
			}
			if err := again.Apply(context.Background(), verified(t, f, again, a, st, env)); err != nil {
				t.Fatal(err)
			}
			feedtest.Same(t, again, a)
		}
	}
}

// TestCutOffWhileFolding stops between the flip and the end of folding in.
func TestCutOffWhileFolding(t *testing.T) {
	for stop := range 4 {
		dir := t.TempDir()
		s := open(t, store.Options{Dir: dir, Floor: -1})
		f := feedtest.NewFederation("ada")
		a := f.Author("ada")
		apply(t, f, s, a.Fill(0, 150, "old"))
		env, items := a.Fill(100, 2800, "new").Delete(feedtest.RecordKey(1)).Head(nil)
		st, err := s.Stage(a.Origin())
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Put(items...); err != nil {
			t.Fatal(err)
		}
		var image string
		s.OnFold(func(batch int) {
			if batch == stop {
				image = copyDir(t, dir)
			}
		})
		if err := s.Apply(context.Background(), verified(t, f, s, a, st, env)); err != nil {
			t.Fatal(err)
		}
		feedtest.Same(t, s, a)
		if image == "" {
			if stop < 2 {
				t.Fatalf("folded in in %d batches", stop)
			}
			return
		}
		feedtest.Same(t, open(t, store.Options{Dir: image, Floor: -1}), a)
	}
}

// TestFoldFails: an error after the flip must not take anything back, and the
// next who reads or writes goes on.
func TestFoldFails(t *testing.T) {
	broken := errors.New("broken")
	for _, next := range []string{"view", "apply", "stage", "discard"} {
		t.Run(next, func(t *testing.T) {
			s := open(t, store.Options{InMemory: true})
			f := feedtest.NewFederation("ada")
			a := f.Author("ada")
			apply(t, f, s, a.Fill(0, 150, "old"))
			env, items := a.Fill(100, 1800, "new").Delete(feedtest.RecordKey(1)).Head(nil)
			st, err := s.Stage(a.Origin())
			if err != nil {
				t.Fatal(err)
			}
			if err := st.Put(items...); err != nil {
				t.Fatal(err)
			}
			v := verified(t, f, s, a, st, env)
			b := f.Author("ada")
			b.Fill(0, 150, "old").Head(nil)
			later := step(t, f, s, b.Put(feedtest.RecordKey(1), "from the old head"))
			s.FailFold(1, broken)
			if err := s.Apply(context.Background(), v); err != nil {
				t.Fatalf("the step stands, and Apply says %v", err)
			}
			if _, _, _, err := s.Record(feedtest.RecordKey(1)); !errors.Is(err, feed.ErrNoRecord) {
				t.Errorf("a reader still sees what is deleted: %v", err)
			}
			if _, _, raw, err := s.Record(feedtest.RecordKey(120)); err != nil || !bytes.Equal(raw, a.Raw(feedtest.RecordKey(120))) {
				t.Errorf("a reader does not see what changed: %v", err)
			}
			if _, err := s.View(a.Origin()); !errors.Is(err, broken) {
				t.Errorf("a view of a feed that stands in two places: %v", err)
			}
			s.FailFold(0, nil)
			switch next {
			case "apply":
				if err := s.Apply(context.Background(), later); !errors.Is(err, feed.ErrMoved) {
					t.Errorf("a step from the old head: %v", err)
				}
			case "stage":
				if _, err := s.Stage(a.Origin()); err != nil {
					t.Fatal(err)
				}
			case "discard":
				if err := st.Discard(); err != nil {
					t.Fatal(err)
				}
			}
			feedtest.Same(t, s, a)
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	f := feedtest.NewFederation("ada")
	t.Run("in use", func(t *testing.T) {
		dir := t.TempDir()
		open(t, store.Options{Dir: dir, Floor: -1})
		if _, err := store.Open(store.Options{Dir: dir, Floor: -1}); !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), dir) {
			t.Errorf("a second process: %v", err)
		}
	})
	t.Run("a newer format", func(t *testing.T) {
		dir := t.TempDir()
		s, err := store.Open(store.Options{Dir: dir, Floor: -1})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]error{fmt.Sprint(store.Format + 1): store.ErrNewer, "one": store.ErrDamaged, "0": store.ErrDamaged} {
			db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Update(func(txn *badger.Txn) error { return txn.Set([]byte{'m'}, []byte(text)) }); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err := store.Open(store.Options{Dir: dir, Floor: -1}); !errors.Is(err, want) {
				t.Errorf("format %q: %v, want %v", text, err, want)
				if err == nil {
					_ = s.Close()
				}
			}
		}
	})
	t.Run("killed while it wrote a table", func(t *testing.T) {
		dir := t.TempDir()
		s, err := store.Open(store.Options{Dir: dir, Floor: -1})
		if err != nil {
			t.Fatal(err)
		}
		apply(t, f, s, f.Author("ada").Fill(0, 500, "one"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{"000777.sst": nil, "000778.sst": make([]byte, 4096)} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if s, err = store.Open(store.Options{Dir: dir, Floor: -1}); err != nil {
			t.Fatalf("a part of a table that the manifest does not list: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		dir := t.TempDir()
		s, err := store.Open(store.Options{Dir: dir, Floor: -1})
		if err != nil {
			t.Fatal(err)
		}
		apply(t, f, s, f.Author("ada").Fill(0, 500, "one"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		tables, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
		if len(tables) == 0 {
			t.Fatal("no table was written")
		}
		whole, err := os.ReadFile(tables[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{10, len(whole) / 3, len(whole) / 2, len(whole) - 60, len(whole) - 3} {
			bent := bytes.Clone(whole)
			bent[at] ^= 0x10
			if err := os.WriteFile(tables[0], bent, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := store.Open(store.Options{Dir: dir, Floor: -1})
			if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "move the folder aside") {
				t.Errorf("byte %d of %d flipped: %v", at, len(whole), err)
			}
			if err == nil {
				_ = s.Close()
			}
		}
		for name, harm := range map[string]func() error{
			"a table is gone":      func() error { return os.Remove(tables[0]) },
			"a table is cut short": func() error { return os.WriteFile(tables[0], whole[:len(whole)/2], 0o600) },
			"no manifest to read":  func() error { return os.WriteFile(filepath.Join(dir, "MANIFEST"), []byte("?"), 0o600) },
		} {
			if err := os.WriteFile(tables[0], whole, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := harm(); err != nil {
				t.Fatal(err)
			}
			s, err := store.Open(store.Options{Dir: dir, Floor: -1})
			if !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil {
				_ = s.Close()
			}
		}
	})
}

func TestFloor(t *testing.T) {
	dir := t.TempDir()
	free := int64(1 << 40)
	o := store.Options{Dir: dir, Floor: 256 << 20, Alias: alias, Free: func() (int64, error) { return free, nil }}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	apply(t, f, s, a.Fill(0, 5, "one"))
	own := store.Own{Key: feedtest.RecordKey(1), Document: []byte("{}")}
	if err := s.PutOwn(own); err != nil {
		t.Fatal(err)
	}
	before := a.Clone()
	v := step(t, f, s, a.Put(feedtest.RecordKey(9), "two"))
	st, err := s.Stage(a.Origin())
	if err != nil {
		t.Fatal(err)
	}
	free = 255 << 20
	for what, err := range map[string]error{
		"a step": s.Apply(context.Background(), v), "staging": st.Put(feed.Items(v.Delta().(feed.Items))...), "a beat": s.PutBeat(a.Beat(1)),
		"a document": s.PutOwn(own), "a registry entry": s.Chain().Append(1, []byte("x")), "Room": s.Room(),
	} {
		if !errors.Is(err, store.ErrNoRoom) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s below the floor: %v", what, err)
		}
	}
	feedtest.Same(t, s, before)
	if _, ok, err := s.Own(own.Key); !ok || err != nil {
		t.Errorf("reading a document: %t, %v", ok, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(o); err != nil {
		t.Fatalf("opening to read: %v", err)
	}
	feedtest.Same(t, s, before)
	free = 1 << 40
	if err := s.Apply(context.Background(), v); err != nil {
		t.Errorf("after room was made: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	free = 10 << 20
	if _, err := store.Open(o); !errors.Is(err, store.ErrNoRoom) {
		t.Errorf("opening where Badger itself has no room: %v", err)
	}
	o.Dir = t.TempDir()
	free = 255 << 20
	if _, err := store.Open(o); !errors.Is(err, store.ErrNoRoom) {
		t.Errorf("a new database below the floor: %v", err)
	}
}

// TestClaims: a bare id belongs to the feed that had it first; the later one is
// known under its alias, and neither ever loses its name.
func TestClaims(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	f := feedtest.NewFederation("ada", "ben", "cyd")
	k := feedtest.RecordKey(1)
	a, b, c := f.Author("ada"), f.Author("ben"), f.Author("cyd")
	known := func(id feed.Key, want identity.OriginID) {
		t.Helper()
		o, change, _, err := s.Record(id)
		if err != nil || o != want || change.Key != k {
			t.Errorf("%s is origin %s, record %s, %v; want %s", id, o, change.Key, err, want)
		}
	}
	apply(t, f, s, a.Put(k, "ada"))
	apply(t, f, s, b.Put(k, "ben"))
	known(k, a.Origin())
	known(alias(b.Origin(), k), b.Origin())
	for _, x := range []struct {
		o    identity.OriginID
		want feed.Key
	}{{a.Origin(), k}, {b.Origin(), alias(b.Origin(), k)}} {
		if got, err := s.ShownID(x.o, k); err != nil || got != x.want {
			t.Errorf("ShownID(%s) = %s, %v", x.o, got, err)
		}
	}
	apply(t, f, s, a.Delete(k))
	if _, _, _, err := s.Record(k); !errors.Is(err, feed.ErrNoRecord) {
		t.Errorf("a deleted listing answers: %v", err)
	}
	apply(t, f, s, b.Put(k, "ben again"))
	known(alias(b.Origin(), k), b.Origin())
	apply(t, f, s, c.Put(k, "cyd"))
	known(alias(c.Origin(), k), c.Origin())
	apply(t, f, s, a.Put(k, "ada is back"))
	known(k, a.Origin())
	if _, _, _, err := s.Record(feedtest.RecordKey(77)); !errors.Is(err, feed.ErrNoRecord) {
		t.Errorf("an id that nobody has: %v", err)
	}
}

// TestFeedsMeetAtAnID: two feeds claim the same ids at once.
func TestFeedsMeetAtAnID(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	f := feedtest.NewFederation("ada", "ben", "cyd")
	errs := make(chan error, 3)
	authors := []*feedtest.Author{f.Author("ada"), f.Author("ben"), f.Author("cyd")}
	for _, a := range authors {
		v := step(t, f, s, a.Fill(0, 300, "x"))
		go func() { errs <- s.Apply(context.Background(), v) }()
	}
	for range authors {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for _, a := range authors {
		feedtest.Same(t, s, a)
	}
}

// TestConflict: a writer that another one got in the way of goes again.
func TestConflict(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	key, runs := []byte("zz"), 0
	err := s.Commit(func(txn *badger.Txn) error {
		if _, err := txn.Get(key); err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
			return err
		}
		if runs++; runs == 1 {
			if err := s.Commit(func(other *badger.Txn) error { return other.Set(key, []byte("other")) }); err != nil {
				return err
			}
		}
		return txn.Set(key, []byte("mine"))
	})
	if err != nil || runs != 2 {
		t.Errorf("after %d runs: %v", runs, err)
	}
}

func TestChain(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	c := s.Chain()
	if last, err := c.Last(); last != 0 || err != nil {
		t.Errorf("Last of nothing = %d, %v", last, err)
	}
	for i := uint64(1); i <= 300; i++ {
		if err := c.Append(i, fmt.Append(nil, "entry ", i)); err != nil {
			t.Fatal(err)
		}
	}
	for name, err := range map[string]error{"a gap": c.Append(302, []byte("x")), "number nought": c.Append(0, []byte("x")), "another entry": c.Append(7, []byte("x"))} {
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := c.Append(7, []byte("entry 7")); err != nil {
		t.Errorf("the same entry again: %v", err)
	}
	if last, err := c.Last(); last != 300 || err != nil {
		t.Errorf("Last = %d, %v", last, err)
	}
	got, err := c.Entries(255, 3)
	if err != nil || string(bytes.Join(got, []byte("|"))) != "entry 255|entry 256|entry 257" {
		t.Errorf("Entries(255, 3) = %q, %v", got, err)
	}
	if got, err := c.Entries(301, 3); err != nil || len(got) != 0 {
		t.Errorf("Entries after the last = %q, %v", got, err)
	}
	// A recovery may drop the end, over more than one transaction.
	for _, keep := range []uint64{400, 300, 20, 20} {
		if err := c.Truncate(keep); err != nil {
			t.Fatal(err)
		}
		if last, err := c.Last(); last != min(keep, 300) || err != nil {
			t.Errorf("kept %d, Last = %d, %v", keep, last, err)
		}
	}
	if err := c.Append(21, []byte("another 21")); err != nil {
		t.Errorf("after the end was dropped: %v", err)
	}
}

func TestOwn(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	var docs []store.Own
	for i := range 250 {
		docs = append(docs, store.Own{Key: feedtest.RecordKey(i), Document: bytes.Repeat([]byte{'x'}, 5000), Updated: 9})
	}
	docs = append(docs, store.Own{Key: feedtest.RecordKey(900), Document: make([]byte, store.MaxOwn)}, store.Own{Key: feedtest.RecordKey(901), Document: make([]byte, store.MaxOwn)})
	if err := s.PutOwn(docs...); err != nil {
		t.Fatal(err)
	}
	d, ok, err := s.Own(feedtest.RecordKey(3))
	if !ok || err != nil || d.Key != feedtest.RecordKey(3) || len(d.Document) != 5000 || d.Updated != 9 || d.State() != "draft" {
		t.Errorf("Own = %v, %t, %v", d.Key, ok, err)
	}
	d.Published = d.Fingerprint()
	if d.State() != "published" {
		t.Errorf("the state is %s", d.State())
	}
	if d.Document = []byte("y"); d.State() != "changed" {
		t.Errorf("the state is %s", d.State())
	}
	n := 0
	last := feed.Key{}
	if err := s.EachOwn(func(o store.Own) error {
		if n++; bytes.Compare(last[:], o.Key[:]) >= 0 {
			t.Error("not in order of key")
		}
		last = o.Key
		return nil
	}); err != nil || n != len(docs) {
		t.Errorf("EachOwn: %d of %d, %v", n, len(docs), err)
	}
	if err := s.DeleteOwn(feedtest.RecordKey(3)); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := s.Own(feedtest.RecordKey(3)); ok {
		t.Error("a deleted document is there")
	}
	if err := s.PutOwn(store.Own{Key: feedtest.RecordKey(1), Document: make([]byte, store.MaxOwn+1)}); !errors.Is(err, feed.ErrTooLarge) {
		t.Errorf("a document over the limit: %v", err)
	}
}
