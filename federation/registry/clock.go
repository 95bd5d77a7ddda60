package registry

import (
	"fmt"
	"slices"
)

// SetClock is the payload of [KindClock].
type SetClock struct {
	// Reached is the registry's time that was wrong, Unix seconds: the correction
	// is refused when the registry's time is before it by then.
	Reached int64 `cbor:"1,keyasint"`
	Time    int64 `cbor:"2,keyasint"` // what it is set back to
}

// setClock judges a correction of the registry's time, and makes it if it is to be
// made now. What ran while the time was wrong runs anew from the time that is right:
// a change of keys that waits gives its member the whole time to object, and nothing
// waits longer than if it had been made now.
func (c *change) setClock(payload []byte, now bool) error {
	var p SetClock
	if err := decode(KindClock, payload, &p); err != nil {
		return err
	}
	switch {
	case p.Time >= p.Reached || p.Time < 0:
		return fmt.Errorf("%w: the registry's time is set back, never ahead", ErrMalformed)
	case p.Reached > c.time || p.Time >= c.time:
		return fmt.Errorf("%w: the registry's time is %d and not ahead of what it is to be set to", ErrConflict, c.time)
	case p.Time < c.founded:
		return fmt.Errorf("%w: before the federation was founded", ErrConflict)
	}
	if !now {
		return nil
	}
	c.time = p.Time
	vote := c.time + c.policy.VoteDays*86400
	c.rekeys = slices.Clone(c.rekeys)
	for i := range c.rekeys {
		c.rekeys[i].Due = min(c.rekeys[i].Due, c.time+RekeyWait)
	}
	c.proposals = slices.Clone(c.proposals)
	for i := range c.proposals {
		c.proposals[i].Expires = min(c.proposals[i].Expires, vote)
	}
	c.motions = slices.Clone(c.motions)
	for i := range c.motions {
		c.motions[i].Expires, c.motions[i].Time = min(c.motions[i].Expires, vote), min(c.motions[i].Time, c.time)
	}
	c.invitations = slices.Clone(c.invitations)
	for i := range c.invitations {
		c.invitations[i].Expires = min(c.invitations[i].Expires, c.time+c.policy.InvitationDays*86400)
	}
	c.rulings = slices.Clone(c.rulings)
	for i := range c.rulings {
		c.rulings[i].Time = min(c.rulings[i].Time, c.time)
	}
	return nil
}
