package registry

import (
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
	s = s.settled(e.Time)
	// Signatures come before the kind: only a member can make this program stop
	// for a command that it does not know.
	signers, recovering, err := s.signers(c.Kind, envelope)
	if err != nil {
		return nil, err
	}
	next := new(State)
	*next = *s
	next.seq++
	next.time = e.Time
	next.hash = chain(s.hash, e.Encode())
	next.seen = s.seen.add(c.ID, next.seq)
	step := change{next, c, envelope, signers, recovering}
	switch {
	case c.Version > Version:
		return nil, fmt.Errorf("%w: a %s command of version %d, this program reads %d", ErrUnknownKind, c.Kind, c.Version, Version)
	case c.Needs > Rules:
		return nil, fmt.Errorf("%w: a %s command needs version %d of the registry's rules, this program knows %d", ErrUnknownKind, c.Kind, c.Needs, Rules)
	case max(c.Needs, since[c.Kind]) > s.rules:
		return nil, fmt.Errorf("%w: a %s command counts from version %d of the registry's rules on, version %d holds; the members activate it first", ErrConflict, c.Kind, max(c.Needs, since[c.Kind]), s.rules)
	}
	if err := step.judge(); err != nil {
		return nil, err
	}
	return next, nil
}

// judge does what the command asks for, by the rules of its kind.
func (c *change) judge() error {
	switch c.command.Kind {
	case KindInvite:
		return c.invite()
	case KindCancel:
		return c.cancel()
	case KindAdmit:
		return c.admit()
	case KindApprove:
		return c.approve()
	case KindObject:
		return c.object()
	case KindNode:
		return c.nodes()
	case KindKeys:
		return c.keys()
	case KindEvidence:
		return c.evidence()
	case KindRuling:
		return c.record()
	case KindCaretaker:
		return c.caretaker()
	case KindWithdraw:
		return c.withdraw()
	case KindPolicy, KindVocabulary, KindActivate, KindClock:
		return c.motion()
	}
	return fmt.Errorf("%w: it holds a command of the kind %q", ErrUnknownKind, c.command.Kind)
}

// signers are the distinct active members whose admin keys signed a command, in
// the order of their signatures, and those whose recovery keys did. Recovery
// keys may sign changes of keys and nothing else, also of a suspended member.
func (s *State) signers(kind Kind, e *identity.Envelope) (by, recovering []identity.OriginID, err error) {
	ids, err := e.Verify(identity.TypeCommand, s.federation, func(id identity.KeyID) (identity.PublicKey, bool) {
		if k, i := s.admin(id); i >= 0 {
			return k, true
		}
		if kind != KindKeys {
			return identity.PublicKey{}, false
		}
		k, i := s.recovery(id)
		return k, i >= 0
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnauthorised, err)
	}
	add := func(list []identity.OriginID, i int) []identity.OriginID {
		if o := s.members[i].Origin; !slices.Contains(list, o) {
			list = append(list, o)
		}
		return list
	}
	for _, id := range ids {
		if _, i := s.admin(id); i >= 0 {
			by = add(by, i)
		} else if _, i := s.recovery(id); i >= 0 {
			recovering = add(recovering, i)
		}
	}
	return by, recovering, nil
}

// change is one entry on its way into the next state, which it owns. Slices of
// the state are cloned before they are written to: the state before shares them.
type change struct {
	*State
	command  Command
	envelope *identity.Envelope
	by       []identity.OriginID // by admin keys of active members
	// recovering are those whose recovery keys signed; of a change of keys only.
	recovering []identity.OriginID
}

// payload decodes the command's payload.
func (c *change) payload(v any) error {
	return decode(c.command.Kind, c.command.Payload, v)
}

func decode(kind Kind, payload []byte, v any) error {
	if err := identity.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("%w: %s: %v", ErrMalformed, kind, err)
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

// itself finds the member that a command is about, which signed it and nobody else;
// why says who else may do that.
func (c *change) itself(o identity.OriginID, why string) (int, error) {
	by, err := c.alone()
	if err != nil {
		return -1, err
	}
	if by != o {
		return -1, fmt.Errorf("%w: %s", ErrUnauthorised, why)
	}
	return c.origin(by), nil
}

// put has m stand at index i of the members.
func (c *change) put(i int, m Member) {
	c.members = slices.Clone(c.members)
	c.members[i] = m
}
