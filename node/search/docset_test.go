package search

import (
	"math/rand/v2"
	"testing"
)

func TestShared(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		a, b := newBits(n*7), newBits(n*7)
		want := 0
		for i := range uint32(n * 7) {
			in, also := r.IntN(3) > 0, r.IntN(2) > 0
			if in {
				a.set(i)
			}
			if also {
				b.set(i)
			}
			if in && also {
				want++
			}
		}
		if got := a.shared(b); got != want {
			t.Fatalf("of %d documents %d are shared, want %d", n*7, got, want)
		}
		if got := fullBits(n * 7).shared(fullBits(n * 7)); got != n*7 {
			t.Fatalf("of all %d documents %d are shared", n*7, got)
		}
	}
}
