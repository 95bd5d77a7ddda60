package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/durable"
	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
)

// errWaits is what a further machine of a country says while it is not let in.
func errWaits(as string) *control.Error {
	next := "Have " + fileMachine + " of this node's directory taken in on the node that publishes: waymark node add FILE"
	switch as {
	case enroll.AsReturn:
		next = "Have " + fileMachine + " of this node's directory taken in on a node of any member country: waymark node add FILE"
	case enroll.AsSheet:
		next = "Have " + fileMachine + " of this node's directory taken in on a node of any member country: waymark node add FILE. It takes effect three days later."
	case enroll.AsVote:
		next = "Have " + fileMachine + " of this node's directory taken in on the nodes of enough other countries: waymark country rekey FILE. It takes effect three days later."
	}
	return &control.Error{Class: control.Refused, Code: "machine_waits", Message: "This machine waits to be let in as a node of its country.", Next: strings.TrimSuffix(next, ".") + ". Leave this node running."}
}

// InitMachine makes a further machine of a country, which asks for its place with
// the file that is returned: beside the node that publishes or, when instead is
// set, in its place. By is then what signs: the country's recovery key or an
// admin key of it; nil when the other countries are to sign.
func InitMachine(dir string, c config.Config, t *enroll.Ticket, instead bool, by *identity.Key) (request string, err error) {
	request = filepath.Join(dir, fileMachine)
	defer func() {
		if err != nil {
			_, there := os.Stat(filepath.Join(dir, config.FileName))
			if there != nil { // nothing of anybody else's
				_ = os.Remove(request)
				_ = os.Remove(filepath.Join(dir, filePeers))
			}
		}
	}()
	return request, initWith(dir, c, func() error {
		if by != nil && by.Role() == identity.RoleAdmin {
			path := filepath.Join(dir, dirKeys, string(identity.RoleAdmin)+".key")
			if err := os.Remove(path); err != nil {
				return err
			}
			if err := by.Save(path); err != nil {
				return err
			}
		}
		keys, err := loadKeys(dir)
		if err != nil {
			return err
		}
		box := enroll.Box{Keys: keys.registry(), Voter: c.Federation.Voter}
		for _, a := range c.Federation.Advertise {
			e, err := registry.ParseEndpoint(a)
			if err != nil {
				return err
			}
			box.Endpoints = append(box.Endpoints, e)
		}
		ask := t.Mirror
		if instead {
			ask = func(b enroll.Box) (*enroll.MachineRequest, error) { return t.Replace(b, by) }
		}
		r, err := ask(box)
		if err != nil {
			return explainJoin(err)
		}
		text, err := r.File()
		if err != nil {
			return err
		}
		known := acquaintances{Federation: t.Federation, Demo: t.Demo, Asked: r.As}
		for _, n := range t.Contacts {
			known.Nodes = append(known.Nodes, acquaintance{n.Key, n.Endpoints})
		}
		if err := known.save(dir); err != nil {
			return err
		}
		return durable.Write(request, text)
	})
}

// publishes reports whether this node is the one that publishes for its member.
func (n *Node) publishes(m registry.Member) bool {
	p, ok := m.Publisher()
	return ok && p.ID == n.id
}

// errMirror is for what only the node that publishes does.
func (n *Node) errMirror(m registry.Member) error {
	return &control.Error{Class: control.Refused, Code: "mirror", Message: fmt.Sprintf("This node is a mirror of %s: another one publishes.", m.Country),
		Next: "What was taken in is kept as a draft. Publish on the other node, or let this one take its place with: waymark node take-over"}
}

// Machines implements [control.Membership].
func (a *admin) Machines(context.Context) ([]control.Machine, error) {
	n := (*Node)(a)
	_, m, err := n.member()
	if err != nil {
		return nil, err
	}
	out := []control.Machine{}
	for _, node := range m.Nodes {
		out = append(out, n.machine(m, node))
	}
	slices.SortFunc(out, func(a, b control.Machine) int { return strings.Compare(a.Node, b.Node) })
	return out, nil
}

func (n *Node) machine(m registry.Member, node registry.Node) control.Machine {
	v := control.Machine{Node: node.ID.String(), Role: "mirror", Addresses: node.Endpoints, Voter: node.VoterOptIn, Here: node.ID == n.id}
	if node.Publisher {
		v.Role = "publisher"
	}
	if node.Admin != nil {
		if _, ok := m.Key(identity.RoleAdmin, *node.Admin); ok {
			v.AdminKey = node.Admin.String()
		}
	}
	v.Reachable = v.Here || !slices.Contains(n.unreachable(), node.ID) && slices.Contains(n.peers(), node.ID)
	return v
}

