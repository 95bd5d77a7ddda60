package registry

import (
	"fmt"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// RecordRuling is the payload of [KindRuling].
type RecordRuling struct {
	Ruling []byte `cbor:"1,keyasint"` // the envelope, with all signatures that it needs
}

// SetCaretakers is the payload of [KindCaretaker].
type SetCaretakers struct {
	Origin identity.OriginID   `cbor:"1,keyasint"`
	By     []identity.OriginID `cbor:"2,keyasint"` // none: nobody any more
}

// Recorded is the latest ruling about a target that the registry has.
type Recorded struct {
	Ruling  Ruling              `cbor:"1,keyasint"`
	Hash    identity.Hash       `cbor:"2,keyasint"` // see [HashRuling]
	Signers []identity.OriginID `cbor:"3,keyasint"` // ordered by id
	Seq     uint64              `cbor:"4,keyasint"` // the entry that holds it
	Time    int64               `cbor:"5,keyasint"` // of that entry, Unix seconds
}

// Rulings are the rulings on record, the latest of each target, ordered by
// target. Those that have ended or lift an earlier one are among them, for a
// year.
func (s *State) Rulings() []Recorded {
	out := slices.Clone(s.rulings)
	for i := range out {
		out[i].Ruling = out[i].Ruling.Clone()
		out[i].Signers = slices.Clone(out[i].Signers)
	}
	return out
}

// Ruling is the recorded ruling about a target.
func (s *State) Ruling(t Target) (Recorded, bool) {
	i, ok := s.ruling(t)
	if !ok {
		return Recorded{}, false
	}
	r := s.rulings[i]
	r.Ruling, r.Signers = r.Ruling.Clone(), slices.Clone(r.Signers)
	return r, true
}

// RulingCounter is the counter of the recorded ruling about a target; 0 without
// one.
func (s *State) RulingCounter(t Target) uint64 {
	if i, ok := s.ruling(t); ok {
		return s.rulings[i].Ruling.Counter
	}
	return 0
}

// Caretakers are the active members that may add alerts for an origin while it
// is dark.
func (s *State) Caretakers(o identity.OriginID) []identity.OriginID {
	i := s.origin(o)
	if i < 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.members[i].Caretakers), func(c identity.OriginID) bool {
		j := s.origin(c)
		return j < 0 || !s.members[j].Active()
	})
}

// Rekeys are the changes of keys that wait, oldest first.
func (s *State) Rekeys() []Rekey {
	out := slices.Clone(s.rekeys)
	for i := range out {
		out[i].By = slices.Clone(out[i].By)
		out[i].Change = out[i].Change.clone()
	}
	return out
}

func (s *State) ruling(t Target) (int, bool) {
	return slices.BinarySearchFunc(s.rulings, t, func(r Recorded, t Target) int { return r.Ruling.Target().Compare(t) })
}

func (c *change) record() error {
	var p RecordRuling
	if err := c.payload(&p); err != nil {
		return err
	}
	if _, err := c.alone(); err != nil {
		return err
	}
	entry, err := c.recordable(p.Ruling)
	if err != nil {
		return err
	}
	if err := c.enforce(&entry); err != nil {
		return err
	}
	c.dropUnbacked()
	entry.Seq, entry.Time = c.seq, c.time
	c.rulings = slices.Clone(c.rulings)
	if i, known := c.ruling(entry.Ruling.Target()); known {
		c.rulings[i] = entry
	} else {
		c.rulings = slices.Insert(c.rulings, i, entry)
	}
	// What has no effect any more is forgotten when all that it stands above is
	// too old to come back. Its own date does not tell: it may have been signed
	// long before.
	c.rulings = slices.DeleteFunc(c.rulings, func(o Recorded) bool {
		since := max(o.Time, o.Ruling.Until.Time().Unix())
		ended := o.Ruling.Off || o.Ruling.Until != 0
		return ended && c.time-since > int64((RulingLife+24*time.Hour)/time.Second)
	})
	if len(c.rulings) > MaxRulings {
		return fmt.Errorf("%w: %d rulings are on record, lift some first", ErrConflict, len(c.rulings)-1)
	}
	return nil
}

// recordable is the ruling as it would be recorded, if it has its signatures, is
// of this time and later than the one on record.
func (s *State) recordable(ruling []byte) (Recorded, error) {
	r, signers, needed, err := s.CheckRuling(ruling)
	if err != nil {
		return Recorded{}, err
	}
	if len(signers) < needed {
		return Recorded{}, fmt.Errorf("%w: the ruling needs the signatures of %d members, %d have signed", ErrUnauthorised, needed, len(signers))
	}
	if err := s.follows(&r, s.time); err != nil {
		return Recorded{}, err
	}
	_, e, err := ParseRuling(ruling)
	if err != nil {
		return Recorded{}, err
	}
	return Recorded{Ruling: r, Hash: HashRuling(e.Body), Signers: signers}, nil
}

