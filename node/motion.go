package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
)

// move proposes a change of what holds for all countries, signed by this one, or
// signs the proposal of another one that says the same and waits: two halves of one
// decision would never be enough.
func (n *Node) move(ctx context.Context, kind registry.Kind, payload any) (control.Decision, error) {
	s, self, err := n.member()
	if err != nil {
		return control.Decision{}, err
	}
	body, err := identity.Marshal(payload)
	if err != nil {
		return control.Decision{}, err
	}
	for _, m := range s.Motions() {
		if m.Kind != kind || !bytes.Equal(m.Payload, body) || m.Expires < max(s.Time(), n.o.Now().Unix()) {
			continue
		}
		if slices.Contains(m.Approvals, self.Origin) && s.Standing(m.Approvals) < s.Threshold() {
			return n.weighMotion(s, m), nil // signed before; it waits for the others
		}
		return n.endorse(ctx, n.motionVote(s, m))
	}
	id, command, err := registry.NewCommand(s, kind, payload, n.keys().admin)
	if err != nil {
		return control.Decision{}, explainMotion(err)
	}
	if _, err := n.keeper.Load().Entrust(ctx, command); err != nil {
		return control.Decision{}, explainMotion(err)
	}
	now := n.state()
	for _, m := range now.Motions() {
		if m.ID == id {
			return n.weighMotion(now, m), nil
		}
	}
	_, e, err := registry.ParseCommand(command)
	if err != nil {
		return control.Decision{}, err
	}
	return control.Decision{ID: motionID(registry.HashCommand(e)), Kind: string(kind), Country: self.Country, Issued: timeOf(now.Time()), Signed: []string{self.Country}, Needed: 1, InForce: true}, nil
}

func motionID(h identity.Hash) string { return h.String() }

func (n *Node) weighMotion(s *registry.State, m registry.Motion) control.Decision {
	until := timeOf(m.Expires)
	d := control.Decision{
		ID: motionID(m.Hash), Kind: string(m.Kind), Country: n.country(m.By), Issued: timeOf(m.Time), Until: &until,
		Signed: n.codes(m.Approvals), Needed: s.Threshold(), Changes: n.wants(s, m),
	}
	slices.Sort(d.Signed)
	for _, o := range m.Objections {
		d.Objected = append(d.Objected, strings.TrimSuffix(n.country(o.Origin)+": "+o.Reason, ": "))
	}
	return d
}

// wants is what would be other than now if a motion were carried.
func (n *Node) wants(s *registry.State, m registry.Motion) []string {
	switch m.Kind {
	case registry.KindPolicy:
		var p registry.SetPolicy
		if identity.Unmarshal(m.Payload, &p) == nil {
			return policyChanges(s.Policy(), p.Policy)
		}
	case registry.KindVocabulary:
		var p registry.SetVocabulary
		if identity.Unmarshal(m.Payload, &p) == nil {
			return vocabularyChanges(n.vocabulary(), p)
		}
	case registry.KindActivate:
		var p registry.Activate
		if identity.Unmarshal(m.Payload, &p) == nil {
			return []string{fmt.Sprintf("the registry goes over to version %d of its rules", p.Rules)}
		}
	case registry.KindClock:
		var p registry.SetClock
		if identity.Unmarshal(m.Payload, &p) == nil {
			return []string{clockChange(p)}
		}
	}
	return []string{"this version of waymark cannot tell"}
}