// Ticket implements [control.Membership].
func (a *admin) Ticket(_ context.Context, country string) ([]byte, error) {
	n := (*Node)(a)
	s, m, err := n.member()
	if err != nil {
		return nil, err
	}
	if country == "" {
		country = m.Country
	}
	t, err := enroll.NewTicket(s, country)
	if err != nil {
		return nil, &control.Error{Class: control.Failed, Code: "no_member", Message: fmt.Sprintf("%s is not a member.", country), Next: "See: waymark country list"}
	}
	return t.File()
}

// machineRequest reads what a machine asks for, for a member of this federation.
func (n *Node) machineRequest(file []byte) (*registry.State, registry.Member, *enroll.MachineRequest, error) {
	s, self, err := n.member()
	if err != nil {
		return nil, self, nil, err
	}
	r, err := enroll.ParseMachineRequest(file)
	if err != nil {
		return nil, self, nil, explainJoin(err)
	}
	if r.Federation != s.Federation() {
		return nil, self, nil, explainJoin(enroll.Refuse(enroll.Foreign, "this node belongs to another one"))
	}
	return s, self, r, nil
}

// AddMachine implements [control.Membership].
func (a *admin) AddMachine(ctx context.Context, file []byte) (control.MachineAdded, error) {
	n := (*Node)(a)
	s, self, r, err := n.machineRequest(file)
	if err != nil {
		return control.MachineAdded{}, err
	}
	out := control.MachineAdded{Country: r.Country, Node: r.Node.String(), As: r.As}
	switch r.As {
	case enroll.AsVote:
		return out, &control.Error{Class: control.Refused, Code: "vote", Message: fmt.Sprintf("%s has lost its keys: the other countries decide about this machine together.", r.Country),
			Next: "Telephone its administrator and make sure of it. Then sign with: waymark country rekey FILE"}
	case enroll.AsMirror:
		if self.Origin != r.Origin {
			return out, &control.Error{Class: control.Refused, Code: "other_country", Message: fmt.Sprintf("This machine asks to be a node of %s, and this node is of %s.", r.Country, self.Country), Next: fmt.Sprintf("Take the file in on a node of %s.", r.Country)}
		}
		if err := n.addMirror(ctx, s, self, r); err != nil {
			return out, err
		}
	default:
		if _, err := n.keeper.Load().Propose(ctx, r.Command); err != nil {
			return out, explainMachine(err)
		}
		out.Due = n.rekeyDue(r.Origin)
	}
	_, _, out.In = n.state().Node(r.Node)
	return out, nil
}

// addMirror states the new node and its admin key, each unless it is stated
// already.
func (n *Node) addMirror(ctx context.Context, s *registry.State, self registry.Member, r *enroll.MachineRequest) error {
	ch, err := registry.ParseKeyChange(s.Federation(), r.Keys)
	if err != nil || ch.Origin != self.Origin || len(ch.Add) != 1 || ch.Add[0].Role != identity.RoleAdmin || len(ch.Retire)+len(ch.Revoke) > 0 || ch.Epoch != 0 || ch.Seal != nil {
		return explainJoin(enroll.Refuse(enroll.NoMachine, "it asks for more than a mirror needs"))
	}
	propose := func(kind registry.Kind, payload any) error {
		_, command, err := registry.NewCommand(n.state(), kind, payload, n.keys().admin)
		if err == nil {
			_, err = n.keeper.Load().Propose(ctx, command)
		}
		if err != nil {
			return explainMachine(err)
		}
		return nil
	}
	if _, _, in := s.Node(r.Node); !in {
		if err := n.onlyAdds(s, self, r); err != nil {
			return err
		}
		if err := propose(registry.KindNode, registry.SetNodes{Statement: r.Nodes}); err != nil {
			return err
		}
	}
	if _, known := self.Key(identity.RoleAdmin, ch.Add[0].Public.ID()); known {
		return nil
	}
	return propose(registry.KindKeys, registry.SetKeys{Statement: r.Keys})
}

