package enroll

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Limits of what strangers can make a node do.
const (
	maxSkew     = 10 * time.Minute // between two clocks
	maxAttempts = 30               // calls with one invitation in an hour
	maxWatched  = 1024             // invitations whose calls are counted
)

// Registry is what a sponsor needs of the registry; consensus.Keeper has it.
type Registry interface {
	State() *registry.State // nil while there is none
	Propose(ctx context.Context, command []byte) (uint64, error)
}

// Options say who takes knocks. All but Logger and Now are needed; Admin, which
// is asked each time since keys change, may be or give nil where the admin key
// is kept elsewhere: then nothing is admitted without a person.
type Options struct {
	Registry Registry
	Admin    func() *identity.Key
	Seal     *identity.SealKey
	Node     identity.NodeID // this node
	Listener net.Listener    // of waymark-join/1; its connections have Peer() and Key()
	Store    *Store
	Logger   *slog.Logger     // nil discards
	Now      func() time.Time // nil is time.Now
}

// Server takes the knocks of those whom this node's country has invited.
type Server struct {
	Options
	deciding sync.Mutex // one admission at a time

	mu       sync.Mutex // also orders what is put into the store
	attempts map[registry.ID][]time.Time
}

// New checks the options.
func New(o Options) (*Server, error) {
	if o.Registry == nil || o.Seal == nil || o.Listener == nil || o.Store == nil || o.Node.IsZero() {
		return nil, errors.New("take knocks: registry, seal key, node, listener and store are needed")
	}
	if o.Admin == nil {
		o.Admin = func() *identity.Key { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Server{Options: o, attempts: map[registry.ID][]time.Time{}}, nil
}

// Run takes knocks until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.Listener.Close() })
	defer stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		conn, err := s.Listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("take knocks: %w", err)
		}
		calls.Go(func() {
			defer conn.Close()
			hurry := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
			defer hurry()
			if err := s.serve(ctx, conn); err != nil {
				s.Logger.Debug("a knock was not finished", "error", err)
			}
		})
	}
}

// serve answers one call.
func (s *Server) serve(ctx context.Context, conn net.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	// The timer of the deadline is the connection's: writes to a peer that
	// does not read end as well.
	end, _ := ctx.Deadline()
	if err := conn.SetDeadline(end); err != nil {
		return err
	}
	peer, ok := conn.(interface{ Key() identity.PublicKey })
	if !ok {
		return errors.New("a connection that proves no key")
	}
	var h hello
	if err := receive(conn, &h); err != nil {
		return err
	}
	inv, refusal := s.admissible(h)
	if refusal != nil {
		return send(conn, greeting{Refusal: refusal})
	}
	var g greeting
	rand.Read(g.Nonce[:])
	if h.Purpose == purposeLook {
		if g.Terms = s.Store.terms(inv.ID); g.Terms == nil {
			return send(conn, greeting{Refusal: Refuse(Unknown, "")})
		}
		return send(conn, g)
	}
	if h.Purpose == purposeKnock {
		if r := s.refuses(inv, peer.Key()); r != nil {
			return send(conn, greeting{Refusal: r})
		}
	}
	if err := send(conn, g); err != nil {
		return err
	}
	var err error
	if h.Purpose == purposeKnock {
		err = s.take(conn, h, g.Nonce, inv, peer.Key())
	}
	var a Answer
	if err == nil {
		a, err = s.decide(ctx, inv.ID, peer.Key())
	}
	var r *Refusal
	if err != nil && !errors.As(err, &r) {
		return err
	}
	return send(conn, outcome{Refusal: r, Answer: a})
}

// admissible says whether a caller may go on, by what it says of itself.
func (s *Server) admissible(h hello) (registry.Invitation, *Refusal) {
	none := registry.Invitation{}
	state, now := s.Registry.State(), s.Now()
	switch {
	case state == nil:
		return none, Refuse(NotReady, "it has no registry yet")
	case h.Version != Version:
		return none, Refuse(TooOld, fmt.Sprintf("the newcomer speaks version %d of the knock, this node %d", h.Version, Version))
	case h.Purpose != purposeLook && h.Purpose != purposeKnock && h.Purpose != purposeAsk:
		return none, Refuse(Malformed, "it is not said what for")
	case h.Federation != state.Federation():
		return none, Refuse(Foreign, "the node that answers belongs to "+kindOf(state))
	}
	if !s.count(h.Invitation, now) {
		return none, Refuse(TooMany, "")
	}
	if skew := now.Sub(time.Unix(h.Clock, 0)); skew.Abs() > maxSkew {
		way := "behind"
		if skew < 0 {
			way = "ahead"
		}
		return none, Refuse(Clock, fmt.Sprintf("that of the newcomer is %s %s", skew.Abs().Round(time.Minute), way))
	}
	inv, ok := state.Invitation(h.Invitation)
	if !ok {
		return none, Refuse(Unknown, "")
	}
	sponsor, _ := state.MemberByOrigin(inv.Sponsor)
	if _, m, ok := state.Node(s.Node); !ok || m.Origin != inv.Sponsor {
		return none, Refuse(NotSponsor, "that is "+sponsor.Country)
	}
	return inv, nil
}

