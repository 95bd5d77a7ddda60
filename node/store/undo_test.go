package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/node/store"
)

// clock is a time that tests set.
type clock struct{ now time.Time }

func (c *clock) options() store.Options {
	return store.Options{InMemory: true, Now: func() time.Time { return c.now }}
}

func newClock() *clock { return &clock{feedtest.Now} }

// back goes back to the author's newest head: the registry says that its key was
// stolen after it.
func back(t testing.TB, f *feedtest.Federation, s *store.Store, to *feedtest.Author) error {
	t.Helper()
	good := to.View().Head()
	delta, err := s.Undo(to.Origin(), good)
	if err != nil {
		return err
	}
	place := good.Place()
	f.Bump("ada", &place)
	view, err := s.View(to.Origin())
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	v, err := f.Rules().VerifyRollback(view, good.Envelope, delta)
	if err != nil {
		t.Fatal(err)
	}
	return s.Apply(context.Background(), v)
}

// list is what Since gives, deletions too.
func list(t testing.TB, s *store.Store, a *feedtest.Author, seq uint64) string {
	t.Helper()
	view, err := s.View(a.Origin())
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	var out []string
	if err := view.Since(seq, false, func(c feed.Change, _ []byte) bool {
		out = append(out, fmt.Sprintf("%d:%d", c.Seq, c.Op))
		return true
	}); err != nil {
		return err.Error()
	}
	return strings.Join(out, " ")
}

// TestUndo goes back over changes, deletions, new records, and records that came
// and went, and then back once more.
func TestUndo(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	k := feedtest.RecordKey
	apply(t, f, s, a.Fill(0, 6, "one"))
	first := a.Clone()
	apply(t, f, s, a.Delete(k(5)).Put(k(6), "two"))
	good := a.Clone()
	apply(t, f, s, a.Put(k(0), "three").Delete(k(1)).Put(k(5), "again").Put(k(7), "new"))
	apply(t, f, s, a.Put(k(0), "four").Delete(k(6)).Delete(k(7)).Put(k(1), "again").Put(k(8), "new"))
	if err := back(t, f, s, good); err != nil {
		t.Fatal(err)
	}
	feedtest.Same(t, s, good)
	if err := s.Scrub(context.Background(), good.Origin()); err != nil {
		t.Error(err)
	}
	// 0 to 4 and 6 as they were, 5 deleted as before; 7 and 8 never were.
	if got, want := list(t, s, good, 0), "1:1 2:1 3:1 4:1 5:1 7:2 8:1 8:2 8:2"; got != want {
		t.Errorf("Since(0) = %s, want %s", got, want)
	}
	if n, err := s.Keys('u'); n != 1 || err != nil {
		t.Errorf("%d undo entries are left, %v; want that of record 5", n, err)
	}
	if n, err := s.Keys('r'); n != len(good.Live())+1 || err != nil {
		t.Errorf("%d records are left for %d, %v", n, len(good.Live()), err)
	}
	if _, err := s.Undo(first.Origin(), first.View().Head()); err != nil {
		t.Errorf("further back: %v", err)
	}
	if err := s.Scrub(context.Background(), good.Origin()); err != nil {
		t.Errorf("what Undo staged harms what is visible: %v", err)
	}
}

