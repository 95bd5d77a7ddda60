// Package registry is what the countries of a federation agree on, as a pure
// state machine: the same entries give the same bytes on every node.
//
// It knows no network, no clock and no disk. A [State] is a value that never
// changes; [State.Apply] verifies one entry against it and returns the next.
// DESIGN.md has the rules and their reasons.
package registry

import (
	"errors"
	"fmt"

	"github.com/2ps-project/waymark/federation/identity"
)

// Version is the version of the forms of what is signed: commands, statements,
// rulings. One of a higher version cannot be read; see [ErrUnknownKind].
const Version = 1

// Rules is the version of the registry's rules that this program knows: which
// kinds of commands there are and what they do. A federation begins with the
// version of the program that founds it and goes over to a later one by
// [KindActivate]. A command may name a higher one as the least it needs.
const Rules = 2

// Domain bytes of the registry's hashes (see [identity.Sum]).
const (
	domainEntry    = 0x30 // chain: previous hash, entry
	domainCommand  = 0x31 // a command's body, as approvals name it
	domainRuling   = 0x32 // a ruling's body
	domainRecover  = 0x33 // a recovery's body
	domainPolicy   = 0x34 // a policy, as its next one names it
	domainTaxonomy = 0x35 // a taxonomy, as a change of it names it
	domainWording  = 0x36 // a wording list, as a change of it names it
)

// Errors of the registry. Everything that Apply refuses wraps one of them, and
// the same entry is refused with the same one on every node.
var (
	// ErrMalformed: the bytes are not what they should be, or pass a limit.
	ErrMalformed = errors.New("not a well-formed registry entry")
	// ErrForeign: made for another federation.
	ErrForeign = errors.New("made for another federation")
	// ErrUnknownKind: this program is too old to judge the command. Following
	// stops before it; reading and publishing go on.
	ErrUnknownKind = errors.New("a newer version of waymark is needed to follow the registry from here")
	// ErrSeen: the command's id has been used; see [State.Seen] for where.
	ErrSeen = errors.New("this command is already in the registry")
	// ErrStale: the command was made too long ago, or claims a future.
	ErrStale = errors.New("the command was made for a registry of another time")
	// ErrUnauthorised: the signatures do not give the right to this.
	ErrUnauthorised = errors.New("the signatures do not allow this")
	// ErrConflict: what the command asks for contradicts the registry.
	ErrConflict = errors.New("this contradicts the registry")
	// ErrNoInvitation: no invitation of that id was ever given out.
	ErrNoInvitation = errors.New("no such invitation")
	// ErrInvitationExpired: the invitation's time is over.
	ErrInvitationExpired = errors.New("the invitation has expired")
	// ErrInvitationUsed: somebody has knocked with this invitation before.
	ErrInvitationUsed = errors.New("the invitation has already been used")
	// ErrInvitationCancelled: the sponsor has withdrawn the invitation.
	ErrInvitationCancelled = errors.New("the invitation has been cancelled")
	// ErrWrongCountry: the invitation is for another country.
	ErrWrongCountry = errors.New("the invitation is for another country")
	// ErrWrongSecret: the secret is not the invitation's.
	ErrWrongSecret = errors.New("the invitation's secret is not right")
	// ErrCountryTaken: the country is a member already.
	ErrCountryTaken = errors.New("the country is already a member")
	// ErrNoProposal: nothing of that id waits for approval.
	ErrNoProposal = errors.New("no such proposal is waiting")
	// ErrVoteOver: the time to approve has passed.
	ErrVoteOver = errors.New("the vote has lapsed")
	// ErrChain: the entry does not follow the last one.
	ErrChain = errors.New("the entry does not continue the registry")
)

// Limits. They hold for every node alike, so changing one is a new version of
// the [Rules].
const (
	MaxCommand   = 64 << 10        // bytes of an encoded command envelope
	MaxEntry     = MaxCommand + 64 // bytes of an encoded entry
	MaxText      = 200             // bytes of a name
	MaxReason    = 1000            // bytes of a reason
	MaxNodes     = 8               // nodes of one member
	MaxEndpoints = 4               // endpoints of one node
	MaxKeys      = 32              // keys of one member, out of use ones included
	MaxAdminKeys = 4               // admin keys of one member in use, and recovery keys
	MaxRulings   = 16384           // rulings on record
	MaxOpen      = 64              // open invitations of one member, and proposals waiting at once
	MaxMotions   = 8               // motions of one member that wait at once

	window = 10_000 // entries for which command ids are remembered and bases accepted
)

// ID names a command, and with it an invitation or a proposal.
type ID [16]byte

// String is the id in lower-case hexadecimal.
func (id ID) String() string { return fmt.Sprintf("%x", id[:]) }

// MarshalText makes ids appear as hexadecimal in JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// Entry is one step of the registry: a command and when it was accepted.
type Entry struct {
	// Time is the leader's clock in Unix seconds, never earlier than the entry
	// before. Only expiries are judged by it.
	Time int64 `cbor:"1,keyasint"`
	// Command is a signed envelope, of type command; in the first entry, of
	// type genesis.
	Command []byte `cbor:"2,keyasint"`
}

// Encode is the entry as bytes.
func (e Entry) Encode() []byte {
	b, err := identity.Marshal(e)
	if err != nil { // the type holds nothing that cannot be encoded
		panic(err)
	}
	return b
}

// ParseEntry reads what Encode writes and nothing else: an entry has exactly
// one encoding, so that its hash is the same wherever it is computed.
func ParseEntry(b []byte) (Entry, error) {
	if len(b) > MaxEntry {
		return Entry{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrMalformed, len(b), MaxEntry)
	}
	var e Entry
	if err := identity.Unmarshal(b, &e); err != nil {
		return Entry{}, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if string(e.Encode()) != string(b) {
		return Entry{}, fmt.Errorf("%w: an entry in another encoding than the one agreed", ErrMalformed)
	}
	return e, nil
}

// chain is the registry's hash after an entry.
func chain(prev identity.Hash, entry []byte) identity.Hash {
	return identity.Sum(domainEntry, prev[:], entry)
}
