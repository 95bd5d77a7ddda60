package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
)

// PlanRecovery implements [control.Rescue].
func (a *admin) PlanRecovery(ctx context.Context) (control.RecoveryPlan, error) {
	n := (*Node)(a)
	s, _, err := n.member()
	if err != nil {
		return control.RecoveryPlan{}, err
	}
	p, err := n.keeper.Load().PlanRecovery(ctx)
	if err != nil {
		return control.RecoveryPlan{}, err
	}
	out := control.RecoveryPlan{
		Nodes: []control.RecoveryNode{}, OldVoters: len(p.OldVoters), Answering: p.Answering,
		Members: p.Members, Needed: p.Needed, Superseded: kinds(p.Superseded),
	}
	for _, node := range p.Nodes {
		out.Nodes = append(out.Nodes, control.RecoveryNode{
			Node: node.Node.String(), Country: node.Country, Answers: node.Answers, Seq: node.Seq, OldVoter: node.OldVoter, NewVoter: node.NewVoter,
		})
	}
	slices.SortStableFunc(out.Nodes, func(a, b control.RecoveryNode) int { return strings.Compare(a.Country, b.Country) })
	if p.Confirmed != nil {
		at := p.Confirmed.Confirmed()
		out.Confirmed, out.ConfirmedAt = p.Confirmed.Seq, &at
	}
	if p.Refused != nil {
		out.Refused = explainRecovery(s, p.Refused)
		return out, nil
	}
	out.Generation = p.Recovery.Generation
	return out, nil
}

// kinds names commands that are superseded, for a person.
func kinds(commands [][]byte) []string {
	out := []string{}
	for _, b := range commands {
		if c, _, err := registry.ParseCommand(b); err == nil {
			out = append(out, string(c.Kind))
		} else {
			out = append(out, "unknown")
		}
	}
	return out
}

// SignRecovery implements [control.Rescue].
func (a *admin) SignRecovery(ctx context.Context, file []byte) (control.SignedRecovery, error) {
	n := (*Node)(a)
	s, _, err := n.member()
	if err != nil {
		return control.SignedRecovery{}, err
	}
	if len(file) > 0 { // what is no recovery needs no plan
		if _, _, err := registry.ParseRecovery(file); err != nil {
			return control.SignedRecovery{}, explainRecovery(s, err)
		}
	}
	p, err := n.keeper.Load().PlanRecovery(ctx)
	if err != nil {
		return control.SignedRecovery{}, err
	}
	s = n.state() // planning takes what others know
	var signed []byte
	switch {
	case len(file) == 0 && p.Refused != nil:
		err = p.Refused
	case len(file) == 0:
		signed, err = registry.SignRecovery(p.Recovery, n.keys().admin)
	case errors.Is(p.Refused, consensus.ErrQuorum):
		err = p.Refused
	default:
		// A recovery that leaves behind what is confirmed here is not signed. One
		// that goes on from more than is known here is: this node may be cut off.
		if err = fitsPlan(file, p.Confirmed); err == nil {
			signed, err = registry.CountersignRecovery(file, n.keys().admin)
		}
	}
	if err != nil {
		return control.SignedRecovery{}, explainRecovery(s, err)
	}
	out, err := n.recovery(s, signed)
	if err != nil {
		return control.SignedRecovery{}, explainRecovery(s, err)
	}
	out.File = signed
	return out, nil
}

// fitsPlan reports why a recovery contradicts the newest head that is known
// here, or nil.
func fitsPlan(file []byte, newest *registry.SignedHead) error {
	r, _, err := registry.ParseRecovery(file)
	switch {
	case err != nil:
		return err
	case newest == nil:
		return nil
	case r.Generation <= newest.Generation:
		return fmt.Errorf("%w: generation %d has begun", consensus.ErrPlan, newest.Generation)
	case r.Seq < newest.Seq:
		return fmt.Errorf("%w: it goes on from entry %d, and the voters have stood by entry %d", consensus.ErrPlan, r.Seq, newest.Seq)
	case r.Seq == newest.Seq && r.Hash != newest.Hash:
		return fmt.Errorf("%w: entry %d is another one here", consensus.ErrPlan, r.Seq)
	}
	return nil
}

