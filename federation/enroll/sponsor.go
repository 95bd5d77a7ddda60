package enroll

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Limits of what strangers can make a node do.
const (
	maxSkew     = 10 * time.Minute // between two clocks
	maxAttempts = 30               // calls with one invitation in an hour; who waits by it may ask as often as it likes
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
	deciding chan struct{} // a place for one admission at a time
	signed   chan struct{} // something was signed that the registry has not taken

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
	return &Server{Options: o, deciding: make(chan struct{}, 1), signed: make(chan struct{}, 1), attempts: map[registry.ID][]time.Time{}}, nil
}

// Run takes knocks until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.Listener.Close() })
	defer stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	calls.Go(func() { s.deliver(ctx) })
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
	inv, refusal := s.admissible(h, peer.Key())
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
func (s *Server) admissible(h hello, key identity.PublicKey) (registry.Invitation, *Refusal) {
	none := registry.Invitation{}
	state, now := s.Registry.State(), s.Now()
	switch {
	case state == nil:
		return none, Refuse(NotReady, "it has no registry yet")
	case h.Version != Version:
		return none, otherKnock(h.Version)
	case h.Purpose != purposeLook && h.Purpose != purposeKnock && h.Purpose != purposeAsk:
		return none, Refuse(Malformed, "it is not said what for")
	case h.Federation != state.Federation():
		return none, Refuse(Foreign, "the node that answers belongs to "+kindOf(state))
	}
	if waits := h.Purpose == purposeAsk && s.waits(state, h.Invitation, key); !waits && !s.count(h.Invitation, now) {
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
	if n, m, in := state.Node(key.NodeID()); in && n.Key == key && m.Country != inv.Country {
		return none, Refuse(KeyTaken, "") // it is not the newcomer that was let in: its keys are copies
	}
	return inv, s.speaksFor(state, inv)
}

// speaksFor refuses an invitation that this node's country did not give out, or
// may not at present.
func (s *Server) speaksFor(state *registry.State, inv registry.Invitation) *Refusal {
	sponsor, _ := state.MemberByOrigin(inv.Sponsor)
	if !sponsor.Active() {
		return Refuse(Suspended, sponsor.Country)
	}
	if _, m, ok := state.Node(s.Node); !ok || m.Origin != inv.Sponsor {
		return Refuse(NotSponsor, "that is "+sponsor.Country)
	}
	return nil
}

func kindOf(s *registry.State) string {
	if s.Demo() {
		return fmt.Sprintf("the demonstration %q", s.Name())
	}
	return fmt.Sprintf("%q", s.Name())
}

// waits reports whether a caller has knocked by this invitation and waits for the
// answer, or may have it: people take hours to decide, and it asks all the while.
func (s *Server) waits(state *registry.State, id registry.ID, key identity.PublicKey) bool {
	if p, ok := s.Store.Get(id); ok && p.has(key) || proposed(state, id, key) != nil {
		return true
	}
	n, _, in := state.Node(key.NodeID())
	return in && n.Key == key
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
			r = Refuse(Expired, dated(inv.Expires))
		}
		return r
	}
	if s.takenBefore(inv.ID, key) {
		return Refuse(Used, "") // somebody else knocked first
	}
	return nil
}

// takenBefore reports whether another newcomer holds the invitation. One whose
// numbers differed holds it no longer.
func (s *Server) takenBefore(id registry.ID, key identity.PublicKey) bool {
	p, ok := s.Store.Get(id)
	return ok && !p.Stopped && !p.has(key)
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
	p, hash, err := s.judge(state, inv, plain)
	switch {
	case err != nil:
		return err
	case commitment(hash, k.Nonce) != h.Commitment:
		return Refuse(Malformed, "the request is not the one that was promised")
	case !p.has(key):
		return Refuse(Malformed, "the request is for another node than the one that calls")
	}
	p.Numbers = parties{h.Federation, inv.ID, hash, s.admin(state), s.Seal.Public(), s.Node, k.Nonce, nonce}.numbers()
	return s.keep(p, key)
}

// keep keeps a knock, unless somebody else came first.
func (s *Server) keep(p Pending, key identity.PublicKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.takenBefore(p.Invitation, key) {
		return Refuse(Used, "")
	}
	return s.Store.put(p)
}

// judge reads an opened request and checks it against its invitation. The numbers
// are left to the caller.
func (s *Server) judge(state *registry.State, inv registry.Invitation, plain []byte) (Pending, identity.Hash, error) {
	none := identity.Hash{}
	var r request
	if err := identity.Unmarshal(plain, &r); err != nil {
		return Pending{}, none, Refuse(Malformed, "the request cannot be read")
	}
	st, err := registry.ParseStatement(state.Federation(), r.Statement)
	if err != nil {
		return Pending{}, none, s.explained(err, inv.Country)
	}
	hash, err := candidateHash(st.Candidate)
	if err != nil {
		return Pending{}, none, err
	}
	switch secret := registry.HashSecret(st.Secret); {
	case st.Invitation != inv.ID || secret != inv.SecretHash:
		return Pending{}, none, Refuse(WrongSecret, "")
	case st.Candidate.Country != inv.Country:
		return Pending{}, none, Refuse(WrongCountry, fmt.Sprintf("it invites %s, and the newcomer is %s", inv.Country, st.Candidate.Country))
	case len(r.Contact) > registry.MaxText || len(r.Version) > registry.MaxText:
		return Pending{}, none, Refuse(Malformed, "the contact is too long")
	}
	return Pending{
		Invitation: inv.ID, Country: inv.Country, Candidate: st.Candidate, Statement: r.Statement,
		Contact: r.Contact, Version: r.Version, Knocked: s.Now().Unix(),
	}, hash, nil
}

// admin is this country's admin key, as its invitations name it: the one that lies
// here, or the first where it is kept elsewhere.
func (s *Server) admin(state *registry.State) identity.PublicKey {
	_, m, _ := state.Node(s.Node)
	if key := s.Admin(); key != nil {
		if k, ok := m.Key(identity.RoleAdmin, key.ID()); ok {
			return k
		}
	}
	for _, k := range m.Keys {
		if k.Role == identity.RoleAdmin && k.To == (registry.Mark{}) {
			return k.Public
		}
	}
	return identity.PublicKey{}
}

func (s *Server) explained(err error, country string) error {
	if r := explain(err, country); r != nil {
		return r
	}
	return err
}
