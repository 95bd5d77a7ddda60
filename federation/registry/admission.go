package registry

import (
	"crypto/subtle"
	"fmt"
	"slices"

	"github.com/2ps-project/waymark/federation/identity"
)

// taken refuses a country that already has as many members as it may.
func (c *change) taken(country string) error {
	n := int64(0)
	for _, m := range c.members {
		if m.Country == country && m.Seated() {
			n++
		}
	}
	if n >= c.policy.OriginsPerCountry {
		return fmt.Errorf("%w: %s", ErrCountryTaken, country)
	}
	return nil
}

func (c *change) invite() error {
	var p Invite
	if err := c.payload(&p); err != nil {
		return err
	}
	sponsor, err := c.alone()
	if err != nil {
		return err
	}
	if !ValidCountry(p.Country) || p.ID == (ID{}) || p.SecretHash == [32]byte{} {
		return fmt.Errorf("%w: an invitation without country, id or secret", ErrMalformed)
	}
	if err := c.taken(p.Country); err != nil {
		return err
	}
	if c.invitation(p.ID) >= 0 {
		return fmt.Errorf("%w: an invitation of that id exists", ErrConflict)
	}
	// An hour more allows for the difference of two clocks.
	if longest := c.time + c.policy.InvitationDays*86400 + 3600; p.Expires <= c.time || p.Expires > longest {
		return fmt.Errorf("%w: an invitation may last up to %d days", ErrConflict, c.policy.InvitationDays)
	}
	open := 0
	for _, i := range c.invitations {
		if i.Sponsor == sponsor && i.Err(c.time) == nil {
			open++
		}
	}
	if open >= MaxOpen {
		return fmt.Errorf("%w: %d invitations are open, cancel one first", ErrConflict, open)
	}
	c.invitations = append(slices.Clone(c.invitations), Invitation{
		ID: p.ID, Country: p.Country, SecretHash: p.SecretHash, Expires: p.Expires,
		Sponsor: sponsor, Seq: c.seq, Status: InvitationOpen,
	})
	return nil
}

func (c *change) cancel() error {
	var p Cancel
	if err := c.payload(&p); err != nil {
		return err
	}
	by, err := c.alone()
	if err != nil {
		return err
	}
	i := c.invitation(p.Invitation)
	switch {
	case i < 0:
		return ErrNoInvitation
	case c.invitations[i].Sponsor != by:
		return fmt.Errorf("%w: only its sponsor can cancel an invitation", ErrUnauthorised)
	case c.invitations[i].Status != InvitationOpen:
		return c.invitations[i].Err(0)
	}
	c.invitations = slices.Clone(c.invitations)
	if p.Differed {
		c.invitations[i].Differed = c.time
	} else {
		c.invitations[i].Status = InvitationCancelled
	}
	return nil
}

func (c *change) admit() error {
	var p Admit
	if err := c.payload(&p); err != nil {
		return err
	}
	sponsor, err := c.alone()
	if err != nil {
		return err
	}
	st, err := ParseStatement(c.federation, p.Statement)
	if err != nil {
		return err
	}
	i, err := c.usable(st)
	if err != nil {
		return err
	}
	if c.invitations[i].Sponsor != sponsor {
		return fmt.Errorf("%w: only the sponsor of the invitation can propose its newcomer", ErrUnauthorised)
	}
	if err := c.newcomer(&st.Candidate); err != nil {
		return err
	}
	waiting := 0
	for _, q := range c.proposals {
		if !q.Done && q.Expires >= c.time {
			waiting++
		}
	}
	if waiting >= MaxOpen {
		return fmt.Errorf("%w: %d proposals are waiting already", ErrConflict, waiting)
	}
	c.invitations = slices.Clone(c.invitations)
	c.invitations[i].Status = InvitationUsed
	c.invitations[i].UsedBy = st.Candidate.Origin
	c.proposals = append(slices.Clone(c.proposals), Proposal{
		ID: c.command.ID, Hash: HashCommand(c.envelope), Invitation: st.Invitation, Sponsor: sponsor,
		Candidate: st.Candidate, Expires: c.time + c.policy.VoteDays*86400, Seq: c.seq,
		Approvals: []identity.OriginID{sponsor},
	})
	return c.decide(len(c.proposals) - 1)
}

// usable finds the invitation of a statement and checks that it may be used,
// for this country, by who holds this secret, now.
func (s *State) usable(st *Statement) (int, error) {
	i := s.invitation(st.Invitation)
	if i < 0 {
		return -1, ErrNoInvitation
	}
	inv := s.invitations[i]
	if hash := HashSecret(st.Secret); subtle.ConstantTimeCompare(hash[:], inv.SecretHash[:]) != 1 {
		return -1, ErrWrongSecret
	}
	if err := inv.Err(s.time); err != nil {
		return -1, err
	}
	if inv.Country != st.Candidate.Country {
		return -1, fmt.Errorf("%w: it is for %s, the newcomer says %s", ErrWrongCountry, inv.Country, st.Candidate.Country)
	}
	return i, nil
}

