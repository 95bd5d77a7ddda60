package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// decide tells what has become of a newcomer. While the founder still admits
// alone, it admits: the invitation was its consent.
func (s *Server) decide(ctx context.Context, id registry.ID, key identity.PublicKey) (Answer, error) {
	state := s.Registry.State()
	if n, _, ok := state.Node(key.NodeID()); ok && n.Key == key {
		s.Store.drop(id)
		return Answer{Standing: Admitted, Seq: state.Seq()}, nil
	}
	if p := proposed(state, id, key); p != nil {
		if max(state.Time(), s.Now().Unix()) > p.Expires {
			return Answer{}, Refuse(Lapsed, dated(p.Expires))
		}
		a := voting(state, *p)
		if a.Approvals < a.Needed || !s.recount(ctx, state, *p) {
			return a, nil
		}
		if state = s.Registry.State(); state == nil {
			return a, nil
		}
		if _, _, ok := state.Node(key.NodeID()); ok {
			return Answer{Standing: Admitted, Seq: state.Seq()}, nil
		}
		return a, nil
	}
	p, ok := s.Store.Get(id)
	if !ok || !p.has(key) {
		inv, _ := state.Invitation(id)
		if r := s.refuses(inv, key); r != nil {
			return Answer{}, r
		}
		return Answer{}, Refuse(Unknown, "")
	}
	switch {
	case p.Stopped:
		return Answer{}, Refuse(Numbers, "")
	case p.late(s.Now()):
		return Answer{}, Refuse(Late, days(numbersLife))
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

// recount has the registry count a vote again that has enough approvals by now:
// the members have lowered the threshold, or there are fewer of them. It counts
// with an approval only, so this country repeats the one that it gave.
func (s *Server) recount(ctx context.Context, state *registry.State, p registry.Proposal) bool {
	select {
	case s.deciding <- struct{}{}:
		defer func() { <-s.deciding }()
	case <-ctx.Done():
		return false
	}
	_, m, _ := state.Node(s.Node)
	if !m.Active() || !slices.Contains(p.Approvals, m.Origin) || s.Admin() == nil {
		return false
	}
	_, command, err := registry.NewCommand(state, registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash}, s.Admin())
	if err == nil {
		_, err = s.Registry.Propose(ctx, command)
	}
	if err != nil {
		s.Logger.Info("a vote with enough approvals waits to be counted again", "country", p.Candidate.Country, "error", err)
	}
	return err == nil
}

// voting is how a vote stands. Members that have left or are suspended since do
// not count, on neither side: the registry counts so too.
func voting(state *registry.State, p registry.Proposal) Answer {
	a := Answer{Standing: Voting, Needed: state.Policy().Needed(active(state))}
	for _, o := range p.Approvals {
		if m, ok := state.MemberByOrigin(o); ok && m.Active() {
			a.Approvals++
		}
	}
	for _, o := range p.Objections {
		if m, ok := state.MemberByOrigin(o.Origin); ok && m.Active() {
			a.Objection++
		}
	}
	return a
}

func dated(unix int64) string { return time.Unix(unix, 0).UTC().Format("2 January 2006, 15:04 UTC") }

func days(d time.Duration) string { return fmt.Sprintf("%d days", d/(24*time.Hour)) }

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
// out; if they differ, the knock is dropped and the refusal is Numbers. When the
// registry cannot be changed now the refusal is NotReady; what was signed is kept,
// and Run hands it over later.
func (s *Server) Admit(ctx context.Context, id registry.ID, numbers string) (uint64, error) {
	select {
	case s.deciding <- struct{}{}:
		defer func() { <-s.deciding }()
	case <-ctx.Done():
		return 0, Refuse(NotReady, "an admission is under way already")
	}
	p, ok := s.Store.Get(id)
	switch {
	case !ok:
		if seq, ok := handedOver(s.Registry.State(), id); ok {
			return seq, nil
		}
		return 0, Refuse(Unknown, "")
	case p.Stopped:
		return 0, Refuse(Unknown, "")
	case p.late(s.Now()):
		return 0, Refuse(Late, days(numbersLife))
	case numbers != "" && strings.Join(strings.Fields(numbers), " ") != p.Numbers:
		p.Stopped, p.Command = true, nil
		if err := s.Store.put(p); err != nil {
			return 0, err
		}
		s.warn(ctx, id)
		return 0, Refuse(Numbers, "")
	}
	if s.Admin() == nil {
		return 0, Refuse(NoAdminKey, "")
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
			return 0, r
		}
		s.awake()
		return 0, r
	}
	s.Logger.Info("a newcomer was proposed to the registry", "country", p.Country, "entry", seq)
	if s.Registry.State().Seq() < seq { // until that is known here, the knock is all that the newcomer can be told of
		s.awake()
		return seq, nil
	}
	s.Store.drop(id)
	return seq, nil
}

