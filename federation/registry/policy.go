package registry

import (
	"fmt"
	"maps"
	"slices"

	"github.com/2ps-project/waymark/federation/identity"
)

// Policy is what the members have agreed on beyond the rules themselves. The
// values that a federation begins with are part of the [Rules]: they are the same
// in every program that knows them.
type Policy struct {
	InvitationDays int64 `cbor:"1,keyasint"` // how long an invitation may be open
	VoteDays       int64 `cbor:"2,keyasint"` // how long a proposal waits for approvals
	// Approvals is how many members, the sponsor among them, must sign an
	// admission once there are at least MajorityBelow members; below that, a
	// majority.
	Approvals         int64 `cbor:"3,keyasint"`
	MajorityBelow     int64 `cbor:"4,keyasint"`
	OriginsPerCountry int64 `cbor:"5,keyasint"`
	Voters            int64 `cbor:"6,keyasint"` // the most nodes that keep the registry: 1, 3 or 5
	TakedownDays      int64 `cbor:"7,keyasint"` // how long a takedown lasts unless it is confirmed

	// Cadence is after how many months a listing of a kind wants to be checked
	// again; kinds that are not named take that of "resource".
	Cadence map[string]int64 `cbor:"8,keyasint"`
	// LapseAfter is after how many cadences a listing is no longer offered as
	// a way to make contact; kinds that are not named take that of "resource".
	LapseAfter map[string]int64 `cbor:"9,keyasint"`

	LargeChange LargeChange `cbor:"10,keyasint"`
	Heads       Heads       `cbor:"11,keyasint"`

	EraseDays  int64 `cbor:"12,keyasint"` // within how many days what was erased is gone from every disk
	Caretakers int64 `cbor:"13,keyasint"` // the most caretakers of one member
	// Languages are those in which labels and texts are to be had, by tag, in the
	// order in which they are offered.
	Languages []string `cbor:"14,keyasint"`
}

// SetPolicy is the payload of [KindPolicy].
type SetPolicy struct {
	Before identity.Hash `cbor:"1,keyasint"` // [HashPolicy] of the policy that it replaces
	Policy Policy        `cbor:"2,keyasint"`
}

// LargeChange says from when on a head needs an admin key's signature too.
type LargeChange struct {
	Listings       int64 `cbor:"1,keyasint"` // more changed listings than this,
	ChannelPercent int64 `cbor:"2,keyasint"` // or more than this share of all contact values,
	Hours          int64 `cbor:"3,keyasint"` // within so many hours
}

// Heads bounds what one feed may ask of the others.
type Heads struct {
	Burst     int64 `cbor:"1,keyasint"` // heads at once
	PerMinute int64 `cbor:"2,keyasint"` // heads in the long run
	Records   int64 `cbor:"3,keyasint"` // records in a feed
	Bytes     int64 `cbor:"4,keyasint"` // bytes of all records of a feed
	Record    int64 `cbor:"5,keyasint"` // bytes of one record
	Delta     int64 `cbor:"6,keyasint"` // bytes of a change that travels inside its announcement
}

// DefaultPolicy is what every federation begins with.
func DefaultPolicy() Policy {
	return Policy{
		InvitationDays:    14,
		VoteDays:          30,
		Approvals:         3,
		MajorityBelow:     5,
		OriginsPerCountry: 1,
		Voters:            5,
		TakedownDays:      14,
		Cadence:           map[string]int64{"crisis": 1, "helpline": 3, "chat": 3, "clinic": 6, "resource": 12},
		LapseAfter:        map[string]int64{"crisis": 2, "resource": 4},
		LargeChange:       LargeChange{Listings: 20, ChannelPercent: 20, Hours: 24},
		Heads: Heads{
			Burst:     20,
			PerMinute: 60,
			Records:   1 << 20,
			Bytes:     4 << 30,
			Record:    64 << 10,
			Delta:     16 << 10,
		},
		EraseDays:  7,
		Caretakers: MaxCaretakers,
		Languages:  []string{"en", "pl", "de", "it", "el", "cs", "nl", "fr", "lt", "no", "sv", "fi", "mt"},
	}
}

// HashPolicy is how a new policy names the one that it replaces.
func HashPolicy(p Policy) identity.Hash { return sum(domainPolicy, p) }

