package enroll

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"math"
	"slices"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// The labels of the two files by which a further machine of a member comes in.
const (
	pemTicket  = "WAYMARK MACHINE TICKET"
	pemMachine = "WAYMARK MACHINE REQUEST"
)

const maxTicketContacts = 64

// Ticket is what a new machine of a member must know before it can ask for its
// place. It is not secret and gives no right: what the machine asks for has to
// be signed by a key of its country, or by the others. Its maker could lead the
// machine to another federation, so it comes from somebody who is trusted, and
// the federation's id is compared.
type Ticket struct {
	Version    uint64                `cbor:"1,keyasint"`
	Federation identity.FederationID `cbor:"2,keyasint"`
	Name       string                `cbor:"3,keyasint"` // of the federation
	Demo       bool                  `cbor:"4,keyasint,omitempty"`
	Seq        uint64                `cbor:"5,keyasint"` // the last entry that its maker knew
	Country    string                `cbor:"6,keyasint"`
	Operator   string                `cbor:"7,keyasint"`
	Origin     identity.OriginID     `cbor:"8,keyasint"`
	Epoch      uint64                `cbor:"9,keyasint"`
	Keys       []TicketKey           `cbor:"10,keyasint"` // in use
	Nodes      []registry.Machine    `cbor:"11,keyasint"`
	Contacts   []TicketContact       `cbor:"12,keyasint"` // nodes that hold the registry, of whatever country
}

// TicketKey is a key of the member that is in use.
type TicketKey struct {
	ID   identity.KeyID `cbor:"1,keyasint"`
	Role identity.Role  `cbor:"2,keyasint"`
}

// TicketContact is a node that can be called.
type TicketContact struct {
	Key       identity.PublicKey `cbor:"1,keyasint"`
	Endpoints []string           `cbor:"2,keyasint"`
}

// NewTicket is the ticket for a machine of a country that has its seat.
func NewTicket(s *registry.State, country string) (*Ticket, error) {
	m, ok := s.MemberByCountry(country)
	if !ok || !m.Seated() {
		return nil, fmt.Errorf("%w: %s is not a member", registry.ErrConflict, country)
	}
	t := &Ticket{
		Version: Version, Federation: s.Federation(), Name: s.Name(), Demo: s.Demo(), Seq: s.Seq(),
		Country: country, Operator: m.Operator, Origin: m.Origin, Epoch: m.Epoch,
	}
	for _, k := range m.Keys {
		if (k.To == registry.Mark{}) {
			t.Keys = append(t.Keys, TicketKey{k.Public.ID(), k.Role})
		}
	}
	for _, n := range m.Nodes {
		t.Nodes = append(t.Nodes, n.Machine())
	}
	for _, o := range s.Members() {
		for _, n := range o.Nodes {
			if o.Active() && len(n.Endpoints) > 0 && len(t.Contacts) < maxTicketContacts {
				t.Contacts = append(t.Contacts, TicketContact{n.Key, n.Endpoints})
			}
		}
	}
	return t, nil
}

// File is the ticket as a text file.
func (t *Ticket) File() ([]byte, error) { return armour(pemTicket, t) }

func armour(label string, v any) ([]byte, error) {
	b, err := identity.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write a %s: %w", label, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: b}), nil
}

// maxTicket is the most bytes of a ticket's or a request's file.
const maxTicket = 256 << 10

// disarm reads what armour writes.
func disarm(label string, code Code, text []byte, v any) error {
	if len(text) > maxTicket {
		return Refuse(code, fmt.Sprintf("it has more than %d KiB", maxTicket>>10))
	}
	block, _ := pem.Decode(text)
	switch {
	case block != nil && block.Type != label && bytes.HasPrefix([]byte(block.Type), []byte("WAYMARK ")):
		return Refuse(code, fmt.Sprintf("it is a %s", block.Type))
	case block == nil || block.Type != label:
		return Refuse(code, "the file is cut short or of another kind")
	}
	if err := identity.Unmarshal(block.Bytes, v); err != nil {
		return Refuse(code, "the file is damaged")
	}
	return nil
}

