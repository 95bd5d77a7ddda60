package enroll_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/fedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
	"github.com/2ps-project/waymark/federation/transport"
)

// book is a registry on one machine: what consensus would order, it applies.
type book struct {
	mu    sync.Mutex
	state *registry.State
	fail  error
	late  bool // what is ordered is not known here yet: it is in ahead
	ahead *registry.State
}

// catchUp has everything that was ordered known here.
func (b *book) catchUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late = false
	if b.ahead != nil {
		b.state, b.ahead = b.ahead, nil
	}
}

func (b *book) State() *registry.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// set makes proposing fail, or work again.
func (b *book) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = err
}

func (b *book) Propose(_ context.Context, command []byte) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return 0, b.fail
	}
	c, _, err := registry.ParseCommand(command)
	if err != nil {
		return 0, err
	}
	now := b.state
	if b.ahead != nil {
		now = b.ahead
	}
	if seq, ok := now.Seen(c.ID); ok {
		return seq, nil
	}
	next, err := now.Apply(registry.Entry{Time: max(now.Time(), time.Now().Unix()), Command: command})
	if err != nil {
		return 0, err
	}
	if b.late {
		b.ahead = next
	} else {
		b.state = next
	}
	return next.Seq(), nil
}

func (b *book) Peer(id identity.NodeID) (transport.Peer, bool) {
	n, _, ok := b.State().Node(id)
	return transport.Peer{ID: id, Key: n.Key, Endpoints: n.Endpoints}, ok
}

// stage is Poland, which invites, on a network with others.
type stage struct {
	t      *testing.T
	net    *fedtest.Network
	book   *book
	pl     *registrytest.Member
	server *enroll.Server
	store  *enroll.Store
	end    func()
}

const plAddr = "node.PL.example:7946"

func newStage(t *testing.T) *stage {
	time.Sleep(time.Until(registrytest.Start.Add(time.Hour))) // in virtual time
	s := &stage{t: t, net: fedtest.NewNetwork(10 * time.Millisecond), pl: registrytest.New(t, "PL")}
	_, state := s.pl.Found(t)
	s.book = &book{state: state}
	l, err := s.net.Listen(plAddr)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := transport.New(transport.Options{Key: s.pl.Keys.Node, Listener: l, Directory: s.book})
	if err != nil {
		t.Fatal(err)
	}
	if s.store, err = enroll.OpenStore(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	s.server, err = enroll.New(enroll.Options{
		Registry: s.book, Admin: func() *identity.Key { return s.pl.Keys.Admin }, Seal: s.pl.Open, Node: s.pl.Node(),
		Listener: tr.Accept(enroll.Protocol), Store: s.store,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = tr.Run(ctx) })
	running.Go(func() {
		if err := s.server.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	s.end = func() {
		cancel()
		running.Wait()
		s.net.Close()
		time.Sleep(time.Minute)
	}
	return s
}

func (s *stage) invite(country string) *enroll.Invitation {
	s.t.Helper()
	i, command, err := enroll.Invite(s.book.State(), s.pl.Keys.Admin, country, []enroll.Contact{{plAddr, s.pl.Node()}}, 0, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.book.Propose(context.Background(), command); err != nil {
		s.t.Fatal(err)
	}
	if err := s.store.Keep(i); err != nil {
		s.t.Fatal(err)
	}
	return i
}

// newcomer is a country's node with nothing but its keys.
func (s *stage) newcomer(country string) (*enroll.Newcomer, *registrytest.Member) {
	s.t.Helper()
	m := registrytest.New(s.t, country)
	addr := m.Nodes[0].Endpoints[0]
	l, err := s.net.Listen(addr.String())
	if err != nil {
		s.t.Fatal(err)
	}
	tr, err := transport.New(transport.Options{Key: m.Keys.Node, Listener: l, Dial: s.net.Dialer(addr.Host), Directory: new(enroll.JoinState)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Close() })
	return &enroll.Newcomer{Candidate: m.Candidate, Keys: m.Keys, Contact: "by telephone", Dial: tr.DialJoin}, m
}

func play(t *testing.T, f func(t *testing.T, s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		defer s.end()
		f(t, s)
	})
}

func TestJoining(t *testing.T) {
	for _, form := range []string{"file", "code"} {
		t.Run("by "+form, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				i := s.invite("DE")
				text := code(t, i)
				if form == "file" {
					b, err := i.File()
					if err != nil {
						t.Fatal(err)
					}
					text = string(b)
				}
				read, err := enroll.Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				n, de := s.newcomer("DE")
				j, err := n.Knock(context.Background(), read)
				if err != nil {
					t.Fatal(err)
				}
				if j.Answer.Standing != enroll.Admitted || j.Sponsor != "PL" || j.Name != "Test federation" || j.Federation != s.book.State().Federation() {
					t.Fatalf("%+v", j)
				}
				if m, ok := s.book.State().MemberByCountry("DE"); !ok || m.Origin != de.Origin {
					t.Fatal("Germany is no member")
				}
				if p, ok := j.Peer(s.pl.Node()); !ok || p.Key != s.pl.Keys.Node.Public() || p.Endpoints[0] != plAddr {
					t.Fatalf("the way to the registry: %+v", p)
				}
				b, err := j.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				again, err := enroll.UnmarshalJoinState(b)
				if err != nil {
					t.Fatal(err)
				}
				if a, err := n.Ask(context.Background(), again); err != nil || a.Standing != enroll.Admitted {
					t.Fatalf("asked again: %+v %v", a, err)
				}
				// Interrupted before it noted the answer, it knocks again.
				if j, err = n.Knock(context.Background(), read); err != nil || j.Answer.Standing != enroll.Admitted {
					t.Fatalf("knocked again: %v", err)
				}
			})
		})
	}
}

