package registry

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/2ps-project/waymark/federation/identity"
)

// State is the registry after an entry. It never changes; it is safe for any
// number of goroutines.
type State struct {
	federation identity.FederationID
	name       string
	demo       bool
	founder    identity.OriginID
	roots      []identity.PublicKey // the founder's nodes, as the genesis names them: one is the first voter

	seq  uint64
	hash identity.Hash
	time int64

	closed      bool     // the founder no longer admits alone
	members     []Member // sorted by country, then origin
	invitations []Invitation
	proposals   []Proposal
	policy      Policy
	seen        seen
	rekeys      []Rekey
	forks       []Fork
	rulings     []Recorded // sorted by target

	rules      uint64
	founded    int64 // the time of the genesis
	motions    []Motion
	policySeq  uint64
	taxonomies []Taxonomy // sorted by code
	wording    []Wording  // sorted by language
}

// InvitationStatus is what has become of an invitation.
type InvitationStatus string

// What becomes of an invitation. That an open one has expired is told by
// comparing its time (see [Invitation.Err]).
const (
	InvitationOpen      InvitationStatus = "open"
	InvitationUsed      InvitationStatus = "used"
	InvitationCancelled InvitationStatus = "cancelled"
	InvitationClosed    InvitationStatus = "closed" // the country came in by another one
)

// Invitation is what the registry keeps of an invitation: nothing that would
// let anybody use it.
type Invitation struct {
	ID         ID                `cbor:"1,keyasint"`
	Country    string            `cbor:"2,keyasint"`
	SecretHash [32]byte          `cbor:"3,keyasint"`
	Expires    int64             `cbor:"4,keyasint"` // Unix seconds
	Sponsor    identity.OriginID `cbor:"5,keyasint"`
	Seq        uint64            `cbor:"6,keyasint"` // the entry that gave it out
	Status     InvitationStatus  `cbor:"7,keyasint"`
	UsedBy     identity.OriginID `cbor:"8,keyasint"` // who knocked; zero while open
	// Differed is when the numbers of somebody who knocked with it last differed
	// from those of its sponsor, in Unix seconds; 0: they never did.
	Differed int64 `cbor:"9,keyasint,omitempty"`
}

// Err is nil when the invitation can be used at the given time, in Unix
// seconds, else why it cannot.
func (i Invitation) Err(now int64) error {
	switch {
	case i.Status == InvitationUsed:
		return ErrInvitationUsed
	case i.Status == InvitationCancelled:
		return ErrInvitationCancelled
	case i.Status == InvitationClosed:
		return fmt.Errorf("%w: %s came in by another invitation", ErrCountryTaken, i.Country)
	case now > i.Expires:
		return ErrInvitationExpired
	}
	return nil
}

// Proposal is an admission that waits for approvals.
type Proposal struct {
	ID         ID                  `cbor:"1,keyasint"` // of the admit command
	Hash       identity.Hash       `cbor:"2,keyasint"` // what approvals sign
	Invitation ID                  `cbor:"3,keyasint"`
	Sponsor    identity.OriginID   `cbor:"4,keyasint"`
	Candidate  Candidate           `cbor:"5,keyasint"`
	Expires    int64               `cbor:"6,keyasint"` // Unix seconds
	Seq        uint64              `cbor:"7,keyasint"` // the entry that made it
	Approvals  []identity.OriginID `cbor:"8,keyasint"` // distinct, the sponsor first
	Objections []Objection         `cbor:"9,keyasint"`
	Done       bool                `cbor:"10,keyasint"` // admitted, or closed by another admission
}

// Objection is a member's word against a proposal. It changes no count; it is
// there for those who still have to decide.
type Objection struct {
	Origin identity.OriginID `cbor:"1,keyasint"`
	Reason string            `cbor:"2,keyasint"`
}

// Federation is the id of the federation.
func (s *State) Federation() identity.FederationID { return s.federation }

// Name is the federation's name.
func (s *State) Name() string { return s.name }

// Demo reports whether the federation is a demonstration.
func (s *State) Demo() bool { return s.demo }

// Founder is the origin that founded the federation.
func (s *State) Founder() identity.OriginID { return s.founder }

// Seq is the number of the last entry; the genesis is 1.
func (s *State) Seq() uint64 { return s.seq }

// Hash is the hash of the chain of entries up to the last.
func (s *State) Hash() identity.Hash { return s.hash }

// Time is the last entry's time in Unix seconds.
func (s *State) Time() int64 { return s.time }

// FounderAdmits reports whether the founder's signature and an invitation's
// secret still admit alone. It ends for ever with the third member.
func (s *State) FounderAdmits() bool { return !s.closed }

