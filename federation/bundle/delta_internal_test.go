package bundle

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
)

// TestDeltaAgain ranges over changes that come straight from the file a second
// time, as [feed.Delta] allows: they are the same.
func TestDeltaAgain(t *testing.T) {
	file, err := os.ReadFile("testdata/v1.bundle")
	if err != nil {
		t.Fatal(err)
	}
	m, err := ReadManifest(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range m.Feeds {
		for _, stop := range []int{0, 2, int(f.Changes) + 1} {
			t.Run(fmt.Sprintf("%s after %d", f.Country, stop), func(t *testing.T) {
				err := walk(context.Background(), bytes.NewReader(file), nil, &finder{i: i, found: func(s *section) error {
					c := &checker{ctx: context.Background(), file: bytes.NewReader(file), size: int64(len(file))}
					d := c.delta(i, s, nothing{})
					first := collect(t, d, stop)
					all := collect(t, d, -1)
					if len(all) != int(f.Changes) || !slices.Equal(all[:len(first)], first) || !slices.Equal(collect(t, d, -1), all) {
						t.Errorf("%d changes, then %d, want %d", len(first), len(all), f.Changes)
					}
					return errStop
				}})
				if err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// collect ranges over the first changes, over all with a negative number.
func collect(t *testing.T, d feed.Delta, n int) (out []feed.Change) {
	t.Helper()
	for c, err := range d.Changes {
		if err != nil {
			t.Fatal(err)
		}
		if len(out) == n {
			break
		}
		out = append(out, c)
	}
	return out
}
