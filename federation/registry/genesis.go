package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// Genesis is how a federation begins: its first entry's body.
type Genesis struct {
	Version uint64    `cbor:"1,keyasint"`
	Random  [32]byte  `cbor:"2,keyasint"` // so that no two federations share an id
	Name    string    `cbor:"3,keyasint"`
	Demo    bool      `cbor:"4,keyasint"` // a demonstration; never exchanges anything with a real federation
	Founded int64     `cbor:"5,keyasint"` // Unix seconds
	Founder Candidate `cbor:"6,keyasint"`
	// Rules is the version of the rules that holds from the beginning (see
	// [Rules]); 0 means 1.
	Rules uint64 `cbor:"7,keyasint,omitempty"`
}

// Keys are the private keys of a member's first node.
type Keys struct {
	Admin, Publish, Node *identity.Key
}

// all are the keys that must sign for a candidate.
func (k Keys) all() []*identity.Key { return []*identity.Key{k.Admin, k.Publish, k.Node} }

// Found makes the first entry of a new federation and the state after it.
func Found(name string, demo bool, founder Candidate, keys Keys, now time.Time) (Entry, *State, error) {
	g := Genesis{Version: Version, Name: name, Demo: demo, Founded: now.Unix(), Founder: founder, Rules: Rules}
	rand.Read(g.Random[:])
	return g.Sign(keys)
}

// Sign makes the first entry of the federation that g describes, and the state
// after it.
func (g Genesis) Sign(keys Keys) (Entry, *State, error) {
	body, err := identity.Marshal(g)
	if err != nil {
		return Entry{}, nil, fmt.Errorf("found a federation: %w", err)
	}
	envelope := identity.Sign(identity.TypeGenesis, federationOf(body), body, keys.all()...)
	e := Entry{Time: g.Founded, Command: envelope.Encode()}
	s, err := Begin(e)
	if err != nil {
		return Entry{}, nil, fmt.Errorf("found a federation: %w", err)
	}
	return e, s, nil
}

// federationOf is the id of the federation that a genesis body founds.
func federationOf(body []byte) identity.FederationID {
	sum := sha256.Sum256(body)
	return identity.FederationID(sum[:16])
}

// Begin verifies a federation's first entry and returns the state after it.
// Whether it is the federation one wants is told by [State.Federation].
func Begin(e Entry) (*State, error) {
	if len(e.Command) > MaxCommand {
		return nil, fmt.Errorf("%w: a genesis of %d bytes", ErrMalformed, len(e.Command))
	}
	envelope, err := identity.ParseEnvelope(e.Command)
	if err != nil {
		return nil, fmt.Errorf("%w: genesis: %v", ErrMalformed, err)
	}
	g := new(Genesis)
	if err := identity.Unmarshal(envelope.Body, g); err != nil {
		return nil, fmt.Errorf("%w: genesis: %v", ErrMalformed, err)
	}
	if g.Version > Version || g.Rules > Rules {
		return nil, fmt.Errorf("%w: the federation was founded in form %d under version %d of the rules, this program knows form %d and version %d", ErrUnknownKind, g.Version, g.Rules, Version, Rules)
	}
	if g.Version == 0 || g.Founded < 0 || e.Time != g.Founded {
		return nil, fmt.Errorf("%w: a genesis without version, or with two times", ErrMalformed)
	}
	if err := checkText("the federation's name", g.Name, MaxText); err != nil {
		return nil, err
	}
	if err := g.Founder.Check(); err != nil {
		return nil, fmt.Errorf("founder: %w", err)
	}
	federation := federationOf(envelope.Body)
	if err := verifyAll(envelope, identity.TypeGenesis, federation, g.Founder.keys()); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	s := &State{
		federation: federation,
		name:       g.Name,
		demo:       g.Demo,
		founder:    g.Founder.Origin,
		roots:      g.Founder.roots(),
		seq:        1,
		hash:       chain(identity.Hash{}, e.Encode()),
		time:       e.Time,
		members:    []Member{g.Founder.member(1)},
		policy:     DefaultPolicy(),
		rules:      max(g.Rules, 1),
		founded:    g.Founded,
	}
	return s, nil
}

// verifyAll checks that the envelope is signed by exactly the given keys.
func verifyAll(e *identity.Envelope, t identity.Type, f identity.FederationID, keys []identity.PublicKey) error {
	byID := make(map[identity.KeyID]identity.PublicKey, len(keys))
	for _, k := range keys {
		byID[k.ID()] = k
	}
	signers, err := e.Verify(t, f, func(id identity.KeyID) (identity.PublicKey, bool) {
		k, ok := byID[id]
		return k, ok
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnauthorised, err)
	}
	if len(signers) != len(byID) {
		return fmt.Errorf("%w: %d of %d keys have signed", ErrUnauthorised, len(signers), len(byID))
	}
	return nil
}
