package node

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/thejerf/suture/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/replication"
)

// role is what a node is for its member.
type role int

const (
	roleNone      role = iota // the registry does not name it, or no longer
	roleMirror                // it holds everything and signs nothing
	rolePublisher             // it signs the feed
)

// role is this node's part now, after it had another one. A machine that takes the
// place of another one is a mirror until it holds what that one has published:
// signing earlier would take it back. Once it publishes it goes on, as long as the
// registry has it so: the peers are asked anew then, and would have to answer first.
func (n *Node) role(was role) role {
	m, in := n.self()
	switch {
	case !in:
		return roleNone
	case !n.publishes(m), was != rolePublisher && !n.mayBegin(m):
		return roleMirror
	}
	return rolePublisher
}

// mayBegin reports whether the feed can be signed from here: it was before, or it
// begins here, or everything of it that anybody shows is here.
func (n *Node) mayBegin(m registry.Member) bool {
	held := n.head(m.Origin)
	if _, err := os.Stat(filepath.Join(n.o.Dir, fileGuard)); err == nil || m.Epoch == 1 || held != nil && held.Epoch == m.Epoch {
		return true
	}
	r := n.replicator.Load()
	if r == nil || len(n.unreachable()) >= len(n.peers()) {
		return false
	}
	select {
	case <-r.Met():
	default:
		return false
	}
	return !r.Behind(m.Origin) && (held != nil || r.Highest(m.Origin) == nil)
}

// roleLook is how often a node looks whether its part has changed; a change of
// the registry makes it look at once.
const roleLook = time.Second

// runMember publishes and replicates, once admitted, and does what every node of
// a member does.
func (n *Node) runMember(ctx context.Context) error {
	m, err := n.admitted(ctx)
	if err != nil {
		return nil // stopped before it was admitted
	}
	if err := n.settleKeys(m); err != nil {
		return err
	}
	if err := n.fits(m); err != nil {
		n.o.Logger.Error("this node takes no part in its federation", "err", err)
		n.mu.Lock()
		n.stopped = err
		n.mu.Unlock()
		return nil // a person must mend it; trying again would not
	}
	n.keepPeers()
	if !n.wasMember {
		if err := n.catalog.Rebuild(ctx, nil); err != nil { // feeds whose country was not known before
			return err
		}
	}
	sup := suture.NewSimple("member")
	sup.Add(service{"feeds", func(ctx context.Context) error {
		as := roleNone
		for {
			m, err := n.admitted(ctx)
			if err != nil {
				return nil
			}
			as = n.role(as)
			if err := n.runAs(ctx, m, as); err != nil || ctx.Err() != nil {
				return err
			}
		}
	}})
	sup.Add(service{"succession", n.succeed})
	sup.Add(service{"docket", n.runDocket})
	sup.Add(service{"upkeep", n.upkeep})
	sup.Add(service{"reports", n.reports.Run})
	if n.o.Config.Federation.OutboundOnly {
		sup.Add(service{"way back", func(ctx context.Context) error { return n.transport.KeepReverse(ctx, n.gates, 0) }})
	} else {
		g, err := n.openGossip()
		if err != nil {
			return err
		}
		n.gossip.Store(g)
		sup.Add(service{"gossip", g.Run})
		sup.Add(service{"admissions", n.runAdmissions})
	}
	if err := sup.Serve(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// runAs runs the node's part in its federation until that is another one.
func (n *Node) runAs(ctx context.Context, m registry.Member, as role) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		n.whileIn(ctx, as)
	}()
	o := replication.Options{
		Store: n.store, Appender: n, Docket: n.docket, Owner: n.owns, Rules: n.rules, RegistrySeq: n.registrySeq, Peers: n.peers,
		Client: n.transport.Client(), Reset: n.transport.Reset, NewRegistry: func(uint64) { n.keeper.Load().Poke() },
		Gossip: n.spread, Logger: n.o.Logger, Now: n.o.Now,
	}
	var rep *replication.Replicator
	var publisher *feed.Publisher
	var err error
	if as == rolePublisher {
		publisher, err = n.newPublisher(m, func(v *feed.Verified) { rep.Announce(ctx, v) })
		if err != nil {
			return err
		}
		o.Own, o.OwnBeat, o.Shared, o.Hold, o.Beat, o.NewerOwn = m.Origin, publisher.SeenBeat, publisher.Shared, publisher.Hold, publisher.Beat, publisher.Seen
		o.Adopted = func() { n.adopt(publisher, m.Origin) }
	}
	if rep, err = replication.New(o); err != nil {
		return err
	}
	n.replicator.Store(rep)
	n.publisher.Store(publisher)
	if publisher != nil {
		n.once.Do(func() { close(n.signing) })
		defer func() {
			n.publisher.CompareAndSwap(publisher, nil)
			publisher.Wait() // the last head's guard
		}()
	}
	return n.runParts(ctx, rep, publisher, m.Origin)
}

// whileIn returns when the node's part is another one. While its member is not
// heard, it stays as it was.
func (n *Node) whileIn(ctx context.Context, as role) {
	look := time.NewTicker(roleLook)
	defer look.Stop()
	for {
		changed := n.keeper.Load().Changed()
		if now := n.role(as); now != roleNone && now != as {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-look.C:
		}
	}
}

func (n *Node) newPublisher(m registry.Member, announce func(*feed.Verified)) (*feed.Publisher, error) {
	return feed.NewPublisher(feed.PublisherOptions{
		Federation: n.state().Federation(), Origin: m.Origin, Store: n.store, Appender: n,
		Keys: n.feedKeys, Registry: n.registrySeq,
		PublishKey: n.keys().publish, AdminKey: n.keys().admin, GuardPath: filepath.Join(n.o.Dir, fileGuard),
		Announce: announce,
		Damaged: func(err error) {
			if rep := n.replicator.Load(); rep != nil {
				rep.Rots(m.Origin, err)
			}
		},
		Logger: n.o.Logger, Now: n.o.Now,
		Limits: func() feed.Limits { return limits(n.state().Policy()) },
	})
}

// runParts runs what depends on the node's part until ctx ends. A mirror has no
// publisher.
func (n *Node) runParts(ctx context.Context, rep *replication.Replicator, publisher *feed.Publisher, own identity.OriginID) error {
	sup := suture.NewSimple("feeds")
	sup.Add(service{"replication", rep.Run})
	if publisher != nil {
		sup.Add(service{"desk", func(ctx context.Context) error {
			n.begin(ctx, rep, publisher, own)
			return nil
		}})
	}
	if err := sup.Serve(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// begin signs a fresh head where a new key or epoch came while this node did not
// publish, and gives the editors back what they lack. Not before the others have
// shown what they hold of the feed.
func (n *Node) begin(ctx context.Context, rep *replication.Replicator, p *feed.Publisher, own identity.OriginID) {
	limit := time.NewTimer(signerWait)
	defer limit.Stop()
	select {
	case <-rep.Met():
	case <-limit.C:
	case <-ctx.Done():
		return
	}
	epoch, _ := n.feedKeys().Epoch(own)
	if h := n.head(own); p.Quarantined() != nil && h != nil && h.Epoch < epoch {
		n.adopt(p, own) // it was published elsewhere before
	}
	n.renew()
	if p.Quarantined() == nil {
		n.reclaim(own, false) // what a process that was killed in between did not come to
	}
}
