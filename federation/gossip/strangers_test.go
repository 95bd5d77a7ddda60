package gossip_test

import (
	"slices"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/gossip"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/transport"
)

func TestUnknownNodeIsRefused(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		nodes := p.nodes(3)
		together(t, nodes, 15*time.Second)
		key, err := identity.Generate(identity.RoleNode)
		if err != nil {
			t.Fatal(err)
		}
		// Its own registry names everybody; theirs does not name it.
		own := &registry{peers: p.reg.all()}
		stranger := p.start("stranger", key, own, gossip.Options{Federation: p.fed})
		time.Sleep(5 * time.Minute)
		if n := len(stranger.Alive()); n != 0 {
			t.Errorf("the stranger sees %d nodes", n)
		}
		for _, a := range nodes {
			if n := len(a.Alive()); n != 2 {
				t.Errorf("%s sees %d, want 2", a.host, n)
			}
			if _, ok := a.hasHeard(stranger.id); ok {
				t.Errorf("%s heard the stranger", a.host)
			}
		}
	})
}

func TestMemberThatVouchesForAStranger(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		honest := p.nodes(2)
		// A member whose own registry has a stranger in it brings it along.
		key, err := identity.Generate(identity.RoleNode)
		if err != nil {
			t.Fatal(err)
		}
		strangerKey, err := identity.Generate(identity.RoleNode)
		if err != nil {
			t.Fatal(err)
		}
		p.reg.add(transport.Peer{ID: key.Public().NodeID(), Key: key.Public(), Endpoints: []string{"rogue:7946"}})
		wide := &registry{peers: p.reg.all()}
		wide.add(transport.Peer{ID: strangerKey.Public().NodeID(), Key: strangerKey.Public(), Endpoints: []string{"stranger:7946"}})
		rogue := p.start("rogue", key, wide, gossip.Options{Federation: p.fed})
		stranger := p.start("stranger", strangerKey, wide, gossip.Options{Federation: p.fed})
		time.Sleep(5 * time.Minute)
		if !slices.Contains(rogue.Alive(), stranger.id) || len(rogue.Alive()) != 3 {
			t.Fatalf("the rogue sees %d nodes, want 3", len(rogue.Alive()))
		}
		for _, a := range honest {
			if alive := a.Alive(); len(alive) != 2 || slices.Contains(alive, stranger.id) {
				t.Errorf("%s sees %v", a.host, alive)
			}
			if _, ok := a.hasHeard(stranger.id); ok {
				t.Errorf("%s heard the stranger", a.host)
			}
		}
	})
}

func TestRevokedNodeIsDropped(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		nodes := p.nodes(4)
		together(t, nodes, 15*time.Second)
		gone := nodes[3]
		p.reg.remove(gone.id)
		for _, a := range nodes {
			a.port.Recheck()
		}
		for _, a := range nodes[:3] {
			if slices.Contains(a.Alive(), gone.id) {
				t.Errorf("%s still lists the revoked node", a.host)
			}
		}
		hint := gossip.Hint{Name: "secret", Body: []byte("not for everybody")}
		if err := nodes[0].Announce(hint); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if gone.count(hint) != 0 {
			t.Error("the revoked node heard a hint")
		}
		if n := len(gone.port.Stats().Open); n != 0 {
			t.Errorf("the revoked node has %d kinds of connections open", n)
		}
		together(t, nodes[:3], time.Second)
	})
}

func TestFederationsDoNotMix(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		p.node("n0")
		p.fed = identity.FederationID{8} // the same registry, another federation
		other := p.node("n1")
		time.Sleep(5 * time.Minute)
		if n := len(other.Alive()); n != 0 {
			t.Errorf("sees %d nodes of another federation", n)
		}
	})
}
