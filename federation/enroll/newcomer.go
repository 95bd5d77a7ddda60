package enroll

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/transport"
)

// callTime bounds one call to one contact.
const callTime = 45 * time.Second

// Dial connects to a node that must prove to be want; transport.DialJoin does.
type Dial func(ctx context.Context, addr string, want identity.NodeID) (net.Conn, error)

// Newcomer is a node that wants to become a member.
type Newcomer struct {
	Candidate registry.Candidate
	Keys      registry.Keys
	Contact   string // a person and a telephone number for the sponsor alone; may be empty
	Version   string // of this program
	Dial      Dial
	Now       func() time.Time // nil is time.Now
}

// JoinState is a join under way. It is kept in a small file between runs, which
// holds the invitation's secret and is for the node's owner only.
type JoinState struct {
	Country    string                `cbor:"1,keyasint"`
	Federation identity.FederationID `cbor:"2,keyasint"`
	Name       string                `cbor:"3,keyasint"` // of the federation
	Sponsor    string                `cbor:"4,keyasint"`
	Demo       bool                  `cbor:"5,keyasint"`
	Numbers    string                `cbor:"6,keyasint"` // to compare, like "1234 5678 9012"
	Invitation []byte                `cbor:"7,keyasint"` // the file
	Contacts   []contactKey          `cbor:"8,keyasint"` // those who have answered
	Knocked    int64                 `cbor:"9,keyasint"` // Unix seconds
	Answer     Answer                `cbor:"10,keyasint"`
	// Request is the file to be carried to the sponsor; empty when the knock went
	// over a connection.
	Request []byte `cbor:"11,keyasint,omitempty"`
}

// contactKey is a contact that has proved its key.
type contactKey struct {
	Endpoint string             `cbor:"1,keyasint"`
	Key      identity.PublicKey `cbor:"2,keyasint"`
}

// Marshal is the state as bytes.
func (j *JoinState) Marshal() ([]byte, error) { return identity.Marshal(j) }

// UnmarshalJoinState reads what Marshal writes.
func UnmarshalJoinState(b []byte) (*JoinState, error) {
	if len(b) > 3*maxFile {
		return nil, fmt.Errorf("read the join under way: %w: %d bytes", identity.ErrMalformed, len(b))
	}
	j := new(JoinState)
	if err := identity.Unmarshal(b, j); err != nil {
		return nil, fmt.Errorf("read the join under way: %w", err)
	}
	if len(j.Contacts) > maxContacts {
		return nil, fmt.Errorf("read the join under way: %w: %d contacts", identity.ErrMalformed, len(j.Contacts))
	}
	return j, nil
}

// Peer knows the nodes that took the knock. It stands in for the registry
// until that has come in: a node that has been admitted fetches it from them.
// It has the form of [transport.Directory].
func (j *JoinState) Peer(id identity.NodeID) (transport.Peer, bool) {
	for _, c := range j.Contacts {
		if c.Key.NodeID() == id {
			return transport.Peer{ID: id, Key: c.Key, Endpoints: []string{c.Endpoint}}, true
		}
	}
	return transport.Peer{}, false
}

// Nodes are the ids of the nodes that took the knock.
func (j *JoinState) Nodes() []identity.NodeID {
	var out []identity.NodeID
	for _, c := range j.Contacts {
		out = append(out, c.Key.NodeID())
	}
	return out
}

var _ transport.Directory = (*JoinState)(nil)

func (n *Newcomer) now() time.Time {
	if n.Now != nil {
		return n.Now()
	}
	return time.Now()
}

// Knock asks for admission by an invitation. It may be repeated with the same
// keys, also after the newcomer was interrupted. Its errors are refusals,
// unless ctx ended.
func (n *Newcomer) Knock(ctx context.Context, i *Invitation) (*JoinState, error) {
	if err := i.Check(n.Candidate.Country, n.now()); err != nil {
		return nil, err
	}
	if !i.IsComplete() {
		if err := n.complete(ctx, i); err != nil {
			return nil, err
		}
	}
	file, err := i.File()
	if err != nil {
		return nil, err
	}
	j := &JoinState{
		Country: i.Country, Federation: i.Federation, Name: i.Name, Sponsor: i.Sponsor, Demo: i.Demo,
		Invitation: file, Knocked: n.now().Unix(),
	}
	return j, n.call(ctx, i, func(conn net.Conn, c Contact) error {
		key, err := provenBy(conn, c.Node)
		if err != nil {
			return err
		}
		if err := n.knock(conn, i, c, j); err != nil {
			return err
		}
		j.Contacts = []contactKey{{c.Endpoint, key}}
		return nil
	})
}

// Ask asks what has become of the knock and notes it in j.
func (n *Newcomer) Ask(ctx context.Context, j *JoinState) (Answer, error) {
	i, err := Parse(string(j.Invitation))
	if err != nil {
		return Answer{}, err
	}
	err = n.call(ctx, i, func(conn net.Conn, c Contact) error {
		if _, err := n.greet(conn, i, hello{Purpose: purposeAsk}); err != nil {
			return err
		}
		return finish(conn, j)
	})
	return j.Answer, err
}

