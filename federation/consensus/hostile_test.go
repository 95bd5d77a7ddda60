package consensus_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/transport"
)

// traitor is a voter whose machine is in other hands: it has the keys and the
// log of the node, and speaks raft as it likes.
type traitor struct {
	*node
	tr   *transport.Transport
	out  *raft.NetworkTransport
	name raft.ServerID
	done chan struct{}
}

// Accept implements [raft.StreamLayer]: it hears nobody.
func (x *traitor) Accept() (net.Conn, error) { <-x.done; return nil, net.ErrClosed }

// Close implements [raft.StreamLayer].
func (x *traitor) Close() error { return nil }

// Addr implements [raft.StreamLayer].
func (x *traitor) Addr() net.Addr { return &net.TCPAddr{} }

// Dial implements [raft.StreamLayer].
func (x *traitor) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, err := identity.ParseNodeID(string(to))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return x.tr.DialPeer(ctx, id, consensus.Protocol)
}

// turn has a node's machine fall into other hands.
func (f *federation) turn(n *node) (x *traitor, stop func()) {
	f.t.Helper()
	n.halt()
	name, err := os.ReadFile(filepath.Join(n.dir, "raft", "server-id"))
	if err != nil {
		f.t.Fatal(err)
	}
	addr := n.Nodes[0].Endpoints[0]
	l, err := f.net.Listen(addr.String())
	if err != nil {
		f.t.Fatal(err)
	}
	tr, err := transport.New(transport.Options{Key: n.Keys.Node, Listener: l, Dial: f.net.Dialer(addr.Host), Directory: n})
	if err != nil {
		f.t.Fatal(err)
	}
	tr.ServeHTTP(n.Handler())
	x = &traitor{node: n, tr: tr, name: raft.ServerID(strings.TrimSpace(string(name))), done: make(chan struct{})}
	x.out = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: x, MaxPool: 1, Timeout: 5 * time.Second, Logger: nil})
	ctx, cancel := context.WithCancel(context.Background())
	var port sync.WaitGroup
	port.Go(func() { _ = tr.Run(ctx) })
	return x, func() {
		close(x.done)
		_ = x.out.Close()
		x.out.CloseStreams()
		cancel()
		port.Wait()
	}
}

func (x *traitor) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(x.name), Addr: []byte(x.Node().String())}
}

// leads sends entries to a voter as a leader of a term would.
func (x *traitor) leads(to *node, q raft.AppendEntriesRequest) (a raft.AppendEntriesResponse, err error) {
	if len(q.Addr) == 0 {
		q.RPCHeader = x.header()
	}
	err = x.out.AppendEntries("", raft.ServerAddress(to.Node().String()), &q, &a)
	return a, err
}

// log is what a voter has in its raft log; it must have stopped.
func (n *node) log() (first, last uint64, at func(uint64) raft.Log) {
	n.f.t.Helper()
	store, err := consensus.OpenLog(filepath.Join(n.dir, "raft"))
	if err != nil {
		n.f.t.Fatal(err)
	}
	defer store.Close()
	first, err = store.FirstIndex()
	if err == nil {
		last, err = store.LastIndex()
	}
	all := map[uint64]raft.Log{}
	for i := first; err == nil && i <= last; i++ {
		var l raft.Log
		err = store.GetLog(i, &l)
		all[i] = l
	}
	if err != nil {
		n.f.t.Fatal(err)
	}
	return first, last, func(i uint64) raft.Log { return all[i] }
}

// command is an entry of raft's log as a leader makes it.
func command(index, term, seq uint64, before identity.Hash, e registry.Entry) *raft.Log {
	data, err := identity.Marshal(struct {
		Seq    uint64        `cbor:"1,keyasint"`
		Before identity.Hash `cbor:"2,keyasint"`
		Entry  []byte        `cbor:"3,keyasint"`
	}{seq, before, e.Encode()})
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(data)
	return &raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: data, Extensions: sum[:]}
}

