package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/durable"
	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
)

// Invite implements [control.Node].
func (a *admin) Invite(ctx context.Context, country string, expiry time.Duration) (control.Invitation, error) {
	n := (*Node)(a)
	s, self, err := n.member()
	if err != nil {
		return control.Invitation{}, err
	}
	if !n.publishes(self) {
		return control.Invitation{}, &control.Error{Class: control.Refused, Code: "mirror", Message: fmt.Sprintf("This node is a mirror of %s.", self.Country), Next: "Invite on the node that publishes. See which that is with: waymark node list"}
	}
	if err := n.store.Room(); err != nil {
		return control.Invitation{}, err // the registry could not take it either
	}
	if m, known := s.MemberByCountry(country); known && m.Seated() {
		return control.Invitation{}, &control.Error{Class: control.Refused, Code: "country_taken", Message: fmt.Sprintf("%s is a member already.", country), Next: "See: waymark country list"}
	}
	var contacts []enroll.Contact
	for _, node := range self.Nodes {
		if node.ID != n.id {
			continue // the knocks are kept here
		}
		for _, e := range node.Endpoints {
			contacts = append(contacts, enroll.Contact{Endpoint: e, Node: node.ID})
		}
	}
	if len(contacts) == 0 {
		return control.Invitation{}, &control.Error{Class: control.Refused, Code: "no_address", Message: "Nobody can call this node: it advertises no address.",
			Next: "Set federation.advertise in the configuration and start the node again."}
	}
	inv, command, err := enroll.Invite(s, n.keys().admin, country, contacts, expiry, n.o.Now())
	if err != nil {
		return control.Invitation{}, &control.Error{Class: control.Usage, Code: "bad_invitation", Message: err.Error() + "."}
	}
	if err := n.invitations.Keep(inv); err != nil {
		return control.Invitation{}, err
	}
	if _, err := n.keeper.Load().Propose(ctx, command); err != nil {
		if errors.Is(err, consensus.ErrOutcomeUnknown) {
			return control.Invitation{}, &control.Error{Class: control.Failed, Code: "outcome_unknown", Message: "Whether the registry took the invitation is not known yet.",
				Next: "Invite again: that makes another one. The first that is used admits, and the others close. See: waymark invite list"}
		}
		return control.Invitation{}, explainProposal(err)
	}
	text, err := inv.File()
	if err != nil {
		return control.Invitation{}, err
	}
	path := filepath.Join(n.o.Dir, dirInvitations, fmt.Sprintf("invitation-%s-%s.txt", country, inv.ID()))
	if err := durable.Write(path, text); err != nil {
		return control.Invitation{}, fmt.Errorf("write the invitation: %w", err)
	}
	code, err := inv.Code()
	if err != nil {
		return control.Invitation{}, err
	}
	return control.Invitation{Code: code, File: path, Country: country, Expires: time.Unix(inv.Expires, 0).UTC(), Federation: s.Name()}, nil
}

// Pending implements [control.Node].
func (a *admin) Pending(context.Context) ([]control.Pending, error) {
	n := (*Node)(a)
	out := []control.Pending{}
	s := n.state()
	if s == nil {
		return out, nil
	}
	waiting, err := n.invitations.Waiting()
	if err != nil {
		return nil, err
	}
	for _, p := range waiting {
		out = append(out, n.waiting(s, p))
	}
	for _, p := range s.Proposals() {
		if !p.Done {
			out = append(out, pending(s, p))
		}
	}
	return out, nil
}

// waiting is a knock that this country has not decided.
func (n *Node) waiting(s *registry.State, p enroll.Pending) control.Pending {
	v := control.Pending{Country: p.Country, Operator: p.Candidate.Operator, OperatorType: p.Candidate.OperatorType, Sponsor: n.o.Config.Country, Approved: []string{}, Needed: s.Policy().Needed(actives(s))}
	copy(v.Numbers[:], strings.Fields(p.Numbers))
	if inv, ok := s.Invitation(p.Invitation); ok {
		v.Expires = time.Unix(inv.Expires, 0).UTC()
	}
	return v
}