func code(t *testing.T, i *enroll.Invitation) string {
	t.Helper()
	c, err := i.Code()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComparingAndApproving(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		others := map[string]*registrytest.Member{}
		for _, country := range []string{"DE", "LT"} {
			n, m := s.newcomer(country)
			if _, err := n.Knock(context.Background(), s.invite(country)); err != nil {
				t.Fatal(err)
			}
			others[country] = m
		}
		i := s.invite("FI")
		n, _ := s.newcomer("FI")
		j, err := n.Knock(context.Background(), i)
		if err != nil {
			t.Fatal(err)
		}
		waiting, err := s.store.Waiting()
		if err != nil || len(waiting) != 1 {
			t.Fatalf("%d knocks wait: %v", len(waiting), err)
		}
		if j.Answer.Standing != enroll.Waiting || waiting[0].Numbers != j.Numbers || len(j.Numbers) != 14 || waiting[0].Contact != "by telephone" {
			t.Fatalf("%+v and %+v", j, waiting[0])
		}
		if _, ok := s.book.State().MemberByCountry("FI"); ok {
			t.Fatal("a fourth came in without a word of the others")
		}
		if _, err := s.server.Admit(context.Background(), i.ID(), "1000 1000 1000"); !errors.Is(err, &enroll.Refusal{Code: enroll.Numbers}) {
			t.Fatalf("with other numbers: %v", err)
		}
		if j, err = n.Knock(context.Background(), i); err != nil { // new numbers
			t.Fatal(err)
		}
		if _, err := s.server.Admit(context.Background(), i.ID(), " "+j.Numbers+"\n"); err != nil {
			t.Fatal(err)
		}
		a, err := n.Ask(context.Background(), j)
		if err != nil || a.Standing != enroll.Voting || a.Approvals != 1 || a.Needed != 2 {
			t.Fatalf("%+v %v", a, err)
		}
		p := s.book.State().Proposals()[0]
		_, c := others["LT"].Sign(t, s.book.State(), registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
		if _, err := s.book.Propose(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		if a, err = n.Ask(context.Background(), j); err != nil || a.Standing != enroll.Admitted {
			t.Fatalf("%+v %v", a, err)
		}
	})
}

func TestNoQuorumKeepsTheKnock(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		i := s.invite("DE")
		n, _ := s.newcomer("DE")
		s.book.set(consensus.ErrNoQuorum)
		j, err := n.Knock(context.Background(), i)
		if err != nil || j.Answer.Standing != enroll.Waiting {
			t.Fatalf("%+v %v", j, err)
		}
		s.book.set(nil)
		if a, err := n.Ask(context.Background(), j); err != nil || a.Standing != enroll.Admitted {
			t.Fatalf("%+v %v", a, err)
		}
	})
}

