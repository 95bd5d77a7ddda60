package registry

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Status is a member's standing.
type Status string

// The standings of a member. Only an active member's keys speak.
const (
	StatusActive    Status = "active"
	StatusSuspended Status = "suspended"
	StatusWithdrawn Status = "withdrawn"
	StatusExpelled  Status = "expelled"
)

// Operator types. The list is open: a type that is not known is kept and read
// as "not stated".
const (
	OperatorHealth          = "health"
	OperatorCharity         = "charity"
	OperatorUniversity      = "university"
	OperatorPublicAuthority = "public_authority"
	OperatorPoliceJustice   = "police_justice"
	OperatorPeerRun         = "peer_run"
	OperatorPrivatePractice = "private_practice"
)

// Mark is a place in a feed: its epoch and the number of a head within it.
type Mark struct {
	Epoch uint64 `cbor:"1,keyasint"`
	N     uint64 `cbor:"2,keyasint"`
}

func (m Mark) before(o Mark) bool {
	return m.Epoch < o.Epoch || m.Epoch == o.Epoch && m.N < o.N
}

// Key is a member's public key with what it may sign.
type Key struct {
	Public identity.PublicKey `cbor:"1,keyasint"`
	Role   identity.Role      `cbor:"2,keyasint"`
	// From is the first head that the key may sign, and To the last; To is
	// zero while the key is in use.
	From Mark `cbor:"3,keyasint"`
	To   Mark `cbor:"4,keyasint"`
	// Revoked: somebody else may have it. It never comes back.
	Revoked bool `cbor:"5,keyasint,omitempty"`
}

// covers reports whether the key is good for the head at m.
func (k Key) covers(m Mark) bool {
	return !m.before(k.From) && (k.To == Mark{} || !k.To.before(m))
}

// Endpoint is a place where a node listens for the federation.
type Endpoint struct {
	Kind string `cbor:"1,keyasint"` // "tcp"; other kinds are kept and not used
	Host string `cbor:"2,keyasint"` // a name or an address, without brackets
	Port uint16 `cbor:"3,keyasint"`
}

// String is host:port.
func (e Endpoint) String() string { return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))) }

// ParseEndpoint reads what String writes.
func ParseEndpoint(s string) (Endpoint, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%w: the address %q is not of the form host:port", ErrMalformed, s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%w: the port of %q is not a number up to 65535", ErrMalformed, s)
	}
	e := Endpoint{"tcp", host, uint16(n)}
	return e, e.check()
}

func (e Endpoint) check() error {
	ok := e.Port != 0 && e.Kind != "" && len(e.Kind) <= 16 && e.Host != "" && len(e.Host) <= 253 &&
		!strings.ContainsFunc(e.Kind+e.Host, func(r rune) bool {
			return r <= ' ' || r >= 0x7f || r == '/' || r == '[' || r == ']' || r == '@'
		})
	if !ok {
		return fmt.Errorf("%w: %q is no address to reach a node at", ErrMalformed, e.String())
	}
	return nil
}

// Node is a machine of a member.
type Node struct {
	ID        identity.NodeID // derived from Key
	Key       identity.PublicKey
	Addresses []Endpoint // of every kind
	Endpoints []string   // host:port of kind tcp, in the order to try; none: it only calls others
	Publisher bool       // the one node of its member that signs heads
	// VoterOptIn: it is ready to keep the registry with others.
	VoterOptIn bool
	// Admin is the admin key that lies on it, as its member stated; nil when that
	// is not known. Who strikes the node off takes this key out of use too.
	Admin *identity.KeyID
}

// Machine is a node as its member states it.
type Machine struct {
	Key       identity.PublicKey `cbor:"1,keyasint"`
	Endpoints []Endpoint         `cbor:"2,keyasint"`
	Publisher bool               `cbor:"3,keyasint,omitempty"`
	Voter     bool               `cbor:"4,keyasint,omitempty"`
	Admin     *identity.KeyID    `cbor:"5,keyasint,omitempty"`
}

func (m Machine) node() Node {
	n := Node{ID: m.Key.NodeID(), Key: m.Key, Addresses: slices.Clone(m.Endpoints), Publisher: m.Publisher, VoterOptIn: m.Voter, Admin: m.Admin}
	for _, e := range m.Endpoints {
		if e.Kind == "tcp" {
			n.Endpoints = append(n.Endpoints, e.String())
		}
	}
	return n
}