// newcomer checks that nothing of the candidate is somebody else's.
func (c *change) newcomer(n *Candidate) error {
	if err := c.taken(n.Country); err != nil {
		return err
	}
	if c.origin(n.Origin) >= 0 {
		return fmt.Errorf("%w: the origin id belongs to another member", ErrConflict)
	}
	for _, k := range n.keys() {
		if c.holds(k, -1) {
			return fmt.Errorf("%w: key %s belongs to another member", ErrConflict, k.ID())
		}
	}
	return nil
}

// decide admits the proposal at index i when enough members have signed.
func (c *change) decide(i int) error {
	p := c.proposals[i]
	founding := !c.closed && p.Sponsor == c.founder
	if !founding {
		if c.Standing(p.Approvals) < c.Threshold() { // a member that has left since does not count
			return nil
		}
	}
	c.members = append(slices.Clone(c.members), p.Candidate.member(c.seq))
	sortMembers(c.members)
	if c.active() >= 3 {
		c.closed = true
	}
	// The first to come in for a country closes what else was open for it.
	c.invitations = slices.Clone(c.invitations)
	for j := range c.invitations {
		if inv := &c.invitations[j]; inv.Status == InvitationOpen && c.taken(inv.Country) != nil {
			inv.Status = InvitationClosed
		}
	}
	for j := range c.proposals {
		if q := &c.proposals[j]; j == i || !q.Done && c.taken(q.Candidate.Country) != nil {
			q.Done = true
		}
	}
	return nil
}

// waiting finds the proposal that an approval or objection names.
func (c *change) waiting(id ID, hash identity.Hash) (int, error) {
	i := slices.IndexFunc(c.proposals, func(p Proposal) bool { return p.ID == id })
	switch {
	case i < 0, c.proposals[i].Done:
		return -1, ErrNoProposal
	case c.proposals[i].Hash != hash:
		return -1, fmt.Errorf("%w: signed for another proposal", ErrConflict)
	case c.time > c.proposals[i].Expires:
		return -1, ErrVoteOver
	}
	c.proposals = slices.Clone(c.proposals)
	return i, nil
}

func (c *change) approve() error {
	var p Approve
	if err := c.payload(&p); err != nil {
		return err
	}
	if i, err := c.pending(p.Proposal, p.Hash); err != nil || i >= 0 {
		if err != nil {
			return err
		}
		return c.endorse(i)
	}
	i, err := c.waiting(p.Proposal, p.Hash)
	if err != nil {
		return err
	}
	// Keys may have been given out since the proposal was made.
	if err := c.newcomer(&c.proposals[i].Candidate); err != nil {
		return err
	}
	q := &c.proposals[i]
	q.Approvals = slices.Clone(q.Approvals)
	for _, o := range c.by {
		if !slices.Contains(q.Approvals, o) {
			q.Approvals = append(q.Approvals, o)
		}
	}
	// Who approves takes an earlier objection back.
	q.Objections = slices.DeleteFunc(slices.Clone(q.Objections), func(o Objection) bool { return slices.Contains(c.by, o.Origin) })
	return c.decide(i)
}

func (c *change) object() error {
	var p Object
	if err := c.payload(&p); err != nil {
		return err
	}
	by, err := c.alone()
	if err != nil {
		return err
	}
	if p.Reason != "" {
		if err := checkText("the reason", p.Reason, MaxReason); err != nil {
			return err
		}
	}
	if i := slices.IndexFunc(c.rekeys, func(r Rekey) bool { return r.ID == p.Proposal }); i >= 0 {
		return c.stop(i, by, p.Hash)
	}
	if i, err := c.pending(p.Proposal, p.Hash); err != nil || i >= 0 {
		if err != nil {
			return err
		}
		c.oppose(i, by, p.Reason)
		return nil
	}
	i, err := c.waiting(p.Proposal, p.Hash)
	if err != nil {
		return err
	}
	q := &c.proposals[i]
	// One word a member: the last one counts, and an approval before it does not.
	q.Objections = slices.DeleteFunc(slices.Clone(q.Objections), func(o Objection) bool { return o.Origin == by })
	q.Objections = append(q.Objections, Objection{by, p.Reason})
	if by != q.Sponsor {
		q.Approvals = slices.DeleteFunc(slices.Clone(q.Approvals), func(o identity.OriginID) bool { return o == by })
	}
	return nil
}

// stop drops a change of keys that waits: its member still has its admin key.
func (c *change) stop(i int, by identity.OriginID, hash identity.Hash) error {
	switch r := c.rekeys[i]; {
	case r.Hash != hash:
		return fmt.Errorf("%w: signed for another proposal", ErrConflict)
	case r.Change.Origin != by:
		return fmt.Errorf("%w: only the member itself can stop a change of its keys", ErrUnauthorised)
	}
	c.rekeys = slices.Delete(slices.Clone(c.rekeys), i, i+1)
	return nil
}
