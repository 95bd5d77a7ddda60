package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/thejerf/suture/v4"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/gossip"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/replication"
	"github.com/2ps-project/waymark/federation/transport"
	"github.com/2ps-project/waymark/node/control"
)

// directory is whom this node talks to: the active nodes of the registry, and
// while it has none the contacts of its invitation.
type directory Node

var _ transport.Directory = (*directory)(nil)

// Peer implements [transport.Directory].
func (d *directory) Peer(id identity.NodeID) (transport.Peer, bool) {
	n := (*Node)(d)
	if n.state() != nil {
		if node, _, ok := n.docket.View().Node(id); ok {
			return transport.Peer{ID: id, Key: node.Key, Endpoints: node.Endpoints, Voter: node.VoterOptIn}, true
		}
		if _, in := n.self(); in {
			if p, ok := d.reader(id); ok {
				return p, true
			}
			return d.leaver(id)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.join != nil {
		return n.join.Peer(id)
	}
	if n.known != nil {
		return n.known.Peer(id)
	}
	return transport.Peer{}, false
}

// lastWord is how long the nodes of a country that has withdrawn are still
// answered: they hear by it that they are out. What they publish is not taken.
const lastWord = 24 * time.Hour

// leaver is a node of a country that has just withdrawn.
func (d *directory) leaver(id identity.NodeID) (transport.Peer, bool) {
	n := (*Node)(d)
	for _, m := range n.state().Members() {
		if m.Status != registry.StatusWithdrawn || n.o.Now().Sub(timeOf(m.Left)) > lastWord {
			continue
		}
		for _, node := range m.Nodes {
			if node.ID == id {
				return transport.Peer{ID: id, Key: node.Key, Endpoints: node.Endpoints}, true
			}
		}
	}
	return transport.Peer{}, false
}

// reader is a node of a member that is suspended, with a key that nobody else has:
// it may go on reading the registry, and so learns when it is heard again.
func (d *directory) reader(id identity.NodeID) (transport.Peer, bool) {
	n := (*Node)(d)
	v := n.docket.View()
	for _, m := range n.state().Members() {
		if m.Status != registry.StatusSuspended && !(m.Active() && v.Suspended(m.Origin)) {
			continue
		}
		for _, node := range m.Nodes {
			if node.ID != id {
				continue
			}
			if _, revoked := v.Revoked(m.Origin, node.Key.ID()); revoked {
				return transport.Peer{}, false
			}
			return transport.Peer{ID: id, Key: node.Key, Reader: true}, true
		}
	}
	return transport.Peer{}, false
}

// readable is what a node of a suspended member may ask: the registry, to read.
func readable(r *http.Request) bool {
	return r.Method == http.MethodGet && slices.Contains([]string{"/r1/registry", "/r1/registry/heads", "/r1/registry/status"}, r.URL.Path)
}

// peers are the other active nodes that can be reached: by an address, or over a
// connection that they keep open to this one.
func (n *Node) peers() []identity.NodeID {
	s := n.state()
	if s == nil {
		return nil
	}
	var out []identity.NodeID
	for _, m := range s.Members() {
		for _, node := range m.Nodes {
			if _, _, known := n.docket.View().Node(node.ID); known && node.ID != n.id && (len(node.Endpoints) > 0 || n.transport.Reverse(node.ID)) {
				out = append(out, node.ID)
			}
		}
	}
	return out
}

// authority is what the registry and the signed heads of it say of keys and
// places, for package feed.
type authority struct {
	*registry.State
	anchors interface {
		Anchor(o identity.OriginID, epoch, n uint64) (identity.Hash, bool)
		Anchors(o identity.OriginID, epoch uint64) []uint64
	}
}

// Anchor implements [feed.Keys].
func (a authority) Anchor(o identity.OriginID, epoch, n uint64) (identity.Hash, bool) {
	return a.anchors.Anchor(o, epoch, n)
}

// Anchors implements [feed.Keys].
func (a authority) Anchors(o identity.OriginID, epoch uint64) []uint64 {
	return a.anchors.Anchors(o, epoch)
}

// feedKeys are the keys that count here and now.
func (n *Node) feedKeys() feed.Keys {
	return n.docket.View().Keys(authority{n.state(), n.keeper.Load()})
}

func (n *Node) rules() feed.Rules {
	s := n.state()
	return feed.Rules{Federation: s.Federation(), Keys: n.feedKeys(), Now: n.now(), Limits: limits(s.Policy())}
}

// limits are what the federation's policy lets a feed ask of others.
func limits(p registry.Policy) feed.Limits {
	return feed.Limits{PerMinute: int(p.Heads.Burst + p.Heads.PerMinute), Records: uint64(p.Heads.Records), Bytes: uint64(p.Heads.Bytes)}
}

func (n *Node) registrySeq() uint64 {
	if s := n.state(); s != nil {
		return s.Seq()
	}
	return 0
}

// openKeeper makes the keeper of the registry of a federation. Where a newer program
// has kept it before, it knows the registry as far as this program understands it:
// that is enough to answer readers.
func (n *Node) openKeeper(f identity.FederationID, contacts []identity.NodeID, bootstrap bool) error {
	o := consensus.Options{
		Dir: n.o.Dir, Federation: f, Self: n.keys().node, Network: n.transport, Chain: n.store.Chain(),
		Bootstrap: bootstrap, Contacts: contacts, OnChange: n.registryChanged, Alive: n.alive,
		Heads: n.store.Drawer("registry"), Outbox: n.store.Drawer("outbox"), Feeds: n.places, Contradicts: n.contradicts, OnHead: n.headTaken,
		Logger: n.o.Logger, Now: n.o.Now,
	}
	k, err := consensus.New(o)
	if errors.Is(err, registry.ErrUnknownKind) {
		n.newer = err
		if o.Chain, err = understood(o.Chain); err == nil {
			k, err = consensus.New(o)
		}
	}
	if err != nil {
		return err
	}
	n.keeper.Store(k)
	return nil
}

// beginning is a chain up to an entry that this program does not know. Nothing can
// be added to it.
type beginning struct {
	consensus.Chain
	last uint64
}

// understood is the part of a chain that this program understands.
func understood(c consensus.Chain) (consensus.Chain, error) {
	var s *registry.State
	for {
		seq := uint64(1)
		if s != nil {
			seq = s.Seq() + 1
		}
		entries, err := c.Entries(seq, 512)
		if err != nil || len(entries) == 0 {
			return nil, errors.Join(fmt.Errorf("the registry cannot be read from entry %d on", seq), err)
		}
		for _, b := range entries {
			e, err := registry.ParseEntry(b)
			if err != nil {
				return nil, err
			}
			next, err := registry.Next(s, e)
			if errors.Is(err, registry.ErrUnknownKind) && s != nil {
				return beginning{c, s.Seq()}, nil
			}
			if err != nil {
				return nil, err
			}
			s = next
		}
	}
}

// Last implements [consensus.Chain].
func (b beginning) Last() (uint64, error) { return b.last, nil }

// Entries implements [consensus.Chain].
func (b beginning) Entries(from uint64, most int) ([][]byte, error) {
	if from > b.last {
		return nil, nil
	}
	return b.Chain.Entries(from, min(most, int(b.last-from+1)))
}

// Append implements [consensus.Chain].
func (b beginning) Append(seq uint64, _ []byte) error {
	return fmt.Errorf("%w: entry %d is here already", registry.ErrUnknownKind, seq)
}

// outdated is nil, or why this program does not follow the registry any further.
func (n *Node) outdated() error {
	if k := n.keeper.Load(); k != nil && n.newer == nil {
		if problem := k.Status().Problem; errors.Is(problem, registry.ErrUnknownKind) {
			return problem
		}
	}
	return n.newer
}

// errOutdated says what to do about [Node.outdated].
func errOutdated(err error) *control.Error {
	return &control.Error{Class: control.Degraded, Code: "too_old",
		Message: "The shared registry is not followed any further here: from some entry on it was written by a newer version of waymark (" + err.Error() + ").",
		Next:    "Install the newest version of waymark on this machine, then stop the node and start it again. Nothing is lost; readers are served meanwhile."}
}

func (n *Node) alive() []identity.NodeID {
	if g := n.gossip.Load(); g != nil {
		return g.Alive()
	}
	return nil
}

// registryChanged is told of each new entry: who left is cut off, who came is
// compared with. After a recovery it is told of a shorter registry, and nothing
// here depends on the order: all of it is worked out from the state as it is then.
func (n *Node) registryChanged(s *registry.State) {
	n.refreshing.run(func() {
		n.learn()
		n.docket.Refresh()
		n.transport.Recheck()
		n.reconsider()
	})
	if _, _, in := s.Node(n.id); in {
		n.following.run(func() {
			n.keepPeers()
			if m, in := n.self(); in {
				n.follow(m)
			}
		})
	}
	if r := n.replicator.Load(); r != nil {
		r.Poke()
		go r.SpreadRegistry(context.Background(), n.registrySeq())
	}
}

// keepPeers keeps the nodes of the registry outside the database. It is a help
// for a bad day; without it the node works as well.
func (n *Node) keepPeers() {
	n.peersFile.Lock()
	defer n.peersFile.Unlock()
	a := acquainted(n.state(), n.id)
	if err := a.save(n.o.Dir); err != nil {
		n.o.Logger.Warn("the addresses of the other nodes could not be kept", "err", err)
	}
}

// fits reports why this node cannot speak for the member that the registry says
// it is a node of, or nil.
func (n *Node) fits(m registry.Member) error {
	if m.Country != n.o.Config.Country {
		return fmt.Errorf("the configuration says country %s, the registry knows this node as one of %s; put country = %q into %s", n.o.Config.Country, m.Country, m.Country, config.FileName)
	}
	if !n.publishes(m) {
		return nil // a mirror needs none
	}
	// One that was revoked is no mistake: the administrator gives the country
	// another one with this node.
	id := n.keys().publish.ID()
	if !slices.ContainsFunc(m.Keys, func(k registry.Key) bool {
		return k.Role == identity.RolePublish && (k.To == registry.Mark{} || k.Revoked) && k.Public.ID() == id
	}) {
		return fmt.Errorf("the registry does not know the key in %s as one of %s; put back the one that was there when the country joined", filepath.Join(dirKeys, "publish.key"), m.Country)
	}
	return nil
}

// runFederation runs the node's part in its federation, from the moment it
// knows of one. A part that fails is started again; readers do not notice.
func (n *Node) runFederation(ctx context.Context) error {
	n.transport.ServeHTTP(http.HandlerFunc(n.serveFederation))
	select {
	case <-ctx.Done():
		return nil
	case <-n.joining:
	}
	sup := suture.New("federation", suture.Spec{
		EventHook: func(e suture.Event) {
			n.o.Logger.Warn("a part of the federation was started again", "event", e.String())
		},
	})
	if n.newer == nil { // else it could neither follow nor vote
		sup.Add(service{"registry", n.keeper.Load().Run})
	}
	sup.Add(service{"joining", n.runJoin})
	sup.Add(service{"member", n.runMember})
	if err := sup.Serve(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// service is a function under supervision. Coming to its end without an error
// means that it has nothing more to do.
type service struct {
	name string
	run  func(context.Context) error
}

func (s service) String() string { return s.name }

// Serve implements [suture.Service].
func (s service) Serve(ctx context.Context) error {
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return suture.ErrDoNotRestart
}

// serveFederation answers peers: the registry, reports, then feeds.
func (n *Node) serveFederation(w http.ResponseWriter, r *http.Request) {
	if id, ok := transport.PeerOf(r.Context()); ok && n.state() != nil && !readable(r) {
		if _, only := (*directory)(n).reader(id); only {
			http.Error(w, "this member is suspended; its nodes may read the registry", http.StatusForbidden)
			return
		}
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/r1/registry") && n.keeper.Load() != nil:
		n.keeper.Load().Handler().ServeHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, pathReports):
		n.serveReports(w, r)
	case n.replicator.Load() != nil:
		n.replicator.Load().Handler().ServeHTTP(w, r)
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// admitted waits until the registry names this node.
func (n *Node) admitted(ctx context.Context) (registry.Member, error) {
	k := n.keeper.Load()
	for {
		changed := k.Changed()
		if m, ok := n.self(); ok {
			return m, nil
		}
		select {
		case <-ctx.Done():
			return registry.Member{}, ctx.Err()
		case <-changed:
		}
	}
}

// adopt goes on publishing after the own feed was fetched back from peers.
func (n *Node) adopt(p *feed.Publisher, own identity.OriginID) {
	if p.Quarantined() != nil {
		n.adopted(p.Adopt, own)
	}
}

// adopted ends a quarantine in one of the ways in which it may end.
func (n *Node) adopted(end func() error, own identity.OriginID) {
	if err := end(); err != nil {
		n.o.Logger.Error("publishing stays stopped", "err", err)
		return
	}
	n.reclaim(own, true)
}

// reclaim gives the editors back what the own feed holds and their desk lost.
// Unless it is certain that something is missing it only counts.
func (n *Node) reclaim(own identity.OriginID, certain bool) {
	view, err := n.store.View(own)
	if err != nil {
		n.o.Logger.Error("the own feed could not be read", "err", err)
		return
	}
	defer view.Close()
	head := view.Head()
	if head == nil {
		return
	}
	if published, err := n.desk.Published(); !certain && err == nil && published == head.Count {
		return
	}
	back, err := n.desk.Reclaim(view)
	if err != nil {
		n.o.Logger.Error("published listings could not all be given back to the editors", "err", err)
	}
	if back > 0 {
		n.o.Logger.Warn("listings that were published from here are back from the federation; their private parts are lost", "listings", back)
	}
}

// lost is told that a connection with a peer ended.
func (n *Node) lost(id identity.NodeID) {
	if r := n.replicator.Load(); r != nil {
		r.Doubt(id)
	}
	if k := n.keeper.Load(); k != nil {
		k.Poke() // it may be this node that is not heard any more; the registry says so
	}
}

// openGossip connects gossip's hints with replication.
func (n *Node) openGossip() (*gossip.Gossip, error) {
	return gossip.New(gossip.Options{
		Transport: n.transport, Self: n.id, Federation: n.state().Federation(),
		Peers: n.gossipPeers, State: n.summary, Logger: n.o.Logger,
		Hinted: func(from identity.NodeID, h gossip.Hint) {
			if rep := n.replicator.Load(); rep != nil {
				rep.HeardHead(context.Background(), from, h.Body)
			}
		},
		Heard: func(from identity.NodeID, s gossip.Summary) {
			if s.RegistrySeq > n.registrySeq() {
				n.keeper.Load().Poke()
			}
			marks := make([]replication.Mark, 0, len(s.Feeds))
			for _, f := range s.Feeds {
				marks = append(marks, replication.Mark{Origin: f.Origin, Epoch: f.Epoch, N: f.N})
			}
			if rep := n.replicator.Load(); rep != nil {
				rep.Heard(from, marks)
			}
		},
	})
}

// gossipPeers are all nodes that take part in gossip.
func (n *Node) gossipPeers() []transport.Peer {
	var out []transport.Peer
	for _, id := range n.peers() {
		if p, ok := (*directory)(n).Peer(id); ok {
			out = append(out, p)
		}
	}
	return out
}

// summary is how far the feeds and the registry have got here.
func (n *Node) summary() gossip.Summary {
	var out gossip.Summary
	s := n.state()
	if s == nil {
		return out
	}
	out.RegistrySeq = s.Seq()
	hash := s.Hash()
	copy(out.RegistryHash[:], hash[:])
	for _, a := range n.places() {
		mark := gossip.FeedMark{Origin: a.Origin, Epoch: a.Place.Epoch, N: a.Place.N}
		copy(mark.Hash[:], a.Place.Hash[:])
		out.Feeds = append(out.Feeds, mark)
	}
	return out
}

// spread gossips a new head; peers that it reaches pull it.
func (n *Node) spread(o identity.OriginID, head []byte) {
	if g := n.gossip.Load(); g != nil {
		_ = g.Announce(gossip.Hint{Name: o.String(), Body: head}) // a head is always small enough
	}
}

// unreachable reports whether some peers, and which, could not be reached.
func (n *Node) unreachable() []identity.NodeID {
	if r := n.replicator.Load(); r != nil {
		out := r.Unreachable()
		slices.SortFunc(out, func(a, b identity.NodeID) int { return strings.Compare(a.String(), b.String()) })
		return out
	}
	return nil
}
