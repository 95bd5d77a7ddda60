// Package gossip knows which nodes can be reached and carries hints between
// them: that something new was published, and how far each feed has got.
//
// Nothing learned here is believed. A hint makes a node look sooner at what it
// would have looked at anyway. DESIGN.md beside this file tells more.
package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/transport"
)

// ErrHintSize is returned for a hint that is too large or has no name.
var ErrHintSize = fmt.Errorf("a hint has a name of 1 to %d bytes and a body of at most %d", maxName, maxHint)

// Transport is what gossip travels on.
type Transport interface {
	Accept(proto string) net.Listener // its connections are transport.Conn
	DialPeer(ctx context.Context, id identity.NodeID, proto string) (net.Conn, error)
}

var _ Transport = (*transport.Transport)(nil)

// Options say who gossips with whom. All fields but the last two are required.
// The functions are called from several goroutines; Peers and State must be
// quick and must not block.
type Options struct {
	Transport  Transport
	Self       identity.NodeID
	Federation identity.FederationID
	// Peers is every node of the registry. This node may be among them.
	Peers func() []transport.Peer
	// State is what this node has; told to others at every comparison.
	State func() Summary
	// Heard is told what another node says it has, the newest only. From is
	// what the summary claims; it is a node that Peers names.
	Heard func(from identity.NodeID, s Summary)
	// Hinted is told of a hint that has not been seen lately. From is who is
	// said to have announced it.
	Hinted func(from identity.NodeID, h Hint)
	// OutboundOnly is for a node that nobody can reach. It takes no part: Run
	// waits, Alive is empty, Announce does nothing.
	OutboundOnly bool
	Logger       *slog.Logger // nil logs nothing
}

// Gossip is this node's part in the gossip.
type Gossip struct {
	o    Options
	mail *mailbox

	mu      sync.Mutex
	members *memberlist.Memberlist // nil unless running
	carrier *carrier
}

// Timings and sizes. memberlist's settings for wide networks are the base. With
// 14 nodes the idle traffic of all of them together is a few kilobytes a second.
const (
	rejoinEvery   = 60 * time.Second
	rejoinJitter  = 15 * time.Second
	rejoinAtOnce  = 4
	streamTime    = 10 * time.Second // a comparison with one peer, dial included
	pushPullEvery = 60 * time.Second
	leaveTime     = 2 * time.Second
	packetSize    = 8 << 10 // the port is TCP: no datagram limit holds
)