// Check tells everything that is wrong with a policy, or nil. Bounds keep one bad
// decision from shutting the members out of the next: every threshold can still
// be reached, and none is so low that one member decides alone.
func (p *Policy) Check() error {
	var f faults
	f.within("invitation_days", p.InvitationDays, 1, 90)
	f.within("vote_days", p.VoteDays, 1, 90)
	f.within("approvals", p.Approvals, 2, 64)
	f.within("majority_below", p.MajorityBelow, 3, 64)
	f.within("takedown_days", p.TakedownDays, 1, 90)
	f.within("erase_days", p.EraseDays, 1, 30)
	f.within("caretakers", p.Caretakers, 1, MaxCaretakers)
	if p.Voters != 1 && p.Voters != 3 && p.Voters != 5 {
		f.add("voters is %d, 1, 3 or 5 are allowed", p.Voters)
	}
	f.months("cadence", p.Cadence, 60)
	f.within("heads.burst", p.Heads.Burst, 1, 1000)
	f.within("heads.per_minute", p.Heads.PerMinute, 1, 6000)
	f.within("heads.records", p.Heads.Records, 1000, 1<<24)
	f.within("heads.bytes", p.Heads.Bytes, 1<<20, 1<<40)
	p.checkFixed(&f)
	if len(p.Languages) == 0 || len(p.Languages) > MaxLanguages {
		f.add("languages names %d, 1 to %d are allowed", len(p.Languages), MaxLanguages)
	} else {
		for i, l := range p.Languages {
			if !ValidLanguage(l) || slices.Contains(p.Languages[:i], l) {
				f.add("languages: %q is no language tag, or named twice", short(l))
			}
		}
		if !slices.Contains(p.Languages, "en") {
			f.add("languages: en is missing; it is what is shown where another language lacks a text")
		}
	}
	return f.err()
}

// checkFixed checks what stands in the policy and cannot be another value under
// this version of the rules: nodes judge feeds by it before they know the
// registry of that moment, or count on it in pages that are made without one.
func (p *Policy) checkFixed(f *faults) {
	d := DefaultPolicy()
	fixed := func(what string, same bool, want any) {
		if !same {
			f.add("%s is %v under version %d of the rules and cannot be changed", what, want, Rules)
		}
	}
	fixed("origins_per_country", p.OriginsPerCountry == d.OriginsPerCountry, d.OriginsPerCountry)
	fixed("lapse_after", maps.Equal(p.LapseAfter, d.LapseAfter), d.LapseAfter)
	fixed("large_change", p.LargeChange == d.LargeChange, d.LargeChange)
	fixed("heads.record", p.Heads.Record == d.Heads.Record, d.Heads.Record)
	fixed("heads.delta", p.Heads.Delta == d.Heads.Delta, d.Heads.Delta)
}

// months notes what is wrong with a table of months by kind.
func (f *faults) months(what string, by map[string]int64, most int64) {
	if len(by) > 32 {
		f.add("%s names %d kinds, at most 32 are allowed", what, len(by))
		return
	}
	if _, ok := by["resource"]; !ok {
		f.add("%s: resource is missing; it holds for kinds that are not named", what)
	}
	for _, kind := range slices.Sorted(maps.Keys(by)) {
		if !validCode(kind, 1) {
			f.add("%s: %q is no code of a kind", what, short(kind))
		}
		f.within(what+"."+short(kind), by[kind], 1, most)
	}
}

// setPolicy judges a new policy, and has it hold if it is to hold now. How many
// must sign is told by the policy that it replaces.
func (c *change) setPolicy(payload []byte, now bool) error {
	var p SetPolicy
	if err := decode(KindPolicy, payload, &p); err != nil {
		return err
	}
	if HashPolicy(c.policy) != p.Before {
		return fmt.Errorf("%w: the policy has changed since this one was made; make it anew", ErrConflict)
	}
	if err := p.Policy.Check(); err != nil {
		return err
	}
	if HashPolicy(p.Policy) == p.Before {
		return fmt.Errorf("%w: this policy holds already", ErrConflict)
	}
	if now {
		c.policy, c.policySeq = p.Policy, c.seq
	}
	return nil
}

// Needed is how many of the given number of members must sign an admission:
// one founder alone, both of two, a majority while there are fewer than
// MajorityBelow, then Approvals.
func (p Policy) Needed(members int) int {
	switch {
	case members <= 2:
		return members
	case int64(members) < p.MajorityBelow:
		return members/2 + 1
	default:
		return min(int(p.Approvals), members)
	}
}

func (p Policy) clone() Policy {
	p.Cadence = maps.Clone(p.Cadence)
	p.LapseAfter = maps.Clone(p.LapseAfter)
	p.Languages = slices.Clone(p.Languages)
	return p
}
