package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/replication"
	"github.com/2ps-project/waymark/node/control"
)

// alarmWaiting is the alarm that asks for something and means no harm.
const alarmWaiting = "waiting"

// clockLimit is how far this machine's clock may be off before somebody is told.
const clockLimit = 2 * time.Minute

// differedLife is how long members are told of numbers that differed.
const differedLife = 7 * 24 * time.Hour

// quorumWait is how long after its start a node may take to hear from the voters
// before their silence means something.
const quorumWait = 10 * time.Second

// alarms lists what an administrator must know, the worst first.
func (n *Node) alarms(st *control.Status) {
	add := func(code, text, next string) {
		st.Alarms = append(st.Alarms, control.Alarm{Code: code, Text: text, Next: next})
	}
	if err := n.store.Room(); err != nil {
		add("disk_full", "Nothing can be written: "+err.Error()+".", "Free some space; writing goes on by itself.")
	}
	if p := n.publisher.Load(); p != nil && (p.Quarantined() != nil || p.Forked()) {
		why := "this country's feed holds a number that was signed twice, in two ways"
		if err := p.Quarantined(); err != nil {
			why = err.Error()
		}
		next := "Leave the node connected: it fetches what it published last back from the others. Edits are kept as drafts."
		if err := p.Quarantined(); errors.Is(err, feed.ErrNoWayBack) || errors.Is(err, feed.ErrLacking) {
			next = "Leave the node connected: it fetches the last good state from whoever has it. If no node has it any more, begin anew from what this one holds, with: waymark feed restart. Edits are kept as drafts."
		}
		if p.Forked() {
			next = "Look for the second copy of this node, or the old backup, and stop it. Then begin anew from what this node holds, with: waymark feed restart. Until then every country shows the last good state; edits are kept as drafts."
		}
		add("quarantined", "Nothing can be published: "+why+".", next)
	}
	if m, ok := n.silenced(); ok {
		e := n.errSilenced(m)
		add(e.Code, e.Message, e.Next)
	}
	if m, in := n.self(); in {
		if _, revoked := n.docket.View().Revoked(m.Origin, n.keys().publish.ID()); revoked {
			add("key_revoked", "Nothing can be published: the key with which this country publishes was revoked. Edits are kept as drafts.",
				"See who decided it with waymark approval list. Then give this country another key with: waymark key rotate publish")
		}
	}
	if m, in := n.self(); in {
		if _, ok := m.Key(identity.RoleAdmin, n.keys().admin.ID()); !ok {
			next := "Put the right file back as keys/admin.key and start the node again. If the key is lost: waymark key recover, with the sheet from the safe."
			if !n.publishes(m) { // its key is withdrawn first: of the rest it hears nothing any more
				next = "If this machine was struck off, as waymark node list says on the node that publishes, stop it. To have it back, make it anew there with: waymark node ticket. Else put the right file back as keys/admin.key and start the node again."
			}
			add("admin_key", fmt.Sprintf("The admin key of this node is not one of %s: it can invite, approve and change nothing.", m.Country), next)
		}
	}
	n.mu.Lock()
	known, stopped := n.known, n.stopped
	n.mu.Unlock()
	if known != nil && known.Asked != "" {
		e := errWaits(known.Asked)
		add("machine_waits", e.Message, e.Next)
	} else if known != nil {
		next := "Leave the node connected: it fetches the registry and all listings back from the others."
		if len(known.Nodes) == 0 {
			next = "No other node has a copy. Stop this one and put the last backup of its directory in place."
		}
		add("data_lost", "This node was a member of a federation, and its data is gone.", next)
	}
	if stopped != nil {
		add("federation_stopped", "This node takes no part in its federation: "+stopped.Error()+".", "Mend that, then stop the node and start it again. Readers are served meanwhile.")
	}
	if err := n.outdated(); err != nil {
		e := errOutdated(err)
		add(e.Code, e.Message, e.Next)
	} else if k := n.keeper.Load(); k != nil {
		if problem := k.Status().Problem; problem != nil {
			add("registry_stopped", "The shared registry is no longer followed here: "+problem.Error()+".", "Ask the other countries' administrators; readers are served meanwhile.")
		}
	}
	if _, in := n.self(); in && !st.Registry.Quorum && n.newer == nil && n.o.Now().Sub(n.started) > quorumWait {
		add("no_quorum", "The countries that keep the shared registry cannot agree at present. Nobody can join and no rule can change; publishing and searching go on.",
			"Nothing here, if it heals by itself. Look whether the nodes named under voters are up. If most of them are lost for good, the members can let others go on; see first what that would do: waymark country recover.")
	}
	if unreachable := n.unreachable(); len(unreachable) > 0 {
		var names []string
		for _, id := range unreachable {
			if _, m, ok := n.state().Node(id); ok {
				names = append(names, m.Country)
			}
		}
		if len(names) > 0 {
			add("unreachable", fmt.Sprintf("These countries' nodes cannot be reached: %s. Their listings are answered from the copy here.", strings.Join(names, ", ")),
				"If they are all unreachable, look at this node's own connection, and ask one of the others whether this node was struck off; otherwise their administrators should look at theirs.")
		}
	}
	n.storeAlarms(add)
	n.timeAlarms(st, add)
	n.feedAlarms(st, add)
	n.waitingAlarms(add)
}

