// Package node is one country's running node: it builds the parts, starts them
// in order and stops them in reverse.
//
// Readers come first. The pages answer from this node's own disk as soon as the
// search index stands, and nothing of the federation can take them away: its
// parts run under a supervisor that restarts them.
package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/gossip"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/replication"
	"github.com/2ps-project/waymark/federation/report"
	"github.com/2ps-project/waymark/federation/transport"
	"github.com/2ps-project/waymark/node/catalog"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/editorial"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/store"
)

// Options say which node to run.
type Options struct {
	Dir    string
	Config config.Config
	Logger *slog.Logger     // discards when nil
	Now    func() time.Time // time.Now when nil
	// Free measures the free space for the node's data, in bytes; the file system
	// when nil.
	Free func() (int64, error)
}

// Node is a running node.
type Node struct {
	o       Options
	ring    atomic.Pointer[keyring]
	id      identity.NodeID
	locale  *locale.Set
	store   *store.Store
	index   *search.Index
	catalog *catalog.Catalog
	desk    *editorial.Desk
	ready   chan struct{}

	invitations *enroll.Store
	docket      *docket.Docket
	hides       *hides
	reports     *report.Box
	latest      latest
	wasMember   bool  // when New returned
	newer       error // not nil: the registry here goes on in a way that this program does not know; set before keeper

	public, ops, federation net.Listener
	transport               *transport.Transport
	joining                 chan struct{} // closed when the node knows which federation it wants
	signing                 chan struct{} // closed when the publisher is there

	keeper     atomic.Pointer[consensus.Keeper]
	publisher  atomic.Pointer[feed.Publisher]
	replicator atomic.Pointer[replication.Replicator]
	gossip     atomic.Pointer[gossip.Gossip]
	admissions atomic.Pointer[enroll.Server]

	unrecorded chan struct{} // the docket may hold what the registry does not

	standings sync.Map // identity.OriginID → knownStanding

	reconsidering sync.Mutex // guards these two
	takenDown     map[identity.OriginID][]feed.Key
	voices        map[identity.OriginID]voice

	seed    vocabulary                      // what the program comes with
	learned uint64                          // VocabularySeq of what is known; written by refreshing alone
	forHSDS atomic.Pointer[hsds.Vocabulary] // the same, as the API has it

	refreshing, following, reconsidered errand // what follows a change of the registry or the docket

	peersFile sync.Mutex // one writer of the file of acquaintances
	rekeying  sync.Mutex // one change of the key files

	started time.Time // when New returned
	once    sync.Once // closes signing
	mu      sync.Mutex
	join    *enroll.JoinState // while not yet admitted; nil otherwise
	known   *acquaintances    // while the registry that named this node is lost; nil otherwise
	stopped error             // why the node takes no part in its federation; nil when it does
}

// New opens a node's directory and its ports. It leaves nothing open when it
// fails. Run runs the node.
func New(o Options) (n *Node, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	n = &Node{o: o, started: o.Now(), ready: make(chan struct{}), joining: make(chan struct{}), signing: make(chan struct{}), unrecorded: make(chan struct{}, 1)}
	opened := n // a return of nil takes n away
	defer func() {
		if err != nil {
			opened.close()
		}
	}()
	keys, err := loadKeys(o.Dir)
	if err != nil {
		return nil, err
	}
	n.ring.Store(&keys)
	n.id = keys.node.Public().NodeID()
	if n.store, err = openStore(o.Dir, o.Config, o.Logger, n.alias, o.Free); err != nil {
		return nil, err
	}
	if n.index, err = search.New(search.Options{Dir: filepath.Join(o.Dir, dirIndex), Stamp: indexStamp(), Room: n.store.Room, Now: o.Now, Logger: o.Logger}); err != nil {
		return nil, err
	}
	if n.locale, err = locale.New(); err != nil {
		return nil, err
	}
	if n.seed, err = seedVocabulary(n.locale); err != nil {
		return nil, err
	}
	n.index.SetLabels(n.seed.searchLabels())
	if n.docket, err = docket.New(docket.Options{Drawer: n.store.Drawer("docket"), State: n.state, Changed: n.docketChanged, Logger: o.Logger, Now: o.Now}); err != nil {
		return nil, err
	}
	if n.hides, err = openHides(n.store.Drawer("hides")); err != nil {
		return nil, err
	}
	if n.catalog, err = catalog.New(catalog.Options{
		Store: n.store, Index: n.index, Country: n.country, Cadence: n.cadence, Logger: o.Logger, Now: n.now,
		Hidden: n.hidden, Caretaker: n.caretaker, Standing: n.standing,
	}); err != nil {
		return nil, err
	}
	if n.desk, err = editorial.New(editorial.Options{
		Country: o.Config.Country, Store: n.store, Publisher: n.signer, Cadence: n.cadence, Now: o.Now,
		Origin: n.origin, Caretaker: n.caretaker, CountryOf: n.country,
	}); err != nil {
		return nil, err
	}
	if err = n.latest.open(n.store); err != nil {
		return nil, err
	}
	if n.invitations, err = enroll.OpenStore(filepath.Join(o.Dir, dirInvitations)); err != nil {
		return nil, err
	}
	if err = n.listen(); err != nil {
		return nil, err
	}
	if n.transport, err = transport.New(transport.Options{Key: n.keys().node, Listener: n.federation, Directory: (*directory)(n), Lost: n.lost, Logger: o.Logger, Now: o.Now}); err != nil {
		return nil, err
	}
	if n.reports, err = n.openReports(); err != nil {
		return nil, err
	}
	if err = n.resume(); err != nil {
		return nil, err
	}
	n.refreshing.run(n.learn)
	return n, nil
}

