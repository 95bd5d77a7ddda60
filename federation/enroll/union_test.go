package enroll_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/fedtest"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
	"github.com/2ps-project/waymark/federation/replication"
	"github.com/2ps-project/waymark/federation/transport"
)

// union is some countries that become one federation, on a network in memory, in
// virtual time.
type union struct {
	t     *testing.T
	net   *fedtest.Network
	sites []*site // in the order in which they came
}

// site is one country's machine: what is on its disk, and its program while it
// runs.
type site struct {
	*registrytest.Member
	u    *union
	host string
	dir  string

	chain  *consensus.MemoryChain
	heads  *drawer
	outbox *drawer
	feeds  *feedtest.Memory
	knocks *enroll.Store

	mu   sync.Mutex
	join []byte // a join under way, as a node keeps it in a file

	run atomic.Pointer[program] // nil while the machine is off
}

// drawer is a part of a disk.
type drawer struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (d *drawer) Put(key, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.m == nil {
		d.m = make(map[string][]byte)
	}
	d.m[string(key)] = slices.Clone(value)
	return nil
}

func (d *drawer) Delete(key []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.m, string(key))
	return nil
}

func (d *drawer) Each(do func(key, value []byte) error) error {
	d.mu.Lock()
	all := maps.Clone(d.m)
	d.mu.Unlock()
	for k, v := range all {
		if err := do([]byte(k), v); err != nil {
			return err
		}
	}
	return nil
}

func newUnion(t *testing.T) *union {
	time.Sleep(time.Until(registrytest.Start.Add(time.Hour))) // in virtual time
	return &union{t: t, net: fedtest.NewNetwork(20 * time.Millisecond)}
}

// site is a machine with keys and a configuration. It is on.
func (u *union) site(country string) *site {
	u.t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "waymark-test-") // raft waits for the disk at each entry
	if err != nil {
		dir = u.t.TempDir()
	}
	u.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &site{
		Member: registrytest.New(u.t, country), u: u, dir: dir, chain: new(consensus.MemoryChain),
		heads: new(drawer), outbox: new(drawer), feeds: feedtest.NewMemory(),
	}
	s.host = s.Nodes[0].Endpoints[0].Host
	if s.knocks, err = enroll.OpenStore(filepath.Join(dir, "invitations")); err != nil {
		u.t.Fatal(err)
	}
	u.sites = append(u.sites, s)
	s.on()
	return s
}

// end turns everything off; a bubble must be empty at its end.
func (u *union) end() {
	for _, s := range u.sites {
		s.off()
	}
	u.net.Close()
	time.Sleep(time.Minute) // timers of raft and net/http run out
}

// cut takes a machine off the network, plug puts it back.
func (s *site) cut() {
	for _, o := range s.u.sites {
		if o != s {
			s.u.net.Cut(s.host, o.host)
		}
	}
}

func (s *site) plug() {
	for _, o := range s.u.sites {
		if o != s {
			s.u.net.Heal(s.host, o.host)
		}
	}
}

// program is a node's program while it runs: the real parts, wired as a node
// wires them.
type program struct {
	s      *site
	ctx    context.Context
	cancel context.CancelFunc
	parts  sync.WaitGroup
	port   sync.WaitGroup
	hangUp context.CancelFunc

	tr     *transport.Transport
	keeper atomic.Pointer[consensus.Keeper]
	door   atomic.Pointer[enroll.Server]
	rep    atomic.Pointer[replication.Replicator]
	pub    atomic.Pointer[feed.Publisher]
	tidy   chan struct{}
}

