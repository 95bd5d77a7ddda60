package registry

import "maps"

// Policy is what the members have agreed on beyond the rules themselves. The
// values that a federation begins with are part of [Version]: they are the same
// in every program that knows this version.
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
	}
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
	return p
}
