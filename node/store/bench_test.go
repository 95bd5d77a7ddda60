package store_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/fedtest/heap"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/store"
)

// text is about a kilobyte that packs like prose: words in any order.
func text(r *rand.Rand) string {
	var b strings.Builder
	for b.Len() < 900 {
		fmt.Fprintf(&b, "word%d ", r.IntN(3000))
	}
	return b.String()
}

// filled is an author with n records of about a kilobyte, and what they are made
// of.
func filled(n int) (f *feedtest.Federation, a *feedtest.Author, env []byte, items feed.Items) {
	r := rand.New(rand.NewPCG(1, 2))
	f = feedtest.NewFederation("ada")
	a = f.Author("ada")
	for i := range n {
		a.Put(feedtest.RecordKey(i), text(r))
	}
	env, items = a.Head(nil)
	return f, a, env, items
}

// onFileOnly is a feed of n records of which nothing stays in memory.
func onFileOnly(b *testing.B, n int) (f *feedtest.Federation, env []byte, pages func(yield func(feed.Items) bool)) {
	b.Helper()
	f, _, env, items := filled(n)
	return f, env, onFile(b, items)
}

// stageAll stages items as a replica does that receives them page by page.
func stageAll(b *testing.B, s *store.Store, o identity.OriginID, pages func(yield func(feed.Items) bool)) feed.Staging {
	b.Helper()
	st, err := s.Stage(o)
	if err != nil {
		b.Fatal(err)
	}
	for page := range pages {
		if err := st.Put(page...); err != nil {
			b.Fatal(err)
		}
	}
	return st
}

const pageItems = 400

// onFile writes the records of items to a file and returns the pages read from
// there, so that what was made for the benchmark is not in its memory.
func onFile(b *testing.B, items feed.Items) func(yield func(feed.Items) bool) {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "records"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	changes := make([]feed.Change, len(items))
	for i, item := range items {
		changes[i] = item.Change()
		if _, err := f.Write(item.Raw()); err != nil {
			b.Fatal(err)
		}
	}
	return func(yield func(feed.Items) bool) {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		for page := range slices.Chunk(changes, pageItems) {
			out := make(feed.Items, len(page))
			for i, c := range page {
				raw := make([]byte, c.Size)
				if _, err := io.ReadFull(f, raw); err != nil {
					b.Fatal(err)
				}
				if out[i], err = feed.Check(c, raw); err != nil {
					b.Fatal(err)
				}
			}
			if !yield(out) {
				return
			}
		}
	}
}

// BenchmarkPublish applies steps of one record over a feed that is held. It
// reports the median and the 99th of a hundred, since a disk has moods.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b, store.Options{Dir: b.TempDir(), Floor: -1})
			f, a, env, items := filled(n)
			if err := s.Apply(context.Background(), verified(b, f, s, a, stageAll(b, s, a.Origin(), slices.Values([]feed.Items{items})), env)); err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			i := 0
			for b.Loop() {
				b.StopTimer()
				i++
				v := step(b, f, s, a.Put(feedtest.RecordKey(i%n), fmt.Sprint("changed ", i)))
				b.StartTimer()
				start := time.Now()
				if err := s.Apply(context.Background(), v); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
		})
	}
}

// onDisk is what the files below a directory take, holes left out.
func onDisk(b *testing.B, dir string) (total int64) {
	b.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".sst" {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return total
}

// written is what this process has had written to disks, in bytes; 0 where the
// system does not tell.
func written() (n int64) {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "\nwrite_bytes: ")
	_, _ = fmt.Sscan(rest, &n)
	return n
}

// BenchmarkFirstCopy100k stages, verifies and applies a feed of 100,000 records
// in an empty store.
func BenchmarkFirstCopy100k(b *testing.B) {
	f, env, pages := onFileOnly(b, 100_000)
	a := f.Author("ada") // with the same origin, and nothing in memory
	var peak uint64
	var bytes, wrote int64
	parts := make(map[string]time.Duration)
	for b.Loop() {
		dir := b.TempDir()
		s, err := store.Open(store.Options{Dir: dir, Floor: -1})
		if err != nil {
			b.Fatal(err)
		}
		before := written()
		peak = max(peak, heap.Peak(func() {
			start := time.Now()
			lap := func(what string) {
				parts[what] += time.Since(start)
				start = time.Now()
			}
			st := stageAll(b, s, a.Origin(), pages)
			lap("stage-s")
			v := verified(b, f, s, a, st, env)
			lap("verify-s")
			if err := s.Apply(context.Background(), v); err != nil {
				b.Fatal(err)
			}
			lap("apply-s")
		}))
		wrote += written() - before
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		bytes = onDisk(b, dir)
	}
	for what, took := range parts {
		b.ReportMetric(took.Seconds()/float64(b.N), what)
	}
	b.ReportMetric(float64(wrote)/float64(b.N)/(1<<20), "MiB-written")
	b.ReportMetric(float64(bytes)/(1<<20), "MiB-tables")
	b.ReportMetric(float64(peak)/(1<<20), "MiB-heap-peak")
}