// awake has deliver look for what is signed.
func (s *Server) awake() {
	select {
	case s.signed <- struct{}{}:
	default:
	}
}

// handedOver finds what became of a knock that was signed before and that Run has
// handed over meanwhile: the entry of its proposal, or the last one when its country
// is a member by now.
func handedOver(state *registry.State, id registry.ID) (uint64, bool) {
	for _, p := range state.Proposals() {
		if p.Invitation == id {
			return p.Seq, true
		}
	}
	inv, ok := state.Invitation(id)
	return state.Seq(), ok && inv.Status == registry.InvitationUsed
}

// Approver is what an approval needs of the registry; consensus.Keeper has it.
type Approver interface {
	State() *registry.State
	Entrust(ctx context.Context, command []byte) (uint64, error)
	Changed() <-chan struct{} // closed at the next change
	Poke()
}

// settleTime is how long it may take until a decision of others is known here.
const settleTime = 3 * time.Second

// Approve signs a proposal to admit a newcomer for the country of an admin key. That
// the others have admitted it at the same moment is no error.
func Approve(ctx context.Context, r Approver, p registry.Proposal, admin *identity.Key) error {
	_, command, err := registry.NewCommand(r.State(), registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash}, admin)
	if err != nil {
		return err
	}
	_, err = r.Entrust(ctx, command)
	if !errors.Is(err, registry.ErrNoProposal) {
		return err
	}
	for limit := time.After(settleTime); ; {
		changed := r.Changed()
		if m, ok := r.State().MemberByOrigin(p.Candidate.Origin); ok && m.Active() {
			return nil
		}
		r.Poke()
		select {
		case <-changed:
		case <-limit:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// warn tells all members that somebody may stand between this node and a
// newcomer: the next one may knock at theirs.
func (s *Server) warn(ctx context.Context, id registry.ID) {
	key := s.Admin()
	if key == nil {
		return
	}
	_, command, err := registry.NewCommand(s.Registry.State(), registry.KindCancel, registry.Cancel{Invitation: id, Differed: true}, key)
	if err == nil {
		_, err = s.Registry.Propose(ctx, command)
	}
	if err != nil {
		s.Logger.Warn("the other members could not be told that the numbers of a newcomer differed", "error", err)
	}
}

// deliverEvery is how often what was signed without a quorum is handed over again.
const deliverEvery = 5 * time.Second

// deliver hands over what an administrator has signed while the registry could
// not be changed. A command is taken once, however often it is sent. It looks once
// at the start, then after each signature that had to wait.
func (s *Server) deliver(ctx context.Context) {
	tick := time.NewTicker(deliverEvery)
	defer tick.Stop()
	for {
		wait := s.signed // of another signature
		if s.handOver(ctx) {
			wait = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-wait:
			tick.Reset(deliverEvery)
		case <-tickWhile(wait == nil, tick):
		}
	}
}

func tickWhile(on bool, t *time.Ticker) <-chan time.Time {
	if on {
		return t.C
	}
	return nil
}

// handOver proposes what is signed and reports whether something still waits.
func (s *Server) handOver(ctx context.Context) (left bool) {
	waiting, err := s.Store.Waiting()
	if err != nil {
		s.Logger.Warn("signed requests could not be looked for", "error", err)
	}
	for _, p := range waiting {
		if p.Command == nil {
			continue
		}
		_, err := s.Admit(ctx, p.Invitation, "")
		if err != nil && ctx.Err() == nil {
			s.Logger.Info("a signed request still waits for the registry", "country", p.Country, "error", err)
		}
		_, kept := s.Store.Get(p.Invitation)
		left = left || kept
	}
	return left
}
