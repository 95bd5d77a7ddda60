package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/fedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/transport"
)

// directory is a registry that tests can change.
type directory struct {
	mu    sync.Mutex
	peers map[identity.NodeID]transport.Peer
}

func (d *directory) Peer(id identity.NodeID) (transport.Peer, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.peers[id]
	return p, ok
}

func (d *directory) put(p transport.Peer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.peers[p.ID] = p
}

func (d *directory) remove(id identity.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.peers, id)
}

// play is a network with a registry that all its nodes share.
type play struct {
	t   *testing.T
	net *fedtest.Network
	dir *directory
}

// scene runs f in virtual time.
func scene(t *testing.T, f func(t *testing.T, p *play)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &play{t, fedtest.NewNetwork(10 * time.Millisecond), &directory{peers: map[identity.NodeID]transport.Peer{}}}
		t.Cleanup(func() { p.net.Close() })
		f(t, p)
	})
}

type actor struct {
	*transport.Transport
	key  *identity.Key
	host string
	id   identity.NodeID
}

func (a *actor) peer() transport.Peer {
	return transport.Peer{ID: a.id, Key: a.key.Public(), Endpoints: []string{a.host + ":7946"}}
}

// stranger starts a node that the registry does not know.
func (p *play) stranger(host string) *actor {
	p.t.Helper()
	return p.start(host, p.dir)
}

// start runs a node until the test ends.
func (p *play) start(host string, dir transport.Directory) *actor {
	p.t.Helper()
	key, err := identity.Generate(identity.RoleNode)
	if err != nil {
		p.t.Fatal(err)
	}
	l, err := p.net.Listen(host + ":7946")
	if err != nil {
		p.t.Fatal(err)
	}
	tr, err := transport.New(transport.Options{Key: key, Listener: l, Dial: p.net.Dialer(host), Directory: dir})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Errorf("%s: Run: %v", host, err)
		}
	})
	synctest.Wait()
	return &actor{tr, key, host, key.Public().NodeID()}
}

// member starts a node that the registry knows.
func (p *play) member(host string) *actor {
	p.t.Helper()
	a := p.stranger(host)
	p.dir.put(a.peer())
	return a
}

// echo answers every connection of a protocol with what it says.
func echo(a *actor, proto string) {
	l := a.Accept(proto)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
}

func say(c net.Conn, text string) (string, error) {
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	b := make([]byte, len(text))
	_, err := io.ReadFull(c, b)
	return string(b), err
}