// Rules is the version of the rules that holds; at most what this program knows.
func (s *State) Rules() uint64 { return s.rules }

// PolicySeq is the entry that set the policy last; 0 for that of the beginning.
func (s *State) PolicySeq() uint64 { return s.policySeq }

// Policy is what the members have agreed on.
func (s *State) Policy() Policy { return s.policy.clone() }

// Members are all members, whatever their standing, sorted by country.
func (s *State) Members() []Member {
	out := make([]Member, len(s.members))
	for i, m := range s.members {
		out[i] = m.clone()
	}
	return out
}

// MemberByOrigin finds a member.
func (s *State) MemberByOrigin(o identity.OriginID) (Member, bool) {
	if i := s.origin(o); i >= 0 {
		return s.members[i].clone(), true
	}
	return Member{}, false
}

// MemberByCountry finds the member of a country: the one that has its place, else
// the one that came last of those who have left.
func (s *State) MemberByCountry(country string) (Member, bool) {
	found := -1
	for i, m := range s.members {
		if m.Country != country {
			continue
		}
		if m.Seated() {
			found = i
			break
		}
		if found < 0 || m.Since > s.members[found].Since {
			found = i
		}
	}
	if found < 0 {
		return Member{}, false
	}
	return s.members[found].clone(), true
}

// Node finds a node of an active member. A node of a member that is not active
// is not known: nobody talks to it.
func (s *State) Node(id identity.NodeID) (Node, Member, bool) {
	for _, m := range s.members {
		if !m.Active() {
			continue
		}
		for i, n := range m.Nodes {
			if n.ID == id {
				c := m.clone()
				return c.Nodes[i], c, true
			}
		}
	}
	return Node{}, Member{}, false
}

// Invitations are all invitations, in the order in which they were given out.
func (s *State) Invitations() []Invitation { return slices.Clone(s.invitations) }

// Invitation finds an invitation.
func (s *State) Invitation(id ID) (Invitation, bool) {
	if i := s.invitation(id); i >= 0 {
		return s.invitations[i], true
	}
	return Invitation{}, false
}

// Proposals are the admissions that wait for approvals, oldest first, those
// that have lapsed included (compare Expires).
func (s *State) Proposals() []Proposal {
	var out []Proposal
	for _, p := range s.proposals {
		if !p.Done {
			p.Approvals = slices.Clone(p.Approvals)
			p.Objections = slices.Clone(p.Objections)
			out = append(out, p)
		}
	}
	return out
}

// Seen reports at which entry a command was accepted. Only the last 10,000
// entries are remembered; older commands are refused by their base.
func (s *State) Seen(id ID) (uint64, bool) { return s.seen.find(id) }

// active counts the active members.
func (s *State) active() int {
	n := 0
	for _, m := range s.members {
		if m.Active() {
			n++
		}
	}
	return n
}

func (s *State) origin(o identity.OriginID) int {
	return slices.IndexFunc(s.members, func(m Member) bool { return m.Origin == o })
}

func (s *State) invitation(id ID) int {
	return slices.IndexFunc(s.invitations, func(i Invitation) bool { return i.ID == id })
}

// admin finds an active member by one of its admin keys.
func (s *State) admin(id identity.KeyID) (identity.PublicKey, int) {
	for i, m := range s.members {
		if m.Active() {
			if k, ok := m.Key(identity.RoleAdmin, id); ok {
				return k, i
			}
		}
	}
	return identity.PublicKey{}, -1
}

// recovery finds a member that is active or suspended by a recovery key of it.
func (s *State) recovery(id identity.KeyID) (identity.PublicKey, int) {
	for i, m := range s.members {
		if m.Seated() {
			if k, ok := m.Key(identity.RoleRecovery, id); ok {
				return k, i
			}
		}
	}
	return identity.PublicKey{}, -1
}

func sortMembers(members []Member) {
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Country, b.Country), slices.Compare(a.Origin[:], b.Origin[:]))
	})
}

// Replay rebuilds a state from all entries of a registry, the genesis first.
func Replay(entries [][]byte) (*State, error) {
	var s *State
	for i, b := range entries {
		e, err := ParseEntry(b)
		if err != nil {
			return nil, fmt.Errorf("registry entry %d: %w", i+1, err)
		}
		if s, err = Next(s, e); err != nil {
			return nil, fmt.Errorf("registry entry %d: %w", i+1, err)
		}
	}
	if s == nil {
		return nil, fmt.Errorf("%w: no entries", ErrChain)
	}
	return s, nil
}

// Next is [State.Apply], or [Begin] where there is no state yet.
func Next(s *State, e Entry) (*State, error) {
	if s == nil {
		return Begin(e)
	}
	return s.Apply(e)
}