// TestRefusals is the table of joins that stop, each with its code.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		want enroll.Code
		says string
		play func(*stage) error
	}{
		"expired, seen by the newcomer": {enroll.Expired, "expired on", func(s *stage) error {
			i := s.invite("DE")
			time.Sleep(15 * 24 * time.Hour)
			return s.knock("DE", i)
		}},
		"expired, the newcomer's clock set back": {enroll.Clock, "behind", func(s *stage) error {
			i := s.invite("DE")
			n, _ := s.newcomer("DE")
			back := time.Now()
			n.Now = func() time.Time { return back }
			time.Sleep(15 * 24 * time.Hour)
			_, err := n.Knock(context.Background(), i)
			return err
		}},
		"used by somebody else": {enroll.Used, "once", func(s *stage) error {
			i := s.invite("DE")
			if err := s.knock("DE", i); err != nil {
				return err
			}
			thief, _ := s.newcomer("XX")
			thief.Candidate.Country = "DE"
			_, err := thief.Knock(context.Background(), i)
			return err
		}},
		"a copy while the first waits": {enroll.Used, "once", func(s *stage) error {
			i := s.invite("DE")
			s.book.set(consensus.ErrNoQuorum)
			if err := s.knock("DE", i); err != nil {
				return err
			}
			thief, _ := s.newcomer("XX")
			thief.Candidate.Country = "DE"
			_, err := thief.Knock(context.Background(), i)
			return err
		}},
		"cancelled": {enroll.Cancelled, "cancelled", func(s *stage) error {
			i := s.invite("DE")
			_, c := s.pl.Sign(s.t, s.book.State(), registry.KindCancel, registry.Cancel{Invitation: i.ID()})
			if _, err := s.book.Propose(context.Background(), c); err != nil {
				return err
			}
			return s.knock("DE", i)
		}},
		"never announced": {enroll.Unknown, "knows no such", func(s *stage) error {
			i, _, err := enroll.Invite(s.book.State(), s.pl.Keys.Admin, "DE", []enroll.Contact{{plAddr, s.pl.Node()}}, 0, time.Now())
			if err != nil {
				return err
			}
			return s.knock("DE", i)
		}},
		"of another federation": {enroll.Foreign, "Test federation", func(s *stage) error {
			_, other := s.pl.Found(s.t)
			i, _, err := enroll.Invite(other, s.pl.Keys.Admin, "DE", []enroll.Contact{{plAddr, s.pl.Node()}}, 0, time.Now())
			if err != nil {
				return err
			}
			return s.knock("DE", i)
		}},
		"for another country": {enroll.WrongCountry, "it invites DE, and this node is for LT", func(s *stage) error {
			return s.knock("LT", s.invite("DE"))
		}},
		"a country that is a member": {enroll.CountryTaken, "DE", func(s *stage) error {
			first, second := s.invite("DE"), s.invite("DE")
			if err := s.knock("DE", first); err != nil {
				return err
			}
			n, _ := s.newcomer("XX")
			n.Candidate.Country = "DE"
			_, err := n.Knock(context.Background(), second)
			return err
		}},
		"keys copied from a member": {enroll.KeyTaken, "another member", func(s *stage) error {
			if err := s.knock("DE", s.invite("DE")); err != nil {
				return err
			}
			n, _ := s.newcomer("LT")
			de := registrytest.New(s.t, "DE")
			n.Candidate.Admin, n.Keys.Admin = de.Admin, de.Keys.Admin
			_, err := n.Knock(context.Background(), s.invite("LT"))
			return err
		}},
		"a member's node with another country's invitation": {enroll.KeyTaken, "another member", func(s *stage) error {
			n, _ := s.newcomer("DE")
			if _, err := n.Knock(context.Background(), s.invite("DE")); err != nil {
				return err
			}
			n.Candidate.Country = "LT" // the directory was copied, keys and all
			n.Candidate.Origin = registrytest.New(s.t, "LT").Origin
			_, err := n.Knock(context.Background(), s.invite("LT"))
			return err
		}},
		"a wrong key signs": {enroll.Malformed, "signatures", func(s *stage) error {
			n, _ := s.newcomer("DE")
			n.Keys.Admin = s.pl.Keys.Publish
			_, err := n.Knock(context.Background(), s.invite("DE"))
			return err
		}},
		"nobody there": {enroll.Unreachable, "nowhere.example:1", func(s *stage) error {
			i, _, err := enroll.Invite(s.book.State(), s.pl.Keys.Admin, "DE", []enroll.Contact{{"nowhere.example:1", s.pl.Node()}}, 0, time.Now())
			if err != nil {
				return err
			}
			return s.knock("DE", i)
		}},
		"another node answers": {enroll.WrongNode, plAddr, func(s *stage) error {
			i, _, err := enroll.Invite(s.book.State(), s.pl.Keys.Admin, "DE", []enroll.Contact{{plAddr, identity.NodeID{1}}}, 0, time.Now())
			if err != nil {
				return err
			}
			return s.knock("DE", i)
		}},
		"the sponsor is suspended since": {enroll.Suspended, "PL", func(s *stage) error {
			var others []*registrytest.Member
			for _, country := range []string{"DE", "LT", "SE"} {
				others = append(others, s.join(country))
			}
			i := s.invite("FI")
			s.do(others[0], registry.KindRuling, registry.RecordRuling{Ruling: registrytest.Ruling(s.t, s.book.State(), registry.Ruling{Kind: registry.RulingSuspend, Origin: s.pl.Origin}, others...)})
			return s.knock("FI", i)
		}},
		"the vote has lapsed": {enroll.Lapsed, "ended on", func(s *stage) error {
			s.join("DE")
			s.join("LT")
			n, j := s.proposed("FI")
			time.Sleep(31 * 24 * time.Hour)
			_, err := n.Ask(context.Background(), j)
			return err
		}},
		"numbers compared too late": {enroll.Late, "older than 3 days", func(s *stage) error {
			s.join("DE")
			s.join("LT")
			n, _ := s.newcomer("FI")
			i := s.invite("FI")
			j, err := n.Knock(context.Background(), i)
			if err != nil {
				return err
			}
			time.Sleep(73 * time.Hour)
			if _, err := s.server.Admit(context.Background(), i.ID(), j.Numbers); !errors.Is(err, &enroll.Refusal{Code: enroll.Late}) {
				return fmt.Errorf("the sponsor: %w", err)
			}
			_, late := n.Ask(context.Background(), j)
			if j, err = n.Knock(context.Background(), i); err != nil { // new numbers
				return err
			}
			if _, err := s.server.Admit(context.Background(), i.ID(), j.Numbers); err != nil {
				return err
			}
			return late
		}},
		"the newcomer asks after other numbers were read": {enroll.Numbers, "not the same", func(s *stage) error {
			s.join("DE")
			s.join("LT")
			n, _ := s.newcomer("FI")
			i := s.invite("FI")
			j, err := n.Knock(context.Background(), i)
			if err != nil {
				return err
			}
			if _, err := s.server.Admit(context.Background(), i.ID(), "1000 1000 1000"); !errors.Is(err, &enroll.Refusal{Code: enroll.Numbers}) {
				return fmt.Errorf("the sponsor: %w", err)
			}
			if _, err := s.server.Admit(context.Background(), i.ID(), j.Numbers); !errors.Is(err, &enroll.Refusal{Code: enroll.Unknown}) {
				return fmt.Errorf("the right ones, after the wrong ones: %w", err)
			}
			_, err = n.Ask(context.Background(), j)
			return err
		}},
		"the admin key is elsewhere": {enroll.NoAdminKey, "not on this machine", func(s *stage) error {
			s.join("DE")
			s.join("LT")
			i := s.invite("FI")
			if err := s.knock("FI", i); err != nil {
				return err
			}
			s.server.Admin = func() *identity.Key { return nil }
			_, err := s.server.Admit(context.Background(), i.ID(), "")
			return err
		}},
		"a clock that is ahead": {enroll.Clock, "ahead", func(s *stage) error {
			n, _ := s.newcomer("DE")
			n.Now = func() time.Time { return time.Now().Add(20 * time.Minute) }
			_, err := n.Knock(context.Background(), s.invite("DE"))
			return err
		}},
		"a request in a file, expired on its way": {enroll.Expired, "expired on", func(s *stage) error {
			file := s.carried("DE", s.invite("DE"))
			time.Sleep(15 * 24 * time.Hour)
			_, _, err := s.server.Carried(context.Background(), file)
			return err
		}},
		"a request in a file, by a copied invitation": {enroll.Used, "once", func(s *stage) error {
			i := s.invite("DE")
			if err := s.knock("DE", i); err != nil {
				return err
			}
			thief, _ := s.newcomer("XX")
			thief.Candidate.Country = "DE"
			j, err := thief.Request(i)
			if err != nil {
				return err
			}
			_, _, err = s.server.Carried(context.Background(), j.Request)
			return err
		}},
		"a request in a file, without the invitation's file": {enroll.NeedsFile, "only a part", func(s *stage) error {
			byCode, err := enroll.Parse(code(s.t, s.invite("DE")))
			if err != nil {
				return err
			}
			n, _ := s.newcomer("DE")
			_, err = n.Request(byCode)
			return err
		}},
		"a request in a file, of another federation": {enroll.Foreign, "Test federation", func(s *stage) error {
			_, other := s.pl.Found(s.t)
			i, _, err := enroll.Invite(other, s.pl.Keys.Admin, "DE", []enroll.Contact{{plAddr, s.pl.Node()}}, 0, time.Now())
			if err != nil {
				return err
			}
			_, _, err = s.server.Carried(context.Background(), s.carried("DE", i))
			return err
		}},
		"a flood": {enroll.TooMany, "too many", func(s *stage) error {
			i := s.invite("DE")
			s.book.set(consensus.ErrNoQuorum)
			n, _ := s.newcomer("DE")
			j, err := n.Knock(context.Background(), i)
			for range 100 {
				if err != nil {
					return err
				}
				if _, err := n.Ask(context.Background(), j); err != nil {
					s.t.Errorf("who waits may ask: %v", err)
				}
				_, err = n.Knock(context.Background(), i)
				time.Sleep(time.Second)
			}
			return err
		}},
		"a flood by somebody who has a copy": {enroll.TooMany, "too many", func(s *stage) error {
			s.join("DE")
			s.join("LT")
			_, j := s.proposed("FI")
			thief, _ := s.newcomer("XX")
			thief.Candidate.Country = "FI"
			var err error
			for range 100 {
				if _, err = thief.Ask(context.Background(), j); errors.Is(err, &enroll.Refusal{Code: enroll.TooMany}) {
					return err
				}
			}
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				before := len(s.book.State().Members())
				err := c.play(s)
				if !errors.Is(err, &enroll.Refusal{Code: c.want}) {
					t.Fatalf("got %v, want the code %s", err, c.want)
				}
				var r *enroll.Refusal
				if errors.As(err, &r); !strings.Contains(r.Text, c.says) || r.Next == "" {
					t.Errorf("it says %q, and then %q", r.Text, r.Next)
				}
				if _, in := s.book.State().MemberByCountry("FI"); in {
					t.Error("FI came in")
				}
				if now := len(s.book.State().Members()); now > before+3 {
					t.Errorf("%d members, were %d", now, before)
				}
			})
		})
	}
}