func actives(s *registry.State) (n int) {
	for _, m := range s.Members() {
		if m.Active() {
			n++
		}
	}
	return n
}

func pending(s *registry.State, p registry.Proposal) control.Pending {
	code := func(o identity.OriginID) string { m, _ := s.MemberByOrigin(o); return m.Country }
	v := control.Pending{
		Country: p.Candidate.Country, Operator: p.Candidate.Operator, OperatorType: p.Candidate.OperatorType, Sponsor: code(p.Sponsor), Approved: []string{},
		Needed: s.Policy().Needed(actives(s)), Expires: time.Unix(p.Expires, 0).UTC(),
	}
	for _, o := range p.Approvals {
		v.Approved = append(v.Approved, code(o))
	}
	for _, o := range p.Objections {
		v.Objected = append(v.Objected, strings.TrimSuffix(code(o.Origin)+": "+o.Reason, ": "))
	}
	return v
}

// Approve implements [control.Node]. The sponsor's approval proposes the
// newcomer; that of others counts for the proposal.
func (a *admin) Approve(ctx context.Context, country, numbers string) (control.Pending, error) {
	n := (*Node)(a)
	if _, _, err := n.member(); err != nil {
		return control.Pending{}, err
	}
	none := &control.Error{Class: control.Failed, Code: "nobody_waits", Message: fmt.Sprintf("Nobody from %s is waiting to be admitted.", country),
		Next: "See who is with: waymark country pending"}
	waiting, err := n.invitations.Waiting()
	if err != nil {
		return control.Pending{}, err
	}
	for _, p := range waiting {
		if p.Country != country {
			continue
		}
		server, err := n.door()
		if err != nil {
			return control.Pending{}, err
		}
		if _, err := server.Admit(ctx, p.Invitation, numbers); err != nil {
			return control.Pending{}, explainAdmission(err)
		}
		return n.outcome(country, p.Candidate.Origin)
	}
	p, ok := n.proposal(ctx, country)
	if !ok {
		return control.Pending{}, none
	}
	if err := enroll.Approve(ctx, n.keeper.Load(), p, n.keys().admin); err != nil {
		return control.Pending{}, explainProposal(err)
	}
	return n.outcome(country, p.Candidate.Origin)
}

// explainAdmission says why a newcomer was not proposed. What was signed while the
// registry could not be changed is not lost.
func explainAdmission(err error) error {
	if errors.Is(err, consensus.ErrNoQuorum) || errors.Is(err, consensus.ErrOutcomeUnknown) || errors.Is(err, &enroll.Refusal{Code: enroll.NotReady}) {
		return &control.Error{Class: control.Degraded, Code: "signed_waits", Message: "Signed, and kept here: the shared registry cannot be changed at present.",
			Next: "Nothing: this node hands it over as soon as enough of the other countries' nodes can be reached. See: waymark country pending"}
	}
	return explainJoin(err)
}

// proposalWait bounds how long an approval waits for its proposal: the sponsor
// may have made it a moment ago.
const proposalWait = 3 * time.Second

// proposal is the open proposal to admit a country.
func (n *Node) proposal(ctx context.Context, country string) (registry.Proposal, bool) {
	k := n.keeper.Load()
	limit := time.After(proposalWait)
	for {
		changed := k.Changed()
		for _, p := range n.state().Proposals() {
			if p.Candidate.Country == country && !p.Done {
				return p, true
			}
		}
		k.Poke()
		select {
		case <-changed:
		case <-limit:
			return registry.Proposal{}, false
		case <-ctx.Done():
			return registry.Proposal{}, false
		}
	}
}

// outcome is how a newcomer stands after an approval.
func (n *Node) outcome(country string, origin identity.OriginID) (control.Pending, error) {
	s := n.state()
	if m, ok := s.MemberByOrigin(origin); ok {
		return control.Pending{Country: country, Operator: m.Operator, Approved: []string{}, Admitted: true}, nil
	}
	for _, p := range s.Proposals() {
		if p.Candidate.Origin == origin {
			return pending(s, p), nil
		}
	}
	return control.Pending{Country: country, Approved: []string{}}, nil
}
