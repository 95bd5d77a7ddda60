package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
)

// Invitations implements [control.Enrolment].
func (a *admin) Invitations(context.Context) ([]control.Invited, error) {
	n := (*Node)(a)
	s, self, err := n.member()
	if err != nil {
		return nil, err
	}
	return n.invited(s, self), nil
}

// invited are the invitations of a member, the newest first.
func (n *Node) invited(s *registry.State, by registry.Member) []control.Invited {
	out := []control.Invited{}
	all := s.Invitations()
	slices.SortStableFunc(all, func(x, y registry.Invitation) int { return cmp.Compare(y.Seq, x.Seq) })
	for _, i := range all {
		if i.Sponsor != by.Origin {
			continue
		}
		v := control.Invited{ID: i.ID.String(), Country: i.Country, State: string(i.Status), Expires: timeOf(i.Expires)}
		if errors.Is(i.Err(max(s.Time(), n.o.Now().Unix())), registry.ErrInvitationExpired) {
			v.State = control.InvitedExpired
		}
		out = append(out, v)
	}
	return out
}

// CancelInvitation implements [control.Enrolment].
func (a *admin) CancelInvitation(ctx context.Context, which string) (control.Invited, error) {
	n := (*Node)(a)
	s, self, err := n.member()
	if err != nil {
		return control.Invited{}, err
	}
	var found []control.Invited
	for _, i := range n.invited(s, self) {
		if i.State == control.InvitedOpen && (strings.EqualFold(i.Country, which) || len(which) >= 4 && strings.HasPrefix(i.ID, strings.ToLower(which))) {
			found = append(found, i)
		}
	}
	if len(found) != 1 {
		return control.Invited{}, &control.Error{Class: control.Failed, Code: "no_invitation", Message: fmt.Sprintf("%d open invitations of this country fit %q.", len(found), which),
			Next: "See them with waymark invite list, and name one by its id."}
	}
	for _, i := range s.Invitations() {
		if i.ID.String() != found[0].ID {
			continue
		}
		_, command, err := registry.NewCommand(s, registry.KindCancel, registry.Cancel{Invitation: i.ID}, n.keys().admin)
		if err != nil {
			return control.Invited{}, err
		}
		if _, err := n.keeper.Load().Entrust(ctx, command); err != nil {
			return control.Invited{}, explainProposal(err)
		}
	}
	found[0].State = control.InvitedCancelled
	return found[0], nil
}

// Object implements [control.Enrolment].
func (a *admin) Object(ctx context.Context, country, reason string) (control.Pending, error) {
	n := (*Node)(a)
	if _, _, err := n.member(); err != nil {
		return control.Pending{}, err
	}
	if len(reason) > registry.MaxReason {
		return control.Pending{}, &control.Error{Class: control.Usage, Code: "too_long", Message: fmt.Sprintf("The reason has %d bytes, at most %d are allowed.", len(reason), registry.MaxReason)}
	}
	p, ok := n.proposal(ctx, country)
	if !ok {
		return control.Pending{}, &control.Error{Class: control.Failed, Code: "nobody_waits", Message: fmt.Sprintf("No vote on %s is open.", country),
			Next: "See who is waiting with: waymark country pending"}
	}
	_, command, err := registry.NewCommand(n.state(), registry.KindObject, registry.Object{Proposal: p.ID, Hash: p.Hash, Reason: reason}, n.keys().admin)
	if err != nil {
		return control.Pending{}, err
	}
	if _, err := n.keeper.Load().Entrust(ctx, command); err != nil {
		return control.Pending{}, explainProposal(err)
	}
	return n.outcome(country, p.Candidate.Origin)
}

// RequestJoin implements [control.Enrolment].
func (a *admin) RequestJoin(_ context.Context, invitation string) (control.JoinRequest, error) {
	state, err := (*Node)(a).askToJoin(func(j joiner) (*enroll.JoinState, error) { return j.request(invitation) })
	if err != nil {
		return control.JoinRequest{}, err
	}
	return control.JoinRequest{Joined: joined(state), File: state.Request}, nil
}

// RequestJoin makes the file with which somebody asks for the stopped node in dir.
func RequestJoin(dir string, c config.Config, invitation string) (control.JoinRequest, error) {
	keys, err := loadKeys(dir)
	if err != nil {
		return control.JoinRequest{}, err
	}
	if member, err := IsMember(dir, c); err != nil {
		return control.JoinRequest{}, running(dir, err)
	} else if member {
		return control.JoinRequest{}, errMember(dir)
	}
	state, err := joiner{dir: dir, c: c, keys: keys}.request(invitation)
	if err != nil {
		return control.JoinRequest{}, explainJoin(err)
	}
	return control.JoinRequest{Joined: joined(state), File: state.Request}, nil
}

// request makes a request that is carried, or gives out the one that was made by
// this invitation: its numbers may have been compared already.
func (j joiner) request(invitation string) (*enroll.JoinState, error) {
	inv, err := enroll.Parse(invitation)
	if err != nil {
		return nil, err
	}
	before, err := loadJoin(j.dir)
	if err != nil {
		return nil, err
	}
	if before != nil && len(before.Request) > 0 && usedBy(before, inv) {
		return before, nil
	}
	n, err := j.newcomer()
	if err != nil {
		return nil, err
	}
	state, err := n.Request(inv)
	if err != nil {
		return nil, err
	}
	return state, saveJoin(j.dir, state)
}

// TakeRequest implements [control.Enrolment].
func (a *admin) TakeRequest(ctx context.Context, file []byte) (control.Pending, error) {
	n := (*Node)(a)
	if _, _, err := n.member(); err != nil {
		return control.Pending{}, err
	}
	server, err := n.door()
	if err != nil {
		return control.Pending{}, err
	}
	p, answer, err := server.Carried(ctx, file)
	if err != nil {
		return control.Pending{}, explainJoin(err)
	}
	s := n.state()
	if answer.Standing != enroll.Waiting {
		return n.outcome(p.Country, p.Candidate.Origin)
	}
	return n.waiting(s, p), nil
}

// door is what takes knocks. A node that nobody can call has one too, for requests
// that are carried.
func (n *Node) door() (*enroll.Server, error) {
	if s := n.admissions.Load(); s != nil {
		return s, nil
	}
	return enroll.New(enroll.Options{
		Registry: n.keeper.Load(), Admin: func() *identity.Key { return n.keys().admin }, Seal: n.keys().seal, Node: n.id,
		Listener: closed{}, Store: n.invitations, Logger: n.o.Logger, Now: n.o.Now,
	})
}