// onlyAdds checks that a statement of nodes adds the machine that asks, as a
// mirror, and leaves the others as they are: it was made elsewhere.
func (n *Node) onlyAdds(s *registry.State, self registry.Member, r *enroll.MachineRequest) error {
	st, err := registry.ParseNodes(r.Nodes)
	if err != nil {
		return explainJoin(enroll.Refuse(enroll.NoMachine, "the file is damaged"))
	}
	var want []registry.Machine
	for _, node := range self.Nodes {
		want = append(want, node.Machine())
	}
	last := len(st.Nodes) - 1
	if last < 0 || st.Nodes[last].Key.NodeID() != r.Node || st.Nodes[last].Publisher || st.Epoch != 0 {
		return explainJoin(enroll.Refuse(enroll.NoMachine, "it asks for more than a mirror needs"))
	}
	same := func(a, b []registry.Machine) bool {
		x, xerr := identity.Marshal(a)
		y, yerr := identity.Marshal(b)
		return xerr == nil && yerr == nil && slices.Equal(x, y)
	}
	if !same(want, st.Nodes[:last]) {
		return explainJoin(enroll.Refuse(enroll.OldTicket, "the nodes of "+self.Country+" have changed since it was made"))
	}
	return nil
}

// explainMachine says why a machine was not let in.
func explainMachine(err error) error {
	switch {
	case errors.Is(err, registry.ErrStale), errors.Is(err, registry.ErrConflict):
		return explainJoin(enroll.Refuse(enroll.OldTicket, err.Error()))
	case errors.Is(err, registry.ErrUnauthorised):
		return &control.Error{Class: control.Refused, Code: "refused", Message: "The registry refuses this machine: " + err.Error() + ".", Next: "Look whether the key or the sheet is the newest one. A suspended country waits until that is lifted, or uses its sheet."}
	}
	return explainProposal(err)
}

// rekeyDue is when a change of a member's keys that waits takes effect; nil when
// none does.
func (n *Node) rekeyDue(o identity.OriginID) *time.Time {
	for _, r := range n.state().Rekeys() {
		if r.Change.Origin == o {
			due := timeOf(r.Due)
			return &due
		}
	}
	return nil
}

// Rekey implements [control.Membership].
func (a *admin) Rekey(_ context.Context, file []byte) (control.Decision, error) {
	n := (*Node)(a)
	s, self, r, err := n.machineRequest(file)
	if err != nil {
		return control.Decision{}, err
	}
	if r.As != enroll.AsVote {
		return control.Decision{}, &control.Error{Class: control.Refused, Code: "no_vote", Message: "This machine does not need a decision: a key of its country has signed, or will.", Next: "Take the file in with: waymark node add FILE"}
	}
	m, err := n.ruled(s, self, r.Country)
	if err != nil {
		return control.Decision{}, err
	}
	return n.decide(s, registry.Ruling{Kind: registry.RulingRekey, Origin: m.Origin, Reason: registry.ReasonRequest, Change: r.Keys})
}

// RemoveMachine implements [control.Membership].
func (a *admin) RemoveMachine(ctx context.Context, id string) (control.Machine, error) {
	n := (*Node)(a)
	s, m, err := n.member()
	if err != nil {
		return control.Machine{}, err
	}
	var gone *registry.Node
	left := registry.Nodes{Origin: m.Origin}
	for i, node := range m.Nodes {
		if len(id) >= 4 && strings.HasPrefix(node.ID.String(), strings.ToLower(id)) && gone == nil {
			gone = &m.Nodes[i]
			continue
		}
		left.Nodes = append(left.Nodes, node.Machine())
	}
	switch {
	case gone == nil:
		return control.Machine{}, &control.Error{Class: control.Failed, Code: "no_node", Message: fmt.Sprintf("%s has no node that begins with %q.", m.Country, id), Next: "See them with: waymark node list"}
	case gone.Publisher:
		return control.Machine{}, &control.Error{Class: control.Refused, Code: "publisher", Message: "This is the node that publishes.", Next: "Let another one take its place first, there: waymark node take-over"}
	case gone.ID == n.id:
		return control.Machine{}, &control.Error{Class: control.Refused, Code: "itself", Message: "This is the node that you are asking.", Next: "Remove it on the node that publishes."}
	}
	out := n.machine(m, *gone)
	// Its key first: a node without a place could still speak with it.
	if gone.Admin != nil && *gone.Admin != n.keys().admin.ID() {
		if _, used := m.Key(identity.RoleAdmin, *gone.Admin); used {
			ch := registry.KeyChange{Origin: m.Origin, Retire: []registry.Retirement{{ID: *gone.Admin}}}
			if err := n.changeKeys(ctx, s, ch, n.keys().admin); err != nil {
				return control.Machine{}, err
			}
		}
	}
	statement, err := registry.SignNodes(s.Federation(), left)
	if err != nil {
		return control.Machine{}, err
	}
	_, command, err := registry.NewCommand(n.state(), registry.KindNode, registry.SetNodes{Statement: statement}, n.keys().admin)
	if err != nil {
		return control.Machine{}, err
	}
	if _, err := n.keeper.Load().Propose(ctx, command); err != nil {
		return control.Machine{}, explainProposal(err)
	}
	return out, nil
}