func openStore(dir string, c config.Config, log *slog.Logger, alias func(identity.OriginID, feed.Key) feed.Key, free func() (int64, error)) (*store.Store, error) {
	return store.Open(store.Options{Dir: filepath.Join(dir, dirStore), Floor: int64(c.Store.FreeSpaceFloor), Logger: log, Alias: alias, Free: free})
}

// listen opens the ports: all of them, or none.
func (n *Node) listen() (err error) {
	c := n.o.Config
	open := func(what, key, address string) net.Listener {
		if err != nil {
			return nil
		}
		var l net.Listener
		if l, err = net.Listen("tcp", address); err != nil {
			err = &control.Error{
				Class: control.Failed, Code: "port_taken",
				Message: fmt.Sprintf("The port for %s, %s, cannot be opened: %v.", what, address, err),
				Next:    fmt.Sprintf("Stop the program that has it, or choose another address for %s in %s.", key, filepath.Join(n.o.Dir, config.FileName)),
			}
		}
		return l
	}
	n.public = open("the public pages", "public.listen", c.Public.Listen)
	n.ops = open("operations", "ops.listen", c.Ops.Listen)
	address := c.Federation.Listen
	if c.Federation.OutboundOnly {
		address = "127.0.0.1:0" // nobody is told; the node only calls others
	}
	n.federation = open("the federation", "federation.listen", address)
	return err
}

// close closes what New opened.
func (n *Node) close() {
	for _, l := range []net.Listener{n.public, n.ops, n.federation} {
		if l != nil {
			_ = l.Close()
		}
	}
	if n.store != nil {
		if err := n.store.Close(); err != nil {
			n.o.Logger.Error("the node's data was not closed cleanly", "err", err)
		}
	}
}

// Ready is closed when the node answers readers.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Run runs the node until ctx ends or a part is lost that it cannot do without.
// When it returns everything is stopped and closed.
func (n *Node) Run(ctx context.Context) error {
	defer n.close()
	if err := n.catalog.Resume(ctx); err != nil {
		return err
	}
	debug.FreeOSMemory() // what that needed is not needed again
	web, err := n.newWeb()
	if err != nil {
		return err
	}
	server, err := control.New(control.Options{Dir: n.o.Dir, Node: (*admin)(n), Logger: n.o.Logger})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	run := func(what string, f func(context.Context) error) {
		g.Go(func() error {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		})
	}
	run("search", n.index.Run)
	run("pages", web.Run)
	run("command line", server.Run)
	run("federation port", n.transport.Run)
	run("federation", n.runFederation)
	run("index", n.mend)
	run("keys", n.finishKeys)
	close(n.ready)
	err = g.Wait()
	if p := n.publisher.Load(); p != nil {
		p.Wait() // the last head's guard
	}
	return err
}