func TestPeersTalk(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt, fi := p.member("lt"), p.member("fi")
		l := fi.Accept(transport.ProtoGossip)
		c, err := lt.DialPeer(t.Context(), fi.id, transport.ProtoGossip)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := c.(transport.Conn).Peer(); got != fi.id {
			t.Errorf("dialled %s, the connection says %s", fi.id, got)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := in.(transport.Conn); got.Peer() != lt.id || got.Key() != lt.key.Public() {
			t.Errorf("accepted %s, want %s", got.Peer(), lt.id)
		}
		go func() { defer in.Close(); _, _ = io.Copy(in, in) }()
		if got, err := say(c, "labas"); err != nil || got != "labas" {
			t.Errorf("heard %q, %v", got, err)
		}
		if s := fi.Stats(); s.Accepted[transport.ProtoGossip] != 1 || s.Open[transport.ProtoGossip] != 1 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestWhoMaySpeakWhat(t *testing.T) {
	for _, c := range []struct {
		name    string
		caller  string // stranger, member or voter
		proto   string
		refused transport.Reason // empty: accepted
	}{
		{"a member gossips", "member", transport.ProtoGossip, ""},
		{"a stranger does not gossip", "stranger", transport.ProtoGossip, transport.ReasonUnknown},
		{"a stranger is not served", "stranger", transport.ProtoHTTP, transport.ReasonUnknown},
		{"a stranger may knock", "stranger", transport.ProtoJoin, ""},
		{"a member may knock", "member", transport.ProtoJoin, ""},
		{"a voter speaks raft", "voter", transport.ProtoRaft, ""},
		{"a member that is no voter does not", "member", transport.ProtoRaft, transport.ReasonVoter},
		{"a stranger does not", "stranger", transport.ProtoRaft, transport.ReasonUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			scene(t, func(t *testing.T, p *play) {
				fi := p.member("fi")
				// The caller's own registry knows fi in any case.
				dir := &directory{peers: map[identity.NodeID]transport.Peer{fi.id: fi.peer()}}
				caller := p.start("caller", dir)
				if c.caller != "stranger" {
					peer := caller.peer()
					peer.Voter = c.caller == "voter"
					p.dir.put(peer)
				}
				echo(fi, c.proto)
				var conn net.Conn
				var err error
				if c.proto == transport.ProtoJoin {
					conn, err = caller.DialJoin(t.Context(), "fi:7946", fi.id)
				} else {
					conn, err = caller.DialPeer(t.Context(), fi.id, c.proto)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				got, err := say(conn, "hello")
				stats := fi.Stats()
				if c.refused == "" {
					if err != nil || got != "hello" {
						t.Errorf("heard %q, %v", got, err)
					}
					return
				}
				if !errors.Is(err, transport.ErrRefused) {
					t.Errorf("error is %v, want a refusal", err)
				}
				if stats.Refused[c.refused] != 1 {
					t.Errorf("refused: %v, want one of %s", stats.Refused, c.refused)
				}
			})
		})
	}
}

func TestDialErrors(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt, fi, ee := p.member("lt"), p.member("fi"), p.member("ee")
		wrong := ee.peer()
		wrong.Endpoints = []string{"fi:7946"}
		self := fi.peer()
		self.Endpoints = []string{"lt:7946"}
		none := fi.peer()
		none.Endpoints = nil
		otherKey := fi.peer()
		otherKey.Key = ee.key.Public()
		for _, c := range []struct {
			name string
			peer transport.Peer
			id   identity.NodeID
			prot string
			want error
		}{
			{"nobody", fi.peer(), identity.NodeID{9}, transport.ProtoGossip, transport.ErrUnknownPeer},
			{"somebody else answers", wrong, ee.id, transport.ProtoGossip, transport.ErrWrongPeer},
			{"our own address", self, fi.id, transport.ProtoGossip, transport.ErrSelf},
			{"ourselves", lt.peer(), lt.id, transport.ProtoGossip, transport.ErrSelf},
			{"no endpoints", none, fi.id, transport.ProtoGossip, transport.ErrNoEndpoint},
			{"a key that is not in the registry", otherKey, fi.id, transport.ProtoGossip, transport.ErrUnknownPeer},
			{"no such protocol", fi.peer(), fi.id, "http/1.1", transport.ErrProtocol},
			{"join without an address", fi.peer(), fi.id, transport.ProtoJoin, transport.ErrProtocol},
		} {
			p.dir.put(c.peer)
			if conn, err := lt.DialPeer(t.Context(), c.id, c.prot); !errors.Is(err, c.want) {
				t.Errorf("%s: error is %v, want %v (connection %v)", c.name, err, c.want, conn)
			}
		}
		if _, err := lt.DialJoin(t.Context(), "fi:7946", ee.id); !errors.Is(err, transport.ErrWrongPeer) {
			t.Errorf("a pinned node that is another: %v", err)
		}
		if s := lt.Stats(); s.DialFailed != 9 || s.Dialled != 0 {
			t.Errorf("dials counted: %+v", s)
		}
	})
}

func TestEndpointsAreTriedInTurn(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt, fi := p.member("lt"), p.member("fi")
		echo(fi, transport.ProtoGossip)
		peer := fi.peer()
		// Nobody listens at the first; the second never answers.
		peer.Endpoints = []string{"gone:1", "silent:1", "fi:7946"}
		if _, err := p.net.Listen("silent:1"); err != nil {
			t.Fatal(err)
		}
		p.dir.put(peer)
		for _, c := range []struct {
			name string
			most time.Duration
		}{{"first dial", 600 * time.Millisecond}, {"second dial, which remembers", 100 * time.Millisecond}} {
			start := time.Now()
			conn, err := lt.DialPeer(t.Context(), fi.id, transport.ProtoGossip)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > c.most {
				t.Errorf("%s took %v, want at most %v", c.name, took, c.most)
			}
			conn.Close()
		}
	})
}