// takeOverWait bounds how long a mirror waits for the newest state of its feed
// before it takes over.
const takeOverWait = 10 * time.Second

// TakeOver implements [control.Membership].
func (a *admin) TakeOver(ctx context.Context, withoutOld bool) (control.KeyChange, error) {
	n := (*Node)(a)
	s, m, err := n.member()
	if err != nil {
		return control.KeyChange{}, err
	}
	if n.publishes(m) {
		return control.KeyChange{}, &control.Error{Class: control.Refused, Code: "publisher", Message: fmt.Sprintf("This node publishes for %s already.", m.Country)}
	}
	old, _ := m.Publisher()
	if !withoutOld && slices.Contains(n.unreachable(), old.ID) {
		return control.KeyChange{}, &control.Error{Class: control.Refused, Code: "old_unreachable", Message: "The node that publishes cannot be reached: what it has published last may be missing here, and would be taken back.",
			Next: "Start it. If it is lost for good: waymark node take-over --without-old"}
	}
	if err := n.holdsAll(ctx, m); err != nil {
		return control.KeyChange{}, err
	}
	next, err := n.nextKey(m, identity.RolePublish)
	if err != nil {
		return control.KeyChange{}, err
	}
	i := slices.IndexFunc(m.Nodes, func(o registry.Node) bool { return o.ID == n.id })
	machine := m.Nodes[i].Machine()
	machine.Publisher = true
	seal := n.keys().seal.Public()
	ch := registry.KeyChange{
		Origin: m.Origin, Epoch: m.Epoch + 1, Seal: &seal, Machine: &machine, Stays: !withoutOld,
		Add: []registry.NewKey{{Public: next.Public(), Role: identity.RolePublish}},
	}
	for _, k := range m.Keys {
		switch {
		case k.To != registry.Mark{}:
		case k.Role == identity.RolePublish:
			ch.Retire = append(ch.Retire, registry.Retirement{ID: k.Public.ID(), Last: registry.LastOf(m.Epoch)})
		case withoutOld && k.Role == identity.RoleAdmin && old.Admin != nil && k.Public.ID() == *old.Admin && k.Public.ID() != n.keys().admin.ID():
			ch.Revoke = append(ch.Revoke, k.Public.ID())
		}
	}
	if err := n.changeKeys(ctx, s, ch, n.keys().admin, next, n.keys().node); err != nil {
		return control.KeyChange{}, err
	}
	return control.KeyChange{Country: m.Country, Role: string(identity.RolePublish), Old: old.ID.String(), New: n.id.String(), Epoch: m.Epoch + 1}, nil
}

// holdsAll waits until the newest state of the own feed that anybody shows is
// here, and says what is missing when that does not come about.
func (n *Node) holdsAll(ctx context.Context, m registry.Member) error {
	r := n.replicator.Load()
	if r == nil {
		return errStarting
	}
	r.Poke()
	limit, look := time.After(takeOverWait), time.NewTicker(100*time.Millisecond)
	defer look.Stop()
	for {
		met := false
		select {
		case <-r.Met():
			met = true
		default:
		}
		if met && !r.Behind(m.Origin) && n.newerElsewhere(m) == nil && (n.head(m.Origin) != nil || r.Highest(m.Origin) == nil) {
			return nil
		}
		select {
		case <-look.C:
		case <-limit:
			return &control.Error{Class: control.Degraded, Code: "behind", Message: fmt.Sprintf("The newest state of %s is not here yet.", m.Country), Next: "Try again when waymark status shows it as synced."}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// takeOverPoll is how often a machine that is to take the place of a lost one
// tries to.
const takeOverPoll = 2 * time.Second

// succeed lets a machine that has asked for the place of a lost one take it, once
// it is let in and holds what that one has published.
func (n *Node) succeed(ctx context.Context) error {
	path := filepath.Join(n.o.Dir, fileMachine)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil // it has asked for nothing
	}
	r, err := enroll.ParseMachineRequest(text)
	tick := time.NewTicker(takeOverPoll)
	defer tick.Stop()
	for err == nil && r.As != enroll.AsMirror {
		m, in := n.self()
		if in && n.publishes(m) {
			break
		}
		if in {
			_, terr := (*admin)(n).TakeOver(ctx, true)
			if terr == nil {
				break
			}
			if ctx.Err() == nil {
				n.o.Logger.Info("this machine does not take the place of the lost one yet", "err", terr)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	if err := os.Remove(path); err != nil {
		n.o.Logger.Warn("the request of this machine could not be removed", "err", err)
	}
	return nil
}