// storeAlarms are about what this node has stored.
func (n *Node) storeAlarms(add func(code, text, next string)) {
	if lost, odd := n.store.LostTail(); odd {
		add("tail_lost", fmt.Sprintf("The last %d changes of drafts and settings were lost: the disk or the machine failed while they were written, or an old copy of the data was put back. What was published is safe.", lost),
			"Look through the drafts, and at the health of the disk. When you have: waymark status --noted.")
	}
	if n.store.Mended() {
		add("disk_rotting", "Something that was stored here had changed by itself. It was fetched again from the other countries, and readers see what is right; the damaged file is still there, and the node may not start again with it.",
			"Look at the health of the disk. Write the own listings to another disk with waymark listing export --file, then stop the node, move its folder store aside and start it again: it fetches everything that was published back from the others.")
	}
	s := n.state()
	if s == nil {
		return
	}
	if since, waits, err := n.store.ErasedSince(); err == nil && waits {
		if late := int64(feed.DayOf(n.o.Now())) - int64(since) - s.Policy().EraseDays; late > 0 {
			add("erase_late", fmt.Sprintf("What was erased on %s should have been out of every file here within %d days, as the countries have agreed, and is not yet.", since.Time().Format(time.DateOnly), s.Policy().EraseDays),
				"Free some space on the disk and leave the node running: the files are written anew once a day, the first time about an hour after its start.")
		}
	}
	for _, m := range s.Members() {
		err := n.store.Rotten(m.Origin)
		if r := n.replicator.Load(); r != nil && err == nil {
			err = r.Rotten(m.Origin)
		}
		if err != nil {
			add("rotten", fmt.Sprintf("What is stored of %s is not as it was signed: %v.", m.Country, err),
				"It is mended from the other countries' copies as soon as one of them can be reached. Look at the health of the disk.")
		}
	}
}

// timeAlarms are about clocks and how old the registry's confirmation is.
func (n *Node) timeAlarms(st *control.Status, add func(code, text, next string)) {
	if off := time.Duration(st.Clock.Offset) * time.Second; st.Clock.Peers > 0 && (off > clockLimit || off < -clockLimit) {
		how := "ahead of"
		if off < 0 {
			how, off = "behind", -off
		}
		add("clock", fmt.Sprintf("This machine's clock is %s %s those of the other countries' nodes.", off.Round(time.Second), how),
			"Set the clock, or let the machine keep it by itself (NTP). While it is ahead by more than ten minutes the others do not take what is published here.")
	}
	k := n.keeper.Load()
	if k == nil {
		return
	}
	if s := n.state(); s != nil {
		if ahead := timeOf(s.Time()).Sub(n.o.Now()); ahead > clockTolerance {
			add("registry_clock", fmt.Sprintf("By this machine's clock the shared registry was last changed in the future, %s from now: at %s.", ahead.Round(time.Minute), timeOf(s.Time()).Format(time.RFC3339)),
				"Compare this machine's clock with another one, and set it if it is behind. If it is right, the clock of a node that keeps the registry was wrong when it was changed: telephone the other administrators, and set the registry's time back together with waymark policy clock.")
		}
	}
	known := k.Status()
	if known.Expired && !known.Confirmed.IsZero() {
		add("registry_unconfirmed", fmt.Sprintf("The shared registry was last confirmed on %s. A later change of it, such as a withdrawn key, may be unknown here.", known.Confirmed.UTC().Format(time.DateOnly)),
			"Look whether this node reaches the others, and whether those named under voters are up.")
	}
	if len(known.Contrary) > 0 {
		var names []string
		for _, id := range known.Contrary {
			if _, m, ok := n.state().Node(id); ok {
				names = append(names, m.Country)
			}
		}
		add("registry_contrary", fmt.Sprintf("A node of %s shows another shared registry than the one that the voters have signed. It is not believed.", strings.Join(names, ", ")),
			"Telephone its administrator: that node is damaged, was restored from an old copy, or is in other hands.")
	}
	if r := n.replicator.Load(); r != nil {
		for _, p := range r.Parked() {
			if p.Registry == 0 {
				add("ahead", fmt.Sprintf("%s has published something that is dated %s. It waits until then.", n.country(p.Origin), p.Issued.Time().Format(time.RFC3339)),
					"Telephone its administrator: the clock of that node is ahead.")
			}
		}
	}
}

// stallAfter is how long nothing may come in of what is missing before somebody is
// told, where no other alarm says why.
const stallAfter = 10 * time.Minute

