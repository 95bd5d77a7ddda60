package store_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
)

// TestReadersSeeWhatWasAcknowledged: what was written before somebody asks is in the
// answer, whoever else reads.
func TestReadersSeeWhatWasAcknowledged(t *testing.T) {
	s := open(t, newClock().options())
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	k := feedtest.RecordKey(0)
	text := func(n int) string { return strings.Repeat("a", n) } // a record tells by its size how new it is
	apply(t, f, s, a.Put(k, text(1)))
	var acknowledged atomic.Int64
	acknowledged.Store(1)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				least := acknowledged.Load()
				if least == 0 {
					return
				}
				_, _, raw, err := s.Record(k)
				if err != nil {
					t.Error(err)
					return
				}
				r, err := feed.ParseRecord(raw)
				if got := strings.Count(string(r.Body), "a"); err != nil || int64(got) < least {
					t.Errorf("read state %d (%v) after %d was acknowledged", got, err, least)
					return
				}
			}
		})
	}
	for n := 2; n < 120; n++ {
		apply(t, f, s, a.Put(k, text(n)))
		acknowledged.Store(int64(n))
	}
	acknowledged.Store(0)
	readers.Wait()
}