// ParseTicket reads a ticket. Its errors are refusals.
func ParseTicket(text []byte) (*Ticket, error) {
	t := new(Ticket)
	if err := disarm(pemTicket, NoTicket, text, t); err != nil {
		return nil, err
	}
	switch {
	case t.Version != Version:
		return nil, otherVersion("the ticket", t.Version)
	case !registry.ValidCountry(t.Country), t.Origin.IsZero(), t.Seq == 0, t.Epoch == 0, t.Epoch == math.MaxUint64,
		len(t.Operator) > registry.MaxText, len(t.Name) > registry.MaxText,
		len(t.Keys) > registry.MaxKeys, len(t.Nodes) > registry.MaxNodes, len(t.Contacts) > maxTicketContacts:
		return nil, Refuse(NoTicket, "the file is damaged")
	}
	for _, c := range t.Contacts {
		if len(c.Endpoints) > registry.MaxEndpoints || c.Key.IsZero() {
			return nil, Refuse(NoTicket, "the file is damaged")
		}
		for _, e := range c.Endpoints {
			if _, err := registry.ParseEndpoint(e); err != nil {
				return nil, Refuse(NoTicket, "the file is damaged")
			}
		}
	}
	return t, nil
}

// Why a machine asks for a place.
const (
	// AsMirror: beside the node that publishes. An admin key of its country has
	// to sign.
	AsMirror = "mirror"
	// AsReturn: in the place of the node that published and is lost, signed already
	// by an admin key of its country. Like the two below it comes in as a mirror,
	// copies what was published, and then takes over by itself.
	AsReturn = "return"
	// AsSheet: the same with a new admin key, signed already by the recovery sheet.
	// It waits for three days.
	AsSheet = "sheet"
	// AsVote: the same, to be signed by enough of the other countries.
	AsVote = "vote"
)

// MachineRequest is what a new machine asks for.
type MachineRequest struct {
	Version    uint64                `cbor:"1,keyasint"`
	Federation identity.FederationID `cbor:"2,keyasint"`
	Country    string                `cbor:"3,keyasint"`
	Origin     identity.OriginID     `cbor:"4,keyasint"`
	As         string                `cbor:"5,keyasint"`
	Node       identity.NodeID       `cbor:"6,keyasint"`
	// Nodes and Keys are statements that the machine's keys have signed: of a
	// mirror both, of a vote the second.
	Nodes []byte `cbor:"7,keyasint,omitempty"`
	Keys  []byte `cbor:"8,keyasint,omitempty"`
	// Command is signed in full and for the registry as it is.
	Command []byte `cbor:"9,keyasint,omitempty"`
}

// File is the request as a text file.
func (r *MachineRequest) File() ([]byte, error) { return armour(pemMachine, r) }

// ParseMachineRequest reads a request. Its errors are refusals. What is signed in
// it is judged by the registry.
func ParseMachineRequest(text []byte) (*MachineRequest, error) {
	r := new(MachineRequest)
	if err := disarm(pemMachine, NoMachine, text, r); err != nil {
		return nil, err
	}
	whole := false
	switch r.As {
	case AsMirror:
		whole = len(r.Nodes) > 0 && len(r.Keys) > 0 && len(r.Command) == 0
	case AsReturn, AsSheet:
		whole = len(r.Command) > 0
	case AsVote:
		whole = len(r.Keys) > 0 && len(r.Command) == 0
	}
	switch {
	case r.Version != Version:
		return nil, otherVersion("the request", r.Version)
	case !whole, !registry.ValidCountry(r.Country):
		return nil, Refuse(NoMachine, "the file is damaged")
	}
	return r, nil
}

// Box is the private keys of a new machine and how others reach it.
type Box struct {
	registry.Keys
	Endpoints []registry.Endpoint
	Voter     bool
}