// TestATraitorAmongTheVoters: one of three voters speaks raft with forged terms,
// entries, configurations and snapshots. No registry changes, no process ends,
// no log is given up, and the honest two go on, over a restart as well.
func TestATraitorAmongTheVoters(t *testing.T) {
	// scene is what a lie may be made of.
	type scene struct {
		x        *traitor
		to       *node
		s        *registry.State
		term     uint64
		last     uint64 // of the raft log
		lastTerm uint64
	}
	entries := func(logs func(c scene) []*raft.Log) func(c scene) error {
		return func(c scene) error {
			list := logs(c)
			a, err := c.x.leads(c.to, raft.AppendEntriesRequest{Term: c.term + 1, PrevLogEntry: c.last, PrevLogTerm: c.lastTerm, Entries: list, LeaderCommitIndex: c.last + uint64(len(list))})
			if err == nil && !a.Success {
				err = io.ErrNoProgress
			}
			return err
		}
	}
	snapshot := func(q raft.InstallSnapshotRequest, body func(c scene) []byte) func(c scene) error {
		return func(c scene) error {
			b := body(c)
			q := q
			q.RPCHeader, q.Size, q.Term = c.x.header(), int64(len(b)), c.term+1
			q.Leader = q.Addr
			if q.LastLogIndex == 0 {
				q.LastLogIndex, q.LastLogTerm = c.last+1000, c.term+1
			}
			if q.Configuration == nil {
				q.Configuration = raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: c.x.name, Address: raft.ServerAddress(c.x.Node().String())}}})
			}
			var a raft.InstallSnapshotResponse
			return c.x.out.InstallSnapshot("", raft.ServerAddress(c.to.Node().String()), &q, &a, bytes.NewReader(b))
		}
	}
	invite := func(c scene) registry.Entry {
		return registry.Entry{Time: c.s.Time(), Command: c.x.Invite(t, c.s, "FI")}
	}
	unsigned := func(c scene) registry.Entry {
		_, e, _ := registry.ParseCommand(c.x.Invite(t, c.s, "FI"))
		e.Signatures = nil
		return registry.Entry{Time: c.s.Time(), Command: e.Encode()}
	}
	replayed := func(c scene) registry.Entry {
		list, _ := c.x.chain.Entries(2, 1)
		e, _ := registry.ParseEntry(list[0])
		return e
	}
	lies := map[string]struct {
		do    func(c scene) error
		heard bool // raft takes it, and the registry does not
	}{
		"an unsigned command": {entries(func(c scene) []*raft.Log {
			return []*raft.Log{command(c.last+1, c.term+1, c.s.Seq()+1, c.s.Hash(), unsigned(c))}
		}), true},
		"a replayed command": {entries(func(c scene) []*raft.Log {
			return []*raft.Log{command(c.last+1, c.term+1, c.s.Seq()+1, c.s.Hash(), replayed(c))}
		}), true},
		"another entry for a place that is taken": {entries(func(c scene) []*raft.Log {
			return []*raft.Log{command(c.last+1, c.term+1, 2, identity.Hash{}, invite(c))}
		}), true},
		"an entry for a place far ahead": {entries(func(c scene) []*raft.Log {
			return []*raft.Log{command(c.last+1, c.term+1, c.s.Seq()+1_000_000, c.s.Hash(), invite(c))}
		}), true},
		"a command of a kind that nobody knows": {entries(func(c scene) []*raft.Log {
			_, b := c.x.Sign(t, c.s, "tomorrow", registry.Cancel{})
			return []*raft.Log{command(c.last+1, c.term+1, c.s.Seq()+1, c.s.Hash(), registry.Entry{Time: c.s.Time(), Command: b})}
		}), true},
		"noise for a command": {entries(func(c scene) []*raft.Log {
			sum := sha256.Sum256([]byte("noise"))
			return []*raft.Log{{Index: c.last + 1, Term: c.term + 1, Data: []byte("noise"), Extensions: sum[:]}}
		}), true},
		"a wrong checksum": {entries(func(c scene) []*raft.Log {
			l := command(c.last+1, c.term+1, c.s.Seq()+1, c.s.Hash(), invite(c))
			l.Extensions[0]++
			return []*raft.Log{l}
		}), false},
		"noise for a configuration": {entries(func(c scene) []*raft.Log {
			return []*raft.Log{{Index: c.last + 1, Term: c.term + 1, Type: raft.LogConfiguration, Data: []byte{0xc1, 0xff}}}
		}), false},
		"a configuration of strangers": {entries(func(c scene) []*raft.Log {
			return []*raft.Log{{Index: c.last + 1, Term: c.term + 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "b"}}})}}
		}), false},
		"a type that does not exist": {entries(func(c scene) []*raft.Log {
			return []*raft.Log{{Index: c.last + 1, Term: c.term + 1, Type: 77}}
		}), false},
		"entries with a hole": {entries(func(c scene) []*raft.Log {
			return []*raft.Log{{Index: c.last + 1, Term: c.term + 1, Type: raft.LogNoop}, {Index: c.last + 9, Term: c.term + 1, Type: raft.LogNoop}}
		}), false},
		"committed entries rewritten": {func(c scene) error {
			a, err := c.x.leads(c.to, raft.AppendEntriesRequest{Term: c.term + 1, Entries: []*raft.Log{{Index: 1, Term: c.term + 1, Type: raft.LogNoop}, {Index: 2, Term: c.term + 1, Type: raft.LogNoop}}, LeaderCommitIndex: 2})
			if err == nil && !a.Success {
				err = io.ErrNoProgress
			}
			return err
		}, false},
		"the last of all terms": {func(c scene) error {
			_, err := c.x.leads(c.to, raft.AppendEntriesRequest{Term: math.MaxUint64})
			return err
		}, false},
		"a vote in the last of all terms": {func(c scene) error {
			q := &raft.RequestVoteRequest{RPCHeader: c.x.header(), Term: math.MaxUint64, LastLogIndex: c.last, LeadershipTransfer: true}
			return c.x.out.RequestVote("", raft.ServerAddress(c.to.Node().String()), q, new(raft.RequestVoteResponse))
		}, false},
		"in another voter's name": {func(c scene) error {
			h := c.x.header()
			h.Addr = []byte(c.x.f.nodes["PL"].Node().String())
			_, err := c.x.leads(c.to, raft.AppendEntriesRequest{RPCHeader: h, Term: c.term + 1})
			return err
		}, false},
		"a change of leaders that nobody asked for": {func(c scene) error {
			return c.x.out.TimeoutNow("", raft.ServerAddress(c.to.Node().String()), &raft.TimeoutNowRequest{RPCHeader: c.x.header()}, new(raft.TimeoutNowResponse))
		}, false},
		"a snapshot of noise": {snapshot(raft.InstallSnapshotRequest{SnapshotVersion: 1}, func(scene) []byte { return []byte("\x05noise") }), false},
		"a snapshot of a huge entry": {snapshot(raft.InstallSnapshotRequest{SnapshotVersion: 1}, func(scene) []byte {
			return append(binary.AppendUvarint(nil, 1<<40), 1)
		}), false},
		"a snapshot with a forged end": {snapshot(raft.InstallSnapshotRequest{SnapshotVersion: 1}, func(c scene) []byte {
			var b []byte
			last, _ := c.x.chain.Last()
			list, _ := c.x.chain.Entries(1, int(last))
			for _, e := range append(list, unsigned(c).Encode()) {
				b = append(binary.AppendUvarint(b, uint64(len(e))), e...)
			}
			return b
		}), false},
		"a snapshot with noise for a configuration": {snapshot(raft.InstallSnapshotRequest{SnapshotVersion: 1, Configuration: []byte{0xc1, 0xff}}, func(scene) []byte { return nil }), false},
		"a snapshot at the end of all indexes":      {snapshot(raft.InstallSnapshotRequest{SnapshotVersion: 1, LastLogIndex: math.MaxUint64, LastLogTerm: 1}, func(scene) []byte { return nil }), false},
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, pl, de, lt := three(t)
				defer f.end()
				pl.propose(pl.Invite(t, pl.State(), "SE"))
				f.allSign(time.Minute, 3)
				x, stop := f.turn(lt)
				stopped := false
				defer func() {
					if !stopped {
						stop()
					}
				}()
				_, last, at := lt.log()
				s := pl.State()
				for _, to := range []*node{de, pl} { // a follower, and the leader
					c := scene{x: x, to: to, s: s, term: at(last).Term, last: last, lastTerm: at(last).Term}
					err := lie.do(c)
					if heard := err == nil; heard != lie.heard {
						t.Errorf("%s heard it: %v, want %v (%v)", to.Country, heard, lie.heard, err)
					}
				}
				time.Sleep(time.Second)
				for _, n := range []*node{pl, de} {
					if n.State().Hash() != s.Hash() || n.Status().Problem != nil {
						t.Fatalf("%s is at entry %d, problem %v", n.Country, n.State().Seq(), n.Status().Problem)
					}
				}
				took := f.within(2*time.Minute, "the honest two have a leader", func() bool {
					a, b := pl.Status(), de.Status()
					return a.Quorum && b.Quorum && a.Leader == b.Leader && a.Leader != lt.Node()
				})
				de.propose(de.Invite(t, de.State(), "FI"))
				f.within(time.Minute, "signed for", func() bool { return pl.confirmed(pl) && de.confirmed(de) && f.same() })
				for _, n := range []*node{pl, de} {
					n.halt()
					n.start()
				}
				f.within(2*time.Minute, "a leader after a restart", func() bool { return pl.Status().Quorum && de.Status().Quorum })
				pl.propose(pl.Invite(t, pl.State(), "NO"))
				for _, n := range []*node{pl, de} {
					if _, err := os.Stat(filepath.Join(n.dir, "raft.damaged")); err == nil {
						t.Errorf("%s gave its log up", n.Country)
					}
				}
				t.Logf("an honest leader after %v", took)
				stop()
				stopped = true
				lt.start() // its owner has it back
				f.within(3*time.Minute, "all alike", f.same)
			})
		})
	}
}
