// Package enroll turns invitations into members: an invitation lets one country
// knock, both sides compare three numbers, and those who are members decide.
//
// An invitation gives no right to anything but to ask. What admits is a command
// in the registry, signed by those whose consent it needs. DESIGN.md has the
// protocol.
package enroll

import (
	"errors"
	"fmt"
	"strings"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Protocol is the ALPN name under which a node that nobody knows may knock.
const Protocol = "waymark-join/1"

// Version of invitations and of the knock.
const Version = 1

// Code names a reason for which a join stops. Codes are stable; scripts may
// rely on them.
type Code string

// The reasons.
const (
	Typo         Code = "typo"
	NoInvitation Code = "no_invitation"
	Unknown      Code = "unknown_invitation"
	Expired      Code = "expired"
	Used         Code = "used"
	Cancelled    Code = "cancelled"
	Foreign      Code = "foreign"
	WrongCountry Code = "wrong_country"
	WrongSecret  Code = "wrong_secret"
	CountryTaken Code = "country_taken"
	KeyTaken     Code = "key_taken"
	Clock        Code = "clock"
	Unreachable  Code = "unreachable"
	NotSponsor   Code = "not_sponsor"
	TooOld       Code = "version"
	TooMany      Code = "too_many"
	Malformed    Code = "malformed"
	Numbers      Code = "numbers"
	NotReady     Code = "not_ready"
	WrongNode    Code = "wrong_node"
	Suspended    Code = "sponsor_suspended"
	Lapsed       Code = "vote_lapsed"
	Late         Code = "numbers_late"
	NoRequest    Code = "no_request"
	NeedsFile    Code = "needs_file"
	NoAdminKey   Code = "no_admin_key"
	NoTicket     Code = "no_ticket"
	NoMachine    Code = "no_machine_request"
	OtherSheet   Code = "other_sheet"
	OtherKey     Code = "other_key"
	OldTicket    Code = "old_ticket"
)

// Refusal is a join that stopped: what happened and why, and what to do next,
// in words for the person who joins. Refusals of one code are the same error:
// errors.Is(err, &Refusal{Code: Expired}).
type Refusal struct {
	Code Code   `cbor:"1,keyasint"`
	Text string `cbor:"2,keyasint"`
	Next string `cbor:"3,keyasint"`
}

// Error is both sentences.
func (r *Refusal) Error() string { return r.Text + " " + r.Next }

// Is compares codes.
func (r *Refusal) Is(target error) bool {
	o, ok := target.(*Refusal)
	return ok && o.Code == r.Code
}

// sentences are what is said for each code. A %s in the first takes the detail.
var sentences = map[Code][2]string{
	Typo:         {"The code cannot be read: %s.", "Compare that group with the sheet and give the code again."},
	NoInvitation: {"This is no invitation: %s.", "Give the invitation file, or the code in groups of five, as it was sent to you."},
	Unknown:      {"The other side knows no such invitation.", "Ask the country that invited you whether it is the newest one, or for a new one."},
	Expired:      {"The invitation expired on %s.", "Ask the country that invited you for a new one; that takes a minute."},
	Used:         {"The invitation has already been used: each works once.", "If it was not you who used it, telephone the country that invited you now. Else ask for a new one."},
	Cancelled:    {"The country that gave the invitation out has cancelled it.", "Telephone it, and ask for a new one."},
	Foreign:      {"The invitation is for another federation: %s.", "Check that you have the right invitation, and that a demonstration and a real federation are not mixed up."},
	WrongCountry: {"The invitation is for another country: %s.", "Use the invitation for your country, or set up this node for the country that was invited."},
	WrongSecret:  {"The secret in the invitation is not right.", "Give the invitation again exactly as it was sent to you; if that does not help, ask for a new one."},
	CountryTaken: {"The country is already a member: %s.", "If you run a further node for it, ask its administrator to add the node; nobody needs to be invited."},
	KeyTaken:     {"A key of this node belongs to another member already.", "Set up this node anew with waymark init in an empty directory: keys are never copied between nodes."},
	Clock:        {"The clocks differ too much: %s.", "Set the clock of this machine, best by switching on network time, and try again."},
	Unreachable:  {"None of the nodes that the invitation names could be reached: %s.", "Check this machine's connection, its name service, and whether the firewall lets it call out to these addresses; then try again. If there is no way out, carry the request on a stick: waymark join FILE --request OUT"},
	NotSponsor:   {"That node is not of the country that invited you: %s.", "Ask that country which of its nodes is running, or for a new invitation."},
	TooOld:       {"The two sides run versions of waymark that do not understand each other: %s.", "Install the newer version on the side that is older, and try again."},
	TooMany:      {"There were too many attempts with this invitation.", "Wait an hour and try again. If it was not you, telephone the country that invited you."},
	Malformed:    {"The other side could not make sense of what was sent: %s.", "Check that both sides run the same version of waymark, and try again."},
	Numbers:      {"The numbers are not the same: somebody may stand between the two nodes. The request was dropped, and nobody was admitted.", "Read them out once more, by telephone, on a number that both had before. If they still differ, cancel the invitation and start again over another connection; else the newcomer gives waymark join again, which makes new numbers."},
	NotReady:     {"The other side cannot decide at present: %s.", "Nothing is lost. Try again in a few minutes."},
	WrongNode:    {"Another node than the one that the invitation names answered: %s.", "Do not go on over this connection: a proxy or firewall that opens encrypted connections looks like this too. Ask the country that invited you for its present address, or carry the request on a stick: waymark join FILE --request OUT"},
	Suspended:    {"The country that invited you is suspended: %s. Its invitations admit nobody meanwhile.", "Wait until the members have lifted that, or ask another member country for an invitation."},
	Lapsed:       {"The vote on this request ended on %s without enough approvals.", "Ask the country that invited you why, and for a new invitation."},
	Late:         {"The numbers are older than %s, so they no longer count, and nobody was admitted.", "The newcomer gives waymark join again with the same invitation: both sides get new numbers. Then compare those."},
	NoRequest:    {"This is no request to join: %s.", "Give the file that waymark join INVITATION --request has written."},
	NoTicket:     {"This is no ticket for a machine: %s.", "Give the file that waymark node ticket has written."},
	NoMachine:    {"This is no request of a machine: %s.", "Give the file machine.request of the new machine's directory."},
	OtherSheet:   {"This sheet is not a valid one of %s.", "A newer sheet makes an older one worthless. Without any sheet the other countries can replace the keys together: waymark init --ticket TICKET --by-vote"},
	OtherKey:     {"This key is not an admin key of %s that is in use.", "Take the newest copy of keys/admin.key; else the recovery sheet, or waymark init --ticket TICKET --by-vote"},
	OldTicket:    {"The ticket is out of date: %s.", "Have a new one made, with waymark node ticket, and make the machine again from it in an empty directory."},
	NoAdminKey:   {"The admin key, which signs an admission, is not on this machine.", "Put it in place, or approve on the machine that has it."},
	NeedsFile:    {"A request without a connection needs the invitation file; the code holds only a part of it.", "Have the file brought along: it is named when the invitation is made, and by waymark invite -o json."},
}

// Refuse makes a refusal; the detail completes its first sentence where that
// has room for one.
func Refuse(code Code, detail string) *Refusal {
	s, ok := sentences[code]
	if !ok {
		return &Refusal{code, "The other side refused: " + detail + ".", "Ask the country that invited you."}
	}
	text := s[0]
	if strings.Contains(text, "%s") {
		text = fmt.Sprintf(text, detail)
	}
	return &Refusal{code, text, s[1]}
}

// otherVersion refuses what another version of the program has made, and says on
// which side to install a newer one. What is like "the ticket".
func otherVersion(what string, version uint64) *Refusal {
	r := Refuse(TooOld, fmt.Sprintf("%s is of version %d, this program knows version %d", what, version, Version))
	r.Next = "Here is the older program: install the newest waymark on this machine, and try again. Nothing that it has stored is lost."
	if version < Version {
		r.Next = "The other side has the older program: have the newest waymark installed there, and " + strings.TrimPrefix(what, "the ") + " made anew."
	}
	return r
}

// otherKnock refuses a newcomer that speaks another version of the knock; it is
// the newcomer's administrator who reads this.
func otherKnock(version uint64) *Refusal {
	r := Refuse(TooOld, fmt.Sprintf("this newcomer speaks version %d of the knock, the node of the country that invites version %d", version, Version))
	r.Next = "Your program is the older one: install the newest waymark on this machine, and try again with the same invitation."
	if version > Version {
		r.Next = "The country that invited you has the older program: ask it to install the newest waymark on its node. Your invitation stays good until it expires."
	}
	return r
}

// explain turns what the registry says into a refusal, or nil when it is not
// the registry's judgement.
func explain(err error, country string) *Refusal {
	for _, c := range []struct {
		err  error
		code Code
	}{
		{registry.ErrNoInvitation, Unknown},
		{registry.ErrInvitationExpired, Expired},
		{registry.ErrInvitationUsed, Used},
		{registry.ErrInvitationCancelled, Cancelled},
		{registry.ErrForeign, Foreign},
		{registry.ErrWrongCountry, WrongCountry},
		{registry.ErrWrongSecret, WrongSecret},
		{registry.ErrCountryTaken, CountryTaken},
		{registry.ErrVoteOver, Lapsed},
		{registry.ErrConflict, KeyTaken},
		{registry.ErrUnknownKind, TooOld},
		{consensus.ErrNoQuorum, NotReady},
		{consensus.ErrOutcomeUnknown, NotReady},
		{registry.ErrMalformed, Malformed},
		{registry.ErrUnauthorised, Malformed},
	} {
		if errors.Is(err, c.err) {
			detail := country
			switch c.code {
			case NotReady, TooOld, Malformed, Foreign, WrongCountry:
				detail = c.err.Error()
			case Expired, Lapsed:
				detail = "the date it names"
			}
			return Refuse(c.code, detail)
		}
	}
	return nil
}

// NewCandidate describes a member with one node, which publishes.
func NewCandidate(country, operator, operatorType string, origin identity.OriginID, keys registry.Keys, seal *identity.SealKey, endpoints []string, voter bool) (registry.Candidate, error) {
	admin := keys.Admin.ID()
	c := registry.Candidate{
		Country: country, Operator: operator, OperatorType: operatorType, Origin: origin,
		Admin: keys.Admin.Public(), Publish: keys.Publish.Public(), Seal: seal.Public(),
		Nodes: []registry.Machine{{Key: keys.Node.Public(), Publisher: true, Voter: voter, Admin: &admin}},
	}
	for _, s := range endpoints {
		e, err := registry.ParseEndpoint(s)
		if err != nil {
			return registry.Candidate{}, err
		}
		c.Nodes[0].Endpoints = append(c.Nodes[0].Endpoints, e)
	}
	return c, c.Check()
}