// New checks the options; nothing runs before Run.
func New(o Options) (*Gossip, error) {
	for name, missing := range map[string]bool{
		"transport": o.Transport == nil, "node id": o.Self.IsZero(), "federation id": o.Federation.IsZero(),
		"list of peers": o.Peers == nil, "state": o.State == nil, "listener for summaries": o.Heard == nil,
		"listener for hints": o.Hinted == nil,
	} {
		if missing {
			return nil, fmt.Errorf("gossip: no %s given", name)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Gossip{o: o}
	g.mail = newMailbox(&g.o)
	return g, nil
}

// Run gossips until ctx ends, says goodbye, waits for its goroutines and
// returns nil. It may be run again after it returned. Probes that memberlist
// has under way end by themselves within ten seconds.
func (g *Gossip) Run(ctx context.Context) error {
	if g.o.OutboundOnly {
		<-ctx.Done()
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	carrier := newCarrier(&g.o)
	members, err := memberlist.Create(g.config(carrier))
	if err != nil {
		_ = carrier.Shutdown()
		return fmt.Errorf("start gossip: %w", err)
	}
	g.set(members, carrier)
	var running sync.WaitGroup
	running.Go(func() { g.mail.deliver(ctx) })
	running.Go(func() { g.keepJoining(ctx, members) })

	var lost error
	select {
	case <-ctx.Done():
	case <-carrier.lost: // the listener closed under us
		lost = errors.New("gossip: the federation port no longer accepts gossip")
	}
	cancel()
	g.set(nil, nil)
	_ = members.Leave(leaveTime) // best effort; others find out by probing too
	if err := members.Shutdown(); err != nil {
		return fmt.Errorf("stop gossip: %w", err)
	}
	running.Wait()
	return lost
}

// Announce spreads a hint to all nodes. A newer hint of the same name takes the
// place of an older one that is still being spread. Before Run it waits, and for
// an outbound-only node it does nothing. Errors: [ErrHintSize].
func (g *Gossip) Announce(h Hint) error {
	if h.Name == "" || len(h.Name) > maxName || len(h.Body) > maxHint {
		return ErrHintSize
	}
	return g.mail.announce(h)
}

// Alive is the peers that seem reachable now, in order of their ids, without
// this node. It is an opinion, not a fact.
func (g *Gossip) Alive() []identity.NodeID {
	g.mu.Lock()
	members := g.members
	g.mu.Unlock()
	if members == nil {
		return nil
	}
	var alive []identity.NodeID
	for _, m := range members.Members() {
		id, err := identity.ParseNodeID(m.Name)
		if err == nil && id != g.o.Self && g.o.knows(id) { // a revoked node is gone at once
			alive = append(alive, id)
		}
	}
	slices.SortFunc(alive, func(a, b identity.NodeID) int { return bytes.Compare(a[:], b[:]) })
	return alive
}

// Stats are counts since Run began.
type Stats struct {
	Sent, Received uint64 // packets
	Dropped        uint64 // packets that found a full queue or no connection
	Refused        uint64 // packets, frames and streams that broke a limit
}

// Stats is a copy of the counters; zero while not running.
func (g *Gossip) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.carrier == nil {
		return Stats{}
	}
	return g.carrier.counts.copy()
}

func (g *Gossip) set(m *memberlist.Memberlist, c *carrier) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members, g.carrier = m, c
}

func (g *Gossip) config(c *carrier) *memberlist.Config {
	cfg := memberlist.DefaultWANConfig()
	cfg.Name = g.o.Self.String()
	cfg.Label = g.o.Federation.String() // federations never mix, whatever the registries say
	cfg.Transport = c
	cfg.RequireNodeNames = true
	cfg.EnableCompression = false // hints are small; a decompressor is a way in
	cfg.UDPBufferSize = packetSize
	cfg.TCPTimeout = streamTime
	cfg.PushPullInterval = pushPullEvery
	cfg.Delegate = g.mail
	cfg.Alive = g.mail
	cfg.LogOutput = nil
	cfg.Logger = log.New(logWriter{g.o.Logger}, "", 0)
	return cfg
}

// keepJoining asks every known node that does not seem alive, at once and then
// about once a minute: memberlist forgets dead nodes and so never heals a long
// partition by itself.
func (g *Gossip) keepJoining(ctx context.Context, members *memberlist.Memberlist) {
	for {
		g.joinMissing(ctx, members)
		pause := rejoinEvery - rejoinJitter + rand.N(2*rejoinJitter)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (g *Gossip) joinMissing(ctx context.Context, members *memberlist.Memberlist) {
	var missing []identity.NodeID
	for _, p := range g.o.Peers() {
		if p.ID != g.o.Self && len(p.Endpoints) > 0 {
			missing = append(missing, p.ID)
		}
	}
	// In random order, so that nodes that start together do not all ask one.
	rand.Shuffle(len(missing), func(i, j int) { missing[i], missing[j] = missing[j], missing[i] })
	var running sync.WaitGroup
	slots := make(chan struct{}, rejoinAtOnce)
	for _, id := range missing {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			running.Wait()
			return
		}
		if ctx.Err() != nil || slices.Contains(g.Alive(), id) { // an earlier answer told of it
			<-slots
			continue
		}
		running.Go(func() {
			defer func() { <-slots }()
			if _, err := members.Join([]string{joinAddress(id)}); err != nil {
				g.o.Logger.Debug("a node did not answer gossip", "node", id.String(), "reason", err.Error())
			}
		})
	}
	running.Wait()
}

// knows reports whether the registry names the node.
func (o *Options) knows(id identity.NodeID) bool {
	return slices.ContainsFunc(o.Peers(), func(p transport.Peer) bool { return p.ID == id })
}

// syntheticPort stands in addresses, where memberlist wants one.
const syntheticPort = 1

// synthetic is the address under which memberlist knows a node: a unique local
// IPv6 address (RFC 4193) made of its id. Real endpoints stay in the registry
// and may change without memberlist noticing.
func synthetic(id identity.NodeID) net.IP {
	ip := make(net.IP, net.IPv6len)
	ip[0] = 0xfd
	copy(ip[1:], id[:15])
	return ip
}

func syntheticAddr(id identity.NodeID) string {
	return net.JoinHostPort(synthetic(id).String(), strconv.Itoa(syntheticPort))
}

func joinAddress(id identity.NodeID) string { return id.String() + "/" + syntheticAddr(id) }

// logWriter passes memberlist's lines on. Its warnings are about peers that
// come and go and are no cause for alarm.
type logWriter struct{ log *slog.Logger }

func (w logWriter) Write(b []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.HasPrefix(b, []byte("[WARN]")) || bytes.HasPrefix(b, []byte("[ERR]")) {
		level = slog.LevelInfo
	}
	w.log.Log(context.Background(), level, string(bytes.TrimSpace(b)))
	return len(b), nil
}
