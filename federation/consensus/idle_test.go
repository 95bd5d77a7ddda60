package consensus_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestAnIdleHour: what the registry costs while nothing happens, per node, TLS
// included; a gross rise is a fault.
func TestAnIdleHour(t *testing.T) {
	if testing.Short() {
		t.Skip("left out with -short: it measures, and takes minutes with the race detector")
	}
	for voters, most := range map[int]int64{3: 8 << 20, 5: 16 << 20} {
		synctest.Test(t, func(t *testing.T) {
			f, pl, de, lt := three(t)
			defer f.end()
			names := []string{"FI", "FR", "SE"}
			if voters == 3 {
				f.follows = map[string]bool{"FI": true, "FR": true, "SE": true}
			} else {
				f.follows = map[string]bool{"SE": true}
			}
			for _, c := range names {
				f.admit(c, pl, de, lt)
			}
			f.allSign(10*time.Minute, voters)
			time.Sleep(10 * time.Minute)
			before := map[*node]int64{}
			for _, n := range f.nodes {
				before[n] = f.net.Sent(host(n))
			}
			time.Sleep(time.Hour)
			for c, n := range f.nodes {
				sent := f.net.Sent(host(n)) - before[n]
				st := n.Status()
				t.Logf("%d voters: %s, voting %v, leading %v: %d bytes sent in an idle hour", voters, c, st.Voting, st.Leader == n.Node(), sent)
				if sent > most {
					t.Errorf("%s sent %d bytes", c, sent)
				}
			}
			t.Logf("%d voters: all together %d bytes; the registry has %d entries, %d bytes of state", voters, f.net.SentAll(), pl.State().Seq(), len(pl.State().Encode()))
		})
	}
}
