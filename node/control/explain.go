package control

import (
	"context"
	"errors"
	"syscall"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/store"
)

// explained is the table that turns the kinds of errors of this house into
// words for the administrator. The first that fits decides; an [*Error] brings
// its own words and is not looked up.
var explained = []struct {
	kind error
	Error
}{
	{registry.ErrInvitationExpired, Error{Class: Refused, Code: "invitation_expired", Message: "The invitation has expired.", Next: "Ask the country that invited you for a new one."}},
	{registry.ErrInvitationUsed, Error{Class: Refused, Code: "invitation_used", Message: "The invitation has been used already; each one lets one country knock once.", Next: "If it was not you who used it, tell the country that invited you at once. Otherwise ask it for a new one."}},
	{registry.ErrInvitationCancelled, Error{Class: Refused, Code: "invitation_cancelled", Message: "The invitation has been cancelled by the country that made it.", Next: "Ask that country why, and for a new one."}},
	{registry.ErrNoInvitation, Error{Class: Refused, Code: "invitation_unknown", Message: "No such invitation was ever made in this federation.", Next: "Check that it is the right one and whole; else ask the country that invited you for a new one."}},
	{registry.ErrWrongSecret, Error{Class: Refused, Code: "invitation_wrong", Message: "The secret of the invitation is not right; it was changed on its way.", Next: "Ask the country that invited you to send it again, on another way."}},
	{registry.ErrWrongCountry, Error{Class: Refused, Code: "invitation_other_country", Message: "The invitation is for another country than this node's.", Next: "Ask for an invitation for this country, or make a node for the other one."}},
	{registry.ErrCountryTaken, Error{Class: Refused, Code: "country_taken", Message: "This country is a member already.", Next: "See: waymark country list"}},
	{registry.ErrForeign, Error{Class: Refused, Code: "other_federation", Message: "This was made for another federation.", Next: "Use an invitation of the federation that this node belongs to or is to join."}},
	{registry.ErrNoProposal, Error{Class: Usage, Code: "nothing_pending", Message: "This country has not knocked.", Next: "See: waymark country pending"}},
	{registry.ErrVoteOver, Error{Class: Refused, Code: "vote_over", Message: "The time to approve has passed.", Next: "The sponsor can invite the country again."}},
	{registry.ErrUnknownKind, Error{Class: Degraded, Code: "too_old", Message: "The registry goes on in a way that this version does not know. Readers are served.", Next: "Install a newer version of waymark."}},
	{registry.ErrUnauthorised, Error{Class: Refused, Code: "not_authorised", Message: "The signatures do not allow this.", Next: "Check with waymark key show that these are the keys of this country."}},
	{registry.ErrConflict, Error{Class: Refused, Code: "conflict", Message: "This contradicts the registry.", Next: "Look at how things stand with: waymark country list"}},
	{consensus.ErrNoQuorum, Error{Class: Degraded, Code: "no_quorum", Message: "The countries that keep the registry cannot agree at present, so nothing was changed. Search and publishing go on.", Next: "Try again later; waymark status tells which of them are away."}},
	{consensus.ErrOutcomeUnknown, Error{Class: Degraded, Code: "outcome_unknown", Message: "The change was handed over, and it is not known yet whether it was made.", Next: "Look at how things stand with waymark country list, and do it again if it was not made: that is safe."}},
	{consensus.ErrSplit, Error{Class: Degraded, Code: "registry_split", Message: "Two registries of this federation exist. This node follows neither any further; readers are served.", Next: "Telephone the other administrators: this needs people to agree."}},
	{consensus.ErrStorage, Error{Class: Failed, Code: "registry_storage", Message: "The registry cannot be written here.", Next: "Look at the disk: its space, its health, who owns the node's directory."}},
	{store.ErrInUse, Error{Class: Failed, Code: "in_use", Message: "Another process has the node's data open.", Next: "Use the commands of the running node, or stop it first."}},
	{store.ErrNewer, Error{Class: Failed, Code: "data_newer", Message: "The node's data was written by a newer version of this program.", Next: "Install that version again; data does not go back."}},
	{store.ErrDamaged, Error{Class: Failed, Code: "data_damaged", Message: "The node's data is damaged.", Next: "Keep a copy of the directory, then restore the node from its backup."}},
	{store.ErrNoRoom, Error{Class: Degraded, Code: "disk_full", Message: "The disk is nearly full, so nothing more is written. Readers are served.", Next: "Make room on the disk, or lower store.free_space_floor in the configuration."}},
	{syscall.ENOSPC, Error{Class: Failed, Code: "disk_full", Message: "The disk is full.", Next: "Make room on it and try again."}},
	{syscall.EADDRINUSE, Error{Class: Failed, Code: "address_in_use", Message: "Another program uses an address of this node.", Next: "Stop it, or give the node another address in its configuration."}},
	{context.Canceled, Error{Class: Failed, Code: "stopped", Message: "It was stopped before it was done.", Next: "Look at the node's status and do it again if it was not done."}},
	{context.DeadlineExceeded, Error{Class: Failed, Code: "too_slow", Message: "It took too long and was given up.", Next: "Look at the node's status and try again."}},
}

// Explain finds the words for an error, on both sides of the socket: an
// [*Error] in its chain, or its kind with the particular error as the detail.
// It returns nil for an error of no known kind.
func Explain(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	for _, x := range explained {
		if errors.Is(err, x.kind) {
			e := x.Error
			if text := err.Error(); text != x.kind.Error() {
				e.Detail = text
			}
			return &e
		}
	}
	return nil
}