func kindOf(s *registry.State) string {
	if s.Demo() {
		return fmt.Sprintf("the demonstration %q", s.Name())
	}
	return fmt.Sprintf("%q", s.Name())
}

// count notes a call and reports whether there were not too many.
func (s *Server) count(id registry.ID, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	recent := slices.DeleteFunc(s.attempts[id], func(t time.Time) bool { return now.Sub(t) > time.Hour })
	if len(recent) >= maxAttempts {
		s.attempts[id] = recent
		return false
	}
	if _, watched := s.attempts[id]; !watched && len(s.attempts) >= maxWatched {
		clear(s.attempts) // made-up ids; the real ones start again
	}
	s.attempts[id] = append(recent, now)
	return true
}

// refuses tells why an invitation does not serve this newcomer, or nil.
func (s *Server) refuses(inv registry.Invitation, key identity.PublicKey) *Refusal {
	state := s.Registry.State()
	if n, _, ok := state.Node(key.NodeID()); ok && n.Key == key {
		return nil // admitted already: it is told so
	}
	if proposed(state, inv.ID, key) != nil {
		return nil
	}
	if err := inv.Err(max(s.Now().Unix(), state.Time())); err != nil {
		r := explain(err, inv.Country)
		if r.Code == Expired {
			r = Refuse(Expired, time.Unix(inv.Expires, 0).UTC().Format("2 January 2006, 15:04 UTC"))
		}
		return r
	}
	if p, ok := s.Store.Get(inv.ID); ok && !p.has(key) {
		return Refuse(Used, "") // somebody else knocked first
	}
	return nil
}

// proposed is the open proposal of a newcomer, or nil.
func proposed(state *registry.State, id registry.ID, key identity.PublicKey) *registry.Proposal {
	for _, p := range state.Proposals() {
		if p.Invitation == id && hasNode(p.Candidate, key) {
			return &p
		}
	}
	return nil
}

func hasNode(c registry.Candidate, key identity.PublicKey) bool {
	return slices.ContainsFunc(c.Nodes, func(m registry.Machine) bool { return m.Key == key })
}

