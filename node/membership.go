package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
)

// silenced is this node's member while the others do not hear it: it is
// suspended, or has left.
func (n *Node) silenced() (registry.Member, bool) {
	s := n.state()
	if s == nil {
		return registry.Member{}, false
	}
	for _, m := range s.Members() {
		if slices.ContainsFunc(m.Nodes, func(o registry.Node) bool { return o.ID == n.id }) && (!m.Seated() || n.docket.View().Suspended(m.Origin)) {
			return m, true
		}
	}
	return registry.Member{}, false
}

// errSilenced says why a node can do nothing for a member that is not heard: since
// when, by whose decision, and what still works.
func (n *Node) errSilenced(m registry.Member) *control.Error {
	e := &control.Error{Class: control.Refused, Code: "suspended", Next: fmt.Sprintf("Readers are served, and what was published before stays everywhere. Edits are kept as drafts; nothing is published, invited or approved from here. Telephone the administrators of the others: they lift it together with waymark country resume %s.", m.Country)}
	how := "The other countries have suspended %s%s: they take nothing that is published here, and talk to its nodes about the shared registry only."
	switch m.Status {
	case registry.StatusWithdrawn:
		e.Code, how = "withdrawn", "%s has withdrawn from the federation%s: nothing new comes in or goes out."
		e.Next = "Readers are served with what is here. Stop the node when its pages are not needed any more. To come back, join as a new node with an invitation."
	case registry.StatusExpelled:
		e.Code, how = "expelled", "The other countries have expelled %s%s: nothing new comes in or goes out."
		e.Next = "Readers are served with what is here. Telephone the administrators of the others. Stop the node when its pages are not needed any more."
	}
	e.Message = fmt.Sprintf(how, m.Country, n.sinceWhen(m))
	return e
}

// sinceWhen tells when a member was silenced, by whom and why, as far as that is
// known: " on …, by …, because …".
func (n *Node) sinceWhen(m registry.Member) string {
	h, ok := n.docket.View().Suspension(m.Origin)
	if !ok || m.Status == registry.StatusWithdrawn {
		if m.Left == 0 {
			return ""
		}
		return " on " + timeOf(m.Left).Format(time.DateOnly)
	}
	by := n.codes(h.Signers)
	slices.Sort(by)
	out := fmt.Sprintf(" on %s, by decision of %s, reason: %s", h.Ruling.Issued.Time().Format(time.DateOnly), strings.Join(by, ", "), h.Ruling.Reason)
	if h.Ruling.Text != "" {
		out += fmt.Sprintf(" (%s)", h.Ruling.Text)
	}
	return out
}

// reasons are the codes for a decision about a member.
var reasons = []string{registry.ReasonCompromised, registry.ReasonUnreachable, registry.ReasonMisuse, registry.ReasonUnlawful, registry.ReasonRequest, registry.ReasonMistake, registry.ReasonOther}

// Rule implements [control.Membership].
func (a *admin) Rule(_ context.Context, in control.MemberRuling) (control.Decision, error) {
	n := (*Node)(a)
	s, self, err := n.member()
	if err != nil {
		return control.Decision{}, err
	}
	m, err := n.ruled(s, self, in.Country)
	if err != nil {
		return control.Decision{}, err
	}
	r := registry.Ruling{Kind: registry.RulingSuspend, Origin: m.Origin, Reason: in.Reason, Text: in.Text}
	suspended := n.docket.View().Suspended(m.Origin)
	switch in.Rule {
	case control.RuleSuspend:
		if suspended {
			return control.Decision{}, &control.Error{Class: control.Refused, Code: "suspended", Message: fmt.Sprintf("%s is suspended already.", m.Country), Next: "See: waymark approval list"}
		}
	case control.RuleResume:
		if !suspended {
			return control.Decision{}, &control.Error{Class: control.Refused, Code: "not_suspended", Message: fmt.Sprintf("%s is not suspended.", m.Country), Next: "See: waymark country list"}
		}
		r.Off = true
		if r.Reason == "" {
			r.Reason = registry.ReasonMistake
		}
	case control.RuleExpel:
		r.Kind = registry.RulingExpel
	}
	if !slices.Contains(reasons, r.Reason) {
		return control.Decision{}, &control.Error{Class: control.Usage, Code: "reason", Message: "The other countries want to know why. Say it with --reason.", Next: "One of: " + strings.Join(reasons, ", ") + "."}
	}
	// Whose machine is in other hands is cut off all the same, and the registry
	// begun anew.
	if in.Rule != control.RuleResume && r.Reason != registry.ReasonCompromised && n.keepsAlone(s, m) {
		e := lastVoter(m.Country)
		e.Next += " If its machine is in other hands, say so with --reason compromised; then see: waymark country recover."
		return control.Decision{}, e
	}
	if len(r.Text) > registry.MaxRulingText {
		return control.Decision{}, &control.Error{Class: control.Usage, Code: "too_long", Message: fmt.Sprintf("The text has %d bytes, at most %d are allowed.", len(r.Text), registry.MaxRulingText), Next: "Write it shorter."}
	}
	return n.decide(s, r)
}