// RunRecovery implements [control.Rescue].
func (a *admin) RunRecovery(ctx context.Context, files [][]byte) (control.SignedRecovery, error) {
	n := (*Node)(a)
	s, _, err := n.member()
	if err != nil {
		return control.SignedRecovery{}, err
	}
	if len(files) == 0 {
		return control.SignedRecovery{}, &control.Error{Class: control.Usage, Code: "no_recovery", Message: "No recovery was given."}
	}
	all := files[0]
	for _, b := range files[1:] {
		if all, err = registry.MergeRecoveries(all, b); err != nil {
			return control.SignedRecovery{}, explainRecovery(s, err)
		}
	}
	out, err := n.recovery(s, all)
	if err != nil {
		return out, explainRecovery(s, err)
	}
	if len(out.Signed) < out.Needed {
		return out, &control.Error{Class: control.Refused, Code: "signatures", Message: fmt.Sprintf("%d of %d countries that must sign have signed: %s.", len(out.Signed), out.Needed, strings.Join(out.Signed, ", ")),
			Next: "Send the file to another country; its administrator adds a signature with: waymark country recover --sign NEW-FILE --add FILE"}
	}
	if err := n.keeper.Load().Recover(ctx, all); err != nil {
		return out, explainRecovery(s, err)
	}
	out.Superseded = kinds(n.keeper.Load().Superseded())
	return out, nil
}

// recovery tells what a recovery says and who has signed it.
func (n *Node) recovery(s *registry.State, file []byte) (control.SignedRecovery, error) {
	r, signers, needed, err := s.CheckRecovery(file)
	if err != nil {
		return control.SignedRecovery{}, err
	}
	out := control.SignedRecovery{Generation: r.Generation, Confirmed: r.Seq, Hash: hex.EncodeToString(r.Hash[:]), Signed: n.codes(signers), Needed: needed}
	for _, key := range r.Voters {
		v := control.Voter{Node: key.NodeID().String()}
		if _, m, ok := s.Node(key.NodeID()); ok {
			v.Country = m.Country
		}
		out.Voters = append(out.Voters, v)
	}
	slices.Sort(out.Signed)
	return out, nil
}

// explainRecovery says why a recovery was not made, signed or carried out.
func explainRecovery(s *registry.State, err error) *control.Error {
	switch {
	case errors.Is(err, consensus.ErrNoQuorum):
		return &control.Error{Class: control.Degraded, Code: "new_voters", Message: "Nothing was changed: too few of the nodes that would go on have answered.", Detail: err.Error(),
			Next: "Do it again when they are up, or plan it anew without them: waymark country recover"}
	case errors.Is(err, registry.ErrMalformed):
		return &control.Error{Class: control.Usage, Code: "no_recovery", Message: "This file is no recovery of the registry.", Detail: err.Error(), Next: "Use the file that waymark country recover --sign has written."}
	case errors.Is(err, registry.ErrForeign):
		return &control.Error{Class: control.Refused, Code: "other_federation", Message: fmt.Sprintf("This recovery is of another federation than %s.", s.Name())}
	case errors.Is(err, registry.ErrConflict):
		return &control.Error{Class: control.Usage, Code: "recoveries", Message: "These files are of two different recoveries.", Next: "Agree on one of them by telephone, and have that one signed."}
	}
	if e := control.Explain(err); e != nil {
		return e
	}
	return &control.Error{Class: control.Failed, Code: "recovery", Message: "The registry was not recovered: " + err.Error() + ".", Next: "Look at how things stand with: waymark country recover"}
}