// stalled reports whether what is missing of a feed does not come in although
// somebody who has it can be reached and there is room for it.
func stalled(known replication.Known, unreachable []identity.NodeID, room error) bool {
	return room == nil && known.Idle > stallAfter &&
		slices.ContainsFunc(known.Sources, func(id identity.NodeID) bool { return !slices.Contains(unreachable, id) })
}

func (n *Node) stalledText(m registry.Member) string {
	how := "nothing of them is here"
	switch st := n.memberStatus(m, 0); {
	case st.Copied != nil:
		how = fmt.Sprintf("%d of %d have come", st.Copied.Records, st.Copied.Of)
	case st.Head != nil:
		how = "an older state of them is shown"
	}
	return fmt.Sprintf("The copy of the listings of %s has not got any further for more than %d minutes, and why is not known here: %s.", m.Country, int(stallAfter/time.Minute), how)
}

// feedAlarms are about the feeds of the members.
func (n *Node) feedAlarms(st *control.Status, add func(code, text, next string)) {
	if s, r := n.state(), n.replicator.Load(); s != nil && r != nil {
		for _, m := range s.Members() {
			known, ok := r.Known(m.Origin)
			switch {
			case ok && known.Stuck == nil && stalled(known, n.unreachable(), n.store.Room()):
				add("stalled", n.stalledText(m), "Leave the node connected: it goes on trying. Ask the administrator of "+m.Country+", and of another country, whether their nodes are well (waymark feed check). Meanwhile its listings can be brought on a stick: waymark bundle export there, waymark bundle import here.")
			case !ok || known.Stuck == nil:
			case known.Gap:
				add("gap", fmt.Sprintf("Nobody in reach can connect what is held of %s with its newest state. What is held is shown.", m.Country),
					"Leave the node connected. If it stays, ask that country's administrator, or take in a bundle.")
			case errors.Is(known.Stuck, feed.ErrUnapproved):
				add("unapproved", fmt.Sprintf("%s changes much at once, and the second signature is missing. Its last good state is shown.", m.Country),
					"Telephone its administrator: if it was meant, it is published once more with the admin key; if not, the key is in somebody else's hands.")
			default:
				add("stuck", fmt.Sprintf("What %s published last cannot be taken: %v. Its last good state is shown.", m.Country, known.Stuck), "Telephone its administrator.")
			}
		}
	}
	for _, m := range st.Members {
		if m.State == control.StateFrozen {
			add("frozen", fmt.Sprintf("Two contradicting versions of the listings of %s were signed. The last good one is shown, and nothing newer is taken.", m.Country),
				"Call its administrator: a copy of that node is running somewhere, or an old backup was restored.")
		}
		if m.State == control.StateUnconfirmed {
			add("unconfirmed", fmt.Sprintf("%s has not confirmed its listings since %s.", m.Country, m.AsOf.Format(time.RFC3339)), "Call its administrator.")
		}
	}
}

// waitingAlarms are what waits for this country.
func (n *Node) waitingAlarms(add func(code, text, next string)) {
	s := n.state()
	if s == nil {
		return
	}
	for _, i := range s.Invitations() {
		if at := timeOf(i.Differed); i.Differed != 0 && n.o.Now().Sub(at) < differedLife {
			sponsor, _ := s.MemberByOrigin(i.Sponsor)
			add(alarmWaiting, fmt.Sprintf("On %s the numbers of somebody who knocked at %s as %s were not the same on both sides: somebody may have stood between.", at.Format(time.RFC3339), sponsor.Country, i.Country),
				fmt.Sprintf("Nobody was admitted. Before you approve %s, telephone %s and ask what it was.", i.Country, sponsor.Country))
		}
	}
	self, in := n.self()
	for _, r := range s.Rekeys() {
		m, _ := s.MemberByOrigin(r.Change.Origin)
		text := fmt.Sprintf("The keys of %s are to be replaced on %s, without its admin key's signature.", m.Country, timeOf(r.Due).Format(time.RFC3339))
		if in && self.Origin == r.Change.Origin {
			add("rekey", text, "If this is not your doing, object at once: waymark key object.")
		} else {
			add(alarmWaiting, text, "Telephone its administrator and ask whether that is right.")
		}
	}
	for _, d := range n.decisions(s) {
		if in && d.InForce && !d.Off && d.Country == self.Country && d.Listing != "" {
			add(alarmWaiting, fmt.Sprintf("%s have decided that the listing %s of this country is not shown anywhere: %s.", strings.Join(d.Signed, ", "), d.Listing, d.Reason),
				"Telephone their administrators; see waymark approval list.")
		}
		if in && !d.InForce && d.Country != self.Country && !slices.Contains(d.Signed, self.Country) {
			add(alarmWaiting, fmt.Sprintf("%s ask for a decision: %s of %s.", strings.Join(d.Signed, ", "), d.Kind, d.Country), "Look at it with waymark approval list, and sign it with waymark approval sign.")
		}
	}
}