func (s *stage) knock(country string, i *enroll.Invitation) error {
	n, _ := s.newcomer(country)
	_, err := n.Knock(context.Background(), i)
	return err
}

// join makes a country a member.
func (s *stage) join(country string) *registrytest.Member {
	s.t.Helper()
	n, m := s.newcomer(country)
	i := s.invite(country)
	if _, err := n.Knock(context.Background(), i); err != nil {
		s.t.Fatal(err)
	}
	if _, in := s.book.State().MemberByCountry(country); in {
		return m
	}
	if _, err := s.server.Admit(context.Background(), i.ID(), ""); err != nil { // from the fourth on
		s.t.Fatal(err)
	}
	for _, p := range s.book.State().Proposals() {
		for _, by := range s.book.State().Members() {
			if p.Candidate.Country == country && !p.Done && by.Country != "PL" {
				s.do(registrytest.New(s.t, by.Country), registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
				return m
			}
		}
	}
	return m
}

// do has a member sign a command and puts it into the registry.
func (s *stage) do(by *registrytest.Member, kind registry.Kind, payload any) {
	s.t.Helper()
	_, c := by.Sign(s.t, s.book.State(), kind, payload)
	if _, err := s.book.Propose(context.Background(), c); err != nil {
		s.t.Fatal(err)
	}
}

// proposed is a newcomer whose numbers were compared.
func (s *stage) proposed(country string) (*enroll.Newcomer, *enroll.JoinState) {
	s.t.Helper()
	n, _ := s.newcomer(country)
	i := s.invite(country)
	j, err := n.Knock(context.Background(), i)
	if err == nil {
		_, err = s.server.Admit(context.Background(), i.ID(), j.Numbers)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return n, j
}

func (s *stage) carried(country string, i *enroll.Invitation) []byte {
	s.t.Helper()
	n, _ := s.newcomer(country)
	j, err := n.Request(i)
	if err != nil {
		s.t.Fatal(err)
	}
	return j.Request
}

// TestAKnockOfAnotherVersion: the newcomer hears which side is the older one.
func TestAKnockOfAnotherVersion(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		i := s.invite("DE")
		n, _ := s.newcomer("DE")
		for version, next := range map[uint64]string{
			0:                  "Your program is the older one: install the newest waymark on this machine",
			enroll.Version + 1: "The country that invited you has the older program",
		} {
			conn, err := n.Dial(context.Background(), plAddr, s.pl.Node())
			if err != nil {
				t.Fatal(err)
			}
			hello, err := identity.Marshal(map[int]any{1: version, 2: "knock", 3: i.Federation[:], 4: make([]byte, len(registry.ID{})), 5: make([]byte, 32), 6: time.Now().Unix()})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(hello))), hello...)); err != nil {
				t.Fatal(err)
			}
			var head [4]byte
			if _, err := io.ReadFull(conn, head[:]); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, binary.BigEndian.Uint32(head[:]))
			if _, err := io.ReadFull(conn, b); err != nil {
				t.Fatal(err)
			}
			var greeting struct {
				Refusal *enroll.Refusal `cbor:"1,keyasint,omitempty"`
				Nonce   []byte          `cbor:"2,keyasint"`
			}
			if err := identity.Unmarshal(b, &greeting); err != nil {
				t.Fatal(err)
			}
			if r := greeting.Refusal; r == nil || r.Code != enroll.TooOld || !strings.Contains(r.Text, fmt.Sprintf("version %d of the knock", version)) || !strings.Contains(r.Next, next) {
				t.Errorf("version %d: %v", version, r)
			}
			conn.Close()
		}
		if _, err := n.Knock(context.Background(), i); err != nil { // the invitation is as good as before
			t.Error(err)
		}
	})
}

