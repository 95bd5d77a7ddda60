package feed_test

import (
	"fmt"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
)

// changes are n live entries without records.
func changes(n int) [feed.Buckets][]feed.Change {
	var lists [feed.Buckets][]feed.Change
	for i := range n {
		k := feedtest.RecordKey(i)
		lists[k.Bucket()] = append(lists[k.Bucket()], feed.Change{Seq: uint64(i + 1), Key: k, Op: feed.Put, Size: 1})
	}
	return lists
}

// BenchmarkRoot hashes a whole feed: buckets and tree.
func BenchmarkRoot(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			lists := changes(n)
			for b.Loop() {
				var l feed.Leaves
				for q, list := range lists {
					l[q] = feed.BucketHash(q, list)
				}
				l.Root()
			}
		})
	}
}

// heldView is a feed of which only the hashes and the heads matter.
type heldView struct {
	head   *feed.SignedHead
	heads  [][]byte
	leaves *feed.Leaves
	lists  *[feed.Buckets][]feed.Change
}

func (v heldView) Head() *feed.SignedHead              { return v.head }
func (v heldView) Leaves() (*feed.Leaves, error)       { return v.leaves, nil }
func (v heldView) Bucket(q int) ([]feed.Change, error) { return v.lists[q], nil }
func (v heldView) Close()                              {}
func (v heldView) Heads(n uint64, limit int) ([][]byte, error) {
	from := min(int(n)-1, len(v.heads))
	return v.heads[from:min(from+limit, len(v.heads))], nil
}

// BenchmarkVerify checks a step of one record onto a feed of n, the twentieth of
// its day: signature, the day's heads, bucket, root.
func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := feedtest.NewFederation("ada")
			publish := f.Member("ada").Publish
			a := f.Author("ada").Fill(0, n, "x")
			a.Head(nil, publish)
			for i := range feed.LargeChange - 1 {
				a.Put(feedtest.RecordKey(i), "changed").Head(nil, publish)
			}
			lists := a.Buckets()
			view := heldView{a.View().Head(), a.Heads, a.Leaves(), &lists}
			next, items := a.Put(feedtest.RecordKey(5), "changed again").Head(nil, publish)
			for b.Loop() {
				if _, err := f.Rules().Verify(view, [][]byte{next}, items); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCheck proves one record of a kilobyte.
func BenchmarkCheck(b *testing.B) {
	raw := feedtest.Record(feedtest.RecordKey(1), 1, string(make([]byte, 1000)))
	c := feed.Change{Seq: 1, Key: feedtest.RecordKey(1), Op: feed.Put, Hash: feed.HashRecord(raw), Size: uint32(len(raw))}
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := feed.Check(c, raw); err != nil {
			b.Fatal(err)
		}
	}
}
