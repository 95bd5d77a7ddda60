package enroll

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Limits of an invitation.
const (
	maxFile     = 16 << 10
	maxContacts = 3
	secretSize  = 16
)

// Contact is a node that takes the knock.
type Contact struct {
	Endpoint string          `cbor:"1,keyasint"` // host:port
	Node     identity.NodeID `cbor:"2,keyasint"` // who must answer there
}

// Terms is what the sponsor signs: everything about an invitation but its
// secret, of which it holds the hash.
type Terms struct {
	Version    uint64                 `cbor:"1,keyasint"`
	Federation identity.FederationID  `cbor:"2,keyasint"`
	Name       string                 `cbor:"3,keyasint"` // of the federation
	Demo       bool                   `cbor:"4,keyasint"`
	Country    string                 `cbor:"5,keyasint"` // who is invited
	Sponsor    string                 `cbor:"6,keyasint"` // the country that invites
	Admin      identity.PublicKey     `cbor:"7,keyasint"` // the sponsor's admin key
	Seal       identity.SealPublicKey `cbor:"8,keyasint"` // to which the knock is sealed
	Contacts   []Contact              `cbor:"9,keyasint"` // 1 to 3
	SecretHash [32]byte               `cbor:"10,keyasint"`
	Expires    int64                  `cbor:"11,keyasint"` // Unix seconds
}

// Invitation lets one country knock, once. It holds a secret.
//
// One that was read from a code holds no more of its terms than Federation,
// Demo, Country, Expires and one contact, until the contact has completed it
// (see [Invitation.Complete]).
type Invitation struct {
	Terms
	Secret [secretSize]byte

	signed []byte  // the envelope of the terms; nil until complete
	digest [8]byte // of the terms' body
}

// file is an invitation as bytes.
type file struct {
	Terms  []byte `cbor:"1,keyasint"` // an envelope of type invitation
	Secret []byte `cbor:"2,keyasint"`
}

const pemInvitation = "WAYMARK INVITATION"

// Invite makes an invitation for a country and the command that announces it to
// the registry. It can be used once the command is in the registry. The
// contacts are nodes of the sponsor. It lasts as long as the policy says when
// life is 0, and never longer.
func Invite(s *registry.State, admin *identity.Key, country string, contacts []Contact, life time.Duration, now time.Time) (*Invitation, []byte, error) {
	var sponsor registry.Member
	for _, m := range s.Members() {
		if _, ok := m.Key(identity.RoleAdmin, admin.ID()); ok && m.Active() {
			sponsor = m
		}
	}
	if sponsor.Country == "" {
		return nil, nil, fmt.Errorf("invite %s: this node's admin key is not that of a member", country)
	}
	if !registry.ValidCountry(country) {
		return nil, nil, fmt.Errorf("invite: %q is not a country code of two capital letters, such as FI", country)
	}
	longest := time.Duration(s.Policy().InvitationDays) * 24 * time.Hour
	if life == 0 {
		life = longest
	}
	if life < time.Second || life > longest {
		return nil, nil, fmt.Errorf("invite %s: an invitation lasts from a second to %d days", country, s.Policy().InvitationDays)
	}
	i := &Invitation{Terms: Terms{
		Version: Version, Federation: s.Federation(), Name: s.Name(), Demo: s.Demo(),
		Country: country, Sponsor: sponsor.Country, Admin: admin.Public(), Seal: sponsor.Seal,
		Contacts: contacts[:min(len(contacts), maxContacts)],
		Expires:  now.Add(life).Unix(),
	}}
	rand.Read(i.Secret[:])
	i.SecretHash = registry.HashSecret(i.Secret[:])
	if err := i.Terms.check(); err != nil {
		return nil, nil, fmt.Errorf("invite %s: %w", country, err)
	}
	body, err := identity.Marshal(i.Terms)
	if err != nil {
		return nil, nil, fmt.Errorf("invite %s: %w", country, err)
	}
	i.signed = identity.Sign(identity.TypeInvitation, i.Federation, body, admin).Encode()
	i.digest = digest(body)
	_, command, err := registry.NewCommand(s, registry.KindInvite, registry.Invite{
		ID: i.ID(), Country: country, SecretHash: i.SecretHash, Expires: i.Expires,
	}, admin)
	if err != nil {
		return nil, nil, fmt.Errorf("invite %s: %w", country, err)
	}
	return i, command, nil
}

// ID is the invitation's name in the registry. It follows from the secret and
// does not tell it.
func (i *Invitation) ID() registry.ID {
	sum := identity.Sum(domainInvitation, i.Federation[:], i.Secret[:])
	return registry.ID(sum[:16])
}

// String names the invitation without its secret.
func (i *Invitation) String() string { return fmt.Sprintf("invitation for %s", i.Country) }

// GoString names the invitation without its secret.
func (i *Invitation) GoString() string { return i.String() }

func digest(body []byte) [8]byte {
	sum := sha256.Sum256(body)
	return [8]byte(sum[:8])
}

