package consensus

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

const (
	probeTime = 3 * time.Second
	lookEvery = 30 * time.Second // how often the leader looks for voters that lost their log
	evenFor   = time.Minute      // how long an even number of voters waits for one more
)

// candidate is a node that could vote, as the leader sees it now.
type candidate struct {
	node    identity.NodeID
	country string
	server  raft.ServerID // zero: raft does not run there, or nobody answered
	last    uint64        // its last raft entry
}

// lead is one step of the leader's care for the voters: nodes of distinct
// countries that are ready and reachable, one until there are three of them,
// then three, then five. A node first follows without a vote, and gets one when
// it has kept up for a while. Votes are given in pairs, since two voters
// survive less than one.
func (v *voter) lead(ctx context.Context) {
	s := v.k.State()
	servers := v.servers()
	if v.removeGone(s, servers) {
		return
	}
	voting := map[string]bool{} // countries
	votes := 0
	for _, server := range servers {
		if server.Suffrage == raft.Voter {
			votes++
			voting[country(s, server.Address)] = true
		}
	}
	if !mayVote(s, address(v.k.id)) {
		v.handOver() // to one that takes this node out; who is alone stays
		return
	}
	need := 0
	switch {
	case votes%2 == 0:
		need = 1
		if v.evenSince.IsZero() {
			v.evenSince = time.Now()
		}
	case votes < wanted(s, int(s.Policy().Voters)):
		need = 2
	}
	if votes%2 == 1 {
		v.evenSince = time.Time{}
	}
	if need == 0 && time.Since(v.looked) < lookEvery {
		return
	}
	v.looked = time.Now()
	found := v.probe(ctx, s)
	if v.replaceLost(servers, found) || v.replaceAbsent(s, servers, found) || need == 0 {
		return
	}
	// One candidate of each country that has no vote yet.
	var chosen []candidate
	for _, c := range found {
		if c.server != "" && !voting[c.country] {
			voting[c.country] = true
			chosen = append(chosen, c)
		}
	}
	switch {
	case len(chosen) >= need:
		v.promote(servers, chosen[:need])
	case need == 1 && time.Since(v.evenSince) > evenFor:
		v.stepBack(servers)
	}
}

// wanted is how many voters the registry's nodes allow for.
func wanted(s *registry.State, most int) int {
	ready := 0
	for _, m := range s.Members() {
		for _, n := range m.Nodes {
			if m.Active() && n.VoterOptIn {
				ready++
				break
			}
		}
	}
	switch n := min(ready, most); {
	case n >= 5:
		return 5
	case n >= 3:
		return 3
	default:
		return 1
	}
}

func country(s *registry.State, addr raft.ServerAddress) string {
	id, err := identity.ParseNodeID(string(addr))
	if err != nil {
		return ""
	}
	_, m, _ := s.Node(id)
	return m.Country
}

// promote brings the chosen in: without a vote first, with one when all of them
// have kept up.
func (v *voter) promote(servers []raft.Server, chosen []candidate) {
	ready := true
	now := time.Now()
	for _, c := range chosen {
		known := false
		for _, s := range servers {
			known = known || s.ID == c.server
		}
		if !known {
			if err := v.raft.AddNonvoter(c.server, address(c.node), 0, changeTimeout).Error(); err != nil {
				v.k.Logger.Warn("a node could not be made ready to vote", "node", c.node, "error", err)
				return
			}
		}
		if !known || c.last < v.raft.AppliedIndex() {
			delete(v.stable, c.server)
			ready = false
			continue
		}
		if v.stable[c.server].IsZero() {
			v.stable[c.server] = now
		}
		ready = ready && now.Sub(v.stable[c.server]) >= v.k.StableFor
	}
	if !ready {
		return
	}
	for i, c := range chosen {
		if err := v.raft.AddVoter(c.server, address(c.node), 0, changeTimeout).Error(); err != nil {
			v.k.Logger.Warn("a node did not get its vote", "node", c.node, "error", err)
			clear(v.stable)
			for _, back := range chosen[:i] { // not two voters for longer than this
				v.raft.DemoteVoter(back.server, 0, changeTimeout)
			}
			return
		}
		v.k.Logger.Info("a node has got a vote in the registry", "node", c.node, "country", c.country)
	}
}

// stepBack ends an even number of voters when no other country can make it odd:
// of two, the leader alone remains; of four, three.
func (v *voter) stepBack(servers []raft.Server) {
	for i := len(servers) - 1; i >= 0; i-- {
		if s := servers[i]; s.Suffrage == raft.Voter && s.ID != v.id {
			if err := v.raft.DemoteVoter(s.ID, 0, changeTimeout).Error(); err != nil {
				v.k.Logger.Warn("the number of voters stays even", "error", err)
			}
			return
		}
	}
}

