package gossip_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/gossip"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/transport"
)

func TestOutboundOnly(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		nodes := p.nodes(2)
		key, err := identity.Generate(identity.RoleNode)
		if err != nil {
			t.Fatal(err)
		}
		p.reg.add(transport.Peer{ID: key.Public().NodeID(), Key: key.Public()})
		hidden := p.start("hidden", key, p.reg, gossip.Options{Federation: p.fed, OutboundOnly: true})
		if err := hidden.Announce(gossip.Hint{Name: "x"}); err != nil {
			t.Error(err)
		}
		together(t, nodes, 15*time.Second)
		time.Sleep(10 * time.Minute)
		if n := len(hidden.Alive()); n != 0 {
			t.Errorf("the node that takes no part sees %d", n)
		}
		if s := hidden.port.Stats(); s.Dialled != 0 {
			t.Errorf("it dialled %d times", s.Dialled)
		}
	})
}

// TestNodeComesBack has a node leave for good, and another restart.
func TestNodeComesBack(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		nodes := p.nodes(3)
		together(t, nodes, 15*time.Second)
		nodes[2].stop()
		key, err := identity.Generate(identity.RoleNode)
		if err != nil {
			t.Fatal(err)
		}
		p.reg.remove(nodes[2].id)
		p.reg.add(transport.Peer{ID: key.Public().NodeID(), Key: key.Public(), Endpoints: []string{"n2:7946"}})
		first := p.start("n2", key, p.reg, gossip.Options{Federation: p.fed})
		together(t, []*actor{nodes[0], nodes[1], first}, 30*time.Second)
		first.stop()
		again := p.start("n2", key, p.reg, gossip.Options{Federation: p.fed})
		together(t, []*actor{nodes[0], nodes[1], again}, 90*time.Second)
	})
}

// TestRunsAgain has a supervisor start the part again on the same port.
func TestRunsAgain(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		nodes := p.nodes(2)
		together(t, nodes, 15*time.Second)
		key, err := identity.Generate(identity.RoleNode)
		if err != nil {
			t.Fatal(err)
		}
		p.reg.add(transport.Peer{ID: key.Public().NodeID(), Key: key.Public(), Endpoints: []string{"n2:7946"}})
		third := p.start("n2", key, p.reg, gossip.Options{Federation: p.fed})
		together(t, append(nodes, third), 15*time.Second)
		third.port.Accept(transport.ProtoGossip).Close()
		if err := <-third.done; err == nil {
			t.Fatal("Run went on without its listener")
		}
		if n := len(third.Alive()); n != 0 {
			t.Errorf("sees %d while it does not run", n)
		}
		go func() { third.done <- third.Run(third.ctx) }()
		together(t, append(nodes, third), 90*time.Second)
	})
}

// TestStopsWhileNobodyAnswers ends with probes and dials under way.
func TestStopsWhileNobodyAnswers(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		nodes := p.nodes(4)
		together(t, nodes, 15*time.Second)
		p.net.Partition([]string{"n0"}, []string{"n1", "n2", "n3"})
		time.Sleep(12 * time.Second)
		start := time.Now()
		nodes[0].stop()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("stopping took %v", took)
		}
	})
}

func TestDeadConnectionIsReplaced(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		nodes := p.nodes(2)
		together(t, nodes, 15*time.Second)
		time.Sleep(time.Minute)
		before := nodes[0].port.Stats().Dialled + nodes[1].port.Stats().Dialled
		p.net.Cut("n0", "n1")
		time.Sleep(40 * time.Second)
		open := nodes[0].port.Stats().Open[transport.ProtoGossip]
		if open != 0 {
			t.Errorf("%d connections to a node that is silent", open)
		}
		p.net.Heal("n0", "n1")
		time.Sleep(2 * time.Minute)
		together(t, nodes, 0)
		if after := nodes[0].port.Stats().Dialled + nodes[1].port.Stats().Dialled; after == before {
			t.Error("no new connection was made")
		}
	})
}

func TestIdleTraffic(t *testing.T) {
	for _, c := range []struct {
		nodes int
		most  float64 // bytes a second of all nodes together
	}{{3, 2_000}, {14, 20_000}} {
		t.Run(fmt.Sprint(c.nodes, " nodes"), func(t *testing.T) {
			scene(t, func(t *testing.T, p *play) {
				nodes := p.nodes(c.nodes)
				together(t, nodes, 30*time.Second)
				time.Sleep(2 * time.Minute)
				before, start := p.net.SentAll(), time.Now()
				time.Sleep(30 * time.Minute)
				rate := float64(p.net.SentAll()-before) / time.Since(start).Seconds()
				t.Logf("%d idle nodes send %.0f bytes a second together, TLS included", c.nodes, rate)
				if rate > c.most || rate == 0 {
					t.Errorf("%.0f bytes a second, want at most %.0f and more than none", rate, c.most)
				}
				if n := p.net.Open(); n > c.nodes*c.nodes {
					t.Errorf("%d connections are open", n)
				}
			})
		})
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := gossip.New(gossip.Options{}); err == nil {
		t.Error("options with nothing in them were accepted")
	}
}