func TestUndoDoesNotReach(t *testing.T) {
	k := feedtest.RecordKey
	for name, play := range map[string]func(t *testing.T, f *feedtest.Federation, c *clock, s *store.Store, a *feedtest.Author) *feedtest.Author{
		"a head before the first copy": func(t *testing.T, f *feedtest.Federation, _ *clock, s *store.Store, a *feedtest.Author) *feedtest.Author {
			a.Fill(0, 3, "one").Head(nil)
			early := a.Clone()
			env, _ := a.Put(k(0), "two").Head(nil)
			var items feed.Items
			for _, c := range a.Live() {
				item, err := feed.Check(c, a.Raw(c.Key))
				if err != nil {
					t.Fatal(err)
				}
				items = append(items, item)
			}
			if err := s.Apply(context.Background(), verified(t, f, s, a, items.Sort(), env)); err != nil {
				t.Fatal(err)
			}
			return early
		},
		"a head that was only passed through": func(t *testing.T, f *feedtest.Federation, _ *clock, s *store.Store, a *feedtest.Author) *feedtest.Author {
			apply(t, f, s, a.Fill(0, 3, "one"))
			env1, items1 := a.Put(k(0), "two").Head(nil)
			middle := a.Clone()
			env2, items2 := a.Put(k(0), "three").Head(nil)
			view, err := s.View(a.Origin())
			if err != nil {
				t.Fatal(err)
			}
			defer view.Close()
			v, err := f.Rules().Verify(view, [][]byte{env1, env2}, append(items1, items2...).Sort())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Apply(context.Background(), v); err != nil {
				t.Fatal(err)
			}
			return middle
		},
		"a record that was erased since": func(t *testing.T, f *feedtest.Federation, _ *clock, s *store.Store, a *feedtest.Author) *feedtest.Author {
			apply(t, f, s, a.Fill(0, 3, "one"))
			good := a.Clone()
			apply(t, f, s, a.Put(k(0), "two"))
			apply(t, f, s, a.Erase(k(0)))
			return good
		},
		"longer ago than things are kept": func(t *testing.T, f *feedtest.Federation, c *clock, s *store.Store, a *feedtest.Author) *feedtest.Author {
			apply(t, f, s, a.Fill(0, 3, "one"))
			good := a.Clone()
			apply(t, f, s, a.Put(k(0), "two").Delete(k(1)))
			c.now = c.now.Add(store.UndoLife + 24*time.Hour)
			if err := s.Maintain(context.Background(), c.now, store.MaintainOptions{}); err != nil {
				t.Fatal(err)
			}
			if n, err := s.Keys('r'); n != 2 || err != nil {
				t.Errorf("%d records are left of 2, %v", n, err)
			}
			return good
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			s := open(t, c.options())
			f := feedtest.NewFederation("ada")
			a := f.Author("ada")
			to := play(t, f, c, s, a)
			if _, err := s.Undo(a.Origin(), to.View().Head()); !errors.Is(err, feed.ErrPruned) {
				t.Errorf("Undo: %v, want ErrPruned", err)
			}
			if n, err := s.Keys('s'); n != 0 || err != nil {
				t.Errorf("%d staged entries are left, %v", n, err)
			}
			feedtest.Same(t, s, a)
		})
	}
}

// TestUndoOverAnErasedDeadKey: an erasure of what was gone already takes nothing
// away from the heads at which it was gone.
func TestUndoOverAnErasedDeadKey(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	k := feedtest.RecordKey
	apply(t, f, s, a.Fill(0, 3, "one"))
	before := a.Clone()
	apply(t, f, s, a.Delete(k(0)))
	good := a.Clone()
	apply(t, f, s, a.Erase(k(0)).Put(k(1), "two"))
	if n, err := s.Keys('r'); n != 3 || err != nil {
		t.Errorf("%d records, %v; want 1, 2 and the one that 1 was", n, err)
	}
	if _, err := s.Undo(a.Origin(), before.View().Head()); !errors.Is(err, feed.ErrPruned) {
		t.Errorf("back to where it was there: %v", err)
	}
	if err := back(t, f, s, good); err != nil {
		t.Fatal(err)
	}
	feedtest.Same(t, s, good)
}

