// Package consensus keeps the registry alike on every node: raft among a few
// voters decides the order of entries, and everybody else follows them as a
// signed feed. It says plainly when the voters cannot agree.
//
// What an entry may do is judged by package registry, on every node, again each
// time it is applied: a leader can delay and order, never forge. DESIGN.md has
// the flows and the guards.
package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Protocol is the ALPN name under which voters speak raft.
const Protocol = "waymark-raft/1"

// Errors of consensus.
var (
	// ErrNoQuorum: no leader could be found in time; nothing was changed.
	ErrNoQuorum = errors.New("the countries that keep the registry cannot agree at present")
	// ErrOutcomeUnknown: the command was handed over and no answer came. Sending
	// the same bytes again is safe and tells what became of it.
	ErrOutcomeUnknown = errors.New("whether the registry took the change is not known yet")
	// ErrSplit: two registries of this federation exist. Following stops.
	ErrSplit = errors.New("the registry here and the one there have parted")
	// ErrUnconfirmed: entries that no head of the registry covers; they are not
	// taken.
	ErrUnconfirmed = errors.New("the voters have not signed for the newest changes of the registry")
	// ErrStorage: the registry could not be written here.
	ErrStorage = errors.New("the registry cannot be written")
)

// Network is what connects the nodes; federation/transport has it.
type Network interface {
	// Accept gives the incoming connections of one protocol, each from a peer
	// that the registry knows; they have a method Peer() identity.NodeID.
	Accept(proto string) net.Listener
	// DialPeer connects to a node, which must prove to be it.
	DialPeer(ctx context.Context, id identity.NodeID, proto string) (net.Conn, error)
	// Client speaks HTTP to nodes, at https://<node id>/.
	Client() *http.Client
}

// Options say how to keep the registry. Dir, Self, Network and Chain are
// needed; Federation is, while Chain is empty.
type Options struct {
	Dir        string                // the node's directory; raft lives in Dir/raft
	Federation identity.FederationID // of which federation; zero: that of the chain
	Self       *identity.Key         // the node key
	Network    Network
	Chain      Chain
	// Bootstrap lets this node be the first voter. It is heeded once, on the node
	// of the founder, while the registry holds nothing but what was written when it
	// was founded: one member, and no voter has ever signed for it.
	Bootstrap bool
	// Contacts are nodes to ask while the registry names none.
	Contacts []identity.NodeID
	// Alive tells which nodes can be reached, if that is known; they are asked
	// first. It may be nil.
	Alive func() []identity.NodeID
	// Heads keeps the heads of the registry over restarts. It may be nil: they
	// then come again from others.
	Heads Drawer
	// Outbox keeps commands that wait for the voters over restarts. It may be
	// nil: they then wait as long as the process lasts.
	Outbox Drawer
	// Feeds are the newest heads of all feeds that this node holds, for the
	// head of the registry. It may be nil.
	Feeds func() []registry.Anchor
	// Contradicts reports whether this node holds another head with the number
	// of this one. It may be nil.
	Contradicts func(registry.Anchor) bool
	// OnHead is called with each head of the registry that is taken, its own
	// included. It must not block and not call back. It may be nil.
	OnHead func(*registry.SignedHead)
	// OnChange is called after each applied entry, in order. It must not block
	// and not call back. It may be nil.
	OnChange func(*registry.State)
	// Logger gets the operator's messages; nil discards them.
	Logger *slog.Logger
	// Now is the clock by which a leader stamps entries; nil is time.Now.
	Now func() time.Time
	// PollEvery is how often others are asked for entries when nothing was
	// announced; zero is 5 minutes. It varies by a tenth.
	PollEvery time.Duration
	// StableFor is how long a node must have kept up before it becomes a
	// voter; zero is 3 seconds.
	StableFor time.Duration
	// AbsentFor is how long a voter may not answer before it makes way for
	// another; zero is 10 minutes.
	AbsentFor time.Duration
}

// Keeper keeps the registry on one node.
type Keeper struct {
	Options
	id     identity.NodeID
	ledger *ledger
	heads  *headStore
	outbox *outbox
	poke   chan struct{}
	wake   chan struct{} // a head may have to be made
	gap    atomic.Bool   // raft waits for entries that only a peer has
	fatal  chan error
	conns  chan net.Conn // incoming raft connections

	compress   *zstd.Encoder // both without goroutines of their own
	decompress *zstd.Decoder

	proposing chan struct{} // a place for one proposal of the leader at a time
	taking    chan struct{} // a place for the one source of entries and heads at a time
	signing   chan struct{} // a place for each signature that is being thought about
	spreading sync.WaitGroup

	mu      sync.Mutex
	voter   *voter          // nil while raft does not run here
	leading bool            // leader, and everything of earlier leaders is applied
	problem error           // why following has stopped
	view    view            // what others said last about leader and voters
	relay   identity.NodeID // another voter that knew a leader, when last asked; zero: none did
	heard   uint64          // the last entry that anybody claimed to have, when last asked

	contrary map[identity.NodeID]bool // who shows another registry
}

// view is what a node that is no voter knows about the voters.
type view struct {
	leader identity.NodeID
	voters []identity.NodeID
	quorum bool
	asOf   time.Time
}

