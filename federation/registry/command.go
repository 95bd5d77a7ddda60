package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/2ps-project/waymark/federation/identity"
)

// Kind says what a command asks for.
type Kind string

// The kinds of this version. Each names whose signatures it needs.
const (
	// KindInvite lets one country knock once. Signed by one member.
	KindInvite Kind = "invite"
	// KindCancel withdraws an open invitation, or warns of one whose numbers
	// differed. Signed by its sponsor.
	KindCancel Kind = "cancel_invitation"
	// KindAdmit proposes a newcomer. Signed by the sponsor of its invitation.
	KindAdmit Kind = "admit"
	// KindApprove consents to a proposal. Signed by one or more members.
	KindApprove Kind = "approve"
	// KindObject speaks against a proposal, withdraws the member's own motion, or
	// stops a change of the member's keys that its admin key did not sign. Signed
	// by one member.
	KindObject Kind = "object"
	// KindNode states a member's nodes. Signed by that member.
	KindNode Kind = "node"
	// KindKeys changes a member's keys and epoch. Signed by that member; by its
	// recovery key or as many others as a ruling needs, it waits for RekeyWait.
	KindKeys Kind = "keys"
	// KindEvidence puts on record that a feed was signed in two ways. Signed by
	// any one member.
	KindEvidence Kind = "evidence"
	// KindRuling puts a ruling on record that has its signatures. Signed by any
	// one member.
	KindRuling Kind = "ruling"
	// KindCaretaker names a member's caretakers. Signed by that member.
	KindCaretaker Kind = "caretaker"
	// KindWithdraw ends a membership. Signed by that member.
	KindWithdraw Kind = "withdraw"
	// KindPolicy sets the policy. Signed by as many members as an admission by
	// the policy that still holds; it waits for those that are missing.
	KindPolicy Kind = "policy"
	// KindVocabulary changes taxonomies and the wording list. Signed like
	// KindPolicy.
	KindVocabulary Kind = "vocabulary"
	// KindActivate has a later version of the rules hold. Signed like KindPolicy.
	KindActivate Kind = "activate"
	// KindClock sets the registry's time back after a wrong clock has moved it
	// ahead. Signed like KindPolicy.
	KindClock Kind = "clock"
)

// Command is a change of the registry as its signers made it.
type Command struct {
	Version    uint64                `cbor:"1,keyasint"`
	Federation identity.FederationID `cbor:"2,keyasint"`
	Kind       Kind                  `cbor:"3,keyasint"`
	ID         ID                    `cbor:"4,keyasint"` // random; makes sending it twice harmless
	Base       uint64                `cbor:"5,keyasint"` // the last entry that its maker knew
	Payload    []byte                `cbor:"6,keyasint"`
	// Needs is the least version of the rules that understands the command (see
	// [Rules]); 0 means 1.
	Needs uint64 `cbor:"7,keyasint,omitempty"`
}

// Invite is the payload of [KindInvite].
type Invite struct {
	ID         ID       `cbor:"1,keyasint"` // of the invitation
	Country    string   `cbor:"2,keyasint"`
	SecretHash [32]byte `cbor:"3,keyasint"` // SHA-256 of the secret
	Expires    int64    `cbor:"4,keyasint"` // Unix seconds
}

// Cancel is the payload of [KindCancel].
type Cancel struct {
	Invitation ID `cbor:"1,keyasint"`
	// Differed says, instead of withdrawing the invitation, that the numbers of a
	// newcomer were compared and were not the same: every member hears of it.
	Differed bool `cbor:"2,keyasint,omitempty"`
}

// Admit is the payload of [KindAdmit]: the newcomer's own statement, an
// envelope of type statement that every one of its keys has signed.
type Admit struct {
	Statement []byte `cbor:"1,keyasint"`
}

// Statement is what a newcomer says of itself when it asks to be admitted.
type Statement struct {
	Version    uint64    `cbor:"1,keyasint"`
	Candidate  Candidate `cbor:"2,keyasint"`
	Invitation ID        `cbor:"3,keyasint"`
	Secret     []byte    `cbor:"4,keyasint"` // shows that the newcomer holds the invitation
}

// Approve is the payload of [KindApprove]: of an admission or a [Motion]. It
// names what is approved by its hash, so that an approval can never serve for
// something else.
type Approve struct {
	Proposal ID            `cbor:"1,keyasint"`
	Hash     identity.Hash `cbor:"2,keyasint"`
}

// Object is the payload of [KindObject].
type Object struct {
	Proposal ID            `cbor:"1,keyasint"`
	Hash     identity.Hash `cbor:"2,keyasint"`
	Reason   string        `cbor:"3,keyasint,omitempty"`
}

// Withdraw is the payload of [KindWithdraw].
type Withdraw struct {
	Origin identity.OriginID `cbor:"1,keyasint"`
}

// SetNodes is the payload of [KindNode]: an envelope of type statement over
// [Nodes], signed by every node key that is new.
type SetNodes struct {
	Statement []byte `cbor:"1,keyasint"`
}

