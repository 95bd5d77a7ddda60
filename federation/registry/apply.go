package registry

import (
	"crypto/subtle"
	"fmt"
	"slices"

	"github.com/2ps-project/waymark/federation/identity"
)

// Apply verifies an entry and returns the state after it. The receiver stays as
// it was, also when the entry is refused.
func (s *State) Apply(e Entry) (*State, error) {
	c, envelope, err := ParseCommand(e.Command)
	if err != nil {
		return nil, err
	}
	if c.Federation != s.federation {
		return nil, fmt.Errorf("%w: %s, this is %s", ErrForeign, c.Federation, s.federation)
	}
	if e.Time < s.time {
		return nil, fmt.Errorf("%w: its time lies %d s before the entry before", ErrChain, s.time-e.Time)
	}
	if at, ok := s.seen.find(c.ID); ok {
		return nil, fmt.Errorf("%w: entry %d", ErrSeen, at)
	}
	if c.Base > s.seq || c.Base+window < s.seq {
		return nil, fmt.Errorf("%w: made after entry %d, the last is %d", ErrStale, c.Base, s.seq)
	}
	// Signatures come before the kind: only a member can make this program stop
	// for a command that it does not know.
	signers, err := s.signers(envelope)
	if err != nil {
		return nil, err
	}
	next := new(State)
	*next = *s
	next.seq++
	next.time = e.Time
	next.hash = chain(s.hash, e.Encode())
	next.seen = s.seen.add(c.ID, next.seq)
	step := change{next, c, envelope, signers}
	if c.Version > Version || c.Needs > Version {
		return nil, fmt.Errorf("%w: a %s command needs version %d of the registry's rules, this program knows %d", ErrUnknownKind, c.Kind, max(c.Version, c.Needs), Version)
	}
	switch c.Kind {
	case KindInvite:
		err = step.invite()
	case KindCancel:
		err = step.cancel()
	case KindAdmit:
		err = step.admit()
	case KindApprove:
		err = step.approve()
	case KindObject:
		err = step.object()
	case KindNode:
		err = step.nodes()
	default:
		err = fmt.Errorf("%w: it holds a command of the kind %q", ErrUnknownKind, c.Kind)
	}
	if err != nil {
		return nil, err
	}
	return next, nil
}

// signers are the distinct active members that signed a command, in the order
// of their signatures.
func (s *State) signers(e *identity.Envelope) ([]identity.OriginID, error) {
	ids, err := e.Verify(identity.TypeCommand, s.federation, func(id identity.KeyID) (identity.PublicKey, bool) {
		k, i := s.admin(id)
		return k, i >= 0
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnauthorised, err)
	}
	var out []identity.OriginID
	for _, id := range ids {
		_, i := s.admin(id)
		if o := s.members[i].Origin; !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out, nil
}

// change is one entry on its way into the next state, which it owns. Slices of
// the state are cloned before they are written to: the state before shares them.
type change struct {
	*State
	command  Command
	envelope *identity.Envelope
	by       []identity.OriginID
}

// payload decodes the command's payload.
func (c *change) payload(v any) error {
	if err := identity.Unmarshal(c.command.Payload, v); err != nil {
		return fmt.Errorf("%w: %s: %v", ErrMalformed, c.command.Kind, err)
	}
	return nil
}

// alone is the one member that signed, for commands that are one member's.
func (c *change) alone() (identity.OriginID, error) {
	if len(c.by) != 1 {
		return identity.OriginID{}, fmt.Errorf("%w: a %s command is signed by one member, not %d", ErrUnauthorised, c.command.Kind, len(c.by))
	}
	return c.by[0], nil
}

// taken refuses a country that already has as many members as it may.
func (c *change) taken(country string) error {
	n := int64(0)
	for _, m := range c.members {
		if m.Country == country && m.Active() {
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
	c.invitations[i].Status = InvitationCancelled
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

// holds reports whether a member other than that at index except has the key,
// in any role.
func (c *change) holds(k identity.PublicKey, except int) bool {
	for i, m := range c.members {
		if i != except && (slices.ContainsFunc(m.Nodes, func(n Node) bool { return n.Key == k }) ||
			slices.ContainsFunc(m.Keys, func(o Key) bool { return o.Public == k })) {
			return true
		}
	}
	return false
}

// decide admits the proposal at index i when enough members have signed.
func (c *change) decide(i int) error {
	p := c.proposals[i]
	founding := !c.closed && p.Sponsor == c.founder
	if !founding {
		signed := 0
		for _, o := range p.Approvals { // a member that has left since does not count
			if m := c.origin(o); m >= 0 && c.members[m].Active() {
				signed++
			}
		}
		if signed < c.policy.Needed(c.active()) {
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

func (c *change) nodes() error {
	var p SetNodes
	if err := c.payload(&p); err != nil {
		return err
	}
	by, err := c.alone()
	if err != nil {
		return err
	}
	e, err := parseStatement(p.Statement)
	if err != nil {
		return err
	}
	var st Nodes
	if err := identity.Unmarshal(e.Body, &st); err != nil {
		return fmt.Errorf("%w: nodes: %v", ErrMalformed, err)
	}
	if st.Origin != by {
		return fmt.Errorf("%w: a member states its own nodes only", ErrUnauthorised)
	}
	if err := checkMachines(st.Nodes); err != nil {
		return err
	}
	i := c.origin(by)
	m := c.members[i].clone()
	if err := c.proved(e, &m, st.Nodes); err != nil {
		return err
	}
	was, _ := m.Publisher()
	m.Nodes = nil
	for _, n := range st.Nodes {
		m.Nodes = append(m.Nodes, n.node())
	}
	want := uint64(0)
	if now, _ := m.Publisher(); now.ID != was.ID {
		want = m.Epoch + 1
		m.Epoch = want
	}
	if st.Epoch != want {
		return fmt.Errorf("%w: another node publishes exactly when the epoch goes up by one", ErrConflict)
	}
	c.members = slices.Clone(c.members)
	c.members[i] = m
	return nil
}

// proved checks that every node key that is new to the member has signed its
// statement, and is nobody else's.
func (c *change) proved(e *identity.Envelope, m *Member, machines []Machine) error {
	var fresh []identity.PublicKey
	for _, n := range machines {
		if slices.ContainsFunc(m.Nodes, func(o Node) bool { return o.Key == n.Key }) {
			continue
		}
		if c.holds(n.Key, -1) {
			return fmt.Errorf("%w: key %s is in use already", ErrConflict, n.Key.ID())
		}
		fresh = append(fresh, n.Key)
	}
	if len(fresh) == 0 {
		if len(e.Signatures) != 0 {
			return fmt.Errorf("%w: a signature by a key that is not new", ErrUnauthorised)
		}
		return nil
	}
	return verifyAll(e, identity.TypeStatement, c.federation, fresh)
}