// mirror is the machine as one that does not publish.
func (b Box) mirror() registry.Machine {
	admin := b.Admin.ID()
	return registry.Machine{Key: b.Node.Public(), Endpoints: b.Endpoints, Voter: b.Voter, Admin: &admin}
}

func (t *Ticket) request(as string, b Box) *MachineRequest {
	return &MachineRequest{Version: Version, Federation: t.Federation, Country: t.Country, Origin: t.Origin, As: as, Node: b.Node.Public().NodeID()}
}

// Mirror asks for a place beside the node that publishes, with an admin key of
// its own, so that the country does not depend on one machine.
func (t *Ticket) Mirror(b Box) (r *MachineRequest, err error) {
	r = t.request(AsMirror, b)
	if r.Nodes, err = t.beside(b); err != nil {
		return nil, err
	}
	ch := registry.KeyChange{Origin: t.Origin, Add: []registry.NewKey{{Public: b.Admin.Public(), Role: identity.RoleAdmin}}}
	r.Keys, err = registry.SignKeyChange(t.Federation, ch, b.Admin)
	return r, err
}

// beside is the statement of the nodes there are and the machine.
func (t *Ticket) beside(b Box) ([]byte, error) {
	nodes := registry.Nodes{Origin: t.Origin, Nodes: append(slices.Clone(t.Nodes), b.mirror())}
	return registry.SignNodes(t.Federation, nodes, b.Node)
}

// Replace asks for the place of the node that published and is lost. By is an
// admin key of the country, which then is the new machine's too, or its recovery
// key; nil when the others are to sign. The epoch does not rise yet: nobody could
// copy a feed whose epoch has no head.
func (t *Ticket) Replace(b Box, by *identity.Key) (*MachineRequest, error) {
	switch {
	case by == nil:
		r := t.request(AsVote, b)
		var err error
		r.Keys, err = t.otherKeys(b, identity.RoleAdmin, identity.RoleRecovery)
		return r, err
	case !t.uses(by) && by.Role() == identity.RoleRecovery:
		return nil, Refuse(OtherSheet, t.Country)
	case !t.uses(by):
		return nil, Refuse(OtherKey, t.Country)
	}
	r, kind := t.request(AsReturn, b), registry.KindNode
	var payload any
	if by.Role() == identity.RoleRecovery {
		statement, err := t.otherKeys(b, identity.RoleAdmin)
		if err != nil {
			return nil, err
		}
		r.As, kind, payload = AsSheet, registry.KindKeys, registry.SetKeys{Statement: statement}
	} else {
		statement, err := t.beside(b)
		if err != nil {
			return nil, err
		}
		payload = registry.SetNodes{Statement: statement}
	}
	raw, err := identity.Marshal(payload)
	if err != nil {
		return nil, err
	}
	c := registry.Command{Version: registry.Version, Federation: t.Federation, Kind: kind, ID: registry.NewID(), Base: t.Seq, Payload: raw}
	r.Command, err = c.Sign(by)
	return r, err
}

// otherKeys is the statement by which the machine comes in with a new admin key,
// and those of the given roles go out of use.
func (t *Ticket) otherKeys(b Box, gone ...identity.Role) ([]byte, error) {
	machine := b.mirror()
	ch := registry.KeyChange{Origin: t.Origin, Machine: &machine, Add: []registry.NewKey{{Public: b.Admin.Public(), Role: identity.RoleAdmin}}}
	for _, k := range t.Keys {
		if slices.Contains(gone, k.Role) {
			ch.Retire = append(ch.Retire, registry.Retirement{ID: k.ID})
		}
	}
	return registry.SignKeyChange(t.Federation, ch, b.Admin, b.Node)
}

func (t *Ticket) uses(k *identity.Key) bool {
	return slices.Contains(t.Keys, TicketKey{k.ID(), k.Role()})
}
