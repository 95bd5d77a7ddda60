package registry

import (
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// encoded is the whole state in one deterministic form.
type encoded struct {
	Federation  identity.FederationID `cbor:"1,keyasint"`
	Name        string                `cbor:"2,keyasint"`
	Demo        bool                  `cbor:"3,keyasint"`
	Founder     identity.OriginID     `cbor:"4,keyasint"`
	Seq         uint64                `cbor:"5,keyasint"`
	Hash        identity.Hash         `cbor:"6,keyasint"`
	Time        int64                 `cbor:"7,keyasint"`
	Closed      bool                  `cbor:"8,keyasint"`
	Members     []encodedMember       `cbor:"9,keyasint"`
	Invitations []Invitation          `cbor:"10,keyasint"`
	Proposals   []Proposal            `cbor:"11,keyasint"`
	Policy      Policy                `cbor:"12,keyasint"`
	Seen        []ID                  `cbor:"13,keyasint"` // in the order of their entries
	Rekeys      []Rekey               `cbor:"14,keyasint"`
	Forks       []Fork                `cbor:"15,keyasint"`
	Rulings     []Recorded            `cbor:"16,keyasint"`
	Rules       uint64                `cbor:"17,keyasint"`
	Motions     []Motion              `cbor:"18,keyasint"`
	PolicySeq   uint64                `cbor:"19,keyasint"`
	Taxonomies  []Taxonomy            `cbor:"20,keyasint"`
	Wording     []Wording             `cbor:"21,keyasint"`
	Founded     int64                 `cbor:"22,keyasint"`
}

type encodedMember struct {
	Origin       identity.OriginID      `cbor:"1,keyasint"`
	Country      string                 `cbor:"2,keyasint"`
	Operator     string                 `cbor:"3,keyasint"`
	OperatorType string                 `cbor:"4,keyasint"`
	Status       Status                 `cbor:"5,keyasint"`
	Epoch        uint64                 `cbor:"6,keyasint"`
	Since        uint64                 `cbor:"7,keyasint"`
	Seal         identity.SealPublicKey `cbor:"8,keyasint"`
	Keys         []Key                  `cbor:"9,keyasint"`
	Nodes        []Machine              `cbor:"10,keyasint"`
	Good         feed.Place             `cbor:"11,keyasint"`
	Caretakers   []identity.OriginID    `cbor:"12,keyasint"`
	Left         int64                  `cbor:"13,keyasint,omitempty"`
}

// Encode is the state as bytes: equal states have equal bytes. It is for
// comparing; a state is rebuilt from its entries, never from this.
func (s *State) Encode() []byte {
	e := encoded{
		Federation: s.federation, Name: s.name, Demo: s.demo, Founder: s.founder,
		Seq: s.seq, Hash: s.hash, Time: s.time, Closed: s.closed,
		Invitations: s.invitations, Proposals: s.proposals, Policy: s.policy, Seen: s.seen.list(),
		Rekeys: s.rekeys, Forks: s.forks, Rulings: s.rulings,
		Rules: s.rules, Motions: s.motions, PolicySeq: s.policySeq, Taxonomies: s.taxonomies, Wording: s.wording, Founded: s.founded,
	}
	for _, m := range s.members {
		em := encodedMember{m.Origin, m.Country, m.Operator, m.OperatorType, m.Status, m.Epoch, m.Since, m.Seal, m.Keys, nil, m.Good, m.Caretakers, m.Left}
		for _, n := range m.Nodes {
			em.Nodes = append(em.Nodes, n.Machine())
		}
		e.Members = append(e.Members, em)
	}
	b, err := identity.Marshal(e)
	if err != nil { // the type holds nothing that cannot be encoded
		panic(err)
	}
	return b
}
