package control

import (
	"context"
	"errors"
	"syscall"

	"github.com/2ps-project/waymark/federation/bundle"
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
	{bundle.ErrNotBundle, Error{Class: Usage, Code: "not_a_bundle", Message: "This file is not a bundle.", Next: "Give the file that waymark bundle export has written."}},
	{bundle.ErrVersion, Error{Class: Failed, Code: "bundle_newer", Message: "The bundle was written by a newer version of waymark, in a form that this one does not know.", Next: "Install a newer version of waymark, or have the bundle made with this one."}},
	{bundle.ErrTruncated, Error{Class: Failed, Code: "bundle_cut_off", Message: "The bundle ends too early: a part of the file is missing, so nothing of it was taken.", Next: "Copy the file again and compare its size with the original's."}},
	{bundle.ErrDamaged, Error{Class: Failed, Code: "bundle_damaged", Message: "The bundle was changed on its way: its content is not what its maker signed. Nothing of it was taken.", Next: "Copy the file again, or ask its maker for a new one."}},
	{bundle.ErrPart, Error{Class: Refused, Code: "bundle_parts", Message: "A part of the bundle is not the one that its table of contents names. Nothing of it was taken.", Next: "Do not use this file. Ask its maker for a new one, on another way."}},
	{bundle.ErrBomb, Error{Class: Refused, Code: "bundle_bomb", Message: "The bundle unpacks to far more than real records ever do; it was made to fill the disk or the memory. Nothing of it was taken.", Next: "Do not use this file, and tell the country that it is said to come from."}},
	{bundle.ErrTooLarge, Error{Class: Refused, Code: "bundle_too_large", Message: "The bundle holds more than the limits allow. Nothing of it was taken.", Next: "Have it made for fewer countries, with --countries."}},
	{bundle.ErrForeign, Error{Class: Refused, Code: "bundle_foreign", Message: "The bundle belongs to another federation.", Next: "Ask for a bundle of the federation that this node belongs to, or is to belong to."}},
	{bundle.ErrDemo, Error{Class: Refused, Code: "bundle_demo", Message: "One of the two is a demonstration and the other is real: they never exchange anything.", Next: "Make a node of its own for the demonstration, with waymark demo."}},
	{bundle.ErrWhich, Error{Class: Usage, Code: "bundle_which", Message: "This node belongs to no federation yet, so it cannot tell whether the bundle is of the right one.", Next: "Get the federation's id from somebody you trust, by telephone, and name it with --federation."}},
	{bundle.ErrBase, Error{Class: Failed, Code: "bundle_base", Message: "The bundle holds only what changed since an earlier one, and that is not here.", Next: "Take in the earlier bundle first, or ask for a whole one."}},
	{bundle.ErrParted, Error{Class: Degraded, Code: "bundle_parted", Message: "The registry in the bundle and the one here have parted: they tell two histories. Nothing of it was taken.", Next: "Telephone the other administrators: this needs people to agree."}},
	{bundle.ErrUnconfirmed, Error{Class: Refused, Code: "bundle_unconfirmed", Message: "The countries that keep the registry do not vouch for the one in the bundle, as far as this node can tell. Nothing of it was taken.", Next: "Check this machine's clock; if it is right, ask for a bundle from another country."}},
	{bundle.ErrExporter, Error{Class: Refused, Code: "bundle_signer", Message: "The bundle is not signed by a node of this federation.", Next: "Ask for a bundle that was made on a member's node."}},
	{bundle.ErrContent, Error{Class: Refused, Code: "bundle_content", Message: "Something in the bundle is not what its author signed. Nothing of it was taken.", Next: "Do not use this file. Ask its maker for a new one, or another country."}},
	{bundle.ErrCountry, Error{Class: Usage, Code: "bundle_country", Message: "A country that was named is no member of this federation.", Next: "See: waymark country list"}},
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
	{consensus.ErrQuorum, Error{Class: Refused, Code: "quorum", Message: "Most of the countries that keep the registry answer, so there is nothing to recover.", Next: "If changes are still not made, look at: waymark status"}},
	{consensus.ErrPlan, Error{Class: Refused, Code: "recovery_outdated", Message: "The registry has gone on since this recovery was planned, or another one has begun.", Next: "Look at how things stand with waymark country recover, and have a new one signed if it is still needed."}},
	{registry.ErrRecovery, Error{Class: Refused, Code: "no_recovery", Message: "The registry cannot be recovered from here.", Next: "Try it at another country's node with: waymark country recover"}},
	{consensus.ErrWaiting, Error{Class: Degraded, Code: "signed_waits", Message: "Signed, and kept here: the shared registry cannot be changed at present.", Next: "Nothing: this node hands it over as soon as enough of the other countries' nodes can be reached. Searching, publishing and copying go on."}},
	{consensus.ErrNoQuorum, Error{Class: Degraded, Code: "no_quorum", Message: "The countries that keep the registry cannot agree at present, so nothing was changed. Search and publishing go on.", Next: "Try again later; waymark status tells which of them are away."}},
	{consensus.ErrOutcomeUnknown, Error{Class: Degraded, Code: "outcome_unknown", Message: "The change was handed over, and it is not known yet whether it was made.", Next: "Look at how things stand with waymark country list, and do it again if it was not made: that is safe."}},
	{consensus.ErrSplit, Error{Class: Degraded, Code: "registry_split", Message: "Two registries of this federation exist. This node follows neither any further; readers are served.", Next: "Telephone the other administrators: this needs people to agree."}},
	{consensus.ErrStorage, Error{Class: Failed, Code: "registry_storage", Message: "The registry cannot be written here.", Next: "Look at the disk: its space, its health, who owns the node's directory."}},
	{store.ErrInUse, Error{Class: Failed, Code: "in_use", Message: "Another process has the node's data open.", Next: "Use the commands of the running node, or stop it first."}},
	{store.ErrNewer, Error{Class: Failed, Code: "data_newer", Message: "The node's data was written by a newer version of this program.", Next: "Install that version again; data does not go back."}},
	{store.ErrDamaged, Error{Class: Failed, Code: "data_damaged", Message: "The node's data is damaged.", Next: "Keep a copy of the directory before you change anything in it."}},
	{store.ErrRotten, Error{Class: Degraded, Code: "data_rotten", Message: "Something that is stored is not as it was signed: the disk or the memory has changed it.", Next: "It is fetched again from the other countries' nodes as soon as one can be reached: waymark feed check. Look at the health of the disk."}},
	{store.ErrNoRoom, Error{Class: Degraded, Code: "disk_full", Message: "The disk is nearly full, so nothing more is written. Readers are served.", Next: "Make room on the disk, or lower store.free_space_floor in the configuration."}},
	{errShort, Error{Class: Failed, Code: "no_answer", Message: "The node stopped in the middle of its answer.", Next: "Start it again with waymark serve if it does not run, see how things stand with waymark status, and do it again if it was not done."}},
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