// Nodes states all nodes of a member.
type Nodes struct {
	Origin identity.OriginID `cbor:"1,keyasint"`
	Nodes  []Machine         `cbor:"2,keyasint"`
	// Epoch is the member's next epoch when another node becomes the
	// publisher, else 0.
	Epoch uint64 `cbor:"3,keyasint,omitempty"`
}

// NewID draws a random id.
func NewID() ID {
	var id ID
	rand.Read(id[:])
	return id
}

// HashSecret is what the registry keeps of an invitation's secret.
func HashSecret(secret []byte) [32]byte { return sha256.Sum256(secret) }

// NewCommand makes and signs a command with a new id on the base of s.
func NewCommand(s *State, kind Kind, payload any, keys ...*identity.Key) (ID, []byte, error) {
	raw, err := identity.Marshal(payload)
	if err != nil {
		return ID{}, nil, fmt.Errorf("make a %s command: %w", kind, err)
	}
	c := Command{Version: Version, Federation: s.Federation(), Kind: kind, ID: NewID(), Base: s.Seq(), Payload: raw}
	b, err := c.Sign(keys...)
	return c.ID, b, err
}

// Sign is the command as a signed envelope.
func (c Command) Sign(keys ...*identity.Key) ([]byte, error) {
	body, err := identity.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("sign a %s command: %w", c.Kind, err)
	}
	b := identity.Sign(identity.TypeCommand, c.Federation, body, keys...).Encode()
	if len(b) > MaxCommand {
		return nil, fmt.Errorf("%w: a %s command of %d bytes, at most %d are allowed", ErrMalformed, c.Kind, len(b), MaxCommand)
	}
	return b, nil
}

// ParseCommand reads a command and its envelope. It checks form and limits,
// not signatures.
func ParseCommand(b []byte) (Command, *identity.Envelope, error) {
	if len(b) > MaxCommand {
		return Command{}, nil, fmt.Errorf("%w: a command of %d bytes, at most %d are allowed", ErrMalformed, len(b), MaxCommand)
	}
	e, err := identity.ParseEnvelope(b)
	if err != nil {
		return Command{}, nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	var c Command
	if err := identity.Unmarshal(e.Body, &c); err != nil {
		return Command{}, nil, fmt.Errorf("%w: command: %v", ErrMalformed, err)
	}
	if c.Version == 0 || c.ID == (ID{}) || !validCode(string(c.Kind), 1) {
		return Command{}, nil, fmt.Errorf("%w: a command without version, kind or id", ErrMalformed)
	}
	return c, e, nil
}

// HashCommand is how approvals name a proposal: the hash of the command's body.
func HashCommand(e *identity.Envelope) identity.Hash { return identity.Sum(domainCommand, e.Body) }

// SignStatement is a newcomer's statement, signed by all of its keys.
func SignStatement(f identity.FederationID, st Statement, keys Keys) ([]byte, error) {
	body, err := identity.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("sign a statement: %w", err)
	}
	return identity.Sign(identity.TypeStatement, f, body, keys.all()...).Encode(), nil
}

// ParseStatement reads a newcomer's statement and verifies that every key in it
// has signed.
func ParseStatement(f identity.FederationID, b []byte) (*Statement, error) {
	e, err := parseStatement(b)
	if err != nil {
		return nil, err
	}
	st := new(Statement)
	if err := identity.Unmarshal(e.Body, st); err != nil {
		return nil, fmt.Errorf("%w: statement: %v", ErrMalformed, err)
	}
	if st.Version == 0 || len(st.Secret) > 64 {
		return nil, fmt.Errorf("%w: a statement without version or with a secret that is too long", ErrMalformed)
	}
	if st.Version > Version {
		return nil, fmt.Errorf("%w: the newcomer's statement is of version %d, this program knows %d", ErrUnknownKind, st.Version, Version)
	}
	if err := st.Candidate.Check(); err != nil {
		return nil, err
	}
	if err := verifyAll(e, identity.TypeStatement, f, st.Candidate.keys()); err != nil {
		return nil, fmt.Errorf("the newcomer's keys: %w", err)
	}
	return st, nil
}

// SignNodes is a member's statement of its nodes, signed by the node keys that
// are new.
func SignNodes(f identity.FederationID, n Nodes, newKeys ...*identity.Key) ([]byte, error) {
	body, err := identity.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("sign a statement of nodes: %w", err)
	}
	return identity.Sign(identity.TypeStatement, f, body, newKeys...).Encode(), nil
}

func parseStatement(b []byte) (*identity.Envelope, error) {
	if len(b) > MaxCommand {
		return nil, fmt.Errorf("%w: a statement of %d bytes", ErrMalformed, len(b))
	}
	e, err := identity.ParseEnvelope(b)
	if err != nil {
		return nil, fmt.Errorf("%w: statement: %v", ErrMalformed, err)
	}
	return e, nil
}