// New makes a keeper from the chain as it is. It verifies every entry again.
func New(o Options) (*Keeper, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PollEvery == 0 {
		o.PollEvery = 5 * time.Minute
	}
	if o.StableFor == 0 {
		o.StableFor = 3 * time.Second
	}
	if o.AbsentFor == 0 {
		o.AbsentFor = 10 * time.Minute
	}
	l, err := newLedger(o.Chain, o.Federation, o.OnChange)
	if err != nil {
		return nil, err
	}
	heads := newHeadStore(o)
	heads.past = l.past
	if err := heads.open(l); err != nil {
		return nil, err
	}
	l.branch = heads.chain().Branch()
	box, err := openOutbox(o.Outbox)
	if err != nil {
		return nil, err
	}
	compress, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("keep the registry: %w", err)
	}
	decompress, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPage))
	if err != nil {
		return nil, fmt.Errorf("keep the registry: %w", err)
	}
	return &Keeper{
		Options: o,
		id:      o.Self.Public().NodeID(),
		ledger:  l,
		heads:   heads,
		outbox:  box,
		poke:    make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		fatal:   make(chan error, 1),
		conns:   make(chan net.Conn),

		compress:   compress,
		decompress: decompress,
		proposing:  make(chan struct{}, 1),
		taking:     make(chan struct{}, 1),
		signing:    make(chan struct{}, maxSigning),
		contrary:   map[identity.NodeID]bool{},
	}, nil
}

// State is the registry as it is here; nil until the genesis has come in.
func (k *Keeper) State() *registry.State { return k.ledger.state.Load() }

// Changed is closed when the next entry is applied.
func (k *Keeper) Changed() <-chan struct{} { return k.ledger.wait() }

// Poke asks for new entries at once: something was heard of one.
func (k *Keeper) Poke() {
	select {
	case k.poke <- struct{}{}:
	default:
	}
}

// Run keeps the registry until ctx ends; it then hands leadership over and
// stops cleanly. It fails only when the registry cannot be stored.
func (k *Keeper) Run(ctx context.Context) error {
	k.forgiveStorage()
	g, ctx := errgroup.WithContext(ctx)
	listener := k.Network.Accept(Protocol)
	g.Go(func() error { k.accept(ctx, listener); return nil })
	g.Go(func() error { k.follow(ctx); return nil })
	g.Go(func() error { return k.vote(ctx) })
	g.Go(func() error { k.confirm(ctx); return nil })
	g.Go(func() error { k.deliver(ctx); return nil })
	g.Go(func() error {
		select {
		case err := <-k.fatal:
			return err
		case <-ctx.Done():
			return nil
		}
	})
	g.Go(func() error {
		<-ctx.Done()
		_ = listener.Close() // wakes accept
		return nil
	})
	return g.Wait()
}

// accept hands incoming connections to raft: those of nodes that the registry
// shows as ready to vote, and no others.
func (k *Keeper) accept(ctx context.Context, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if !k.mayVote(conn) {
			_ = conn.Close()
			continue
		}
		select {
		case k.conns <- conn:
		case <-ctx.Done():
			_ = conn.Close()
			return
		case <-time.After(10 * time.Second): // raft does not run here
			_ = conn.Close()
		}
	}
}

func (k *Keeper) mayVote(conn net.Conn) bool {
	p, ok := conn.(interface{ Peer() identity.NodeID })
	s := k.State()
	if !ok || s == nil {
		return false
	}
	n, _, known := s.Node(p.Peer())
	return known && n.VoterOptIn
}

// vote runs raft while the registry shows this node as ready to vote, and
// starts it afresh when its log turns out to be damaged.
func (k *Keeper) vote(ctx context.Context) error {
	damaged, left := false, false
	for {
		changed := k.Changed()
		if s := k.State(); s != nil {
			// Who took its offer back still votes until the others have taken it out.
			if n, _, ok := s.Node(k.id); ok && (n.VoterOptIn || !left && k.hasLog()) {
				heads := k.heads.wait()
				err := k.runVoter(ctx, damaged)
				switch {
				case errors.Is(err, errAhead): // others have them
					k.Logger.Warn("this node votes again when others have given it the heads of the registry", "error", err)
					k.Poke()
					select {
					case <-heads:
					case <-ctx.Done():
						return nil
					}
					continue
				case ctx.Err() != nil:
					return nil
				case errors.Is(err, errReborn):
					continue
				case errors.Is(err, errDamaged):
					k.Logger.Error("the log of the voters is damaged here; it is set aside and this node joins the voters anew", "error", err)
					damaged = true
					continue
				case err != nil && k.stopped() == nil:
					return fmt.Errorf("take part in the registry's quorum: %w", err)
				}
				left = true
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// forgiveStorage lets a keeper that is run again after [ErrStorage] try again:
// a disk that was full may have room by now.
func (k *Keeper) forgiveStorage() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if errors.Is(k.problem, ErrStorage) {
		k.problem = nil
	}
	select {
	case <-k.fatal: //nolint:errcheck // what was to be reported is over
	default:
	}
}

// stop ends following, for a reason that a person must see.
func (k *Keeper) stop(err error) {
	k.mu.Lock()
	first := k.problem == nil
	if first {
		k.problem = err
	}
	k.mu.Unlock()
	if first {
		k.Logger.Error("the registry is not followed any further", "error", err)
	}
	if errors.Is(err, ErrStorage) {
		select {
		case k.fatal <- err:
		default:
		}
	}
}

func (k *Keeper) stopped() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.problem
}

func (k *Keeper) current() *voter {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.voter
}

// hasLog reports whether raft has run here before.
func (k *Keeper) hasLog() bool {
	_, err := os.Stat(filepath.Join(k.raftDir(), logFile))
	return err == nil
}

func (k *Keeper) raftDir() string { return filepath.Join(k.Dir, "raft") }

// address is a node's raft address: its id, whatever its endpoints are.
func address(id identity.NodeID) raft.ServerAddress { return raft.ServerAddress(id.String()) }