// Machine is the node as its member states it.
func (n Node) Machine() Machine {
	return Machine{Key: n.Key, Endpoints: n.Addresses, Publisher: n.Publisher, Voter: n.VoterOptIn, Admin: n.Admin}
}

// Candidate is a member as it states itself: the founder in the genesis, a
// newcomer when it asks to be admitted. It names organisations, never people.
type Candidate struct {
	Country      string                 `cbor:"1,keyasint"` // ISO 3166-1 alpha-2
	Operator     string                 `cbor:"2,keyasint"`
	OperatorType string                 `cbor:"3,keyasint,omitempty"`
	Origin       identity.OriginID      `cbor:"4,keyasint"`
	Admin        identity.PublicKey     `cbor:"5,keyasint"`
	Publish      identity.PublicKey     `cbor:"6,keyasint"`
	Seal         identity.SealPublicKey `cbor:"7,keyasint"`
	Nodes        []Machine              `cbor:"8,keyasint"`
}

// Check tells what is wrong with the candidate, or nil.
func (c *Candidate) Check() error {
	switch {
	case !ValidCountry(c.Country):
		return fmt.Errorf("%w: %q is not a country code of two capital letters", ErrMalformed, c.Country)
	case c.Origin.IsZero():
		return fmt.Errorf("%w: an origin id of zeros", ErrMalformed)
	case c.Admin.IsZero(), c.Publish.IsZero(), c.Seal == identity.SealPublicKey{}:
		return fmt.Errorf("%w: a key is missing", ErrMalformed)
	case c.Admin == c.Publish:
		return fmt.Errorf("%w: one key in two roles", ErrMalformed)
	case !validCode(c.OperatorType, 0):
		return fmt.Errorf("%w: %q is not an operator type", ErrMalformed, c.OperatorType)
	}
	if err := checkText("the operator's name", c.Operator, MaxText); err != nil {
		return err
	}
	for _, m := range c.Nodes {
		if m.Key == c.Admin || m.Key == c.Publish {
			return fmt.Errorf("%w: one key in two roles", ErrMalformed)
		}
	}
	return checkMachines(c.Nodes)
}

// keys are the keys that must prove that their holder wants this.
func (c *Candidate) keys() []identity.PublicKey {
	keys := []identity.PublicKey{c.Admin, c.Publish}
	for _, m := range c.Nodes {
		keys = append(keys, m.Key)
	}
	return keys
}

func (c *Candidate) member(seq uint64) Member {
	m := Member{
		Origin: c.Origin, Country: c.Country, Operator: c.Operator, OperatorType: c.OperatorType,
		Status: StatusActive, Epoch: 1, Since: seq, Seal: c.Seal,
		Keys: []Key{
			{Public: c.Admin, Role: identity.RoleAdmin, From: Mark{1, 0}},
			{Public: c.Publish, Role: identity.RolePublish, From: Mark{1, 0}},
		},
	}
	for _, n := range c.Nodes {
		m.Nodes = append(m.Nodes, n.node())
	}
	return m
}

func checkMachines(machines []Machine) error {
	if len(machines) == 0 || len(machines) > MaxNodes {
		return fmt.Errorf("%w: %d nodes, a member has 1 to %d", ErrMalformed, len(machines), MaxNodes)
	}
	publishers := 0
	seen := map[identity.PublicKey]bool{}
	for _, m := range machines {
		if m.Key.IsZero() || seen[m.Key] {
			return fmt.Errorf("%w: a node's key is missing or named twice", ErrMalformed)
		}
		seen[m.Key] = true
		if m.Publisher {
			publishers++
		}
		if len(m.Endpoints) > MaxEndpoints {
			return fmt.Errorf("%w: %d addresses of a node, at most %d are allowed", ErrMalformed, len(m.Endpoints), MaxEndpoints)
		}
		for _, e := range m.Endpoints {
			if err := e.check(); err != nil {
				return err
			}
		}
	}
	if publishers != 1 {
		return fmt.Errorf("%w: %d nodes that publish, exactly one is needed", ErrMalformed, publishers)
	}
	return nil
}