// removeGone takes a node out that the registry no longer lets vote: its
// country has left or is suspended, or has another node now. It reports whether
// it tried to.
func (v *voter) removeGone(s *registry.State, servers []raft.Server) bool {
	for _, server := range servers {
		if server.ID == v.id || mayVote(s, server.Address) {
			continue
		}
		v.k.Logger.Warn("a node that may no longer vote is taken out", "node", server.Address)
		if err := v.raft.RemoveServer(server.ID, 0, changeTimeout).Error(); err != nil {
			v.k.Logger.Warn("a node that may no longer vote stays in", "node", server.Address, "error", err)
		}
		return true
	}
	return false
}

// mayVote reports whether the registry lets the node at a raft address vote.
func mayVote(s *registry.State, addr raft.ServerAddress) bool {
	id, err := identity.ParseNodeID(string(addr))
	if err != nil {
		return false
	}
	n, _, ok := s.Node(id)
	return ok && n.VoterOptIn
}

// replaceLost takes the old name of a node out that has lost its log and runs
// under a new one. It reports whether it changed anything.
func (v *voter) replaceLost(servers []raft.Server, found []candidate) bool {
	for _, s := range servers {
		for _, c := range found {
			if c.server != "" && s.Address == address(c.node) && s.ID != c.server && s.ID != v.id {
				v.k.Logger.Warn("a voter has lost its log and is taken in anew", "node", c.node)
				if err := v.raft.RemoveServer(s.ID, 0, changeTimeout).Error(); err != nil {
					v.k.Logger.Warn("the voter's old name stays", "node", c.node, "error", err)
				}
				return true
			}
		}
	}
	return false
}

// replaceAbsent takes a voter out that has not answered for long: if a node of
// another country is ready to be one instead, or if without it the number of
// voters becomes odd, or can in the next step, and is three at least. So five of
// whom two are gone become three, who can do without one more. It reports
// whether it tried to.
func (v *voter) replaceAbsent(s *registry.State, servers []raft.Server, found []candidate) bool {
	answers := map[raft.ServerAddress]bool{address(v.k.id): true}
	for _, c := range found {
		answers[address(c.node)] = c.server != ""
	}
	var gone []raft.Server
	votes := 0
	voting := map[string]bool{}
	for _, server := range servers {
		if server.Suffrage != raft.Voter {
			continue
		}
		votes++
		switch {
		case answers[server.Address]:
			delete(v.absent, server.ID)
		case v.absent[server.ID].IsZero():
			v.absent[server.ID] = time.Now()
		case time.Since(v.absent[server.ID]) > v.k.AbsentFor:
			gone = append(gone, server)
			continue
		}
		voting[country(s, server.Address)] = true
	}
	if len(gone) == 0 {
		return false
	}
	replaced := slices.ContainsFunc(found, func(c candidate) bool { return c.server != "" && !voting[c.country] })
	if !replaced && !(votes > 3 && (votes%2 == 0 || len(gone) > 1)) {
		return false
	}
	v.k.Logger.Warn("a voter has been away for long and loses its vote", "node", gone[0].Address, "another country takes its place", replaced)
	delete(v.absent, gone[0].ID)
	if err := v.raft.RemoveServer(gone[0].ID, 0, changeTimeout).Error(); err != nil {
		v.k.Logger.Warn("a voter that is away stays in", "node", gone[0].Address, "error", err)
	}
	return true
}

// probe asks every node that is ready to vote how it is, in the order of the
// registry.
func (v *voter) probe(ctx context.Context, s *registry.State) []candidate {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var found []candidate
	for _, m := range s.Members() {
		for _, n := range m.Nodes {
			if m.Active() && n.VoterOptIn && n.ID != v.k.id {
				found = append(found, candidate{node: n.ID, country: m.Country})
			}
		}
	}
	var asking sync.WaitGroup
	for i := range found {
		asking.Go(func() {
			if a, err := v.k.ask(ctx, found[i].node, 0); err == nil {
				found[i].server, found[i].last = raft.ServerID(a.Server), a.Last
			}
		})
	}
	asking.Wait()
	if known := v.k.heads.chain(); founding(known) { // who signs comes first
		slices.SortStableFunc(found, func(a, b candidate) int {
			return order(slices.Contains(known.Newest().VoterIDs(), b.node)) - order(slices.Contains(known.Newest().VoterIDs(), a.node))
		})
	}
	return found
}
