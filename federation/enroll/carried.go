package enroll

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/argon2"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// carried is a knock in a file, for a newcomer that has no connection: what it
// would say over one, without the sponsor's part.
type carried struct {
	Version    uint64                `cbor:"1,keyasint"`
	Federation identity.FederationID `cbor:"2,keyasint"`
	Invitation registry.ID           `cbor:"3,keyasint"`
	Nonce      [32]byte              `cbor:"4,keyasint"`
	Sealed     []byte                `cbor:"5,keyasint"` // a request, to the sponsor's seal key
}

const pemRequest = "WAYMARK REQUEST"

// How the numbers of a carried request are made slow: with argon2id (RFC 9106).
// A file brings no nonce of the sponsor with it, so whoever can change it on its
// way may look for another request with the same numbers. Each guess costs 64 MiB
// for four passes; 2^39 of them are centuries of a whole data centre.
const (
	slowPasses = 4
	slowMemory = 64 << 10 // KiB
)

// carriedNumbers are the numbers of a request in a file. The node and the nonce of
// the sponsor are zero in p.
func (p parties) carriedNumbers() string {
	h := p.carriedSum()
	return digits(argon2.IDKey(h[:], p.invitation[:], slowPasses, slowMemory, 1, 8))
}

// carriedSum is what the numbers are made of.
func (p parties) carriedSum() identity.Hash {
	return identity.Sum(domainCarried, p.federation[:], p.invitation[:], p.candidate[:], p.admin[:], p.seal[:], p.newcomer[:])
}

// carriedInfo binds a sealed request to its file; it opens in no call.
func carriedInfo(f identity.FederationID, invitation registry.ID, nonce [32]byte) []byte {
	b := append([]byte("waymark/carried/1\x00"), f[:]...)
	b = append(b, invitation[:]...)
	return append(b, nonce[:]...)
}

// Request is a knock for a node without a connection: the state to keep, whose
// field Request is the text file that somebody carries to the sponsor. What was
// decided comes back with the registry, in a bundle. Its errors are refusals.
func (n *Newcomer) Request(i *Invitation) (*JoinState, error) {
	if err := i.Check(n.Candidate.Country, n.now()); err != nil {
		return nil, err
	}
	invitation, err := i.File()
	if err != nil {
		return nil, Refuse(NeedsFile, "")
	}
	hash, err := candidateHash(n.Candidate)
	if err != nil {
		return nil, err
	}
	plain, err := n.request(i)
	if err != nil {
		return nil, err
	}
	c := carried{Version: Version, Federation: i.Federation, Invitation: i.ID()}
	rand.Read(c.Nonce[:])
	if c.Sealed, err = i.Seal.Seal(plain, carriedInfo(c.Federation, c.Invitation, c.Nonce)); err != nil {
		return nil, err
	}
	b, err := identity.Marshal(c)
	if err != nil {
		return nil, err
	}
	return &JoinState{
		Country: i.Country, Federation: i.Federation, Name: i.Name, Sponsor: i.Sponsor, Demo: i.Demo,
		Invitation: invitation, Knocked: n.now().Unix(), Answer: Answer{Standing: Waiting},
		Request: pem.EncodeToMemory(&pem.Block{Type: pemRequest, Bytes: b}),
		Numbers: parties{federation: c.Federation, invitation: c.Invitation, candidate: hash, admin: i.Admin, seal: i.Seal, newcomer: c.Nonce}.carriedNumbers(),
	}, nil
}

func parseCarried(text []byte) (carried, error) {
	var c carried
	block, _ := pem.Decode(text)
	switch {
	case len(text) > 2*maxFile:
		return c, Refuse(NoRequest, fmt.Sprintf("it has more than %d KiB", 2*maxFile>>10))
	case bytes.Contains(text, []byte("-----BEGIN "+pemInvitation)):
		return c, Refuse(NoRequest, "it is the invitation itself")
	case block == nil || block.Type != pemRequest:
		return c, Refuse(NoRequest, "the file is cut short or of another kind")
	}
	if err := identity.Unmarshal(block.Bytes, &c); err != nil {
		return c, Refuse(NoRequest, "the file is damaged")
	}
	if c.Version != Version {
		return c, otherVersion("the request", c.Version)
	}
	return c, nil
}

// Carried takes in a request that came as a file. The same file may be brought
// again. It returns the knock that waits now, with its numbers, and what has
// become of it; a knock that has been proposed or admitted already holds no
// numbers. Its errors are refusals.
func (s *Server) Carried(ctx context.Context, text []byte) (Pending, Answer, error) {
	c, err := parseCarried(text)
	if err != nil {
		return Pending{}, Answer{}, err
	}
	state := s.Registry.State()
	if state == nil {
		return Pending{}, Answer{}, Refuse(NotReady, "it has no registry yet")
	}
	if c.Federation != state.Federation() {
		return Pending{}, Answer{}, Refuse(Foreign, "this node belongs to "+kindOf(state))
	}
	inv, ok := state.Invitation(c.Invitation)
	if !ok {
		return Pending{}, Answer{}, Refuse(Unknown, "")
	}
	if r := s.speaksFor(state, inv); r != nil {
		return Pending{}, Answer{}, r
	}
	plain, err := s.Seal.Open(c.Sealed, carriedInfo(c.Federation, c.Invitation, c.Nonce))
	if err != nil {
		return Pending{}, Answer{}, Refuse(NoRequest, "it is damaged, or not sealed to this node's country")
	}
	p, hash, err := s.judge(state, inv, plain)
	if err != nil {
		return Pending{}, Answer{}, err
	}
	key := p.Candidate.Nodes[0].Key
	if r := s.refuses(inv, key); r != nil {
		return Pending{}, Answer{}, r
	}
	if n, _, in := state.Node(key.NodeID()); !(in && n.Key == key) && proposed(state, inv.ID, key) == nil {
		p.Carried = true
		p.Numbers = parties{federation: c.Federation, invitation: c.Invitation, candidate: hash, admin: s.admin(state), seal: s.Seal.Public(), newcomer: c.Nonce}.carriedNumbers()
		if err := s.keep(p, key); err != nil {
			return Pending{}, Answer{}, err
		}
	}
	a, err := s.decide(ctx, inv.ID, key)
	return p, a, err
}