// TestStrangers talks to the door without an invitation.
func TestStrangers(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.invite("DE")
		n, _ := s.newcomer("XX")
		for name, bytes := range map[string][]byte{
			"noise":             []byte("GET / HTTP/1.1\r\n\r\n"),
			"a huge length":     {0xff, 0xff, 0xff, 0xff},
			"an empty message":  {0, 0, 0, 1, 0xa0},
			"a list, not a map": {0, 0, 0, 1, 0x80},
			"nothing, then end": {},
		} {
			conn, err := n.Dial(context.Background(), plAddr, s.pl.Node())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(bytes); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn) // ends when the server hangs up
			if len(got) > 1024 {
				t.Errorf("%s: %d bytes came back", name, len(got))
			}
			var wait net.Error
			if errors.As(err, &wait) && wait.Timeout() {
				t.Errorf("%s: %v", name, err)
			}
			conn.Close()
		}
		if len(s.book.State().Members()) != 1 {
			t.Fatal("somebody came in")
		}
	})
}

func TestTheTwoFormsAreOneInvitation(t *testing.T) {
	pl := registrytest.New(t, "PL")
	_, s := pl.Found(t)
	for _, endpoint := range []string{"192.0.2.7:7946", "[2001:db8::7]:443", "waymark.example.org:7946", "127.0.0.1:8106"} {
		i, _, err := enroll.Invite(s, pl.Keys.Admin, "FI", []enroll.Contact{{endpoint, pl.Node()}, {"second.example:1", identity.NodeID{2}}}, 0, registrytest.Start)
		if err != nil {
			t.Fatal(err)
		}
		file, err := i.File()
		if err != nil {
			t.Fatal(err)
		}
		byFile, err := enroll.Parse(string(file))
		if err != nil {
			t.Fatal(err)
		}
		text := code(t, i)
		t.Logf("%s: %d groups: %s", endpoint, strings.Count(text, "-")+1, text)
		// However it is typed.
		for _, typed := range []string{text, strings.ToLower(text), strings.ReplaceAll(text, "-", " \n"), strings.ReplaceAll(text, "-", ""), strings.ReplaceAll(strings.ReplaceAll(text, "0", "O"), "1", "l")} {
			byCode, err := enroll.Parse(typed)
			if err != nil {
				t.Fatalf("%q: %v", typed, err)
			}
			if byCode.IsComplete() || byCode.Contacts[0].Endpoint != endpoint || byCode.Federation != s.Federation() || byCode.Country != "FI" || byCode.Expires != i.Expires || byCode.ID() != i.ID() {
				t.Fatalf("the code says %+v", byCode)
			}
			if err := byCode.Complete(byFile.Signed()); err != nil {
				t.Fatal(err)
			}
			again, err := byCode.File()
			if err != nil || string(again) != string(file) {
				t.Fatalf("another invitation came of the code: %v", err)
			}
		}
		other, _, err := enroll.Invite(s, pl.Keys.Admin, "FI", []enroll.Contact{{endpoint, pl.Node()}}, 0, registrytest.Start)
		if err != nil {
			t.Fatal(err)
		}
		byCode, _ := enroll.Parse(text)
		if err := byCode.Complete(other.Signed()); !errors.Is(err, &enroll.Refusal{Code: enroll.Foreign}) {
			t.Fatalf("completed with other terms: %v", err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", i, i, i), fmt.Sprintf("%v", i.Secret)) {
			t.Fatal("an invitation prints its secret")
		}
	}
}

func TestATypoNamesItsGroup(t *testing.T) {
	pl := registrytest.New(t, "PL")
	_, s := pl.Found(t)
	i, _, err := enroll.Invite(s, pl.Keys.Admin, "FI", []enroll.Contact{{"192.0.2.7:7946", pl.Node()}}, 0, registrytest.Start)
	if err != nil {
		t.Fatal(err)
	}
	text := code(t, i)
	groups := strings.Split(text, "-")
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	for g := range groups {
		named := fmt.Sprintf("group %d,", g+1)
		try := func(what, changed string) {
			t.Helper()
			bad := append([]string(nil), groups...)
			bad[g] = changed
			_, err := enroll.Parse(strings.Join(bad, "-"))
			if !errors.Is(err, &enroll.Refusal{Code: enroll.Typo}) || !strings.Contains(err.Error(), named) {
				t.Errorf("%s in group %d, %s for %s: %v", what, g+1, changed, groups[g], err)
			}
		}
		for p := range groups[g] {
			for _, c := range alphabet {
				if byte(c) != groups[g][p] {
					try("a wrong character", groups[g][:p]+string(c)+groups[g][p+1:])
				}
			}
			try("a character no code has", groups[g][:p]+"?"+groups[g][p+1:])
			try("a missing character", groups[g][:p]+groups[g][p+1:])
			if p > 0 && groups[g][p] != groups[g][p-1] {
				b := []byte(groups[g])
				b[p], b[p-1] = b[p-1], b[p]
				try("two characters exchanged", string(b))
			}
		}
	}
	for name, bad := range map[string]string{
		"the end is missing":       strings.Join(groups[:len(groups)-1], "-"),
		"a group is missing":       strings.Join(append(append([]string(nil), groups[:3]...), groups[4:]...), "-"),
		"two groups are exchanged": strings.Join(append([]string{groups[1], groups[0]}, groups[2:]...), "-"),
	} {
		if _, err := enroll.Parse(bad); !errors.Is(err, &enroll.Refusal{Code: enroll.Typo}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, bad := range map[string]string{
		"nothing": "", "a word": "hello", "a key file": "-----BEGIN WAYMARK PRIVATE KEY-----\nAAAA\n-----END WAYMARK PRIVATE KEY-----\n",
		"too much": strings.Repeat("A", 20000),
	} {
		if _, err := enroll.Parse(bad); !errors.Is(err, &enroll.Refusal{Code: enroll.NoInvitation}) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAChangedFileIsRefused(t *testing.T) {
	pl := registrytest.New(t, "PL")
	_, s := pl.Found(t)
	i, _, err := enroll.Invite(s, pl.Keys.Admin, "FI", []enroll.Contact{{"192.0.2.7:7946", pl.Node()}}, 0, registrytest.Start)
	if err != nil {
		t.Fatal(err)
	}
	file, err := i.File()
	if err != nil {
		t.Fatal(err)
	}
	for at := len("-----BEGIN WAYMARK INVITATION-----\n"); at < len(file)-40; at += 3 {
		bad := append([]byte(nil), file...)
		if bad[at] == 'A' {
			bad[at] = 'B'
		} else {
			bad[at] = 'A'
		}
		if read, err := enroll.Parse(string(bad)); err == nil {
			t.Fatalf("byte %d changed: read as an invitation for %s", at, read.Country)
		}
	}
}

func FuzzInvitation(f *testing.F) {
	pl := registrytest.New(f, "PL")
	_, s := pl.Found(f)
	i, _, err := enroll.Invite(s, pl.Keys.Admin, "FI", []enroll.Contact{{"192.0.2.7:7946", pl.Node()}}, 0, registrytest.Start)
	if err != nil {
		f.Fatal(err)
	}
	file, _ := i.File()
	c, _ := i.Code()
	f.Add(string(file))
	f.Add(c)
	f.Fuzz(func(t *testing.T, text string) {
		i, err := enroll.Parse(text)
		if err != nil {
			var r *enroll.Refusal
			if !errors.As(err, &r) || r.Next == "" {
				t.Fatalf("an error that says nothing: %v", err)
			}
			return
		}
		if _, err := i.Code(); err != nil {
			t.Fatalf("read, and cannot be written: %v", err)
		}
	})
}

func FuzzJoinState(f *testing.F) {
	b, _ := (&enroll.JoinState{Country: "FI"}).Marshal()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if j, err := enroll.UnmarshalJoinState(b); err == nil {
			j.Nodes()
			j.Peer(identity.NodeID{})
		}
	})
}
