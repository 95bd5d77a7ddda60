package replication_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/replication"
)

// TestGreedyPeer asks for all it can, as fast as it can. It gets its share and no
// more: what it had in advance, and a rate after that. Another peer has its own.
func TestGreedyPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := replication.NewGate()
		greedy, other := identity.NodeID{1}, identity.NodeID{2}
		got := 0
		start := time.Now()
		for time.Since(start) < time.Minute {
			if !g.Enter(t.Context(), greedy) {
				t.Fatal("turned away, where waiting is enough")
			}
			g.Sent(greedy, 1<<20)
			g.Leave(greedy)
			got += 1 << 20
		}
		if limit := 96<<20 + 63*8<<20 + 1<<20; got > limit || got < limit/2 {
			t.Errorf("%d bytes in a minute, at most %d", got, limit)
		}
		start = time.Now()
		if !g.Enter(t.Context(), other) || time.Since(start) > 0 {
			t.Error("another peer has to wait for it")
		}
	})
}

// TestRequestsAtOnce: four of one peer, sixteen in all.
func TestRequestsAtOnce(t *testing.T) {
	g := replication.NewGate()
	admitted := 0
	for peer := range byte(6) {
		for range 5 {
			if g.Enter(t.Context(), identity.NodeID{peer}) {
				admitted++
			}
		}
		if peer == 0 && admitted != 4 {
			t.Errorf("%d requests of one peer at once", admitted)
		}
	}
	if admitted != 16 {
		t.Errorf("%d requests at once", admitted)
	}
	g.Leave(identity.NodeID{0})
	if !g.Enter(t.Context(), identity.NodeID{5}) {
		t.Error("a place was left and not given away")
	}
}

// TestAnnouncementsAreFew: a peer that announces without end is turned away.
func TestAnnouncementsAreFew(t *testing.T) {
	scene(t, func(p *play) {
		ada := p.node("ada")
		mallory := p.impostor("liar", liar{})
		codes := make(map[int]int)
		for range 1000 {
			req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+ada.id.String()+"/r1/announce", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := mallory.client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			codes[resp.StatusCode]++
		}
		if codes[http.StatusTooManyRequests] == 0 || codes[http.StatusBadRequest] < 400 {
			t.Errorf("%v", codes)
		}
	})
}
