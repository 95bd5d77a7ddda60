package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Raft's times. The voters may be hotel lines and virtual machines on three
// continents; entries are rare and made by people. So an election may take ten
// seconds, and an idle pair of voters exchanges two messages a second.
const (
	heartbeatTimeout = 5 * time.Second
	electionTimeout  = 5 * time.Second
	leaseTimeout     = 2500 * time.Millisecond
	commitTimeout    = 500 * time.Millisecond
	rpcTimeout       = 10 * time.Second
	changeTimeout    = 10 * time.Second // for one change of the voters
)

// voter is raft running on this node.
type voter struct {
	k       *Keeper
	id      raft.ServerID
	raft    *raft.Raft
	log     *logStore
	door    *door
	branch  registry.Branch // under which raft runs
	notify  chan bool
	damaged chan error

	asked  sync.WaitGroup // what raft has not answered yet
	mu     sync.Mutex
	ending bool // nothing is asked any more

	// Owned by serve's goroutine.
	stable    map[raft.ServerID]time.Time // since when a candidate has kept up
	evenSince time.Time                   // since when the number of voters is even; zero while odd
	looked    time.Time                   // when the candidates were last asked
	absent    map[raft.ServerID]time.Time // since when a voter does not answer
}

// runVoter takes part in raft until ctx ends or raft has to stop here.
// With aside, the log that is there is moved away first.
func (k *Keeper) runVoter(ctx context.Context, aside bool) error {
	dir := k.raftDir()
	if aside {
		if err := setAside(dir); err != nil {
			return fmt.Errorf("set the damaged raft log aside: %w", err)
		}
	}
	branch := k.heads.chain().Branch()
	if err := leaveOldLog(dir, branch); err != nil {
		return fmt.Errorf("set the raft log of an earlier generation aside: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v := &voter{k: k, branch: branch, notify: make(chan bool, 8), stable: map[raft.ServerID]time.Time{}, absent: map[raft.ServerID]time.Time{}, damaged: make(chan error, 1)}
	v.door = newDoor(v)
	defer v.door.Close()
	if err := v.open(ctx, dir, aside); err != nil {
		return err
	}
	k.mu.Lock()
	k.voter = v
	k.mu.Unlock()

	err := v.serve(ctx)

	k.mu.Lock()
	k.voter, k.leading = nil, false
	k.mu.Unlock()
	if err == nil {
		v.handOver()
	}
	cancel() // wakes an entry that waits for others
	v.settle()
	down := v.raft.Shutdown()
	return errors.Join(err, down.Error(), v.log.Close())
}

// open makes raft from what is on disk.
func (v *voter) open(ctx context.Context, dir string, damaged bool) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { // raft's snapshot files inherit only this
		return fmt.Errorf("make the raft directory: %w", err)
	}
	if v.log, err = openLog(dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = v.log.Close()
		}
	}()
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, 2, v.k.raftLogger())
	if err != nil {
		return fmt.Errorf("open the raft snapshots: %w", err)
	}
	kept, err := snapshots.List()
	if err != nil {
		return fmt.Errorf("open the raft snapshots: %w", err)
	}
	newest := uint64(0)
	for _, s := range kept {
		newest = max(newest, s.Index)
	}
	if err := v.log.check(newest); err != nil {
		return err
	}
	used, err := raft.HasExistingState(v.log, v.log, snapshots)
	if err != nil {
		return fmt.Errorf("%w: %v", errDamaged, err)
	}
	if v.id, err = serverID(dir, v.k.id, !used); err != nil {
		return err
	}
	config := v.config()
	if !used && !damaged && v.k.Bootstrap {
		if s := v.k.State(); s == nil || len(s.Members()) != 1 || v.k.heads.chain().Newest() != nil {
			v.k.Logger.Warn("the raft log is empty and the registry is not: this node waits to be taken in by the other voters")
		} else if err := raft.BootstrapCluster(config, v.log, v.log, snapshots, v.door, raft.Configuration{
			Servers: []raft.Server{{Suffrage: raft.Voter, ID: v.id, Address: address(v.k.id)}},
		}); err != nil {
			return fmt.Errorf("found the quorum: %w", err)
		}
	}
	if err := v.beginAnew(config, snapshots, v.door, used, damaged); err != nil {
		return err
	}
	halt := func(err error) {
		select {
		case v.damaged <- err:
		default:
		}
	}
	machine := &fsm{k: v.k, ctx: ctx, halt: halt, branch: v.branch}
	v.raft, err = raft.NewRaft(config, machine, v.log, v.log, snapshots, v.door)
	switch {
	case errors.Is(machine.failed, ErrStorage), errors.Is(machine.failed, registry.ErrUnknownKind):
		if err != nil {
			v.k.stop(machine.failed)
			return machine.failed
		}
	case err != nil: // what is on disk makes no sense: the settings are always the same
		return fmt.Errorf("%w: %v", errDamaged, err)
	}
	v.door.raft.Store(v.raft)
	v.hurry(config)
	return nil
}

