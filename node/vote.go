package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
)

// kindAdmission is what an admission is called among the decisions of the countries.
const kindAdmission = "admission"

// vote is what waits for approvals in the registry: a motion, or the admission of a
// newcomer. Both are approved by the same command.
type vote struct {
	control.Decision
	id       registry.ID       // of the command that asks for it
	hash     identity.Hash     // what approvals sign
	newcomer identity.OriginID // of an admission
}

// votes are all that the registry has, those that have lapsed included: motions
// first.
func (n *Node) votes(s *registry.State) []vote {
	var out []vote
	for _, m := range s.Motions() {
		out = append(out, n.motionVote(s, m))
	}
	for _, p := range s.Proposals() {
		out = append(out, n.admissionVote(s, p))
	}
	return out
}

func (n *Node) motionVote(s *registry.State, m registry.Motion) vote {
	return vote{Decision: n.weighMotion(s, m), id: m.ID, hash: m.Hash}
}

func (n *Node) admissionVote(s *registry.State, p registry.Proposal) vote {
	who, until := pending(s, p), timeOf(p.Expires)
	by := who.Operator
	if who.OperatorType != "" {
		by += ", " + who.OperatorType
	}
	d := control.Decision{
		ID: motionID(p.Hash), Kind: kindAdmission, Country: who.Country, Until: &until, Issued: until.AddDate(0, 0, -int(s.Policy().VoteDays)),
		Signed: who.Approved, Needed: who.Needed, Objected: who.Objected,
		Changes: []string{fmt.Sprintf("%s becomes a member, with %s; invited by %s, which compares the numbers with it", who.Country, by, who.Sponsor)},
	}
	slices.Sort(d.Signed)
	return vote{Decision: d, id: p.ID, hash: p.Hash, newcomer: p.Candidate.Origin}
}

// openVotes are what can still be signed.
func (n *Node) openVotes(s *registry.State) []vote {
	return slices.DeleteFunc(n.votes(s), func(v vote) bool { return v.Until.Before(n.o.Now().Truncate(time.Second)) })
}

// vote finds the one vote that an id, or its beginning, names.
func (n *Node) vote(id string) (vote, bool) {
	s := n.state()
	if s == nil || len(id) < 4 {
		return vote{}, false
	}
	found := slices.DeleteFunc(n.votes(s), func(v vote) bool { return !strings.HasPrefix(v.ID, strings.ToLower(id)) })
	if len(found) != 1 {
		return vote{}, false
	}
	return found[0], true
}

// approval is this country's signature under a vote, to be handed over here or
// carried to a node that reaches the others.
func (n *Node) approval(v vote) ([]byte, error) {
	s, _, err := n.member()
	if err != nil {
		return nil, err
	}
	_, command, err := registry.NewCommand(s, registry.KindApprove, registry.Approve{Proposal: v.id, Hash: v.hash}, n.keys().admin)
	return command, err
}

func (n *Node) endorse(ctx context.Context, v vote) (control.Decision, error) {
	command, err := n.approval(v)
	if err != nil {
		return control.Decision{}, err
	}
	return n.handIn(ctx, command, v.id)
}

// takeApproval hands in an approval that was signed elsewhere; false when the file
// is none.
func (n *Node) takeApproval(ctx context.Context, file []byte) (control.Decision, bool, error) {
	c, _, err := registry.ParseCommand(file)
	if err != nil || c.Kind != registry.KindApprove {
		return control.Decision{}, false, nil
	}
	var p registry.Approve
	if err := identity.Unmarshal(c.Payload, &p); err != nil {
		return control.Decision{}, false, nil
	}
	if _, _, err := n.member(); err != nil {
		return control.Decision{}, true, err
	}
	d, err := n.handIn(ctx, file, p.Proposal)
	return d, true, err
}

// handIn proposes an approval and tells how its vote stands then.
func (n *Node) handIn(ctx context.Context, command []byte, id registry.ID) (control.Decision, error) {
	find := func() (vote, bool) {
		all := n.votes(n.state())
		i := slices.IndexFunc(all, func(v vote) bool { return v.id == id })
		if i < 0 {
			return vote{}, false
		}
		return all[i], true
	}
	before, known := find()
	_, err := n.keeper.Load().Entrust(ctx, command)
	if errors.Is(err, registry.ErrNoProposal) && known && before.newcomer != (identity.OriginID{}) && n.isMember(before.newcomer) {
		err = nil // the others were quicker
	}
	if err != nil {
		return control.Decision{}, explainMotion(err)
	}
	if v, ok := find(); ok {
		return v.Decision, nil
	}
	d := before.Decision
	d.InForce, d.Changes = true, nil
	if _, e, err := registry.ParseCommand(command); err == nil {
		for _, sig := range e.Signatures {
			for _, m := range n.state().Members() {
				if _, ok := m.Key(identity.RoleAdmin, sig.Key); ok && !slices.Contains(d.Signed, m.Country) {
					d.Signed = append(d.Signed, m.Country)
				}
			}
		}
	}
	slices.Sort(d.Signed)
	return d, nil
}

func (n *Node) isMember(o identity.OriginID) bool {
	m, ok := n.state().MemberByOrigin(o)
	return ok && m.Active()
}
