package search_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/search"
)

func openIndex(t testing.TB, dir string) *search.Index {
	t.Helper()
	x, err := search.New(search.Options{Dir: dir, Stamp: []byte("one"), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func save(t testing.TB, x *search.Index, state string) {
	t.Helper()
	if err := x.Save([]byte(state)); err != nil {
		t.Fatal(err)
	}
}

// printed is an answer but for what differs from run to run.
func printed(a search.Answer) string { a.Snapshot = ""; return fmt.Sprint(a) }

// saved fills a directory with an index of several segments, some of them with
// dead documents, and returns what it stands for.
func saved(t testing.TB, dir string) oracle {
	t.Helper()
	c := corpus{words: vocabulary(80), size: 10, langs: true}
	o := oracle{}
	x := openIndex(t, dir)
	for i, n := range []int{300, 90, 20} {
		var b search.Batch
		for _, d := range c.docs(uint64(i+1), n) {
			b.Put = append(b.Put, d)
			o[search.Ref{Country: d.Country, ID: d.ID}] = d
		}
		if err := x.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	gone := c.doc(1, 250)
	if err := x.Apply(search.Batch{Delete: []search.Ref{{Country: gone.Country, ID: gone.ID}}}); err != nil {
		t.Fatal(err)
	}
	delete(o, search.Ref{Country: gone.Country, ID: gone.ID})
	save(t, x, "all")
	return o
}

func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestASavedIndexAnswersAsBefore(t *testing.T) {
	dir := t.TempDir()
	o := saved(t, dir)
	x := openIndex(t, dir)
	if x.Len() != len(o) || string(x.State()) != "all" || x.Dirty() || x.Damaged() {
		t.Fatalf("%d listings of %d, state %q, dirty %v, damaged %v", x.Len(), len(o), x.State(), x.Dirty(), x.Damaged())
	}
	c := corpus{words: vocabulary(80)}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		q := c.question(r)
		if err := o.check(q, ask(t, x, q)); err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
	}
	// It goes on from there, and leaves nothing behind.
	before := files(t, dir)
	d := c.doc(9, 1)
	if err := x.Apply(search.Batch{Put: []search.Doc{d}}); err != nil {
		t.Fatal(err)
	}
	x.Settle(t.Context())
	save(t, x, "more")
	if len(before) != 4 || len(files(t, dir)) != 2 {
		t.Errorf("files %v, then %v: want one set and three segments, then one of each", before, files(t, dir))
	}
	if y := openIndex(t, dir); printed(ask(t, y, search.Query{})) != printed(ask(t, x, search.Query{})) || string(y.State()) != "more" {
		t.Error("saved again, it answers otherwise")
	}
}

func TestAnotherStampIsNotTakenUp(t *testing.T) {
	dir := t.TempDir()
	saved(t, dir)
	x, err := search.New(search.Options{Dir: dir, Stamp: []byte("two")})
	if err != nil {
		t.Fatal(err)
	}
	if x.Len() != 0 || x.State() != nil || len(files(t, dir)) > 1 {
		t.Errorf("%d listings, state %q, files %v", x.Len(), x.State(), files(t, dir))
	}
}

// Every file of a saved index is bent and cut; each start finds it, leaves out
// what is damaged, answers from the rest, and does not claim to be whole.
func TestDamagedFilesAreLeftOut(t *testing.T) {
	origin := t.TempDir()
	o := saved(t, origin)
	r := rand.New(rand.NewPCG(3, 3))
	for _, name := range files(t, origin) {
		whole, err := os.ReadFile(filepath.Join(origin, name))
		if err != nil {
			t.Fatal(err)
		}
		damage := map[string][]byte{"empty": {}, "one byte more": append(bytes.Clone(whole), 0), "zeroes": make([]byte, len(whole))}
		for range 12 {
			at := r.IntN(len(whole))
			damage[fmt.Sprint("cut at ", at)] = whole[:at]
			at = r.IntN(min(len(whole), 740)) // of the header, all of whose bytes count
			bent := bytes.Clone(whole)
			bent[at] ^= 1 << r.IntN(8)
			damage[fmt.Sprint("bit of byte ", at)] = bent
		}
		for what, b := range damage {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(origin)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
			x := openIndex(t, dir)
			if x.State() != nil && !x.Damaged() || x.Len() >= len(o) {
				t.Fatalf("%s, %s: %d listings of %d, state %q, damaged %v", name, what, x.Len(), len(o), x.State(), x.Damaged())
			}
			for _, h := range ask(t, x, search.Query{Text: "ba", PerPage: 100}).Hits {
				if d, ok := o[h.Ref]; ok && d.Revision != h.Revision && x.Len() > 0 && h.Revision > d.Revision {
					t.Fatalf("%s, %s: a listing that never was: %v", name, what, h)
				}
			}
		}
	}
}

// A column's padding apart, no bit of a segment file can change unnoticed.
func TestNoBitChangesUnnoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.segment")
	c := corpus{words: vocabulary(40), size: 6}
	if err := search.SegmentFile(path, c.docs(1, 30)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := search.OfFile(aligned(b)); err != nil {
		t.Fatal(err)
	}
	unnoticed := 0
	r := rand.New(rand.NewPCG(4, 4))
	for at := range b {
		bit := byte(1) << r.IntN(8)
		b[at] ^= bit
		if _, err := search.OfFile(aligned(b)); err == nil {
			unnoticed++
		} else if !errors.Is(err, search.ErrSegment) {
			t.Fatalf("byte %d: %v", at, err)
		}
		b[at] ^= bit
	}
	if most := 29 * 63; unnoticed > most {
		t.Errorf("%d of %d bytes changed unnoticed; padding is %d at most", unnoticed, len(b), most)
	}
}

// aligned copies bytes to where a mapped file could stand.
func aligned(b []byte) []byte {
	words := make([]uint64, len(b)/8+1)
	out := search.BytesOf(words)[:len(b)]
	copy(out, b)
	return out
}

// A file that is cut off under a running node is a fault of the memory: the
// question is answered from the rest, and the node is told.
func TestAFileCutOffUnderReaders(t *testing.T) {
	dir := t.TempDir()
	o := saved(t, dir)
	x := openIndex(t, dir)
	for _, name := range files(t, dir) {
		if strings.HasSuffix(name, ".segment") {
			if err := os.Truncate(filepath.Join(dir, name), 0); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	a := ask(t, x, search.Query{Text: "babe", Professional: true})
	if !x.Damaged() || x.Len() >= len(o) || a.Total > x.Len() {
		t.Fatalf("damaged %v, %d listings of %d, an answer of %d", x.Damaged(), x.Len(), len(o), a.Total)
	}
	x.Mended()
	var b search.Batch
	for _, d := range o {
		b.Put = append(b.Put, d)
	}
	if err := x.Apply(b); err != nil {
		t.Fatal(err)
	}
	save(t, x, "again")
	c := corpus{words: vocabulary(80)}
	r := rand.New(rand.NewPCG(1, 2))
	y := openIndex(t, dir)
	for range 20 {
		q := c.question(r)
		if err := o.check(q, ask(t, y, q)); err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
	}
}

func TestErasedWordsLeaveTheFiles(t *testing.T) {
	dir := t.TempDir()
	x := openIndex(t, dir)
	c := corpus{words: vocabulary(80), size: 10}
	docs := c.docs(1, 200)
	docs[7].Texts = append(docs[7].Texts, search.Text{Text: "unmistakable"})
	if err := x.Apply(search.Batch{Put: docs}); err != nil {
		t.Fatal(err)
	}
	save(t, x, "1")
	holds := func() (n int) {
		for _, name := range files(t, dir) {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			n += bytes.Count(b, []byte("unmistakable"))
		}
		return n
	}
	if holds() == 0 {
		t.Fatal("the test looks for what is never there")
	}
	// An edit takes the word from the listing, and from the files only in time.
	edited := docs[7]
	edited.Texts = edited.Texts[:1]
	if err := x.Apply(search.Batch{Put: []search.Doc{edited}}); err != nil {
		t.Fatal(err)
	}
	save(t, x, "2")
	x = openIndex(t, dir)
	if err := x.Apply(search.Batch{Erase: []search.Ref{{Country: docs[7].Country, ID: docs[7].ID}}}); err != nil {
		t.Fatal(err)
	}
	save(t, x, "3")
	if n := holds(); n > 0 || x.Len() != 199 {
		t.Errorf("an erased word stands in the files %d times; %d listings", n, x.Len())
	}
}

// TestKilledWhileSaving starts itself again as a process that changes and saves
// without end, kills it, and looks at what a next start finds.
func TestKilledWhileSaving(t *testing.T) {
	c := corpus{words: vocabulary(60), size: 8}
	if dir := os.Getenv("WAYMARK_KILLED_INDEX"); dir != "" {
		x := openIndex(t, dir)
		n, _ := strconv.Atoi(string(x.State()))
		for {
			n++
			if err := x.Apply(search.Batch{Put: c.docs(uint64(n), 100)[n%40:]}); err != nil {
				t.Fatal(err)
			}
			save(t, x, strconv.Itoa(n))
			x.Settle(t.Context())
		}
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(6, 6))
	last := 0
	for range 8 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileSaving$")
		cmd.Env = append(os.Environ(), "WAYMARK_KILLED_INDEX="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(60+r.IntN(250)) * time.Millisecond) // to any point of its work
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		x := openIndex(t, dir)
		n, _ := strconv.Atoi(string(x.State()))
		if n < last {
			t.Fatalf("state %d after %d: a saved state was lost", n, last)
		}
		last = n
		want := oracle{}
		for i := 1; i <= n; i++ {
			for _, d := range c.docs(uint64(i), 100)[i%40:] {
				want[search.Ref{Country: d.Country, ID: d.ID}] = d
			}
		}
		for range 10 {
			q := c.question(r)
			if err := want.check(q, ask(t, x, q)); err != nil {
				t.Fatalf("state %d: %v", n, err)
			}
		}
	}
	if last == 0 {
		t.Error("nothing was ever saved before the process was killed")
	}
}

// FuzzSegmentFile bends a segment file, makes its sums right again, and asks of it: whatever
// is in there, questions end with an answer or an error.
func FuzzSegmentFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "x.segment")
	c := corpus{words: vocabulary(40), size: 6, langs: true}
	docs := c.docs(1, 150)
	if err := search.SegmentFile(path, docs); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, false)
	f.Add([]byte{0, 56, 0}, true)
	f.Add([]byte{3, 1, 255, 9, 9, 1}, true)
	f.Fuzz(func(t *testing.T, changes []byte, sums bool) {
		b := aligned(whole)
		for ; len(changes) >= 3; changes = changes[3:] { // where, in steps over the file; what
			at := (int(changes[0])<<8 | int(changes[1])) * len(b) / (1 << 16)
			b[at] = changes[2]
		}
		if sums {
			search.MendSums(b)
		}
		x, err := search.OfFile(b)
		if err != nil {
			return
		}
		for _, q := range []search.Query{
			{}, {Text: `"` + c.words[0] + " " + c.words[1] + `"`}, {Text: c.words[3][:2], From: "DE", Language: "de"}, {Text: "babebix", Order: search.ByID, Page: 3},
			{Near: &search.Point{Latitude: 50, Longitude: 10}, RadiusKM: 500, Order: search.ByDistance}, {UsableFrom: []string{"PL"}, Age: 15, OpenNow: true},
		} {
			q.Now = noon
			_, _ = x.Search(t.Context(), q)
		}
		_ = x.Apply(search.Batch{Put: docs[:3]})
		x.Settle(t.Context())
	})
}

func FuzzSet(f *testing.F) {
	dir := f.TempDir()
	saved(f, dir)
	b, err := os.ReadFile(filepath.Join(dir, "set"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := search.ParseSet(b); err != nil && !errors.Is(err, search.ErrSegment) {
			t.Fatal(err)
		}
	})
}