// TestRollbackCutOff stops a large step back at each point of folding in.
func TestRollbackCutOff(t *testing.T) {
	for stop := range 6 {
		dir := t.TempDir()
		s := open(t, store.Options{Dir: dir, Floor: -1})
		f := feedtest.NewFederation("ada")
		a := f.Author("ada")
		apply(t, f, s, a.Fill(0, 1500, "old"))
		good := a.Clone()
		apply(t, f, s, a.Fill(100, 1700, "stolen").Delete(feedtest.RecordKey(1)))
		var image string
		batch := 0
		s.OnFold(func(int) {
			if batch == stop {
				image = copyDir(t, dir)
			}
			batch++
		})
		if err := back(t, f, s, good); err != nil {
			t.Fatal(err)
		}
		feedtest.Same(t, s, good)
		if image == "" {
			if stop < 2 {
				t.Fatalf("only %d batches", batch)
			}
			return
		}
		again := open(t, store.Options{Dir: image, Floor: -1})
		feedtest.Same(t, again, good)
		if err := again.Scrub(context.Background(), good.Origin()); err != nil {
			t.Error(err)
		}
		for prefix, want := range map[byte]int{'u': 0, 's': 0, 'r': 1500, 'H': 1} {
			if n, err := again.Keys(prefix); n != want || err != nil {
				t.Errorf("cut off at batch %d: %d keys %c, %v; want %d", stop, n, prefix, err, want)
			}
		}
	}
}

// holds lists the files of a directory in which a text stands.
func holds(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if b, err := os.ReadFile(filepath.Join(dir, name.Name())); err == nil && strings.Contains(string(b), text) {
			files = append(files, name.Name())
		}
	}
	return files
}

// readAlways reads records until what it returns is called.
func readAlways(s *store.Store, keys ...feed.Key) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				_, _, _, _ = s.Record(keys[i%len(keys)])
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// TestErase: what is erased is out of every copy at once, and out of every file
// of the database within as many days as the countries have agreed on, while the
// database goes on being used.
func TestErase(t *testing.T) {
	for _, within := range []int{0, 1, 2, 30} {
		t.Run(fmt.Sprintf("within %d days", within), func(t *testing.T) { testErase(t, within) })
	}
}

func testErase(t *testing.T, within int) {
	const secret = "Zq7vXk2PwL9sTb4NcR8m"
	c := newClock()
	dir := t.TempDir()
	o := c.options()
	o.Dir, o.InMemory, o.Floor = dir, false, -1
	s := open(t, o)
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	k := feedtest.RecordKey
	apply(t, f, s, a.Fill(0, 300, "one").Put(k(7), secret+" 1"))
	apply(t, f, s, a.Put(k(7), secret+" 2"))
	st, err := s.Stage(a.Origin()) // a copy that waits in a staging area
	if err != nil {
		t.Fatal(err)
	}
	b := a.Clone()
	_, items := b.Put(k(7), secret+" 3").Head(nil)
	if err := st.Put(items...); err != nil {
		t.Fatal(err)
	}
	defer readAlways(s, k(7), k(8))() // readers never keep what is erased
	apply(t, f, s, a.Erase(k(7)))
	if n, err := s.Keys('r'); n != 299 || err != nil {
		t.Errorf("%d records are left of 299, %v", n, err)
	}
	feedtest.Same(t, s, a)
	if len(holds(t, dir, secret)) == 0 {
		t.Fatal("the test looks for something that no file ever held")
	}
	if since, waits, err := s.ErasedSince(); err != nil || !waits || since != feed.DayOf(c.now) {
		t.Errorf("erased on %v, %v, %v", since, waits, err)
	}
	most := within
	if within == 0 {
		most = 7
	}
	days := 0
	for ; days < most && len(holds(t, dir, secret)) > 0; days++ {
		c.now = c.now.Add(24*time.Hour - time.Second)
		if err := s.Maintain(context.Background(), c.now, store.MaintainOptions{EraseDays: within}); err != nil {
			t.Fatal(err)
		}
		c.now = c.now.Add(time.Second)
		apply(t, f, s, a.Put(k(days), "later"))
	}
	if left := holds(t, dir, secret); len(left) > 0 {
		t.Errorf("after %d days %v still hold what was erased", days, left)
	}
	if _, waits, err := s.ErasedSince(); waits || err != nil {
		t.Errorf("still waiting: %v", err)
	}
	if n, err := s.Keys('E'); n != 0 || err != nil {
		t.Errorf("the erasure is still marked: %d, %v", n, err)
	}
	feedtest.Same(t, s, a)
	if err := s.Scrub(context.Background(), a.Origin()); err != nil {
		t.Error(err)
	}
}