// on starts the program with what is on the disk.
func (s *site) on() {
	p := &program{s: s, tidy: make(chan struct{}, 1)}
	l, err := s.u.net.Listen(s.Nodes[0].Endpoints[0].String())
	if err == nil {
		p.tr, err = transport.New(transport.Options{
			Key: s.Keys.Node, Listener: l, Dial: s.u.net.Dialer(s.host), Directory: p,
			Lost: func(id identity.NodeID) {
				if r := p.rep.Load(); r != nil {
					r.Doubt(id)
				}
			},
		})
	}
	if err != nil {
		s.u.t.Fatal(err)
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	inner, hangUp := context.WithCancel(context.Background())
	p.hangUp = hangUp
	p.tr.ServeHTTP(http.HandlerFunc(p.serve))
	p.port.Go(func() { _ = p.tr.Run(inner) })
	s.run.Store(p)
	if last, _ := s.chain.Last(); last > 0 || s.joining() != nil {
		p.open()
	}
}

// off ends the program without a word to anybody: the machine is cut off first.
func (s *site) off() {
	p := s.run.Swap(nil)
	if p == nil {
		return
	}
	s.cut()
	p.cancel()
	p.parts.Wait()
	if pub := p.pub.Load(); pub != nil {
		pub.Wait()
	}
	p.hangUp()
	p.port.Wait()
}

func (p *program) serve(w http.ResponseWriter, r *http.Request) {
	switch k, rep := p.keeper.Load(), p.rep.Load(); {
	case strings.HasPrefix(r.URL.Path, "/r1/registry") && k != nil:
		k.Handler().ServeHTTP(w, r)
	case rep != nil:
		rep.Handler().ServeHTTP(w, r)
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (p *program) state() *registry.State {
	if k := p.keeper.Load(); k != nil {
		return k.State()
	}
	return nil
}

func (p *program) self() (registry.Member, bool) {
	if s := p.state(); s != nil {
		_, m, ok := s.Node(p.s.Node())
		return m, ok
	}
	return registry.Member{}, false
}

// Peer implements [transport.Directory].
func (p *program) Peer(id identity.NodeID) (transport.Peer, bool) {
	if s := p.state(); s != nil {
		n, _, ok := s.Node(id)
		return transport.Peer{ID: id, Key: n.Key, Endpoints: n.Endpoints, Voter: n.VoterOptIn}, ok
	}
	if j := p.s.joining(); j != nil {
		return j.Peer(id)
	}
	return transport.Peer{}, false
}

func (p *program) peers() (out []identity.NodeID) {
	for _, m := range p.state().Members() {
		for _, n := range m.Nodes {
			if m.Active() && n.ID != p.s.Node() {
				out = append(out, n.ID)
			}
		}
	}
	return out
}

func (p *program) keys() feed.Keys {
	return struct {
		*registry.State
		anchors
	}{p.state(), p.keeper.Load()}
}

type anchors interface {
	Anchor(o identity.OriginID, epoch, n uint64) (identity.Hash, bool)
	Anchors(o identity.OriginID, epoch uint64) []uint64
}

func (p *program) seq() uint64 {
	if s := p.state(); s != nil {
		return s.Seq()
	}
	return 0
}

// head is the newest head of a feed on the disk.
func (s *site) head(o identity.OriginID) *feed.SignedHead {
	view, err := s.feeds.View(o)
	if err != nil {
		return nil
	}
	defer view.Close()
	return view.Head()
}

func (p *program) places() (out []registry.Anchor) {
	origins, _ := p.s.feeds.Origins()
	for _, o := range origins {
		read := func() {
			if h := p.s.head(o); h != nil {
				out = append(out, registry.Anchor{Origin: o, Place: h.Place()})
			}
		}
		if pub := p.pub.Load(); pub != nil && o == p.s.Origin {
			pub.Shared(read)
		} else {
			read()
		}
	}
	return out
}

// open takes part in a federation, or in becoming a member of one.
func (p *program) open() {
	s, t := p.s, p.s.u.t
	o := consensus.Options{
		Dir: s.dir, Self: s.Keys.Node, Network: p.tr, Chain: s.chain, Bootstrap: s == s.u.sites[0],
		Heads: s.heads, Outbox: s.outbox, Feeds: p.places, OnChange: func(*registry.State) { poke(p.tidy) }, Logger: s.logger(),
	}
	if j := s.joining(); j != nil {
		o.Federation, o.Contacts = j.Federation, j.Nodes()
	}
	k, err := consensus.New(o)
	if err != nil {
		t.Errorf("%s: %v", s.Country, err)
		return
	}
	p.keeper.Store(k)
	p.parts.Go(func() {
		if err := k.Run(p.ctx); err != nil {
			t.Errorf("%s: the registry's keeper ended: %v", s.Country, err)
		}
	})
	p.parts.Go(p.asks)
	p.parts.Go(p.member)
	p.parts.Go(func() {
		for {
			select {
			case <-p.ctx.Done():
				return
			case <-p.tidy:
			}
			p.tr.Recheck()
			if r := p.rep.Load(); r != nil {
				r.Poke()
				r.SpreadRegistry(p.ctx, p.seq())
			}
		}
	})
}

func (s *site) logger() *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(s.u.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("node", s.Country)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// asks asks how a knock stands until the registry names this node.
func (p *program) asks() {
	for p.ctx.Err() == nil {
		if _, in := p.self(); in {
			p.s.keep(nil)
			return
		}
		if j := p.s.joining(); j != nil && j.Answer.Standing != enroll.Admitted && j.Answer.Standing != enroll.Refused {
			_, _ = p.newcomer().Ask(p.ctx, j)
			p.s.keep(j)
		}
		p.keeper.Load().Poke()
		p.wait(2 * time.Second)
	}
}

func (p *program) wait(d time.Duration) {
	select {
	case <-p.ctx.Done():
	case <-time.After(d):
	}
}

// member does what a member's node does, once it is one.
func (p *program) member() {
	s, t := p.s, p.s.u.t
	for {
		changed := p.keeper.Load().Changed()
		if _, in := p.self(); in {
			break
		}
		select {
		case <-p.ctx.Done():
			return
		case <-changed:
		}
	}
	var rep *replication.Replicator
	pub, err := feed.NewPublisher(feed.PublisherOptions{
		Federation: p.state().Federation(), Origin: s.Origin, Store: s.feeds, Appender: s.feeds, Keys: p.keys, Registry: p.seq,
		PublishKey: s.Keys.Publish, AdminKey: s.Keys.Admin, GuardPath: filepath.Join(s.dir, "publish.guard"),
		Announce: func(v *feed.Verified) { rep.Announce(p.ctx, v) }, Logger: s.logger(),
	})
	if err != nil {
		t.Error(err)
		return
	}
	rep, err = replication.New(replication.Options{
		Own: s.Origin, Store: s.feeds, Appender: s.feeds, RegistrySeq: p.seq, Peers: p.peers, Client: p.tr.Client(), Reset: p.tr.Reset,
		Rules: func() feed.Rules {
			l := p.state().Policy().Heads
			return feed.Rules{Federation: p.state().Federation(), Keys: p.keys(), Now: time.Now(), Limits: feed.Limits{PerMinute: int(l.Burst + l.PerMinute), Records: uint64(l.Records), Bytes: uint64(l.Bytes)}}
		},
		Shared: pub.Shared, Hold: pub.Hold, Beat: pub.Beat, NewerOwn: pub.Seen, OwnBeat: pub.SeenBeat, Adopted: func() { _ = pub.Adopt() },
		NewRegistry: func(uint64) { p.keeper.Load().Poke() }, Logger: s.logger(),
	})
	if err != nil {
		t.Error(err)
		return
	}
	door, err := enroll.New(enroll.Options{
		Registry: p.keeper.Load(), Admin: func() *identity.Key { return s.Keys.Admin }, Seal: s.Open, Node: s.Node(),
		Listener: p.tr.Accept(enroll.Protocol), Store: s.knocks, Logger: s.logger(),
	})
	if err != nil {
		t.Error(err)
		return
	}
	p.rep.Store(rep)
	p.pub.Store(pub)
	p.door.Store(door)
	p.parts.Go(func() { _ = rep.Run(p.ctx) })
	p.parts.Go(func() {
		if err := door.Run(p.ctx); err != nil {
			t.Error(err)
		}
	})
}

func (s *site) joining() *enroll.JoinState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.join == nil {
		return nil
	}
	j, err := enroll.UnmarshalJoinState(s.join)
	if err != nil {
		s.u.t.Error(err)
	}
	return j
}

func (s *site) keep(j *enroll.JoinState) {
	var b []byte
	if j != nil {
		var err error
		if b, err = j.Marshal(); err != nil {
			s.u.t.Error(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.join = b
}

func (p *program) newcomer() *enroll.Newcomer {
	return &enroll.Newcomer{Candidate: p.s.Candidate, Keys: p.s.Keys, Dial: p.tr.DialJoin}
}

// What an administrator does at a machine. Each is what the command of that name
// does; errOff is said where the machine is off.

var errOff = errors.New("the machine is off")

func (s *site) found() error {
	p := s.run.Load()
	if p == nil {
		return errOff
	}
	if last, _ := s.chain.Last(); last == 0 {
		e, _ := s.Found(s.u.t)
		if err := s.chain.Append(1, e.Encode()); err != nil {
			return err
		}
	}
	if p.keeper.Load() == nil {
		p.open()
	}
	return nil
}

func (s *site) invite(ctx context.Context, country string) (*enroll.Invitation, error) {
	p := s.run.Load()
	if p == nil {
		return nil, errOff
	}
	inv, command, err := enroll.Invite(p.state(), s.Keys.Admin, country, []enroll.Contact{{Endpoint: s.Nodes[0].Endpoints[0].String(), Node: s.Node()}}, 0, time.Now())
	if err != nil {
		return nil, err
	}
	if err := s.knocks.Keep(inv); err != nil {
		return nil, err
	}
	_, err = p.keeper.Load().Propose(ctx, command)
	return inv, err
}

func (s *site) knock(ctx context.Context, code string) error {
	p := s.run.Load()
	if p == nil {
		return errOff
	}
	if _, in := p.self(); in {
		return nil
	}
	if j := s.joining(); j != nil {
		_, err := p.newcomer().Ask(ctx, j)
		if err == nil {
			s.keep(j)
			return nil
		}
		if !errors.Is(err, &enroll.Refusal{Code: enroll.Unknown}) {
			return err
		}
	}
	inv, err := enroll.Parse(code)
	if err != nil {
		return err
	}
	j, err := p.newcomer().Knock(ctx, inv)
	if err != nil {
		return err
	}
	s.keep(j)
	if p.keeper.Load() == nil {
		p.open()
	}
	return nil
}

var errNobodyWaits = errors.New("nobody waits to be admitted")

func (s *site) approve(ctx context.Context, country, numbers string) error {
	p := s.run.Load()
	if p == nil {
		return errOff
	}
	if _, in := p.state().MemberByCountry(country); in {
		return nil
	}
	waiting, err := s.knocks.Waiting()
	if err != nil {
		return err
	}
	for _, w := range waiting {
		if w.Country == country {
			door := p.door.Load()
			if door == nil {
				return errNobodyWaits // it has only just started
			}
			_, err := door.Admit(ctx, w.Invitation, numbers)
			return err
		}
	}
	p.keeper.Load().Poke()
	for _, w := range p.state().Proposals() {
		if w.Candidate.Country != country {
			continue
		}
		return enroll.Approve(ctx, p.keeper.Load(), w, s.Keys.Admin)
	}
	return errNobodyWaits
}

// publish publishes a record of this name; an editor's work waits for nobody.
func (s *site) publish(ctx context.Context, name string) error {
	p := s.run.Load()
	if p == nil {
		return errOff
	}
	pub := p.pub.Load()
	if pub == nil {
		return errors.New("no member yet")
	}
	h := identity.Sum(9, []byte(name))
	_, err := pub.Publish(ctx, slices.Values([]feed.Edit{{Key: feed.Key(h[:16]), Type: "test", Body: []byte(name)}}))
	return err
}

// live is nil when the machine has all that the countries of the union have
// published so far, and is a member that the registry's voters know.
func (s *site) live() error {
	p := s.run.Load()
	if p == nil {
		return errOff
	}
	if _, in := p.self(); !in {
		return errors.New("no member yet")
	}
	if p.pub.Load() == nil {
		return errors.New("it does not publish yet")
	}
	if err := p.pub.Load().Quarantined(); err != nil {
		return err
	}
	for _, o := range s.u.sites {
		if want, have := o.head(o.Origin), s.head(o.Origin); want != nil && (have == nil || have.Hash != want.Hash) {
			return fmt.Errorf("what %s published is not here yet", o.Country)
		}
	}
	return nil
}