// ruled is the member that others decide about.
func (n *Node) ruled(s *registry.State, self registry.Member, country string) (registry.Member, error) {
	m, ok := s.MemberByCountry(country)
	switch {
	case !ok:
		return m, &control.Error{Class: control.Failed, Code: "no_member", Message: fmt.Sprintf("%s is not a member.", country), Next: "See: waymark country list"}
	case m.Origin == self.Origin:
		return m, &control.Error{Class: control.Refused, Code: "own_country", Message: fmt.Sprintf("%s is this country: about a member the others decide.", country),
			Next: fmt.Sprintf("To leave the federation: waymark country withdraw %s", country)}
	case !m.Seated():
		return m, &control.Error{Class: control.Refused, Code: string(m.Status), Message: fmt.Sprintf("%s has left already, it is %s.", country, m.Status), Next: "It comes back by an invitation: waymark invite " + country}
	}
	return m, nil
}

// Withdraw implements [control.Membership].
func (a *admin) Withdraw(ctx context.Context, country string) (control.Member, error) {
	n := (*Node)(a)
	s, self, err := n.member()
	if err != nil {
		return control.Member{}, err
	}
	if country != self.Country {
		return control.Member{}, &control.Error{Class: control.Refused, Code: "other_country", Message: fmt.Sprintf("This is a node of %s; only %s itself can withdraw it.", self.Country, country),
			Next: fmt.Sprintf("The others can put it out: waymark country expel %s", country)}
	}
	if actives(s) > 1 && n.keepsAlone(s, self) {
		return control.Member{}, lastVoter(self.Country)
	}
	_, command, err := registry.NewCommand(s, registry.KindWithdraw, registry.Withdraw{Origin: self.Origin}, n.keys().admin)
	if err != nil {
		return control.Member{}, err
	}
	if _, err := n.keeper.Load().Propose(ctx, command); err != nil {
		return control.Member{}, explainProposal(err)
	}
	m, _ := n.state().MemberByOrigin(self.Origin)
	counts, _ := n.catalog.Counts(ctx)
	return n.memberStatus(m, counts[m.Country]), nil
}

// keepsAlone reports whether all voters that the registry's newest head names
// are nodes of one member.
func (n *Node) keepsAlone(s *registry.State, m registry.Member) bool {
	head, ok := n.keeper.Load().Head()
	if !ok {
		return false
	}
	voters := head.VoterIDs()
	return len(voters) > 0 && !slices.ContainsFunc(voters, func(id identity.NodeID) bool {
		_, of, ok := s.Node(id)
		return ok && of.Origin != m.Origin
	})
}

// lastVoter is the refusal to lose those who keep the registry.
func lastVoter(country string) *control.Error {
	return &control.Error{Class: control.Refused, Code: "last_voter",
		Message: fmt.Sprintf("The shared registry is kept by nodes of %s alone: the others could not change it any more.", country),
		Next:    "Let another country keep it too, with federation.voter = true in its configuration and one more restart of its node, and see that it stands under voters in waymark status. With two countries only, the other one has to leave first, or a third to come in."}
}