// Signed is the sponsor's envelope of the terms, without the secret; nil while
// the invitation is not complete. The sponsor's node keeps it for those who
// come with the code.
func (i *Invitation) Signed() []byte { return slices.Clone(i.signed) }

// IsComplete reports whether all terms are known.
func (i *Invitation) IsComplete() bool { return i.signed != nil }

// File is the invitation as a text file.
func (i *Invitation) File() ([]byte, error) {
	if !i.IsComplete() {
		return nil, errors.New("write an invitation: only its code is known")
	}
	b, err := identity.Marshal(file{i.signed, i.Secret[:]})
	if err != nil {
		return nil, fmt.Errorf("write an invitation: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemInvitation, Bytes: b}), nil
}

// Parse reads an invitation in either form: the content of the file, or the
// code. Its errors are refusals in words for the person who joins.
func Parse(text string) (*Invitation, error) {
	if len(text) > maxFile {
		return nil, Refuse(NoInvitation, fmt.Sprintf("it has more than %d KiB", maxFile>>10))
	}
	if !bytes.Contains([]byte(text), []byte("-----BEGIN")) {
		return parseCode(text)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != pemInvitation {
		return nil, Refuse(NoInvitation, "the file is cut short or of another kind")
	}
	var f file
	if err := identity.Unmarshal(block.Bytes, &f); err != nil || len(f.Secret) != secretSize {
		return nil, Refuse(NoInvitation, "the file is damaged")
	}
	i := &Invitation{Secret: [secretSize]byte(f.Secret)}
	if err := i.adopt(f.Terms); err != nil {
		return nil, err
	}
	return i, nil
}

// adopt takes signed terms in, which must be made for this secret.
func (i *Invitation) adopt(signed []byte) error {
	e, err := identity.ParseEnvelope(signed)
	if err != nil {
		return Refuse(NoInvitation, "the file is damaged")
	}
	var t Terms
	if err := identity.Unmarshal(e.Body, &t); err != nil {
		return Refuse(NoInvitation, "the file is damaged")
	}
	if t.Version > Version {
		return otherVersion("the invitation", t.Version)
	}
	if err := t.check(); err != nil {
		return Refuse(NoInvitation, err.Error())
	}
	_, err = e.Verify(identity.TypeInvitation, t.Federation, func(id identity.KeyID) (identity.PublicKey, bool) {
		return t.Admin, id == t.Admin.ID()
	})
	if err != nil {
		return Refuse(NoInvitation, "its signature is not good, so somebody or something has changed it")
	}
	if hash := registry.HashSecret(i.Secret[:]); subtle.ConstantTimeCompare(hash[:], t.SecretHash[:]) != 1 {
		return Refuse(WrongSecret, "")
	}
	i.Terms, i.signed, i.digest = t, slices.Clone(signed), digest(e.Body)
	return nil
}

// Complete adds to an invitation read from a code the terms that its contact
// holds. They must be the very ones that the code was made of.
func (i *Invitation) Complete(signed []byte) error {
	e, err := identity.ParseEnvelope(signed)
	if err != nil || digest(e.Body) != i.digest {
		return Refuse(Foreign, "the node that answers has other terms than the code")
	}
	n := &Invitation{Secret: i.Secret}
	if err := n.adopt(signed); err != nil {
		return err
	}
	if n.Federation != i.Federation || n.Country != i.Country || n.Demo != i.Demo || n.Expires != i.Expires {
		return Refuse(Foreign, "the node that answers has other terms than the code")
	}
	*i = *n
	return nil
}

// Check tells whether the invitation can be used by a country now, as far as
// that can be told from itself.
func (i *Invitation) Check(country string, now time.Time) error {
	if i.Country != country {
		return Refuse(WrongCountry, fmt.Sprintf("it invites %s, and this node is for %s", i.Country, country))
	}
	if now.Unix() > i.Expires {
		return Refuse(Expired, time.Unix(i.Expires, 0).UTC().Format("2 January 2006, 15:04 UTC"))
	}
	return nil
}

func (t *Terms) check() error {
	switch {
	case t.Version == 0, t.Federation.IsZero(), t.Admin.IsZero(), t.Seal == identity.SealPublicKey{}:
		return errors.New("something is missing in it")
	case !registry.ValidCountry(t.Country), !registry.ValidCountry(t.Sponsor):
		return errors.New("it names no country")
	case len(t.Name) > registry.MaxText:
		return errors.New("the federation's name is too long")
	case len(t.Contacts) == 0 || len(t.Contacts) > maxContacts:
		return fmt.Errorf("it names %d nodes to contact, 1 to %d are needed", len(t.Contacts), maxContacts)
	}
	for _, c := range t.Contacts {
		if _, err := registry.ParseEndpoint(c.Endpoint); err != nil || c.Node.IsZero() {
			return errors.New("a node to contact has no usable address")
		}
	}
	return nil
}