// mend keeps the search index in step with time, rebuilds it when it missed
// something, and saves it.
func (n *Node) mend(ctx context.Context) error {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		var err error
		if n.catalog.Lost() {
			err = n.catalog.Rebuild(ctx, nil)
		} else {
			err = n.catalog.Refresh(ctx) // what has ended meanwhile
		}
		if err != nil && ctx.Err() == nil {
			n.o.Logger.Error("the search index is not as it should be", "err", err)
		}
		select {
		case <-ctx.Done():
			n.saveIndex()
			return nil
		case <-tick.C:
			n.saveIndex()
		}
	}
}

// saveIndex spares the next start the filling of the index. It is a cache: what
// is not saved is made again.
func (n *Node) saveIndex() {
	if err := n.catalog.Save(); err != nil {
		n.o.Logger.Warn("the search index could not be saved; the next start takes longer", "err", err)
	}
}

// indexStamp is what a saved index depends on beside the listings. Another build
// of the program fills it anew.
func indexStamp() []byte {
	s := fmt.Sprintf("%s documents %s", Version(), catalog.DocVersion())
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, x := range info.Settings {
			if x.Key == "vcs.revision" {
				s += " " + x.Value
			}
		}
	}
	return []byte(s)
}

// state is the registry as it is here; nil before there is one.
func (n *Node) state() *registry.State {
	if k := n.keeper.Load(); k != nil {
		return k.State()
	}
	return nil
}

// self is this node's member; false until it is admitted.
func (n *Node) self() (registry.Member, bool) {
	if s := n.state(); s != nil {
		_, m, ok := s.Node(n.id)
		return m, ok
	}
	return registry.Member{}, false
}

// country is whose feed an origin's is; "" when the registry does not know it.
func (n *Node) country(o identity.OriginID) string {
	if s := n.state(); s != nil {
		if m, ok := s.MemberByOrigin(o); ok {
			return m.Country
		}
	}
	return ""
}

func (n *Node) cadence() listing.Cadence {
	s := n.state()
	if s == nil {
		return listing.DefaultCadence
	}
	c := s.Policy().Cadence
	return listing.Cadence{Crisis: int(c["crisis"]), Helpline: int(c["helpline"]), Clinic: int(c["clinic"]), Resource: int(c["resource"])}
}

// alias is the id under which a listing is known here when its own id belongs
// to another country's.
func (n *Node) alias(o identity.OriginID, k feed.Key) feed.Key {
	s := n.state()
	if s == nil {
		return k
	}
	f := s.Federation()
	name := append([]byte(n.country(o)), k[:]...)
	return feed.Key(uuid.NewSHA1(uuid.UUID(f), name))
}

// signer is the publisher of the own feed, or why there is none. Just after the
// start of a member's node it waits for the moment that the publisher takes, and
// until the peers in reach have shown which own head they hold: a node that was
// restored from an older copy must learn of it before it signs.
func (n *Node) signer() (editorial.Publisher, error) {
	if m, ok := n.silenced(); ok {
		return nil, n.errSilenced(m)
	}
	if m, in := n.self(); in {
		if !n.publishes(m) {
			return nil, n.errMirror(m)
		}
		limit := time.After(signerWait)
		select {
		case <-n.signing:
		case <-limit:
		}
		if r := n.replicator.Load(); r != nil {
			select {
			case <-r.Met():
			case <-limit:
			}
		}
	}
	if p := n.publisher.Load(); p != nil {
		return p, nil
	}
	if err := n.outside(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	stopped := n.stopped
	n.mu.Unlock()
	if m, in := n.self(); in && stopped == nil {
		return nil, &control.Error{
			Class: control.Degraded, Code: "behind",
			Message: fmt.Sprintf("Nothing can be published yet: what %s has published before is not all here.", m.Country),
			Next:    "Edits are kept as drafts. Leave the node connected; see: waymark status",
		}
	}
	if stopped != nil {
		return nil, &control.Error{
			Class: control.Degraded, Code: "federation_stopped",
			Message: "Nothing can be published: this node takes no part in its federation: " + stopped.Error() + ".",
			Next:    "Edits are kept as drafts. Mend that, then stop the node and start it again.",
		}
	}
	return nil, &control.Error{
		Class: control.Refused, Code: "not_member",
		Message: "Nothing can be published: this node's country is not a member of a federation yet.",
		Next:    "What was taken in is kept as a draft. Found a federation with waymark found, or join one with waymark join; then publish.",
	}
}

// signerWait bounds how long a publish waits for a node that is starting.
const signerWait = 10 * time.Second

// Version is the program's version as the toolchain stamped it, "devel" for a
// build from a working copy.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
