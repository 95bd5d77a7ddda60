package fedmodel

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/replication"
	"github.com/2ps-project/waymark/federation/transport"
)

// process is a node's program while it runs: the real parts, wired as a node
// wires them.
type process struct {
	m      *machine
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	tr   *transport.Transport
	rep  *replication.Replicator
	pub  *feed.Publisher
	dock *docket.Docket
	liar *liar

	asked chan struct{} // somebody knows more of the registry
	tidy  chan struct{} // the registry or the docket changed
}

// registryEvery is how often a process asks a peer for the registry unasked.
const registryEvery = 40 * time.Second

// start turns the machine on.
func (m *machine) start() {
	w := m.w
	if err := m.disk.Open(); err != nil {
		w.fail("%s does not start: %v", m.name, err)
		return
	}
	p := &process{m: m, asked: make(chan struct{}, 1), tidy: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if err := p.build(); err != nil {
		p.cancel()
		w.fail("%s does not start: %v", m.name, err)
		return
	}
	m.proc = p
	if head := m.head(m.origin()); head != nil && p.pub.Quarantined() == nil {
		w.mayBeSeen(head.Hash)
	}
	p.wg.Go(func() { _ = p.tr.Run(p.ctx) })
	p.wg.Go(func() { _ = p.rep.Run(p.ctx) })
	p.wg.Go(func() { _ = p.dock.Run(p.ctx) })
	p.wg.Go(p.followRegistry)
	p.wg.Go(p.scrub)
	if len(m.member.Nodes[0].Endpoints) == 0 && m.copyOf == nil {
		p.wg.Go(func() { _ = p.tr.KeepReverse(p.ctx, p.callable, 2) })
	}
	p.wg.Go(p.keepInOrder)
}

func (p *process) build() error {
	m := p.m
	l, err := m.w.net.Listen(m.host + ":7946")
	if err != nil {
		return err
	}
	p.tr, err = transport.New(transport.Options{
		Key: m.member.Keys.Node, Listener: l, Dial: m.w.net.Dialer(m.host), Directory: p, Now: m.now,
		Lost: func(id identity.NodeID) { p.rep.Doubt(id) },
	})
	if err != nil {
		return err
	}
	log := m.w.o.Logger.With("node", m.name)
	p.dock, err = docket.New(docket.Options{
		Drawer: drawer{m.beside}, State: p.state, Changed: func() { poke(p.tidy) }, Now: m.now, Logger: log,
	})
	if err != nil {
		return err
	}
	if m.lawless {
		m.forgiveGuard()
	}
	p.pub, err = feed.NewPublisher(feed.PublisherOptions{
		Federation: m.w.federation, Origin: m.origin(), Store: m.disk, Appender: p,
		Keys: p.keys, Registry: p.registrySeq,
		PublishKey: m.publish, AdminKey: m.adminKey(), GuardPath: m.guardPath(),
		Announce: func(v *feed.Verified) { p.rep.Announce(p.ctx, v) },
		Damaged:  func(err error) { p.rep.Rots(m.origin(), err) }, Now: m.now, Logger: log,
	})
	if err != nil {
		return err
	}
	o := replication.Options{
		Own: m.origin(), Store: m.disk, Appender: p, Rules: p.rules, RegistrySeq: p.registrySeq,
		Peers: p.peers, Client: p.tr.Client(), Reset: p.tr.Reset, Owner: p.owner, Docket: p.dock,
		Shared: p.pub.Shared, Hold: p.pub.Hold, Beat: p.pub.Beat, NewerOwn: p.pub.Seen, OwnBeat: p.pub.SeenBeat,
		Adopted:     func() { _ = p.pub.Adopt(); poke(p.tidy) }, // says why not, if not; it is tried again
		NewRegistry: func(uint64) { poke(p.asked) },
		Now:         m.now, Logger: log,
	}
	if m.lawless { // who stole a key does not stop for being found out
		o.NewerOwn, o.OwnBeat, o.Beat = nil, nil, nil
	}
	if p.rep, err = replication.New(o); err != nil {
		return err
	}
	p.liar = newLiar(m.w.plan.Seed, p.serve(), p.another)
	p.tr.ServeHTTP(p.liar)
	return nil
}

// adminKey is what the machine signs large changes with; a thief has none.
func (m *machine) adminKey() *identity.Key {
	if m.lawless {
		return nil
	}
	return m.member.Keys.Admin
}

// forgiveGuard writes a guard that fits whatever is held, as who has only the
// publish key would.
func (m *machine) forgiveGuard() {
	g := feed.Guard{Origin: m.origin()}
	if h := m.head(m.origin()); h != nil {
		g.Epoch, g.N, g.Hash = h.Epoch, h.N, h.Hash
	}
	if err := g.Save(m.guardPath()); err != nil {
		m.w.fail("%s: %v", m.name, err)
	}
}

// stop ends the process without a chance to tidy up.
func (m *machine) stop() {
	p := m.proc
	if p == nil {
		return
	}
	m.proc = nil
	p.cancel()
	p.wg.Wait()
	p.pub.Wait() // its last write to the guard was under way, or done
	if err := m.disk.Close(); err != nil {
		m.w.fail("%s: the disk could not be closed: %v", m.name, err)
	}
}

// serve answers peers: the registry, then feeds.
func (p *process) serve() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", p.rep.Handler())
	mux.HandleFunc("GET /model/registry", func(w http.ResponseWriter, r *http.Request) {
		from, err := strconv.Atoi(r.URL.Query().Get("from"))
		b := p.m.beside
		b.mu.Lock()
		s := statute{Anchors: b.anchors}
		if err == nil && from >= 0 && from < len(b.entries) {
			for _, e := range b.entries[from:] {
				s.Entries = append(s.Entries, e.Encode())
			}
		}
		b.mu.Unlock()
		raw, _ := identity.Marshal(s)
		_, _ = w.Write(raw)
	})
	return mux
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (p *process) state() *registry.State {
	p.m.beside.mu.Lock()
	defer p.m.beside.mu.Unlock()
	return p.m.beside.state
}

func (p *process) registrySeq() uint64 { return p.state().Seq() }

// keys are what counts by the registry and the docket as this process knows them.
func (p *process) keys() feed.Keys {
	b := p.m.beside
	b.mu.Lock()
	k := keys{b.state, b.anchors}
	b.mu.Unlock()
	return p.dock.View().Keys(k)
}

func (p *process) rules() feed.Rules {
	return feed.Rules{Federation: p.m.w.federation, Keys: p.keys(), Now: p.m.now(), Limits: limits}
}

// Peer implements [transport.Directory].
func (p *process) Peer(id identity.NodeID) (transport.Peer, bool) {
	n, _, ok := p.state().Node(id)
	return transport.Peer{ID: n.ID, Key: n.Key, Endpoints: n.Endpoints}, ok
}

// callable are the peers that can be dialled, in any order.
func (p *process) callable() (out []identity.NodeID) {
	for _, m := range p.state().Members() {
		for _, n := range m.Nodes {
			if m.Active() && n.ID != p.m.node() && len(n.Endpoints) > 0 {
				out = append(out, n.ID)
			}
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (p *process) peers() (out []identity.NodeID) {
	for _, m := range p.state().Members() {
		for _, n := range m.Nodes {
			if m.Active() && n.ID != p.m.node() && (len(n.Endpoints) > 0 || p.tr.Reverse(n.ID)) {
				out = append(out, n.ID)
			}
		}
	}
	return out
}

// another is an origin other than the one given.
func (p *process) another(o identity.OriginID) identity.OriginID {
	for _, m := range p.state().Members() {
		if m.Origin != o {
			return m.Origin
		}
	}
	return o
}

func (p *process) owner(id identity.NodeID, o identity.OriginID) bool {
	_, m, ok := p.state().Node(id)
	return ok && m.Origin == o
}

// learn takes over the registry from who has more of it.
func (p *process) learn(entries []registry.Entry, anchors []anchor) {
	b := p.m.beside
	b.mu.Lock()
	before := b.state.Seq()
	for _, e := range entries[min(len(b.entries), len(entries)):] {
		next, err := b.state.Apply(e)
		if err != nil {
			b.mu.Unlock()
			p.m.w.fail("%s refuses entry %d of the registry, which the voters accepted: %v", p.m.name, b.state.Seq()+1, err)
			return
		}
		b.entries, b.state = append(slices.Clip(b.entries), e), next
	}
	if len(anchors) > len(b.anchors) {
		b.anchors = slices.Clone(anchors)
	}
	changed := b.state.Seq() != before
	b.mu.Unlock()
	if changed {
		p.dock.Refresh()
		p.tr.Recheck()
		p.rep.Poke()
		poke(p.tidy)
	}
}

// followRegistry asks peers for what the registry has more.
func (p *process) followRegistry() {
	every := time.NewTicker(registryEvery)
	defer every.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-p.asked:
		case <-every.C:
		}
		peers := p.peers()
		rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		for _, id := range peers {
			if p.askRegistry(id) {
				break
			}
		}
	}
}

// askRegistry reports whether a peer knew more. What it sends is checked entry
// by entry; lies change nothing.
func (p *process) askRegistry(id identity.NodeID) bool {
	p.m.beside.mu.Lock()
	have, known := len(p.m.beside.entries), len(p.m.beside.anchors)
	p.m.beside.mu.Unlock()
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://%s/model/registry?from=%d", id, have), nil)
	if err != nil {
		return false
	}
	resp, err := p.tr.Client().Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var s statute
	if err != nil || resp.StatusCode != http.StatusOK || identity.Unmarshal(raw, &s) != nil {
		return false
	}
	p.m.w.mu.Lock()
	entries, anchors := p.m.w.law.entries, p.m.w.law.anchors
	p.m.w.mu.Unlock()
	// The voters' order stands in for the registry head that a majority signs: a
	// peer can only show more or less of it, which is all that is tested here.
	upTo := have
	for i, b := range s.Entries {
		if have+i >= len(entries) || string(entries[have+i].Encode()) != string(b) {
			break
		}
		upTo = have + i + 1
	}
	same := 0
	for same < min(len(s.Anchors), len(anchors)) && s.Anchors[same] == anchors[same] {
		same++
	}
	if upTo == have && same <= known {
		return false
	}
	p.learn(entries[:upTo], anchors[:same])
	return true
}

// keepInOrder does what a node does when the registry or the docket changed:
// end a quarantine that a new epoch ends, and sign anew what has to be.
func (p *process) keepInOrder() {
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-p.tidy:
		}
		p.tr.Recheck()
		p.rep.Poke()
		if p.m.lawless {
			continue
		}
		if p.pub.Quarantined() != nil {
			_ = p.pub.AdoptEpoch()
		}
		if p.pub.Quarantined() == nil {
			p.renew()
		}
	}
}