// complete fetches the terms of an invitation read from a code.
func (n *Newcomer) complete(ctx context.Context, i *Invitation) error {
	return n.call(ctx, i, func(conn net.Conn, c Contact) error {
		g, err := n.greet(conn, i, hello{Purpose: purposeLook})
		if err != nil {
			return err
		}
		return i.Complete(g.Terms)
	})
}

// call talks to the first contact that can be reached. What that one says
// stands: a refusal is not asked for twice.
func (n *Newcomer) call(ctx context.Context, i *Invitation, talk func(net.Conn, Contact) error) error {
	var failed, wrong []string
	for _, c := range i.Contacts {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, callTime)
			defer cancel()
			conn, err := n.Dial(ctx, c.Endpoint, c.Node)
			if err != nil {
				return err
			}
			defer conn.Close()
			end, _ := ctx.Deadline()
			if err := conn.SetDeadline(end); err != nil {
				return err
			}
			stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
			defer stop()
			return talk(conn, c)
		}()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("join: %w", ctx.Err())
		}
		var r *Refusal
		if errors.As(err, &r) {
			return err
		}
		if errors.Is(err, transport.ErrWrongPeer) {
			wrong = append(wrong, c.Endpoint)
		}
		failed = append(failed, fmt.Sprintf("%s (%v)", c.Endpoint, err))
	}
	if len(wrong) > 0 {
		return Refuse(WrongNode, "at "+strings.Join(wrong, ", "))
	}
	return Refuse(Unreachable, strings.Join(failed, ", "))
}

// greet sends the hello and reads the greeting.
func (n *Newcomer) greet(conn net.Conn, i *Invitation, h hello) (greeting, error) {
	h.Version, h.Federation, h.Invitation, h.Clock = Version, i.Federation, i.ID(), n.now().Unix()
	var g greeting
	if err := send(conn, h); err != nil {
		return g, err
	}
	if err := receive(conn, &g); err != nil {
		return g, err
	}
	if g.Refusal != nil {
		return g, g.Refusal.safe()
	}
	return g, nil
}

func (n *Newcomer) knock(conn net.Conn, i *Invitation, c Contact, j *JoinState) error {
	hash, err := candidateHash(n.Candidate)
	if err != nil {
		return err
	}
	var nonce [32]byte
	rand.Read(nonce[:])
	g, err := n.greet(conn, i, hello{Purpose: purposeKnock, Commitment: commitment(hash, nonce)})
	if err != nil {
		return err
	}
	plain, err := n.request(i)
	if err != nil {
		return err
	}
	sealed, err := i.Seal.Seal(plain, sealInfo(i.Federation, i.ID(), g.Nonce))
	if err != nil {
		return err
	}
	if err := send(conn, knock{nonce, sealed}); err != nil {
		return err
	}
	j.Numbers = parties{i.Federation, i.ID(), hash, i.Admin, i.Seal, c.Node, nonce, g.Nonce}.numbers()
	return finish(conn, j)
}

// request is what is sealed to the sponsor.
func (n *Newcomer) request(i *Invitation) ([]byte, error) {
	statement, err := registry.SignStatement(i.Federation, registry.Statement{
		Version: registry.Version, Candidate: n.Candidate, Invitation: i.ID(), Secret: i.Secret[:],
	}, n.Keys)
	if err != nil {
		return nil, err
	}
	return identity.Marshal(request{statement, n.Contact, n.Version})
}

// finish reads how the call ends.
func finish(conn net.Conn, j *JoinState) error {
	var o outcome
	if err := receive(conn, &o); err != nil {
		return err
	}
	if o.Refusal != nil {
		j.Answer.Standing = Refused
		return o.Refusal.safe()
	}
	switch o.Answer.Standing {
	case Waiting, Voting, Admitted, Refused:
	default: // of a newer version
		o.Answer.Standing = Waiting
	}
	j.Answer = o.Answer
	return nil
}

// safe is a refusal from another node as it may be shown: of bounded length,
// and without control characters that a terminal would obey.
func (r *Refusal) safe() *Refusal {
	clean := func(s string, most int) string {
		s = strings.Map(func(c rune) rune {
			if c < ' ' || c == 0x7f {
				return ' '
			}
			return c
		}, s)
		return strings.ToValidUTF8(s[:min(len(s), most)], "")
	}
	return &Refusal{Code(clean(string(r.Code), 32)), clean(r.Text, 500), clean(r.Next, 500)}
}

// provenBy is the key that the node at the other end has proved.
func provenBy(conn net.Conn, want identity.NodeID) (identity.PublicKey, error) {
	p, ok := conn.(interface{ Key() identity.PublicKey })
	if !ok || p.Key().NodeID() != want {
		return identity.PublicKey{}, transport.ErrWrongPeer
	}
	return p.Key(), nil
}
