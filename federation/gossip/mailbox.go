package gossip

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/time/rate"

	"github.com/2ps-project/waymark/federation/identity"
)

// mailbox is what memberlist calls. It never blocks: what comes in is copied
// into maps that keep the newest, and deliver hands it on.
type mailbox struct {
	o     *Options
	queue *memberlist.TransmitLimitedQueue
	wake  chan struct{}
	relay *rate.Limiter

	mu        sync.Mutex
	summaries map[identity.NodeID]Summary // at most one per peer
	hints     map[string]arrival          // by name; at most maxWaiting
	seen      [2]map[identity.Hash]bool   // hashes of hints, the newer generation first
}

type arrival struct {
	from identity.NodeID
	hint Hint
}

var (
	_ memberlist.Delegate      = (*mailbox)(nil)
	_ memberlist.AliveDelegate = (*mailbox)(nil)
)

const (
	maxWaiting  = 256 // hints heard and not yet handed on
	maxSpread   = 256 // hints being spread by this node
	maxSeen     = 512 // remembered per generation
	relayRate   = 50  // hints a second passed on
	relayBurst  = 200
	maxMeta     = 200
	metaVersion = 1
)

func newMailbox(o *Options) *mailbox {
	b := &mailbox{
		o:         o,
		wake:      make(chan struct{}, 1),
		relay:     rate.NewLimiter(relayRate, relayBurst),
		summaries: map[identity.NodeID]Summary{},
		hints:     map[string]arrival{},
		seen:      [2]map[identity.Hash]bool{{}, {}},
	}
	b.queue = &memberlist.TransmitLimitedQueue{
		NumNodes:       func() int { return len(o.Peers()) + 1 },
		RetransmitMult: 4,
	}
	return b
}

func (b *mailbox) announce(h Hint) error {
	if b.o.OutboundOnly {
		return nil
	}
	raw, err := identity.Marshal(message{b.o.Self, h.Name, h.Body})
	if err != nil {
		return fmt.Errorf("announce %q: %w", h.Name, err)
	}
	b.mu.Lock()
	b.isNew(raw)
	b.mu.Unlock()
	b.spread(h.Name, raw)
	return nil
}

func (b *mailbox) spread(name string, raw []byte) {
	b.queue.QueueBroadcast(&broadcast{name, raw})
	b.queue.Prune(maxSpread)
}

// isNew remembers a message and reports whether it was unknown. It forgets in
// generations, so the memory is bounded. The caller holds mu.
func (b *mailbox) isNew(raw []byte) bool {
	sum := identity.Hash(sha256.Sum256(raw))
	if b.seen[0][sum] || b.seen[1][sum] {
		return false
	}
	if len(b.seen[0]) >= maxSeen {
		b.seen[0], b.seen[1] = map[identity.Hash]bool{}, b.seen[0]
	}
	b.seen[0][sum] = true
	return true
}

// deliver hands on what arrived until ctx ends.
func (b *mailbox) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		}
		b.mu.Lock()
		summaries, hints := b.summaries, b.hints
		b.summaries, b.hints = map[identity.NodeID]Summary{}, map[string]arrival{}
		b.mu.Unlock()
		for from, s := range summaries {
			b.o.Heard(from, s)
		}
		for _, a := range hints {
			b.o.Hinted(a.from, a.hint)
		}
	}
}

func (b *mailbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// NodeMeta tells the version of this protocol, for the day there is another.
func (b *mailbox) NodeMeta(int) []byte { return []byte{metaVersion} }

// NotifyMsg takes a hint. Each node passes a hint on that it has not seen
// lately, which is how it reaches everybody; a member that floods is bounded by
// the relay's rate.
func (b *mailbox) NotifyMsg(raw []byte) {
	m, err := decodeMessage(raw)
	if err != nil || m.From == b.o.Self || !b.o.knows(m.From) {
		return
	}
	b.mu.Lock()
	fresh := b.isNew(raw)
	if _, waiting := b.hints[m.Name]; fresh && (waiting || len(b.hints) < maxWaiting) {
		b.hints[m.Name] = arrival{m.From, Hint{m.Name, m.Body}}
	}
	b.mu.Unlock()
	if !fresh {
		return
	}
	b.signal()
	if b.relay.AllowN(time.Now(), 1) {
		b.spread(m.Name, bytes.Clone(raw))
	}
}

// GetBroadcasts gives memberlist the hints that are to be spread.
func (b *mailbox) GetBroadcasts(overhead, limit int) [][]byte {
	return b.queue.GetBroadcasts(overhead, limit)
}

// LocalState is what this node has, for a comparison with another.
func (b *mailbox) LocalState(bool) []byte {
	raw, err := encodeState(b.o.Self, b.o.State())
	if err != nil { // cannot happen: the types encode
		b.o.Logger.Error("the summary for other nodes could not be encoded", "reason", err.Error())
		return nil
	}
	return raw
}

// MergeRemoteState takes what another node has.
func (b *mailbox) MergeRemoteState(raw []byte, _ bool) {
	from, s, err := decodeState(raw)
	if err != nil || from == b.o.Self || !b.o.knows(from) {
		return
	}
	b.mu.Lock()
	b.summaries[from] = s
	b.mu.Unlock()
	b.signal()
}

// NotifyAlive lets in only nodes of the registry under their own address.
func (b *mailbox) NotifyAlive(n *memberlist.Node) error {
	id, err := identity.ParseNodeID(n.Name)
	switch {
	case err != nil:
		return fmt.Errorf("a node with a name that is no node id: %w", err)
	case id.String() != n.Name: // one node, one name
		return fmt.Errorf("node %s: its id is not in lower case", id)
	case id != b.o.Self && !b.o.knows(id):
		return fmt.Errorf("node %s is not in the registry", id)
	case !n.Addr.Equal(synthetic(id)) || n.Port != syntheticPort:
		return fmt.Errorf("node %s under an address that is not its own", id)
	case len(n.Meta) > maxMeta:
		return fmt.Errorf("node %s: %d bytes of data about itself", id, len(n.Meta))
	}
	return nil
}

// broadcast is a hint that memberlist spreads.
type broadcast struct {
	name string
	raw  []byte
}

var _ memberlist.NamedBroadcast = (*broadcast)(nil)

func (b *broadcast) Name() string    { return b.name }
func (b *broadcast) Message() []byte { return b.raw }
func (b *broadcast) Finished()       {}
func (b *broadcast) Invalidates(other memberlist.Broadcast) bool {
	o, ok := other.(*broadcast)
	return ok && o.name == b.name
}
