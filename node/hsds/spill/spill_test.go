package spill_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/2ps-project/waymark/node/hsds/spill"
)

// Pieces of all sizes are read back while others are added.
func TestFile(t *testing.T) {
	f, err := spill.New()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(1, 2))
	var pieces [][]byte
	var at []int64
	check := func(i int) {
		t.Helper()
		got, next, err := f.At(at[i])
		if err != nil || !bytes.Equal(got, pieces[i]) {
			t.Fatalf("piece %d: %d bytes of %d, %v", i, len(got), len(pieces[i]), err)
		}
		if i+1 < len(at) && next != at[i+1] || i+1 == len(at) && next != f.Size() {
			t.Fatalf("the piece after %d begins at %d", i, next)
		}
	}
	for i := range 3000 {
		size := r.IntN(300)
		if i%500 == 499 {
			size = r.IntN(100_000) // across blocks
		}
		piece := make([]byte, size)
		for j := range piece {
			piece[j] = byte(r.Uint32())
		}
		n, err := f.Add(piece)
		if err != nil {
			t.Fatal(err)
		}
		pieces, at = append(pieces, piece), append(at, n)
		check(r.IntN(i + 1))
		check(i)
	}
	for i := range pieces {
		check(i)
	}
	i := 100
	if err := f.Each(at[i], f.Size(), func(begins int64, got []byte) bool {
		if begins != at[i] || !bytes.Equal(got, pieces[i]) {
			t.Fatalf("piece %d", i)
		}
		i++
		return i < 2500
	}); err != nil || i != 2500 {
		t.Error(i, err)
	}
	if _, _, err := f.At(f.Size()); err == nil {
		t.Error("a piece was read behind the last")
	}
}

// An index in a file answers as one in memory does, also where one key fills blocks.
func TestIndex(t *testing.T) {
	for _, count := range []int{0, 1, 256, 1000, 5000} {
		for _, memory := range []int{10_000, 300} {
			func() {
				defer spill.InMemory(memory)()
				x := &spill.Index{}
				defer x.Close()
				want := map[uint64][]uint64{}
				r := rand.New(rand.NewPCG(3, uint64(count)))
				for i := range count {
					key := uint64(r.IntN(500)) * 3
					if i%3 == 0 {
						key = 300
					}
					want[key] = append(want[key], uint64(i))
					if err := x.Put(key, uint64(i)); err != nil {
						t.Fatal(err)
					}
				}
				if err := x.Sort(); err != nil {
					t.Fatal(err)
				}
				for key := range uint64(1502) {
					var got []uint64
					if err := x.Find(key, 0, func(v uint64) bool { got = append(got, v); return true }); err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(got, want[key]) {
						t.Fatalf("%d entries, %d in memory: under %d stand %v, want %v", count, memory, key, got, want[key])
					}
				}
				var late []uint64
				if err := x.Find(300, 700, func(v uint64) bool { late = append(late, v); return true }); err != nil {
					t.Fatal(err)
				}
				if i, _ := slices.BinarySearch(want[300], 700); !slices.Equal(late, want[300][i:]) {
					t.Errorf("from 700 on stand %v", late)
				}
				stopped := 0
				if err := x.Find(300, 0, func(uint64) bool { stopped++; return false }); err != nil || stopped > 1 {
					t.Error("went on")
				}
			}()
		}
	}
}