func (v *voter) config() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = v.id
	// A millisecond more than wanted: see hurry.
	c.HeartbeatTimeout = heartbeatTimeout + time.Millisecond
	c.ElectionTimeout = electionTimeout + time.Millisecond
	c.LeaderLeaseTimeout = leaseTimeout
	c.CommitTimeout = commitTimeout
	c.SnapshotThreshold = 1024
	c.SnapshotInterval = 10 * time.Minute
	c.TrailingLogs = 4096
	c.ShutdownOnRemove = false
	c.NoLegacyTelemetry = true
	c.NotifyCh = v.notify
	c.Logger = v.k.raftLogger()
	return c
}

// hurry lets a lone voter elect itself at once. It would otherwise wait a
// heartbeat timeout for a leader that cannot exist; raft looks again at once
// when that timeout is lowered, if only by a millisecond.
func (v *voter) hurry(c *raft.Config) {
	voters, _ := v.voters()
	if len(voters) != 1 || !v.isVoter() {
		return
	}
	r := v.raft.ReloadableConfig()
	r.HeartbeatTimeout, r.ElectionTimeout = heartbeatTimeout, electionTimeout
	if err := v.raft.ReloadConfig(r); err != nil {
		v.k.Logger.Warn("the election will take some seconds", "error", err)
	}
}

// serve follows leadership until ctx ends or the registry no longer lets this
// node vote (nil), or raft must stop here.
func (v *voter) serve(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-v.damaged:
			return err
		case lead := <-v.notify:
			if !lead {
				v.k.setLeading(false)
				clear(v.stable)
				clear(v.absent)
			}
		case <-tick.C:
		}
		if v.gone() {
			return nil
		}
		if v.k.heads.chain().Branch() != v.branch {
			return errReborn
		}
		if v.raft.State() != raft.Leader {
			continue
		}
		if !v.k.isLeading() {
			if err := v.barrier(ctx); err != nil {
				continue
			}
			v.k.setLeading(true)
			v.k.lookAtHead()
		}
		v.lead(ctx)
		v.k.lookAtHead()
	}
}

// ask asks raft for something and waits for the answer. Raft forgets what it was
// asked when it is shut down at the wrong moment, and whoever waits then waits for
// ever: so it is shut down when all have their answers, see settle.
func (v *voter) ask(question func() raft.Future) error {
	v.mu.Lock()
	if v.ending {
		v.mu.Unlock()
		return raft.ErrRaftShutdown
	}
	v.asked.Add(1)
	v.mu.Unlock()
	defer v.asked.Done()
	return question().Error()
}

// settle lets nobody ask any more, and waits until all have their answers: a
// leader without a majority gives up within its lease.
func (v *voter) settle() {
	v.mu.Lock()
	v.ending = true
	v.mu.Unlock()
	settled := make(chan struct{})
	go func() { v.asked.Wait(); close(settled) }()
	select {
	case <-settled:
	case <-time.After(changeTimeout):
		v.k.Logger.Warn("raft leaves a question without an answer; it is stopped all the same")
	}
}