// Member is a publishing partner of the federation, as the registry knows it.
type Member struct {
	Origin       identity.OriginID
	Country      string
	Operator     string
	OperatorType string
	Status       Status
	Epoch        uint64 // the epoch in which its feed may be signed; from 1
	Since        uint64 // the entry that admitted it
	Seal         identity.SealPublicKey
	Keys         []Key
	Nodes        []Node
	// Good is the head of the epoch before to which the feed went back when the
	// present epoch began; zero when it did not go back.
	Good feed.Place
	// Caretakers may add alerts while the member is dark.
	Caretakers []identity.OriginID
	// Left is the time of the entry that ended the membership, in Unix seconds;
	// 0 while the member has its seat.
	Left int64
}

// Active reports whether the member's keys speak.
func (m Member) Active() bool { return m.Status == StatusActive }

// Seated reports whether the member has its place: it is active, or suspended and
// may come back. Its country is not free.
func (m Member) Seated() bool { return m.Active() || m.Status == StatusSuspended }

// Key finds a key of the member by role and id that is in use.
func (m Member) Key(role identity.Role, id identity.KeyID) (identity.PublicKey, bool) {
	for _, k := range m.Keys {
		if k.Role == role && k.To == (Mark{}) && k.Public.ID() == id {
			return k.Public, true
		}
	}
	return identity.PublicKey{}, false
}

// Publisher is the member's node that signs heads.
func (m Member) Publisher() (Node, bool) {
	for _, n := range m.Nodes {
		if n.Publisher {
			return n, true
		}
	}
	return Node{}, false
}

// clone shares nothing that a caller could change.
func (m Member) clone() Member {
	m.Keys = slices.Clone(m.Keys)
	m.Caretakers = slices.Clone(m.Caretakers)
	m.Nodes = slices.Clone(m.Nodes)
	for i := range m.Nodes {
		m.Nodes[i].Addresses = slices.Clone(m.Nodes[i].Addresses)
		m.Nodes[i].Endpoints = slices.Clone(m.Nodes[i].Endpoints)
	}
	return m
}

// ValidCountry reports whether s has the form of an ISO 3166-1 alpha-2 code.
func ValidCountry(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

// validCode reports whether s has the form of a code: lower-case letters,
// digits and underscores.
func validCode(s string, least int) bool {
	return len(s) >= least && len(s) <= 32 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	})
}

func checkText(what, s string, most int) error {
	if fault := textFault(s, most); fault != "" {
		return fmt.Errorf("%w: %s %s", ErrMalformed, what, fault)
	}
	return nil
}

func (c *change) withdraw() error {
	var p Withdraw
	if err := c.payload(&p); err != nil {
		return err
	}
	i, err := c.itself(p.Origin, "a member withdraws itself; the others can expel it")
	if err != nil {
		return err
	}
	if c.active() == 1 {
		return fmt.Errorf("%w: nobody would be left to keep the registry", ErrConflict)
	}
	return c.leave(i, StatusWithdrawn)
}

// leave ends a membership. What the member published stays as it is, its keys
// speak no more and are nobody else's, and its country is free.
func (c *change) leave(i int, as Status) error {
	m := c.members[i].clone()
	m.Status, m.Left = as, c.time
	c.put(i, m)
	c.rekeys = slices.DeleteFunc(slices.Clone(c.rekeys), func(r Rekey) bool { return r.Change.Origin == m.Origin })
	// Nobody comes in any more by the word of who has left.
	c.invitations = slices.Clone(c.invitations)
	for j := range c.invitations {
		if inv := &c.invitations[j]; inv.Sponsor == m.Origin && inv.Status == InvitationOpen {
			inv.Status = InvitationCancelled
		}
	}
	c.dropUnbacked()
	return nil
}

// textFault says what is wrong with a text, "" when nothing is.
func textFault(s string, most int) string {
	switch {
	case strings.TrimSpace(s) == "":
		return "is empty"
	case len(s) > most:
		return fmt.Sprintf("has %d bytes, at most %d are allowed", len(s), most)
	case !utf8.ValidString(s), strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "contains characters that cannot be printed"
	}
	return ""
}