// TestErasureWaitsForReaders: Badger keeps what somebody still reads, and files that
// were compacted meanwhile are not looked at again. So nothing counts as erased before
// whoever began earlier has ended.
func TestErasureWaitsForReaders(t *testing.T) {
	defer store.ReadersWait(time.Millisecond)()
	const secret = "Zq7vXk2PwL9sTb4NcR8m"
	c, dir := newClock(), t.TempDir()
	o := c.options()
	o.Dir, o.InMemory, o.Floor = dir, false, -1
	s := open(t, o)
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	apply(t, f, s, a.Fill(0, 300, "one").Put(feedtest.RecordKey(7), secret))
	reader, err := s.View(a.Origin())
	if err != nil {
		t.Fatal(err)
	}
	apply(t, f, s, a.Erase(feedtest.RecordKey(7)))
	c.now = c.now.Add(24 * time.Hour)
	maintain := func() error {
		return s.Maintain(context.Background(), c.now, store.MaintainOptions{EraseDays: 1})
	}
	if err := maintain(); err == nil || !strings.Contains(err.Error(), "has not ended") {
		t.Errorf("while somebody reads: %v", err)
	}
	if _, raw, err := reader.Record(feedtest.RecordKey(7)); err != nil || !strings.Contains(string(raw), secret) {
		t.Errorf("who began before reads on: %v", err)
	}
	if _, waits, err := s.ErasedSince(); !waits || err != nil {
		t.Errorf("the erasure counts as done: %v", err)
	}
	reader.Close()
	if err := maintain(); err != nil {
		t.Fatal(err)
	}
	if left := holds(t, dir, secret); len(left) > 0 {
		t.Errorf("%v still hold what was erased", left)
	}
	if _, waits, err := s.ErasedSince(); waits || err != nil {
		t.Errorf("still waiting: %v", err)
	}
}

// TestComparedKeepsNothing: what was found by comparing says nothing of what was
// erased meanwhile, so every copy that was kept goes, records and all.
func TestComparedKeepsNothing(t *testing.T) {
	for name, o := range map[string]store.Options{"in memory": newClock().options(), "on disk": {Dir: t.TempDir(), Floor: -1}} {
		t.Run(name, func(t *testing.T) {
			f := feedtest.NewFederation("ada")
			s := open(t, o)
			a := f.Author("ada")
			step := func(verify func(feed.View, [][]byte, feed.Delta) (*feed.Verified, error)) {
				t.Helper()
				env, items := a.Head(nil)
				view, err := s.View(a.Origin())
				if err != nil {
					t.Fatal(err)
				}
				v, err := verify(view, [][]byte{env}, items)
				view.Close()
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Apply(t.Context(), v); err != nil {
					t.Fatal(err)
				}
			}
			a.Fill(0, 6, "one")
			step(f.Rules().Verify)
			first := a.View().Head()
			a.Delete(feedtest.RecordKey(1)).Put(feedtest.RecordKey(2), "two")
			step(f.Rules().Verify)
			if _, err := s.Undo(a.Origin(), first); err != nil {
				t.Fatalf("an ordinary step cannot be undone: %v", err)
			}
			a.Delete(feedtest.RecordKey(3)).Put(feedtest.RecordKey(4), "three")
			step(f.Rules().VerifyCompared)
			feedtest.Same(t, s, a)
			if _, err := s.Undo(a.Origin(), first); !errors.Is(err, feed.ErrPruned) {
				t.Errorf("something is kept: %v", err)
			}
			for prefix, want := range map[byte]int{'u': 0, 'r': 4} {
				if n, err := s.Keys(prefix); err != nil || n != want {
					t.Errorf("%d keys of kind %c, want %d (%v)", n, prefix, want, err)
				}
			}
			view, err := s.View(a.Origin())
			if err != nil {
				t.Fatal(err)
			}
			defer view.Close()
			if err := view.Since(first.Seq, false, func(feed.Change, []byte) bool { return true }); !errors.Is(err, feed.ErrPruned) {
				t.Errorf("it lists changes that it did not see: %v", err)
			}
		})
	}
}