// follows tells why a ruling does not come after the recorded one, at a time in
// Unix seconds, or nil.
func (s *State) follows(r *Ruling, now int64) error {
	switch age := time.Unix(now, 0).Sub(r.Issued.Time()); {
	case age < -RulingAhead:
		return fmt.Errorf("%w: the ruling is dated in the future", ErrConflict)
	case age > RulingLife:
		return fmt.Errorf("%w: the ruling is more than a year old", ErrStale)
	}
	if i, known := s.ruling(r.Target()); known && s.rulings[i].Ruling.Counter >= r.Counter {
		return fmt.Errorf("%w: entry %d has ruling %d", ErrSuperseded, s.rulings[i].Seq, s.rulings[i].Ruling.Counter)
	}
	return nil
}

// Recordable tells why a ruling could not be put on record even with all
// signatures, or nil. A registry whose last entry is older than the ruling does
// not take it for one of the future.
func (s *State) Recordable(r *Ruling) error {
	if err := s.admissible(r); err != nil {
		return err
	}
	if err := s.follows(r, max(s.time, r.Issued.Time().Unix())); err != nil {
		return err
	}
	next := *s
	return (&change{State: &next}).enforce(&Recorded{Ruling: *r})
}

// enforce does what a ruling says to the member that it is about. What is so
// already stays so; takedowns change no member.
func (c *change) enforce(entry *Recorded) error {
	r := &entry.Ruling
	i := c.origin(r.Origin)
	m := c.members[i].clone()
	switch r.Kind {
	case RulingTakedown:
		return nil
	case RulingSuspend:
		to := StatusSuspended
		if r.Off {
			to = StatusActive
		}
		switch {
		case m.Status == to:
			return nil
		case !m.Seated():
			return fmt.Errorf("%w: the member has left, it is %s", ErrConflict, m.Status)
		}
		m.Status = to
	case RulingExpel:
		return c.leave(i, StatusExpelled)
	case RulingRekey:
		return c.rekeyByOthers(i, entry)
	case RulingCaretaker:
		m.Caretakers = slices.Clone(r.By)
	case RulingRevoke:
		if err := m.ruledOut(r); err != nil {
			return err
		}
	}
	c.put(i, m)
	return nil
}

// ruledOut revokes a key by a ruling. For an admin or a publish key the feed
// starts over in a new epoch; a node is struck off.
func (m *Member) ruledOut(r *Ruling) error {
	if slices.ContainsFunc(m.Keys, func(k Key) bool { return k.Revoked && k.Public.ID() == r.Key }) {
		return nil
	}
	if i := slices.IndexFunc(m.Nodes, func(n Node) bool { return n.Key.ID() == r.Key }); i >= 0 {
		m.Keys = append(m.Keys, Key{Public: m.Nodes[i].Key, Role: identity.RoleNode, From: Mark{m.Epoch, 0}, To: endOf(m.Epoch), Revoked: true})
		m.Nodes = slices.Delete(m.Nodes, i, i+1)
		m.forgetKeys()
		return nil
	}
	role, _ := m.anyKey(r.Key)
	if err := m.revoke(r.Key, r.Good, true); err != nil {
		return err
	}
	if role == identity.RoleRecovery {
		return nil
	}
	var good *feed.Place // the feed goes back within the epoch that ends, to no earlier one
	if role == identity.RolePublish && r.Good != nil && r.Good.Epoch == m.Epoch {
		good = r.Good
	}
	m.startOver(good)
	return nil
}

func (c *change) caretaker() error {
	var p SetCaretakers
	if err := c.payload(&p); err != nil {
		return err
	}
	i, err := c.itself(p.Origin, "a member names its own caretakers; for another one a ruling does")
	if err != nil {
		return err
	}
	if err := checkCaretakers(p.Origin, p.By); err != nil {
		return err
	}
	if n := int64(len(p.By)); n > c.policy.Caretakers {
		return fmt.Errorf("%w: %d caretakers, the policy allows %d", ErrConflict, n, c.policy.Caretakers)
	}
	for _, o := range p.By {
		if j := c.origin(o); j < 0 || !c.members[j].Active() {
			return fmt.Errorf("%w: the caretaker %s is not an active member", ErrConflict, o)
		}
	}
	m := c.members[i].clone()
	m.Caretakers = slices.Clone(p.By)
	c.put(i, m)
	return nil
}