func TestRevocationClosesWhatIsOpen(t *testing.T) {
	for _, asked := range []bool{true, false} {
		t.Run(fmt.Sprintf("recheck called %v", asked), func(t *testing.T) {
			scene(t, func(t *testing.T, p *play) {
				lt, fi := p.member("lt"), p.member("fi")
				echo(fi, transport.ProtoGossip)
				started := make(chan bool, 1)
				fi.ServeHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.WriteHeader(200)
					_ = http.NewResponseController(w).Flush()
					started <- true
					<-r.Context().Done() // a watch
				}))
				conn, err := lt.DialPeer(t.Context(), fi.id, transport.ProtoGossip)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := say(conn, "x"); err != nil {
					t.Fatal(err)
				}
				resp, err := lt.Client().Get("https://" + fi.id.String() + "/watch")
				if err != nil {
					t.Fatal(err)
				}
				<-started
				start := time.Now()
				p.dir.remove(lt.id)
				if asked {
					fi.Recheck()
				}
				if _, err := io.Copy(io.Discard, resp.Body); err == nil {
					t.Error("the watch ended as if nothing had happened")
				}
				if _, err := conn.Read(make([]byte, 1)); err == nil {
					t.Error("the connection is still open")
				}
				most := 6 * time.Second
				if asked {
					most = time.Second
				}
				if took := time.Since(start); took > most {
					t.Errorf("cut off after %v, want at most %v", took, most)
				}
				if open := fi.Stats().Open; len(open) != 0 {
					t.Errorf("open at the one who revoked: %v", open)
				}
				if _, err := lt.Client().Get("https://" + fi.id.String() + "/watch"); err == nil {
					t.Error("a revoked node is served")
				}
			})
		})
	}
}

func TestVoterWhoIsNoLongerOneIsCut(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt, fi := p.member("lt"), p.member("fi")
		voter := lt.peer()
		voter.Voter = true
		p.dir.put(voter)
		echo(fi, transport.ProtoRaft)
		conn, err := lt.DialPeer(t.Context(), fi.id, transport.ProtoRaft)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := say(conn, "x"); err != nil {
			t.Fatal(err)
		}
		fi.Recheck()
		if _, err := say(conn, "still there"); err != nil {
			t.Fatalf("a voter was cut: %v", err)
		}
		p.dir.put(lt.peer())
		fi.Recheck()
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("still connected")
		}
	})
}

func TestRunSaysThatThePortIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := fedtest.NewNetwork(0)
		defer n.Close()
		l, err := n.Listen("fi:7946")
		if err != nil {
			t.Fatal(err)
		}
		key, err := identity.Generate(identity.RoleNode)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := transport.New(transport.Options{Key: key, Listener: l, Directory: &directory{}})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- tr.Run(t.Context()) }()
		synctest.Wait()
		l.Close()
		if err := <-done; !errors.Is(err, transport.ErrListener) {
			t.Errorf("Run: %v", err)
		}
		if _, err := tr.Accept(transport.ProtoGossip).Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after the end: %v", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	key, err := identity.Generate(identity.RoleNode)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := identity.Generate(identity.RoleAdmin)
	if err != nil {
		t.Fatal(err)
	}
	l, err := fedtest.NewNetwork(0).Listen("fi:1")
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]transport.Options{
		"no key":       {Listener: l, Directory: &directory{}},
		"no listener":  {Key: key, Directory: &directory{}},
		"no directory": {Key: key, Listener: l},
		"an admin key": {Key: admin, Listener: l, Directory: &directory{}},
	} {
		if _, err := transport.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestRealSockets is the one test outside virtual time.
func TestRealSockets(t *testing.T) {
	dir := &directory{peers: map[identity.NodeID]transport.Peer{}}
	var nodes []*transport.Transport
	for range 2 {
		key, err := identity.Generate(identity.RoleNode)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tr, err := transport.New(transport.Options{Key: key, Listener: l, Directory: dir})
		if err != nil {
			t.Fatal(err)
		}
		dir.put(transport.Peer{ID: tr.Self(), Key: key.Public(), Endpoints: []string{l.Addr().String()}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tr.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		nodes = append(nodes, tr)
	}
	nodes[1].ServeHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := transport.PeerOf(r.Context())
		fmt.Fprint(w, id)
	}))
	resp, err := nodes[0].Client().Get("https://" + nodes[1].Self().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != nodes[0].Self().String() {
		t.Errorf("served %q, %v", b, err)
	}
}
