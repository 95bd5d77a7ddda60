package registry

import (
	"fmt"
	"slices"

	"github.com/2ps-project/waymark/federation/identity"
)

// Motion is a command that waits for the signatures of more members.
type Motion struct {
	ID         ID                  `cbor:"1,keyasint"` // of the command
	Hash       identity.Hash       `cbor:"2,keyasint"` // what approvals sign
	Kind       Kind                `cbor:"3,keyasint"` // policy, vocabulary, activate or clock
	Payload    []byte              `cbor:"4,keyasint"` // of the command; see [SetPolicy], [SetVocabulary], [Activate], [SetClock]
	By         identity.OriginID   `cbor:"5,keyasint"` // who made it
	Expires    int64               `cbor:"6,keyasint"` // Unix seconds
	Seq        uint64              `cbor:"7,keyasint"` // the entry that made it
	Approvals  []identity.OriginID `cbor:"8,keyasint"` // distinct, in the order in which they came
	Objections []Objection         `cbor:"9,keyasint"`
	Time       int64               `cbor:"10,keyasint"` // of the entry that made it, Unix seconds
}

func (m Motion) clone() Motion {
	m.Payload = slices.Clone(m.Payload)
	m.Approvals = slices.Clone(m.Approvals)
	m.Objections = slices.Clone(m.Objections)
	return m
}

// Motions are what waits for the signatures of more members, oldest first, those
// that have lapsed included (compare Expires). What was decided or withdrawn is
// in its entries and no longer here.
func (s *State) Motions() []Motion {
	out := make([]Motion, len(s.motions))
	for i, m := range s.motions {
		out[i] = m.clone()
	}
	return out
}

// Threshold is how many members must sign a motion, or an admission, now.
func (s *State) Threshold() int { return s.policy.Needed(s.active()) }

// Standing is how many of those that signed are active members still.
func (s *State) Standing(signed []identity.OriginID) int {
	n := 0
	for _, o := range signed {
		if i := s.origin(o); i >= 0 && s.members[i].Active() {
			n++
		}
	}
	return n
}

// Activate is the payload of [KindActivate].
type Activate struct {
	Rules uint64 `cbor:"1,keyasint"` // the version of the rules that holds from then on
}

// since is from which version of the rules on a kind counts; kinds that are not
// named count from the first on.
var since = map[Kind]uint64{KindPolicy: 2, KindVocabulary: 2, KindClock: 2}

// motion is a command for which several members sign: it takes effect with
// enough signatures, and waits for them otherwise.
func (c *change) motion() error {
	if len(c.by) == 0 {
		return fmt.Errorf("%w: no active member has signed", ErrUnauthorised)
	}
	m := Motion{
		ID: c.command.ID, Hash: HashCommand(c.envelope), Kind: c.command.Kind, Payload: c.command.Payload,
		By: c.by[0], Expires: c.time + c.policy.VoteDays*86400, Seq: c.seq, Time: c.time, Approvals: c.by,
	}
	done, err := c.carry(&m)
	if err != nil || done {
		return err
	}
	// What has lapsed makes room; it is forgotten only now, so that whoever asks
	// can see for a while what became of it.
	c.motions = slices.DeleteFunc(slices.Clone(c.motions), func(o Motion) bool { return o.Expires < c.time })
	own := 0
	for _, o := range c.motions {
		if o.By == m.By {
			own++
		}
	}
	if own >= MaxMotions {
		return fmt.Errorf("%w: %d motions of this member wait already, withdraw one first", ErrConflict, own)
	}
	c.motions = append(c.motions, m)
	return nil
}

// carry judges a motion against the registry as it is now, and does what it asks
// for when enough members have signed. What contradicts the registry by now is
// refused also when more signatures are wanted.
func (c *change) carry(m *Motion) (bool, error) {
	enough := c.Standing(m.Approvals) >= c.Threshold()
	switch m.Kind {
	case KindPolicy:
		return enough, c.setPolicy(m.Payload, enough)
	case KindVocabulary:
		return enough, c.setVocabulary(m.Payload, enough)
	case KindClock:
		return enough, c.setClock(m.Payload, enough)
	default:
		return enough, c.activate(m.Payload, enough)
	}
}

// endorse adds the signatures of a command to the motion at index i.
func (c *change) endorse(i int) error {
	m := c.motions[i].clone()
	for _, o := range c.by {
		if !slices.Contains(m.Approvals, o) {
			m.Approvals = append(m.Approvals, o)
		}
	}
	m.Objections = slices.DeleteFunc(m.Objections, func(o Objection) bool { return slices.Contains(c.by, o.Origin) })
	done, err := c.carry(&m)
	if err != nil {
		return err
	}
	c.motions = slices.Clone(c.motions)
	if done {
		c.motions = slices.Delete(c.motions, i, i+1)
	} else {
		c.motions[i] = m
	}
	return nil
}

// oppose puts a member's word against the motion at index i on record, in place
// of its signature. Whoever made a motion withdraws it so.
func (c *change) oppose(i int, by identity.OriginID, reason string) {
	c.motions = slices.Clone(c.motions)
	if c.motions[i].By == by {
		c.motions = slices.Delete(c.motions, i, i+1)
		return
	}
	m := c.motions[i].clone()
	m.Objections = slices.DeleteFunc(m.Objections, func(o Objection) bool { return o.Origin == by })
	m.Objections = append(m.Objections, Objection{by, reason})
	m.Approvals = slices.DeleteFunc(m.Approvals, func(o identity.OriginID) bool { return o == by })
	c.motions[i] = m
}

// pending finds the motion that an approval or objection names; -1 when the id is
// none of a motion.
func (c *change) pending(id ID, hash identity.Hash) (int, error) {
	i := slices.IndexFunc(c.motions, func(m Motion) bool { return m.ID == id })
	switch {
	case i < 0:
		return -1, nil
	case c.motions[i].Hash != hash:
		return -1, fmt.Errorf("%w: signed for another proposal", ErrConflict)
	case c.time > c.motions[i].Expires:
		return -1, ErrVoteOver
	}
	return i, nil
}

func (c *change) activate(payload []byte, now bool) error {
	var p Activate
	if err := decode(KindActivate, payload, &p); err != nil {
		return err
	}
	if p.Rules <= c.rules {
		return fmt.Errorf("%w: version %d of the rules holds already", ErrConflict, c.rules)
	}
	if p.Rules > c.rules+1 {
		return fmt.Errorf("%w: version %d of the rules comes before version %d", ErrConflict, c.rules+1, p.Rules)
	}
	if !now {
		return nil
	}
	if p.Rules > Rules {
		return fmt.Errorf("%w: the members have gone over to version %d of the registry's rules, this program knows %d", ErrUnknownKind, p.Rules, Rules)
	}
	c.rules = p.Rules
	return nil
}