// barrier waits until everything that earlier leaders had committed is here, as
// long as a change may take.
func (v *voter) barrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- v.ask(func() raft.Future { return v.raft.Barrier(changeTimeout) }) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gone reports whether this node has no part among the voters any more: the
// registry no longer lets it vote, the others have taken it out of raft, and the
// head of the registry that says so is signed. Of two voters both are needed for
// each of these.
func (v *voter) gone() bool {
	if mayVote(v.k.State(), address(v.k.id)) || slices.Contains(v.k.heads.chain().Voters(), v.k.Self.Public()) {
		return false
	}
	return !slices.ContainsFunc(v.servers(), func(s raft.Server) bool { return s.ID == v.id })
}

// serves reports whether a node is one of raft's servers, as this one knows
// them. It may be called for a nil voter.
func (v *voter) serves(id identity.NodeID) bool {
	return v != nil && slices.ContainsFunc(v.servers(), func(s raft.Server) bool { return s.Address == address(id) })
}

func (k *Keeper) setLeading(yes bool) {
	k.mu.Lock()
	k.leading = yes
	k.mu.Unlock()
}

func (k *Keeper) isLeading() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.leading
}

// handOver gives leadership to another voter before this one goes.
func (v *voter) handOver() {
	if voters, _ := v.voters(); v.raft.State() != raft.Leader || len(voters) < 2 {
		return
	}
	if err := v.raft.LeadershipTransfer().Error(); err != nil {
		v.k.Logger.Warn("leadership was not handed over; the others elect a leader within seconds", "error", err)
	}
}

// voters are the nodes with a vote, sorted; in tells whether this node is one
// of raft's servers, with a vote or without.
func (v *voter) voters() (ids []identity.NodeID, in bool) {
	for _, s := range v.servers() {
		if s.Suffrage == raft.Voter {
			if id, err := identity.ParseNodeID(string(s.Address)); err == nil {
				ids = append(ids, id)
			}
		}
		in = in || s.ID == v.id
	}
	sortNodes(ids)
	return ids, in
}

func (v *voter) servers() []raft.Server {
	f := v.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}

func (v *voter) isVoter() bool {
	return slices.ContainsFunc(v.servers(), func(s raft.Server) bool { return s.ID == v.id && s.Suffrage == raft.Voter })
}

// leader is the leader that raft knows, or zero.
func (v *voter) leader() identity.NodeID {
	addr, _ := v.raft.LeaderWithID()
	id, err := identity.ParseNodeID(string(addr))
	if err != nil {
		return identity.NodeID{}
	}
	return id
}

// streams is how raft reaches others: the addresses are node ids, and the
// connections go to the federation port.
type streams struct {
	k    *Keeper
	mark []byte // what each connection begins with; nothing in the first generation
	done <-chan struct{}
}

// Accept implements [raft.StreamLayer]. Who comes in is led to a room instead.
func (s *streams) Accept() (net.Conn, error) {
	<-s.done
	return nil, net.ErrClosed
}

// Close implements [raft.StreamLayer]. The federation port stays open.
func (s *streams) Close() error { return nil }

// Addr implements [raft.StreamLayer].
func (s *streams) Addr() net.Addr { return nodeAddr(s.k.id) }

// Dial implements [raft.StreamLayer].
func (s *streams) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, err := identity.ParseNodeID(string(addr))
	if err != nil {
		return nil, fmt.Errorf("reach voter: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := s.k.Network.DialPeer(ctx, id, Protocol)
	if err != nil || len(s.mark) == 0 {
		return c, err
	}
	if _, err := c.Write(s.mark); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("reach voter: %w", err)
	}
	return c, nil
}

type nodeAddr identity.NodeID

func (nodeAddr) Network() string  { return "waymark" }
func (a nodeAddr) String() string { return identity.NodeID(a).String() }

// raftLogger passes raft's messages on, all as debug: what an operator needs to
// know, this package says in its own words.
func (k *Keeper) raftLogger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: "raft", Level: hclog.Info, Output: lines{k.Logger}, DisableTime: true})
}

type lines struct{ to *slog.Logger }

func (l lines) Write(b []byte) (int, error) {
	l.to.Debug(strings.TrimSpace(string(b)))
	return len(b), nil
}
