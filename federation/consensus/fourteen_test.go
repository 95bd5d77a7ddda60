package consensus_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
)

// TestFourteenGoAndComeBack: of fourteen members one after another goes away, a
// voter each time and now and then the leader, until one is left; then all come
// back. As long as three are there the voters are replaced and the registry can
// be changed; with two of three voters it still can; the last one says that it
// cannot. Nothing is lost, and in the end all are alike.
func TestFourteenGoAndComeBack(t *testing.T) {
	if testing.Short() {
		t.Skip("left out with -short: it takes minutes with the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFederation(t)
		defer f.end()
		short := func(o *consensus.Options) { o.AbsentFor = time.Minute }
		f.options = short
		pl := f.nodes["PL"]
		pl.halt()
		pl.start()
		there := []*node{pl}
		for _, c := range []string{"DE", "LT", "FI", "FR", "SE", "DK", "IT", "ES", "PT", "AT", "CZ", "IE", "NL"} {
			if len(there) < 3 {
				there = append(there, f.join(c))
			} else {
				there = append(there, f.admit(c, there...))
			}
		}
		f.within(5*time.Minute, "five vote", func() bool { h, ok := pl.Keeper.Head(); return ok && len(h.Voters) == 5 })
		f.allSign(10*time.Minute, 5)
		countries := 0
		propose := func(n *node) {
			t.Helper()
			countries++
			n.propose(n.Invite(t, n.State(), string([]byte{"QX"[countries/26], byte('A' + countries%26)})))
		}
		voters := func(n *node) []*node {
			var out []*node
			st := n.Keeper.Fresh(context.Background(), 0)
			for _, o := range there {
				if slices.Contains(st.Voters, o.Node()) {
					out = append(out, o)
				}
			}
			return out
		}
		var away []*node
		for len(there) > 2 {
			voting := voters(there[0])
			gone := voting[len(voting)-1]
			if st := there[0].Keeper.Fresh(context.Background(), 0); len(there)%3 == 0 { // the leader
				gone = voting[slices.IndexFunc(voting, func(n *node) bool { return n.Node() == st.Leader })]
			}
			f.net.Partition([]string{host(gone)}, hostsBut(there, gone)) // without a word
			gone.halt()
			f.net.HealAll()
			there = slices.DeleteFunc(there, func(n *node) bool { return n == gone })
			away = append(away, gone)
			propose(there[len(there)-1])
			if len(there) < 3 {
				break
			}
			want := 5
			if len(there) == 4 {
				want = 4 // four of five: enough, and nobody is there for the fifth place
			} else if len(there) == 3 {
				want = 3
			}
			took := f.within(3*time.Minute, "the voters are there again", func() bool {
				return len(voters(there[0])) == want && (want == 4 || len(there[0].Keeper.Fresh(context.Background(), 0).Voters) == want)
			})
			t.Logf("%d are left, %d vote, after %v", len(there), want, took)
			propose(there[0])
			f.within(5*time.Minute, "signed for", func() bool { return there[0].confirmed(there[0]) })
		}
		last, gone := there[0], there[1]
		gone.halt()
		there, away = there[:1], append(away, gone)
		time.Sleep(10 * time.Second) // what was agreed on by both is here
		before := last.State().Seq()
		begin := time.Now()
		if _, err := last.Propose(context.Background(), last.Invite(t, last.State(), "ZZ")); !errors.Is(err, consensus.ErrNoQuorum) && !errors.Is(err, consensus.ErrOutcomeUnknown) || time.Since(begin) > 3*time.Second {
			t.Fatalf("one alone: %v after %v", err, time.Since(begin))
		}
		time.Sleep(5 * time.Minute)
		if st := last.Status(); st.Quorum || last.State().Seq() != before {
			t.Fatalf("one alone has changed the registry: %+v", st)
		}
		for i := len(away) - 1; i >= 0; i-- { // who went last is back first
			away[i].start()
			there = append(there, away[i])
			f.within(2*time.Minute, "a leader", func() bool { return last.Keeper.Fresh(context.Background(), 0).Quorum })
			propose(away[i])
		}
		f.within(10*time.Minute, "five vote again", func() bool { return len(voters(last)) == 5 })
		f.allSign(10*time.Minute, 5)
		if last.State().Seq() < before+uint64(len(away)) {
			t.Errorf("entry %d", last.State().Seq())
		}
	})
}

func hostsBut(nodes []*node, but *node) (hosts []string) {
	for _, n := range nodes {
		if n != but {
			hosts = append(hosts, host(n))
		}
	}
	return hosts
}