// explainMotion says why something was not proposed or not signed.
func explainMotion(err error) error {
	var f *registry.Faults
	switch {
	case errors.As(err, &f):
		return faulty(f.List)
	case errors.Is(err, registry.ErrMalformed):
		return &control.Error{Class: control.Usage, Code: "faults", Message: "This cannot be proposed: " + err.Error() + "."}
	case errors.Is(err, registry.ErrNoProposal):
		return &control.Error{Class: control.Refused, Code: "no_decision", Message: "This decision does not wait any more: it was carried, withdrawn, or its time is over.", Next: "See: waymark approval list"}
	case errors.Is(err, registry.ErrVoteOver):
		return &control.Error{Class: control.Refused, Code: "vote_over", Message: "The time to sign this decision is over.", Next: "Propose it anew."}
	case errors.Is(err, registry.ErrConflict), errors.Is(err, registry.ErrStale), errors.Is(err, registry.ErrUnauthorised):
		return &control.Error{Class: control.Refused, Code: "refused", Message: "This cannot be decided: " + err.Error() + ".", Next: "See how things stand with waymark approval list, waymark policy show and waymark vocabulary show."}
	case errors.Is(err, consensus.ErrNoQuorum):
		return &control.Error{Class: control.Degraded, Code: "no_quorum", Message: "The countries that keep the registry cannot agree at present, so nothing was changed. Search and publishing go on.",
			Next: "Try again later; or write this country's signature to a file with waymark approval export, and have it taken in where the others can be reached."}
	}
	return err
}

// faulty is a refusal that names everything that is wrong.
func faulty(list []string) error {
	return &control.Error{
		Class: control.Usage, Code: "faults", Message: "Nothing was proposed: " + strings.Join(list, "; ") + ".",
		Next: "Correct all of it, and look first with --dry-run.",
	}
}

// ActivateRules implements [control.Rules].
func (a *admin) ActivateRules(ctx context.Context, version uint64) (control.Proposed, error) {
	n := (*Node)(a)
	s, _, err := n.member()
	if err != nil {
		return control.Proposed{}, err
	}
	if version == 0 {
		version = s.Rules() + 1
	}
	if version > registry.Rules {
		return control.Proposed{}, &control.Error{Class: control.Refused, Code: "too_old", Message: fmt.Sprintf("This program knows the registry's rules up to version %d; version %d holds.", registry.Rules, s.Rules()),
			Next: "Install a newer version of waymark first, here and at the other countries' nodes."}
	}
	d, err := n.move(ctx, registry.KindActivate, registry.Activate{Rules: version})
	if err != nil {
		return control.Proposed{}, err
	}
	return control.Proposed{Changes: []string{fmt.Sprintf("the registry goes over to version %d of its rules", version)}, Notes: []string{}, Decisions: []control.Decision{d}}, nil
}

func clockChange(p registry.SetClock) string {
	return fmt.Sprintf("the registry's time goes back from %s to %s", timeOf(p.Reached).Format(time.RFC3339), timeOf(p.Time).Format(time.RFC3339))
}

// clockTolerance is how far ahead the registry's time may be without anybody's
// clock being wrong.
const clockTolerance = 10 * time.Minute

// SetClock implements [control.Rules].
func (a *admin) SetClock(ctx context.Context) (control.Proposed, error) {
	n := (*Node)(a)
	s, _, err := n.member()
	if err != nil {
		return control.Proposed{}, err
	}
	now := n.o.Now()
	if ahead := timeOf(s.Time()).Sub(now); ahead < clockTolerance {
		return control.Proposed{}, &control.Error{Class: control.Refused, Code: "clock_right", Message: "The registry's time is not ahead of the clock of this machine.",
			Next: "If another machine's clock is wrong, put that one right."}
	}
	p := registry.SetClock{Reached: s.Time(), Time: now.Unix()}
	for _, m := range s.Motions() { // another country may ask for the same, by its own clock
		var other registry.SetClock
		if m.Kind == registry.KindClock && identity.Unmarshal(m.Payload, &other) == nil && timeOf(other.Time).Sub(now).Abs() < clockTolerance && m.Expires >= s.Time() {
			p = other
		}
	}
	d, err := n.move(ctx, registry.KindClock, p)
	if err != nil {
		return control.Proposed{}, err
	}
	return control.Proposed{Changes: []string{clockChange(p)}, Notes: []string{}, Decisions: []control.Decision{d}}, nil
}