// renew lets the publisher sign anew, where that is due.
func (p *process) renew() {
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	head, err := p.pub.Renew(ctx)
	switch {
	case err != nil && ctx.Err() == nil:
		p.m.w.note("%s: renew: %v", p.m.name, err)
	case err == nil && head != nil:
		p.pub.Wait()
		p.m.w.mayBeSeen(head.Hash)
	}
}

// scrubEvery is how often a node looks through its disk.
const scrubEvery = 30 * time.Second

// scrub looks for damage on the disk and has what it finds repaired, as a node's
// background check does.
func (p *process) scrub() {
	every := time.NewTicker(scrubEvery)
	defer every.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-every.C:
		}
		origins, _ := p.m.disk.Origins()
		for _, o := range origins {
			if p.rep.Rotten(o) == nil && p.m.damaged(o) {
				_ = p.rep.Repair(p.ctx, o) // goes on in the background where it fails
			}
		}
	}
}

// damaged reports whether what is really there does not add up to the head.
func (m *machine) damaged(o identity.OriginID) bool {
	actual, err := m.disk.Actual(o)
	if err != nil {
		return true
	}
	defer actual.Close()
	leaves, err := actual.Leaves()
	return err != nil || actual.Head() != nil && leaves.Root() != actual.Head().Root
}

// drawer is where the docket keeps its items.
type drawer struct{ b *beside }

func (d drawer) Put(key, value []byte) error {
	d.b.mu.Lock()
	defer d.b.mu.Unlock()
	d.b.drawer[string(key)] = slices.Clone(value)
	return nil
}

func (d drawer) Delete(key []byte) error {
	d.b.mu.Lock()
	defer d.b.mu.Unlock()
	delete(d.b.drawer, string(key))
	return nil
}

func (d drawer) Each(f func(key, value []byte) error) error {
	d.b.mu.Lock()
	all := make(map[string][]byte, len(d.b.drawer))
	for k, v := range d.b.drawer {
		all[k] = slices.Clone(v)
	}
	d.b.mu.Unlock()
	for k, v := range all {
		if err := f([]byte(k), v); err != nil {
			return err
		}
	}
	return nil
}