// take reads the sealed request, checks all of it, and keeps it.
func (s *Server) take(conn net.Conn, h hello, nonce [32]byte, inv registry.Invitation, key identity.PublicKey) error {
	var k knock
	if err := receive(conn, &k); err != nil {
		return err
	}
	state := s.Registry.State()
	if n, _, ok := state.Node(key.NodeID()); ok && n.Key == key || proposed(state, inv.ID, key) != nil {
		return nil // nothing new
	}
	plain, err := s.Seal.Open(k.Sealed, sealInfo(h.Federation, h.Invitation, nonce))
	if err != nil {
		return Refuse(Malformed, "the request is not sealed to this node's country")
	}
	var r request
	if err := identity.Unmarshal(plain, &r); err != nil {
		return Refuse(Malformed, "the request cannot be read")
	}
	st, err := registry.ParseStatement(state.Federation(), r.Statement)
	if err != nil {
		return s.explained(err, inv.Country)
	}
	hash, err := candidateHash(st.Candidate)
	if err != nil {
		return err
	}
	switch secret := registry.HashSecret(st.Secret); {
	case commitment(hash, k.Nonce) != h.Commitment:
		return Refuse(Malformed, "the request is not the one that was promised")
	case !hasNode(st.Candidate, key):
		return Refuse(Malformed, "the request is for another node than the one that calls")
	case st.Invitation != inv.ID || secret != inv.SecretHash:
		return Refuse(WrongSecret, "")
	case st.Candidate.Country != inv.Country:
		return Refuse(WrongCountry, fmt.Sprintf("it invites %s, and the newcomer is %s", inv.Country, st.Candidate.Country))
	}
	if len(r.Contact) > registry.MaxText || len(r.Version) > registry.MaxText {
		return Refuse(Malformed, "the contact is too long")
	}
	_, m, _ := state.Node(s.Node)
	admin := identity.PublicKey{}
	for _, k := range m.Keys {
		if k.Role == identity.RoleAdmin && k.To == (registry.Mark{}) {
			admin = k.Public
			break
		}
	}
	p := Pending{
		Invitation: inv.ID, Country: inv.Country, Candidate: st.Candidate, Statement: r.Statement,
		Contact: r.Contact, Version: r.Version, Knocked: s.Now().Unix(),
		Numbers: parties{h.Federation, inv.ID, hash, admin, s.Seal.Public(), s.Node, k.Nonce, nonce}.numbers(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.Store.Get(inv.ID); ok && !was.has(key) {
		return Refuse(Used, "")
	}
	return s.Store.put(p)
}

func (s *Server) explained(err error, country string) error {
	if r := explain(err, country); r != nil {
		return r
	}
	return err
}

// decide tells what has become of a newcomer. While the founder still admits
// alone, it admits: the invitation was its consent.
func (s *Server) decide(ctx context.Context, id registry.ID, key identity.PublicKey) (Answer, error) {
	state := s.Registry.State()
	if n, _, ok := state.Node(key.NodeID()); ok && n.Key == key {
		s.Store.drop(id)
		return Answer{Standing: Admitted, Seq: state.Seq()}, nil
	}
	if p := proposed(state, id, key); p != nil {
		if state.Time() > p.Expires || s.Now().Unix() > p.Expires {
			return Answer{Standing: Refused}, nil
		}
		return Answer{
			Standing: Voting, Approvals: len(p.Approvals), Objection: len(p.Objections),
			Needed: state.Policy().Needed(active(state)),
		}, nil
	}
	p, ok := s.Store.Get(id)
	if !ok || !p.has(key) {
		inv, _ := state.Invitation(id)
		if r := s.refuses(inv, key); r != nil {
			return Answer{}, r
		}
		return Answer{}, Refuse(Unknown, "")
	}
	_, m, _ := state.Node(s.Node)
	if !state.FounderAdmits() || m.Origin != state.Founder() || s.Admin() == nil {
		return Answer{Standing: Waiting}, nil
	}
	if _, err := s.Admit(ctx, id, ""); err != nil {
		var r *Refusal
		if errors.As(err, &r) && r.Code == NotReady {
			return Answer{Standing: Waiting}, nil // asked again, it is tried again
		}
		return Answer{}, err
	}
	if state = s.Registry.State(); state == nil {
		return Answer{Standing: Waiting}, nil
	}
	if _, _, ok := state.Node(key.NodeID()); ok {
		return Answer{Standing: Admitted, Seq: state.Seq()}, nil
	}
	return Answer{Standing: Voting, Approvals: 1, Needed: state.Policy().Needed(active(state))}, nil
}

func active(s *registry.State) int {
	n := 0
	for _, m := range s.Members() {
		if m.Active() {
			n++
		}
	}
	return n
}

// Admit signs the newcomer's statement as its sponsor and proposes it to the
// registry. While the founder admits alone that makes it a member; later the
// others have to approve. Numbers, when given, are those that the newcomer read
// out; if they differ, the knock is dropped and the refusal is Numbers.
func (s *Server) Admit(ctx context.Context, id registry.ID, numbers string) (uint64, error) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	p, ok := s.Store.Get(id)
	if !ok {
		return 0, Refuse(Unknown, "")
	}
	if numbers != "" && strings.Join(strings.Fields(numbers), " ") != p.Numbers {
		s.Store.drop(id)
		return 0, Refuse(Numbers, "")
	}
	if s.Admin() == nil {
		return 0, Refuse(NotReady, "the admin key is not on this machine")
	}
	command, err := s.Store.command(p, func() ([]byte, error) {
		_, c, err := registry.NewCommand(s.Registry.State(), registry.KindAdmit, registry.Admit{Statement: p.Statement}, s.Admin())
		return c, err
	})
	if err != nil {
		return 0, err
	}
	seq, err := s.Registry.Propose(ctx, command)
	if err != nil {
		r := explain(err, p.Country)
		if r == nil {
			return 0, err
		}
		if r.Code != NotReady {
			s.Store.drop(id) // judged: the same knock would be judged alike
		}
		return 0, r
	}
	s.Store.drop(id)
	s.Logger.Info("a newcomer was proposed to the registry", "country", p.Country, "entry", seq)
	return seq, nil
}
